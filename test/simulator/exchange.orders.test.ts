import { describe, expect, test } from 'vitest';
import type { OrderTerms } from './exchangeDriver.ts';
import { aapl, aaplId, openVenue, query } from './exchangeDriver.ts';

describe('sequences', () => {
  test('a market order: seen, executed, filled, with its commission last', () => {
    const venue = openVenue();
    venue.pin(99.99, 100.01);
    venue.place({ orderId: 1 }, 200);
    expect(venue.sequence(1)).toEqual([
      'openOrder:PreSubmitted',
      'orderStatus:PreSubmitted',
      'execution',
      'openOrder:Filled',
      'orderStatus:Filled',
      'openOrder:Filled',
      'commission',
    ]);
    const commissions = venue.events.flatMap((event) =>
      event.type === 'openOrder' ? [event.order.commission] : [],
    );
    expect(commissions).toEqual([null, null, 1]);
    const [execution] = venue.executions(1);
    expect(execution).toMatchObject({
      side: 'BOT',
      shares: 100,
      price: 100.01,
      cumQty: 100,
      avgPrice: 100.01,
    });
    expect(execution?.execId).toMatch(/^[0-9a-f]{8}\.[0-9a-f]{8}\.01\.01$/);
    expect(venue.order(1)).toMatchObject({
      completedStatus: 'Filled Size: 100',
      remaining: 0,
      avgFillPrice: 100.01,
    });
  });

  test('a limit order works, is changed, is cancelled', () => {
    const venue = openVenue();
    venue.pin(99.99, 100.01);
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 99 });
    const { permId } = venue.order(1);
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 99.5, totalQuantity: 50 });
    expect(venue.order(1)).toMatchObject({ permId, remaining: 50, request: { lmtPrice: 99.5 } });
    venue.exchange.cancel(1, 1);
    venue.clock.advance(100);
    expect(venue.sequence(1)).toEqual([
      'openOrder:Submitted',
      'orderStatus:Submitted',
      'openOrder:Submitted',
      'orderStatus:Submitted',
      'orderStatus:PendingCancel',
      'orderStatus:Cancelled',
      'error:202',
    ]);
    expect(venue.errors(1)[0]?.text).toBe('Order Canceled - reason:');
    expect(venue.exchange.openOrders()).toEqual([]);
    expect(venue.exchange.completedOrders()).toMatchObject([
      { permId, completedStatus: 'Cancelled by Trader' },
    ]);
  });

  test('requests are heard in the order in which they were sent, whatever the latency draws', () => {
    const venue = openVenue({ latencyMs: { min: 0, max: 50 } });
    venue.pin(99.99, 100.01);
    for (let orderId = 1; orderId <= 30; orderId++)
      venue.place({ orderId, orderType: 'LMT', lmtPrice: 90 }, 1);
    venue.clock.advance(3_000);
    const seen = venue.events.flatMap((event) =>
      event.type === 'openOrder' ? [event.order.request.orderId] : [],
    );
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(new Set(seen).size).toBe(30);
  });

  test('without latency an order is done as soon as the timers of now have run', () => {
    const venue = openVenue({ latencyMs: { min: 0, max: 0 } });
    venue.place({ orderId: 1 }, 0);
    expect(venue.order(1).status).toBe('Filled');
  });

  test('a cancellation does not stop a fill that comes first', () => {
    const venue = openVenue({ latencyMs: { min: 20, max: 20 } });
    venue.pin(99.99, 100.01);
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 99 }, 100);
    venue.exchange.cancel(1, 1);
    venue.clock.advance(21);
    expect(venue.order(1).status).toBe('PendingCancel');
    venue.pin(98.5, 98.51);
    venue.clock.advance(100);
    expect(venue.order(1)).toMatchObject({ status: 'Filled', filled: 100 });
    expect(venue.errors(1)).toEqual([]);
  });

  test('the same seed and the same calls give the same events', () => {
    const run = (seed: number) => {
      const venue = openVenue({ seed });
      venue.exchange.subscribeTicks(aaplId, () => {});
      for (let orderId = 1; orderId <= 10; orderId++) {
        const bid = venue.exchange.quote(aaplId)?.bid ?? 0;
        venue.place(
          {
            orderId,
            action: orderId % 3 === 0 ? 'SELL' : 'BUY',
            totalQuantity: 700,
            orderType: 'LMT',
            lmtPrice: bid,
          },
          700,
        );
      }
      return JSON.stringify(venue.events);
    };
    expect(run(5)).toBe(run(5));
    expect(run(5)).not.toBe(run(6));
  });
});

