/** Conflated channels of small tables that are read, compared and sent at the beat: `actors`, `pnl`. */
import { inTurns } from './fan-out.ts';
import type { ConflatedSubscription, StreamClient, Subscription } from './stream-client.ts';

interface RowSubscription extends ConflatedSubscription {
  readonly client: StreamClient;
  /** it missed a change: the next frame is a snapshot */
  behind: boolean;
  stopped: boolean;
}

/**
 * Rows are told apart by the field `identity`; `rows` reads memory. Nobody subscribed: nothing is read. Updates carry that field
 * and what changed; a field that is gone is null.
 */
export class RowChannel<T extends object> {
  readonly #name: string;
  readonly #rows: () => readonly T[];
  readonly #identity: keyof T & string;
  readonly #accompanying: ReadonlySet<string>;
  readonly #beatMs: number;
  readonly #subscriptions = new Set<RowSubscription>();
  #known: ReadonlyMap<string, Known<T>> = new Map();
  #timer: NodeJS.Timeout | null = null;
  #number = 0;
  #sending = false;

  /** `accompanying`: fields that are no news by themselves */
  constructor(
    name: string,
    rows: () => readonly T[],
    identity: keyof T & string,
    beatMs: number,
    accompanying: readonly (keyof T & string)[] = [],
  ) {
    this.#accompanying = new Set(accompanying);
    this.#name = name;
    this.#rows = rows;
    this.#identity = identity;
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
      this.#known = this.#read();
      this.#timer = setInterval(() => void this.#beat(), this.#beatMs);
    }
    this.#subscriptions.add(subscription);
    acknowledge(subscription.id);
    this.#send(subscription, frameTail(textsOf(this.#known)));
    return subscription;
  }

  #read(): ReadonlyMap<string, Known<T>> {
    return new Map(
      this.#rows().map((row) => {
        const told = (name: string, value: unknown) => (this.#accompanying.has(name) ? undefined : value);
        return [
          String(row[this.#identity]),
          { row, text: JSON.stringify(row), news: JSON.stringify(row, told) },
        ];
      }),
    );
  }

  /** What differs from the row as it was; the whole row when it is new. */
  #changeOf({ row, text }: Known<T>, before: Known<T> | undefined): string {
    if (!before) return text;
    const change: Record<string, unknown> = { [this.#identity]: row[this.#identity] };
    const was = new Map<string, unknown>(Object.entries(before.row));
    for (const [name, value] of Object.entries(row))
      if (this.#accompanying.has(name) || JSON.stringify(was.get(name)) !== JSON.stringify(value))
        change[name] = value;
    for (const name of was.keys()) if (!(name in row)) change[name] = null;
    return JSON.stringify(change);
  }

  async #beat(): Promise<void> {
    if (this.#sending) return;
    const before = this.#known;
    const known = this.#read();
    const changed = [...known]
      .filter(([key, { news }]) => before.get(key)?.news !== news)
      .map(([key, row]) => this.#changeOf(row, before.get(key)));
    const removed = [...before.keys()].filter((key) => !known.has(key));
    this.#known = known;
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
      if (subscription.behind) snapshot ??= frameTail(textsOf(known));
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

interface Known<T> {
  readonly row: T;
  readonly text: string;
  /** the text without what is no news by itself */
  readonly news: string;
}

const textsOf = (known: ReadonlyMap<string, Known<unknown>>): string[] =>
  [...known.values()].map(({ text }) => text);

/** The end of a frame, the same for all that get it. */
function frameTail(rows: readonly string[], removed: readonly string[] = []): Buffer {
  const rest = removed.length > 0 ? `,"removed":${JSON.stringify(removed)}` : '';
  return Buffer.from(`"ts":${Date.now()},"rows":[${rows.join(',')}]${rest}}`);
}
