import { afterEach, describe, expect, test } from 'vitest';
import { createActor } from 'xstate';
import type { Contract } from '../../machines/instrument.ts';
import type { MarketInput } from '../../machines/market.machine.ts';
import { marketMachine } from '../../machines/market.machine.ts';
import type { Bar, Beat, Line, RequestFailure, TickSink } from '../../machines/market.ts';
import { subscriptionMachine } from '../../machines/subscription.machine.ts';
import type { ContractDetails } from '../../machines/tws.ts';
import type { MarketPort } from '../../src/http/options.ts';
import type { MarketOptions } from '../../src/market/market.ts';
import { createMarket } from '../../src/market/market.ts';
import { VirtualTime } from './virtual-time.ts';

const stock = (symbol: string): Contract => ({ symbol, secType: 'STK', exchange: 'SMART', currency: 'USD' });

function detailsOf(contract: Contract, change: Partial<ContractDetails> = {}): ContractDetails {
  return {
    contract,
    instrument: contract.symbol ?? '',
    longName: '',
    minTick: 0.01,
    timeZone: 'America/New_York',
    tradingHours: '20261118:0400-20261118:2000;20261119:0400-20261119:2000;20261121:CLOSED',
    liquidHours: '20261118:0930-20261118:1600;20261119:0930-20261119:1600;20261121:CLOSED',
    validExchanges: ['SMART'],
    orderTypes: ['LMT'],
    ...change,
  };
}

interface Venue {
  readonly sinks: Map<string, TickSink>;
  readonly opened: Map<string, number>;
  isConnected: boolean;
  /** what answers each question in turn; the last one for ever */
  bars: (readonly Bar[] | RequestFailure)[];
  details: (contract: Contract) => Promise<readonly ContractDetails[] | RequestFailure>;
  readonly asked: { bars: number; details: number; search: number };
}

/** Lines other than of quotes are tried over TCP. */
const notServed = () => ({ failed: { code: 'not-served', message: 'quotes only' } });
const noOtherLines = { openDepth: notServed, openTrades: notServed, openBars: notServed };

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function setUp(input: MarketInput = {}, change: Partial<MarketOptions> = {}, start?: number) {
  const time = new VirtualTime(start);
  const venue: Venue = {
    sinks: new Map(),
    opened: new Map(),
    isConnected: true,
    bars: [[]],
    details: (contract) => Promise.resolve([detailsOf(contract)]),
    asked: { bars: 0, details: 0, search: 0 },
  };
  const market = createMarket({
    lines: {
      openLine(contract, sink): Line | RequestFailure {
        if (!venue.isConnected) return { failed: { code: 'not-connected', message: 'no session' } };
        const key = contract.symbol ?? '';
        venue.sinks.set(key, sink);
        venue.opened.set(key, (venue.opened.get(key) ?? 0) + 1);
        return {
          close() {
            if (venue.sinks.get(key) === sink) venue.sinks.delete(key);
          },
        };
      },
      ...noOtherLines,
    },
    requests: {
      contractDetails(contract) {
        venue.asked.details += 1;
        return venue.details(contract);
      },
      search(pattern) {
        venue.asked.search += 1;
        return Promise.resolve([{ contract: stock(pattern), description: '', derivativeSecTypes: [] }]);
      },
      bars() {
        venue.asked.bars += 1;
        const answer = venue.bars.length > 1 ? venue.bars.shift() : venue.bars[0];
        return Promise.resolve(answer ?? []);
      },
    },
    now: time.now,
    beatMs: 50,
    scheduler: time.scheduler,
    ...change,
  });
  const actor = createActor(
    marketMachine.provide({
      actors: { subscription: subscriptionMachine.provide({ actors: { line: market.lineLogic } }) },
    }),
    { input, clock: time.clock },
  ).start();
  market.bind(actor);
  closers.push(() => {
    actor.stop();
    market.close();
  });
  const tick = (key: string, value: number) => venue.sinks.get(key)?.tick('bid', value, time.now());
  return {
    time,
    market,
    actor,
    venue,
    tick,
    ready: (sessionId = 's1') => actor.send({ type: 'tws.ready', sessionId }),
    /** a feed that ticks every `gapMs` for so long */
    flow(keys: readonly string[], ms: number, gapMs = 500) {
      for (let passed = 0; passed < ms; passed += gapMs) {
        for (const key of keys) tick(key, passed + 1);
        time.advance(gapMs);
      }
    },
  };
}

