import { describe, expect, test } from 'vitest';
import { realClock, VirtualClock } from '../../src/simulator/clock.ts';
import { createExchange } from '../../src/simulator/exchange/exchange.ts';
import type { ExecutionFilter, Tick } from '../../src/simulator/model.ts';
import { aapl, aaplId, mondayMorning, openVenue } from './exchangeDriver.ts';

const account = 'DU1234567';
const anything: ExecutionFilter = {
  clientId: 0,
  account: '',
  since: null,
  symbol: '',
  secType: '',
  exchange: '',
  side: '',
};

describe('the market by hand', () => {
  test('a pin holds the quote, tells the ticks, and release lets it move again', () => {
    const venue = openVenue();
    const free = venue.exchange.quote(aaplId);
    const ticks: Tick[] = [];
    venue.exchange.subscribeTicks(aaplId, (tick) => ticks.push(tick));
    venue.exchange.script.pin(aaplId, { bid: 99.99, ask: 100.01 });
    expect(ticks).toContainEqual(expect.objectContaining({ field: 'bid', price: 99.99 }));
    expect(ticks).toContainEqual(expect.objectContaining({ field: 'ask', price: 100.01 }));
    ticks.length = 0;
    venue.clock.advance(5_000);
    expect(venue.exchange.quote(aaplId)).toMatchObject({ bid: 99.99, ask: 100.01 });
    expect(ticks).toEqual([]);
    const bars = () =>
      venue.exchange.bars({
        conId: aaplId,
        end: venue.clock.now(),
        durationSeconds: 5,
        barSeconds: 5,
        whatToShow: 'BID',
        useRth: false,
      });
    expect(bars().at(-1)?.close).toBe(99.99);
    venue.exchange.script.release(aaplId);
    expect(Math.abs((venue.exchange.quote(aaplId)?.bid ?? 0) - (free?.bid ?? 0))).toBeLessThan(2);
  });

  test('a pin of the last price alone moves the whole quote there', () => {
    const venue = openVenue();
    venue.exchange.script.pin(aaplId, { last: 150 });
    const quote = venue.exchange.quote(aaplId);
    expect(quote?.last).toBe(150);
    expect(quote?.bid).toBeLessThanOrEqual(150);
    expect(quote?.ask).toBeGreaterThanOrEqual(150);
  });

  test('nothing trades or moves in a halted contract', () => {
    const venue = openVenue();
    const ticks: Tick[] = [];
    venue.exchange.subscribeTicks(aaplId, (tick) => ticks.push(tick));
    venue.exchange.script.halt(aaplId, true);
    expect(ticks).toEqual([{ field: 'halted', value: 1 }]);
    venue.place({ orderId: 1 }, 3_000);
    expect(venue.exchange.quote(aaplId)?.halted).toBe(true);
    expect(venue.order(1).filled).toBe(0);
    venue.exchange.script.halt(aaplId, false);
    venue.clock.advance(300);
    expect(venue.order(1).status).toBe('Filled');
  });
});

