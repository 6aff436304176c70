import { describe, expect, test } from 'vitest';
import type { Print, Tick } from '../../src/simulator/model.ts';
import { aaplId, mondayMorning, openVenue, query } from './exchangeDriver.ts';

const ids = [aaplId, 756733, 649180695, 12087792, 15016059, 14204, 479624278, 416904];
const trades = { whatToShow: 'TRADES', useRth: false } as const;

function isOnGrid(price: number, tick: number): boolean {
  return Math.abs(price / tick - Math.round(price / tick)) < 1e-6;
}

describe('quotes', () => {
  test('depend on the seed, the contract and the time, not on what was asked before', () => {
    const one = openVenue({ seed: 3 });
    const other = openVenue({ seed: 3 });
    const stranger = openVenue({ seed: 4 });
    for (const id of [...ids].reverse()) other.exchange.quote(id);
    one.exchange.subscribeTicks(aaplId, () => {});
    one.clock.advance(61_234);
    other.clock.advance(61_234);
    stranger.clock.advance(61_234);
    const prices = (venue: typeof one) =>
      ids.map((id) => {
        const quote = venue.exchange.quote(id);
        return [quote?.bid, quote?.ask, quote?.last];
      });
    // a watched quote may be up to one turn of the wheel old: let it turn
    one.clock.advance(10);
    other.clock.advance(10);
    expect(prices(one).slice(1)).toEqual(prices(other).slice(1));
    expect(prices(one)).not.toEqual(prices(stranger));
  });

  test('stand on the grid, with the bid below the ask and sizes above zero', () => {
    const { exchange, clock } = openVenue();
    for (let i = 0; i < 40; i++) {
      for (const id of ids) {
        const quote = exchange.quote(id);
        const [details] = exchange.findContracts(query({ conId: id }));
        if (quote === null || details === undefined) throw new Error(`no quote of ${id}`);
        if (quote.bid !== -1) {
          expect(quote.bid).toBeLessThan(quote.ask);
          expect(isOnGrid(quote.bid, details.minTick)).toBe(true);
          expect(isOnGrid(quote.ask, details.minTick)).toBe(true);
          expect(Math.min(quote.bidSize, quote.askSize)).toBeGreaterThan(0);
        }
        if (quote.last !== -1) {
          expect(isOnGrid(quote.last, details.minTick)).toBe(true);
          expect(quote.high).toBeGreaterThanOrEqual(quote.last);
          expect(quote.low).toBeLessThanOrEqual(quote.last);
        }
      }
      clock.advance(4_321);
    }
  });

  test('move by ticks that lead from the snapshot to the newest quote', () => {
    const { exchange, clock } = openVenue();
    const state: Record<string, number> = { ...exchange.quote(aaplId) } as never;
    const seen: Tick[] = [];
    const stop = exchange.subscribeTicks(aaplId, (tick) => {
      seen.push(tick);
      if ('price' in tick) state[tick.field] = tick.price;
      if ('size' in tick)
        state[tick.field.endsWith('ize') || tick.field === 'volume' ? tick.field : `${tick.field}Size`] =
          tick.size;
    });
    const volumes: number[] = [];
    for (let i = 0; i < 50; i++) {
      clock.advance(100);
      volumes.push(state.volume ?? 0);
    }
    expect(seen.length).toBeGreaterThan(50);
    expect({ ...exchange.quote(aaplId), halted: 0 }).toEqual({ ...state, halted: 0 });
    expect(volumes).toEqual([...volumes].sort((a, b) => a - b));
    stop();
    const before = seen.length;
    clock.advance(1_000);
    expect(seen.length).toBe(before);
  });

  test('nothing ticks for contracts that nobody watches', () => {
    const { exchange, clock, events } = openVenue();
    const stop = exchange.subscribeTicks(aaplId, () => {});
    stop();
    clock.advance(20);
    let timers = 0;
    const setTimeout = clock.setTimeout.bind(clock);
    clock.setTimeout = (callback, delayMs) => {
      timers += 1;
      return setTimeout(callback, delayMs);
    };
    clock.advance(60_000);
    expect(timers).toBe(0);
    expect(events).toEqual([]);
  });

  test('a hundred contracts at one tick per millisecond are served by one timer', () => {
    const { exchange, clock } = openVenue({ tickIntervalMs: 1 });
    const strikes = exchange.optionParameters('SPY', 'SMART', 'STK', 756733)[0]?.strikes ?? [];
    const some = [
      aaplId,
      756733,
      649180695,
      479624278,
      ...strikes.slice(0, 96).map((_, i) => 790_000_001 + i),
    ];
    let ticks = 0;
    for (const id of some) exchange.subscribeTicks(id, () => ticks++);
    let timers = 0;
    const setTimeout = clock.setTimeout.bind(clock);
    clock.setTimeout = (callback, delayMs) => {
      timers += 1;
      return setTimeout(callback, delayMs);
    };
    clock.advance(200);
    expect(ticks).toBeGreaterThan(100 * 100);
    expect(timers).toBeLessThanOrEqual(201);
  });

  test('prints are on the tape at their price, newest last', () => {
    const { exchange, clock } = openVenue();
    const prints: Print[] = [];
    exchange.subscribePrints(aaplId, (print) => prints.push(print));
    clock.advance(5_000);
    expect(prints.length).toBeGreaterThan(10);
    expect(prints.every(({ size, exchange: venue }) => size > 0 && venue !== '')).toBe(true);
    expect(prints.map(({ time }) => time)).toEqual(prints.map(({ time }) => time).sort((a, b) => a - b));
    const past = exchange.historicalPrints(aaplId, null, clock.now(), 10);
    expect(past.map(({ time, price }) => [time, price])).toEqual(
      prints.slice(-10).map(({ time, price }) => [time, price]),
    );
    const from = exchange.historicalPrints(aaplId, past[0]?.time ?? 0, null, 3);
    expect(from).toHaveLength(3);
  });

  test('depth begins with inserts and keeps both sides sorted around the quote', () => {
    const { exchange, clock } = openVenue();
    const sides: { price: number; size: number }[][] = [[], []];
    let inserts = 0;
    exchange.subscribeDepth(aaplId, 5, ({ position, operation, side, price, size }) => {
      const rows = sides[side] ?? [];
      if (operation === 0) inserts += 1;
      if (operation === 2) rows.length = position;
      else rows[position] = { price, size };
    });
    expect(inserts).toBe(10);
    for (let i = 0; i < 30; i++) {
      clock.advance(250);
      const quote = exchange.quote(aaplId);
      const [asks = [], bids = []] = sides;
      expect(asks[0]).toEqual({ price: quote?.ask, size: quote?.askSize });
      expect(bids[0]).toEqual({ price: quote?.bid, size: quote?.bidSize });
      for (const rows of [asks.map(({ price }) => price), bids.map(({ price }) => -price)])
        expect(rows).toEqual([...rows].sort((a, b) => a - b));
    }
  });

  test('options follow their underlying and obey parity', () => {
    const { exchange } = openVenue();
    exchange.script.pin(aaplId, { bid: 299.99, ask: 300.01, last: 300 });
    const [call, put] = (['C', 'P'] as const).map(
      (right) =>
        exchange.findContracts(
          query({
            symbol: 'AAPL',
            secType: 'OPT',
            lastTradeDateOrContractMonth: '20270319',
            strike: 300,
            right,
            exchange: 'SMART',
          }),
        )[0]?.contract.conId ?? 0,
    );
    const callModel = exchange.optionModel(call ?? 0, { volatility: 0.3 });
    const putModel = exchange.optionModel(put ?? 0, { volatility: 0.3 });
    expect((callModel?.delta ?? 0) - (putModel?.delta ?? 0)).toBeCloseTo(1, 5);
    const years = (Date.UTC(2027, 2, 19, 20) - mondayMorning) / 31_536_000_000;
    expect((callModel?.optPrice ?? 0) - (putModel?.optPrice ?? 0)).toBeCloseTo(
      300 - 300 * Math.exp(-0.04 * years),
      2,
    );
    const back = exchange.optionModel(call ?? 0, { optionPrice: callModel?.optPrice ?? 0 });
    expect(back?.impliedVol).toBeCloseTo(0.3, 4);
    expect(exchange.optionModel(call ?? 0, { optionPrice: 1e6 })).toBeNull();
    const before = exchange.quote(call ?? 0);
    exchange.script.pin(aaplId, { bid: 309.99, ask: 310.01, last: 310 });
    const after = exchange.quote(call ?? 0);
    const middle = (quote: typeof before) => ((quote?.bid ?? 0) + (quote?.ask ?? 0)) / 2;
    expect(middle(after) - middle(before)).toBeGreaterThan(4);
    expect(exchange.optionModel(aaplId)).toBeNull();
  });
});

