import {
  BarSizeSetting,
  type Contract,
  EventName,
  OptionType,
  type Order,
  OrderAction,
  OrderType,
  ScanCode,
  SecType,
  TickByTickDataType,
  TimeInForce,
} from '@stoqey/ib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/simulator/clock.ts';
import { UNLIMITED } from '../../src/simulator/limits.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { StoqeyClient } from './stoqeyClient.ts';

const AAPL: Contract = { symbol: 'AAPL', secType: SecType.STK, exchange: 'SMART', currency: 'USD' };
const EURUSD: Contract = { symbol: 'EUR', secType: SecType.CASH, exchange: 'IDEALPRO', currency: 'USD' };

let simulator: Simulator;
const clients: StoqeyClient[] = [];

async function start(clientId = 1): Promise<StoqeyClient> {
  const client = new StoqeyClient(simulator.port, clientId);
  clients.push(client);
  await client.connect();
  return client;
}
const limit = (more: Partial<Order> = {}): Order => ({
  action: OrderAction.BUY,
  totalQuantity: 10,
  orderType: OrderType.LMT,
  lmtPrice: 1,
  tif: TimeInForce.DAY,
  transmit: true,
  ...more,
});
const status = (orderId: number, word: string) => (args: readonly unknown[]) =>
  args[0] === orderId && args[1] === word;

afterEach(async () => {
  const complaints = clients.flatMap((client) => client.complaints());
  for (const client of clients.splice(0)) client.api.disconnect();
  const disagreements = simulator.conformance();
  await simulator.close();
  expect(complaints).toEqual([]);
  expect(disagreements).toEqual([]);
});