describe('orders by hand', () => {
  function working(quantity = 100) {
    const venue = openVenue();
    venue.pin(99.99, 100.01, { last: 100 });
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 99, totalQuantity: quantity });
    return { venue, permId: venue.order(1).permId };
  }

  test('fill trades at the limit, at a given price, and never more than remains', () => {
    const { venue, permId } = working();
    expect(venue.exchange.script.fill(permId, 30).price).toBe(99);
    expect(venue.order(1)).toMatchObject({ status: 'Submitted', filled: 30, remaining: 70 });
    expect(venue.exchange.script.fill(permId, 20, 98.5)).toMatchObject({
      price: 98.5,
      cumQty: 50,
      avgPrice: 98.8,
    });
    expect(() => venue.exchange.script.fill(permId, 51)).toThrow(/shares must be in \(0, 50\]/);
    expect(() => venue.exchange.script.fill(1, 1)).toThrow(/permId 1/);
    venue.exchange.script.fill(permId, 50);
    expect(venue.order(1).status).toBe('Filled');
  });

  test('a fill after the cancellation is booked and leaves the order cancelled', () => {
    const { venue, permId } = working();
    venue.exchange.cancel(1, 1);
    venue.clock.advance(100);
    venue.events.length = 0;
    venue.exchange.script.fill(permId, 40);
    expect(venue.events.map(({ type }) => type)).toEqual(['execution', 'commission', 'position', 'account']);
    expect(venue.exchange.positions()).toMatchObject([{ position: 40 }]);
    expect(venue.exchange.completedOrders()).toMatchObject([{ status: 'Cancelled', filled: 40 }]);
  });

  test('a held order is never matched until it is released', () => {
    const { venue, permId } = working();
    venue.exchange.script.hold(permId);
    venue.pin(98, 98.02);
    venue.clock.advance(5_000);
    expect(venue.order(1).filled).toBe(0);
    venue.exchange.script.unhold(permId);
    expect(venue.order(1).status).toBe('Filled');
  });

  test('a correction is the next revision of the same execution and moves money and position', () => {
    const { venue, permId } = working();
    const first = venue.exchange.script.fill(permId, 60, 98);
    const second = venue.exchange.script.correct(first.execId, { price: 97 });
    expect(first.execId.slice(0, -3)).toBe(second.execId.slice(0, -3));
    expect(second.execId).toMatch(/\.02$/);
    expect(second).toMatchObject({ shares: 60, price: 97, cumQty: 60, avgPrice: 97 });
    expect(venue.exchange.positions()).toMatchObject([
      { position: 60, avgCost: expect.closeTo((60 * 97 + 1) / 60, 6) },
    ]);
    const cash = (key: string) =>
      Number(venue.exchange.accountValues(account).find((row) => row.key === key)?.value);
    expect(cash('TotalCashValue')).toBe(1_000_000 - 60 * 97 - 1);
    expect(venue.exchange.executions(anything).map(({ execId }) => execId)).toEqual([
      first.execId,
      second.execId,
    ]);
    const third = venue.exchange.script.correct(second.execId, { shares: 0 });
    expect(third).toMatchObject({ shares: 0, cumQty: 0 });
    expect(venue.exchange.positions()).toEqual([]);
    expect(cash('TotalCashValue')).toBe(1_000_000);
    expect(venue.order(1)).toMatchObject({ filled: 0, remaining: 100 });
    expect(() => venue.exchange.script.correct(first.execId, { shares: 1 })).toThrow(/newest revision/);
  });

  test('a correction in the middle of a history gives the books as if it had always been so', () => {
    const trade = (price: number, corrected: number | null) => {
      const { venue, permId } = working(300);
      const first = venue.exchange.script.fill(permId, 100, price);
      venue.place({ orderId: 2, action: 'SELL', totalQuantity: 150 }, 300);
      venue.exchange.script.fill(permId, 100, 98);
      if (corrected !== null) venue.exchange.script.correct(first.execId, { price: corrected });
      return { positions: venue.exchange.positions(), pnl: venue.exchange.pnl(account) };
    };
    expect(trade(90, 95)).toEqual(trade(95, null));
    expect(trade(90, null)).not.toEqual(trade(95, null));
  });

  test.each([
    ['Cancelled', 'Cancelled', ['orderStatus:Cancelled', 'error:202'], 'Cancelled by System'],
    ['Expired', 'Cancelled', ['orderStatus:Cancelled', 'error:202'], 'Expired'],
    ['Inactive', 'Inactive', ['error:201', 'openOrder:Inactive', 'orderStatus:Inactive'], 'Inactive'],
  ] as const)('end %s', (how, status, sequence, completedStatus) => {
    const { venue, permId } = working();
    const before = venue.sequence(1).length;
    venue.exchange.script.end(permId, how);
    expect(venue.sequence(1).slice(before)).toEqual(sequence);
    expect(venue.exchange.completedOrders()).toMatchObject([{ status, completedStatus }]);
  });

  test('an order that waits for a locate is Inactive, alive, and fills once it is released', () => {
    const { venue, permId } = working();
    venue.exchange.script.end(permId, 'Inactive', {
      whyHeld: 'locate',
      code: 404,
      text: 'Shares for this order are not immediately available',
    });
    expect(venue.errors(1).map(({ code }) => code)).toEqual([404]);
    expect(venue.exchange.openOrders()).toMatchObject([{ status: 'Inactive', whyHeld: 'locate' }]);
    venue.pin(98, 98.02);
    expect(venue.order(1).filled).toBe(0);
    venue.exchange.script.unhold(permId);
    venue.clock.advance(100);
    expect(venue.order(1).status).toBe('Filled');
  });

  test('rejectNext answers with its error so many times, 201 with an Inactive order', () => {
    const venue = openVenue();
    venue.exchange.script.rejectNext(201, 'Order rejected - reason:No.', 1);
    venue.place({ orderId: 1 }, 300);
    expect(venue.sequence(1)).toEqual(['error:201', 'openOrder:Inactive', 'orderStatus:Inactive']);
    venue.exchange.script.rejectNext(460, 'No trading permissions', 2);
    for (const orderId of [2, 3, 4]) venue.place({ orderId }, 300);
    expect([2, 3].map((id) => venue.errors(id).map(({ code }) => code))).toEqual([[460], [460]]);
    expect(venue.isKnown(2)).toBe(false);
    expect(venue.order(4).status).toBe('Filled');
    venue.exchange.script.rejectNext(460, 'No trading permissions');
    for (const orderId of [5, 6, 7]) venue.place({ orderId }, 300);
    expect(venue.errors(7)).toHaveLength(1);
  });
});

