/** One WebSocket: what it sent, what is unsent, how fast it takes frames. Knows nothing of channels. */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { StreamLimits } from './options.ts';
import type { Problem } from './problems.ts';
import type { Scope } from './security.ts';
import { writeTextFrame } from './text-frame.ts';

/** One subscription of one client. `seq` is of the last frame sent. */
export interface Subscription {
  readonly id: number;
  readonly channel: string;
  seq: number;
  /** Stops it for good; idempotent. */
  stop(): void;
}

/** One that may miss beats. */
export interface ConflatedSubscription extends Subscription {
  /** since the last notice */
  skippedBeats: number;
  /** `performance.now()` of its last notice */
  noticedAt: number;
}

/** Our close codes; the others are the protocol's own. */
export const closeCodes = {
  shutdown: 1001,
  origin: 1008,
  internal: 1011,
  tryLater: 1013,
  badMessage: 4400,
  unauthenticated: 4401,
  scope: 4403,
  slow: 4408,
  tooMany: 4429,
} as const;

/** After so many beats taken in full, a client that had been slow gets more of them again. */
const goodBeats = 100;
const maxDivisor = 8;
const terminateMs = 1000;
const maxSilentHeartbeats = 6;
const noticeMs = 1000;

/** What was done to a client that does not drain. */
export type SlowMeasure = 'skipped' | 'thinned' | 'closed';

export class StreamClient {
  readonly sessionId = randomUUID();
  readonly subscriptions = new Map<number, Subscription>();
  scopes: readonly Scope[];
  /** resolves when the socket is closed */
  readonly gone: Promise<void>;
  commandsInFlight = 0;
  sentFrames = 0;
  readonly #socket: WebSocket;
  readonly #connection: Socket;
  readonly #limits: StreamLimits;
  readonly #onSlow: (measure: SlowMeasure) => void;
  #lastSubscription = 0;
  #tokens: number;
  #refilledAt = performance.now();
  #clogged = false;
  #cloggedSince = 0;
  #divisor = 1;
  #taken = 0;
  /** a beat was there for it since the last heartbeat */
  #isOffered = false;
  #silentHeartbeats = 0;
  #snapshotBytes = 0;
  #closing = false;
  #closedWith: number | null = null;

  /** `connection` is what carries `socket`. */
  constructor(
    socket: WebSocket,
    connection: Socket,
    scopes: readonly Scope[],
    limits: StreamLimits,
    onSlow: (measure: SlowMeasure) => void = () => {},
  ) {
    this.#socket = socket;
    this.#connection = connection;
    this.#limits = limits;
    this.#onSlow = onSlow;
    this.#tokens = limits.messagesPerSecond * 2;
    this.scopes = scopes;
    this.gone = new Promise((resolve) => {
      socket.once('close', () => resolve());
    });
    socket.on('pong', () => {
      this.#silentHeartbeats = 0;
    });
  }

  get open(): boolean {
    return !this.#closing && this.#socket.readyState === this.#socket.OPEN;
  }

  /** the code that we closed it with; null while open, or when it left */
  get closedWith(): number | null {
    return this.#closedWith;
  }

  get unsentBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** Whether it has more to take than a client that keeps up. */
  get clogged(): boolean {
    return this.unsentBytes > this.#limits.skipAboveBytes;
  }

  /** Whether it gets fewer beats than there are. */
  get slow(): boolean {
    return this.#clogged || this.#divisor > 1;
  }

  nextSubscription(): number {
    this.#lastSubscription += 1;
    return this.#lastSubscription;
  }

  /** bytes written for it, the protocol's own included */
  get sentBytes(): number {
    return this.#connection.bytesWritten;
  }

  sendText(text: string): void {
    if (!this.open) return;
    this.sentFrames += 1;
    this.#socket.send(text);
  }

  /** `head` is ASCII and this client's own; the bytes of `tail` are shared by all that get them. */
  sendShared(head: string, tail: Buffer): void {
    if (!this.open) return;
    this.sentFrames += 1;
    writeTextFrame(this.#connection, head, tail);
  }

  /** What `work` sends leaves in one piece. */
  together(work: () => void): void {
    this.#connection.cork();
    work();
    this.#connection.uncork();
  }

  /** A snapshot may be larger than what a client is closed for: while it is on its way it does not count. */
  sendSnapshot(head: string, tail: Buffer): void {
    if (!this.open) return;
    this.sentFrames += 1;
    this.#snapshotBytes += tail.length;
    writeTextFrame(this.#connection, head, tail, () => {
      this.#snapshotBytes -= tail.length;
    });
  }

