import { describe, expect, test } from 'vitest';
import { createActor, createMachine, fromCallback } from 'xstate';
import type { LineFeed } from '../../machines/feed.ts';
import type { LineCommand, LineFact, MarketLinkFact } from '../../machines/market.ts';
import type { LineInput, SubscriptionReport } from '../../machines/subscription.machine.ts';
import { subscriptionMachine } from '../../machines/subscription.machine.ts';
import { VirtualTime } from '../market/virtual-time.ts';

type Fact = LineFact | MarketLinkFact;

/** A subscription under a parent that listens, with a line that only counts. */
function setUp(feed: LineFeed = { channel: 'quotes' }) {
  const time = new VirtualTime();
  const reports: SubscriptionReport[] = [];
  const commands: string[] = [];
  const lines = { opened: 0, open: 0, fails: false, openedAt: [] as number[] };
  const line = fromCallback<LineCommand, LineInput>(({ receive }) => {
    if (lines.fails) throw new Error('the port is broken');
    lines.opened += 1;
    lines.open += 1;
    lines.openedAt.push(time.elapsed);
    receive((command) => commands.push(command.type));
    return () => {
      lines.open -= 1;
    };
  });
  const parent = createActor(
    createMachine({
      invoke: {
        id: 'subscription',
        src: subscriptionMachine.provide({ actors: { line } }),
        input: { key: 'AAPL', contract: { symbol: 'AAPL', secType: 'STK', currency: 'USD' }, feed },
      },
      on: {
        'subscription.changed': {
          actions: ({ event }) => {
            reports.push(event as SubscriptionReport);
          },
        },
      },
    }),
    { clock: time.clock },
  ).start();
  const actor = parent.getSnapshot().children.subscription;
  if (!actor) throw new Error('no subscription');
  return {
    time,
    lines,
    commands,
    reports,
    send: (...facts: readonly Fact[]) => {
      for (const fact of facts) actor.send(fact);
    },
    state: (): string => {
      const { value } = actor.getSnapshot() as { value: unknown };
      return typeof value === 'string' ? value : Object.values(value as Record<string, string>).join();
    },
    context: () => (actor.getSnapshot() as { context: Record<string, unknown> }).context,
    tags: (): string[] => [...(actor.getSnapshot() as { tags: Set<string> }).tags],
  };
}

const started: Fact = { type: 'line.started' };
const silenced: Fact = { type: 'line.silenced' };
const revived: Fact = { type: 'line.revived' };
const ready: Fact = { type: 'tws.ready', sessionId: 's2' };
const lost: Fact = { type: 'tws.lost' };
const severed: Fact = { type: 'tws.severed' };
const kept: Fact = { type: 'tws.restored', dataLost: false };
const forgotten: Fact = { type: 'tws.restored', dataLost: true };
const farmBroken: Fact = {
  type: 'tws.farmChanged',
  farm: { name: 'usfarm', kind: 'market', status: 'broken' },
};
const farmOk: Fact = { type: 'tws.farmChanged', farm: { name: 'usfarm', kind: 'market', status: 'ok' } };
const noPermission: Fact = {
  type: 'line.ended',
  reason: { code: '354', message: 'not subscribed' },
  retryAfterMs: null,
};
const competing: Fact = {
  type: 'line.ended',
  reason: { code: '10197', message: 'competing live session' },
  retryAfterMs: 30_000,
};
const sessionEnd: Fact = {
  type: 'line.ended',
  reason: { code: 'not-connected', message: 'gone' },
  retryAfterMs: null,
};
const kind: Fact = { type: 'line.kindChanged', kind: 'delayed' };
const note: Fact = { type: 'line.noted', note: { code: '10167', message: 'displaying delayed data' } };

test('what a line missed is asked for at once, by a request that takes the place of the old one', () => {
  const { send, lines, state } = setUp();
  send(started, { type: 'line.missed' });
  expect(lines).toMatchObject({ opened: 2, open: 1 });
  expect(state()).toBe('requesting');
  send(lost, { type: 'line.missed' });
  expect(lines).toMatchObject({ opened: 2, open: 0 });
  expect(state()).toBe('offline');
});

