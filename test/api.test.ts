/** The contract with clients, promise by promise: configuration, HTTP, health. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { expect } from 'vitest';
import { ConfigError, loadConfig } from '../src/config.ts';
import {
  call,
  contract,
  fields,
  get,
  has,
  open,
  type Promises,
  place,
  reader,
  refused,
  resting,
  rfc3339,
  trader,
  whole,
} from './contract.ts';
import { eventually, temporaryFolder } from './program.ts';

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

contract({ configuration, 'rules of HTTP': rules, health });
