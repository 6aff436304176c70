/** Orders that the broker's lists lack for good, and the person who ends them. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { alertsAbout, everyRow } from './incidents/oracle.ts';
import {
  compareNow,
  discrepancies,
  movableClock,
  quantityOf,
  untilAgreed,
  untilPaired,
} from './incidents/told.ts';
import { canMount, type SmallDisk, smallDisk } from './journal/disk.ts';
import { eventually } from './program.ts';
import { startWhole, type Whole } from './whole.ts';

/** 16:24 in New York, a Thursday. */
const clock = movableClock(Date.parse('2026-08-13T16:24:00-04:00'));

let disk: SmallDisk | null = null;
let whole: Whole;
beforeAll(async () => {
  if (canMount) disk = smallDisk('16m');
  whole = await startWhole({
    now: clock.now,
    simulator: { clock },
    environment: {
      MAX_OPEN_ORDERS: '6',
      ...(disk ? { JOURNAL_PATH: join(disk.path, 'journal.db') } : {}),
    },
  });
});
afterAll(async () => {
  await whole.stop();
  disk?.remove();
});

const settle = (id: string, body: unknown) => whole.call('POST', `/v1/orders/${id}/settle`, body);
const untilMissing = (id: string) =>
  whole.order(id, ({ state, reason }) => state === 'inDoubt' && reason?.code === 'missing-at-broker', 30_000);
const permIdOf = async (id: string): Promise<number> =>
  Number((await whole.order(id, ({ permIds }) => permIds.length > 0)).permIds[0]);
const exposures = () => Object.keys(whole.program.runtime.child('gate').getSnapshot().context.exposures);
const missing = async () =>
  (await discrepancies(whole)).flatMap(({ code, subject, done }) =>
    code === 'order-missing' && done === null ? [subject.clientOrderId] : [],
  );

describe('orders that ended on a day that is listed no more', () => {
  beforeAll(async () => {
    const { exchange } = whole.simulator;
    for (const clientOrderId of ['nothing', 'some', 'all', 'beside'])
      await whole.place({ clientOrderId, timeInForce: 'gtc' });
    const [nothing, some, all] = await Promise.all(['nothing', 'some', 'all'].map(permIdOf));
    exchange.script.fill(some ?? 0, 2, 1);
    await whole.order('some', ({ filledQuantity }) => filledQuantity === '2');
    await whole.restart(() => {
      exchange.script.fill(some ?? 0, 3, 1);
      exchange.script.fill(all ?? 0, 10, 1);
      for (const permId of [nothing, some]) exchange.script.end(permId ?? 0, 'Cancelled');
      clock.move(24 * 3_600_000);
    });
    for (const id of ['nothing', 'some', 'all']) await untilMissing(id);
    await eventually(
      () => quantityOf(whole, 'AAPL'),
      (quantity) => quantity === '15',
      20_000,
    );
  }, 90_000);

  test('stay in doubt and reserved, whatever is asked of them that is not so', async () => {
    expect(await missing()).toEqual(expect.arrayContaining(['nothing', 'some', 'all']));
    expect(exposures().sort()).toEqual(['all', 'beside', 'nothing', 'some']);
    const refusals: [string, unknown, string, RegExp][] = [
      ['some', { filledQuantity: '1' }, '/filledQuantity', /less than the 2 .* state at least 2/],
      ['some', { filledQuantity: '10.5' }, '/filledQuantity', /quantity 10: state at most 10/],
      ['some', { filledQuantity: '2', averagePrice: '1' }, '/averagePrice', /leave it out/],
      ['nothing', { filledQuantity: '-1' }, '/filledQuantity', /0 or more/],
      ['nothing', { filledQuantity: 'x' }, '/filledQuantity', /not a decimal/],
      ['nothing', { filledQuantity: '1', averagePrice: '0' }, '/averagePrice', /more than 0/],
      ['nothing', { filledQuantity: 0, note: 'x'.repeat(201) }, '/note', /200/],
      ['nothing', { filledQuantity: 0, filled: 1 }, '/filled', /known are filledQuantity/],
      ['nothing', {}, '/filledQuantity', /required/],
      ['nothing', undefined, '', /./],
    ];
    for (const [id, body, pointer, detail] of refusals) {
      const answer = await settle(id, body);
      expect([answer.status, answer.body.code], JSON.stringify(body)).toEqual([400, 'validation-failed']);
      expect(answer.body.errors[0]).toMatchObject({ pointer, detail: expect.stringMatching(detail) });
    }
    expect(await settle('nobody', { filledQuantity: '0' })).toMatchObject({
      status: 404,
      body: { code: 'order-not-found' },
    });
    expect(await settle('beside', { filledQuantity: '0' })).toMatchObject({
      status: 409,
      body: {
        code: 'order-not-missing',
        detail: expect.stringContaining('"beside" is working'),
        order: { clientOrderId: 'beside' },
      },
    });
    expect((await whole.call('DELETE', '/v1/orders/all')).status).toBe(202);
    await whole.order('all', ({ cancelRequestedAt }) => cancelRequestedAt !== undefined);
    for (const id of ['nothing', 'some', 'all'])
      expect((await whole.call('GET', `/v1/orders/${id}`)).body).toMatchObject({
        state: 'inDoubt',
        reason: { code: 'missing-at-broker' },
      });
  });

  if (canMount)
    test('stay so as long as nothing can be made durable', async () => {
      disk?.fill();
      expect(await settle('nothing', { filledQuantity: '0' })).toMatchObject({
        status: 503,
        body: { code: 'trading-unavailable', reason: 'journal-unavailable' },
      });
      expect((await whole.call('GET', '/v1/orders/nothing')).body.state).toBe('inDoubt');
      disk?.free();
      await whole.untilTrading();
    });

  test('end as a person states it, and nothing else changes', async () => {
    const held = await quantityOf(whole, 'AAPL');
    const note = 'cancelled, says the statement';
    const nothing = await settle('nothing', { filledQuantity: '0', note });
    expect(nothing).toMatchObject({
      status: 200,
      body: {
        state: 'cancelled',
        filledQuantity: '0',
        averageFillPrice: null,
        reason: { code: 'settled', message: expect.stringContaining(note) },
      },
    });
    expect(nothing.headers.get('etag')).toBe(`"${nothing.body.version}"`);
    expect((await settle('some', { filledQuantity: 5, averagePrice: '1.10' })).body).toMatchObject({
      state: 'cancelled',
      filledQuantity: '5',
      remainingQuantity: '5',
      averageFillPrice: '1.10',
      fills: [{ quantity: '2' }],
      statedFilled: { quantity: '5', settled: true },
    });
    expect((await settle('all', { filledQuantity: '10' })).body).toMatchObject({
      state: 'filled',
      filledQuantity: '10',
      averageFillPrice: null,
      reason: { code: 'settled' },
    });
    expect(exposures()).toEqual(['beside']);
    await eventually(missing, (ids) => ids.length === 0);
    expect(await quantityOf(whole, 'AAPL')).toBe(held);
    const told = await eventually(
      () => alertsAbout(whole, 'nothing'),
      (alerts) => alerts.some(({ event }) => event === 'order.doubtResolved'),
    );
    expect(told.at(-1)).toMatchObject({ state: 'cancelled', reason: { code: 'settled' } });
  });

  test('are asked for twice with the same answer, and closed for any other', async () => {
    expect(await settle('some', { filledQuantity: '5' })).toMatchObject({
      status: 200,
      body: { state: 'cancelled' },
    });
    expect((await settle('some', { filledQuantity: '5', averagePrice: '1.1' })).status).toBe(200);
    const others = [
      ['some', { filledQuantity: '6' }],
      ['some', { filledQuantity: '5', averagePrice: '1.2' }],
      ['all', { filledQuantity: '10', averagePrice: '1.1' }],
    ] as const;
    for (const [id, other] of others)
      expect(await settle(id, other)).toMatchObject({
        status: 409,
        body: { code: 'order-closed', detail: expect.stringContaining('there is nothing left to settle') },
      });
  });

  test('stay as they were settled after a restart', async () => {
    const orders = async () =>
      Promise.all(
        ['nothing', 'some', 'all'].map(async (id) => (await whole.call('GET', `/v1/orders/${id}`)).body),
      );
    const before = await orders();
    await whole.restart();
    expect(await orders()).toEqual(before);
    expect(exposures()).toEqual(['beside']);
    const facts = await everyRow(whole, '/v1/journal', 'facts');
    const ofSome = facts.filter(({ payload }) => payload.order?.clientOrderId === 'some');
    expect(ofSome.map(({ event }) => event).slice(-3)).toEqual([
      'order.doubted',
      'order.filledAsStated',
      'order.cancelled',
    ]);
    await untilAgreed(whole);
    await untilPaired(whole);
  }, 60_000);
});

