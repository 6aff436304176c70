/**
 * The durable record: SQLite, write-ahead log, one fsync for each batch. Invariant: a sequence number that was handed
 * out is on disk; whoever is told of a fact is told after that.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { type AuditStanding, emptyStanding } from '../../machines/audit.machine.ts';
import { isClosed } from '../../machines/evidence.ts';
import type { JournalEntry, JournalRecord, Page } from '../../machines/journal.ts';
import type { ExecutionRow, PositionRow } from '../../machines/ledger.ts';
import type { Order, OrderFact, Reason } from '../../machines/order.ts';
import type { WithdrawalStanding } from '../../machines/withdrawal.machine.ts';
import { prepare } from './schema.ts';

export interface TradingStanding {
  readonly state: 'open' | 'reducing' | 'halted';
  readonly reasons: readonly (Reason & { readonly since: string })[];
}

/** What a start needs to know of the past. */
export interface Restoration {
  /** open orders with all their facts, oldest first */
  readonly open: readonly { readonly facts: readonly OrderFact[] }[];
  /** orders that closed at or after the given time */
  readonly closed: readonly Order[];
  /** above every order id that was ever given to an intent */
  readonly nextOrderId: number;
  readonly positions: readonly PositionRow[];
  readonly executions: readonly ExecutionRow[];
  readonly trading: TradingStanding;
  readonly withdrawal: WithdrawalStanding;
  readonly audit: AuditStanding;
}

export interface Journal {
  /** One transaction, one fsync. Throws when nothing could be made durable; then nothing was. */
  append(entries: readonly JournalEntry[]): readonly JournalRecord[];
  restore(closedSince: number): Restoration;
  order(clientOrderId: string): Order | undefined;
  /** newest first; throws RangeError for a cursor that is not of this list */
  orders(query: {
    readonly state: 'open' | 'closed' | 'all';
    readonly limit: number;
    readonly after: string | null;
  }): Page<Order>;
  /** newest first; throws RangeError for a cursor that is not of this list */
  executions(query: { readonly limit: number; readonly after: string | null }): Page<ExecutionRow>;
  records(query: { readonly after: number; readonly limit: number }): readonly JournalRecord[];
  lastSeq(): number;
  close(): void;
}

interface Written {
  readonly ts: number;
  readonly channel: JournalRecord['channel'];
  readonly event: string;
  readonly clientOrderId: string | null;
  readonly fact: unknown;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** Opens or creates the file. Throws with the variable's name and the fix when that is impossible. */
export function openJournal(path: string): Journal {
  let database: DatabaseSync;
  try {
    mkdirSync(dirname(path), { recursive: true });
    database = new DatabaseSync(path);
    // Exclusive: two runtimes on one journal would each believe themselves the only writer of orders.
    database.exec(
      'pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = full; pragma temp_store = memory; pragma foreign_keys = off;',
    );
    prepare(database, path);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (message.startsWith('JOURNAL_PATH')) throw error;
    const hint = /locked|busy/i.test(message)
      ? 'another tws-runtime is using it: stop that one or set another JOURNAL_PATH'
      : 'the folder must exist or be creatable, and be writable';
    throw new Error(`JOURNAL_PATH: cannot open ${path} (${message}); ${hint}`, { cause: error });
  }
  return new SqliteJournal(database);
}

const parse = <T>(text: unknown): T => JSON.parse(String(text)) as T;
const encodeCursor = (kind: string, seq: number): string =>
  Buffer.from(`${kind}${seq}`).toString('base64url');
const decodeCursor = (kind: string, cursor: string | null): number => {
  if (cursor === null) return Number.MAX_SAFE_INTEGER;
  const text = Buffer.from(cursor, 'base64url').toString();
  const seq = Number(text.slice(kind.length));
  if (!text.startsWith(kind) || !Number.isSafeInteger(seq)) {
    throw new RangeError('after: not a cursor of this list; use the "next" of the page before');
  }
  return seq;
};

class SqliteJournal implements Journal {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #lastSeq: number;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#lastSeq = Number(this.#one('select coalesce(max(seq), 0) as seq from facts')?.seq ?? 0);
  }

