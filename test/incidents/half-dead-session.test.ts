/** Switched off once by hand: the deadline of the heartbeat in machines/tws.machine.ts; the dead session was kept for ever. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';

incident({
  id: 'I33',
  title: 'The session reads connected, but nothing flows and nobody says that it ended',
  sources: [
    'https://github.com/deepentropy/ibx/issues/113',
    'https://github.com/stoqey/ibkr/issues/133',
    'https://github.com/ib-api-reloaded/ib_async/issues/84',
    'https://github.com/erdewit/ib_insync/issues/172',
  ],
  others: 'a flag of the socket stood for life; the connection could not be built anew without a new process',
  ours: 'a heartbeat that is not answered in time ends the session; the next one is a new object, and asks for everything',
  test: async (start) => {
    const whole = await start();
    const { simulator } = whole;
    await whole.place({ clientOrderId: 'c-1' });
    const [order] = simulator.exchange.openOrders();
    simulator.faults.freeze();
    simulator.exchange.script.fill(order?.permId ?? 0, 10, 1);
    // The same process, while the old socket is frozen for good: what it still holds is forgotten by the gateway.
    await eventually(
      () => whole.call('GET', '/health/ready?gate=trading'),
      ({ status }) => status === 503,
      20_000,
    );
    const refused = await whole.place({ clientOrderId: 'c-2' });
    expect(refused).toMatchObject({ status: 503, body: { code: 'trading-unavailable' } });
    expect((await whole.call('GET', '/health/detailed')).body.components.tws.reason).toMatchObject({
      code: 'silent',
    });
    simulator.faults.drop();
    await whole.untilTrading();
    expect(await whole.order('c-1', ({ state }) => state === 'filled')).toMatchObject({
      fills: [{ quantity: '10' }],
    });
    expect(simulator.received({ message: 'placeOrder' })).toHaveLength(1);
    expect((await whole.place({ clientOrderId: 'c-2' })).status).toBe(201);
  },
});
