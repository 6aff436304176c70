/**
 * The lossless channels: every durable fact of a channel, in journal order, without hole or duplicate. A subscription reads the
 * journal until it has caught up and hears live records from then on; `cursor` is the last record it dealt with, whichever way.
 */
import { setImmediate } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import type { JournalRecord } from '../../machines/journal.ts';
import type { Order } from '../../machines/order.ts';
import { inTurns } from './fan-out.ts';
import type { HealthPort, ReadingPort } from './options.ts';
import { closeCodes, type StreamClient, type Subscription } from './stream-client.ts';

export const journalChannels = ['orders', 'positions', 'alerts', 'health'] as const;
export type JournalChannelName = (typeof journalChannels)[number];

interface JournalSubscription extends Subscription {
  readonly channel: JournalChannelName;
  readonly client: StreamClient;
  cursor: number;
  live: boolean;
  stopped: boolean;
}

const replayBatch = 100;
/** Records that wait to be fanned out; beyond, subscriptions read them from the journal instead. */
const maxQueued = 2000;
const snapshotPage = 500;
const maxSnapshotRows = 5000;

export class JournalChannels {
  readonly #reading: ReadingPort;
  readonly #health: HealthPort;
  readonly #maxReplay: number;
  readonly #log: FastifyBaseLogger;
  readonly #subscriptions = new Set<JournalSubscription>();
  readonly #unlisten: () => void;
  #queue: JournalRecord[] = [];
  #sending = false;

  constructor(reading: ReadingPort, health: HealthPort, maxReplay: number, log: FastifyBaseLogger) {
    this.#reading = reading;
    this.#health = health;
    this.#maxReplay = maxReplay;
    this.#log = log;
    this.#unlisten = reading.onRecord((record) => this.#take(record));
  }

  close(): void {
    this.#unlisten();
  }

  /** `after`: the last record that the client has; null: it has none and begins with a snapshot. */
  subscribe(
    client: StreamClient,
    channel: JournalChannelName,
    after: number | null,
    acknowledge: (id: number, mode: 'replay' | 'snapshot') => void,
  ): Subscription {
    const lastSeq = this.#lastSeq();
    const replays = after !== null && after <= lastSeq && lastSeq - after <= this.#maxReplay;
    const subscription: JournalSubscription = {
      id: client.nextSubscription(),
      channel,
      client,
      seq: 0,
      cursor: replays ? after : lastSeq,
      live: false,
      stopped: false,
      stop: () => {
        subscription.stopped = true;
        this.#subscriptions.delete(subscription);
      },
    };
    this.#subscriptions.add(subscription);
    acknowledge(subscription.id, replays ? 'replay' : 'snapshot');
    if (!replays) this.#sendSnapshot(subscription, lastSeq);
    this.#resume(subscription);
    return subscription;
  }

  #lastSeq(): number {
    return this.#reading.journal({ after: Number.MAX_SAFE_INTEGER, limit: 1 }).lastSeq;
  }

  /** Rows as they are now: at least as new as `journalSeq`. */
  #sendSnapshot(subscription: JournalSubscription, journalSeq: number): void {
    subscription.seq = 1;
    subscription.client.send({
      type: 'snapshot',
      subscription: subscription.id,
      seq: 1,
      ts: Date.now(),
      journalSeq,
      rows: this.#rowsOf(subscription.channel),
    });
  }

  #rowsOf(channel: JournalChannelName): readonly unknown[] {
    switch (channel) {
      case 'orders':
        return this.#orders();
      case 'positions':
        return everyRow((after) => this.#reading.positions({ limit: snapshotPage, after }));
      case 'health':
        return [this.#health.report()];
      case 'alerts':
        return [];
    }
  }

  /** The newest orders whatever their state, and every open one. */
  #orders(): readonly Order[] {
    const newest = this.#reading.orders({ state: 'all', limit: snapshotPage, after: null });
    if (newest.next === null) return newest.rows;
    const known = new Set(newest.rows.map((order) => order.clientOrderId));
    const open = everyRow((after) => this.#reading.orders({ state: 'open', limit: snapshotPage, after }));
    return [...newest.rows, ...open.filter((order) => !known.has(order.clientOrderId))];
  }

  #resume(subscription: JournalSubscription): void {
    this.#catchUp(subscription).catch((error: unknown) => {
      this.#log.error({ err: error, channel: subscription.channel }, 'replay failed');
      subscription.client.close(closeCodes.internal, 'the journal could not be read');
    });
  }

  /** Between the read that finds the end and `live`, nothing else runs: no record can slip through. */
  async #catchUp(subscription: JournalSubscription): Promise<void> {
    const { client } = subscription;
    while (!subscription.stopped && client.open) {
      const { records, lastSeq } = this.#reading.journal({ after: subscription.cursor, limit: replayBatch });
      for (const record of records) this.#deliver(subscription, record, () => tailOf(record));
      if (records.length === 0 || subscription.cursor >= lastSeq) {
        subscription.live = true;
        return;
      }
      await client.flushed();
      // a socket that takes everything at once would otherwise keep the loop until the journal ends
      await setImmediate();
    }
  }

  #take(record: JournalRecord): void {
    if (record.channel === null || this.#subscriptions.size === 0) return;
    if (this.#queue.length >= maxQueued) {
      this.#queue = [];
      for (const subscription of this.#subscriptions) {
        if (!subscription.live) continue;
        subscription.live = false;
        this.#resume(subscription);
      }
      return;
    }
    this.#queue.push(record);
    if (!this.#sending) void this.#send();
  }

  async #send(): Promise<void> {
    this.#sending = true;
    for (let record = this.#queue.shift(); record; record = this.#queue.shift()) {
      const current = record;
      let tail: string | null = null;
      await inTurns([...this.#subscriptions], (subscription) => {
        if (!subscription.live || subscription.stopped) return;
        this.#deliver(subscription, current, () => {
          tail ??= tailOf(current);
          return tail;
        });
        subscription.client.checkLossless();
      });
    }
    this.#sending = false;
  }

  #deliver(subscription: JournalSubscription, record: JournalRecord, tail: () => string): void {
    if (record.seq <= subscription.cursor) return;
    subscription.cursor = record.seq;
    if (record.channel !== subscription.channel) return;
    subscription.seq += 1;
    subscription.client.sendText(
      `{"type":"event","subscription":${subscription.id},"seq":${subscription.seq},${tail()}`,
    );
  }
}

/** The part of a frame that is the same for every subscriber. */
function tailOf({ seq, ts, event, payload }: JournalRecord): string {
  const rest = JSON.stringify(payload).slice(1);
  return `"journalSeq":${seq},"ts":${ts},"event":${JSON.stringify(event)}${rest === '}' ? rest : `,${rest}`}`;
}

function everyRow<T>(
  pageAfter: (after: string | null) => { readonly rows: readonly T[]; readonly next: string | null },
): T[] {
  const rows: T[] = [];
  let after: string | null = null;
  do {
    const page = pageAfter(after);
    rows.push(...page.rows);
    after = page.next;
  } while (after !== null && rows.length < maxSnapshotRows);
  return rows;
}
