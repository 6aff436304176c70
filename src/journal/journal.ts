/**
 * The durable record: SQLite, write-ahead log, one fsync for each batch. Invariant: a sequence number that was handed
 * out is on disk; whoever is told of a fact is told after that.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type AuditStanding, emptyStanding } from '../../machines/audit.machine.ts';
import { ticketOf } from '../../machines/identity.ts';
import type { JournalEntry, JournalRecord, Page } from '../../machines/journal.ts';
import type { ExecutionRow, PositionRow } from '../../machines/ledger.ts';
import {
  executionFamily,
  type Order,
  type OrderFact,
  type OrderTicket,
  type Reason,
} from '../../machines/order.ts';
import type { WithdrawalStanding } from '../../machines/withdrawal.machine.ts';
import { checksumOf, type FactRow, factColumns, inWriting, parse, proven, recordOf } from './facts.ts';
import { orderColumns, otherColumns, putHead } from './heads.ts';
import { damaged, isDamage, type Opened, openDatabase } from './opening.ts';
import { Place } from './place.ts';
import { claim, type Venue } from './schema.ts';
import { Witness } from './witness.ts';

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
  /** the session with TWS that no fact ends; null: there is none */
  readonly openSession: string | null;
}

/** Whatever reads throws, with the way to repair in its message, when a stored fact is not what was written. */
export interface Journal {
  /** One transaction, one fsync. Throws when nothing could be made durable; then nothing was. */
  append(entries: readonly JournalEntry[]): readonly JournalRecord[];
  /**
   * Notes beside the file how far it has come, and moves what the write-ahead log holds into the file once it is worth a
   * pause; `isUrgent`: only once the log is long. Never part of `append`: an order would wait for it. Throws when the disk
   * refuses; nothing is lost then.
   */
  tidy(isUrgent?: boolean): void;
  /** Of executions those booked, or told anew, at or after `executionsSince`, and all of open orders. */
  restore(closedSince: number, executionsSince?: number): Restoration;
  order(clientOrderId: string): Order | undefined;
  /** what was asked for at first; null: nothing, or not here */
  ticket(clientOrderId: string): OrderTicket | null;
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
  /** names this row of numbers: another one when numbers may have been given twice (a repair, a lost end) */
  epoch(): string;
  /** the time of the newest fact, ms since the epoch; null: there is none */
  lastAt(): number | null;
  /** what had to be put right when the file was opened, in sentences; empty when it was whole */
  readonly findings: readonly string[];
  close(): void;
}

/**
 * Opens or creates the file. Throws with the variable's name and the fix when that is impossible, or when it holds orders
 * of another venue than the one that is named.
 */
export function openJournal(path: string, venue?: Venue): Journal {
  const opened = openDatabase(path);
  try {
    if (venue !== undefined) claim(opened.database, path, venue);
  } catch (error) {
    opened.database.close();
    throw error;
  }
  return new SqliteJournal(path, opened);
}

type Row = Record<string, unknown>;

/** Facts in the write-ahead log that are worth moving: few enough that nobody waits long for it. */
const tidyAfter = 64;
/** Beyond so many it is moved even while orders come without a pause. */
const tidyAtLatest = 1_024;

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

/** The newest facts of a kind, by way of their heads. */
const newestOf = (kind: 'order' | 'execution' | 'position' | 'session'): string =>
  `select h.first_seq, ${factColumns} from heads h join facts f on f.seq = h.seq where h.kind = '${kind}'`;

class SqliteJournal implements Journal {
  readonly findings: readonly string[];
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #epoch: string;
  readonly #witness: Witness;
  readonly #place: Place;
  #lastSeq: number;
  #unmoved = 0;

