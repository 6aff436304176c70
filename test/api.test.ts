/** The contract with clients, promise by promise, against the whole runtime on its simulated gateway. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError, loadConfig } from '../src/config.ts';
import { StreamTester } from './http/stream-tester.ts';
import { eventually, temporaryFolder } from './program.ts';
import { type Answer, startWhole, type Whole } from './whole.ts';

const tradeToken = 'trade-token-of-the-contract';
const readToken = 'read-token-of-the-contract';
const origin = 'https://desk.example';
const trader = { Authorization: `Bearer ${tradeToken}` };
const reader = { Authorization: `Bearer ${readToken}` };

type Promises = Readonly<Record<string, () => unknown>>;
type Headers = Record<string, string>;

let whole: Whole;
const testers: StreamTester[] = [];
const call = (method: string, path: string, body?: unknown, headers: Headers = trader): Promise<Answer> =>
  whole.call(method, path, body, headers);
const get = (path: string, headers: Headers = trader) => call('GET', path, undefined, headers);
const resting = { instrument: 'AAPL', side: 'buy', quantity: '10', type: 'limit', limitPrice: '1.00' };
const place = (more: object = {}, query = '?wait=accepted&timeoutMs=5000') =>
  call('POST', `/v1/orders${query}`, { ...resting, ...more });
const open = async (headers: Headers = {}) => {
  const tester = await StreamTester.open({ port: Number(new URL(whole.url).port) }, headers);
  testers.push(tester);
  return tester;
};
const fields = (value: unknown): string[] => Object.keys(value as object);
const has = (...names: string[]) => expect.arrayContaining(names);
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** Asks for a problem and holds it to the shape that all errors have. */
async function refused(asked: Promise<Answer>, status: number, code: string): Promise<Answer> {
  const answer = await asked;
  expect(answer).toMatchObject({ status, body: { status, code } });
  expect(answer.headers.get('content-type')).toContain('application/problem+json');
  expect(fields(answer.body)).toEqual(has('type', 'title', 'status', 'detail', 'code'));
  return answer;
}

beforeAll(async () => {
  const environment = {
    DEBUG: 'true',
    TRADE_TOKEN: tradeToken,
    READ_TOKEN: readToken,
    ALLOWED_ORIGINS: origin,
  };
  whole = await startWhole({ environment });
}, 40_000);
afterAll(async () => {
  for (const tester of testers) tester.close();
  await whole.stop();
});

const defaults: Readonly<Record<string, { readonly is: string; readonly wrong: string | null }>> = {
  GATEWAY: { is: 'simulated', wrong: 'ib' },
  TWS_HOST: { is: '127.0.0.1', wrong: 'a b' },
  TWS_PORT: { is: '7497', wrong: '0' },
  TWS_CLIENT_ID: { is: '1', wrong: '-1' },
  TRADING_MODE: { is: 'paper', wrong: 'demo' },
  HOST: { is: '127.0.0.1', wrong: 'a b' },
  PORT: { is: '8000', wrong: '65536' },
  TRADE_TOKEN: { is: '', wrong: 'two words' },
  READ_TOKEN: { is: '', wrong: 'two words' },
  ALLOWED_ORIGINS: { is: '', wrong: '*' },
  DEBUG: { is: 'false', wrong: 'perhaps' },
  LOG_LEVEL: { is: 'info', wrong: 'loud' },
  REDIS_URL: { is: '', wrong: 'http://x' },
  MAX_LATENCY_MS: { is: '10', wrong: 'fast' },
  BATCH_UPDATE_INTERVAL_MS: { is: '50', wrong: '0' },
  JOURNAL_PATH: { is: './data/journal.db', wrong: null },
  READY_REQUIRES_TWS: { is: 'false', wrong: 'x' },
  INSPECT: { is: 'false', wrong: 'x' },
};
const limits = [
  'MAX_ORDER_QUANTITY',
  'MAX_ORDER_NOTIONAL',
  'MAX_OPEN_ORDERS',
  'MAX_ORDERS_PER_SECOND',
  'PRICE_COLLAR_PERCENT',
  'MAX_POSITION_NOTIONAL',
  'MAX_DAILY_LOSS',
];

const configuration: Promises = {
  'the committed defaults are these': () => {
    const committed = parseEnv(readFileSync(join(import.meta.dirname, '../.env'), 'utf8'));
    for (const [name, { is }] of Object.entries(defaults))
      expect({ [name]: committed[name] }).toEqual({ [name]: is });
    for (const name of limits) expect(Number(committed[name]), name).toBeGreaterThan(0);
  },
  'a wrong value stops the start, and every wrong one is listed at once': () => {
    const wrong = Object.entries(defaults).filter(([, value]) => value.wrong !== null);
    const env = Object.fromEntries([
      ...wrong.map(([name, value]) => [name, String(value.wrong)]),
      ...limits.map((name) => [name, '-1']),
    ]);
    const message = complaintOf(env);
    for (const name of Object.keys(env)) expect(message).toContain(`  ${name}: `);
  },
  'a host that others reach needs a token': () => {
    expect(complaintOf({ HOST: '0.0.0.0' })).toContain('TOKEN');
  },
  '0 is no limit, and log levels come in any case': () => {
    const folder = temporaryFolder();
    const env = { ...Object.fromEntries(limits.map((name) => [name, '0'])), LOG_LEVEL: 'INFO' };
    expect(() => loadConfig({ cwd: folder.path, env })).not.toThrow();
    folder.remove();
  },
};

