import { request } from 'node:http';
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
      expect(await upgrade({ Host: host, Origin: origin })).toBe(403);
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

  it('health and metrics need none', async () => {
    await start({ readToken: 'reader', tradeToken: 'trader' });
    for (const path of ['/health', '/health/live', '/health/ready', '/health/detailed', '/health/metrics']) {
      expect((await get(path, {})).status).toBe(200);
    }
  });
});
