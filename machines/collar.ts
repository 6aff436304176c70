/** How far from the market an order may be worked, by all of its fields that bound a price. */
import {
  add,
  compare,
  type Decimal,
  divide,
  larger,
  multiply,
  smaller,
  subtract,
  toDecimal,
} from './decimal.ts';
import type { Mark } from './market.ts';
import type { OrderTicket, OrderType, Side, TwsOrderField } from './order.ts';

/** A price up to which an order may be worked, and where the market is by then. */
export interface Reach {
  /** the field that says so, as the client named it */
  readonly field: string;
  /** its value */
  readonly value: string;
  readonly price: Decimal;
  readonly anchor: Decimal;
}

/** Types whose limit price bounds what can be paid; the others may execute at any price. */
const limitTypes: ReadonlySet<OrderType> = new Set([
  'limit',
  'stop_limit',
  'limit_if_touched',
  'limit_on_close',
  'trailing_stop_limit',
]);

/** The price to judge a side by: what it would meet in the market, or the best that is known. Null: nothing is known. */
export function referencePrice(mark: Mark | null, side: Side): Decimal | null {
  const price =
    mark && ((side === 'buy' ? mark.ask : mark.bid) ?? mark.last ?? mark.close ?? mark.bid ?? mark.ask);
  return price === null || price === undefined || !Number.isFinite(price) || price <= 0
    ? null
    : String(price);
}

/** A spread this wide says nothing of where the market is, in multiples of the bid. */
const widestSpread = '2';

/**
 * What a price is judged by. In a market whose bid and ask lie far apart that is its last price, as far as it lies between them:
 * against a lone bid of a cent anything would be a good price for a seller.
 */
export function fairPrice(mark: Mark | null, side: Side): Decimal | null {
  const reference = referencePrice(mark, side);
  const { bid, ask } = mark ?? {};
  const traded = mark?.last ?? mark?.close;
  if (
    reference === null ||
    !bid ||
    !ask ||
    !traded ||
    bid <= 0 ||
    compare(String(ask), multiply(String(bid), widestSpread)) <= 0
  )
    return reference;
  return smaller(larger(String(traded), String(bid)), String(ask));
}

/**
 * Every price that the fields of this order let it reach. `entry`: where the order opens that this one is the exit of, if there
 * is one: before that it cannot trade, and then the market is there.
 */
export function reachesOf(ticket: OrderTicket, reference: Decimal, entry: Decimal | null): readonly Reach[] {
  const { type, side, limitPrice, stopPrice, trailAmount } = ticket;
  const anchor = anchorOf(ticket, reference, entry);
  const reaches: Reach[] = [];
  const reach = (field: string, value: string, price: Decimal, from: Decimal): number =>
    reaches.push({ field, value, price, anchor: from });
  const stop = type === 'trailing_stop_limit' ? (stopPrice ?? number(ticket, 'trailStopPrice')) : null;
  if (limitPrice && limitTypes.has(type)) {
    // A stop that trails comes to the market by itself, and its limit keeps the distance.
    const furthest = stop ? beyond(side, reference, distance(side, limitPrice, stop)) : limitPrice;
    reach(
      'limitPrice',
      limitPrice,
      beyond(side, furthest, number(ticket, 'discretionaryAmt') ?? '0'),
      anchor,
    );
  }
  const offset = number(ticket, 'lmtPriceOffset');
  if (offset !== null) reach('tws.lmtPriceOffset', offset, beyond(side, reference, offset), reference);
  const adjustedStop = number(ticket, 'adjustedStopPrice');
  const adjustedLimit = number(ticket, 'adjustedStopLimitPrice');
  if (adjustedLimit !== null)
    reach('tws.adjustedStopLimitPrice', adjustedLimit, adjustedLimit, adjustedStop ?? anchor);
  if (type === 'relative') {
    if (trailAmount) reach('trailAmount', trailAmount, beyond(side, reference, trailAmount), reference);
    const share = number(ticket, 'percentOffset');
    if (share !== null)
      reach('tws.percentOffset', share, beyond(side, reference, multiply(reference, share)), reference);
  }
  return reaches;
}

/** The first of them that lies more than `percent` of the market beyond it. */
export function outside(reaches: readonly Reach[], side: Side, percent: Decimal): Reach | undefined {
  return reaches.find(
    ({ price, anchor }) =>
      compare(distance(side, price, anchor), divide(multiply(anchor, percent), '100')) > 0,
  );
}

/** Whether any field of it bounds a price that the collar is for. */
export const isCollarable = (ticket: OrderTicket): boolean => reachesOf(ticket, '1', null).length > 0;

/** How far the price lies beyond the other, for who trades on this side. */
const distance = (side: Side, price: Decimal, from: Decimal): Decimal =>
  side === 'buy' ? subtract(price, from) : subtract(from, price);

const beyond = (side: Side, price: Decimal, distance: Decimal): Decimal =>
  side === 'buy' ? add(price, distance) : subtract(price, distance);

function number({ tws }: OrderTicket, field: TwsOrderField): Decimal | null {
  const value = tws?.[field];
  return value === undefined ? null : toDecimal(Number(value));
}

/** Where the market is when the exit of an order can trade that opens at `entry`. */
export const anchorOfExit = (side: Side, reference: Decimal, entry: Decimal | null): Decimal =>
  entry === null ? reference : side === 'sell' ? smaller(reference, entry) : larger(reference, entry);

/** A limit behind its own stop is judged against that stop: it cannot trade before the market is there. */
function anchorOf(
  { type, side, stopPrice }: OrderTicket,
  reference: Decimal,
  entry: Decimal | null,
): Decimal {
  if (!stopPrice) return anchorOfExit(side, reference, entry);
  if (type === 'trailing_stop_limit') return reference;
  if (type !== 'limit_if_touched') return stopPrice;
  // Touched already, it is a limit order in today's market.
  return (side === 'buy') === compare(stopPrice, reference) < 0 ? stopPrice : reference;
}
