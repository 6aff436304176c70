/** Switched off once by hand: a quantity of 0 in `termsSeen` (machines/evidence.ts) answered with a throw; the runtime failed. */
import { expect } from 'vitest';
import { openOrder } from '../../src/simulator/wire/orders.ts';
import { incident } from './incident.ts';

const context = { version: 193, zone: 'America/New_York' } as const;

incident({
  id: 'I18',
  title: 'A stop triggers while its entry is only partly filled, and its size is set to 0',
  sources: [
    'https://github.com/nautechsystems/nautilus_trader/issues/2704',
    'https://github.com/nautechsystems/nautilus_trader/pull/2708',
  ],
  others: 'a quantity of 0 raised an error in the middle of the update; the position was wrong',
  ours: 'sizes follow the broker, also to 0; entry and stop end with what they filled, and the position is 0',
  test: async (start) => {
    const whole = await start();
    const { exchange, faults } = whole.simulator;
    await whole.place({
      clientOrderId: 'b',
      quantity: '100',
      bracket: { stopLoss: { stopPrice: '0.50' } },
    });
    await whole.order('b.sl', ({ state }) => state === 'working');
    const broker = (ref: string) => {
      const found = [...exchange.openOrders(), ...exchange.completedOrders()].find(
        ({ request }) => request.orderRef === ref,
      );
      if (!found) throw new Error(`${ref} is not in the book`);
      return found;
    };
    exchange.script.fill(broker('b').permId, 37);
    await whole.order('b', ({ filledQuantity }) => filledQuantity === '37');
    const resized = (quantity: number) => {
      const stop = broker('b.sl');
      faults.inject(openOrder({ ...stop, request: { ...stop.request, totalQuantity: quantity } }, context));
    };
    resized(37);
    await whole.order('b.sl', ({ quantity }) => quantity === '37');
    resized(0);
    const empty = await whole.order('b.sl', ({ quantity }) => quantity === '0');
    expect(empty).toMatchObject({ state: 'working', remainingQuantity: '0' });
    exchange.script.fill(broker('b.sl').permId, 37);
    await whole.order('b.sl', ({ filledQuantity }) => filledQuantity === '37');
    if (broker('b').completedAt === null) exchange.script.end(broker('b').permId, 'Cancelled');
    expect(await whole.order('b', ({ state }) => state === 'cancelled')).toMatchObject({
      filledQuantity: '37',
    });
    expect(
      await whole.order('b.sl', ({ state }) => state === 'filled' || state === 'cancelled'),
    ).toMatchObject({
      filledQuantity: '37',
    });
    expect((await whole.call('GET', '/v1/positions')).body.positions).toEqual([]);
  },
});