const query = { duration: '1 D', barSize: '1 min', whatToShow: 'TRADES', regularHoursOnly: true };
const pacing: RequestFailure = { failed: { code: '162', message: 'pacing violation' }, retryAfterMs: 10_000 };
const bar: Bar = {
  time: '2026-11-18T15:00:00Z',
  open: 1,
  high: 2,
  low: 1,
  close: 2,
  volume: 10,
  wap: 1.5,
  count: 3,
};

test('it is what the face needs', () => {
  const { market } = setUp();
  const port: MarketPort = market;
  expect(port.quote('AAPL')).toBeUndefined();
});

describe('a quote', () => {
  test('goes from tick to beat, and away with its last reader', async () => {
    const { time, market, venue, ready } = setUp();
    const beats: Beat[] = [];
    market.beat$.subscribe((beat) => beats.push(beat));
    ready();
    const reader = market.acquire(stock('AAPL'), 'AAPL');
    expect(market.quote('AAPL')).toBeUndefined();
    venue.sinks.get('AAPL')?.tick('bid', 187.22, time.now());
    venue.sinks.get('AAPL')?.tick('ask', 187.23, time.now());
    time.advance(50);
    expect(beats).toHaveLength(1);
    expect(JSON.parse(beats[0]?.rows.get('AAPL')?.delta ?? '')).toMatchObject({
      bid: 187.22,
      status: 'live',
    });
    expect(market.quote('AAPL')).toMatchObject({ key: 'AAPL', bid: 187.22, ask: 187.23, status: 'live' });
    expect(market.mark('AAPL')).toEqual({
      bid: 187.22,
      ask: 187.23,
      last: null,
      close: null,
      at: time.now() - 50,
    });
    time.advance(10_000);
    expect(beats).toHaveLength(1);
    reader.release();
    reader.release();
    await time.pass(7_000, 1_000);
    expect(venue.sinks.size).toBe(0);
    expect(market.quote('AAPL')).toBeUndefined();
    expect(market.mark('AAPL')).toBeNull();
  });

  test('of a closed line takes no more ticks', () => {
    const { market, actor, venue, time, ready, tick } = setUp();
    ready();
    market.acquire(stock('AAPL'), 'AAPL');
    tick('AAPL', 1);
    const old = venue.sinks.get('AAPL');
    actor.send({ type: 'tws.restored', dataLost: true });
    expect(market.quote('AAPL')?.status).toBe('stale');
    old?.tick('bid', 99, time.now());
    old?.ended({ code: '300', message: 'late' }, null);
    expect(market.quote('AAPL')).toMatchObject({ bid: 1, status: 'stale' });
    tick('AAPL', 2);
    expect(market.quote('AAPL')).toMatchObject({ bid: 2, status: 'live' });
  });

  test('whose machine was replaced is read on: the new one is told of every reader', () => {
    const { market, time, ready, actor, venue } = setUp();
    const start = () =>
      createActor(
        marketMachine.provide({
          actors: { subscription: subscriptionMachine.provide({ actors: { line: market.lineLogic } }) },
        }),
        { input: { sessionId: 's1' }, clock: time.clock },
      ).start();
    let current = actor;
    market.bind({ send: (command) => current.send(command), getSnapshot: () => current.getSnapshot() });
    ready();
    const first = market.acquire(stock('AAPL'), 'AAPL');
    market.acquire(stock('AAPL'), 'AAPL');
    expect(market.line('AAPL')?.readers).toBe(2);
    actor.stop();
    current = start();
    closers.push(() => current.stop());
    time.advance(1_000);
    expect(market.line('AAPL')?.readers).toBe(2);
    expect(venue.opened.get('AAPL')).toBe(2);
    first.release();
    time.advance(10_000);
    expect(market.line('AAPL')?.readers).toBe(1);
  });

  test('for which there was no room is taken in when there is', () => {
    const { market, time, ready } = setUp({ rowLimit: 1, lingerMs: 1_000 });
    ready();
    const first = market.acquire(stock('AAPL'), 'AAPL');
    market.acquire(stock('MSFT'), 'MSFT');
    market.acquire(stock('MSFT'), 'MSFT');
    expect(market.line('MSFT')).toBeUndefined();
    first.release();
    time.advance(3_000);
    expect(market.line('MSFT')).toMatchObject({ readers: 2, standing: 'requesting' });
  });
});

