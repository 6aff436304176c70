/** What people must be told about an order besides its facts. */
import { compare } from './decimal.ts';
import { isClosed } from './evidence.ts';
import { incarnationsOf, liveIncarnations } from './incarnation.ts';
import type { Order, OrderFact } from './order.ts';

export interface Alarm {
  readonly alert: /** more than one broker order works for one order of ours */
    | 'order.liveTwice'
    /** limits on value were not applied: there is no price */
    | 'order.unpriced'
    /** an execution after the end */
    | 'order.filledLate'
    /** more was filled than asked for */
    | 'order.overfilled'
    /** nobody knows whether, or how, the broker has the order; asked about until evidence settles it */
    | 'order.inDoubt'
    | 'order.doubtResolved'
    /** its actor threw: this program cannot tell what became of it, its successor asks */
    | 'order.failed';
  readonly detail: Readonly<Record<string, unknown>>;
}

const isOverfilled = (order: Order): boolean => compare(order.filledQuantity, order.quantity) > 0;
const figures = ({ quantity, filledQuantity, state, permIds }: Order) => ({
  state,
  quantity,
  filledQuantity,
  permIds,
});

/** What a fact gives cause to tell. */
export function alarmsOf(before: Order, fact: OrderFact, after: Order): readonly Alarm[] {
  const alarms: Alarm[] = [];
  if (liveIncarnations(after).length > Math.max(1, liveIncarnations(before).length)) {
    alarms.push({
      alert: 'order.liveTwice',
      detail: { ...figures(after), incarnations: incarnationsOf(after) },
    });
  }
  if (fact.type === 'order.filled') {
    // One that explains what the broker had stated is no news.
    if (isClosed(before) && after.filledQuantity !== before.filledQuantity) {
      alarms.push({ alert: 'order.filledLate', detail: { ...figures(after), fill: fact.fill } });
    }
    if (isOverfilled(after)) {
      alarms.push({ alert: 'order.overfilled', detail: { ...figures(after), fill: fact.fill } });
    }
  }
  return alarms;
}

/** An order that enters doubt: what is known of it, and for how long nothing was heard, in ms. */
export const doubtAlarm = (order: Order, at: number): Alarm => ({
  alert: 'order.inDoubt',
  detail: {
    ...figures(order),
    state: 'inDoubt',
    was: order.state,
    orderId: order.orderId,
    reason: order.reason,
    ageMs: Math.max(0, at - Date.parse(order.createdAt)),
  },
});

/** An order that leaves doubt: as what, and after how long. */
export const resolutionAlarm = (
  order: Order,
  state: Order['state'],
  { since, at }: { readonly since: number; readonly at: number },
): Alarm => ({
  alert: 'order.doubtResolved',
  detail: { ...figures(order), state, reason: order.reason, inDoubtForMs: Math.max(0, at - since) },
});
