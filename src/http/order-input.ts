/**
 * From a client's words to an order request: shapes, exact decimals, and the rules between fields. HTTP and WebSocket share it;
 * whether the order is wise or allowed is decided elsewhere.
 */
import { randomUUID } from 'node:crypto';
import { compare, type Decimal, isPositive, toDecimal } from '../../machines/decimal.ts';
import { externalPrefix } from '../../machines/identity.ts';
import type { Contract } from '../../machines/instrument.ts';
import type { FieldProblem, Order, OrderTerms, OrderType } from '../../machines/order.ts';
import type { Settlement } from '../../machines/settlement.ts';
import type { TermsChange } from '../../machines/tws.ts';
import { readInstrument } from './instrument-input.ts';
import type { OrderRequest } from './options.ts';
import { ChangeInput, OrderInput, SettlementInput } from './order-schema.ts';
import { type Checked, checkOf } from './validation.ts';

const checkOrder = checkOf(OrderInput);
const checkChange = checkOf(ChangeInput);
const checkSettlement = checkOf(SettlementInput);

const priceFields = ['limitPrice', 'stopPrice', 'trailAmount', 'trailPercent'] as const;
type PriceField = (typeof priceFields)[number];

/** Which price fields an order type must have and may have; the trailing types have exactly one of the two trails besides. */
const priceRules: Readonly<
  Record<OrderType, { readonly needs: readonly PriceField[]; readonly may: readonly PriceField[] }>
> = {
  market: { needs: [], may: [] },
  limit: { needs: ['limitPrice'], may: [] },
  stop: { needs: ['stopPrice'], may: [] },
  stop_limit: { needs: ['stopPrice', 'limitPrice'], may: [] },
  trailing_stop: { needs: [], may: ['stopPrice', 'trailAmount', 'trailPercent'] },
  trailing_stop_limit: { needs: [], may: ['limitPrice', 'stopPrice', 'trailAmount', 'trailPercent'] },
  market_if_touched: { needs: ['stopPrice'], may: [] },
  limit_if_touched: { needs: ['stopPrice', 'limitPrice'], may: [] },
  market_on_close: { needs: [], may: [] },
  limit_on_close: { needs: ['limitPrice'], may: [] },
  midprice: { needs: [], may: ['limitPrice'] },
  relative: { needs: [], may: ['limitPrice', 'trailAmount'] },
};

/** The children of a bracket are called `<id>.tp` and `<id>.sl`. */
const maxBracketIdLength = 29;
/** significant ones, of a double */
const maxDigits = 15;
const maxDecimalLength = 32;
const timestamp = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/;

/** The request that this body means, or every complaint about it (JSON pointers into the body). */
export function readOrder(body: unknown): Checked<OrderRequest> {
  const { value: input, errors: shapeErrors } = checkOrder(body);
  if (shapeErrors) return { errors: shapeErrors };
  const errors: FieldProblem[] = [];
  checkName(input.clientOrderId, errors);
  const named = readInstrument(input.instrument, '/instrument');
  if (named.errors) errors.push(...named.errors);
  const quantity = readPositive(input.quantity, '/quantity', errors);
  const prices = readPrices(input, mayBeNegative(named.value?.contract), errors);
  checkPrices(input.type, prices, errors);
  checkTrailingLimit(input, prices, errors);
  const timeInForce = input.timeInForce ?? 'day';
  checkGoodTill(timeInForce, input.goodTillDate, errors);
  const bracket = readBracket(
    input,
    mayBeNegative(named.value?.contract) ? readDecimal : readPositive,
    errors,
  );
  if (errors.length > 0 || !named.value) return { errors };
  return {
    value: {
      clientOrderId: input.clientOrderId ?? newClientOrderId(),
      instrument: named.value.instrument,
      contract: named.value.contract,
      side: input.side,
      quantity,
      type: input.type,
      ...prices,
      timeInForce,
      ...(input.goodTillDate !== undefined && { goodTillDate: inUtc(input.goodTillDate) }),
      ...(input.outsideRegularHours !== undefined && { outsideRegularHours: input.outsideRegularHours }),
      ...(input.account !== undefined && { account: input.account }),
      ...(input.client !== undefined && { client: input.client }),
      ...(input.ocaGroup !== undefined && { ocaGroup: input.ocaGroup }),
      ...(input.parentClientOrderId !== undefined && { parentClientOrderId: input.parentClientOrderId }),
      ...(bracket && { bracket }),
      ...(input.algo && { algo: input.algo }),
      ...(input.tws && { tws: input.tws as OrderRequest['tws'] & object }),
    },
  };
}

/** Two are steps in a path, which every client takes before it asks: the order could not be read or cancelled. */
function checkName(clientOrderId: string | undefined, errors: FieldProblem[]): void {
  const pointer = '/clientOrderId';
  if (clientOrderId === '.' || clientOrderId === '..') {
    const detail = `"${clientOrderId}" cannot stand in a URL: choose a name with a letter or a digit`;
    errors.push({ pointer, detail });
  }
  if (clientOrderId?.startsWith(externalPrefix)) {
    const detail = `names with ${externalPrefix} are given to orders of others: choose another beginning`;
    errors.push({ pointer, detail });
  }
}

