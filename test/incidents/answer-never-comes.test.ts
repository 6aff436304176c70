/** Switched off once by hand: the alarms of `becomes` in machines/order.machine.ts; the books' comparison complained. */
import { expect } from 'vitest';
import { incident } from './incident.ts';
import { alertsAbout } from './oracle.ts';

incident({
  id: 'I06b',
  title: 'An order is written and nothing ever comes back',
  sources: [],
  others: 'the order was sent again, or was waited for without end and without a word',
  ours: 'in doubt after seconds, with an alert that says what is known; asked about until evidence settles it, with a second alert; a cancel asked for meanwhile is kept',
  test: {
    'the broker has it: found in the lists, and the cancel that was asked for in doubt is made good': async (
      start,
    ) => {
      const whole = await start();
      const { exchange, faults } = whole.simulator;
      const silence = faults.swallow({ messages: ['openOrder', 'orderStatus', 'completedOrder'] });
      await whole.place({ clientOrderId: 'c-1' }, '');
      await whole.order('c-1', ({ state }) => state === 'inDoubt', 15_000);
      expect(await alertsAbout(whole, 'c-1')).toMatchObject([
        { event: 'order.inDoubt', was: 'submitting', reason: { code: 'unanswered' }, permIds: [] },
      ]);
      faults.ignore({ messages: ['cancelOrder'] }, 1);
      expect((await whole.call('DELETE', '/v1/orders/c-1')).status).toBe(202);
      silence.clear();
      await whole.order('c-1', ({ state }) => state === 'cancelled', 20_000);
      expect(exchange.openOrders()).toEqual([]);
      expect((await alertsAbout(whole, 'c-1')).at(-1)).toMatchObject({
        event: 'order.doubtResolved',
        inDoubtForMs: expect.any(Number),
      });
      expect(whole.simulator.received({ message: 'placeOrder' })).toHaveLength(1);
    },
    'the process dies in doubt: the doubt goes on, and is told once': async (start) => {
      const whole = await start();
      const { faults } = whole.simulator;
      const silence = faults.swallow({ messages: ['openOrder', 'orderStatus', 'completedOrder'] });
      await whole.place({ clientOrderId: 'c-1' }, '');
      await whole.order('c-1', ({ state }) => state === 'inDoubt', 15_000);
      await whole.restart();
      silence.clear();
      await whole.order('c-1', ({ state }) => state === 'working', 20_000);
      const events = (await alertsAbout(whole, 'c-1')).map(({ event }) => event);
      expect(events).toEqual(['order.inDoubt', 'order.doubtResolved']);
    },
  },
});
