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
import type { DiscrepancyCode, Finding } from './discrepancy.ts';
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

/** A position with what the machine needs to tell late news from new news. Times in ms since the epoch. */
export interface LedgerPosition extends PositionRow {
  /** what the broker said last; null: never */
  readonly reported: { readonly quantity: Decimal; readonly at: number } | null;
  /** part of the broker's figure that no execution has explained yet, signed */
  readonly unexplained: Decimal;
  /** when the broker's figure last moved without an execution */
  readonly unexplainedAt: number;
  /** what was never explained and is taken on the broker's word, signed, and when it moved the broker's figure */
  readonly accepted: Decimal;
  readonly acceptedAt: number;
  /** quantities that executions led through since the last report, and when each was left behind */
  readonly path: readonly Passed[];
  /** quantities of before, for rows that come late by minutes */
  readonly former: readonly Passed[];
  /** complete lists of the broker, in a row, that do not hold it */
  readonly absences: number;
  /** what the broker's newest portfolio row says; null: none in this session */
  readonly portfolio: PortfolioWord | null;
  /** when the quantity last changed here */
  readonly movedAt: number;
  /** when the broker's unexplained word began to be doubted, and how many complete lists in a row repeated it */
  readonly doubt: { readonly since: number; readonly repeats: number } | null;
  readonly codes: readonly DiscrepancyCode[];
}

/** The quantity that the broker's portfolio values, and what its lists of positions say to that. Times in ms since the epoch. */
export interface PortfolioWord {
  readonly quantity: Decimal;
  /** of the newest row, and of the first that said the same */
  readonly at: number;
  readonly since: number;
  /** complete lists, in a row, that were asked for after the first such row and hold on to another quantity */
  readonly lists: number;
  /** they did for so long that their word is taken: the portfolio is wrong, the position is not uncertain */
  readonly isOutweighed: boolean;
}

interface Passed {
  readonly quantity: Decimal;
  readonly until: number;
}

const positionPathMax = 200;
/** A report may show an execution whose own time stamp, in whole seconds, is this much later. */
const reportSlackMs = 2_000;
/** The broker's positions may lag behind its executions for so long. */
const reportLagMaxMs = 30_000;
/** TWS sends rows of the portfolio every three minutes at the latest. */
const portfolioLagMaxMs = 180_000;
/**
 * Executions stay known this long: TWS lists those of today, or of a week when it is told to show as many. A word about
 * an older one finds it in the broker's position already.
 */
export const executionRecallMs = 8 * 86_400_000;
/** Complete lists in a row that must agree before a position counts as gone, or an unexplained one is taken as it is. */
export const agreeingListsMin = 2;
/** An execution has so long to explain a position before the broker's word alone is taken. */
export const explanationMs = 10_000;

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
  unexplainedAt: 0,
  accepted: '0',
  acceptedAt: 0,
  path: [],
  former: [],
  absences: 0,
  portfolio: null,
  movedAt: 0,
  doubt: null,
  codes: [],
});

/** Whether a remainder that stood at `since` can be this execution. Within the seconds that time stamps differ it must fit. */
function isPartOf(
  remainder: Decimal,
  since: number,
  delta: Decimal,
  executedAt: number,
  isFirst: boolean,
): boolean {
  if (isZero(remainder)) return false;
  if (isFirst && executedAt + reportSlackMs <= since) return true;
  return (
    executedAt <= since + reportSlackMs &&
    isPositive(remainder) === isPositive(delta) &&
    compare(absolute(delta), absolute(remainder)) <= 0
  );
}

/** The position after an execution that the broker's figure contains already; null when it does not. */
function contained(
  position: LedgerPosition,
  delta: Decimal,
  executedAt: number,
  isFirst: boolean,
): LedgerPosition | null {
  const { unexplained, unexplainedAt, accepted, acceptedAt, reported } = position;
  if (reported === null) return null;
  if (isPartOf(unexplained, unexplainedAt, delta, executedAt, isFirst)) {
    const left = subtract(unexplained, delta);
    // The broker's figure came past this quantity, too quickly for a report of its own.
    const passed: Passed = { quantity: subtract(position.quantity, left), until: unexplainedAt };
    return {
      ...position,
      unexplained: left,
      former: isZero(left) ? position.former : [...position.former, passed].slice(-positionPathMax),
    };
  }
  if (isPartOf(accepted, acceptedAt, delta, executedAt, isFirst))
    return { ...position, accepted: subtract(accepted, delta) };
  // What happened well before a report is in it for certain.
  return isFirst && executedAt + reportLagMaxMs <= reported.at ? position : null;
}

/**
 * The position after an execution moved it by `delta` (signed). What the broker's figure contains already is not added
 * again. `isFirst`: the execution itself; otherwise a correction of one that was booked, which says nothing about when.
 */
export function afterExecution(
  position: LedgerPosition,
  delta: Decimal,
  price: Decimal,
  executedAt: number,
  isFirst: boolean,
): LedgerPosition {
  if (isZero(delta)) return position;
  const known = contained(position, delta, executedAt, isFirst);
  if (known) return known;
  const quantity = add(position.quantity, delta);
  const passed: Passed = { quantity: position.quantity, until: executedAt };
  return {
    ...position,
    quantity,
    averageCost: averageCostAfter(position, delta, price),
    path: [...position.path, passed].slice(-positionPathMax),
    former: [...position.former, passed].slice(-positionPathMax),
    confirmed: position.reported !== null && equals(position.reported.quantity, quantity),
  };
}

