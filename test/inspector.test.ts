/** The inspector, with the real receiver of @statelyai/inspect on the other end of a real socket. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { Script } from 'node:vm';
import { createWebSocketReceiver, type StatelyInspectionEvent } from '@statelyai/inspect';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { assign, createActor, enqueueActions, fromCallback, setup, stopChild } from 'xstate';
import { blotterOf } from '../machines/blotter.machine.ts';
import { createInspector, type Inspector, type InspectorOptions } from '../src/inspector.ts';
import { eventually, type Program, startProgram, temporaryFolder } from './program.ts';

// Looking on takes what time orders leave, which is little on a busy machine.
const lookingOnMs = 45_000;
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** What a receiver has heard, by the path of each actor. */
function listen(url: string) {
  const events: StatelyInspectionEvent[] = [];
  createWebSocketReceiver({ server: url }).subscribe((event) => {
    events.push(event);
  });
  const paths = (): Map<string, string> => {
    const found = new Map<string, string>();
    for (const event of events) {
      if (event.type !== '@xstate.actor') continue;
      const parent = event.parentId === undefined ? undefined : found.get(event.parentId);
      found.set(event.sessionId, parent === undefined ? event.name : `${parent}.${event.name}`);
    }
    return found;
  };
  const sessionOf = (path: string) => [...paths()].find(([, known]) => known === path)?.[0];
  return {
    events,
    paths,
    /** Every snapshot of an actor; its registration tells only that it is active. */
    snapshots(path: string) {
      const sessionId = sessionOf(path);
      return events.flatMap((event) =>
        event.sessionId === sessionId && 'snapshot' in event
          ? [event.snapshot as { status?: string; value?: unknown; context?: Record<string, unknown> }]
          : [],
      );
    },
    eventsOf(path: string) {
      const sessionId = sessionOf(path);
      return events.flatMap((event) =>
        event.type === '@xstate.event' && event.sessionId === sessionId ? [event] : [],
      );
    },
  };
}

/** The status of the answer to a try to open a WebSocket. */
async function upgrade(url: string, headers: Record<string, string>): Promise<number> {
  const asked = request(url.replace('ws:', 'http:'), {
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    },
  });
  const status = new Promise<number>((resolve, reject) => {
    asked.once('response', (answer) => resolve(answer.statusCode ?? 0));
    asked.once('upgrade', (answer, socket) => {
      socket.destroy();
      resolve(answer.statusCode ?? 0);
    });
    asked.once('error', reject);
  });
  asked.end();
  return status;
}

/** How a connection attempt ends. */
async function dial(host: string, port: number): Promise<string> {
  const socket = connect({ host, port });
  try {
    await once(socket, 'connect');
    return 'connected';
  } catch (error) {
    return String((error as { code?: unknown }).code);
  } finally {
    socket.destroy();
  }
}

const pathOf = (clientOrderId: string): string =>
  `runtime.desk.${blotterOf(clientOrderId)}.order:${clientOrderId}`;

