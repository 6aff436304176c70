/**
 * The words that the simulator's parts share: the codec turns bytes into these, the exchange decides on them,
 * the server routes them back. Names are those of IB's API.
 */

/** A wall clock and timers, real or virtual, in milliseconds since the epoch. */
export interface Clock {
  now(): number;
  setTimeout(callback: () => void, delayMs: number): TimerHandle;
  clearTimeout(handle: TimerHandle): void;
}
export type TimerHandle = object;

export interface ComboLeg {
  readonly conId: number;
  readonly ratio: number;
  readonly action: 'BUY' | 'SELL';
  readonly exchange: string;
}

/** A contract as a client names it (a query, fields may be empty or 0) or as the catalogue knows it (complete). */
export interface Contract {
  readonly conId: number;
  readonly symbol: string;
  /** STK OPT FUT FOP CASH IND CFD BOND CRYPTO CMDTY FUND WAR BAG */
  readonly secType: string;
  /** `yyyymmdd` or `yyyymm`, empty for what does not expire */
  readonly lastTradeDateOrContractMonth: string;
  readonly strike: number;
  readonly right: '' | 'C' | 'P';
  readonly multiplier: string;
  readonly exchange: string;
  readonly primaryExchange: string;
  readonly currency: string;
  readonly localSymbol: string;
  readonly tradingClass: string;
  readonly comboLegs: readonly ComboLeg[];
}

/** A query of reqContractDetails: a contract whose empty fields match anything. */
export interface ContractQuery extends Contract {
  readonly includeExpired: boolean;
  readonly secIdType: string;
  readonly secId: string;
}

export interface ContractDetails {
  readonly contract: Contract;
  readonly marketName: string;
  readonly minTick: number;
  readonly orderTypes: string;
  readonly validExchanges: string;
  readonly priceMagnifier: number;
  readonly underConId: number;
  readonly longName: string;
  readonly contractMonth: string;
  readonly industry: string;
  readonly category: string;
  readonly subcategory: string;
  readonly timeZoneId: string;
  readonly tradingHours: string;
  readonly liquidHours: string;
  readonly secIds: readonly { readonly tag: string; readonly value: string }[];
  readonly aggGroup: number;
  readonly underSymbol: string;
  readonly underSecType: string;
  /** one market rule id per valid exchange, comma separated */
  readonly marketRuleIds: string;
  readonly realExpirationDate: string;
  /** `yyyymmdd` or, for futures, with time and zone; empty for what does not expire */
  readonly lastTradeDate: string;
  readonly stockType: string;
  readonly minSize: number;
  readonly sizeIncrement: number;
  readonly suggestedSizeIncrement: number;
}

export interface PriceIncrement {
  readonly lowEdge: number;
  readonly increment: number;
}

/** A condition of a conditional order; the fields present depend on `type`, as on the wire. */
export interface OrderCondition {
  /** 1 price, 3 time, 4 margin, 5 execution, 6 volume, 7 percent change */
  readonly type: number;
  readonly conjunction: 'a' | 'o';
  readonly isMore?: boolean;
  readonly price?: number;
  readonly conId?: number;
  readonly exchange?: string;
  readonly triggerMethod?: number;
  readonly time?: string;
  readonly percent?: number;
  readonly secType?: string;
  readonly symbol?: string;
  readonly volume?: number;
}

/** One placeOrder message, wholly parsed. Absent numbers are null. */
export interface OrderRequest {
  readonly clientId: number;
  readonly orderId: number;
  readonly contract: Contract;
  readonly action: string;
  readonly totalQuantity: number;
  /** upper case, as sent: `LMT`, `MKT`, `STP`, `STP LMT`, `TRAIL`, `TRAIL LIMIT`, `MIT`, `LIT`, `MOC`, `LOC`, `MIDPRICE`, `REL`, ... */
  readonly orderType: string;
  readonly lmtPrice: number | null;
  readonly auxPrice: number | null;
  /** DAY GTC IOC FOK GTD OPG DTC AUC; empty means DAY */
  readonly tif: string;
  readonly ocaGroup: string;
  /** 1 cancel with block, 2 reduce with block, 3 reduce without block; 0 = 3 */
  readonly ocaType: number;
  readonly account: string;
  readonly orderRef: string;
  readonly transmit: boolean;
  readonly parentId: number;
  readonly outsideRth: boolean;
  readonly allOrNone: boolean;
  readonly minQty: number | null;
  readonly displaySize: number | null;
  readonly percentOffset: number | null;
  readonly trailStopPrice: number | null;
  readonly trailingPercent: number | null;
  readonly lmtPriceOffset: number | null;
  readonly cashQty: number | null;
  readonly goodAfterTime: string;
  readonly goodTillDate: string;
  readonly algoStrategy: string;
  readonly algoParams: readonly { readonly tag: string; readonly value: string }[];
  readonly conditions: readonly OrderCondition[];
  readonly conditionsCancelOrder: boolean;
  readonly conditionsIgnoreRth: boolean;
  readonly orderComboLegPrices: readonly (number | null)[];
  readonly smartComboRoutingParams: readonly { readonly tag: string; readonly value: string }[];
  readonly whatIf: boolean;
  /** every other field of the message by its IB name, as text, so that openOrder can echo it */
  readonly fields: Readonly<Record<string, string>>;
}

