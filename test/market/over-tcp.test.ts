import { afterEach, describe, expect, test } from 'vitest';
import { createActor, enqueueActions, setup } from 'xstate';
import { parseInstrument } from '../../machines/instrument.ts';
import { marketMachine } from '../../machines/market.machine.ts';
import type { Beat } from '../../machines/market.ts';
import { subscriptionMachine } from '../../machines/subscription.machine.ts';
import { twsMachine } from '../../machines/tws.machine.ts';
import type { LinkReport } from '../../machines/tws.ts';
import { createMarket } from '../../src/market/market.ts';
import { createSimulator } from '../../src/simulator/simulator.ts';
import { createGateway } from '../../src/tws/gateway.ts';
import { AAPL, TinyExchange } from '../simulator/tinyExchange.ts';
import { silentLog } from '../tws/link.ts';
import { until } from '../tws/peer.ts';

const TSLA = 76792991;

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A simulated gateway, the connection over TCP, the machines and the market, with short deadlines. */
async function start(options: { lineLimit?: number; isDelayed?: boolean; staleAfterMs?: number } = {}) {
  const exchange = new TinyExchange();
  const simulator = await createSimulator({ exchange });
  closers.push(() => simulator.close());
  if (options.isDelayed) simulator.faults.marketData('delayed');
  const gateway = createGateway({ now: Date.now, log: silentLog });
  const market = createMarket({
    lines: gateway,
    requests: gateway,
    now: Date.now,
    beatMs: 20,
    staleAfterMs: options.staleAfterMs ?? 10_000,
  });
  closers.push(() => market.close());
  const subscription = subscriptionMachine.provide({ actors: { line: market.lineLogic } });
  const told: LinkReport[] = [];
  const root = createActor(
    setup({
      types: { events: {} as LinkReport },
      actors: {
        market: marketMachine.provide({ actors: { subscription } }),
        tws: twsMachine.provide({
          actors: { session: gateway.session },
          delays: { retryPause: 50, heartbeatPause: 200, heartbeatDeadline: 1_000 },
        }),
      },
      actions: {
        remember: ({ event }) => told.push(event),
        pass: enqueueActions(({ event, enqueue }) => {
          switch (event.type) {
            case 'tws.ready':
            case 'tws.lost':
            case 'tws.severed':
            case 'tws.restored':
            case 'tws.farmChanged':
              enqueue.sendTo('market', event);
          }
        }),
      },
    }).createMachine({
      id: 'root',
      invoke: [
        {
          id: 'market',
          src: 'market',
          input: {
            lineLimits: { quotes: options.lineLimit ?? 95 },
            lingerMs: 100,
            patience: { rerequestMs: 100, settleMs: 500, requestMs: 2_000 },
          },
        },
        {
          id: 'tws',
          src: 'tws',
          input: { host: '127.0.0.1', port: simulator.port, clientId: 7, seed: 1 },
        },
      ],
      on: { 'tws.*': { actions: ['remember', 'pass'] } },
    }),
  ).start();
  closers.push(() => {
    root.stop();
  });
  const { market: lines, tws } = root.getSnapshot().children;
  if (!lines || !tws) throw new Error('the machines did not start');
  market.bind(lines);
  tws.send({ type: 'tws.connect' });
  await until(() => told.some(({ type }) => type === 'tws.ready'), 'a session');
  const acquire = (name: string) => {
    const parsed = parseInstrument(name);
    if ('problem' in parsed) throw new Error(parsed.problem);
    return market.acquire(parsed.contract, name);
  };
  const status = (name: string) => market.quote(name)?.status;
  let price = 200;
  /** a price that was not there before */
  const tick = (conId: number) => {
    price += 0.01;
    exchange.tick(conId, { field: 'last', price, size: 100, attrMask: 0 });
  };
  return {
    exchange,
    simulator,
    market,
    told,
    acquire,
    status,
    /** ticks on these feeds until told to stop */
    flow(...conIds: readonly number[]) {
      const timer = setInterval(() => {
        for (const conId of conIds) tick(conId);
      }, 20);
      const stop = () => clearInterval(timer);
      closers.push(stop);
      return stop;
    },
    asked: () => simulator.received({ message: 'reqMktData' }).length,
    isLive: (name: string) => until(() => status(name) === 'live', `${name} live`),
    isStale: (name: string) => until(() => status(name) === 'stale', `${name} stale`),
  };
}

