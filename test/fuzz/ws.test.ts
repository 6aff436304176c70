import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { messageKinds } from '../../src/http/stream-schema.ts';
import { eventually } from '../program.ts';
import { startWhole, type Whole } from '../whole.ts';
import { heapBytes } from './heap.ts';
import { meanings, soundBodies } from './meanings.ts';
import { seed } from './seed.ts';
import { bent, fitting, type JsonSchema, jsonOf, type Meanings, wild } from './values.ts';

const perKind = 900;
const perConnection = 60;
const workers = 12;

let whole: Whole;
beforeAll(async () => {
  whole = await startWhole({ environment: { MAX_ORDERS_PER_SECOND: '20' } });
});
afterAll(() => whole.stop());

interface Heard {
  readonly frames: readonly Record<string, unknown>[];
  readonly code: number | null;
}
const deadlineMs = 60_000;

/** Tells on a connection of its own, and hears until the last ping and so many messages are answered, or the connection ends. */
function say(tell: (socket: WebSocket) => void, messages = 0): Promise<Heard> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${whole.url.replace('http', 'ws')}/v1/stream`);
    const frames: Record<string, unknown>[] = [];
    let answers = 0;
    const timer = setTimeout(() => {
      socket.terminate();
      reject(new Error(`${answers} of ${messages} answers and no end within ${deadlineMs} ms`));
    }, deadlineMs);
    const done = (code: number | null): void => {
      clearTimeout(timer);
      socket.removeAllListeners('close');
      socket.terminate();
      resolve({ frames, code });
    };
    socket.on('error', () => undefined);
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data)) as Record<string, unknown>;
      frames.push(frame);
      if (frame.type === 'welcome') {
        tell(socket);
        if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"ping","id":"the last"}');
      }
      if (frame.type === 'pong' || frame.type === 'ack' || frame.type === 'result') answers += 1;
      if (answers > messages) done(null);
    });
    socket.on('close', done);
  });
}

const types = new Set(['auth', 'subscribe', 'unsubscribe', 'ping', 'command']);
const forbidden = new Set(['__proto__', 'constructor', 'prototype']);
/** Whether this is a message at all; anything else ends the connection. */
function isMessage(text: string): boolean {
  try {
    const value = JSON.parse(text) as { type?: unknown } | null;
    return typeof value?.type === 'string' && types.has(value.type) && isReadable(value, 32);
  } catch {
    return false;
  }
}
function isReadable(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return (
    depth > 0 &&
    Object.entries(value).every(
      ([name, inner]) => (Array.isArray(value) || !forbidden.has(name)) && isReadable(inner, depth - 1),
    )
  );
}

const streamMeanings: Meanings = {
  ...meanings,
  id: fc.oneof(
    { weight: 6, arbitrary: fc.nat() },
    { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
    { weight: 1, arbitrary: wild },
  ),
  channel: fc.oneof(
    {
      weight: 8,
      arbitrary: fc.constantFrom(
        'quotes',
        'depth',
        'trades',
        'bars',
        'pnl',
        'actors',
        'orders',
        'positions',
        'alerts',
        'health',
      ),
    },
    { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
  ),
  keys: fc.array(
    fc.oneof({ weight: 5, arbitrary: meanings.instrument ?? wild }, { weight: 1, arbitrary: wild }),
    {
      maxLength: 4,
    },
  ),
  after: fc.oneof(fc.nat(2_000), fc.maxSafeNat()),
  subscription: fc.nat(5),
  order: fc.oneof(soundBodies['POST /v1/orders'] ?? wild, bent(soundBodies['POST /v1/orders'] ?? wild)),
  change: fc.oneof(soundBodies['PATCH /v1/orders/{clientOrderId}'] ?? wild, wild),
  client: fc.constantFrom('robot', 'desk'),
};

let inputs = 0;
const complaints: string[] = [];
const known = new Set([
  'welcome',
  'ack',
  'result',
  'pong',
  'snapshot',
  'update',
  'event',
  'heartbeat',
  'notice',
  'bye',
]);

function check({ frames, code }: Heard, texts: readonly string[], mayEnd: boolean): void {
  const complain = (what: string): void => {
    complaints.push(`${what} after ${texts.join('\n').slice(0, 1_500)}`);
  };
  if (code !== null && !(mayEnd && [4400, 1002, 1007, 1009].includes(code))) complain(`ended with ${code}`);
  for (const frame of frames) {
    if (!known.has(String(frame.type))) complain(`a frame of type ${frame.type}`);
    const problem = frame.problem as
      | { code?: string; status?: number; title?: string; detail?: string }
      | undefined;
    if (!problem) continue;
    if (problem.code === 'internal-error' || (problem.status ?? 500) === 500) complain(JSON.stringify(frame));
    if (!problem.title || !problem.detail || frame.ok !== false)
      complain(`half a problem: ${JSON.stringify(frame)}`);
  }
}

async function inParallel<T>(tasks: readonly T[], run: (task: T) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: workers }, async () => {
      for (let at = next++; at < tasks.length; at = next++) await run(tasks[at] as T);
    }),
  );
}

test(`every message, whatever it says (FUZZ_SEED=${seed})`, { timeout: 600_000 }, async () => {
  expect(messageKinds.length).toBeGreaterThan(6);
  const before = await heapBytes();
  const texts = messageKinds.flatMap(({ schema }) => {
    const fits = fitting(schema as JsonSchema, streamMeanings);
    return fc.sample(
      fc.oneof(
        { weight: 3, arbitrary: fits.map((value) => JSON.stringify(value)) },
        { weight: 4, arbitrary: jsonOf(bent(fits)) },
      ),
      {
        seed,
        numRuns: perKind,
      },
    );
  });
  texts.push(...fc.sample(jsonOf(wild), { seed, numRuns: 200 }));
  const messages = texts.filter(isMessage);
  const endings = texts.filter((text) => !isMessage(text));
  expect(messages.length).toBeGreaterThan(3_500);
  expect(endings.length).toBeGreaterThan(500);
  const batches = Array.from({ length: Math.ceil(messages.length / perConnection) }, (_, at) =>
    messages.slice(at * perConnection, (at + 1) * perConnection),
  );
  await inParallel(batches, async (batch) => {
    inputs += batch.length;
    // each message is answered, and answered once
    const heard = await say((socket) => {
      for (const text of batch) socket.send(text);
    }, batch.length);
    check(heard, batch, false);
  });
  await inParallel(endings, async (text) => {
    inputs += 1;
    const heard = await say((socket) => socket.send(text));
    check(heard, [text], true);
    if (heard.code !== 4400 && text.length < 65_536)
      complaints.push(`${heard.code} after ${text.slice(0, 500)}`);
  });
  expect(complaints.slice(0, 10)).toEqual([]);
  expect(inputs).toBeGreaterThan(6_000);

  await eventually(
    () => whole.call('GET', '/health/detailed'),
    ({ body }) => (body.components.clients.connected ?? body.components.clients.connections) === 0,
    15_000,
  );
  const { body } = await whole.call('GET', '/health/detailed');
  expect(body.status).not.toBe('fail');
  expect(body.actors.length).toBeLessThan(40 + inputs / 5);
  expect((await heapBytes()) - before).toBeLessThan(120e6);
});

test(`frames that are hardly WebSocket (FUZZ_SEED=${seed})`, { timeout: 60_000 }, async () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 60 }).map((values) => Buffer.from(values));
  const ways: fc.Arbitrary<(socket: WebSocket) => void> = fc.oneof(
    bytes.map((data) => (socket: WebSocket) => socket.send(data, { binary: true })),
    bytes.map((data) => (socket: WebSocket) => socket.send(data, { binary: false })),
    bytes.map((data) => (socket: WebSocket) => socket.ping(data)),
    bytes.map((data) => (socket: WebSocket) => {
      socket.send(data, { fin: false });
      for (let n = 0; n < 20; n += 1) socket.send('{}', { fin: false });
      socket.send('', { fin: true });
    }),
    fc.constant((socket: WebSocket) => {
      for (const letter of '{"type":"ping","id":1') socket.send(letter, { fin: false });
      socket.send('}', { fin: true });
    }),
    fc.constant((socket: WebSocket) => socket.send('x'.repeat(66_000))),
    fc.constant((socket: WebSocket) => {
      for (let n = 0; n < 400; n += 1) socket.send('a', { fin: false });
    }),
    // below the protocol: opcodes that there are none, lengths that never come, frames without a mask; then the end
    bytes.map(
      (data) => (socket: WebSocket) =>
        void (socket as unknown as { _socket: { end(data: Buffer): void } })._socket.end(data),
    ),
  );
  await inParallel(fc.sample(ways, { seed, numRuns: 600 }), async (way) => {
    inputs += 1;
    const heard = await say(way);
    if (heard.code !== null && ![1002, 1005, 1006, 1007, 1008, 1009, 4400].includes(heard.code))
      complaints.push(`ended with ${heard.code}`);
  });
  expect(complaints).toEqual([]);

  const flood = await say((socket) => {
    for (let n = 0; n < 1_000; n += 1) socket.ping();
  });
  // whichever notices first: our count, or the protocol's of answers that nobody takes
  expect([4429, 1006]).toContain(flood.code);
  const chatter = await say((socket) => {
    for (let n = 0; n < 1_000; n += 1) socket.send('{"type":"ping"}');
  }, Number.POSITIVE_INFINITY);
  expect(chatter.code).toBe(4429);
  const { code, frames } = await say((socket) => socket.send('{"type":"ping","id":7}'));
  expect(code).toBeNull();
  expect(frames).toContainEqual(expect.objectContaining({ type: 'pong', id: 7 }));
});