describe('orders that were settled and live', () => {
  test('are open again when two lists hold them, with the fills that the broker tells', async () => {
    const { faults, exchange } = whole.simulator;
    for (const clientOrderId of ['quiet', 'sold', 'whole']) await whole.place({ clientOrderId });
    const [quiet, sold] = await Promise.all(['quiet', 'sold'].map(permIdOf));
    const hidden = faults.swallow({ messages: ['openOrder', 'orderStatus'] });
    await compareNow(whole);
    await compareNow(whole);
    for (const id of ['quiet', 'sold', 'whole', 'beside']) await untilMissing(id);
    await settle('quiet', { filledQuantity: '4', averagePrice: '1' });
    await settle('sold', { filledQuantity: '0' });
    expect((await settle('whole', { filledQuantity: '10' })).body.state).toBe('filled');

    exchange.script.fill(sold ?? 0, 3, 1);
    expect(await whole.order('sold', ({ filledQuantity }) => filledQuantity === '3')).toMatchObject({
      state: 'cancelled',
      fills: [{ quantity: '3' }],
    });
    await eventually(
      () => alertsAbout(whole, 'sold'),
      (alerts) => alerts.some(({ event }) => event === 'order.filledLate'),
    );

    hidden.clear();
    await compareNow(whole);
    await compareNow(whole);
    // What was stated of an order that was taken for ended is void with it.
    for (const [id, filledQuantity] of [
      ['quiet', '0'],
      ['sold', '3'],
      ['whole', '0'],
      ['beside', '0'],
    ] as const)
      expect(await whole.order(id, ({ state }) => state === 'working', 30_000)).toMatchObject({
        filledQuantity,
        reason: null,
      });
    expect(exposures().sort()).toEqual(['beside', 'quiet', 'sold', 'whole']);
    expect(
      (await alertsAbout(whole, 'whole')).find(({ was }) => was === 'filled'),
      JSON.stringify(await alertsAbout(whole, 'whole')),
    ).toMatchObject({ event: 'order.inDoubt', reason: { code: 'alive-again' } });
    exchange.script.fill(quiet ?? 0, 10, 1);
    await whole.order('quiet', ({ state }) => state === 'filled');
    for (const id of ['sold', 'whole', 'beside'])
      expect((await whole.call('DELETE', `/v1/orders/${id}`)).status).toBe(202);
    for (const id of ['sold', 'whole', 'beside']) await whole.order(id, ({ state }) => state === 'cancelled');
    await untilAgreed(whole);
    expect(whole.simulator.conformance()).toEqual([]);
  }, 120_000);
});
