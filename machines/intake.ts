/** How what the broker says finds the desk's orders, and what the desk keeps of orders that closed. */
import {
  type DeskContext,
  earlyCommissionsMax,
  forgetAfterMs,
  type Handle,
  type Known,
  leapMs,
  type Of,
  type Outbox,
  orderIdMax,
  retireAfterMs,
  retiredPerSweepMax,
} from './desk.ts';
import { endedByWord, isClosed, isKnown } from './evidence.ts';
import {
  discoveredOrder,
  type IdentifiedFact,
  identify,
  idsOf,
  nameOfNew,
  orderKey,
  ticketOf,
} from './identity.ts';
import { incarnationsOf, isComplete } from './incarnation.ts';
import { entries, entriesOfBucket, lookUp, put, putAll, remove } from './lookup.ts';
import { applyFact, type Order, orderOf } from './order.ts';
import type { OrderListed, SessionLost } from './order-words.ts';
import { isGivenUp } from './quarantine.ts';
import type { BrokerFact } from './tws.ts';

type Commissioned = Extract<BrokerFact, { type: 'broker.commissioned' }>;

/** A fact of the broker finds its order, wakes it when it was retired, or becomes an order of others. */
export const routeFact: Handle = ({ context, event }, out) => {
  const fact = event as BrokerFact;
  if (fact.type === 'broker.positionSeen' || fact.type === 'broker.orderIdGranted') return;
  if (fact.type === 'broker.commissioned') return followCommission(context, fact, out);
  const id =
    fact.type === 'broker.orderNoted'
      ? lookUp(context.byOrderId, orderKey(context.clientId, fact.orderId))
      : identify(context, idsOf(fact), fact.type !== 'broker.completedSeen');
  if (fact.type === 'broker.executed')
    out.report({ type: 'ledger.book', clientOrderId: id ?? nameOfNew(context, fact.ids), fact });
  const entry = id === undefined ? undefined : lookUp(context.orders, id);
  let { orders } = context;
  if (id !== undefined && entry) orders = deliver(context, id, entry, fact, out);
  else if (fact.type !== 'broker.orderNoted') discover(context, fact, out);
  if (fact.type === 'broker.executed') settleEarly({ ...context, orders }, fact, out);
};

/** A commission names an execution and nothing else. It may come before it. */
function followCommission(context: DeskContext, fact: Commissioned, out: Outbox): void {
  const id = lookUp(context.byExecId, fact.execId);
  const entry = id === undefined ? undefined : lookUp(context.orders, id);
  if (id !== undefined && entry) {
    deliver(context, id, entry, fact, out);
    return;
  }
  const early = { ...context.earlyCommissions, [fact.execId]: fact };
  const oldest = Object.keys(early)[0];
  const { [oldest ?? '']: _, ...newer } = early;
  out.assign({ earlyCommissions: Object.keys(early).length > earlyCommissionsMax ? newer : early });
}

function settleEarly(
  context: DeskContext,
  { ids, execution }: Extract<BrokerFact, { type: 'broker.executed' }>,
  out: Outbox,
): void {
  const { [execution.execId]: early, ...earlyCommissions } = context.earlyCommissions;
  if (!early) return;
  out.assign({ earlyCommissions });
  const id = identify(context, ids) ?? nameOfNew(context, ids);
  const entry = lookUp(context.orders, id);
  if (entry) deliver(context, id, entry, early, out);
  else out.toOrder(id, early);
}

export const recordFact: Handle = ({ context, event, view }, out) => {
  const { clientOrderId, fact } = event as Of<'order.recorded'>;
  const entry = lookUp(context.orders, clientOrderId);
  if (!entry) return;
  const order = view(entry);
  const closedAt = isClosed(order) ? fact.at : null;
  let { byPermId, byExecId } = context;
  if (fact.type === 'order.filled' || fact.type === 'order.corrected' || fact.type === 'order.legExecuted')
    byExecId = put(byExecId, fact.fill.execId, clientOrderId);
  for (const permId of order.permIds) {
    if (lookUp(byPermId, permId) !== clientOrderId) byPermId = put(byPermId, permId, clientOrderId);
  }
  out.assign({
    byPermId,
    byExecId,
    orders: put(context.orders, clientOrderId, { ...entry, order, closedAt }),
  });
  const { conId } = order.contract;
  if (fact.type === 'order.accepted' && conId && order.contract.secType !== 'BAG') {
    out.report({ type: 'ledger.name', conId, instrument: order.instrument });
  }
  out.report({ type: 'gate.orderNoted', order });
  out.report({ type: 'journal.append', records: [{ fact, order }] });
};

