/** Switched off once by hand: farms as notices (a broken one ended the session); the client met itself with 326. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';
import { everyRow } from './oracle.ts';

incident({
  id: 'I31',
  title: 'A flapping data farm tears down the order channel, then a loop of 326 under random client ids',
  sources: ['https://github.com/nautechsystems/nautilus_trader/pull/4412'],
  others:
    'notices of data farms closed the socket; the next client id was a random one, and the orders were no longer ours',
  ours: 'farms concern feeds: those that one serves are stale until they tick; the session, its client id and its orders go on',
  test: async (start) => {
    const whole = await start();
    const { faults, exchange } = whole.simulator;
    for (const instrument of ['AAPL', 'CASH:EUR.USD']) await whole.call('GET', `/v1/quotes/${instrument}`);
    await whole.place({ clientOrderId: 'c-1' });
    await whole.place({ clientOrderId: 'c-2' });
    const [first] = exchange.openOrders();
    for (let flap = 0; flap < 40; flap += 1) {
      for (const farm of ['usfarm', 'cashfarm', 'ushmds']) faults.farmBroken(farm);
      if (flap === 10)
        faults.injectError(2_000_000_000, 10_182, 'Failed to request live updates (disconnected).');
      if (flap === 20) exchange.script.fill(first?.permId ?? 0, 4, 1);
      if (flap === 25) {
        const changed = await whole.call('PATCH', '/v1/orders/c-2', { limitPrice: '1.50' });
        expect(changed.status).toBe(202);
      }
      if (flap === 30) expect((await whole.place({ clientOrderId: 'c-3' })).status).toBe(201);
      for (const farm of ['usfarm', 'cashfarm', 'ushmds']) faults.farmOk(farm);
    }
    expect(await whole.order('c-1', ({ filledQuantity }) => filledQuantity === '4')).toMatchObject({
      state: 'working',
    });
    expect(await whole.order('c-2', ({ limitPrice }) => limitPrice === '1.50')).toMatchObject({
      state: 'working',
    });
    await whole.call('DELETE', '/v1/orders/c-3');
    await whole.order('c-3', ({ state }) => state === 'cancelled');
    await eventually(
      async () => (await whole.call('GET', '/v1/quotes/AAPL')).body.status,
      (status) => status === 'live',
      20_000,
    );
    expect(whole.simulator.clients()).toMatchObject([{ session: 1, clientId: 1 }]);
    const health = (await everyRow(whole, '/v1/journal', 'facts')).filter(
      ({ channel }) => channel === 'health',
    );
    expect(health.map(({ event }) => event)).not.toContain('tws.lost');
    expect((await whole.call('GET', '/health/ready?gate=trading')).status).toBe(200);
  },
});