describe('of the running program', () => {
  const token = 'a-token-that-nobody-may-see';
  const folder = temporaryFolder();
  let program: Program;
  let at: string;
  let url: string;
  let account: string;

  const call = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(program.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };
  const place = (clientOrderId: string) =>
    call('POST', '/v1/orders?wait=accepted&timeoutMs=10000', {
      clientOrderId,
      instrument: 'AAPL',
      side: 'buy',
      quantity: '1',
      type: 'limit',
      limitPrice: '1.00',
    });

  beforeAll(async () => {
    program = await startProgram(folder.path, {
      INSPECT: 'true',
      INSPECT_PORT: '0',
      TRADE_TOKEN: token,
      MAX_ORDERS_PER_SECOND: '0',
    });
    const line = await eventually(
      () => program.lines.find((text) => text.includes('inspector ws:')),
      (text) => text !== undefined,
    );
    at = /ws:\/\/127\.0\.0\.1:\d+/.exec(line ?? '')?.[0] ?? '';
    url = `${at}/?token=${token}`;
    await eventually(
      () => call('GET', '/health/ready?gate=trading'),
      ({ status }) => status === 200,
      20_000,
    );
    const { body } = await call('GET', '/v1/account');
    account = (body.accounts as string[])[0] ?? '';
    expect(account).toMatch(/^DU\d{5,}$/);
  });
  afterAll(async () => {
    await program?.stop();
    folder.remove();
  });

  test('a receiver that comes late sees every actor, its state and its machine; then what an order does', async () => {
    const early = await place('early');
    expect(early.status).toBe(201);
    const receiver = listen(url);
    const rows = (await call('GET', '/v1/actors')).body.actors as { id: string; state: string }[];
    expect(rows.map(({ id }) => id)).toContain(pathOf('early'));
    await eventually(
      () => rows.filter(({ id }) => ![...receiver.paths().values()].includes(id)),
      (missing) => missing.length === 0,
      lookingOnMs,
    );
    await eventually(
      () => receiver.snapshots(pathOf('early')).at(-1),
      (snapshot) => snapshot?.status === 'active' && snapshot.value === 'working',
      lookingOnMs,
    );
    const registered = receiver.events.find(
      (event) => event.type === '@xstate.actor' && event.name === 'order:early',
    );
    const definition = JSON.parse(String((registered as { definition?: string }).definition));
    expect(definition.id).toBe('order');
    expect(definition.states.working.on['order.cancelRequested'].target).toBe('cancelling');

    expect((await place('late')).status).toBe(201);
    await call('DELETE', '/v1/orders/late?wait=closed&timeoutMs=10000');
    const states = await eventually(
      () => receiver.snapshots(pathOf('late')).map(({ value }) => value),
      (values) => values.includes('cancelled'),
      lookingOnMs,
    );
    const steps = states.filter((value, index) => value !== states[index - 1]);
    expect(steps.slice(-3)).toEqual(['working', 'cancelling', 'cancelled']);
    expect(receiver.eventsOf(pathOf('late')).map(({ event }) => event.type)).toContain('order.cancel');
  });

  test('no account and no token in any byte, wherever they stand', async () => {
    const socket = new WebSocket(url);
    const frames: string[] = [];
    socket.on('message', (data) => frames.push(String(data)));
    await once(socket, 'open');
    expect((await place(`for-${account}`)).status).toBe(201);
    expect((await place(`x${account.toLowerCase()}x`)).status).toBe(201);
    expect((await place(token)).status).toBe(201);
    await eventually(
      () => frames.filter((frame) => frame.includes('order:')),
      (found) => new Set(found.map((frame) => /"name":"(order:[^"]+)"/.exec(frame)?.[1])).size > 4,
      lookingOnMs,
    );
    await eventually(
      () => frames.some((frame) => frame.includes('order:[hidden]') && frame.includes('working')),
      Boolean,
      lookingOnMs,
    );
    socket.close();
    const bytes = frames.join('\n');
    for (const shown of ['"account":"DU#1"', 'order:for-DU#1', 'order:xDU#1x'])
      expect(bytes.includes(shown), shown).toBe(true);
    const told = frames.filter((frame) => frame.toLowerCase().includes(account.toLowerCase()));
    expect(told).toEqual([]);
    expect(frames.filter((frame) => /DU\d{4,}/.test(frame))).toEqual([]);
    expect(frames.filter((frame) => frame.includes(token))).toEqual([]);
  });

  test('orders pass while one receiver takes nothing and another takes everything', async () => {
    const lazy = new WebSocket(url);
    await once(lazy, 'open');
    lazy.pause();
    const receiver = listen(url);
    const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => place(`many-${n}`)));
    expect(answers.map(({ status }) => status)).toEqual(Array(30).fill(201));
    await eventually(
      () => receiver.snapshots(pathOf('many-29')).at(-1)?.value,
      (value) => value === 'working',
      lookingOnMs,
    );
    lazy.terminate();
  });

  test('only this machine, its own names and origins, and whoever has a token', async () => {
    const port = Number(new URL(at).port);
    expect(await dial('127.0.0.1', port)).toBe('connected');
    // An address of this machine that a server on all interfaces would answer on.
    expect(await dial('127.0.0.2', port)).not.toBe('connected');
    expect(await upgrade(url, {})).toBe(101);
    expect(await upgrade(url, { origin: `http://127.0.0.1:${port}` })).toBe(101);
    expect(await upgrade(url, { origin: 'https://stately.ai' })).toBe(403);
    expect(await upgrade(url, { origin: 'null' })).toBe(403);
    expect(await upgrade(url, { host: 'evil.example' })).toBe(403);
    expect(await upgrade(at, {})).toBe(401);
    expect(await upgrade(`${at}/?token=wrong`, {})).toBe(401);
    expect(await upgrade(at, { authorization: `Bearer ${token}` })).toBe(101);
    const page = await fetch(url.replace('ws:', 'http:'));
    expect(page.status).toBe(426);
    expect(await page.json()).toMatchObject({ code: 'upgrade-required' });
  });

  test('a browser gets a page that loads and tells nothing from or to anywhere else', async () => {
    const headers = { accept: 'text/html,*/*' };
    const answer = await fetch(url.replace('ws:', 'http:'), { headers });
    expect([answer.status, answer.headers.get('referrer-policy')]).toEqual([200, 'no-referrer']);
    const policy = answer.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("connect-src 'self'");
    const html = await answer.text();
    expect(html).not.toMatch(/(src|href)=|https?:|import\b/);
    const script = /<script>(.*)<\/script>/s.exec(html)?.[1] ?? '';
    expect(policy).toContain(createHash('sha256').update(script).digest('base64'));
    expect(() => new Script(script)).not.toThrow();
    expect((await fetch(at.replace('ws:', 'http:'), { headers })).status).toBe(401);
  });
});

