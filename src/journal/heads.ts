/** The read model: where the newest fact about each thing is. A fold of the facts, and checked to be one when a file is opened. */
import type { DatabaseSync } from 'node:sqlite';
import { isClosed } from '../../machines/evidence.ts';
import type { Order } from '../../machines/order.ts';
import { type Kind, parse, proven } from './facts.ts';

export interface Head {
  readonly kind: Kind;
  readonly name: string;
  /** where the first fact about it is */
  readonly first_seq: number;
  /** where the newest is */
  readonly seq: number;
  readonly at: number;
  /** of an order; 0 for everything else */
  readonly is_open: number;
  readonly order_id: number | null;
}

/** What the newest fact of an order makes of its head. */
export const orderColumns = (order: Order): Pick<Head, 'is_open' | 'order_id'> => ({
  is_open: isClosed(order) ? 0 : 1,
  order_id: order.orderId,
});
export const otherColumns: Pick<Head, 'is_open' | 'order_id'> = { is_open: 0, order_id: null };

const columns = [
  'kind',
  'name',
  'first_seq',
  'seq',
  'at',
  'is_open',
  'order_id',
] as const satisfies readonly (keyof Head)[];

export const putHead = `insert into heads (kind, name, first_seq, seq, at, is_open, order_id) values (?, ?, ?, ?, ?, ?, ?)
  on conflict (kind, name) do update set seq = excluded.seq, at = excluded.at, is_open = excluded.is_open,
    order_id = excluded.order_id`;

/** Compares every head with the facts. Throws `DamagedFact` when the newest fact of an order is not what was written. */
export function headsAgree(database: DatabaseSync): boolean {
  const stored = database.prepare('select * from heads order by kind, name').iterate();
  try {
    for (const head of fold(database)) {
      const row = stored.next().value;
      if (!row || columns.some((column) => row[column] !== head[column])) return false;
    }
    return stored.next().done === true;
  } finally {
    stored.return?.();
  }
}

/** Makes the heads again from the facts, in one transaction. */
export function rebuildHeads(database: DatabaseSync): void {
  database.exec('begin immediate');
  try {
    database.exec('delete from heads');
    const put = database.prepare(putHead);
    for (const { kind, name, first_seq, seq, at, is_open, order_id } of [...fold(database)])
      put.run(kind, name, first_seq, seq, at, is_open, order_id);
    database.exec('commit');
  } catch (error) {
    if (database.isTransaction) database.exec('rollback');
    throw error;
  }
}

/** Every head as the facts have it, by kind and name. Of the many that are no orders the texts are not even read. */
function* fold(database: DatabaseSync): Generator<Head> {
  const rows = database
    .prepare(
      `select s.first_seq, f.seq, f.ts, f.channel, f.event, f.kind, f.name, f.checksum,
         iif(f.kind = 'order', f.fact, '') as fact, iif(f.kind = 'order', f.payload, '') as payload
       from (select kind, name, min(seq) as first_seq, max(seq) as seq from facts indexed by facts_by_name
             where kind is not null group by kind, name) s
       join facts f on f.seq = s.seq order by s.kind, s.name`,
    )
    .iterate();
  for (const row of rows) {
    const {
      first_seq,
      seq,
      ts: at,
      kind,
      name,
    } = row as unknown as Omit<Head, 'at'> & { readonly ts: number };
    const special =
      kind === 'order' ? orderColumns(parse<{ order: Order }>(proven(row).payload).order) : otherColumns;
    yield { kind, name, first_seq, seq, at, ...special };
  }
}
