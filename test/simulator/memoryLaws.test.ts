/** Laws of the simulated broker's memory: whatever happened, and whenever the process was killed, it is the same broker again. */
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { noContract } from '../../src/simulator/exchange/catalogue.ts';
import type { Contract } from '../../src/simulator/model.ts';
import { aapl, aaplId } from './exchangeDriver.ts';
import type { RememberingVenue } from './memoryDriver.ts';
import { memoryFolder, pictureOf } from './memoryDriver.ts';

const folders: { remove(): void }[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

const eurusd: Contract = {
  ...noContract,
  symbol: 'EUR',
  secType: 'CASH',
  currency: 'USD',
  exchange: 'IDEALPRO',
};
const spread: Contract = {
  ...aapl,
  secType: 'BAG',
  comboLegs: [
    { conId: aaplId, ratio: 1, action: 'BUY', exchange: 'SMART' },
    { conId: 272093, ratio: 2, action: 'SELL', exchange: 'SMART' },
  ],
};

type Step =
  | {
      readonly do: 'place';
      readonly contract: 'aapl' | 'eurusd' | 'spread';
      readonly kind: 'MKT' | 'LMT' | 'STP' | 'TRAIL' | 'TRAIL LIMIT' | 'MIDPRICE';
      readonly side: 'BUY' | 'SELL';
      readonly size: number;
      readonly level: number;
      readonly tif: 'DAY' | 'GTC' | 'IOC' | 'GTD';
      readonly oca: number;
      readonly transmit: boolean;
    }
  | { readonly do: 'bracket'; readonly size: number; readonly level: number; readonly isWhole: boolean }
  | { readonly do: 'change'; readonly which: number; readonly level: number; readonly size: number }
  | { readonly do: 'cancel' | 'hold' | 'unhold' | 'end' | 'wait'; readonly which: number }
  | { readonly do: 'fill'; readonly which: number; readonly share: number }
  | { readonly do: 'correct'; readonly which: number; readonly shares: number; readonly level: number }
  | { readonly do: 'pin'; readonly level: number; readonly size: number }
  | { readonly do: 'position' | 'cash'; readonly amount: number };

const level = fc.integer({ min: -12, max: 12 });
const which = fc.nat({ max: 40 });
const size = fc.integer({ min: 1, max: 60 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('place' as const),
      contract: fc.constantFrom('aapl' as const, 'aapl' as const, 'eurusd' as const, 'spread' as const),
      kind: fc.constantFrom(
        'MKT' as const,
        'LMT' as const,
        'LMT' as const,
        'STP' as const,
        'TRAIL' as const,
        'TRAIL LIMIT' as const,
        'MIDPRICE' as const,
      ),
      side: fc.constantFrom('BUY' as const, 'SELL' as const),
      size,
      level,
      tif: fc.constantFrom('DAY' as const, 'GTC' as const, 'IOC' as const, 'GTD' as const),
      oca: fc.nat({ max: 4 }),
      transmit: fc.integer({ min: 0, max: 9 }).map((draw) => draw > 0),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('bracket' as const), size, level, isWhole: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('change' as const), which, level, size }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('cancel', 'cancel', 'hold', 'unhold', 'end', 'wait', 'wait', 'wait'),
      which,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('fill' as const), which, share: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('correct' as const),
      which,
      shares: fc.integer({ min: 0, max: 3 }),
      level,
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('pin' as const), level, size }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('position' as const, 'cash' as const),
      amount: fc.integer({ min: -500, max: 500 }),
    }),
  },
);

