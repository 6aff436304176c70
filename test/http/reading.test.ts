import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ExecutionRow } from '../../machines/ledger.ts';
import type { Bar } from '../../machines/market.ts';
import { call, type Running, startServer } from './running.ts';

let running: Running;
beforeEach(async () => {
  running = await startServer();
});
afterEach(() => running.server.close());

async function get<T = Record<string, unknown>>(
  path: string,
): Promise<{ status: number; headers: Headers; body: T }> {
  const response = await call(running, 'GET', path);
  return { status: response.status, headers: response.headers, body: (await response.json()) as T };
}

/** Every row of a list, by its cursors. */
async function everything<T>(path: string, noun: string, limit: number): Promise<T[]> {
  const rows: T[] = [];
  let after = '';
  for (let pages = 0; pages < 100; pages += 1) {
    const { body } = await get<Record<string, unknown>>(`${path}?limit=${limit}${after}`);
    const page = body[noun] as T[];
    expect(page.length).toBeLessThanOrEqual(limit);
    rows.push(...page);
    if (body.next === null) return rows;
    after = `&after=${encodeURIComponent(String(body.next))}`;
  }
  throw new Error('the list has no end');
}

describe('lists', () => {
  it('executions and positions, page by page', async () => {
    const row: Omit<ExecutionRow, 'execId'> = {
      clientOrderId: null,
      account: 'DU1234567',
      instrument: 'AAPL',
      side: 'buy',
      quantity: '1',
      price: '187.2',
      commission: null,
      currency: 'USD',
      realizedPnl: null,
      at: '2026-01-02T15:00:00.000Z',
    };
    for (let n = 0; n < 23; n += 1) running.reading.executionRows.push({ ...row, execId: `e-${n}` });
    const executions = await everything<ExecutionRow>('/v1/executions', 'executions', 5);
    expect(executions).toEqual(running.reading.executionRows);
    expect((await get('/v1/positions')).body).toEqual({ positions: [], next: null });
    expect((await get('/v1/positions?after=foreign')).status).toBe(400);
  });

  it('actors, page by page; a cursor of another list is refused', async () => {
    const actors = await everything('/v1/actors', 'actors', 2);
    expect(actors).toEqual(running.reading.actorRows);
    const foreign = await get('/v1/actors?after=abc');
    expect(foreign.status).toBe(400);
    expect(foreign.body).toMatchObject({ code: 'validation-failed', errors: [{ pointer: '/after' }] });
  });

  it('the journal from any sequence number', async () => {
    for (let n = 1; n <= 12; n += 1) running.journal.append('alerts', 'alert.raised', { alert: { n } });
    const facts = await everything<{ seq: number }>('/v1/journal', 'facts', 5);
    expect(facts.map((fact) => fact.seq)).toEqual(Array.from({ length: 12 }, (_, n) => n + 1));
    expect((await get('/v1/journal?after=10')).body).toMatchObject({
      facts: [
        { seq: 11, channel: 'alerts', event: 'alert.raised', payload: { alert: { n: 11 } } },
        { seq: 12 },
      ],
      next: null,
      lastSeq: 12,
    });
    expect((await get('/v1/journal?after=later')).status).toBe(400);
  });
});

describe('money and reconciliation', () => {
  it('account and pnl', async () => {
    expect((await get('/v1/account')).body).toMatchObject({
      accounts: ['DU1234567'],
      values: [{ key: 'NetLiquidation', value: '100000' }],
      summary: { netLiquidation: '100000' },
    });
    expect((await get('/v1/pnl')).body).toMatchObject({ accounts: [{ daily: '12.5', unrealized: null }] });
  });

  it('the newest reconciliation, 404 before the first', async () => {
    expect(await get('/v1/reconciliations/latest')).toMatchObject({
      status: 404,
      body: { code: 'not-found' },
    });
    running.reading.awaited = [
      { list: 'positions', attempts: 3, reason: 'timeout' },
      { list: 'executions', attempts: 0, reason: null },
    ];
    expect((await get('/v1/reconciliations/latest')).body).toMatchObject({
      detail:
        'no reconciliation has been made yet: the broker has not told its positions (timeout, attempt 3), executions',
    });
    running.reading.reconciliation = { id: 'r-1', verdicts: [] };
    expect((await get('/v1/reconciliations/latest')).body).toEqual({ id: 'r-1', verdicts: [] });
  });
});

