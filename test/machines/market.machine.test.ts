import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createActor, fromCallback } from 'xstate';
import { type LineFeed, lineKeyOf } from '../../machines/feed.ts';
import type { MarketInput } from '../../machines/market.machine.ts';
import { marketMachine, rowOf } from '../../machines/market.machine.ts';
import type { LineCommand, LineFact } from '../../machines/market.ts';
import { farmServes } from '../../machines/market.ts';
import type { LineInput } from '../../machines/subscription.machine.ts';
import { subscriptionMachine } from '../../machines/subscription.machine.ts';
import { VirtualTime } from '../market/virtual-time.ts';

/** The supervisor with its real subscriptions, over lines that only count. */
function setUp(input: MarketInput = {}) {
  const time = new VirtualTime();
  const opened = new Map<string, number>();
  const open = new Map<string, (fact: LineFact) => void>();
  const doubtful: string[] = [];
  const broken = new Set<string>();
  let mostOpen = 0;
  const line = fromCallback<LineCommand, LineInput>(({ input: { key }, sendBack, receive }) => {
    if (open.has(key)) throw new Error(`two lines for ${key}`);
    opened.set(key, (opened.get(key) ?? 0) + 1);
    open.set(key, sendBack);
    mostOpen = Math.max(mostOpen, open.size);
    const close = () => open.delete(key);
    receive((command) => {
      if (command.type === 'line.close') close();
      else doubtful.push(`${key} ${command.type}`);
    });
    return close;
  });
  const subscription = subscriptionMachine.provide({
    actors: { line },
    guards: {
      isSevered: ({ context }) => {
        if (broken.has(context.key)) throw new Error('a defect of our own');
        return context.link === 'severed';
      },
    },
  });
  const actor = createActor(marketMachine.provide({ actors: { subscription } }), {
    input: { lingerMs: 5_000, ...input },
    clock: time.clock,
  }).start();
  return {
    time,
    actor,
    opened,
    open,
    doubtful,
    broken,
    mostOpen: () => mostOpen,
    acquire: (...keys: readonly string[]) => {
      for (const key of keys) actor.send({ type: 'market.acquire', key, contract: { symbol: key } });
    },
    release: (...keys: readonly string[]) => {
      for (const key of keys) actor.send({ type: 'market.release', key });
    },
    ready: (sessionId = 's1') => actor.send({ type: 'tws.ready', sessionId }),
    tell: (key: string, fact: LineFact) => open.get(key)?.(fact),
    row: (key: string) => rowOf(actor.getSnapshot().context.rows, key),
    openKeys: () => [...open.keys()].sort(),
  };
}

describe('readers', () => {
  test('share one line, which outlives the last of them by a moment', () => {
    const { time, ready, acquire, release, tell, openKeys, opened, row } = setUp();
    ready();
    acquire('AAPL', 'AAPL', 'MSFT');
    tell('AAPL', { type: 'line.started' });
    expect(openKeys()).toEqual(['AAPL', 'MSFT']);
    release('AAPL');
    time.advance(60_000);
    expect(openKeys()).toEqual(['AAPL', 'MSFT']);
    release('AAPL');
    time.advance(4_999);
    expect(openKeys()).toContain('AAPL');
    time.advance(1);
    expect(openKeys()).toEqual(['MSFT']);
    expect(row('AAPL')).toBeUndefined();
    expect(opened.get('AAPL')).toBe(1);
  });

  test('who comes back in time finds the line open', () => {
    const { time, ready, acquire, release, tell, opened, openKeys } = setUp();
    ready();
    for (let visit = 0; visit < 5; visit += 1) {
      acquire('AAPL');
      tell('AAPL', { type: 'line.started' });
      time.advance(1_000);
      release('AAPL');
      time.advance(4_000);
    }
    acquire('AAPL');
    time.advance(60_000);
    expect(opened.get('AAPL')).toBe(1);
    expect(openKeys()).toEqual(['AAPL']);
  });

  test('a release too many is ignored', () => {
    const { time, ready, acquire, release, row } = setUp();
    ready();
    acquire('AAPL');
    release('AAPL', 'AAPL', 'MSFT');
    acquire('AAPL');
    time.advance(60_000);
    expect(row('AAPL')?.readers).toBe(1);
  });

  test('names that collide with what every object has are ordinary names', () => {
    const { ready, acquire, openKeys } = setUp();
    ready();
    acquire('__proto__', 'constructor', 'toString');
    expect(openKeys()).toEqual(['__proto__', 'constructor', 'toString']);
  });
});

