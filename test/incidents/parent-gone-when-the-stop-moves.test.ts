/** Switched off once by hand: `order.orphaned` in machines/evidence.ts; the stop kept its former price. */
import { expect } from 'vitest';
import { incident } from './incident.ts';
import { writtenOrders } from './oracle.ts';

incident({
  id: 'I17',
  title:
    'Moving a stop fails because its parent has filled, and the stop is reported cancelled while it works',
  sources: ['https://github.com/erdewit/ib_insync/issues/647'],
  others: 'the change carried the parent of the day before; its refusal was read as the end of the stop',
  ours: 'the change goes out again without the parent, once; the stop works all the time',
  test: async (start) => {
    const whole = await start();
    const { exchange } = whole.simulator;
    const ask: number = (await whole.call('GET', '/v1/quotes/AAPL')).body.ask;
    const [low, lower] = [(ask * 0.8).toFixed(2), (ask * 0.7).toFixed(2)];
    await whole.place({ clientOrderId: 'b', type: 'market', bracket: { stopLoss: { stopPrice: low } } });
    await whole.order('b', ({ state }) => state === 'filled');
    await whole.order('b.sl', ({ state }) => state === 'working');
    expect((await whole.call('PATCH', '/v1/orders/b.sl', { stopPrice: lower })).status).toBe(202);
    const moved = await whole.order('b.sl', ({ state }) => state === 'working');
    expect(moved).toMatchObject({ stopPrice: lower, reason: null, notices: [{ code: 135 }] });
    expect(exchange.openOrders()).toMatchObject([{ request: { orderRef: 'b.sl', auxPrice: Number(lower) } }]);
    const changes = writtenOrders(whole.simulator).filter(({ orderRef }) => orderRef === 'b.sl');
    expect(changes.map(({ parentId }) => parentId !== 0)).toEqual([true, true, false]);
    await whole.call('PATCH', '/v1/orders/b.sl', { stopPrice: low });
    await whole.order('b.sl', ({ stopPrice }) => stopPrice === low);
    expect(writtenOrders(whole.simulator).at(-1)?.parentId).toBe(0);
  },
});