describe('quotes', () => {
  it('is the flat row; the line is let go', async () => {
    running.market.tick('AAPL', 'bid', 187.22);
    const { status, body } = await get('/v1/quotes/STK:AAPL');
    expect(status).toBe(200);
    expect(body).toMatchObject({ key: 'AAPL', bid: 187.22, status: 'live' });
    expect(running.market.lines.get('AAPL')).toBe(0);
  });

  it.each([
    'SAP@IBIS%2FEUR',
    'SAP@IBIS/EUR',
    encodeURIComponent('{"symbol":"SAP","exchange":"IBIS","currency":"EUR"}'),
  ])('finds %s', async (path) => {
    running.market.tick('SAP@IBIS/EUR', 'last', 201.5);
    expect((await get(`/v1/quotes/${path}`)).body).toMatchObject({ key: 'SAP@IBIS/EUR', last: 201.5 });
  });

  it('tells wrong names, unknown instruments, refusals and silence apart', async () => {
    expect((await get('/v1/quotes/FISH:AAPL')).status).toBe(400);
    running.market.refused.set('NOPE', { code: '200', message: 'No security definition' });
    expect(await get('/v1/quotes/NOPE')).toMatchObject({
      status: 404,
      body: { code: 'instrument-not-found' },
    });
    running.market.refused.set('PAID', { code: '354', message: 'Not subscribed' });
    expect(await get('/v1/quotes/PAID')).toMatchObject({ status: 422, body: { reason: '354' } });
    running.market.refused.set('DOWN', { code: 'not-connected', message: 'no session' });
    expect(await get('/v1/quotes/DOWN')).toMatchObject({ status: 503, body: { reason: 'not-connected' } });
    expect(await get('/v1/quotes/QUIET')).toMatchObject({ status: 504, body: { code: 'data-timeout' } });
    expect([...running.market.lines.values()].every((readers) => readers === 0)).toBe(true);
  });
});

describe('bars', () => {
  const bar = (n: number): Bar => ({
    time: new Date(Date.UTC(2026, 0, 2, 15, n)).toISOString(),
    open: 1,
    high: 2,
    low: 1,
    close: 2,
    volume: 10,
    wap: 1.5,
    count: 3,
  });

  it('oldest first, page by page, with the usual questions filled in', async () => {
    const bars = Array.from({ length: 8 }, (_, n) => bar(n));
    running.market.barAnswer = bars;
    expect(await everything('/v1/bars/AAPL', 'bars', 3)).toEqual(bars);
    expect(running.market.barQueries[0]).toEqual({
      duration: '1 D',
      barSize: '1 min',
      whatToShow: 'TRADES',
      regularHoursOnly: false,
    });
    await get('/v1/bars/CASH:EUR.USD?duration=3600%20S&barSize=5%20secs&regularHoursOnly=true');
    expect(running.market.barQueries.at(-1)).toEqual({
      duration: '3600 S',
      barSize: '5 secs',
      whatToShow: 'MIDPOINT',
      regularHoursOnly: true,
    });
  });

  it('no data is an empty list; pacing is 429 with Retry-After', async () => {
    expect((await get('/v1/bars/AAPL')).body).toEqual({ bars: [], next: null });
    running.market.barAnswer = { failed: { code: '162', message: 'pacing violation' }, retryAfterMs: 14_200 };
    const { status, headers, body } = await get('/v1/bars/AAPL');
    expect([status, headers.get('retry-after')]).toEqual([429, '15']);
    expect(body).toMatchObject({ code: 'too-many-requests', reason: '162' });
    running.market.barAnswer = {
      failed: { code: 'not-connected', message: 'no session' },
      retryAfterMs: 900,
    };
    const down = await get('/v1/bars/AAPL');
    expect([down.status, down.headers.get('retry-after')]).toEqual([503, '1']);
    running.market.barAnswer = { failed: { code: 'timeout', message: 'no answer' } };
    expect((await get('/v1/bars/AAPL')).status).toBe(504);
  });

  it.each([
    'duration=1%20X',
    'duration=D',
    'barSize=7%20min',
    'whatToShow=GUESSES',
    'limit=0',
  ])('refuses %s', async (query) => {
    expect((await get(`/v1/bars/AAPL?${query}`)).status).toBe(400);
  });
});

describe('contracts', () => {
  it('by instrument and by name', async () => {
    running.market.contractAnswer = [
      {
        contract: { conId: 265598, symbol: 'AAPL' },
        instrument: 'AAPL',
        longName: 'APPLE INC',
        minTick: 0.01,
        timeZone: 'US/Eastern',
        tradingHours: '',
        liquidHours: '',
        validExchanges: ['SMART'],
        orderTypes: ['LMT'],
      },
    ];
    expect((await get('/v1/contracts?instrument=AAPL')).body).toMatchObject({
      contracts: [{ contract: { conId: 265598 }, minTick: 0.01 }],
      next: null,
    });
    expect((await get('/v1/contracts/search?pattern=APP')).body).toMatchObject({
      contracts: [{ instrument: 'APP', derivativeSecTypes: ['OPT'] }],
      next: null,
    });
    expect((await get('/v1/contracts')).body).toMatchObject({
      errors: [{ pointer: '/instrument', detail: 'is required' }],
    });
    running.market.contractAnswer = { failed: { code: '200', message: 'No security definition' } };
    expect((await get('/v1/contracts?instrument=NOPE')).status).toBe(404);
  });
});
