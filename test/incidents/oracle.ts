/**
 * What must hold after every story: for each order in the broker's book exactly one record; for each family of
 * executions exactly one row with the newest revision; positions as in the book; every order that was ever written to
 * a socket has an end or is in doubt with an alert; nothing on the wire that no intent asked for.
 */
import { executionFamily, executionRevision } from '../../machines/order.ts';
import type { BookOrder, Execution, OrderRequest } from '../../src/simulator/model.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { decodeRequest } from '../../src/simulator/wire/requests.ts';
import { eventually } from '../program.ts';
import type { Answer } from '../whole.ts';

/** A runtime that can be asked and the simulator that it trades with. */
export interface Books {
  readonly simulator: Pick<Simulator, 'exchange' | 'received'>;
  call(method: string, path: string): Promise<Pick<Answer, 'body'>>;
}

export interface OracleOptions {
  readonly withinMs?: number;
  /** the client id of the runtime; default 1 */
  readonly clientId?: number;
}

/** Waits until the books agree; throws with every difference when they do not in time. */
export async function expectBooksAgree(
  books: Books,
  { withinMs = 20_000, clientId = 1 }: OracleOptions = {},
): Promise<void> {
  await eventually(
    () => differences(books, clientId),
    (found) => found.length === 0,
    withinMs,
  );
}

// biome-ignore lint/suspicious/noExplicitAny: rows of the public API, read by name
type Row = any;

const closedStates = new Set(['filled', 'cancelled', 'expired', 'rejected', 'denied']);

/** Every row of a list of the API, page by page. */
export async function everyRow(books: Pick<Books, 'call'>, path: string, noun: string): Promise<Row[]> {
  const rows: Row[] = [];
  let after: string | null = null;
  do {
    const query: string = `${path.includes('?') ? '&' : '?'}limit=500${after === null ? '' : `&after=${encodeURIComponent(after)}`}`;
    const { body } = await books.call('GET', path + query);
    rows.push(...body[noun]);
    after = body.next;
  } while (after !== null);
  return rows;
}

/** The orders that were written to a socket, newest last: what the wire says, previews left out. */
export function writtenOrders(simulator: Books['simulator'], clientId = 1): readonly OrderRequest[] {
  return simulator.received({ message: 'placeOrder', clientId }).flatMap(({ fields }) => {
    const { request } = decodeRequest(fields, { version: newestVersion, clientId });
    return request.type === 'placeOrder' && !request.order.whatIf ? [request.order] : [];
  });
}
/** The newest version that the runtime's library speaks; a gateway that offers less is another story. */
const newestVersion = 193;

/** What disagrees at this moment, in sentences. */
export async function differences(books: Books, clientId: number): Promise<readonly string[]> {
  const [orders, executions, positions, facts] = await Promise.all([
    everyRow(books, '/v1/orders?state=all', 'orders'),
    everyRow(books, '/v1/executions', 'executions'),
    everyRow(books, '/v1/positions', 'positions'),
    everyRow(books, '/v1/journal', 'facts'),
  ]);
  const { exchange } = books.simulator;
  return [
    ...brokerOrders(orders, [...exchange.openOrders(), ...exchange.completedOrders()]),
    ...brokerExecutions(executions, exchange.executions(everything)),
    ...brokerPositions(positions, exchange.positions()),
    ...written(orders, facts, books.simulator, clientId),
    ...inDoubt(orders, facts),
  ];
}

function grouped(rows: readonly (readonly [string, Row])[]): ReadonlyMap<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const [name, row] of rows) {
    const group = groups.get(name);
    if (group) group.push(row);
    else groups.set(name, [row]);
  }
  return groups;
}

const everything = { clientId: 0, account: '', since: 0, symbol: '', secType: '', exchange: '', side: '' };

function brokerOrders(orders: readonly Row[], book: readonly BookOrder[]): string[] {
  const byPermId = grouped(
    orders.flatMap((order) => [...new Set<string>(order.permIds)].map((permId) => [permId, order])),
  );
  return book.flatMap((broker) => {
    const name = `broker order ${broker.permId} (${broker.request.orderRef || 'no reference'})`;
    const records = byPermId.get(String(broker.permId)) ?? [];
    const [record] = records;
    if (records.length !== 1 || !record) return [`${name} has ${records.length} records`];
    const incarnations = book.filter(({ permId }) => record.permIds.includes(String(permId)));
    const filled = incarnations.reduce((sum, { filled: shares }) => sum + shares, 0);
    const isOpen = incarnations.some(({ completedAt }) => completedAt === null);
    return [
      ...(Number(record.filledQuantity) === filled
        ? []
        : [`${name} has filled ${filled}, its record says ${record.filledQuantity}`]),
      ...(isOpen && closedStates.has(record.state)
        ? [`${name} is open, its record is ${record.state} (${JSON.stringify(record.reason)})`]
        : []),
      ...(!isOpen && !closedStates.has(record.state) && record.state !== 'inDoubt'
        ? [`${name} has ended as ${broker.status}, its record is ${record.state}`]
        : []),
    ];
  });
}

