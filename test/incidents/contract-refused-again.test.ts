/** Switched off once by hand: 200 as an order's refusal in src/tws/codes.ts; the orders went into doubt. */
import { expect } from 'vitest';
import { incident } from './incident.ts';

const text = 'No security definition has been found for the request';

incident({
  id: 'I10',
  title:
    'The second order for a delisted symbol waits for ever: its refusal was taken for a repeated message',
  sources: [
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/pull/245',
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/issues/25',
  ],
  others: 'refusals were listed by hand, and messages for people were filtered before the order saw them',
  ours: 'every refusal ends its own order within a round trip; the same code about data touches no order',
  test: async (start) => {
    const whole = await start();
    const { simulator } = whole;
    const alive = await whole.place({ clientOrderId: 'alive' });
    simulator.faults.reject(200, text, 2);
    const ids = ['dead-1', 'dead-2'];
    for (const clientOrderId of ids) {
      const { body } = await whole.place({ clientOrderId });
      expect(body).toMatchObject({ state: 'rejected', reason: { code: '200', message: text } });
    }
    expect((await whole.call('GET', '/v1/quotes/NOSUCH')).status).toBeGreaterThanOrEqual(400);
    // The number of a request for data may be that of an order; a refusal of what works is a note.
    simulator.faults.injectError(alive.body.orderId, 200, text);
    const noted = await whole.order('alive', ({ notices }) => notices.length === 1);
    expect(noted.state).toBe('working');
    for (const id of ids)
      expect(await whole.order(id, () => true)).toMatchObject({ state: 'rejected', reason: { code: '200' } });
    expect(simulator.received({ message: 'placeOrder' })).toHaveLength(3);
  },
});
