/** Conflated channels of small tables that are read, compared and sent at the beat: `actors`, `pnl`. */
import { inTurns } from './fan-out.ts';
import type { ConflatedSubscription, StreamClient, Subscription } from './stream-client.ts';

interface RowSubscription extends ConflatedSubscription {
  readonly client: StreamClient;
  /** it missed a change: the next frame is a snapshot */
  behind: boolean;
  stopped: boolean;
}

/** Rows are told apart by `keyOf`; `rows` reads memory. Nobody subscribed: nothing is read. */
export class RowChannel<T> {
  readonly #name: string;
  readonly #rows: () => readonly T[];
  readonly #keyOf: (row: T) => string;
  readonly #beatMs: number;
  readonly #subscriptions = new Set<RowSubscription>();
  #texts: ReadonlyMap<string, string> = new Map();
  #timer: NodeJS.Timeout | null = null;
  #number = 0;
  #sending = false;

  constructor(name: string, rows: () => readonly T[], keyOf: (row: T) => string, beatMs: number) {
    this.#name = name;
    this.#rows = rows;
    this.#keyOf = keyOf;
    this.#beatMs = beatMs;
  }

  close(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  subscribe(client: StreamClient, acknowledge: (id: number) => void): Subscription {
    const subscription: RowSubscription = {
      id: client.nextSubscription(),
      channel: this.#name,
      client,
      seq: 0,
      behind: true,
      skippedBeats: 0,
      noticedAt: Number.NEGATIVE_INFINITY,
      stopped: false,
      stop: () => {
        subscription.stopped = true;
        this.#subscriptions.delete(subscription);
        if (this.#subscriptions.size === 0) this.close();
      },
    };
    if (this.#subscriptions.size === 0) {
      this.#texts = this.#read();
      this.#timer = setInterval(() => void this.#beat(), this.#beatMs);
    }
    this.#subscriptions.add(subscription);
    acknowledge(subscription.id);
    this.#send(subscription, frameTail([...this.#texts.values()]));
    return subscription;
  }

  #read(): ReadonlyMap<string, string> {
    return new Map(this.#rows().map((row) => [this.#keyOf(row), JSON.stringify(row)]));
  }

  async #beat(): Promise<void> {
    if (this.#sending) return;
    const before = this.#texts;
    const texts = this.#read();
    const changed = [...texts].filter(([key, text]) => before.get(key) !== text).map(([, text]) => text);
    const removed = [...before.keys()].filter((key) => !texts.has(key));
    this.#texts = texts;
    this.#number += 1;
    const idle = changed.length === 0 && removed.length === 0;
    const update = frameTail(changed, removed);
    let snapshot: Buffer | null = null;
    this.#sending = true;
    await inTurns(this.#subscriptions, (subscription) => {
      const { client } = subscription;
      if (subscription.stopped || (idle && !subscription.behind)) return;
      if (!client.takesBeat(this.#number)) {
        subscription.behind = true;
        subscription.skippedBeats += 1;
        return;
      }
      client.noticeSkipped(subscription);
      if (subscription.behind) snapshot ??= frameTail([...texts.values()]);
      this.#send(subscription, subscription.behind && snapshot ? snapshot : update);
    });
    this.#sending = false;
  }

  #send(subscription: RowSubscription, tail: Buffer): void {
    const type = subscription.behind ? 'snapshot' : 'update';
    subscription.behind = false;
    subscription.seq += 1;
    subscription.client.sendShared(
      `{"type":"${type}","subscription":${subscription.id},"seq":${subscription.seq},`,
      tail,
    );
  }
}

/** The end of a frame, the same for all that get it. */
function frameTail(rows: readonly string[], removed: readonly string[] = []): Buffer {
  const rest = removed.length > 0 ? `,"removed":${JSON.stringify(removed)}` : '';
  return Buffer.from(`"ts":${Date.now()},"rows":[${rows.join(',')}]${rest}}`);
}
