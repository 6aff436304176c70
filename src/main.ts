#!/usr/bin/env node
/** Configuration, actor tree, server, signals. */
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import closeWithGrace from 'close-with-grace';
import type { Logger } from 'pino';
import { type Config, ConfigError, loadConfig, publicConfig } from './config.ts';
import type { HttpOptions } from './http/options.ts';
import { createServer } from './http/server.ts';
import { createLogger } from './log.ts';
import { createMetrics } from './metrics.ts';
import { createObserver } from './observer.ts';
import { createReading } from './reading.ts';
import { createRuntime, type Runtime } from './runtime.ts';
import { createTrading } from './trading.ts';
import { createVitals } from './vitals.ts';

const { name, version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  name: string;
  version: string;
};
const stopWithinMs = 10_000;
const simulatorDeadlineMs = 10_000;
const announceWithinMs = 5_000;

function configuration(): Config {
  try {
    return loadConfig({ cwd: process.cwd(), env: process.env });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(78);
  }
}

/** The simulated gateway in a thread of its own, on a free port of this machine. */
function startSimulator(log: Logger): Promise<{ readonly port: number; close(): Promise<void> }> {
  const worker = new Worker(new URL('./simulator/worker.ts', import.meta.url), {
    workerData: { options: {} },
  });
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(
      () => reject(new Error('the simulated gateway did not start')),
      simulatorDeadlineMs,
    );
    worker.once('error', reject);
    worker.on('error', (error) => log.error({ err: error }, 'the simulated gateway failed'));
    worker.on('message', (message: { type: string; port?: number }) => {
      if (message.type !== 'listening' || message.port === undefined) return;
      clearTimeout(deadline);
      resolve({
        port: message.port,
        close: async () => {
          const ended = new Promise((done) => worker.once('exit', done));
          worker.postMessage({ type: 'close' });
          await ended;
        },
      });
    });
  });
}

async function main(): Promise<void> {
  const config = configuration();
  const log = createLogger(config);
  for (const warning of config.warnings) log.warn(warning);
  log.debug({ config: publicConfig(config) }, 'effective configuration');
  const now = Date.now;
  const environment = config.gateway === 'simulated' ? 'simulated' : config.tradingMode;
  const metrics = createMetrics({ version, environment });
  const observer = createObserver({ now, log });
  const simulator = config.gateway === 'simulated' ? await startSimulator(log) : null;
  const endpoint = simulator ? { host: '127.0.0.1', port: simulator.port } : config.tws;
  const runtime = createRuntime({ config, endpoint, log, metrics, inspect: observer.inspect, now });
  const vitals = createVitals({ runtime, observer, metrics, config, now });
  observer.onChange(({ machine, entered }) => {
    if (entered !== null) metrics.transition(machine, entered);
  });

  const options: HttpOptions = {
    name,
    version,
    environment,
    host: config.http.host,
    port: config.http.port,
    debug: config.http.debug,
    tradeToken: config.http.tradeToken,
    readToken: config.http.readToken,
    allowedOrigins: config.http.allowedOrigins,
    beatMs: config.beatMs,
    readyRequiresTws: config.readyRequiresTws,
    trading: createTrading({ runtime, metrics, now }),
    reading: createReading(runtime, observer),
    market: runtime.market,
    health: vitals.port,
    onHttpTiming: (route, ms) => metrics.http(route, ms),
    onFanOut: (ms) => metrics.tickToClient.record(ms),
  };
  const server = createServer(options, log.child({ part: 'http' }));

  closeWithGrace({ delay: stopWithinMs, logger: log }, async ({ err, signal }) => {
    if (err) log.fatal({ err }, 'stopping after an error');
    else log.info({ signal }, 'stopping');
    runtime.drain();
    await server.close();
    runtime.stop();
    await simulator?.close();
    metrics.close();
  });

  const url = await server.listen({ host: options.host, port: options.port });
  vitals.noteBound();
  announce(runtime, log, config, endpoint, url);
  runtime.connect();
}

/** A few lines for whoever typed the command, once orders can be placed or it is plain that this takes longer. */
function announce(
  runtime: Runtime,
  log: Logger,
  config: Config,
  endpoint: { readonly host: string; readonly port: number },
  url: string,
): void {
  const gateway = `${config.gateway === 'simulated' ? 'simulated gateway' : 'TWS'} at ${endpoint.host}:${endpoint.port}`;
  const order = '{"clientOrderId":"first","instrument":"AAPL","side":"buy","quantity":"10","type":"market"}';
  let isTold = false;
  const tell = (): void => {
    if (isTold) return;
    isTold = true;
    clearTimeout(patience);
    subscription.unsubscribe();
    const { accounts } = runtime.root.getSnapshot().context;
    log.info(
      { accounts },
      `${name} ${version}: ${config.tradingMode} trading, ${gateway}, client id ${config.tws.clientId}`,
    );
    log.info(
      `HTTP ${url} (health: ${url}/health/detailed), WebSocket ${url.replace('http', 'ws')}/v1/stream`,
    );
    log.info(`try: curl -s ${url}/v1/quotes/AAPL`);
    log.info(`try: curl -s ${url}/v1/orders -H 'content-type: application/json' -d '${order}'`);
  };
  const patience = setTimeout(() => {
    log.warn(`no session with the ${gateway} yet; it is tried again without end`);
    tell();
  }, announceWithinMs);
  const subscription = runtime.root.subscribe((snapshot) => {
    if (snapshot.hasTag('reconciled')) tell();
  });
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
