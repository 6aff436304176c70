import { describe, expect, test } from 'vitest';
import { listedInstruments, noContract } from '../../src/simulator/exchange/catalogue.ts';
import { openVenue, query } from './exchangeDriver.ts';

describe('the catalogue', () => {
  test('no two contracts have the same conId or the same full name', () => {
    const ids = listedInstruments().map(({ contract }) => contract.conId);
    const names = listedInstruments().map(({ contract }) => {
      const { secType, localSymbol, currency, lastTradeDateOrContractMonth } = contract;
      return [secType, localSymbol, currency, lastTradeDateOrContractMonth].join('|');
    });
    expect(new Set(ids).size).toBe(ids.length);
    expect(new Set(names).size).toBe(names.length);
  });

  test('every contract has a market rule per exchange and a price', () => {
    const { exchange } = openVenue();
    for (const instrument of listedInstruments().filter((_, index) => index % 97 === 0 || index < 60)) {
      const { conId } = instrument.contract;
      const [details] = exchange.findContracts(query({ conId, includeExpired: true }));
      expect(details?.marketRuleIds.split(',')).toHaveLength(details?.validExchanges.split(',').length ?? 0);
      const rule = exchange.marketRule(Number(details?.marketRuleIds.split(',')[0]));
      expect(rule?.[0]?.lowEdge).toBe(0);
      const quote = exchange.quote(conId);
      expect(quote === null ? 0 : Math.max(quote.last, quote.ask)).toBeGreaterThan(0);
    }
  });

  test.each([
    ['a stock', { symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'USD' }, 265598],
    [
      'a stock by primary exchange',
      { symbol: 'MSFT', secType: 'STK', exchange: 'SMART', primaryExchange: 'ISLAND' },
      272093,
    ],
    ['a stock in Frankfurt', { symbol: 'SAP', secType: 'STK', exchange: 'IBIS', currency: 'EUR' }, 14204],
    ['forex', { symbol: 'EUR', secType: 'CASH', exchange: 'IDEALPRO', currency: 'USD' }, 12087792],
    ['forex by local symbol', { localSymbol: 'USD.JPY', secType: 'CASH', exchange: 'IDEALPRO' }, 15016059],
    ['a future by local symbol', { localSymbol: 'ESZ6', secType: 'FUT', exchange: 'CME' }, 649180695],
    [
      'a future by month',
      { symbol: 'ES', lastTradeDateOrContractMonth: '202703', secType: 'FUT', exchange: 'CME' },
      672387361,
    ],
    ['an index', { symbol: 'SPX', secType: 'IND', exchange: 'CBOE' }, 416904],
    ['an index in euros', { symbol: 'DAX', secType: 'IND', exchange: 'EUREX', currency: 'EUR' }, 825711],
    ['a coin', { symbol: 'BTC', secType: 'CRYPTO', exchange: 'PAXOS', currency: 'USD' }, 479624278],
    ['a conId alone', { conId: 756733 }, 756733],
  ])('finds %s', (_, partial, conId) => {
    const found = openVenue().exchange.findContracts(query(partial));
    expect(found.map(({ contract }) => contract.conId)).toEqual([conId]);
  });

  test('names options by their local symbol and by their terms', () => {
    const { exchange } = openVenue();
    const [byName] = exchange.findContracts(
      query({ localSymbol: 'AAPL  261218C00200000', secType: 'OPT', exchange: 'SMART' }),
    );
    expect(byName?.contract).toMatchObject({ strike: 200, right: 'C', multiplier: '100', symbol: 'AAPL' });
    expect(byName?.underConId).toBe(265598);
    const spy = { symbol: 'SPY', secType: 'OPT', lastTradeDateOrContractMonth: '20281215', strike: 750 };
    const both = exchange.findContracts(query({ ...spy, exchange: 'SMART' }));
    expect(both.map(({ contract }) => contract.right)).toEqual(['C', 'P']);
    expect(exchange.findContracts(query({ ...spy, right: 'C', exchange: 'SMART' }))).toHaveLength(1);
  });

  test('answers once per listing when no exchange is named', () => {
    const { exchange } = openVenue();
    const found = exchange.findContracts(query({ symbol: 'TSLA', secType: 'STK', currency: 'USD' }));
    expect(found.length).toBeGreaterThan(10);
    expect(new Set(found.map(({ contract }) => contract.exchange)).size).toBe(found.length);
    expect(found[0]?.validExchanges.split(',')).toContain('NASDAQ');
  });

  test('shows expired futures only on demand', () => {
    const { exchange } = openVenue();
    const months = (includeExpired: boolean) =>
      exchange
        .findContracts(query({ symbol: 'ES', secType: 'FUT', exchange: 'CME', includeExpired }))
        .map(({ contract }) => contract.localSymbol);
    expect(months(false)).toEqual(['ESZ6', 'ESH7', 'ESM7', 'ESU7']);
    expect(months(true)).toContain('ESU6');
  });

  test.each([
    [
      'an unknown symbol',
      { symbol: 'NOSUCH', secType: 'STK', exchange: 'SMART' },
      200,
      /No security definition has been found/,
    ],
    [
      'a stock in the wrong currency',
      { symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'CHF' },
      200,
      /No security/,
    ],
    ['an exchange that does not list it', { conId: 265598, exchange: 'IDEALPRO' }, 200, /No security/],
    ['an expiry left open', { symbol: 'ES', secType: 'FUT', exchange: 'CME' }, 200, /ambiguous/],
    ['no exchange', { symbol: 'AAPL', secType: 'STK' }, 321, /Please enter exchange/],
    ['no type', { symbol: 'AAPL', exchange: 'SMART' }, 321, /valid security type/],
    ['a combination without legs', { symbol: 'SPY', secType: 'BAG', exchange: 'SMART' }, 321, /Combo leg/],
  ])('cannot resolve %s', (_, partial, code, text) => {
    const answer = openVenue().exchange.resolve({ ...noContract, ...partial });
    expect(answer).toMatchObject({ code, text: expect.stringMatching(text) });
  });

  test('the same legs make the same combination, priced from its legs', () => {
    const { exchange } = openVenue();
    const leg = (right: 'C' | 'P') =>
      exchange.findContracts(
        query({
          symbol: 'SPY',
          secType: 'OPT',
          lastTradeDateOrContractMonth: '20261218',
          strike: 660,
          right,
          exchange: 'SMART',
        }),
      )[0]?.contract.conId ?? 0;
    const comboLegs = (['C', 'P'] as const).map((right) => ({
      conId: leg(right),
      ratio: 1,
      action: 'BUY' as const,
      exchange: 'SMART',
    }));
    const bag = {
      ...noContract,
      symbol: 'SPY',
      secType: 'BAG',
      exchange: 'SMART',
      currency: 'USD',
      comboLegs,
    };
    const first = exchange.resolve(bag);
    expect(exchange.resolve(bag)).toEqual(first);
    if (!('details' in first)) throw new Error(first.text);
    const straddle = exchange.quote(first.details.contract.conId);
    const sum = comboLegs.reduce((total, { conId }) => total + (exchange.quote(conId)?.ask ?? 0), 0);
    expect(Math.abs((straddle?.ask ?? 0) - sum)).toBeLessThan(0.5);
  });

  test('search finds symbols first and names after', () => {
    const { exchange } = openVenue();
    expect(exchange.searchSymbols('AA')[0]?.contract.conId).toBe(265598);
    expect(exchange.searchSymbols('apple')[0]).toMatchObject({ description: 'APPLE INC' });
    expect(exchange.searchSymbols('AAPL')[0]?.derivativeSecTypes).toContain('OPT');
    expect(exchange.searchSymbols('  ')).toEqual([]);
    expect(exchange.searchSymbols('zzzz')).toEqual([]);
  });

  test('option parameters list what the chain holds', () => {
    const { exchange } = openVenue();
    const chains = exchange.optionParameters('AAPL', '', 'STK', 265598);
    const smart = chains.find((chain) => chain.exchange === 'SMART');
    expect(smart).toMatchObject({ tradingClass: 'AAPL', multiplier: '100', underlyingConId: 265598 });
    expect(smart?.expirations).toContain('20261218');
    expect(smart?.strikes).toContain(200);
    expect(exchange.optionParameters('AAPL', '', 'STK', 1)).toEqual([]);
    expect(exchange.marketRule(4242)).toBeNull();
  });
});
