/** The cache alone with a real Redis: what it must bear that a whole runtime seldom brings about. */
import pino from 'pino';
import { Subject } from 'rxjs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { JournalRecord } from '../../machines/journal.ts';
import type { PositionRow } from '../../machines/ledger.ts';
import type { Beat, Quote } from '../../machines/market.ts';
import type { Order } from '../../machines/order.ts';
import { type Cache, type CacheOptions, createCache, waitingFactsMax } from '../../src/cache/cache.ts';
import { eventually } from '../program.ts';
import { listen, noRedis, startRedis } from './redis-server.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function redisWith(settings: Parameters<typeof startRedis>[0] = []) {
  const redis = await startRedis(settings);
  closers.push(() => redis.close());
  return { redis, client: await redis.client() };
}

/** A runtime's worth of sources in memory, and the cache over them. */
function cacheAt(url: string, change: Partial<CacheOptions> = {}) {
  const beats = new Subject<Beat>();
  const rows = new Map<string, Quote>();
  const orders = new Map<string, Order>();
  const positions: PositionRow[] = [];
  const lines: string[] = [];
  let tell: (record: JournalRecord) => void = () => undefined;
  let seq = 0;
  const cache: Cache = createCache({
    url,
    prefix: 'p',
    name: 'tws-runtime',
    version: '0',
    environment: 'paper',
    now: Date.now,
    log: pino({ level: 'info' }, { write: (line) => void lines.push(line) }),
    market: { beat$: beats, quote: (key) => rows.get(key) },
    journal: {
      onRecord(listener) {
        tell = listener;
        return () => {
          tell = () => undefined;
        };
      },
      lastSeq: () => seq,
    },
    openOrders: () => [[...orders.values()].filter(({ state }) => state === 'working')],
    positions: () => positions,
    patience: { deadlineMs: 1_000, heartbeatMs: 100, shortestPauseMs: 20, longestPauseMs: 100 },
    ...change,
  });
  closers.push(() => cache.close());
  return {
    cache,
    lines,
    positions,
    beat(...quotes: Quote[]) {
      for (const quote of quotes) rows.set(quote.key, quote);
      beats.next({
        ts: Date.now(),
        oldestAt: Date.now(),
        rows: new Map(quotes.map(({ key }) => [key, { key, delta: '{}', merged: 1 }])),
      });
    },
    order(clientOrderId: string, more: Record<string, unknown> = {}) {
      const order = { clientOrderId, state: 'working', ...more } as unknown as Order;
      orders.set(clientOrderId, order);
      seq += 1;
      tell({ seq, ts: Date.now(), channel: 'orders', event: 'order.accepted', payload: { order } });
    },
    until: (state: string) =>
      eventually(
        () => cache.figures(),
        (figures) => figures.state === state,
        15_000,
      ),
  };
}

const quote = (key: string, bid: number, ts = Date.now()): Quote => ({ key, bid, status: 'live', ts });

