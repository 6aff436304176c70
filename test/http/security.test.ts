import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import type { HttpOptions } from '../../src/http/options.ts';
import { type Running, startServer } from './running.ts';

let running: Running;
afterEach(() => running.server.close());

/** `fetch` does not let one choose Host and Origin. */
function get(
  path: string,
  headers: Record<string, string>,
  method = 'GET',
): Promise<{ status: number; headers: Record<string, unknown>; code: string | undefined }> {
  return new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port: running.port, path, headers, method }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => {
        const code = text ? (JSON.parse(text) as { code?: string }).code : undefined;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, code });
      });
    });
    call.on('error', reject);
    call.end();
  });
}

/** The status with which an upgrade is answered: 101 when it succeeds. */
function upgrade(headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${running.port}/v1/stream`, { headers });
    socket.on('open', () => {
      socket.close();
      resolve(101);
    });
    socket.on('unexpected-response', (_request, response) => {
      // the server lets go of the socket itself
      response.resume().once('close', () => resolve(response.statusCode ?? 0));
    });
    socket.on('error', reject);
  });
}

/** With which code a connection is closed, and how many frames came before. */
async function closeOf(headers: Record<string, string>): Promise<{ code: number; frames: number }> {
  const socket = new WebSocket(`ws://127.0.0.1:${running.port}/v1/stream`, { headers });
  let frames = 0;
  socket.on('message', () => {
    frames += 1;
  });
  socket.on('open', () => socket.send('{"type":"subscribe","id":1,"channel":"orders"}'));
  const [code] = (await once(socket, 'close')) as [number];
  return { code, frames };
}

const start = async (changes: Partial<HttpOptions> = {}) => {
  running = await startServer(changes);
};

describe('hosts', () => {
  it.each([
    'localhost',
    'LOCALHOST:1',
    '127.0.0.1:8000',
    '127.8.9.1',
    '[::1]:8000',
    'app.localhost',
  ])('%s is ours', async (host) => {
    await start();
    expect((await get('/v1/orders', { Host: host })).status).toBe(200);
  });

  it.each([
    'evil.example',
    '127.0.0.1.evil.example',
    'localhost.evil.example:8000',
    '10.0.0.1',
  ])('%s is turned away, also at the door of the stream', async (host) => {
    await start();
    expect(await get('/v1/orders', { Host: host })).toMatchObject({ status: 403, code: 'host-not-allowed' });
    expect(await get('/nowhere', { Host: host })).toMatchObject({ status: 403 });
    expect(await upgrade({ Host: host })).toBe(403);
  });

  it.each([
    ['::', 'anything.example', 200],
    ['0:0:0:0:0:0:0:0', 'anything.example', 200],
    ['::ffff:0.0.0.0', 'anything.example', 200],
    ['fd00::1', '[fd00::1]:8000', 200],
    ['fd00:0:0::1', '[fd00::1]', 200],
    ['fd00::1', '[fd00::2]:8000', 403],
    ['0:0:0:0:0:0:0:1', '[::1]:8000', 200],
    ['::1', 'evil.example', 403],
  ])('bound to %s, called %s: %i', async (host, name, status) => {
    await start({ host, readToken: 'r' });
    expect((await get('/health/live', { Host: name })).status).toBe(status);
  });

  it('the address that we are bound to is ours; bound to all, tokens decide', async () => {
    await start({ host: 'desk.example', readToken: 'r' });
    expect((await get('/health/live', { Host: 'desk.example:8000' })).status).toBe(200);
    expect((await get('/health/live', { Host: 'other.example' })).status).toBe(403);
    await running.server.close();
    await start({ host: '0.0.0.0', readToken: 'r' });
    expect((await get('/health/live', { Host: 'anything.example' })).status).toBe(200);
    expect((await get('/v1/orders', { Host: 'anything.example' })).status).toBe(401);
  });
});

describe('browser origins', () => {
  it('our own may call, others may not', async () => {
    await start();
    const host = `localhost:${running.port}`;
    expect((await get('/v1/orders', { Host: host, Origin: `http://${host}` })).status).toBe(200);
    for (const origin of ['http://evil.example', 'http://localhost:1', 'null', 'file://', 'nonsense']) {
      expect(await get('/v1/orders', { Host: host, Origin: origin })).toMatchObject({
        status: 403,
        code: 'origin-not-allowed',
      });
      expect(await closeOf({ Host: host, Origin: origin })).toEqual({ code: 1008, frames: 0 });
    }
    expect(await upgrade({ Host: host, Origin: `http://${host}` })).toBe(101);
  });

  it('those that were allowed get what a browser asks for', async () => {
    await start({ allowedOrigins: ['https://desk.example'], tradeToken: 't' });
    const origin = { Origin: 'https://desk.example' };
    const preflight = await get(
      '/v1/orders/c-1',
      {
        ...origin,
        'Access-Control-Request-Method': 'PATCH',
        'Access-Control-Request-Headers': 'authorization',
      },
      'OPTIONS',
    );
    expect(preflight.status).toBe(204);
    expect(preflight.headers['access-control-allow-origin']).toBe('https://desk.example');
    expect(preflight.headers['access-control-allow-methods']).toContain('PATCH');
    expect(preflight.headers['access-control-allow-headers']).toContain('Authorization');
    const answer = await get('/v1/orders', { ...origin, Authorization: 'Bearer t' });
    expect(answer.status).toBe(200);
    expect(answer.headers['access-control-allow-origin']).toBe('https://desk.example');
    expect(answer.headers.vary).toBe('Origin');
  });
});

