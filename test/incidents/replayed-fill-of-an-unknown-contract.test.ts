/** Switched off once by hand: booking made to wait for contract details in machines/ledger.machine.ts; no row appeared. */
import { expect } from 'vitest';
import { incident } from './incident.ts';
import { executions, positions } from './told.ts';

incident({
  id: 'I28',
  title: 'A replayed execution is dropped because its contract is not loaded yet',
  sources: [
    'https://github.com/nautechsystems/nautilus_trader/issues/4932',
    'https://github.com/nautechsystems/nautilus_trader/pull/4936',
  ],
  others: 'a fill needed metadata from a cache that was empty after a start',
  ours: 'nothing but the execution itself is needed to book it; what TWS never describes is booked all the same',
  test: async (start) => {
    const whole = await start();
    const { faults, exchange } = whole.simulator;
    await whole.place({ clientOrderId: 'known' });
    // From here on nobody is told what any contract is.
    const mute = faults.ignore({ messages: ['reqContractDetails', 'reqMatchingSymbols'] });
    const restarted = faults.restart({ downMs: 500 });
    exchange.script.fill(exchange.openOrders()[0]?.permId ?? 0, 10, 1);
    const contracts = ['ESZ6', 'MSFT', 'SAP', 'AAPL  261218C00200000'].flatMap((name) => {
      const [found] = exchange.findContracts({
        ...blank,
        ...(name === 'MSFT' || name === 'SAP'
          ? { symbol: name, secType: 'STK' }
          : { localSymbol: name, secType: name.startsWith('ES') ? 'FUT' : 'OPT' }),
      });
      return found ? [found.contract] : [];
    });
    for (const contract of contracts)
      exchange.script.external({
        contract,
        action: 'BUY',
        totalQuantity: 2,
        orderType: 'MKT',
        account: exchange.accounts[0] ?? '',
      });
    await restarted;
    await whole.untilTrading();
    await whole.order('known', ({ state }) => state === 'filled');
    expect(contracts.length).toBeGreaterThanOrEqual(3);
    await whole.restart();
    // The market may fill an order in several prints.
    const rows = await executions(whole);
    expect(new Set(rows.map(({ instrument }) => instrument)).size).toBe(contracts.length + 1);
    expect(rows.reduce((sum, { quantity }) => sum + Number(quantity), 0)).toBe(10 + 2 * contracts.length);
    expect((await positions(whole)).map(({ quantity }) => quantity).toSorted()).toEqual(
      ['10', ...contracts.map(() => '2')].toSorted(),
    );
    expect(mute.acted).toBeGreaterThanOrEqual(0);
    mute.clear();
  },
});

const blank = {
  conId: 0,
  symbol: '',
  secType: '',
  lastTradeDateOrContractMonth: '',
  strike: 0,
  right: '' as const,
  multiplier: '',
  exchange: '',
  primaryExchange: '',
  currency: '',
  localSymbol: '',
  tradingClass: '',
  comboLegs: [],
  includeExpired: false,
  secIdType: '',
  secId: '',
};