  append(entries: readonly JournalEntry[]): readonly JournalRecord[] {
    const records: JournalRecord[] = [];
    this.#database.exec('begin immediate');
    try {
      for (const entry of entries) records.push(this.#write(entry));
      this.#database.exec('commit');
    } catch (error) {
      this.#rollBack();
      throw error;
    }
    this.#lastSeq = records.at(-1)?.seq ?? this.#lastSeq;
    return records;
  }

  restore(closedSince: number): Restoration {
    const open = this.#all(
      'select client_order_id as id from orders where is_open = 1 order by created_seq',
    ).map(({ id }) => ({
      facts: this.#all('select seq, fact from facts where client_order_id = ? order by seq', String(id)).map(
        ({ seq, fact }) => ({ ...parse<OrderFact>(fact), seq: Number(seq) }),
      ),
    }));
    const closed = this.#all(
      'select view from orders where is_open = 0 and updated_at >= ? order by created_seq',
      closedSince,
    ).map(({ view }) => parse<Order>(view));
    const highest = Number(this.#one('select coalesce(max(order_id), 0) as id from orders')?.id ?? 0);
    return {
      open,
      closed,
      nextOrderId: highest + 1,
      positions: this.#all('select row from positions').map(({ row }) => parse<PositionRow>(row)),
      executions: this.#all('select row from executions order by seq').map(({ row }) =>
        parse<ExecutionRow>(row),
      ),
      trading: this.#standing('trading', { state: 'open', reasons: [] }),
      audit: this.#standing('audit', emptyStanding),
      withdrawal: this.#standing('withdrawal', { leases: [], owed: [] }),
    };
  }

  order(clientOrderId: string): Order | undefined {
    const found = this.#one('select view from orders where client_order_id = ?', clientOrderId);
    return found ? parse<Order>(found.view) : undefined;
  }

  orders({
    state,
    limit,
    after,
  }: {
    readonly state: 'open' | 'closed' | 'all';
    readonly limit: number;
    readonly after: string | null;
  }): Page<Order> {
    const which = state === 'all' ? '' : `and is_open = ${state === 'open' ? 1 : 0}`;
    const rows = this.#all(
      `select created_seq as seq, view from orders where created_seq < ? ${which} order by created_seq desc limit ?`,
      decodeCursor('o', after),
      limit + 1,
    );
    return page('o', rows, limit, (row) => parse<Order>(row.view));
  }

  executions({
    limit,
    after,
  }: {
    readonly limit: number;
    readonly after: string | null;
  }): Page<ExecutionRow> {
    const rows = this.#all(
      'select seq, row from executions where seq < ? order by seq desc limit ?',
      decodeCursor('x', after),
      limit + 1,
    );
    return page('x', rows, limit, (row) => parse<ExecutionRow>(row.row));
  }

  records({ after, limit }: { readonly after: number; readonly limit: number }): readonly JournalRecord[] {
    return this.#all(
      'select seq, ts, channel, event, payload from facts where seq > ? order by seq limit ?',
      after,
      limit,
    ).map(({ seq, ts, channel, event, payload }) => ({
      seq: Number(seq),
      ts: Number(ts),
      channel: channel as JournalRecord['channel'],
      event: String(event),
      payload: parse(payload),
    }));
  }

  lastSeq(): number {
    return this.#lastSeq;
  }

  close(): void {
    this.#database.close();
  }

  #write(entry: JournalEntry): JournalRecord {
    const written = inWriting(entry);
    const { ts, channel, event, clientOrderId, fact, payload } = written;
    const { lastInsertRowid } = this.#prepare(
      'insert into facts (ts, channel, event, client_order_id, fact, payload) values (?, ?, ?, ?, ?, ?)',
    ).run(Math.trunc(ts), channel, event, clientOrderId, JSON.stringify(fact), JSON.stringify(payload));
    const seq = Number(lastInsertRowid);
    this.#project(entry, seq);
    return { seq, ts, channel, event, payload };
  }

  #project(entry: JournalEntry, seq: number): void {
    switch (entry.kind) {
      case 'order': {
        const { order, fact } = entry;
        this.#prepare(
          `insert into orders (client_order_id, created_seq, updated_at, is_open, order_id, view) values (?, ?, ?, ?, ?, ?)
           on conflict (client_order_id) do update set updated_at = excluded.updated_at, is_open = excluded.is_open,
             order_id = coalesce(excluded.order_id, order_id), view = excluded.view`,
        ).run(
          order.clientOrderId,
          seq,
          Math.trunc(fact.at),
          isClosed(order) ? 0 : 1,
          order.orderId,
          JSON.stringify(order),
        );
        return;
      }
      case 'execution':
        this.#prepare(
          'insert into executions (family, seq, row) values (?, ?, ?) on conflict (family) do update set row = excluded.row',
        ).run(entry.family, seq, JSON.stringify(entry.execution));
        return;
      case 'position':
        this.#prepare(
          'insert into positions (account, instrument, row) values (?, ?, ?) on conflict do update set row = excluded.row',
        ).run(entry.position.account, entry.position.instrument, JSON.stringify(entry.position));
        return;
      case 'trading':
        this.#stand('trading', { state: entry.state, reasons: entry.reasons });
        return;
      case 'audit':
        this.#stand('audit', entry.standing);
        return;
      case 'withdrawal':
        this.#stand('withdrawal', entry.standing);
        return;
      case 'health':
      case 'alert':
        return;
    }
  }

  #stand(name: string, value: unknown): void {
    this.#prepare(
      'insert into standing (name, value) values (?, ?) on conflict do update set value = excluded.value',
    ).run(name, JSON.stringify(value));
  }

  #standing<T>(name: string, otherwise: T): T {
    const found = this.#one('select value from standing where name = ?', name);
    return found ? parse<T>(found.value) : otherwise;
  }

  #rollBack(): void {
    // SQLite may have rolled back by itself, and then says that there is nothing to roll back.
    if (this.#database.isTransaction) this.#database.exec('rollback');
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #one(sql: string, ...values: (string | number)[]): Record<string, unknown> | undefined {
    return this.#prepare(sql).get(...values);
  }

  #all(sql: string, ...values: (string | number)[]): Record<string, unknown>[] {
    return this.#prepare(sql).all(...values);
  }
}

