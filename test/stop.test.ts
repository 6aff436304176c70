/** A graceful stop as an orchestrator does it: what clients, the broker and the disk see, in this order. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createSimulator, type Simulator } from '../src/simulator/simulator.ts';
import { eventually, openStream, type Program, startProgram, temporaryFolder } from './program.ts';

// Each test starts processes, some of them several.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Home {
  readonly path: string;
  readonly simulator: Simulator;
  start(environment?: Record<string, string>): Promise<Program>;
  /** files of the journal that a clean end does not leave */
  leftovers(): string[];
  working(): string[];
}

async function home(): Promise<Home> {
  const folder = temporaryFolder();
  const simulator = await createSimulator({ latencyMs: { min: 0, max: 2 } });
  closers.push(() => folder.remove());
  closers.push(() => simulator.close());
  return {
    path: folder.path,
    simulator,
    async start(environment = {}) {
      const program = await startProgram(folder.path, {
        GATEWAY: 'tws',
        TWS_PORT: String(simulator.port),
        ...environment,
      });
      closers.push(() => program.kill());
      await eventually(
        () => program.call('GET', '/health/ready?gate=trading'),
        ({ status }) => status === 200,
        20_000,
      );
      return program;
    },
    leftovers: () =>
      ['journal.db-wal', 'journal.db-shm', 'journal.db.pid'].filter((name) =>
        existsSync(join(folder.path, name)),
      ),
    working: () =>
      simulator.exchange
        .openOrders()
        .map(({ request }) => request.orderRef)
        .sort(),
  };
}

const resting = { instrument: 'AAPL', side: 'buy', quantity: '1', type: 'limit', limitPrice: '1.00' };
async function place(program: Program, clientOrderId: string, timeInForce = 'day'): Promise<void> {
  const placed = await program.call('POST', '/v1/orders?wait=accepted&timeoutMs=5000', {
    ...resting,
    clientOrderId,
    timeInForce,
  });
  expect(placed).toMatchObject({ status: 201, body: { state: 'working' } });
}

const said = (program: Program, text: string): boolean => program.lines.some((line) => line.includes(text));

test('leave: clients are told, nothing is cancelled, and the journal is closed', async () => {
  const at = await home();
  const program = await at.start();
  await place(program, 'day');
  await place(program, 'gtc', 'gtc');
  const socket = new WebSocket(`${program.url.replace('http', 'ws')}/v1/stream`);
  const frames: Record<string, unknown>[] = [];
  socket.on('message', (data) => frames.push(JSON.parse(String(data))));
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  await eventually(
    () => frames,
    ([welcome]) => welcome !== undefined,
  );
  // An answer that is held must not hold the stop.
  const held = program
    .call('POST', '/v1/orders?wait=closed&timeoutMs=30000', { ...resting, clientOrderId: 'held' })
    .catch(() => 'cut');
  await eventually(at.working, (orders) => orders.length === 3);

  expect(await program.stop()).toBe(0);
  expect(await closed).toBe(1001);
  expect(frames.at(-1)).toMatchObject({
    type: 'bye',
    code: 'server-shutdown',
    reconnectInMs: expect.any(Number),
  });
  expect(await held).toBe('cut');
  expect(at.working()).toEqual(['day', 'gtc', 'held']);
  expect(at.leftovers()).toEqual([]);
  await eventually(
    () => at.simulator.clients(),
    (clients) => clients.length === 0,
  );
  const [stopping, stopped] = ['"msg":"stopping"', '"msg":"stopped"'].map((text) =>
    program.lines.findIndex((line) => line.includes(text)),
  );
  expect(stopping).toBeGreaterThan(0);
  expect(stopped).toBeGreaterThan(stopping ?? 0);
});

