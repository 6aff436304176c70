/** The running actor tree: restored from the journal, connected to TWS, and what the face of the process needs of it. */
import type { Logger } from 'pino';
import { type ActorRefFrom, createActor, type InspectionEvent } from 'xstate';
import { orderActor } from '../machines/blotter.machine.ts';
import type { DeskAnswer } from '../machines/desk.ts';
import type { GateVerdict } from '../machines/gate.machine.ts';
import { isPaperAccount } from '../machines/gate.ts';
import type { JournalRecord } from '../machines/journal.ts';
import { executionRecallMs } from '../machines/ledger.ts';
import { lookUp } from '../machines/lookup.ts';
import type { Order } from '../machines/order.ts';
import { bookKinds, type ListVerdict } from '../machines/reconciliation.machine.ts';
import { type RuntimeEvent, shutReasons } from '../machines/runtime.ts';
import type { AccountValue } from '../machines/tws.ts';
import type { Config } from './config.ts';
import { type Journal, openJournal, type Restoration } from './journal/journal.ts';
import type { Abandoned } from './journal/writer.ts';
import { createMarket, type Market } from './market/market.ts';
import type { Metrics } from './metrics.ts';
import { fillPorts } from './ports.ts';
import { createGateway, type Gateway, type PnlRow } from './tws/gateway.ts';

export interface RuntimeOptions {
  readonly config: Config;
  /** where TWS listens: the configured one, or the embedded simulated gateway */
  readonly endpoint: { readonly host: string; readonly port: number };
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly inspect: (event: InspectionEvent) => void;
  /** called for each row of a beat with the age of its oldest unsent tick, ms */
  readonly onRowAge: (ms: number) => void;
  /** ms since the epoch */
  readonly now: () => number;
  readonly patience?: Patience;
}

/** Waits that a test may shorten, in ms. */
export interface Patience {
  /** without a session, before a person is called; default ten minutes */
  readonly absenceMs?: number;
  /** the shortest pause of a feed that can count as silence; default 15,000 */
  readonly silenceMs?: number;
}

type Root = ActorRefFrom<ReturnType<typeof fillPorts>>;

/** Closed orders of the last two days stay known to the desk. */
export const recallMs = 48 * 3_600_000;
const sweepEveryMs = 200;
/** Of the lines of quotes, those that readers leave to the orders' own. */
const tradingLines = 15;
const accountValuesMax = 5_000;
const answerDeadlineMs = 10_000;

/** The first event of a tree: what the journal held. */
export const restoredFrom = (restoration: Restoration, at: number): RuntimeEvent => ({
  type: 'runtime.restored',
  desk: {
    type: 'desk.restored',
    open: restoration.open,
    closed: restoration.closed,
    nextOrderId: restoration.nextOrderId,
    at,
  },
  withdrawal: { type: 'withdrawal.restored', standing: restoration.withdrawal, at },
  audit: { type: 'audit.restored', standing: restoration.audit },
  ledger: {
    type: 'ledger.restored',
    positions: restoration.positions,
    executions: restoration.executions,
    accounts: restoration.audit.accounts,
    open: restoration.audit.open,
    at,
  },
  lost:
    restoration.openSession === null
      ? null
      : {
          type: 'tws.lost',
          sessionId: restoration.openSession,
          cause: 'failed',
          message: 'the process ended without a word',
          at,
        },
});

export type Runtime = ReturnType<typeof createRuntime>;

