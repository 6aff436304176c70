import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { eventually } from './program.ts';
import { startWhole, type Whole } from './whole.ts';

// A whole runtime for each test, and cuts that are waited out.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
let whole: Whole;
beforeEach(async () => {
  whole = await startWhole();
});
afterEach(async () => {
  expect(whole.simulator.conformance()).toEqual([]);
  await whole.stop();
});

const wire = (message: string) => whole.simulator.received({ message });
const price = async (side: 'bid' | 'ask'): Promise<number> =>
  (await whole.call('GET', '/v1/quotes/AAPL')).body[side];

test('halting is latched: it survives a restart, and opens only when asked', async () => {
  await whole.place({ clientOrderId: 'c-1' });
  const killed = await whole.call('POST', '/v1/kill', { message: 'enough' });
  expect(killed.body).toMatchObject({ trading: { state: 'halted' }, orders: [{ clientOrderId: 'c-1' }] });
  await whole.order('c-1', ({ state }) => state === 'cancelled');
  expect(await whole.place({ clientOrderId: 'c-2' })).toMatchObject({
    status: 503,
    body: { reason: 'halted' },
  });
  await whole.restart(undefined, 'started');
  await eventually(
    () => whole.call('GET', '/v1/trading'),
    ({ body }) => body.state === 'halted',
  );
  expect((await whole.call('GET', '/v1/trading')).body.reasons).toMatchObject([
    { code: 'kill', message: 'enough' },
  ]);
  expect((await whole.call('PUT', '/v1/trading', { state: 'open' })).body).toEqual({
    state: 'open',
    reasons: [],
  });
  await whole.untilTrading();
  expect((await whole.place({ clientOrderId: 'c-2' })).status).toBe(201);
}, 60_000);

test("a preview shows margin and commission, the gate's verdict, and enters nothing", async () => {
  const { status, body } = await whole.call('POST', '/v1/orders/preview', {
    instrument: 'AAPL',
    side: 'buy',
    quantity: '100',
    type: 'market',
  });
  expect(status).toBe(200);
  expect(Number(body.preview.initialMarginChange)).toBeGreaterThan(0);
  expect(body.gate).toEqual({ approved: true, reasons: [] });
  expect((await whole.call('GET', '/v1/orders')).body.orders).toEqual([]);
  expect(whole.simulator.exchange.openOrders()).toEqual([]);
  expect((await whole.place({ clientOrderId: 'c-1' })).status).toBe(201);
});

test('the gate refuses before the wire, and the refusal is kept', async () => {
  const tooMany = await whole.place({ clientOrderId: 'c-1', quantity: '100001' });
  expect(tooMany).toMatchObject({ status: 422, body: { code: 'denied-order-quantity' } });
  expect(await whole.order('c-1', ({ state }) => state === 'denied')).toMatchObject({
    reason: { code: 'order-quantity' },
  });
  expect(await whole.place({ clientOrderId: 'c-1', quantity: '100001' })).toMatchObject({
    status: 200,
    body: { state: 'denied' },
  });
  const ask = await price('ask');
  const tooFar = await whole.place({
    clientOrderId: 'c-2',
    type: 'limit',
    limitPrice: (ask * 1.5).toFixed(2),
  });
  expect(tooFar).toMatchObject({ status: 422, body: { code: 'denied-price-collar' } });
  expect(wire('placeOrder')).toEqual([]);
});

test('a loss that TWS has not told bounds what is held already; an account that is flat is told of', async () => {
  const { faults, exchange } = whole.simulator;
  await whole.place({ clientOrderId: 'c-1', type: 'market', limitPrice: undefined }, '?wait=closed');
  await whole.restart(() => faults.swallow({ messages: ['pnl'] }));
  const unknown = { status: 422, body: { code: 'denied-daily-loss-unknown' } };
  expect(await whole.place({ clientOrderId: 'c-2' })).toMatchObject(unknown);
  const exit = { clientOrderId: 'c-3', side: 'sell', type: 'market', limitPrice: undefined };
  expect((await whole.place(exit, '?wait=closed')).body).toMatchObject({ state: 'filled' });
  expect(exchange.positions().filter(({ position }) => position !== 0)).toEqual([]);
  const preview = { instrument: 'AAPL', side: 'buy', quantity: '10', type: 'market' };
  expect((await whole.call('POST', '/v1/orders/preview', preview)).body.gate).toEqual({
    approved: true,
    reasons: [],
    unapplied: ['MAX_DAILY_LOSS'],
  });
  expect((await whole.place({ clientOrderId: 'c-4' })).status).toBe(201);
});

