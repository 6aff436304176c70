/** Orders over HTTP, through gate and journal, to the simulated gateway's book and back. */
import { IBApi, type Order as IbOrder, OrderAction, OrderType, SecType } from '@stoqey/ib';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Order, OrderTicket } from '../machines/order.ts';
import { eventually, openStream } from './program.ts';
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

test('an order rests, is changed, and is cancelled', async () => {
  const placed = await whole.place({ clientOrderId: 'c-1' });
  expect(placed.status).toBe(201);
  expect(placed.body).toMatchObject({
    state: 'working',
    limitPrice: '1.00',
    origin: 'api',
    account: 'DU1234567',
  });

  const stale = await whole.call('PATCH', '/v1/orders/c-1', { limitPrice: '2' }, { 'if-match': '"1"' });
  expect(stale).toMatchObject({ status: 412, body: { code: 'version-mismatch' } });
  const version = `"${placed.body.version}"`;
  const changed = await whole.call(
    'PATCH',
    '/v1/orders/c-1',
    { limitPrice: '2.5', quantity: '20' },
    { 'if-match': version },
  );
  expect(changed).toMatchObject({
    status: 202,
    body: { state: 'modifying', pendingChange: { limitPrice: '2.5', quantity: '20' } },
  });
  const working = await whole.order('c-1', ({ state }) => state === 'working');
  expect(working).toMatchObject({
    limitPrice: '2.5',
    quantity: '20',
    remainingQuantity: '20',
    pendingChange: null,
  });
  expect(whole.simulator.exchange.openOrders()).toMatchObject([
    { request: { lmtPrice: 2.5, totalQuantity: 20 } },
  ]);
  expect(new Set(wire('placeOrder').map(({ fields }) => fields[1])).size).toBe(1);

  expect(await whole.call('DELETE', '/v1/orders/c-1')).toMatchObject({ status: 202 });
  expect(await whole.order('c-1', ({ state }) => state === 'cancelled')).toMatchObject({
    filledQuantity: '0',
  });
  expect(await whole.call('DELETE', '/v1/orders/c-1')).toMatchObject({
    status: 409,
    body: { code: 'order-closed' },
  });
});

test('changes and cancels wait for the broker when asked to; a query that nobody understands is refused', async () => {
  await whole.place({ clientOrderId: 'c-1' });
  expect(
    await whole.call('PATCH', '/v1/orders/c-1?wait=accepted&timeoutMs=5000', { limitPrice: '2' }),
  ).toMatchObject({ status: 202, body: { state: 'working', limitPrice: '2', pendingChange: null } });
  for (const [method, path] of [
    ['PATCH', '/v1/orders/c-1?wiat=accepted'],
    ['DELETE', '/v1/orders/c-1?now=1'],
    ['POST', '/v1/orders/preview?wait=closed'],
    ['GET', '/v1/quotes/AAPL?x=1'],
  ] as const)
    expect(
      await whole.call(method, path, method === 'PATCH' ? { limitPrice: '3' } : undefined),
    ).toMatchObject({
      status: 400,
      body: { code: 'validation-failed' },
    });
  expect(await whole.call('DELETE', '/v1/orders/c-1?wait=closed&timeoutMs=5000')).toMatchObject({
    status: 202,
    body: { state: 'cancelled' },
  });
});

test('a price that an order may have and did not have is added by a change', async () => {
  const { script } = whole.simulator.exchange;
  // Pegged to the bid, away from what trades.
  script.pin(265598, { bid: 100, ask: 102, last: 102, bidSize: 500, askSize: 500 });
  const pegged = { clientOrderId: 'capped', type: 'relative', limitPrice: undefined };
  expect((await whole.place(pegged)).status).toBe(201);
  expect((await whole.call('PATCH', '/v1/orders/capped', { limitPrice: '90' })).status).toBe(202);
  expect(await whole.order('capped', ({ pendingChange }) => pendingChange === null)).toMatchObject({
    state: 'working',
    limitPrice: '90',
    reason: null,
  });
});