describe('Redis', () => {
  test('refuses the password: said once and without it, and nothing else stops', async ({ skip }) => {
    if (noRedis !== null) skip(noRedis);
    const { redis } = await redisWith([['requirepass', 'right-password']]);
    const at = cacheAt(redis.url.replace('right-password', 'wrong-secret'));
    const { reason } = await at.until('down');
    expect(reason).toMatch(/WRONGPASS/);
    at.order('a');
    at.beat(quote('AAPL', 1));
    await eventually(
      () => at.cache.figures(),
      ({ counts }) => counts.dropped === 1,
    );
    expect(at.lines.filter((line) => line.includes('not there'))).toHaveLength(1);
    expect(at.lines.join()).not.toMatch(/wrong-secret|right-password/);

    const known = cacheAt(redis.url);
    await known.until('up');
    expect(known.lines.join()).not.toContain('right-password');
  });

  test('may forbid everything but what is documented', async ({ skip }) => {
    if (noRedis !== null) skip(noRedis);
    const { redis, client } = await redisWith();
    const rights =
      '~p:* &p:* +select +client|setname +scan +mget +set +hset +hdel +pexpire +del +rename +publish';
    await client.sendCommand(['ACL', 'SETUSER', 'runtime', 'on', '>pass', ...rights.split(' ')]);
    await client.set(
      'p:quote:AAPL',
      JSON.stringify({ ...quote('AAPL', 5, Date.now() - 1), environment: 'paper' }),
    );
    const at = cacheAt(redis.url.replace('redis://', 'redis://runtime:pass@'));
    at.order('a');
    await at.until('up');
    expect(at.cache.lastQuote('AAPL')?.bid).toBe(5);
    const heard = await listen(redis, 'p:facts');
    at.beat(quote('AAPL', 6));
    at.order('b');
    at.order('a', { state: 'filled' });
    await eventually(
      () => heard.length,
      (length) => length === 2,
    );
    expect(await client.hKeys('p:orders')).toEqual(['b']);
    expect(at.cache.figures()).toMatchObject({ state: 'up', counts: { refused: 0 } });
    await client.sendCommand(['ACL', 'SETUSER', 'runtime', '-hset']);
    at.order('c');
    expect((await at.until('refusing')).reason).toMatch(/NOPERM/);
  });

  test('is not there at all, or is something else: tried again without end', async () => {
    const at = cacheAt('redis://127.0.0.1:1/0');
    expect((await at.until('down')).reason).toMatch(/ECONNREFUSED/);
    const odd = cacheAt('redis://%zz@127.0.0.1:1/0');
    expect((await odd.until('down')).reason).not.toBe(null);
  });

  test('is full: what it refuses is counted and said, facts are still published, and all is written when there is room', async ({
    skip,
  }) => {
    if (noRedis !== null) skip(noRedis);
    const { redis, client } = await redisWith([['maxmemory-policy', 'noeviction']]);
    const at = cacheAt(redis.url);
    await at.until('up');
    at.order('before');
    await eventually(
      () => client.hKeys('p:orders'),
      (fields) => fields.length === 1,
    );
    await client.configSet('maxmemory', '1mb');
    const heard = await listen(redis, 'p:facts');
    at.order('a');
    const refusing = await at.until('refusing');
    expect(refusing.reason).toMatch(/OOM/);
    expect(refusing.counts.refused).toBeGreaterThan(0);
    at.order('b');
    await eventually(
      () => heard.map(({ message }) => message.order.clientOrderId),
      (ids) => ids.includes('b'),
    );
    await client.configSet('maxmemory', '0');
    await at.until('up');
    expect((await client.hKeys('p:orders')).sort()).toEqual(['a', 'b', 'before']);
  });

  test('is emptied by somebody: everything is there again', async ({ skip }) => {
    if (noRedis !== null) skip(noRedis);
    const { redis, client } = await redisWith();
    const at = cacheAt(redis.url);
    at.order('a');
    await eventually(
      () => client.hKeys('p:orders'),
      (fields) => fields.length === 1,
    );
    await client.flushAll();
    await eventually(
      () => client.hKeys('p:orders'),
      (fields) => fields.length === 1,
    );
    at.order('a', { state: 'filled' });
    await eventually(
      () => client.hKeys('p:orders'),
      (fields) => fields.length === 0,
    );
  });

  test('hangs for long: facts wait up to a bound, then one hole; quotes are conflated', async ({ skip }) => {
    if (noRedis !== null) skip(noRedis);
    const { redis } = await redisWith();
    const patience = { deadlineMs: 15_000, heartbeatMs: 60_000 };
    const at = cacheAt(redis.url, { patience });
    await at.until('up');
    const facts = await listen(redis, 'p:facts', 'p:quotes');
    redis.freeze();
    at.beat(quote('AAPL', 0));
    at.order('first');
    // One batch is on its way; everything else waits here.
    await eventually(
      () => at.cache.figures().waiting,
      (waiting) => waiting === 0,
    );
    for (let n = 1; n <= 1_000; n += 1) at.beat(quote('AAPL', n));
    for (let n = 0; n < waitingFactsMax + 10; n += 1) at.order(`o-${n % 50}`);
    expect(at.cache.figures()).toMatchObject({ waiting: 10, counts: { dropped: waitingFactsMax } });
    redis.thaw();
    await eventually(
      () => facts.filter(({ channel }) => channel === 'p:facts'),
      (heard) => heard.at(-1)?.message.journalSeq === 1 + waitingFactsMax + 10,
    );
    const seqs = facts.flatMap(({ channel, message }) =>
      channel === 'p:facts' ? [message.journalSeq - waitingFactsMax] : [],
    );
    expect(seqs.slice(-10)).toEqual(Array.from({ length: 10 }, (_, n) => n + 2));
    const bids = facts.flatMap(({ channel, message }) =>
      channel === 'p:quotes' ? [message.rows[0].bid] : [],
    );
    expect(bids).toEqual([0, 1_000]);
  });

  test('gets big tables in pieces, and never a text above a megabyte', async ({ skip }) => {
    if (noRedis !== null) skip(noRedis);
    const { redis, client } = await redisWith();
    const at = cacheAt(redis.url);
    await at.until('up');
    const heard = await listen(redis, 'p:facts');
    for (let n = 0; n < 2_000; n += 1) at.order(`o-${n}`, { notices: 'x'.repeat(2_000) });
    at.order('huge', { notices: 'y'.repeat(1_100_000) });
    at.order('last');
    await eventually(
      () => heard.at(-1)?.message.order.clientOrderId,
      (id) => id === 'last',
    );
    expect(heard).toHaveLength(2_001);
    await eventually(
      () => client.hLen('p:orders'),
      (fields) => fields === 2_001,
      15_000,
    );
    const { counts, state, reason } = at.cache.figures();
    expect(counts.dropped).toBeGreaterThan(0);
    expect({ state, reason }).toMatchObject({
      state: 'refusing',
      reason: expect.stringContaining('1048576'),
    });
    at.order('huge', { state: 'filled' });
    await at.until('up');
  });
});

