/** Switched off once by hand: the legs' executions counted as fills of the combo; the order was filled three times over. */
import { expect } from 'vitest';
import { incident, type Start } from './incident.ts';
import { executions, quantityOf } from './told.ts';

const leg = (conId: number, action: 'BUY' | 'SELL') => ({ conId, ratio: 1, action, exchange: 'SMART' });

async function combo(start: Start, isShown: boolean): Promise<void> {
  const whole = await start();
  const { faults, exchange } = whole.simulator;
  const conIds = await Promise.all(
    ['AAPL', 'MSFT'].map(
      async (name) =>
        (await whole.call('GET', `/v1/contracts?instrument=${name}`)).body.contracts[0].contract.conId,
    ),
  );
  const [first = 0, second = 0] = conIds;
  const order = {
    instrument: {
      symbol: 'AAPL,MSFT',
      secType: 'BAG',
      exchange: 'SMART',
      currency: 'USD',
      comboLegs: [leg(first, 'BUY'), leg(second, 'SELL')],
    },
  };
  const names = ['openOrder', 'orderStatus'];
  const later = isShown ? faults.hold({ messages: names }) : faults.swallow({ messages: names });
  const placed = await whole.place(
    { clientOrderId: 'pair', ...order, type: 'market', quantity: '3' },
    '?wait=closed&timeoutMs=15000',
  );
  expect(placed.status, JSON.stringify(placed.body)).toBe(201);
  const filled = await whole.order('pair', ({ state }) => state === 'filled', 20_000);
  expect(filled).toMatchObject({ filledQuantity: '3' });
  later.clear();
  faults.releaseHeld();
  // However it was cut into pieces: three of the combo, three bought of one leg, three sold of the other.
  const sums = new Map<string, number>();
  for (const { side, instrument, quantity } of await executions(whole)) {
    const what = `${side} ${instrument.startsWith('BAG') ? 'combo' : instrument}`;
    sums.set(what, (sums.get(what) ?? 0) + Number(quantity));
  }
  expect(Object.fromEntries(sums)).toEqual({ 'buy combo': 3, 'buy AAPL': 3, 'sell MSFT': 3 });
  expect(await quantityOf(whole, 'AAPL')).toBe('3');
  expect(await quantityOf(whole, 'MSFT')).toBe('-3');
  expect(exchange.openOrders()).toEqual([]);
}

incident({
  id: 'I23',
  title: 'A combo fills before its openOrder: the fill is lost, the order cancelled as a phantom',
  sources: [
    'https://github.com/nautechsystems/nautilus_trader/issues/3949',
    'https://github.com/nautechsystems/nautilus_trader/pull/3957',
  ],
  others: 'a handler relied on an id that openOrder had not set yet, and swallowed its own exception',
  ours: 'an execution carries all that booking it needs; the combo counts its own line, positions count the legs',
  test: {
    'openOrder comes after the executions': (start) => combo(start, true),
    'openOrder never comes': (start) => combo(start, false),
  },
});
