/** Switched off once by hand: `order.filled` from executions in machines/evidence.ts; the orders stayed working. */
import { expect } from 'vitest';
import { incident } from './incident.ts';
import { quantityOf } from './told.ts';

const placeAll = async (
  whole: Parameters<typeof quantityOf>[0],
  silences: (index: number) => readonly string[],
): Promise<void> => {
  const ids = Array.from({ length: 9 }, (_, index) => `mkt-${index}`);
  for (const [index, clientOrderId] of ids.entries()) {
    const messages = silences(index);
    const silence = messages.length > 0 ? whole.simulator.faults.swallow({ messages }) : null;
    await whole.place({ clientOrderId, type: 'market' }, '?wait=closed&timeoutMs=10000');
    const order = await whole.order(clientOrderId, ({ state }) => state === 'filled', 20_000);
    expect(order).toMatchObject({ filledQuantity: '10', remainingQuantity: '0' });
    silence?.clear();
  }
  expect(await quantityOf(whole, 'AAPL')).toBe('90');
};

incident({
  id: 'I22',
  title: 'A market order fills without any orderStatus',
  sources: [
    'https://github.com/QuantConnect/Lean/pull/851',
    'https://github.com/pst-group/pysystemtrade/issues/188',
    'https://github.com/QuantConnect/Lean/pull/1199',
  ],
  others: 'fills were taken from orderStatus, and orders waited for one that is not owed',
  ours: 'an order is filled when its executions add up to it; a status only says that one may be missing',
  test: {
    'every third has no status': (start) =>
      start().then((whole) => placeAll(whole, (index) => (index % 3 === 0 ? ['orderStatus'] : []))),
    'neither status nor openOrder, for any': (start) =>
      start().then((whole) => placeAll(whole, () => ['orderStatus', 'openOrder'])),
  },
});
