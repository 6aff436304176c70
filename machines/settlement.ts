/**
 * The end of an order that the broker's lists lack for good, as a person states it. The order is closed on that word;
 * positions follow the broker alone, and whatever the broker says of the order later outranks it.
 */
import { add, compare, type Decimal, equals } from './decimal.ts';
import { answer, type Handle, type Of, type OrderRecord } from './desk.ts';
import { isClosed } from './evidence.ts';
import { incarnationsOf, isComplete, sizeUnder } from './incarnation.ts';
import { lookUp } from './lookup.ts';
import { applyFact, type FieldProblem, type Order, type OrderFact, type Reason } from './order.ts';
import { isCalledMissing } from './order-words.ts';

export interface Settlement {
  /** all that it ever filled */
  readonly filledQuantity: Decimal;
  /** of all that; null: not known */
  readonly averagePrice: Decimal | null;
  /** for people; may be empty */
  readonly note: string;
}

const settled = ({ note }: Settlement): Reason => ({
  code: 'settled',
  message: note === '' ? 'settled by hand' : `settled by hand: ${note}`,
});

/** What speaks against it; null: nothing. */
function objectionTo(order: Order, { filledQuantity, averagePrice }: Settlement): FieldProblem | null {
  const { filledQuantity: booked, quantity, quantityUnknown } = order;
  if (compare(filledQuantity, booked) < 0) {
    const detail = `is less than the ${booked} that are booked as filled: state at least ${booked}`;
    return { pointer: '/filledQuantity', detail };
  }
  if (compare(filledQuantity, booked) === 0) {
    const detail = `says nothing, as no more than the booked ${booked} were filled: leave it out`;
    return averagePrice === null ? null : { pointer: '/averagePrice', detail };
  }
  // Of several live broker orders behind one each may have filled.
  const sizes = incarnationsOf(order).map(({ permId }) => sizeUnder(order, permId));
  const most = sizes.length > 1 ? sizes.reduce(add) : quantity;
  if (quantityUnknown || compare(filledQuantity, most) <= 0) return null;
  const detail = `is more than the order's quantity ${most}: state at most ${most}`;
  return { pointer: '/filledQuantity', detail };
}

/** The facts that end the order as stated, each with the order that it leads to. */
function recordsOf(order: Order, settlement: Settlement, at: number): OrderRecord[] {
  const { clientOrderId } = order;
  const { filledQuantity: filled, averagePrice } = settlement;
  const reason = settled(settlement);
  const facts: OrderFact[] = [];
  if (compare(filled, order.filledQuantity) > 0)
    facts.push({ type: 'order.filledAsStated', clientOrderId, at, filled, averagePrice, reason });
  if (!isComplete(facts.reduce(applyFact, order)))
    facts.push({ type: 'order.cancelled', clientOrderId, at, reason });
  let after = order;
  return facts.map((fact) => {
    const next = applyFact(after, fact);
    const state = fact.type === 'order.cancelled' ? 'cancelled' : isComplete(next) ? 'filled' : after.state;
    after = { ...next, state };
    return { fact, order: after };
  });
}

/** The same once more, after an answer that was lost. A price that was not stated then is another statement. */
const isSettledAs = (
  { reason, filledQuantity, averageFillPrice }: Order,
  { filledQuantity: filled, averagePrice: price }: Settlement,
): boolean =>
  reason?.code === 'settled' &&
  equals(filledQuantity, filled) &&
  (price === null || (averageFillPrice !== null && equals(averageFillPrice, price)));

/** Durable before it takes effect, so that a disk that fails leaves the order in doubt. */
export const settleMissing: Handle = ({ context, event, view }, out) => {
  const { requestId, clientOrderId, settlement, at } = event as Of<'order.settle'>;
  const entry = lookUp(context.orders, clientOrderId);
  if (!entry) return answer(out, requestId, { outcome: 'unknown', orders: [] });
  const order = view(entry);
  const orders = [order];
  if (isClosed(order))
    return answer(out, requestId, {
      outcome: isSettledAs(order, settlement) ? 'settled' : 'closed',
      orders,
    });
  if (!entry.live || order.state !== 'inDoubt' || !isCalledMissing(order))
    return answer(out, requestId, { outcome: 'notMissing', orders });
  const objection = objectionTo(order, settlement);
  if (objection) return answer(out, requestId, { outcome: 'invalid', orders, ...objection });
  const records = recordsOf(order, settlement, at);
  out.assign({
    operations: {
      ...context.operations,
      [requestId]: { kind: 'settlement', ids: [clientOrderId], records },
    },
  });
  out.report({ type: 'journal.commit', requestId, records });
};
