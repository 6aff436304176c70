import { describe, expect, test } from 'vitest';
import type { OrderTerms } from './exchangeDriver.ts';
import { aapl, aaplId, mondayMorning, openVenue, query } from './exchangeDriver.ts';

const msft = { ...aapl, symbol: 'MSFT' };
const eurUsd = { ...aapl, symbol: 'EUR', secType: 'CASH', exchange: 'IDEALPRO' };

type Venue = ReturnType<typeof openVenue>;

/** An option of AAPL near its price, and its conId. */
function anOption(venue: Venue) {
  const strikes = venue.exchange
    .findContracts(query({ symbol: 'AAPL', secType: 'OPT', right: 'C', exchange: 'SMART' }))
    .map(({ contract }) => contract)
    .filter(({ lastTradeDateOrContractMonth: day }) => day > '20261215' && day < '20270201');
  const { last = 0 } = venue.exchange.quote(aaplId) ?? {};
  const [contract] = strikes.sort((a, b) => Math.abs(a.strike - last) - Math.abs(b.strike - last));
  if (contract === undefined) throw new Error('no option');
  return contract;
}

const idOf = (venue: Venue, contract: typeof aapl): number => {
  const answer = venue.exchange.resolve(contract);
  return 'details' in answer ? answer.details.contract.conId : 0;
};

describe('orders whose limit follows something', () => {
  test('VOL is worth its volatility: far above the market it fills, far below it waits', () => {
    const venue = openVenue();
    const contract = anOption(venue);
    const order = { contract, orderType: 'VOL', totalQuantity: 1 };
    venue.place({ orderId: 1, ...order, fields: { volatility: '5', volatilityType: '2' } }, 2_000);
    venue.place({ orderId: 2, ...order, fields: { volatility: '95', volatilityType: '2' } }, 2_000);
    expect(venue.errors(1)).toEqual([]);
    expect(venue.order(1)).toMatchObject({ status: 'Submitted', filled: 0 });
    expect(venue.order(2).status).toBe('Filled');
  });

  test('PEG STK moves by its delta with the stock', () => {
    const venue = openVenue();
    venue.pin(99.99, 100.01, { last: 100 });
    const contract = anOption(venue);
    venue.exchange.script.pin(contract.conId, { bid: 4.9, ask: 5.1, bidSize: 50, askSize: 50 });
    const fields = { delta: '50', startingPrice: '4.8', stockRefPrice: '100' };
    venue.place({ orderId: 1, contract, orderType: 'PEG STK', totalQuantity: 1, fields }, 1_000);
    expect(venue.order(1)).toMatchObject({ status: 'Submitted', filled: 0 });
    venue.pin(100.79, 100.81, { last: 100.8 });
    venue.clock.advance(1_000);
    expect(venue.executions(1).map(({ price }) => price)).toEqual([5.1]);
  });

  test.each<[string, string, [number, number], number]>([
    ['with it', '0', [101.5, 101.52], 100.01],
    ['against it', '1', [98.48, 98.5], 100.01],
  ])('PEG BENCH moves with another contract: %s', (_, isDecrease, later, fill) => {
    const venue = openVenue();
    const benchmark = idOf(venue, msft);
    const pin = (bid: number, ask: number) =>
      venue.exchange.script.pin(benchmark, { bid, ask, bidSize: 900, askSize: 900, last: bid });
    venue.pin(99.99, 100.01, { last: 100 });
    pin(99.99, 100.01);
    const fields = {
      startingPrice: '99',
      stockRefPrice: '100',
      referenceContractId: String(benchmark),
      referenceChangeAmount: '0.5',
      peggedChangeAmount: '0.4',
      isPeggedChangeAmountDecrease: isDecrease,
      stockRangeLower: '90',
      stockRangeUpper: '110',
    };
    venue.place({ orderId: 1, orderType: 'PEG BENCH', fields }, 1_000);
    expect(venue.order(1)).toMatchObject({ status: 'Submitted', filled: 0 });
    pin(...later);
    venue.clock.advance(1_000);
    expect(venue.executions(1).map(({ price }) => price)).toEqual([fill]);
  });

  test.each<[string, Omit<OrderTerms, 'orderId'>, number]>([
    ['VOL of a stock', { orderType: 'VOL', fields: { volatility: '20' } }, 387],
    ['PEG STK of a stock', { orderType: 'PEG STK', fields: { delta: '50' } }, 387],
    ['PEG BENCH without a reference', { orderType: 'PEG BENCH', fields: { startingPrice: '9' } }, 321],
  ])('%s is refused, not for its limit', (_, terms, code) => {
    const venue = openVenue();
    venue.place({ orderId: 1, ...terms }, 200);
    expect(venue.errors(1).map((error) => error.code)).toEqual([code]);
    expect(venue.errors(1)[0]?.text).not.toContain('limit price');
  });
});

