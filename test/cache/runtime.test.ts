/** The whole runtime with a real Redis: what others find there, and that trading never notices when it is gone. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { everyRow } from '../incidents/oracle.ts';
import { eventually, openStream } from '../program.ts';
import { startWhole, type Whole } from '../whole.ts';
import { type Client, listen, noRedis, type RedisServer, startRedis } from './redis-server.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

// biome-ignore lint/suspicious/noExplicitAny: rows of the public API, read by name
type Row = any;

describe('the cache', () => {
  let redis: RedisServer;
  let whole: Whole;
  let client: Client;
  beforeAll(async () => {
    if (noRedis !== null) return;
    redis = await startRedis();
    client = await redis.client();
    whole = await startWhole({ environment: { REDIS_URL: redis.url, REDIS_PREFIX: 'desk' } });
    await untilRedis('up');
  });
  afterAll(async () => {
    await whole?.stop();
    await redis?.close();
  });

  const component = async (): Promise<Row> =>
    (await whole.call('GET', '/health/detailed')).body.components.redis;
  const untilRedis = (state: 'up' | 'down') =>
    eventually(component, (redis) => redis.state === state, 20_000);
  const hash = async (name: string): Promise<Record<string, Row>> =>
    Object.fromEntries(
      Object.entries(await client.hGetAll(name)).map(([field, text]) => [field, JSON.parse(text)]),
    );
  /** The hashes say what the API says. */
  const untilEqual = async (): Promise<void> => {
    await eventually(
      async () => {
        const orders = (await whole.call('GET', '/v1/orders?state=open&limit=500')).body.orders;
        const positions = (await whole.call('GET', '/v1/positions')).body.positions;
        const [cachedOrders, cachedPositions] = [await hash('desk:orders'), await hash('desk:positions')];
        return {
          orders: orders.map((order: Row) => [order.clientOrderId, order.state, order.version]).sort(),
          cachedOrders: Object.entries(cachedOrders)
            .map(([id, order]) => [id, order.state, order.version])
            .sort(),
          positions: positions.map((row: Row) => [`${row.account}|${row.instrument}`, row.quantity]).sort(),
          cachedPositions: Object.entries(cachedPositions)
            .map(([field, row]) => [field, row.quantity])
            .sort(),
        };
      },
      (seen) =>
        JSON.stringify(seen.orders) === JSON.stringify(seen.cachedOrders) &&
        JSON.stringify(seen.positions) === JSON.stringify(seen.cachedPositions),
      20_000,
    );
  };
  const fill = async (clientOrderId: string) => {
    const placed = await whole.place(
      { clientOrderId, type: 'market', quantity: '1' },
      '?wait=closed&timeoutMs=5000',
    );
    expect(placed).toMatchObject({ status: 201, body: { state: 'filled' } });
  };

  test('facts are heard in the order of the journal, without a hole, and orders and positions are there', async ({
    skip,
  }) => {
    if (noRedis !== null) skip(noRedis);
    const facts = await listen(redis, 'desk:facts');
    await whole.place({ clientOrderId: 'rests' });
    await Promise.all(Array.from({ length: 10 }, (_, index) => fill(`filled-${index}`)));
    await whole.call('DELETE', '/v1/orders/rests');
    await whole.order('rests', ({ state }) => state === 'cancelled');
    await whole.place({ clientOrderId: 'stays' });
    const { lastSeq, journal } = await eventually(
      async () => {
        const journal = await everyRow(whole, '/v1/journal', 'facts');
        return { journal, lastSeq: journal.at(-1).seq };
      },
      ({ lastSeq }) => facts.at(-1)?.message.journalSeq === lastSeq,
    );
    const heard = facts.map(({ message }) => message);
    expect(heard.map(({ journalSeq }) => journalSeq)).toEqual(
      Array.from({ length: heard.length }, (_, index) => lastSeq - heard.length + 1 + index),
    );
    const filled = heard.find(
      ({ event, order }) => event === 'order.filled' && order.clientOrderId === 'filled-3',
    );
    expect(filled).toMatchObject({
      channel: 'orders',
      order: { filledQuantity: '1' },
      fill: { quantity: '1' },
    });
    expect(heard.map(({ event }) => event)).toEqual(
      journal.slice(-heard.length).map(({ event }: Row) => event),
    );
    await untilEqual();
    expect(Object.keys(await hash('desk:orders'))).toEqual(['stays']);
    expect(Object.values(await hash('desk:positions'))).toMatchObject([
      { instrument: 'AAPL', quantity: '10' },
    ]);
    expect(await client.pTTL('desk:orders')).toBeGreaterThan(0);
    expect(JSON.parse((await client.get('desk:runtime')) ?? '')).toMatchObject({
      name: 'tws-runtime',
      environment: 'paper',
      journalSeq: expect.any(Number),
    });
  });

  test('quotes are heard on the beat, whole, and the newest is kept', async ({ skip }) => {
    if (noRedis !== null) skip(noRedis);
    const stream = await openStream(`${whole.url.replace('http', 'ws')}/v1/stream`);
    stream.send({ type: 'subscribe', id: 1, channel: 'quotes', keys: ['MSFT'] });
    const quotes = await listen(redis, 'desk:quotes');
    const rows = await eventually(
      () => quotes.flatMap(({ message }) => message.rows.filter(({ key }: Row) => key === 'MSFT')),
      (found) => found.length >= 3,
    );
    expect(rows.at(-1)).toMatchObject({ key: 'MSFT', bid: expect.any(Number), status: 'live' });
    expect(rows.map(({ ts }) => ts)).toEqual(rows.map(({ ts }) => ts).toSorted());
    const kept = await eventually(
      () => client.get('desk:quote:MSFT'),
      (text) => text !== null,
    );
    expect(JSON.parse(kept ?? '')).toMatchObject({ key: 'MSFT', ask: expect.any(Number) });
    expect(await client.pTTL('desk:quote:MSFT')).toBeGreaterThan(3_600_000);
    stream.close();
  });

  test('Redis is killed while orders run: nobody waits, health says why, and all is there when it is back', async ({
    skip,
  }) => {
    if (noRedis !== null) skip(noRedis);
    const running = Promise.all(Array.from({ length: 10 }, (_, index) => fill(`killed-${index}`)));
    await redis.kill();
    await running;
    await fill('without');
    const down = await untilRedis('down');
    expect(down).toMatchObject({ status: 'warn', configured: true, reason: expect.any(String) });
    const { body } = await whole.call('GET', '/health/detailed');
    expect(body.gates.trading).toBe(true);
    expect(body.reasons.map(({ code }: Row) => code)).toContain('redis-down');
    expect((await whole.call('GET', '/health/ready')).status).toBe(200);
    await redis.start();
    expect(await untilRedis('up')).toMatchObject({ status: 'pass', reason: null });
    await untilEqual();
    expect((await component()).counts.dropped).toBeGreaterThan(0);
    const metrics = await (await fetch(`${whole.url}/metrics`)).text();
    expect(metrics).toMatch(/tws_runtime_redis_commands_total\{outcome="dropped"\} [1-9]/);
  });

  test('Redis hangs: orders pass as ever, and it is given up until it answers again', async ({ skip }) => {
    if (noRedis !== null) skip(noRedis);
    redis.freeze();
    for (let index = 0; index < 5; index += 1) await fill(`frozen-${index}`);
    const down = await untilRedis('down');
    expect(down.reason).toMatch(/did not answer within|no connection to Redis within/);
    await fill('given-up');
    redis.thaw();
    await untilRedis('up');
    await untilEqual();
  });

  test('after a restart without TWS the last quotes are shown as stale with their time, and give way to living ones', async ({
    skip,
  }) => {
    if (noRedis !== null) skip(noRedis);
    await whole.call('GET', '/v1/quotes/MSFT');
    await eventually(
      () => client.get('desk:quote:AAPL'),
      (text) => text !== null,
    );
    await whole.simulator.faults.refuse();
    await whole.restart(() => undefined, 'started');
    const kept = JSON.parse((await client.get('desk:quote:MSFT')) ?? '');
    const shown = await eventually(
      () => whole.call('GET', '/v1/quotes/MSFT'),
      ({ status }) => status === 200,
    );
    const { environment: _, ...row } = kept;
    expect(shown.body).toEqual({ ...row, status: 'stale' });
    expect(whole.program.runtime.market.mark('MSFT')).toBe(null);

    const stream = await openStream(`${whole.url.replace('http', 'ws')}/v1/stream`);
    stream.send({ type: 'subscribe', id: 1, channel: 'quotes', keys: ['MSFT', 'AAPL'] });
    const first = (await stream.frame(({ type }) => type === 'snapshot')) as Row;
    expect(first.rows.map(({ key, status }: Row) => [key, status])).toEqual([
      ['MSFT', 'stale'],
      ['AAPL', 'stale'],
    ]);
    expect(first.rows[0].ts).toBe(row.ts);
    await whole.simulator.faults.accept();
    await whole.untilTrading();
    const living = (await stream.frame(
      ({ type, rows }) => type === 'snapshot' && (rows as Row[]).every(({ status }) => status === 'live'),
      15_000,
    )) as Row;
    expect(living.rows[0].ts).toBeGreaterThan(row.ts);
    const seqs = stream.frames.flatMap(({ subscription, seq }) => (subscription === undefined ? [] : [seq]));
    expect(seqs.filter((seq) => seq !== undefined)).toEqual(
      seqs.filter((seq) => seq !== undefined).map((_, index) => index + 1),
    );
    stream.close();
    // What only memory knew decides nothing: with a living line the quote is the line's own.
    expect((await whole.call('GET', '/v1/quotes/AAPL')).body.status).toBe('live');
  });
});
