import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { auditMachine } from '../machines/audit.machine.ts';
import { deskMachine } from '../machines/desk.machine.ts';
import { gateMachine } from '../machines/gate.machine.ts';
import {
  type ActorRow,
  assessHealth,
  componentNames,
  deadLoopMs,
  type HealthFacts,
  type HealthReport,
  latencySamplesMin,
  slowAppendMs,
  slowLoopMs,
  undecodableMemoryMs,
} from '../machines/health.ts';
import { ledgerMachine } from '../machines/ledger.machine.ts';
import { marketMachine } from '../machines/market.machine.ts';
import { orderMachine } from '../machines/order.machine.ts';
import { reconciliationMachine } from '../machines/reconciliation.machine.ts';
import { runtimeMachine } from '../machines/runtime.machine.ts';
import { subscriptionMachine } from '../machines/subscription.machine.ts';
import { twsMachine } from '../machines/tws.machine.ts';
import { withdrawalMachine } from '../machines/withdrawal.machine.ts';
import { codeOf } from './source-text.ts';

const now = Date.UTC(2026, 10, 20, 15, 0, 0);
const time = (ms: number): string => new Date(ms).toISOString();
const earlier = time(now - 60_000);

const row = (machine: string, tags: string[] = [], more: Partial<ActorRow> = {}): ActorRow => ({
  id: machine === 'runtime' ? 'runtime' : `runtime.${machine}`,
  machine,
  state: 'whatever',
  tags,
  since: earlier,
  restarts: 0,
  ...more,
});
const order = (clientOrderId: string, tags: string[], since = earlier): ActorRow =>
  row('order', tags, { id: `runtime.desk.order:${clientOrderId}`, since });

const well: HealthFacts = {
  actors: [
    row('runtime', ['started', 'reconciled']),
    row('tws', ['connected', 'tradable']),
    row('desk'),
    row('gate'),
  ],
  start: { configurationRead: true, journalReplayed: true, httpBound: true },
  draining: false,
  readyRequiresTws: false,
  tws: {
    sessionId: 's2',
    link: 'whole',
    serverVersion: 187,
    farms: [],
    undecodable: 0,
    lastUndecodableAt: null,
    trouble: null,
    lastMessageAt: now - 20,
  },
  journal: { writable: true, lastSeq: 12, lastAppendMs: 0.2, trouble: null },
  reconciliation: { sessionId: 's2', completedAt: now - 1_000, failing: [], differences: 0 },
  marketData: { lastTickAt: now - 5, waiting: 0, deprived: [] },
  clients: { connected: 2, subscriptions: 3, slow: 0, closedSlow: 0, unsentBytes: 0 },
  redis: 'absent',
  eventLoop: { p99Ms: 1, maxMs: 3, lastTurnAgeMs: 4, stallMs: 0 },
  executionLatency: { count: 10, p99Ms: 1.2, budgetMs: 10 },
};
const withTws = (tags: string[], tws: Partial<HealthFacts['tws']> = {}): HealthFacts => ({
  ...well,
  actors: well.actors.map((actor) => (actor.machine === 'tws' ? { ...actor, tags } : actor)),
  tws: { ...well.tws, ...tws },
});
const tagged = (machine: string, tags: string[]): HealthFacts => ({
  ...well,
  actors: well.actors.map((actor) => (actor.machine === machine ? { ...actor, tags } : actor)),
});
const withGate = (tags: string[]): HealthFacts => tagged('gate', tags);
const withRuntime = (tags: string[]): HealthFacts => tagged('runtime', tags);
const codes = (report: HealthReport): string[] => report.reasons.map(({ code }) => code);

