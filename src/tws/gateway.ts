/** The gateway: it survives sessions, holds the current one, and answers questions about accounts and markets. */
import {
  type BarSizeSetting,
  EventName,
  type IBApi,
  type ContractDetails as IbContractDetails,
  type WhatToShow,
} from '@stoqey/ib';
import { fromCallback } from 'xstate';
import type { BarSink, DepthSink, StreamedBarSize, TradeSink } from '../../machines/feed.ts';
import type { Contract } from '../../machines/instrument.ts';
import type { Bar, Line, RequestFailure, TickSink } from '../../machines/market.ts';
import type { OrderTicket } from '../../machines/order.ts';
import type { SessionCommand, SessionInput } from '../../machines/tws.machine.ts';
import type { AccountValue, ContractDetails, OrderPreview, Snapshot } from '../../machines/tws.ts';
import { createAccount, type PnlRow, type PortfolioRow } from './account.ts';
import { historyAnswerOf } from './codes.ts';
import { createLines } from './lines.ts';
import { toIbContract, toIbOrder } from './orders.ts';
import {
  createPacer,
  defaultPacing,
  type Lane,
  type LaneFigures,
  lanes,
  type PacingOptions,
} from './pacing.ts';
import { createPlausibility } from './plausible.ts';
import { createPreviews } from './previews.ts';
import { createCollection, createList, notConnected, readError } from './requests.ts';
import { openSession, type SessionListeners } from './session.ts';
import { createStreams } from './streams.ts';
import { dayOf } from './times.ts';
import {
  type CompletedSeen,
  type Executed,
  hasFigures,
  type OrderSeen,
  type PositionSeen,
  toBar,
  toContract,
  toContractDetails,
} from './translate.ts';
import { createVenues } from './venues.ts';
import { createRequestIds, type GatewayClock, type Logger, type Wire } from './wire.ts';

export type { PnlRow, PortfolioRow } from './account.ts';
export type { GatewayClock, Logger } from './wire.ts';

export interface GatewayOptions {
  /** ms since the epoch */
  now(): number;
  /** hears of each message that is handed to the socket, and how long its lane made it wait, ms */
  readonly onPaced?: (lane: Lane, waitedMs: number) => void;
  readonly log: Logger;
  readonly pacing?: Partial<PacingOptions>;
  /** how long TWS may take to answer a question, default 10,000; with a list of the book 8,000 */
  readonly requestTimeoutMs?: number;
  /** timers other than the real ones, and the clock that they go by */
  readonly timers?: Omit<GatewayClock, 'now'>;
}

export interface BarsQuery {
  /** e.g. `1 D` */
  readonly duration: string;
  /** e.g. `1 min` */
  readonly barSize: string;
  /** e.g. `TRADES` */
  readonly whatToShow: string;
  readonly regularHoursOnly: boolean;
}

/** A symbol that matches a search. */
export interface SymbolMatch {
  readonly contract: Contract;
  readonly derivativeSecTypes: readonly string[];
  readonly description: string;
}

export interface GatewayFigures {
  readonly lanes: Readonly<Record<Lane, LaneFigures>>;
  readonly messagesSent: number;
  readonly sessions: number;
  readonly ticks: number;
  readonly lines: number;
  readonly unknownCodes: number;
  readonly undecodable: number;
  /** requests for data that wait for an answer */
  readonly requestsWaiting: number;
  /** bytes that TWS has not taken yet */
  readonly unsentBytes: number;
}

export interface Gateway {
  /** Fills the connection machine's slot. */
  readonly session: ReturnType<typeof fromCallback<SessionCommand, SessionInput>>;

