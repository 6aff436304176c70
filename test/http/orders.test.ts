import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { call, type Running, startServer, until } from './running.ts';

let running: Running;
beforeEach(async () => {
  running = await startServer();
});
afterEach(() => running.server.close());

const order = {
  clientOrderId: 'c-1',
  instrument: 'AAPL',
  side: 'buy',
  quantity: '10',
  type: 'limit',
  limitPrice: '187.20',
  timeInForce: 'day',
};
const submit = (body: unknown, query = '') => call(running, 'POST', `/v1/orders${query}`, body);

async function problemOf(response: Response) {
  expect(response.headers.get('content-type')).toContain('application/problem+json');
  const body = (await response.json()) as {
    type: string;
    title: string;
    status: number;
    code: string;
    detail: string;
    reason?: string;
    order?: { clientOrderId: string; state: string };
    errors?: { pointer: string; detail: string }[];
  };
  expect(body.status).toBe(response.status);
  expect(body.type).toBe(`urn:tws-runtime:problem:${body.code}`);
  expect(body.title).not.toBe('');
  return body;
}

describe('placing an order', () => {
  it('answers 201 with Location, ETag, the order and where the time went', async () => {
    const response = await submit(order);
    expect(response.status).toBe(201);
    expect(response.headers.get('location')).toBe('/v1/orders/c-1');
    expect(response.headers.get('etag')).toBe('"1"');
    expect(response.headers.get('server-timing')).toMatch(
      /^app;dur=\d+\.\d{3}, review;dur=0\.012, journal;dur=0\.120, submit;dur=0\.180$/,
    );
    expect(await response.json()).toMatchObject({
      clientOrderId: 'c-1',
      instrument: 'AAPL',
      contract: { symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'USD' },
      quantity: '10',
      limitPrice: '187.20',
      state: 'submitting',
    });
  });

  it('answers the same request again with 200 and the same order, however its decimals are written', async () => {
    await submit(order);
    const again = await submit({ ...order, instrument: 'STK:AAPL', quantity: 10, limitPrice: 187.2 });
    expect(again.status).toBe(200);
    expect(running.trading.orders.size).toBe(1);
  });

  it('answers the same id with other terms with 409', async () => {
    await submit(order);
    const response = await submit({ ...order, quantity: '11' });
    expect(response.status).toBe(409);
    const problem = await problemOf(response);
    expect(problem.code).toBe('client-order-id-reused');
    expect(problem.order?.clientOrderId).toBe('c-1');
  });

  it('answers 422 with the reason when the gate denies; the order exists', async () => {
    running.trading.deny = { code: 'max-quantity', message: '10 is more than 5' };
    const response = await submit(order);
    expect(response.status).toBe(422);
    expect(response.headers.get('location')).toBe('/v1/orders/c-1');
    const problem = await problemOf(response);
    expect(problem).toMatchObject({ code: 'denied-max-quantity', detail: '10 is more than 5' });
    expect((await call(running, 'GET', '/v1/orders/c-1')).status).toBe(200);
  });

  it('answers 503 with the reason while trading is unavailable; nothing is left', async () => {
    running.trading.unavailable = { code: 'severed', message: 'the link to IB is down' };
    const response = await submit(order);
    expect(response.status).toBe(503);
    expect(await problemOf(response)).toMatchObject({ code: 'trading-unavailable', reason: 'severed' });
    const read = await call(running, 'GET', '/v1/orders/c-1');
    expect(read.status).toBe(404);
    expect((await problemOf(read)).code).toBe('order-not-found');
  });

  it('passes on what only the runtime can find invalid', async () => {
    const response = await submit({ ...order, account: 'UNKNOWN' });
    expect(response.status).toBe(400);
    expect((await problemOf(response)).errors).toEqual([
      { pointer: '/account', detail: 'is not one of ours' },
    ]);
  });

  it('answers 500 without telling why, and stays up', async () => {
    running.trading.broken = true;
    const response = await submit(order);
    expect(response.status).toBe(500);
    const problem = await problemOf(response);
    expect(problem.code).toBe('internal-error');
    expect(JSON.stringify(problem)).not.toContain('secret');
    expect((await call(running, 'GET', '/health/live')).status).toBe(200);
  });

  it('makes an id that leaves room for the children of a bracket', async () => {
    const { clientOrderId: _id, ...anonymous } = order;
    const bracket = { takeProfit: { limitPrice: '190' }, stopLoss: { stopPrice: 180 } };
    const response = await submit({ ...anonymous, bracket });
    expect(response.status).toBe(201);
    const { clientOrderId } = (await response.json()) as { clientOrderId: string };
    expect(clientOrderId).toMatch(/^[A-Za-z0-9._-]{1,29}$/);
    expect(response.headers.get('location')).toBe(`/v1/orders/${clientOrderId}`);
  });
});