  /** Tells how many beats a subscription did not get: now and then, not with every frame. */
  noticeSkipped(subscription: ConflatedSubscription): void {
    const { id, skippedBeats } = subscription;
    const now = performance.now();
    if (skippedBeats === 0 || now - subscription.noticedAt < noticeMs) return;
    subscription.noticedAt = now;
    subscription.skippedBeats = 0;
    this.send({ type: 'notice', level: 'warn', code: 'slow-consumer', subscription: id, skippedBeats });
  }

  /** Resolves when the kernel took all that was sent before, or when the client is gone. */
  flushed(): Promise<void> {
    return new Promise((resolve) => {
      // a ping is written after every frame before it
      if (this.open) this.#socket.ping('', false, () => resolve());
      else resolve();
    });
  }

  send(message: Readonly<Record<string, unknown>>): void {
    this.sendText(JSON.stringify(message));
  }

  /** The answer to a message that failed. */
  refuse(type: 'ack' | 'result', id: unknown, problem: Problem): void {
    this.send({ type, id: id ?? null, ok: false, problem });
  }

  /** Counts an incoming message; false when there are too many. */
  takeMessage(): boolean {
    this.#silentHeartbeats = 0;
    const now = performance.now();
    const { messagesPerSecond } = this.#limits;
    const refill = ((now - this.#refilledAt) / 1000) * messagesPerSecond;
    this.#refilledAt = now;
    this.#tokens = Math.min(messagesPerSecond * 2, this.#tokens + refill) - 1;
    return this.#tokens >= 0;
  }

  /** Whether a conflated channel may send its beat of this number now. Watches how the client drains. */
  takesBeat(number: number): boolean {
    if (!this.open) return false;
    this.#isOffered = true;
    if (this.checkStall()) {
      this.#taken = 0;
      this.#onSlow('skipped');
      return false;
    }
    if (number % this.#divisor !== 0) {
      this.#onSlow('skipped');
      return false;
    }
    this.#taken += 1;
    if (this.#taken >= goodBeats && this.#divisor > 1) {
      this.#taken = 0;
      this.#divisor /= 2;
    }
    return true;
  }

  /** True while too much is unsent; closes a client that stays so. */
  checkStall(): boolean {
    const { clogged } = this;
    const now = performance.now();
    if (clogged && !this.#clogged) this.#cloggedSince = now;
    if (!clogged && this.#clogged) {
      this.#divisor = Math.min(maxDivisor, this.#divisor * 2);
      this.#onSlow('thinned');
    }
    this.#clogged = clogged;
    if (clogged && now - this.#cloggedSince > this.#limits.stallMs) {
      this.close(closeCodes.slow, 'took nothing for too long');
    }
    return clogged;
  }

  /** For lossless channels: closes a client that cannot take them. It resumes with `after`. */
  checkLossless(): void {
    if (this.unsentBytes - this.#snapshotBytes > this.#limits.closeAboveBytes) {
      this.close(closeCodes.slow, 'too much unsent: resume with after');
    }
  }

  /** The last seq of each subscription. Also notices peers that went away without a word. */
  heartbeat(ts: number): void {
    if (!this.open) return;
    const isStalled = this.checkStall();
    // Who is offered no beats cannot take enough of them to be told more again.
    if (!this.#isOffered) this.#divisor = 1;
    this.#isOffered = false;
    if (isStalled) return;
    this.#silentHeartbeats += 1;
    if (this.#silentHeartbeats > maxSilentHeartbeats) {
      this.close(closeCodes.slow, 'no answer to pings');
      return;
    }
    const last: Record<string, number> = {};
    for (const { id, seq } of this.subscriptions.values()) last[id] = seq;
    this.send({ type: 'heartbeat', ts, last });
    this.#socket.ping();
  }

  /** Closes with a word, and without one when the peer does not take it. */
  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#closedWith = code;
    if (code === closeCodes.slow) this.#onSlow('closed');
    this.#socket.close(code, reason);
    const timer = setTimeout(() => this.#socket.terminate(), terminateMs);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  stopAll(): void {
    for (const subscription of this.subscriptions.values()) subscription.stop();
    this.subscriptions.clear();
  }
}
