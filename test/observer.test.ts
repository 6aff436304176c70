import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assertEvent, assign, createActor, fromCallback, setup } from 'xstate';
import { createLogger } from '../src/log.ts';
import { createObserver, type Transition } from '../src/observer.ts';

const start = Date.UTC(2026, 0, 5, 14, 30);

const orderMachine = setup({
  types: {
    context: {} as { order: { clientOrderId: string; permIds: string[]; account: string }; notes: number },
    input: {} as { clientOrderId: string },
    events: {} as { type: 'acknowledge' } | { type: 'note' } | { type: 'crash' },
    tags: {} as 'open',
  },
  actions: {
    crash: () => {
      throw new Error('order went wrong');
    },
    note: assign({ notes: ({ context }) => context.notes + 1 }),
    recordPermId: assign({ order: ({ context }) => ({ ...context.order, permIds: ['77'] }) }),
  },
}).createMachine({
  id: 'order',
  context: ({ input }) => ({
    order: { clientOrderId: input.clientOrderId, permIds: [], account: 'DU1234567' },
    notes: 0,
  }),
  initial: 'submitting',
  states: {
    submitting: { on: { acknowledge: { target: 'working', actions: 'recordPermId' } } },
    working: { tags: 'open' },
  },
  on: { note: { actions: 'note' }, crash: { actions: 'crash' } },
});

type DeskEvent =
  | { type: 'open'; clientOrderId: string }
  | { type: `xstate.error.actor.order:${string}`; error: unknown };
const deskMachine = setup({
  types: { events: {} as DeskEvent },
  actors: { order: orderMachine, port: fromCallback(() => undefined) },
  actions: {
    spawnOrder: assign(({ spawn, event }) => {
      assertEvent(event, 'open');
      const { clientOrderId } = event;
      spawn('order', { id: `order:${clientOrderId}`, input: { clientOrderId } });
      return {};
    }),
  },
}).createMachine({
  id: 'desk',
  type: 'parallel',
  invoke: { src: 'port' },
  states: {
    doors: {
      initial: 'shut',
      states: {
        shut: { on: { open: { target: 'ajar', actions: 'spawnOrder' } } },
        ajar: { on: { open: { actions: 'spawnOrder' } } },
      },
    },
    lights: { initial: 'on', states: { on: {} } },
  },
  on: { 'xstate.error.actor.*': {} },
});

const rootMachine = setup({
  types: { events: {} as { type: 'go' } | { type: 'halt' } | { type: 'restart' } | { type: 'noise' } },
  actors: { desk: deskMachine },
}).createMachine({
  id: 'runtime',
  initial: 'starting',
  states: {
    starting: { on: { go: 'trading' } },
    trading: {
      tags: ['tradable'],
      invoke: { src: 'desk', id: 'desk' },
      on: { restart: { target: 'trading', reenter: true }, halt: 'stopped' },
    },
    stopped: { type: 'final' },
  },
});

function world() {
  let at = start;
  const lines: Record<string, unknown>[] = [];
  const log = createLogger(
    { logLevel: 'debug', production: true },
    { write: (line) => void lines.push(JSON.parse(line)) },
  );
  const observer = createObserver({ now: () => at, log });
  const actor = createActor(rootMachine, { id: 'runtime', inspect: observer.inspect });
  const row = (id: string) => observer.rows().find((candidate) => candidate.id === id);
  const desk = () => actor.getSnapshot().children.desk;
  const order = (clientOrderId: string) => {
    const found = desk()?.getSnapshot().children[`order:${clientOrderId}`];
    if (!found) throw new Error(`no order ${clientOrderId}`);
    return found as unknown as { send(event: { type: 'acknowledge' | 'note' | 'crash' }): void };
  };
  return { observer, actor, row, desk, order, lines, pass: (ms: number) => (at += ms) };
}