test('history may take longer than a first tick', () => {
  const bars = setUp({ channel: 'bars', barSize: '1 min' });
  const quotes = setUp();
  for (const { time } of [bars, quotes]) time.advance(16_000);
  expect([bars.state(), quotes.state()]).toEqual(['requesting', 'stale']);
  bars.time.advance(44_000);
  expect(bars.state()).toBe('stale');
});

describe('every state against every fact', () => {
  const states: Readonly<Record<string, readonly Fact[]>> = {
    requesting: [],
    live: [started],
    checking: [started, farmBroken],
    stale: [started, silenced],
    suspended: [started, severed],
    offline: [lost],
    'refused (final)': [noPermission],
    'refused (for now)': [competing],
  };
  const facts: Readonly<Record<string, Fact>> = {
    'line.started': started,
    'line.silenced': silenced,
    'line.revived': revived,
    'line.ended (final)': noPermission,
    'line.ended (for now)': competing,
    'line.ended (no session)': sessionEnd,
    'line.kindChanged': kind,
    'line.noted': note,
    'tws.ready': ready,
    'tws.lost': lost,
    'tws.severed': severed,
    'tws.restored (kept)': kept,
    'tws.restored (lost)': forgotten,
    'tws.farmChanged (broken)': farmBroken,
    'tws.farmChanged (ok)': farmOk,
  };

  /** `state` = where it ends; `+` = a line was opened; `!` = noted as a surprise; `.` = stays. */
  function outcome(path: readonly Fact[], fact: Fact): string {
    const { send, state, lines, context } = setUp();
    send(...path);
    const before = { state: state(), opened: lines.opened, surprises: context().surprises };
    send(fact);
    const opened = '+'.repeat(lines.opened - before.opened);
    const surprised = context().surprises !== before.surprises ? '!' : '';
    return `${state() === before.state ? '.' : state()}${opened}${surprised}`;
  }

  test('is the committed table', () => {
    const rows = Object.entries(facts).map(([name, fact]) => [
      name,
      ...Object.values(states).map((path) => outcome(path, fact)),
    ]);
    const table = [['', ...Object.keys(states)], ...rows];
    const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
    const text = table
      .map((row) =>
        row
          .map((cell, column) => cell.padEnd(widths?.[column] ?? 0))
          .join(' | ')
          .trimEnd(),
      )
      .join('\n');
    expect(`\n${text}\n`).toMatchInlineSnapshot(`
      "
                               | requesting | live        | checking    | stale       | suspended   | offline     | refused (final) | refused (for now)
      line.started             | live       | .!          | live        | live        | live        | .!          | .!              | .!
      line.silenced            | .!         | stale       | stale       | .!          | .!          | .!          | .!              | .!
      line.revived             | .!         | .!          | live        | live        | live        | .!          | .!              | .!
      line.ended (final)       | refused    | refused     | refused     | refused     | refused     | .!          | .!              | .!
      line.ended (for now)     | refused    | refused     | refused     | refused     | refused     | .!          | .!              | .!
      line.ended (no session)  | offline    | offline     | offline     | offline     | offline     | .!          | .!              | .!
      line.kindChanged         | .          | .           | .           | .           | .           | .!          | .!              | .!
      line.noted               | .          | .           | .           | .           | .           | .           | .               | .
      tws.ready                | .+         | requesting+ | requesting+ | requesting+ | requesting+ | requesting+ | requesting+     | .
      tws.lost                 | offline    | offline     | offline     | offline     | offline     | .           | .               | .
      tws.severed              | suspended  | suspended   | suspended   | suspended   | .           | .           | .               | .
      tws.restored (kept)      | .          | .           | .           | .           | checking    | .           | .               | .
      tws.restored (lost)      | .+         | requesting+ | requesting+ | requesting+ | requesting+ | .           | .               | .
      tws.farmChanged (broken) | checking   | checking    | .           | .           | .           | .           | .               | .
      tws.farmChanged (ok)     | .          | .           | .           | checking    | .           | .           | .               | .
      "
    `);
  });

  test('the paths lead where their names say', () => {
    for (const [name, path] of Object.entries(states)) {
      const { send, state } = setUp();
      send(...path);
      expect(name.startsWith(state())).toBe(true);
    }
  });
});