test('a changed order has terms that a new one could have', async () => {
  const patch = (body: unknown) => whole.call('PATCH', '/v1/orders/c-1', body);
  const date = new Date(Date.now() + 86_400_000).toISOString();
  await whole.place({ clientOrderId: 'c-1' });
  expect(await patch({ goodTillDate: date })).toMatchObject({
    status: 400,
    body: { errors: [{ pointer: '/goodTillDate' }] },
  });
  expect((await patch({ timeInForce: 'gtd', goodTillDate: date })).status).toBe(202);
  const dated = await whole.order('c-1', ({ state }) => state === 'working');
  expect(dated).toMatchObject({ timeInForce: 'gtd', goodTillDate: date });
  expect((await patch({ timeInForce: 'day' })).status).toBe(202);
  const back = await whole.order('c-1', ({ state }) => state === 'working');
  expect(back).toMatchObject({ timeInForce: 'day', reason: null });
  expect(back).not.toHaveProperty('goodTillDate');
  expect(whole.simulator.exchange.openOrders()).toMatchObject([
    { request: { tif: 'DAY', goodTillDate: '' } },
  ]);

  const trailing = { type: 'trailing_stop', side: 'sell', trailAmount: '5', limitPrice: undefined };
  await whole.place({ ...trailing, clientOrderId: 'c-2' });
  const stream = await openStream(`${whole.url.replace('http', 'ws')}/v1/stream`);
  const change = { trailPercent: '3' };
  stream.send({ type: 'command', id: 1, command: 'order.modify', clientOrderId: 'c-2', change });
  expect(await stream.frame(({ type }) => type === 'result')).toMatchObject({
    ok: false,
    problem: { status: 400, errors: [{ pointer: '/change/trailPercent' }] },
  });
  stream.close();
});

test('a change of another term leaves a trailing stop, and the limit behind it, where the market has put them', async () => {
  const pin = (bid: number) =>
    whole.simulator.exchange.script.pin(265598, {
      bid,
      ask: bid + 0.02,
      last: bid,
      bidSize: 500,
      askSize: 500,
    });
  const stops = () =>
    Object.fromEntries(
      whole.simulator.exchange
        .openOrders()
        .map(({ request, trailStopPrice }) => [request.orderRef, trailStopPrice]),
    );
  const trailing = { type: 'trailing_stop', side: 'sell', trailAmount: '5', limitPrice: undefined };
  pin(270);
  await whole.place({ ...trailing, clientOrderId: 'bare' });
  await whole.place({ ...trailing, clientOrderId: 'begun', stopPrice: '262' });
  await whole.place({ ...trailing, clientOrderId: 'further', tws: { trailStopPrice: 262 } });
  const limited = { ...trailing, type: 'trailing_stop_limit', stopPrice: '262', limitPrice: '261.5' };
  await whole.place({ ...limited, clientOrderId: 'limited' });
  pin(300);
  const followed = { bare: 295, begun: 295, further: 295, limited: 295 };
  await eventually(stops, (now) => Object.values(now).every((stop) => stop === 295));
  pin(296);
  for (const id of Object.keys(followed)) {
    expect((await whole.call('PATCH', `/v1/orders/${id}`, { timeInForce: 'gtc' })).status).toBe(202);
    const changed = await whole.order(id, ({ state }) => state === 'working');
    expect(changed).toMatchObject({ timeInForce: 'gtc', reason: null });
    expect(changed.stopPrice).toBe(id === 'begun' || id === 'limited' ? '262' : undefined);
  }
  expect(stops()).toEqual(followed);
  expect((await whole.call('PATCH', '/v1/orders/begun', { stopPrice: '291.5' })).status).toBe(202);
  expect(await whole.order('begun', ({ state }) => state === 'working')).toMatchObject({
    stopPrice: '291.5',
  });
  expect(stops()).toEqual({ ...followed, begun: 291.5 });
  const further = {
    ...limited,
    limitPrice: undefined,
    clientOrderId: 'offset',
    tws: { lmtPriceOffset: 0.5 },
  };
  expect((await whole.place(further)).body).toMatchObject({ state: 'working' });
  expect(
    await whole.call('PATCH', '/v1/orders/offset?wait=accepted&timeoutMs=5000', { limitPrice: '240' }),
  ).toMatchObject({ body: { state: 'working', limitPrice: '240', reason: null } });
  expect((await whole.call('DELETE', '/v1/orders/offset?wait=closed')).body).toMatchObject({
    state: 'cancelled',
  });
  // A limit of its stop's distance waits in the book; one that had stayed behind would be filled.
  pin(293);
  expect(await whole.order('limited', ({ notices }) => notices !== undefined)).toMatchObject({
    state: 'working',
  });
  pin(294.75);
  expect(await whole.order('limited', ({ state }) => state === 'filled')).toMatchObject({
    averageFillPrice: '294.5',
  });
});

