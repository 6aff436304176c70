/**
 * After any number of deaths: the common oracle, and what is stricter here because every order at this broker is ours:
 * one order for one intent, on the same terms; every fill on its own order, with its commission.
 */
import type { BookOrder, Execution } from '../../src/simulator/model.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { differences, everyRow, writtenOrders } from '../incidents/oracle.ts';
import type { Program } from '../program.ts';

export interface BrokerBook {
  readonly simulator: Simulator;
  readonly orders: ReadonlyMap<number, BookOrder>;
  readonly executions: ReadonlyMap<string, Execution>;
}

export interface CrashedBooks {
  readonly call: Program['call'];
  readonly broker: BrokerBook;
  readonly intents: ReadonlyMap<string, { readonly status: number | null }>;
  /** how many changes were asked for */
  readonly changes: ReadonlyMap<string, number>;
}

// biome-ignore lint/suspicious/noExplicitAny: rows of the public API, read by name
type Row = any;

/** The gate may refuse orders while the books of a fresh start are not the same yet. What it refused never leaves. */
export const passingDenial = 'position-uncertain';

/** The state that an order of ours must have when the broker's has this status. */
const statesOf: Readonly<Record<string, readonly string[]>> = {
  Filled: ['filled'],
  Cancelled: ['cancelled'],
  Inactive: ['rejected'],
  Submitted: ['working'],
  PreSubmitted: ['working'],
};

/** What disagrees at this moment, in sentences. */
export async function disagreements(books: CrashedBooks): Promise<readonly string[]> {
  const { broker, intents } = books;
  const common = await differences({ simulator: broker.simulator, call: books.call }, 1);
  const orders = await everyRow(books, '/v1/orders?state=all', 'orders');
  const rows = await everyRow(books, '/v1/executions', 'executions');
  const byName = new Map<string, Row>(orders.map((order) => [order.clientOrderId, order]));
  const rowOf = new Map<string, Row>(rows.map((row) => [row.execId, row]));
  return [
    ...common,
    ...[...broker.orders.values()].flatMap((order) => compareOrder(order, byName)),
    ...doubled(broker),
    ...[...broker.executions.values()].flatMap((execution) =>
      compareExecution(execution, byName, rowOf, broker),
    ),
    ...orders.flatMap((order) => [
      ...(order.origin === 'api' ? [] : [`${order.clientOrderId} is taken for an order of others`]),
      ...(intents.has(intentOf(order.clientOrderId)) ? [] : [`nobody asked for ${order.clientOrderId}`]),
      ...(['working', 'filled', 'cancelled', 'rejected'].includes(order.state) ||
      (order.state === 'denied' && order.reason.code === passingDenial)
        ? []
        : [`${order.clientOrderId} is still ${order.state} (${JSON.stringify(order.reason)})`]),
    ]),
    ...[...intents].flatMap(([id, { status }]) =>
      status !== null && !byName.has(id) ? [`${id} was answered with ${status} and is not known`] : [],
    ),
    ...timesWritten(books),
    ...(await unpairedSessions(books)),
    ...writtenOrders(broker.simulator).flatMap(({ orderRef }) =>
      byName.get(orderRef)?.state === 'denied' ? [`${orderRef} was denied and written`] : [],
    ),
  ];
}

/** Sessions begin and end in turn, also when the process ended without a word. */
async function unpairedSessions(books: CrashedBooks): Promise<string[]> {
  const facts = await everyRow(books, '/v1/journal', 'facts');
  const told = facts.filter(({ event }) => event === 'tws.ready' || event === 'tws.lost');
  return told.flatMap((fact, index) => {
    const before = told[index - 1];
    const isOwn = before && before.payload.health.sessionId === fact.payload.health.sessionId;
    const isInTurn =
      fact.event === 'tws.lost' ? before?.event === 'tws.ready' && isOwn : before?.event !== 'tws.ready';
    return isInTurn ? [] : [`fact ${fact.seq}: ${fact.event} follows ${before?.event ?? 'nothing'}`];
  });
}