describe('the first tick', () => {
  test('that does not come in time leaves the line stale, and open', () => {
    const { time, state, lines, reports } = setUp();
    time.advance(14_999);
    expect(state()).toBe('requesting');
    time.advance(1);
    expect(state()).toBe('stale');
    expect(lines.open).toBe(1);
    expect(reports.at(-1)).toMatchObject({ standing: 'stale', reason: { code: 'no-answer' } });
  });

  test('makes it live and clears the reason', () => {
    const { send, tags, reports } = setUp();
    send(started);
    expect(tags()).toEqual(['live']);
    expect(reports.map(({ standing }) => standing)).toEqual(['requesting', 'live']);
    expect(reports.at(-1)?.reason).toBeNull();
  });
});

describe('silence', () => {
  test('is answered by one new request after a pause, with the old line closed', () => {
    const { time, send, lines, tags } = setUp();
    send(started, silenced);
    expect(tags()).toEqual(['stale']);
    time.advance(4_999);
    expect(lines.opened).toBe(1);
    time.advance(1);
    expect(lines).toMatchObject({ opened: 2, open: 1 });
    send(started);
    time.advance(3_600_000);
    expect(lines.opened).toBe(2);
  });

  test('that a new request does not end is answered ever more slowly', () => {
    const { time, send, lines } = setUp();
    send(started, silenced);
    time.advance(3_600_000);
    const gaps = lines.openedAt.slice(1).map((at, index) => at - (lines.openedAt[index] ?? 0));
    expect(gaps.slice(0, 4)).toEqual([5_000, 25_000, 35_000, 55_000]);
    expect(Math.max(...gaps)).toBe(615_000);
    expect(lines.open).toBe(1);
  });

  test('ends with a tick, before anything was asked', () => {
    const { time, send, lines, state } = setUp();
    send(started, silenced, revived);
    expect(state()).toBe('live');
    time.advance(60_000);
    expect(lines.opened).toBe(1);
  });

  test('that returns at once after each remedy does not restart the pauses; a calm minute does', () => {
    const { time, send, lines } = setUp();
    send(started, silenced);
    time.advance(5_000);
    send(started, silenced);
    time.advance(5_000);
    expect(lines.opened).toBe(2);
    time.advance(5_000);
    expect(lines.opened).toBe(3);
    send(started);
    time.advance(60_000);
    send(silenced);
    time.advance(5_000);
    expect(lines.opened).toBe(4);
  });
});

