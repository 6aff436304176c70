import { createActor, fromCallback } from 'xstate';
import { equals, isZero } from '../../../machines/decimal.ts';
import { orderMachine } from '../../../machines/order.machine.ts';
import { applyFact, executionFamily, type Order, type OrderFact, orderOf } from '../../../machines/order.ts';
import type { Checker } from '../observation.ts';

/** Nothing comes due: the past has happened. */
const stoppedClock = { setTimeout: () => 0, clearTimeout: () => undefined };

/** The facts of the journal, replayed, are the orders that clients see. */
export const replayRebuilds: Checker = {
  name: 'replay rebuilds the orders',
  *atRest({ journal, orders, ledger }) {
    for (const { facts } of journal.restore(Number.MAX_SAFE_INTEGER).open) {
      const name = facts[0]?.clientOrderId;
      const order = orders.find(({ clientOrderId }) => clientOrderId === name);
      if (order === undefined) {
        yield `${name} is open in the journal and nowhere else`;
        continue;
      }
      const replayed = replay(facts);
      if (replayed === null) yield `the facts of ${name} begin with ${facts[0]?.type}`;
      else for (const field of differences(replayed, order)) yield `${name} differs after a replay: ${field}`;
    }
    const { positions, executions } = journal.restore(Number.MAX_SAFE_INTEGER);
    yield* rowsDiffer(
      'position',
      positions,
      ledger.positions,
      ({ account, instrument }) => `${account}|${instrument}`,
    );
    yield* rowsDiffer('execution', executions, ledger.executions, ({ execId }) => executionFamily(execId));
    for (const order of orders) {
      const durable = journal.order(order.clientOrderId);
      if (durable === undefined) yield `${order.clientOrderId} is ${order.state} and not in the journal`;
      else
        for (const field of differences(durable, order))
          yield `${order.clientOrderId} in the journal: ${field}`;
    }
  },
};

function replay(facts: readonly OrderFact[]): Order | null {
  const [first] = facts;
  if (first === undefined || (first.type !== 'order.requested' && first.type !== 'order.discovered'))
    return null;
  const isOurs = first.type === 'order.requested';
  const blank = isOurs ? orderOf(first.ticket, first.orderId, first.at) : first.order;
  const parent = createActor(
    fromCallback(() => undefined),
    { clock: stoppedClock },
  ).start();
  const actor = createActor(orderMachine, {
    parent,
    input: {
      order: { ...blank, state: 'reviewing' },
      ticket: isOurs ? first.ticket : null,
      parentOrderId: isOurs ? first.parentOrderId : 0,
      replaying: true,
    },
  }).start();
  for (const fact of facts) actor.send(fact);
  const { order } = actor.getSnapshot().context;
  const figures = facts.reduce(applyFact, blank);
  return { ...figures, state: order.state };
}

/** What a restart would find is what the living ledger holds. */
function* rowsDiffer<Row extends { readonly quantity: string }>(
  what: string,
  durable: readonly Row[],
  living: readonly Row[],
  nameOf: (row: Row) => string,
): Iterable<string> {
  const found = new Map(durable.map((row) => [nameOf(row), row]));
  for (const row of living) {
    const other = found.get(nameOf(row));
    found.delete(nameOf(row));
    if (other === undefined) {
      if (!isZero(row.quantity)) yield `${what} ${nameOf(row)} is not in the journal`;
    } else if (!equals(other.quantity, row.quantity))
      yield `${what} ${nameOf(row)} is ${row.quantity}, the journal holds ${other.quantity}`;
  }
  for (const name of found.keys()) yield `${what} ${name} is in the journal and nowhere else`;
}

function* differences(a: Order, b: Order): Iterable<string> {
  const fields = ['state', 'quantity', 'filledQuantity', 'limitPrice', 'commission', 'version'] as const;
  for (const field of fields) {
    if ((a[field] ?? null) !== (b[field] ?? null)) yield `${field} ${a[field]} instead of ${b[field]}`;
  }
  const ids = ({ fills, legFills = [] }: Order): string =>
    [...fills, ...legFills].map(({ execId }) => execId).join(' ');
  if (ids(a) !== ids(b)) yield `fills ${ids(a)} instead of ${ids(b)}`;
  if (a.permIds.join(' ') !== b.permIds.join(' ')) yield `permIds ${a.permIds} instead of ${b.permIds}`;
}
