/** What an order is judged by is the market of what it trades, whatever anybody calls it. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from './program.ts';
import { startWhole, type Whole } from './whole.ts';

let whole: Whole;
beforeEach(async () => {
  whole = await startWhole();
});
afterEach(() => whole.stop());

const [apple, microsoft] = [265_598, 272_093];
const conIdOf = async (instrument: string): Promise<number> =>
  (await whole.call('GET', `/v1/contracts?instrument=${encodeURIComponent(instrument)}`)).body.contracts[0]
    .contract.conId;
const market = { type: 'market', limitPrice: undefined };

test('a reader cannot give an instrument the price of another', async () => {
  const key = JSON.stringify({ conId: await conIdOf('F'), symbol: 'MSFT', secType: 'STK', currency: 'USD' });
  const strange = await whole.call('GET', `/v1/quotes/${encodeURIComponent(key)}`);
  expect(strange.body).toMatchObject({ key: expect.stringMatching(/^CONID:/) });
  const none = JSON.stringify({ symbol: 'MSFT', secType: 'STK', tradingClass: 'ZZZ' });
  await whole.call('GET', `/v1/quotes/${encodeURIComponent(none)}`);
  const order = { instrument: 'MSFT', ...market, quantity: '30000' };
  expect(await whole.place(order)).toMatchObject({ status: 422, body: { code: 'denied-order-notional' } });
  const { body: quote } = await whole.call('GET', '/v1/quotes/MSFT');
  const fair = {
    instrument: 'MSFT',
    quantity: '1',
    type: 'limit',
    limitPrice: String(quote.bid),
    timeInForce: 'ioc',
  };
  expect((await whole.place(fair)).status).toBe(201);
});

test('an order is called what TWS calls its contract, and asked for again it is the same', async () => {
  const order = { clientOrderId: 'numbered', instrument: `CONID:${apple}`, quantity: '3' };
  expect(await whole.place(order)).toMatchObject({ status: 201, body: { instrument: 'AAPL' } });
  expect(await whole.place(order)).toMatchObject({ status: 200, body: { instrument: 'AAPL' } });
  expect(await whole.place({ ...order, instrument: 'AAPL' })).toMatchObject({ status: 200 });
  expect(await whole.place({ ...order, instrument: 'MSFT' })).toMatchObject({ status: 409 });
  const future = { clientOrderId: 'future', instrument: 'FUT:ES 202612@CME', ...market, quantity: '1' };
  expect((await whole.place(future, '?wait=closed')).body).toMatchObject({
    state: 'filled',
    instrument: 'FUT:ESZ6@CME',
  });
  expect(await whole.place(future)).toMatchObject({ status: 200 });
  await eventually(
    () => whole.call('GET', '/v1/positions'),
    ({ body }) =>
      body.positions.some(({ instrument }: { instrument: string }) => instrument === 'FUT:ESZ6@CME'),
  );
  const liar = { conId: apple, symbol: 'MSFT', secType: 'STK', currency: 'USD' };
  const lied = { clientOrderId: 'lied', instrument: liar, ...market, quantity: '1' };
  expect((await whole.place(lied, '?wait=closed')).body).toMatchObject({
    state: 'filled',
    instrument: 'AAPL',
  });
});

test('two names of one contract share its limits from the first order on', async () => {
  const quantity = '1750';
  const statuses = [];
  for (const [n, instrument] of [`CONID:${apple}`, `CONID:${apple}`, 'AAPL', `CONID:${apple}`].entries())
    statuses.push((await whole.place({ clientOrderId: `n-${n}`, instrument, quantity }, '')).status);
  expect(statuses).toEqual([201, 201, 422, 422]);
});

test('a combination is as large as its legs', async () => {
  const pair = (ratio: number) => ({
    symbol: 'AAPL',
    secType: 'BAG',
    exchange: 'SMART',
    currency: 'USD',
    comboLegs: [
      { conId: apple, ratio, action: 'BUY', exchange: 'SMART' },
      { conId: microsoft, ratio, action: 'SELL', exchange: 'SMART' },
    ],
  });
  const order = { ...market, quantity: '1' };
  const large = await whole.place({ ...order, instrument: pair(1_000_000) });
  expect(large).toMatchObject({ status: 422, body: { code: 'denied-order-quantity' } });
  expect(large.body.detail).toContain('MAX_ORDER_NOTIONAL');
  expect(await whole.place({ ...order, quantity: '3000', instrument: pair(1) })).toMatchObject({
    status: 422,
    body: { code: 'denied-order-notional' },
  });
  const small = { ...order, clientOrderId: 'small', instrument: pair(1) };
  expect((await whole.place(small, '?wait=closed')).body).toMatchObject({ state: 'filled' });
  await whole.call('PUT', '/v1/trading', { state: 'reducing' });
  const more = { ...order, clientOrderId: 'more', instrument: pair(1) };
  expect(await whole.place(more)).toMatchObject({ status: 422, body: { code: 'denied-not-reducing' } });
  const close = { ...order, clientOrderId: 'close', side: 'sell', instrument: pair(1) };
  await eventually(
    () => whole.call('GET', '/v1/positions'),
    ({ body }) => body.positions.length === 2,
  );
  expect((await whole.place(close, '?wait=closed')).body).toMatchObject({ state: 'filled' });
});

test('a price of before the silence is none', async () => {
  await whole.stop();
  whole = await startWhole({ patience: { silenceMs: 300 } });
  expect((await whole.place({ clientOrderId: 'first' })).status).toBe(201);
  whole.simulator.faults.swallow({ messages: ['tickPrice', 'tickSize', 'tickString', 'tickGeneric'] });
  await eventually(
    () => whole.call('GET', '/v1/quotes/AAPL'),
    ({ body }) => body.status === 'stale',
    30_000,
  );
  const blind = { status: 422, body: { code: 'denied-no-price' } };
  expect(await whole.place({ clientOrderId: 'blind', ...market })).toMatchObject(blind);
  expect((await whole.place({ clientOrderId: 'bounded' })).status).toBe(201);
});