  constructor(path: string, { database, lastSeq, epoch, rebuilt, lost, before }: Opened) {
    this.#path = path;
    this.#database = database;
    this.#lastSeq = lastSeq;
    this.#epoch = epoch;
    this.#witness = new Witness(path);
    this.#place = new Place(path);
    this.findings = [
      ...(rebuilt ? ['the read model did not follow from the facts and was made again'] : []),
      ...(before > 0
        ? [`it is new, and one with ${before} facts was here before: what is missing is asked of the broker`]
        : []),
      ...(lost > 0 ? [`its end is lost, ${lost} facts that were told; their numbers are given again`] : []),
    ];
  }

  append(entries: readonly JournalEntry[]): readonly JournalRecord[] {
    this.#place.check();
    // A former failure may have left its transaction open, when even its end could not be written.
    this.#rollBack();
    this.#database.exec('begin immediate');
    try {
      const records = entries.map((entry, index) => this.#write(entry, this.#lastSeq + 1 + index));
      this.#database.exec('commit');
      this.#lastSeq += records.length;
      this.#unmoved += records.length;
      return records;
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  tidy(isUrgent = false): void {
    this.#witness.note({ epoch: this.#epoch, seq: this.#lastSeq });
    if (this.#unmoved < (isUrgent ? tidyAtLatest : tidyAfter)) return;
    this.#unmoved = 0;
    this.#database.exec('pragma wal_checkpoint(passive)');
  }

  restore(closedSince: number, executionsSince = 0): Restoration {
    return this.#reading(() => {
      const open = this.#all(
        "select name from heads where kind = 'order' and is_open = 1 order by first_seq",
      ).map(({ name }) => ({
        facts: this.#facts(
          `select ${factColumns} from facts f where kind = 'order' and name = ? order by seq`,
          String(name),
        ).map(({ seq, fact }) => ({ ...parse<OrderFact>(fact), seq })),
      }));
      const closed = this.#facts(
        `${newestOf('order')} and h.is_open = 0 and h.at >= ? order by h.first_seq`,
        closedSince,
      ).map(orderOf);
      const highest = Number(
        this.#all('select max(order_id) as id from heads where order_id is not null')[0]?.id ?? 0,
      );
      return {
        open,
        closed,
        nextOrderId: highest + 1,
        positions: this.#facts(newestOf('position')).map(
          ({ payload }) => parse<{ position: PositionRow }>(payload).position,
        ),
        executions: this.#executionsOf(open, executionsSince),
        trading: this.#standing('trading', { state: 'open', reasons: [] }),
        withdrawal: this.#standing('withdrawal', { leases: [], owed: [] }),
        audit: this.#standing('audit', emptyStanding),
        openSession: this.#openSession(),
      };
    });
  }

  #openSession(): string | null {
    const [newest] = this.#facts(`${newestOf('session')} and h.name = ''`);
    if (newest?.event !== 'tws.ready') return null;
    return parse<{ health: { sessionId: string } }>(newest.payload).health.sessionId;
  }

  #executionsOf(open: Restoration['open'], since: number): ExecutionRow[] {
    const recent = this.#facts(`${newestOf('execution')} and h.at >= ? order by h.first_seq`, since);
    const families = open.flatMap(({ facts }) =>
      facts.flatMap((fact) =>
        fact.type === 'order.filled' || fact.type === 'order.legExecuted'
          ? [executionFamily(fact.fill.execId)]
          : [],
      ),
    );
    const older = [...new Set(families)].flatMap((family) =>
      this.#facts(`${newestOf('execution')} and h.name = ? and h.at < ?`, family, since),
    );
    return [...older, ...recent].map(executionOf);
  }

  order(clientOrderId: string): Order | undefined {
    return this.#reading(
      () => this.#facts(`${newestOf('order')} and h.name = ?`, clientOrderId).map(orderOf)[0],
    );
  }

  ticket(clientOrderId: string): OrderTicket | null {
    return this.#reading(() => {
      const [first] = this.#facts(
        `select ${factColumns} from heads h join facts f on f.seq = h.first_seq where h.kind = 'order' and h.name = ?`,
        clientOrderId,
      );
      if (!first) return null;
      const fact = parse<OrderFact>(first.fact);
      if (fact.type === 'order.discovered') return ticketOf(fact.order);
      return 'ticket' in fact ? fact.ticket : null;
    });
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
    const which = state === 'all' ? '' : `and h.is_open = ${state === 'open' ? 1 : 0}`;
    return this.#page('o', `${newestOf('order')} ${which}`, limit, after, orderOf);
  }

  executions({
    limit,
    after,
  }: {
    readonly limit: number;
    readonly after: string | null;
  }): Page<ExecutionRow> {
    return this.#page('x', newestOf('execution'), limit, after, executionOf);
  }

  records({ after, limit }: { readonly after: number; readonly limit: number }): readonly JournalRecord[] {
    return this.#reading(() =>
      this.#facts(`select ${factColumns} from facts f where seq > ? order by seq limit ?`, after, limit).map(
        recordOf,
      ),
    );
  }

  lastSeq(): number {
    return this.#lastSeq;
  }

  epoch(): string {
    return this.#epoch;
  }

  lastAt(): number | null {
    const [newest] = this.#all('select ts from facts where seq = ?', this.#lastSeq);
    return newest ? Number(newest.ts) : null;
  }

  close(): void {
    this.#witness.note({ epoch: this.#epoch, seq: this.#lastSeq });
    this.#witness.close();
    this.#database.close();
  }

  #write(entry: JournalEntry, seq: number): JournalRecord {
    const { ts, channel, event, kind, name, fact: said, payload: shown } = inWriting(entry);
    const fact = JSON.stringify(said);
    const payload = JSON.stringify(shown);
    this.#prepare(
      'insert into facts (seq, ts, channel, event, kind, name, fact, payload, checksum) values (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    ).run(
      seq,
      ts,
      channel,
      event,
      kind,
      name,
      fact,
      payload,
      checksumOf({ seq, ts, channel, event, kind, name, fact, payload }),
    );
    if (kind !== null) {
      const { is_open, order_id } = entry.kind === 'order' ? orderColumns(entry.order) : otherColumns;
      this.#prepare(putHead).run(kind, name, seq, seq, ts, is_open, order_id);
    }
    return { seq, ts, channel, event, payload: shown };
  }

  #standing<T>(kind: 'trading' | 'withdrawal' | 'audit', otherwise: T): T {
    const [found] = this.#facts(
      `select ${factColumns} from heads h join facts f on f.seq = h.seq where h.kind = ? and h.name = ''`,
      kind,
    );
    return found ? (parse<Record<string, T>>(found.payload)[kind] ?? otherwise) : otherwise;
  }

  #page<T>(
    list: string,
    select: string,
    limit: number,
    after: string | null,
    read: (fact: FactRow) => T,
  ): Page<T> {
    const below = decodeCursor(list, after);
    return this.#reading(() => {
      const rows = this.#all(
        `${select} and h.first_seq < ? order by h.first_seq desc limit ?`,
        below,
        limit + 1,
      );
      const shown = rows.slice(0, limit);
      const last = shown.at(-1);
      return {
        rows: shown.map((row) => read(proven(row))),
        next: rows.length > limit && last ? encodeCursor(list, Number(last.first_seq)) : null,
      };
    });
  }

  #reading<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw isDamage(error) ? damaged(this.#path, error) : error;
    }
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

  #facts(sql: string, ...values: (string | number)[]): FactRow[] {
    return this.#all(sql, ...values).map(proven);
  }

  #all(sql: string, ...values: (string | number)[]): Row[] {
    return this.#prepare(sql).all(...values);
  }
}

const orderOf = ({ payload }: FactRow): Order => parse<{ order: Order }>(payload).order;
const executionOf = ({ payload }: FactRow): ExecutionRow =>
  parse<{ execution: ExecutionRow }>(payload).execution;