describe('rows', () => {
  test('show every machine under its path, dotted, with tags and since', () => {
    const { observer, actor, row, desk, order, pass } = world();
    actor.start();
    expect(observer.rows()).toEqual([
      {
        id: 'runtime',
        machine: 'runtime',
        state: 'starting',
        tags: [],
        since: new Date(start).toISOString(),
        restarts: 0,
      },
    ]);
    pass(1_000);
    actor.send({ type: 'go' });
    expect(row('runtime')).toMatchObject({ state: 'trading', tags: ['tradable'] });
    expect(row('runtime.desk')).toMatchObject({ machine: 'desk', state: 'doors.shut,lights.on' });
    pass(1_000);
    desk()?.send({ type: 'open', clientOrderId: 'c-1' });
    order('c-1').send({ type: 'acknowledge' });
    expect(row('runtime.desk.order:c-1')).toEqual({
      id: 'runtime.desk.order:c-1',
      machine: 'order',
      state: 'working',
      tags: ['open'],
      since: new Date(start + 2_000).toISOString(),
      restarts: 0,
    });
    expect(row('runtime.desk')?.state).toBe('doors.ajar,lights.on');
    expect(observer.rows()).toHaveLength(3);
  });

  test('since moves with the state alone', () => {
    const { actor, row, desk, order, pass } = world();
    actor.start();
    actor.send({ type: 'go' });
    desk()?.send({ type: 'open', clientOrderId: 'c-1' });
    const before = row('runtime.desk.order:c-1');
    pass(5_000);
    order('c-1').send({ type: 'note' });
    actor.send({ type: 'noise' });
    expect(row('runtime.desk.order:c-1')).toBe(before);
  });

  test('forget what stopped', () => {
    const { observer, actor } = world();
    actor.start();
    actor.send({ type: 'go' });
    expect(observer.rows()).toHaveLength(2);
    actor.send({ type: 'restart' });
    expect(observer.rows().map(({ id, restarts }) => [id, restarts])).toEqual([
      ['runtime', 0],
      ['runtime.desk', 0],
    ]);
    actor.send({ type: 'halt' });
    expect(observer.rows()).toEqual([]);
  });

  test('keep a failed actor, tagged, until it is started again, and count the restart', () => {
    const { actor, row, desk, order, lines } = world();
    actor.start();
    actor.send({ type: 'go' });
    for (const restarts of [0, 1]) {
      desk()?.send({ type: 'open', clientOrderId: 'c-1' });
      expect(row('runtime.desk.order:c-1')).toMatchObject({ state: 'submitting', restarts });
      order('c-1').send({ type: 'crash' });
      expect(row('runtime.desk.order:c-1')).toMatchObject({
        state: 'submitting',
        tags: ['failed'],
        restarts,
      });
    }
    const reports = lines.filter(({ msg }) => msg === 'actor failed');
    expect(reports).toHaveLength(2);
    expect(reports[0]).toMatchObject({ level: 'error', err: { message: 'order went wrong' } });
    expect(lines.filter(({ msg }) => msg === 'actor restarted')).toHaveLength(1);
  });

  test('keep a bounded number of failed actors', () => {
    const { observer, actor, desk, order } = world();
    actor.start();
    actor.send({ type: 'go' });
    for (let index = 0; index < 100; index++) {
      desk()?.send({ type: 'open', clientOrderId: `c-${index}` });
      order(`c-${index}`).send({ type: 'crash' });
    }
    const failed = observer.rows().filter(({ tags }) => tags.includes('failed'));
    expect(failed).toHaveLength(64);
    expect(failed.at(-1)?.id).toBe('runtime.desk.order:c-99');
  });

  test('show the failure of the root itself', () => {
    const { log } = quiet();
    const observer = createObserver({ now: () => start, log });
    const actor = createActor(orderMachine, {
      id: 'solo',
      input: { clientOrderId: 'c' },
      inspect: observer.inspect,
    });
    actor.subscribe({ error: () => undefined });
    actor.start();
    actor.send({ type: 'crash' });
    expect(observer.rows()).toEqual([expect.objectContaining({ id: 'solo', tags: ['failed'] })]);
    expect(observer.rows()).toHaveLength(1);
  });

  test('show an actor that failed while it started, once', () => {
    const { log } = quiet();
    const observer = createObserver({ now: () => start, log });
    const bad = setup({}).createMachine({
      id: 'bad',
      context: () => {
        throw new Error('no context');
      },
    });
    const parent = setup({ actors: { bad } }).createMachine({
      id: 'parent',
      invoke: { src: 'bad', id: 'bad', onError: {} },
    });
    createActor(parent, { id: 'parent', inspect: observer.inspect }).start();
    expect(observer.rows().map(({ id, tags }) => [id, tags])).toEqual([
      ['parent', []],
      ['parent.bad', ['failed']],
    ]);
  });
});

function quiet() {
  return { log: createLogger({ logLevel: 'silent', production: true }, { write: () => undefined }) };
}

describe('the log', () => {
  test('gets one line per change of state, orders with their ids, and nothing when nothing changed', () => {
    const { actor, desk, order, lines } = world();
    actor.start();
    actor.send({ type: 'go' });
    desk()?.send({ type: 'open', clientOrderId: 'c-1' });
    lines.length = 0;
    order('c-1').send({ type: 'note' });
    expect(lines).toEqual([]);
    order('c-1').send({ type: 'acknowledge' });
    order('c-1').send({ type: 'note' });
    expect(lines).toEqual([
      expect.objectContaining({
        level: 'info',
        actor: 'runtime.desk.order:c-1',
        clientOrderId: 'c-1',
        permId: '77',
        from: 'submitting',
        to: 'working',
        event: 'acknowledge',
        msg: 'order submitting -> working',
      }),
    ]);
  });

  test('of machines that are not of consequence is for debugging', () => {
    const { log } = quiet();
    const lines: string[] = [];
    const info = createLogger(
      { logLevel: 'info', production: true },
      { write: (line) => void lines.push(line) },
    );
    const toggle = setup({ types: { events: {} as { type: 'go' } } }).createMachine({
      id: 'subscription',
      initial: 'a',
      states: { a: { on: { go: 'b' } }, b: { on: { go: 'a' } } },
    });
    for (const logger of [log, info]) {
      const observer = createObserver({ now: () => start, log: logger });
      const actor = createActor(toggle, { inspect: observer.inspect }).start();
      actor.send({ type: 'go' });
    }
    expect(lines).toEqual([]);
  });
});