export const restore: Handle = ({ context, event }, out) => {
  const { open, closed, nextOrderId, at } = event as Of<'desk.restored'>;
  const orders: [string, Known][] = [];
  const byPermId: [string, string][] = [];
  const byOrderId: [string, string][] = [];
  const byExecId: [string, string][] = [];
  const index = (clientOrderId: string, entry: Known): void => {
    orders.push([clientOrderId, entry]);
    for (const permId of entry.order.permIds) byPermId.push([permId, clientOrderId]);
    for (const execId of execIdsOf(entry.order)) byExecId.push([execId, clientOrderId]);
    for (const orderId of orderIdsOf(entry.order))
      byOrderId.push([orderKey(context.clientId, orderId), clientOrderId]);
  };
  for (const order of closed) {
    index(order.clientOrderId, {
      live: false,
      order,
      ticket: ticketOf(order),
      parentOrderId: 0,
      // From now, not from then: how long ago that was depends on a clock that may be wrong.
      closedAt: at,
    });
  }
  for (const { facts } of open) {
    const first = facts[0];
    if (!first || (first.type !== 'order.requested' && first.type !== 'order.discovered')) continue;
    const { clientOrderId } = first;
    const ticket = first.type === 'order.requested' ? first.ticket : ticketOf(first.order);
    const blank =
      first.type === 'order.requested' ? orderOf(first.ticket, first.orderId, first.at) : first.order;
    const order = facts.reduce(applyFact, blank);
    const parentOrderId = facts.reduce(
      (known, fact) =>
        fact.type === 'order.requested' || fact.type === 'order.renumbered' ? fact.parentOrderId : known,
      0,
    );
    const entry: Known = { live: true, order, ticket, parentOrderId, closedAt: null };
    out.spawn(clientOrderId, { ...entry, order: { ...blank, state: 'reviewing' } }, true);
    for (const fact of facts) out.toOrder(clientOrderId, fact);
    out.toOrder(clientOrderId, { type: 'order.resume', at });
    index(clientOrderId, entry);
    out.report({ type: 'gate.orderNoted', order: { ...order, state: 'working' } });
  }
  out.assign({
    orders: putAll(context.orders, orders),
    byPermId: putAll(context.byPermId, byPermId),
    byOrderId: putAll(context.byOrderId, byOrderId),
    byExecId: putAll(context.byExecId, byExecId),
    nextOrderId: Math.max(context.nextOrderId, nextOrderId),
    lostIds: { from: nextOrderId, below: orderIdMax },
  });
};

export const weighLists: Handle = ({ context, event }, out) => {
  const { at, since, present, lasting, coversFrom } = event as Of<'desk.evidence'>;
  if (context.leaptAt !== null && since > context.leaptAt) out.assign({ leaptAt: null });
  const seen = new Map<string, string[]>();
  for (const ids of present) {
    const id = identify(context, ids);
    if (id !== undefined) seen.set(id, [...(seen.get(id) ?? []), ids.permId]);
  }
  for (const [id, { live, closedAt }] of entries(context.orders)) {
    if (!live || closedAt !== null) continue;
    const permIds = seen.get(id) ?? [];
    const isPresent = permIds.length > 0;
    out.toOrder(id, { type: 'evidence.completed', at, since, present: isPresent, permIds, coversFrom });
  }
  let { orders } = context;
  for (const ids of lasting) {
    const id = ids.permId === '0' ? undefined : identify(context, ids);
    const entry = id === undefined ? undefined : lookUp(orders, id);
    if (id === undefined || !entry) continue;
    const hasEnded = entry.closedAt === null ? isEndedAlone(entry.order, ids.permId) : mayLive(entry.order);
    // A list that was asked for before the end says nothing against it.
    if (!hasEnded || since <= Date.parse(entry.order.updatedAt)) continue;
    const listed: OrderListed = { type: 'order.listed', at, since, permId: ids.permId };
    orders = deliver({ ...context, orders }, id, entry, listed, out);
  }
};

/** What a word has ended. What executions have ended needs no list, unless a correction took some back. */
const mayLive = (order: Order): boolean =>
  endedByWord(order) || (order.state === 'filled' && !isComplete(order));

/** Of several broker orders behind one this one alone has ended by a word. */
const isEndedAlone = (order: Order, permId: string): boolean =>
  incarnationsOf(order).some((each) => each.permId === permId && !['live', 'filled'].includes(each.state));

export const tellOpenOrders: Handle = ({ context, event }, out) => {
  out.assign({ refused: [] });
  for (const [id, { live, closedAt }] of entries(context.orders)) {
    if (live && closedAt === null) out.toOrder(id, event as SessionLost);
  }
};

