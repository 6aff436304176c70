/**
 * What becomes of an order whose actor failed: a fault of ours, or a word of the broker that nobody foresaw. It costs the
 * certainty about this one order, and new orders until a person has looked; never the desk and its other orders.
 */
import { type Handle, type Known, orderOfActor } from './desk.ts';
import { isClosed } from './evidence.ts';
import { lookUp, put } from './lookup.ts';
import { applyFact, type Order, type OrderFact } from './order.ts';

/** What XState tells the parent of an actor that threw. */
export interface OrderActorFailed {
  readonly type: `xstate.error.actor.${string}`;
  readonly actorId: string;
  readonly error: unknown;
}

/** So often an order gets another actor. What fails again and again would fail for ever. */
const revivalsMax = 3;

/** Whether the order has no actor any more and gets none: its cancels go past it, its executions to the ledger alone. */
export const isGivenUp = ({ failures = 0 }: Known): boolean => failures > revivalsMax;

/** It goes on as it was before the event that it could not bear: in doubt when it was open, else as it ended. */
export const quarantine: Handle = ({ context, event, view }, out) => {
  const { actorId, error } = event as unknown as OrderActorFailed;
  const clientOrderId = orderOfActor(actorId);
  const entry = lookUp(context.orders, clientOrderId);
  out.stop(clientOrderId);
  if (!entry) return;
  const failures = (entry.failures ?? 0) + 1;
  const before = view(entry);
  const at = Math.max(context.sweptAt, Date.parse(before.updatedAt));
  const message = (error instanceof Error ? `${error.name}: ${error.message}` : String(error)).slice(0, 500);
  const fact: OrderFact = {
    type: 'order.doubted',
    clientOrderId,
    at,
    reason: { code: 'order-failed', message: `this program failed on the order (${message})` },
  };
  const isOpen = !isClosed(before);
  const order: Order = isOpen ? { ...applyFact(before, fact), state: 'inDoubt' } : before;
  const after: Known = { ...entry, order, failures, closedAt: isOpen ? null : (entry.closedAt ?? at) };
  const isRevived = !isGivenUp(after);
  if (isRevived) out.spawn(clientOrderId, after, false);
  out.assign({ orders: put(context.orders, clientOrderId, { ...after, live: isRevived }) });
  if (isOpen) {
    out.report({ type: 'gate.orderNoted', order });
    out.report({ type: 'journal.append', records: [{ fact, order }] });
  }
  out.report({
    type: 'order.alerted',
    clientOrderId,
    at,
    alert: 'order.failed',
    detail: { state: order.state, error: message, failures, isGivenUp: !isRevived },
  });
  // What it threw on may strike the next order as well.
  const halt = `the actor of order "${clientOrderId}" failed (${message}): look at the order, then open trading`;
  out.report({ type: 'gate.halt', reason: { code: 'order-failed', message: halt }, at });
  out.report({ type: 'evidence.wanted', why: `the actor of order "${clientOrderId}" failed` });
};
