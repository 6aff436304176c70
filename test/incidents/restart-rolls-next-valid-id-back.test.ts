/** Switched off once by hand: the `Math.max` of `raiseOrderId` in machines/desk.ts; new orders took the lost ones' ids. */
import { expect } from 'vitest';
import { incident } from './incident.ts';
import { everyRow, writtenOrders } from './oracle.ts';

incident({
  id: 'I01',
  title: 'A restarted gateway rolls nextValidId back, and the ids of lost orders are given to new ones',
  sources: [
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/issues/242',
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/pull/257',
  ],
  others: 'the allocator fell to the number of the server; events of the new orders moved the lost ones',
  ours: 'an id that was ever written is never used again; the lost orders are in doubt, and end when two complete lists lack them',
  test: async (start) => {
    const whole = await start({ simulator: { firstOrderId: 38_099 } });
    const { simulator } = whole;
    simulator.faults.ignore({ messages: ['placeOrder'] }, 4);
    const lost = ['lost-1', 'lost-2', 'lost-3', 'lost-4'];
    for (const clientOrderId of lost) await whole.place({ clientOrderId }, '');
    expect(writtenOrders(simulator).map(({ orderId }) => orderId)).toEqual([38_099, 38_100, 38_101, 38_102]);
    await simulator.faults.restart({ nextValidId: 38_099, downMs: 300 });
    for (const id of lost) await whole.order(id, ({ state }) => state === 'inDoubt', 20_000);
    await whole.untilTrading();
    const fresh = ['new-1', 'new-2', 'new-3'];
    for (const clientOrderId of fresh) {
      const { body } = await whole.place({ clientOrderId });
      expect(body).toMatchObject({ state: 'working' });
      expect(body.orderId).toBeGreaterThanOrEqual(38_103);
    }
    for (const id of lost) {
      const ended = await whole.order(id, ({ state }) => state === 'rejected', 20_000);
      expect(ended).toMatchObject({ reason: { code: 'not-at-broker' }, permIds: [], fills: [] });
    }
    for (const clientOrderId of fresh) await whole.call('DELETE', `/v1/orders/${clientOrderId}`);
    for (const id of fresh) await whole.order(id, ({ state }) => state === 'cancelled');
    const facts = await everyRow(whole, '/v1/journal', 'facts');
    const told = facts.filter(({ payload }) => lost.includes(payload.order?.clientOrderId));
    expect(new Set(told.map(({ event }) => event))).toEqual(
      new Set(['order.requested', 'order.sent', 'order.doubted', 'order.rejected']),
    );
    expect(writtenOrders(simulator)).toHaveLength(7);
  },
});
