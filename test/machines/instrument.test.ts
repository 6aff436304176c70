import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Contract,
  formatInstrument,
  parseInstrument,
  securityTypes,
} from '../../machines/instrument.ts';

function parsed(text: string): Contract {
  const result = parseInstrument(text);
  if ('problem' in result) throw new Error(result.problem);
  return result.contract;
}
const canonical = (text: string) => formatInstrument(parsed(text));

describe('the short form', () => {
  it.each<[string, Contract]>([
    ['AAPL', { secType: 'STK', symbol: 'AAPL', exchange: 'SMART', currency: 'USD' }],
    ['BRK B', { secType: 'STK', symbol: 'BRK B', exchange: 'SMART', currency: 'USD' }],
    ['SAP@IBIS/EUR', { secType: 'STK', symbol: 'SAP', exchange: 'IBIS', currency: 'EUR' }],
    [
      'CASH:EUR.USD',
      { secType: 'CASH', symbol: 'EUR', localSymbol: 'EUR.USD', exchange: 'IDEALPRO', currency: 'USD' },
    ],
    ['FUT:ESZ6@CME', { secType: 'FUT', localSymbol: 'ESZ6', exchange: 'CME', currency: 'USD' }],
    [
      'FUT:ES 202612@CME',
      {
        secType: 'FUT',
        symbol: 'ES',
        lastTradeDateOrContractMonth: '202612',
        exchange: 'CME',
        currency: 'USD',
      },
    ],
    ['IND:SPX@CBOE', { secType: 'IND', symbol: 'SPX', exchange: 'CBOE', currency: 'USD' }],
    [
      'OPT:AAPL  261218C00200000',
      { secType: 'OPT', localSymbol: 'AAPL  261218C00200000', exchange: 'SMART', currency: 'USD' },
    ],
    ['CONID:265598', { conId: 265598, exchange: 'SMART' }],
    ['CONID:265598@NYSE', { conId: 265598, exchange: 'NYSE' }],
  ])('%s is its contract and back', (text, contract) => {
    expect(parsed(text)).toEqual(contract);
    expect(formatInstrument(contract)).toBe(text);
  });

  it.each([
    ['STK:AAPL', 'AAPL'],
    [' AAPL@SMART/USD ', 'AAPL'],
    ['SAP@ibis/EUR', 'SAP@IBIS/EUR'],
    ['CASH:EUR.USD@IDEALPRO', 'CASH:EUR.USD'],
    ['CASH:EUR.USD/USD', 'CASH:EUR.USD'],
    ['OPT:AAPL 20261218 C 200', 'OPT:AAPL  261218C00200000'],
    ['CONID:00265598@SMART', 'CONID:265598'],
  ])('%s is called %s', (text, name) => {
    expect(canonical(text)).toBe(name);
  });

  it.each([
    '',
    '   ',
    ':',
    'FISH:AAPL',
    'AAPL@',
    'AAPL/usd',
    'A/B/C',
    'CASH:EURUSD',
    'CASH:EUR.USD/JPY',
    'CONID:0',
    'CONID:x',
    'CONID:1/USD',
    'x'.repeat(65),
  ])('%j is refused with a reason', (text) => {
    const result = parseInstrument(text);
    expect('problem' in result && result.problem.length > 10).toBe(true);
  });

  it('is stable: the canonical form of the canonical form is itself', () => {
    const local = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9 .]{0,20}$/);
    const terms = fc
      .tuple(
        fc.stringMatching(/^[A-Z]{1,6}$/),
        fc.constantFrom('202612', '20261218'),
        fc.constantFrom('', ' C 5000', ' P 0.5', ' C 12.75'),
      )
      .map(([symbol, expiry, rest]) => `${symbol} ${expiry}${rest}`);
    const pair = fc.constantFrom('EUR.USD', 'USD.JPY', '265598');
    const text = fc
      .tuple(
        fc.constantFrom('', 'CONID:', ...securityTypes.map((type) => `${type}:`)),
        fc.oneof(local, terms, pair),
        fc.constantFrom('', '@SMART', '@IDEALPRO', '@CME', '@paxos', '@BVME.ETF'),
        fc.constantFrom('', '/USD', '/EUR'),
      )
      .map((parts) => parts.join(''));
    let read = 0;
    fc.assert(
      fc.property(text, (name) => {
        const first = parseInstrument(name);
        if ('problem' in first) return;
        read += 1;
        const once = formatInstrument(first.contract);
        expect(canonical(once)).toBe(once);
      }),
      { numRuns: 2000 },
    );
    expect(read).toBeGreaterThan(500);
  });
});

describe('names of contracts that the broker describes', () => {
  it('tell every two options and futures apart', () => {
    const option = {
      secType: 'OPT',
      symbol: 'SPX',
      lastTradeDateOrContractMonth: '20261218',
      strike: 5000,
      right: 'C',
      currency: 'USD',
    } as const;
    const names = [
      option,
      { ...option, right: 'P' as const },
      { ...option, strike: 5000.5 },
      { ...option, tradingClass: 'SPXW' },
      { ...option, lastTradeDateOrContractMonth: '20261219' },
      { secType: 'FUT', symbol: 'ES', lastTradeDateOrContractMonth: '202612', currency: 'USD' },
      { secType: 'FUT', symbol: 'ES', lastTradeDateOrContractMonth: '202703', currency: 'USD' },
    ].map(formatInstrument);
    expect(new Set(names).size).toBe(names.length);
  });

  it('fall back to the number, or say that there is none', () => {
    expect(formatInstrument({ conId: 7, secType: 'BOND' })).toBe('CONID:7');
    expect(formatInstrument({ conId: 7, secType: 'STK', symbol: 'A/B' })).toBe('CONID:7');
    expect(formatInstrument({ secType: 'OPT', symbol: 'AAPL' })).toBe('UNKNOWN');
    expect(formatInstrument({ secType: 'STK', symbol: 'AAPL', exchange: '', currency: 'USD' })).toBe('AAPL');
  });
});
