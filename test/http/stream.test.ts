import { afterEach, describe, expect, it } from 'vitest';
import type { HttpOptions } from '../../src/http/options.ts';
import { call, type Running, startServer, until } from './running.ts';
import { StreamTester } from './stream-tester.ts';

let running: Running;
const testers: StreamTester[] = [];
afterEach(async () => {
  for (const tester of testers.splice(0)) tester.close();
  await running.server.close();
});

const start = async (changes: Partial<HttpOptions> = {}) => {
  running = await startServer(changes);
};
const open = async (headers: Record<string, string> = {}) => {
  const tester = await StreamTester.open(running, headers);
  testers.push(tester);
  return tester;
};

const order = {
  clientOrderId: 'c-1',
  instrument: 'AAPL',
  side: 'buy',
  quantity: '10',
  type: 'limit',
  limitPrice: '187.20',
};

describe('coming in', () => {
  it('is welcomed at once', async () => {
    await start({ beatMs: 50 });
    const tester = await open();
    expect(tester.frames[0]).toMatchObject({
      type: 'welcome',
      protocol: '1',
      beatMs: 50,
      heartbeatMs: 5000,
      auth: 'none',
    });
    expect(tester.frames[0]?.sessionId).toMatch(/^[0-9a-f-]{36}$/);
    expect(Math.abs(Number(tester.frames[0]?.serverTime) - Date.now())).toBeLessThan(5000);
  });

  it('answers pings', async () => {
    await start();
    const tester = await open();
    expect(await tester.ask({ type: 'ping' })).toMatchObject({ type: 'pong' });
  });

  it('carries the headers of every answer', async () => {
    await start();
    const tester = new StreamTester(running, { 'X-Request-ID': 'mine-1' });
    testers.push(tester);
    const headers = await new Promise<Record<string, unknown>>((resolve) => {
      tester.socket.on('upgrade', (response) => resolve(response.headers));
    });
    expect(headers['x-request-id']).toBe('mine-1');
    expect(headers['x-process-time-ms']).toMatch(/^\d+\.\d{3}$/);
  });

  it('turns away more clients than there is room for', async () => {
    await start({ streamLimits: { maxClients: 1 } });
    await open();
    const second = new StreamTester(running);
    testers.push(second);
    expect((await second.closed).code).toBe(1013);
  });
});

describe('tokens', () => {
  const tokens = { readToken: 'reader', tradeToken: 'trader' };

  it('in a message: read may watch, trade may also command', async () => {
    await start(tokens);
    const tester = await open();
    expect(tester.frames[0]?.auth).toBe('required');
    const early = await tester.ask({ type: 'subscribe', channel: 'orders' });
    expect(early.problem?.code).toBe('unauthenticated');
    expect(await tester.ask({ type: 'auth', token: 'trader' })).toMatchObject({
      ok: true,
      scopes: ['read', 'trade'],
    });
    await tester.subscribe('orders');
    const result = await tester.ask({ type: 'command', command: 'order.submit', order });
    expect(result.ok).toBe(true);
  });

  it('in the header of the upgrade', async () => {
    await start(tokens);
    const tester = await open({ Authorization: 'Bearer reader' });
    expect(tester.frames[0]?.auth).toBe('none');
    await tester.subscribe('orders');
  });

  it('4401 for a wrong one, and for none in time', async () => {
    await start({ ...tokens, streamLimits: { authMs: 50 } });
    const wrong = await open();
    expect((await wrong.ask({ type: 'auth', token: 'nobody' })).problem?.code).toBe('unauthenticated');
    expect((await wrong.closed).code).toBe(4401);
    const silent = await open();
    expect((await silent.closed).code).toBe(4401);
  });

  it('a wrong one in the header is refused before the upgrade', async () => {
    await start(tokens);
    const tester = new StreamTester(running, { Authorization: 'Bearer nobody' });
    testers.push(tester);
    const failed = await new Promise<string>((resolve) => {
      tester.socket.on('error', (error) => resolve(error.message));
    });
    expect(failed).toContain('401');
  });

  it('4403 for a command without the scope; nothing was submitted', async () => {
    await start(tokens);
    const tester = await open({ Authorization: 'Bearer reader' });
    const result = await tester.ask({ type: 'command', command: 'order.submit', order });
    expect(result).toMatchObject({ type: 'result', ok: false, problem: { code: 'insufficient-scope' } });
    expect((await tester.closed).code).toBe(4403);
    expect(running.trading.submits).toBe(0);
  });
});