test('the same id twice is one order, and another body is a conflict', async () => {
  const [first, second] = await Promise.all([
    whole.place({ clientOrderId: 'c-1' }),
    whole.place({ clientOrderId: 'c-1' }),
  ]);
  expect([first.status, second.status].sort()).toEqual([200, 201]);
  expect(await whole.place({ clientOrderId: 'c-1', quantity: '11' })).toMatchObject({
    status: 409,
    body: { code: 'client-order-id-reused' },
  });
  const preview = { clientOrderId: 'c-1', instrument: 'AAPL', side: 'buy', quantity: '11', type: 'market' };
  expect(await whole.call('POST', '/v1/orders/preview', preview)).toMatchObject({
    status: 409,
    body: { code: 'client-order-id-reused' },
  });
  expect(wire('placeOrder')).toHaveLength(1);
});

test('clientOrderId travels in orderRef, unchanged', async () => {
  await whole.place({ clientOrderId: 'My.strategy_1-7' });
  expect(whole.simulator.exchange.openOrders()[0]?.request.orderRef).toBe('My.strategy_1-7');
});

test("a rejection ends the order with the broker's words", async () => {
  whole.simulator.faults.reject(201, 'Order rejected - reason:margin');
  const placed = await whole.place({ clientOrderId: 'c-1' });
  expect(placed.body).toMatchObject({
    state: 'rejected',
    reason: { code: '201', message: expect.stringContaining('margin') },
  });
});

test('a change that its order outruns ends with the order, and is told', async () => {
  await whole.place({ clientOrderId: 'c-1' });
  const { orderId } = await whole.order('c-1', ({ state }) => state === 'working');
  const lost = whole.simulator.faults.ignore({ messages: ['placeOrder'] }, 1);
  expect((await whole.call('PATCH', '/v1/orders/c-1', { quantity: '20' })).status).toBe(202);
  const [open] = whole.simulator.exchange.openOrders();
  whole.simulator.exchange.script.fill(open?.permId ?? orderId, 10, 1);
  expect(await whole.order('c-1', ({ state }) => state === 'filled')).toMatchObject({
    quantity: '10',
    filledQuantity: '10',
  });
  expect(await whole.order('c-1', ({ pendingChange }) => pendingChange === null)).toMatchObject({
    state: 'filled',
    reason: { code: 'order-closed' },
  });
  expect(lost.acted).toBe(1);
  const { facts } = (await whole.call('GET', '/v1/journal?limit=500')).body;
  expect(facts.filter(({ event }: { event: string }) => event === 'order.modifyRejected')).toHaveLength(1);
});