describe('a trading day in real time', () => {
  beforeEach(async () => {
    simulator = await createSimulator({
      limits: UNLIMITED,
      tickIntervalMs: 5,
      latencyMs: { min: 0, max: 2 },
    });
  });

  it('a bracket works: the parent fills, the target fills, the stop is cancelled', async () => {
    simulator.exchange.script.pin(265598, { bid: 200, ask: 200.02, last: 200.01 });
    const client = await start();
    const { api } = client;
    api.placeOrder(1, AAPL, limit({ orderType: OrderType.MKT, transmit: false }));
    api.placeOrder(2, AAPL, limit({ action: OrderAction.SELL, parentId: 1, lmtPrice: 201, transmit: false }));
    api.placeOrder(
      3,
      AAPL,
      limit({ action: OrderAction.SELL, parentId: 1, orderType: OrderType.STP, auxPrice: 190 }),
    );
    await client.event(EventName.orderStatus, status(1, 'Filled'));
    await client.event(EventName.orderStatus, status(2, 'Submitted'));
    await client.event(EventName.orderStatus, status(3, 'PreSubmitted'));
    simulator.exchange.script.pin(265598, { bid: 201.5, ask: 201.52, last: 201.51 });
    await client.event(EventName.orderStatus, status(2, 'Filled'));
    await client.event(EventName.orderStatus, status(3, 'Cancelled'));
    api.reqExecutions(9, {});
    await client.event(EventName.execDetailsEnd, ([reqId]) => reqId === 9);
    expect(
      client.events(EventName.execDetails).filter(([reqId]) => reqId === 9).length,
    ).toBeGreaterThanOrEqual(2);
    api.reqCompletedOrders(false);
    await client.event(EventName.completedOrdersEnd);
    expect(client.events(EventName.completedOrder)).toHaveLength(3);
  });

  it('tells contracts of every kind that the catalogue has', async () => {
    const client = await start();
    const { api } = client;
    api.reqSecDefOptParams(1, 'AAPL', '', SecType.STK, 265598);
    const [, , , tradingClass, , expirations, strikes] = await client.event(
      EventName.securityDefinitionOptionParameter,
    );
    expect(tradingClass).toBe('AAPL');
    const option: Contract = {
      ...AAPL,
      secType: SecType.OPT,
      right: OptionType.Call,
      lastTradeDateOrContractMonth: (expirations as string[]).at(-1) ?? '',
      strike: (strikes as number[])[Math.floor((strikes as number[]).length / 2)] ?? 0,
    };
    const future: Contract = { symbol: 'ES', secType: SecType.FUT, exchange: 'CME', currency: 'USD' };
    for (const [index, contract] of [AAPL, EURUSD, option, future].entries()) {
      api.reqContractDetails(10 + index, contract);
      await client.event(EventName.contractDetailsEnd, ([reqId]) => reqId === 10 + index);
      const found = client.events(EventName.contractDetails).filter(([reqId]) => reqId === 10 + index);
      expect(found.length).toBeGreaterThan(0);
      for (const [, details] of found) {
        expect(details).toMatchObject({ contract: { secType: contract.secType, symbol: contract.symbol } });
      }
    }
    api.reqMktData(20, option, '', false, false);
    await client.event(EventName.tickOptionComputation, ([reqId]) => reqId === 20);
    api.calculateOptionPrice(21, option, 0.3, 250);
    await client.event(EventName.tickOptionComputation, ([reqId]) => reqId === 21);
    api.reqMatchingSymbols(22, 'A');
    const [, rows] = await client.event(EventName.symbolSamples);
    expect((rows as unknown[]).length).toBeGreaterThan(0);
    api.reqMarketRule(26);
    await client.event(EventName.marketRule);
  });

  it('streams quotes, depth, prints and midpoints of a moving market', async () => {
    const client = await start();
    const { api } = client;
    api.reqMktData(1, AAPL, '233', false, false);
    api.reqMktData(2, EURUSD, '', false, false);
    api.reqMktDepth(3, AAPL, 5, true);
    api.reqTickByTickData(4, AAPL, TickByTickDataType.AllLast, 0, false);
    api.reqTickByTickData(5, EURUSD, TickByTickDataType.MidPoint, 0, false);
    await client.event(EventName.tickByTickMidPoint);
    await client.event(EventName.tickByTickAllLast);
    await client.event(EventName.tickString, ([reqId, type]) => reqId === 1 && type === 48);
    await client.event(EventName.updateMktDepthL2, ([, , , operation]) => operation === 1);
    const bids = () =>
      client.events(EventName.tickPrice).filter(([reqId, type]) => reqId === 1 && type === 1);
    await expect.poll(() => bids().length, { timeout: 5000 }).toBeGreaterThan(5);
    for (const reqId of [1, 2]) api.cancelMktData(reqId);
    api.cancelMktDepth(3, true);
    for (const reqId of [4, 5]) api.cancelTickByTickData(reqId);
    api.reqCurrentTime();
    await client.event(EventName.currentTime);
    const settled = client.seen.length;
    api.reqIds();
    await expect.poll(() => client.events(EventName.nextValidId).length, { timeout: 5000 }).toBe(2);
    const late = client.seen
      .slice(settled)
      .filter(({ name }) => name.startsWith('tick') || name.startsWith('updateMkt'));
    expect(late).toEqual([]);
  });

  it('moves the account: portfolio, summary, positions and profit follow a trade', async () => {
    const client = await start();
    const { api } = client;
    api.reqAccountUpdates(true, '');
    await client.event(EventName.accountDownloadEnd);
    api.reqPositions();
    await client.event(EventName.positionEnd);
    expect(client.events(EventName.position)).toEqual([]);
    api.placeOrder(1, AAPL, limit({ orderType: OrderType.MKT }));
    await client.event(EventName.position, ([, , position]) => position === 10);
    await client.event(EventName.updatePortfolio, ([, position]) => position === 10);
    api.reqPnLSingle(2, simulator.exchange.accounts[0] ?? '', '', 265598);
    await client.event(EventName.pnlSingle, ([reqId, position]) => reqId === 2 && position === 10);
    api.reqAccountSummary(3, 'All', 'NetLiquidation,TotalCashValue,BuyingPower,AccountType,$LEDGER');
    await client.event(EventName.accountSummaryEnd);
    const tags = client.events(EventName.accountSummary).map(([, , tag]) => tag);
    expect(tags).toEqual(
      expect.arrayContaining([
        'NetLiquidation',
        'TotalCashValue',
        'BuyingPower',
        'AccountType',
        'CashBalance',
      ]),
    );
  });

  it('previews with real margins, refuses nonsense, and cancels what is gone', async () => {
    const client = await start();
    const { api } = client;
    api.placeOrder(1, AAPL, limit({ whatIf: true, lmtPrice: 200 }));
    const [, , , state] = await client.event(EventName.openOrder);
    expect(state).toMatchObject({ status: 'PreSubmitted', initMarginChange: expect.any(Number) });
    api.placeOrder(
      2,
      { symbol: 'NOSUCH', secType: SecType.STK, exchange: 'SMART', currency: 'USD' },
      limit(),
    );
    await client.event(EventName.error, ([, code, id]) => code === 200 && id === 2);
    api.cancelOrder(99);
    await client.event(EventName.error, ([, code, id]) => code === 10147 && id === 99);
    api.placeOrder(3, AAPL, limit({ orderType: OrderType.MKT }));
    await client.event(EventName.orderStatus, status(3, 'Filled'));
    api.cancelOrder(3);
    await client.event(EventName.error, ([, code, id]) => code === 10148 && id === 3);
    api.placeOrder(4, AAPL, limit());
    await client.event(EventName.orderStatus, status(4, 'Submitted'));
    api.reqGlobalCancel();
    await client.event(EventName.orderStatus, status(4, 'Cancelled'));
  });
});