describe('the limit of lines', () => {
  test('the newest waits, first come first served, until a line is free', () => {
    const { time, ready, acquire, release, openKeys, row } = setUp({ lineLimits: { quotes: 2 } });
    ready();
    acquire('A', 'B', 'C', 'D');
    expect(openKeys()).toEqual(['A', 'B']);
    expect(row('C')?.standing).toBe('waiting');
    release('A');
    expect(openKeys()).toEqual(['B', 'C']);
    release('B');
    expect(openKeys()).toEqual(['C', 'D']);
    time.advance(60_000);
    expect(openKeys()).toEqual(['C', 'D']);
  });

  test('a line that only lingers gives way', () => {
    const { ready, acquire, release, openKeys } = setUp({ lineLimits: { quotes: 2 } });
    ready();
    acquire('A', 'B');
    release('A');
    acquire('C');
    expect(openKeys()).toEqual(['B', 'C']);
  });

  test('a line refused for good is free for others', () => {
    const { ready, acquire, tell, openKeys, row } = setUp({ lineLimits: { quotes: 1 } });
    ready();
    acquire('A', 'B');
    tell('A', {
      type: 'line.ended',
      reason: { code: '200', message: 'no such contract' },
      retryAfterMs: null,
    });
    expect(openKeys()).toEqual(['B']);
    expect(row('A')).toMatchObject({ standing: 'refused', reason: { code: '200' } });
  });

  test('who stops waiting leaves the queue', () => {
    const { ready, acquire, release, row, openKeys } = setUp({ lineLimits: { quotes: 1 } });
    ready();
    acquire('A', 'B', 'C');
    release('B');
    expect(row('B')).toBeUndefined();
    release('A');
    expect(openKeys()).toEqual(['C']);
  });

  test('the list itself is bounded', () => {
    const { ready, acquire, actor } = setUp({ lineLimits: { quotes: 1 }, rowLimit: 3 });
    ready();
    acquire('A', 'B', 'C', 'D', 'E', 'A');
    expect(actor.getSnapshot().context).toMatchObject({ turnedAway: 2 });
    expect(actor.getSnapshot().context.rows).toHaveLength(3);
  });
});

describe('lines of several kinds', () => {
  const feeds = [
    { channel: 'quotes' },
    { channel: 'depth', rows: 10 },
    { channel: 'trades' },
    { channel: 'bars', barSize: '1 min' },
  ] as const satisfies readonly LineFeed[];
  const [, depth] = feeds;

  test('of one instrument are lines of their own, each within the limit of its kind', () => {
    const { actor, ready, openKeys, row } = setUp();
    ready();
    for (const symbol of ['A', 'B', 'C', 'D', 'E', 'F'])
      for (const feed of feeds)
        actor.send({ type: 'market.acquire', key: lineKeyOf(symbol, feed), contract: { symbol }, feed });
    const waiting = ['depth:D', 'depth:E', 'depth:F', 'trades:F'];
    expect(openKeys()).toHaveLength(24 - waiting.length);
    expect(openKeys()).toContain('bars:F:1 min');
    for (const key of waiting) expect(row(key)?.standing).toBe('waiting');
    actor.send({ type: 'market.release', key: 'trades:A' });
    expect(row('trades:F')?.standing).toBe('requesting');
    for (const key of waiting.slice(0, 3)) expect(row(key)?.standing).toBe('waiting');
    expect(Object.keys(actor.getSnapshot().children)).toContain('line:depth:A');
  });

  test('too many for TWS are asked for again after a minute, and the place is not given away', () => {
    const { time, actor, ready, tell, row, opened } = setUp();
    ready();
    for (const symbol of ['A', 'B', 'C', 'D'])
      actor.send({
        type: 'market.acquire',
        key: lineKeyOf(symbol, depth),
        contract: { symbol },
        feed: depth,
      });
    tell('depth:C', {
      type: 'line.ended',
      reason: { code: '309', message: 'too many' },
      retryAfterMs: 60_000,
    });
    expect(row('depth:D')?.standing).toBe('waiting');
    time.advance(59_999);
    expect(opened.get('depth:C')).toBe(1);
    time.advance(1);
    expect(opened.get('depth:C')).toBe(2);
    expect(row('depth:D')?.standing).toBe('waiting');
  });

  test('a farm of history casts doubt on bars alone', () => {
    const { actor, ready, doubtful } = setUp();
    ready();
    const contract = { symbol: 'AAPL', secType: 'STK', currency: 'USD' };
    for (const feed of feeds)
      actor.send({ type: 'market.acquire', key: lineKeyOf('AAPL', feed), contract, feed });
    const broken = (name: string, kind: 'market' | 'history' | 'secdef') =>
      actor.send({ type: 'tws.farmChanged', farm: { name, kind, status: 'broken' } });
    broken('euhmds', 'history');
    broken('secdefil', 'secdef');
    expect(doubtful).toEqual([]);
    broken('ushmds', 'history');
    expect(doubtful.splice(0)).toEqual(['bars:AAPL:1 min line.check']);
    broken('usfarm', 'market');
    expect(doubtful.sort()).toEqual(['AAPL line.check', 'depth:AAPL line.check', 'trades:AAPL line.check']);
  });
});

