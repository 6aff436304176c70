/** What the HTTP and WebSocket face needs from the rest of the runtime. It decides nothing about orders or quotes. */
import type { Observable } from 'rxjs';
import type { Decimal } from '../../machines/decimal.ts';
import type { LineChannel, LineFeed, LineTrouble, LineView } from '../../machines/feed.ts';
import type { ActorRow, HealthReport } from '../../machines/health.ts';
import type { Contract } from '../../machines/instrument.ts';
import type { JournalRecord, Page } from '../../machines/journal.ts';
import type { ExecutionRow, PositionRow } from '../../machines/ledger.ts';
import type { Bar, Beat, Quote, RequestFailure } from '../../machines/market.ts';
import type { FieldProblem, Order, OrderTicket, Reason } from '../../machines/order.ts';
import type { Settlement } from '../../machines/settlement.ts';
import type { AccountValue, ContractDetails, OrderPreview, TermsChange } from '../../machines/tws.ts';

/** An order as the client wants it: a ticket whose account and transmit flag the runtime fills in. */
export interface OrderRequest extends Omit<OrderTicket, 'account' | 'transmit'> {
  readonly account?: string;
  readonly bracket?: {
    readonly takeProfit?: { readonly limitPrice: Decimal };
    readonly stopLoss?: { readonly stopPrice: Decimal; readonly limitPrice?: Decimal };
  };
}

/** Where the time of one accepted order went, in microseconds. */
export interface SubmitTiming {
  readonly reviewUs: number;
  readonly journalUs: number;
  readonly totalUs: number;
}

export type SubmitOutcome =
  | { readonly outcome: 'created'; readonly order: Order; readonly timing: SubmitTiming }
  /** the same id with the same terms was here before */
  | { readonly outcome: 'existing'; readonly order: Order }
  /** the same id with other terms was here before */
  | { readonly outcome: 'conflict'; readonly order: Order }
  /** the gate refused; the order exists in state denied; `reason.code` has no `denied-` prefix */
  | { readonly outcome: 'denied'; readonly order: Order; readonly reason: Reason }
  /** nothing was recorded or queued; `reason.code` is connecting, reconciling, severed, maintenance, halted, draining, ... */
  | { readonly outcome: 'unavailable'; readonly reason: Reason }
  | { readonly outcome: 'invalid'; readonly errors: readonly FieldProblem[] };

export type ChangeOutcome =
  /** asked of the broker; the order is in modifying or cancelling */
  | { readonly outcome: 'requested'; readonly order: Order }
  /** nothing to do: the order has these terms already, or its cancel is under way */
  | { readonly outcome: 'settled'; readonly order: Order }
  | { readonly outcome: 'unknown' }
  | { readonly outcome: 'closed'; readonly order: Order }
  | { readonly outcome: 'version'; readonly order: Order }
  /** another client of TWS placed it */
  | { readonly outcome: 'notOurs'; readonly order: Order }
  /** open, and not one that the broker's lists lack */
  | { readonly outcome: 'notMissing'; readonly order: Order }
  | { readonly outcome: 'denied'; readonly order: Order; readonly reason: Reason }
  | { readonly outcome: 'unavailable'; readonly reason: Reason }
  | { readonly outcome: 'invalid'; readonly errors: readonly FieldProblem[] };

export interface GatePreview {
  readonly approved: boolean;
  readonly reasons: readonly Reason[];
  /** settings of limits that cannot be applied: there is no price */
  readonly unapplied?: readonly string[];
}

export type PreviewOutcome =
  | {
      readonly outcome: 'previewed';
      readonly preview: OrderPreview;
      readonly gate: GatePreview;
    }
  | {
      readonly outcome: 'rejected';
      readonly reason: Reason;
      readonly gate: GatePreview;
    }
  | Extract<SubmitOutcome, { outcome: 'conflict' | 'unavailable' | 'invalid' }>;

export type TradingState = 'open' | 'reducing' | 'halted';
export interface TradingStatus {
  readonly state: TradingState;
  readonly reasons: readonly (Reason & { readonly since: string })[];
  /** false: not on disk yet, and so forgotten by a restart; absent: it is */
  readonly durable?: false;
}

export type SwitchOutcome =
  | { readonly outcome: 'switched'; readonly status: TradingStatus }
  /** the desk is shut until a new process, whatever the switch says */
  | { readonly outcome: 'partFailed'; readonly status: TradingStatus; readonly parts: readonly string[] };

export interface LeaseTerms {
  readonly client: string;
  readonly cancelAfterMs: number;
  /** RFC 3339; null: there is no lease any more */
  readonly expiresAt: string | null;
}

