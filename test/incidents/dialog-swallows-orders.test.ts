/** Switched off once by hand: the deadline of an answer (`ackTimeoutMs` in machines/order-words.ts); no order came into doubt. */
import { expect } from 'vitest';
import { incident } from './incident.ts';
import { alertsAbout, writtenOrders } from './oracle.ts';

incident({
  id: 'I54',
  title: 'A modal dialog in the gateway swallows orders: no status, no execution, no error',
  sources: [
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/pull/252',
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/pull/254',
    'https://github.com/QuantConnect/IBAutomater/issues/109',
    'https://github.com/QuantConnect/IBAutomater/issues/105',
    'https://github.com/QuantConnect/IBAutomater/pull/104',
    'https://github.com/IbcAlpha/IBC/issues/8',
    'https://github.com/IbcAlpha/IBC/issues/159',
  ],
  others: 'a burst went into a gateway that nobody answered for; five minutes later the algorithm died',
  ours: 'unanswered is in doubt within seconds, told by an alert, and ended only by complete lists; a late click is recognised by its reference; nothing is sent twice',
  test: {
    'a burst: one gets through, the others vanish': async (start) => {
      const whole = await start();
      const { simulator } = whole;
      simulator.faults.dialog();
      const ids = ['a', 'b', 'c', 'd'];
      await Promise.all(ids.map((clientOrderId) => whole.place({ clientOrderId }, '')));
      const [alive] = simulator.exchange.openOrders().map(({ request }) => request.orderRef);
      const swallowed = ids.filter((id) => id !== alive);
      for (const id of swallowed) await whole.order(id, ({ state }) => state === 'inDoubt', 20_000);
      simulator.faults.dismissDialog();
      for (const id of swallowed) {
        expect(await whole.order(id, ({ state }) => state === 'rejected', 20_000)).toMatchObject({
          reason: { code: 'not-at-broker' },
        });
        expect((await alertsAbout(whole, id)).map(({ event }) => event)).toEqual([
          'order.inDoubt',
          'order.doubtResolved',
        ]);
      }
      expect(await whole.order(alive ?? '', ({ state }) => state === 'working')).toBeTruthy();
      expect(writtenOrders(simulator)).toHaveLength(4);
      expect((await whole.place({ clientOrderId: 'e' })).body.state).toBe('working');
    },
    'somebody clicks much later, and the order is transmitted after all': async (start) => {
      const whole = await start();
      const { simulator } = whole;
      simulator.faults.dialog({ passes: 0 });
      await whole.place({ clientOrderId: 'late' }, '');
      await whole.order('late', ({ state }) => state === 'rejected', 25_000);
      simulator.faults.dismissDialog();
      const [request] = writtenOrders(simulator);
      if (!request) throw new Error('nothing was written');
      simulator.exchange.place(request);
      const found = await whole.order('late', ({ permIds }) => permIds.length === 1, 20_000);
      expect(found).toMatchObject({ orderId: request.orderId });
      const [order] = simulator.exchange.openOrders();
      simulator.exchange.script.fill(order?.permId ?? 0, 4, 1);
      expect(await whole.order('late', ({ filledQuantity }) => filledQuantity === '4')).toMatchObject({
        state: 'working',
      });
      await whole.call('DELETE', '/v1/orders/late');
      await whole.order('late', ({ state }) => state === 'cancelled');
      expect(writtenOrders(simulator)).toHaveLength(1);
    },
  },
});
