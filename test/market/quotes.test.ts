import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Beat, Quote, QuoteField } from '../../machines/market.ts';
import { quoteFields } from '../../machines/market.ts';
import { Pulse } from '../../src/market/beat.ts';
import type { Tick } from '../../src/market/quotes.ts';
import { Quotes } from '../../src/market/quotes.ts';
import { VirtualTime } from './virtual-time.ts';

const beatMs = 50;

function setUp() {
  const time = new VirtualTime();
  const quotes = new Quotes();
  const pulse = new Pulse({ quotes, beatMs, now: time.now, scheduler: time.scheduler });
  return { time, quotes, pulse };
}

/** A reader as a browser is one: a snapshot, then deltas merged into it. */
class Reader {
  readonly rows = new Map<string, Record<string, unknown>>();
  readonly merged = new Map<string, number>();
  frames = 0;
  emptyRows = 0;

  readonly #subscription: { unsubscribe(): void } | undefined;

  constructor(quotes: Quotes, pulse: Pulse, keys: readonly string[], group = 0) {
    for (const key of keys) {
      const row = quotes.find(key)?.row();
      if (row) this.rows.set(key, { ...row });
    }
    this.#subscription = pulse.beats[group]?.subscribe((beat) => this.take(beat, keys));
  }

  leave(): void {
    this.#subscription?.unsubscribe();
  }

  private take(beat: Beat, keys: readonly string[]): void {
    this.frames += 1;
    if (beat.rows.size === 0) this.emptyRows += 1;
    for (const key of keys) {
      const changed = beat.rows.get(key);
      if (!changed) continue;
      const { merged, ...delta } = JSON.parse(changed.delta) as Quote;
      this.rows.set(key, { ...this.rows.get(key), ...delta });
      this.merged.set(key, (this.merged.get(key) ?? 0) + (merged ?? 0));
    }
  }
}

type Step =
  | { readonly do: 'tick'; readonly key: string; readonly field: QuoteField; readonly value: number }
  | { readonly do: 'trust'; readonly key: string; readonly trusted: boolean }
  | { readonly do: 'halt'; readonly key: string; readonly halted: boolean }
  | { readonly do: 'beat' }
  | { readonly do: 'join'; readonly group: number }
  | { readonly do: 'leave'; readonly reader: number };

const keys = ['AAPL', 'CASH:EUR.USD', '__proto__'];
const anyKey = fc.constantFrom(...keys);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('tick' as const),
      key: anyKey,
      field: fc.constantFrom(...quoteFields),
      value: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true, noDefaultInfinity: true })),
    }),
  },
  fc.record({ do: fc.constant('trust' as const), key: anyKey, trusted: fc.boolean() }),
  fc.record({ do: fc.constant('halt' as const), key: anyKey, halted: fc.boolean() }),
  { weight: 2, arbitrary: fc.constant({ do: 'beat' as const }) },
  fc.record({ do: fc.constant('join' as const), group: fc.nat({ max: 1 }) }),
  fc.record({ do: fc.constant('leave' as const), reader: fc.nat({ max: 9 }) }),
);