function brokerExecutions(rows: readonly Row[], tape: readonly Execution[]): string[] {
  const newest = new Map<string, Execution>();
  for (const execution of tape) {
    const family = executionFamily(execution.execId);
    const other = newest.get(family);
    if (!other || executionRevision(other.execId) < executionRevision(execution.execId))
      newest.set(family, execution);
  }
  const byFamily = grouped(rows.map((row) => [executionFamily(row.execId), row]));
  const problems = [...newest.values()].flatMap((execution) => {
    const found = byFamily.get(executionFamily(execution.execId)) ?? [];
    const [row] = found;
    if (found.length !== 1 || !row) return [`execution ${execution.execId} has ${found.length} rows`];
    const agrees =
      row.execId === execution.execId &&
      Number(row.quantity) === execution.shares &&
      Number(row.price) === execution.price;
    return agrees
      ? []
      : [
          `execution ${execution.execId} is ${execution.shares} at ${execution.price}, its row ${JSON.stringify(row)}`,
        ];
  });
  const invented = rows.filter(({ execId }) => !newest.has(executionFamily(execId)));
  return [...problems, ...invented.map(({ execId }) => `execution ${execId} is not on the broker's tape`)];
}

function brokerPositions(
  rows: readonly Row[],
  book: readonly { account: string; contract: { conId: number }; position: number }[],
): string[] {
  const key = (account: string, conId: unknown) => `${account} ${String(conId)}`;
  const ours = new Map(rows.map((row) => [key(row.account, row.contract.conId), Number(row.quantity)]));
  const theirs = new Map(
    book
      .filter(({ position }) => position !== 0)
      .map(({ account, contract, position }) => [key(account, contract.conId), position]),
  );
  return [...new Set([...ours.keys(), ...theirs.keys()])].flatMap((each) =>
    (ours.get(each) ?? 0) === (theirs.get(each) ?? 0)
      ? []
      : [`position ${each} is ${theirs.get(each) ?? 0} at the broker, ${ours.get(each) ?? 0} here`],
  );
}

function written(
  orders: readonly Row[],
  facts: readonly Row[],
  simulator: Books['simulator'],
  clientId: number,
): string[] {
  const requested = new Set(
    facts.flatMap(({ event, payload }) =>
      event === 'order.requested' || event === 'order.renumbered' ? [idOf(payload.order)] : [],
    ),
  );
  const book = [...simulator.exchange.openOrders(), ...simulator.exchange.completedOrders()];
  const inBook = new Set(
    book.filter(({ request }) => request.clientId === clientId).map(({ request }) => request.orderId),
  );
  const byName = new Map(orders.map((order) => [order.clientOrderId, order]));
  return writtenOrders(simulator, clientId).flatMap(({ orderId, orderRef }) => {
    const name = `order ${orderId} (${orderRef})`;
    const record = byName.get(orderRef);
    if (!record || !requested.has(`${orderRef} ${orderId}`))
      return [`${name} went over the wire and no intent asked for it`];
    const isRefused = record.refusedOrderIds?.includes(orderId);
    return inBook.has(orderId) || isRefused || closedStates.has(record.state) || record.state === 'inDoubt'
      ? []
      : [`${name} was written, the broker does not have it, and its record is ${record.state}`];
  });
}
const idOf = ({ clientOrderId, orderId }: Row): string => `${clientOrderId} ${orderId}`;

/** Whoever is in doubt has said so on the alerts, last. */
function inDoubt(orders: readonly Row[], facts: readonly Row[]): string[] {
  const last = new Map<string, string>();
  for (const { channel, event, payload } of facts)
    if (channel === 'alerts' && (event === 'order.inDoubt' || event === 'order.doubtResolved'))
      last.set(payload.alert.clientOrderId, event);
  return orders.flatMap(({ clientOrderId, state }) => {
    const said = last.get(clientOrderId);
    return (state === 'inDoubt') === (said === 'order.inDoubt')
      ? []
      : [`order ${clientOrderId} is ${state}, and the alerts say ${said ?? 'nothing'}`];
  });
}

/** What the alerts say of an order, oldest first. */
export async function alertsAbout(books: Pick<Books, 'call'>, clientOrderId: string): Promise<Row[]> {
  const facts = await everyRow(books, '/v1/journal', 'facts');
  return facts.flatMap(({ channel, event, payload }) =>
    channel === 'alerts' && payload.alert.clientOrderId === clientOrderId
      ? [{ event, ...payload.alert }]
      : [],
  );
}