test('cancel-day takes what lives for the day, cancel-all the rest of ours; the records say so after', async () => {
  const at = await home();
  const day = await at.start({ STOP_ORDER_POLICY: 'cancel-day' });
  await place(day, 'day-1');
  await place(day, 'day-2');
  await place(day, 'gtc', 'gtc');
  at.simulator.exchange.script.external({
    contract: { ...at.simulator.exchange.openOrders()[0]?.request.contract },
    action: 'BUY',
    totalQuantity: 1,
    orderType: 'LMT',
    lmtPrice: 1,
    orderRef: 'foreign',
  } as Parameters<typeof at.simulator.exchange.script.external>[0]);
  const stream = await openStream(`${day.url.replace('http', 'ws')}/v1/stream`);
  expect(await day.stop()).toBe(0);
  await stream.frame(({ type }) => type === 'bye');
  expect(at.working()).toEqual(['foreign', 'gtc']);
  expect(at.leftovers()).toEqual([]);

  const all = await at.start({ STOP_ORDER_POLICY: 'cancel-all' });
  for (const clientOrderId of ['day-1', 'day-2'])
    expect((await all.call('GET', `/v1/orders/${clientOrderId}`)).body.state).toBe('cancelled');
  expect((await all.call('GET', '/v1/orders/gtc')).body.state).toBe('working');
  expect(await all.stop()).toBe(0);
  expect(at.working()).toEqual(['foreign']);
});

test('a gateway that does not cancel: refused and not ready meanwhile, 1 at the deadline, and the next start goes on', async () => {
  const at = await home();
  const program = await at.start({ STOP_ORDER_POLICY: 'cancel-all', STOP_DEADLINE_MS: '6000' });
  await place(program, 'stuck');
  const deaf = at.simulator.faults.ignore({ messages: ['cancelOrder'] });
  const stream = await openStream(`${program.url.replace('http', 'ws')}/v1/stream`);
  const ended = program.stop();
  await stream.frame(({ type }) => type === 'bye');
  const ready = await program.call('GET', '/health/ready');
  expect(ready).toMatchObject({ status: 503, body: { reason: 'draining' } });
  expect((await program.call('GET', '/health/live')).status).toBe(200);
  const refused = await program.call('POST', '/v1/orders', { ...resting, clientOrderId: 'late' });
  expect(refused).toMatchObject({
    status: 503,
    body: { code: 'trading-unavailable', reason: 'draining' },
  });
  expect(await ended).toBe(1);
  expect(deaf.acted).toBeGreaterThan(0);
  expect(said(program, 'did not confirm the cancel of stuck')).toBe(true);
  expect(at.leftovers()).toEqual([]);
  expect(at.working()).toEqual(['stuck']);

  deaf.clear();
  const next = await at.start({ STOP_ORDER_POLICY: 'cancel-all' });
  await eventually(
    () => next.call('GET', '/v1/orders/stuck'),
    ({ body }) => body.state === 'cancelled',
  );
  expect((await next.call('GET', '/v1/orders/late')).status).toBe(404);
  expect(at.working()).toEqual([]);

  // Without a session nothing is waited for, and it is told all the same.
  await place(next, 'unreachable');
  await at.simulator.faults.refuse();
  at.simulator.faults.drop();
  await eventually(
    () => next.call('GET', '/health/ready?gate=trading'),
    ({ status }) => status === 503,
  );
  expect(await next.stop()).toBe(1);
  expect(said(next, 'did not confirm the cancel of unreachable')).toBe(true);
  expect(at.leftovers()).toEqual([]);
});

test('a second signal waits for nothing but the journal', async () => {
  const at = await home();
  const program = await at.start({ STOP_ORDER_POLICY: 'cancel-all', STOP_DEADLINE_MS: '600000' });
  await place(program, 'stuck');
  at.simulator.faults.ignore({ messages: ['cancelOrder'] });
  const ended = program.stop();
  await eventually(
    () => at.simulator.received({ message: 'cancelOrder' }),
    (cancels) => cancels.length > 0,
  );
  process.kill(program.pid, 'SIGINT');
  expect(await ended).toBe(1);
  expect(said(program, 'second SIGINT')).toBe(true);
  expect(said(program, 'did not confirm the cancel of stuck')).toBe(true);
  expect(at.leftovers()).toEqual([]);
  const next = await at.start();
  expect((await next.call('GET', '/v1/orders/stuck')).body.state).not.toBe('rejected');
});
