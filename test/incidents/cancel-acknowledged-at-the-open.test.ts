/** Switched off once by hand: the state `cancelling` (an asked cancel taken for a granted one); the next order was let through. */
import { expect } from 'vitest';
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
  test: async (start) => {
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
});
