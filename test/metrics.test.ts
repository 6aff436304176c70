import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { denialCodes } from '../machines/denial.ts';
import { createMetrics, type LatencySummary, type Metrics, type MetricsOptions } from '../src/metrics.ts';

const opened: Metrics[] = [];
afterEach(() => {
  for (const metrics of opened.splice(0)) metrics.close();
});
function open(options: Partial<MetricsOptions> = {}): Metrics {
  const metrics = createMetrics({ version: '1.2.3', environment: 'simulated', ...options });
  opened.push(metrics);
  return metrics;
}
/** Values by `name{labels}` of Prometheus text. */
async function scrape(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
}
const empty: LatencySummary = { count: 0, total: 0, p50: null, p90: null, p99: null, max: null };

describe('summaries', () => {
  test('are empty before anything happened', () => {
    expect(open().order.total.summary()).toEqual(empty);
  });

  test('property: quantiles are those of the values, within one rank and one percent', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.001, max: 5_000, noNaN: true }), { minLength: 1, maxLength: 200 }),
        (values) => {
          const metrics = open();
          for (const ms of values) metrics.order.total.record(ms);
          const summary = metrics.order.total.summary();
          const sorted = [...values].sort((a, b) => a - b);
          expect(summary.count).toBe(values.length);
          for (const [name, q] of [
            ['p50', 0.5],
            ['p90', 0.9],
            ['p99', 0.99],
            ['max', 1],
          ] as const) {
            const rank = Math.max(0, Math.ceil(q * sorted.length) - 1);
            const [low = Number.NaN, high = Number.NaN] = [sorted[Math.max(0, rank - 1)], sorted[rank]];
            expect(summary[name], name).toBeGreaterThan(low * 0.99 - 0.001);
            expect(summary[name], name).toBeLessThan(high * 1.01 + 0.001);
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  test('forget what is older than two windows, keep the total', () => {
    let at = 0;
    const { journalAppend } = open({ now: () => at, windowMs: 1_000 });
    journalAppend.record(50);
    at = 1_500;
    journalAppend.record(1);
    expect(journalAppend.summary()).toMatchObject({ count: 2, max: expect.closeTo(50, 0) });
    at = 2_600;
    expect(journalAppend.summary()).toMatchObject({ count: 1, total: 2, max: expect.closeTo(1, 1) });
    at = 9_000;
    expect(journalAppend.summary()).toEqual({ ...empty, total: 2 });
  });

  test('take no nonsense', () => {
    const { acknowledgement } = open();
    for (const ms of [Number.NaN, -1, Number.POSITIVE_INFINITY]) acknowledgement.record(ms);
    expect(acknowledgement.summary()).toEqual(empty);
    acknowledgement.record(0);
    acknowledgement.record(1e12);
    expect(acknowledgement.summary().count).toBe(2);
  });
});

describe('Prometheus text', () => {
  test('has the stages of the order path in seconds, with buckets around the budget', async () => {
    const metrics = open();
    metrics.order.review.record(0.02);
    metrics.order.total.record(9);
    metrics.order.total.record(12);
    const values = await scrape(metrics);
    const name = 'tws_runtime_order_path_duration_seconds';
    expect(values.get(`${name}_count{stage="review"}`)).toBe(1);
    expect(values.get(`${name}_bucket{le="0.0075",stage="total"}`)).toBe(0);
    expect(values.get(`${name}_bucket{le="0.01",stage="total"}`)).toBe(1);
    expect(values.get(`${name}_bucket{le="0.015",stage="total"}`)).toBe(2);
    expect(values.get(`${name}_sum{stage="total"}`)).toBeCloseTo(0.021);
  });

  test('has counters, gauges, build info and the process', async () => {
    const metrics = open();
    metrics.ticks();
    metrics.ticks(9);
    metrics.transition('order', 'working');
    metrics.transition('order', 'working');
    metrics.denials.add('order-quantity');
    metrics.reconnects.add('silent');
    metrics.messages.add('order', 3);
    metrics.slowConsumers.add('closed');
    metrics.clients(4);
    for (const _ of [1, 2]) {
      const values = await scrape(metrics);
      expect(values.get('tws_runtime_ticks_total')).toBe(10);
      expect(values.get('tws_runtime_transitions_total{machine="order",state="working"}')).toBe(2);
      expect(values.get('tws_runtime_order_denials_total{reason="order-quantity"}')).toBe(1);
      expect(values.get('tws_runtime_reconnects_total{cause="silent"}')).toBe(1);
      expect(values.get('tws_runtime_messages_sent_total{lane="order"}')).toBe(3);
      expect(values.get('tws_runtime_websocket_slow_consumers_total{measure="closed"}')).toBe(1);
      expect(values.get('tws_runtime_websocket_clients')).toBe(4);
      expect(values.has('process_resident_memory_bytes')).toBe(true);
      expect([...values.keys()].some((key) => key.startsWith('tws_runtime_build_info{version="1.2.3"'))).toBe(
        true,
      );
    }
  });

  test('two registries know nothing of each other', async () => {
    const [one, other] = [open(), open()];
    one.ticks(5);
    expect((await scrape(other)).get('tws_runtime_ticks_total')).toBe(0);
  });

  test('stays small whatever it is fed', async () => {
    const metrics = open();
    for (let index = 0; index < 500; index++) {
      metrics.http(`/v1/orders/${index}`, 1);
      metrics.denials.add(`reason-${index}`);
      metrics.transition('m', `s${index}`);
    }
    const values = await scrape(metrics);
    const keys = (part: string): string[] => [...values.keys()].filter((key) => key.startsWith(part));
    expect(keys('tws_runtime_http_request_duration_seconds_count')).toHaveLength(101);
    expect(values.get('tws_runtime_http_request_duration_seconds_count{route="other"}')).toBe(400);
    expect(keys('tws_runtime_order_denials_total')).toHaveLength(denialCodes.length + 1);
    expect(values.get('tws_runtime_transitions_total{machine="other",state="other"}')).toBe(400);
  });
});

