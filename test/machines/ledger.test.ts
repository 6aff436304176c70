import fc from 'fast-check';
import { expect, test } from 'vitest';
import { add } from '../../machines/decimal.ts';
import type { LedgerEvent } from '../../machines/ledger.machine.ts';
import { executionRecallMs } from '../../machines/ledger.ts';
import { executionFamily } from '../../machines/order.ts';
import { account, contract, noon, openedLedger, openLedger, reported } from './ledgers.ts';
import { eventClock } from './timers.ts';

test('what the broker held before is carried without a question', () => {
  const ledger = openLedger();
  ledger.report(300);
  ledger.list(300);
  expect(ledger.position()).toMatchObject({ quantity: '300', confirmed: true });
  expect(ledger.codes()).toEqual([]);
  expect(ledger.isDoubtful()).toBe(false);
});

test('an execution moves a position at once; the report that follows confirms it', () => {
  const ledger = openedLedger();
  ledger.execute('a.01', 10);
  expect(ledger.position()).toMatchObject({ quantity: '10', confirmed: false });
  ledger.report(10);
  expect(ledger.position()).toMatchObject({ quantity: '10', confirmed: true });
  ledger.clock.advance(10_000);
  expect(ledger.wanted()).toBe(0);
});

test('a position that comes before its execution is not counted twice', () => {
  const ledger = openedLedger();
  ledger.report(10);
  ledger.execute('a.01', 10);
  expect(ledger.position()).toMatchObject({ quantity: '10' });
  expect(ledger.isDoubtful()).toBe(false);
});

test("today's executions inside the first report are rows, whatever their signs", () => {
  const ledger = openLedger();
  ledger.report(50);
  ledger.execute('a.01', 60, noon - 3_600_000);
  ledger.execute('b.01', -10, noon - 1_800_000);
  expect(ledger.executions()).toHaveLength(2);
  expect(ledger.position()).toMatchObject({ quantity: '50' });
});

test('a report that lags behind executions is late for seconds, and the truth after that', () => {
  const ledger = openedLedger(10);
  ledger.execute('a.01', 5);
  ledger.clock.advance(1_000);
  ledger.report(10);
  ledger.list(10);
  ledger.list(10);
  expect(ledger.position()).toMatchObject({ quantity: '15', confirmed: false });
  expect(ledger.codes()).toEqual([]);
  ledger.clock.advance(31_000);
  ledger.report(10);
  ledger.list(10);
  expect(ledger.position()).toMatchObject({ quantity: '10' });
  expect(ledger.codes()).toEqual(['position-unexplained']);
});

test('one empty list takes no position away; the second equal one does', () => {
  const ledger = openedLedger(100);
  ledger.list(null);
  expect(ledger.position()).toMatchObject({ quantity: '100', confirmed: false });
  expect(ledger.codes()).toEqual(['position-missing']);
  expect(ledger.wanted()).toBe(1);
  ledger.clock.advance(500);
  ledger.list(null);
  expect(ledger.position()).toMatchObject({ quantity: '0' });
  expect(ledger.codes()).toEqual([]);
  expect(ledger.ends.at(-1)).toBe('accepted');
  expect(ledger.isDoubtful()).toBe(false);
});

test('an empty list between two full ones leaves nothing but an alert that ended', () => {
  const ledger = openedLedger(100);
  ledger.list(null);
  ledger.clock.advance(500);
  ledger.report(100);
  ledger.list(100);
  expect(ledger.position()).toMatchObject({ quantity: '100', confirmed: true });
  expect(ledger.codes()).toEqual([]);
  expect(ledger.ends.at(-1)).toBe('agreed');
});

test('two empty lists that are not in a row are no proof', () => {
  const ledger = openedLedger(100);
  for (const quantity of [null, 100, null, 100]) {
    ledger.clock.advance(1_000);
    if (quantity !== null) ledger.report(quantity);
    ledger.list(quantity);
  }
  expect(ledger.position()).toMatchObject({ quantity: '100' });
});

test('a position without an execution is the truth, is named, asked about, and in the end taken', () => {
  const ledger = openedLedger();
  ledger.report(-1);
  expect(ledger.position()).toMatchObject({ quantity: '-1' });
  ledger.clock.advance(2_600);
  expect(ledger.wanted()).toBe(1);
  ledger.list(-1);
  expect(ledger.codes()).toEqual(['position-unexplained']);
  for (let look = 0; look < 5; look += 1) {
    ledger.clock.advance(2_600);
    ledger.list(-1);
  }
  expect(ledger.codes()).toEqual([]);
  expect(ledger.ends.at(-1)).toBe('accepted');
  const asked = ledger.wanted();
  ledger.clock.advance(60_000);
  expect(ledger.wanted()).toBe(asked);
  // Explained after all, by an execution that comes very late: it is a row, and the position stays.
  ledger.execute('late.01', -1, noon + 60_000);
  expect(ledger.position()).toMatchObject({ quantity: '-1' });
  expect(ledger.executions()).toHaveLength(1);
});

