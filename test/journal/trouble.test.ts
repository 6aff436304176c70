/** A journal that cannot be written: no order leaves, cancels do, facts wait, and trading opens again by itself. */
import { existsSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { retireAfterMs } from '../../machines/desk.ts';
import { openJournal } from '../../src/journal/journal.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { expectBooksAgree } from '../incidents/oracle.ts';
import { eventually, type Program, startProgram, temporaryFolder } from '../program.ts';
import { canLimit, canMount, limitFiles, type SmallDisk, smallDisk } from './disk.ts';

const preload = new URL('../crash/preload.ts', import.meta.url).href;
const endings: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

interface Setting {
  readonly simulator: Simulator;
  readonly program: Program;
  restart(): Promise<Program>;
}

async function trading(folder: string, environment: Record<string, string> = {}): Promise<Setting> {
  const simulator = await createSimulator({ latencyMs: { min: 0, max: 2 }, tickIntervalMs: 20 });
  endings.push(() => simulator.close());
  const start = async (): Promise<Program> => {
    const program = await startProgram(folder, {
      GATEWAY: 'tws',
      TWS_PORT: String(simulator.port),
      JOURNAL_PATH: join(folder, 'journal.db'),
      ...environment,
    });
    endings.push(() => program.kill());
    await untilTrading(program);
    return program;
  };
  return { simulator, program: await start(), restart: start };
}

const untilTrading = (program: Program) =>
  eventually(
    () => program.call('GET', '/health/ready?gate=trading'),
    ({ status }) => status === 200,
    20_000,
  );

const limit = (clientOrderId: string) => ({
  clientOrderId,
  instrument: 'AAPL',
  side: 'buy',
  quantity: '10',
  type: 'limit',
  limitPrice: '1.00',
  timeInForce: 'gtc',
});

/** What must hold while nothing can be written, and after it can be again. `complaint`: what the health must say. */
async function endure(
  { simulator, program, restart }: Setting,
  breakIt: () => void | Promise<void>,
  mendIt: () => void | Promise<void>,
  complaint: RegExp,
  isLong = false,
): Promise<void> {
  const place = (id: string) => program.call('POST', '/v1/orders?wait=accepted', limit(id));
  const wire = (message: string) => simulator.received({ message }).length;
  const order = (id: string, state: string) =>
    eventually(
      () => program.call('GET', `/v1/orders/${id}`),
      ({ body }) => body.state === state,
      15_000,
    );

  expect(await place('to-cancel')).toMatchObject({ status: 201, body: { state: 'working' } });
  expect(await place('to-fill')).toMatchObject({ status: 201, body: { state: 'working' } });
  const { body: filling } = await program.call('GET', '/v1/orders/to-fill');
  await breakIt();
  const placed = wire('placeOrder');

  for (const id of ['refused-1', 'refused-2']) {
    expect(await place(id)).toMatchObject({
      status: 503,
      body: { code: 'trading-unavailable', reason: 'journal-unavailable' },
    });
    expect((await program.call('GET', `/v1/orders/${id}`)).status).toBe(404);
  }
  expect(await program.call('PATCH', '/v1/orders/to-fill', { limitPrice: '1.10' })).toMatchObject({
    status: 503,
    body: { code: 'trading-unavailable', reason: 'journal-unavailable' },
  });
  const { body: health } = await program.call('GET', '/health/detailed');
  expect(JSON.stringify(health)).toMatch(complaint);
  expect((health.components as Record<string, { status: string }>).journal).toMatchObject({ status: 'fail' });
  expect((await program.call('GET', '/health/ready?gate=trading')).status).toBe(503);

  expect((await program.call('DELETE', '/v1/orders/to-cancel')).status).toBe(202);
  await order('to-cancel', 'cancelled');
  expect(wire('cancelOrder')).toBe(1);
  simulator.exchange.script.fill(Number((filling.permIds as string[])[0]), 10);
  await order('to-fill', 'filled');
  expect(wire('placeOrder')).toBe(placed);
  if (isLong) {
    // Their actors are retired meanwhile, and the journal knows of no end.
    await new Promise((done) => setTimeout(done, retireAfterMs + 1_000));
    await order('to-cancel', 'cancelled');
    expect((await order('to-fill', 'filled')).body).toMatchObject({ filledQuantity: '10' });
    expect((await program.call('GET', '/v1/orders?state=open')).body.orders).toEqual([]);
  }
  const facts = async () =>
    (await program.call('GET', '/v1/journal?limit=500')).body.facts as { event: string }[];
  expect((await facts()).map(({ event }) => event)).not.toContain('order.filled');

  expect(await program.call('PUT', '/v1/trading', { state: 'halted' })).toMatchObject({
    status: 200,
    body: { state: 'halted', durable: false },
  });

  await mendIt();
  const latch = await eventually(
    () => program.call('GET', '/v1/trading'),
    ({ body }) => body.durable === undefined,
    15_000,
  );
  expect(latch.body.state).toBe('halted');
  expect((await program.call('PUT', '/v1/trading', { state: 'open' })).body).toMatchObject({ state: 'open' });
  await untilTrading(program);
  const after = (await facts()).map(({ event }) => event);
  for (const event of [
    'order.cancelled',
    'order.filled',
    'execution.booked',
    'position.changed',
    'journal.regained',
  ])
    expect(after).toContain(event);
  expect(await place('after')).toMatchObject({ status: 201, body: { state: 'working' } });
  expect(wire('placeOrder')).toBe(placed + 1);
  await expectBooksAgree({ simulator, call: program.call });

  await program.kill();
  const again = await restart();
  await expectBooksAgree({ simulator, call: again.call });
  expect((await again.call('GET', '/v1/orders/refused-1')).status).toBe(404);
  expect(await again.call('GET', '/v1/orders/to-fill')).toMatchObject({
    body: { state: 'filled', fills: [{}] },
  });
  expect(simulator.conformance()).toEqual([]);
}

function disk(size: string): SmallDisk {
  const made = smallDisk(size);
  endings.push(() => made.remove());
  return made;
}

/** The platform does not let everybody mount or limit: what everybody may do is always tested. */
describe('while the program runs', () => {
  if (canMount) {
    test('the disk is full', async () => {
      const small = disk('16m');
      const setting = await trading(small.path);
      await endure(
        setting,
        small.fill,
        small.free,
        /the journal cannot be written: database or disk is full/,
      );
    }, 60_000);
  }

  if (canLimit) {
    test('the operating system refuses to write', async () => {
      const folder = temporaryFolder();
      endings.push(folder.remove);
      const setting = await trading(folder.path);
      const { pid } = setting.program;
      await endure(
        setting,
        () => limitFiles(pid, 1),
        () => limitFiles(pid, null),
        /the journal cannot be written: disk I\/O error/,
        true,
      );
    }, 60_000);

    test('a stop says what the disk did not take, and does not wait for it', async () => {
      const folder = temporaryFolder();
      endings.push(folder.remove);
      const { program } = await trading(folder.path, { STOP_ORDER_POLICY: 'cancel-all' });
      for (const id of ['first', 'second'])
        expect((await program.call('POST', '/v1/orders?wait=accepted', limit(id))).status).toBe(201);
      limitFiles(program.pid, 1);
      const began = Date.now();
      expect(await program.stop()).toBe(1);
      expect(Date.now() - began).toBeLessThan(5_000);
      const said = program.lines.join('\n');
      expect(said).toMatch(/stopped, but \d+ facts could not be written to .*journal\.db/);
      expect(said).not.toContain('did not confirm');
    }, 60_000);
  }

  test('its file is deleted', async () => {
    const folder = temporaryFolder();
    endings.push(folder.remove);
    const { simulator, program, restart } = await trading(folder.path);
    const place = (id: string) => program.call('POST', '/v1/orders?wait=accepted', limit(id));
    expect((await place('kept')).status).toBe(201);
    rmSync(join(folder.path, 'journal.db'));
    expect(await place('refused')).toMatchObject({ status: 503, body: { reason: 'journal-unavailable' } });
    const { body } = await program.call('GET', '/health/detailed');
    expect(body.components).toMatchObject({
      journal: { status: 'fail', trouble: expect.stringContaining('was deleted or replaced') },
    });
    expect((await program.call('DELETE', '/v1/orders/kept')).status).toBe(202);
    await eventually(
      () => simulator.exchange.openOrders(),
      (open) => open.length === 0,
    );
    await program.kill();
    rmSync(join(folder.path, 'journal.db-wal'), { force: true });
    const again = await restart();
    expect(again.lines.join('\n')).toMatch(/it is new, and one with \d+ facts was here before/);
    expect(simulator.received({ message: 'placeOrder' })).toHaveLength(1);
  }, 60_000);

  test('the journal is read only', async () => {
    const folder = temporaryFolder();
    endings.push(folder.remove);
    const setting = await trading(folder.path, {
      NODE_OPTIONS: `--import ${preload}`,
      JOURNAL_SWITCH: 'yes',
    });
    const { pid, lines } = setting.program;
    const turn = (readOnly: boolean) => async () => {
      process.kill(pid, 'SIGALRM');
      await eventually(
        () => lines.at(-1),
        () => lines.includes(`journal read only: ${readOnly}`),
      );
    };
    await endure(
      setting,
      turn(true),
      turn(false),
      /the journal cannot be written: attempt to write a readonly database/,
    );
  }, 60_000);
});

describe('at the start', () => {
  const environment = { GATEWAY: 'tws', TWS_PORT: '1' };
  const notWritable =
    /JOURNAL_PATH: cannot open .*journal\.db \(E.*\); the file and its folder must be writable/;

  if (canMount) {
    test('a full disk stops it with the fix in its message', async () => {
      const small = disk('1m');
      small.fill();
      await expect(startProgram(small.path, environment)).rejects.toThrow(
        /JOURNAL_PATH: cannot open .*journal\.db \(database or disk is full\); make room on its disk/,
      );
      small.free();
      const program = await startProgram(small.path, environment);
      expect(await program.stop()).toBe(0);
    }, 60_000);

    test('a disk that is mounted read only stops it with the fix in its message', async () => {
      const small = disk('4m');
      openJournal(join(small.path, 'journal.db')).close();
      small.freeze();
      await expect(startProgram(small.path, environment)).rejects.toThrow(notWritable);
    }, 60_000);
  }

  test('a folder that cannot be made stops it with the fix in its message', async () => {
    const folder = temporaryFolder();
    endings.push(folder.remove);
    writeFileSync(join(folder.path, 'taken'), '');
    const path = join(folder.path, 'taken', 'journal.db');
    await expect(startProgram(folder.path, { ...environment, JOURNAL_PATH: path })).rejects.toThrow(
      notWritable,
    );
  }, 60_000);

  test.each([
    'tws',
    'simulated',
  ])('a folder that is a link to nothing, or below /proc, does too (GATEWAY=%s)', async (GATEWAY) => {
    const folder = temporaryFolder();
    endings.push(folder.remove);
    symlinkSync(join(folder.path, 'gone'), join(folder.path, 'link'));
    const start = (JOURNAL_PATH: string) =>
      startProgram(folder.path, { ...environment, GATEWAY, JOURNAL_PATH });
    await expect(start(join(folder.path, 'link', 'journal.db'))).rejects.toThrow(
      /ended with 1:\nJOURNAL_PATH: cannot open .*journal\.db \(.*link is a link to .*gone, which is no folder\)/,
    );
    if (existsSync('/proc/self'))
      await expect(start('/proc/nobody/journal.db')).rejects.toThrow(
        /ended with 1:\nJOURNAL_PATH: cannot open \/proc\/nobody\/journal\.db \(E/,
      );
  }, 60_000);

  test('a second runtime with a simulated gateway is told which setting keeps them apart', async () => {
    const folder = temporaryFolder();
    endings.push(folder.remove);
    const first = await startProgram(folder.path);
    endings.push(() => first.kill());
    await expect(startProgram(folder.path)).rejects.toThrow(
      /ended with 1:[\s\S]*is in use by another simulated gateway: stop that one or set a JOURNAL_PATH in another folder/,
    );
  }, 60_000);
});
