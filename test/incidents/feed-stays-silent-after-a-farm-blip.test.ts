/**
 * Switched off once by hand: `freshness.check` in src/market/market.ts (I41: the dead feed was never asked for again); the
 * withdrawal of failed lines in src/tws/lines.ts (I41a); `isDataLost` and `checkLine` in machines/subscription.machine.ts (I42).
 */
import { expect } from 'vitest';
import { eventually, openStream } from '../program.ts';
import type { Whole } from '../whole.ts';
import { incident } from './incident.ts';

const quoteOf = async (whole: Whole, instrument: string) =>
  (await whole.call('GET', `/v1/quotes/${instrument}`)).body;

/** Keeps lines open: a reader that comes and goes leaves them for a moment only. */
async function subscribe(whole: Whole, keys: readonly string[]): Promise<() => void> {
  const stream = await openStream(`${whole.url.replace('http', 'ws')}/v1/stream`);
  stream.send({ type: 'subscribe', id: 1, channel: 'quotes', keys });
  await stream.frame(({ type }) => type === 'ack');
  for (const key of keys)
    await eventually(
      () => quoteOf(whole, key),
      ({ status }) => status === 'live',
      20_000,
    );
  return () => stream.close();
}

const linesOf = (whole: Whole) =>
  whole.simulator.received({ message: 'reqMktData' }).map(({ fields, session }) => ({
    reqId: Number(fields[2]),
    symbol: fields[4],
    session,
  }));

incident({
  id: 'I41',
  title: 'A farm blinks for three seconds, and a feed is dead for eight hours while the account looks alive',
  sources: [
    'https://github.com/nautechsystems/nautilus_trader/pull/3968',
    'https://github.com/nautechsystems/nautilus_trader/pull/4469',
  ],
  others: 'farm notices were log lines; heartbeats of the account stood for the feeds',
  ours: 'each feed is measured against its own rhythm while its market is open; a silent one is stale at once and asked for again under a new id',
  test: async (start) => {
    const whole = await start({ patience: { silenceMs: 1_000 } });
    const { faults } = whole.simulator;
    const close = await subscribe(whole, ['AAPL', 'MSFT']);
    const [dead] = linesOf(whole).filter(({ symbol }) => symbol === 'MSFT');
    faults.farmBroken('usfarm', { silent: false });
    const silenced = faults.swallow({ messages: ['tickPrice', 'tickSize'], fields: { 2: dead?.reqId ?? 0 } });
    faults.farmOk('usfarm');
    await eventually(
      () => quoteOf(whole, 'MSFT'),
      ({ status }) => status === 'stale',
      20_000,
    );
    await eventually(
      () => quoteOf(whole, 'AAPL'),
      ({ status }) => status === 'live',
      20_000,
    );
    const { body } = await whole.call('GET', '/health/detailed');
    expect(body.components.marketData).toMatchObject({ status: 'warn', stale: 1 });
    await eventually(
      () => quoteOf(whole, 'MSFT'),
      ({ status }) => status === 'live',
      20_000,
    );
    expect(silenced.acted).toBeGreaterThan(0);
    const asked = linesOf(whole);
    expect(asked.filter(({ symbol }) => symbol === 'AAPL')).toHaveLength(1);
    expect(asked.filter(({ symbol }) => symbol === 'MSFT')).toHaveLength(2);
    expect(new Set(asked.map(({ reqId }) => reqId)).size).toBe(3);
    expect(
      whole.simulator.received({ message: 'cancelMktData' }).map(({ fields }) => Number(fields[2])),
    ).toContain(dead?.reqId);
    close();
  },
});