/** The change that this body means. `of`: the order, when it is known: with the change it must be what a new one may be. */
export function readChange(
  body: unknown,
  of: Pick<Order, 'type' | 'contract' | keyof OrderTerms> | undefined,
): Checked<TermsChange> {
  const { value: input, errors: shapeErrors } = checkChange(body);
  if (shapeErrors) return { errors: shapeErrors };
  const errors: FieldProblem[] = [];
  const quantity = input.quantity === undefined ? null : readPositive(input.quantity, '/quantity', errors);
  const prices = readPrices(input, mayBeNegative(of?.contract), errors);
  if (of && of.type !== 'other') {
    refuseForeignPrices(of.type, prices, errors);
    refuseOtherTrail(of, prices, errors);
  }
  if (input.timeInForce !== undefined || input.goodTillDate !== undefined) {
    const timeInForce = input.timeInForce ?? of?.timeInForce ?? 'gtd';
    const kept = timeInForce === 'gtd' ? of?.goodTillDate : undefined;
    checkGoodTill(timeInForce, input.goodTillDate ?? kept, errors);
  }
  if (errors.length > 0) return { errors };
  return {
    value: {
      ...(quantity !== null && { quantity }),
      ...prices,
      ...(input.timeInForce !== undefined && { timeInForce: input.timeInForce }),
      ...(input.goodTillDate !== undefined && { goodTillDate: inUtc(input.goodTillDate) }),
      ...(input.outsideRegularHours !== undefined && { outsideRegularHours: input.outsideRegularHours }),
    },
  };
}

/** What this body says became of an order. `contract`: of the order, when it is known. */
export function readSettlement(body: unknown, contract: Contract | undefined): Checked<Settlement> {
  const { value: input, errors: shapeErrors } = checkSettlement(body);
  if (shapeErrors) return { errors: shapeErrors };
  const errors: FieldProblem[] = [];
  const filledQuantity = readDecimal(input.filledQuantity, '/filledQuantity', errors);
  if (compare(filledQuantity, '0') < 0)
    errors.push({ pointer: '/filledQuantity', detail: `must be 0 or more, not ${filledQuantity}` });
  const readPrice = mayBeNegative(contract) ? readDecimal : readPositive;
  const averagePrice =
    input.averagePrice === undefined ? null : readPrice(input.averagePrice, '/averagePrice', errors);
  if (errors.length > 0) return { errors };
  return { value: { filledQuantity, averagePrice, note: input.note ?? '' } };
}

type Prices = { -readonly [F in PriceField]?: Decimal };

/** Combinations and futures trade below zero; what we know by its number only might be one. */
function mayBeNegative(contract: Contract | undefined): boolean {
  const secType = contract?.secType;
  return secType === undefined || secType === 'BAG' || secType === 'FUT' || secType === 'FOP';
}

function readPrices(input: ChangeInput, negative: boolean, errors: FieldProblem[]): Prices {
  const prices: Prices = {};
  for (const field of priceFields) {
    const value = input[field];
    if (value === undefined) continue;
    const read = negative && !field.startsWith('trail') ? readDecimal : readPositive;
    prices[field] = read(value, `/${field}`, errors);
  }
  return prices;
}

function checkPrices(type: OrderType, prices: Prices, errors: FieldProblem[]): void {
  for (const field of priceRules[type].needs) {
    if (prices[field] === undefined) {
      errors.push({ pointer: `/${field}`, detail: `is required: a ${type} order needs ${field}` });
    }
  }
  refuseForeignPrices(type, prices, errors);
  if (!type.startsWith('trailing')) return;
  if ((prices.trailAmount === undefined) === (prices.trailPercent === undefined)) {
    errors.push({
      pointer: '/trailAmount',
      detail: `a ${type} order needs exactly one of trailAmount and trailPercent`,
    });
  }
}

/** Of both TWS would take the distance, and the limit that everybody reads would be none. */
function checkTrailingLimit({ type, tws }: OrderInput, { limitPrice }: Prices, errors: FieldProblem[]): void {
  const hasOffset = tws?.lmtPriceOffset !== undefined;
  if (
    type === 'trailing_stop_limit'
      ? hasOffset !== (limitPrice !== undefined)
      : !hasOffset || tws?.adjustedOrderType
  )
    return;
  errors.push(
    type === 'trailing_stop_limit'
      ? {
          pointer: '/limitPrice',
          detail: `a ${type} order needs exactly one of limitPrice and tws.lmtPriceOffset, its distance from the stop`,
        }
      : { pointer: '/tws/lmtPriceOffset', detail: `does not belong to a ${type} order: leave it out` },
  );
}

function refuseForeignPrices(type: OrderType, prices: Prices, errors: FieldProblem[]): void {
  const { needs, may } = priceRules[type];
  for (const field of priceFields) {
    if (prices[field] === undefined || needs.includes(field) || may.includes(field)) continue;
    errors.push({ pointer: `/${field}`, detail: `does not belong to a ${type} order: leave it out` });
  }
}

