/** What the desk does when TWS refuses an order id, or that of a parent: the intent goes out under a fresh one. */
import { isZero } from './decimal.ts';
import { type Handle, type Of, type OrderRecord, orderIdMax } from './desk.ts';
import { isClosed } from './evidence.ts';
import { lostBelow, orderKey } from './identity.ts';
import { lookUp, put } from './lookup.ts';
import { applyFact, type OrderFact } from './order.ts';
import { isUnwanted } from './order-words.ts';

/** TWS refused an order id, or that of a parent. It tells its next id at once; until then the intent waits. */
export const noteRefusedId: Handle = ({ context, event }, out) => {
  const wanted = event as Of<'order.renumberWanted'>;
  out.assign({ refused: [...context.refused, wanted] });
};

/** The order ids that TWS grants only ever raise ours; what waits for one is taken up, parents first. */
export const raiseOrderId: Handle = ({ context, event }, out) => {
  const { orderId } = event as Of<'broker.orderIdGranted'>;
  out.assign({ nextOrderId: Math.max(context.nextOrderId, orderId), refused: [] });
  for (const wanted of context.refused.toSorted((a, b) => a.orderId - b.orderId))
    out.toSelf({ ...wanted, type: 'desk.renumber' });
};

/**
 * Nothing entered the book under the refused id, and the intent stands. It goes out once more, under a fresh id and the
 * same reference, when that is durable. What somebody has asked to cancel meanwhile stays away.
 */
export const renumber: Handle = ({ context, event, view }, out) => {
  const { clientOrderId, orderId: refused, reason, at } = event as Of<'desk.renumber'>;
  const entry = lookUp(context.orders, clientOrderId);
  if (!entry?.ticket) return;
  const intent = view(entry);
  const { state } = intent;
  // Given up or cancelled meanwhile: evidence decides.
  if (state !== 'submitting' && state !== 'inDoubt') return;
  const orderId = Math.max(context.nextOrderId, refused + 1);
  const parentName = entry.ticket.parentClientOrderId;
  const parent = parentName === undefined ? undefined : lookUp(context.orders, parentName);
  const isParentGone = parent !== undefined && isClosed(view(parent));
  // Without the position that its parent would have opened an exit must not go out.
  const isPointless = isParentGone && isZero(view(parent).filledQuantity);
  if (isUnwanted(intent) || context.shut || context.isHalted || isPointless || orderId > orderIdMax)
    return out.toOrder(clientOrderId, { type: 'order.rejected', clientOrderId, at, reason });
  const parentOrderId = parent && !isParentGone ? (parent.order.orderId ?? 0) : 0;
  const fact: OrderFact = { type: 'order.renumbered', clientOrderId, at, orderId, parentOrderId };
  const order = applyFact(intent, fact);
  const requestId = `renumber:${orderId}`;
  const records: readonly OrderRecord[] = [{ fact, order }];
  out.assign({
    orders: put(context.orders, clientOrderId, {
      ...entry,
      parentOrderId,
      order: { ...entry.order, orderId },
    }),
    byOrderId: put(context.byOrderId, orderKey(context.clientId, orderId), clientOrderId),
    nextOrderId: orderId + 1,
    lostIds: lostBelow(context.lostIds, orderId),
    operations: { ...context.operations, [requestId]: { kind: 'renumber', ids: [clientOrderId], records } },
  });
  out.report({ type: 'journal.commit', requestId, records });
};