describe('limits of legs', () => {
  function combination(venue: Venue) {
    const [first, second] = [aaplId, idOf(venue, msft)];
    const contract = {
      ...aapl,
      symbol: 'AAPL,MSFT',
      secType: 'BAG',
      comboLegs: [
        { conId: first, ratio: 1, action: 'BUY' as const, exchange: 'SMART' },
        { conId: second, ratio: 2, action: 'SELL' as const, exchange: 'SMART' },
      ],
    };
    const pin = (conId: number, bid: number, ask: number) =>
      venue.exchange.script.pin(conId, { bid, ask, bidSize: 9_000, askSize: 9_000 });
    return { contract, pinFirst: pin.bind(null, first), pinSecond: pin.bind(null, second) };
  }

  test('make the limit of the whole, and no leg trades beyond its own', () => {
    const venue = openVenue();
    const { contract, pinFirst, pinSecond } = combination(venue);
    pinFirst(199.98, 200.02);
    pinSecond(50, 50.02);
    const terms = { contract, orderType: 'LMT', totalQuantity: 3 };
    venue.place({ orderId: 1, ...terms, orderComboLegPrices: [199, 50] }, 1_000);
    expect(venue.errors(1)).toEqual([]);
    expect(venue.order(1)).toMatchObject({ status: 'Submitted', filled: 0 });
    // The whole would be cheap enough, its first leg alone is too dear.
    pinSecond(52, 52.02);
    venue.clock.advance(1_000);
    expect(venue.executions(1)).toEqual([]);
    pinFirst(198.9, 198.95);
    venue.clock.advance(1_000);
    const [whole, ...legs] = venue.executions(1);
    expect(legs.map(({ side }) => side)).toEqual(['BOT', 'SLD']);
    expect(legs[0]?.price).toBeLessThanOrEqual(199);
    expect(legs[1]?.price).toBeGreaterThanOrEqual(50);
    expect((legs[0]?.price ?? 0) - 2 * (legs[1]?.price ?? 0)).toBeCloseTo(whole?.price ?? 0, 6);
  });

  test('of a sold combination hold for the other sides', () => {
    const venue = openVenue();
    const { contract, pinFirst, pinSecond } = combination(venue);
    pinFirst(199.98, 200.02);
    pinSecond(50, 50.02);
    const terms = { contract, orderType: 'LMT', action: 'SELL', totalQuantity: 1 };
    venue.place({ orderId: 1, ...terms, orderComboLegPrices: [199.9, 50.1] }, 1_000);
    const legs = venue.executions(1).slice(1);
    expect(legs.map(({ side, price }) => [side, price])).toEqual([
      ['SLD', 199.98],
      ['BOT', 50.02],
    ]);
  });

  test('are needed for all legs when the whole has none, and lie on the grid', () => {
    const venue = openVenue();
    const { contract } = combination(venue);
    const terms = { contract, orderType: 'LMT', totalQuantity: 1 };
    venue.place({ orderId: 1, ...terms, orderComboLegPrices: [199, null] }, 200);
    venue.place({ orderId: 2, ...terms, orderComboLegPrices: [199, 50.001] }, 200);
    expect(venue.errors(1)).toMatchObject([{ code: 321, text: expect.stringContaining('limit price') }]);
    expect(venue.errors(2)).toMatchObject([{ code: 110 }]);
  });
});

