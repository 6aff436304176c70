/** Switched off once by hand: the lanes (src/tws/session.ts sent orders as data); the cancel left behind 99 lines. */
import { expect } from 'vitest';
import { eventually, openStream } from '../program.ts';
import { incident } from './incident.ts';
import { alertsAbout, everyRow, writtenOrders } from './oracle.ts';

const rateText = 'Max rate of messages per second has been exceeded:max=50 rec=51';

incident({
  id: 'I52',
  title: 'Too many messages: error 100 several times, then TWS hangs up',
  sources: [
    'https://github.com/erdewit/ib_insync/pull/35',
    'https://github.com/QuantConnect/Lean/pull/913',
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/issues/50',
    'https://github.com/stoqey/ib/pull/68',
    'https://github.com/stoqey/ib/pull/69',
  ],
  others: 'no limiter, or one for heartbeat, orders and data alike; a client starved by itself reconnected',
  ours: 'four lanes below the limit, cancels and orders first, a reserve for the heartbeat; after a complaint half the pace, and what may be lost is asked about',
  test: {
    '400 lines at once, and a cancel overtakes them': async (start) => {
      const whole = await start();
      const { simulator } = whole;
      await whole.place({ clientOrderId: 'c-1' });
      const stream = await openStream(`${whole.url.replace('http', 'ws')}/v1/stream`);
      const keys = Array.from({ length: 400 }, (_, n) => `ZZ${n}`);
      for (let from = 0; from < keys.length; from += 100)
        stream.send({
          type: 'subscribe',
          id: from + 1,
          channel: 'quotes',
          keys: keys.slice(from, from + 100),
        });
      const asked = await eventually(
        () => simulator.received({ message: 'reqMktData' }).length,
        (count) => count > 2,
      );
      expect((await whole.call('DELETE', '/v1/orders/c-1')).status).toBe(202);
      await whole.order('c-1', ({ state }) => state === 'cancelled');
      await eventually(
        () => simulator.received({ message: 'reqMktData' }).length,
        (count) => count >= 300,
        30_000,
      );
      const order = simulator.received().map(({ name }) => name);
      const before = order.slice(0, order.indexOf('cancelOrder')).filter((name) => name === 'reqMktData');
      // Ninety others waited for their turn by then.
      expect(before.length - asked).toBeLessThan(60);
      const alerts = (await everyRow(whole, '/v1/journal', 'facts')).filter(
        ({ channel }) => channel === 'alerts',
      );
      expect(alerts.map(({ payload }) => payload.alert.code)).not.toContain(100);
      expect(simulator.clients()).toMatchObject([{ session: 1 }]);
      stream.close();
    },
    'TWS complains and hangs up: what may have been dropped is decided by the lists': async (start) => {
      const whole = await start();
      const { simulator } = whole;
      await whole.place({ clientOrderId: 'safe' });
      simulator.faults.ignore({ messages: ['placeOrder'] }, 1);
      await whole.place({ clientOrderId: 'dropped' }, '');
      simulator.faults.punish({ times: 2 });
      await whole.order('dropped', ({ state }) => state === 'inDoubt', 20_000);
      const facts = await everyRow(whole, '/v1/journal', 'facts');
      expect(
        facts.flatMap(({ event, payload }) => (event === 'tws.lost' ? payload.health.cause : [])),
      ).toEqual(['limited']);
      expect(
        facts.filter(({ event, payload }) => event === 'tws.noted' && payload.alert.code === 100),
      ).toHaveLength(2);
      expect(await whole.order('dropped', ({ state }) => state === 'rejected', 25_000)).toMatchObject({
        reason: { code: 'not-at-broker' },
      });
      expect(await whole.order('safe', ({ confirmed }) => confirmed)).toMatchObject({ state: 'working' });
      expect(writtenOrders(simulator)).toHaveLength(2);
    },
    'the complaint names the order': async (start) => {
      const whole = await start();
      const { simulator } = whole;
      simulator.faults.ignore({ messages: ['placeOrder'] }, 1);
      const { body } = await whole.place({ clientOrderId: 'dropped' }, '');
      simulator.faults.injectError(body.orderId, 100, rateText);
      expect(await whole.order('dropped', ({ state }) => state === 'rejected', 25_000)).toMatchObject({
        reason: { code: 'not-at-broker' },
        notices: [{ code: 100 }],
      });
      expect((await alertsAbout(whole, 'dropped')).map(({ event }) => event)).toEqual([
        'order.inDoubt',
        'order.doubtResolved',
      ]);
      expect(simulator.clients()).toMatchObject([{ session: 1 }]);
    },
  },
});