test('a refused change leaves the order working on its former terms', async () => {
  await whole.place({ clientOrderId: 'c-1', limitPrice: '5.00', type: 'limit' });
  await whole.call('PATCH', '/v1/orders/c-1', { limitPrice: '5.001' });
  const order = await whole.order('c-1', ({ state, reason }) => state === 'working' && reason !== null);
  expect(order).toMatchObject({ limitPrice: '5.00', reason: { code: '110' }, pendingChange: null });
  expect(whole.simulator.exchange.openOrders()).toMatchObject([{ request: { lmtPrice: 5 } }]);
});

test('of a refused bracket each order has its own reason, and the answer says whose each is', async () => {
  const denied = await whole.place({
    clientOrderId: 'b',
    type: 'market',
    quantity: '10',
    bracket: { takeProfit: { limitPrice: '1.00' }, stopLoss: { stopPrice: '0.90' } },
  });
  expect(denied).toMatchObject({ status: 422, body: { code: 'denied-price-collar' } });
  const reasonOf = async (id: string) => (await whole.call('GET', `/v1/orders/${id}`)).body.reason.message;
  const own = await reasonOf('b.tp');
  expect(own).not.toMatch(/b\.tp|;/);
  expect(denied.body.detail).toContain(`b.tp: ${own}`);
  expect(await reasonOf('b')).toBe(denied.body.detail);
});

test('an entry far below the market may bring its exits with it', async () => {
  const entry = { clientOrderId: 'deep', type: 'limit', limitPrice: '100' };
  const bracket = { takeProfit: { limitPrice: '106' }, stopLoss: { stopPrice: '95', limitPrice: '94' } };
  expect(await whole.place({ ...entry, bracket })).toMatchObject({ status: 201, body: { state: 'working' } });
});

test('a bracket goes out as one group; one exit filling cancels the other', async () => {
  const ask = await price('ask');
  const placed = await whole.place({
    clientOrderId: 'b',
    type: 'market',
    bracket: {
      takeProfit: { limitPrice: (ask * 1.1).toFixed(2) },
      stopLoss: { stopPrice: (ask * 0.9).toFixed(2) },
    },
  });
  expect(placed.status).toBe(201);
  await whole.order('b', ({ state }) => state === 'filled');
  const profit = await whole.order('b.tp', ({ state }) => state === 'working');
  expect(profit).toMatchObject({ parentClientOrderId: 'b', side: 'sell', type: 'limit' });
  expect(await whole.order('b.sl', ({ state }) => state === 'working')).toMatchObject({ type: 'stop' });
  whole.simulator.exchange.script.pin(265598, {
    bid: ask * 1.2,
    ask: ask * 1.2 + 0.01,
    bidSize: 1000,
    askSize: 1000,
  });
  await whole.order('b.tp', ({ state }) => state === 'filled');
  await whole.order('b.sl', ({ state }) => state === 'cancelled');
  await eventually(
    () => whole.call('GET', '/v1/positions'),
    ({ body }) => body.positions.length === 0,
  );
});

test('orders of one OCA group end together', async () => {
  await whole.place({ clientOrderId: 'o-1', ocaGroup: 'g' });
  await whole.place({ clientOrderId: 'o-2', ocaGroup: 'g', type: 'limit', limitPrice: '2.00' });
  const [first] = whole.simulator.exchange.openOrders();
  whole.simulator.exchange.script.fill(first?.permId ?? 0, 10);
  const states = await Promise.all(
    ['o-1', 'o-2'].map((id) => whole.order(id, ({ state }) => state !== 'working')),
  );
  expect(states.map(({ state }) => state).sort()).toEqual(['cancelled', 'filled']);
});

