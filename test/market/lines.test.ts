/** Lines of books, prints and bars in virtual time: how long they may be silent, and what they do about what they missed. */
import { afterEach, describe, expect, test } from 'vitest';
import { createActor } from 'xstate';
import type { BarSink, DepthSink, LineFeed, Print, TradeSink } from '../../machines/feed.ts';
import { marketMachine } from '../../machines/market.machine.ts';
import type { Bar, Line } from '../../machines/market.ts';
import { subscriptionMachine } from '../../machines/subscription.machine.ts';
import type { ContractDetails } from '../../machines/tws.ts';
import { createMarket } from '../../src/market/market.ts';
import { VirtualTime } from './virtual-time.ts';

const AAPL = { symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'USD' };
const details: ContractDetails = {
  contract: AAPL,
  instrument: 'AAPL',
  longName: '',
  minTick: 0.01,
  timeZone: 'America/New_York',
  tradingHours: '20261118:0400-20261118:2000;20261119:0400-20261119:2000',
  liquidHours: '20261118:0930-20261118:1600;20261119:0930-20261119:1600',
  validExchanges: ['SMART'],
  orderTypes: ['LMT'],
};

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A market over a broker that counts requests and hands out their sinks; `start`: ms since the epoch. */
function setUp(start?: number) {
  const time = new VirtualTime(start);
  const broker = {
    depth: [] as DepthSink[],
    trades: [] as TradeSink[],
    bars: [] as BarSink[],
    closed: 0,
  };
  const keep = <Sink>(sinks: Sink[], sink: Sink): Line => {
    sinks.push(sink);
    return {
      close() {
        broker.closed += 1;
      },
    };
  };
  const failed = { failed: { code: '200', message: 'not asked here' } };
  const market = createMarket({
    lines: {
      openLine: () => failed,
      openDepth: (_contract, _rows, sink) => keep(broker.depth, sink),
      openTrades: (_contract, sink) => keep(broker.trades, sink),
      openBars: (_contract, _barSize, sink) => keep(broker.bars, sink),
    },
    requests: {
      contractDetails: () => Promise.resolve([details]),
      search: () => Promise.resolve(failed),
      bars: () => Promise.resolve(failed),
    },
    now: time.now,
    beatMs: 50,
    scheduler: time.scheduler,
  });
  const subscription = subscriptionMachine.provide({ actors: { line: market.lineLogic } });
  const actor = createActor(marketMachine.provide({ actors: { subscription } }), {
    clock: time.clock,
    input: {},
  }).start();
  market.bind(actor);
  actor.send({ type: 'tws.ready', sessionId: 's1' });
  closers.push(() => {
    actor.stop();
    market.close();
  });
  const watch = (feed: Exclude<LineFeed, { channel: 'quotes' }>) => {
    const { view, release } = market.watch(AAPL, 'AAPL', feed);
    const row = () => JSON.parse(view.row() ?? '{}') as { status?: string; bars?: { partial?: true }[] };
    return { view, release, row };
  };
  return { time, broker, market, actor, watch };
}

const print: Print = {
  time: 1_000,
  price: 1,
  size: 1,
  exchange: 'ARCA',
  conditions: '',
  pastLimit: false,
  unreported: false,
};
const barAt = (at: number, close = 1): Bar => ({
  time: new Date(at).toISOString(),
  open: 1,
  high: 9,
  low: 1,
  close,
  volume: 1,
  wap: 1,
  count: 1,
});

describe('silence', () => {
  test('a tape may be silent for ten minutes while its market trades, and is then asked for again', async () => {
    const { time, broker, watch } = setUp();
    const { row } = watch({ channel: 'trades' });
    broker.trades[0]?.backfilled([], time.now());
    expect(row().status).toBe('live');
    await time.pass(590_000, 10_000);
    expect(row().status).toBe('live');
    await time.pass(30_000, 1_000);
    expect(broker.trades.length).toBe(2);
    broker.trades[1]?.backfilled([print], time.now());
    expect(row().status).toBe('live');
    expect(broker.closed).toBe(1);
  });

  test('nobody asks again because a market closed', async () => {
    // 15:59 in New York
    const { time, broker, watch } = setUp(Date.UTC(2026, 10, 18, 20, 59));
    const trades = watch({ channel: 'trades' });
    const depth = watch({ channel: 'depth', rows: 5 });
    broker.trades[0]?.backfilled([print], time.now());
    broker.depth[0]?.level(
      { operation: 'insert', side: 'bid', position: 0, price: 1, size: 1, marketMaker: '' },
      time.now(),
    );
    await time.pass(45_000, 500);
    expect(depth.row().status).toBe('stale');
    for (const sink of broker.depth)
      sink.level(
        { operation: 'insert', side: 'bid', position: 0, price: 1, size: 1, marketMaker: '' },
        time.now(),
      );
    expect(depth.row().status).toBe('live');
    const requests = broker.depth.length;
    await time.pass(8 * 3_600_000, 10_000);
    expect([trades.row().status, depth.row().status]).toEqual(['live', 'live']);
    expect([broker.trades.length, broker.depth.length]).toEqual([1, requests]);
  });
});

