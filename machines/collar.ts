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
  if (limitPrice && limitTypes.has(type))
    reach(
      'limitPrice',
      limitPrice,
      beyond(side, limitPrice, number(ticket, 'discretionaryAmt') ?? '0'),
      anchor,
    );
  const adjustedStop = number(ticket, 'adjustedStopPrice');
  const offset = number(ticket, 'lmtPriceOffset');
  if (offset !== null) {
    const stop = adjustedStop ?? stopPrice ?? number(ticket, 'trailStopPrice') ?? reference;
    reach('tws.lmtPriceOffset', offset, beyond(side, stop, offset), stop);
  }
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
  return reaches.find(({ price, anchor }) => {
    const distance = side === 'buy' ? subtract(price, anchor) : subtract(anchor, price);
    return compare(distance, divide(multiply(anchor, percent), '100')) > 0;
  });
}

/** Whether any field of it bounds a price that the collar is for. */
export const isCollarable = (ticket: OrderTicket): boolean => reachesOf(ticket, '1', null).length > 0;

const beyond = (side: Side, price: Decimal, distance: Decimal): Decimal =>
  side === 'buy' ? add(price, distance) : subtract(price, distance);

function number({ tws }: OrderTicket, field: TwsOrderField): Decimal | null {
  const value = tws?.[field];
  return value === undefined ? null : toDecimal(Number(value));
}

/** A limit behind its own stop is judged against that stop: it cannot trade before the market is there. */
function anchorOf(ticket: OrderTicket, reference: Decimal, entry: Decimal | null): Decimal {
  const { type, side } = ticket;
  const stop = ticket.stopPrice ?? (type === 'trailing_stop_limit' ? number(ticket, 'trailStopPrice') : null);
  if (!stop)
    return entry === null
      ? reference
      : side === 'sell'
        ? smaller(reference, entry)
        : larger(reference, entry);
  if (type !== 'limit_if_touched') return stop;
  // Touched already, it is a limit order in today's market.
  return (side === 'buy') === compare(stop, reference) < 0 ? stop : reference;
}
