/**
 * The conflated channels of books, prints and bars: a snapshot, then at most one frame per beat with what changed. What a client
 * did not take is made up for from where it stopped reading; nothing is kept for it.
 */
import type { LineCursor, LineFeed, LineTrouble, LineView } from '../../machines/feed.ts';
import { inTurns } from './fan-out.ts';
import type { MarketPort } from './options.ts';
import { problem } from './problems.ts';
import type { ConflatedSubscription, StreamClient, Subscription } from './stream-client.ts';
import type { QuoteKeys } from './stream-quotes.ts';

type Feed = Exclude<LineFeed, { channel: 'quotes' }>;

interface Reading {
  readonly key: string;
  readonly view: LineView;
  cursor: LineCursor;
  /** the trouble that its client was told of last */
  told: LineTrouble | null;
}

interface LineSubscription extends ConflatedSubscription {
  readonly client: StreamClient;
  readonly readings: readonly Reading[];
  stopped: boolean;
}

export interface LineStreamOptions {
  readonly market: Pick<MarketPort, 'watch'>;
  readonly beatMs: number;
  /** called once per beat with what went out */
  readonly onConflated: (merged: number, dropped: number) => void;
}

/** One of the channels `depth`, `trades` and `bars`. */
export class LineStream {
  readonly #channel: Feed['channel'];
  readonly #options: LineStreamOptions;
  readonly #subscriptions = new Set<LineSubscription>();
  #timer: NodeJS.Timeout | null = null;
  #number = 0;
  #sending = false;

  constructor(channel: Feed['channel'], options: LineStreamOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  close(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** `acknowledge` is called with the subscription and its keys before the snapshot is sent. */
  subscribe(
    client: StreamClient,
    wanted: QuoteKeys,
    feed: Feed,
    acknowledge: (id: number, keys: readonly string[], rejected: QuoteKeys['rejected']) => void,
  ): Subscription {
    const rejected = [...wanted.rejected];
    const readings: Reading[] = [];
    const releases: (() => void)[] = [];
    for (const { contract, instrument: key } of wanted.accepted) {
      try {
        const { view, release } = this.#options.market.watch(contract, key, feed);
        releases.push(release);
        readings.push({ key, view, cursor: view.cursor, told: null });
      } catch (error) {
        const detail = error instanceof Error ? error.message : 'the line could not be opened';
        rejected.push({ key, problem: problem('data-unavailable', detail) });
      }
    }
    const subscription: LineSubscription = {
      id: client.nextSubscription(),
      channel: this.#channel,
      client,
      readings,
      seq: 1,
      skippedBeats: 0,
      noticedAt: Number.NEGATIVE_INFINITY,
      stopped: false,
      stop: () => {
        if (subscription.stopped) return;
        subscription.stopped = true;
        this.#subscriptions.delete(subscription);
        if (this.#subscriptions.size === 0) this.close();
        for (const release of releases) release();
      },
    };
    this.#subscriptions.add(subscription);
    this.#timer ??= setInterval(() => void this.#beat(), this.#options.beatMs);
    acknowledge(
      subscription.id,
      readings.map(({ key }) => key),
      rejected,
    );
    const rows: string[] = [];
    for (const reading of readings) {
      reading.cursor = reading.view.cursor;
      const row = reading.view.row();
      if (row !== undefined) rows.push(row);
    }
    client.sendSnapshot(
      `{"type":"snapshot","subscription":${subscription.id},"seq":1,`,
      Buffer.from(`"ts":${Date.now()},"rows":[${rows.join(',')}]}`),
    );
    return subscription;
  }

  /** What comes while one beat is being sent goes out with the next one. */
  async #beat(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    this.#number += 1;
    const sent = { merged: 0, dropped: 0 };
    await inTurns([...this.#subscriptions], (subscription) => {
      if (!subscription.stopped) this.#deliver(subscription, sent);
    });
    if (sent.merged > 0) this.#options.onConflated(sent.merged, sent.dropped);
    this.#sending = false;
  }

  #deliver(subscription: LineSubscription, sent: { merged: number; dropped: number }): void {
    const { client, readings } = subscription;
    this.#noteTroubles(subscription);
    if (!readings.some(({ view, cursor }) => hasNews(view, cursor))) return;
    if (!client.takesBeat(this.#number)) {
      subscription.skippedBeats += 1;
      return;
    }
    client.noticeSkipped(subscription);
    const rows: string[] = [];
    for (const reading of readings) {
      const delta = reading.view.since(reading.cursor);
      if (!delta) continue;
      reading.cursor = reading.view.cursor;
      rows.push(delta.text);
      sent.merged += delta.merged;
      sent.dropped += delta.dropped;
    }
    if (rows.length === 0) return;
    subscription.seq += 1;
    client.sendText(
      `{"type":"update","subscription":${subscription.id},"seq":${subscription.seq},"ts":${Date.now()},"rows":[${rows.join(',')}]}`,
    );
  }

  /** A line that TWS refuses, or for which there is no room, makes no row: its readers are told why. */
  #noteTroubles({ client, id, readings }: LineSubscription): void {
    for (const reading of readings) {
      const { trouble } = reading.view;
      if (reading.told === trouble) continue;
      reading.told = trouble;
      if (!trouble) continue;
      client.send({
        type: 'notice',
        level: 'warn',
        code: `${this.#channel}-failed`,
        subscription: id,
        key: reading.key,
        ...trouble,
      });
    }
  }
}

function hasNews({ cursor }: LineView, read: LineCursor): boolean {
  return cursor.changes !== read.changes || cursor.statuses !== read.statuses;
}