  /** Everybody's open orders. The rows also flow as facts. */
  openOrders(): Promise<Snapshot<OrderSeen>>;
  completedOrders(): Promise<Snapshot<CompletedSeen>>;
  /** All executions of the day that TWS still has. */
  executions(): Promise<Snapshot<Executed>>;
  positions(): Promise<Snapshot<PositionSeen>>;
  /** Cash of every currency and net liquidation, of every account. Failed when one of them has no figures. */
  account(): Promise<Snapshot<AccountValue>>;
  /** The current day of TWS's clock, whose executions it still lists, in ms; null without a session. */
  day(): { readonly from: number; readonly to: number } | null;

  contractDetails(contract: Contract): Promise<readonly ContractDetails[] | RequestFailure>;
  search(pattern: string): Promise<readonly SymbolMatch[] | RequestFailure>;
  /** Ascending. No data is an empty list; a pacing violation a failure with `retryAfterMs`. */
  bars(contract: Contract, query: BarsQuery): Promise<readonly Bar[] | RequestFailure>;
  /** A whatIf under an order id of its own; nothing of it becomes a fact. */
  preview(ticket: OrderTicket, orderId: number): Promise<OrderPreview | RequestFailure>;

  openLine(contract: Contract, sink: TickSink): Line | RequestFailure;
  openDepth(contract: Contract, rows: number, sink: DepthSink): Line | RequestFailure;
  openTrades(contract: Contract, sink: TradeSink): Line | RequestFailure;
  openBars(contract: Contract, barSize: StreamedBarSize, sink: BarSink): Line | RequestFailure;

  /** Each returns what unsubscribes. The streams start with the first listener, again with each session. */
  onAccountValue(listener: (value: AccountValue) => void): () => void;
  onPortfolio(listener: (row: PortfolioRow) => void): () => void;
  onPnl(listener: (row: PnlRow) => void): () => void;

  figures(): GatewayFigures;
}

/** Whether an answer is a failure. */
export function isFailure<T extends object>(answer: T | RequestFailure): answer is RequestFailure {
  return 'failed' in answer;
}

/** The library declares a contract where it gives the details of a bond. */
const asDetails = (row: object): IbContractDetails => row as IbContractDetails;

/** Net liquidation, and every figure of cash in each currency. */
const figureTags = 'NetLiquidation,TotalCashValue,$LEDGER:ALL';

const noFigures: LaneFigures = { sent: 0, waiting: 0, longestWaitMs: 0, totalWaitMs: 0 };

/** Positions wait for it, and a list must not become too late. */
const venueTimeoutMs = 2_000;

const severed: RequestFailure = {
  failed: { code: 'severed', message: 'the gateway has no link to IB' },
};

