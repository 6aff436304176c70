/** The conflated channel of quotes: a snapshot, then one frame per beat with the newest of what changed. */
import type { Beat, ChangedRow } from '../../machines/market.ts';
import { inTurns } from './fan-out.ts';
import { type NamedContract, readInstrument } from './instrument-input.ts';
import type { MarketPort } from './options.ts';
import { invalid, type Problem, problem } from './problems.ts';
import type { ConflatedSubscription, StreamClient, Subscription } from './stream-client.ts';

/** One set of keys, shared by all subscriptions to just these: the end of their frames is made once per beat. */
class Watchlist {
  readonly keys: ReadonlySet<string>;
  users = 0;
  #beat: Beat | null = null;
  #tail: Buffer | null = null;

  constructor(keys: readonly string[]) {
    this.keys = new Set(keys);
  }

  changed(beat: Beat): string[] {
    const { rows } = beat;
    return this.keys.size < rows.size
      ? [...this.keys].filter((key) => rows.has(key))
      : [...rows.keys()].filter((key) => this.keys.has(key));
  }

  /** What a frame with the rows of this beat ends with; null when none of them changed. */
  tailOf(beat: Beat): Buffer | null {
    if (this.#beat !== beat) {
      this.#beat = beat;
      const rows = this.changed(beat).map((key) => beat.rows.get(key)?.delta);
      this.#tail = rows.length === 0 ? null : tailOf(beat.ts, rows.join(','));
    }
    return this.#tail;
  }
}

function tailOf(ts: number, rows: string): Buffer {
  return Buffer.from(`"ts":${ts},"rows":[${rows}]}`);
}

interface QuoteSubscription extends ConflatedSubscription {
  readonly client: StreamClient;
  readonly watchlist: Watchlist;
  /** number of the newest beat that its snapshot contains */
  readonly since: number;
  /** keys that changed in beats that it did not get, with the ticks in them */
  readonly missed: Map<string, number>;
  /** keys whose row in the snapshot was only remembered: no field of it may outlive the first living row */
  readonly remembered: Set<string>;
  stopped: boolean;
}

export interface QuoteKeys {
  readonly accepted: readonly NamedContract[];
  readonly rejected: readonly { readonly key: unknown; readonly problem: Problem }[];
}

const firstQuoteMs = 10_000;

export class QuoteChannel {
  readonly #market: MarketPort;
  readonly #beatMs: number;
  readonly #onFanOut: (ms: number, frames: number) => void;
  readonly #subscriptions = new Set<QuoteSubscription>();
  readonly #watchlists = new Map<string, Watchlist>();
  readonly #lines = new Map<string, { readonly line: { release(): void }; users: number }>();
  readonly #beats: { unsubscribe(): void };
  #number = 0;
  #pending: Beat | null = null;
  #sending = false;
  #flush: NodeJS.Timeout | null = null;

  constructor(market: MarketPort, beatMs: number, onFanOut: (ms: number, frames: number) => void) {
    this.#market = market;
    this.#beatMs = beatMs;
    this.#onFanOut = onFanOut;
    this.#beats = market.beat$.subscribe((beat) => this.#take(beat));
  }

  close(): void {
    this.#beats.unsubscribe();
    if (this.#flush) clearTimeout(this.#flush);
  }

  /** Which keys name an instrument; equal instruments count once. */
  static read(keys: readonly unknown[]): QuoteKeys {
    const accepted = new Map<string, NamedContract>();
    const rejected: { key: unknown; problem: Problem }[] = [];
    keys.forEach((key, index) => {
      const { value, errors } = readInstrument(key, `/keys/${index}`);
      if (value) accepted.set(value.instrument, value);
      else rejected.push({ key, problem: invalid(errors) });
    });
    return { accepted: [...accepted.values()], rejected };
  }

  /** `acknowledge` is called with the subscription and its keys before the snapshot is sent. */
  subscribe(
    client: StreamClient,
    wanted: QuoteKeys,
    acknowledge: (id: number, keys: readonly string[], rejected: QuoteKeys['rejected']) => void,
  ): Subscription {
    const rejected = [...wanted.rejected];
    const keys = wanted.accepted.flatMap((named) => {
      try {
        return [this.#acquire(named)];
      } catch (error) {
        const detail = error instanceof Error ? error.message : 'the line could not be opened';
        rejected.push({ key: named.instrument, problem: problem('data-unavailable', detail) });
        return [];
      }
    });
    const watchlist = this.#share(keys);
    const subscription: QuoteSubscription = {
      id: client.nextSubscription(),
      channel: 'quotes',
      client,
      watchlist,
      since: this.#number,
      missed: new Map(),
      remembered: new Set(),
      seq: 0,
      skippedBeats: 0,
      noticedAt: Number.NEGATIVE_INFINITY,
      stopped: false,
      stop: () => {
        if (subscription.stopped) return;
        subscription.stopped = true;
        this.#subscriptions.delete(subscription);
        this.#unshare(watchlist);
        for (const key of keys) this.#release(key);
      },
    };
    this.#subscriptions.add(subscription);
    acknowledge(subscription.id, keys, rejected);
    this.#sendSnapshot(subscription, Date.now());
    for (const key of keys) {
      if (this.#market.quote(key) === undefined) void this.#watchFirst(subscription, key);
    }
    return subscription;
  }

  /** Every row as it is now; of instruments without one what was last known of them. */
  #sendSnapshot(subscription: QuoteSubscription, ts: number): void {
    const { client, id, watchlist, remembered } = subscription;
    remembered.clear();
    const rows = [...watchlist.keys].flatMap((key) => {
      const row = this.#market.quote(key);
      if (row) return [row];
      const last = this.#market.lastQuote?.(key);
      if (last) remembered.add(key);
      return last ? [last] : [];
    });
    subscription.seq += 1;
    client.send({ type: 'snapshot', subscription: id, seq: subscription.seq, ts, rows });
  }

  /** A line that the broker refuses never makes a row: its subscribers are told. */
  async #watchFirst(subscription: QuoteSubscription, key: string): Promise<void> {
    const first = await this.#market.firstQuote(key, firstQuoteMs).catch(() => undefined);
    if (subscription.stopped || first === undefined || !('failed' in first)) return;
    subscription.client.send({
      type: 'notice',
      level: 'warn',
      code: 'quote-failed',
      subscription: subscription.id,
      key,
      reason: first.failed,
    });
  }

  /** Beats that come while one is being sent become one. */
  #take(beat: Beat): void {
    this.#number += 1;
    this.#pending = this.#pending ? this.#merge(this.#pending, beat) : beat;
    if (!this.#sending) void this.#send();
  }

  #merge(older: Beat, newer: Beat): Beat {
    const rows = new Map(older.rows);
    for (const [key, row] of newer.rows) {
      const before = rows.get(key);
      rows.set(key, before ? joined(before, row) : row);
    }
    return { ts: newer.ts, rows };
  }

