/** Books and prints from the exchange to WebSocket clients: the whole runtime, over real sockets. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../program.ts';
import { startWhole, type Whole } from '../whole.ts';
import { type Frame, StreamTester, tableOf } from './stream-tester.ts';

const AAPL = 265598;
const tickByTickMessage = 99;
type Row = Record<string, unknown>;
type Levels = readonly (readonly [number, number, string?])[];
type Trades = readonly {
  readonly price: number;
  readonly backfilled?: true;
  readonly [field: string]: unknown;
}[];

let whole: Whole;
const testers: StreamTester[] = [];
beforeAll(async () => {
  // Fewer than the runtime expects, so that TWS is the one who says no.
  whole = await startWhole({
    simulator: { limits: { depthLines: 2, tickByTickLines: 1 }, barUpdateMs: 200 },
  });
}, 30_000);
afterAll(async () => {
  await whole.stop();
  expect(whole.simulator.conformance()).toEqual([]);
});
afterEach(() => {
  for (const tester of testers.splice(0)) tester.close();
  whole.simulator.exchange.script.release(AAPL);
});

const open = async () => {
  const tester = await StreamTester.open({ port: Number(new URL(whole.url).port) });
  testers.push(tester);
  return tester;
};
const lines = async (): Promise<string[]> =>
  (await whole.call('GET', '/v1/actors?limit=500')).body.actors
    .map(({ id }: { id: string }) => id)
    .filter((id: string) => id.includes('line:'));
/** Requests for AAPL. */
const asked = (message: string) =>
  whole.simulator.received({ message }).filter(({ fields }) => fields.includes('AAPL')).length;
/** The newest request for AAPL. */
const requestOf = (message: string): number => {
  const of = whole.simulator.received({ message }).filter(({ fields }) => fields.includes('AAPL'));
  return Number(of.at(-1)?.fields[message === 'reqMktDepth' ? 2 : 1]);
};
const rowOf = (tester: StreamTester, subscription: number, key = 'AAPL'): Row | undefined =>
  tableOf(tester.of(subscription)).get(key);
const until = (tester: StreamTester, subscription: number, fits: (row: Row) => boolean, key = 'AAPL') =>
  eventually(
    () => rowOf(tester, subscription, key),
    (row): boolean => row !== undefined && fits(row),
    15_000,
  ).then((row) => row ?? {});
const notice = (tester: StreamTester, key: string): Promise<Frame> =>
  tester.heard((frame) => frame.type === 'notice' && frame.key === key, 15_000);
const levels = (side: unknown): Levels => side as Levels;
const prices = (side: unknown): number[] => levels(side).map(([price]) => price);
const isLive = ({ status }: Row): boolean => status === 'live';
const tradesOf = (tester: StreamTester, subscription: number): Trades =>
  tester
    .of(subscription)
    .flatMap(({ rows }) => rows ?? [])
    .flatMap(({ trades }) => (trades ?? []) as Trades);
const isUnbroken = (tester: StreamTester, subscription: number) => {
  const seqs = tester.of(subscription).map(({ seq }) => seq);
  expect(seqs).toEqual(seqs.map((_, place) => place + 1));
};

