/**
 * `npm run soak -- --minutes 20`: days of business one after another, each with a cut, an outage behind the gateway, and a
 * night in which the gateway restarts and all clocks move ahead to the next day. After every day the books are compared; at
 * the end the heap of the runtime must have been flat.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect, parseArgs } from 'node:util';
import { realClock } from '../../src/simulator/clock.ts';
import type { Execution } from '../../src/simulator/model.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { type Child, startChild, stopAll } from '../bench/children.ts';
import { type Books, expectBooksAgree } from '../incidents/oracle.ts';
import { eventually } from '../program.ts';
import { judge, lineOf, type Sample } from './figures.ts';
import { createLoad } from './load.ts';
import type { Weight } from './runtime.ts';

const dayMs = 86_400_000;
const everything = { clientId: 0, account: '', since: 0, symbol: '', secType: '', exchange: '', side: '' };

export interface SoakOptions {
  /** real time, without the nights */
  readonly minutes: number;
  /** real time of business in one day */
  readonly daySeconds: number;
  readonly ordersPerSecond: number;
  readonly say: (line: string) => void;
}

export interface SoakResult {
  readonly samples: readonly Sample[];
  readonly days: number;
  readonly placed: number;
  readonly isFlat: boolean;
}

/** Rejects when the books differ after a day; the journal is left where the message says. */
export async function soak({ minutes, daySeconds, ordersPerSecond, say }: SoakOptions): Promise<SoakResult> {
  const home = mkdtempSync(join(tmpdir(), 'soak-'));
  let aheadMs = 0;
  let isKept = false;
  const simulator = await createSimulator({
    clock: { ...realClock, now: () => realClock.now() + aheadMs },
    latencyMs: { min: 0, max: 5 },
    tickIntervalMs: 50,
    limits: { recordedMessages: 5_000_000 },
  });
  const runtime = startChild(new URL('./runtime.ts', import.meta.url), {
    execArgv: ['--expose-gc'],
    cwd: home,
    env: environmentOf(home, simulator),
  });
  try {
    const url = await runtime.call<string>('start');
    const untilTrading = () =>
      eventually(
        async () => (await fetch(`${url}/health/ready?gate=trading`)).status,
        (status) => status === 200,
        30_000,
      );
    await untilTrading();
    const load = await createLoad(url, ordersPerSecond);
    const samples: Sample[] = [];
    const begunAt = performance.now();
    const tape = new Map<string, Execution>();
    const books = booksOf(simulator, url, tape);
    const weigh = async (day: number): Promise<void> => {
      const at = (performance.now() - begunAt) / 1_000;
      samples.push({ at, day, orders: load.placed, ...(await runtime.call<Weight>('weigh')) });
      say(lineOf(samples.at(-1) as Sample));
    };

    const days = Math.max(1, Math.round((minutes * 60) / daySeconds));
    for (let day = 1; day <= days; day += 1) {
      const third = (daySeconds * 1_000) / 3;
      await load.run(third);
      simulator.faults.drop();
      await load.run(third);
      await weigh(day);
      simulator.faults.upstreamLost();
      simulator.faults.upstreamBack(day % 2 === 0 ? 1101 : 1102);
      await load.run(third);
      await weigh(day);
      await untilTrading();
      await load.endDay();
      await expectBooksAgree(books, { withinMs: 60_000 }).catch((error: unknown) => {
        isKept = true;
        throw new Error(`the books differ after day ${day}; the journal is left in ${home}`, {
          cause: error,
        });
      });
      if (day === days) break;
      await night(simulator, runtime, () => {
        aheadMs += dayMs;
      });
      await untilTrading();
    }
    load.close();
    const verdict = judge(samples);
    const journalMb = (statSync(join(home, 'journal.db')).size / 1_048_576).toFixed(1);
    const codes = [...load.refused].map(([code, count]) => `${code}: ${count}`).join(', ');
    say(
      `${days} days, ${load.placed} orders, ${load.unavailable} unavailable${codes && `, refused ${codes}`}`,
    );
    say(`the books agreed after every day; the journal has ${journalMb} MB`);
    say(verdict.text);
    await runtime.call('stop');
    return { samples, days, placed: load.placed, isFlat: verdict.isFlat };
  } finally {
    await runtime.stop();
    await simulator.close();
    if (!isKept) rmSync(home, { recursive: true, force: true });
  }
}

function environmentOf(home: string, simulator: Simulator): Record<string, string> {
  mkdirSync(home, { recursive: true });
  return {
    GATEWAY: 'tws',
    TWS_PORT: String(simulator.port),
    PORT: '0',
    JOURNAL_PATH: join(home, 'journal.db'),
    LOG_LEVEL: 'fatal',
    MAX_OPEN_ORDERS: '0',
    MAX_ORDERS_PER_SECOND: '0',
    MAX_DAILY_LOSS: '0',
  };
}

/** The gateway is gone, and when it is back it is a day later for everybody. */
async function night({ faults }: Simulator, runtime: Child, moveAhead: () => void): Promise<void> {
  await faults.refuse();
  faults.drop();
  moveAhead();
  await runtime.call('moveAhead', dayMs);
  await faults.accept();
}

/** The broker's tape forgets at midnight: what it has once told is kept for the comparison. */
function booksOf(simulator: Simulator, url: string, tape: Map<string, Execution>): Books {
  const executions = (): Execution[] => {
    for (const execution of simulator.exchange.executions(everything)) tape.set(execution.execId, execution);
    return [...tape.values()];
  };
  return {
    simulator: { exchange: { ...simulator.exchange, executions }, received: simulator.received },
    call: async (method, path) => ({ body: await (await fetch(url + path, { method })).json() }),
  };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '20' },
      'day-seconds': { type: 'string', default: '20' },
      rate: { type: 'string', default: '10' },
    },
  });
  const { isFlat } = await soak({
    minutes: Number(values.minutes),
    daySeconds: Number(values['day-seconds']),
    ordersPerSecond: Number(values.rate),
    say: (line) => void process.stdout.write(`${line}\n`),
  });
  return isFlat ? 0 : 1;
}

if (import.meta.main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    process.stderr.write(`${inspect(error)}\n`);
    process.exitCode = 1;
  } finally {
    await stopAll();
  }
}