test('a sound runtime passes in every component and every gate', () => {
  const report = assessHealth(well, now);
  expect(report.status).toBe('pass');
  expect(report.reasons).toEqual([]);
  expect(report.gates).toEqual({ live: true, started: true, ready: true, trading: true });
  const contracted =
    'tws farms journal orders reconciliation marketData clients redis eventLoop executionLatency'.split(' ');
  expect(componentNames).toEqual(expect.arrayContaining(contracted));
  expect(Object.keys(report.components)).toEqual([...componentNames]);
  for (const [name, { status, since }] of Object.entries(report.components)) {
    expect(status, name).toBe('pass');
    expect(Date.parse(since), name).toBeLessThanOrEqual(now);
  }
});

describe('tws', () => {
  test.each([
    ['pass', null, ['connected', 'tradable'], {}],
    ['warn', 'impaired', ['tradable', 'degraded'], { link: 'impaired' }],
    ['fail', 'severed', ['connected', 'degraded'], { link: 'severed' }],
    ['warn', 'connecting', ['connected'], { link: null }],
    ['fail', 'connecting', ['down'], { link: null, sessionId: null }],
    ['warn', 'maintenance', ['down', 'maintenance'], { link: null, sessionId: null }],
    ['fail', 'tws-failed', ['failed', 'tradable'], {}],
  ] as const)('%s (%s) when the tags are %j', (status, code, tags, tws) => {
    const report = assessHealth(withTws([...tags], tws), now);
    expect(report.components.tws?.status).toBe(status);
    expect(codes(report).includes(code ?? '')).toBe(code !== null);
  });

  test('the reason of a refusal is told, and the process stays alive and ready', () => {
    const trouble = { code: 'unsupported-version', message: 'TWS speaks version 90' };
    const report = assessHealth(withTws(['down'], { trouble, sessionId: null, link: null }), now);
    expect(report.components.tws).toMatchObject({ status: 'fail', reason: trouble });
    expect(report.reasons.find(({ code }) => code === 'connecting')?.detail).toContain(
      'TWS speaks version 90',
    );
    expect(report.gates).toEqual({ live: true, started: true, ready: true, trading: false });
  });

  test('an undecodable frame is remembered for a while and counted for ever', () => {
    const at = (age: number) =>
      assessHealth(withTws(['connected', 'tradable'], { undecodable: 2, lastUndecodableAt: now - age }), now)
        .components.tws;
    expect(at(1)).toMatchObject({ status: 'warn', undecodable: 2 });
    expect(at(undecodableMemoryMs)).toMatchObject({ status: 'pass', undecodable: 2 });
  });
});

describe('farms', () => {
  const farm = fc.record({
    name: fc.constantFrom('usfarm', 'eufarm', 'hfarm', 'ushmds', 'secdefil'),
    kind: fc.constantFrom('market' as const, 'history' as const, 'secdef' as const),
    status: fc.constantFrom('ok' as const, 'broken' as const, 'inactive' as const),
    since: fc.integer({ min: now - 1_000_000, max: now }),
  });
  test('property: not pass exactly while a named farm is broken, and each broken one is named', () => {
    fc.assert(
      fc.property(fc.uniqueArray(farm, { selector: ({ name }) => name }), (farms) => {
        const report = assessHealth(withTws(['connected', 'tradable'], { farms }), now);
        const broken = farms.filter(({ status }) => status === 'broken');
        expect(report.components.farms?.status).toBe(broken.length > 0 ? 'warn' : 'pass');
        expect(report.components.farms?.broken).toEqual(broken.map(({ name }) => name));
        const reasons = report.reasons.filter(({ code }) => code === 'farm-broken');
        expect(reasons).toHaveLength(broken.length);
        for (const { name, since } of broken) {
          expect(reasons.some((r) => r.detail.includes(name) && r.since === time(since))).toBe(true);
        }
      }),
    );
  });
});