test('an execution explains what was named', () => {
  const ledger = openedLedger();
  ledger.report(-1);
  ledger.list(-1);
  expect(ledger.codes()).toEqual(['position-unexplained']);
  ledger.execute('a.01', -1);
  expect(ledger.codes()).toEqual([]);
  expect(ledger.ends.at(-1)).toBe('explained');
});

test('a list of executions that was asked for before the position moved explains nothing', () => {
  const ledger = openedLedger();
  const before = ledger.clock.now();
  ledger.clock.advance(5);
  ledger.report(7);
  ledger.send({
    type: 'ledger.listed',
    accounts: [account],
    rows: [reported(7, ledger.clock.now())],
    since: ledger.clock.now(),
    executionsSince: before,
    at: ledger.clock.now(),
  });
  expect(ledger.codes()).toEqual([]);
});

test('a correction replaces its execution, a bust removes it', () => {
  const ledger = openedLedger();
  ledger.execute('0001.a.01.01', 60);
  ledger.report(60);
  ledger.execute('0001.a.01.02', 50);
  ledger.execute('0001.a.01.01', 60);
  expect(ledger.executions()).toMatchObject([{ execId: '0001.a.01.02', quantity: '50' }]);
  expect(ledger.position()).toMatchObject({ quantity: '50' });
  ledger.report(50);
  ledger.execute('0001.a.01.03', 0);
  expect(ledger.position()).toMatchObject({ quantity: '0' });
});

test('the summary of a combo moves no position, its legs do', () => {
  const ledger = openedLedger();
  ledger.execute('0001.a.01.01', 3, noon, { contract: { symbol: 'SPY', secType: 'BAG' } });
  ledger.execute('0001.a.02.01', 3, noon + 60_000, { contract: { ...contract, conId: 1, symbol: 'A' } });
  ledger.execute('0001.a.03.01', -3, noon + 60_000, { contract: { ...contract, conId: 2, symbol: 'B' } });
  expect(ledger.executions()).toHaveLength(3);
  expect(ledger.positions().map(({ instrument, quantity }) => [instrument, quantity])).toEqual([
    ['A', '3'],
    ['B', '-3'],
  ]);
});

test('a commission before its execution waits for it; -1 and unset never replace a figure', () => {
  const ledger = openedLedger();
  const commission = (amount: string | null): LedgerEvent => ({
    type: 'broker.commissioned',
    at: noon,
    execId: 'a.01',
    commission: amount,
    currency: 'USD',
    realizedPnl: null,
  });
  ledger.send(commission('1.05'));
  ledger.execute('a.01', 10);
  expect(ledger.executions()).toMatchObject([{ commission: '1.05', currency: 'USD' }]);
  ledger.send(commission(null));
  expect(ledger.executions()).toMatchObject([{ commission: '1.05' }]);
  ledger.send(commission('-0.35'));
  expect(ledger.executions()).toMatchObject([{ commission: '-0.35' }]);
});

test('an execution that is charged for and never told of is asked for', () => {
  const ledger = openLedger();
  const charge = (execId: string) =>
    ledger.send({
      type: 'broker.commissioned',
      at: ledger.clock.now(),
      execId,
      commission: '1',
      currency: 'USD',
      realizedPnl: null,
    });
  charge('a.1.01');
  ledger.execute('a.1.01', 5);
  ledger.report(5);
  ledger.clock.advance(10_000);
  expect(ledger.wanted()).toBe(0);
  charge('b.1.01');
  charge('b.1.01');
  ledger.clock.advance(10_000);
  expect(ledger.wanted()).toBe(1);
});

test('the commission of a correction waits for the correction', () => {
  const ledger = openedLedger();
  const commission = (execId: string, amount: string): LedgerEvent => ({
    type: 'broker.commissioned',
    at: noon,
    execId,
    commission: amount,
    currency: 'USD',
    realizedPnl: null,
  });
  ledger.execute('a.01', 10);
  ledger.send(commission('a.01', '1.05'));
  ledger.send(commission('a.02', '0.55'));
  expect(ledger.executions()).toMatchObject([{ execId: 'a.01', commission: '1.05' }]);
  ledger.execute('a.02', 5);
  expect(ledger.executions()).toMatchObject([{ execId: 'a.02', commission: '0.55' }]);
  ledger.send(commission('a.01', '1.05'));
  expect(ledger.executions()).toMatchObject([{ execId: 'a.02', commission: '0.55' }]);
});

