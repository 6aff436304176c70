/** Switched off once by hand: the wait for a person in `endSession` (machines/tws.machine.ts); nobody was called. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';
import { alerts, movableClock } from './told.ts';

/** A Friday, 15:00 in New York. */
const friday = Date.UTC(2026, 10, 20, 20);
const hourMs = 3_600_000;

incident({
  id: 'I55',
  title: 'The scheduled restart of the gateway does not come back: it waits for a person, for hours or days',
  sources: [
    'https://github.com/IbcAlpha/IBC/issues/290',
    'https://github.com/IbcAlpha/IBC/issues/332',
    'https://github.com/IbcAlpha/IBC/issues/269',
    'https://github.com/IbcAlpha/IBC/issues/273',
    'https://github.com/IbcAlpha/IBC/issues/309',
    'https://github.com/IbcAlpha/IBC/issues/275',
    'https://github.com/IbcAlpha/IBC/issues/235',
  ],
  others:
    'no state for a gateway that is gone for a day; restarts of the whole stack, or an alarm with every attempt',
  ours: 'refused for days is a normal state: calm attempts without growth, one alert that a person is needed, one when it is over, and everything is compared on return',
  test: {
    'over a week-end, with other ids and other orders on return': async (start) => {
      const clock = movableClock(friday);
      const whole = await start({
        now: clock.now,
        simulator: { clock, firstOrderId: 700 },
        patience: { absenceMs: 400 },
      });
      const { simulator } = whole;
      const { faults, exchange } = simulator;
      const { body } = await whole.place({ clientOrderId: 'c-1', timeInForce: 'gtc' });
      await whole.place({ clientOrderId: 'c-2', timeInForce: 'gtc' });
      await faults.refuse();
      faults.drop();
      await eventually(
        () => alerts(whole, 'tws.absent'),
        (told) => told.length === 1,
      );
      const health = await whole.call('GET', '/health/detailed');
      expect(health.body.reasons[0]).toMatchObject({
        code: 'gateway-absent',
        detail: expect.stringContaining('needs a person'),
      });
      expect((await whole.call('GET', '/health/live')).status).toBe(200);
      clock.move(66 * hourMs);
      faults.setNextValidId(1);
      const permIdOf = (ref: string): number =>
        exchange.openOrders().find(({ request }) => request.orderRef === ref)?.permId ?? 0;
      exchange.script.fill(permIdOf('c-1'), 10, 1);
      const [other] = exchange.openOrders();
      if (!other) throw new Error('the book is empty');
      exchange.script.external({
        contract: other.contract,
        action: 'BUY',
        totalQuantity: 3,
        orderType: 'MKT',
      });
      await faults.accept();
      await whole.untilTrading();
      expect(await whole.order('c-1', ({ state }) => state === 'filled', 20_000)).toMatchObject({
        fills: [{ quantity: '10' }],
      });
      expect(await whole.order('c-2', ({ confirmed }) => confirmed)).toMatchObject({ state: 'working' });
      const next = await whole.place({ clientOrderId: 'c-3' });
      expect(next.body.orderId).toBeGreaterThan(body.orderId + 1);
      expect(
        (await alerts(whole)).map(({ event }) => event).filter((event) => event.startsWith('tws.')),
      ).toEqual(['tws.absent', 'tws.returned']);
    },
    'two instances fight: up and down, and nobody is called for a restart': async (start) => {
      const whole = await start({ patience: { absenceMs: 8_000 } });
      await whole.place({ clientOrderId: 'c-1' });
      for (let round = 0; round < 3; round += 1) {
        await whole.simulator.faults.restart({ downMs: 100 });
        await whole.untilTrading();
      }
      expect(await whole.order('c-1', ({ confirmed }) => confirmed)).toMatchObject({ state: 'working' });
      expect(await alerts(whole, 'tws.absent')).toEqual([]);
      expect(whole.simulator.clients()).toHaveLength(1);
    },
  },
});