describe('the session', () => {
  test('nothing is opened without one; the first opens all, once', () => {
    const { ready, acquire, opened, openKeys, row } = setUp();
    acquire('A', 'B');
    expect(openKeys()).toEqual([]);
    expect(row('A')?.standing).toBe('waiting');
    ready();
    ready();
    expect([...opened.values()]).toEqual([1, 1]);
  });

  test('that stood before the machine did is enough', () => {
    const { actor, acquire, openKeys } = setUp({ sessionId: 's1' });
    acquire('A');
    expect(openKeys()).toEqual(['A']);
    actor.send({ type: 'tws.lost' });
    expect(openKeys()).toEqual([]);
  });

  test('a loss closes every line and marks it stale; the next session opens each once', () => {
    const { time, actor, ready, acquire, tell, opened, openKeys, row } = setUp();
    ready('s1');
    acquire('A', 'B');
    tell('A', { type: 'line.started' });
    actor.send({ type: 'tws.lost' });
    expect(openKeys()).toEqual([]);
    expect(row('A')).toMatchObject({ standing: 'stale', reason: { code: 'not-connected' } });
    time.advance(3_600_000);
    ready('s2');
    ready('s2');
    expect([...opened.entries()]).toEqual([
      ['A', 2],
      ['B', 2],
    ]);
    time.advance(1_000);
    expect([...opened.values()]).toEqual([2, 2]);
  });

  test('data lost: every line asked for exactly once more; kept: none', () => {
    const { actor, ready, acquire, opened } = setUp();
    ready();
    acquire('A', 'B', 'C');
    actor.send({ type: 'tws.severed' });
    acquire('D');
    expect(opened.has('D')).toBe(false);
    actor.send({ type: 'tws.restored', dataLost: false });
    expect(Object.fromEntries(opened)).toEqual({ A: 1, B: 1, C: 1, D: 1 });
    actor.send({ type: 'tws.severed' });
    actor.send({ type: 'tws.restored', dataLost: true });
    expect(Object.fromEntries(opened)).toEqual({ A: 2, B: 2, C: 2, D: 2 });
  });

  test('a competing session is not provoked by readers who come and go', () => {
    const { time, ready, acquire, release, tell, opened } = setUp();
    ready();
    for (let visit = 0; visit < 60; visit += 1) {
      acquire('A');
      tell('A', {
        type: 'line.ended',
        reason: { code: '10197', message: 'competing' },
        retryAfterMs: 30_000,
      });
      time.advance(1_000);
      release('A');
      time.advance(9_000);
    }
    expect(opened.get('A')).toBeLessThanOrEqual(21);
  });
});

describe('a farm', () => {
  test('that breaks casts doubt on the feeds it is known to serve, and on no other', () => {
    const { actor, ready, doubtful } = setUp();
    ready();
    const contracts = {
      AAPL: { symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'USD' },
      'SAP@IBIS/EUR': { symbol: 'SAP', secType: 'STK', exchange: 'IBIS', currency: 'EUR' },
      'CASH:EUR.USD': { symbol: 'EUR', secType: 'CASH', exchange: 'IDEALPRO', currency: 'USD' },
    };
    for (const [key, contract] of Object.entries(contracts)) {
      actor.send({ type: 'market.acquire', key, contract });
    }
    const farm = (name: string, kind: 'market' | 'history' = 'market') =>
      actor.send({ type: 'tws.farmChanged', farm: { name, kind, status: 'broken' } });
    farm('usfarm');
    expect(doubtful.splice(0)).toEqual(['AAPL line.check']);
    farm('cashfarm');
    expect(doubtful.splice(0)).toEqual(['CASH:EUR.USD line.check']);
    farm('eufarm');
    expect(doubtful.splice(0)).toEqual(['SAP@IBIS/EUR line.check']);
    farm('usfarm', 'history');
    farm('somefarm');
    expect(doubtful).toEqual([]);
  });

  test('of options or futures serves those only', () => {
    const option = { secType: 'OPT', currency: 'USD' };
    const future = { secType: 'FUT', currency: 'USD' };
    const stock = { secType: 'STK', currency: 'USD' };
    expect(
      [option, future, stock].map((contract) =>
        farmServes({ name: 'usopt', kind: 'market' }, contract, { channel: 'quotes' }),
      ),
    ).toEqual([true, false, false]);
    expect(
      [option, future, stock].map((contract) =>
        farmServes({ name: 'usfuture', kind: 'market' }, contract, { channel: 'quotes' }),
      ),
    ).toEqual([false, true, false]);
    expect(
      [option, future, stock].map((contract) =>
        farmServes({ name: 'usfarm.nj', kind: 'market' }, contract, { channel: 'quotes' }),
      ),
    ).toEqual([false, false, true]);
  });
});