describe('depth', () => {
  test('a book of both sides, one request for all who read it, and sides that did not change stay at home', async () => {
    const { script } = whole.simulator.exchange;
    const first = await open();
    const before = asked('reqMktDepth');
    const id = await first.subscribe('depth', { keys: ['AAPL'] });
    const row = await until(
      first,
      id,
      ({ bids, asks }) => prices(bids).length === 10 && prices(asks).length === 10,
    );
    expect(prices(row.bids)).toEqual(prices(row.bids).toSorted((a, b) => b - a));
    expect(prices(row.asks)).toEqual(prices(row.asks).toSorted((a, b) => a - b));
    expect(levels(row.bids)[0]).toEqual([expect.any(Number), expect.any(Number), expect.any(String)]);
    expect(await lines()).toEqual([expect.stringContaining('line:depth:AAPL')]);

    script.pin(AAPL, { bid: 200, ask: 200.1, bidSize: 300, askSize: 100 });
    await until(first, id, ({ bids, asks }) => prices(bids)[0] === 200 && prices(asks)[0] === 200.1);
    const late = await open();
    const lateId = await late.subscribe('depth', { keys: ['AAPL'] });
    const snapshot = await late.heard(({ subscription, seq }) => subscription === lateId && seq === 1);
    expect(snapshot.rows?.[0]).toMatchObject({ key: 'AAPL', status: 'live' });
    expect(prices(snapshot.rows?.[0]?.bids)).toHaveLength(10);
    expect(asked('reqMktDepth')).toBe(before + 1);

    const heard = first.frames.length;
    const request = requestOf('reqMktDepth');
    const changes = () => first.frames.slice(heard).flatMap(({ rows }) => rows ?? []);
    let size = 1_000;
    const oneSided = await eventually(
      () => {
        size += 1;
        // The lowest level of the asks, and nothing else.
        whole.simulator.faults.inject([13, 1, request, 9, 'ARCA', 1, 0, 201, size, 1]);
        return changes().find((change) => 'asks' in change && !('bids' in change));
      },
      (change) => change !== undefined,
    );
    expect(oneSided).not.toHaveProperty('status');
    expect(oneSided?.merged).toBeGreaterThan(0);
    script.pin(AAPL, { bid: 200.02, ask: 200.12, bidSize: 300, askSize: 100 });
    await until(first, id, ({ asks }) => prices(asks)[9] !== 201);
    // A client that merged every update holds what a new one is given.
    await eventually(
      async () => {
        const other = await open();
        const otherId = await other.subscribe('depth', { keys: ['AAPL'] });
        await eventually(() => rowOf(other, otherId), Boolean);
        const pick = (row: Row | undefined) => JSON.stringify([row?.bids, row?.asks]);
        const same = pick(rowOf(other, otherId)) === pick(rowOf(first, id));
        other.close();
        return same;
      },
      (same) => same,
    );
    isUnbroken(first, id);
    isUnbroken(late, lateId);
  });

  test('317 empties the book, and shows it', async () => {
    const { faults } = whole.simulator;
    const tester = await open();
    const id = await tester.subscribe('depth', { keys: ['AAPL'] });
    await until(tester, id, ({ bids }) => prices(bids).length === 10);
    const held = faults.hold({ messages: ['updateMktDepthL2'] });
    faults.resetDepth(AAPL);
    await until(tester, id, ({ bids, asks }) => prices(bids).length === 0 && prices(asks).length === 0);
    held.clear();
    faults.releaseHeld();
    const row = await until(
      tester,
      id,
      ({ bids, asks }) => prices(bids).length === 10 && prices(asks).length === 10,
    );
    expect(prices(row.bids)).toEqual(prices(row.bids).toSorted((a, b) => b - a));
  });

  test('a book that lost a change is asked for again', async () => {
    const { faults, exchange } = whole.simulator;
    exchange.script.pin(AAPL, { bid: 200, ask: 200.1, bidSize: 300, askSize: 100 });
    const tester = await open();
    const id = await tester.subscribe('depth', { keys: ['AAPL'] });
    await until(tester, id, ({ bids }) => prices(bids)[0] === 200);
    const before = asked('reqMktDepth');
    // The best bid and no other comes down by a dollar.
    faults.inject([13, 1, requestOf('reqMktDepth'), 0, 'NSDQ', 1, 1, 199, 100, 1]);
    await eventually(
      () => asked('reqMktDepth'),
      (count) => count === before + 1,
      15_000,
    );
    await until(tester, id, ({ bids, status }) => prices(bids)[0] === 200 && status === 'live');
  });

  test('a lost link, a lost session and a competing one: stale, then live again, asked for only when TWS forgot', async () => {
    const { faults } = whole.simulator;
    const tester = await open();
    const id = await tester.subscribe('depth', { keys: ['AAPL'] });
    await until(tester, id, isLive);
    let requests = asked('reqMktDepth');
    const cycle = async (interrupt: () => void, mend: () => void, more: number) => {
      interrupt();
      await until(tester, id, ({ status }) => status === 'stale');
      mend();
      await until(tester, id, isLive);
      requests += more;
      expect(asked('reqMktDepth')).toBe(requests);
    };
    await cycle(
      () => faults.upstreamLost(),
      () => faults.upstreamBack(1102),
      0,
    );
    await cycle(
      () => faults.upstreamLost(),
      () => faults.upstreamBack(1101),
      1,
    );
    await cycle(
      () => faults.farmBroken('usfarm'),
      () => faults.farmOk('usfarm'),
      0,
    );
    // Whatever version of the protocol is spoken.
    faults.offerVersion(177);
    await cycle(
      () => faults.drop(),
      () => undefined,
      1,
    );
    expect(whole.simulator.clients()).toMatchObject([{ version: 177 }]);
    faults.offerVersion(193);
    const { bids, asks } = await until(tester, id, (row) => prices(row.bids).length === 10);
    expect(prices(asks)[0]).toBeGreaterThan(prices(bids)[0] ?? 0);
    faults.injectError(requestOf('reqMktDepth'), 10197, 'No market data during competing live session');
    await until(tester, id, ({ status }) => status === 'stale');
    expect(await notice(tester, 'AAPL')).toMatchObject({ reason: { code: '10197' }, retryAfterMs: 30_000 });
    isUnbroken(tester, id);
    await whole.untilTrading();
  });
});

