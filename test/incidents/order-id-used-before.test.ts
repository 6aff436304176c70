/** Switched off once by hand: `order.idRefused` in machines/evidence.ts (103 as a plain refusal); the order was rejected. */
import { expect } from 'vitest';
import { incident } from './incident.ts';
import { everyRow, writtenOrders } from './oracle.ts';

incident({
  id: 'I08',
  title: 'Every order is refused as a duplicate id: the allocator is below what TWS expects',
  sources: [
    'https://github.com/wboayue/rust-ibapi/pull/803',
    'https://github.com/wboayue/rust-ibapi/issues/350',
    'https://github.com/erdewit/ib_insync/issues/80',
    'https://github.com/erdewit/ib_insync/issues/308',
    'https://github.com/erdewit/ib_insync/issues/644',
    'https://github.com/dshe/InterReact/pull/6',
  ],
  others: 'the counter was seeded once, or rebuilt from open orders; rejected ids were used again',
  ours: 'what TWS announces only raises the counter; a refused id is renewed once, durably, under the same reference',
  test: {
    'a restarted gateway announces a higher id': async (start) => {
      const whole = await start();
      const { body } = await whole.place({ clientOrderId: 'before' });
      await whole.simulator.faults.restart({ nextValidId: body.orderId + 50, downMs: 200 });
      await whole.untilTrading();
      const next = await whole.place({ clientOrderId: 'after' });
      expect(next.body.orderId).toBeGreaterThanOrEqual(body.orderId + 50);
      expect(next.body.state).toBe('working');
    },
    'another program has used the ids meanwhile: refused, and sent once more': async (start) => {
      const whole = await start();
      const { simulator } = whole;
      simulator.faults.setNextValidId(500, 1);
      const { body } = await whole.place({ clientOrderId: 'c-1' });
      expect(body).toMatchObject({ state: 'working', orderId: 500 });
      const facts = await everyRow(whole, '/v1/journal', 'facts');
      const events = facts.flatMap(({ event, payload }) =>
        payload.order?.clientOrderId === 'c-1' ? [event] : [],
      );
      expect(events).toEqual([
        'order.requested',
        'order.sent',
        'order.idRefused',
        'order.renumbered',
        'order.sent',
        'order.accepted',
      ]);
      expect(writtenOrders(simulator).map(({ orderRef }) => orderRef)).toEqual(['c-1', 'c-1']);
      expect(simulator.exchange.openOrders()).toHaveLength(1);
      await whole.restart();
      expect(await whole.order('c-1', ({ state }) => state === 'working')).toMatchObject({ orderId: 500 });
      await whole.call('DELETE', '/v1/orders/c-1');
      await whole.order('c-1', ({ state }) => state === 'cancelled');
    },
    'a whole bracket is refused: it goes out once more, its exits under the new parent': async (start) => {
      const whole = await start();
      const { simulator } = whole;
      simulator.faults.setNextValidId(500, 1);
      await whole.place({
        clientOrderId: 'b',
        bracket: { takeProfit: { limitPrice: '900.00' }, stopLoss: { stopPrice: '0.50' } },
      });
      for (const id of ['b', 'b.tp', 'b.sl']) await whole.order(id, ({ state }) => state === 'working');
      const book = simulator.exchange.openOrders().map(({ request }) => request);
      expect(book).toMatchObject([
        { orderRef: 'b', orderId: 500, parentId: 0 },
        { orderRef: 'b.tp', orderId: 501, parentId: 500 },
        { orderRef: 'b.sl', orderId: 502, parentId: 500 },
      ]);
    },
    'refused a second time: rejected, and nothing more is sent': async (start) => {
      const whole = await start();
      whole.simulator.exchange.script.rejectNext(103, 'Duplicate order id', 2);
      const { body } = await whole.place({ clientOrderId: 'c-1' });
      expect(body).toMatchObject({ state: 'rejected', reason: { code: '103' } });
      expect(whole.simulator.received({ message: 'placeOrder' })).toHaveLength(2);
      expect(whole.simulator.exchange.openOrders()).toEqual([]);
    },
    'the id of a rejected order is not used again': async (start) => {
      const whole = await start();
      whole.simulator.faults.reject(201, 'Order rejected - reason:margin');
      const rejected = await whole.place({ clientOrderId: 'no' });
      await whole.restart();
      const next = await whole.place({ clientOrderId: 'yes' });
      expect(next.body.state).toBe('working');
      expect(next.body.orderId).toBeGreaterThan(rejected.body.orderId);
    },
  },
});
