import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { eventually, type Program, startProgram, temporaryFolder } from './program.ts';

const folder = temporaryFolder();
let program: Program | undefined;
afterEach(async () => {
  await program?.stop();
  folder.remove();
});

test('nothing secret is ever logged, however much is logged', async () => {
  const secrets = {
    trade: 'trade-4bd1f0c2a7e94c55',
    read: 'read-8c3e52d96f0b417a',
    wrong: 'wrong-19a7c4e8d2b64f03',
    cookie: 'cookie-7f21b8e6',
    query: 'query-51c09d3a',
    redis: 'redis-pw-2e6c',
  };
  program = await startProgram(folder.path, {
    LOG_LEVEL: 'trace',
    TRADE_TOKEN: secrets.trade,
    READ_TOKEN: secrets.read,
    REDIS_URL: `redis://user:${secrets.redis}@127.0.0.1:1/0`,
  });
  const { url, lines } = program;
  const ask = (path: string, token: string, init: RequestInit = {}) =>
    fetch(url + path, {
      ...init,
      headers: {
        authorization: `Bearer ${token}`,
        'proxy-authorization': `Basic ${secrets.cookie}`,
        cookie: `session=${secrets.cookie}`,
        'x-api-key': secrets.cookie,
        'content-type': 'application/json',
      },
    });
  for (const token of Object.values(secrets)) {
    await ask('/v1/orders', token);
    await ask(`/v1/orders?token=${secrets.query}`, token);
    await ask(`/v1/stream?token=${secrets.query}`, token);
    await ask('/v1/orders', token, { method: 'POST', body: `{"token":"${secrets.query}"` });
    await ask('/v1/orders', token, { method: 'POST', body: `{"token":"${secrets.query}"}` });
    await ask('/v1/kill', token, { method: 'POST', body: '{}' });
  }
  for (const token of [secrets.trade, secrets.wrong]) {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`);
    await once(socket, 'message');
    socket.send(JSON.stringify({ type: 'auth', id: 1, token }));
    await once(socket, 'message');
    socket.send(JSON.stringify({ type: 'auth', id: 2, token, password: secrets.query }));
    socket.close();
    await once(socket, 'close');
  }
  const last = `r-${process.pid}`;
  await fetch(`${url}/v1/kill`, { method: 'POST', headers: { 'x-request-id': last } });
  await eventually(
    () => lines.some((line) => line.includes(last)),
    (said) => said,
  );
  await program.stop();
  expect(lines.length).toBeGreaterThan(10);
  const all = lines.join('\n');
  expect(all).toContain('"status":401');
  for (const [name, secret] of Object.entries(secrets)) expect(all.includes(secret), name).toBe(false);
});
