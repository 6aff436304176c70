import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startWhole, type Whole } from '../whole.ts';
import { heapBytes } from './heap.ts';
import { type HttpLine, openLine, type RawAnswer } from './http-line.ts';
import { meanings, soundBodies } from './meanings.ts';
import { type ApiDocument, type Ask, bytesOf, type Route, requestsTo, routesOf } from './routes.ts';
import { seed } from './seed.ts';

const linesPerKind = 24;
/** Each asks TWS, which is asked 45 times a second at most. */
const brokerAsks = 40;
/** Those that reach deepest are asked most; what cancels everything leaves little to try. */
const asksOf = ({ method, path, tags }: Route): number => {
  if (tags.includes('market') || path.endsWith('/preview')) return brokerAsks;
  if (path === '/v1/kill' || (path === '/v1/orders' && method === 'DELETE')) return 60;
  if (path.startsWith('/v1/orders') && method !== 'GET') return method === 'DELETE' ? 1_000 : 2_400;
  return 420;
};
/** Orders are changed while there are some, and cancelled last. */
const turnOf = ({ method, path }: Route): number =>
  path === '/v1/kill' ? 9 : Math.max(0, ['POST', 'PATCH', 'GET', 'HEAD', 'PUT', 'DELETE'].indexOf(method));

let whole: Whole;
let routes: Route[];
let port: number;
beforeAll(async () => {
  whole = await startWhole({ environment: { DEBUG: 'true', MAX_ORDERS_PER_SECOND: '20' } });
  port = Number(new URL(whole.url).port);
  const document = (await whole.call('GET', '/openapi.json')).body as ApiDocument;
  routes = routesOf(document);
});
afterAll(() => whole.stop());