describe('time in force AUC', () => {
  test.each([
    'MTL',
    'LMT',
  ])('%s meets the opening auction and works on as a limit of the day', (orderType) => {
    const startMs = Date.UTC(2026, 10, 24, 13, 0);
    const venue = openVenue({ calendar: 'regular', startMs, tickIntervalMs: 1_000 });
    const limit = orderType === 'LMT' ? { lmtPrice: 400 } : {};
    venue.place({ orderId: 1, orderType, tif: 'AUC', ...limit }, 1_000);
    venue.place({ orderId: 2, orderType: 'LMT', lmtPrice: 100, tif: 'AUC' }, 1_000);
    expect(venue.errors(1)).toEqual([]);
    expect(venue.order(1)).toMatchObject({ status: 'PreSubmitted', filled: 0 });
    venue.clock.advance(startMs + 5_400_000 + 2_000 - venue.clock.now());
    expect(venue.order(1).status).toBe('Filled');
    expect(venue.order(2).status).toBe('Submitted');
    venue.clock.advance(8 * 3_600_000);
    expect(venue.order(2)).toMatchObject({ status: 'Cancelled', completedStatus: 'Expired' });
  });

  test('is for these two alone', () => {
    const venue = openVenue();
    venue.place({ orderId: 1, tif: 'AUC' }, 200);
    expect(venue.errors(1)).toMatchObject([{ code: 321, text: expect.stringContaining('AUC') }]);
  });
});

describe('hedges', () => {
  const sap = { ...aapl, symbol: 'SAP', exchange: 'SMART', currency: 'EUR' };
  const hedge = { contract: eurUsd, action: 'SELL', fields: { hedgeType: 'F' }, parentId: 1 };

  test('an FX hedge has quantity 0 and gets the size of its parent in the other currency', () => {
    const venue = openVenue();
    const parent = { contract: sap, totalQuantity: 100, orderType: 'LMT', lmtPrice: 500 };
    venue.place({ orderId: 1, ...parent, transmit: false });
    venue.place({ orderId: 2, ...hedge, totalQuantity: 0 }, 5_000);
    expect(venue.errors(2)).toEqual([]);
    expect(venue.order(1).status).toBe('Filled');
    expect(venue.order(2)).toMatchObject({ status: 'Filled', filled: 50_000 });
  });

  test('the fill of a hedge takes nothing from the exits', () => {
    const venue = openVenue({ startMs: mondayMorning });
    venue.place({ orderId: 1, contract: sap, totalQuantity: 100, transmit: false });
    venue.place({ orderId: 2, ...hedge, totalQuantity: 0, transmit: false });
    const exit = { contract: sap, action: 'SELL', orderType: 'LMT', lmtPrice: 900, parentId: 1 };
    venue.place({ orderId: 3, ...exit }, 5_000);
    expect(venue.order(2).status).toBe('Filled');
    expect(venue.order(3)).toMatchObject({ status: 'Submitted', remaining: 100 });
  });

  test.each<[string, Partial<OrderTerms>, RegExp]>([
    ['an FX hedge with a quantity', { totalQuantity: 5 }, /only have quantity 0/],
    ['a hedge without a parent', { parentId: 0 }, /parent/],
    [
      'an FX hedge of another currency',
      { contract: { ...eurUsd, symbol: 'GBP' } },
      /currency of its parent, EUR/,
    ],
    ['an FX hedge in shares', { contract: aapl }, /currency pair/],
  ])('%s is refused', (_, terms, text) => {
    const venue = openVenue();
    venue.place({ orderId: 1, contract: sap, orderType: 'LMT', lmtPrice: 1 });
    venue.place({ orderId: 2, ...hedge, totalQuantity: 0, ...terms }, 200);
    expect(venue.errors(2)).toEqual([{ code: 321, text: expect.stringMatching(text) }]);
  });
});
