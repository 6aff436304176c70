/** Switched off once by hand: `unheard` in machines/evidence.ts (a refusal as one of the cancel); the order worked for ever. */
import { expect } from 'vitest';
import { incident } from './incident.ts';

incident({
  id: 'I07b',
  title:
    'The refusal of an order arrives while its cancel is under way, and is read as a refusal of the cancel',
  sources: [],
  others: 'an error on an order id belongs to the newest request, whatever that was',
  ours: 'nothing has acknowledged the order, so the refusal may be its own: in doubt, until the lists settle it',
  test: async (start) => {
    const whole = await start();
    const { faults } = whole.simulator;
    faults.ignore({ messages: ['placeOrder', 'cancelOrder'] });
    await whole.place({ clientOrderId: 'c-1' }, '');
    await whole.call('DELETE', '/v1/orders/c-1');
    const { orderId } = await whole.order('c-1', ({ state }) => state === 'cancelling');
    faults.injectError(orderId, 201, 'Order rejected - reason:margin');
    await whole.order('c-1', ({ state }) => state === 'inDoubt');
    const ended = await whole.order('c-1', ({ state }) => state === 'rejected', 20_000);
    expect(ended).toMatchObject({ permIds: [], notices: [{ code: 201 }] });
  },
});