describe('conflation', () => {
  test('groups of readers are served one after the other within a beat, each once', () => {
    const { time, quotes, pulse } = setUp();
    const served: { readonly at: number; readonly merged: number; readonly oldestMs: number }[][] = [];
    for (const beats of pulse.beats) {
      const mine: (typeof served)[number] = [];
      served.push(mine);
      beats.subscribe(({ ts, oldestAt, rows }) => {
        const { merged } = JSON.parse(rows.get('AAPL')?.delta ?? '');
        mine.push({ at: ts - began, merged, oldestMs: ts - oldestAt });
      });
    }
    const began = time.now();
    for (let ms = 0; ms < 4 * beatMs; ms += 1) {
      quotes.cell('AAPL').tick('bid', ms, time.now());
      time.advance(1);
    }
    pulse.close();
    expect(served).toHaveLength(2);
    for (const [group, beats] of served.entries()) {
      expect(beats.slice(-3)).toEqual(
        [50, 100, 150].map((beat) => ({ at: beat + (group * 25 || 50), merged: beatMs, oldestMs: beatMs })),
      );
    }
  });

  test('a snapshot and the deltas after it add up to the cell, whenever a reader joins', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { time, quotes, pulse } = setUp();
        const readers = [new Reader(quotes, pulse, keys)];
        for (const one of steps) {
          if (one.do === 'tick') quotes.cell(one.key).tick(one.field, one.value, time.now());
          else if (one.do === 'trust') quotes.cell(one.key).trust(one.trusted, time.now());
          else if (one.do === 'halt') quotes.cell(one.key).setHalted(one.halted, time.now());
          else if (one.do === 'join') readers.push(new Reader(quotes, pulse, keys, one.group));
          else if (one.do === 'leave') for (const reader of readers.splice(one.reader, 1)) reader.leave();
          else time.advance(beatMs);
          time.advance(1);
        }
        time.advance(beatMs);
        for (const reader of readers) {
          for (const key of keys) {
            const { ts, ...row } = quotes.find(key)?.row() ?? { ts: 0 };
            const { ts: seenTs, ...seen } = reader.rows.get(key) ?? { ts: 0 };
            // -0 has no text of its own in JSON
            expect(JSON.parse(JSON.stringify(seen))).toEqual(JSON.parse(JSON.stringify(row)));
            expect(seenTs).toBeLessThanOrEqual(ts);
          }
        }
        pulse.close();
      }),
      { numRuns: 300 },
    );
  });

  test('merged counts of a reader who was there from the start sum to the ticks; the rest is still to come', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.nat({ max: 1 }), (steps, group) => {
        const { time, quotes, pulse } = setUp();
        const reader = new Reader(quotes, pulse, keys, group);
        const ticks = new Map<string, number>();
        for (const one of steps) {
          if (one.do === 'beat') time.advance(beatMs);
          if (one.do !== 'tick') continue;
          quotes.cell(one.key).tick(one.field, one.value, time.now());
          ticks.set(one.key, (ticks.get(one.key) ?? 0) + 1);
        }
        time.advance(beatMs);
        for (const [key, count] of ticks) {
          expect((reader.merged.get(key) ?? 0) + (quotes.find(key)?.merged ?? 0)).toBe(count);
          expect(reader.merged.get(key)).toBeGreaterThan(0);
        }
        pulse.close();
      }),
    );
  });

  test('a beat is emitted exactly when a value or a status was written that differs from the one before', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { time, quotes, pulse } = setUp();
        const reader = new Reader(quotes, pulse, keys);
        const model = new Map<string, Map<string, unknown>>();
        let pending = false;
        let expected = 0;
        const beat = () => {
          time.advance(beatMs);
          if (pending) expected += 1;
          pending = false;
        };
        for (const one of steps) {
          if (one.do === 'beat') beat();
          if (one.do !== 'tick') continue;
          const row = model.get(one.key) ?? new Map<string, unknown>();
          model.set(one.key, row);
          if (row.get(one.field) !== one.value) pending = true;
          row.set(one.field, one.value);
          quotes.cell(one.key).tick(one.field, one.value, time.now());
        }
        beat();
        beat();
        expect(reader.frames).toBe(expected);
        expect(reader.emptyRows).toBe(0);
        pulse.close();
      }),
    );
  });

  test('a delta names the changed fields only, and the status when it changed', () => {
    const { time, quotes, pulse } = setUp();
    const deltas: unknown[] = [];
    pulse.beat$.subscribe((beat) => {
      for (const { delta } of beat.rows.values()) deltas.push(JSON.parse(delta));
    });
    const cell = quotes.cell('AAPL');
    cell.trust(true, time.now());
    cell.tick('bid', 187.22, time.now());
    cell.tick('ask', 187.23, time.now());
    time.advance(beatMs);
    cell.tick('bid', 187.21, time.now());
    cell.tick('bid', 187.2, time.now() + 1);
    cell.tick('ask', 187.23, time.now() + 2);
    time.advance(beatMs);
    cell.setKind('delayed', time.now());
    time.advance(beatMs);
    const start = time.now() - 3 * beatMs;
    expect(deltas).toEqual([
      { key: 'AAPL', bid: 187.22, ask: 187.23, status: 'live', merged: 2, ts: start },
      { key: 'AAPL', bid: 187.2, merged: 3, ts: start + beatMs + 2 },
      { key: 'AAPL', status: 'delayed', merged: 0, ts: start + 2 * beatMs },
    ]);
    pulse.close();
  });

  test('what is no finite number leaves the row alone', () => {
    const quotes = new Quotes();
    const cell = quotes.cell('AAPL');
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(cell.tick('bid', value, 1)).toBe(false);
    }
    expect(cell.row()).toBeUndefined();
    expect(quotes.hasChanges).toBe(false);
  });
});

