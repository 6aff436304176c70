/** Market data as clients see it. Numbers, not decimals: nothing here books money. */

import type { LineFeed, LineSink } from './feed.ts';
import type { Contract } from './instrument.ts';
import type { Reason } from './order.ts';
import type { Farm } from './tws.ts';

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
  /** present on a last bar whose time was not over when it was asked for: its figures may still change */
  readonly partial?: true;
}

const unitSeconds: Readonly<Record<string, number>> = {
  sec: 1,
  min: 60,
  hour: 3_600,
  day: 86_400,
  week: 7 * 86_400,
  month: 31 * 86_400,
};

/**
 * Bars as TWS gave them, ascending, of a size in TWS's words (`5 mins`), asked for at `at` (ms): the last one is marked
 * while it is still forming. Days and longer bars name a date: they count as forming until their length has passed in
 * UTC, as nothing here knows the hours of their market.
 */
export function withPartial(bars: readonly Bar[], barSize: string, at: number): readonly Bar[] {
  const last = bars.at(-1);
  const [, count, unit = ''] = /^(\d+) (sec|min|hour|day|week|month)s?$/.exec(barSize) ?? [];
  const seconds = unitSeconds[unit];
  if (!last || seconds === undefined) return bars;
  const isOver = Date.parse(last.time) + Number(count) * seconds * 1_000 <= at;
  return isOver ? bars : [...bars.slice(0, -1), { ...last, partial: true }];
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
  /** ticks in it */
  readonly merged: number;
}

export interface Beat {
  /** ms since the epoch */
  readonly ts: number;
  /** when the oldest tick in it was read, ms since the epoch */
  readonly oldestAt: number;
  readonly rows: ReadonlyMap<string, ChangedRow>;
}

/** What TWS serves on a line. */
export type DataKind = 'live' | 'frozen' | 'delayed' | 'delayedFrozen';

/** Where the ticks of one line go. Called synchronously for every message; must not throw or wait. */
export interface TickSink extends LineSink {
  /** `at` = when the bytes were read, ms since the epoch */
  tick(field: QuoteField, value: number, at: number): void;
}

/** One open request for streaming data. */
export interface Line {
  /** Idempotent. Sends the cancel when the session that opened it still stands. */
  close(): void;
}

/** What a line tells its subscription. Ticks are not among them: they go straight to the quote. */
export type LineFact =
  /** the first tick since the line was opened */
  | { readonly type: 'line.started' }
  /** nothing came for longer than this feed's own rhythm allows, though its market should be open */
  | { readonly type: 'line.silenced' }
  /** the first tick after a silence or a doubt */
  | { readonly type: 'line.revived' }
  | { readonly type: 'line.kindChanged'; readonly kind: DataKind }
  | { readonly type: 'line.noted'; readonly note: Reason }
  /** something was not told that a new request brings */
  | { readonly type: 'line.missed' }
  /** `retryAfterMs` null: asking again the same way is useless */
  | { readonly type: 'line.ended'; readonly reason: Reason; readonly retryAfterMs: number | null };

/** What a subscription asks of its line. */
export type LineCommand =
  /** the values are not to be trusted until the next tick; no silence is measured */
  | { readonly type: 'line.doubt' }
  /** the same, and silence is measured from now on */
  | { readonly type: 'line.check' }
  /** the subscription is dead: give the line back to TWS */
  | { readonly type: 'line.close' };

/** What the connection says that matters to market data. */
export type MarketLinkFact =
  /** a session is usable; a `sessionId` heard before is the same session */
  | { readonly type: 'tws.ready'; readonly sessionId: string }
  | { readonly type: 'tws.lost' }
  /** the gateway lives, its link to IB does not */
  | { readonly type: 'tws.severed' }
  /** that link is back; `dataLost`: TWS forgot our requests */
  | { readonly type: 'tws.restored'; readonly dataLost: boolean }
  | { readonly type: 'tws.farmChanged'; readonly farm: Pick<Farm, 'name' | 'kind' | 'status'> };

export type MarketCommand =
  /** `key`: the name of the line; `feed`: what it carries, quotes when left out */
  | {
      readonly type: 'market.acquire';
      readonly key: string;
      readonly contract: Contract;
      readonly feed?: LineFeed;
      /** orders are judged by it: it goes before all that is only read */
      readonly forTrading?: boolean;
    }
  | { readonly type: 'market.release'; readonly key: string; readonly forTrading?: boolean };

/** Where one line stands. `waiting`: no request was made, for want of a session or of a free line. */
export type LineStanding = 'waiting' | 'requesting' | 'live' | 'stale' | 'refused';

/** One line that somebody reads, or read a moment ago. */
export interface LineRow {
  readonly key: string;
  readonly contract: Contract;
  readonly feed: LineFeed;
  /** trading among them */
  readonly readers: number;
  /** how many of them are trading itself */
  readonly traders: number;
  readonly standing: LineStanding;
  /** why it is not live; null when there is nothing to say */
  readonly reason: Reason | null;
  /** of a refusal; null: it is final for this session */
  readonly retryAfterMs: number | null;
  /** how often its actor died */
  readonly crashes: number;
}

/** The status of a row whose values can be trusted. */
export function statusOf(kind: DataKind, halted: boolean): QuoteStatus {
  if (halted) return 'halted';
  if (kind === 'frozen' || kind === 'delayedFrozen') return 'frozen';
  return kind;
}

const americas = ['USD', 'CAD', 'MXN', 'BRL'];
const europe = ['EUR', 'GBP', 'CHF', 'SEK', 'NOK', 'DKK', 'PLN', 'HUF', 'CZK', 'ILS', 'ZAR'];

/**
 * Whether a data farm is known to serve a line. IB publishes no table; the few names whose meaning is plain are read, and every
 * other answer is no: silence is measured, not inferred. Bars also hang on the farms of history (`hmds`).
 */
export function farmServes(
  { name, kind }: Pick<Farm, 'name' | 'kind'>,
  contract: Contract,
  { channel }: LineFeed,
): boolean {
  const { secType = 'STK', currency = 'USD' } = contract;
  const farm = name.toLowerCase();
  if (kind === 'history') {
    if (channel !== 'bars') return false;
    if (farm.startsWith('ushmds')) return americas.includes(currency);
    if (farm.startsWith('euhmds')) return europe.includes(currency);
    return farm.startsWith('cashhmds') && secType === 'CASH';
  }
  if (kind !== 'market') return false;
  if (farm.startsWith('cashfarm')) return secType === 'CASH';
  if (secType === 'CASH') return false;
  if (farm.startsWith('usfuture'))
    return (secType === 'FUT' || secType === 'FOP') && americas.includes(currency);
  if (farm.startsWith('usopt')) return secType === 'OPT' && americas.includes(currency);
  if (farm.startsWith('usfarm')) {
    return (secType === 'STK' || secType === 'IND') && americas.includes(currency);
  }
  if (farm.startsWith('eufarm') || farm.startsWith('eurofarm')) return europe.includes(currency);
  return false;
}
