import { once } from 'node:events';
import { connect } from 'node:net';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createServer } from '../../src/http/server.ts';
import { MemoryHealth, MemoryJournal, MemoryMarket, MemoryOrders, MemoryReading } from './ports.ts';
import { call, type Running, startServer, until } from './running.ts';

let running: Running;
beforeEach(async () => {
  running = await startServer();
});
afterEach(() => running.server.close());

/** Bytes as they are: what `fetch` would not send. */
async function raw(text: string): Promise<string> {
  const socket = connect(running.port, '127.0.0.1');
  socket.end(text.replaceAll('\n', '\r\n'));
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  await once(socket, 'close');
  return answer;
}

describe('every answer carries its id and its time', () => {
  const requests: [number, string, string, string?][] = [
    [200, 'GET', '/'],
    [200, 'GET', '/health'],
    [200, 'HEAD', '/health/ready'],
    [200, 'GET', '/metrics'],
    [200, 'GET', '/v1/orders'],
    [400, 'GET', '/v1/orders?limit=x'],
    [400, 'POST', '/v1/orders', '{'],
    [400, 'POST', '/v1/orders', '{}'],
    [400, 'POST', '/v1/orders'],
    [404, 'GET', '/v1/orders/none'],
    [404, 'GET', '/nowhere'],
    [405, 'POST', '/health'],
    [426, 'GET', '/v1/stream'],
  ];
  it.each(requests)('%i %s %s %s', async (status, method, path, body) => {
    const response = await fetch(running.url + path, {
      method,
      headers: { 'X-Request-ID': 'client-7', ...(body && { 'Content-Type': 'application/json' }) },
      ...(body && { body }),
    });
    expect(response.status).toBe(status);
    expect(response.headers.get('x-request-id')).toBe('client-7');
    expect(response.headers.get('x-process-time-ms')).toMatch(/^\d+\.\d{3}$/);
    expect(response.headers.get('server-timing')).toMatch(/^app;dur=\d+\.\d{3}/);
    if (status >= 400) expect(response.headers.get('content-type')).toContain('application/problem+json');
  });

  it('makes an id when none was given, or one that cannot stand in a log', async () => {
    const ids = await Promise.all([
      fetch(running.url).then((response) => response.headers.get('x-request-id')),
      fetch(running.url, { headers: { 'X-Request-ID': 'a b' } }).then((r) => r.headers.get('x-request-id')),
      fetch(running.url, { headers: { 'X-Request-ID': 'x'.repeat(500) } }).then((r) =>
        r.headers.get('x-request-id'),
      ),
    ]);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(new Set(ids).size).toBe(3);
  });

  it('also when the bytes are no request', async () => {
    const answer = await raw('NONSENSE\n\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toMatch(/X-Request-ID: [0-9a-f-]{36}/);
    expect(answer).toContain('X-Process-Time-ms: 0.000');
    expect(answer).toContain('application/problem+json');
    expect(answer).toContain('"code":"bad-request"');
  });

  it('also when the path cannot be decoded or the headers are too many', async () => {
    const undecodable = await raw('GET /v1/orders/%zz HTTP/1.1\nHost: localhost\nConnection: close\n\n');
    expect(undecodable).toMatch(/^HTTP\/1\.1 400 /);
    expect(undecodable.toLowerCase()).toContain('x-request-id');
    expect(undecodable).toContain('"code":"bad-request"');
    const many = await raw(`GET / HTTP/1.1\nHost: localhost\nX-Much: ${'x'.repeat(20_000)}\n\n`);
    expect(many).toMatch(/^HTTP\/1\.1 431 /);
    expect(many).toContain('"code":"headers-too-large"');
  });
});

describe('bodies', () => {
  const post = (type: string | undefined, body: string | Uint8Array<ArrayBuffer>) =>
    fetch(`${running.url}/v1/orders`, {
      method: 'POST',
      body,
      headers: type ? { 'Content-Type': type } : {},
    });
  const code = async (response: Response) => ((await response.json()) as { code: string }).code;

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonish',
    'text/json-not',
  ])('of type %s are refused with 415', async (type) => {
    const response = await post(type, '{}');
    expect(response.status).toBe(415);
    expect(await code(response)).toBe('unsupported-media-type');
  });

  it('without a type are refused with 415', async () => {
    const response = await post(undefined, new Uint8Array([123, 125]));
    expect(response.status).toBe(415);
  });

  it('above 64 KiB are refused with 413', async () => {
    const response = await post('application/json', JSON.stringify({ clientOrderId: 'x'.repeat(70_000) }));
    expect(response.status).toBe(413);
    expect(await code(response)).toBe('body-too-large');
  });

  it('that are not JSON, or try to reach prototypes, are refused with 400', async () => {
    for (const body of ['{"side":', '{"__proto__":{"side":"buy"}}', '{"constructor":{"prototype":{}}}']) {
      const response = await post('application/json', body);
      expect(response.status).toBe(400);
      expect(await code(response)).toBe('malformed-json');
    }
  });

  it('are read as JSON with a charset or a suffix', async () => {
    for (const type of ['application/json; charset=utf-8', 'application/merge-patch+json']) {
      expect(await code(await post(type, '{"side":1}'))).toBe('validation-failed');
    }
  });
});

describe('paths and methods', () => {
  it('says which methods a path has', async () => {
    const response = await call(running, 'PUT', '/v1/orders/c-1', {});
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('DELETE, GET, HEAD, PATCH');
    expect(await response.json()).toMatchObject({ code: 'method-not-allowed' });
  });

  it('answers HEAD like GET without a body', async () => {
    const response = await call(running, 'HEAD', '/v1/positions');
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('');
  });
});

describe('what is counted and logged', () => {
  it('every request but probes, by route and not by path', async () => {
    await call(running, 'GET', '/v1/orders/none');
    await call(running, 'GET', '/health/live');
    await call(running, 'GET', '/metrics');
    await call(running, 'GET', '/v1/pnl');
    await until(() => running.timings.length >= 2);
    expect(running.timings.map((timing) => timing.route)).toEqual([
      'GET /v1/orders/:clientOrderId',
      'GET /v1/pnl',
    ]);
    for (const { ms } of running.timings) expect(ms).toBeGreaterThan(0);
  });

  it('one line per request that is no probe, with its id', async () => {
    const lines: Record<string, unknown>[] = [];
    const stream = new Writable({
      write(chunk, _encoding, done) {
        lines.push(JSON.parse(String(chunk)));
        done();
      },
    });
    const orders = new MemoryOrders(new MemoryJournal());
    const server = createServer(
      {
        name: 'n',
        version: '1',
        environment: 'simulated',
        host: '127.0.0.1',
        port: 0,
        debug: false,
        tradeToken: '',
        readToken: '',
        allowedOrigins: [],
        beatMs: 50,
        readyRequiresTws: false,
        trading: orders,
        reading: new MemoryReading(orders),
        market: new MemoryMarket(),
        health: new MemoryHealth(),
        onHttpTiming: () => {},
      },
      pino({ level: 'trace' }, stream),
    );
    const url = await server.listen({ host: '127.0.0.1', port: 0 });
    try {
      await fetch(`${url}/health/ready`);
      await fetch(`${url}/v1/trading`, { method: 'PUT', headers: { 'X-Request-ID': 'r-9' } });
      await until(() => lines.some((line) => line.msg === 'answered'));
      const requests = lines.filter((line) => 'route' in line);
      expect(requests).toMatchObject([
        { level: 30, requestId: 'r-9', method: 'PUT', route: '/v1/trading', status: 400, msg: 'answered' },
      ]);
    } finally {
      await server.close();
    }
  });
});
