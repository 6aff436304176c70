import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { HttpLimits, HttpOptions } from '../../src/http/options.ts';
import { call, type Running, startServer, until } from './running.ts';
import { StreamTester } from './stream-tester.ts';

let running: Running;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await running.server.close();
});

const start = async (httpLimits: Partial<HttpLimits>, changes: Partial<HttpOptions> = {}) => {
  running = await startServer({ httpLimits, ...changes });
};
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const code = async (response: Response) => ((await response.json()) as { code: string }).code;

async function open(): Promise<Socket> {
  const socket = connect(running.port, '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** Everything that the other side says until it hangs up. */
async function untilClosed(socket: Socket): Promise<string> {
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  await once(socket, 'close');
  return answer;
}

describe('a client that asks too often', () => {
  it('is told to wait, and still may look at health, cancel, halt and kill', async () => {
    await start({ localRequests: 5, windowMs: 60_000 });
    const statuses: number[] = [];
    for (let n = 0; n < 8; n += 1) statuses.push((await call(running, 'GET', '/v1/orders')).status);
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429, 429]);
    const refused = await call(running, 'POST', '/v1/orders', {});
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50);
    expect(refused.headers.get('content-type')).toContain('application/problem+json');
    expect(await code(refused)).toBe('too-many-requests');
    // what nobody serves is counted as well, and so is the door of the stream
    expect((await call(running, 'GET', '/nowhere')).status).toBe(429);
    expect((await call(running, 'GET', '/v1/stream')).status).toBe(429);

    for (const path of ['/', '/health', '/health/live', '/health/ready', '/health/detailed', '/metrics']) {
      expect((await call(running, 'GET', path)).status, path).toBe(200);
    }
    expect((await call(running, 'DELETE', '/v1/orders')).status).toBe(200);
    expect((await call(running, 'DELETE', '/v1/orders/none')).status).toBe(404);
    expect((await call(running, 'PUT', '/v1/trading', { state: 'halted' })).status).toBe(200);
    expect((await call(running, 'POST', '/v1/kill')).status).toBe(200);
  });

  it('is known by its address, not by what a header says of it', async () => {
    await start({ localRequests: 2, windowMs: 60_000 });
    const from = (address: string) => ({
      'X-Forwarded-For': address,
      Forwarded: `for=${address}`,
      'X-Real-IP': address,
    });
    for (const last of [1, 2]) {
      expect((await call(running, 'GET', '/v1/pnl', undefined, from(`10.0.0.${last}`))).status).toBe(200);
    }
    expect((await call(running, 'GET', '/v1/pnl', undefined, from('10.0.0.3'))).status).toBe(429);
  });

  it('gets the usual room of a program on this machine', async () => {
    await start({});
    const statuses = await Promise.all(
      Array.from({ length: 500 }, () => call(running, 'GET', '/v1/trading').then(({ status }) => status)),
    );
    expect(new Set(statuses)).toEqual(new Set([200]));
  });
});

describe('a client that guesses tokens', () => {
  const tokens = { readToken: 'reader', tradeToken: 'trader' };

  it('is told to wait; who has a token passes beside it', async () => {
    await start({ failedTokens: 3 }, tokens);
    const statuses: number[] = [];
    for (let n = 0; n < 5; n += 1)
      statuses.push((await call(running, 'GET', '/v1/orders', undefined, bearer(`guess-${n}`))).status);
    expect(statuses).toEqual([401, 401, 401, 429, 429]);
    const refused = await call(running, 'POST', '/v1/kill', {}, bearer('guess'));
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await code(refused)).toBe('too-many-requests');
    expect((await call(running, 'GET', '/v1/orders', undefined, bearer('reader'))).status).toBe(200);
    expect((await call(running, 'POST', '/v1/kill', {}, bearer('trader'))).status).toBe(200);
    // a known token without the scope is no guess
    expect((await call(running, 'POST', '/v1/kill', {}, bearer('reader'))).status).toBe(403);
  });

  it('is counted on the stream as well, at its door and behind it', async () => {
    await start({ failedTokens: 2 }, tokens);
    for (const token of ['one', 'two']) {
      const tester = await StreamTester.open(running);
      expect(await tester.ask({ type: 'auth', token })).toMatchObject({ ok: false });
      expect((await tester.closed).code).toBe(4401);
    }
    expect((await call(running, 'GET', '/v1/orders', undefined, bearer('three'))).status).toBe(429);
    const door = new StreamTester(running, bearer('four'));
    const status = await new Promise((resolve) =>
      door.socket.on('unexpected-response', (_request, response) => resolve(response.statusCode)),
    );
    expect(status).toBe(429);
    const behind = await StreamTester.open(running);
    expect(await behind.ask({ type: 'auth', token: 'five' })).toMatchObject({
      ok: false,
      problem: { code: 'too-many-requests', status: 429 },
    });
    expect((await behind.closed).code).toBe(4401);
    const late = await StreamTester.open(running);
    expect(await late.ask({ type: 'auth', token: 'reader' })).toMatchObject({ ok: true, scopes: ['read'] });
    late.close();
    const right = await StreamTester.open(running, bearer('reader'));
    expect(await right.ask({ type: 'ping' })).toMatchObject({ type: 'pong' });
    right.close();
  });
});

