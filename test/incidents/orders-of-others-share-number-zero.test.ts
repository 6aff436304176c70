/**
 * Switched off once by hand: the number check in `identify` (machines/identity.ts); the typed reference took our order. And
 * the mark of an execution, in `orderOfExecution` (machines/identity.ts) and `executed` (machines/evidence.ts); no order had
 * the origin `liquidation`.
 */
import { expect } from 'vitest';
import { incident } from './incident.ts';
import { everyRow } from './oracle.ts';

const apple = {
  symbol: 'AAPL',
  secType: 'STK',
  exchange: 'SMART',
  currency: 'USD',
  conId: 0,
  lastTradeDateOrContractMonth: '',
  strike: 0,
  right: '',
  multiplier: '',
  primaryExchange: '',
  localSymbol: '',
  tradingClass: '',
  comboLegs: [],
} as const;

incident({
  id: 'I04',
  title:
    'Orders of TWS and of other clients all carry order id 0 and no reference, and their fills get mixed up',
  sources: [
    'https://github.com/nautechsystems/nautilus_trader/issues/3465',
    'https://github.com/nautechsystems/nautilus_trader/pull/3472',
    'https://github.com/nautechsystems/nautilus_trader/pull/3494',
  ],
  others: 'orders were kept by order id, and an empty reference raised errors in five places',
  ours: 'each is a record of its own by permId, also when somebody typed one of our references into TWS',
  test: async (start) => {
    const whole = await start();
    const { exchange, faults } = whole.simulator;
    await whole.place({ clientOrderId: 'mine' });
    const enter = (more: object) =>
      exchange.script.external({
        contract: apple,
        action: 'BUY',
        totalQuantity: 5,
        orderType: 'LMT',
        lmtPrice: 1,
        ...more,
      });
    const others = [enter({}), enter({ lmtPrice: 2 }), enter({ clientId: 7, totalQuantity: 6 })];
    const typed = enter({ orderRef: 'mine', totalQuantity: 8 });
    faults.drop(1);
    const names = [...others, typed].map(({ permId }) => `ext-${permId}`);
    for (const name of names) await whole.order(name, ({ state }) => state === 'working', 20_000);
    await whole.untilTrading();
    exchange.script.fill(others[1]?.permId ?? 0, 2);
    exchange.script.fill(typed.permId, 8);
    faults.drop(1);
    await whole.order(names[1] ?? '', ({ filledQuantity }) => filledQuantity === '2', 20_000);
    await whole.order(names[3] ?? '', ({ state }) => state === 'filled', 20_000);
    const orders = await everyRow(whole, '/v1/orders?state=all', 'orders');
    const filled = (id: string) => orders.find(({ clientOrderId }) => clientOrderId === id)?.filledQuantity;
    expect(orders).toHaveLength(5);
    expect(names.map(filled)).toEqual(['0', '2', '0', '8']);
    expect(orders.find(({ clientOrderId }) => clientOrderId === 'mine')).toMatchObject({
      origin: 'api',
      state: 'working',
      filledQuantity: '0',
    });
  },
});

incident({
  id: 'I04b',
  title: 'A liquidation by the broker is taken for an order like any other',
  sources: ['https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/issues/156'],
  others: 'an execution with order id -1 had no order, or became an unknown one',
  ours: 'a record of its own with the origin `liquidation`, by the mark that the execution carries',
  test: async (start) => {
    const whole = await start();
    const { exchange, faults } = whole.simulator;
    await whole.place({ clientOrderId: 'long', type: 'market' }, '?wait=closed&timeoutMs=10000');
    const [position] = exchange.positions();
    exchange.script.liquidate(position?.account ?? '', position?.contract.conId ?? 0);
    faults.drop(1);
    const found = async () =>
      (await everyRow(whole, '/v1/orders?state=all', 'orders')).find(
        ({ origin }) => origin === 'liquidation',
      );
    await expect
      .poll(found, { timeout: 20_000 })
      .toMatchObject({ state: 'filled', side: 'sell', filledQuantity: '10' });
    expect(await whole.order('long', () => true)).toMatchObject({ state: 'filled', filledQuantity: '10' });
  },
});
