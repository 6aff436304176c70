/** Clients that do not drain, on the channels of books and prints: real sockets over real cells, without a broker. */
import { afterEach, expect, test } from 'vitest';
import type { LineFeed } from '../../machines/feed.ts';
import type { Contract } from '../../machines/instrument.ts';
import type { LiveCell } from '../../src/market/cell.ts';
import { DepthCell } from '../../src/market/depth.ts';
import { printsKept, TradesCell } from '../../src/market/trades.ts';
import { MemoryMarket } from './ports.ts';
import { type Running, startServer, until } from './running.ts';
import { StreamTester, tableOf } from './stream-tester.ts';

class CellMarket extends MemoryMarket {
  readonly trades = new TradesCell('AAPL');
  readonly depth = new DepthCell('AAPL', 5);
  readers = 0;

  override watch(_contract: Contract, _instrument: string, { channel }: LineFeed) {
    this.readers += 1;
    const view: LiveCell = channel === 'depth' ? this.depth : this.trades;
    return { view, release: () => this.leave() };
  }

  private leave(): void {
    this.readers -= 1;
  }
}

let running: Running;
const testers: StreamTester[] = [];
afterEach(async () => {
  for (const tester of testers.splice(0)) tester.close();
  await running.server.close();
});
const open = async () => {
  const tester = await StreamTester.open(running);
  testers.push(tester);
  return tester;
};

test('they skip beats, are told, and get the newest, with what is lost counted; others miss nothing', async () => {
  const market = new CellMarket();
  const conflated: [string, number, number][] = [];
  running = await startServer({
    market,
    onConflated: (...counts) => conflated.push(counts),
    streamLimits: { skipAboveBytes: 100_000, stallMs: 60_000, heartbeatMs: 60_000 },
  });
  const slow = await open();
  const fast = await open();
  const ids = {
    slow: await slow.subscribe('trades', { keys: ['AAPL'] }),
    fast: await fast.subscribe('trades', { keys: ['AAPL'] }),
  };
  const books = {
    slow: await slow.subscribe('depth', { keys: ['AAPL'] }),
    fast: await fast.subscribe('depth', { keys: ['AAPL'] }),
  };
  expect(market.readers).toBe(4);
  const prints = (tester: StreamTester, id: number) =>
    tester
      .of(id)
      .flatMap(({ rows }) => rows ?? [])
      .flatMap(({ trades }) => (trades ?? []) as { readonly price: number }[])
      .map(({ price }) => price);
  const dropped = (tester: StreamTester, id: number) =>
    tester
      .of(id)
      .flatMap(({ rows }) => rows ?? [])
      .reduce((sum, row) => sum + Number(row.dropped ?? 0), 0);

  slow.socket.pause();
  let price = 0;
  const move = () => {
    for (let n = 0; n < 100; n += 1) {
      price += 1;
      const exchange = 'X'.repeat(1_000);
      const marks = { pastLimit: false, unreported: false };
      market.trades.print({ time: 1_000, price, size: 1, exchange, conditions: '', ...marks }, Date.now());
    }
    const change = { operation: 'update', position: 0, price, size: 1, marketMaker: '' } as const;
    market.depth.level({ ...change, side: price % 200 ? 'bid' : 'ask' }, Date.now());
  };
  move();
  market.trades.trust(true, 1);
  market.depth.trust(true, 1);
  const newest = (tester: StreamTester, id: number) => prints(tester, id).at(-1);
  /** At the pace of somebody who reads. */
  const step = async () => {
    move();
    await until(() => newest(fast, ids.fast) === price);
  };
  while (running.server.streams.figures().slow === 0) await step();
  // Far more than a row has room for.
  for (const end = price + 3 * printsKept; price < end; ) await step();
  slow.socket.resume();
  await slow.heard((frame) => frame.type === 'notice' && frame.code === 'slow-consumer', 15_000);
  const isDone = (tester: StreamTester, id: number) => newest(tester, id) === price;
  await until(() => isDone(slow, ids.slow) && isDone(fast, ids.fast), 15_000);

  const everything = Array.from({ length: price }, (_, n) => n + 1);
  expect(prints(fast, ids.fast)).toEqual(everything);
  expect(dropped(fast, ids.fast)).toBe(0);
  const taken = prints(slow, ids.slow);
  expect(dropped(slow, ids.slow)).toBeGreaterThan(0);
  expect(taken.length + dropped(slow, ids.slow)).toBe(price);
  expect(taken).toEqual([...new Set(taken)].sort((a, b) => a - b));
  await until(() => {
    const [ours, theirs] = [
      tableOf(slow.of(books.slow)).get('AAPL'),
      tableOf(fast.of(books.fast)).get('AAPL'),
    ];
    return JSON.stringify([ours?.bids, ours?.asks]) === JSON.stringify([theirs?.bids, theirs?.asks]);
  }, 15_000);
  for (const [tester, id] of [
    [slow, ids.slow],
    [slow, books.slow],
    [fast, ids.fast],
  ] as const) {
    const seqs = tester.of(id).map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.map((_, place) => place + 1));
  }
  expect(conflated.some(([channel, , lost]) => channel === 'trades' && lost > 0)).toBe(true);
  expect(conflated.some(([channel, merged]) => channel === 'depth' && merged > 0)).toBe(true);

  await slow.ask({ type: 'unsubscribe', subscription: ids.slow });
  fast.close();
  await until(() => market.readers === 1);
});