describe('waiting for the broker', () => {
  it('holds the answer until the order is accepted', async () => {
    const answer = submit(order, '?wait=accepted&timeoutMs=10000');
    await until(() => running.trading.orders.has('c-1'));
    running.trading.accept('c-1');
    const response = await answer;
    expect(response.status).toBe(201);
    expect(await response.json()).toMatchObject({ state: 'working' });
  });

  it('holds the answer until the order is closed', async () => {
    const answer = submit(order, '?wait=closed&timeoutMs=10000');
    await until(() => running.trading.orders.has('c-1'));
    running.trading.accept('c-1');
    running.trading.fill('c-1', '4', '187.19');
    running.trading.fill('c-1', '6', '187.20');
    expect(await (await answer).json()).toMatchObject({ state: 'filled', filledQuantity: '10' });
  });

  it('answers with the order as it is when the time is up', async () => {
    const response = await submit(order, '?wait=accepted&timeoutMs=1');
    expect(response.status).toBe(201);
    expect(await response.json()).toMatchObject({ state: 'submitting' });
  });

  it('names what is wrong with the query', async () => {
    const response = await submit(order, '?wait=forever&timeoutMs=99999');
    expect(response.status).toBe(400);
    const pointers = (await problemOf(response)).errors?.map((error) => error.pointer);
    expect(pointers).toEqual(['/wait', '/timeoutMs']);
    expect(running.trading.submits).toBe(0);
  });
});

describe('changing and cancelling', () => {
  beforeEach(async () => {
    await submit(order);
    running.trading.accept('c-1');
  });
  const patch = (body: unknown, headers = {}, id = 'c-1') =>
    call(running, 'PATCH', `/v1/orders/${id}`, body, headers);

  it('answers 202 while the broker is asked, 200 when there is nothing to ask', async () => {
    const asked = await patch({ limitPrice: '187.30' });
    expect(asked.status).toBe(202);
    expect(asked.headers.get('etag')).toBe('"2"');
    expect(await asked.json()).toMatchObject({ state: 'modifying', pendingChange: { limitPrice: '187.30' } });
    expect((await patch({ limitPrice: '187.20' })).status).toBe(200);
  });

  it('honours If-Match', async () => {
    const stale = await patch({ quantity: 12 }, { 'If-Match': '"7"' });
    expect(stale.status).toBe(412);
    expect((await problemOf(stale)).code).toBe('version-mismatch');
    expect((await patch({ quantity: 12 }, { 'If-Match': '"1"' })).status).toBe(202);
    expect((await patch({ quantity: 13 }, { 'If-Match': '*' })).status).toBe(202);
    const unread = await patch({ quantity: 12 }, { 'If-Match': '"latest"' });
    expect(unread.status).toBe(400);
    expect((await problemOf(unread)).detail).toMatch(/^header If-Match: is "<version>" of the order/);
  });

  it('refuses fields that cannot change or do not belong to the type', async () => {
    const side = await patch({ side: 'sell' });
    expect(side.status).toBe(400);
    expect((await problemOf(side)).errors?.[0]).toMatchObject({ pointer: '/side' });
    const stop = await patch({ stopPrice: '180' });
    expect((await problemOf(stop)).errors?.[0]).toEqual({
      pointer: '/stopPrice',
      detail: 'does not belong to a limit order: leave it out',
    });
    expect((await patch({})).status).toBe(400);
  });

  it('tells unknown, closed, denied and unavailable apart', async () => {
    expect((await patch({ quantity: 5 }, {}, 'nobody')).status).toBe(404);
    running.trading.deny = { code: 'max-notional', message: 'too much' };
    expect((await problemOf(await patch({ quantity: 500 }))).code).toBe('denied-max-notional');
    running.trading.deny = null;
    running.trading.unavailable = { code: 'maintenance', message: 'nightly reset' };
    expect((await patch({ quantity: 5 })).status).toBe(503);
    running.trading.unavailable = null;
    running.trading.fill('c-1', '10', '187.2');
    const closed = await patch({ quantity: 5 });
    expect(closed.status).toBe(409);
    expect(await problemOf(closed)).toMatchObject({ code: 'order-closed', order: { state: 'filled' } });
  });

  it('cancels with 202 as often as asked, 409 when closed, 404 when unknown', async () => {
    const cancel = (id = 'c-1') => call(running, 'DELETE', `/v1/orders/${id}`);
    const first = await cancel();
    expect(first.status).toBe(202);
    expect(await first.json()).toMatchObject({ state: 'cancelling' });
    expect((await cancel()).status).toBe(202);
    running.trading.fill('c-1', '10', '187.2');
    expect((await problemOf(await cancel())).code).toBe('order-closed');
    expect((await cancel('nobody')).status).toBe(404);
  });

  it('takes a DELETE that names a content type but has no body', async () => {
    const response = await fetch(`${running.url}/v1/orders/c-1`, {
      method: 'DELETE',
      headers: { 'Content-Type': 'application/json' },
    });
    expect(response.status).toBe(202);
  });

  it('cancels all, with the fate of each', async () => {
    await submit({ ...order, clientOrderId: 'c-2' });
    running.trading.fill('c-1', '10', '187.2');
    const response = await call(running, 'DELETE', '/v1/orders');
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      orders: [{ clientOrderId: 'c-2', fate: 'requested', order: { state: 'cancelling' } }],
      next: null,
    });
  });
});

