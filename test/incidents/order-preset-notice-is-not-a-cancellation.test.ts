/** Switched off once by hand: 10349 taken for a refusal in src/tws/codes.ts; both scenarios failed. */
import { expect } from 'vitest';
import { incident } from './incident.ts';

const preset = 'Order TIF was set to DAY based on order preset.';

incident({
  id: 'I06',
  title: 'A notice about a preset is taken for a cancellation, and the order is sent again, 15 times',
  sources: [
    'https://github.com/pst-group/pysystemtrade/issues/1580',
    'https://github.com/ib-api-reloaded/ib_async/issues/191',
    'https://github.com/ib-api-reloaded/ib_async/issues/217',
  ],
  others: 'an unknown code on an order id ended the order; more was filled than intended',
  ours: 'a code that is not known as a refusal is a notice: the order lives, and is never sent again',
  test: {
    'the notice comes first, the order works and fills': async (start) => {
      const whole = await start();
      const { simulator } = whole;
      const held = simulator.faults.hold({ messages: ['openOrder', 'orderStatus'] });
      await whole.place({ clientOrderId: 'v2x' }, '');
      const { orderId } = await whole.order('v2x', () => true);
      simulator.faults.injectError(orderId, 10349, preset);
      await whole.order('v2x', ({ notices }) => notices.length === 1);
      held.clear();
      simulator.faults.releaseHeld();
      expect(await whole.order('v2x', ({ state }) => state === 'working')).toMatchObject({
        notices: [{ code: 10349, message: preset }],
      });
      const [broker] = simulator.exchange.openOrders();
      simulator.exchange.script.fill(broker?.permId ?? 0, 10);
      expect(await whole.order('v2x', ({ state }) => state === 'filled')).toMatchObject({
        filledQuantity: '10',
        fills: [{ quantity: '10' }],
      });
      expect(simulator.received({ message: 'placeOrder' })).toHaveLength(1);
    },
    'the notice comes and nothing else: in doubt, asked about, found working': async (start) => {
      const whole = await start();
      const { simulator } = whole;
      const silence = simulator.faults.swallow({ messages: ['openOrder', 'orderStatus'] });
      await whole.place({ clientOrderId: 'v2x' }, '');
      const { orderId } = await whole.order('v2x', () => true);
      simulator.faults.injectError(orderId, 10349, preset);
      const doubtful = await whole.order('v2x', ({ state }) => state === 'inDoubt', 15_000);
      expect(doubtful.notices).toMatchObject([{ code: 10349 }]);
      silence.clear();
      await whole.order('v2x', ({ state }) => state === 'working', 20_000);
      expect(simulator.received({ message: 'placeOrder' })).toHaveLength(1);
    },
  },
});
