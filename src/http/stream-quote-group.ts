/** One group of clients with quotes: each beat of the group becomes one frame for each of them, with the newest of what changed. */
import type { Observable } from 'rxjs';
import type { LineTrouble } from '../../machines/feed.ts';
import type { Beat, ChangedRow, Quote } from '../../machines/market.ts';
import { inTurns } from './fan-out.ts';
import type { MarketPort } from './options.ts';
import type { ConflatedSubscription, StreamClient } from './stream-client.ts';

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

export interface QuoteSubscription extends ConflatedSubscription {
  readonly client: StreamClient;
  readonly watchlist: Watchlist;
  /** number of the newest beat that its snapshot contains */
  readonly since: number;
  /** keys that changed in beats that it did not get, with the ticks in them */
  readonly missed: Map<string, number>;
  /** keys whose row in the snapshot was only remembered: no field of it may outlive the first living row */
  readonly remembered: Set<string>;
  /** the rows of its snapshot until its first beat, which carries changes that they show already; null: it had one */
  shown: ReadonlyMap<string, Quote> | null;
  stopped: boolean;
}

export interface QuoteGroupOptions {
  readonly market: Pick<MarketPort, 'quote' | 'lastQuote'>;
  readonly beats: Observable<Beat>;
  readonly beatMs: number;
  /** called once per beat: ms from the beat to its last frame, how many frames, ms from the read of its oldest tick */
  readonly onFanOut: (ms: number, frames: number, tickMs: number) => void;
}

export class QuoteGroup {
  readonly #options: QuoteGroupOptions;
  readonly #subscriptions = new Set<QuoteSubscription>();
  readonly #watchlists = new Map<string, Watchlist>();
  #beats: { unsubscribe(): void } | null = null;
  #number = 0;
  #pending: Beat | null = null;
  #sending = false;
  #flush: NodeJS.Timeout | null = null;

  constructor(options: QuoteGroupOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#subscriptions.size;
  }