describe('the last quotes', () => {
  test('are those of the same environment, of the past, of this prefix, and whole', async ({ skip }) => {
    if (noRedis !== null) skip(noRedis);
    const { redis, client } = await redisWith();
    const keep = (prefix: string, key: string, row: unknown) =>
      client.set(`${prefix}:quote:${key}`, typeof row === 'string' ? row : JSON.stringify(row));
    const now = Date.now();
    const row = (key: string, more: object = {}) => ({
      ...quote(key, 5, now - 1_000),
      environment: 'paper',
      ...more,
    });
    await keep('p', 'GOOD', row('GOOD', { merged: 9, nonsense: [1] }));
    await keep('p', 'SIMULATED', row('SIMULATED', { environment: 'simulated' }));
    await keep('p', 'FUTURE', row('FUTURE', { ts: now + 3_600_000 }));
    await keep('p', 'OLD', row('OLD', { ts: now - 25 * 3_600_000 }));
    await keep('p', 'EMPTY', row('EMPTY', { bid: undefined }));
    await keep('p', 'BROKEN', '{"key":"BROKEN"');
    await keep('px', 'OTHER', row('OTHER'));
    await client.hSet('p:quote:HASH', 'a', 'b');
    const at = cacheAt(redis.url);
    await at.until('up');
    expect(at.cache.lastQuote('GOOD')).toEqual({ key: 'GOOD', bid: 5, status: 'stale', ts: now - 1_000 });
    for (const key of ['SIMULATED', 'FUTURE', 'OLD', 'EMPTY', 'BROKEN', 'OTHER', 'HASH'])
      expect(at.cache.lastQuote(key), key).toBe(undefined);
    at.beat(quote('GOOD', 6, now));
    await eventually(
      () => at.cache.lastQuote('GOOD'),
      (last) => last?.bid === 6,
    );
    expect(at.cache.lastQuote('GOOD')?.status).toBe('stale');
  });

  test('a close publishes what waits and says that the runtime is gone', async ({ skip }) => {
    if (noRedis !== null) skip(noRedis);
    const { redis, client } = await redisWith();
    const at = cacheAt(redis.url);
    await at.until('up');
    const heard = await listen(redis, 'p:facts');
    for (let n = 0; n < 300; n += 1) at.order(`o-${n}`);
    await at.cache.close();
    await eventually(
      () => heard.length,
      (length) => length === 300,
    );
    expect(await client.exists('p:runtime')).toBe(0);
  });
});