/** What a client wants done with an option that it holds. A refusal is an order error under the `reqId`. */
export interface ExerciseRequest {
  readonly clientId: number;
  readonly reqId: number;
  readonly contract: Contract;
  /** 1 exercise, 2 lapse */
  readonly action: number;
  readonly quantity: number;
  readonly account: string;
  /** also when the option is out of the money */
  readonly override: boolean;
}

/** IB's own status words. */
export type OrderStatus =
  | 'PendingSubmit'
  | 'PreSubmitted'
  | 'Submitted'
  | 'PendingCancel'
  | 'Cancelled'
  | 'Filled'
  | 'Inactive';

/** An order in the exchange's book. An immutable snapshot: each change makes a new one. */
export interface BookOrder {
  /** the newest terms; `request.contract` is as the client named it */
  readonly request: OrderRequest;
  /** the contract of the catalogue */
  readonly contract: Contract;
  readonly permId: number;
  readonly parentPermId: number;
  readonly status: OrderStatus;
  readonly filled: number;
  readonly remaining: number;
  readonly avgFillPrice: number;
  readonly lastFillPrice: number;
  readonly whyHeld: string;
  readonly mktCapPrice: number;
  /** the stop that a trailing order has reached */
  readonly trailStopPrice: number | null;
  /** sum of the commissions so far; null while none is known */
  readonly commission: number | null;
  readonly commissionCurrency: string;
  readonly warningText: string;
  /** present in the answer to a whatIf */
  readonly margin: WhatIfMargin | null;
  /** ms since the epoch, null while open */
  readonly completedAt: number | null;
  /** `Cancelled by Trader`, `Filled Size: 100`, ...; empty while open */
  readonly completedStatus: string;
}

export interface WhatIfMargin {
  readonly initMarginBefore: number;
  readonly maintMarginBefore: number;
  readonly equityWithLoanBefore: number;
  readonly initMarginChange: number;
  readonly maintMarginChange: number;
  readonly equityWithLoanChange: number;
  readonly initMarginAfter: number;
  readonly maintMarginAfter: number;
  readonly equityWithLoanAfter: number;
  readonly commission: number | null;
  readonly minCommission: number | null;
  readonly maxCommission: number | null;
  readonly commissionCurrency: string;
}

export interface Execution {
  readonly execId: string;
  readonly orderId: number;
  readonly clientId: number;
  readonly permId: number;
  readonly orderRef: string;
  readonly contract: Contract;
  /** ms since the epoch */
  readonly time: number;
  readonly account: string;
  readonly exchange: string;
  readonly side: 'BOT' | 'SLD';
  readonly shares: number;
  readonly price: number;
  readonly cumQty: number;
  readonly avgPrice: number;
  readonly liquidation: number;
  /** 1 added, 2 removed liquidity, 3 routed out */
  readonly lastLiquidity: number;
}

export interface CommissionReport {
  readonly execId: string;
  readonly commission: number;
  readonly currency: string;
  /** null: unset */
  readonly realizedPNL: number | null;
}

export interface Position {
  readonly account: string;
  readonly contract: Contract;
  readonly position: number;
  /** with multiplier and commissions, as IB reports it */
  readonly avgCost: number;
  readonly marketPrice: number;
  readonly marketValue: number;
  readonly unrealizedPNL: number;
  readonly realizedPNL: number;
}

export interface AccountValue {
  readonly account: string;
  readonly key: string;
  readonly value: string;
  readonly currency: string;
}

/** What the exchange tells the server, in the order in which TWS would tell it. */
export type ExchangeEvent =
  | { readonly type: 'openOrder'; readonly order: BookOrder }
  | { readonly type: 'orderStatus'; readonly order: BookOrder }
  | { readonly type: 'execution'; readonly execution: Execution }
  | { readonly type: 'commission'; readonly clientId: number; readonly report: CommissionReport }
  | {
      readonly type: 'orderError';
      readonly clientId: number;
      readonly orderId: number;
      /** of the order in the book that the error is about; null when none entered it */
      readonly permId: number | null;
      readonly code: number;
      readonly text: string;
    }
  | { readonly type: 'position'; readonly position: Position }
  /** account values or portfolio rows of this account moved */
  | { readonly type: 'account'; readonly account: string };