test('what differed when the process ended is settled by the first lists of the next', () => {
  const first = openedLedger();
  first.report(5);
  const next = openLedger();
  next.send({
    ...first.remembered(),
    open: [
      {
        code: 'position-unexplained',
        subject: { kind: 'position', account, instrument: 'AAPL' },
        evidence: {},
        firstSeen: new Date(noon).toISOString(),
        done: null,
      },
    ],
  });
  next.report(5);
  next.list(5);
  expect(next.ends).toEqual(['agreed']);
});

/** A day at the broker: fills, corrections, busts and trades that we hear of only as positions. */
const day = fc.array(
  fc.record({
    kind: fc.constantFrom('fill', 'fill', 'fill', 'correct', 'bust', 'silent'),
    quantity: fc.integer({ min: -9, max: 9 }).filter((quantity) => quantity !== 0),
    /** ms until the next */
    pause: fc.constantFrom(0, 400, 3_000, 45_000),
  }),
  { minLength: 1, maxLength: 12 },
);

interface Message {
  readonly at: number;
  play(ledger: ReturnType<typeof openLedger>): void;
}

function messagesOf(steps: typeof day extends fc.Arbitrary<infer T> ? T : never, base: number) {
  const executions: Message[] = [];
  const reports: Message[] = [];
  const fills: { family: string; revision: number; quantity: number; at: number; side: number }[] = [];
  let held = base;
  let at = noon + 120_000;
  for (const [index, { kind, quantity, pause }] of steps.entries()) {
    at += pause;
    const former = fills.at(-1);
    if (kind === 'fill' || kind === 'silent' || !former) {
      held += quantity;
      if (kind !== 'silent') {
        const family = `f.${index}.01`;
        const time = at;
        fills.push({ family, revision: 1, quantity, at, side: Math.sign(quantity) });
        executions.push({ at, play: (ledger) => ledger.execute(`${family}.01`, quantity, time) });
      }
    } else {
      const size = kind === 'bust' ? 0 : Math.abs(quantity);
      const next = size * former.side;
      held += next - former.quantity;
      former.revision += 1;
      former.quantity = next;
      const execId = `${former.family}.0${former.revision}`;
      const { side, at: executedAt } = former;
      executions.push({
        at,
        play: (ledger) => ledger.execute(execId, next, executedAt, { side: side < 0 ? 'sell' : 'buy' }),
      });
    }
    const now = held;
    reports.push({ at, play: (ledger) => ledger.report(now) });
  }
  return { executions, reports, fills, held, end: at };
}

const story = fc.record({
  steps: day,
  base: fc.integer({ min: -5, max: 5 }),
  /** for each execution: how much later it comes, ms, and whether it comes twice */
  delays: fc.array(fc.record({ ms: fc.constantFrom(0, 0, 200, 2_500, 60_000), again: fc.boolean() }), {
    minLength: 12,
    maxLength: 12,
  }),
  reportDelay: fc.constantFrom(0, 100, 3_000, 20_000),
  /** false: single reports are lost, lists come all the same */
  reports: fc.boolean(),
  lists: fc.array(fc.integer({ min: 0, max: 300_000 }), { maxLength: 4 }),
  restartAt: fc.option(fc.integer({ min: 0, max: 300_000 })),
});