describe('trades', () => {
  test('every print once, those of before marked; more than fit are counted', async () => {
    const { faults } = whole.simulator;
    const tester = await open();
    const id = await tester.subscribe('trades', { keys: ['AAPL'] });
    await until(tester, id, isLive);
    const [oldest] = tradesOf(tester, id);
    expect(oldest).toMatchObject({
      backfilled: true,
      exchange: expect.any(String),
      price: expect.any(Number),
    });
    const reqId = requestOf('reqTickByTickData');
    faults.inject([tickByTickMessage, reqId, 2, 1_800_000_000, 7.77, 3, 3, 'FINRA', 'T I']);
    const marked = await eventually(
      () => tradesOf(tester, id).find(({ price }) => price === 7.77),
      (print) => print !== undefined,
    );
    expect(marked).toEqual({
      time: 1_800_000_000_000,
      price: 7.77,
      size: 3,
      exchange: 'FINRA',
      conditions: 'T I',
      pastLimit: true,
      unreported: true,
      ts: expect.any(Number),
    });

    const late = await open();
    const lateId = await late.subscribe('trades', { keys: ['AAPL'] });
    await eventually(() => tradesOf(late, lateId).some(({ price }) => price === 7.77), Boolean);
    expect(asked('reqTickByTickData')).toBe(1);

    // The same for both, and none twice, although the session goes down between.
    for (let n = 1; n <= 40; n += 1)
      faults.inject([tickByTickMessage, reqId, 2, 1_800_000_001, 1_000 + n, 1, 0, 'ARCA', '']);
    await eventually(() => tradesOf(tester, id).some(({ price }) => price === 1_040), Boolean);
    faults.drop();
    await until(tester, id, ({ status }) => status === 'stale');
    await until(tester, id, isLive);
    await until(late, lateId, isLive);
    for (const [reader, subscription] of [
      [tester, id],
      [late, lateId],
    ] as const) {
      const ours = tradesOf(reader, subscription).filter(({ exchange }) => exchange === 'ARCA');
      const injected = ours.map(({ price }) => price).filter((price) => price > 1_000);
      expect(injected).toEqual(Array.from({ length: 40 }, (_, n) => 1_001 + n));
      isUnbroken(reader, subscription);
    }
    const heard = tester.of(id).length;
    const again = requestOf('reqTickByTickData');
    for (const [kind, status] of [
      [3, 'delayed'],
      [2, 'frozen'],
      [1, 'live'],
    ] as const) {
      faults.inject([58, 1, again, kind]);
      await until(tester, id, (row) => row.status === status);
    }
    for (let n = 1; n <= 1_200; n += 1)
      faults.inject([tickByTickMessage, again, 2, 1_800_000_002, 2_000 + n, 1, 0, 'BATS', '']);
    await eventually(() => tradesOf(tester, id).some(({ price }) => price === 3_200), Boolean);
    const burst = tester
      .of(id)
      .slice(heard)
      .flatMap(({ rows }) => rows ?? []);
    const shown = burst
      .flatMap(({ trades }) => (trades ?? []) as Trades)
      .filter(({ price }) => price > 2_000);
    const dropped = burst.reduce((sum, row) => sum + Number(row.dropped ?? 0), 0);
    expect(shown.length + dropped).toBeGreaterThanOrEqual(1_200);
    expect(new Set(shown.map(({ price }) => price)).size).toBe(shown.length);
    expect(Math.max(...burst.map(({ trades }) => ((trades ?? []) as Trades).length))).toBeLessThanOrEqual(
      500,
    );
    if (shown.length < 1_200) expect(dropped).toBeGreaterThan(0);
    await whole.untilTrading();
  });

  test('refusals name the key: too many, and no permission', async () => {
    const { faults } = whole.simulator;
    const tester = await open();
    const id = await tester.subscribe('trades', { keys: ['AAPL', 'MSFT'] });
    expect(await notice(tester, 'MSFT')).toMatchObject({
      code: 'trades-failed',
      subscription: id,
      reason: { code: '10190' },
      retryAfterMs: 60_000,
    });
    faults.marketData('none');
    const others = await Promise.all([
      tester.subscribe('depth', { keys: ['QQQ'] }),
      tester.subscribe('bars', { keys: ['SPY'], barSize: '5 mins' }),
    ]);
    expect(await notice(tester, 'QQQ')).toMatchObject({
      code: 'depth-failed',
      subscription: others[0],
      reason: { code: '354' },
      retryAfterMs: null,
    });
    expect(await notice(tester, 'SPY')).toMatchObject({
      code: 'bars-failed',
      subscription: others[1],
      reason: { code: '162' },
      retryAfterMs: null,
    });
    await tester.ask({ type: 'unsubscribe', subscription: id });
    const second = await open();
    const prints = await second.subscribe('trades', { keys: ['TSLA'] });
    expect(await notice(second, 'TSLA')).toMatchObject({
      code: 'trades-failed',
      subscription: prints,
      reason: { code: '10189' },
      retryAfterMs: null,
    });
    faults.marketData('live');
    const paced = await tester.subscribe('bars', { keys: ['AAPL'] });
    await until(tester, paced, isLive);
    // Neither prices that are unset nor a bar of the next century is shown.
    const request = requestOf('reqHistoricalData');
    faults.inject([90, request, 1, 1_700_000_000, Number.MAX_VALUE, 1, 1, 1, 1, 1]);
    faults.inject([90, request, 1, 4_102_444_800, 7, 7, 7, 7, 7, 7]);
    const text = 'Historical Market Data Service error message:API historical data query pacing violation';
    faults.injectError(request, 162, text);
    expect(await notice(tester, 'AAPL')).toMatchObject({
      code: 'bars-failed',
      reason: { code: '162' },
      retryAfterMs: 15_000,
    });
    await until(tester, paced, ({ status }) => status === 'stale');
    const bars = tester
      .of(paced)
      .flatMap(({ rows }) => rows ?? [])
      .flatMap((row) => (row.bars ?? []) as readonly { readonly time: string; readonly open: number }[]);
    expect(bars.length).toBeGreaterThan(100);
    expect(bars.filter(({ time, open: price }) => price > 1e300 || price === 7 || time > '2090')).toEqual([]);
    expect(
      await tester.ask({ type: 'subscribe', channel: 'trades', keys: ['FISH:X', 'NOSUCH'] }),
    ).toMatchObject({
      ok: true,
      keys: ['NOSUCH'],
      rejected: [{ key: 'FISH:X' }],
    });
    expect(await notice(tester, 'NOSUCH')).toMatchObject({ reason: { code: '200' } });
  });
});