interface TypeCase {
  readonly name: string;
  readonly terms: Omit<OrderTerms, 'orderId'>;
  /** the market after the order was accepted */
  readonly later: readonly [bid: number, ask: number];
  readonly before: string;
  readonly fill: number | null;
}

/** The market stands at 99.99 / 100.01 when the order comes. */
const cases: readonly TypeCase[] = [
  {
    name: 'BUY LMT below the market',
    terms: { orderType: 'LMT', lmtPrice: 99.5 },
    later: [99.4, 99.42],
    before: 'Submitted',
    fill: 99.5,
  },
  {
    name: 'BUY LMT not reached',
    terms: { orderType: 'LMT', lmtPrice: 99.5 },
    later: [99.6, 99.62],
    before: 'Submitted',
    fill: null,
  },
  {
    name: 'SELL LMT above the market',
    terms: { action: 'SELL', orderType: 'LMT', lmtPrice: 101 },
    later: [101.2, 101.22],
    before: 'Submitted',
    fill: 101,
  },
  {
    name: 'BUY STP',
    terms: { orderType: 'STP', auxPrice: 101 },
    later: [101.1, 101.12],
    before: 'PreSubmitted',
    fill: 101.12,
  },
  {
    name: 'SELL STP',
    terms: { action: 'SELL', orderType: 'STP', auxPrice: 99 },
    later: [98.9, 98.92],
    before: 'PreSubmitted',
    fill: 98.9,
  },
  {
    name: 'SELL STP not reached',
    terms: { action: 'SELL', orderType: 'STP', auxPrice: 99 },
    later: [99.1, 99.12],
    before: 'PreSubmitted',
    fill: null,
  },
  {
    name: 'BUY STP LMT',
    terms: { orderType: 'STP LMT', auxPrice: 101, lmtPrice: 101.5 },
    later: [101.1, 101.12],
    before: 'PreSubmitted',
    fill: 101.12,
  },
  {
    name: 'BUY STP LMT beyond its limit',
    terms: { orderType: 'STP LMT', auxPrice: 101, lmtPrice: 101.05 },
    later: [101.3, 101.32],
    before: 'PreSubmitted',
    fill: null,
  },
  {
    name: 'BUY MIT',
    terms: { orderType: 'MIT', auxPrice: 99 },
    later: [98.9, 98.92],
    before: 'PreSubmitted',
    fill: 98.92,
  },
  {
    name: 'SELL MIT',
    terms: { action: 'SELL', orderType: 'MIT', auxPrice: 101 },
    later: [101.1, 101.12],
    before: 'PreSubmitted',
    fill: 101.1,
  },
  {
    name: 'SELL LIT',
    terms: { action: 'SELL', orderType: 'LIT', auxPrice: 101, lmtPrice: 100.9 },
    later: [101.1, 101.12],
    before: 'PreSubmitted',
    fill: 101.1,
  },
  {
    name: 'BUY LIT beyond its limit',
    terms: { orderType: 'LIT', auxPrice: 99, lmtPrice: 98.5 },
    later: [98.9, 98.92],
    before: 'PreSubmitted',
    fill: null,
  },
  {
    name: 'SELL TRAIL',
    terms: { action: 'SELL', orderType: 'TRAIL', auxPrice: 1 },
    later: [98.9, 98.92],
    before: 'PreSubmitted',
    fill: 98.9,
  },
  {
    name: 'SELL TRAIL by percent',
    terms: { action: 'SELL', orderType: 'TRAIL', trailingPercent: 2 },
    later: [98.9, 98.92],
    before: 'PreSubmitted',
    fill: null,
  },
  {
    name: 'BUY TRAIL LIMIT',
    terms: { orderType: 'TRAIL LIMIT', auxPrice: 1, lmtPriceOffset: 0.2 },
    later: [101.05, 101.07],
    before: 'PreSubmitted',
    fill: 101.07,
  },
  {
    name: 'SELL SSHORT at a limit',
    terms: { action: 'SSHORT', orderType: 'LMT', lmtPrice: 101 },
    later: [101.2, 101.22],
    before: 'Submitted',
    fill: 101,
  },
  {
    name: 'an algorithm like its base',
    terms: {
      orderType: 'LMT',
      lmtPrice: 99.5,
      algoStrategy: 'Adaptive',
      algoParams: [{ tag: 'adaptivePriority', value: 'Normal' }],
    },
    later: [99.4, 99.42],
    before: 'Submitted',
    fill: 99.5,
  },
];

