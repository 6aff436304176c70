import { describe, expect, test } from 'vitest';
import type { OrderTerms } from './exchangeDriver.ts';
import { aapl, openVenue } from './exchangeDriver.ts';

const spx = { ...aapl, symbol: 'SPX', secType: 'IND', exchange: 'CBOE' };
const es = { ...aapl, symbol: '', localSymbol: 'ESZ6', secType: 'FUT', exchange: 'CME' };

describe('refused orders never enter the book', () => {
  const cases: readonly (readonly [string, Omit<OrderTerms, 'orderId'>, number, RegExp])[] = [
    ['an unknown contract', { contract: { ...aapl, symbol: 'GONE' } }, 200, /No security definition/],
    ['an ambiguous contract', { contract: { ...es, symbol: 'ES', localSymbol: '' } }, 200, /ambiguous/],
    ['an index', { contract: spx }, 203, /SPX IND is not available or allowed/],
    ['no quantity', { totalQuantity: 0 }, 321, /cannot be zero/],
    ['a fraction of a share', { totalQuantity: 0.5 }, 10243, /Fractional/],
    ['no limit price', { orderType: 'LMT' }, 321, /Missing limit price/],
    ['a limit price of zero', { orderType: 'LMT', lmtPrice: 0 }, 321, /Missing limit price/],
    ['no stop price', { orderType: 'STP' }, 321, /Missing stop price/],
    ['no trail', { orderType: 'TRAIL' }, 321, /trailing/],
    ['a price off the grid', { orderType: 'LMT', lmtPrice: 100.005 }, 110, /minimum price variation/],
    [
      'a future off its grid',
      { contract: es, orderType: 'LMT', lmtPrice: 6600.1, totalQuantity: 1 },
      110,
      /minimum price variation/,
    ],
    ['an unknown type', { orderType: 'MAGIC' }, 387, /Unsupported order type/],
    ['an unknown time in force', { tif: 'SOON' }, 321, /time in force/],
    ['an unknown side', { action: 'HOLD' }, 321, /action/],
    ['an unknown account', { account: 'DU000' }, 321, /account/],
    ['GTD without a date', { tif: 'GTD' }, 321, /good-till/],
    ['a time that is none', { goodAfterTime: 'tomorrow' }, 343, /date, time/],
    ['a parent that is not there', { parentId: 77 }, 135, /Can't find order with id = 77/],
  ];

  test.each(cases)('%s', (_, terms, code, text) => {
    const venue = openVenue();
    venue.place({ orderId: 1, ...terms }, 200);
    expect(venue.errors(1)).toEqual([{ code, text: expect.stringMatching(text) }]);
    expect(venue.isKnown(1)).toBe(false);
    expect(venue.exchange.openOrders()).toEqual([]);
  });

  test('an order beyond the funds: 201 first, then Inactive', () => {
    const venue = openVenue({ startingCash: 10_000 });
    venue.place({ orderId: 1, totalQuantity: 1_000 }, 200);
    expect(venue.sequence(1)).toEqual(['error:201', 'openOrder:Inactive', 'orderStatus:Inactive']);
    expect(venue.errors(1)[0]?.text).toMatch(/^Order rejected - reason:YOUR ORDER IS NOT ACCEPTED/);
    expect(venue.exchange.openOrders()).toEqual([]);
    expect(venue.exchange.completedOrders().map(({ status }) => status)).toEqual(['Inactive']);
  });

  test('an order that lowers the margin is accepted without funds', () => {
    const venue = openVenue({ startingCash: 0 });
    venue.exchange.script.setPosition('DU1234567', 265598, 100, 250);
    venue.exchange.script.setCash('DU1234567', 'USD', -26_000);
    venue.place({ orderId: 1, totalQuantity: 1 }, 200);
    venue.place({ orderId: 2, action: 'SELL' }, 2_000);
    expect(venue.order(1).status).toBe('Inactive');
    expect(venue.order(2).status).toBe('Filled');
  });
});

describe('refused changes leave the order as it was', () => {
  function working() {
    const venue = openVenue();
    venue.pin(99.99, 100.01);
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 99 });
    return venue;
  }

  test.each([
    ['another side', { action: 'SELL', orderType: 'LMT', lmtPrice: 99 }, 105],
    ['another contract', { contract: { ...aapl, symbol: 'MSFT' }, orderType: 'LMT', lmtPrice: 99 }, 105],
    ['a price off the grid', { orderType: 'LMT', lmtPrice: 98.123 }, 110],
    ['no quantity', { orderType: 'LMT', lmtPrice: 98, totalQuantity: 0 }, 321],
  ])('%s', (_, terms, code) => {
    const venue = working();
    venue.place({ orderId: 1, ...terms });
    expect(venue.errors(1).map((error) => error.code)).toEqual([code]);
    expect(venue.exchange.openOrders()).toMatchObject([
      { status: 'Submitted', request: { lmtPrice: 99, action: 'BUY' } },
    ]);
    venue.pin(98.9, 98.92);
    venue.clock.advance(200);
    expect(venue.order(1)).toMatchObject({ status: 'Filled', avgFillPrice: 99 });
  });

  test('an order being cancelled, a filled one and a cancelled one cannot be changed', () => {
    const venue = openVenue({ latencyMs: { min: 10, max: 10 } });
    venue.pin(99.99, 100.01);
    const change = { orderType: 'LMT', lmtPrice: 99.5 };
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 99 });
    venue.exchange.cancel(1, 1);
    venue.place({ orderId: 1, ...change }, 15);
    expect(venue.errors(1).map(({ code }) => code)).toEqual([2102]);
    venue.clock.advance(50);
    venue.place({ orderId: 1, ...change });
    expect(venue.errors(1).map(({ code }) => code)).toEqual([2102, 202, 103]);
    venue.place({ orderId: 2 });
    venue.place({ orderId: 2, ...change });
    expect(venue.errors(2)).toEqual([{ code: 104, text: "Can't modify a filled order." }]);
  });

  test('an order cut down to what it has filled is done', () => {
    const venue = openVenue();
    venue.pin(99.99, 100.01, { askSize: 40 });
    venue.exchange.script.setLiquidity(265598, 40);
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 100.01 }, 30);
    venue.pin(100.5, 100.52);
    expect(venue.order(1).filled).toBe(40);
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 100.01, totalQuantity: 30 });
    expect(venue.errors(1).map(({ code }) => code)).toEqual([321]);
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 100.01, totalQuantity: 40 });
    expect(venue.order(1)).toMatchObject({ status: 'Filled', remaining: 0 });
  });
});

