/** The limits of a TWS. 0 means no limit. */
export interface Limits {
  /** inbound messages per second and client, in a sliding window; more get error 100 and are dropped */
  readonly messagesPerSecond: number;
  /** seconds with error 100 after which the connection is closed */
  readonly rateViolations: number;
  /** concurrent reqMktData per client */
  readonly marketDataLines: number;
  /** concurrent reqMktDepth per client */
  readonly depthLines: number;
  /** concurrent reqTickByTickData per client */
  readonly tickByTickLines: number;
  /** concurrent reqAccountSummary per client */
  readonly accountSummaries: number;
  /** historical requests in ten minutes and client, and identical ones within fifteen seconds; off unless set */
  readonly historicalRequestsPerTenMinutes: number;
  /** clients at once */
  readonly clients: number;
  /** longest inbound frame */
  readonly frameBytes: number;
  /** unsent bytes after which a client that does not read is disconnected */
  readonly backlogBytes: number;
  /** inbound messages remembered for `received()` */
  readonly recordedMessages: number;
}

export const TWS_LIMITS: Limits = {
  messagesPerSecond: 50,
  rateViolations: 3,
  marketDataLines: 100,
  depthLines: 3,
  tickByTickLines: 5,
  accountSummaries: 2,
  historicalRequestsPerTenMinutes: 0,
  clients: 32,
  frameBytes: 0xffffff,
  backlogBytes: 256 * 1024 * 1024,
  recordedMessages: 20_000,
};

/** Everything that a load test would run into is off; what protects the process stays. */
export const UNLIMITED: Limits = {
  ...TWS_LIMITS,
  messagesPerSecond: 0,
  marketDataLines: 0,
  depthLines: 0,
  tickByTickLines: 0,
  accountSummaries: 0,
};

/** At most `perSecond` takes in any one second. */
export class RateLimiter {
  readonly #times: Float64Array;
  #index = 0;

  constructor(perSecond: number) {
    this.#times = new Float64Array(Math.max(0, perSecond)).fill(Number.NEGATIVE_INFINITY);
  }

  /** False when this take is one too many; it then does not count. */
  take(nowMs: number): boolean {
    if (this.#times.length === 0) return true;
    const oldest = this.#times[this.#index] ?? Number.NEGATIVE_INFINITY;
    if (nowMs - oldest < 1000) return false;
    this.#times[this.#index] = nowMs;
    this.#index = (this.#index + 1) % this.#times.length;
    return true;
  }
}
