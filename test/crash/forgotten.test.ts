/** The end of the journal is lost, with intents that reached the broker: the broker's own word makes them known again. */
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { createSimulator } from '../../src/simulator/simulator.ts';
import { everyRow, writtenOrders } from '../incidents/oracle.ts';
import { eventually, type Program, startProgram, temporaryFolder } from '../program.ts';

const endings: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

const limit = (clientOrderId: string) => ({
  clientOrderId,
  instrument: 'AAPL',
  side: 'buy',
  quantity: '10',
  type: 'limit',
  limitPrice: '1.00',
  timeInForce: 'gtc',
});
const market = (clientOrderId: string) => ({
  clientOrderId,
  instrument: 'AAPL',
  side: 'buy',
  quantity: '6',
  type: 'market',
});

test('intents that were written to the wire and forgotten are ours again, under their names, and never sent twice', async () => {
  const folder = temporaryFolder();
  endings.push(folder.remove);
  const simulator = await createSimulator({ latencyMs: { min: 0, max: 2 }, tickIntervalMs: 20 });
  endings.push(() => simulator.close());
  const path = join(folder.path, 'journal.db');
  const start = async (): Promise<Program> => {
    const program = await startProgram(folder.path, { GATEWAY: 'tws', TWS_PORT: String(simulator.port) });
    endings.push(() => program.kill());
    await eventually(
      () => program.call('GET', '/health/ready?gate=trading'),
      ({ status }) => status === 200,
      20_000,
    );
    return program;
  };
  const files = ['', '-wal'];

  const first = await start();
  const send = async (program: Program, body: object, query = '?wait=accepted&timeoutMs=5000') =>
    program.call('POST', `/v1/orders${query}`, body);
  expect((await send(first, limit('kept'))).status).toBe(201);
  for (const suffix of files) copyFileSync(path + suffix, `${path}${suffix}.before`);
  const working = (await send(first, limit('working'))).body;
  expect((await send(first, market('filled'), '?wait=closed&timeoutMs=10000')).body.state).toBe('filled');
  const ids = writtenOrders(simulator).map(({ orderId }) => orderId);
  await first.kill();
  // The journal as a disk would give it back that lost what was written last.
  for (const suffix of files) {
    rmSync(path + suffix, { force: true });
    if (existsSync(`${path}${suffix}.before`)) copyFileSync(`${path}${suffix}.before`, path + suffix);
  }

  let program = await start();
  for (let lives = 1; lives <= 2; lives += 1) {
    const order = (id: string, state: string) =>
      eventually(
        () => program.call('GET', `/v1/orders/${id}`),
        ({ body }) => body.state === state,
        15_000,
      );
    await order('kept', 'working');
    expect((await order('working', 'working')).body).toMatchObject({
      origin: 'api',
      orderId: working.orderId,
      permIds: working.permIds,
      quantity: '10',
      limitPrice: '1',
    });
    expect((await order('filled', 'filled')).body).toMatchObject({ origin: 'api', filledQuantity: '6' });
    const executions = await everyRow(program, '/v1/executions', 'executions');
    expect(executions.reduce((sum, { quantity }) => sum + Number(quantity), 0)).toBe(6);
    expect(new Set(executions.map(({ clientOrderId }) => clientOrderId))).toEqual(new Set(['filled']));
    const orders = await everyRow(program, '/v1/orders?state=all', 'orders');
    expect(orders.map(({ clientOrderId }) => clientOrderId).sort()).toEqual(['filled', 'kept', 'working']);
    const alerts = (await everyRow(program, '/v1/journal', 'facts')).filter(
      ({ event }) => event === 'order.surprised',
    );
    expect(new Set(alerts.map(({ payload }) => payload.alert.clientOrderId))).toEqual(
      new Set(['filled', 'working']),
    );
    for (const body of [limit('working'), market('filled')])
      expect([200, 409]).toContain((await send(program, body, '')).status);
    expect(writtenOrders(simulator)).toHaveLength(ids.length);
    if (lives === 1) {
      await program.kill();
      program = await start();
    }
  }

  expect((await send(program, limit('next'))).body.orderId).toBeGreaterThan(Math.max(...ids));
  expect((await program.call('PATCH', '/v1/orders/working', { limitPrice: '1.25' })).status).toBe(202);
  await eventually(
    () => simulator.exchange.openOrders().map(({ request }) => request.lmtPrice),
    (prices) => prices.includes(1.25),
  );
  await eventually(
    () => program.call('GET', '/v1/orders/working'),
    ({ body }) => body.state === 'working',
  );
  expect((await program.call('DELETE', '/v1/orders/working')).status).toBe(202);
  await eventually(
    () => program.call('GET', '/v1/orders/working'),
    ({ body }) => body.state === 'cancelled',
  );
  expect(simulator.conformance()).toEqual([]);
}, 90_000);

test('an order of another client that carries a reference stays an order of others', async () => {
  const folder = temporaryFolder();
  endings.push(folder.remove);
  const simulator = await createSimulator({ latencyMs: { min: 0, max: 2 }, tickIntervalMs: 20 });
  endings.push(() => simulator.close());
  const [apple] = simulator.exchange.findContracts({
    conId: 265598,
    symbol: '',
    secType: '',
    lastTradeDateOrContractMonth: '',
    strike: 0,
    right: '',
    multiplier: '',
    exchange: 'SMART',
    primaryExchange: '',
    currency: '',
    localSymbol: '',
    tradingClass: '',
    comboLegs: [],
    includeExpired: false,
    secIdType: '',
    secId: '',
  });
  if (!apple) throw new Error('no such contract');
  simulator.exchange.script.external({
    contract: apple.contract,
    action: 'BUY',
    totalQuantity: 5,
    orderType: 'LMT',
    lmtPrice: 1,
    orderRef: 'mine',
    clientId: 7,
    orderId: 3,
  });
  const program = await startProgram(folder.path, { GATEWAY: 'tws', TWS_PORT: String(simulator.port) });
  endings.push(() => program.kill());
  const orders = await eventually(
    () => everyRow(program, '/v1/orders', 'orders'),
    (rows) => rows.length > 0,
    20_000,
  );
  expect(orders).toMatchObject([
    { origin: 'external', orderId: null, clientOrderId: expect.stringMatching(/^ext-/) },
  ]);
}, 60_000);