/** TWS keeps the kind of trail that an order began with, and answers nothing to the other one. */
function refuseOtherTrail(of: Partial<OrderTerms>, prices: Prices, errors: FieldProblem[]): void {
  for (const [asked, has] of [
    ['trailAmount', 'trailPercent'],
    ['trailPercent', 'trailAmount'],
  ] as const) {
    if (prices[asked] === undefined || of[asked] !== undefined || of[has] === undefined) continue;
    errors.push({
      pointer: `/${asked}`,
      detail: `the order trails by ${has}: change that, or cancel the order and place it anew with ${asked}`,
    });
  }
}

/** The day exists, and the hour: `Date.parse` would take the 31st of February for the 3rd of March. */
function isOfCalendar(date: string): boolean {
  const wall = Date.parse(`${date.slice(0, 19).replace(/ /, 'T')}Z`);
  return (
    Number.isFinite(Date.parse(date)) &&
    Number.isFinite(wall) &&
    new Date(wall).toISOString().slice(0, 19) === date.slice(0, 19).toUpperCase()
  );
}

function checkGoodTill(
  timeInForce: OrderTerms['timeInForce'],
  date: string | undefined,
  errors: FieldProblem[],
): void {
  const pointer = '/goodTillDate';
  if (timeInForce === 'gtd' && date === undefined) {
    errors.push({ pointer, detail: 'is required with timeInForce gtd, e.g. 2026-12-18T21:00:00Z' });
  } else if (timeInForce !== 'gtd' && date !== undefined) {
    errors.push({ pointer, detail: `belongs to timeInForce gtd: leave it out with ${timeInForce}` });
  } else if (date !== undefined && !(timestamp.test(date) && isOfCalendar(date))) {
    errors.push({
      pointer,
      detail: `"${date}" is not an RFC 3339 time with offset, e.g. 2026-12-18T21:00:00Z`,
    });
  }
}

/** The same moment; one in UTC is kept as it was written. */
const inUtc = (date: string): string =>
  /z$/i.test(date) ? date : new Date(date).toISOString().replace('.000Z', 'Z');

function readBracket(
  input: OrderInput,
  readPrice: typeof readDecimal,
  errors: FieldProblem[],
): OrderRequest['bracket'] {
  if (!input.bracket) return undefined;
  const { takeProfit, stopLoss } = input.bracket;
  if (!takeProfit && !stopLoss) {
    errors.push({ pointer: '/bracket', detail: 'needs takeProfit, stopLoss or both' });
  }
  if (input.clientOrderId !== undefined && input.clientOrderId.length > maxBracketIdLength) {
    errors.push({
      pointer: '/clientOrderId',
      detail: `at most ${maxBracketIdLength} characters with a bracket: its orders are called <clientOrderId>.tp and .sl`,
    });
  }
  const before = errors.length;
  const exits = {
    ...(takeProfit && {
      takeProfit: {
        limitPrice: readPrice(takeProfit.limitPrice, '/bracket/takeProfit/limitPrice', errors),
      },
    }),
    ...(stopLoss && {
      stopLoss: {
        stopPrice: readPrice(stopLoss.stopPrice, '/bracket/stopLoss/stopPrice', errors),
        ...(stopLoss.limitPrice !== undefined && {
          limitPrice: readPrice(stopLoss.limitPrice, '/bracket/stopLoss/limitPrice', errors),
        }),
      },
    }),
  };
  if (exits.takeProfit && exits.stopLoss && errors.length === before) {
    const rank = compare(exits.stopLoss.stopPrice, exits.takeProfit.limitPrice);
    const isBuy = input.side === 'buy';
    if (rank === 0 || isBuy === rank > 0) {
      const detail = `the stop of a ${input.side} stands ${isBuy ? 'below' : 'above'} its take-profit, not at ${exits.stopLoss.stopPrice} with ${exits.takeProfit.limitPrice}`;
      errors.push({ pointer: '/bracket/stopLoss/stopPrice', detail });
    }
  }
  return exits;
}

function readDecimal(value: string | number, pointer: string, errors: FieldProblem[]): Decimal {
  const decimal = toDecimal(value);
  // an exponent can hide a thousand digits
  if (decimal !== null && decimal.length <= maxDecimalLength) {
    const digits = decimal.replace(/[-.]/g, '').replace(/^0+|0+$/g, '').length;
    if (digits <= maxDigits) return decimal;
    errors.push({ pointer, detail: `has ${digits} digits: TWS keeps ${maxDigits} of them` });
    return '0';
  }
  errors.push({
    pointer,
    detail: `"${String(value).slice(0, 40)}" is not a decimal number such as "187.20"`,
  });
  return '0';
}

function readPositive(value: string | number, pointer: string, errors: FieldProblem[]): Decimal {
  const before = errors.length;
  const decimal = readDecimal(value, pointer, errors);
  if (errors.length === before && !isPositive(decimal)) {
    errors.push({ pointer, detail: `must be more than 0, not ${decimal}` });
  }
  return decimal;
}

/** Sorts by time of making; short enough for the children of a bracket. */
function newClientOrderId(): string {
  return `o-${Date.now().toString(36)}-${randomUUID().slice(24)}`;
}