describe('preview', () => {
  const preview = () => call(running, 'POST', '/v1/orders/preview', order);
  const gate = { approved: false, reasons: [{ code: 'collar', message: 'far from the market' }] };

  it('shows margin, commission and the verdict of the gate; nothing enters the book', async () => {
    running.trading.previewOutcome = {
      outcome: 'rejected',
      reason: { code: '201', message: 'margin' },
      gate,
    };
    const response = await preview();
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ accepted: false, reason: { code: '201' }, gate });
    expect(running.trading.orders.size).toBe(0);
  });

  it('answers 503 and 400 like an order', async () => {
    expect((await preview()).status).toBe(400);
    running.trading.unavailable = { code: 'connecting', message: 'not yet' };
    expect(await problemOf(await preview())).toMatchObject({ status: 503, reason: 'connecting' });
  });
});

describe('the switch', () => {
  it('reads, sets, and refuses nonsense', async () => {
    expect(await (await call(running, 'GET', '/v1/trading')).json()).toEqual({ state: 'open', reasons: [] });
    const put = await call(running, 'PUT', '/v1/trading', { state: 'reducing', message: 'lunch' });
    expect(await put.json()).toMatchObject({ state: 'reducing', reasons: [{ message: 'lunch' }] });
    const wrong = await call(running, 'PUT', '/v1/trading', { state: 'shut' });
    expect((await problemOf(wrong)).errors).toEqual([
      { pointer: '/state', detail: 'must be one of open, reducing, halted' },
    ]);
  });

  it('kills: halts and cancels everything, with or without a body', async () => {
    await submit(order);
    const response = await call(running, 'POST', '/v1/kill');
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      trading: { state: 'halted' },
      orders: [{ clientOrderId: 'c-1', fate: 'requested' }],
    });
    expect((await call(running, 'POST', '/v1/kill', { message: 'again' })).status).toBe(200);
    expect((await call(running, 'POST', '/v1/kill', { why: 'x' })).status).toBe(400);
  });
});

describe('the list of orders', () => {
  it('is newest first, filtered, and paged to its end without a hole', async () => {
    for (let n = 0; n < 25; n += 1) await submit({ ...order, clientOrderId: `n-${n}` });
    running.trading.fill('n-3', '10', '187');
    const seen: string[] = [];
    let after = '';
    do {
      const response = await call(running, 'GET', `/v1/orders?state=open&limit=7${after}`);
      const page = (await response.json()) as { orders: { clientOrderId: string }[]; next: string | null };
      expect(page.orders.length).toBeLessThanOrEqual(7);
      seen.push(...page.orders.map((row) => row.clientOrderId));
      after = page.next === null ? '' : `&after=${encodeURIComponent(page.next)}`;
    } while (after !== '');
    const all = Array.from({ length: 25 }, (_, n) => `n-${24 - n}`);
    expect(seen).toEqual(all.filter((id) => id !== 'n-3'));
  });

  it.each([
    ['limit=0', '/limit'],
    ['limit=501', '/limit'],
    ['limit=many', '/limit'],
    ['limit=1.5', '/limit'],
    ['limit=true', '/limit'],
    ['state=half', '/state'],
    ['after=made-up', '/after'],
    ['colour=red', '/colour'],
  ])('refuses %s', async (query, pointer) => {
    const response = await call(running, 'GET', `/v1/orders?${query}`);
    expect(response.status).toBe(400);
    expect((await problemOf(response)).errors?.map((error) => error.pointer)).toEqual([pointer]);
  });
});
