/** What a market-data line carries, and how the messages of each kind reach whoever keeps them. */
import type { Bar, DataKind } from './market.ts';
import type { Reason } from './order.ts';

/** The kinds of lines, by the names of the channels that show them. */
export const lineChannels = ['quotes', 'depth', 'trades', 'bars'] as const;
export type LineChannel = (typeof lineChannels)[number];

/** Sizes of bars that TWS keeps up to date, in its own words, and how far back one request for each may reach. */
export const streamedBars = {
  '5 secs': { seconds: 5, duration: '3600 S' },
  '10 secs': { seconds: 10, duration: '7200 S' },
  '15 secs': { seconds: 15, duration: '14400 S' },
  '30 secs': { seconds: 30, duration: '28800 S' },
  '1 min': { seconds: 60, duration: '1 D' },
  '2 mins': { seconds: 120, duration: '2 D' },
  '3 mins': { seconds: 180, duration: '2 D' },
  '5 mins': { seconds: 300, duration: '4 D' },
  '10 mins': { seconds: 600, duration: '1 W' },
  '15 mins': { seconds: 900, duration: '1 W' },
  '20 mins': { seconds: 1_200, duration: '2 W' },
  '30 mins': { seconds: 1_800, duration: '1 M' },
  '1 hour': { seconds: 3_600, duration: '1 M' },
  '2 hours': { seconds: 7_200, duration: '1 M' },
  '3 hours': { seconds: 10_800, duration: '1 M' },
  '4 hours': { seconds: 14_400, duration: '1 M' },
  '8 hours': { seconds: 28_800, duration: '1 M' },
  '1 day': { seconds: 86_400, duration: '1 Y' },
} as const;
export type StreamedBarSize = keyof typeof streamedBars;
export const streamedBarSizes = Object.keys(streamedBars) as readonly StreamedBarSize[];

/** What one line carries, and what TWS must be told to open it. */
export type LineFeed =
  | { readonly channel: 'quotes' }
  /** `rows`: levels of each side */
  | { readonly channel: 'depth'; readonly rows: number }
  | { readonly channel: 'trades' }
  | { readonly channel: 'bars'; readonly barSize: StreamedBarSize };

/** The name of a line: the instrument for quotes, `depth:AAPL`, `trades:AAPL`, `bars:AAPL:1 min` for the others. */
export function lineKeyOf(instrument: string, feed: LineFeed): string {
  switch (feed.channel) {
    case 'quotes':
      return instrument;
    case 'bars':
      return `bars:${instrument}:${feed.barSize}`;
    default:
      return `${feed.channel}:${instrument}`;
  }
}

/** What every line tells. Called synchronously for every message; must not throw or wait. `at`: when the bytes were read, ms. */
export interface LineSink {
  dataKind(kind: DataKind, at: number): void;
  halted(halted: boolean, at: number): void;
  /** information about the line that ends nothing (10090, 10167, ...) */
  noted(note: Reason): void;
  /** TWS refused or ended the line; `retryAfterMs` null: asking again the same way is useless */
  ended(reason: Reason, retryAfterMs: number | null): void;
}

/** One row of one side of a book moves. */
export interface DepthChange {
  readonly operation: 'insert' | 'update' | 'delete';
  readonly side: 'bid' | 'ask';
  /** from 0, the best */
  readonly position: number;
  readonly price: number;
  readonly size: number;
  /** or the exchange, in a book of several; empty when TWS names none */
  readonly marketMaker: string;
}

export interface DepthSink extends LineSink {
  level(change: DepthChange, at: number): void;
  /** what was told of the book is void; it is told again */
  reset(at: number): void;
}

/** One print of the tape. */
export interface Print {
  /** as the exchange tells it, to the second; ms since the epoch */
  readonly time: number;
  readonly price: number;
  readonly size: number;
  readonly exchange: string;
  readonly conditions: string;
  readonly pastLimit: boolean;
  readonly unreported: boolean;
}

export interface TradeSink extends LineSink {
  print(print: Print, at: number): void;
  /** the newest prints before the line was opened; none is an answer too */
  backfilled(prints: readonly Print[], at: number): void;
}

export interface BarSink extends LineSink {
  /** a bar that forms, or one that just closed with its last figures */
  bar(bar: Bar, at: number): void;
  /** everything that the request reaches back to, ascending */
  backfilled(bars: readonly Bar[], at: number): void;
}

/** How far a reader of a line has read. */
export interface LineCursor {
  readonly changes: number;
  readonly statuses: number;
}

/** One row as JSON text: what changed since a cursor. */
export interface RowDelta {
  readonly text: string;
  /** changes that the row folds together */
  readonly merged: number;
  /** prints that it had no room for */
  readonly dropped: number;
}

/** Why a line brings nothing. `retryAfterMs` null: TWS will not be asked again in this session. */
export interface LineTrouble {
  readonly reason: Reason;
  readonly retryAfterMs: number | null;
}

/** What a line other than of quotes has brought, for its readers. */
export interface LineView {
  readonly cursor: LineCursor;
  /** another object for another trouble; null: none since it was live */
  readonly trouble: LineTrouble | null;
  /** The whole row as JSON; undefined before the first message. */
  row(): string | undefined;
  /** What changed since; null when nothing did, or nothing ever came. */
  since(cursor: LineCursor): RowDelta | null;
}