test('a book too many is refused by TWS or waits for a line, and its reader is told which', async () => {
  const tester = await open();
  const ids: Record<string, number> = {};
  for (const key of ['NVDA', 'MSFT', 'TSLA', 'SPY'])
    ids[key] = await tester.subscribe('depth', { keys: [key] });
  expect(await notice(tester, 'TSLA')).toMatchObject({
    level: 'warn',
    code: 'depth-failed',
    subscription: ids.TSLA,
    reason: { code: '309' },
    retryAfterMs: 60_000,
  });
  expect(await notice(tester, 'SPY')).toMatchObject({
    code: 'depth-failed',
    subscription: ids.SPY,
    reason: { code: 'line-limit' },
  });
  const { body } = await whole.call('GET', '/health/metrics');
  expect(body.counters.mergedRows.depth).toBeGreaterThan(0);
  await tester.ask({ type: 'unsubscribe', subscription: ids.NVDA });
  await until(tester, ids.SPY ?? 0, isLive, 'SPY');
});

test('one exchange without market makers has rows of two numbers', async () => {
  const tester = await open();
  const id = await tester.subscribe('depth', { keys: ['FUT:ESZ6@CME'] });
  const row = await until(tester, id, ({ bids }) => prices(bids).length === 10, 'FUT:ESZ6@CME');
  expect(levels(row.bids)[0]).toEqual([expect.any(Number), expect.any(Number)]);
  expect(await lines()).toContainEqual(expect.stringContaining('line:depth:FUT:ESZ6@CME'));
});

test('lines and what rows folded are counted by channel; a line that nobody reads is given back', async () => {
  const tester = await open();
  const ids = [
    await tester.subscribe('depth', { keys: ['AAPL'] }),
    await tester.subscribe('bars', { keys: ['MSFT'], barSize: '1 hour' }),
  ];
  await eventually(
    async () => (await fetch(`${whole.url}/metrics`)).text(),
    (text) => /tws_runtime_market_lines\{channel="bars",standing="live"\} [1-9]/.test(text),
  );
  const text = await (await fetch(`${whole.url}/metrics`)).text();
  expect(text).toMatch(/tws_runtime_stream_merged_total\{channel="trades"\} [1-9]/);
  expect(text).toMatch(/tws_runtime_stream_dropped_total\{channel="trades"\} [1-9]/);
  for (const subscription of ids) await tester.ask({ type: 'unsubscribe', subscription });
  for (const message of ['cancelMktDepth', 'cancelTickByTickData', 'cancelHistoricalData'])
    await eventually(
      () => whole.simulator.received({ message }).length,
      (count) => count > 0,
      15_000,
    );
});