  #fullRow(key: string, merged: number): string | undefined {
    const quote = this.#market.quote(key);
    return quote && JSON.stringify({ ...quote, merged });
  }

  async #send(): Promise<void> {
    this.#sending = true;
    while (this.#pending) {
      const beat = this.#pending;
      this.#pending = null;
      const number = this.#number;
      let frames = 0;
      await inTurns(this.#subscriptions, (subscription) => {
        if (!subscription.stopped && subscription.since < number) {
          frames += this.#deliver(subscription, beat, number) ? 1 : 0;
        }
      });
      this.#onFanOut(Math.max(0, Date.now() - beat.ts), frames);
    }
    this.#sending = false;
    this.#scheduleFlush();
  }

  #deliver(subscription: QuoteSubscription, beat: Beat, number: number): boolean {
    const { client, watchlist, missed } = subscription;
    if (!client.takesBeat(number)) {
      const changed = watchlist.changed(beat);
      for (const key of changed) missed.set(key, (missed.get(key) ?? 0) + (beat.rows.get(key)?.merged ?? 0));
      if (changed.length > 0) subscription.skippedBeats += 1;
      return false;
    }
    client.noticeSkipped(subscription);
    if ([...subscription.remembered].some((key) => this.#market.quote(key))) {
      missed.clear();
      this.#sendSnapshot(subscription, beat.ts);
      return true;
    }
    const tail = missed.size === 0 ? watchlist.tailOf(beat) : this.#caughtUp(subscription, beat);
    if (tail === null) return false;
    subscription.seq += 1;
    client.sendShared(`{"type":"update","subscription":${subscription.id},"seq":${subscription.seq},`, tail);
    return true;
  }

  /** Whole rows for the keys whose changes were skipped, changes for the others. */
  #caughtUp({ watchlist, missed }: QuoteSubscription, beat: Beat): Buffer | null {
    const changed = watchlist.changed(beat);
    const rows = [...missed].map(([key, merged]) =>
      this.#fullRow(key, merged + (beat.rows.get(key)?.merged ?? 0)),
    );
    for (const key of changed) {
      if (!missed.has(key)) rows.push(beat.rows.get(key)?.delta);
    }
    missed.clear();
    const text = rows.filter((row) => row !== undefined).join(',');
    return text === '' ? null : tailOf(beat.ts, text);
  }

  /** What was skipped is sent even when nothing moves any more. */
  #scheduleFlush(): void {
    if (this.#flush) return;
    let waiting = false;
    for (const { missed } of this.#subscriptions) waiting ||= missed.size > 0;
    if (!waiting) return;
    this.#flush = setTimeout(() => {
      this.#flush = null;
      this.#take({ ts: Date.now(), rows: new Map() });
    }, this.#beatMs);
  }

  /** The market hears of a key once, however many watch it: a thousand clients that come or go at once cost it nothing. */
  #acquire({ contract, instrument }: NamedContract): string {
    const known = this.#lines.get(instrument);
    if (known) known.users += 1;
    else this.#lines.set(instrument, { line: this.#market.acquire(contract, instrument), users: 1 });
    return instrument;
  }

  #release(key: string): void {
    const held = this.#lines.get(key);
    if (!held) return;
    held.users -= 1;
    if (held.users > 0) return;
    this.#lines.delete(key);
    held.line.release();
  }

  #share(keys: readonly string[]): Watchlist {
    const name = [...keys].sort().join('\n');
    const watchlist = this.#watchlists.get(name) ?? new Watchlist(keys);
    this.#watchlists.set(name, watchlist);
    watchlist.users += 1;
    return watchlist;
  }

  #unshare(watchlist: Watchlist): void {
    watchlist.users -= 1;
    if (watchlist.users === 0) this.#watchlists.delete([...watchlist.keys].sort().join('\n'));
  }
}

/** Two beats of one row as one: the newest of each field, all ticks counted. */
function joined(older: ChangedRow, newer: ChangedRow): ChangedRow {
  const merged = older.merged + newer.merged;
  const delta = JSON.stringify({ ...JSON.parse(older.delta), ...JSON.parse(newer.delta), merged });
  return { key: newer.key, delta, merged };
}