test('every type and time in force reaches the book as it was meant', async () => {
  const ask = await price('ask');
  const low = (ask * 0.9).toFixed(2);
  const high = (ask * 1.1).toFixed(2);
  const orders: Record<string, unknown>[] = [
    { type: 'limit', limitPrice: low },
    { type: 'stop', stopPrice: high },
    { type: 'stop_limit', stopPrice: high, limitPrice: high },
    { type: 'trailing_stop', side: 'sell', trailAmount: '30' },
    { type: 'trailing_stop', side: 'sell', trailPercent: '15' },
    { type: 'market_if_touched', stopPrice: low },
    { type: 'limit_if_touched', stopPrice: low, limitPrice: low },
    { type: 'limit', limitPrice: low, timeInForce: 'gtc' },
    {
      type: 'limit',
      limitPrice: low,
      timeInForce: 'gtd',
      goodTillDate: new Date(Date.now() + 86_400_000).toISOString(),
    },
    { type: 'midprice', limitPrice: low },
    { type: 'relative', limitPrice: low, trailAmount: '0.02', tws: { discretionaryAmt: 0 } },
    {
      type: 'trailing_stop_limit',
      stopPrice: high,
      limitPrice: undefined,
      trailAmount: '30',
      tws: { lmtPriceOffset: 1 },
    },
    { type: 'market_on_close' },
    { type: 'limit_on_close', limitPrice: low },
  ];
  for (const [n, order] of orders.entries()) {
    const placed = await whole.place({ clientOrderId: `t-${n}`, ...order });
    expect(placed.status, JSON.stringify([order, placed.body])).toBe(201);
    expect(['working', 'filled'], JSON.stringify([order, placed.body])).toContain(placed.body.state);
  }
  for (const [n, timeInForce] of (['ioc', 'fok'] as const).entries()) {
    const placed = await whole.place(
      { clientOrderId: `i-${n}`, type: 'limit', limitPrice: low, timeInForce },
      '?wait=closed&timeoutMs=5000',
    );
    expect(placed.body.state).toBe('cancelled');
  }
});

test('an order while there is no session is refused, leaves nothing behind, and never arrives later', async () => {
  await whole.simulator.faults.refuse();
  whole.simulator.faults.drop();
  await eventually(
    () => whole.call('GET', '/health/ready?gate=trading'),
    ({ status }) => status === 503,
  );
  const refused = await whole.place({ clientOrderId: 'c-1' });
  expect(refused).toMatchObject({ status: 503, body: { code: 'trading-unavailable' } });
  expect((await whole.call('GET', '/v1/orders/c-1')).status).toBe(404);
  await whole.simulator.faults.accept();
  await whole.untilTrading();
  expect(wire('placeOrder')).toEqual([]);
  expect((await whole.place({ clientOrderId: 'c-1' })).status).toBe(201);
});

test('a gateway that restarts while an order works loses nothing: fills of the gap are booked once', async () => {
  await whole.place({ clientOrderId: 'c-1' });
  await whole.place({ clientOrderId: 'c-2' });
  const restarted = whole.simulator.faults.restart({ downMs: 300 });
  const [first] = whole.simulator.exchange.openOrders();
  whole.simulator.exchange.script.fill(first?.permId ?? 0, 4, 1);
  await restarted;
  const filledOne = String(first?.request.orderRef);
  const order = await whole.order(filledOne, ({ filledQuantity }) => filledQuantity === '4', 15_000);
  expect(order).toMatchObject({ state: 'working', remainingQuantity: '6', fills: [{ quantity: '4' }] });
  await whole.untilTrading();
  expect((await whole.call('GET', '/v1/executions')).body.executions).toHaveLength(1);
  expect((await whole.call('GET', '/v1/positions')).body.positions).toMatchObject([{ quantity: '4' }]);
  const before = Math.max(...wire('placeOrder').map(({ fields }) => Number(fields[1])));
  const next = await whole.place({ clientOrderId: 'c-3' });
  expect(next.body.orderId).toBeGreaterThan(before);
});

