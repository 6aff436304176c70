/** The parts of the process, put together: the actor tree, its face, and the way to start and stop both. */
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { type CachePatience, createCache } from './cache/cache.ts';
import { steadyClock } from './clock.ts';
import { type Config, secretsOf } from './config.ts';
import { createServer } from './http/server.ts';
import { createInspector } from './inspector.ts';
import type { Abandoned } from './journal/writer.ts';
import { readMeters } from './meters.ts';
import { createMetrics } from './metrics.ts';
import { createObserver } from './observer.ts';
import { createReading, openPositions } from './reading.ts';
import { createRuntime, type Patience } from './runtime.ts';
import { addStanding } from './standing.ts';
import { openOrders, ordersToCancel, type StopOrderPolicy, withdrawOrders } from './stopping.ts';
import { createTrading } from './trading.ts';
import { createVitals } from './vitals.ts';

export const { name, version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { readonly name: string; readonly version: string };

export interface ProgramOptions {
  readonly config: Config;
  /** where TWS listens: the configured one, or the embedded simulated gateway */
  readonly endpoint: { readonly host: string; readonly port: number };
  readonly log: Logger;
  /** ms since the epoch */
  readonly now?: () => number;
  readonly patience?: Patience;
  readonly cachePatience?: CachePatience;
}

export interface StopOptions {
  /** default: `leave` */
  readonly orders?: StopOrderPolicy;
  /** for all of it, ms; default 10,000 */
  readonly withinMs?: number;
}

/** What a stop leaves behind. */
export interface StopReport {
  /** clientOrderIds of orders that should have been cancelled and were not in time */
  readonly remaining: readonly string[];
  /** facts that the disk did not take; null: it took all */
  readonly abandoned: Abandoned | null;
}

/** Of the time for a stop, what the steps after the cancels may need. */
const lastStepsMs = 3_000;
/** For answers that are held to be given, before their connections are cut. */
const lastAnswersMs = 1_000;

export type Program = ReturnType<typeof createProgram>;

/** Builds everything and replays the journal; nothing listens and nothing is connected before `start`. */
export function createProgram(options: ProgramOptions) {
  const { config, endpoint, log, now = steadyClock(), patience, cachePatience } = options;
  const environment = config.gateway === 'simulated' ? 'simulated' : config.tradingMode;
  const metrics = createMetrics({ version, environment });
  const observer = createObserver({ now, log });
  observer.onChange(({ machine, entered }) => {
    if (entered !== null) metrics.transition(machine, entered);
  });
  const inspector = config.inspect
    ? createInspector({
        ...config.http,
        port: config.inspectPort,
        secrets: secretsOf(config),
        now,
        log: log.child({ part: 'inspector' }),
      })
    : null;
  const runtime = createRuntime({
    config,
    endpoint,
    log,
    metrics,
    inspect: inspector
      ? (event) => {
          observer.inspect(event);
          inspector.inspect(event);
        }
      : observer.inspect,
    onRowAge: (ms) => metrics.tickToBeat.record(ms),
    now,
    ...(patience ? { patience } : {}),
  });
  const stopMeters = readMeters(runtime, observer, metrics);
  const cache = config.redisUrl
    ? createCache({
        url: config.redisUrl,
        prefix: config.redisPrefix,
        name,
        version,
        environment,
        now,
        log: log.child({ part: 'cache' }),
        market: runtime.market,
        journal: { onRecord: runtime.onRecord, lastSeq: () => runtime.journal.lastSeq() },
        openOrders: () => openOrders(runtime),
        positions: () => openPositions(runtime),
        onCount: (outcome, count) => metrics.redis.add(outcome, count),
        ...(cachePatience ? { patience: cachePatience } : {}),
      })
    : null;
  const redisFigures = () => cache?.figures() ?? null;
  const vitals = createVitals({ runtime, observer, metrics, config, redisFigures, now });
  const trading = createTrading({ runtime, metrics, now });
  const server = createServer(
    {
      ...config.http,
      name,
      version,
      environment,
      beatMs: config.beatMs,
      readyRequiresTws: config.readyRequiresTws,
      trading,
      reading: createReading(runtime, observer, now),
      // The gate asks the market itself: what is only remembered decides nothing.
      market: cache ? { ...runtime.market, lastQuote: (key) => cache.lastQuote(key) } : runtime.market,
      health: vitals.port,
      onHttpTiming: (route, ms) => metrics.http(route, ms),
      onConflated: (channel, merged, dropped) => {
        if (channel === 'quotes') return;
        metrics.mergedRows.add(channel, merged);
        if (dropped > 0) metrics.droppedPrints.add(channel, dropped);
      },
      onSlowClient: (measure) => metrics.slowConsumers.add(measure),
      onFanOut: (_ms, _frames, tickMs) => {
        metrics.tickToClient.record(tickMs);
      },
    },
    log.child({ part: 'http' }),
  );
  const clients = () => server.streams.figures();
  vitals.watchClients(clients);
  addStanding(metrics, { runtime, report: vitals.port.report, clients, now });
  let isFinished = false;
  let abandoned: Abandoned | null = null;
  /** clientOrderIds of the orders that the stop in hand still has to cancel */
  let unconfirmed = (): readonly string[] => [];
  const finish = (): void => {
    if (isFinished) return;
    isFinished = true;
    stopMeters();
    vitals.stop();
    abandoned = runtime.stop();
    metrics.close();
  };
  return {
    runtime,
    metrics,

    /** Listens, then connects. The URL that it listens on. */
    async start(): Promise<string> {
      const { host, port } = config.http;
      const url = await server.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
        const { code = error.message } = error;
        const isElsewhere = ['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN'].includes(code);
        throw new Error(
          isElsewhere
            ? `HOST: ${host} is no address of this machine (${code}); set one that it has, 127.0.0.1 for itself alone, or 0.0.0.0 for all of them`
            : `PORT: ${host}:${port} cannot be listened on (${code}); ` +
                'stop the program that listens there, or set another PORT (0 takes any free one)',
          { cause: error },
        );
      });
      vitals.noteBound();
      if (inspector) {
        await inspector.listen().then(
          (at) => log.info(`inspector ${at}: every actor, also as a page ${at.replace('ws:', 'http:')}`),
          (error: unknown) => log.error({ err: error }, 'INSPECT_PORT: the inspector cannot listen'),
        );
      }
      runtime.connect();
      return url;
    },

    /** Halts, and cancels everything. */
    kill: (message: string) => trading.kill(message),

    /**
     * Not ready any more, then: no new orders, goodbye to streams, the policy for open orders, no more HTTP, and last the
     * session and the journal. HTTP answers probes until the orders are settled.
     */
    async stop({ orders = 'leave', withinMs = 10_000 }: StopOptions = {}): Promise<StopReport> {
      const endsAt = performance.now() + withinMs;
      unconfirmed = () => ordersToCancel(runtime, orders).map(({ clientOrderId }) => clientOrderId);
      runtime.drain();
      await server.streams.close();
      const forCancels = endsAt - performance.now() - Math.min(lastStepsMs, withinMs / 2);
      const withdrawn = await withdrawOrders(runtime, ordersToCancel(runtime, orders), {
        at: now(),
        withinMs: Math.max(0, forCancels),
      });
      const remaining = withdrawn.map(({ clientOrderId }) => clientOrderId);
      unconfirmed = () => remaining;
      const cut = setTimeout(() => server.server.closeAllConnections(), lastAnswersMs);
      await server.close();
      clearTimeout(cut);
      await inspector?.close();
      finish();
      await cache?.close();
      return { remaining, abandoned };
    },

    /** Ends the session and closes the journal, in this turn of the event loop. */
    stopNow(): StopReport {
      let remaining: readonly string[] = [];
      try {
        remaining = unconfirmed();
      } finally {
        finish();
      }
      return { remaining, abandoned };
    },
  };
}