describe('supervision', () => {
  test('a subscription that dies is replaced three times, then given up; the others live on', () => {
    const { actor, ready, acquire, broken, opened, row, openKeys } = setUp();
    ready();
    acquire('A', 'B');
    broken.add('A');
    const shake = () =>
      actor.send({
        type: 'tws.farmChanged',
        farm: { name: 'usfarm', kind: 'market', status: 'broken' },
      });
    for (let time = 0; time < 6; time += 1) shake();
    expect(actor.getSnapshot().status).toBe('active');
    expect(opened.get('A')).toBe(4);
    expect(opened.get('B')).toBe(1);
    expect(openKeys()).toEqual(['B']);
    expect(row('A')).toMatchObject({ standing: 'refused', reason: { code: 'line-failed' }, crashes: 4 });
  });
});

describe('for any order of events', () => {
  type Step =
    | { readonly do: 'acquire' | 'release' | 'start' | 'silence'; readonly key: string }
    | { readonly do: 'ready' | 'lost' | 'severed' | 'kept' | 'forgotten' }
    | { readonly do: 'wait'; readonly ms: number };
  const key = fc.constantFrom('A', 'B', 'C', 'D', 'E');
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('acquire' as const, 'release' as const), key }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('start' as const, 'silence' as const), key }) },
    fc.record({ do: fc.constantFrom('ready' as const, 'lost' as const, 'severed' as const) }),
    fc.record({ do: fc.constantFrom('kept' as const, 'forgotten' as const) }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(100, 2_000, 6_000) }),
  );

  test('a line is open when and only when somebody reads it and a session carries it', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.constantFrom(2, 95),
        fc.boolean(),
        (steps, lineLimit, endsOnline) => {
          const market = setUp({ lineLimits: { quotes: lineLimit } });
          const readers = new Map<string, number>();
          let session = 0;
          let link: 'down' | 'whole' | 'severed' = 'down';
          const send = market.actor.send;
          for (const one of steps) {
            switch (one.do) {
              case 'acquire':
                readers.set(one.key, (readers.get(one.key) ?? 0) + 1);
                market.acquire(one.key);
                break;
              case 'release':
                if (!readers.get(one.key)) break;
                readers.set(one.key, (readers.get(one.key) ?? 0) - 1);
                market.release(one.key);
                break;
              case 'start':
                market.tell(one.key, { type: 'line.started' });
                break;
              case 'silence':
                market.tell(one.key, { type: 'line.silenced' });
                break;
              case 'ready':
                session += 1;
                link = 'whole';
                market.ready(`s${session}`);
                break;
              case 'lost':
                link = 'down';
                send({ type: 'tws.lost' });
                break;
              case 'severed':
                if (link === 'down') break;
                link = 'severed';
                send({ type: 'tws.severed' });
                break;
              case 'kept':
              case 'forgotten': {
                if (link === 'down') break;
                link = 'whole';
                const before = new Map([...market.opened].filter(([name]) => market.open.has(name)));
                send({ type: 'tws.restored', dataLost: one.do === 'forgotten' });
                for (const [name, count] of before) {
                  if (!market.open.has(name)) continue;
                  expect(market.opened.get(name)).toBe(one.do === 'forgotten' ? count + 1 : count);
                }
                break;
              }
              case 'wait':
                market.time.advance(one.ms);
                break;
            }
            expect(market.open.size).toBeLessThanOrEqual(lineLimit);
            if (link === 'down') expect(market.open.size).toBe(0);
          }
          const wanted = [...readers].filter(([, count]) => count > 0).map(([name]) => name);
          for (const row of market.actor.getSnapshot().context.rows) {
            expect(row.readers).toBe(readers.get(row.key) ?? 0);
          }
          if (endsOnline) {
            market.ready('last');
            market.time.advance(5_000);
            const open = market.openKeys();
            expect(open.length).toBe(Math.min(wanted.length, lineLimit));
            expect(open.every((name) => wanted.includes(name))).toBe(true);
          }
          expect(market.mostOpen()).toBeLessThanOrEqual(lineLimit);
          market.actor.stop();
          expect(market.open.size).toBe(0);
        },
      ),
      { numRuns: 200 },
    );
  });
});

test('a thousand instruments are taken and dropped without a trace', () => {
  const { time, ready, acquire, release, actor, open } = setUp();
  ready();
  const keys = Array.from({ length: 1000 }, (_, index) => `K${index}`);
  acquire(...keys);
  expect(open.size).toBe(95);
  release(...keys);
  time.advance(5_000);
  expect(open.size).toBe(0);
  expect(actor.getSnapshot().context.rows).toEqual([]);
  expect(Object.keys(actor.getSnapshot().children)).toEqual([]);
});