test('an order that the gateway swallowed is in doubt, asked about, and in the end known to be unknown to the broker', async () => {
  const swallowed = whole.simulator.faults.ignore({ messages: ['placeOrder'] }, 1);
  const placed = await whole.place({ clientOrderId: 'c-1' }, '');
  expect(placed).toMatchObject({ status: 201, body: { state: 'submitting' } });
  await whole.order('c-1', ({ state }) => state === 'inDoubt');
  const ended = await whole.order('c-1', ({ state }) => state === 'rejected', 15_000);
  expect(ended.reason.code).toBe('not-at-broker');
  expect(swallowed.acted).toBe(1);
  expect(wire('placeOrder')).toHaveLength(1);
});

test('a cancel that TWS lost leaves again when it is asked for again, and not sooner than its effect may take', async () => {
  await whole.place({ clientOrderId: 'c-1' });
  const lost = whole.simulator.faults.ignore({ messages: ['cancelOrder'] }, 1);
  const cancel = () => whole.call('DELETE', '/v1/orders/c-1');
  for (let times = 1; times <= 3; times += 1)
    expect(await cancel()).toMatchObject({ status: 202, body: { state: 'cancelling' } });
  expect(lost.acted).toBe(1);
  expect(wire('cancelOrder')).toHaveLength(1);
  await eventually(cancel, ({ status }) => status === 409, 5_000);
  expect(await whole.order('c-1', ({ state }) => state === 'cancelled')).toMatchObject({
    filledQuantity: '0',
  });
  expect(wire('cancelOrder')).toHaveLength(2);
});

test('a cut behind the gateway shuts trading, books what still comes, and opens again after both endings', async () => {
  await whole.place({ clientOrderId: 'c-1' });
  for (const code of [1102, 1101] as const) {
    whole.simulator.faults.upstreamLost();
    await eventually(
      () => whole.call('GET', '/health/ready?gate=trading'),
      ({ status }) => status === 503,
    );
    expect(await whole.place({ clientOrderId: `c-${code}` })).toMatchObject({
      status: 503,
      body: { reason: 'severed' },
    });
    expect((await whole.call('GET', `/v1/orders/c-${code}`)).status).toBe(404);
    const [order] = whole.simulator.exchange.openOrders();
    whole.simulator.exchange.script.fill(order?.permId ?? 0, 3, 1);
    whole.simulator.faults.upstreamBack(code);
    await whole.untilTrading();
  }
  expect(await whole.order('c-1', ({ filledQuantity }) => filledQuantity === '6')).toMatchObject({
    state: 'working',
  });
});

test('a name that is a step in a path is refused; an order that has it already is found again, and ends', async () => {
  const invalid = (pointer: string) => ({
    code: 'validation-failed',
    errors: [{ pointer, detail: expect.stringContaining('URL') }],
  });
  const order = { instrument: 'AAPL', side: 'buy', quantity: '10', type: 'limit', limitPrice: '1.00' };
  for (const clientOrderId of ['.', '..']) {
    for (const path of ['/v1/orders', '/v1/orders/preview'])
      expect(await whole.call('POST', path, { ...order, clientOrderId })).toMatchObject({
        status: 400,
        body: invalid('/clientOrderId'),
      });
  }
  expect(await whole.place({ clientOrderId: 'ext-1420569254' })).toMatchObject({
    status: 400,
    body: { errors: [{ pointer: '/clientOrderId', detail: expect.stringContaining('orders of others') }] },
  });
  const { runtime } = whole.program;
  const { body: model } = await whole.place({ clientOrderId: '...', timeInForce: 'gtc' });
  const { contract, account } = model;
  const ticket = { ...order, contract, account, clientOrderId: '.', timeInForce: 'gtc', transmit: true };
  const submissions = [{ ticket: ticket as OrderTicket, mark: null, multiplier: '1' }];
  const requestId = runtime.nextRequestId();
  await runtime.ask({ type: 'order.submit', requestId, submissions, at: Date.now() });
  await whole.restart();
  const open = async () =>
    (await whole.call('GET', '/v1/orders?state=open')).body.orders.map((row: Order) => row.clientOrderId);
  expect(await open()).toEqual(['.', '...']);
  const stream = await openStream(`${whole.url.replace('http', 'ws')}/v1/stream`);
  stream.send({
    type: 'command',
    id: 1,
    command: 'order.submit',
    order: { ...order, clientOrderId: '..' },
  });
  const refused = await stream.frame(({ id }) => id === 1);
  expect(refused).toMatchObject({ ok: false, problem: invalid('/order/clientOrderId') });
  stream.send({ type: 'command', id: 2, command: 'order.cancel', clientOrderId: '.' });
  expect(await stream.frame(({ id }) => id === 2)).toMatchObject({ ok: true });
  stream.close();
  await eventually(open, (names) => names.join() === '...');
}, 60_000);