describe('time as told', () => {
  let clock: VirtualClock;
  beforeEach(async () => {
    clock = new VirtualClock();
    simulator = await createSimulator({ limits: UNLIMITED, clock });
  });

  it('bars that are kept up to date, five-second bars and profit come at their times', async () => {
    const client = await start();
    const { api } = client;
    api.reqHistoricalData(1, AAPL, '', '3600 S', BarSizeSetting.MINUTES_ONE, 'TRADES', 0, 2, true);
    await client.event(EventName.historicalData, ([, date]) => String(date).startsWith('finished'));
    const dates = client
      .events(EventName.historicalData)
      .slice(0, -1)
      .map(([, date]) => Number(date));
    expect(dates.length).toBeGreaterThanOrEqual(59);
    expect(dates).toEqual(dates.toSorted((left, right) => left - right));
    api.reqRealTimeBars(2, AAPL, 5, 'TRADES', false);
    api.reqPnL(3, simulator.exchange.accounts[0] ?? '', '');
    await client.event(EventName.pnl);
    for (let second = 0; second < 15; second += 1) simulator.advance(1000);
    await expect
      .poll(() => client.events(EventName.historicalDataUpdate).length, { timeout: 5000 })
      .toBeGreaterThanOrEqual(3);
    await expect.poll(() => client.events(EventName.realtimeBar).length, { timeout: 5000 }).toBe(3);
    await expect.poll(() => client.events(EventName.pnl).length, { timeout: 5000 }).toBe(16);
    const times = client.events(EventName.realtimeBar).map(([, time]) => Number(time));
    expect(times.map((time) => time - (times[0] ?? 0))).toEqual([0, 5, 10]);
    api.cancelHistoricalData(1);
    await client.event(EventName.error, ([, code, id]) => code === 162 && id === 1);
  });

  it('history needs what exists: no data is error 162, a bad time is named', async () => {
    const client = await start();
    const { api } = client;
    api.reqHistoricalData(1, AAPL, 'yesterday', '1 D', BarSizeSetting.HOURS_ONE, 'TRADES', 1, 1, false);
    await client.event(EventName.error, ([, code, id]) => code === 10314 && id === 1);
    api.reqHistoricalData(
      2,
      AAPL,
      '19500101 00:00:00 UTC',
      '1 D',
      BarSizeSetting.HOURS_ONE,
      'TRADES',
      1,
      1,
      false,
    );
    await client.event(EventName.error, ([, code, id]) => code === 162 && id === 2);
    api.reqHeadTimestamp(3, AAPL, 'TRADES', true, 2);
    await client.event(EventName.headTimestamp, ([reqId]) => reqId === 3);
    api.reqHistoricalData(4, AAPL, '', '5 D', BarSizeSetting.DAYS_ONE, 'TRADES', 1, 1, false);
    await client.event(
      EventName.historicalData,
      ([reqId, date]) => reqId === 4 && /^\d{8}$/.test(String(date)),
    );
    const scan = { instrument: 'STK', locationCode: 'STK.US.MAJOR', numberOfRows: 5 };
    api.reqScannerSubscription(5, { ...scan, scanCode: ScanCode.MOST_ACTIVE } as never);
    await client.event(EventName.scannerData, ([reqId, rank]) => reqId === 5 && rank === 4);
    api.reqScannerSubscription(6, { ...scan, scanCode: ScanCode.HIGH_DIVIDEND_YIELD_IB } as never);
    await client.event(EventName.error, ([, code, id]) => code === 162 && id === 6);
  });
});
