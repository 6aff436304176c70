/** The contract with clients, promise by promise: trading, reading, and the stream. */
import { expect } from 'vitest';
import {
  call,
  contract,
  fields,
  get,
  has,
  open,
  origin,
  type Promises,
  place,
  reader,
  readToken,
  refused,
  resting,
  rfc3339,
  testers,
  trader,
  whole,
} from './contract.ts';
import { StreamTester } from './http/stream-tester.ts';
import { eventually } from './program.ts';

const orderFields = [
  'clientOrderId',
  'origin',
  'account',
  'instrument',
  'contract',
  'side',
  'quantity',
  'type',
  'timeInForce',
  'state',
  'filledQuantity',
  'remainingQuantity',
  'averageFillPrice',
  'commission',
  'orderId',
  'permIds',
  'version',
  'reason',
  'notices',
  'pendingChange',
  'fills',
  'createdAt',
  'updatedAt',
];
const trading: Promises = {
  'an order is 201 with its place; again it is 200; with other terms 409': async () => {
    const placed = await place({ clientOrderId: 'once' });
    expect(placed).toMatchObject({
      status: 201,
      body: { state: 'working', limitPrice: '1.00', quantity: '10', origin: 'api' },
    });
    expect(placed.headers.get('location')).toBe('/v1/orders/once');
    expect(fields(placed.body)).toEqual(has(...orderFields, 'limitPrice'));
    expect(placed.body.createdAt).toMatch(rfc3339);
    expect(await place({ clientOrderId: 'once' })).toMatchObject({
      status: 200,
      body: { orderId: placed.body.orderId },
    });
    await refused(place({ clientOrderId: 'once', quantity: '11' }), 409, 'client-order-id-reused');
    expect((await place({}, '')).body.clientOrderId).toMatch(/^[A-Za-z0-9._-]{1,32}$/);
  },
  'the gate refuses with 422, and the order is there, denied': async () => {
    const denied = await place({ clientOrderId: 'large', quantity: '999999' });
    expect(denied.status).toBe(422);
    expect(denied.body.code).toMatch(/^denied-/);
    expect((await get('/v1/orders/large')).body.state).toBe('denied');
  },
  'an answer may wait until it is closed': async () => {
    const order = { instrument: 'AAPL', side: 'buy', quantity: '3', type: 'market', clientOrderId: 'filled' };
    const { status, body } = await call('POST', '/v1/orders?wait=closed&timeoutMs=8000', order);
    expect(status).toBe(201);
    expect(body).toMatchObject({ state: 'filled', filledQuantity: '3', remainingQuantity: '0' });
    expect(fields(body.fills[0])).toEqual(
      has('execId', 'quantity', 'price', 'at', 'commission', 'realizedPnl'),
    );
  },
  'a change is 202 or settled, honours If-Match, and ends in the order': async () => {
    const { body } = await place({ clientOrderId: 'changed' });
    const stale = { ...trader, 'If-Match': `"${body.version + 9}"` };
    await refused(
      call('PATCH', '/v1/orders/changed', { limitPrice: '1.10' }, stale),
      412,
      'version-mismatch',
    );
    const changed = await call('PATCH', '/v1/orders/changed', { limitPrice: '1.10' });
    expect([200, 202]).toContain(changed.status);
    await eventually(
      () => get('/v1/orders/changed'),
      (now) => now.body.limitPrice === '1.10' && now.body.state === 'working',
    );
  },
  'a cancel is 202, harmless again, and 409 when it is over': async () => {
    await place({ clientOrderId: 'gone' });
    expect((await call('DELETE', '/v1/orders/gone')).status).toBe(202);
    await eventually(
      () => get('/v1/orders/gone'),
      ({ body }) => body.state === 'cancelled',
    );
    await refused(call('DELETE', '/v1/orders/gone'), 409, 'order-closed');
    await refused(get('/v1/orders/nobody'), 404, 'order-not-found');
  },
  'lists are open, closed or all, newest first': async () => {
    for (const state of ['open', 'closed', 'all'])
      expect((await get(`/v1/orders?state=${state}`)).status).toBe(200);
    const { orders } = (await get('/v1/orders?state=all')).body as { orders: { createdAt: string }[] };
    const times = orders.map(({ createdAt }) => createdAt);
    expect(times).toEqual(times.toSorted().reverse());
    const closed = (await get('/v1/orders?state=closed')).body.orders as { clientOrderId: string }[];
    expect(closed.map(({ clientOrderId }) => clientOrderId)).toEqual(has('gone', 'filled', 'large'));
  },
  'a preview tells margin, commission and the verdict, and enters nothing': async () => {
    const { status, body } = await call('POST', '/v1/orders/preview', {
      ...resting,
      clientOrderId: 'what-if',
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({ gate: { approved: true } });
    await refused(get('/v1/orders/what-if'), 404, 'order-not-found');
  },
  'every type and time in force is understood': async () => {
    const types: Readonly<Record<string, object>> = {
      market: {},
      limit: { limitPrice: '1.00' },
      stop: { stopPrice: '1000' },
      stop_limit: { stopPrice: '1000', limitPrice: '1000' },
      trailing_stop: { trailAmount: '5' },
      trailing_stop_limit: { trailPercent: '5', stopPrice: '1000', limitPrice: '1000' },
      market_if_touched: { stopPrice: '1' },
      limit_if_touched: { stopPrice: '1', limitPrice: '1' },
      market_on_close: {},
      limit_on_close: { limitPrice: '1' },
      midprice: {},
      relative: {},
    };
    const bare = { instrument: 'AAPL', side: 'buy', quantity: '1' };
    const asked = Object.entries(types).map(([type, terms]) => ({ ...bare, type, ...terms }));
    for (const timeInForce of ['day', 'gtc', 'ioc', 'fok', 'gtd', 'opg']) {
      const until = timeInForce === 'gtd' ? { goodTillDate: '2099-01-01T00:00:00Z' } : {};
      asked.push({ ...bare, type: 'limit', ...{ limitPrice: '1', timeInForce, ...until } });
    }
    for (const further of [
      { outsideRegularHours: true },
      { ocaGroup: 'g-1' },
      { bracket: { takeProfit: { limitPrice: '900' }, stopLoss: { stopPrice: '0.50' } } },
      { algo: { strategy: 'Adaptive', params: { adaptivePriority: 'Normal' } } },
      { account: 'U7654321' },
    ])
      asked.push({ ...bare, type: 'limit', ...{ limitPrice: '1', ...further } });
    for (const order of asked) {
      const { status, body } = await call('POST', '/v1/orders/preview', order);
      // what is understood may still be refused by the gate or the broker, for a reason of theirs
      expect({ order, status, errors: body.code === 'validation-failed' ? body.errors : [] }).toEqual({
        order,
        status: expect.toSatisfy((code: number) => code === 200 || code === 422),
        errors: [],
      });
    }
  },
  'cancelling all tells the fate of each; the halt is latched and survives a restart': async () => {
    const fates = await call('DELETE', '/v1/orders');
    expect(fates.body.orders.length).toBeGreaterThan(0);
    expect(fields(fates.body.orders[0])).toEqual(has('clientOrderId', 'fate'));
    expect((await call('POST', '/v1/kill', {})).status).toBeLessThan(300);
    expect((await get('/v1/trading')).body).toMatchObject({ state: 'halted', reasons: [expect.anything()] });
    const refusal = await refused(place({ clientOrderId: 'while-halted' }), 503, 'trading-unavailable');
    expect(refusal.body.reason).toBe('halted');
    await refused(get('/v1/orders/while-halted'), 404, 'order-not-found');
    const { orders } = (await get('/v1/orders?state=all')).body as { orders: { clientOrderId: string }[] };
    const before = whole.url;
    const restarted = whole.restart();
    await eventually(
      () => whole.url,
      (url) => url !== before,
    );
    expect((await get('/v1/trading')).body.state).toBe('halted');
    expect((await call('PUT', '/v1/trading', { state: 'open' })).body.state).toBe('open');
    await restarted;
    const after = (await get('/v1/orders?state=all')).body.orders as { clientOrderId: string }[];
    expect(after.map(({ clientOrderId }) => clientOrderId).sort()).toEqual(
      orders.map(({ clientOrderId }) => clientOrderId).sort(),
    );
  },
};

const reading: Promises = {
  'positions, executions, money': async () => {
    const [position] = (await get('/v1/positions', reader)).body.positions;
    expect(fields(position)).toEqual(
      has(
        'account',
        'instrument',
        'quantity',
        'averageCost',
        'marketPrice',
        'unrealizedPnl',
        'realizedPnl',
        'confirmed',
      ),
    );
    const [execution] = (await get('/v1/executions', reader)).body.executions;
    expect(fields(execution)).toEqual(
      has(
        'execId',
        'clientOrderId',
        'account',
        'instrument',
        'side',
        'quantity',
        'price',
        'commission',
        'currency',
        'realizedPnl',
        'at',
      ),
    );
    expect(execution).toMatchObject({
      clientOrderId: 'filled',
      quantity: expect.any(String),
      price: expect.any(String),
    });
    expect((await get('/v1/account', reader)).body.accounts[0]).toMatch(/^D/);
    expect((await get('/v1/pnl', reader)).status).toBe(200);
    expect((await get('/v1/reconciliations/latest', reader)).status).toBe(200);
  },
  'a quote is the flat row of the stream': async () => {
    const { body } = await get('/v1/quotes/AAPL', reader);
    expect(body).toMatchObject({ key: 'AAPL', status: 'live', ts: expect.any(Number) });
    const answer = await eventually(
      () => get('/v1/quotes/AAPL', reader),
      ({ body: row }) => row.bid !== undefined,
    );
    expect(answer.body.bid).toEqual(expect.any(Number));
  },
  'the journal is read by number': async () => {
    const { facts } = (await get('/v1/journal?after=0&limit=500', reader)).body as {
      facts: { seq: number }[];
    };
    expect(facts.map(({ seq }) => seq)).toEqual(facts.map((_, n) => n + 1));
  },
};

const stream: Promises = {
  'welcome, then auth by message; a wrong token and a missing scope close': async () => {
    const tester = await open();
    expect(tester.frames[0]).toMatchObject({
      type: 'welcome',
      protocol: '1',
      beatMs: 50,
      heartbeatMs: 5000,
      auth: 'required',
    });
    expect(await tester.ask({ type: 'auth', token: readToken })).toMatchObject({
      ok: true,
      scopes: ['read'],
    });
    await tester.ask({ type: 'command', command: 'order.submit', order: resting });
    expect((await tester.closed).code).toBe(4403);
    const stranger = await open();
    await stranger.ask({ type: 'auth', token: 'nobody' });
    expect((await stranger.closed).code).toBe(4401);
  },
  'close codes: 1008, 1009, 4400, 4429': async () => {
    const closedBy = async (act: (tester: StreamTester) => void): Promise<number> => {
      const tester = await open(trader);
      act(tester);
      return (await tester.closed).code;
    };
    expect(await closedBy(({ socket }) => socket.send('x'.repeat(70_000)))).toBe(1009);
    expect(await closedBy(({ socket }) => socket.send('no'))).toBe(4400);
    expect(
      await closedBy(({ socket }) => {
        for (let n = 0; n < 500; n += 1) socket.send('{"type":"ping"}');
      }),
    ).toBe(4429);
    const foreign = new StreamTester(
      { port: Number(new URL(whole.url).port) },
      { Origin: 'https://evil.example' },
    );
    testers.push(foreign);
    expect((await foreign.closed).code).toBe(1008);
    expect((await open({ ...trader, Origin: origin })).frames[0]?.type).toBe('welcome');
  },
  'quotes: ack with what was rejected, a snapshot, updates of what changed': async () => {
    const tester = await open(trader);
    const ack = await tester.ask({
      type: 'subscribe',
      channel: 'quotes',
      keys: ['AAPL', 'CASH:EUR.USD', 'SAP@'],
    });
    expect(ack).toMatchObject({ ok: true, rejected: [{ key: 'SAP@' }] });
    const id = ack.subscription ?? 0;
    await eventually(
      () => tester.of(id),
      (frames) => frames.filter(({ type }) => type === 'update').length > 3,
    );
    const [snapshot, ...updates] = tester.of(id);
    expect(snapshot).toMatchObject({ type: 'snapshot', seq: 1 });
    expect(tester.of(id).map(({ seq }) => seq)).toEqual(tester.of(id).map((_, n) => n + 1));
    expect(
      updates.every(({ rows = [] }) => rows.every((row) => Number(row.merged) >= 0 && Number(row.ts) > 0)),
    ).toBe(true);
    expect(await tester.ask({ type: 'unsubscribe', subscription: id })).toMatchObject({ ok: true });
  },
  'every channel can be subscribed to': async () => {
    const tester = await open(trader);
    for (const channel of ['orders', 'positions', 'alerts', 'health', 'pnl', 'actors']) {
      const id = await tester.subscribe(channel);
      await eventually(
        () => tester.of(id)[0]?.type,
        (type) => type === 'snapshot',
      );
    }
    for (const channel of ['quotes', 'depth', 'trades', 'bars'])
      await tester.subscribe(channel, { keys: ['AAPL'] });
    expect(await tester.ask({ type: 'ping' })).toMatchObject({
      type: 'pong',
      serverTime: expect.any(Number),
    });
  },
  'orders: commands with their timing, every fact, and a resumption without a hole': async () => {
    const tester = await open(trader);
    const id = await tester.subscribe('orders');
    const result = await tester.ask({
      type: 'command',
      command: 'order.submit',
      order: { ...resting, clientOrderId: 'by-stream' },
    });
    expect(result).toMatchObject({
      ok: true,
      order: { clientOrderId: 'by-stream' },
      timing: { reviewUs: expect.any(Number), journalUs: expect.any(Number), totalUs: expect.any(Number) },
    });
    await tester.heard(
      ({ event, order }) =>
        event === 'order.accepted' && (order as { clientOrderId: string }).clientOrderId === 'by-stream',
    );
    expect(
      await tester.ask({ type: 'command', command: 'order.cancel', clientOrderId: 'nobody' }),
    ).toMatchObject({ ok: false, problem: { code: 'order-not-found' } });
    expect(await tester.ask({ type: 'command', command: 'lease.renew', cancelAfterMs: 0 })).toMatchObject({
      ok: true,
    });
    expect(
      await tester.ask({ type: 'command', command: 'order.cancel', clientOrderId: 'by-stream' }),
    ).toMatchObject({ ok: true });
    await tester.heard(({ event }) => event === 'order.cancelled');
    const events = tester.of(id).filter(({ type }) => type === 'event');
    const [first] = events;
    const again = await open(trader);
    const replay = await again.ask({ type: 'subscribe', channel: 'orders', after: first?.journalSeq });
    expect(replay).toMatchObject({ ok: true, mode: 'replay' });
    const wanted = events.slice(1).map(({ journalSeq }) => journalSeq);
    await eventually(
      () => again.of(replay.subscription ?? 0).length,
      (count) => count >= wanted.length,
    );
    expect(
      again
        .of(replay.subscription ?? 0)
        .slice(0, wanted.length)
        .map(({ journalSeq }) => journalSeq),
    ).toEqual(wanted);
  },
  'heartbeats tell the last seq; nothing comes twice': async () => {
    const tester = await open(trader);
    const id = await tester.subscribe('orders');
    const beat = await tester.heard(({ type }) => type === 'heartbeat', 12_000);
    expect(beat.last).toEqual({ [id]: tester.of(id).at(-1)?.seq });
  },
};

const further: Promises = {
  'the descriptions are served with DEBUG': async () => {
    for (const path of ['/docs/', '/redoc', '/asyncapi'])
      expect((await fetch(whole.url + path)).status).toBe(200);
    expect((await get('/openapi.json', {})).body.openapi).toMatch(/^3\./);
    expect((await get('/asyncapi.json', {})).body.asyncapi).toBe('3.0.0');
  },
  'a goodbye comes before the end': async () => {
    const tester = await open(trader);
    await whole.restart();
    expect((await tester.closed).code).toBe(1001);
    expect(tester.frames.at(-1)).toMatchObject({
      type: 'bye',
      code: 'server-shutdown',
      reconnectInMs: expect.any(Number),
    });
  },
};

contract({ trading, reading, 'the stream': stream, 'and further': further });