function complaintOf(env: Record<string, string>): string {
  const folder = temporaryFolder();
  try {
    loadConfig({ cwd: folder.path, env });
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  } finally {
    folder.remove();
  }
  throw new Error('accepted');
}

const rules: Promises = {
  'every answer says how long it took, and whose it was': async () => {
    for (const [path, status] of [
      ['/health/live', 200],
      ['/v1/orders', 200],
      ['/nowhere', 404],
    ] as const) {
      const answer = await get(path, { ...trader, 'X-Request-ID': 'mine-7' });
      expect(answer.status).toBe(status);
      expect(answer.headers.get('x-request-id')).toBe('mine-7');
      expect(answer.headers.get('x-process-time-ms')).toMatch(/^\d+\.\d+$/);
      expect(answer.headers.get('server-timing')).toMatch(/dur=/);
    }
    expect((await get('/health/live')).headers.get('x-request-id')).toMatch(/^\S{8,}$/);
  },
  'errors are problems with a stable code, and name the fields': async () => {
    const { body } = await refused(place({ quantity: '-1', surprise: 1 }), 400, 'validation-failed');
    const pointers = (body.errors as { pointer: string; detail: string }[]).map(({ pointer }) => pointer);
    expect(pointers).toEqual(has('/surprise'));
    await refused(get('/nowhere'), 404, 'not-found');
  },
  'unknown fields, large bodies and other types are refused': async () => {
    await refused(get('/v1/orders?color=red'), 400, 'validation-failed');
    await refused(place({ account: 'x'.repeat(70_000) }), 413, 'body-too-large');
    await refused(
      call('POST', '/v1/orders', { a: 1 }, { ...trader, 'content-type': 'text/plain' }),
      415,
      'unsupported-media-type',
    );
  },
  'tokens have scopes': async () => {
    await refused(get('/v1/orders', {}), 401, 'unauthenticated');
    expect((await get('/v1/orders', reader)).status).toBe(200);
    await refused(call('POST', '/v1/orders', resting, reader), 403, 'insufficient-scope');
  },
  'lists have a noun, a limit and a cursor that goes on': async () => {
    for (let n = 0; n < 3; n += 1) await place({ clientOrderId: `list-${n}` });
    const first = await get('/v1/orders?limit=2');
    expect(fields(first.body).sort()).toEqual(['next', 'orders']);
    expect(first.body.orders).toHaveLength(2);
    const rest = await get(`/v1/orders?limit=2&after=${encodeURIComponent(first.body.next)}`);
    expect(rest.body.orders[0].clientOrderId).not.toBe(first.body.orders[1].clientOrderId);
    for (const [path, noun] of [
      ['/v1/positions', 'positions'],
      ['/v1/executions', 'executions'],
      ['/v1/contracts?instrument=AAPL', 'contracts'],
      ['/v1/contracts/search?pattern=AAPL', 'contracts'],
      ['/v1/bars/AAPL?duration=1%20D&barSize=1%20hour', 'bars'],
      ['/v1/journal?after=0&limit=1', 'facts'],
      ['/v1/actors', 'actors'],
    ]) {
      const { status, body } = await get(
        `${path}${path?.includes('?') ? '&' : '?'}limit=1`.replace('&limit=1&limit=1', '&limit=1'),
      );
      expect({ path, status }).toEqual({ path, status: 200 });
      expect(fields(body)).toEqual(has(String(noun), 'next'));
      expect(body[String(noun)].length).toBeLessThanOrEqual(1);
    }
  },
  'instruments have a short form, and a contract may stand instead': async () => {
    for (const name of ['AAPL', 'SAP@IBIS/EUR', 'CASH:EUR.USD', 'FUT:ESZ6@CME', 'IND:SPX@CBOE']) {
      const { status, body } = await get(`/v1/contracts?instrument=${encodeURIComponent(name)}`);
      expect({ name, status }).toEqual({ name, status: 200 });
      expect(body.contracts[0].contract.conId).toBeGreaterThan(0);
    }
    const contract = { symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'USD' };
    const { body } = await place({ clientOrderId: 'by-contract', instrument: contract });
    expect(body.instrument).toBe('AAPL');
  },
};