test('cancel all cancels all of ours, each with its fate', async () => {
  for (const id of ['a', 'b', 'c']) await whole.place({ clientOrderId: id });
  const { body } = await whole.call('DELETE', '/v1/orders');
  expect(body.orders.map(({ clientOrderId }: { clientOrderId: string }) => clientOrderId).sort()).toEqual([
    'a',
    'b',
    'c',
  ]);
  for (const id of ['a', 'b', 'c']) await whole.order(id, ({ state }) => state === 'cancelled');
});

test('an order of another client is listed as external, with fills of its own', async () => {
  const other = new IBApi({ host: '127.0.0.1', port: whole.simulator.port, clientId: 77 });
  try {
    const id = await new Promise<number>((resolve) => {
      other.once('nextValidId' as never, resolve as never);
      other.connect(77);
    });
    const order: IbOrder = {
      action: OrderAction.SELL,
      orderType: OrderType.MKT,
      totalQuantity: 7,
      transmit: true,
      orderRef: '',
    };
    other.placeOrder(id, { symbol: 'MSFT', secType: SecType.STK, exchange: 'SMART', currency: 'USD' }, order);
    await eventually(
      () => whole.simulator.exchange.positions(),
      (rows) => rows.length === 1,
    );
    // Executions of other clients are not told, only listed: the next session asks.
    whole.simulator.faults.drop(1);
    const executions = await eventually(
      async () => (await whole.call('GET', '/v1/executions')).body.executions,
      (rows) => rows.length === 1,
      20_000,
    );
    expect(executions).toMatchObject([
      { instrument: 'MSFT', side: 'sell', quantity: '7', clientOrderId: expect.stringMatching(/^ext-/) },
    ]);
    const external = await whole.order(executions[0].clientOrderId, ({ state }) => state === 'filled');
    expect(external).toMatchObject({
      origin: 'external',
      filledQuantity: '7',
      permIds: [expect.any(String)],
    });
    const resting = { ...order, orderType: OrderType.LMT, action: OrderAction.BUY, lmtPrice: 1 };
    const contract = { symbol: 'MSFT', secType: SecType.STK, exchange: 'SMART', currency: 'USD' };
    other.placeOrder(id + 1, contract, resting);
    await eventually(
      () => whole.simulator.exchange.openOrders(),
      (rows) => rows.length === 1,
    );
    whole.simulator.faults.drop(1);
    const { orders } = await eventually(
      async () => (await whole.call('GET', '/v1/orders?state=open')).body,
      (body) => body.orders.length === 1,
      15_000,
    );
    const path = `/v1/orders/${orders[0].clientOrderId}`;
    for (const refused of [
      await whole.call('DELETE', path),
      await whole.call('PATCH', path, { limitPrice: '2' }),
    ])
      expect(refused).toMatchObject({
        status: 409,
        body: { code: 'order-not-ours', order: { state: 'working' } },
      });
    expect((await whole.call('GET', '/v1/positions')).body.positions).toMatchObject([
      { instrument: 'MSFT', quantity: '-7', confirmed: true },
    ]);
  } finally {
    other.disconnect();
  }
}, 40_000);