export function createGateway(options: GatewayOptions): Gateway {
  const { log } = options;
  const timeoutMs = options.requestTimeoutMs ?? 10_000;
  // A doubt that begins while a list hangs is asked about once it has failed, and that within ten seconds.
  const listTimeoutMs = options.requestTimeoutMs ?? 8_000;
  const pacing: PacingOptions = { ...defaultPacing, ...options.pacing };
  const clock: GatewayClock = {
    now: options.now,
    monotonic: options.timers?.monotonic ?? (() => performance.now()),
    setTimeout: options.timers?.setTimeout ?? ((callback, delayMs) => setTimeout(callback, delayMs)),
    clearTimeout: options.timers?.clearTimeout ?? ((handle) => clearTimeout(handle)),
  };
  const nextId = createRequestIds();
  const plausibility = createPlausibility();

  let wire: Wire | null = null;
  let sessions = 0;
  let unknownCodes = 0;
  let undecodable = 0;
  /** what the pacers of past sessions counted */
  let past: Record<Lane, LaneFigures> = {
    cancel: noFigures,
    order: noFigures,
    control: noFigures,
    data: noFigures,
  };

  const openOrders = createList<OrderSeen>(clock, 'openOrders');
  const completedOrders = createList<CompletedSeen>(clock, 'completedOrders');
  const positions = createList<PositionSeen>(clock, 'positions');
  const executions = createCollection<Executed>(clock, nextId);
  const details = createCollection<ContractDetails>(clock, nextId);
  const matches = createCollection<SymbolMatch>(clock, nextId);
  const bars = createCollection<Bar>(clock, nextId);
  const summaries = createCollection<AccountValue>(clock, nextId);
  const collections = [executions, details, matches, bars, summaries] as const;
  const previews = createPreviews(clock);
  const lines = createLines(nextId);
  const streams = createStreams(nextId);
  const venues = createVenues(async (conId) => {
    const asked = current();
    if (!asked || isSevered) return null;
    const ask = (api: IBApi, id: number): void => {
      api.reqContractDetails(id, { conId });
    };
    const found = await details.ask(asked, { lane: 'data', timeoutMs: venueTimeoutMs, ask });
    return isFailure(found) ? null : (found[0]?.contract.exchange ?? null);
  });
  const account = createAccount(nextId, venues);
  let executionsSpoiled: string | null = null;
  let summarySpoiled: string | null = null;
  let executionsAnswer: Promise<Snapshot<Executed>> | null = null;
  let accountAnswer: Promise<Snapshot<AccountValue>> | null = null;

  /** the gateway has said that it has no link to IB: nobody would answer */
  let isSevered = false;
  const current = (): Wire | null => (wire?.isOpen ? wire : null);

  const listeners: SessionListeners = {
    attached(attached) {
      isSevered = false;
      wire = attached;
      sessions += 1;
      lines.attach(attached);
      streams.attach(attached);
      account.attach(attached);
      const { api } = attached.connection;
      api.on(EventName.contractDetails, (id, row) => {
        const told = toContractDetails(row);
        venues.learn(told.contract);
        details.add(id, told);
      });
      api.on(EventName.bondContractDetails, (id, row) => details.add(id, toContractDetails(asDetails(row))));
      api.on(EventName.contractDetailsEnd, (id) => details.end(id));
      api.on(EventName.symbolSamples, (id, rows) => {
        for (const row of rows) {
          matches.add(id, {
            contract: toContract(row.contract ?? {}),
            derivativeSecTypes: row.derivativeSecTypes ?? [],
            description: row.contract?.description ?? '',
          });
        }
        matches.end(id);
      });
      api.on(EventName.accountSummary, (id, name, key, value, currency) => {
        const at = new Date(attached.connection.readAt).toISOString();
        summaries.add(id, { account: name, key, value, currency, at });
      });
      api.on(EventName.accountSummaryEnd, (id) => summaries.end(id));
      api.on(EventName.historicalData, (id, time, open, high, low, close, volume, count, wap) => {
        if (time.startsWith('finished')) return bars.end(id);
        bars.add(id, toBar([time, open, high, low, close, volume, count, wap], attached.zone));
      });
    },
    ready: (ready) => account.start(ready),
    fact(fact, requestId) {
      switch (fact.type) {
        case 'broker.orderSeen':
          return openOrders.add(fact);
        case 'broker.completedSeen':
          return completedOrders.add(fact);
        case 'broker.positionSeen':
          return positions.add(fact);
        case 'broker.executed':
          return executions.add(requestId, fact);
      }
    },
    isPreview: previews.has,
    previewed: (orderId, preview) => previews.answer(orderId, preview, hasFigures(preview)),
    failed(id, code, message) {
      if (previews.error(id, code, message) || lines.error(id, code, message)) return;
      if (streams.error(id, code, message)) return;
      if (collections.some((collection) => collection.error(id, code, message))) return;
      if (account.error(id)) log.warn({ code, message }, 'TWS refuses a stream of account data');
      else log.debug({ id, code, message }, 'TWS answers a request that nobody waits for');
    },
    ended(list) {
      if (list === 'openOrders') openOrders.end();
      else if (list === 'completedOrders') completedOrders.end();
      else positions.end();
    },
    endedExecutions: (requestId) => executions.end(requestId),
    undecodable(kind, problem) {
      undecodable += 1;
      if (kind === 5) openOrders.spoil(problem);
      if (kind === 101) completedOrders.spoil(problem);
      if (kind === 61) positions.spoil(problem);
      if (kind === 11) executionsSpoiled = `undecodable: ${problem}`;
      if (kind === 63) summarySpoiled = `undecodable: ${problem}`;
    },
    unknownCode(code, message) {
      unknownCodes += 1;
      log.info({ code, message }, 'TWS sends a code that is not in the table');
    },
    detached() {
      const gone = wire;
      wire = null;
      for (const list of [openOrders, completedOrders, positions]) list.fail('not-connected');
      for (const collection of collections) collection.fail(notConnected);
      previews.fail(notConnected);
      lines.detach();
      streams.detach();
      venues.forget();
      account.detach();
      if (gone) past = summed(past, gone.pacer.figures());
    },
  };

  const askExecutions = async (asked: Wire): Promise<Snapshot<Executed>> => {
    executionsSpoiled = null;
    const rows = await executions.ask(asked, {
      lane: 'control',
      timeoutMs: listTimeoutMs,
      ask: (api, id) => api.reqExecutions(id, {}),
    });
    const at = clock.now();
    if (isFailure(rows)) return { outcome: 'failed', reason: rows.failed.code, at };
    if (executionsSpoiled !== null) return { outcome: 'failed', reason: executionsSpoiled, at };
    return { outcome: 'complete', rows, at };
  };

  const askAccount = async (asked: Wire): Promise<Snapshot<AccountValue>> => {
    summarySpoiled = null;
    const withdraw = (api: IBApi, id: number): void => {
      api.cancelAccountSummary(id);
    };
    let asId = 0;
    const rows = await summaries.ask(asked, {
      lane: 'control',
      timeoutMs,
      ask(api, id) {
        asId = id;
        api.reqAccountSummary(id, 'All', figureTags);
      },
      withdraw,
    });
    const at = clock.now();
    if (isFailure(rows)) return { outcome: 'failed', reason: rows.failed.code, at };
    // It would go on as a subscription, of which TWS allows two.
    asked.send('control', `request:${asId}`, (api) => withdraw(api, asId));
    if (summarySpoiled !== null) return { outcome: 'failed', reason: summarySpoiled, at };
    const told = new Set(rows.flatMap(({ account: name, key }) => (key === 'NetLiquidation' ? [name] : [])));
    const silent = asked.accounts.filter((name) => !told.has(name)).length;
    if (silent > 0)
      return {
        outcome: 'failed',
        reason: `no figures of ${silent} of ${asked.accounts.length} accounts`,
        at,
      };
    account.tell(rows);
    return { outcome: 'complete', rows, at };
  };

  return {
    session: fromCallback<SessionCommand, SessionInput>(({ input, sendBack, receive }) => {
      const session = openSession(
        input,
        {
          clock,
          log,
          pacer: createPacer({ ...clock, now: clock.monotonic }, pacing, options.onPaced),
          listeners,
          plausibility,
          venues,
        },
        (event) => {
          if (event.type === 'link.severed') isSevered = true;
          if (event.type === 'link.restored') isSevered = false;
          sendBack(event);
        },
      );
      receive((command) => session.command(command));
      return () => session.end('session-ended');
    }),

    openOrders: () => openOrders.ask(current(), listTimeoutMs, (api) => api.reqAllOpenOrders()),
    completedOrders: () =>
      completedOrders.ask(current(), listTimeoutMs, (api) => api.reqCompletedOrders(false)),
    positions: () => positions.ask(current(), listTimeoutMs, (api) => api.reqPositions()),
    account() {
      const asked = current();
      if (!asked) return Promise.resolve({ outcome: 'failed', reason: 'not-connected', at: clock.now() });
      accountAnswer ??= askAccount(asked).finally(() => {
        accountAnswer = null;
      });
      return accountAnswer;
    },
    day() {
      const asked = current();
      return asked ? dayOf(clock.now(), asked.zone) : null;
    },
    executions() {
      if (executionsAnswer) return executionsAnswer;
      const asked = current();
      if (!asked) return Promise.resolve({ outcome: 'failed', reason: 'not-connected', at: clock.now() });
      executionsAnswer = askExecutions(asked).finally(() => {
        executionsAnswer = null;
      });
      return executionsAnswer;
    },

    contractDetails: async (contract) => {
      const asked = current();
      if (!asked) return notConnected;
      if (isSevered) return severed;
      return details.ask(asked, {
        lane: 'data',
        timeoutMs,
        ask: (api, id) => api.reqContractDetails(id, toIbContract(contract)),
      });
    },
    search: async (pattern) => {
      const asked = current();
      if (!asked) return notConnected;
      if (isSevered) return severed;
      return matches.ask(asked, {
        lane: 'data',
        timeoutMs,
        ask: (api, id) => api.reqMatchingSymbols(id, pattern),
      });
    },
    bars: async (contract, query) => {
      const asked = current();
      if (!asked) return notConnected;
      if (isSevered) return severed;
      return bars.ask(asked, {
        lane: 'data',
        timeoutMs: timeoutMs * 3,
        ask: (api, id) =>
          api.reqHistoricalData(
            id,
            toIbContract(contract),
            '',
            query.duration,
            query.barSize as BarSizeSetting,
            query.whatToShow as WhatToShow,
            query.regularHoursOnly,
            2,
            false,
          ),
        withdraw: (api, id) => api.cancelHistoricalData(id),
        readError(code, message) {
          if (code !== 162) return readError(code, message);
          switch (historyAnswerOf(message)) {
            case 'noData':
              return 'empty';
            case 'pacing':
              return { failed: { code: '162', message }, retryAfterMs: 15_000 };
            default:
              return { failed: { code: '162', message } };
          }
        },
      });
    },
    preview: async (ticket, orderId) => {
      const asked = current();
      if (!asked) return notConnected;
      if (isSevered) return severed;
      const contract = toIbContract(ticket.contract);
      const order = toIbOrder({ ...ticket, transmit: true }, 0, true);
      return previews.ask(asked, orderId, timeoutMs, (api) => api.placeOrder(orderId, contract, order));
    },

    openLine: (contract, sink) => lines.open(current(), contract, sink),
    openDepth: (contract, rows, sink) => streams.openDepth(current(), contract, rows, sink),
    openTrades: (contract, sink) => streams.openTrades(current(), contract, sink),
    openBars: (contract, barSize, sink) => streams.openBars(current(), contract, barSize, sink),
    onAccountValue: account.onAccountValue,
    onPortfolio: account.onPortfolio,
    onPnl: account.onPnl,

    figures() {
      const figures = wire ? summed(past, wire.pacer.figures()) : past;
      return {
        lanes: figures,
        messagesSent: lanes.reduce((sum, lane) => sum + figures[lane].sent, 0),
        sessions,
        ticks: lines.ticks,
        lines: lines.count + streams.count,
        unknownCodes,
        undecodable,
        requestsWaiting:
          collections.reduce((sum, collection) => sum + collection.waiting, 0) + previews.waiting,
        unsentBytes: wire?.connection.unsentBytes ?? 0,
      };
    },
  };
}

function summed(
  past: Readonly<Record<Lane, LaneFigures>>,
  now: Readonly<Record<Lane, LaneFigures>>,
): Record<Lane, LaneFigures> {
  const of = (lane: Lane): LaneFigures => ({
    sent: past[lane].sent + now[lane].sent,
    waiting: now[lane].waiting,
    longestWaitMs: Math.max(past[lane].longestWaitMs, now[lane].longestWaitMs),
    totalWaitMs: past[lane].totalWaitMs + now[lane].totalWaitMs,
  });
  return { cancel: of('cancel'), order: of('order'), control: of('control'), data: of('data') };
}