/** Plays steps on a venue. The market of AAPL stands where the last `pin` put it, or pins do nothing and it moves by itself. */
function player(venue: RememberingVenue, isPinned = true) {
  const { exchange, clock } = venue;
  const middle = isPinned ? 200 : Math.round(exchange.quote(aaplId)?.last ?? 0);
  let nextId = 1;
  let pinned = { level: 0, size: 10_000 };
  const priceAt = (at: number) => middle + at / 10;
  const pin = () => {
    if (!isPinned) return;
    const sizes = { bidSize: pinned.size, askSize: pinned.size };
    const at = priceAt(pinned.level);
    exchange.script.pin(aaplId, { bid: at - 0.01, ask: at + 0.01, last: at, ...sizes });
  };
  const pick = <T>(list: readonly T[], at: number): T | undefined =>
    list.length === 0 ? undefined : list[at % list.length];
  const contracts = { aapl, eurusd, spread };

  function place(each: Extract<Step, { do: 'place' }>): void {
    const isStock = each.contract === 'aapl';
    const price = isStock
      ? priceAt(each.level)
      : each.contract === 'eurusd'
        ? 1.1 + each.level / 1000
        : -500 + each.level;
    const kind = isStock ? each.kind : each.kind === 'MKT' ? 'MKT' : 'LMT';
    venue.place(
      {
        orderId: nextId++,
        contract: contracts[each.contract],
        action: each.side,
        orderType: kind,
        totalQuantity: each.contract === 'eurusd' ? each.size * 1000 : each.size,
        lmtPrice: kind === 'LMT' ? Math.round(price * 1000) / 1000 : null,
        auxPrice: kind === 'STP' ? price : kind.startsWith('TRAIL') ? 0.5 : null,
        lmtPriceOffset: kind === 'TRAIL LIMIT' ? 0.1 : null,
        tif: each.tif,
        goodTillDate: each.tif === 'GTD' ? '20261201 16:00:00 US/Eastern' : '',
        ocaGroup: each.oca > 0 && each.oca < 3 ? `group ${each.oca}` : '',
        ocaType: each.oca,
        transmit: each.transmit,
        orderRef: `ref ${nextId}`,
        fields: { algoId: 'x', triggerMethod: '0' },
      },
      1,
    );
  }

  function play(each: Step): void {
    switch (each.do) {
      case 'place':
        place(each);
        return;
      case 'bracket': {
        const parentId = nextId;
        nextId += 3;
        const terms = { totalQuantity: each.size, tif: 'GTC' };
        const entry = priceAt(each.level);
        venue.place({ ...terms, orderId: parentId, orderType: 'LMT', lmtPrice: entry, transmit: false }, 0);
        const exit = { ...terms, action: 'SELL', parentId };
        venue.place(
          { ...exit, orderId: parentId + 1, orderType: 'LMT', lmtPrice: entry + 0.5, transmit: false },
          0,
        );
        if (each.isWhole)
          venue.place({ ...exit, orderId: parentId + 2, orderType: 'STP', auxPrice: entry - 0.5 }, 1);
        return;
      }
      case 'change': {
        const order = pick(exchange.openOrders(), each.which);
        if (order === undefined || order.request.orderType !== 'LMT' || order.contract.symbol !== 'AAPL')
          return;
        exchange.place({
          ...order.request,
          lmtPrice: order.contract.secType === 'STK' ? priceAt(each.level) : -500,
          totalQuantity: order.filled + each.size,
        });
        clock.advance(each.which);
        return;
      }
      case 'cancel': {
        const order = pick(exchange.openOrders(), each.which);
        if (order !== undefined) exchange.cancel(order.request.clientId, order.request.orderId);
        return;
      }
      case 'hold':
      case 'unhold':
      case 'end': {
        const order = pick(exchange.openOrders(), each.which);
        if (order === undefined) return;
        if (each.do === 'end') exchange.script.end(order.permId, 'Inactive', { whyHeld: 'locate' });
        else exchange.script[each.do](order.permId);
        return;
      }
      case 'wait':
        clock.advance(each.which * 3);
        return;
      case 'fill': {
        const order = pick(exchange.openOrders(), each.which);
        if (order === undefined || order.remaining <= 0) return;
        const shares = each.share === 4 ? order.remaining : Math.ceil((order.remaining * each.share) / 4);
        exchange.script.fill(order.permId, Math.min(shares, order.remaining));
        return;
      }
      case 'correct': {
        const stocks = pictureOf(exchange).executions.filter(({ contract }) => contract.secType === 'STK');
        const execution = pick(stocks, each.which);
        if (execution === undefined) return;
        try {
          exchange.script.correct(execution.execId, { shares: each.shares, price: priceAt(each.level) });
        } catch (error) {
          // an older revision can't be corrected again
          if (!(error instanceof RangeError)) throw error;
        }
        return;
      }
      case 'pin':
        pinned = { level: each.level, size: each.size };
        pin();
        return;
      case 'position':
        exchange.script.setPosition('DU1234567', aaplId, each.amount, 199);
        return;
      case 'cash':
        exchange.script.setCash('DU1234567', 'EUR', each.amount * 100);
    }
  }

  pin();
  return {
    play,
    /** The same market on another venue. */
    pinOn(other: RememberingVenue, at = pinned.level, displayed = pinned.size): void {
      const price = priceAt(at);
      const sizes = { bidSize: displayed, askSize: displayed };
      other.exchange.script.pin(aaplId, { bid: price - 0.01, ask: price + 0.01, last: price, ...sizes });
    },
  };
}

