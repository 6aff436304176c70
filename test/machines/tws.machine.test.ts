import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createActor, fromCallback, type Snapshot, setup } from 'xstate';
import {
  type SessionCommand,
  type SessionInput,
  type TwsEvent,
  twsMachine,
} from '../../machines/tws.machine.ts';
import { isResetTime, retryDelayMs } from '../../machines/tws.ts';
import { matrix, pathOf } from './matrix.ts';

/** A clock that fires in order, one instant at a time. */
function eventClock() {
  let now = 0;
  let next = 0;
  const timers = new Map<number, { at: number; run: () => void }>();
  return {
    setTimeout(run: () => void, ms: number) {
      next += 1;
      timers.set(next, { at: now + ms, run });
      return next;
    },
    clearTimeout: (id: number) => {
      timers.delete(id);
    },
    advance(ms: number) {
      const end = now + ms;
      for (;;) {
        const due = [...timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
        if (!due) break;
        timers.delete(due[0]);
        now = due[1].at;
        due[1].run();
      }
      now = end;
    },
  };
}

// A Wednesday, 15:00 UTC: 10:00 in New York.
const noon = Date.UTC(2026, 0, 14, 15);

function bench() {
  const clock = eventClock();
  const commands: SessionCommand[] = [];
  const inputs: SessionInput[] = [];
  const told: { type: string }[] = [];
  let alive = 0;
  let most = 0;
  const tws = twsMachine.provide({
    actors: {
      session: fromCallback<SessionCommand, SessionInput>(({ input, receive }) => {
        inputs.push(input);
        alive += 1;
        most = Math.max(most, alive);
        receive((command) => commands.push(command));
        return () => {
          alive -= 1;
        };
      }),
    },
  });
  const parent = setup({
    types: { events: {} as { type: string } },
    actors: { tws },
    actions: { remember: ({ event }) => told.push(event) },
  }).createMachine({
    invoke: { id: 'tws', src: 'tws', input: { host: '127.0.0.1', port: 1, clientId: 9, seed: 42 } },
    on: {
      'tws.*': { actions: 'remember' },
      'broker.*': { actions: 'remember' },
      'dispatch.*': { actions: 'remember' },
    },
  });
  const root = createActor(parent, { clock }).start();
  const child = root.getSnapshot().children.tws;
  if (!child) throw new Error('no child');
  return {
    clock,
    commands,
    inputs,
    told,
    most: () => most,
    alive: () => alive,
    send: (...events: TwsEvent[]) => {
      for (const event of events) child.send(event);
    },
    snapshot: () => child.getSnapshot(),
    state: () => pathOf(child.getSnapshot().value),
    types: () => told.map(({ type }) => type),
    persisted: (): Snapshot<unknown> => child.getPersistedSnapshot(),
  };
}
type Bench = ReturnType<typeof bench>;

const dial: TwsEvent[] = [{ type: 'tws.connect' }, { type: 'session.dialing', at: noon }];
const negotiate: TwsEvent[] = [...dial, { type: 'session.connected', at: noon }];
const sync: TwsEvent[] = [...negotiate, { type: 'session.greeted', serverVersion: 193, at: noon }];
const probe: TwsEvent[] = [
  ...sync,
  { type: 'session.accountsListed', accounts: ['DU1'], at: noon },
  { type: 'session.orderIdGranted', orderId: 5, at: noon },
];
const online: TwsEvent[] = [...probe, { type: 'session.probed', rttMs: 2, at: noon }];
const broken: TwsEvent = {
  type: 'farm.changed',
  farm: { name: 'usfarm', kind: 'market', status: 'broken', since: noon },
  at: noon,
};
const mended: TwsEvent = { ...broken, farm: { ...broken.farm, status: 'ok' } };
const closed: TwsEvent = { type: 'session.closed', cause: 'closed', message: 'reset by peer', at: noon };

const ways: Readonly<Record<string, readonly TwsEvent[]>> = {
  idle: [],
  dialing: dial,
  negotiating: negotiate,
  introducing: sync,
  probing: probe,
  whole: online,
  impaired: [...online, broken],
  severed: [...online, { type: 'link.severed', at: noon }],
  waiting: [...online, closed],
  refused: [...negotiate, { type: 'session.refused', cause: 'versionUnsupported', message: '300', at: noon }],
  maintenance: [
    ...dial,
    { type: 'session.closed', cause: 'refused', message: 'refused', at: Date.UTC(2026, 0, 15, 5, 30) },
  ],
};

const ids = { orderId: 5, clientId: 9, permId: '1', orderRef: 'c-1' };
const events: readonly TwsEvent[] = [
  { type: 'tws.connect' },
  { type: 'tws.disconnect' },
  {
    type: 'tws.place',
    orderId: 5,
    parentOrderId: 0,
    modification: false,
    ticket: {
      clientOrderId: 'c-1',
      account: 'DU1',
      instrument: 'AAPL',
      contract: {},
      side: 'buy',
      type: 'market',
      quantity: '1',
      timeInForce: 'day',
      transmit: true,
    },
  },
  { type: 'tws.cancel', clientOrderId: 'c-1', orderId: 5 },
  { type: 'tws.cancelAll' },
  { type: 'session.dialing', at: noon },
  { type: 'session.connected', at: noon },
  { type: 'session.greeted', serverVersion: 193, at: noon },
  { type: 'session.accountsListed', accounts: ['DU1'], at: noon },
  { type: 'session.orderIdGranted', orderId: 6, at: noon },
  { type: 'session.probed', rttMs: 1, at: noon },
  closed,
  { type: 'session.refused', cause: 'clientIdInUse', message: '326', at: noon },
  { type: 'session.refused', cause: 'versionUnsupported', message: '300', at: noon },
  { type: 'session.limited', message: '100', at: noon },
  { type: 'session.noted', code: 2148, message: 'liquidation', severity: 'urgent', at: noon },
  { type: 'session.undecodable', text: 'x', problem: 'underrun', concernsOrders: true, at: noon },
  { type: 'link.severed', at: noon },
  { type: 'link.restored', dataLost: false, at: noon },
  { type: 'link.restored', dataLost: true, at: noon },
  broken,
  mended,
  { type: 'heartbeat.due' },
  { type: 'heartbeat.missed' },
  { type: 'absence.noticed' },
  {
    type: 'broker.statusSeen',
    at: noon,
    ids,
    status: 'working',
    filled: null,
    remaining: null,
    averagePrice: null,
    heldBecause: '',
  },
  { type: 'broker.commissioned', at: noon, execId: 'e', commission: '1', currency: 'USD', realizedPnl: null },
  { type: 'broker.orderIdGranted', at: noon, orderId: 7 },
  {
    type: 'dispatch.withheld',
    at: noon,
    clientOrderId: 'c-1',
    orderId: 5,
    what: 'place',
    reason: 'session-lost',
  },
];

const arrive = (name: string): Bench => {
  const there = bench();
  there.send(...(ways[name] ?? []));
  return there;
};

test('every state against every event', async () => {
  const states = Object.fromEntries(Object.keys(ways).map((name) => [name, arrive(name).persisted()]));
  for (const name of Object.keys(ways)) expect(arrive(name).state()).toMatch(new RegExp(`${name}$`));
  const machine = twsMachine.provide({
    actors: { session: fromCallback<SessionCommand, SessionInput>(() => undefined) },
  });
  await expect(matrix(machine, { states, events })).toMatchFileSnapshot('./tws.matrix.txt');
});

test('facts and dispatch facts pass in every state, unchanged and in order', () => {
  const facts = events.filter(({ type }) => type.startsWith('broker.') || type.startsWith('dispatch.'));
  expect(facts).toHaveLength(4);
  for (const name of Object.keys(ways)) {
    const there = arrive(name);
    there.told.length = 0;
    there.send(...facts);
    expect(there.told, name).toEqual(facts);
  }
});

test('a placement outside of a tradable link is answered at once; a cancel goes wherever a gateway has greeted', () => {
  const commands = events.filter(
    ({ type }) => type === 'tws.place' || type === 'tws.cancel' || type === 'tws.cancelAll',
  );
  for (const name of Object.keys(ways)) {
    const there = arrive(name);
    there.told.length = 0;
    there.commands.length = 0;
    there.send(...commands);
    const placed = name === 'whole' || name === 'impaired';
    const cancelled = placed || name === 'severed' || name === 'introducing' || name === 'probing';
    expect(
      there.commands.map(({ type }) => type).filter((type) => type !== 'session.probe'),
      name,
    ).toEqual([...(placed ? ['tws.place'] : []), ...(cancelled ? ['tws.cancel', 'tws.cancelAll'] : [])]);
    expect(
      there.told.filter(({ type }) => type === 'dispatch.withheld'),
      name,
    ).toHaveLength(commands.length - there.commands.length);
  }
});

test('tags tell outsiders what they may rely on', () => {
  const tags = Object.fromEntries(
    Object.keys(ways).map((name) => [name, [...arrive(name).snapshot().tags].sort()]),
  );
  expect(tags).toEqual({
    idle: ['down'],
    dialing: ['down'],
    negotiating: ['down'],
    introducing: ['down'],
    probing: ['down'],
    whole: ['connected', 'tradable'],
    impaired: ['connected', 'degraded', 'tradable'],
    severed: ['connected', 'degraded'],
    waiting: ['down'],
    refused: ['down'],
    maintenance: ['down', 'maintenance'],
  });
});

test.each([
  ['dialing', 10_000, 'dialTimeout'],
  ['negotiating', 5_000, 'greetingTimeout'],
  ['introducing', 10_000, 'syncTimeout'],
  ['probing', 10_000, 'syncTimeout'],
  ['whole', 10_000, 'silent'],
] as const)('%s ends after %i ms without an answer', (name, ms, cause) => {
  const there = arrive(name);
  there.clock.advance(ms - 1);
  expect(there.state()).toMatch(/^session/);
  there.clock.advance(1);
  expect(there.state()).toBe('waiting');
  expect(there.alive()).toBe(0);
  expect(there.snapshot().context.lastCause).toBe(cause);
});

test('a cut-off gateway may take longer to answer a heartbeat', () => {
  const there = arrive('severed');
  there.clock.advance(34_999);
  expect(there.state()).toBe('session.online.severed');
  there.clock.advance(1);
  expect(there.state()).toBe('waiting');
});

test('heartbeats go on while they are answered, and forgive earlier failures', () => {
  const there = arrive('waiting');
  expect(there.snapshot().context.failures).toBe(1);
  there.clock.advance(1_000);
  there.send(...online.slice(1));
  for (let beat = 1; beat <= 100; beat += 1) {
    there.clock.advance(5_000);
    there.send({ type: 'session.probed', rttMs: beat, at: noon + beat * 5_000 });
  }
  expect(there.state()).toBe('session.online.whole');
  expect(there.snapshot().context).toMatchObject({ failures: 0, rttMs: 100 });
});

test('a session is announced once, lost once, and the next has another name', () => {
  const there = arrive('whole');
  there.send(closed, closed);
  there.clock.advance(there.snapshot().context.retryInMs);
  there.send(...online.slice(1));
  expect(there.types().filter((type) => type === 'tws.ready' || type === 'tws.lost')).toEqual([
    'tws.ready',
    'tws.lost',
    'tws.ready',
  ]);
  expect(new Set(there.inputs.map(({ sessionId }) => sessionId)).size).toBe(there.inputs.length);
  expect(there.most()).toBe(1);
});

test('an attempt that never became ready is not announced as lost', () => {
  for (const name of ['dialing', 'negotiating', 'introducing', 'probing']) {
    const there = arrive(name);
    there.send(closed);
    expect(
      there.types().filter((type) => type === 'tws.lost'),
      name,
    ).toEqual([]);
  }
});

test('a connection that ends before a greeting was turned away, whatever stands behind the port', () => {
  const there = arrive('negotiating');
  there.send(closed);
  expect(there.snapshot().context).toMatchObject({
    lastCause: 'turnedAway',
    lastMessage: expect.stringContaining('the port is open'),
  });
});

/** Dials and is refused for so long. */
function absentFor(there: Bench, hours: number): number {
  const end = hours * 3_600_000;
  let attempts = 0;
  for (let elapsed = 0; elapsed < end; attempts += 1) {
    const pause = there.snapshot().context.retryInMs;
    there.clock.advance(pause);
    elapsed += pause;
    const at = noon + elapsed;
    there.send(
      { type: 'session.dialing', at },
      { type: 'session.closed', cause: 'refused', message: 'connect ECONNREFUSED', at },
    );
  }
  return attempts;
}

test('a gateway that stays away for a week-end calls a person once, is asked for calmly, and is forgiven when it returns', () => {
  const there = arrive('whole');
  there.send(closed);
  const grown = JSON.stringify(there.snapshot().context).length;
  const attempts = absentFor(there, 62);
  expect(attempts).toBeLessThan(62 * 60 * 2 + 100);
  expect(attempts).toBeGreaterThan(62 * 60);
  expect(there.types().filter((type) => type !== 'broker.orderIdGranted')).toEqual([
    'tws.ready',
    'tws.lost',
    'tws.absent',
  ]);
  expect(there.told.at(-1)).toMatchObject({
    type: 'tws.absent',
    since: noon,
    at: expect.toSatisfy((at: number) => at >= noon + 600_000 && at <= noon + 700_000),
    cause: 'refused',
  });
  expect(JSON.stringify(there.snapshot().context).length).toBeLessThan(grown + 200);
  expect(there.most()).toBe(1);
  there.clock.advance(there.snapshot().context.retryInMs);
  there.send(
    ...online.slice(1).map((event) => ('at' in event ? { ...event, at: noon + 62 * 3_600_000 } : event)),
  );
  expect(there.types().slice(-2)).toEqual(['tws.ready', 'tws.returned']);
  expect(there.snapshot().context.absentSince).toBeNull();
});

test('a gateway that was never there is missed, too; one that nobody asked for is not', () => {
  const there = arrive('dialing');
  absentFor(there, 1);
  expect(there.types()).toEqual(['tws.absent']);
  const idle = arrive('whole');
  idle.send({ type: 'tws.disconnect' });
  idle.clock.advance(3_600_000);
  expect(idle.types()).not.toContain('tws.absent');
});

test('a restart of the gateway calls nobody', () => {
  const there = arrive('whole');
  there.send(closed);
  for (let again = 0; again < 10; again += 1) {
    absentFor(there, 0.02);
    there.clock.advance(there.snapshot().context.retryInMs);
    there.send(...online.slice(1), closed);
  }
  expect(there.types().filter((type) => type === 'tws.ready')).toHaveLength(11);
  expect(there.types()).not.toContain('tws.absent');
});

test('a gateway that fell silent is lost when the heartbeat was not answered, not when it spoke last', () => {
  const there = arrive('whole');
  there.clock.advance(4_000);
  there.send({ ...broken, at: noon + 4_000 });
  there.clock.advance(6_000);
  expect(there.told.at(-1)).toMatchObject({ type: 'tws.lost', cause: 'silent', at: noon + 10_000 });
});

test('a new session repeats what is known of a farm: that is no change', () => {
  const there = arrive('impaired');
  const later = (event: TwsEvent, at: number): TwsEvent =>
    event.type === 'farm.changed' ? { ...event, at, farm: { ...event.farm, since: at } } : event;
  there.send(closed);
  there.clock.advance(there.snapshot().context.retryInMs);
  there.send(...online.slice(1), later(broken, noon + 60_000));
  expect(there.state()).toBe('session.online.impaired');
  expect(there.snapshot().context.farms).toMatchObject([{ name: 'usfarm', since: noon }]);
  there.send(later(mended, noon + 90_000));
  const told = there.told.filter(({ type }) => type === 'tws.farmChanged');
  expect(told.map((report) => 'repeated' in report)).toEqual([false, true, false]);
});

test('an outage that was announced while syncing begins with the session', () => {
  const there = arrive('introducing');
  there.send({ type: 'link.severed', at: noon }, broken, ...online.slice(sync.length));
  expect(there.state()).toBe('session.online.severed');
  expect(there.types().filter((type) => type !== 'broker.orderIdGranted')).toEqual([
    'tws.farmChanged',
    'tws.ready',
    'tws.severed',
  ]);
  there.send({ type: 'link.restored', dataLost: false, at: noon });
  expect(there.state()).toBe('session.online.impaired');
});

test('whatever happens, losses and recoveries come in pairs and never two sessions live', () => {
  const happenings = events.filter(
    ({ type }) => !type.startsWith('broker.') && !type.startsWith('dispatch.'),
  );
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.constantFrom(...happenings),
          fc.constantFrom(...online),
          fc.integer({ min: 1, max: 20_000 }),
        ),
        {
          maxLength: 80,
        },
      ),
      (steps) => {
        const there = bench();
        for (const step of steps) {
          if (typeof step === 'number') there.clock.advance(step);
          else if (step.type.startsWith('tws.') || there.alive() > 0) there.send(step);
          expect(there.snapshot().status).toBe('active');
        }
        expect(there.most()).toBeLessThanOrEqual(1);
        const ready = there.types().filter((type) => type === 'tws.ready' || type === 'tws.lost');
        ready.forEach((type, index) => {
          expect(type).toBe(index % 2 === 0 ? 'tws.ready' : 'tws.lost');
        });
        const absence = there.types().filter((type) => type === 'tws.absent' || type === 'tws.returned');
        absence.forEach((type, index) => {
          expect(type).toBe(index % 2 === 0 ? 'tws.absent' : 'tws.returned');
        });
        let severed = false;
        for (const type of there.types()) {
          if (type === 'tws.ready' || type === 'tws.lost') severed = false;
          if (type === 'tws.severed') {
            expect(severed).toBe(false);
            severed = true;
          }
          if (type === 'tws.restored') {
            expect(severed).toBe(true);
            severed = false;
          }
        }
        expect(JSON.parse(JSON.stringify(there.snapshot().context))).toEqual(there.snapshot().context);
      },
    ),
    { numRuns: 300 },
  );
});