test('whatever the order of executions, repetitions, corrections, reports and lists: the broker is right, each fill is one', () => {
  fc.assert(
    fc.property(story, ({ steps, base, delays, reportDelay, reports, lists, restartAt }) => {
      const told = messagesOf(steps, base);
      const begin = noon + 120_000;
      const heldAt = (at: number): number => {
        const ledger = { quantity: base };
        for (const message of told.reports)
          if (message.at <= at) message.play({ report: (q: number) => (ledger.quantity = q) } as never);
        return ledger.quantity;
      };
      const messages: Message[] = [
        ...told.executions.flatMap((message, index) => {
          const { ms, again } = delays[index % delays.length] ?? { ms: 0, again: false };
          const first = { ...message, at: message.at + ms };
          return again ? [first, { ...message, at: message.at + ms + 70_000 }] : [first];
        }),
        ...(reports ? told.reports.map((message) => ({ ...message, at: message.at + reportDelay })) : []),
        ...lists.map((ms): Message => {
          const quantity = heldAt(begin + ms - reportDelay);
          return {
            at: begin + ms,
            play: (ledger) => {
              if (quantity !== 0) ledger.report(quantity);
              ledger.list(quantity === 0 ? null : quantity);
            },
          };
        }),
      ];
      messages.sort((a, b) => a.at - b.at);
      const clock = eventClock(noon);
      let ledger = openLedger(clock);
      if (base !== 0) ledger.report(base);
      ledger.list(base === 0 ? null : base);
      const restart = restartAt === null ? Number.POSITIVE_INFINITY : begin + restartAt;
      let isRestarted = false;
      for (const message of messages) {
        clock.advance(Math.max(0, message.at - clock.now()));
        if (!isRestarted && message.at >= restart) {
          isRestarted = true;
          const memory = ledger.remembered();
          ledger = openLedger(clock);
          ledger.send(memory);
        }
        message.play(ledger);
      }
      // All executions once more, as a new session asks for them, and lists until nobody doubts.
      for (const message of told.executions) message.play(ledger);
      for (let look = 0; look < 8; look += 1) {
        clock.advance(look === 0 ? 61_000 : 4_000);
        if (told.held !== 0) ledger.report(told.held);
        ledger.list(told.held === 0 ? null : told.held);
      }
      const position = ledger.position()?.quantity ?? '0';
      expect(add(position, '0')).toBe(String(told.held));
      expect(ledger.codes()).toEqual([]);
      expect(ledger.isDoubtful()).toBe(false);
      const rows = Object.fromEntries(ledger.executions().map((row) => [executionFamily(row.execId), row]));
      expect(ledger.executions()).toHaveLength(told.fills.length);
      for (const { family, revision, quantity } of told.fills) {
        expect(rows[executionFamily(`${family}.01`)]).toMatchObject({
          execId: `${family}.0${revision}`,
          quantity: String(Math.abs(quantity)),
        });
      }
    }),
    { numRuns: 1_500 },
  );
});

test('executions and reports that keep their order need no list: nothing is counted twice or lost', () => {
  const calm = fc.record({
    steps: fc.array(
      fc.record({
        kind: fc.constant('fill' as const),
        quantity: fc.integer({ min: -9, max: 9 }).filter((quantity) => quantity !== 0),
        pause: fc.constantFrom(3_000, 45_000),
      }),
      { minLength: 1, maxLength: 10 },
    ),
    base: fc.integer({ min: -5, max: 5 }),
    lag: fc.array(
      fc.record({
        execution: fc.integer({ min: 0, max: 2_900 }),
        report: fc.integer({ min: 0, max: 2_900 }),
      }),
      {
        minLength: 10,
        maxLength: 10,
      },
    ),
  });
  fc.assert(
    fc.property(calm, ({ steps, base, lag }) => {
      const told = messagesOf(steps, base);
      const clock = eventClock(noon);
      const ledger = openLedger(clock);
      if (base !== 0) ledger.report(base);
      ledger.list(base === 0 ? null : base);
      const later = (list: readonly Message[], by: 'execution' | 'report') =>
        list.map((message, index) => ({ ...message, at: message.at + (lag[index]?.[by] ?? 0) }));
      const messages = [...later(told.executions, 'execution'), ...later(told.reports, 'report')];
      for (const message of messages.sort((a, b) => a.at - b.at)) {
        clock.advance(Math.max(0, message.at - clock.now()));
        message.play(ledger);
      }
      expect(add(ledger.position()?.quantity ?? '0', '0')).toBe(String(told.held));
      expect(ledger.isDoubtful()).toBe(false);
    }),
    { numRuns: 1_000 },
  );
});

test('executions are forgotten once the broker does not list them any more', () => {
  const ledger = openedLedger();
  ledger.execute('a1.01', 5);
  ledger.report(5);
  ledger.list(5);
  ledger.clock.advance(executionRecallMs - 3_600_000);
  ledger.execute('b1.01', 5);
  ledger.report(10);
  ledger.list(10);
  expect(ledger.executions()).toHaveLength(2);
  ledger.clock.advance(2 * 3_600_000);
  ledger.list(10);
  expect(ledger.executions()).toMatchObject([{ execId: 'b1.01' }]);
  // Told once more all the same, it moves nothing.
  ledger.execute('a1.01', 5, noon);
  expect(ledger.position()).toMatchObject({ quantity: '10', confirmed: true });
});