export interface TradingPort {
  /** `receivedAt`: when the request came in, on the clock of `performance.now`; now when left out. */
  submit(request: OrderRequest, receivedAt?: number): Promise<SubmitOutcome>;
  modify(clientOrderId: string, change: TermsChange, ifVersion: number | null): Promise<ChangeOutcome>;
  cancel(clientOrderId: string): Promise<ChangeOutcome>;
  /** Ends an order that the broker's lists lack, as a person states it. */
  settle(clientOrderId: string, settlement: Settlement): Promise<ChangeOutcome>;
  cancelAll(): Promise<
    readonly {
      readonly clientOrderId: string;
      readonly fate: ChangeOutcome['outcome'];
      readonly order: Order;
    }[]
  >;
  preview(request: OrderRequest): Promise<PreviewOutcome>;
  /** Resolves when the broker answered what was asked for last (or the order closed), or with the order as it is after `timeoutMs`. */
  waitFor(clientOrderId: string, what: 'accepted' | 'closed', timeoutMs: number): Promise<Order>;
  /**
   * The open orders of this client (empty: of everybody without a name) are cancelled unless it renews in time.
   * 0 ends the lease and cancels nothing. Null: as many clients as may have a lease have one.
   */
  renewLease(client: string, cancelAfterMs: number): Promise<LeaseTerms | null>;
  status(): TradingStatus;
  /** Halting is always possible. */
  setStatus(state: TradingState, message: string): Promise<SwitchOutcome>;
  kill(message: string): Promise<
    readonly {
      readonly clientOrderId: string;
      readonly fate: ChangeOutcome['outcome'];
      readonly order: Order;
    }[]
  >;
}

/**
 * Lists are newest first where time orders them. An `after` that was never given out throws a RangeError. What a record says is
 * in the views by the time its listeners hear of it.
 */
export interface ReadingPort {
  orders(query: {
    readonly state: 'open' | 'closed' | 'all';
    readonly limit: number;
    readonly after: string | null;
  }): Page<Order>;
  order(clientOrderId: string): Order | undefined;
  executions(query: { readonly limit: number; readonly after: string | null }): Page<ExecutionRow>;
  positions(query: { readonly limit: number; readonly after: string | null }): Page<PositionRow>;
  account(): {
    readonly accounts: readonly string[];
    readonly values: readonly AccountValue[];
    readonly summary: Readonly<Record<string, string>> | null;
    /** how old what is known of each account's money is; `complete`: told in this session */
    readonly balances?: readonly {
      readonly account: string;
      readonly outcome: 'complete' | 'asking';
      readonly at: string | null;
      readonly ageMs: number | null;
    }[];
  };
  pnl(): {
    readonly accounts: readonly {
      readonly account: string;
      readonly daily: Decimal | null;
      readonly unrealized: Decimal | null;
      readonly realized: Decimal | null;
      readonly at: string | null;
    }[];
  };
  actors(): readonly ActorRow[];
  /** null while none was made */
  latestReconciliation(): Readonly<Record<string, unknown>> | null;
  /** lists of the broker that have not come whole in this session, with the reason of the last attempt */
  awaitedLists(): readonly {
    readonly list: string;
    readonly attempts: number;
    readonly reason: string | null;
  }[];
  journal(query: { readonly after: number; readonly limit: number }): {
    readonly records: readonly JournalRecord[];
    readonly lastSeq: number;
    /** names the row of numbers that these are of */
    readonly epoch: string;
  };
  /** Called for every record once it is durable, in order. */
  onRecord(listener: (record: JournalRecord) => void): () => void;
}

export interface MarketPort {
  /**
   * Counts one more reader of this instrument and opens its line when it is the first. `key` is what the rows are called by.
   * Release exactly once.
   */
  acquire(contract: Contract, key: string): { readonly key: string; release(): void };
  /** The newest row; undefined before the first tick. */
  quote(key: string): Quote | undefined;
  /** What was last known of an instrument without a row, as `stale`; for showing alone. */
  lastQuote?(key: string): Quote | undefined;
  /**
   * Counts one more reader of a line that carries something else than quotes, and opens it when it is the first. Release exactly
   * once.
   */
  watch(
    contract: Contract,
    instrument: string,
    feed: Exclude<LineFeed, { channel: 'quotes' }>,
  ): { readonly view: LineView; release(): void };
  /** Waits for the first row of an acquired key, at most so long; undefined when none came. */
  firstQuote(key: string, timeoutMs: number): Promise<Quote | { readonly failed: Reason } | undefined>;
  /** Why the line of quotes brings nothing since it was live last; null: it may. */
  quoteTrouble(key: string): LineTrouble | null;
  /** Each such trouble when it begins. */
  readonly quoteTrouble$: Observable<{ readonly key: string; readonly trouble: LineTrouble }>;
  /** For each group of readers the beat, at a moment of its own. Shared: emits only when something changed. */
  readonly beats: readonly [Observable<Beat>, ...Observable<Beat>[]];
  contracts(contract: Contract): Promise<readonly ContractDetails[] | RequestFailure>;
  search(pattern: string): Promise<
    | readonly {
        readonly instrument: string;
        readonly contract: Contract;
        readonly description: string;
        readonly derivativeSecTypes: readonly string[];
      }[]
    | RequestFailure
  >;
  bars(
    contract: Contract,
    query: {
      readonly duration: string;
      readonly barSize: string;
      readonly whatToShow: string;
      readonly regularHoursOnly: boolean;
    },
  ): Promise<readonly Bar[] | RequestFailure>;
}