incident({
  id: 'I41a',
  title:
    'A live update that failed still counts as a line at TWS, and the limit of lines is reached by the dead ones',
  sources: [],
  others: 'the line was asked for again and the failed one never given back',
  ours: 'a line that ends with 10182 or 10197 is cancelled before it is asked for anew',
  test: async (start) => {
    const whole = await start();
    const { faults } = whole.simulator;
    const close = await subscribe(whole, ['AAPL', 'MSFT']);
    const failed = linesOf(whole).map(({ reqId }) => reqId);
    for (const [index, reqId] of failed.entries())
      faults.injectError(
        reqId,
        index === 0 ? 10_182 : 10_197,
        'Failed to request live updates (disconnected).',
      );
    await eventually(
      () => whole.simulator.received({ message: 'cancelMktData' }).map(({ fields }) => Number(fields[2])),
      (cancelled) => failed.every((reqId) => cancelled.includes(reqId)),
    );
    await eventually(
      () => quoteOf(whole, 'AAPL'),
      ({ status }) => status === 'live',
      20_000,
    );
    expect((await whole.call('GET', '/v1/quotes/MSFT')).body.status).toBe('stale');
    close();
  },
});

incident({
  id: 'I42',
  title: 'After the nightly reset the session is restored and the data is not',
  sources: [
    'https://github.com/IbcAlpha/IBC/issues/143',
    'https://github.com/vnpy/vnpy/issues/3006',
    'https://github.com/erdewit/ib_insync/issues/256',
    'https://github.com/QuantConnect/Lean/issues/2504',
    'https://github.com/nautechsystems/nautilus_trader/issues/1533',
  ],
  others: 'nothing was asked for again; a standing session was taken for standing data',
  ours: '1101 asks for every line once more, 1102 for none but doubts them all until they tick; repeated 1100 is one outage',
  test: {
    '1101: data lost': async (start) => {
      const whole = await start();
      const { faults } = whole.simulator;
      const close = await subscribe(whole, ['AAPL', 'MSFT', 'CASH:EUR.USD']);
      faults.upstreamLost();
      for (let again = 0; again < 3; again += 1)
        faults.injectError(-1, 1100, 'Connectivity between IBKR and Trader Workstation has been lost.');
      await eventually(
        () => quoteOf(whole, 'AAPL'),
        ({ status }) => status === 'stale',
      );
      faults.upstreamBack(1101);
      for (const key of ['AAPL', 'MSFT', 'CASH:EUR.USD'])
        await eventually(
          () => quoteOf(whole, key),
          ({ status }) => status === 'live',
          20_000,
        );
      await whole.untilTrading();
      expect(
        linesOf(whole)
          .map(({ symbol }) => symbol)
          .sort(),
      ).toEqual(['AAPL', 'AAPL', 'EUR', 'EUR', 'MSFT', 'MSFT']);
      const { body } = await whole.call('GET', '/v1/journal?limit=500');
      const told = body.facts.map(({ event }: { event: string }) => event);
      expect(told.filter((event: string) => event === 'tws.severed')).toHaveLength(1);
      expect(told.filter((event: string) => event === 'tws.restored')).toHaveLength(1);
      close();
    },
    '1102: data kept': async (start) => {
      const whole = await start();
      const { faults } = whole.simulator;
      const close = await subscribe(whole, ['AAPL', 'MSFT']);
      faults.upstreamLost();
      await eventually(
        () => quoteOf(whole, 'AAPL'),
        ({ status }) => status === 'stale',
      );
      faults.upstreamBack(1102);
      for (const key of ['AAPL', 'MSFT'])
        await eventually(
          () => quoteOf(whole, key),
          ({ status }) => status === 'live',
          20_000,
        );
      expect(linesOf(whole)).toHaveLength(2);
      close();
    },
    '1102, and the data stay dead': async (start) => {
      const whole = await start({ patience: { silenceMs: 1_000 } });
      const { faults } = whole.simulator;
      const close = await subscribe(whole, ['AAPL', 'MSFT']);
      const dead = linesOf(whole).map(({ reqId }) => reqId);
      faults.upstreamLost();
      for (const reqId of dead) faults.swallow({ messages: ['tickPrice', 'tickSize'], fields: { 2: reqId } });
      faults.upstreamBack(1102);
      for (const key of ['AAPL', 'MSFT'])
        await eventually(
          () => quoteOf(whole, key),
          ({ status }) => status === 'stale',
        );
      for (const key of ['AAPL', 'MSFT'])
        await eventually(
          () => quoteOf(whole, key),
          ({ status }) => status === 'live',
          25_000,
        );
      expect(linesOf(whole)).toHaveLength(4);
      close();
    },
  },
});
