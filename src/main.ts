#!/usr/bin/env node
/** Configuration, actor tree, server, signals. */
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import closeWithGrace from 'close-with-grace';
import type { Logger } from 'pino';
import { shutReasons } from '../machines/runtime.ts';
import { type Config, ConfigError, loadConfig, publicConfig } from './config.ts';
import { prepareJournalFolder } from './journal/opening.ts';
import { createLogger } from './log.ts';
import { leavePid } from './pid-file.ts';
import { createProgram, name, type Program, type StopReport, version } from './program.ts';

const simulatorDeadlineMs = 10_000;
const simulatorEndsWithinMs = 2_000;
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

/** The simulated gateway in a thread of its own, on a free port of this machine. Its broker remembers its book beside the journal. */
function startSimulator(
  log: Logger,
  journalPath: string,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  prepareJournalFolder(journalPath);
  const memoryPath = join(dirname(journalPath), 'simulated-gateway.db');
  const memoryElsewhere = 'set a JOURNAL_PATH in another folder, beside which it stands';
  const worker = new Worker(new URL('./simulator/worker.ts', import.meta.url), {
    workerData: { options: { memoryPath, memoryElsewhere } },
  });
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(
      () => reject(new Error('the simulated gateway did not start')),
      simulatorDeadlineMs,
    );
    worker.once('error', reject);
    worker.on('error', (error) => log.error({ err: error }, 'the simulated gateway failed'));
    worker.on('message', (message: { type: string; port?: number; message?: string }) => {
      if (message.type === 'failed') {
        clearTimeout(deadline);
        reject(new Error(message.message));
      }
      if (message.type !== 'listening' || message.port === undefined) return;
      clearTimeout(deadline);
      resolve({
        port: message.port,
        close: async () => {
          const ended = new Promise((done) => worker.once('exit', done));
          worker.postMessage({ type: 'close' });
          // A thread that does not listen any more must not keep the process.
          const patience = setTimeout(() => void worker.terminate(), simulatorEndsWithinMs);
          await ended;
          clearTimeout(patience);
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
  const simulator = config.gateway === 'simulated' ? await startSimulator(log, config.journalPath) : null;
  const endpoint = simulator ? { host: '127.0.0.1', port: simulator.port } : config.tws;
  const program = createProgram({ config, endpoint, log });
  const removePid = leavePid(config.journalPath, process.pid, (message) =>
    log.warn(`the process id cannot be left beside the journal (${message}): npm run kill has HTTP alone`),
  );
  process.on('SIGUSR2', () => {
    log.warn('SIGUSR2: kill switch');
    program.kill('SIGUSR2').catch((error: unknown) => log.error({ err: error }, 'the kill switch failed'));
  });

  const { orders, deadlineMs } = config.stop;
  const endNow = (): void => {
    const left = leftBehind(program.stopNow(), config);
    if (left.length > 0) log.error(left.join('; and '));
    removePid();
  };
  const stopping = {
    delay: deadlineMs,
    logger: log,
    skip: ['SIGUSR2' as const],
    onSecondSignal: (signal: string) => {
      log.warn(`second ${signal}: the journal is closed, nothing else is waited for`);
      endNow();
    },
    onTimeout: () => {
      log.error(`the stop took longer than STOP_DEADLINE_MS=${deadlineMs}; the journal is closed as it is`);
      endNow();
    },
  };
  closeWithGrace(stopping, async ({ err, signal }) => {
    if (err) log.fatal({ err }, 'stopping after an error');
    else log.info({ signal, orders }, 'stopping');
    const report = await program.stop({ orders: err ? 'leave' : orders, withinMs: deadlineMs });
    removePid();
    await simulator?.close();
    const left = leftBehind(report, config);
    if (left.length === 0) return log.info('stopped');
    throw new Error(`stopped, but ${left.join('; and ')}`);
  });

  announce(program, log, config, endpoint, await program.start());
}

/** What a stop could not do, in words. */
function leftBehind({ remaining, abandoned }: StopReport, { journalPath }: Config): string[] {
  return [
    ...(remaining.length === 0
      ? []
      : [`the broker did not confirm the cancel of ${remaining.join(', ')}; the next start asks again`]),
    ...(abandoned === null
      ? []
      : [
          `${abandoned.facts} facts could not be written to ${journalPath} (${abandoned.reason}); the next start asks the broker`,
        ]),
  ];
}

/** A few lines for whoever typed the command, once orders can be placed or it is plain that this takes longer. */
function announce(
  { runtime }: Program,
  log: Logger,
  config: Config,
  endpoint: { readonly host: string; readonly port: number },
  url: string,
): void {
  const gateway = `${config.gateway === 'simulated' ? 'simulated gateway' : 'TWS'} at ${endpoint.host}:${endpoint.port}`;
  const { tradeToken, readToken } = config.http;
  const needed = tradeToken ? 'TRADE_TOKEN' : readToken ? 'READ_TOKEN' : null;
  const token = needed ? ` -H "authorization: Bearer $${needed}"` : '';
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
    if (runtime.lacksPaperAccount())
      log.warn(
        'TRADING_MODE=paper, and no account of this login is a paper account (D…): every order is denied; log in to the paper account, or set TRADING_MODE deliberately',
      );
    log.info(
      `HTTP ${url} (health: ${url}/health/detailed), WebSocket ${url.replace('http', 'ws')}/v1/stream`,
    );
    log.info(`try: curl -s ${url}/v1/quotes/AAPL${token}`);
    log.info(`try: curl -s ${url}/v1/orders${token} -H 'content-type: application/json' -d '${order}'`);
  };
  const patience = setTimeout(() => {
    const awaited = runtime.awaitedLists().map(({ list }) => list);
    const root = runtime.root.getSnapshot();
    if (root.hasTag('foreign')) log.warn(shutReasons['other-login']);
    else if (root.context.sessionId === null)
      log.warn(`no session with the ${gateway} yet; it is tried again without end`);
    else
      log.warn(
        `the session with the ${gateway} stands, and no order is taken yet${awaited.length === 0 ? '' : `: its ${awaited.join(', ')} have not come`}; see ${url}/health/detailed`,
      );
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