describe('over TCP', () => {
  test('a tick of the exchange becomes a row of a beat, stamped when its bytes were read', async () => {
    const { market, acquire, exchange, isLive } = await start();
    const beats: Beat[] = [];
    market.beat$.subscribe((beat) => beats.push(beat));
    const { release } = acquire('AAPL');
    expect(await market.firstQuote('AAPL', 5_000)).toMatchObject({ key: 'AAPL', status: 'live' });
    await isLive('AAPL');
    beats.length = 0;
    const sent = Date.now();
    exchange.tick(AAPL.conId, { field: 'ask', price: 223.45, size: 777, attrMask: 0 });
    await until(() => beats.some((beat) => beat.rows.has('AAPL')), 'a beat');
    const row = JSON.parse(beats[0]?.rows.get('AAPL')?.delta ?? '{}') as Record<string, number>;
    expect(row).toMatchObject({ key: 'AAPL', ask: 223.45, askSize: 777 });
    expect(row.ts).toBeGreaterThanOrEqual(sent);
    expect(row.ts).toBeLessThanOrEqual(beats[0]?.ts ?? 0);
    expect(market.figures().ticks).toBeGreaterThan(0);
    release();
    await until(() => market.figures().linesOpen === 0, 'the line to close');
  });

  test('two readers share one request; the cancel follows the last one', async () => {
    const { acquire, simulator, asked, isLive } = await start();
    const first = acquire('AAPL');
    const second = acquire('AAPL');
    await isLive('AAPL');
    expect(asked()).toBe(1);
    first.release();
    second.release();
    await until(() => simulator.received({ message: 'cancelMktData' }).length === 1, 'the cancel');
    expect(asked()).toBe(1);
  });

  test('data lost upstream: every line is asked for exactly once more; kept: none', async () => {
    const { simulator, acquire, asked, flow, isLive, isStale } = await start();
    acquire('AAPL');
    acquire('TSLA');
    flow(AAPL.conId, TSLA);
    await isLive('AAPL');
    await isLive('TSLA');
    expect(asked()).toBe(2);

    simulator.faults.upstreamLost();
    simulator.faults.injectError(-1, 1100, 'again');
    await isStale('AAPL');
    await isStale('TSLA');
    simulator.faults.upstreamBack(1101);
    await isLive('AAPL');
    await isLive('TSLA');
    expect(asked()).toBe(4);

    simulator.faults.upstreamLost();
    await isStale('AAPL');
    simulator.faults.upstreamBack(1102);
    await isLive('AAPL');
    await isLive('TSLA');
    expect(asked()).toBe(4);
  });

  test('kept, but the data stays dead: the feed is asked for, the living one is not', async () => {
    const { simulator, acquire, asked, flow, isLive, isStale } = await start({ staleAfterMs: 400 });
    acquire('AAPL');
    acquire('TSLA');
    const stop = flow(AAPL.conId, TSLA);
    await isLive('AAPL');
    await isLive('TSLA');
    simulator.faults.upstreamLost();
    await isStale('AAPL');
    stop();
    flow(TSLA);
    simulator.faults.upstreamBack(1102);
    await isLive('TSLA');
    await until(() => asked() === 3, 'the second request for AAPL');
    await isLive('AAPL');
    const { fields } = simulator.received({ message: 'reqMktData' }).at(-1) ?? { fields: [] };
    expect(fields).toContain('AAPL');
  });

  test('a new session opens every line once', async () => {
    const { simulator, acquire, told, asked, flow, isLive, isStale } = await start();
    acquire('AAPL');
    acquire('TSLA');
    flow(AAPL.conId, TSLA);
    await isLive('AAPL');
    await isLive('TSLA');
    simulator.faults.drop();
    await isStale('AAPL');
    await until(() => told.filter(({ type }) => type === 'tws.ready').length === 2, 'the next session');
    await isLive('AAPL');
    await isLive('TSLA');
    expect(asked()).toBe(4);
  });

  test('a farm that flaps leaves the session alone; its feeds are stale and come back by their own ticks', async () => {
    const { simulator, acquire, told, asked, flow, isLive, isStale } = await start();
    acquire('AAPL');
    flow(AAPL.conId);
    await isLive('AAPL');
    for (let flap = 0; flap < 5; flap += 1) {
      simulator.faults.farmBroken('usfarm');
      await isStale('AAPL');
      simulator.faults.farmOk('usfarm');
      await isLive('AAPL');
    }
    expect(asked()).toBe(1);
    expect(told.filter(({ type }) => type === 'tws.lost')).toEqual([]);
    expect(simulator.clients()).toHaveLength(1);
  });

  test('a competing session: not live, and one request only before its half minute is over', async () => {
    const { simulator, acquire, market, asked, flow, isLive, isStale } = await start();
    acquire('AAPL');
    flow(AAPL.conId);
    await isLive('AAPL');
    const reqId = Number(simulator.received({ message: 'reqMktData' })[0]?.fields[2]);
    simulator.faults.injectError(reqId, 10197, 'No market data during competing live session');
    await isStale('AAPL');
    expect(market.line('AAPL')).toMatchObject({
      standing: 'refused',
      reason: { code: '10197' },
      retryAfterMs: 30_000,
    });
    expect(asked()).toBe(1);
  });

  test('delayed data is called delayed, and the notice ends nothing', async () => {
    const { acquire, market, status } = await start({ isDelayed: true });
    acquire('AAPL');
    await until(() => status('AAPL') === 'delayed', 'delayed data');
    expect(market.line('AAPL')?.standing).toBe('live');
  });

  test('an unknown contract is refused for good and says why', async () => {
    const { acquire, market } = await start();
    acquire('NOSUCH');
    expect(await market.firstQuote('NOSUCH', 5_000)).toMatchObject({ failed: { code: '200' } });
  });

  test('over the limit the newest waits, and gets the line that becomes free', async () => {
    const { acquire, market, asked, isLive } = await start({ lineLimit: 1 });
    const first = acquire('AAPL');
    acquire('TSLA');
    expect(await market.firstQuote('TSLA', 5_000)).toMatchObject({ failed: { code: 'line-limit' } });
    await isLive('AAPL');
    expect(asked()).toBe(1);
    first.release();
    await isLive('TSLA');
    expect(asked()).toBe(2);
  });

  test('contracts are answered once and remembered', async () => {
    const { market, simulator } = await start();
    const contract = { symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'USD' };
    const answers = await Promise.all([market.contracts(contract), market.contracts(contract)]);
    expect(answers[0]).toMatchObject([{ instrument: 'AAPL' }]);
    await market.contracts(contract);
    expect(simulator.received({ message: 'reqContractDetails' })).toHaveLength(1);
  });
});
