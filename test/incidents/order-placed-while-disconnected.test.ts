/** Switched off once by hand: the desk's refusal while it is shut (machines/desk.ts); the order was recorded as not sent. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { outsideResets } from '../whole.ts';
import { incident } from './incident.ts';

incident({
  id: 'I38',
  title: 'An order placed while disconnected is dropped in silence, and a position is shown all the same',
  sources: ['https://github.com/deepentropy/ibx/issues/116', 'https://github.com/deepentropy/ibx/pull/127'],
  others:
    'nobody looked whether it was sent; the position was booked at the call; the proposed cure sent it later, at any age',
  ours: 'refused at once with the reason; nothing is recorded, queued or sent later; positions are made of executions alone',
  test: async (start) => {
    const whole = await start({ now: outsideResets });
    const { simulator } = whole;
    await simulator.faults.refuse();
    simulator.faults.drop();
    await eventually(
      () => whole.call('GET', '/health/ready?gate=trading'),
      ({ status }) => status === 503,
    );
    const orders = Array.from({ length: 5 }, (_, n) => ({ clientOrderId: `lost-${n}`, type: 'market' }));
    for (const order of orders) {
      expect(await whole.place(order, '')).toMatchObject({
        status: 503,
        body: { code: 'trading-unavailable', reason: 'connecting' },
      });
      expect((await whole.call('GET', `/v1/orders/${order.clientOrderId}`)).status).toBe(404);
    }
    expect((await whole.call('GET', '/v1/positions')).body.positions).toEqual([]);
    await simulator.faults.accept();
    await whole.untilTrading();
    await eventually(
      () => simulator.received({ message: 'reqPositions' }).length,
      (asked) => asked >= 3,
    );
    expect(simulator.received({ message: 'placeOrder' })).toEqual([]);
    expect(simulator.exchange.positions()).toEqual([]);
    expect((await whole.place({ clientOrderId: 'lost-0' })).status).toBe(201);
  },
});
