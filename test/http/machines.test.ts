/** The statecharts as the API and the README show them. */
import { readFileSync } from 'node:fs';
import { Compile } from 'typebox/compile';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setup } from 'xstate';
import { orderMachine } from '../../machines/order.machine.ts';
import { diagrams, readmeUrl, withDiagrams } from '../../src/diagrams.ts';
import { definitionsOf, flat, machineDefinitions } from '../../src/http/machine-definition.ts';
import { diagramOf } from '../../src/http/machine-diagram.ts';
import { MachineView } from '../../src/http/machines.ts';
import { listOf } from '../../src/http/pages.ts';
import { call, type Running, startServer } from './running.ts';

let running: Running;
beforeAll(async () => {
  running = await startServer({ readToken: 'reading-token-0123', debug: true });
});
afterAll(() => running.server.close());
const get = (path: string, headers: Record<string, string> = {}) =>
  call(running, 'GET', path, undefined, { authorization: 'Bearer reading-token-0123', ...headers });

describe('GET /v1/machines', () => {
  test('every machine of the tree, sorted, as its schema says', async () => {
    const answer = (await (await get('/v1/machines')).json()) as { machines: { id: string }[] };
    expect(Compile(listOf('machines', MachineView)).Errors(answer)).toEqual([]);
    const ids = answer.machines.map(({ id }) => id);
    expect(ids).toEqual([...ids].sort());
    for (const id of ['runtime', 'desk', 'order', 'tws', 'market', 'subscription', 'gate'])
      expect(ids).toContain(id);
    expect(answer.machines).toEqual(JSON.parse(JSON.stringify(machineDefinitions())));
    expect((await call(running, 'GET', '/v1/machines')).status).toBe(401);
  });

  test('one machine says what it is made of', async () => {
    const order = (await (await get('/v1/machines/order')).json()) as ReturnType<
      typeof machineDefinitions
    >[number];
    expect(Compile(MachineView).Errors(order)).toEqual([]);
    expect(order.guards).toEqual(Object.keys(orderMachine.implementations.guards).sort());
    expect(order.actions).toEqual(Object.keys(orderMachine.implementations.actions).sort());
    expect(order.delays).toContainEqual({ name: 'ackTimeout', ms: 4_000 });
    expect(order.events).toContain('order.cancelRequested');
    const submitting = flat(order.states).find(({ path }) => path === 'submitting');
    expect(submitting?.tags).toEqual(['open', 'awaiting']);
    expect(submitting?.transitions).toContainEqual({
      event: 'order.cancelRequested',
      delay: null,
      guard: null,
      targets: ['cancelling'],
      reenter: false,
      actions: ['record', 'sendCancel'],
    });
    expect(submitting?.transitions).toContainEqual(
      expect.objectContaining({ event: null, delay: 'ackTimeout', guard: 'isUnsent' }),
    );
    const actorsOf = (name: string) => machineDefinitions().find(({ id }) => id === name)?.actors;
    expect(actorsOf('desk')).toEqual([{ name: 'blotter', machine: 'blotter' }]);
    expect(actorsOf('blotter')).toEqual([{ name: 'order', machine: 'order' }]);
  });

  test('as a diagram for whoever asks for one', async () => {
    for (const answer of [
      await get('/v1/machines/order?format=mermaid'),
      await get('/v1/machines/order', { accept: 'text/vnd.mermaid' }),
    ]) {
      expect(answer.headers.get('content-type')).toBe('text/vnd.mermaid; charset=utf-8');
      const text = await answer.text();
      expect(text.startsWith('stateDiagram-v2\n')).toBe(true);
      expect(text).toMatch(/submitting --> cancelling : .*order\.cancelRequested/);
    }
    const asked = await get('/v1/machines/order?format=json', { accept: 'text/vnd.mermaid' });
    expect(asked.headers.get('content-type')).toContain('application/json');
    expect((await get('/v1/machines/order?format=svg')).status).toBe(400);
    const unknown = await get('/v1/machines/nobody');
    expect(unknown.status).toBe(404);
    expect(((await unknown.json()) as { detail: string }).detail).toContain('order');
  });

  test('is in the description of the API', async () => {
    const { paths } = (await (await get('/openapi.json')).json()) as {
      paths: Record<string, { get?: { security?: unknown } }>;
    };
    expect(paths['/v1/machines/{machine}']?.get?.security).toEqual([{ bearer: ['read'] }]);
    expect(Object.keys(paths)).toContain('/v1/machines');
  });
});

describe('a diagram', () => {
  const sample = setup({
    types: { events: {} as { type: 'go' | 'back' | 'stop.now' | 'again' } },
    guards: { isReady: () => true, isKind: (_, _params: { kind: string }) => true },
    delays: { patience: 90_000, pause: 250 },
  }).createMachine({
    id: 'sample',
    initial: 'end',
    on: { 'stop.now': '.end' },
    states: {
      end: { tags: ['idle', 'safe'], on: { go: { guard: 'isReady', target: 'busy' } } },
      busy: {
        initial: 'one',
        after: { patience: 'end' },
        on: { again: { target: 'busy', reenter: true } },
        states: {
          one: { after: { pause: 'two' }, on: { back: { target: '#sample.end' }, go: {} } },
          two: { always: { guard: { type: 'isKind', params: { kind: 'a:b' } }, target: 'both' } },
          both: {
            type: 'parallel',
            states: {
              left: { initial: 'l', states: { l: {} } },
              right: { initial: 'r', states: { r: { type: 'final' } } },
            },
          },
        },
      },
    },
  });

  test('shows nested and parallel states, guards, delays and tags, and no arrow through the edge of a box', () => {
    const [machine] = definitionsOf(sample);
    expect(diagramOf(machine as NonNullable<typeof machine>)).toBe(`stateDiagram-v2
  state "end<br/>#35;idle #35;safe" as end_
  state "busy" as busy {
    state "one" as busy_one
    state "two" as busy_two
    state "both" as busy_both {
      state "left" as busy_both_left {
        state "l" as busy_both_left_l
        [*] --> busy_both_left_l
      }
      --
      state "right" as busy_both_right {
        state "r" as busy_both_right_r
        busy_both_right_r --> [*]
        [*] --> busy_both_right_r
      }
    }
    [*] --> busy_one
    state "in any of these" as from_1
    from_1 --> busy_one : again
    busy_one --> busy_two : after pause (250 ms)
    busy_two --> busy_both : [isKind(a#58;b)]
  }
  [*] --> end_
  state "in any of these" as from_2
  from_2 --> end_ : stop.now
  end_ --> busy : go [isReady]
  busy --> end_ : after patience (90 s)<br/>one#58; back
  classDef origin fill:transparent,stroke-dasharray:4
  class from_1,from_2 origin
`);
  });

  test('of every machine names each of its states', () => {
    for (const machine of machineDefinitions()) {
      const text = diagramOf(machine);
      for (const { key, path } of flat(machine.states))
        if (path !== '') expect(text, `${machine.id} ${path}`).toContain(`state "${key}`);
    }
  });
});

describe('the README', () => {
  test('shows the machines as they are: `npm run diagrams` writes them', () => {
    const readme = readFileSync(readmeUrl, 'utf8');
    expect(readme === withDiagrams(readme, diagrams()), 'run `npm run diagrams`').toBe(true);
  });
  test('without markers is left alone', () => {
    expect(() => withDiagrams('no markers', '')).toThrow('README.md');
  });
});