test('a session knows nothing of the loss that the one before it told', async () => {
  const { faults } = whole.simulator;
  await whole.place({ clientOrderId: 'c-1', type: 'market', limitPrice: undefined }, '?wait=closed');
  expect((await whole.place({ clientOrderId: 'c-2' })).status).toBe(201);
  const silence = faults.swallow({ messages: ['pnl'] });
  faults.drop();
  await eventually(
    () => whole.call('GET', '/health/ready?gate=trading'),
    ({ status }) => status === 503,
  );
  await whole.untilTrading();
  const unknown = { status: 422, body: { code: 'denied-daily-loss-unknown' } };
  expect(await whole.place({ clientOrderId: 'c-3' })).toMatchObject(unknown);
  silence.clear();
  await eventually(
    () =>
      whole.call('POST', '/v1/orders/preview', {
        instrument: 'AAPL',
        side: 'buy',
        quantity: '1',
        type: 'market',
      }),
    ({ body }) => body.gate.approved,
  );
});

test('of several accounts nobody chooses but the client', async () => {
  const login = await startWhole({ simulator: { accounts: ['DU1234567', 'DU7654321'] } });
  const problem = {
    status: 400,
    body: {
      code: 'validation-failed',
      errors: [{ pointer: '/account', detail: expect.stringContaining('DU1234567, DU7654321') }],
    },
  };
  expect(await login.place({ clientOrderId: 'c-1' })).toMatchObject(problem);
  const body = { instrument: 'AAPL', side: 'buy', quantity: '1', type: 'market' };
  expect(await login.call('POST', '/v1/orders/preview', body)).toMatchObject(problem);
  expect((await login.call('GET', '/v1/orders/c-1')).status).toBe(404);
  expect(await login.place({ clientOrderId: 'c-1', account: 'DU7654321' })).toMatchObject({
    status: 201,
    body: { account: 'DU7654321', state: 'working' },
  });
  expect((await login.call('PATCH', '/v1/orders/c-1', { quantity: '5' })).status).toBe(202);
  await login.stop();
});

test('a client cannot move its own limits by what it says of a contract', async () => {
  const numbered = { exchange: 'SMART', conId: 265598 };
  const stock = { symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'USD' };
  const future = { symbol: 'ES', secType: 'FUT', exchange: 'CME', currency: 'USD', localSymbol: 'ESZ6' };
  for (const contract of [numbered, stock, future])
    for (const multiplier of ['0.0000001', '0x10', 'Infinity']) {
      const instrument = { ...contract, multiplier };
      const order = { instrument, type: 'market', limitPrice: undefined, quantity: '9000' };
      const refused = await whole.place(order);
      const code = contract === future ? 'denied-notional-unknown' : 'denied-order-notional';
      expect([refused.status, refused.body.code]).toEqual([422, code]);
    }
});

test('a preview judges all that would be sent, and asks nothing about an account that is not ours to trade', async () => {
  const preview = (body: object) => whole.call('POST', '/v1/orders/preview', body);
  const order = { instrument: 'AAPL', side: 'buy', quantity: '5', type: 'limit', limitPrice: '1.00' };
  const quiet = wire('placeOrder').length;
  const ask = await price('ask');
  const bracket = { takeProfit: { limitPrice: String(Math.round(ask / 2)) }, stopLoss: { stopPrice: '0.5' } };
  const entry = { ...order, type: 'market', limitPrice: undefined };
  expect(await preview({ ...entry, bracket })).toMatchObject({
    status: 200,
    body: { gate: { approved: false, reasons: [{ code: 'price-collar' }] } },
  });
  expect(wire('placeOrder')).toHaveLength(quiet + 1);
  for (const [account, code] of [
    ['U7654321', 'account-unknown'],
    ['DU9999999', 'account-unknown'],
  ])
    expect(await preview({ ...order, account })).toMatchObject({
      status: 200,
      body: { accepted: false, reason: { code }, preview: null, gate: { approved: false } },
    });
  expect(wire('placeOrder')).toHaveLength(quiet + 1);
});

test('a runtime that only reads says so, and asks the broker nothing that has the form of an order', async () => {
  const reading = await startWhole({ environment: { TRADING_MODE: 'off' } });
  try {
    const health = await eventually(
      () => reading.call('GET', '/health/detailed'),
      ({ body }) => body.reasons.some(({ code }: { code: string }) => code === 'read-only'),
    );
    expect(health.body.gates).toMatchObject({ ready: true, trading: false });
    expect((await reading.call('GET', '/health/ready?gate=trading')).status).toBe(503);
    const refused = { status: 503, body: { code: 'trading-unavailable', reason: 'read-only' } };
    expect(await reading.place({ clientOrderId: 'r-1' }, '')).toMatchObject(refused);
    const order = { instrument: 'AAPL', side: 'buy', quantity: '5', type: 'limit', limitPrice: '1.00' };
    expect(await reading.call('POST', '/v1/orders/preview', order)).toMatchObject(refused);
    expect(reading.simulator.received({ message: 'placeOrder' })).toEqual([]);
  } finally {
    await reading.stop();
  }
});
