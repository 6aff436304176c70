/** What executions and the broker's reports add up to: positions, and one row per execution. */
import {
  absolute,
  add,
  compare,
  type Decimal,
  divide,
  equals,
  isPositive,
  isZero,
  multiply,
  negate,
  subtract,
  toDecimal,
} from './decimal.ts';
import type { Contract } from './instrument.ts';

export interface PositionRow {
  readonly account: string;
  readonly instrument: string;
  readonly contract: Contract;
  readonly quantity: Decimal;
  readonly averageCost: Decimal | null;
  readonly marketPrice: Decimal | null;
  readonly unrealizedPnl: Decimal | null;
  readonly realizedPnl: Decimal | null;
  readonly confirmed: boolean;
}

export interface ExecutionRow {
  readonly execId: string;
  readonly clientOrderId: string | null;
  readonly account: string;
  readonly instrument: string;
  readonly side: 'buy' | 'sell';
  readonly quantity: Decimal;
  readonly price: Decimal;
  readonly commission: Decimal | null;
  readonly currency: string;
  readonly realizedPnl: Decimal | null;
  readonly at: string;
}

/** A position with what the machine needs to tell late news from new news. */
export interface LedgerPosition extends PositionRow {
  /** what the broker said last; null: never in this session's book */
  readonly reported: { readonly quantity: Decimal; readonly at: number } | null;
  /** part of the broker's figure that no execution has explained yet, signed */
  readonly unexplained: Decimal;
  /** quantities that executions led through since the last report: a report of one of these is merely late */
  readonly path: readonly Decimal[];
  /** complete lists of the broker, in a row, that disagreed */
  readonly disagreements: number;
}

export const positionPathMax = 200;
/** A broker's report may show an execution whose own time stamp, in whole seconds, is this much later. */
export const reportSlackMs = 2_000;

export const emptyPosition = (account: string, instrument: string, contract: Contract): LedgerPosition => ({
  account,
  instrument,
  contract,
  quantity: '0',
  averageCost: null,
  marketPrice: null,
  unrealizedPnl: null,
  realizedPnl: null,
  confirmed: false,
  reported: null,
  unexplained: '0',
  path: [],
  disagreements: 0,
});

/** The position after an execution moved it by `delta` (signed). What the broker's figure contains already is not added again. */
export function afterExecution(
  position: LedgerPosition,
  delta: Decimal,
  price: Decimal,
  executedAt: number,
): LedgerPosition {
  const { unexplained, reported } = position;
  const contained =
    reported !== null &&
    executedAt <= reported.at + reportSlackMs &&
    !isZero(unexplained) &&
    isPositive(unexplained) === isPositive(delta) &&
    compare(absolute(delta), absolute(unexplained)) <= 0;
  if (contained) return { ...position, unexplained: subtract(unexplained, delta) };
  const quantity = add(position.quantity, delta);
  return {
    ...position,
    quantity,
    averageCost: averageCostAfter(position, delta, price),
    path: [...position.path, position.quantity].slice(-positionPathMax),
    confirmed: reported !== null && equals(reported.quantity, quantity),
  };
}

/** The position after the broker reported it. Its figure is the truth, unless it is one that executions have led past. */
export function afterReport(
  position: LedgerPosition,
  quantity: Decimal,
  averageCost: Decimal | null,
  at: number,
): LedgerPosition {
  const reported = { quantity, at };
  const passed = position.path.findLastIndex((earlier) => equals(earlier, quantity));
  if (!equals(quantity, position.quantity) && passed >= 0) {
    return { ...position, reported, path: position.path.slice(passed), confirmed: false };
  }
  return {
    ...position,
    quantity,
    averageCost: averageCost ?? position.averageCost,
    reported,
    unexplained: add(position.unexplained, subtract(quantity, position.quantity)),
    path: [],
    confirmed: true,
    disagreements: 0,
  };
}

function averageCostAfter(position: LedgerPosition, delta: Decimal, price: Decimal): Decimal | null {
  const multiplier = position.contract.multiplier ? toDecimal(position.contract.multiplier) : '1';
  const after = add(position.quantity, delta);
  if (isZero(after)) return '0';
  const cost = multiply(price, multiplier ?? '1');
  const flips = !isZero(position.quantity) && isPositive(after) !== isPositive(position.quantity);
  if (isZero(position.quantity) || flips) return cost;
  const grows = isPositive(delta) === isPositive(position.quantity);
  if (!grows || position.averageCost === null) return position.averageCost;
  return divide(
    add(multiply(absolute(position.quantity), position.averageCost), multiply(absolute(delta), cost)),
    absolute(after),
  );
}

/** `buy` counts up, `sell` down. */
export const signed = (side: 'buy' | 'sell', quantity: Decimal): Decimal =>
  side === 'buy' ? quantity : negate(quantity);

/** What clients see of a position. */
export const positionRow = ({
  reported: _r,
  unexplained: _u,
  path: _p,
  disagreements: _d,
  ...row
}: LedgerPosition): PositionRow => row;
