/**
 * The lossless channels: every durable fact of a channel, in journal order, without hole or duplicate. A subscription reads the
 * journal until it has caught up and hears live records from then on; `cursor` is the last record it dealt with, whichever way.
 */
import type { FastifyBaseLogger } from 'fastify';
import type { JournalRecord } from '../../machines/journal.ts';
import type { Order } from '../../machines/order.ts';
import { inTurns, nextSlice } from './fan-out.ts';
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

/** What a client has: the number of its last record, and of which row of numbers that is; null: it does not say. */
interface Resumed {
  readonly after: number;
  readonly epoch: string | null;
}

const nothing = { after: Number.MAX_SAFE_INTEGER, limit: 1 } as const;

/** The end of a frame that all who subscribe within a moment get. */
interface Snapshot {
  readonly journalSeq: number;
  /** `performance.now()` */
  readonly madeAt: number;
  readonly tail: Buffer;
}

const replayBatch = 100;
/** After a restart a thousand dashboards come back at once. */
const sharedSnapshotMs = 50;
const maxTailBytes = 4 * 1024 * 1024;
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
  readonly #tails = new Map<number, Buffer>();
  #tailBytes = 0;
  readonly #snapshots = new Map<JournalChannelName, Snapshot>();
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

  /** Names the row of numbers that records have at present. */
  get epoch(): string {
    return this.#reading.journal(nothing).epoch;
  }

  /** `resumed`: the last record that the client has; null: it has none and begins with a snapshot. */
  subscribe(
    client: StreamClient,
    channel: JournalChannelName,
    resumed: Resumed | null,
    acknowledge: (id: number, mode: 'replay' | 'snapshot') => void,
  ): Subscription {
    const { lastSeq, epoch } = this.#reading.journal(nothing);
    const after = resumed?.after ?? 0;
    const isRenumbered = resumed !== null && resumed.epoch !== null && resumed.epoch !== epoch;
    const isAhead = resumed !== null && after > lastSeq;
    const replays = resumed !== null && !isRenumbered && !isAhead && lastSeq - after <= this.#maxReplay;
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
    if (isRenumbered || isAhead) {
      const code = isRenumbered ? 'epoch-changed' : 'sequence-unknown';
      client.send({
        type: 'notice',
        level: 'warn',
        code,
        subscription: subscription.id,
        after,
        lastSeq,
        epoch,
      });
    }
    if (!replays) this.#sendSnapshot(subscription);
    this.#resume(subscription);
    return subscription;
  }

  /** Rows at least as new as its `journalSeq`: what came after that follows as events. */
  #sendSnapshot(subscription: JournalSubscription): void {
    const { client, channel, id, cursor } = subscription;
    let snapshot = this.#snapshots.get(channel);
    if (snapshot?.journalSeq !== cursor || performance.now() - snapshot.madeAt > sharedSnapshotMs) {
      const rest = JSON.stringify({ ts: Date.now(), journalSeq: cursor, rows: this.#rowsOf(channel) });
      snapshot = { journalSeq: cursor, madeAt: performance.now(), tail: Buffer.from(rest.slice(1)) };
      this.#snapshots.set(channel, snapshot);
    }
    subscription.seq = 1;
    client.sendSnapshot(`{"type":"snapshot","subscription":${id},"seq":1,`, snapshot.tail);
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
    if (newest.next === null) return newest.rows.map(asEventsTell);
    const known = new Set(newest.rows.map((order) => order.clientOrderId));
    const open = everyRow((after) => this.#reading.orders({ state: 'open', limit: snapshotPage, after }));
    return [...newest.rows, ...open.filter((order) => !known.has(order.clientOrderId))].map(asEventsTell);
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
    // a large snapshot goes out before the facts that follow it are read
    if (client.clogged) await client.flushed();
    await nextSlice();
    while (!subscription.stopped && client.open) {
      const { records, lastSeq } = this.#reading.journal({ after: subscription.cursor, limit: replayBatch });
      client.together(() => {
        for (const record of records) this.#deliver(subscription, record);
      });
      if (records.length === 0 || subscription.cursor >= lastSeq) {
        subscription.live = true;
        return;
      }
      await client.flushed();
      await nextSlice();
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
    await inTurns(this.#deliveries(), ({ subscription, record }) => {
      if (!subscription.live || subscription.stopped) return;
      this.#deliver(subscription, record);
      subscription.client.checkLossless();
    });
    this.#sending = false;
  }

  *#deliveries() {
    for (let record = this.#queue.shift(); record; record = this.#queue.shift()) {
      for (const subscription of this.#subscriptions) yield { subscription, record };
    }
  }

  #deliver(subscription: JournalSubscription, record: JournalRecord): void {
    if (record.seq <= subscription.cursor) return;
    subscription.cursor = record.seq;
    if (record.channel !== subscription.channel) return;
    subscription.seq += 1;
    subscription.client.sendShared(
      `{"type":"event","subscription":${subscription.id},"seq":${subscription.seq},`,
      this.#tail(record),
    );
  }

  /** The end of its frame, kept for the others: all hear of it now, and after a restart all ask for the same. */
  #tail(record: JournalRecord): Buffer {
    const known = this.#tails.get(record.seq);
    if (known) return known;
    const tail = tailOf(record);
    this.#tails.set(record.seq, tail);
    this.#tailBytes += tail.length;
    for (const [seq, { length }] of this.#tails) {
      if (this.#tailBytes <= maxTailBytes || seq === record.seq) break;
      this.#tails.delete(seq);
      this.#tailBytes -= length;
    }
    return tail;
  }
}

/** The part of a frame that is the same for every subscriber. */
function tailOf({ seq, ts, event, payload }: JournalRecord): Buffer {
  const rest = JSON.stringify(payload).slice(1);
  const text = `"journalSeq":${seq},"ts":${ts},"event":${JSON.stringify(event)}${rest === '}' ? rest : `,${rest}`}`;
  // Of its own: one that is kept would keep the 64 kB of the pool that it was cut from.
  const tail = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  tail.write(text);
  return tail;
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

/** Whether an order is confirmed changes with the link, of which each order is told no event: a stream leaves it out. */
const asEventsTell = ({ confirmed: _, ...order }: Order & { readonly confirmed?: boolean }): Order => order;