/** One change of a quote. `field` is not a wire tick type: the server maps it (live, delayed). */
export type Tick =
  | {
      readonly field: 'bid' | 'ask' | 'last';
      readonly price: number;
      readonly size: number;
      /** 1 canAutoExecute, 2 pastLimit, 4 preOpen */
      readonly attrMask: number;
    }
  | { readonly field: 'open' | 'high' | 'low' | 'close'; readonly price: number }
  | { readonly field: 'bidSize' | 'askSize' | 'lastSize' | 'volume'; readonly size: number }
  | { readonly field: 'lastTimestamp'; readonly epochSeconds: number }
  | { readonly field: 'halted'; readonly value: number }
  | { readonly field: 'bidExch' | 'askExch' | 'lastExch'; readonly text: string };

/** One trade print (time and sales). */
export interface Print {
  readonly time: number;
  readonly price: number;
  readonly size: number;
  readonly exchange: string;
  readonly conditions: string;
}

export interface QuoteSnapshot {
  readonly bid: number;
  readonly ask: number;
  readonly bidSize: number;
  readonly askSize: number;
  readonly last: number;
  readonly lastSize: number;
  readonly volume: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly halted: boolean;
}

export interface DepthRow {
  readonly position: number;
  /** 0 insert, 1 update, 2 delete */
  readonly operation: 0 | 1 | 2;
  /** 0 ask, 1 bid */
  readonly side: 0 | 1;
  readonly price: number;
  readonly size: number;
  readonly marketMaker: string;
}

export interface Bar {
  /** ms since the epoch: start of the bar, or midnight of its last trading day when it spans days */
  readonly time: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  readonly wap: number;
  readonly count: number;
}

/** A stretch of the past. */
export interface PeriodRequest {
  readonly conId: number;
  /** ms since the epoch */
  readonly end: number;
  readonly durationSeconds: number;
  /** the duration as a count of sessions, when it was given in days */
  readonly tradingDays?: number;
  readonly useRth: boolean;
}

export interface BarRequest extends PeriodRequest {
  readonly barSeconds: number;
  /** TRADES MIDPOINT BID ASK BID_ASK ADJUSTED_LAST ... */
  readonly whatToShow: string;
}

export interface ExecutionFilter {
  /** 0 = any */
  readonly clientId: number;
  readonly account: string;
  /** ms since the epoch; null = the current day */
  readonly since: number | null;
  readonly symbol: string;
  readonly secType: string;
  readonly exchange: string;
  /** BUY or SELL, empty = any */
  readonly side: string;
}

/**
 * The scriptable venue. It decides; it knows neither sockets nor fields of the wire.
 * Every call that changes the book reports through `onEvent`, synchronously or later on the clock.
 */
export interface Exchange {
  readonly clock: Clock;
  readonly accounts: readonly string[];
  onEvent(listener: (event: ExchangeEvent) => void): () => void;

  /** Contracts of the catalogue that match; a query without exchange answers once per listing. Never throws. */
  findContracts(query: ContractQuery): readonly ContractDetails[];
  /** The one contract that an order or a data request means, or the TWS error for it (200, 203, 321, ...). */
  resolve(
    contract: Contract,
  ): { readonly details: ContractDetails } | { readonly code: number; readonly text: string };
  searchSymbols(pattern: string): readonly {
    readonly contract: Contract;
    readonly derivativeSecTypes: readonly string[];
    readonly description: string;
  }[];
  optionParameters(
    underlyingSymbol: string,
    futFopExchange: string,
    underlyingSecType: string,
    underlyingConId: number,
  ): readonly {
    readonly exchange: string;
    readonly underlyingConId: number;
    readonly tradingClass: string;
    readonly multiplier: string;
    readonly expirations: readonly string[];
    readonly strikes: readonly number[];
  }[];
  marketRule(id: number): readonly PriceIncrement[] | null;