describe('transitions', () => {
  test('are counted per machine and state, and told to listeners until they leave', () => {
    const { observer, actor, desk, order } = world();
    const heard: Transition[] = [];
    const leave = observer.onChange((transition) => heard.push(transition));
    actor.start();
    actor.send({ type: 'go' });
    for (const clientOrderId of ['c-1', 'c-2']) {
      desk()?.send({ type: 'open', clientOrderId });
      order(clientOrderId).send({ type: 'acknowledge' });
    }
    expect(observer.transitions()).toEqual(
      expect.arrayContaining([
        { machine: 'runtime', state: 'trading', count: 1 },
        { machine: 'order', state: 'submitting', count: 2 },
        { machine: 'order', state: 'working', count: 2 },
      ]),
    );
    expect(heard.map(({ id, from, to }) => `${id} ${from} ${to}`)).toEqual([
      'runtime null starting',
      'runtime.desk null doors.shut,lights.on',
      'runtime starting trading',
      'runtime.desk.order:c-1 null submitting',
      'runtime.desk doors.shut,lights.on doors.ajar,lights.on',
      'runtime.desk.order:c-1 submitting working',
      'runtime.desk.order:c-2 null submitting',
      'runtime.desk.order:c-2 submitting working',
    ]);
    leave();
    actor.send({ type: 'halt' });
    expect(heard).toHaveLength(8);
  });

  test('of the regions of a parallel state are details, for debugging and not counted', () => {
    const lines: Record<string, unknown>[] = [];
    const log = createLogger(
      { logLevel: 'info', production: true },
      { write: (line) => void lines.push(JSON.parse(line)) },
    );
    const observer = createObserver({ now: () => start, log });
    const entered: (string | null)[] = [];
    observer.onChange((transition) => entered.push(transition.entered));
    const region = (event: string) => ({
      initial: 'asking',
      states: { asking: { on: { [event]: 'done' } }, done: {} },
    });
    const lists = setup({}).createMachine({
      id: 'reconciliation',
      initial: 'gathering',
      states: {
        gathering: { type: 'parallel', states: { a: region('a'), b: region('b') }, on: { end: 'settled' } },
        settled: {},
      },
    });
    const actor = createActor(lists, { id: 'lists', inspect: observer.inspect }).start();
    for (const type of ['a', 'b', 'end']) actor.send({ type });
    expect(entered).toEqual(['gathering', null, null, 'settled']);
    expect(observer.transitions().map(({ state, count }) => [state, count])).toEqual([
      ['gathering', 1],
      ['settled', 1],
    ]);
    expect(lines.map(({ from, to }) => [from, to])).toEqual([['gathering.a.done,b.done', 'settled']]);
  });

  test('property: rows always say what the actors themselves say', () => {
    const step = fc.record({
      what: fc.constantFrom('open', 'acknowledge', 'note', 'crash', 'restart'),
      which: fc.constantFrom('a', 'b', 'c'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { observer, actor, desk } = world();
        actor.start();
        actor.send({ type: 'go' });
        const children = () =>
          (desk()?.getSnapshot().children ?? {}) as Record<
            string,
            { send(event: unknown): void; getSnapshot(): { status: string; value: unknown } } | undefined
          >;
        for (const { what, which } of steps) {
          const child = children()[`order:${which}`];
          const isActive = child?.getSnapshot().status === 'active';
          if (what === 'restart') actor.send({ type: 'restart' });
          else if (what === 'open') {
            if (!isActive) desk()?.send({ type: 'open', clientOrderId: which });
          } else if (isActive) child.send({ type: what });
        }
        const expected = Object.entries(children())
          .filter(([id, child]) => id.startsWith('order:') && child?.getSnapshot().status === 'active')
          .map(([id, child]) => [`runtime.desk.${id}`, child?.getSnapshot().value]);
        const shown = observer
          .rows()
          .filter(({ machine, tags }) => machine === 'order' && !tags.includes('failed'))
          .map(({ id, state }) => [id, state]);
        expect(shown.sort()).toEqual(expected.sort());
      }),
      { numRuns: 50 },
    );
  });
});

test('an event that changes nothing costs little', () => {
  const { log } = quiet();
  const observer = createObserver({ now: () => start, log });
  const events: Parameters<typeof observer.inspect>[0][] = [];
  const actor = createActor(orderMachine, {
    input: { clientOrderId: 'c' },
    inspect: (event) => {
      observer.inspect(event);
      events.push(event);
    },
  }).start();
  events.length = 0;
  actor.send({ type: 'note' });
  const best = Math.min(
    ...Array.from({ length: 20 }, () => {
      const began = performance.now();
      for (let index = 0; index < 10_000; index++) for (const event of events) observer.inspect(event);
      return ((performance.now() - began) * 1_000) / (10_000 * events.length);
    }),
  );
  expect(best).toBeLessThan(2);
});