  close(): void {
    this.#beats?.unsubscribe();
    this.#beats = null;
    if (this.#flush) clearTimeout(this.#flush);
    this.#flush = null;
  }

  /** Takes part in the beats from now on. `onLeft` is called when it is stopped. */
  enter(client: StreamClient, keys: readonly string[], onLeft: () => void): QuoteSubscription {
    this.#beats ??= this.#options.beats.subscribe((beat) => this.#take(beat));
    const watchlist = this.#share(keys);
    const subscription: QuoteSubscription = {
      id: client.nextSubscription(),
      channel: 'quotes',
      client,
      watchlist,
      since: this.#number,
      missed: new Map(),
      remembered: new Set(),
      shown: null,
      seq: 0,
      skippedBeats: 0,
      noticedAt: Number.NEGATIVE_INFINITY,
      stopped: false,
      stop: () => {
        if (subscription.stopped) return;
        subscription.stopped = true;
        this.#subscriptions.delete(subscription);
        this.#unshare(watchlist);
        if (this.#subscriptions.size === 0) this.close();
        onLeft();
      },
    };
    this.#subscriptions.add(subscription);
    return subscription;
  }

  /** A line that TWS refuses, or for which there is no room, brings nothing: whoever watches it is told why. */
  async tellTrouble(key: string, trouble: LineTrouble): Promise<void> {
    await inTurns(this.#subscriptions, (subscription) => {
      if (!subscription.stopped && subscription.watchlist.keys.has(key))
        this.sendTrouble(subscription, key, trouble);
    });
  }

  sendTrouble({ client, id }: QuoteSubscription, key: string, trouble: LineTrouble): void {
    client.send({ type: 'notice', level: 'warn', code: 'quote-failed', subscription: id, key, ...trouble });
  }

  /** Every row as it is now; of instruments without one what was last known of them. */
  sendSnapshot(subscription: QuoteSubscription, ts: number): void {
    const { client, id, watchlist, remembered } = subscription;
    remembered.clear();
    const rows = [...watchlist.keys].flatMap((key) => {
      const row = this.#options.market.quote(key);
      if (row) return [row];
      const last = this.#options.market.lastQuote?.(key);
      if (last) remembered.add(key);
      return last ? [last] : [];
    });
    subscription.shown = new Map(rows.map((row) => [row.key, row]));
    subscription.seq += 1;
    client.send({ type: 'snapshot', subscription: id, seq: subscription.seq, ts, rows });
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
    return { ts: newer.ts, oldestAt: older.oldestAt, rows };
  }

  #fullRow(key: string, merged: number): string | undefined {
    const quote = this.#options.market.quote(key);
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
      const now = Date.now();
      this.#options.onFanOut(Math.max(0, now - beat.ts), frames, Math.max(0, now - beat.oldestAt));
    }
    this.#sending = false;
    this.#scheduleFlush();
  }

  #deliver(subscription: QuoteSubscription, beat: Beat, number: number): boolean {
    const { client, watchlist, missed, shown } = subscription;
    subscription.shown = null;
    if (!client.takesBeat(number)) {
      const changed = watchlist.changed(beat);
      for (const key of changed) missed.set(key, (missed.get(key) ?? 0) + (beat.rows.get(key)?.merged ?? 0));
      if (changed.length > 0) subscription.skippedBeats += 1;
      return false;
    }
    client.noticeSkipped(subscription);
    if ([...subscription.remembered].some((key) => this.#options.market.quote(key))) {
      missed.clear();
      this.sendSnapshot(subscription, beat.ts);
      return true;
    }
    const tail =
      missed.size > 0
        ? this.#caughtUp(subscription, beat)
        : shown
          ? unseen(shown, watchlist, beat)
          : watchlist.tailOf(beat);
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
      const ts = Date.now();
      this.#take({ ts, oldestAt: ts, rows: new Map() });
    }, this.#options.beatMs);
  }

  /** Whether somebody here watches just these: then the frames of one more cost little. */
  watches(keys: readonly string[]): boolean {
    return this.#watchlists.has(nameOf(keys));
  }

  #share(keys: readonly string[]): Watchlist {
    const name = nameOf(keys);
    const watchlist = this.#watchlists.get(name) ?? new Watchlist(keys);
    this.#watchlists.set(name, watchlist);
    watchlist.users += 1;
    return watchlist;
  }

  #unshare(watchlist: Watchlist): void {
    watchlist.users -= 1;
    if (watchlist.users === 0) this.#watchlists.delete(nameOf([...watchlist.keys]));
  }
}

/** What a snapshot did not show of the beat after it. */
function unseen(shown: ReadonlyMap<string, Quote>, watchlist: Watchlist, beat: Beat): Buffer | null {
  const rows = watchlist.changed(beat).flatMap((name) => {
    const delta = beat.rows.get(name)?.delta ?? '{}';
    const before = shown.get(name);
    if (!before) return [delta];
    const { key, merged, ts, ...fields } = JSON.parse(delta) as Quote;
    const known = new Map<string, unknown>(Object.entries(before));
    const news = Object.entries(fields).filter(([field, value]) => known.get(field) !== value);
    return news.length === 0 ? [] : [JSON.stringify({ key, ...Object.fromEntries(news), merged, ts })];
  });
  return rows.length === 0 ? null : tailOf(beat.ts, rows.join(','));
}

const nameOf = (keys: readonly string[]): string => [...keys].sort().join('\n');

/** Two beats of one row as one: the newest of each field, all ticks counted. */
function joined(older: ChangedRow, newer: ChangedRow): ChangedRow {
  const merged = older.merged + newer.merged;
  const delta = JSON.stringify({ ...JSON.parse(older.delta), ...JSON.parse(newer.delta), merged });
  return { key: newer.key, delta, merged };
}