describe('refused cancellations', () => {
  test('name what is wrong', () => {
    const venue = openVenue({ latencyMs: { min: 10, max: 10 } });
    venue.exchange.cancel(1, 9);
    venue.clock.advance(50);
    expect(venue.errors(9)).toEqual([
      { code: 10147, text: 'OrderId 9 that needs to be cancelled is not found.' },
    ]);
    venue.place({ orderId: 1 }, 300);
    venue.exchange.cancel(1, 1);
    venue.clock.advance(50);
    expect(venue.errors(1)).toEqual([
      { code: 10148, text: 'OrderId 1 that needs to be cancelled cannot be cancelled, state: Filled.' },
    ]);
    venue.place({ orderId: 2, orderType: 'LMT', lmtPrice: 1 });
    venue.exchange.cancel(2, 2);
    venue.clock.advance(50);
    expect(venue.order(2).status).toBe('Submitted');
    venue.exchange.cancel(1, 2);
    venue.exchange.cancel(1, 2);
    venue.clock.advance(50);
    expect(venue.errors(2).map(({ code }) => code)).toEqual([10147, 161, 202]);
  });

  test('cancelAll ends the orders of every client', () => {
    const venue = openVenue();
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 1 });
    venue.place({ orderId: 1, clientId: 2, orderType: 'LMT', lmtPrice: 2 });
    expect(venue.exchange.openOrders()).toHaveLength(2);
    venue.exchange.cancelAll();
    venue.clock.advance(100);
    expect(venue.exchange.openOrders()).toEqual([]);
    expect(venue.exchange.completedOrders()).toHaveLength(2);
  });
});

describe('whatIf', () => {
  test('answers with margins and leaves nothing behind', () => {
    const venue = openVenue();
    venue.pin(199.99, 200.01, { last: 200 });
    venue.place({ orderId: 1, whatIf: true }, 500);
    expect(venue.events).toHaveLength(1);
    expect(venue.order(1)).toMatchObject({
      status: 'PreSubmitted',
      margin: {
        initMarginBefore: 0,
        initMarginChange: 10_000,
        maintMarginChange: 5_000,
        equityWithLoanChange: -1,
        commission: 1,
      },
    });
    expect(venue.exchange.openOrders()).toEqual([]);
    expect(venue.exchange.completedOrders()).toEqual([]);
    venue.place({ orderId: 1 }, 500);
    expect(venue.order(1)).toMatchObject({ status: 'Filled', margin: null });
  });

  test.each([
    ['a future', es, 1, { initMarginChange: 23_100, commission: 2.25 }],
    [
      'forex',
      { ...aapl, symbol: 'EUR', secType: 'CASH', exchange: 'IDEALPRO', currency: 'USD' },
      100_000,
      { commission: 2, commissionCurrency: 'USD' },
    ],
    [
      'a share in euros',
      { ...aapl, symbol: 'SAP', exchange: 'IBIS', currency: 'EUR' },
      10,
      { commission: 3, commissionCurrency: 'EUR' },
    ],
  ])('prices %s', (_, contract, totalQuantity, margin) => {
    const venue = openVenue();
    venue.place({ orderId: 1, contract, totalQuantity, whatIf: true }, 500);
    expect(venue.order(1).margin).toMatchObject(margin);
    expect(venue.order(1).margin?.initMarginChange).toBeGreaterThan(0);
  });
});
