/** Switched off once by hand: `isExpiry` in machines/evidence.ts answering no; the order was shown as cancelled. */
import { expect } from 'vitest';
import { incident } from './incident.ts';
import { alertsAbout } from './oracle.ts';

incident({
  id: 'I14b',
  title: 'The end of the session is shown as a cancellation that nobody asked for',
  sources: [],
  others: 'one word, Cancelled, for what a trader, a broker and the clock do',
  ours: "`expired` when the broker's text says so, whichever of text and status comes first; no doubt, no alert",
  test: {
    'the text first': async (start) => {
      const whole = await start();
      await whole.place({ clientOrderId: 'day' });
      const { exchange } = whole.simulator;
      exchange.script.end(exchange.openOrders()[0]?.permId ?? 0, 'Expired');
      const ended = await whole.order('day', ({ state }) => state === 'expired');
      expect(ended.reason.message).toContain('expired');
      expect(await alertsAbout(whole, 'day')).toEqual([]);
    },
    'the status first': async (start) => {
      const whole = await start();
      await whole.place({ clientOrderId: 'day' });
      const { exchange, faults } = whole.simulator;
      const late = faults.hold({ messages: ['error'] });
      exchange.script.end(exchange.openOrders()[0]?.permId ?? 0, 'Expired');
      await whole.order('day', ({ state }) => state === 'cancelled');
      late.clear();
      faults.releaseHeld();
      await whole.order('day', ({ state }) => state === 'expired');
    },
  },
});
