/** The parts of the process, put together: the actor tree, its face, and the way to start and stop both. */
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { steadyClock } from './clock.ts';
import { type Config, secretsOf } from './config.ts';
import { createServer } from './http/server.ts';
import { createInspector } from './inspector.ts';
import { readMeters } from './meters.ts';
import { createMetrics } from './metrics.ts';
import { createObserver } from './observer.ts';
import { createReading } from './reading.ts';
import { createRuntime, type Patience } from './runtime.ts';
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
}

export type Program = ReturnType<typeof createProgram>;

/** Builds everything and replays the journal; nothing listens and nothing is connected before `start`. */
export function createProgram(options: ProgramOptions) {
  const { config, endpoint, log, now = steadyClock(), patience } = options;
  const environment = config.gateway === 'simulated' ? 'simulated' : config.tradingMode;
  const metrics = createMetrics({ version, environment });
  const observer = createObserver({ now, log });
  observer.onChange(({ machine, entered }) => {
    if (entered !== null) metrics.transition(machine, entered);
  });
  let oldestTickMs = 0;
  const onRowAge = (ms: number): void => {
    metrics.tickToBeat.record(ms);
    oldestTickMs = Math.max(oldestTickMs, ms);
  };
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
    onRowAge,
    now,
    ...(patience ? { patience } : {}),
  });
  const stopMeters = readMeters(runtime, metrics);
  const vitals = createVitals({ runtime, observer, metrics, config, now });
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
      market: runtime.market,
      health: vitals.port,
      onHttpTiming: (route, ms) => metrics.http(route, ms),
      onFanOut: (ms) => {
        metrics.tickToClient.record(oldestTickMs + ms);
        oldestTickMs = 0;
      },
    },
    log.child({ part: 'http' }),
  );
  return {
    runtime,
    metrics,

    /** Listens, then connects. The URL that it listens on. */
    async start(): Promise<string> {
      const url = await server.listen({ host: config.http.host, port: config.http.port });
      vitals.noteBound();
      if (inspector) {
        await inspector.listen().then(
          (at) => log.info(`inspector ${at}: every actor, for Stately inspectors on this machine`),
          (error: unknown) => log.error({ err: error }, 'INSPECT_PORT: the inspector cannot listen'),
        );
      }
      runtime.connect();
      return url;
    },

    /** Halts, and cancels everything. */
    kill: (message: string) => trading.kill(message),

    /** Shuts the desk, says goodbye to clients, writes what waits for the disk, and hangs up. */
    async stop(): Promise<void> {
      runtime.drain();
      await server.close();
      await inspector?.close();
      stopMeters();
      runtime.stop();
      metrics.close();
    },
  };
}
      onSlowClient: (measure) => metrics.slowConsumers.add(measure),