describe('bars', () => {
  test('those that came while the line was in doubt are asked for again when they leave a hole', async () => {
    const { time, broker, actor, watch } = setUp();
    const { row } = watch({ channel: 'bars', barSize: '1 min' });
    const start = time.now();
    const at = (n: number) => start + n * 60_000;
    broker.bars[0]?.backfilled([barAt(at(0)), barAt(at(1))], time.now());
    broker.bars[0]?.bar(barAt(at(1), 2), time.now());
    expect(row().status).toBe('live');
    // The link blinks within the bar: nothing is missed.
    actor.send({ type: 'tws.severed' });
    expect(row().status).toBe('stale');
    actor.send({ type: 'tws.restored', dataLost: false });
    broker.bars[0]?.bar(barAt(at(1), 3), time.now());
    expect(row().status).toBe('live');
    expect(broker.bars).toHaveLength(1);
    // It is away for longer.
    actor.send({ type: 'tws.severed' });
    await time.pass(120_000, 1_000);
    actor.send({ type: 'tws.restored', dataLost: false });
    broker.bars[0]?.bar(barAt(at(3), 5), time.now());
    expect(broker.bars).toHaveLength(2);
    expect(broker.closed).toBe(1);
    expect(row().bars).toHaveLength(2);
    broker.bars[1]?.backfilled(
      [0, 1, 2, 3].map((n) => barAt(at(n), 7 + n)),
      time.now(),
    );
    expect(row().status).toBe('live');
    expect(row().bars).toMatchObject([
      { close: 7, corrected: true },
      { close: 8 },
      { close: 9 },
      { close: 10, partial: true },
    ]);
    expect(row().bars?.[1]).not.toHaveProperty('corrected');
  });

  test('the last bar of a day is closed by time', async () => {
    const { time, broker, watch } = setUp();
    const { row } = watch({ channel: 'bars', barSize: '1 min' });
    broker.bars[0]?.backfilled([barAt(time.now())], time.now());
    await time.pass(40_000, 1_000);
    broker.bars[0]?.bar(barAt(time.now() - 40_000, 4), time.now());
    expect(row().bars?.[0]).toHaveProperty('partial');
    await time.pass(32_000, 1_000);
    expect(row().bars?.[0]).not.toHaveProperty('partial');
  });

  test('pacing is waited out, and asked for once then', async () => {
    const { time, broker, watch, market } = setUp();
    const { view, row } = watch({ channel: 'bars', barSize: '1 min' });
    broker.bars[0]?.ended({ code: '162', message: 'pacing violation' }, 15_000);
    await time.pass(100, 50);
    expect(view.trouble).toEqual({
      reason: { code: '162', message: 'pacing violation' },
      retryAfterMs: 15_000,
    });
    await time.pass(14_800, 100);
    expect(broker.bars).toHaveLength(1);
    await time.pass(200, 50);
    expect(broker.bars).toHaveLength(2);
    broker.bars[1]?.backfilled([barAt(time.now())], time.now());
    await time.pass(100, 50);
    expect(row().status).toBe('live');
    expect(view.trouble).toBeNull();
    expect(market.figures().channels.bars).toMatchObject({ live: 1, refused: 0 });
  });
});

test('what nobody reads any more is forgotten with its line', async () => {
  const { time, broker, watch, market } = setUp();
  const first = watch({ channel: 'trades' });
  const second = watch({ channel: 'trades' });
  expect(second.view).toBe(first.view);
  broker.trades[0]?.backfilled([print], time.now());
  first.release();
  first.release();
  second.release();
  await time.pass(4_000, 1_000);
  const third = watch({ channel: 'trades' });
  expect(third.view).toBe(first.view);
  third.release();
  await time.pass(8_000, 1_000);
  expect(broker.closed).toBe(1);
  expect(market.figures().channels.trades).toMatchObject({ live: 0 });
  expect(watch({ channel: 'trades' }).view).not.toBe(first.view);
  expect(broker.trades).toHaveLength(2);
});