/** The exits of a bracket are wanted with their parent. */
const intentOf = (clientOrderId: string): string => clientOrderId.replace(/\.(tp|sl)$/, '');

function compareOrder(
  { request, permId, status, filled }: BookOrder,
  byName: ReadonlyMap<string, Row>,
): string[] {
  const order = byName.get(request.orderRef);
  if (!order) return [`the broker's order ${permId} (${request.orderRef}) is not known`];
  const name = `${request.orderRef} (${permId})`;
  const problems: string[] = [];
  if (!order.permIds.includes(String(permId))) problems.push(`${name} has the permIds ${order.permIds}`);
  if (order.orderId !== request.orderId)
    problems.push(`${name} is ${request.orderId} there, ${order.orderId} here`);
  if (!(statesOf[status] ?? []).includes(order.state))
    problems.push(`${name} is ${status} there, ${order.state} here`);
  if (Number(order.filledQuantity) !== filled)
    problems.push(`${name} has filled ${filled} there, ${order.filledQuantity} here`);
  if (status === 'Submitted' || status === 'PreSubmitted') {
    if (Number(order.quantity) !== request.totalQuantity)
      problems.push(`${name} is for ${request.totalQuantity} there, ${order.quantity} here`);
    if (
      request.lmtPrice !== null &&
      request.orderType === 'LMT' &&
      Number(order.limitPrice) !== request.lmtPrice
    )
      problems.push(`${name} has the limit ${request.lmtPrice} there, ${order.limitPrice} here`);
    if (order.pendingChange !== null) problems.push(`${name} has a change pending`);
  }
  return problems;
}

function doubled({ orders }: BrokerBook): string[] {
  const seen = new Set<string>();
  return [...orders.values()].flatMap(({ request: { orderRef } }) => {
    if (seen.has(orderRef)) return [`${orderRef} is at the broker more than once`];
    seen.add(orderRef);
    return [];
  });
}

function compareExecution(
  { execId, orderRef, shares, price }: Execution,
  byName: ReadonlyMap<string, Row>,
  rowOf: ReadonlyMap<string, Row>,
  { simulator }: BrokerBook,
): string[] {
  const name = `execution ${execId} of ${orderRef}`;
  const fills = (byName.get(orderRef)?.fills ?? []).filter((fill: Row) => fill.execId === execId);
  const [fill] = fills;
  const row = rowOf.get(execId);
  if (fills.length !== 1) return [`${name} is ${fills.length} fills`];
  const commission = simulator.exchange.commissionReport(execId)?.commission ?? null;
  const agrees = (figure: string | null): boolean =>
    (figure === null ? null : Math.round(Number(figure) * 1e6)) ===
    (commission === null ? null : Math.round(commission * 1e6));
  return [
    ...(Number(fill.quantity) === shares && Number(fill.price) === price ? [] : [`${name} has another fill`]),
    ...(row?.clientOrderId === orderRef ? [] : [`${name} is booked for ${row?.clientOrderId}`]),
    ...(agrees(fill.commission) ? [] : [`${name} costs ${commission}, its fill says ${fill.commission}`]),
    ...(agrees(row?.commission ?? null)
      ? []
      : [`${name} costs ${commission}, its row says ${row?.commission}`]),
  ];
}

/** An order reaches the wire at most once, and once more for each change that was asked for. */
function timesWritten({ broker, changes, intents }: CrashedBooks): string[] {
  const times = new Map<string, number>();
  for (const { orderRef } of writtenOrders(broker.simulator))
    times.set(orderRef, (times.get(orderRef) ?? 0) + 1);
  return [...times].flatMap(([id, count]) => {
    const most = 1 + (changes.get(id) ?? 0);
    if (!intents.has(intentOf(id))) return [`${id} was written and nobody asked for it`];
    return count > most ? [`${id} was written ${count} times, at most ${most} were asked for`] : [];
  });
}