function page<T>(
  kind: string,
  rows: Record<string, unknown>[],
  limit: number,
  read: (row: Record<string, unknown>) => T,
): Page<T> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    rows: shown.map(read),
    next: rows.length > limit && last ? encodeCursor(kind, Number(last.seq)) : null,
  };
}

function inWriting(entry: JournalEntry): Written {
  switch (entry.kind) {
    case 'order': {
      const { fact, order } = entry;
      const fill =
        fact.type === 'order.filled' || fact.type === 'order.corrected'
          ? fact.fill
          : fact.type === 'order.commissioned'
            ? order.fills.find(({ execId }) => execId === fact.execId)
            : undefined;
      return {
        ts: fact.at,
        channel: 'orders',
        event: fact.type,
        clientOrderId: fact.clientOrderId,
        fact,
        payload: fill ? { order, fill } : { order },
      };
    }
    case 'position':
      return {
        ts: entry.at,
        channel: 'positions',
        event: 'position.changed',
        clientOrderId: null,
        fact: {},
        payload: { position: entry.position },
      };
    case 'execution':
      return {
        ts: entry.at,
        channel: null,
        event: entry.event,
        clientOrderId: null,
        fact: { family: entry.family },
        payload: { execution: entry.execution },
      };
    case 'trading':
      return {
        ts: entry.at,
        channel: 'health',
        event: 'trading.changed',
        clientOrderId: null,
        fact: {},
        payload: { trading: { state: entry.state, reasons: entry.reasons } },
      };
    case 'audit':
      return {
        ts: entry.at,
        channel: null,
        event: 'audit.kept',
        clientOrderId: null,
        fact: {},
        payload: { audit: entry.standing },
      };
    case 'withdrawal':
      return {
        ts: entry.at,
        channel: null,
        event: 'withdrawal.changed',
        clientOrderId: null,
        fact: {},
        payload: { withdrawal: entry.standing },
      };
    case 'health':
      return {
        ts: entry.at,
        channel: 'health',
        event: entry.event,
        clientOrderId: null,
        fact: {},
        payload: { health: entry.detail },
      };
    case 'alert':
      return {
        ts: entry.at,
        channel: 'alerts',
        event: entry.event,
        clientOrderId: null,
        fact: {},
        payload: { alert: entry.detail },
      };
  }
}
