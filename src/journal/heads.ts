/** The read model: where the newest fact about each thing is. A fold of the facts, and checked to be one when a file is opened. */
import type { DatabaseSync } from 'node:sqlite';
import { isClosed } from '../../machines/evidence.ts';
import type { Order } from '../../machines/order.ts';
import { type FactRow, factColumns, type Kind, parse, proven } from './facts.ts';

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

const columns = ['first_seq', 'seq', 'at', 'is_open', 'order_id'] as const satisfies readonly (keyof Head)[];

export const putHead = `insert into heads (kind, name, first_seq, seq, at, is_open, order_id) values (?, ?, ?, ?, ?, ?, ?)
  on conflict (kind, name) do update set seq = excluded.seq, at = excluded.at, is_open = excluded.is_open,
    order_id = excluded.order_id`;

/** Compares every head with the facts. Throws `DamagedFact` when one of the newest facts is not what was written. */
export function headsAgree(database: DatabaseSync): boolean {
  const stored = database.prepare('select * from heads where kind = ? and name = ?');
  let count = 0;
  for (const head of fold(database)) {
    const row = stored.get(head.kind, head.name);
    if (!row || columns.some((column) => row[column] !== head[column])) return false;
    count += 1;
  }
  return database.prepare('select count(*) as count from heads').get()?.count === count;
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

function* fold(database: DatabaseSync): Generator<Head> {
  const subjects = database
    .prepare(
      `select kind, name, min(seq) as first_seq, max(seq) as seq from facts indexed by facts_by_name
       where kind is not null group by kind, name order by kind, name`,
    )
    .iterate();
  const newest = database.prepare(`select ${factColumns} from facts f where seq = ?`);
  for (const subject of subjects) {
    const { kind, name, first_seq, seq } = subject as unknown as Omit<Head, 'at' | 'is_open' | 'order_id'>;
    const found = newest.get(seq);
    if (!found) throw new Error(`fact ${seq} is missing`);
    const fact: FactRow = proven(found);
    const special =
      kind === 'order' ? orderColumns(parse<{ order: Order }>(fact.payload).order) : otherColumns;
    yield { kind, name, first_seq, seq, at: fact.ts, ...special };
  }
}