/** Opens the journal, replays it and starts every actor. `connect` begins the first session. Throws when the journal cannot be opened. */
export function createRuntime(options: RuntimeOptions) {
  const { config, endpoint, log, metrics, inspect, onRowAge, now, patience = {} } = options;
  const journal: Journal = openJournal(config.journalPath, config.gateway);
  for (const finding of journal.findings) log.warn({ path: config.journalPath }, `journal: ${finding}`);
  const gateway: Gateway = createGateway({
    now,
    log: log.child({ part: 'tws' }),
    onPaced: (lane, waitedMs) => metrics.pacingWait[lane].record(waitedMs),
  });
  const market: Market = createMarket({
    lines: gateway,
    requests: gateway,
    now,
    beatMs: config.beatMs,
    onRowAge,
    ...(patience.silenceMs === undefined ? {} : { staleAfterMs: patience.silenceMs }),
  });
  const listeners = new Set<(record: JournalRecord) => void>();
  const accountValues = new Map<string, AccountValue>();
  const pnl = new Map<string, PnlRow>();
  const waiting = new Map<string, (answer: DeskAnswer) => void>();
  const verdicts = new Map<string, (verdict: GateVerdict) => void>();
  let lastAppendMs: number | null = null;
  let abandoned: Abandoned | null = null;
  let lastReviewedAt = 0;
  let requests = 0;

  // By the journal's own time where the wall clock is ahead of it: no order is old because a clock is wrong.
  const newestAt = Math.min(now(), journal.lastAt() ?? now());
  const restoration = journal.restore(newestAt - recallMs, newestAt - executionRecallMs);
  const root: Root = createActor(
    fillPorts({
      gateway,
      market,
      now,
      writer: {
        journal,
        now,
        onCommitted: (records) => {
          for (const record of records) for (const listener of listeners) listener(record);
        },
        onAppended: (ms) => {
          lastAppendMs = ms;
          metrics.journalAppend.record(ms);
        },
        onAbandoned: (left) => {
          abandoned = left;
        },
      },
    }),
    {
      id: 'runtime',
      systemId: 'runtime',
      inspect,
      input: {
        tws: {
          ...endpoint,
          clientId: config.tws.clientId,
          seed: now() % 2_147_483_647,
          ...(patience.absenceMs === undefined ? {} : { absencePatienceMs: patience.absenceMs }),
        },
        gate: { limits: config.limits, tradingMode: config.tradingMode, latched: restoration.trading },
        market: { tradingLines },
      },
    },
  );

  root.on('answered', ({ requestId, answer }) => {
    waiting.get(requestId)?.(answer);
    waiting.delete(requestId);
  });
  root.on('reviewed', ({ requestId, verdict }) => {
    lastReviewedAt = performance.now();
    verdicts.get(requestId)?.(verdict);
    verdicts.delete(requestId);
  });
  root.subscribe({
    error: (error) => log.fatal({ err: error }, 'the actor tree failed'),
  });
  root.start();

  const child = <
    Id extends 'desk' | 'gate' | 'ledger' | 'tws' | 'market' | 'reconciliation' | 'withdrawal' | 'audit',
  >(
    id: Id,
  ) => {
    const actor = root.getSnapshot().children[id];
    if (!actor) throw new Error(`the ${id} is not running`);
    return actor;
  };
  const send = (event: RuntimeEvent): void => root.send(event);

  // Not the actor itself: a failed one is replaced.
  market.bind({
    send: (event) => child('market').send(event),
    getSnapshot: () => child('market').getSnapshot(),
  });
  send(restoredFrom(restoration, now()));

  const stopListening = [
    gateway.onAccountValue((value) => {
      const key = `${value.account}|${value.key}|${value.currency}`;
      if (accountValues.has(key) || accountValues.size < accountValuesMax) accountValues.set(key, value);
    }),
    gateway.onPortfolio(({ marketValue: _v, averageCost: _c, ...row }) =>
      send({ type: 'ledger.valued', ...row }),
    ),
    gateway.onPnl((row) => {
      pnl.set(row.account, row);
      send({ type: 'gate.pnlNoted', account: row.account, daily: row.daily });
    }),
  ];
  const sweeper = setInterval(() => send({ type: 'desk.sweep', at: now() }), sweepEveryMs);

  return {
    root,
    journal,
    gateway,
    market,
    accountValues: accountValues as ReadonlyMap<string, AccountValue>,
    pnl: pnl as ReadonlyMap<string, PnlRow>,
    send,
    child,
    nextRequestId: (): string => {
      requests += 1;
      return `r${requests}`;
    },
    lastAppendMs: () => lastAppendMs,
    /** when the gate gave its newest verdict, on the clock of `performance.now` */
    lastReviewedAt: () => lastReviewedAt,

    /** Sends a command and gives the desk's answer, mostly within the call. */
    ask(
      event: Extract<
        RuntimeEvent,
        { type: 'order.submit' | 'order.modify' | 'order.cancel' | 'order.settle' }
      >,
    ): Promise<DeskAnswer> {
      if (child('desk').getSnapshot().status !== 'active') {
        const reason = { code: 'failed', message: shutReasons.failed };
        return Promise.resolve({ outcome: 'unavailable', orders: [], reason });
      }
      return new Promise((resolve) => {
        const deadline = setTimeout(() => {
          waiting.delete(event.requestId);
          const reason = {
            code: 'unanswered',
            message: 'the desk did not answer; look at the order before you try again',
          };
          resolve({ outcome: 'unavailable', orders: [], reason });
        }, answerDeadlineMs);
        waiting.set(event.requestId, (answer) => {
          clearTimeout(deadline);
          resolve(answer);
        });
        send(event);
      });
    },

    /** The gate's verdict, which comes within the call. */
    review(event: Extract<RuntimeEvent, { type: 'gate.review' }>): GateVerdict {
      let verdict: GateVerdict = {
        verdict: 'unavailable',
        reason: { code: 'failed', message: 'the gate did not answer' },
      };
      verdicts.set(event.requestId, (given) => {
        verdict = given;
      });
      send(event);
      verdicts.delete(event.requestId);
      return verdict;
    },

    /**
     * The order as it is now: the living actor's view, what the desk remembers, or what the journal holds, which is behind them
     * while the disk is.
     */
    order(clientOrderId: string): Order | undefined {
      const { children, context } = child('desk').getSnapshot();
      const actor = orderActor(children, clientOrderId);
      if (actor) return actor.getSnapshot().context.order;
      return lookUp(context.orders, clientOrderId)?.order ?? journal.order(clientOrderId);
    },

    /** Paper trading, and no account of the login is one: the gate denies every order. */
    lacksPaperAccount(): boolean {
      const { accounts, tradingMode } = root.getSnapshot().context;
      return tradingMode === 'paper' && accounts.length > 0 && !accounts.some(isPaperAccount);
    },

    /** The lists of this session that trading waits for, and how often they were asked for. */
    awaitedLists(): readonly ListVerdict[] {
      // One that has failed at its birth has no context.
      const context = root.getSnapshot().children.reconciliation?.getSnapshot().context;
      if (!context || context.sessionId === null) return [];
      return bookKinds.map((kind) => context.lists[kind]).filter(({ outcome }) => outcome !== 'complete');
    },

    /** Called for each record once it is durable, in journal order. */
    onRecord(listener: (record: JournalRecord) => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    connect: () => send({ type: 'runtime.connect' }),
    drain: () => send({ type: 'runtime.drain', at: now() }),
    /** Ends the session and every actor; what waits for the disk is written first. What the disk did not take; null: it took all. */
    stop(): Abandoned | null {
      clearInterval(sweeper);
      for (const stop of stopListening) stop();
      send({ type: 'runtime.stop' });
      market.close();
      root.stop();
      journal.close();
      return abandoned;
    },
  };
}
