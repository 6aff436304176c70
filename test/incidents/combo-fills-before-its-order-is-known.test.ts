/** Switched off once by hand: the legs' executions counted as fills of the combo; the order was filled three times over. */
import { expect } from 'vitest';
import { add, equals } from '../../machines/decimal.ts';
import { eventually } from '../program.ts';
import type { Whole } from '../whole.ts';
import { incident, type Start } from './incident.ts';
import { compareNow, executions, quantityOf } from './told.ts';

const leg = (conId: number, action: 'BUY' | 'SELL') => ({ conId, ratio: 1, action, exchange: 'SMART' });

/** A combo of two shares, bought at the market. */
async function combo(whole: Whole, quantity: string): Promise<void> {
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
  const placed = await whole.place(
    { clientOrderId: 'pair', ...order, type: 'market', quantity },
    '?wait=closed&timeoutMs=15000',
  );
  expect(placed.status, JSON.stringify(placed.body)).toBe(201);
}

async function early(start: Start, isShown: boolean): Promise<void> {
  const whole = await start();
  const { faults, exchange } = whole.simulator;
  const names = ['openOrder', 'orderStatus'];
  const later = isShown ? faults.hold({ messages: names }) : faults.swallow({ messages: names });
  await combo(whole, '3');
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

/** What the combo costs, once that is what the newest revisions of its legs cost. */
async function charged(whole: Whole): Promise<string> {
  const cost = async () => {
    const rows = (await executions(whole)).filter(({ instrument }) => !instrument.startsWith('BAG'));
    const isKnown = rows.every(({ commission }) => commission !== null);
    const sum = rows.reduce((total, { commission }) => add(total, commission ?? '0'), '0');
    return { sum: isKnown && rows.length > 0 ? sum : null, order: await whole.order('pair', () => true) };
  };
  const { order } = await eventually(
    cost,
    (found) =>
      found.sum !== null && found.order.commission !== null && equals(found.order.commission, found.sum),
    20_000,
  );
  return order.commission;
}

async function costs(start: Start): Promise<void> {
  const whole = await start();
  const { faults, exchange } = whole.simulator;
  const mute = faults.swallow({ messages: ['commissionReport'] });
  await combo(whole, '300');
  await whole.order('pair', ({ state }) => state === 'filled', 20_000);
  await eventually(
    () => quantityOf(whole, 'MSFT'),
    (quantity) => quantity === '-300',
  );
  expect(await whole.order('pair', () => true)).toMatchObject({ commission: null });
  mute.clear();
  await compareNow(whole);
  const cost = await charged(whole);
  const book = () => exchange.completedOrders().find(({ request }) => request.orderRef === 'pair');
  expect(Number(cost)).toBeCloseTo(book()?.commission ?? 0, 6);
  const [bought] = (await executions(whole)).filter(({ instrument }) => instrument === 'AAPL');
  const { execId } = exchange.script.correct(bought.execId, { shares: Number(bought.quantity) / 2 });
  await eventually(
    () => executions(whole),
    (rows) => rows.some((row) => row.execId === execId && row.commission !== null),
  );
  const less = await charged(whole);
  expect(less).not.toBe(cost);
  expect(Number(less)).toBeCloseTo(book()?.commission ?? 0, 6);
  await whole.restart();
  expect(await whole.order('pair', () => true)).toMatchObject({ commission: less, filledQuantity: '300' });
}

incident({
  id: 'I23',
  title: 'A combo fills before its openOrder: the fill is lost, the order cancelled as a phantom',
  sources: [
    'https://github.com/nautechsystems/nautilus_trader/issues/3949',
    'https://github.com/nautechsystems/nautilus_trader/pull/3957',
  ],
  others: 'a handler relied on an id that openOrder had not set yet, and swallowed its own exception',
  ours: 'an execution carries all that booking it needs; the combo counts its own line and costs what its legs cost, positions count the legs',
  test: {
    'openOrder comes after the executions': (start) => early(start, true),
    'openOrder never comes': (start) => early(start, false),
    'what it costs is told of its legs, late, and corrected': costs,
  },
});