describe('under load', () => {
  const counter = setup({
    types: { context: {} as { n: number; account: string }, events: {} as { type: 'add'; weight: string } },
    actions: { add: assign({ n: ({ context }) => context.n + 1 }) },
  }).createMachine({
    id: 'counter',
    context: { n: 0, account: 'ACME-77' },
    on: { add: { actions: 'add' } },
  });
  let inspector: Inspector;
  afterEach(() => inspector.close());

  const begin = async (limits: InspectorOptions['limits'] = {}) => {
    const options = {
      port: 0,
      tradeToken: '',
      readToken: '',
      allowedOrigins: [],
      secrets: [],
      now: Date.now,
      log: pino({ level: 'silent' }),
      limits,
      // not an option: there is no way to ask for another address
      host: '0.0.0.0',
    };
    inspector = createInspector(options);
    const at = await inspector.listen();
    expect(at).toMatch(/^ws:\/\/127\.0\.0\.1:\d+$/);
    expect(await dial('127.0.0.2', Number(new URL(at).port))).not.toBe('connected');
    return { at, actor: createActor(counter, { id: 'flood', inspect: inspector.inspect }).start() };
  };

  test('without receivers nothing waits', async () => {
    const { actor } = await begin();
    for (let n = 0; n < 5_000; n += 1) actor.send({ type: 'add', weight: '' });
    expect(inspector.figures()).toEqual({ receivers: 0, actors: 1, queued: 0, dropped: 0 });
  });

  test('actors that ended are forgotten, however they ended', async () => {
    await begin();
    const parent = setup({
      types: { events: {} as { type: 'begin' | 'end'; id: string; how: string } },
      actors: {
        lasting: setup({}).createMachine({ id: 'lasting' }),
        done: setup({}).createMachine({ id: 'done', initial: 'over', states: { over: { type: 'final' } } }),
        failing: fromCallback(() => {
          throw new Error('at birth');
        }),
      },
      actions: {
        begin: enqueueActions(({ event, enqueue }) => {
          enqueue.spawnChild(event.how as 'lasting', { id: event.id });
        }),
        end: stopChild(({ event }) => event.id),
      },
    }).createMachine({
      on: { begin: { actions: 'begin' }, end: { actions: 'end' }, 'xstate.error.actor.*': {} },
    });
    const actor = createActor(parent, { inspect: inspector.inspect }).start();
    for (let n = 0; n < 3_000; n += 1) {
      const how = ['lasting', 'done', 'failing'][n % 3] ?? '';
      actor.send({ type: 'begin', id: `child-${n}`, how });
      actor.send({ type: 'end', id: `child-${n}`, how });
    }
    // Failures leave no last word; they are looked for by the thousand.
    await eventually(
      () => inspector.figures().actors,
      (count) => count < 10,
    );
  });

  test('whoever looks on late hears no state before the one that led to it', async () => {
    const { at, actor } = await begin();
    const receiver = listen(at);
    await eventually(
      () => receiver.snapshots('flood').length,
      (count) => count > 0,
    );
    const another = createActor(counter, { id: 'another', inspect: inspector.inspect }).start();
    for (let n = 0; n < 5; n += 1) {
      another.send({ type: 'add', weight: '' });
      actor.send({ type: 'add', weight: '' });
    }
    const counts = (path: string) =>
      receiver.snapshots(path).flatMap(({ context }) => (context === undefined ? [] : [context.n]));
    await eventually(() => counts('another').at(-1) === 5 && counts('flood').at(-1) === 5, Boolean);
    expect(counts('another')).toEqual([0, 1, 2, 3, 4, 5]);
    expect(counts('flood')).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('a flood is cut to the length of the queue, counted, and ends with the newest snapshot', async () => {
    const { at, actor } = await begin({ queue: 500 });
    const receiver = listen(at);
    await eventually(
      () => receiver.snapshots('flood').length,
      (count) => count > 0,
    );
    const flood = 30_000;
    for (let n = 0; n < flood; n += 1) actor.send({ type: 'add', weight: 'x' });
    const { queued, dropped } = inspector.figures();
    expect(queued).toBe(500);
    // an event and a snapshot each
    expect(dropped).toBe(2 * flood - 500);
    await eventually(
      () => receiver.snapshots('flood').at(-1)?.context?.n,
      (n) => n === flood,
    );
    const told = await eventually(
      () => receiver.snapshots('inspector').at(-1)?.context?.dropped,
      (count) => count === dropped,
    );
    expect(told).toBe(dropped);
    expect(receiver.events.length).toBeLessThan(700);
    expect(receiver.events.filter((event) => JSON.stringify(event).includes('ACME-77'))).toEqual([]);
    expect(receiver.snapshots('flood').at(-1)?.context?.account).toBe('AC#1');
  });

  test('a receiver that takes nothing is spared the events, then hung up on', async () => {
    const { at, actor } = await begin({ unsentBytes: 200_000, stallMs: 300 });
    const lazy = new WebSocket(at);
    await once(lazy, 'open');
    lazy.pause();
    await eventually(
      () => {
        for (let n = 0; n < 200; n += 1) actor.send({ type: 'add', weight: 'x'.repeat(900) });
        return inspector.figures();
      },
      ({ receivers, queued }) => receivers === 0 && queued === 0,
      15_000,
    );
    expect(inspector.figures().dropped).toBeGreaterThan(0);
    lazy.terminate();
  });

  test('a fifth receiver is turned away', async () => {
    const { at } = await begin();
    const sockets = await Promise.all(
      [1, 2, 3, 4].map(async () => {
        const socket = new WebSocket(at);
        await once(socket, 'open');
        return socket;
      }),
    );
    await eventually(
      () => inspector.figures().receivers,
      (count) => count === 4,
    );
    const [code] = await once(new WebSocket(at), 'close');
    expect(code).toBe(1013);
    for (const socket of sockets) socket.terminate();
  });
});