describe('gates', () => {
  test('trading wants a tradable session, its own snapshots and a gate that is not halted', () => {
    const trading = (facts: HealthFacts): boolean => assessHealth(facts, now).gates.trading;
    expect(trading(well)).toBe(true);
    expect(trading(withGate(['reducing']))).toBe(true);
    expect(trading(withGate(['halted']))).toBe(false);
    expect(trading(withGate(['failed']))).toBe(false);
    expect(trading(withTws(['connected', 'degraded'], { link: 'severed' }))).toBe(false);
    expect(trading(withTws(['tradable', 'failed']))).toBe(false);
    expect(trading({ ...well, draining: true })).toBe(false);
    const live = assessHealth({ ...well, lacksPaperAccount: true }, now);
    expect([live.gates.trading, live.status, codes(live)]).toEqual([false, 'warn', ['no-paper-account']]);
    for (const missing of ['gate', 'desk', 'tws']) {
      const actors = well.actors.filter(({ machine }) => machine !== missing);
      expect(trading({ ...well, actors }), missing).toBe(false);
    }
    expect(trading(withRuntime(['started']))).toBe(false);
    expect(trading(withRuntime(['reconciled', 'draining']))).toBe(false);
  });

  test('a part that is gone for good shuts trading; only an escalation ends the life of the process', () => {
    const gone = row('market', ['failed']);
    const at = (tags: string[]) =>
      assessHealth({ ...well, actors: [row('runtime', tags), ...well.actors.slice(1), gone] }, now);
    const disabled = at(['started', 'disabled']);
    expect(disabled.gates).toEqual({ live: true, started: true, ready: true, trading: false });
    expect(disabled.reasons[0]).toMatchObject({
      code: 'part-failed',
      component: 'actors',
      detail:
        'a part that trading needs is gone for good (runtime.market): restart the process, then open trading',
    });
    const failed = at(['failed']);
    expect([failed.gates.live, failed.gates.trading, failed.status]).toEqual([false, false, 'fail']);
    expect(codes(failed)).toContain('part-failed');
  });

  test("snapshots of an earlier session don't open it", () => {
    const report = assessHealth(withTws(['connected', 'tradable'], { sessionId: 's3' }), now);
    expect(report.gates.trading).toBe(false);
    expect(codes(report)).toEqual(['reconciling']);
    const none = withTws(['connected', 'tradable'], { sessionId: null });
    const never = { ...none, reconciliation: { ...none.reconciliation, sessionId: null } };
    expect(assessHealth(never, now).gates.trading).toBe(false);
  });

  test('ready asks for TWS only when told to', () => {
    const down = withTws(['down'], { sessionId: null, link: null });
    expect(assessHealth(down, now).gates.ready).toBe(true);
    expect(assessHealth({ ...down, readyRequiresTws: true }, now).gates.ready).toBe(false);
    expect(assessHealth({ ...well, readyRequiresTws: true }, now).gates.ready).toBe(true);
  });

  test('ready wants the start finished, a writable journal and no shutdown', () => {
    const ready = (facts: HealthFacts): boolean => assessHealth(facts, now).gates.ready;
    expect(ready({ ...well, draining: true })).toBe(false);
    expect(ready({ ...well, journal: { ...well.journal, writable: false } })).toBe(false);
    for (const step of ['configurationRead', 'journalReplayed', 'httpBound'] as const) {
      const report = assessHealth({ ...well, start: { ...well.start, [step]: false } }, now);
      expect([report.gates.started, report.gates.ready]).toEqual([false, false]);
    }
  });

  test('property: neither TWS nor journal nor Redis nor orders can kill the process', () => {
    fc.assert(
      fc.property(
        fc.record({
          tags: fc.subarray(['connected', 'tradable', 'degraded', 'down', 'maintenance', 'failed']),
          writable: fc.boolean(),
          redis: fc.constantFrom('absent' as const, 'up' as const, 'down' as const),
          link: fc.constantFrom('whole' as const, 'impaired' as const, 'severed' as const, null),
          draining: fc.boolean(),
          inDoubt: fc.boolean(),
        }),
        ({ tags, writable, redis, link, draining, inDoubt }) => {
          const facts = withTws(tags, { link });
          const report = assessHealth(
            {
              ...facts,
              actors: [...facts.actors, order('c-1', inDoubt ? ['inDoubt'] : ['failed'])],
              journal: { ...well.journal, writable },
              redis,
              draining,
            },
            now,
          );
          expect(report.gates.live).toBe(true);
          if (report.gates.trading) expect(tags).toContain('tradable');
        },
      ),
    );
  });

  test('a dead root or a loop that stands still does', () => {
    const deadRoot = { ...well, actors: [row('runtime', ['failed']), ...well.actors.slice(1)] };
    const stalled = { ...well, eventLoop: { ...well.eventLoop, lastTurnAgeMs: deadLoopMs } };
    const stoodStill = { ...well, eventLoop: { ...well.eventLoop, stallMs: deadLoopMs } };
    for (const facts of [deadRoot, stalled, stoodStill, { ...well, actors: [] }]) {
      const report = assessHealth(facts, now);
      expect(report.gates.live).toBe(false);
      expect(report.gates.trading).toBe(false);
      expect(report.status).toBe('fail');
    }
  });
});

