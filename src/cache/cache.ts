/**
 * What others may read in Redis, and hear from it: quotes, open orders, positions, facts. It is written and never asked,
 * except for the last quotes of a former process. Nothing of ours waits for Redis: while a batch is on its way, values are
 * conflated by key, facts wait in a bounded queue, and what does not fit is counted and dropped.
 */
import { setImmediate } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Observable } from 'rxjs';
import { isZero } from '../../machines/decimal.ts';
import { isClosed } from '../../machines/evidence.ts';
import type { JournalRecord } from '../../machines/journal.ts';
import type { PositionRow } from '../../machines/ledger.ts';
import type { Beat, Quote } from '../../machines/market.ts';
import type { Order } from '../../machines/order.ts';
import { lifetimes, longestText, type Names, namesUnder } from './keys.ts';
import { type Command, type Connection, type Link, openLink } from './link.ts';
import { LastQuotes } from './quotes.ts';
import { Table } from './table.ts';

/** What is counted. `refused`: Redis said no, `dropped`: it was not there in time. */
export type CacheOutcome = 'written' | 'published' | 'refused' | 'dropped';

/** Waits that a test may shorten, in ms. */
export interface CachePatience {
  /** for a connection, and for each batch; default 2,000 */
  readonly deadlineMs?: number;
  /** how often lifetimes are renewed and a refused table is tried again; default 5,000 */
  readonly heartbeatMs?: number;
  /** the first and the longest pause between attempts; default 250 and 10,000 */
  readonly shortestPauseMs?: number;
  readonly longestPauseMs?: number;
}

export interface CacheOptions {
  readonly url: string;
  readonly prefix: string;
  readonly name: string;
  readonly version: string;
  /** `simulated`, `paper` or `live`: quotes of another one are not taken over */
  readonly environment: string;
  /** ms since the epoch */
  readonly now: () => number;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly market: {
    readonly beat$: Observable<Beat>;
    quote(key: string): Quote | undefined;
  };
  readonly journal: {
    onRecord(listener: (record: JournalRecord) => void): () => void;
    lastSeq(): number;
  };
  /** open orders, in pages: each is read when the one before is written */
  readonly openOrders: () => Iterable<readonly Order[]>;
  readonly positions: () => readonly PositionRow[];
  readonly onCount?: (outcome: CacheOutcome, count: number) => void;
  readonly patience?: CachePatience;
}

export interface CacheFigures {
  /** `refusing`: connected, but not everything is taken (Redis is full, no permission, a row is too big) */
  readonly state: 'connecting' | 'up' | 'refusing' | 'down';
  /** of the state, ms since the epoch */
  readonly since: number;
  /** why it is not up, in Redis's or the system's words; null: it is */
  readonly reason: string | null;
  /** facts that wait to be published */
  readonly waiting: number;
  /** of the newest batch, ms; null before the first */
  readonly roundTripMs: number | null;
  readonly counts: Readonly<Record<CacheOutcome, number>>;
}

export interface Cache {
  /** The last known quote of an instrument without a living one; never for decisions about orders. */
  lastQuote(key: string): Quote | undefined;
  figures(): CacheFigures;
  /** Publishes what waits, in bounded time, and disconnects. */
  close(): Promise<void>;
}

/** Facts that wait while a batch is on its way. */
export const waitingFactsMax = 5_000;
const factsPerBatch = 200;
/** Instruments that wait for Redis to come back: more than there are lines. */
const waitingQuotesMax = 2_000;
/** A quote is published with every beat and kept once in this time: a warm start needs no more. */
const saveQuoteEveryMs = 1_000;
const savesPerBatch = 50;
const goodbyeMs = 500;
const scanCount = '1000';
const scansMax = 1_000;

export function createCache(options: CacheOptions): Cache {
  return new RedisCache(options);
}

class Refused extends Error {}