describe('what a foreign page can do without asking', () => {
  it('is nothing: browsers tell whose page sent it, also without an Origin', async () => {
    await start();
    const from = (site: string, mode = 'no-cors', dest = 'image') => ({
      'Sec-Fetch-Site': site,
      'Sec-Fetch-Mode': mode,
      'Sec-Fetch-Dest': dest,
    });
    for (const site of ['cross-site', 'same-site', 'nonsense']) {
      expect(await get('/v1/quotes/AAPL', from(site))).toMatchObject({
        status: 403,
        code: 'origin-not-allowed',
      });
      expect((await get('/v1/orders', from(site, 'navigate', 'document'))).status).toBe(403);
      expect((await get('/v1/kill', from(site, 'navigate', 'document'), 'POST')).status).toBe(403);
      expect((await get('/', from(site, 'navigate', 'iframe'))).status).toBe(403);
      expect(await upgrade(from(site, 'websocket', 'websocket'))).toBe(403);
      // a link may lead to a page
      expect((await get('/', from(site, 'navigate', 'document'))).status).toBe(200);
    }
    for (const site of ['same-origin', 'none'])
      expect((await get('/v1/orders', from(site))).status).toBe(200);
  });

  it('forms send what is refused before it is read', async () => {
    await start();
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
    ]) {
      for (const path of ['/v1/orders', '/v1/kill', '/v1/trading']) {
        const response = await fetch(running.url + path, {
          method: path === '/v1/trading' ? 'PUT' : 'POST',
          headers: { 'Content-Type': type },
          body: '{"state":"open"}',
        });
        expect(response.status, `${type} to ${path}`).toBe(415);
      }
    }
    expect(running.trading.status().state).toBe('open');
  });

  it('preflights of strangers are refused, and of those who are allowed say how', async () => {
    await start({ allowedOrigins: ['https://desk.example'] });
    const ask = { 'Access-Control-Request-Method': 'POST' };
    const refused = await get('/v1/orders', { ...ask, Origin: 'https://evil.example' }, 'OPTIONS');
    expect(refused.status).toBe(403);
    expect(refused.headers['access-control-allow-origin']).toBeUndefined();
    const open = await get('/v1/orders', { Origin: 'https://desk.example', 'Sec-Fetch-Site': 'cross-site' });
    expect(open.status).toBe(200);
    expect(open.headers['access-control-allow-credentials']).toBeUndefined();
  });
});

describe('heads on which two readers could disagree', () => {
  const raw = async (text: string) => {
    const socket = connect(running.port, '127.0.0.1');
    socket.end(text.replaceAll('\n', '\r\n'));
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    await once(socket, 'close');
    return answer;
  };

  it.each([
    'GET /v1/orders HTTP/1.1\nHost: localhost\nHost: evil.example\n\n',
    'GET /v1/orders HTTP/1.1\nHost: localhost\nAuthorization: Bearer a\nAuthorization: Bearer b\n\n',
    'GET /v1/orders HTTP/1.1\nHost: localhost\nOrigin: http://localhost\nOrigin: http://evil.example\n\n',
    'GET /v1/orders HTTP/1.1\n\n',
    'GET /v1/orders HTTP/1.0\n\n',
    'POST /v1/orders HTTP/1.1\nHost: localhost\nContent-Length: 2\nTransfer-Encoding: chunked\n\n0\n\n',
    'GET /v1/orders HTTP/1.1\nHost: localhost\nX: a\n b\n\n',
  ])('%j is no request', async (text) => {
    await start();
    const answer = await raw(text);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"code":"bad-request"');
    expect(answer.toLowerCase()).toContain('x-content-type-options: nosniff');
  });
});

