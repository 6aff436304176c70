/** What lines other than of quotes keep: whoever reads, whenever, ends with the same. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DepthChange, LineCursor, Print } from '../../machines/feed.ts';
import type { Bar } from '../../machines/market.ts';
import { BarsCell } from '../../src/market/bars.ts';
import type { LiveCell } from '../../src/market/cell.ts';
import { DepthCell } from '../../src/market/depth.ts';
import { printsKept, TradesCell } from '../../src/market/trades.ts';

interface ShownBar extends Bar {
  readonly corrected?: true;
}
interface Row {
  readonly key: string;
  readonly status?: string;
  readonly merged?: number;
  readonly dropped?: number;
  readonly ts: number;
  readonly bids?: readonly unknown[];
  readonly asks?: readonly unknown[];
  readonly trades?: readonly { readonly price: number; readonly backfilled?: true }[];
  readonly bars?: readonly ShownBar[];
  readonly gapAfter?: string;
}

const rowOf = (cell: LiveCell): Row => JSON.parse(cell.row() ?? '{}') as Row;
const since = (cell: LiveCell, cursor: LineCursor): Row =>
  JSON.parse(cell.since(cursor)?.text ?? '{}') as Row;

/** A client: begins with a row, merges what changed. Bars replace those of the same time. */
class Reader {
  private readonly cell: LiveCell;
  private cursor: LineCursor;
  private row: Row;
  readonly bars = new Map<string, ShownBar>();
  readonly prices: number[] = [];
  dropped = 0;

  constructor(cell: LiveCell) {
    this.cell = cell;
    this.cursor = cell.cursor;
    this.row = rowOf(cell);
    this.merge(this.row);
  }

  read(): Row {
    const delta = this.cell.since(this.cursor);
    if (!delta) return this.row;
    this.cursor = this.cell.cursor;
    const row = JSON.parse(delta.text) as Row;
    this.row = { ...this.row, ...row };
    this.merge(row);
    return row;
  }

  get book() {
    return { bids: this.row.bids ?? [], asks: this.row.asks ?? [] };
  }

  get status() {
    return this.row.status;
  }

  private merge({ bars = [], trades = [], dropped = 0 }: Row): void {
    for (const bar of bars) this.bars.set(bar.time, bar);
    for (const { price } of trades) this.prices.push(price);
    this.dropped += dropped;
  }
}

describe('a book', () => {
  const change = fc.record({
    operation: fc.constantFrom('insert' as const, 'update' as const, 'delete' as const),
    side: fc.constantFrom('bid' as const, 'ask' as const),
    position: fc.nat(6),
    price: fc.nat(1_000),
    size: fc.nat(100),
    marketMaker: fc.constantFrom('', 'ARCA'),
  });

  test('follows the operations, however they come and whoever reads', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(change, fc.constant('reset' as const), fc.constant('read' as const))),
        (steps) => {
          const cell = new DepthCell('AAPL', 5);
          const early = new Reader(cell);
          const sides: Record<'bid' | 'ask', unknown[][]> = { bid: [], ask: [] };
          let started = false;
          for (const step of steps) {
            if (step === 'read') {
              early.read();
              continue;
            }
            started = true;
            if (step === 'reset') {
              cell.reset(1);
              sides.bid = [];
              sides.ask = [];
              continue;
            }
            cell.level(step, 1);
            const side = sides[step.side];
            const { operation, position, price, size, marketMaker } = step;
            const row = marketMaker === '' ? [price, size] : [price, size, marketMaker];
            if (operation === 'delete') side.splice(position, 1);
            else if (operation === 'update' && position < side.length) side[position] = row;
            else side.splice(position, 0, row);
            side.length = Math.min(side.length, 5);
          }
          early.read();
          const expected = { bids: sides.bid, asks: sides.ask };
          expect(early.book).toEqual(expected);
          expect(new Reader(cell).book).toEqual(expected);
          expect(cell.row() !== undefined).toBe(started);
        },
      ),
    );
  });

  test('sends the side that changed and not the other; a new request begins a new book', () => {
    const cell = new DepthCell('AAPL', 5);
    const level = (side: 'bid' | 'ask', price: number, operation: DepthChange['operation'] = 'insert') =>
      cell.level({ operation, side, position: 0, price, size: 1, marketMaker: '' }, 7);
    level('bid', 99);
    level('ask', 101);
    const { cursor } = cell;
    level('ask', 102, 'update');
    expect(since(cell, cursor)).toEqual({ key: 'AAPL', asks: [[102, 1]], merged: 1, ts: 7 });
    cell.opened();
    expect(rowOf(cell)).toMatchObject({ bids: [[99, 1]], asks: [[102, 1]] });
    level('bid', 98);
    expect(rowOf(cell)).toMatchObject({ bids: [[98, 1]], asks: [] });
    expect(cell.isDisordered).toBe(false);
    level('bid', 97);
    expect(cell.isDisordered).toBe(true);
  });
});

