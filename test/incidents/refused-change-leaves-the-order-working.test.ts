/** Switched off once by hand: `modifyRejected` for a refusal while modifying (machines/evidence.ts); the order was lost. */
import { expect } from 'vitest';
import { incident } from './incident.ts';

incident({
  id: 'I07',
  title: 'A refused change makes the live order disappear',
  sources: ['https://github.com/erdewit/ib_insync/issues/502'],
  others: 'an error on an order id was taken for the end of the order',
  ours: 'the change is rejected with its reason; the order works on its former terms, can be changed, cancelled and filled',
  test: {
    'refused, then changed as it should be, then filled': async (start) => {
      const whole = await start();
      const { exchange } = whole.simulator;
      await whole.place({ clientOrderId: 'c-1', type: 'limit', limitPrice: '66.00' });
      await whole.call('PATCH', '/v1/orders/c-1', { limitPrice: '66.001' });
      const refused = await whole.order('c-1', ({ state, reason }) => state === 'working' && reason !== null);
      expect(refused).toMatchObject({ limitPrice: '66.00', pendingChange: null, reason: { code: '110' } });
      expect((await whole.call('PATCH', '/v1/orders/c-1', { limitPrice: '66.01' })).status).toBe(202);
      await whole.order('c-1', ({ state, limitPrice }) => state === 'working' && limitPrice === '66.01');
      const [broker] = exchange.openOrders();
      exchange.script.fill(broker?.permId ?? 0, 10);
      await whole.order('c-1', ({ state }) => state === 'filled');
    },
    'refused, then cancelled': async (start) => {
      const whole = await start();
      await whole.place({ clientOrderId: 'c-1', type: 'limit', limitPrice: '66.00' });
      await whole.call('PATCH', '/v1/orders/c-1', { limitPrice: '66.001' });
      await whole.order('c-1', ({ state, reason }) => state === 'working' && reason !== null);
      await whole.call('DELETE', '/v1/orders/c-1');
      await whole.order('c-1', ({ state }) => state === 'cancelled');
    },
    'two changes at once: one is made, the other is told to wait': async (start) => {
      const whole = await start();
      await whole.place({ clientOrderId: 'c-1', type: 'limit', limitPrice: '66.00' });
      const both = await Promise.all([
        whole.call('PATCH', '/v1/orders/c-1', { limitPrice: '66.10' }),
        whole.call('PATCH', '/v1/orders/c-1', { limitPrice: '66.20' }),
      ]);
      expect(both.map(({ status }) => status).sort()).toEqual([202, 409]);
      expect(both.find(({ status }) => status === 409)?.body).toMatchObject({ code: 'order-busy' });
      const made = await whole.order('c-1', ({ state }) => state === 'working');
      expect(['66.10', '66.20']).toContain(made.limitPrice);
      expect(whole.simulator.received({ message: 'placeOrder' })).toHaveLength(2);
    },
  },
});