const gates = { live: true, started: true, ready: true, trading: true };
const health: Promises = {
  'the root tells what runs': async () => {
    const { status, body } = await get('/', {});
    expect(status).toBe(200);
    expect(fields(body)).toEqual(has('name', 'version', 'environment', 'status', 'docs', 'dashboard'));
  },
  'probes need no token, take HEAD, and are never stored': async () => {
    for (const path of [
      '/',
      '/health',
      '/health/live',
      '/health/start',
      '/health/ready',
      '/health/detailed',
      '/health/metrics',
    ]) {
      const { status, headers } = await get(path, {});
      expect({ path, status }).toEqual({ path, status: 200 });
      expect(headers.get('cache-control')).toBe('no-store');
      expect((await call('HEAD', path, undefined, {})).status).toBe(200);
    }
    expect((await get('/health', {})).body.status).toMatch(/^(pass|warn)$/);
    const verbose = await fetch(`${whole.url}/health/ready?verbose`);
    expect(await verbose.text()).toContain('[+]ready ok\n');
    expect((await get('/health/ready?gate=trading', {})).status).toBe(200);
  },
  'detailed: every gate, reason, component and actor': async () => {
    const { body } = await get('/health/detailed', {});
    expect(body).toMatchObject({ gates, uptimeSeconds: expect.any(Number), version: expect.any(String) });
    expect(Array.isArray(body.reasons)).toBe(true);
    const names = [
      'tws',
      'farms',
      'journal',
      'orders',
      'reconciliation',
      'marketData',
      'clients',
      'redis',
      'eventLoop',
      'executionLatency',
    ];
    expect(fields(body.components)).toEqual(has(...names));
    for (const name of names)
      expect(body.components[name]).toMatchObject({
        status: expect.any(String),
        since: expect.stringMatching(rfc3339),
      });
    expect(fields(body.components.tws)).toEqual(has('undecodable'));
    for (const actor of body.actors)
      expect(fields(actor)).toEqual(has('id', 'machine', 'state', 'tags', 'since', 'restarts'));
  },
  'the clients of the stream are counted once, and the same everywhere': async () => {
    const tester = await open(reader);
    const counted = await eventually(
      async () => (await get('/health/detailed', {})).body.components.clients,
      ({ connected }) => connected >= 1,
    );
    expect(fields(counted)).toEqual(has('connected', 'subscriptions', 'slow', 'closedSlow', 'unsentBytes'));
    const { stream } = (await get('/health/metrics', {})).body;
    expect(stream.connected).toBe(counted.connected);
    const text = await (await fetch(`${whole.url}/metrics`)).text();
    expect(text).toMatch(new RegExp(`websocket_clients(\\{[^}]*\\})? ${stream.connected}\\n`));
    tester.close();
  },
  'metrics: for people, and for Prometheus': async () => {
    const { body } = await get('/health/metrics', {});
    for (const part of Object.values(body.orderPath) as object[])
      expect(fields(part)).toEqual(has('count', 'p50', 'p90', 'p99', 'max'));
    for (const [path, headers] of [
      ['/metrics', {}],
      ['/health/metrics', { Accept: 'text/plain' }],
    ] as const) {
      const answer = await fetch(whole.url + path, { headers });
      expect(answer.headers.get('content-type')).toContain('text/plain');
      expect(await answer.text()).toContain('# TYPE ');
    }
  },
};

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
    const sent = whole.simulator.received({ message: 'placeOrder' });
    expect(JSON.stringify(sent)).toContain('"once"');
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

const promises: Promises = {
  'a cut shuts the gate for trading, orders answer 503 and leave nothing, and its end is told in order':
    async () => {
      const tester = await open(trader);
      const id = await tester.subscribe('health');
      whole.simulator.faults.upstreamLost();
      await eventually(
        () => get('/health/ready?gate=trading', {}),
        ({ status }) => status === 503,
      );
      expect((await get('/health/ready', {})).status).toBe(200);
      const refusal = await refused(place({ clientOrderId: 'severed' }), 503, 'trading-unavailable');
      expect(refusal.body.reason).toBe('severed');
      await refused(get('/v1/orders/severed'), 404, 'order-not-found');
      whole.simulator.faults.upstreamBack(1102);
      await whole.untilTrading();
      const told = () =>
        tester.of(id).flatMap(({ event }) => (/^tws\.(severed|restored)$/.test(event ?? '') ? [event] : []));
      await eventually(told, (events) => events.length === 2);
      expect(told()).toEqual(['tws.severed', 'tws.restored']);
    },
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

describe.each([
  ['configuration', configuration],
  ['rules of HTTP', rules],
  ['health', health],
  ['trading', trading],
  ['reading', reading],
  ['the stream', stream],
  ['promises', promises],
])('%s', (_name, section) => {
  it.each(Object.entries(section))(
    '%s',
    async (_promise, check) => {
      await check();
    },
    30_000,
  );
});