describe('commands', () => {
  it('are the orders of HTTP, with the time that they took', async () => {
    await start();
    const tester = await open();
    const submit = (more = {}) =>
      tester.ask({ type: 'command', command: 'order.submit', order: { ...order, ...more } });
    expect(await submit()).toMatchObject({
      type: 'result',
      ok: true,
      order: { clientOrderId: 'c-1', state: 'submitting', limitPrice: '187.20' },
      timing: { reviewUs: 12, journalUs: 120, totalUs: 180 },
    });
    expect(await (await call(running, 'POST', '/v1/orders', order)).json()).toMatchObject({
      clientOrderId: 'c-1',
    });
    expect(running.trading.orders.size).toBe(1);
    expect((await submit({ quantity: 11 })).problem?.code).toBe('client-order-id-reused');

    const modify = await tester.ask({
      type: 'command',
      command: 'order.modify',
      clientOrderId: 'c-1',
      change: { limitPrice: 188 },
      ifVersion: 1,
    });
    expect(modify).toMatchObject({ ok: true, order: { state: 'modifying' } });
    const stale = {
      type: 'command',
      command: 'order.modify',
      clientOrderId: 'c-1',
      change: { quantity: 1 },
      ifVersion: 1,
    };
    expect((await tester.ask(stale)).problem?.code).toBe('version-mismatch');

    const cancel = (clientOrderId: string) =>
      tester.ask({ type: 'command', command: 'order.cancel', clientOrderId });
    expect(await cancel('c-1')).toMatchObject({ ok: true, order: { state: 'cancelling' } });
    expect((await cancel('nobody')).problem?.code).toBe('order-not-found');
  });

  it('are refused with pointers into the message', async () => {
    await start();
    const tester = await open();
    const pointer = async (message: Record<string, unknown>) =>
      (await tester.ask({ type: 'command', ...message })).problem?.errors?.map((error) => error.pointer);
    expect(await pointer({ command: 'order.submit', order: { ...order, quantity: 0 } })).toEqual([
      '/order/quantity',
    ]);
    expect(await pointer({ command: 'order.submit' })).toEqual(['/order']);
    expect(await pointer({ command: 'order.modify', clientOrderId: 'c-1', change: { side: 1 } })).toEqual([
      '/change/side',
    ]);
    expect(await pointer({ command: 'order.cancel' })).toEqual(['/clientOrderId']);
    expect(await pointer({ command: 'order.frame' })).toEqual(['/command']);
    expect(await pointer({ command: 'order.cancel', clientOrderId: 'c', force: true })).toEqual(['/force']);
  });

  it('answer denial, unavailability, faults of ours, and what is not supported', async () => {
    await start();
    const tester = await open();
    const submit = async (id: string) =>
      (await tester.ask({ type: 'command', command: 'order.submit', order: { ...order, clientOrderId: id } }))
        .problem;
    running.trading.deny = { code: 'max-quantity', message: 'too many' };
    expect((await submit('d-1'))?.code).toBe('denied-max-quantity');
    running.trading.deny = null;
    running.trading.unavailable = { code: 'halted', message: 'halted' };
    expect(await submit('d-2')).toMatchObject({ code: 'trading-unavailable', reason: 'halted' });
    running.trading.unavailable = null;
    running.trading.broken = true;
    expect(JSON.stringify(await submit('d-3'))).not.toContain('secret');
    const renew = (cancelAfterMs?: number) =>
      tester.ask({ type: 'command', command: 'lease.renew', client: 'desk-1', cancelAfterMs });
    expect(await renew(60_000)).toMatchObject({
      ok: true,
      lease: { client: 'desk-1', cancelAfterMs: 60_000 },
    });
    expect((await renew(1)).problem).toMatchObject({
      code: 'validation-failed',
      errors: [{ pointer: '/cancelAfterMs' }],
    });
    expect((await renew()).problem).toMatchObject({ code: 'validation-failed' });
  });
});