describe('order types that wait', () => {
  test.each(cases)('$name', ({ terms, later, before, fill }) => {
    const venue = openVenue();
    venue.pin(99.99, 100.01, { last: 100 });
    venue.place({ orderId: 1, ...terms }, 500);
    expect(venue.order(1)).toMatchObject({ status: before, filled: 0 });
    if (before === 'PreSubmitted') expect(venue.order(1).whyHeld).toBe('trigger');
    venue.pin(...later);
    venue.clock.advance(500);
    if (fill === null) expect(venue.executions(1)).toEqual([]);
    else {
      expect(venue.executions(1).map(({ price, shares }) => [price, shares])).toEqual([[fill, 100]]);
      expect(venue.order(1).status).toBe('Filled');
    }
  });

  test('a trailing stop follows the market and never turns back', () => {
    const venue = openVenue();
    venue.pin(99.99, 100.01, { last: 100 });
    venue.place({ orderId: 1, action: 'SELL', orderType: 'TRAIL', auxPrice: 1 });
    const stops: (number | null)[] = [];
    for (const last of [100, 102, 101.5, 103]) {
      venue.pin(last - 0.01, last + 0.01, { last });
      venue.clock.advance(100);
      stops.push(venue.exchange.openOrders()[0]?.trailStopPrice ?? null);
    }
    expect(stops).toEqual([99, 101, 101, 102]);
    venue.pin(101.98, 102, { last: 101.99 });
    expect(venue.order(1)).toMatchObject({ status: 'Filled', avgFillPrice: 101.98 });
  });
});

describe('order types that trade at once', () => {
  test.each([
    ['MKT', { orderType: 'MKT' }, 100.04],
    ['LMT through the market', { orderType: 'LMT', lmtPrice: 101 }, 100.04],
    ['MTL', { orderType: 'MTL' }, 100.04],
    ['SNAP MKT', { orderType: 'SNAP MKT' }, 100.04],
    ['MIDPRICE', { orderType: 'MIDPRICE' }, 100.01],
    ['MIDPRICE with a cap above', { orderType: 'MIDPRICE', lmtPrice: 100.03 }, 100.01],
    ['PEG MID', { orderType: 'PEG MID', lmtPrice: 0 }, 100.01],
    ['SELL MKT', { action: 'SELL', orderType: 'MKT' }, 99.98],
  ])('%s', (_, terms, price) => {
    const venue = openVenue();
    venue.pin(99.98, 100.04);
    venue.place({ orderId: 1, ...terms }, 300);
    expect(venue.executions(1).map((execution) => execution.price)).toEqual([price]);
  });

  test('MIDPRICE waits while its cap is below the bid', () => {
    const venue = openVenue();
    venue.pin(99.98, 100.04);
    venue.place({ orderId: 1, orderType: 'MIDPRICE', lmtPrice: 99.9 }, 1_000);
    expect(venue.order(1)).toMatchObject({ status: 'Submitted', filled: 0 });
  });

  test('REL joins the bid, with its offset, and trades when the market prints there', () => {
    const venue = openVenue();
    venue.place({ orderId: 1, orderType: 'REL', auxPrice: 0.01 }, 20_000);
    const [execution] = venue.executions(1);
    expect(venue.order(1).status).toBe('Filled');
    expect(execution?.lastLiquidity).toBe(1);
  });

  test('the rest of a market-to-limit order stays at the price of its first fill', () => {
    const venue = openVenue();
    venue.pin(99.99, 100.01, { askSize: 40 });
    venue.place({ orderId: 1, orderType: 'MTL' }, 30);
    venue.clock.advance(30);
    expect(venue.executions(1).map(({ shares }) => shares)).toEqual([40]);
    venue.pin(100.5, 100.52, { askSize: 500 });
    venue.clock.advance(1_000);
    expect(venue.order(1)).toMatchObject({ status: 'Submitted', filled: 40 });
    venue.pin(99.9, 99.92, { askSize: 500 });
    expect(venue.order(1)).toMatchObject({ status: 'Filled', lastFillPrice: 100.01 });
  });
});