describe('a tape', () => {
  const print = (price: number): Print => ({
    time: 1_000,
    price,
    size: 1,
    exchange: 'ARCA',
    conditions: '',
    pastLimit: false,
    unreported: false,
  });

  test('every print once for whoever keeps up, and counted for whoever does not', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(900), { maxLength: 12 }), (bursts) => {
        const cell = new TradesCell('AAPL');
        cell.backfilled([print(0)], 1);
        const reader = new Reader(cell);
        let price = 0;
        for (const burst of bursts) {
          for (let n = 0; n < burst; n += 1) {
            price += 1;
            cell.print(print(price), 1);
          }
          const before = reader.prices.length;
          const dropped = reader.dropped;
          reader.read();
          expect(reader.prices.length - before + reader.dropped - dropped).toBe(burst);
          expect(reader.prices.length - before).toBeLessThanOrEqual(printsKept);
          expect(reader.dropped === dropped || burst > printsKept).toBe(true);
          if (burst > 0) expect(reader.prices.at(-1)).toBe(price);
        }
        expect(reader.prices).toEqual([...new Set(reader.prices)].sort((a, b) => a - b));
      }),
      { numRuns: 30 },
    );
  });

  test('prints of before begin it, and are not mixed into one that is known', () => {
    const cell = new TradesCell('AAPL');
    cell.backfilled([], 1);
    expect(rowOf(cell).trades).toEqual([]);
    cell.backfilled([print(1)], 1);
    cell.print(print(2), 1);
    cell.trust(false, 1);
    cell.backfilled([print(1), print(2)], 1);
    cell.trust(true, 1);
    cell.print(print(3), 1);
    cell.print(print(4), 1);
    const { trades } = rowOf(cell);
    expect(trades).toMatchObject([
      { price: 1, backfilled: true },
      { price: 2 },
      { price: 3, gap: true },
      { price: 4 },
    ]);
    expect(trades?.map((shown) => 'gap' in shown)).toEqual([false, false, true, false]);
  });
});