describe('messages that cannot be', () => {
  it.each<[string, string | Buffer]>([
    ['no JSON', 'hello'],
    ['no object', '7'],
    ['no type', '{"id":1}'],
    ['an unknown type', '{"type":"dance","id":1}'],
    ['a type that every object has', '{"type":"constructor","id":1}'],
    ['bytes', Buffer.from('{"type":"ping"}')],
  ])('%s: 4400', async (_name, message) => {
    await start();
    const tester = await open();
    tester.socket.send(message);
    expect((await tester.closed).code).toBe(4400);
  });

  it('too big: 1009', async () => {
    await start();
    const tester = await open();
    tester.socket.send(JSON.stringify({ type: 'ping', id: 'x'.repeat(70_000) }));
    expect((await tester.closed).code).toBe(1009);
  });

  it('too many: 4429', async () => {
    await start({ streamLimits: { messagesPerSecond: 10 } });
    const tester = await open();
    for (let n = 0; n < 50; n += 1) tester.socket.send('{"type":"ping"}');
    expect((await tester.closed).code).toBe(4429);
  });

  it('a fault in a known message is answered, not punished', async () => {
    await start();
    const tester = await open();
    const pointer = async (message: Record<string, unknown>) => {
      const { problem } = await tester.ask(message);
      return problem?.errors?.[0]?.pointer ?? problem?.code;
    };
    expect(await pointer({ type: 'subscribe' })).toBe('/channel');
    expect(await pointer({ type: 'subscribe', channel: 'gossip' })).toBe('/channel');
    expect(await pointer({ type: 'subscribe', channel: 'quotes' })).toBe('/keys');
    expect(await pointer({ type: 'subscribe', channel: 'orders', keys: ['AAPL'] })).toBe('/keys');
    expect(await pointer({ type: 'subscribe', channel: 'orders', after: -1 })).toBe('/after');
    expect(await pointer({ type: 'subscribe', channel: 'depth' })).toBe('/keys');
    expect(await pointer({ type: 'subscribe', channel: 'bars', keys: ['AAPL'], barSize: '7 mins' })).toBe(
      '/barSize',
    );
    expect(await pointer({ type: 'subscribe', channel: 'depth', keys: ['AAPL'], barSize: '1 min' })).toBe(
      '/barSize',
    );
    expect(await pointer({ type: 'unsubscribe', subscription: 99 })).toBe('not-found');
    expect(await pointer({ type: 'auth' })).toBe('/token');
    expect(await tester.ask({ type: 'ping' })).toMatchObject({ type: 'pong' });
  });

  it('subscriptions are bounded', async () => {
    await start({ streamLimits: { maxSubscriptions: 2, maxKeys: 2 } });
    const tester = await open();
    const many = await tester.ask({ type: 'subscribe', channel: 'quotes', keys: ['A', 'B', 'C'] });
    expect(many.problem?.errors?.[0]?.pointer).toBe('/keys');
    const first = await tester.subscribe('orders');
    await tester.subscribe('alerts');
    expect((await tester.ask({ type: 'subscribe', channel: 'health' })).problem?.code).toBe(
      'too-many-requests',
    );
    expect(await tester.ask({ type: 'unsubscribe', subscription: first })).toMatchObject({ ok: true });
    await tester.subscribe('health');
  });
});

describe('heartbeat and goodbye', () => {
  it('tells the last seq of each subscription', async () => {
    await start({ streamLimits: { heartbeatMs: 20 } });
    const tester = await open();
    const orders = await tester.subscribe('orders');
    const health = await tester.subscribe('health');
    running.trading.journal.append('health', 'link.severed', { health: {} });
    const beat = await tester.heard(
      (frame) => frame.type === 'heartbeat' && (frame.last as Record<string, number>)[health] === 2,
    );
    expect(beat.last).toEqual({ [orders]: 1, [health]: 2 });
  });

  it('closes a peer that answers no ping for long', async () => {
    await start({ streamLimits: { heartbeatMs: 50 } });
    const mute = new StreamTester(running, {}, { autoPong: false });
    testers.push(mute);
    const alive = await open();
    expect(await mute.closed).toEqual({ code: 4408, reason: 'no answer to pings' });
    expect(alive.socket.readyState).toBe(alive.socket.OPEN);
  });

  it('says bye and closes with 1001; the port is free afterwards', async () => {
    await start();
    const tester = await open();
    await running.server.close();
    expect((await tester.closed).code).toBe(1001);
    const bye = tester.frames.at(-1);
    expect(bye).toMatchObject({ type: 'bye', code: 'server-shutdown' });
    expect(Number(bye?.reconnectInMs)).toBeGreaterThanOrEqual(500);
    expect(Number(bye?.reconnectInMs)).toBeLessThanOrEqual(2500);
    await expect(fetch(running.url)).rejects.toThrow();
  });

  it('does not wait for a client that never says goodbye', async () => {
    await start();
    const tester = await open();
    tester.socket.pause();
    const before = performance.now();
    await running.server.close();
    expect(performance.now() - before).toBeLessThan(5000);
  });

  it('forgets who left', async () => {
    await start();
    const tester = await open();
    await tester.subscribe('quotes', { keys: ['AAPL'] });
    expect(running.market.lines.get('AAPL')).toBe(1);
    tester.socket.terminate();
    await until(() => running.market.lines.get('AAPL') === 0);
  });
});
