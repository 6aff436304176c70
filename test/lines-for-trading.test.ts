/** Readers take all market-data lines that there are; orders are judged by their price all the same. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Frame, StreamTester } from './http/stream-tester.ts';
import { eventually } from './program.ts';
import { startWhole, type Whole } from './whole.ts';

const readToken = 'a-token-that-only-reads';
const tradeToken = { authorization: 'Bearer a-token-that-also-trades' };

let whole: Whole;
beforeAll(async () => {
  whole = await startWhole({
    environment: { READ_TOKEN: readToken, TRADE_TOKEN: 'a-token-that-also-trades' },
  });
}, 60_000);
afterAll(async () => {
  await whole.stop();
  expect(whole.simulator.conformance()).toEqual([]);
});

const testers: StreamTester[] = [];
afterEach(() => {
  for (const tester of testers.splice(0)) tester.close();
});

/** Many more than there are lines. */
const options = [...'CP'].flatMap((right) =>
  Array.from({ length: 60 }, (_, index) => `OPT:AAPL 20261218 ${right} ${100 + index * 5}`),
);
const read = async (keys: readonly string[]) => {
  const tester = await StreamTester.open(
    { port: Number(new URL(whole.url).port) },
    { authorization: `Bearer ${readToken}` },
  );
  testers.push(tester);
  await tester.subscribe('quotes', { keys });
  return tester;
};
const marketData = async () =>
  (await whole.call('GET', '/health/detailed', undefined, tradeToken)).body.components.marketData;
const order = (instrument: unknown, more: Record<string, unknown> = {}) =>
  whole.call(
    'POST',
    '/v1/orders',
    { instrument, side: 'buy', quantity: '9000', type: 'market', ...more },
    tradeToken,
  );
const about = ({ alert }: Frame) => (alert as { readonly instrument?: string }).instrument;
const standing = (key: string) => whole.program.runtime.market.line(key)?.standing;

test('an order in a new instrument is judged by its price while readers want more lines than there are', async () => {
  await read(options);
  const { lines, waiting } = await eventually(marketData, (figures) => figures.live === 80);
  expect({ lines, waiting }).toEqual({ lines: 80, waiting: 40 });
  const health = (await whole.call('GET', '/health/detailed', undefined, tradeToken)).body;
  expect(health.components.marketData.status).toBe('warn');
  expect(health.reasons).toContainEqual(expect.objectContaining({ code: 'market-data-exhausted' }));

  for (const instrument of ['MSFT', 'TSLA', 'SPY']) {
    expect((await order(instrument)).body).toMatchObject({ code: 'denied-order-notional' });
    expect(standing(instrument)).toBe('live');
  }
  // The reserve is as long as the list of what is traded; what was used longest ago gives way to the newest.
  for (const option of options.slice(0, 20))
    await order(option, { quantity: '1', type: 'limit', limitPrice: '0.05' });
  expect((await order('QQQ')).body).toMatchObject({ code: 'denied-order-notional' });
});

test('symbols that TWS refuses take the place of nothing, and orders in them are told of', async () => {
  const tester = await StreamTester.open({ port: Number(new URL(whole.url).port) }, tradeToken);
  testers.push(tester);
  await tester.subscribe('alerts');
  expect((await order('AAPL', { quantity: '1', type: 'limit', limitPrice: '1' })).status).toBe(201);
  const bogus = Array.from({ length: 60 }, (_, index) => `NOSUCH${index}`);
  await Promise.all(bogus.map((instrument) => order(instrument, { quantity: '1' })));
  expect(standing('AAPL')).toBe('live');
  // A refusal that comes late is noticed with the next new instrument.
  await eventually(
    () => bogus.map(standing),
    (all) => all.every((each) => each === undefined || each === 'refused'),
    15_000,
  );
  await order('META', { quantity: '1', type: 'limit', limitPrice: '1' });
  const held = bogus.filter((instrument) => whole.program.runtime.market.line(instrument)?.traders);
  expect(held).toEqual([]);
  expect((await order('NOTHERE', { clientOrderId: 'blind', quantity: '1' })).status).toBe(201);
  const told = await tester.heard((frame) => frame.event === 'order.unpriced' && about(frame) === 'NOTHERE');
  expect(told.alert).toMatchObject({ limits: ['MAX_ORDER_NOTIONAL', 'MAX_POSITION_NOTIONAL'] });
  const { body } = await whole.call(
    'POST',
    '/v1/orders/preview',
    { instrument: 'NOTHERE', side: 'buy', quantity: '1', type: 'market' },
    tradeToken,
  );
  expect(body.gate).toEqual({
    approved: true,
    reasons: [],
    unapplied: ['MAX_ORDER_NOTIONAL', 'MAX_POSITION_NOTIONAL'],
  });
});

test('a market order whose price has not come is refused; one that names a price passes, and is told of', async () => {
  whole.simulator.faults.farmBroken('usfarm', { silent: true });
  try {
    expect((await order('AMD')).body).toMatchObject({ code: 'denied-no-price' });
    const named = { quantity: '1', type: 'limit', limitPrice: '1' };
    expect((await order('AMD', named)).status).toBe(201);
    const { gate } = (
      await whole.call('POST', '/v1/orders/preview', { instrument: 'AMD', side: 'buy', ...named }, tradeToken)
    ).body;
    expect(gate.unapplied).toEqual(['PRICE_COLLAR_PERCENT']);
  } finally {
    whole.simulator.faults.farmOk('usfarm');
  }
});