describe('accounts and others by hand', () => {
  test('external orders carry order id 0, each with a permId of its own', () => {
    const venue = openVenue();
    const terms = { contract: aapl, action: 'BUY', totalQuantity: 10, orderType: 'LMT', lmtPrice: 1 };
    const orders = [venue.exchange.script.external(terms), venue.exchange.script.external(terms)];
    expect(orders.map(({ request }) => [request.clientId, request.orderId])).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(new Set(orders.map(({ permId }) => permId)).size).toBe(2);
    expect(venue.exchange.openOrders()).toHaveLength(2);
    venue.exchange.script.fill(orders[1]?.permId ?? 0, 10);
    expect(venue.executions(0).map(({ permId }) => permId)).toEqual([orders[1]?.permId]);
    venue.exchange.script.external({
      contract: aapl,
      action: 'SELL',
      totalQuantity: 5,
      clientId: 9,
      orderId: 77,
    });
    venue.clock.advance(500);
    expect(venue.executions(77)).toMatchObject([{ clientId: 9, shares: 5 }]);
    expect(() => venue.exchange.script.external({ ...terms, lmtPrice: 1.001 })).toThrow(/110/);
  });

  test('a liquidation closes the position with an execution of nobody', () => {
    const venue = openVenue();
    venue.exchange.script.setPosition(account, aaplId, -314, 150);
    expect(venue.exchange.positions()).toMatchObject([{ position: -314, avgCost: 150 }]);
    const execution = venue.exchange.script.liquidate(account, aaplId);
    expect(execution).toMatchObject({ liquidation: 1, clientId: 0, orderId: -1, side: 'BOT', shares: 314 });
    expect(venue.exchange.positions()).toEqual([]);
    expect(() => venue.exchange.script.liquidate(account, aaplId)).toThrow(/holds nothing/);
  });

  test('setPosition and setCash tell their change and make no profit', () => {
    const venue = openVenue();
    venue.exchange.script.setPosition(account, aaplId, 100, 250);
    venue.exchange.script.setCash(account, 'EUR', 5_000);
    expect(venue.events.map(({ type }) => type)).toEqual(['position', 'account', 'account']);
    expect(venue.exchange.pnl(account).daily).toBeCloseTo(0, 6);
    venue.exchange.script.setPosition(account, aaplId, 0, 0);
    expect(venue.exchange.positions()).toEqual([]);
    expect(() => venue.exchange.script.setCash('DU9', 'USD', 1)).toThrow(/DU9/);
    expect(() => venue.exchange.script.pin(1, {})).toThrow(/conId 1/);
  });

  test('accounts are kept apart, and executions are found by what a filter names', () => {
    const venue = openVenue({ accounts: ['DU1', 'DU2'] });
    venue.place({ orderId: 3 }, 300);
    expect(venue.errors(3)).toEqual([{ code: 435, text: 'You must specify an account.' }]);
    venue.place({ orderId: 1, account: 'DU1' }, 300);
    venue.place({ orderId: 2, account: 'DU2', clientId: 2, action: 'SELL' }, 300);
    const rows = venue.exchange.positions().map((row) => [row.account, row.position]);
    expect(rows).toEqual([
      ['DU1', 100],
      ['DU2', -100],
    ]);
    const count = (filter: Partial<ExecutionFilter>) =>
      new Set(venue.exchange.executions({ ...anything, ...filter }).map(({ orderId }) => orderId));
    expect(count({ account: 'DU2' })).toEqual(new Set([2]));
    expect(count({ clientId: 1 })).toEqual(new Set([1]));
    expect(count({ side: 'BUY' })).toEqual(new Set([1]));
    expect(count({ symbol: 'MSFT' })).toEqual(new Set());
    expect(count({ since: venue.clock.now() + 1 })).toEqual(new Set());
    expect(venue.exchange.accountValues('DU3')).toEqual([]);
  });
});

describe('a venue', () => {
  test('uses other execution ids and permIds after a restart', () => {
    const run = (startMs: number) => {
      const venue = openVenue({ startMs });
      venue.place({ orderId: 1 }, 300);
      return [venue.executions(1)[0]?.execId, venue.order(1).permId];
    };
    const [first, second] = [run(mondayMorning), run(mondayMorning + 1)];
    expect(first[0]).not.toBe(second[0]);
    expect(first[1]).not.toBe(second[1]);
  });

  test('tells account changes every three minutes while something is held', () => {
    const venue = openVenue({ tickIntervalMs: 1_000 });
    venue.place({ orderId: 1 }, 3_000);
    venue.events.length = 0;
    venue.clock.advance(600_000);
    expect(venue.events.map(({ type }) => type)).toEqual(['account', 'account', 'account']);
  });

  test('runs on the real clock and leaves no timer after close', async () => {
    const exchange = createExchange({ clock: realClock, seed: 1, tickIntervalMs: 10 });
    await new Promise<void>((resolve) => {
      exchange.subscribeTicks(aaplId, () => resolve());
    });
    exchange.close();
    expect(exchange.quote(aaplId)?.bid).toBeGreaterThan(0);
  });

  test.each([
    [{ accounts: [] }, /accounts/],
    [{ tickIntervalMs: 0 }, /tickIntervalMs/],
    [{ latencyMs: { min: 5, max: 1 } }, /latencyMs/],
  ])('refuses wrong options %j', (options, text) => {
    const clock = new VirtualClock(mondayMorning);
    expect(() => createExchange({ clock, seed: 1, ...options })).toThrow(text);
  });
});