test('what is counted by a closed list is there before it happens, what is not in the list is `other`, nothing goes back', async () => {
  const metrics = open();
  expect((await scrape(metrics)).get('tws_runtime_reconnects_total{cause="clientIdInUse"}')).toBe(0);
  metrics.reconnects.add('nobody-heard-of-this');
  metrics.messages.add('data', 5);
  metrics.messages.add('data', -3);
  metrics.doubt();
  metrics.lapse();
  metrics.pacingWait.order.record(12);
  const values = await scrape(metrics);
  expect(values.get('tws_runtime_reconnects_total{cause="other"}')).toBe(1);
  expect(values.get('tws_runtime_messages_sent_total{lane="data"}')).toBe(5);
  expect(values.get('tws_runtime_order_doubts_total')).toBe(1);
  expect(values.get('tws_runtime_lease_lapses_total')).toBe(1);
  expect(values.get('tws_runtime_pacing_wait_seconds_bucket{le="0.01",lane="order"}')).toBe(0);
  expect(values.get('tws_runtime_pacing_wait_seconds_bucket{le="0.025",lane="order"}')).toBe(1);
});

describe('JSON', () => {
  test('has every latency with its quantiles in ms, rates and counters, and survives JSON', () => {
    let at = 10_000;
    const metrics = open({ now: () => at });
    metrics.order.total.record(2);
    metrics.tickToClient.record(7);
    metrics.http('/v1/orders', 3);
    metrics.http('/health', 1);
    metrics.denials.add('price-collar');
    for (let second = 0; second < 5; second++) {
      metrics.ticks(100);
      metrics.messages.add('data', 20);
      at += 1_000;
    }
    const body = metrics.json();
    expect(JSON.parse(JSON.stringify(body))).toEqual(body);
    expect(body).toMatchObject({
      uptimeSeconds: 5,
      orderPath: { total: { count: 1, p50: expect.closeTo(2, 1), max: expect.closeTo(2, 1) }, review: empty },
      tickToClient: { count: 1, p99: expect.closeTo(7, 1) },
      http: { count: 2, routes: { '/v1/orders': { count: 1 }, '/health': { count: 1 } } },
      rates: { ticksPerSecond: 100, messagesPerSecond: 20 },
      counters: {
        ticks: 500,
        orders: 1,
        denials: { 'price-collar': 1 },
        messages: { data: 100 },
        reconnects: {},
      },
    });
    for (const name of ['orderPath', 'journalAppend', 'tickToBeat', 'tickToClient', 'http', 'eventLoop']) {
      expect(body, name).toHaveProperty(name);
    }
  });

  test('a rate falls back to zero when nothing happens any more', () => {
    let at = 0;
    const metrics = open({ now: () => at });
    metrics.ticks(50);
    at = 2_000;
    expect(metrics.json()).toMatchObject({ rates: { ticksPerSecond: 25 } });
    at = 60_000;
    expect(metrics.json()).toMatchObject({ rates: { ticksPerSecond: 0 } });
  });
});

describe('event loop', () => {
  test('shows a stall, and not the interval of its own monitor', async () => {
    const metrics = open();
    await vi.waitFor(() => expect((metrics.json().eventLoop as LatencySummary).count).toBeGreaterThan(5));
    const until = performance.now() + 120;
    while (performance.now() < until);
    await vi.waitFor(() => expect(metrics.eventLoop().maxMs).toBeGreaterThan(80), { timeout: 5_000 });
    await vi.waitFor(() => expect((metrics.json().eventLoop as LatencySummary).p50).toBeLessThan(10), {
      timeout: 10_000,
    });
    await setImmediate();
    expect(metrics.eventLoop().lastTurnAgeMs).toBeLessThan(5_000);
  });

  test('the time since the last turn grows while the loop is held', async () => {
    const metrics = open();
    await vi.waitFor(() => expect((metrics.json().eventLoop as LatencySummary).count).toBeGreaterThan(1));
    const until = performance.now() + 150;
    while (performance.now() < until);
    expect(metrics.eventLoop().lastTurnAgeMs).toBeGreaterThan(100);
  });
});
