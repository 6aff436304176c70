import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { openControl } from '../../src/simulator/control.ts';
import { UNLIMITED } from '../../src/simulator/limits.ts';
import { parseScenario } from '../../src/simulator/scenario.ts';
import { createSimulator } from '../../src/simulator/simulator.ts';
import { RawClient, stockOrder } from './rawClient.ts';

const MAIN = new URL('../../src/simulator/main.ts', import.meta.url).pathname;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** One line out, one line back. */
class ControlClient {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;

  constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port });
    this.#lines = createInterface({ input: this.#socket })[Symbol.asyncIterator]();
    cleanups.push(() => this.#socket.destroy());
  }

  async ask(command: unknown): Promise<{ id: unknown; ok: boolean; result?: unknown; error?: string }> {
    this.#socket.write(`${typeof command === 'string' ? command : JSON.stringify(command)}\n`);
    const { value } = await this.#lines.next();
    return JSON.parse(String(value));
  }
}

async function start(port: number, clientId = 1): Promise<RawClient> {
  const client = await RawClient.start(port, 'v100..193', clientId);
  cleanups.push(() => client.end());
  return client;
}

describe('the control port', () => {
  it('runs faults, levers and questions, and names what is wrong with a command', async () => {
    const simulator = await createSimulator({ limits: UNLIMITED });
    cleanups.push(() => simulator.close());
    const control = await openControl(simulator);
    cleanups.push(() => control.close());
    const ask = new ControlClient(control.port);
    const client = await start(simulator.port);

    expect(await ask.ask({ id: 1, ask: 'clients' })).toEqual({
      id: 1,
      ok: true,
      result: [{ session: 1, clientId: 1, version: 193 }],
    });
    const hold = await ask.ask({ fault: 'swallow', messages: ['nextValidId'] });
    expect(hold).toEqual({ id: null, ok: true, result: { handle: 1 } });
    expect(await client.answers(8, 1, 1)).toEqual([]);
    expect(await ask.ask({ fault: 'end', handle: 1 })).toMatchObject({ ok: true, result: { acted: 1 } });
    expect(await client.answers(8, 1, 1)).toHaveLength(1);

    await ask.ask({ script: 'pin', conId: 265598, quote: { bid: 50, ask: 50.01, last: 50 } });
    expect(await ask.ask({ ask: 'quote', conId: 265598 })).toMatchObject({ result: { bid: 50, ask: 50.01 } });
    client.send(...stockOrder(1, 193, { limit: 10 }));
    await client.message(([id]) => id === '3');
    const { result } = await ask.ask({ ask: 'orders' });
    expect(result).toMatchObject([{ request: { orderId: 1, clientId: 1 } }]);
    const [{ permId }] = result as [{ permId: number }];
    await ask.ask({ script: 'fill', permId, shares: 30, price: 10 });
    await client.message(([id, , , filled]) => id === '3' && filled === '30');
    expect(await ask.ask({ ask: 'received', message: 'placeOrder' })).toMatchObject({ result: [{ id: 3 }] });

    for (const [command, error] of [
      ['not json', /not JSON/],
      ['[1]', /not a JSON object/],
      [{ fault: 'dropp' }, /"dropp" is none of drop/],
      [{ fault: 'drop', client: 1 }, /client: not a member/],
      [{ fault: 'delay', messages: ['error'] }, /ms: is missing/],
      [{ fault: 'swallow', messages: ['nonsense'] }, /nonsense/],
      [{ script: 'fill', permId: 1, shares: 1 }, /permId/],
      [{ ask: 'advance', ms: 5 }, /real time/],
      [{}, /one of fault, script, ask/],
    ] as const) {
      const answer = await ask.ask(command);
      expect(answer.ok).toBe(false);
      expect(answer.error).toMatch(error);
    }
    await ask.ask({ id: 'last', fault: 'drop', clientId: 1 });
    await client.closed();
  });

  it('floods open lines with valid ticks', async () => {
    const simulator = await createSimulator({ limits: UNLIMITED });
    cleanups.push(() => simulator.close());
    const client = await start(simulator.port);
    await expect(simulator.flood({ messages: 10 })).rejects.toThrow('no client is subscribed');
    client.send(1, 11, 7, 265598, '', '', '', '', '', '', 'SMART', '', '', '', '', 0, '', 0, 0, '');
    await client.message(([id]) => id === '81');
    const { sent } = await simulator.flood({ conIds: [265598], messages: 20_000 });
    expect(sent).toBe(20_000);
    await client.until(() => client.all(1).length + client.all(2).length >= 20_000);
    for (const fields of client.all(1)) {
      expect(fields).toHaveLength(7);
      expect(Number(fields[4])).toBeGreaterThan(0);
    }
    expect(client.all(2).every((fields) => fields.length === 5)).toBe(true);
    const slow = await simulator.flood({ messages: 50, perSecond: 1000 });
    expect(slow.elapsedMs).toBeGreaterThanOrEqual(45);
  });
});

