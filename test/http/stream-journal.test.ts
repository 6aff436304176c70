import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { PositionRow } from '../../machines/ledger.ts';
import type { Order } from '../../machines/order.ts';
import type { HttpOptions } from '../../src/http/options.ts';
import { type Running, startServer, until } from './running.ts';
import { type Frame, StreamTester } from './stream-tester.ts';

// Two hundred thousand frames, each held against its schema, take a busy machine a while.
vi.setConfig({ testTimeout: 60_000 });
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
const facts = (tester: StreamTester, subscription: number) =>
  tester.of(subscription).filter((frame) => frame.type === 'event');
const numbers = (frames: readonly Frame[]) => frames.map((frame) => frame.journalSeq);
const sampleOrder = (): Order => ({
  account: 'DU1234567',
  clientOrderId: 'c-1',
  origin: 'api',
  instrument: 'AAPL',
  contract: { symbol: 'AAPL' },
  side: 'buy',
  type: 'limit',
  limitPrice: '187.2',
  quantity: '10',
  timeInForce: 'day',
  state: 'working',
  filledQuantity: '0',
  remainingQuantity: '10',
  averageFillPrice: null,
  commission: null,
  orderId: 1000,
  permIds: ['77'],
  version: 1,
  reason: null,
  notices: [],
  pendingChange: null,
  fills: [],
  createdAt: '2026-01-02T15:00:00.000Z',
  updatedAt: '2026-01-02T15:00:00.000Z',
});
const wideRow = (n: number): PositionRow => ({
  account: 'DU1234567',
  instrument: `SYM${n}${'x'.repeat(4000)}`,
  contract: { symbol: `SYM${n}` },
  quantity: '4',
  averageCost: null,
  marketPrice: null,
  unrealizedPnl: null,
  realizedPnl: null,
  confirmed: true,
});
const alert = (n: number) => running.journal.append('alerts', 'alert.raised', { alert: { n } });

