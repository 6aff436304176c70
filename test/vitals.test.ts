/** What health and metrics say while the broker, the link and the orders are in trouble: from outside, over the running whole. */
import pino from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { HealthReason } from '../machines/health.ts';
import { createMetrics } from '../src/metrics.ts';
import { createObserver } from '../src/observer.ts';
import { createVitals } from '../src/vitals.ts';
import { eventually, openStream } from './program.ts';
import { startWhole, type Whole } from './whole.ts';

let whole: Whole;
beforeAll(async () => {
  whole = await startWhole();
});
afterAll(() => whole.stop());

const detailed = async (of = whole) => (await of.call('GET', '/health/detailed')).body;
const reasonOf = (body: { reasons: HealthReason[] }, code: string) =>
  body.reasons.find((reason) => reason.code === code);
const isRecent = (since: string | undefined): boolean => Date.parse(since ?? '') > Date.now() - 60_000;

/** The value of one sample. */
async function sample(name: string, of = whole): Promise<number | undefined> {
  const text = await (await fetch(`${of.url}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

test('a broken farm is named with its time, impairs the link, and passes when it is back', async () => {
  whole.simulator.faults.farmBroken('usfarm');
  const body = await eventually(detailed, ({ components }) => components.farms.status === 'warn');
  expect(body.components.farms.broken).toContain('usfarm');
  expect(body.components.tws).toMatchObject({ status: 'warn', link: 'impaired' });
  const reason = reasonOf(body, 'farm-broken');
  expect(reason).toMatchObject({ component: 'farms', detail: 'market data farm usfarm is broken' });
  expect(isRecent(reason?.since)).toBe(true);
  expect(await sample('tws_runtime_farms{kind="market",status="broken"}')).toBe(1);
  expect(await sample('tws_runtime_link{state="impaired"}')).toBe(1);
  expect(await sample('tws_runtime_health_status{component="farms"}')).toBe(1);
  whole.simulator.faults.farmOk('usfarm');
  await eventually(detailed, ({ components }) => components.farms.status === 'pass');
  await eventually(
    () => sample('tws_runtime_link{state="whole"}'),
    (value) => value === 1,
  );
});

test('a link that is severed fails with its time; liveness and readiness stay', async () => {
  whole.simulator.faults.upstreamLost();
  const body = await eventually(detailed, ({ components }) => components.tws.link === 'severed');
  expect(body).toMatchObject({ status: 'fail', gates: { live: true, ready: true, trading: false } });
  expect(isRecent(reasonOf(body, 'severed')?.since)).toBe(true);
  expect(body.reasons[0].code).toBe('severed');
  expect((await whole.call('GET', '/health/ready')).status).toBe(200);
  expect((await whole.call('GET', '/health?exclude=tws')).status).toBe(200);
  expect(await sample('tws_runtime_link{state="severed"}')).toBe(1);
  expect(await sample('tws_runtime_link{state="whole"}')).toBe(0);
  expect(await sample('tws_runtime_health_gate{gate="trading"}')).toBe(0);
  whole.simulator.faults.upstreamBack(1102);
  await whole.untilTrading();
  expect(reasonOf(await detailed(), 'severed')).toBeUndefined();
});

test('an order in doubt is named with its time and counted until it is settled', async () => {
  const { faults } = whole.simulator;
  const silence = faults.swallow({ messages: ['openOrder', 'orderStatus', 'completedOrder'] });
  await whole.place({ clientOrderId: 'lost' }, '');
  const body = await eventually(detailed, ({ components }) => components.orders.inDoubt === 1, 15_000);
  expect(body.components.orders.status).toBe('warn');
  const reason = reasonOf(body, 'orders-in-doubt');
  expect(reason).toMatchObject({ component: 'orders', detail: '1 order is in doubt: lost' });
  expect(isRecent(reason?.since)).toBe(true);
  expect(await sample('tws_runtime_orders_in_doubt')).toBe(1);
  await eventually(
    () => sample('tws_runtime_order_doubts_total'),
    (value) => value === 1,
  );
  silence.clear();
  await eventually(detailed, ({ components }) => components.orders.status === 'pass', 15_000);
  expect(await sample('tws_runtime_orders_in_doubt')).toBe(0);
});

test("IB's scheduled reset is told as maintenance, with its time, and is no failure", async () => {
  // A quarter past midnight in New York.
  const shiftMs = Date.UTC(2026, 0, 14, 5, 20) - Date.now();
  const night = await startWhole({ now: () => Date.now() + shiftMs });
  await night.simulator.faults.refuse();
  night.simulator.faults.drop();
  const body = await eventually(
    () => detailed(night),
    (each) => reasonOf(each, 'maintenance') !== undefined,
  );
  expect(body.components.tws.status).toBe('warn');
  expect(body.gates).toMatchObject({ live: true, ready: true, trading: false });
  expect(Date.parse(reasonOf(body, 'maintenance')?.since ?? '')).toBeGreaterThan(
    Date.UTC(2026, 0, 14, 5, 19),
  );
  expect(await sample('tws_runtime_link{state="maintenance"}', night)).toBe(1);
  // Between two attempts; while one is under way it says so.
  await eventually(
    () => night.place({}, ''),
    ({ body: refused }) => refused.reason === 'maintenance',
  );
  await night.stop();
});

test('lines that TWS serves no more are a warning with their names, and each reader is told why', async () => {
  const stream = await openStream(`${whole.url.replace('http', 'ws')}/v1/stream`);
  const watch = (id: number) =>
    stream.send({ type: 'subscribe', id, channel: 'quotes', keys: ['MSFT', 'NVDA'] });
  watch(1);
  await eventually(
    () => whole.call('GET', '/health/detailed'),
    ({ body }) => body.components.marketData.live >= 2,
  );
  expect((await whole.call('GET', '/health/detailed')).body.components.marketData.status).toBe('pass');
  const message = 'No market data during competing live session';
  for (const { fields } of whole.simulator.received({ message: 'reqMktData' }))
    if (fields.includes('MSFT') || fields.includes('NVDA'))
      whole.simulator.faults.injectError(Number(fields[2]), 10197, message);
  const began = Date.now();
  const notice = { code: 'quote-failed', reason: { code: '10197', message }, retryAfterMs: 30_000 };
  for (const key of ['MSFT', 'NVDA'])
    expect(await stream.frame((frame) => frame.type === 'notice' && frame.key === key)).toMatchObject(notice);
  // Nobody looked meanwhile: when it began is known all the same.
  await new Promise((done) => setTimeout(done, 1_500));
  const { body } = await whole.call('GET', '/health/detailed');
  expect(body.components.marketData).toMatchObject({ status: 'warn', refused: 2 });
  const [reason] = body.reasons.filter(({ code }: { code: string }) => code === 'market-data-refused');
  expect(reason.detail).toBe('2 market-data lines refused: MSFT, NVDA');
  expect(Date.parse(reason.since) - began).toBeLessThan(1_000);
  const late = stream.frames.length;
  watch(2);
  await stream.frame((frame) => frame.type === 'notice' && stream.frames.indexOf(frame) >= late);
  stream.close();
});

test('the latency of the trading path warns above its budget, and passes when the window has drained', () => {
  let at = Date.now();
  const now = () => at;
  const metrics = createMetrics({ version: '0', environment: 'simulated', now, windowMs: 60_000 });
  const vitals = createVitals({
    runtime: whole.program.runtime,
    observer: createObserver({ now, log: pino({ level: 'silent' }) }),
    metrics,
    config: { maxLatencyMs: 10, readyRequiresTws: false },
    redisFigures: () => null,
    now,
  });
  const judged = () => {
    at += 1_000;
    const { components, reasons } = vitals.port.report();
    const reason = reasons.find(({ code }) => code === 'execution-latency');
    return [components.executionLatency?.status, reason?.since] as const;
  };
  for (let index = 0; index < 99; index += 1) metrics.order.total.record(3);
  expect(judged()).toEqual(['pass', undefined]);
  for (let index = 0; index < 9; index += 1) metrics.order.total.record(25);
  const since = new Date(at + 1_000).toISOString();
  expect(judged()).toEqual(['warn', since]);
  at += 30_000;
  expect(judged()).toEqual(['warn', since]);
  at += 120_000;
  expect(judged()).toEqual(['pass', undefined]);
  vitals.stop();
  metrics.close();
});