test('undecodable messages are kept, but not without bound', () => {
  const there = arrive('whole');
  for (let n = 0; n < 100; n += 1) {
    there.send({ type: 'session.undecodable', text: `${n}`, problem: 'p', concernsOrders: false, at: noon });
  }
  const { undecodable, undecodableCount } = there.snapshot().context;
  expect(undecodable).toHaveLength(20);
  expect(undecodable.at(-1)?.text).toBe('99');
  expect(undecodableCount).toBe(100);
});

test('a session that breaks is a failed attempt, not the end of the machine', () => {
  const clock = eventClock();
  const tws = twsMachine.provide({
    actors: {
      session: fromCallback<SessionCommand, SessionInput>(() => {
        throw new Error('broken inside');
      }),
    },
  });
  const parent = createActor(
    fromCallback(() => undefined),
    { clock },
  ).start();
  const actor = createActor(tws, { input: { host: 'h', port: 1, clientId: 1, seed: 1 }, parent });
  actor.start();
  actor.send({ type: 'tws.connect' });
  expect(pathOf(actor.getSnapshot().value)).toBe('waiting');
  expect(actor.getSnapshot().context).toMatchObject({
    lastCause: 'failed',
    lastMessage: 'Error: broken inside',
  });
});

test('retries wait longer each time, never longer than the bound, and never all the same', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('refused', 'clientIdInUse', 'limited', 'closed', 'greetingTimeout', 'silent'),
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 0.999_999, noNaN: true }),
      (cause, failures, chance) => {
        const delay = retryDelayMs(cause, failures, chance, false);
        expect(delay).toBeGreaterThanOrEqual(250);
        expect(delay).toBeLessThanOrEqual(60_000);
        expect(retryDelayMs(cause, failures + 1, chance, false)).toBeGreaterThanOrEqual(delay);
        const calm = retryDelayMs(cause, failures, chance, true);
        expect(calm).toBeGreaterThanOrEqual(delay);
        expect(calm).toBeLessThanOrEqual(60_000);
        if (failures > 20) expect(calm).toBeGreaterThanOrEqual(30_000);
      },
    ),
  );
  const there = arrive('waiting');
  const delays = new Set<number>();
  for (let n = 0; n < 12; n += 1) {
    delays.add(there.snapshot().context.retryInMs);
    there.clock.advance(60_000);
    there.send({ type: 'session.dialing', at: noon }, closed);
  }
  expect(delays.size).toBeGreaterThan(10);
});

test.each([
  ['2026-01-14T15:00:00Z', false, 'Wednesday 10:00'],
  ['2026-01-15T04:44:59Z', false, 'Wednesday 23:44'],
  ['2026-01-15T04:45:00Z', true, 'Wednesday 23:45'],
  ['2026-01-15T06:44:59Z', true, 'Thursday 01:44'],
  ['2026-01-15T06:45:00Z', false, 'Thursday 01:45'],
  ['2026-07-15T03:45:00Z', true, 'Tuesday 23:45 in summer'],
  ['2026-07-15T05:45:00Z', false, 'Wednesday 01:45 in summer'],
  ['2026-01-17T03:59:59Z', false, 'Friday 22:59'],
  ['2026-01-17T04:00:00Z', true, 'Friday 23:00'],
  ['2026-01-17T07:59:59Z', true, 'Saturday 02:59'],
  ['2026-01-17T08:00:00Z', false, 'Saturday 03:00'],
])('at %s reset time is %s (%s in New York)', (at, expected) => {
  expect(isResetTime(Date.parse(at))).toBe(expected);
});
