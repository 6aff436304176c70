/**
 * Switched off once by hand: the state `cancelling` (an asked cancel taken for a granted one); the next order was let
 * through. And `order.listed` in the state `cancelled`; the order stayed cancelled while the broker filled it.
 */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';
import { alertsAbout } from './oracle.ts';

incident({
  id: 'I14',
  title: 'The cancel of an order that waits for the open is acknowledged hours later',
  sources: [
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/pull/256',
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/issues/93',
  ],
  others: 'no answer within five minutes stopped the algorithm; the answer came two seconds later',
  ours: 'the order stays cancelling and counts as exposure for as long as it takes; lists that still show it fail nothing',
  test: {
    'it is exposure until then': async (start) => {
      const whole = await start({ environment: { MAX_OPEN_ORDERS: '1' } });
      await whole.place({ clientOrderId: 'queued' });
      const { exchange, faults } = whole.simulator;
      const [broker] = exchange.openOrders();
      faults.ignore({ messages: ['cancelOrder'] });
      expect((await whole.call('DELETE', '/v1/orders/queued')).status).toBe(202);
      expect((await whole.call('DELETE', '/v1/orders/queued')).status).toBe(202);
      expect(await whole.order('queued', () => true)).toMatchObject({ state: 'cancelling' });
      expect(await whole.place({ clientOrderId: 'next' })).toMatchObject({
        status: 422,
        body: { code: 'denied-open-orders' },
      });
      expect(whole.simulator.received({ message: 'cancelOrder' })).toHaveLength(1);
      exchange.script.end(broker?.permId ?? 0, 'Cancelled');
      await whole.order('queued', ({ state }) => state === 'cancelled');
      expect(await alertsAbout(whole, 'queued')).toEqual([]);
    },
    'the acknowledgement was of nothing: the cancel never arrived': async (start) => {
      const whole = await start();
      const { orderId } = (await whole.place({ clientOrderId: 'c-1', quantity: '100' })).body;
      const { exchange, faults } = whole.simulator;
      const [broker] = exchange.openOrders();
      const deaf = faults.ignore({ messages: ['cancelOrder'] });
      await whole.call('DELETE', '/v1/orders/c-1');
      faults.injectError(orderId, 202, 'Order Canceled - reason:');
      await whole.order('c-1', ({ state }) => state === 'cancelled');
      deaf.clear();
      exchange.script.fill(broker?.permId ?? 0, 40);
      await whole.order('c-1', ({ filledQuantity }) => filledQuantity === '40');
      await eventually(
        async () => exchange.openOrders(),
        (open) => open.length === 0,
        20_000,
      );
      await whole.order('c-1', ({ state }) => state === 'cancelled');
      expect(whole.simulator.received({ message: 'cancelOrder' })).toHaveLength(2);
      expect(await alertsAbout(whole, 'c-1')).toMatchObject([
        { event: 'order.filledLate' },
        { event: 'order.inDoubt', reason: { code: 'alive-again' } },
        { event: 'order.doubtResolved', state: 'cancelling' },
      ]);
    },
  },
});