describe('components', () => {
  const judged = (more: Partial<HealthFacts>, name: string) =>
    assessHealth({ ...well, ...more }, now).components[name];

  test('the trading path warns above its budget, not at it, and not for a few orders', () => {
    const at = (p99Ms: number | null, count = latencySamplesMin) =>
      judged({ executionLatency: { count, p99Ms, budgetMs: 10 } }, 'executionLatency')?.status;
    expect([at(10), at(10.01), at(null, 0)]).toEqual(['pass', 'warn', 'pass']);
    expect(at(900, latencySamplesMin - 1)).toBe('pass');
  });

  test('the journal fails when it cannot be written and warns when it crawls', () => {
    const { journal } = well;
    expect(
      judged({ journal: { ...journal, writable: false, trouble: 'disk full' } }, 'journal')?.status,
    ).toBe('fail');
    expect(judged({ journal: { ...journal, lastAppendMs: slowAppendMs + 1 } }, 'journal')?.status).toBe(
      'warn',
    );
  });

  test('the event loop warns when slow', () => {
    expect(judged({ eventLoop: { ...well.eventLoop, p99Ms: slowLoopMs + 1 } }, 'eventLoop')?.status).toBe(
      'warn',
    );
  });

  test('Redis may be absent and may be down', () => {
    expect(judged({ redis: 'absent' }, 'redis')).toMatchObject({ status: 'pass', state: 'absent' });
    expect(judged({ redis: 'up' }, 'redis')?.status).toBe('pass');
    expect(judged({ redis: 'down' }, 'redis')?.status).toBe('warn');
    expect(judged({ redis: 'absent' }, 'redis')).toMatchObject({ configured: false });
    const redisStanding = { reason: 'OOM', since: now - 5_000, figures: { waiting: 3 } };
    expect(judged({ redis: 'down', redisStanding }, 'redis')).toMatchObject({
      status: 'warn',
      configured: true,
      reason: 'OOM',
      waiting: 3,
      since: new Date(now - 5_000).toISOString(),
    });
  });

  test('clients that do not keep up are told of', () => {
    expect(
      judged(
        { clients: { connected: 9, subscriptions: 9, slow: 2, closedSlow: 1, unsentBytes: 9 } },
        'clients',
      ),
    ).toMatchObject({
      status: 'warn',
      slow: 2,
    });
  });

  test('orders in doubt are named, many are abridged; closed orders are not open', () => {
    const doubtful = Array.from({ length: 7 }, (_, index) => order(`c.${index}`, ['open', 'inDoubt']));
    const actors = [...well.actors, ...doubtful, order('c-8', ['open']), order('c-9', ['closed'])];
    const report = assessHealth({ ...well, actors }, now);
    expect(report.components.orders).toMatchObject({
      status: 'warn',
      open: 8,
      inDoubt: 7,
      known: 9,
      failed: 0,
    });
    expect(report.reasons[0]).toMatchObject({
      code: 'orders-in-doubt',
      detail: '7 orders are in doubt: c.0, c.1, c.2, c.3, c.4, and 2 more',
    });
  });

  test('market-data lines are counted and silent ones named', () => {
    const line = (name: string, tag: string) =>
      row('subscription', [tag], { id: `runtime.market.line:${name}` });
    const actors = [...well.actors, line('AAPL', 'live'), line('SPY', 'stale'), line('X', 'refused')];
    const report = assessHealth({ ...well, actors }, now);
    expect(report.components.marketData).toMatchObject({
      status: 'warn',
      lines: 2,
      live: 1,
      stale: 1,
      refused: 1,
      waiting: 0,
    });
    expect(report.reasons[0]?.detail).toBe('1 market-data line is silent: SPY');
  });

  test('a halted gate warns; a lost one fails', () => {
    expect(assessHealth(withGate(['halted']), now).components.trading).toMatchObject({
      status: 'warn',
      state: 'halted',
    });
    expect(assessHealth(withGate(['failed']), now).components.trading?.status).toBe('fail');
  });

  test('an actor that nobody else speaks for is missed when it fails', () => {
    const actors = [...well.actors, row('watchdog', ['failed'], { restarts: 3 })];
    const report = assessHealth({ ...well, actors }, now);
    expect(report.components.actors).toMatchObject({ status: 'warn', restarts: 3, count: 5 });
    expect(report.reasons[0]).toEqual({
      code: 'actor-failed',
      component: 'actors',
      detail: 'actor runtime.watchdog has failed',
      since: earlier,
    });
  });

  test('lists that fail are named and end nothing by themselves', () => {
    const reconciliation = { ...well.reconciliation, failing: ['positions'] };
    const report = assessHealth({ ...well, reconciliation }, now);
    expect(report.components.reconciliation).toMatchObject({ status: 'warn', progress: 'complete' });
    expect(report.reasons[0]?.detail).toContain('positions');
    expect(report.gates.trading).toBe(true);
  });

  test('what shuts trading is told first', () => {
    const farm = { name: 'usfarm', kind: 'market' as const, status: 'broken' as const, since: now };
    const facts = withGate(['halted']);
    const report = assessHealth({ ...facts, tws: { ...well.tws, farms: [farm] }, redis: 'down' }, now);
    expect(codes(report)).toEqual(['halted', 'farm-broken', 'redis-down']);
  });

  test('unexplained differences between the books warn', () => {
    const reconciliation = { ...well.reconciliation, differences: 1 };
    expect(judged({ reconciliation }, 'reconciliation')?.status).toBe('warn');
  });
});