describe('every answer', () => {
  it('tells browsers not to guess, frame or tell, and nobody what serves it', async () => {
    await start({ debug: true, readToken: 'reader' });
    const answers = [
      await get('/', {}),
      await get('/v1/orders', { Authorization: 'Bearer reader' }),
      await get('/v1/orders', {}),
      await get('/nowhere', {}),
      await get('/v1/orders/%zz', {}),
      await get('/health', { Host: 'evil.example' }),
      await get('/v1/stream', {}),
      await get('/', { Expect: 'a miracle' }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 401, 404, 400, 403, 426, 417]);
    for (const { headers } of answers) {
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['referrer-policy']).toBe('no-referrer');
      expect(headers['content-security-policy']).toContain("default-src 'none'");
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
      expect(headers['cross-origin-resource-policy']).toBe('same-origin');
      expect(headers.server).toBeUndefined();
      expect(headers['x-powered-by']).toBeUndefined();
    }
    expect(answers[1]?.headers['cache-control']).toBe('no-store');
  });

  it.each(['/docs/', '/redoc'])('the page %s may run and be framed by nothing else', async (path) => {
    await start({ debug: true });
    const response = await fetch(running.url + path);
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/default-src '(none|self)'/);
    expect(policy).toMatch(/frame-ancestors '(none|self)'/);
    expect(policy).not.toContain("script-src 'unsafe");
  });

  it('keeps our failures to ourselves', async () => {
    await start();
    running.reading.account = () => {
      throw new Error(`secret of ${import.meta.filename}`);
    };
    running.trading.kill = () => Promise.reject(new TypeError('secret'));
    for (const [method, path] of [
      ['GET', '/v1/account'],
      ['POST', '/v1/kill'],
    ] as const) {
      const response = await fetch(running.url + path, { method, headers: { 'X-Request-ID': 'r-1' } });
      expect(response.status).toBe(500);
      expect(response.headers.get('x-request-id')).toBe('r-1');
      expect(await response.json()).toEqual({
        type: 'urn:tws-runtime:problem:internal-error',
        title: 'Something broke here',
        status: 500,
        code: 'internal-error',
        detail: 'the failure is in the log under this X-Request-ID',
      });
    }
  });
});

describe('tokens', () => {
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

  it('read reads; trade reads and trades; none and wrong ones do neither', async () => {
    await start({ readToken: 'reader', tradeToken: 'trader' });
    const statuses = async (headers: Record<string, string>) => [
      (await get('/v1/orders', headers)).status,
      (await get('/v1/orders', headers, 'DELETE')).status,
    ];
    expect(await statuses(bearer('reader'))).toEqual([200, 403]);
    expect(await statuses(bearer('trader'))).toEqual([200, 200]);
    expect(await statuses({})).toEqual([401, 401]);
    expect(await statuses(bearer('trade'))).toEqual([401, 401]);
    expect(await statuses(bearer('traderr'))).toEqual([401, 401]);
    expect(await statuses({ Authorization: 'Basic dHJhZGVy' })).toEqual([401, 401]);
  });

  it('says what is missing', async () => {
    await start({ readToken: 'reader', tradeToken: 'trader' });
    const none = await get('/v1/orders', {});
    expect(none).toMatchObject({ code: 'unauthenticated' });
    expect(none.headers['www-authenticate']).toContain('Bearer');
    const short = await get('/v1/kill', bearer('reader'), 'POST');
    expect(short).toMatchObject({ status: 403, code: 'insufficient-scope' });
    expect(short.headers['www-authenticate']).toContain('scope="trade"');
  });

  it('with a trade token alone, reading needs it too; with a read token alone, nobody trades', async () => {
    await start({ tradeToken: 'trader' });
    expect((await get('/v1/orders', {})).status).toBe(401);
    expect((await get('/v1/orders', bearer('trader'))).status).toBe(200);
    await running.server.close();
    await start({ readToken: 'reader' });
    expect((await get('/v1/kill', bearer('reader'), 'POST')).status).toBe(403);
    expect((await get('/v1/kill', bearer(''), 'POST')).status).toBe(401);
  });

  it('are never taken from the query, and nothing is said of them', async () => {
    await start({ readToken: 'reader', tradeToken: 'trader' });
    for (const name of ['token', 'access_token', 'authorization']) {
      expect((await get(`/v1/orders?${name}=trader`, {})).status).toBe(401);
      expect((await get(`/v1/kill?${name}=trader`, {}, 'POST')).status).toBe(401);
      const response = await fetch(`${running.url}/v1/stream?${name}=trader`);
      expect(response.status).toBe(400);
      expect(await response.text()).not.toContain('trader');
    }
  });

  it('health and metrics need none', async () => {
    await start({ readToken: 'reader', tradeToken: 'trader' });
    for (const path of ['/health', '/health/live', '/health/ready', '/health/detailed', '/health/metrics']) {
      expect((await get(path, {})).status).toBe(200);
    }
  });
});