const ajv = new Ajv2020({ strict: false, allErrors: false, validateFormats: false });
const isProblem = ajv.compile({
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: { type: 'string', pattern: '^urn:tws-runtime:problem:' },
    title: { type: 'string', minLength: 1 },
    status: { type: 'integer' },
    code: { type: 'string', pattern: '^[a-z-]+$' },
    detail: { type: 'string', minLength: 1 },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['pointer', 'detail'],
        properties: { pointer: { type: 'string' }, detail: { type: 'string' } },
      },
    },
  },
});
/** Words that only the inside of a program says. */
const innards =
  /node_modules|\bat \S+ \(|\.ts:\d+|TypeError|RangeError|SyntaxError|undefined is not|SQLITE|Cannot read/;
const deliberate = new Set([501, 503, 504]);

/** What is wrong with an answer to a route; null: nothing. */
function complaint(
  answer: RawAnswer,
  checks: ReadonlyMap<number, ReturnType<typeof ajv.compile> | null>,
): string | null {
  const { status, headers, body } = answer;
  if (status >= 500 && !deliberate.has(status)) return 'a failure of ours';
  if (innards.test(body)) return 'tells what we are made of';
  if (!headers['x-request-id']) return 'has no X-Request-ID';
  if (headers['x-content-type-options'] !== 'nosniff') return 'may be guessed at';
  const check = checks.get(status);
  const isJson = /json/.test(headers['content-type'] ?? '');
  if (headers['content-type']?.includes('problem+json') || (status >= 400 && !check)) {
    if (!isJson || !isProblem(JSON.parse(body)))
      return `is no problem+json: ${ajv.errorsText(isProblem.errors)}`;
    return (JSON.parse(body) as { status: number }).status === status ? null : 'says another status';
  }
  if (check === undefined) return 'is of a status that the API does not describe';
  if (check !== null && isJson && body !== '' && !check(JSON.parse(body)))
    return `does not fit its schema: ${ajv.errorsText(check.errors)}`;
  return null;
}

/** Asks everything over a few connections at a time. */
async function askAll<T>(
  asks: readonly T[],
  ask: (line: HttpLine, what: T) => Promise<void>,
  once = false,
): Promise<void> {
  const lines = Array.from({ length: Math.min(linesPerKind, asks.length) }, () => openLine(port, once));
  let next = 0;
  await Promise.all(
    lines.map(async (line) => {
      for (let at = next++; at < asks.length; at = next++) await ask(line, asks[at] as T);
      line.close();
    }),
  );
}

let inputs = 0;
const complaints: string[] = [];
const statuses = new Map<string, number>();

async function fuzz(route: Route): Promise<void> {
  const checks = new Map(
    [...route.answers].map(([status, schema]) => [status, schema === null ? null : ajv.compile(schema)]),
  );
  const asks = fc.sample(requestsTo(route, meanings, soundBodies[`${route.method} ${route.path}`]), {
    seed,
    numRuns: asksOf(route),
  });
  await askAll<Ask>(asks, async (line, ask) => {
    inputs += 1;
    const answer = await line.ask(bytesOf(ask), route.method !== 'HEAD');
    const status = typeof answer === 'string' ? answer : String(answer.status);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    const wrong = typeof answer === 'string' ? answer : complaint(answer, checks);
    // whoever asks the broker for bars may be held while its pacing lasts
    if (wrong === null || (wrong === 'held' && route.tags.includes('market'))) return;
    complaints.push(
      `${wrong}: ${JSON.stringify(ask).slice(0, 600)} -> ${JSON.stringify(answer).slice(0, 600)}`,
    );
  });
}

test(`every route, whatever it is asked (FUZZ_SEED=${seed})`, { timeout: 600_000 }, async () => {
  expect(routes.length).toBeGreaterThan(20);
  const before = await heapBytes();
  const asksBroker = (route: Route) => asksOf(route) === brokerAsks;
  const toBroker = Promise.all(routes.filter(asksBroker).map(fuzz));
  const others = routes.filter((each) => !asksBroker(each)).sort((a, b) => turnOf(a) - turnOf(b));
  for (const route of others) {
    await fuzz(route);
    // the kill switch and its like were among them
    await whole.call('PUT', '/v1/trading', { state: 'open' });
  }
  await toBroker;
  expect(complaints.slice(0, 20)).toEqual([]);
  expect(inputs).toBeGreaterThan(12_000);
  for (const status of ['200', '201', '202', '400', '404', '409', '415', '422']) {
    expect(
      statuses.get(status) ?? 0,
      `answers ${status}; all: ${JSON.stringify([...statuses])}`,
    ).toBeGreaterThan(0);
  }

  await whole.untilTrading();
  const { body: orders } = await whole.call('GET', '/v1/orders?limit=500');
  const { body: health } = await whole.call('GET', '/health/detailed');
  expect(health.status).not.toBe('fail');
  expect(health.actors.length).toBeLessThan(40 + inputs / 10);
  expect(health.components.clients).toMatchObject({ subscriptions: 0 });
  const { body: journal } = await whole.call('GET', '/v1/journal?limit=1');
  expect(journal.lastSeq).toBeLessThan(inputs * 2);
  expect((await heapBytes()) - before).toBeLessThan(150e6);
  expect(orders.orders.length).toBeGreaterThan(50);
  const placed = await whole.place({ clientOrderId: 'after-all' });
  expect(placed.status, JSON.stringify(placed.body)).toBeLessThan(300);
});

test(`bytes that are hardly HTTP (FUZZ_SEED=${seed})`, async () => {
  const sound = bytesOf({
    method: 'POST',
    target: '/v1/orders',
    headers: { 'Content-Type': 'application/json' },
    body: '{"instrument":"AAPL","side":"hold","quantity":"1","type":"market"}',
  });
  const piece = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
    fc
      .constantFrom(
        '\r\n',
        '\r\n\r\n',
        '\n',
        'Transfer-Encoding: chunked\r\n',
        'Content-Length: -1\r\n',
        ': \r\n',
        ' HTTP/9.9\r\n',
        'Upgrade: websocket\r\n',
        'Connection: upgrade\r\n',
        'Expect: 100-continue\r\n',
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        '\x16\x03\x01\x02\x00',
      )
      .map((text) => Buffer.from(text, 'latin1')),
  );
  const edits = fc.array(fc.tuple(fc.nat(sound.length), fc.nat(20), piece), { minLength: 1, maxLength: 4 });
  const broken = edits.map((changes) =>
    changes.reduce(
      (bytes, [at, removed, put]) =>
        Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + removed)]),
      sound,
    ),
  );
  const wrong: string[] = [];
  const ask = async (line: HttpLine, bytes: Buffer): Promise<void> => {
    inputs += 1;
    const answer = await line.ask(bytes);
    if (answer === 'closed') return;
    if (answer === 'held') wrong.push(`held: ${bytes.toString('latin1')}`);
    else if (answer.status >= 500 || innards.test(answer.body))
      wrong.push(`${bytes.toString('latin1')} -> ${answer.status}`);
    else if (answer.status >= 400 && !isProblem(JSON.parse(answer.body)))
      wrong.push(`no problem: ${answer.body}`);
  };
  await askAll(fc.sample(broken, { seed, numRuns: 1_500 }), ask, true);
  expect(wrong).toEqual([]);
  expect((await whole.call('GET', '/health/live')).status).toBe(200);
});