describe('a series of bars', () => {
  const length = 60_000;
  const at = (n: number): number => Date.UTC(2026, 0, 5, 15) + n * length;
  const bar = (n: number, close = 100 + n): Bar => ({
    time: new Date(at(n)).toISOString(),
    open: 100,
    high: 500,
    low: 1,
    close,
    volume: 10,
    wap: 100,
    count: 3,
  });
  const final = (n: number): Bar => bar(n);
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => final(from + n));
  const opened = () => {
    const cell = new BarsCell('AAPL', '1 min');
    cell.backfilled([...range(0, 3), bar(3, 1)], 1);
    cell.trust(true, 1);
    return cell;
  };

  /**
   * A market that forms bars, a line that goes down and comes back in the middle of them, with a backfill after each cut.
   * The last figures of a bar come before the next bar begins.
   */
  test('each bar once, in order, none missing, none final before it is, whatever the cuts', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ steps: fc.nat(5), away: fc.nat(4), reads: fc.boolean(), half: fc.boolean() }), {
          maxLength: 12,
        }),
        (cuts) => {
          const cell = opened();
          const reader = new Reader(cell);
          let forming = 3;
          const shown = new Map<string, number>();
          const check = () => {
            reader.read();
            const bars = [...reader.bars.values()].sort((a, b) => (a.time < b.time ? -1 : 1));
            expect(bars.map(({ time }) => time)).toEqual(range(0, bars.length).map(({ time }) => time));
            for (const [n, shownBar] of bars.entries()) {
              expect(shownBar.corrected).toBeUndefined();
              if (shownBar.partial) expect(n).toBe(bars.length - 1);
              else expect(shownBar.close).toBe(100 + n);
            }
            for (const { time, close, partial } of bars) {
              if (shown.has(time)) expect(close).toBe(shown.get(time));
              if (!partial) shown.set(time, close);
            }
          };
          for (const { steps, away, reads, half } of cuts) {
            for (let n = 0; n < steps; n += 1) {
              expect(cell.update(final(forming), 1)).toBe(true);
              forming += 1;
              expect(cell.update(bar(forming, 2 + n), 1)).toBe(true);
              if (reads) check();
            }
            cell.trust(false, 1);
            if (reads) check();
            forming += away;
            if (away > 0) expect(cell.update(bar(forming, 4), 1)).toBe(false);
            cell.opened();
            cell.backfilled(
              [...range(half ? Math.max(0, forming - away - 2) : 0, forming), bar(forming, 3)],
              1,
            );
            cell.backfilled([...range(Math.max(0, forming - away - 1), forming), bar(forming, 3)], 1);
            cell.trust(true, 1);
            check();
          }
        },
      ),
    );
  });

  test('a closed bar that changes says so, and an update of none changes nothing', () => {
    const cell = opened();
    const { cursor } = cell;
    expect(cell.update(final(1), 1)).toBe(true);
    expect(cell.since(cursor)).toBeNull();
    cell.update(bar(1, 77), 2);
    expect(since(cell, cursor)).toEqual({
      key: 'AAPL',
      bars: [{ ...bar(1, 77), corrected: true }],
      merged: 1,
      ts: 2,
    });
    cell.update(bar(3, 8), 2);
    expect(rowOf(cell).bars?.map(({ corrected }) => corrected)).toEqual([
      undefined,
      true,
      undefined,
      undefined,
    ]);
  });

  test('a bar is closed by the next one, or by time while its line is live', () => {
    const cell = opened();
    const endsAt = at(4);
    /** Looks once a second. */
    const look = (fromMs: number, toMs: number) => {
      for (let ms = fromMs; ms <= toMs; ms += 1_000) cell.settle(endsAt + ms);
    };
    expect(rowOf(cell).bars?.at(-1)).toEqual({ ...bar(3, 1), partial: true });
    look(-3_000, 9_000);
    cell.settle(endsAt + 9_999);
    expect(rowOf(cell).bars?.at(-1)).toHaveProperty('partial');
    cell.trust(false, 1);
    look(10_000, 40_000);
    expect(rowOf(cell).bars?.at(-1)).toHaveProperty('partial');
    cell.trust(true, 1);
    const { cursor } = cell;
    look(41_000, 49_000);
    expect(rowOf(cell).bars?.at(-1)).toHaveProperty('partial');
    look(50_000, 50_000);
    expect(since(cell, cursor).bars).toEqual([bar(3, 1)]);
    cell.update(bar(3, 9), 1);
    expect(rowOf(cell).bars?.at(-1)).toEqual({ ...bar(3, 9), corrected: true });
  });

  test('a process that slept closes no bar by time: what it was told meanwhile comes first', () => {
    const cell = opened();
    cell.settle(at(4) - 1);
    cell.settle(at(9));
    cell.settle(at(9) + 60_000);
    expect(rowOf(cell).bars?.at(-1)).toEqual({ ...bar(3, 1), partial: true });
    cell.update(final(3), 1);
    cell.update(bar(8, 1), 1);
    expect(rowOf(cell).bars?.find(({ time }) => time === bar(3).time)).toEqual(final(3));
    // The next one has its own time.
    for (let ms = 1_000; ms < 10_000; ms += 1_000) cell.settle(at(9) + 60_000 + ms);
    expect(rowOf(cell).bars?.at(-1)).toHaveProperty('partial');
    cell.settle(at(9) + 70_000);
    expect(rowOf(cell).bars?.at(-1)).not.toHaveProperty('partial');
  });

  test('a hole that no request reaches across is named', () => {
    const cell = opened();
    const reader = new Reader(cell);
    cell.trust(false, 1);
    cell.backfilled([...range(10, 14), bar(14, 1)], 1);
    cell.trust(true, 1);
    const row = reader.read();
    expect(row.gapAfter).toBe(bar(2).time);
    expect(row.bars?.map(({ time }) => time)).toEqual(range(10, 15).map(({ time }) => time));
    cell.update(final(14), 1);
    cell.update(bar(15, 1), 1);
    expect(reader.read()).not.toHaveProperty('gapAfter');
  });

  test('days go by their dates', () => {
    const cell = new BarsCell('AAPL', '1 day');
    const day = (time: string, close: number): Bar => ({ ...bar(0, close), time });
    cell.backfilled([day('2026-01-05', 1), day('2026-01-06', 2)], 1);
    cell.trust(true, 1);
    cell.update(day('2026-01-06', 3), 1);
    cell.update(day('2026-01-07', 4), 1);
    expect(rowOf(cell).bars).toMatchObject([
      { time: '2026-01-05', close: 1 },
      { time: '2026-01-06', close: 3 },
      { time: '2026-01-07', close: 4, partial: true },
    ]);
    expect(rowOf(cell).bars?.[1]).not.toHaveProperty('partial');
  });
});
