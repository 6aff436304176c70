/** What a graceful stop does about open orders. */
import { isClosed } from '../machines/evidence.ts';
import type { Order } from '../machines/order.ts';
import type { Config } from './config.ts';
import type { Runtime } from './runtime.ts';

export type StopOrderPolicy = Config['stop']['orders'];

/** Times in force that outlive the day. */
const lasting: ReadonlySet<string> = new Set(['gtc', 'gtd']);
const pageSize = 500;
const lookEveryMs = 100;

/** Our own open orders as they are now, in pages. */
export function* openOrders(runtime: Runtime): Generator<readonly Order[]> {
  let after: string | null = null;
  do {
    const page = runtime.journal.orders({ state: 'open', limit: pageSize, after });
    yield page.rows.map((order) => runtime.order(order.clientOrderId) ?? order);
    after = page.next;
  } while (after !== null);
}

/** The orders that this policy cancels; those of TWS and of other clients are never among them. */
export function ordersToCancel(runtime: Runtime, policy: StopOrderPolicy): Order[] {
  if (policy === 'leave') return [];
  return [...openOrders(runtime)]
    .flat()
    .filter((order) => order.origin === 'api' && !isClosed(order))
    .filter(({ timeInForce }) => policy === 'cancel-all' || !lasting.has(timeInForce));
}

/**
 * Demands that these orders go, durably, and waits until they have: at most so long, and not at all without a session.
 * The orders that remain. The next start goes on asking for them.
 */
export function withdrawOrders(
  runtime: Runtime,
  orders: readonly Order[],
  { at, withinMs }: { readonly at: number; readonly withinMs: number },
): Promise<readonly Order[]> {
  const owed = new Set(orders.map(({ clientOrderId }) => clientOrderId));
  if (owed.size === 0) return Promise.resolve([]);
  return new Promise((resolve) => {
    const look = (): void => {
      for (const clientOrderId of owed) {
        const order = runtime.order(clientOrderId);
        if (order === undefined || isClosed(order)) owed.delete(clientOrderId);
      }
      if (owed.size === 0 || runtime.root.getSnapshot().context.sessionId === null) finish();
    };
    const finish = (): void => {
      clearTimeout(deadline);
      clearInterval(looking);
      stopListening();
      resolve([...owed].flatMap((clientOrderId) => runtime.order(clientOrderId) ?? []));
    };
    const deadline = setTimeout(() => finish(), withinMs);
    // Of an order that ended while the disk takes nothing there is no record.
    const looking = setInterval(look, lookEveryMs);
    const stopListening = runtime.onRecord(({ channel }) => {
      if (channel === 'orders' || channel === 'health') look();
    });
    runtime.send({ type: 'withdrawal.demand', clientOrderIds: [...owed], why: 'stop', at });
    look();
  });
}
