/**
 * Switched off once by hand: `liveIncarnations` in machines/incarnation.ts answering none; the order was `cancelled`
 * while its twin worked. And `fillable` in machines/gate.ts replaced by the rest of the order; the next order was taken.
 */
import { expect } from 'vitest';
import type { BookOrder } from '../../src/simulator/model.ts';
import { eventually } from '../program.ts';
import type { Whole } from '../whole.ts';
import { incident } from './incident.ts';
import { alertsAbout } from './oracle.ts';

/** A change that IB takes for a new order: the old one works on, both under one order id. */
async function twins(whole: Whole): Promise<readonly [BookOrder, BookOrder]> {
  const { exchange, faults } = whole.simulator;
  await whole.place({ clientOrderId: 'stop' });
  const [old] = exchange.openOrders();
  if (!old) throw new Error('the order is not in the book');
  faults.ignore({ messages: ['placeOrder'] }, 1);
  await whole.call('PATCH', '/v1/orders/stop', { limitPrice: '1.50' });
  const { lmtPrice: _, ...terms } = old.request;
  const young = exchange.script.external({ ...terms, lmtPrice: 1.5 });
  const changed = await whole.order('stop', ({ state }) => state === 'working');
  expect(changed).toMatchObject({
    limitPrice: '1.50',
    permIds: [String(old.permId), String(young.permId)],
    incarnations: [{ state: 'live' }, { state: 'live' }],
  });
  const alerts = await eventually(
    () => alertsAbout(whole, 'stop'),
    (found) => found.length > 0,
    15_000,
  );
  expect(alerts.map(({ event }) => event)).toEqual(['order.liveTwice']);
  return [old, young];
}

incident({
  id: 'I03',
  title:
    'A change during a cut of the link leaves two live orders; the cancel reaches one, the other fills hours later',
  sources: ['https://github.com/nautechsystems/nautilus_trader/issues/4564'],
  others: 'one order was one broker order; the fill of the other was refused, the position flipped',
  ours: 'both are visible under one intent, an alert tells it, the cancel is asked for again until none lives, and each fill counts once',
  test: {
    'the cancel is repeated until both are gone': async (start) => {
      const whole = await start();
      await twins(whole);
      await whole.call('DELETE', '/v1/orders/stop');
      const ended = await whole.order('stop', ({ state }) => state === 'cancelled', 20_000);
      expect(ended.incarnations).toMatchObject([{ state: 'cancelled' }, { state: 'cancelled' }]);
      expect(whole.simulator.exchange.openOrders()).toEqual([]);
      expect(whole.simulator.received({ message: 'cancelOrder' }).length).toBeGreaterThanOrEqual(2);
    },
    'the cancel reaches one only, and the other fills in part, then ends': async (start) => {
      const whole = await start();
      const [old] = await twins(whole);
      const { exchange, faults, received } = whole.simulator;
      await whole.call('DELETE', '/v1/orders/stop');
      await whole.order('stop', ({ incarnations }) => incarnations[1].state === 'cancelled');
      faults.ignore({ messages: ['cancelOrder'] });
      expect(await whole.order('stop', () => true)).toMatchObject({ state: 'cancelling' });
      expect(received({ message: 'cancelOrder' }).length).toBeGreaterThanOrEqual(1);
      exchange.script.fill(old.permId, 4);
      await whole.order('stop', ({ filledQuantity }) => filledQuantity === '4');
      exchange.script.end(old.permId, 'Cancelled');
      expect(await whole.order('stop', ({ state }) => state === 'cancelled', 20_000)).toMatchObject({
        filledQuantity: '4',
        remainingQuantity: '6',
        fills: [{ quantity: '4', permId: String(old.permId) }],
      });
    },
    'the gate counts both: what each of them may fill': async (start) => {
      const whole = await start({ environment: { MAX_POSITION_NOTIONAL: '8000' } });
      const [old] = await twins(whole);
      const { exchange } = whole.simulator;
      const price = exchange.quote(old.contract.conId)?.ask ?? 0;
      expect([25 * price < 8_000, 35 * price > 8_000]).toEqual([true, true]);
      const more = { quantity: '15' };
      expect(await whole.place({ clientOrderId: 'too-many', ...more })).toMatchObject({
        status: 422,
        body: { code: 'denied-position-notional' },
      });
      exchange.script.end(old.permId, 'Cancelled');
      await whole.order('stop', ({ incarnations }) => incarnations[0].state === 'cancelled');
      expect((await whole.place({ clientOrderId: 'as-many', ...more })).status).toBe(201);
    },
    'one fills wholly: the order is not filled while the other lives': async (start) => {
      const whole = await start();
      const [old, young] = await twins(whole);
      const { exchange } = whole.simulator;
      exchange.script.fill(young.permId, 10);
      const half = await whole.order('stop', ({ filledQuantity }) => filledQuantity === '10');
      expect(half).toMatchObject({ state: 'working', remainingQuantity: '0' });
      exchange.script.fill(old.permId, 10);
      expect(await whole.order('stop', ({ state }) => state === 'filled')).toMatchObject({
        filledQuantity: '20',
      });
      const alerts = await alertsAbout(whole, 'stop');
      expect(alerts.map(({ event }) => event)).toContain('order.overfilled');
    },
    'the other shows itself after the cancellation: it is cancelled as well': async (start) => {
      const whole = await start();
      const { exchange } = whole.simulator;
      await whole.place({ clientOrderId: 'stop' });
      const [old] = exchange.openOrders();
      if (!old) throw new Error('the order is not in the book');
      await whole.call('DELETE', '/v1/orders/stop');
      await whole.order('stop', ({ state }) => state === 'cancelled');
      exchange.script.external({ ...old.request });
      await whole.order('stop', ({ state }) => state !== 'cancelled');
      await whole.order('stop', ({ state }) => state === 'cancelled', 20_000);
      expect(exchange.openOrders()).toEqual([]);
      const alerts = await alertsAbout(whole, 'stop');
      expect(alerts.map(({ event }) => event)).toEqual(['order.inDoubt', 'order.doubtResolved']);
      expect(alerts[0]).toMatchObject({ reason: { code: 'alive-again' }, was: 'cancelled' });
    },
  },
});
