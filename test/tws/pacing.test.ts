import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPacer, defaultPacing, type Lane, lanes, type PacingOptions } from '../../src/tws/pacing.ts';

function virtualClock() {
  let now = 1_000_000;
  let next = 0;
  const timers = new Map<number, { at: number; run: () => void }>();
  return {
    now: () => now,
    setTimeout(run: () => void, ms: number) {
      next += 1;
      timers.set(next, { at: now + ms, run });
      return next;
    },
    clearTimeout: (id: number) => {
      timers.delete(id);
    },
    get pending() {
      return timers.size;
    },
    advance(ms: number) {
      const end = now + ms;
      for (;;) {
        const due = [...timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
        if (!due) break;
        timers.delete(due[0]);
        now = Math.max(now, due[1].at);
        due[1].run();
      }
      now = end;
    },
  };
}

function bench(options: Partial<PacingOptions> = {}) {
  const clock = virtualClock();
  const pacer = createPacer(clock, { ...defaultPacing, ...options });
  const sent: { lane: Lane; n: number; at: number }[] = [];
  const withheld: { lane: Lane; n: number; reason: string }[] = [];
  let submitted = 0;
  return {
    clock,
    pacer,
    sent,
    withheld,
    submit(lane: Lane, key = 'k') {
      submitted += 1;
      const n = submitted;
      pacer.submit({
        lane,
        key,
        send: () => sent.push({ lane, n, at: clock.now() }),
        withhold: (reason) => withheld.push({ lane, n, reason }),
      });
      return n;
    },
  };
}

const lane = fc.constantFrom(...lanes);
const step = fc.oneof(
  fc.record({ lane, count: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ wait: fc.integer({ min: 1, max: 700 }) }),
);

test('no second ever holds more than the limit, nothing is lost or doubled, each lane keeps its order', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, closing) => {
      // How many may wait is told elsewhere.
      const waitLimit = { cancel: 2_400, order: 2_400, control: 2_400, data: 2_400 };
      const { clock, pacer, sent, withheld, submit } = bench({ waitLimit });
      let submitted = 0;
      for (const each of steps) {
        if ('wait' in each) clock.advance(each.wait);
        else {
          for (let n = 0; n < each.count; n += 1) submit(each.lane);
          submitted += each.count;
        }
      }
      if (closing) pacer.close('over');
      clock.advance(600_000);
      expect(sent.length + withheld.length).toBe(submitted);
      expect(new Set([...sent, ...withheld].map(({ n }) => n)).size).toBe(submitted);
      if (!closing) expect(withheld).toEqual([]);
      for (let index = 0; index < sent.length; index += 1) {
        const later = sent[index + defaultPacing.perSecond];
        const here = sent[index];
        if (later && here) expect(later.at - here.at).toBeGreaterThanOrEqual(1_000);
      }
      for (const each of lanes) {
        const numbers = sent.filter((message) => message.lane === each).map(({ n }) => n);
        expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
      }
      expect(clock.pending).toBe(0);
    }),
    { numRuns: 200 },
  );
});

test('every lane may always send its reserve at once, whatever the others did within the second', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ lane, count: fc.integer({ min: 1, max: 100 }) }), { maxLength: 8 }),
      lane,
      (floods, chosen) => {
        const { pacer, sent, submit } = bench();
        for (const flood of floods) {
          if (flood.lane === chosen) continue;
          for (let n = 0; n < flood.count; n += 1) submit(flood.lane);
        }
        const before = sent.filter((message) => message.lane === chosen).length;
        for (let n = 0; n < defaultPacing.reserved[chosen]; n += 1) submit(chosen);
        expect(sent.filter((message) => message.lane === chosen).length - before).toBe(
          defaultPacing.reserved[chosen],
        );
        pacer.close('over');
      },
    ),
  );
});

test('a cancel overtakes 400 subscriptions and leaves within its own call', () => {
  const { clock, sent, submit } = bench();
  for (let n = 0; n < 400; n += 1) submit('data');
  const cancel = submit('cancel');
  expect(sent.at(-1)).toMatchObject({ lane: 'cancel', n: cancel, at: clock.now() });
  clock.advance(60_000);
  expect(sent).toHaveLength(401);
});

test('a flood of data flows evenly', () => {
  const { clock, sent, submit } = bench();
  for (let n = 0; n < 200; n += 1) submit('data');
  clock.advance(30_000);
  expect(sent).toHaveLength(200);
  for (const [index, { at }] of sent.entries()) {
    const later = sent[index + defaultPacing.dataBurst];
    if (later) expect(later.at - at).toBeGreaterThanOrEqual(125);
  }
});

test('when the pace frees, the most urgent goes first', () => {
  const { clock, sent, submit } = bench({
    perSecond: 4,
    reserved: { cancel: 1, order: 1, control: 1, data: 1 },
  });
  for (const each of ['data', 'control', 'order', 'cancel'] as const)
    for (let n = 0; n < 3; n += 1) submit(each);
  const first = sent.length;
  expect(first).toBe(4);
  clock.advance(1_100);
  expect(sent.slice(first, first + 1)).toMatchObject([{ lane: 'cancel' }]);
});

test('after a complaint the pace is halved for a while', () => {
  const { clock, pacer, sent, submit } = bench();
  pacer.slowDown();
  const start = clock.now();
  for (let n = 0; n < 1_000; n += 1) submit('order');
  clock.advance(9_999);
  for (let at = start; at < start + 9_000; at += 250) {
    expect(sent.filter((message) => message.at >= at && message.at < at + 1_000).length).toBeLessThanOrEqual(
      22,
    );
  }
  clock.advance(2_001);
  const recent = sent.filter((message) => message.at >= clock.now() - 1_000).length;
  expect(recent).toBeGreaterThan(22);
});

test('what waits can be withdrawn by its key, and only that', () => {
  const { clock, pacer, sent, withheld, submit } = bench({
    perSecond: 1,
    reserved: { cancel: 0, order: 0, control: 0, data: 0 },
  });
  submit('order', 'place:1');
  submit('order', 'place:2');
  submit('order', 'place:3');
  expect(pacer.withdraw((key) => key === 'place:2', 'cancelled')).toBe(1);
  expect(pacer.withdraw((key) => key === 'place:1', 'cancelled')).toBe(0);
  clock.advance(10_000);
  expect(sent.map(({ n }) => n)).toEqual([1, 3]);
  expect(withheld).toMatchObject([{ n: 2, reason: 'cancelled' }]);
});

test('waiting is bounded, and what comes after the end is withheld', () => {
  const { pacer, withheld, submit } = bench({
    perSecond: 1,
    reserved: { cancel: 0, order: 0, control: 0, data: 0 },
    waitLimit: { cancel: 1, order: 1, control: 1, data: 2 },
  });
  for (let n = 0; n < 4; n += 1) submit('data');
  expect(withheld).toMatchObject([{ n: 4, reason: 'too-many-waiting' }]);
  pacer.close('session-lost');
  submit('order');
  expect(withheld.map(({ n }) => n)).toEqual([4, 2, 3, 5]);
});

test('a message submitted from within another is sent once, after it', () => {
  const { clock, pacer, sent } = bench();
  pacer.submit({
    lane: 'data',
    key: 'outer',
    send() {
      sent.push({ lane: 'data', n: 1, at: clock.now() });
      pacer.submit({
        lane: 'cancel',
        key: 'inner',
        send: () => sent.push({ lane: 'cancel', n: 2, at: clock.now() }),
        withhold() {},
      });
    },
    withhold() {},
  });
  expect(sent.map(({ n }) => n)).toEqual([1, 2]);
});