  /**
   * New order, or a modification when (clientId, orderId) is in the book by the time it gets there. `isSpent`: its id was used
   * before, so that it can be nothing but a modification. Errors are events, never throws.
   */
  place(request: OrderRequest, isSpent?: boolean): void;
  /** New terms for an order of TWS itself, which its ids do not name. */
  modify(permId: number, request: OrderRequest): void;
  exercise(request: ExerciseRequest): void;
  cancel(clientId: number, orderId: number): void;
  cancelAll(): void;
  /** whatIf: answers with openOrder events only; nothing enters the book. `place` routes here when request.whatIf. */
  openOrders(): readonly BookOrder[];
  /** Closed today, newest last. */
  completedOrders(): readonly BookOrder[];
  executions(filter: ExecutionFilter): readonly Execution[];
  commissionReport(execId: string): CommissionReport | null;
  positions(): readonly Position[];
  accountValues(account: string): readonly AccountValue[];
  pnl(account: string): { readonly daily: number; readonly unrealized: number; readonly realized: number };
  pnlSingle(
    account: string,
    conId: number,
  ): {
    readonly position: number;
    readonly daily: number;
    readonly unrealized: number;
    readonly realized: number;
    readonly value: number;
  } | null;

  quote(conId: number): QuoteSnapshot | null;
  /** Every change of the quote from now on. The caller sends `quote()` first. */
  subscribeTicks(conId: number, listener: (tick: Tick) => void): () => void;
  subscribePrints(conId: number, listener: (print: Print) => void): () => void;
  /** First the rows as inserts (within the call), then changes. */
  subscribeDepth(conId: number, rows: number, listener: (row: DepthRow) => void): () => void;
  /** Ascending, from the same seeded process that makes the ticks; the last bar may be forming when end is now. */
  bars(request: BarRequest): readonly Bar[];
  /** The sessions of a past period, ascending, as ms since the epoch. */
  sessions(request: PeriodRequest): readonly { readonly open: number; readonly close: number }[];
  /** The earliest bar, ms since the epoch; null when there is no such data. */
  headTimestamp(conId: number, whatToShow: string): number | null;
  histogram(
    conId: number,
    periodSeconds: number,
  ): readonly { readonly price: number; readonly size: number }[];
  historicalPrints(
    conId: number,
    startMs: number | null,
    endMs: number | null,
    count: number,
  ): readonly (Print & {
    readonly bid: number;
    readonly ask: number;
    readonly bidSize: number;
    readonly askSize: number;
  })[];
  /** Option model values (Black-Scholes) for a contract with this underlying; null for non-options. */
  optionModel(
    conId: number,
    given?: { readonly volatility?: number; readonly optionPrice?: number; readonly underPrice?: number },
  ): {
    readonly impliedVol: number;
    readonly delta: number;
    readonly optPrice: number;
    readonly pvDividend: number;
    readonly gamma: number;
    readonly vega: number;
    readonly theta: number;
    readonly undPrice: number;
  } | null;

  /** Scripting: what a test or a scenario does to the market and to the book. */
  readonly script: ExchangeScript;
  /** Stops every timer. */
  close(): void;
}

/** The levers that a test or scenario pulls. Each acts at once and reports through the ordinary events. */
export interface ExchangeScript {
  /** Fixes the market of a contract at these prices until `release`. */
  pin(conId: number, quote: Partial<QuoteSnapshot>): void;
  release(conId: number): void;
  halt(conId: number, halted: boolean): void;
  /** Fills an open order by hand, at the given price (default: its limit or the market). */
  fill(permId: number, shares: number, price?: number): Execution;
  /** Marks an order as held at the exchange: never matched until `unhold`. */
  hold(permId: number): void;
  unhold(permId: number): void;
  /** Corrects an execution: same family, next revision. Shares 0 busts it. */
  correct(execId: string, change: { readonly shares?: number; readonly price?: number }): Execution;
  /** The broker ends an order: cancels it, expires it, or makes it Inactive with a reason. */
  end(
    permId: number,
    how: 'Cancelled' | 'Expired' | 'Inactive',
    why?: { code?: number; text?: string; whyHeld?: string },
  ): void;
  /** An order or trade of another client, of TWS itself (clientId 0, orderId 0) or a liquidation (orderId -1). */
  external(
    request: Partial<OrderRequest> & Pick<OrderRequest, 'contract' | 'action' | 'totalQuantity'>,
  ): BookOrder;
  liquidate(account: string, conId: number): Execution;
  /** Sets a position or the cash of an account without any execution. */
  setPosition(account: string, conId: number, position: number, avgCost: number): void;
  setCash(account: string, currency: string, amount: number): void;
  /** Every later order is answered with this error instead of entering the book, `times` times (default: for ever). */
  rejectNext(code: number, text: string, times?: number): void;
  /** Probability-free partial fills: at most this many shares per match of a contract (0 = no limit). */
  setLiquidity(conId: number, sharesPerMatch: number): void;
}