const machines = [
  runtimeMachine,
  twsMachine,
  gateMachine,
  deskMachine,
  orderMachine,
  ledgerMachine,
  auditMachine,
  withdrawalMachine,
  reconciliationMachine,
  marketMachine,
  subscriptionMachine,
];
const tagsIn = (config: unknown): string[] => {
  if (typeof config !== 'object' || config === null) return [];
  return Object.entries(config).flatMap(([key, value]) => (key === 'tags' ? [value].flat() : tagsIn(value)));
};

describe('the machines', () => {
  test.each([
    ['runtime', runtimeMachine, ['reconciled', 'draining', 'disabled', 'failed']],
    ['tws', twsMachine, ['tradable', 'degraded', 'down', 'maintenance']],
    ['gate', gateMachine, ['reducing', 'halted']],
    ['desk', deskMachine, []],
    ['order', orderMachine, ['closed', 'inDoubt']],
    ['subscription', subscriptionMachine, ['live', 'stale', 'refused']],
  ] as const)('%s has the name and the tags that are asked for here', (name, { id, config }, tags) => {
    expect(id).toBe(name);
    expect(tagsIn(config)).toEqual(expect.arrayContaining([...tags]));
  });
});

test('meaning is read from tags that machines carry: no state is named or looked at', () => {
  const source = readFileSync(new URL('../machines/health.ts', import.meta.url), 'utf8');
  const code = codeOf(source, 'comments');
  expect(code).not.toMatch(/\.state\b/);
  const asked = [...code.matchAll(/\b(?:includes|has|tagged)\('(\w+)'\)/g)].map(([, tag = '']) => tag);
  expect(asked.length).toBeGreaterThan(10);
  const carried = machines.flatMap(({ config }) => tagsIn(config));
  for (const tag of asked) expect([...carried, 'fail', 'warn', 'failed'], tag).toContain(tag);
});