describe('the link', () => {
  test('restored with data lost: asked again exactly once', () => {
    const { time, send, lines, commands } = setUp();
    send(started, severed, severed);
    expect(commands).toEqual(['line.doubt']);
    time.advance(3_600_000);
    expect(lines.opened).toBe(1);
    send(forgotten);
    expect(lines).toMatchObject({ opened: 2, open: 1 });
    send(started);
    time.advance(3_600_000);
    expect(lines.opened).toBe(2);
  });

  test('restored with data kept: not asked again, but checked', () => {
    const { time, send, lines, commands, state, tags } = setUp();
    send(started, severed, kept);
    expect(tags()).toEqual(['stale']);
    expect(commands).toEqual(['line.doubt', 'line.check']);
    send(revived);
    expect(state()).toBe('live');
    time.advance(3_600_000);
    expect(lines.opened).toBe(1);
  });

  test('restored with data kept, and the data stays dead: a measured silence has it asked for again', () => {
    const { time, send, lines } = setUp();
    send(started, severed, kept, silenced);
    time.advance(5_000);
    expect(lines.opened).toBe(2);
  });

  test('a tick in flight after the outage began does not make us ask into it', () => {
    const { time, send, lines, state } = setUp();
    send(started, severed, revived);
    expect(state()).toBe('live');
    send(silenced);
    expect(state()).toBe('suspended');
    time.advance(3_600_000);
    expect(lines.opened).toBe(1);
  });

  test('lost and back: one line, opened anew', () => {
    const { time, send, lines, tags } = setUp();
    send(started, lost);
    expect(lines.open).toBe(0);
    expect(tags()).toEqual(['stale']);
    time.advance(86_400_000);
    expect(lines.opened).toBe(1);
    send(ready);
    expect(lines).toMatchObject({ opened: 2, open: 1 });
  });

  test('the line ends with its session before we hear of the loss: that is no refusal', () => {
    const { send, lines, state } = setUp();
    send(started, sessionEnd, lost);
    expect(state()).toBe('offline');
    send(ready);
    expect(lines).toMatchObject({ opened: 2, open: 1 });
  });

  test('a farm that flaps forty times while ticks flow costs no request', () => {
    const { time, send, lines, state } = setUp();
    send(started);
    for (let flap = 0; flap < 40; flap += 1) {
      send(farmBroken);
      expect(state()).toBe('checking');
      send(revived);
      time.advance(2_000);
      send(farmOk);
      time.advance(3_000);
    }
    expect(lines.opened).toBe(1);
    expect(state()).toBe('live');
  });

  test('a farm that comes back has a dead feed asked for soon, however long it was away', () => {
    const { time, send, lines } = setUp();
    send(started, farmBroken, silenced);
    time.advance(7_200_000);
    send(farmOk, silenced);
    const before = lines.opened;
    time.advance(5_000);
    expect(lines.opened).toBe(before + 1);
  });
});

describe('a refusal', () => {
  test('by a competing session is asked again after thirty seconds, not sooner, whatever the link does', () => {
    const { time, send, lines, tags } = setUp();
    send(competing);
    expect(tags()).toEqual(['refused']);
    time.advance(10_000);
    send(lost, ready, severed, kept, forgotten, farmOk);
    time.advance(19_999);
    expect(lines.opened).toBe(1);
    time.advance(1);
    expect(lines.opened).toBe(2);
  });

  test('never comes more often than the refuser asks', () => {
    const { time, send, lines, state } = setUp();
    for (let round = 0; round < 100; round += 1) {
      if (state() === 'requesting') send(competing);
      time.advance(1_000);
    }
    expect(lines.opened).toBe(4);
  });

  test('for good is not questioned in this session, and once in the next', () => {
    const { time, send, lines, state } = setUp();
    send(noPermission);
    time.advance(86_400_000);
    expect(lines.opened).toBe(1);
    send(ready);
    expect(lines.opened).toBe(2);
    send(noPermission, lost);
    time.advance(60_000);
    expect(state()).toBe('offline');
    send(ready);
    expect(lines.opened).toBe(3);
  });

  test('a port that throws is a refusal for a while, not the end of the actor', () => {
    const harness = setUp();
    harness.lines.fails = true;
    harness.send(ready);
    expect(harness.state()).toBe('refused');
    expect(harness.reports.at(-1)).toMatchObject({ reason: { code: 'line-failed' } });
    harness.lines.fails = false;
    harness.time.advance(5_000);
    expect(harness.state()).toBe('requesting');
    expect(harness.lines.open).toBe(1);
  });
});

test('notes annotate and end nothing', () => {
  const { send, state, context, lines } = setUp();
  send(started, note, kind);
  expect(state()).toBe('live');
  expect(context()).toMatchObject({ kind: 'delayed', note: { code: '10167' } });
  expect(lines).toMatchObject({ opened: 1, open: 1 });
});

test('a slot that nobody filled says its name', () => {
  const errors: unknown[] = [];
  const actor = createActor(
    createMachine({
      invoke: { id: 'subscription', src: subscriptionMachine, input: { key: 'AAPL', contract: {} } },
      on: {
        'subscription.changed': {
          actions: ({ event }) => {
            errors.push((event as SubscriptionReport).reason);
          },
        },
      },
    }),
  ).start();
  expect(errors).toContainEqual({ code: 'line-failed', message: 'port "line" was not provided' });
  actor.stop();
});