describe('connections', () => {
  it('that send their head a byte at a time end by the deadline, and hold up nobody', async () => {
    await start({ headersMs: 300, requestMs: 600 });
    const slow = await Promise.all(Array.from({ length: 20 }, open));
    const head = 'POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nX-Slow: ';
    const drip = setInterval(() => {
      for (const socket of slow) if (socket.writable) socket.write('x');
    }, 20);
    const ends = slow.map((socket) => {
      socket.write(head);
      return untilClosed(socket);
    });
    let answered = 0;
    const others = (async () => {
      while (slow.some((socket) => !socket.destroyed)) {
        expect((await call(running, 'GET', '/v1/trading')).status).toBe(200);
        answered += 1;
      }
    })();
    for (const answer of await Promise.all(ends)) {
      expect(answer).toMatch(/^HTTP\/1\.1 408 /);
      expect(answer).toContain('"code":"request-timeout"');
    }
    clearInterval(drip);
    await others;
    expect(answered).toBeGreaterThan(10);
  });

  it('that send their body a byte at a time end by the deadline', async () => {
    await start({ headersMs: 300, requestMs: 600 });
    const socket = await open();
    socket.write(
      'POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{',
    );
    const drip = setInterval(() => {
      if (socket.writable) socket.write(' ');
    }, 20);
    expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 408 /);
    clearInterval(drip);
  });

  it('that never say anything, or nothing more, end too', async () => {
    await start({ headersMs: 300, requestMs: 600, idleMs: 200 });
    const silent = await open();
    const idle = await open();
    idle.write('GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const [said, answered] = await Promise.all([untilClosed(silent), untilClosed(idle)]);
    expect(said).toMatch(/^(HTTP\/1\.1 408 |$)/);
    expect(answered).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('beyond the most are dropped, and those kept alive for nothing give way to a probe', async () => {
    await start({ maxConnections: 20 });
    const idle = await Promise.all(Array.from({ length: 18 }, open));
    for (const socket of idle) {
      socket.write('GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await once(socket, 'data');
    }
    expect((await call(running, 'GET', '/health/live')).status).toBe(200);
    await until(() => idle.every((socket) => socket.destroyed));
    const held = await Promise.all(Array.from({ length: 40 }, open));
    await until(() => held.filter((socket) => socket.destroyed).length >= 20);
    expect(held.filter((socket) => !socket.destroyed).length).toBeLessThanOrEqual(20);
  });
});

describe('requests that are too much of something', () => {
  const get = (path: string, headers: Record<string, string> = {}) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: running.port, path, headers }, (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      asked.on('error', reject);
      asked.end();
    });

  it('address, number of headers, depth', async () => {
    await start({});
    expect(await get(`/v1/orders?after=${'x'.repeat(9_000)}`)).toMatchObject({
      status: 414,
      text: expect.stringContaining('uri-too-long'),
    });
    const many = Object.fromEntries(Array.from({ length: 120 }, (_, n) => [`x-h${n}`, '1']));
    expect(await get('/v1/orders', many)).toMatchObject({
      status: 431,
      text: expect.stringContaining('headers-too-large'),
    });
    for (const body of [`${'['.repeat(33)}${']'.repeat(33)}`, '['.repeat(60_000), '{"a":'.repeat(10_000)]) {
      const response = await fetch(`${running.url}/v1/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      expect(response.status).toBe(400);
      expect(await code(response)).toBe('malformed-json');
    }
    // brackets within a text are no depth
    const wordy = await call(running, 'POST', '/v1/orders', { instrument: '\\"[['.repeat(40) });
    expect(await code(wordy)).toBe('validation-failed');
  });
});

describe('streams', () => {
  it('strangers get few places, and leave the others theirs', async () => {
    await start({}, { tradeToken: 'trader', streamLimits: { maxUnauthenticated: 3 } });
    const strangers = await Promise.all(Array.from({ length: 3 }, () => StreamTester.open(running)));
    const more = new StreamTester(running);
    expect((await more.closed).code).toBe(1013);
    const known = await StreamTester.open(running, bearer('trader'));
    expect(await known.ask({ type: 'ping' })).toMatchObject({ type: 'pong' });
    expect(await strangers[0]?.ask({ type: 'auth', token: 'trader' })).toMatchObject({ ok: true });
    const next = await StreamTester.open(running);
    for (const tester of [...strangers, known, next]) tester.close();
  });

  it('a flood of pings ends like a flood of messages', async () => {
    await start({}, { streamLimits: { messagesPerSecond: 20 } });
    const tester = await StreamTester.open(running);
    for (let n = 0; n < 100; n += 1) tester.socket.ping();
    expect((await tester.closed).code).toBe(4429);
    // more at once than the protocol holds answers to
    await start({});
    const quick = await StreamTester.open(running);
    for (let n = 0; n < 1_000; n += 1) quick.socket.ping();
    expect((await quick.closed).code).toBe(4429);
  });

  it('a message that is too deep, binary or not UTF-8 ends its own stream alone', async () => {
    await start({});
    const other = await StreamTester.open(running);
    const codes: number[] = [];
    for (const say of [
      (tester: StreamTester) =>
        tester.socket.send(`{"type":"auth","id":${'['.repeat(30_000)}${']'.repeat(30_000)}}`),
      (tester: StreamTester) => tester.socket.send('{"type":"ping","__proto__":{"id":1}}'),
      (tester: StreamTester) => tester.socket.send(Buffer.from('{"type":"ping"}'), { binary: true }),
      (tester: StreamTester) => tester.socket.send(Buffer.from([0xc3, 0x28]), { binary: false }),
      (tester: StreamTester) => tester.socket.send('x'.repeat(70_000)),
    ]) {
      const tester = await StreamTester.open(running);
      say(tester);
      codes.push((await tester.closed).code);
    }
    expect(codes).toEqual([4400, 4400, 4400, 1007, 1009]);
    expect(await other.ask({ type: 'ping' })).toMatchObject({ type: 'pong' });
    other.close();
  });
});