export type { HealthReason, HealthReport, HealthStatus } from '../../machines/health.ts';
export interface HealthPort {
  /** From memory; never waits, never does I/O. */
  report(): HealthReport;
  metricsJson(): Readonly<Record<string, unknown>>;
  metricsText(): Promise<string>;
}

/** Bounds of one WebSocket client. */
export interface StreamLimits {
  readonly heartbeatMs: number;
  /** to authenticate, when tokens are set */
  readonly authMs: number;
  readonly maxClients: number;
  /** sockets that have not authenticated yet, when tokens are set */
  readonly maxUnauthenticated: number;
  readonly maxMessageBytes: number;
  readonly messagesPerSecond: number;
  readonly maxSubscriptions: number;
  readonly maxKeys: number;
  readonly maxCommandsInFlight: number;
  /** conflated channels skip beats while more is unsent */
  readonly skipAboveBytes: number;
  /** lossless channels close (4408) when more is unsent */
  readonly closeAboveBytes: number;
  /** of all clients together: above it those with the most unsent are closed (4408) until the others are below */
  readonly unsentBytesMax: number;
  /** a client with more than `skipAboveBytes` unsent for so long is closed (4408) */
  readonly stallMs: number;
  /** facts that a subscription with `after` replays; further back it gets a snapshot */
  readonly maxReplay: number;
}

/** Bounds of what HTTP clients may ask. Rates are per client address. */
export interface HttpLimits {
  readonly windowMs: number;
  /** requests per window of a client on this machine */
  readonly localRequests: number;
  /** requests per window of any other client */
  readonly requests: number;
  /** wrong or missing tokens per six windows, before they are answered 429 */
  readonly failedTokens: number;
  /** for the head of a request to arrive */
  readonly headersMs: number;
  /** for the whole request to arrive */
  readonly requestMs: number;
  /** that a connection may wait for its next request */
  readonly idleMs: number;
  /** of all clients, streams included */
  readonly maxConnections: number;
  readonly maxHeaders: number;
  readonly maxUrlBytes: number;
}

export interface HttpOptions {
  readonly name: string;
  readonly version: string;
  /** `simulated`, `paper` or `live` */
  readonly environment: string;
  readonly host: string;
  /** 0 for a free port */
  readonly port: number;
  readonly debug: boolean;
  readonly tradeToken: string;
  readonly readToken: string;
  readonly allowedOrigins: readonly string[];
  readonly beatMs: number;
  readonly readyRequiresTws: boolean;
  readonly trading: TradingPort;
  readonly reading: ReadingPort;
  readonly market: MarketPort;
  readonly health: HealthPort;
  /** Where the dashboard is served; null or absent: nowhere. */
  readonly dashboard?: string | null;
  /** Bounds of the stream that differ from the usual ones. */
  readonly streamLimits?: Partial<StreamLimits>;
  /** Bounds of HTTP that differ from the usual ones. */
  readonly httpLimits?: Partial<HttpLimits>;
  /**
   * Called once per beat of each group that has readers, when its last frame was handed to a socket: ms since the beat, how
   * many frames, ms since its oldest tick was read.
   */
  readonly onFanOut?: (ms: number, frames: number, tickMs: number) => void;
  /** Called for each beat that a client did not get, each time it gets fewer of them, and when it is closed for it. */
  readonly onSlowClient?: (measure: 'skipped' | 'thinned' | 'closed') => void;
  /** Called once per beat of depth, trades and bars: changes folded into rows, and prints that rows had no room for. */
  readonly onConflated?: (channel: LineChannel, merged: number, dropped: number) => void;
  /** Called with the time from request received to answer sent, in ms, for every request but probes. */
  readonly onHttpTiming: (route: string, ms: number) => void;
}