describe('bars', () => {
  test('join the live quote: the forming bar closes at the last trade', () => {
    const { exchange, clock } = openVenue();
    for (const id of [aaplId, 649180695, 416904]) {
      clock.advance(7_777);
      const bars = exchange.bars({
        conId: id,
        end: clock.now(),
        durationSeconds: 3600,
        barSeconds: 60,
        ...trades,
      });
      expect(bars.at(-1)?.close).toBe(exchange.quote(id)?.last);
    }
    const mid = exchange.bars({
      conId: 12087792,
      end: clock.now(),
      durationSeconds: 600,
      barSeconds: 60,
      whatToShow: 'BID',
      useRth: false,
    });
    expect(mid.at(-1)?.close).toBe(exchange.quote(12087792)?.bid);
  });

  test('are the same when asked again later, and each opens where its time begins', () => {
    const { exchange, clock } = openVenue();
    const end = clock.now();
    const ask = () =>
      exchange.bars({ conId: aaplId, end, durationSeconds: 7200, barSeconds: 300, ...trades });
    const first = ask();
    clock.advance(3_600_000);
    expect(ask()).toEqual(first);
    expect(first).toHaveLength(24);
    first.forEach((bar, index) => {
      expect(bar.time).toBe(end - 7_200_000 + index * 300_000);
      const previous = first[index - 1];
      if (previous !== undefined) expect(bar.open).toBe(previous.close);
    });
  });

  test.each([5, 60, 300, 3600, 86400])('of %i s are consistent and on the grid', (barSeconds) => {
    const { exchange, clock } = openVenue();
    const bars = exchange.bars({
      conId: aaplId,
      end: clock.now(),
      durationSeconds: barSeconds * 50,
      barSeconds,
      ...trades,
    });
    expect(bars.length).toBe(50);
    for (const { open, high, low, close, volume, wap, count } of bars) {
      expect(high).toBeGreaterThanOrEqual(Math.max(open, close));
      expect(low).toBeLessThanOrEqual(Math.min(open, close));
      for (const price of [open, high, low, close]) expect(isOnGrid(price, 0.01)).toBe(true);
      expect(volume).toBeGreaterThan(0);
      expect(count).toBeGreaterThan(0);
      expect(wap).toBeGreaterThanOrEqual(low);
      expect(wap).toBeLessThanOrEqual(high);
    }
  });

  test('small bars add up to large ones', () => {
    const { exchange, clock } = openVenue();
    const end = Math.floor(clock.now() / 60_000) * 60_000;
    const range = { conId: aaplId, end, durationSeconds: 600, ...trades };
    const fine = exchange.bars({ ...range, barSeconds: 60 });
    const coarse = exchange.bars({ ...range, barSeconds: 300 });
    expect(fine).toHaveLength(10);
    expect(coarse).toHaveLength(2);
    coarse.forEach((bar, index) => {
      const parts = fine.slice(index * 5, index * 5 + 5);
      expect(bar.open).toBe(parts[0]?.open);
      expect(bar.close).toBe(parts.at(-1)?.close);
      expect(bar.high).toBe(Math.max(...parts.map(({ high }) => high)));
      expect(bar.low).toBe(Math.min(...parts.map(({ low }) => low)));
      expect(bar.volume).toBe(parts.reduce((sum, { volume }) => sum + volume, 0));
    });
  });

  test('of the regular calendar lie within the sessions', () => {
    const { exchange, clock } = openVenue({ calendar: 'regular' });
    const day = {
      conId: aaplId,
      end: clock.now(),
      durationSeconds: 4 * 86400,
      barSeconds: 1800,
      whatToShow: 'TRADES',
    };
    const regular = exchange.bars({ ...day, useRth: true });
    const all = exchange.bars({ ...day, useRth: false });
    expect(all.length).toBeGreaterThan(regular.length);
    for (const { time } of regular) {
      const hour = new Date(time - 5 * 3_600_000);
      expect([0, 6]).not.toContain(hour.getUTCDay());
      expect(hour.getUTCHours() * 60 + hour.getUTCMinutes()).toBeGreaterThanOrEqual(570);
      expect(hour.getUTCHours() * 60 + hour.getUTCMinutes()).toBeLessThan(960);
    }
  });

  test('answer empty for series that do not exist, and start at the head', () => {
    const { exchange, clock } = openVenue();
    const one = { end: clock.now(), durationSeconds: 600, barSeconds: 60, useRth: false };
    expect(exchange.bars({ ...one, conId: 12087792, whatToShow: 'TRADES' })).toEqual([]);
    expect(exchange.bars({ ...one, conId: aaplId, whatToShow: 'NOSUCH' })).toEqual([]);
    expect(exchange.bars({ ...one, conId: 1, whatToShow: 'TRADES' })).toEqual([]);
    const head = exchange.headTimestamp(aaplId, 'TRADES') ?? 0;
    expect(head).toBeLessThan(Date.UTC(2010, 0, 1));
    expect(exchange.headTimestamp(12087792, 'TRADES')).toBeNull();
    expect(exchange.bars({ ...one, end: head - 1, conId: aaplId, whatToShow: 'TRADES' })).toEqual([]);
    const histogram = exchange.histogram(aaplId, 86400);
    expect(histogram.length).toBeGreaterThan(5);
    expect(histogram.map(({ price }) => price)).toEqual(
      histogram.map(({ price }) => price).sort((a, b) => a - b),
    );
  });
});