describe('the first quote', () => {
  test('waits until the first burst is over', async () => {
    const { time, market, venue, ready } = setUp();
    ready();
    market.acquire(stock('AAPL'), 'AAPL');
    const first = market.firstQuote('AAPL', 2_000);
    await time.pass(500);
    venue.sinks.get('AAPL')?.tick('bid', 1, time.now());
    await time.pass(60, 10);
    venue.sinks.get('AAPL')?.tick('ask', 2, time.now());
    await time.pass(150);
    expect(await first).toMatchObject({ bid: 1, ask: 2 });
    await time.pass(200);
    expect(await market.firstQuote('AAPL', 0)).toMatchObject({ bid: 1, ask: 2 });
  });

  test('of an instrument that is new while the link is cut says that', async () => {
    const { actor, market, ready } = setUp();
    ready();
    actor.send({ type: 'tws.severed' });
    market.acquire(stock('AAPL'), 'AAPL');
    expect(await market.firstQuote('AAPL', 1_000)).toMatchObject({ failed: { code: 'severed' } });
    expect(market.quoteTrouble('AAPL')).toBeNull();
  });

  test('is undefined when nothing comes, and says why when something is known', async () => {
    const { time, market, venue, ready } = setUp({ lineLimits: { quotes: 1 } });
    market.acquire(stock('AAPL'), 'AAPL');
    expect(await market.firstQuote('AAPL', 1_000)).toMatchObject({ failed: { code: 'not-connected' } });
    ready();
    const silent = market.firstQuote('AAPL', 1_000);
    market.acquire(stock('MSFT'), 'MSFT');
    expect(await market.firstQuote('MSFT', 1_000)).toMatchObject({ failed: { code: 'line-limit' } });
    await time.pass(1_100);
    expect(await silent).toBeUndefined();
    const refused = market.firstQuote('AAPL', 5_000);
    venue.sinks.get('AAPL')?.ended({ code: '200', message: 'no such contract' }, null);
    await time.pass(100);
    expect(await refused).toEqual({ failed: { code: '200', message: 'no such contract' } });
    expect(await market.firstQuote('XYZ', 1_000)).toMatchObject({ failed: { code: 'line-limit' } });
  });

  test('is answered when the market closes', async () => {
    const { market, ready } = setUp();
    ready();
    market.acquire(stock('AAPL'), 'AAPL');
    const waiting = market.firstQuote('AAPL', 60_000);
    market.close();
    expect(await waiting).toBeUndefined();
  });
});

