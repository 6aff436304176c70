/** Switched off once by hand: the families of execIds in machines/order.ts (each id its own family); 120 were held. */
import { expect } from 'vitest';
import { incident, type Start } from './incident.ts';
import { executions, quantityOf } from './told.ts';

async function filled(start: Start) {
  const whole = await start();
  const { exchange } = whole.simulator;
  await whole.place({ clientOrderId: 'c-1', quantity: '60', type: 'limit', limitPrice: '75.10' });
  const permId = exchange.openOrders()[0]?.permId ?? 0;
  const { execId } = exchange.script.fill(permId, 60, 75.1);
  await whole.order('c-1', ({ commission }) => commission !== null);
  return { whole, exchange, execId };
}

incident({
  id: 'I27',
  title: 'An execution is corrected (.01, then .02) and counted twice',
  sources: ['https://github.com/erdewit/ib_insync/issues/364'],
  others: 'fills were summed without a look at the family of their ids',
  ours: 'a later revision replaces the former, whatever comes first and however often; size 0 takes it back',
  test: {
    'another price, and both revisions again after a restart': async (start) => {
      const { whole, exchange, execId } = await filled(start);
      const corrected = exchange.script.correct(execId, { price: 75 });
      await whole.order('c-1', ({ averageFillPrice }) => Number(averageFillPrice) === 75);
      await whole.restart();
      expect(await whole.order('c-1', () => true)).toMatchObject({
        filledQuantity: '60',
        fills: [{ execId: corrected.execId, quantity: '60' }],
      });
      expect(await executions(whole)).toMatchObject([{ execId: corrected.execId, price: '75' }]);
      expect(await quantityOf(whole, 'AAPL')).toBe('60');
    },
    'fewer shares, while nobody listens': async (start) => {
      const { whole, exchange, execId } = await filled(start);
      await whole.simulator.faults.refuse();
      whole.simulator.faults.drop();
      exchange.script.correct(execId, { shares: 40 });
      await whole.simulator.faults.accept();
      await whole.untilTrading();
      expect(await whole.order('c-1', ({ filledQuantity }) => filledQuantity === '40')).toBeDefined();
      expect(await quantityOf(whole, 'AAPL')).toBe('40');
    },
    'busted altogether': async (start) => {
      const { whole, exchange, execId } = await filled(start);
      exchange.script.correct(execId, { shares: 0 });
      expect(await whole.order('c-1', ({ filledQuantity }) => filledQuantity === '0')).toMatchObject({
        fills: [],
      });
      expect(await quantityOf(whole, 'AAPL')).toBe('0');
    },
  },
});