describe('sizes', () => {
  test('a fill takes no more than the displayed size, the rest follows with later quotes', () => {
    const venue = openVenue();
    venue.pin(99.99, 100.01, { askSize: 300 });
    venue.place({ orderId: 1, totalQuantity: 1000 }, 2_000);
    const shares = venue.executions(1).map((execution) => execution.shares);
    expect(shares).toEqual([300, 300, 300, 100]);
    expect(venue.executions(1).map(({ cumQty }) => cumQty)).toEqual([300, 600, 900, 1000]);
    expect(venue.order(1).commission).toBe(5);
  });

  test('setLiquidity caps each match', () => {
    const venue = openVenue();
    venue.exchange.script.setLiquidity(aaplId, 30);
    venue.place({ orderId: 1 }, 3_000);
    expect(venue.executions(1).map((execution) => execution.shares)).toEqual([30, 30, 30, 10]);
  });

  test('two orders do not take the same shares', () => {
    const venue = openVenue({ latencyMs: { min: 0, max: 0 } });
    venue.pin(99.99, 100.01, { askSize: 150 });
    venue.place({ orderId: 1 }, 0);
    venue.place({ orderId: 2 }, 0);
    expect(venue.order(1).filled).toBe(100);
    expect(venue.order(2).filled).toBe(50);
    venue.clock.advance(500);
    expect(venue.order(2).filled).toBe(100);
  });

  test('an unpinned market is swept level by level, never beyond the limit', () => {
    const venue = openVenue({ latencyMs: { min: 0, max: 0 }, startingCash: 1e9 });
    const ask = venue.exchange.quote(aaplId)?.ask ?? 0;
    const limit = Math.round((ask + 0.03) * 100) / 100;
    venue.place({ orderId: 1, totalQuantity: 50_000, orderType: 'LMT', lmtPrice: limit, tif: 'IOC' }, 0);
    const prices = venue.executions(1).map(({ price }) => price);
    expect(prices.length).toBeGreaterThan(1);
    expect(prices).toEqual([...prices].sort((a, b) => a - b));
    expect(Math.max(...prices)).toBeLessThanOrEqual(limit);
  });

  test.each([
    ['all or none waits for its whole size', { allOrNone: true }, 0],
    ['a minimum above the display waits', { minQty: 80 }, 0],
    ['a minimum within the display trades', { minQty: 50 }, 60],
  ])('%s', (_, terms, filled) => {
    const venue = openVenue({ latencyMs: { min: 0, max: 0 } });
    venue.pin(99.99, 100.01, { askSize: 60 });
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 100.01, ...terms }, 1);
    expect(venue.order(1).filled).toBe(filled);
    venue.pin(99.99, 100.01, { askSize: 100 });
    expect(venue.order(1).status).toBe('Filled');
  });

  test('a combination trades once as itself and once per leg, at prices that add up', () => {
    const venue = openVenue();
    const leg = (strike: number) =>
      venue.exchange.findContracts(
        query({
          symbol: 'SPY',
          secType: 'OPT',
          lastTradeDateOrContractMonth: '20270115',
          strike,
          right: 'C',
          exchange: 'SMART',
        }),
      )[0]?.contract.conId ?? 0;
    const contract = {
      ...aapl,
      symbol: 'SPY',
      secType: 'BAG',
      comboLegs: [
        { conId: leg(650), ratio: 1, action: 'BUY' as const, exchange: 'SMART' },
        { conId: leg(700), ratio: 2, action: 'SELL' as const, exchange: 'SMART' },
      ],
    };
    venue.place({ orderId: 1, contract, totalQuantity: 2 }, 3_000);
    expect(venue.order(1).status).toBe('Filled');
    const [combo, first, second] = venue.executions(1);
    expect(combo?.contract.secType).toBe('BAG');
    expect([first?.side, first?.shares, second?.side, second?.shares]).toEqual([
      'BOT',
      combo?.shares,
      'SLD',
      2 * (combo?.shares ?? 0),
    ]);
    expect((first?.price ?? 0) - 2 * (second?.price ?? 0)).toBeCloseTo(combo?.price ?? 0, 1);
    expect(first?.execId.slice(0, 17)).toBe(combo?.execId.slice(0, 17));
    const ids = venue.executions(1).map(({ execId }) => execId);
    expect(new Set(ids).size).toBe(ids.length);
    const positions = venue.exchange
      .positions()
      .map(({ contract: { strike }, position }) => [strike, position]);
    expect(positions).toEqual([
      [650, 2],
      [700, -4],
    ]);
  });

  test('cash quantity buys as many units as the money pays', () => {
    const venue = openVenue();
    const eur = { ...aapl, symbol: 'EUR', secType: 'CASH', exchange: 'IDEALPRO', currency: 'USD' };
    venue.place({ orderId: 1, contract: eur, totalQuantity: 0, cashQty: 11_000 }, 500);
    expect(venue.order(1).status).toBe('Filled');
    const [execution] = venue.executions(1);
    expect((execution?.shares ?? 0) * (execution?.price ?? 0)).toBeGreaterThan(10_900);
    expect((execution?.shares ?? 0) * (execution?.price ?? 0)).toBeLessThan(11_100);
    const cash = venue.exchange
      .accountValues('DU1234567')
      .find(({ key, currency }) => key === 'CashBalance' && currency === 'EUR');
    expect(Number(cash?.value)).toBe(execution?.shares);
  });
});