describe('status', () => {
  test('trust, kind and halt make the word', () => {
    const quotes = new Quotes();
    const cell = quotes.cell('AAPL');
    cell.tick('bid', 1, 1);
    expect(cell.row()?.status).toBe('stale');
    cell.trust(true, 2);
    expect(cell.row()?.status).toBe('live');
    cell.setKind('delayed', 3);
    expect(cell.row()?.status).toBe('delayed');
    cell.setKind('delayedFrozen', 3);
    expect(cell.row()?.status).toBe('frozen');
    cell.setKind('live', 3);
    cell.setHalted(true, 4);
    expect(cell.row()?.status).toBe('halted');
    cell.trust(false, 5);
    expect(cell.row()?.status).toBe('stale');
  });

  test('a loss of trust does not make the data look younger', () => {
    const cell = new Quotes().cell('AAPL');
    cell.tick('bid', 1, 100);
    cell.trust(true, 100);
    cell.trust(false, 5000);
    expect(cell.row()?.ts).toBe(100);
  });
});

describe('every tick', () => {
  test('reaches those who listen, from when they listen until the instrument goes', () => {
    const quotes = new Quotes();
    const seen: Tick[] = [];
    let isComplete = false;
    quotes.cell('AAPL').tick('bid', 1, 1);
    const first = quotes.tick$('AAPL').subscribe((tick) => seen.push(tick));
    quotes.tick$('AAPL').subscribe({
      complete: () => {
        isComplete = true;
      },
    });
    quotes.cell('AAPL').tick('bid', 2, 2);
    quotes.cell('AAPL').tick('bid', 2, 3);
    first.unsubscribe();
    quotes.cell('AAPL').tick('bid', 3, 4);
    expect(seen).toEqual([
      { field: 'bid', value: 2, at: 2 },
      { field: 'bid', value: 2, at: 3 },
    ]);
    quotes.drop('AAPL');
    expect(isComplete).toBe(true);
    expect(quotes.find('AAPL')).toBeUndefined();
  });

  test('an instrument without listeners has no subject', () => {
    const quotes = new Quotes();
    const listener = quotes.tick$('AAPL').subscribe();
    expect(quotes.cell('AAPL').ticks).not.toBeNull();
    listener.unsubscribe();
    expect(quotes.cell('AAPL').ticks).toBeNull();
  });
});

test('the time from tick to beat is measured from the oldest tick of a row', () => {
  const { time, quotes, pulse } = setUp();
  pulse.beat$.subscribe();
  time.advance(10);
  quotes.cell('AAPL').tick('bid', 1, time.now());
  time.advance(30);
  quotes.cell('AAPL').tick('bid', 2, time.now());
  time.advance(10);
  expect(pulse.figures()).toEqual({ count: 1, p50: 40, p90: 40, p99: 40, max: 40 });
  time.advance(61_000);
  expect(pulse.figures().count).toBe(0);
  pulse.close();
});
