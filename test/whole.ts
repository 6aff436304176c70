/** The whole runtime in this process, on a simulated gateway in this process, over real TCP and HTTP. */
import { join } from 'node:path';
import pino from 'pino';
import { isResetTime } from '../machines/tws.ts';
import { loadConfig } from '../src/config.ts';
import { createProgram, type Program } from '../src/program.ts';
import type { Patience } from '../src/runtime.ts';
import { createSimulator, type Simulator, type SimulatorOptions } from '../src/simulator/simulator.ts';
import { eventually, temporaryFolder } from './program.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly body: any;
}

export interface Whole {
  readonly simulator: Simulator;
  readonly url: string;
  /** the running parts themselves, for what no client can do */
  readonly program: Program;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Places an order, by default a limit order that rests far below the market. */
  place(order?: Record<string, unknown>, query?: string): Promise<Answer>;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  order(clientOrderId: string, fits: (order: any) => boolean, withinMs?: number): Promise<any>;
  untilTrading(): Promise<void>;
  /** Stops the runtime gracefully and starts another on the same journal; `meanwhile` happens between. Waits `until` it trades, or not. */
  restart(meanwhile?: () => void, until?: 'trading' | 'started'): Promise<void>;
  stop(): Promise<void>;
}

export interface WholeOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly simulator?: SimulatorOptions;
  /** the runtime's time of day, ms since the epoch */
  readonly now?: () => number;
  readonly patience?: Patience;
}

/** The time of day, hours later while IB is in its scheduled reset: an outage is another thing then. */
export const outsideResets = (): number => Date.now() + (isResetTime(Date.now()) ? 5 * 3_600_000 : 0);

export async function startWhole({
  environment = {},
  simulator: simulatorOptions = {},
  now = Date.now,
  patience = {},
}: WholeOptions = {}): Promise<Whole> {
  const folder = temporaryFolder();
  const simulator = await createSimulator({
    latencyMs: { min: 0, max: 2 },
    tickIntervalMs: 20,
    ...simulatorOptions,
  });
  const config = loadConfig({
    cwd: folder.path,
    env: {
      GATEWAY: 'tws',
      TWS_PORT: String(simulator.port),
      PORT: '0',
      JOURNAL_PATH: join(folder.path, 'journal.db'),
      LOG_LEVEL: 'silent',
      NODE_ENV: 'production',
      ...environment,
    },
  });
  const launch = async () => {
    const program = createProgram({
      config,
      endpoint: config.tws,
      log: pino({ level: 'silent' }),
      now,
      patience,
    });
    return { program, url: await program.start() };
  };
  let running = await launch();

  const call: Whole['call'] = async (method, path, body, headers = {}) => {
    const answer = await fetch(running.url + path, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, body: text ? JSON.parse(text) : null };
  };
  const whole: Whole = {
    simulator,
    get url() {
      return running.url;
    },
    get program() {
      return running.program;
    },
    call,
    place: (order = {}, query = '?wait=accepted&timeoutMs=5000') =>
      call('POST', `/v1/orders${query}`, {
        instrument: 'AAPL',
        side: 'buy',
        quantity: '10',
        ...(order.type === undefined ? { type: 'limit', limitPrice: '1.00' } : {}),
        ...order,
      }),
    order: async (clientOrderId, fits, withinMs) =>
      (
        await eventually(
          () => call('GET', `/v1/orders/${clientOrderId}`),
          ({ body }) => fits(body),
          withinMs,
        )
      ).body,
    async untilTrading() {
      await eventually(
        () => call('GET', '/health/ready?gate=trading'),
        ({ status }) => status === 200,
        // A list that is not answered once takes ten seconds more, and an empty one after it ten more.
        30_000,
      );
    },
    async restart(meanwhile = () => undefined, until = 'trading') {
      await running.program.stop();
      meanwhile();
      running = await launch();
      if (until === 'trading') await whole.untilTrading();
    },
    async stop() {
      await running.program.stop();
      await simulator.close();
      folder.remove();
    },
  };
  if (config.tradingMode === 'off') return whole;
  await whole.untilTrading().catch(async (error: unknown) => {
    await whole.stop();
    throw error;
  });
  return whole;
}