describe('lossless channels', () => {
  it('send each fact as it was journaled', async () => {
    await start();
    const tester = await open();
    const id = await tester.subscribe('orders');
    await running.trading.submit({
      clientOrderId: 'c-1',
      instrument: 'AAPL',
      contract: { symbol: 'AAPL' },
      side: 'buy',
      type: 'limit',
      limitPrice: '187.2',
      quantity: '10',
      timeInForce: 'day',
    });
    running.trading.accept('c-1');
    running.trading.fill('c-1', '4', '187.19');
    await until(() => facts(tester, id).length === 3);
    expect(facts(tester, id)).toMatchObject([
      { seq: 2, journalSeq: 1, event: 'order.submitted', order: { state: 'submitting' } },
      { seq: 3, journalSeq: 2, event: 'order.accepted', order: { state: 'working' } },
      {
        seq: 4,
        journalSeq: 3,
        event: 'order.filled',
        order: { filledQuantity: '4' },
        fill: { price: '187.19' },
      },
    ]);
  });

  it('without `after`: a snapshot and where in the journal it stands', async () => {
    await start();
    alert(1);
    running.reading.positionRows.push({
      account: 'DU1234567',
      instrument: 'AAPL',
      contract: { symbol: 'AAPL' },
      quantity: '4',
      averageCost: null,
      marketPrice: null,
      unrealizedPnl: null,
      realizedPnl: null,
      confirmed: false,
    });
    const tester = await open();
    const ack = await tester.ask({ type: 'subscribe', channel: 'positions' });
    expect(ack).toMatchObject({ ok: true, mode: 'snapshot' });
    const health = await tester.subscribe('health');
    await until(() => tester.of(health).length === 1);
    expect(tester.of(ack.subscription ?? 0)).toMatchObject([
      {
        type: 'snapshot',
        seq: 1,
        journalSeq: 1,
        rows: [{ instrument: 'AAPL', quantity: '4', confirmed: false }],
      },
    ]);
    expect(tester.of(health)[0]).toMatchObject({ rows: [{ status: 'pass', gates: { trading: true } }] });
  });

  it('with the number of a row that is over, or one that nobody gave: a notice and a snapshot, never silence', async () => {
    await start();
    for (let n = 1; n <= 5; n += 1) alert(n);
    const tester = await open();
    const { epoch } = running.journal;
    expect(tester.frames[0]).toMatchObject({ type: 'welcome', epoch });
    const resume = async (more: object) => {
      const ack = await tester.ask({ type: 'subscribe', channel: 'alerts', ...more });
      const subscription = ack.subscription as number;
      alert(99);
      await until(() => facts(tester, subscription).length > 0);
      const told = tester.frames.filter((frame) => frame.subscription === subscription);
      return { ack, told, codes: told.flatMap(({ type, code }) => (type === 'notice' ? [code] : [])) };
    };
    const same = await resume({ after: 4, epoch });
    expect(same.ack).toMatchObject({ mode: 'replay', epoch });
    expect([same.codes, numbers(facts(tester, same.ack.subscription as number)).slice(0, 1)]).toEqual([
      [],
      [5],
    ]);
    const other = await resume({ after: 4, epoch: '0000beef' });
    expect(other.ack).toMatchObject({ mode: 'snapshot', epoch });
    expect(other.told.slice(0, 3).map(({ type }) => type)).toEqual(['ack', 'notice', 'snapshot']);
    expect(other.told[1]).toMatchObject({ level: 'warn', code: 'epoch-changed', after: 4, epoch });
    const ahead = await resume({ after: 4_711, epoch });
    expect(ahead.ack).toMatchObject({ mode: 'snapshot' });
    expect(ahead.codes).toEqual(['sequence-unknown']);
    expect((await resume({ after: 4_711 })).codes).toEqual(['sequence-unknown']);
    // Without a number there is nothing to resume.
    expect((await resume({ epoch: '0000beef' })).codes).toEqual([]);
    const refused = await tester.ask({ type: 'subscribe', channel: 'quotes', keys: ['AAPL'], epoch });
    expect(refused).toMatchObject({ ok: false, problem: { errors: [{ pointer: '/epoch' }] } });
  });

  it('with `after`: what was missed, then what comes', async () => {
    await start();
    for (let n = 1; n <= 450; n += 1) alert(n);
    const tester = await open();
    const ack = await tester.ask({ type: 'subscribe', channel: 'alerts', after: 120 });
    expect(ack).toMatchObject({ ok: true, mode: 'replay' });
    alert(451);
    const id = ack.subscription ?? 0;
    await until(() => facts(tester, id).length === 331);
    expect(numbers(facts(tester, id))).toEqual(Array.from({ length: 331 }, (_, n) => 121 + n));
    expect(tester.of(id).map((frame) => frame.seq)).toEqual(Array.from({ length: 331 }, (_, n) => n + 1));
  });

  it('too far back, or ahead of us: a snapshot instead', async () => {
    await start({ streamLimits: { maxReplay: 10 } });
    for (let n = 1; n <= 20; n += 1) alert(n);
    const tester = await open();
    for (const [after, mode] of [
      [9, 'snapshot'],
      [10, 'replay'],
      [20, 'replay'],
      [21, 'snapshot'],
    ] as const) {
      expect(await tester.ask({ type: 'subscribe', channel: 'alerts', after })).toMatchObject({ mode });
    }
  });

  it('a client that takes nothing is closed with 4408 and resumes without loss', async () => {
    await start({ streamLimits: { closeAboveBytes: 200_000, skipAboveBytes: 50_000, heartbeatMs: 60_000 } });
    const stuck = await open();
    const before = await stuck.subscribe('alerts');
    alert(1);
    await until(() => facts(stuck, before).length === 1);
    stuck.socket.pause();
    const text = 'x'.repeat(20_000);
    await until(() => {
      running.journal.append('alerts', 'alert.raised', { alert: { text } });
      return running.server.websocketServer.clients.size === 0;
    }, 15_000);
    const resumed = await open();
    const last = Number(numbers(facts(stuck, before)).at(-1));
    const id = await resumed.subscribe('alerts', { after: last });
    const total = running.journal.records.length;
    await until(() => facts(resumed, id).at(-1)?.journalSeq === total, 15_000);
    expect(numbers(facts(resumed, id))).toEqual(Array.from({ length: total - last }, (_, n) => last + 1 + n));
  });

  it('a client that takes nothing for a while is slow until it has taken everything, with or without beats', async () => {
    await start({
      streamLimits: {
        closeAboveBytes: 50_000_000,
        skipAboveBytes: 50_000,
        stallMs: 60_000,
        heartbeatMs: 100,
      },
    });
    const tester = await open();
    const id = await tester.subscribe('alerts');
    tester.socket.pause();
    const text = 'x'.repeat(200_000);
    await until(() => {
      const isSlow = running.server.streams.figures().slow === 1;
      if (!isSlow) running.journal.append('alerts', 'alert.raised', { alert: { text } });
      return isSlow;
    });
    tester.socket.resume();
    await until(() => facts(tester, id).length === running.journal.records.length);
    await until(() => running.server.streams.figures().slow === 0);
  });

  it('a snapshot may be larger than what one is closed for; nothing more is begun before it is taken', async () => {
    await start({ streamLimits: { closeAboveBytes: 100_000, skipAboveBytes: 50_000 } });
    // more than the kernel keeps for a socket (4 MB)
    for (let n = 0; n < 4000; n += 1) running.reading.positionRows.push(wideRow(n));
    const tester = await open();
    const alerts = await tester.subscribe('alerts');
    tester.socket.pause();
    tester.send({ type: 'subscribe', id: 'wide', channel: 'positions' });
    await until(() => running.server.streams.figures().unsentBytes > 1_000_000);
    for (let n = 1; n <= 20; n += 1) alert(n);
    tester.send({ type: 'subscribe', id: 'more', channel: 'health' });
    await until(() => running.server.streams.figures().subscriptions === 2);
    tester.socket.resume();
    const refusal = await tester.heard((frame) => frame.id === 'more');
    expect(refusal.problem?.code).toBe('too-many-requests');
    const snapshot = tester.frames.find((frame) => frame.type === 'snapshot' && frame.rows?.length === 4000);
    expect(snapshot).toBeDefined();
    await until(() => facts(tester, alerts).length === 20);
    await tester.subscribe('health');
  });

  it('a burst that outruns the queue is read from the journal', async () => {
    await start();
    const clients = await Promise.all(Array.from({ length: 40 }, () => open()));
    const ids = await Promise.all(clients.map((tester) => tester.subscribe('alerts', { after: 0 })));
    for (let n = 1; n <= 5000; n += 1) alert(n);
    // a welcome and an ack came before
    await until(() => clients.every((tester) => tester.frames.length >= 5002), 50_000);
    clients.forEach((tester, n) => {
      expect(numbers(facts(tester, ids[n] ?? 0))).toEqual(Array.from({ length: 5000 }, (_, k) => k + 1));
    });
  });
});