test('every state of every machine says in words what it is', () => {
  interface Node {
    readonly path: readonly string[];
    readonly description?: string | undefined;
    readonly states: Readonly<Record<string, Node>>;
  }
  const silent = (node: Node): string[] => [
    ...(node.description ? [] : [node.path.join('.') || 'the machine itself']),
    ...Object.values(node.states).flatMap(silent),
  ];
  for (const { id, root } of machines) expect(silent(root as unknown as Node), id).toEqual([]);
  expect(silent({ path: [], description: 'm', states: { a: { path: ['a'], states: {} } } })).toEqual(['a']);
});

describe('since', () => {
  const down = (since: string): HealthFacts => {
    const facts = withTws(['down'], { sessionId: null, link: null });
    return { ...facts, actors: facts.actors.map((a) => (a.machine === 'tws' ? { ...a, since } : a)) };
  };

  test('stays while the status stays, though the actor moves from try to try', () => {
    const first = assessHealth(down(time(now)), now);
    const second = assessHealth(down(time(now + 5_000)), now + 5_000, first);
    expect(second.components.tws?.since).toBe(time(now));
    expect(second.reasons.find(({ code }) => code === 'connecting')?.since).toBe(time(now));
    const third = assessHealth(well, now + 9_000, second);
    expect(third.components.tws?.status).toBe('pass');
    expect(third.components.tws?.since).toBe(earlier);
  });

  test('of a figure is the moment when its status was first seen', () => {
    const redisDown = { ...well, redis: 'down' as const };
    const first = assessHealth(well, now);
    const second = assessHealth(redisDown, now + 1_000, first);
    const third = assessHealth(redisDown, now + 2_000, second);
    expect([second, third].map(({ components }) => components.redis?.since)).toEqual([
      time(now + 1_000),
      time(now + 1_000),
    ]);
    expect(third.reasons[0]?.since).toBe(time(now + 1_000));
  });
});

test('property: status is the worst of the components, and every component that does not pass has a reason', () => {
  const anyRow = fc.record({
    id: fc.string(),
    machine: fc.constantFrom('runtime', 'tws', 'desk', 'gate', 'order', 'subscription', 'watchdog', 'other'),
    state: fc.string(),
    tags: fc.subarray([
      'connected',
      'tradable',
      'degraded',
      'down',
      'failed',
      'inDoubt',
      'halted',
      'stale',
      'closed',
    ]),
    since: fc.constant(earlier),
    restarts: fc.nat(5),
  });
  fc.assert(
    fc.property(
      fc.array(anyRow, { maxLength: 12 }),
      fc.constantFrom('whole' as const, 'severed' as const, null),
      (actors, link) => {
        const report = assessHealth({ ...well, actors, tws: { ...well.tws, link } }, now);
        const rank = { pass: 0, warn: 1, fail: 2 };
        const statuses = Object.values(report.components).map(({ status }) => rank[status]);
        expect(rank[report.status]).toBe(Math.max(...statuses, report.gates.live ? 0 : 2));
        const bad = statuses.filter((status) => status > 0).length;
        expect(report.reasons.length).toBeGreaterThanOrEqual(bad);
        if (!report.gates.live) expect(report.gates.trading).toBe(false);
        expect(JSON.parse(JSON.stringify(report))).toEqual(report);
      },
    ),
  );
});