describe('freshness', () => {
  test('half of the feeds go silent while the session lives: those are stale and asked for once more', async () => {
    const { market, venue, ready, flow } = setUp();
    const keys = ['A', 'B', 'C', 'D'];
    ready();
    for (const key of keys) market.acquire(stock(key), key);
    flow(keys, 30_000);
    for (let second = 0; second < 18; second += 1) {
      flow(['A', 'B'], 1_000);
      await Promise.resolve();
      await Promise.resolve();
    }
    expect(keys.map((key) => market.quote(key)?.status)).toEqual(['live', 'live', 'stale', 'stale']);
    expect(market.figures()).toMatchObject({ linesStale: 2 });
    flow(['A', 'B'], 5_000);
    expect(Object.fromEntries(venue.opened)).toEqual({ A: 1, B: 1, C: 2, D: 2 });
    flow(keys, 60_000);
    expect(keys.map((key) => market.quote(key)?.status)).toEqual(['live', 'live', 'live', 'live']);
    expect(Object.fromEntries(venue.opened)).toEqual({ A: 1, B: 1, C: 2, D: 2 });
  });

  test('a slow feed is not silent by the measure of a fast one', async () => {
    const { market, venue, ready, flow } = setUp();
    ready();
    market.acquire(stock('SLOW'), 'SLOW');
    flow(['SLOW'], 120_000, 5_000);
    for (let step = 0; step < 6; step += 1) {
      flow([], 10_000, 1_000);
      await Promise.resolve();
    }
    expect(market.quote('SLOW')?.status).toBe('live');
    expect(venue.opened.get('SLOW')).toBe(1);
  });

  test('a feed that stops because its market closed is not asked for, nor is it when the market opens', async () => {
    // 15:59 in New York, one minute before the end of regular trading
    const { time, market, venue, ready, flow } = setUp({}, {}, Date.UTC(2026, 10, 18, 20, 59));
    ready();
    market.acquire(stock('AAPL'), 'AAPL');
    flow(['AAPL'], 60_000);
    await time.pass(17.5 * 3_600_000 + 10_000, 10_000);
    expect(market.quote('AAPL')?.status).toBe('live');
    expect(venue.opened.get('AAPL')).toBe(1);
    // once when the silence began, then whenever the answer was an hour old
    expect(venue.asked.details).toBeLessThanOrEqual(18);
    await time.pass(30_000, 1_000);
    expect(venue.opened.get('AAPL')).toBe(2);
  });

  test('a feed that lived outside its hours is held to its own rhythm', async () => {
    const { time, market, ready, flow } = setUp({}, {}, Date.UTC(2026, 10, 19, 7, 0));
    ready();
    market.acquire(stock('AAPL'), 'AAPL');
    flow(['AAPL'], 30_000);
    await time.pass(18_000, 1_000);
    expect(market.quote('AAPL')?.status).toBe('stale');
  });

  test('after a change of kind silence counts anew', async () => {
    const { time, market, venue, ready, flow } = setUp();
    ready();
    market.acquire(stock('AAPL'), 'AAPL');
    flow(['AAPL'], 10_000);
    venue.sinks.get('AAPL')?.dataKind('frozen', time.now());
    await time.pass(600_000, 5_000);
    venue.sinks.get('AAPL')?.dataKind('live', time.now());
    await time.pass(14_000, 1_000);
    expect(market.quote('AAPL')?.status).toBe('live');
    await time.pass(3_000, 1_000);
    expect(market.quote('AAPL')?.status).toBe('stale');
  });

  test('hours that nobody can tell excuse nothing', async () => {
    const { time, market, venue, ready, flow } = setUp();
    venue.details = () => Promise.resolve({ failed: { code: '200', message: 'unknown' } });
    ready();
    market.acquire(stock('AAPL'), 'AAPL');
    flow(['AAPL'], 30_000);
    await time.pass(18_000, 1_000);
    expect(market.quote('AAPL')?.status).toBe('stale');
  });

  test('halted and frozen are no silence', async () => {
    const { time, market, venue, ready, flow } = setUp();
    ready();
    for (const key of ['A', 'B']) market.acquire(stock(key), key);
    flow(['A', 'B'], 10_000);
    venue.sinks.get('A')?.halted(true, time.now());
    venue.sinks.get('B')?.dataKind('frozen', time.now());
    await time.pass(600_000, 5_000);
    expect([market.quote('A')?.status, market.quote('B')?.status]).toEqual(['halted', 'frozen']);
    expect(Object.fromEntries(venue.opened)).toEqual({ A: 1, B: 1 });
  });

  test('the link back with data kept, and the data stays dead: stale at once, asked for after a measured silence', async () => {
    const { time, market, venue, actor, ready, flow } = setUp();
    ready();
    market.acquire(stock('AAPL'), 'AAPL');
    flow(['AAPL'], 10_000);
    actor.send({ type: 'tws.severed' });
    expect(market.quote('AAPL')?.status).toBe('stale');
    await time.pass(600_000, 1_000);
    actor.send({ type: 'tws.restored', dataLost: false });
    expect(venue.opened.get('AAPL')).toBe(1);
    await time.pass(15_000, 1_000);
    expect(venue.opened.get('AAPL')).toBe(1);
    await time.pass(8_000, 1_000);
    expect(venue.opened.get('AAPL')).toBe(2);
    flow(['AAPL'], 1_000);
    expect(market.quote('AAPL')?.status).toBe('live');
  });

  test('a competing session: not live, asked again each half minute, live when it ends', async () => {
    const { time, market, venue, ready, flow } = setUp();
    ready();
    market.acquire(stock('AAPL'), 'AAPL');
    flow(['AAPL'], 1_000);
    const openedAt: number[] = [];
    for (let second = 0; second < 100; second += 1) {
      const sink = venue.sinks.get('AAPL');
      if (sink) {
        openedAt.push(second);
        sink.ended({ code: '10197', message: 'competing session' }, 30_000);
      }
      expect(market.quote('AAPL')?.status).toBe('stale');
      await time.pass(1_000, 500);
    }
    expect(openedAt).toEqual([0, 30, 60, 90]);
    expect(market.figures()).toMatchObject({ linesRefused: 1 });
    await time.pass(25_000, 1_000);
    flow(['AAPL'], 1_000);
    expect(market.quote('AAPL')?.status).toBe('live');
  });
});