describe('whenever one subscribes', () => {
  const channels = ['orders', 'alerts', 'health'] as const;
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('append' as const),
        channel: fc.constantFrom(...channels, null),
        times: fc.integer({ min: 1, max: 60 }),
        /** the event loop turns after each so many */
        turnAfter: fc.integer({ min: 1, max: 60 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('subscribe' as const),
        channel: fc.constantFrom(...channels),
        back: fc.integer({ min: 0, max: 700 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
  );
  const order = sampleOrder();
  const payloads = {
    orders: (n: number) => ({ order: { ...order, version: n } }),
    alerts: (n: number) => ({ alert: { n } }),
    health: (n: number) => ({ health: { n } }),
    none: (n: number) => ({ execution: { n } }),
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it('seq runs 1..n and every record comes once, in order', async () => {
    await start({ streamLimits: { maxSubscriptions: 100, messagesPerSecond: 100_000 } });
    // a crowd: the fan-out of one record takes several turns of the event loop
    const crowd = await open();
    for (let n = 0; n < 60; n += 1) await crowd.subscribe('alerts');
    // It takes what it is sent; nobody looks at it.
    crowd.socket.removeAllListeners('message');
    for (let n = 1; n <= 700; n += 1) alert(n);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async (steps) => {
        const tester = await StreamTester.open(running);
        const wanted: { id: number; channel: string; after: number }[] = [];
        for (const now of steps) {
          if (now.do === 'append') {
            for (let n = 1; n <= now.times; n += 1) {
              running.journal.append(now.channel, 'thing.happened', payloads[now.channel ?? 'none'](n));
              if (n % now.turnAfter === 0) await turn();
            }
          } else if (now.do === 'subscribe') {
            const id = 1000 + wanted.length;
            const after = running.journal.records.length - now.back;
            tester.send({ type: 'subscribe', id, channel: now.channel, after });
            wanted.push({ id, channel: now.channel, after });
          } else {
            await tester.ask({ type: 'ping' });
          }
        }
        for (const { id, channel, after } of wanted) {
          const { subscription } = await tester.heard((frame) => frame.type === 'ack' && frame.id === id);
          const expected = running.journal.records
            .filter((record) => record.seq > after && record.channel === channel)
            .map((record) => record.seq);
          await until(() => tester.of(subscription ?? 0).length >= expected.length);
          const frames = tester.of(subscription ?? 0);
          expect(numbers(frames)).toEqual(expected);
          expect(frames.map((frame) => frame.seq)).toEqual(expected.map((_, n) => n + 1));
        }
        tester.close();
      }),
      { numRuns: 60 },
    );
  });
});