/** The position on the broker's word: what was not explained is not asked about any more. */
export const taken = (position: LedgerPosition): LedgerPosition => ({
  ...position,
  unexplained: '0',
  accepted: position.unexplained,
  acceptedAt: position.unexplainedAt,
  doubt: null,
  codes: position.codes.filter((code) => code !== 'position-unexplained'),
});

/** Where a quantity stands among those that executions led past lately; -1: a report of it is no late one. */
const lateIndex = (position: LedgerPosition, quantity: Decimal, at: number): number =>
  position.path.findLastIndex(
    (passed) => equals(passed.quantity, quantity) && at < passed.until + reportLagMaxMs,
  );

/** Whether the broker states a quantity that executions have led past, only seconds ago. */
export const isLate = (position: LedgerPosition, quantity: Decimal, at: number): boolean =>
  !equals(quantity, position.quantity) && lateIndex(position, quantity, at) >= 0;

/** The position after the broker reported it. Its figure is the truth, unless it is merely late. */
export function afterReport(
  position: LedgerPosition,
  quantity: Decimal,
  averageCost: Decimal | null,
  at: number,
): LedgerPosition {
  const reported = { quantity, at };
  if (isLate(position, quantity, at)) {
    const path = position.path.slice(lateIndex(position, quantity, at));
    return { ...position, reported, path, confirmed: false, absences: 0 };
  }
  const moved = subtract(quantity, position.quantity);
  const hasMoved = !isZero(moved);
  return {
    ...position,
    quantity,
    averageCost: averageCost ?? position.averageCost,
    reported,
    unexplained: add(position.unexplained, moved),
    unexplainedAt: hasMoved ? at : position.unexplainedAt,
    path: [],
    former: hasMoved
      ? [...position.former, { quantity: position.quantity, until: at }].slice(-positionPathMax)
      : position.former,
    confirmed: true,
    absences: 0,
  };
}

/** The position after the broker's portfolio valued a quantity. */
export function afterValuation(position: LedgerPosition, quantity: Decimal, at: number): LedgerPosition {
  const { portfolio } = position;
  const isSame = portfolio !== null && equals(portfolio.quantity, quantity);
  return {
    ...position,
    portfolio: isSame ? { ...portfolio, at } : { quantity, at, since: at, lists: 0, isOutweighed: false },
  };
}

/** What the portfolio says, after complete lists that were asked for at `since` and came at `at` agreed with us. */
export function besideLists(
  { portfolio, quantity }: LedgerPosition,
  since: number,
  at: number,
): PortfolioWord | null {
  if (portfolio === null) return null;
  if (equals(portfolio.quantity, quantity)) return { ...portfolio, lists: 0, isOutweighed: false };
  if (since <= portfolio.since) return portfolio;
  const lists = portfolio.lists + 1;
  const isOutweighed = lists >= 2 * agreeingListsMin && at >= portfolio.since + explanationMs;
  return { ...portfolio, lists, isOutweighed };
}

/** Whether the portfolio values what we hold, or held minutes ago, or says nothing. */
export const isPortfolioSettled = ({ portfolio, quantity, former }: LedgerPosition): boolean =>
  portfolio === null ||
  equals(portfolio.quantity, quantity) ||
  former.some(
    (passed) =>
      equals(passed.quantity, portfolio.quantity) && portfolio.at < passed.until + portfolioLagMaxMs,
  );

/** Whether the newest row of the portfolio values another quantity, and is no older than ours. */
export const isValuedOtherwise = (position: LedgerPosition): boolean =>
  !isPortfolioSettled(position) && position.portfolio !== null && position.portfolio.at >= position.movedAt;

/** It does, and lists of positions that were asked for since hold on to ours. One row may merely be ahead of them. */
export const portfolioDiffers = (position: LedgerPosition): boolean =>
  isValuedOtherwise(position) && (position.portfolio?.lists ?? 0) >= agreeingListsMin;

/** What differs about a position at present, for people. */
export const findingsOf = (position: LedgerPosition): readonly Finding[] => {
  const { account, instrument, quantity, reported, portfolio } = position;
  return position.codes.map((code) => ({
    code,
    subject: { kind: 'position', account, instrument },
    ...(code === 'portfolio-differs' && portfolio?.isOutweighed ? { isCertain: true as const } : {}),
    evidence: {
      ours: quantity,
      reported: reported?.quantity ?? null,
      portfolio: portfolio?.quantity ?? null,
      unexplained: position.unexplained,
    },
  }));
};

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
export const positionRow = (position: LedgerPosition): PositionRow => {
  const { account, instrument, contract, quantity, averageCost, marketPrice } = position;
  const { unrealizedPnl, realizedPnl, confirmed } = position;
  return {
    account,
    instrument,
    contract,
    quantity,
    averageCost,
    marketPrice,
    unrealizedPnl,
    realizedPnl,
    confirmed,
  };
};