describe('questions', () => {
  test('about a contract are asked once, whoever asks and however its fields are ordered', async () => {
    const { market, venue } = setUp();
    const answers = await Promise.all([
      market.contracts({ symbol: 'AAPL', secType: 'STK' }),
      market.contracts({ secType: 'STK', symbol: 'AAPL' }),
    ]);
    await market.contracts({ symbol: 'AAPL', secType: 'STK' });
    expect(venue.asked.details).toBe(1);
    expect(answers[0]).toBe(answers[1]);
  });

  test('are asked again when they failed, or when the answer is an hour old', async () => {
    const { time, market, venue } = setUp();
    venue.details = () => Promise.resolve({ failed: { code: 'timeout', message: 'no answer' } });
    expect(await market.contracts(stock('AAPL'))).toMatchObject({ failed: { code: 'timeout' } });
    venue.details = (contract) => Promise.resolve([detailsOf(contract)]);
    await market.contracts(stock('AAPL'));
    time.advance(3_600_001);
    await market.contracts(stock('AAPL'));
    expect(venue.asked.details).toBe(3);
  });

  test('remember a bounded number of answers, the least used go first', async () => {
    const { market, venue } = setUp();
    await market.contracts(stock('KEPT'));
    for (let index = 0; index < 1100; index += 1) {
      await market.contracts(stock(`S${index}`));
      if (index % 100 === 0) await market.contracts(stock('KEPT'));
    }
    expect(venue.asked.details).toBe(1101);
    await market.contracts(stock('S0'));
    expect(venue.asked.details).toBe(1102);
  });

  test('more than fifty at once are turned away', async () => {
    const { market, venue } = setUp();
    let answer: (value: readonly ContractDetails[]) => void = () => undefined;
    venue.details = () =>
      new Promise((resolve) => {
        const others = answer;
        answer = (value) => {
          others(value);
          resolve(value);
        };
      });
    const all = Array.from({ length: 51 }, (_, index) => market.contracts(stock(`S${index}`)));
    expect(await all[50]).toMatchObject({ failed: { code: 'too-many-requests' }, retryAfterMs: 1000 });
    answer([]);
    expect(await all[49]).toEqual([]);
  });

  test('for history wait out a pacing violation', async () => {
    const { time, market, venue } = setUp();
    venue.bars = [pacing, [bar]];
    const answer = market.bars(stock('AAPL'), query);
    const same = market.bars(stock('AAPL'), query);
    await time.pass(9_000, 1_000);
    expect(venue.asked.bars).toBe(1);
    await time.pass(2_000, 1_000);
    // It began a moment ago: its figures may still change.
    expect(await answer).toEqual([{ ...bar, partial: true }]);
    expect(await same).toEqual(await answer);
    expect(venue.asked.bars).toBe(2);
  });

  test('for history that would be held too long are answered with the wait', async () => {
    const { time, market, venue } = setUp();
    venue.bars = [pacing];
    const answer = market.bars(stock('AAPL'), query);
    await time.pass(60_000, 1_000);
    expect(await answer).toEqual(pacing);
    expect(venue.asked.bars).toBeLessThanOrEqual(3);
  });

  test('held over the end of the market are answered then', async () => {
    const { time, market, venue } = setUp();
    venue.bars = [pacing];
    const answer = market.bars(stock('AAPL'), query);
    await time.pass(1_000, 500);
    market.close();
    expect(await answer).toEqual(pacing);
  });

  test('for symbols are asked once a minute per pattern', async () => {
    const { time, market, venue } = setUp();
    expect(await market.search('APPL')).toMatchObject([{ instrument: 'APPL' }]);
    await market.search('APPL');
    expect(venue.asked.search).toBe(1);
    time.advance(60_001);
    await market.search('APPL');
    expect(venue.asked.search).toBe(2);
  });
});

test('the figures add up', () => {
  const { market, ready, flow } = setUp({ lineLimits: { quotes: 2 } });
  market.beat$.subscribe();
  ready();
  for (const key of ['A', 'B', 'C']) market.acquire(stock(key), key);
  flow(['A'], 19_000, 100);
  const figures = market.figures();
  expect(figures).toMatchObject({ linesOpen: 2, linesWaiting: 1, turnedAway: 0, ticks: 190 });
  expect(figures.lines).toEqual({ waiting: 1, requesting: 0, live: 1, stale: 1, refused: 0 });
  expect(figures.ticksPerSecond).toBeCloseTo(10, 0);
  expect(figures.tickToBeatMs.count).toBe(190);
  expect(figures.tickToBeatMs.max).toBeLessThanOrEqual(50);
});
