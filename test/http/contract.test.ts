import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ActorRow, DetailedHealth, HealthAnswer, Service } from '../../src/http/health-schema.ts';
import { listOf } from '../../src/http/pages.ts';
import {
  AccountView,
  BarView,
  ContractView,
  ExecutionView,
  FactView,
  FateView,
  MatchView,
  OrderView,
  PnlView,
  PositionView,
  PreviewView,
  ProblemView,
  QuoteView,
  TradingView,
} from '../../src/http/view-schema.ts';
import { call, type Running, startServer } from './running.ts';

let running: Running;
beforeEach(async () => {
  running = await startServer();
  const { market, reading, trading } = running;
  market.tick('AAPL', 'bid', 187.2);
  market.barAnswer = [
    { time: '2026-01-02', open: 1, high: 1, low: 1, close: 1, volume: 1, wap: 1, count: 1 },
  ];
  market.contractAnswer = [
    {
      contract: { conId: 265598, symbol: 'AAPL', secType: 'STK' },
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
  reading.positionRows.push({
    account: 'DU1234567',
    instrument: 'AAPL',
    contract: { conId: 265598, symbol: 'AAPL' },
    quantity: '4',
    averageCost: '187.19',
    marketPrice: null,
    unrealizedPnl: null,
    realizedPnl: null,
    confirmed: true,
  });
  reading.executionRows.push({
    execId: 'e-1',
    clientOrderId: null,
    account: 'DU1234567',
    instrument: 'AAPL',
    side: 'buy',
    quantity: '4',
    price: '187.19',
    commission: null,
    currency: 'USD',
    realizedPnl: null,
    at: '2026-01-02T15:00:00.000Z',
  });
  trading.previewOutcome = {
    outcome: 'rejected',
    reason: { code: '201', message: 'margin' },
    gate: { approved: true, reasons: [] },
  };
  await call(running, 'POST', '/v1/orders', { ...order, clientOrderId: 'c-0' });
  trading.accept('c-0');
  trading.fill('c-0', '4', '187.19');
  await call(running, 'POST', '/v1/orders', { ...order, clientOrderId: 'c-1' });
  trading.update({ ...trading.get('c-1'), state: 'inDoubt' }, 'order.doubted');
});
afterEach(() => running.server.close());

const order = { instrument: 'AAPL', side: 'buy', quantity: 10, type: 'limit', limitPrice: 187.2 };

const answers: [string, string, TSchema, unknown?][] = [
  ['GET', '/', Service],
  ['GET', '/health', HealthAnswer],
  ['GET', '/health/live', HealthAnswer],
  ['GET', '/health/detailed', DetailedHealth],
  ['POST', '/v1/orders', OrderView, order],
  ['POST', '/v1/orders', ProblemView, { ...order, quantity: 0 }],
  ['GET', '/v1/orders/c-0', OrderView],
  ['GET', '/v1/orders/none', ProblemView],
  ['PATCH', '/v1/orders/c-0', OrderView, { limitPrice: 188 }],
  ['DELETE', '/v1/orders/c-0', OrderView],
  ['POST', '/v1/orders/c-0/settle', ProblemView, { filledQuantity: '4' }],
  ['POST', '/v1/orders/c-1/settle', OrderView, { filledQuantity: '4', averagePrice: 187.19 }],
  ['GET', '/v1/orders', listOf('orders', OrderView)],
  ['DELETE', '/v1/orders', listOf('orders', FateView)],
  ['POST', '/v1/orders/preview', PreviewView, order],
  ['GET', '/v1/trading', TradingView],
  ['PUT', '/v1/trading', TradingView, { state: 'halted' }],
  ['GET', '/v1/account', AccountView],
  ['GET', '/v1/positions', listOf('positions', PositionView)],
  ['GET', '/v1/executions', listOf('executions', ExecutionView)],
  ['GET', '/v1/pnl', PnlView],
  ['GET', '/v1/actors', listOf('actors', ActorRow)],
  ['GET', '/v1/contracts?instrument=AAPL', listOf('contracts', ContractView)],
  ['GET', '/v1/contracts/search?pattern=AAPL', listOf('contracts', MatchView)],
  ['GET', '/v1/quotes/AAPL', QuoteView],
  ['GET', '/v1/bars/AAPL', listOf('bars', BarView)],
  ['GET', '/v1/journal', listOf('facts', FactView)],
];

it.each(answers)('%s %s answers as its schema says', async (method, path, schema, body) => {
  const answer: unknown = await (await call(running, method, path, body)).json();
  expect(Compile(schema).Errors(answer)).toEqual([]);
});