/** Of a client whose lease has run out: all that may still trade. */
export const listLeased: Handle = ({ context, event, view }, out) => {
  const { client, at } = event as Of<'lease.lapsed'>;
  const clientOrderIds = [...entries(context.orders)]
    .map(([, entry]) => view(entry))
    .filter((order) => order.origin === 'api' && (order.client ?? '') === client && !isClosed(order))
    .map(({ clientOrderId }) => clientOrderId);
  out.report({ type: 'withdrawal.lapsed', client, clientOrderIds, at });
};

/** What it costs does not grow with the orders of the day: it stands before every order that comes meanwhile. */
export const sweep: Handle = ({ context, event, living }, out) => {
  const { at } = event as Of<'desk.sweep'>;
  // Whether an order is as old as the clock says the broker's lists will tell: what they name is of today.
  const leaptAt = context.sweptAt > 0 && at - context.sweptAt >= leapMs ? at : context.leaptAt;
  let { orders, byPermId, byOrderId, byExecId } = context;
  let retired = 0;
  for (const id of living()) {
    const entry = lookUp(orders, id);
    if (!entry?.live || entry.closedAt === null || at - entry.closedAt < retireAfterMs) continue;
    retired += 1;
    if (retired > retiredPerSweepMax) break;
    out.stop(id);
    orders = put(orders, id, { ...entry, live: false });
  }
  if (leaptAt === null) {
    for (const [id, entry] of entriesOfBucket(orders, context.sweeps)) {
      if (entry.live || entry.closedAt === null || at - entry.closedAt <= forgetAfterMs) continue;
      orders = remove(orders, id);
      for (const permId of entry.order.permIds) byPermId = remove(byPermId, permId);
      for (const execId of execIdsOf(entry.order)) byExecId = remove(byExecId, execId);
      for (const orderId of orderIdsOf(entry.order))
        byOrderId = remove(byOrderId, orderKey(context.clientId, orderId));
    }
  }
  out.assign({ orders, byPermId, byOrderId, byExecId, sweptAt: at, leaptAt, sweeps: context.sweeps + 1 });
};

/** Its order id, and those that TWS refused: a late word about them is still about this order. */
const orderIdsOf = ({ orderId, refusedOrderIds }: Order): readonly number[] =>
  orderId === null ? [] : [...(refusedOrderIds ?? []), orderId];

/** The executions that a commission may name. */
const execIdsOf = ({ fills, legFills = [] }: Order): readonly string[] =>
  [...fills, ...legFills].map(({ execId }) => execId);

function deliver(
  context: DeskContext,
  id: string,
  entry: Known,
  fact: BrokerFact | OrderListed,
  out: Outbox,
): DeskContext['orders'] {
  let { orders } = context;
  if (isGivenUp(entry)) return orders;
  if (!entry.live) {
    // Its lists tell TWS's whole day again and again: nobody wakes up for what he knows.
    if (fact.type !== 'order.listed' && isKnown(entry.order, fact)) return orders;
    out.spawn(id, entry, false);
    orders = put(orders, id, { ...entry, live: true, closedAt: fact.at });
    out.assign({ orders });
  } else if (entry.closedAt !== null && fact.at - entry.closedAt >= leapMs) {
    orders = put(orders, id, { ...entry, closedAt: fact.at });
    out.assign({ orders });
  }
  out.toOrder(id, fact);
  return orders;
}

/** An order that nobody here knows gets a record of its own; that we forgot one of ours is worth an alert. */
function discover(context: DeskContext, fact: IdentifiedFact, out: Outbox): void {
  const order = discoveredOrder(context, fact);
  if (!order) return;
  const { clientOrderId } = order;
  const { ids, at } = fact;
  const entry: Known = { live: true, order, ticket: ticketOf(order), parentOrderId: 0, closedAt: null };
  out.spawn(clientOrderId, entry, false);
  out.assign({
    orders: put(context.orders, clientOrderId, entry),
    byPermId: ids.permId === '0' ? context.byPermId : put(context.byPermId, ids.permId, clientOrderId),
    byOrderId:
      ids.orderId > 0
        ? put(context.byOrderId, orderKey(ids.clientId, ids.orderId), clientOrderId)
        : context.byOrderId,
    nextOrderId: Math.max(context.nextOrderId, (order.orderId ?? 0) + 1),
  });
  if (order.origin === 'api') out.report({ type: 'order.surprised', clientOrderId, fact });
  if (order.quantityUnknown)
    out.report({ type: 'evidence.wanted', why: 'the size of an order of others is not known' });
  out.toOrder(clientOrderId, {
    type: 'order.discovered',
    clientOrderId,
    at,
    order: { ...order, state: 'working' },
  });
  out.toOrder(clientOrderId, fact);
}
