import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HealthReport } from '../../src/http/options.ts';
import { call, type Running, startServer } from './running.ts';

let running: Running;
beforeEach(async () => {
  running = await startServer();
});
afterEach(() => running.server.close());

const since = '2026-01-02T15:00:00.000Z';
const severed: HealthReport = {
  status: 'fail',
  gates: { live: true, started: true, ready: true, trading: false },
  reasons: [{ code: 'severed', component: 'tws', since, detail: 'TWS lost its link to IB' }],
  components: { tws: { status: 'fail', since, link: 'severed' }, journal: { status: 'pass', since } },
};

async function get(path: string, headers: Record<string, string> = {}) {
  const response = await call(running, 'GET', path, undefined, headers);
  return { status: response.status, headers: response.headers, text: await response.text() };
}
const json = async (path: string) => JSON.parse((await get(path)).text);

describe('probes', () => {
  it('pass when all is well, are not cached, and answer HEAD', async () => {
    for (const path of [
      '/',
      '/health',
      '/health/live',
      '/health/start',
      '/health/ready',
      '/health/detailed',
    ]) {
      const { status, headers } = await get(path);
      expect([path, status, headers.get('cache-control')]).toEqual([path, 200, 'no-store']);
      const head = await call(running, 'HEAD', path);
      expect([head.status, await head.text()]).toEqual([200, '']);
    }
  });

  it('tell the service', async () => {
    expect(await json('/')).toEqual({
      name: 'tws-runtime',
      version: '1.2.3',
      environment: 'simulated',
      status: 'pass',
      docs: null,
      dashboard: null,
    });
  });

  it('without TWS: alive and ready, not for trading', async () => {
    running.health.current = severed;
    const statuses = await Promise.all(
      [
        '/health',
        '/health/live',
        '/health/start',
        '/health/ready',
        '/health/ready?gate=trading',
        '/health/detailed',
      ].map(async (path) => (await get(path)).status),
    );
    expect(statuses).toEqual([503, 200, 200, 200, 503, 503]);
    expect(await json('/health/ready?gate=trading')).toMatchObject({
      status: 'fail',
      reason: 'severed',
      reasons: [{ code: 'severed' }],
    });
    const head = await call(running, 'HEAD', '/health/ready?gate=trading');
    expect(head.status).toBe(503);
  });

  it('with READY_REQUIRES_TWS, ready means trading', async () => {
    await running.server.close();
    running = await startServer({ readyRequiresTws: true });
    expect((await get('/health/ready')).status).toBe(200);
    running.health.current = severed;
    expect((await get('/health/ready')).status).toBe(503);
    expect((await get('/health/live')).status).toBe(200);
  });

  it('follow their own gate', async () => {
    const { gates } = running.health.current;
    running.health.current = { ...running.health.current, gates: { ...gates, live: false } };
    expect((await get('/health/live')).status).toBe(503);
    running.health.current = { ...running.health.current, gates: { ...gates, started: false, ready: false } };
    expect((await get('/health/start')).status).toBe(503);
    expect((await get('/health/ready')).status).toBe(503);
  });

  it('warn is no failure', async () => {
    running.health.current = { ...running.health.current, status: 'warn' };
    expect((await get('/health')).status).toBe(200);
    expect(await json('/health')).toMatchObject({ status: 'warn' });
  });

  it('print a line per check when asked', async () => {
    expect((await get('/health/ready?verbose')).text).toBe(
      '[+]started ok\n[+]ready ok\nready check passed\n',
    );
    running.health.current = severed;
    const { text, headers } = await get('/health/ready?verbose&gate=trading');
    expect(headers.get('content-type')).toContain('text/plain');
    expect(text).toBe('[+]started ok\n[+]ready ok\n[-]trading failed: severed\nready check failed\n');
    expect((await get('/health?verbose=1')).text).toContain('[-]tws failed: severed');
  });

  it('leave out checks that are excluded, and refuse names that are none', async () => {
    running.health.current = severed;
    expect((await get('/health?exclude=tws')).status).toBe(200);
    expect((await get('/health?exclude=tws&exclude=journal')).status).toBe(200);
    expect((await get('/health?exclude=journal')).status).toBe(503);
    expect(await json('/health?exclude=tws')).toMatchObject({ status: 'pass', reason: null, reasons: [] });
    expect(await json('/health?exclude=journal')).toMatchObject({ status: 'fail', reason: 'severed' });
    expect((await get('/health?exclude=tws&verbose')).text).toBe(
      '[+]journal ok\n[+]live ok\nhealth check passed\n',
    );
    expect((await get('/health/ready?gate=trading&exclude=trading')).status).toBe(200);
    const refused = await get('/health/ready?exclude=tws');
    expect(refused.status).toBe(400);
    expect(JSON.parse(refused.text).errors).toEqual([
      { pointer: '/exclude', detail: '"tws" is no check of this probe; there are started, ready' },
    ]);
  });

  it('tell by name what is only doubtful', async () => {
    const components = { clients: { status: 'warn' as const, since } };
    const reasons = [{ code: 'slow-consumers', component: 'clients', since, detail: '1 of 2' }];
    running.health.current = { ...running.health.current, status: 'warn', components, reasons };
    expect((await get('/health?verbose')).text).toBe(
      '[+]clients ok, but slow-consumers\n[+]live ok\nhealth check passed\n',
    );
  });

  it('refuse a gate that does not exist', async () => {
    expect((await get('/health/ready?gate=garden')).status).toBe(400);
  });
});

describe('figures', () => {
  it('detailed: gates, parts, actors', async () => {
    const body = await json('/health/detailed');
    expect(body).toMatchObject({
      status: 'pass',
      version: '1.2.3',
      gates: { live: true, started: true, ready: true, trading: true },
      reasons: [],
      components: {
        tws: { status: 'pass' },
      },
    });
    expect(body.actors).toEqual(running.reading.actorRows);
    expect(body.uptimeSeconds).toBeGreaterThan(0);
  });

  it('metrics: JSON, or Prometheus text when that is accepted', async () => {
    expect(await json('/health/metrics')).toMatchObject({ orders: { p99: 0.9 } });
    for (const accept of ['text/plain', 'application/openmetrics-text; version=1.0.0']) {
      const { text, headers } = await get('/health/metrics', { Accept: accept });
      expect(text).toContain('orders_total 3');
      expect(headers.get('content-type')).toContain('text/plain; version=0.0.4');
    }
    const ranges: [string, boolean][] = [
      ['TEXT/PLAIN', true],
      ['text/*', true],
      ['text/plain;q=0.9, application/json;q=0.1', true],
      ['application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1', true],
      ['text/plain;q=0.5, application/json', false],
      ['application/json', false],
      ['*/*', false],
      ['', false],
    ];
    for (const [accept, isText] of ranges) {
      const { headers } = await get('/health/metrics', { Accept: accept });
      expect(headers.get('content-type')?.startsWith('text/plain'), accept).toBe(isText);
    }
    expect((await get('/metrics')).text).toContain('# TYPE orders_total counter');
  });
});