class RedisCache implements Cache {
  readonly #options: CacheOptions;
  readonly #names: Names;
  readonly #heartbeatMs: number;
  readonly #last: LastQuotes;
  readonly #orders: Table<Order>;
  readonly #positions: Table<PositionRow>;
  readonly #link: Link;
  readonly #unlisten: () => void;
  readonly #counts: Record<CacheOutcome, number> = { written: 0, published: 0, refused: 0, dropped: 0 };
  /** quotes that changed since they were published, and since they were kept */
  readonly #unpublished = new Set<string>();
  readonly #unsaved = new Set<string>();
  #facts: JournalRecord[] = [];
  #saveAt = 0;
  #heartbeatAt = 0;
  #isServing = false;
  #isWarm = false;
  #isClosing = false;
  #refusal: string | null = null;
  #roundTripMs: number | null = null;
  #state: Pick<CacheFigures, 'state' | 'since' | 'reason'>;
  #wake: () => void = () => undefined;
  #farewell: () => void = () => undefined;

  constructor(options: CacheOptions) {
    const { url, prefix, name, environment, now, market, journal, patience = {} } = options;
    this.#options = options;
    this.#names = namesUnder(prefix);
    this.#heartbeatMs = patience.heartbeatMs ?? 5_000;
    this.#last = new LastQuotes(environment, now);
    this.#state = { state: 'connecting', since: now(), reason: null };
    this.#orders = new Table({
      key: this.#names.orders,
      fieldOf: (order) => order.clientOrderId,
      isShown: (order) => !isClosed(order),
      lifetimeMs: lifetimes.tableMs,
    });
    this.#positions = new Table({
      key: this.#names.positions,
      fieldOf: ({ account, instrument }) => `${account}|${instrument}`,
      isShown: ({ quantity }) => !isZero(quantity),
      lifetimeMs: lifetimes.tableMs,
    });
    const beats = market.beat$.subscribe(({ rows }) => this.#hearBeat(rows.keys()));
    const stopRecords = journal.onRecord((record) => this.#hearFact(record));
    this.#unlisten = () => {
      beats.unsubscribe();
      stopRecords();
    };
    this.#link = openLink({
      url,
      name,
      deadlineMs: patience.deadlineMs ?? 2_000,
      shortestPauseMs: patience.shortestPauseMs ?? 250,
      longestPauseMs: patience.longestPauseMs ?? 10_000,
      serve: (connection) => this.#serve(connection),
      onLoss: (error) => this.#become('down', error.message || error.name),
    });
  }

  lastQuote(key: string): Quote | undefined {
    return this.#last.find(key);
  }

  figures(): CacheFigures {
    return {
      ...this.#state,
      waiting: this.#facts.length,
      roundTripMs: this.#roundTripMs,
      counts: { ...this.#counts },
    };
  }

  async close(): Promise<void> {
    this.#unlisten();
    this.#isClosing = true;
    if (this.#isServing) {
      const said = new Promise<void>((resolve) => {
        this.#farewell = resolve;
      });
      let deadline: NodeJS.Timeout | undefined;
      const patience = new Promise<void>((resolve) => {
        deadline = setTimeout(resolve, goodbyeMs);
      });
      this.#wake();
      await Promise.race([said, patience]);
      clearTimeout(deadline);
    }
    this.#link.close();
  }

  #hearBeat(keys: Iterable<string>): void {
    for (const key of keys) {
      if (this.#unsaved.size >= waitingQuotesMax) break;
      this.#unpublished.add(key);
      this.#unsaved.add(key);
    }
    this.#wake();
  }

  #hearFact(record: JournalRecord): void {
    const { order, position } = record.payload as { order?: Order; position?: PositionRow };
    if (record.channel === 'orders' && order) this.#orders.note(order);
    if (record.channel === 'positions' && position) this.#positions.note(position);
    if (!this.#isServing) {
      this.#count('dropped', 1);
      return;
    }
    if (this.#facts.length >= waitingFactsMax) {
      // One hole, which its readers see in journalSeq, rather than many.
      this.#count('dropped', this.#facts.length);
      this.#facts = [];
    }
    this.#facts.push(record);
    this.#wake();
  }

  async #serve(connection: Connection): Promise<void> {
    try {
      this.#isServing = true;
      this.#refusal = null;
      this.#orders.doubt();
      this.#positions.doubt();
      for (const key of this.#last.keys()) this.#unsaved.add(key);
      this.#heartbeatAt = 0;
      if (!this.#isWarm) await this.#readQuotes(connection);
      while (!connection.isLost) {
        // Sockets and orders first: what is written here can always wait for one turn.
        await setImmediate();
        const isDue = performance.now() >= this.#heartbeatAt;
        if (isDue) await this.#beatHeart(connection);
        await this.#flush(connection);
        const trouble = this.#refusal ?? this.#tooBig();
        this.#become(trouble === null ? 'up' : 'refusing', trouble);
        if (this.#isClosing && this.#facts.length === 0) {
          await connection.run([['DEL', this.#names.runtime]]);
          return;
        }
        if (!this.#hasWork()) await this.#untilWork(connection);
      }
      throw new Error('the connection to Redis was lost');
    } finally {
      this.#isServing = false;
      this.#count('dropped', this.#facts.length);
      this.#facts = [];
      this.#farewell();
    }
  }

  #tooBig(): string | null {
    const leftOut = this.#orders.leftOut + this.#positions.leftOut;
    return leftOut === 0 ? null : `rows left out because they are longer than ${longestText}: ${leftOut}`;
  }

  #hasWork(): boolean {
    return (
      this.#facts.length > 0 ||
      this.#unpublished.size > 0 ||
      this.#orders.hasChanges ||
      this.#positions.hasChanges ||
      (this.#unsaved.size > 0 && performance.now() >= this.#saveAt)
    );
  }

  async #untilWork({ lost }: Connection): Promise<void> {
    const next = this.#unsaved.size > 0 ? Math.min(this.#saveAt, this.#heartbeatAt) : this.#heartbeatAt;
    let timer: NodeJS.Timeout | undefined;
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, Math.max(1, next - performance.now()));
    });
    await Promise.race([lost, woken]);
    clearTimeout(timer);
    this.#wake = () => undefined;
  }

  /** Renews what would fade away, and writes what is in doubt. */
  async #beatHeart(connection: Connection): Promise<void> {
    const { name, version, environment, now, journal, positions, openOrders } = this.#options;
    this.#heartbeatAt = performance.now() + this.#heartbeatMs;
    this.#refusal = null;
    const runtime = { name, version, environment, journalSeq: journal.lastSeq(), ts: now() };
    try {
      const run = (commands: readonly Command[]) => this.#runOrRefuse(connection, commands);
      // Their marks move without a fact: positions are few, and are written whole.
      await this.#positions.rewrite([positions()], run);
      if (!this.#orders.isWhole) await this.#orders.rewrite(openOrders(), run);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
    const [kept] = await this.#run(connection, [
      this.#orders.refresh(),
      ['SET', this.#names.runtime, JSON.stringify(runtime), 'PX', String(lifetimes.runtimeMs)],
    ]);
    if (this.#orders.noteRefreshed(kept)) this.#heartbeatAt = 0;
  }

  /** One batch: tables before the facts that changed them, so that whoever hears of a fact finds it there. */
  async #flush(connection: Connection): Promise<void> {
    const tables = [this.#orders, this.#positions].map((table) => ({
      table,
      commands: table.hasChanges ? table.takeChanges() : [],
    }));
    const commands = [
      ...tables.flatMap((each) => each.commands),
      ...this.#factsToPublish(),
      ...this.#quotesToPublish(),
      ...this.#quotesToSave(),
    ];
    if (commands.length === 0) return;
    const replies = await this.#run(connection, commands);
    let at = 0;
    for (const { table, commands: own } of tables) {
      if (replies.slice(at, at + own.length).some((reply) => reply instanceof Error)) table.doubt();
      at += own.length;
    }
  }

  #factsToPublish(): Command[] {
    const texts = this.#facts.splice(0, factsPerBatch).map(textOf);
    const sent = texts.filter((text) => text.length <= longestText);
    this.#count('dropped', texts.length - sent.length);
    return sent.map((text) => ['PUBLISH', this.#names.factsChannel, text]);
  }

  #quotesToPublish(): Command[] {
    const rows: string[] = [];
    for (const key of this.#unpublished) {
      const row = this.#options.market.quote(key);
      if (!row) continue;
      this.#last.note(row);
      rows.push(this.#last.textOf(row));
    }
    this.#unpublished.clear();
    if (rows.length === 0) return [];
    const text = `{"ts":${this.#options.now()},"rows":[${rows.join(',')}]}`;
    return [['PUBLISH', this.#names.quotesChannel, text]];
  }

  #quotesToSave(): Command[] {
    if (performance.now() < this.#saveAt) return [];
    const commands: Command[] = [];
    for (const key of this.#unsaved) {
      this.#unsaved.delete(key);
      const row = this.#options.market.quote(key) ?? this.#last.find(key);
      if (!row) continue;
      const left = lifetimes.quoteMs - Math.max(0, this.#options.now() - row.ts);
      if (left < 1) continue;
      commands.push(['SET', this.#names.quote(key), this.#last.textOf(row), 'PX', String(Math.round(left))]);
      if (commands.length >= savesPerBatch) break;
    }
    if (this.#unsaved.size === 0) this.#saveAt = performance.now() + saveQuoteEveryMs;
    return commands;
  }

  async #runOrRefuse(connection: Connection, commands: readonly Command[]): Promise<void> {
    const replies = await this.#run(connection, commands);
    const refusal = replies.find((reply) => reply instanceof Error);
    if (refusal) throw new Refused(refusal.message);
  }

  /** Replies in the order of the commands; what Redis refused is an Error. */
  async #run(connection: Connection, commands: readonly Command[]): Promise<readonly unknown[]> {
    const begun = performance.now();
    const replies = await connection.run(commands);
    this.#roundTripMs = Math.round((performance.now() - begun) * 1_000) / 1_000;
    let published = 0;
    let refused = 0;
    replies.forEach((reply, index) => {
      if (reply instanceof Error) {
        refused += 1;
        this.#refusal = reply.message;
      } else if (commands[index]?.[0] === 'PUBLISH') published += 1;
    });
    this.#count('published', published);
    this.#count('refused', refused);
    this.#count('written', replies.length - published - refused);
    return replies;
  }

  /** The quotes that a former process left. Bounded: a big Redis that others use as well is not read to its end. */
  async #readQuotes(connection: Connection): Promise<void> {
    let cursor = '0';
    for (let scans = 0; scans < scansMax; scans += 1) {
      const command = ['SCAN', cursor, 'MATCH', this.#names.quotePattern, 'COUNT', scanCount];
      const [page] = await connection.run([command]);
      if (!Array.isArray(page)) break;
      const [next, keys] = page as [unknown, readonly unknown[]];
      if (keys.length > 0) {
        const [texts] = await connection.run([['MGET', ...keys.map(String)]]);
        if (Array.isArray(texts)) for (const text of texts) this.#last.read(text);
      }
      cursor = String(next);
      if (cursor === '0') break;
    }
    this.#isWarm = true;
  }

  #count(outcome: CacheOutcome, count: number): void {
    if (count === 0) return;
    this.#counts[outcome] += count;
    this.#options.onCount?.(outcome, count);
  }

  #become(state: CacheFigures['state'], reason: string | null): void {
    const before = this.#state;
    if (before.state === state && before.reason === reason) return;
    const { now, log } = this.#options;
    const since = before.state === state ? before.since : now();
    this.#state = { state, since, reason };
    if (state === 'up')
      log.info({ dropped: this.#counts.dropped }, 'Redis: connected, everything is written');
    else if (before.state === state) log.warn({ reason }, 'Redis: still in trouble, for another reason');
    else if (state === 'down') log.warn({ reason }, 'Redis: not there; trading goes on without it');
    else log.warn({ reason }, 'Redis: refuses what is written; trading goes on without it');
  }
}

const textOf = ({ seq, ts, channel, event, payload }: JournalRecord): string =>
  JSON.stringify({ journalSeq: seq, ts, channel, event, ...payload });