/** A broker to which this happened, and one on what it left behind. */
function killedAfter(steps: readonly Step[], { isPinned = true, waitMs = 0 } = {}) {
  const folder = memoryFolder();
  folders.push(folder);
  const first = folder.open();
  const game = player(first, isPinned);
  for (const each of steps) game.play(each);
  first.clock.advance(waitMs);
  // quotes are taken over in turns of 10 ms: then both venues have the same
  first.clock.advance((10 - (first.clock.now() % 10)) % 10);
  const second = folder.open(folder.remains(), { startMs: first.clock.now() });
  return { folder, first, second, game };
}

test('after a kill at any moment the broker shows the same orders, executions, positions and money', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { first, second } = killedAfter(steps, { isPinned: false });
      expect(pictureOf(second.exchange)).toEqual(pictureOf(first.exchange));
    }),
    { numRuns: 60 },
  );
}, 60_000);

/** What does not depend on the prices of now. */
function bookOf({ exchange }: RememberingVenue) {
  const { openOrders, completedOrders, executions, commissions, positions } = pictureOf(exchange);
  return {
    openOrders,
    completedOrders,
    executions,
    commissions,
    positions: positions.map(({ contract, position, avgCost, realizedPNL }) => ({
      conId: contract.conId,
      position,
      avgCost,
      realizedPNL,
    })),
    cash: exchange.accountValues('DU1234567').filter(({ key }) => key === 'CashBalance'),
  };
}

test('what a client was told is remembered when it is told', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 25 }), fc.nat({ max: 60 }), (steps, moment) => {
      const folder = memoryFolder();
      folders.push(folder);
      const first = folder.open();
      let heard = 0;
      let left: { readonly file: string; readonly picture: ReturnType<typeof bookOf>; at: number } | null =
        null;
      const game = player(first);
      first.exchange.onEvent(() => {
        heard += 1;
        if (heard === moment + 1)
          left = { file: folder.remains(), picture: bookOf(first), at: first.clock.now() };
      });
      for (const each of steps) if (left === null) game.play(each);
      if (left === null) return;
      const { file, picture, at } = left;
      const second = folder.open(file, { startMs: at });
      expect(bookOf(second)).toEqual(picture);
    }),
    { numRuns: 60 },
  );
}, 60_000);

test('ids go on: neither permIds nor execution ids of before the kill are given again', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 25 }), (steps) => {
      const { first, second } = killedAfter(steps);
      const permIds = [...first.exchange.openOrders(), ...first.exchange.completedOrders()].map(
        ({ permId }) => permId,
      );
      const execIds = new Set(pictureOf(first.exchange).executions.map(({ execId }) => execId.slice(0, 17)));
      second.place({ orderId: 1000, totalQuantity: 1 }, 2_000);
      expect(second.order(1000).permId).toBeGreaterThan(Math.max(0, ...permIds));
      expect(second.executions(1000)).toHaveLength(1);
      for (const { execId } of second.executions(1000)) expect(execIds).not.toContain(execId.slice(0, 17));
    }),
    { numRuns: 40 },
  );
}, 60_000);

test('working orders fill and trigger after a kill as they would have without it', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.constantFrom(-60, 60), (steps, to) => {
      // what is on its way into the book is lost with the process
      const { first, second, game } = killedAfter(steps, { waitMs: 500 });
      const { openOrders, completedOrders } = bookOf(first);
      const known = new Set([...openOrders, ...completedOrders].map(({ permId }) => permId));
      for (const venue of [first, second]) {
        game.pinOn(venue, to, 100_000);
        venue.clock.advance(5_000);
      }
      const ends = (venue: RememberingVenue) =>
        [...venue.exchange.openOrders(), ...venue.exchange.completedOrders()]
          .filter(({ contract, permId }) => contract.secType === 'STK' && known.has(permId))
          .map(({ permId, status, filled, remaining }) => ({ permId, status, filled, remaining }))
          .sort((left, right) => left.permId - right.permId);
      expect(ends(second)).toEqual(ends(first));
    }),
    { numRuns: 60 },
  );
}, 60_000);
