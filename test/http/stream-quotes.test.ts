import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { HttpOptions } from '../../src/http/options.ts';
import { type Running, startServer, until } from './running.ts';
import { StreamTester, tableOf } from './stream-tester.ts';

let running: Running;
const testers: StreamTester[] = [];
afterEach(async () => {
  for (const tester of testers.splice(0)) tester.close();
  await running.server.close();
});
const start = async (changes: Partial<HttpOptions> = {}) => {
  running = await startServer(changes);
};
const open = async () => {
  const tester = await StreamTester.open(running);
  testers.push(tester);
  return tester;
};
const seqs = (tester: StreamTester, subscription: number) =>
  tester.of(subscription).map((frame) => frame.seq);
const upTo = (last: number) => Array.from({ length: last }, (_, n) => n + 1);

const wide = Array.from({ length: 400 }, (_, n) => `SYM${n}`);
const moveAll = (value: number) => {
  for (const key of wide) running.market.tick(key, 'bid', value);
  running.market.beat();
};

describe('quotes', () => {
  it('begin with a snapshot of what is known, then send what changed', async () => {
    await start();
    running.market.tick('AAPL', 'bid', 187.22);
    running.market.tick('AAPL', 'ask', 187.23);
    running.market.beat();
    const tester = await open();
    const ack = await tester.ask({
      type: 'subscribe',
      channel: 'quotes',
      keys: [
        'STK:AAPL',
        'AAPL',
        'CASH:EUR.USD',
        { secType: 'STK', symbol: 'MSFT', exchange: 'SMART', currency: 'USD' },
        'FISH:X',
      ],
    });
    expect(ack).toMatchObject({
      ok: true,
      keys: ['AAPL', 'CASH:EUR.USD', 'MSFT'],
      rejected: [{ key: 'FISH:X' }],
    });
    const id = ack.subscription ?? 0;
    running.market.tick('AAPL', 'bid', 187.21);
    running.market.tick('IBM', 'bid', 1);
    running.market.beat();
    running.market.tick('CASH:EUR.USD', 'last', 1.08);
    running.market.beat();
    await until(() => tester.of(id).length === 3);
    expect(tester.of(id)).toMatchObject([
      { type: 'snapshot', seq: 1, rows: [{ key: 'AAPL', bid: 187.22, ask: 187.23, status: 'live' }] },
      { type: 'update', seq: 2, rows: [{ key: 'AAPL', bid: 187.21, merged: 1 }] },
      { type: 'update', seq: 3, rows: [{ key: 'CASH:EUR.USD', last: 1.08 }] },
    ]);
    expect(tester.of(id)[1]?.rows?.[0]).not.toHaveProperty('ask');
  });

  it('tell whoever comes in the middle of a beat nothing twice', async () => {
    await start();
    const tester = await open();
    running.market.tick('AAPL', 'bid', 187.22);
    running.market.tick('IBM', 'bid', 1);
    const id = await tester.subscribe('quotes', { keys: ['AAPL', 'IBM'] });
    running.market.tick('AAPL', 'ask', 187.23);
    running.market.beat();
    running.market.tick('IBM', 'bid', 2);
    running.market.beat();
    await until(() => tester.of(id).length === 3);
    expect(tester.of(id)[0]?.rows).toMatchObject([{ bid: 187.22 }, { bid: 1 }]);
    const told = tester.of(id).map(({ rows }) => rows?.map(({ ts: _, merged: __, ...row }) => row));
    expect(told.slice(1)).toEqual([[{ key: 'AAPL', ask: 187.23 }], [{ key: 'IBM', bid: 2 }]]);
  });

  it('send nothing when nothing changed, and nothing after unsubscribing', async () => {
    await start();
    const tester = await open();
    const id = await tester.subscribe('quotes', { keys: ['AAPL'] });
    running.market.tick('IBM', 'bid', 1);
    running.market.beat();
    await tester.ask({ type: 'unsubscribe', subscription: id });
    running.market.tick('AAPL', 'bid', 1);
    running.market.beat();
    await tester.ask({ type: 'ping' });
    expect(seqs(tester, id)).toEqual([1]);
    expect(running.market.lines.get('AAPL')).toBe(0);
  });

  it('tell when the broker refuses a line', async () => {
    await start();
    running.market.refused.set('NOPE', { code: '200', message: 'No security definition' });
    const tester = await open();
    const subscription = await tester.subscribe('quotes', { keys: ['NOPE'] });
    expect(await tester.heard((frame) => frame.type === 'notice')).toMatchObject({
      code: 'quote-failed',
      subscription,
      key: 'NOPE',
      reason: { code: '200' },
    });
  });

  it('tell of a refusal that comes later, each client that watches the line', async () => {
    await start();
    const [watching, other] = await Promise.all([open(), open()]);
    const subscription = await watching.subscribe('quotes', { keys: ['AAPL', 'IBM'] });
    await other.subscribe('quotes', { keys: ['IBM'] });
    running.market.tick('AAPL', 'bid', 1);
    running.market.beat();
    running.market.refuse('AAPL', { code: '10197', message: 'No market data during competing live session' });
    expect(await watching.heard((frame) => frame.type === 'notice')).toMatchObject({
      code: 'quote-failed',
      subscription,
      key: 'AAPL',
      reason: { code: '10197' },
    });
    await other.ask({ type: 'ping' });
    expect(other.frames.filter(({ type }) => type === 'notice')).toEqual([]);
  });

  it('reach hundreds of clients without a hole, all with the newest in the end', async () => {
    const fanOuts: number[] = [];
    await start({ onFanOut: (_ms, frames) => fanOuts.push(frames) });
    const clients = await Promise.all(Array.from({ length: 120 }, () => open()));
    const ids = await Promise.all(
      clients.map((tester, n) => tester.subscribe('quotes', { keys: n % 2 ? ['AAPL', 'MSFT'] : ['MSFT'] })),
    );
    for (let n = 1; n <= 20; n += 1) {
      running.market.tick('AAPL', 'bid', n);
      running.market.tick('MSFT', n % 3 ? 'ask' : 'last', 100 + n);
      running.market.beat();
      if (n % 4 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const done = (tester: StreamTester, n: number) => {
      const table = tableOf(tester.of(ids[n] ?? 0));
      const msft = table.get('MSFT');
      return msft?.ask === 120 && msft.last === 118 && (n % 2 === 0 || table.get('AAPL')?.bid === 20);
    };
    await until(() => clients.every(done), 10_000);
    clients.forEach((tester, n) => {
      const got = seqs(tester, ids[n] ?? 0);
      expect(got).toEqual(upTo(got.length));
      expect(
        tester.of(ids[n] ?? 0).some((frame) => frame.rows?.some((row) => n % 2 === 0 && row.key === 'AAPL')),
      ).toBe(false);
    });
    expect(Math.max(...fanOuts)).toBe(120);
  });

  it('let an order pass while a beat goes out to many', async () => {
    await start();
    let sent = 0;
    running.server.server.on('connection', (socket) => {
      const { write } = socket;
      socket.write = function (this: Socket, ...args: unknown[]): boolean {
        if (String(args[0]).includes('"type":"update"')) sent += 1;
        return Reflect.apply(write, this, args) as boolean;
      } as Socket['write'];
    });
    const clients = await Promise.all(Array.from({ length: 150 }, () => open()));
    // no two watch the same: each frame is work
    const ids = await Promise.all(
      clients.map((tester, n) => tester.subscribe('quotes', { keys: [...wide, `OWN${n}`] })),
    );
    let sentBefore = 0;
    const { trading } = running;
    const submit = trading.submit.bind(trading);
    trading.submit = (request) => {
      sentBefore = sent;
      return submit(request);
    };
    const line = connect(running.port, '127.0.0.1');
    line.write('GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(line, 'data');
    const body = JSON.stringify({ instrument: 'AAPL', side: 'buy', quantity: 1, type: 'market' });
    // the order's bytes are in the kernel before the beat begins
    line.write(
      `POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    moveAll(1);
    const [answer] = (await once(line, 'data')) as [Buffer];
    line.destroy();
    expect(String(answer)).toMatch(/^HTTP\/1\.1 201 /);
    expect(sentBefore).toBeLessThan(75);
    await until(() => clients.every((tester, n) => tester.of(ids[n] ?? 0).length === 2));
  });
});

describe('slow clients', () => {
  it('skip beats, are told, and end with the newest of every key; others are not held up', async () => {
    await start({ streamLimits: { skipAboveBytes: 100_000, stallMs: 60_000, heartbeatMs: 60_000 } });
    const slow = await open();
    const fast = await open();
    const slowId = await slow.subscribe('quotes', { keys: wide });
    const fastId = await fast.subscribe('quotes', { keys: wide });
    slow.socket.pause();
    let value = 0;
    const skipping = () => running.server.streams.figures().slow === 1;
    while (!skipping()) {
      await new Promise((resolve) => setImmediate(resolve));
      value += 1;
      moveAll(value);
      expect(value).toBeLessThan(20_000);
    }
    value += 1;
    moveAll(value);
    await until(() => tableOf(fast.of(fastId)).get('SYM0')?.bid === value);
    slow.socket.resume();
    const newest = () => {
      const table = tableOf(slow.of(slowId));
      return wide.every((key) => table.get(key)?.bid === value);
    };
    await slow.heard((frame) => frame.type === 'notice' && frame.code === 'slow-consumer', 15_000);
    await until(newest, 15_000);
    const got = seqs(slow, slowId);
    expect(got).toEqual(upTo(got.length));
    expect(got.length).toBeLessThan(seqs(fast, fastId).length);
    const notice = slow.frames.find((frame) => frame.type === 'notice');
    expect(notice).toMatchObject({ level: 'warn', subscription: slowId });
    expect(Number(notice?.skippedBeats)).toBeGreaterThan(0);
  });

  it('that take nothing at all are closed with 4408', async () => {
    await start({ streamLimits: { skipAboveBytes: 50_000, stallMs: 100, heartbeatMs: 50 } });
    const stuck = await open();
    await stuck.subscribe('quotes', { keys: wide });
    stuck.socket.pause();
    let value = 0;
    const gone = () => {
      value += 1;
      moveAll(value);
      return running.server.websocketServer.clients.size === 0;
    };
    await until(gone, 15_000);
    await until(() => running.server.streams.figures().connected === 0);
    expect(running.server.streams.figures()).toMatchObject({ closedSlow: 1, subscriptions: 0 });
    expect(running.market.lines.get('SYM0')).toBe(0);
  });
});

describe('small tables', () => {
  it('actors and pnl: a snapshot, then the rows that changed and those that went', async () => {
    await start();
    const tester = await open();
    const actors = await tester.subscribe('actors');
    const pnl = await tester.subscribe('pnl');
    const [runtime, tws] = running.reading.actorRows;
    if (!runtime || !tws) throw new Error('no actors');
    running.reading.actorRows = [runtime, { ...tws, state: 'online.severed' }];
    // That TWS has told the same again is no news; with news it says as of when.
    running.reading.pnlAt = '2026-11-20T15:00:01.000Z';
    await until(() => tester.of(actors).length === 2);
    expect(tester.of(pnl)).toHaveLength(1);
    running.reading.daily = '13';
    await until(() => tester.of(actors).length === 2 && tester.of(pnl).length === 2);
    expect(tester.of(actors)).toMatchObject([
      { type: 'snapshot', seq: 1, rows: [{ id: 'runtime' }, { id: 'tws' }, { id: 'desk' }] },
      { type: 'update', seq: 2, rows: [{ id: 'tws', state: 'online.severed' }], removed: ['desk'] },
    ]);
    expect(tester.of(actors)[1]?.rows).toEqual([{ id: 'tws', state: 'online.severed' }]);
    expect(tester.of(pnl)[0]?.rows?.[0]).toHaveProperty('unrealized');
    expect(tester.of(pnl)[1]?.rows).toEqual([
      { account: 'DU1234567', daily: '13', at: '2026-11-20T15:00:01.000Z' },
    ]);
  });
});