describe('scenarios', () => {
  it('are read line by line, sorted by time', () => {
    const text = '# comment\n\n{"atMs": 20, "fault": "drop"}\n{"atMs": 10, "fault": "refuse"}\n';
    expect(parseScenario(text).map(({ atMs, line }) => [atMs, line])).toEqual([
      [10, 4],
      [20, 3],
    ]);
    expect(() => parseScenario('{"fault": "drop"}')).toThrow('line 1: atMs');
    expect(() => parseScenario('\n{')).toThrow('line 2: not JSON');
  });
});

interface Run {
  readonly child: ChildProcess;
  readonly output: () => string;
  line(pattern: RegExp): Promise<RegExpExecArray>;
  ended(): Promise<number | null>;
}

function run(...args: readonly string[]): Run {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  cleanups.push(() => child.kill('SIGKILL'));
  let output = '';
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  return {
    child,
    output: () => output,
    line: async (pattern) => {
      for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
        const found = pattern.exec(output);
        if (found !== null) return found;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      throw new Error(`no ${pattern} in:\n${output}`);
    },
    ended: () => exit,
  };
}

describe('the command line', () => {
  it('serves clients, plays a scenario and closes on SIGTERM', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'simulator-'));
    cleanups.push(() => rm(folder, { recursive: true }));
    const scenario = join(folder, 'scenario.jsonl');
    await writeFile(scenario, '{"atMs": 1, "fault": "setNextValidId", "nextValidId": 321}\n');
    const simulator = run(
      '--port',
      '0',
      '--control-port',
      '0',
      '--seed',
      '5',
      '--scenario',
      scenario,
      '--unlimited',
    );
    const port = Number(
      (await simulator.line(/gateway on 127\.0\.0\.1:(\d+), accounts DU1234567, seed 5/))[1],
    );
    const control = Number((await simulator.line(/control on 127\.0\.0\.1:(\d+)/))[1]);
    await simulator.line(/scenario line 1/);
    const client = await start(port);
    expect(client.all(9)).toEqual([['9', '1', '321']]);
    expect(await new ControlClient(control).ask({ ask: 'clients' })).toMatchObject({ ok: true });
    simulator.child.kill('SIGTERM');
    await client.closed();
    expect(await simulator.ended()).toBe(0);
    expect(simulator.output()).toContain('closed');
  });

  it.each([
    [['--port', 'x'], '--port: "x"'],
    [['--port', '70000'], '--port'],
    [['--seed', '-1'], '--seed'],
    [['--accounts', 'nobody!'], '--accounts'],
    [['--nonsense'], '--nonsense'],
    [['--scenario', '/no/such/file'], '--scenario'],
    [['--calendar', 'lunar'], '--calendar'],
  ])('%j names the wrong option', async (args, text) => {
    const simulator = run(...args);
    expect(await simulator.ended()).toBe(1);
    expect(simulator.output()).toContain(text);
  });

  it('says which port is taken', async () => {
    const simulator = await createSimulator();
    cleanups.push(() => simulator.close());
    const second = run('--port', String(simulator.port));
    expect(await second.ended()).toBe(1);
    expect(second.output()).toMatch(/--port: cannot listen on \d+: .*EADDRINUSE/);
  });
});

describe('the worker', () => {
  it('listens, serves and closes on request', async () => {
    const worker = new Worker(new URL('../../src/simulator/worker.ts', import.meta.url), {
      workerData: { options: { accounts: ['DU7654321'] }, controlPort: 0 },
    });
    cleanups.push(() => worker.terminate());
    const message = () => new Promise<Record<string, unknown>>((resolve) => worker.once('message', resolve));
    const listening = await message();
    expect(listening).toMatchObject({ type: 'listening', controlPort: expect.any(Number) });
    const client = await start(Number(listening.port));
    expect(client.all(15)).toEqual([['15', '1', 'DU7654321']]);
    const exit = new Promise((resolve) => worker.once('exit', resolve));
    worker.postMessage({ type: 'close' });
    await client.closed();
    expect(await exit).toBe(0);
  });

  it('says why it could not start', async () => {
    const worker = new Worker(new URL('../../src/simulator/worker.ts', import.meta.url), {
      workerData: { options: { accounts: [] } },
    });
    cleanups.push(() => worker.terminate());
    const message = await new Promise((resolve) => worker.once('message', resolve));
    expect(message).toMatchObject({ type: 'failed', message: expect.stringContaining('account') });
  });
});
