/** Market data as clients see it. Numbers, not decimals: nothing here books money. */

import type { Reason } from './order.ts';

/** `frozen`: last known values of a closed market; `stale`: nothing came when something should have. */
export type QuoteStatus = 'live' | 'delayed' | 'frozen' | 'stale' | 'halted';

/** The newest values of one instrument. A field that was never received is absent. */
export interface Quote {
  readonly key: string;
  readonly bid?: number;
  readonly ask?: number;
  readonly bidSize?: number;
  readonly askSize?: number;
  readonly last?: number;
  readonly lastSize?: number;
  readonly volume?: number;
  readonly open?: number;
  readonly high?: number;
  readonly low?: number;
  readonly close?: number;
  readonly status: QuoteStatus;
  /** ticks folded into this row since the last beat */
  readonly merged?: number;
  /** when TWS's bytes were read, ms since the epoch */
  readonly ts: number;
}

/** The numeric fields of a quote that a tick can change. */
export const quoteFields = [
  'bid',
  'ask',
  'bidSize',
  'askSize',
  'last',
  'lastSize',
  'volume',
  'open',
  'high',
  'low',
  'close',
] as const;
export type QuoteField = (typeof quoteFields)[number];

/** One price to judge an order by, as the gate sees it. */
export interface Mark {
  readonly bid: number | null;
  readonly ask: number | null;
  readonly last: number | null;
  readonly close: number | null;
  /** ms since the epoch */
  readonly at: number;
}

export interface Bar {
  /** start of the bar, RFC 3339 UTC, or a date for daily and longer bars */
  readonly time: string;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  readonly wap: number;
  readonly count: number;
}

/** A request to TWS that failed: its own code as text (`200`, `162`, ...) or ours (`timeout`, `not-connected`). */
export interface RequestFailure {
  readonly failed: Reason;
  readonly retryAfterMs?: number;
}

/** One changed row of a beat. `delta` holds key, the changed fields, merged and ts, as JSON text, made once for all clients. */
export interface ChangedRow {
  readonly key: string;
  readonly delta: string;
}

export interface Beat {
  /** ms since the epoch */
  readonly ts: number;
  readonly rows: ReadonlyMap<string, ChangedRow>;
}

/** What TWS serves on a line. */
export type DataKind = 'live' | 'frozen' | 'delayed' | 'delayedFrozen';

/** Where the ticks of one line go. Called synchronously for every message; must not throw or wait. */
export interface TickSink {
  /** `at` = when the bytes were read, ms since the epoch */
  tick(field: QuoteField, value: number, at: number): void;
  dataKind(kind: DataKind, at: number): void;
  halted(halted: boolean, at: number): void;
  /** information about the line that ends nothing (10090, 10167, ...) */
  noted(note: Reason): void;
  /** TWS refused or ended the line; `retryAfterMs` null: asking again the same way is useless */
  ended(reason: Reason, retryAfterMs: number | null): void;
}

/** One open request for streaming data. */
export interface Line {
  /** Idempotent. Sends the cancel when the session that opened it still stands. */
  close(): void;
}
