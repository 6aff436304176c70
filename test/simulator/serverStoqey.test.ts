import {
  BarSizeSetting,
  type Contract,
  EventName,
  IBApiNext,
  IBApiTickType,
  OptionType,
  type Order,
  OrderAction,
  OrderType,
  SecType,
  TickByTickDataType,
  TimeInForce,
} from '@stoqey/ib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UNLIMITED } from '../../src/simulator/limits.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { StoqeyClient } from './stoqeyClient.ts';
import { TinyExchange } from './tinyExchange.ts';

const ACCOUNT = 'DU1234567';
const AAPL: Contract = { symbol: 'AAPL', secType: SecType.STK, exchange: 'SMART', currency: 'USD' };
const DEADLINE_MS = 10_000;

let simulator: Simulator;
let exchange: TinyExchange;
const clients: StoqeyClient[] = [];

beforeEach(async () => {
  exchange = new TinyExchange();
  simulator = await createSimulator({ exchange, limits: UNLIMITED });
});
afterEach(async () => {
  const complaints = clients.flatMap((client) => client.complaints());
  for (const client of clients.splice(0)) client.api.disconnect();
  const disagreements = simulator.conformance();
  await simulator.close();
  expect(complaints).toEqual([]);
  expect(disagreements).toEqual([]);
});

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
  lmtPrice: 150.25,
  tif: TimeInForce.DAY,
  transmit: true,
  ...more,
});

describe('@stoqey/ib against the gateway', () => {
  it('connects at 193 and hears accounts, an order id and the farms', async () => {
    const client = await start();
    expect(client.api.serverVersion).toBe(193);
    await client.event(EventName.managedAccounts, ([accounts]) => accounts === ACCOUNT);
    for (const code of [2104, 2107, 2158]) await client.event(EventName.info, ([, seen]) => seen === code);
    client.api.reqCurrentTime();
    const [time] = await client.event(EventName.currentTime);
    expect(Math.abs(Number(time) - Date.now() / 1000)).toBeLessThan(5);
  });

  it('fills a market order, reports it, and lists it afterwards', async () => {
    const client = await start();
    client.api.placeOrder(1, AAPL, limit({ orderType: OrderType.MKT, orderRef: 'c-1' }));
    await client.event(EventName.commissionReport);
    const [execReqId, , execution] = await client.event(EventName.execDetails);
    expect(execReqId).toBe(-1);
    expect(execution).toMatchObject({ orderId: 1, side: 'BOT', shares: 10, price: 201.94, orderRef: 'c-1' });
    const names = client.seen.map(({ name }) => name);
    expect(names.indexOf(EventName.openOrder)).toBeLessThan(names.indexOf(EventName.execDetails));
    expect(names.indexOf(EventName.execDetails)).toBeLessThan(names.indexOf(EventName.commissionReport));
    await client.event(EventName.orderStatus, ([, status]) => status === 'Filled');

    client.api.reqExecutions(5, {});
    await client.event(EventName.execDetailsEnd, ([reqId]) => reqId === 5);
    await client.event(EventName.execDetails, ([reqId]) => reqId === 5);
    client.api.reqCompletedOrders(false);
    await client.event(EventName.completedOrdersEnd);
    const [, order, state] = await client.event(EventName.completedOrder);
    expect(order).toMatchObject({ orderType: 'MKT', orderRef: 'c-1', filledQuantity: 10 });
    expect(state).toMatchObject({ status: 'Filled', completedStatus: 'Filled Size: 10' });
  });

  it('works, modifies and cancels a limit order, with every term echoed', async () => {
    const client = await start();
    client.api.placeOrder(
      1,
      AAPL,
      limit({
        goodAfterTime: '20261122 10:00:00 US/Eastern',
        ocaGroup: 'group',
        ocaType: 2,
        outsideRth: true,
        orderRef: 'c-2',
        algoStrategy: 'Adaptive',
        algoParams: [{ tag: 'adaptivePriority', value: 'Normal' }],
        customerAccount: 'customer',
        includeOvernight: true,
        extOperator: 'operator',
        manualOrderIndicator: 1,
      }),
    );
    const [, contract, order] = await client.event(EventName.openOrder);
    expect(contract).toMatchObject({ conId: 265598, symbol: 'AAPL', exchange: 'SMART' });
    expect(order).toMatchObject({
      orderId: 1,
      totalQuantity: 10,
      lmtPrice: 150.25,
      goodAfterTime: '20261122 10:00:00 US/Eastern',
      ocaGroup: 'group',
      ocaType: 2,
      outsideRth: true,
      orderRef: 'c-2',
      algoStrategy: 'Adaptive',
      algoParams: [{ tag: 'adaptivePriority', value: 'Normal' }],
      customerAccount: 'customer',
      includeOvernight: true,
      extOperator: 'operator',
      manualOrderIndicator: 1,
      account: ACCOUNT,
      clientId: 1,
    });
    const { permId } = order as Order;
    client.api.placeOrder(1, AAPL, limit({ lmtPrice: 151 }));
    const [, , modified] = await client.event(
      EventName.openOrder,
      ([, , seen]) => (seen as Order).lmtPrice === 151,
    );
    expect((modified as Order).permId).toBe(permId);
    client.api.reqOpenOrders();
    await client.event(EventName.openOrderEnd);
    client.api.cancelOrder(1);
    await client.event(EventName.orderStatus, ([, status]) => status === 'Cancelled');
    await client.event(EventName.error, ([, code, id]) => code === 202 && id === 1);
    client.api.cancelOrder(1);
    await client.event(EventName.error, ([, code, id]) => code === 10147 && id === 1);
  });

  it('carries conditions, combo legs, scale and pegged terms there and back', async () => {
    const client = await start();
    const bag: Contract = {
      symbol: 'AAPL',
      secType: SecType.BAG,
      exchange: 'SMART',
      currency: 'USD',
      comboLegs: [
        { conId: 1, ratio: 1, action: OrderAction.BUY, exchange: 'SMART' },
        { conId: 2, ratio: 2, action: OrderAction.SELL, exchange: 'SMART' },
      ],
    };
    client.api.placeOrder(
      1,
      bag,
      limit({
        orderComboLegs: [{ price: 1.5 }, { price: 2 }],
        smartComboRoutingParams: [{ tag: 'NonGuaranteed', value: '1' }],
      }),
    );
    const [, combo, comboOrder] = await client.event(EventName.openOrder);
    expect((combo as Contract).comboLegs).toMatchObject([
      { conId: 1 },
      { conId: 2, action: 'SELL', ratio: 2 },
    ]);
    expect(comboOrder).toMatchObject({
      orderComboLegs: [{ price: 1.5 }, { price: 2 }],
      smartComboRoutingParams: [{ tag: 'NonGuaranteed', value: '1' }],
    });

    client.api.placeOrder(
      2,
      AAPL,
      limit({ scalePriceIncrement: 0.5, scaleInitLevelSize: 5, hedgeType: 'D', hedgeParam: '1' }),
    );
    const [, , scaled] = await client.event(EventName.openOrder, ([orderId]) => orderId === 2);
    expect(scaled).toMatchObject({
      scalePriceIncrement: 0.5,
      scaleInitLevelSize: 5,
      hedgeType: 'D',
      hedgeParam: '1',
    });

    const [price, volume] = [
      {
        type: 1,
        conjunctionConnection: 'a',
        isMore: true,
        strValue: '190',
        conId: 265598,
        exchange: 'SMART',
        triggerMethod: 2,
      },
      {
        type: 6,
        conjunctionConnection: 'o',
        isMore: false,
        strValue: '1000',
        conId: 265598,
        exchange: 'SMART',
      },
    ];
    const conditions = [price, volume] as unknown as NonNullable<Order['conditions']>;
    client.api.placeOrder(3, AAPL, limit({ conditions, conditionsCancelOrder: true }));
    const [, , conditional] = await client.event(EventName.openOrder, ([orderId]) => orderId === 3);
    expect((conditional as Order).conditions).toHaveLength(2);
    expect(conditional).toMatchObject({ conditionsCancelOrder: true, conditionsIgnoreRth: false });

    client.api.placeOrder(
      4,
      AAPL,
      limit({ orderType: OrderType.PEG_BEST, minCompeteSize: 10, competeAgainstBestOffset: 0.05 }),
    );
    const [, , pegged] = await client.event(EventName.openOrder, ([orderId]) => orderId === 4);
    expect(pegged).toMatchObject({ minCompeteSize: 10, competeAgainstBestOffset: 0.05 });

    client.api.placeOrder(
      5,
      AAPL,
      limit({
        deltaNeutralOrderType: 'MKT',
        deltaNeutralConId: 7,
        orderType: OrderType.VOL,
        volatility: 0.4,
        volatilityType: 2,
      }),
    );
    const [, , neutral] = await client.event(EventName.openOrder, ([orderId]) => orderId === 5);
    expect(neutral).toMatchObject({ deltaNeutralOrderType: 'MKT', deltaNeutralConId: 7, volatility: 0.4 });
  });

  it('previews an order without placing it', async () => {
    const client = await start();
    client.api.placeOrder(1, AAPL, limit({ whatIf: true }));
    const [, , order, state] = await client.event(EventName.openOrder);
    expect(order).toMatchObject({ whatIf: true });
    expect(state).toMatchObject({ status: 'PreSubmitted', initMarginChange: 5000, minCommission: 1 });
    client.api.reqOpenOrders();
    await client.event(EventName.openOrderEnd);
    expect(client.events(EventName.openOrder)).toHaveLength(1);
    expect(client.events(EventName.orderStatus)).toHaveLength(0);
  });

  it('streams market data, snapshots and depth', async () => {
    const client = await start();
    client.api.reqMktData(11, AAPL, '233,236', false, false);
    await client.event(EventName.tickReqParams, ([reqId]) => reqId === 11);
    await client.event(
      EventName.tickPrice,
      ([reqId, type, price]) => reqId === 11 && type === 1 && price === 201.9,
    );
    exchange.tick(265598, { field: 'ask', price: 201.95, size: 200, attrMask: 1 });
    await client.event(EventName.tickPrice, ([, type, price]) => type === 2 && price === 201.95);
    client.api.cancelMktData(11);
    client.api.cancelMktData(11);
    await client.event(EventName.error, ([, code, id]) => code === 300 && id === 11);

    client.api.reqMktData(12, AAPL, '', true, false);
    await client.event(EventName.tickSnapshotEnd, ([reqId]) => reqId === 12);
    client.api.reqMktData(13, AAPL, '9999', false, false);
    await client.event(EventName.error, ([, code, id]) => code === 321 && id === 13);

    client.api.reqMarketDataType(3);
    client.api.reqMktData(14, AAPL, '', false, false);
    await client.event(EventName.marketDataType, ([reqId, type]) => reqId === 14 && type === 3);
    await client.event(
      EventName.tickPrice,
      ([reqId, type]) => reqId === 14 && type === IBApiTickType.DELAYED_BID,
    );

    client.api.reqMktDepth(15, AAPL, 3, true);
    await client.event(EventName.updateMktDepthL2, ([reqId, position]) => reqId === 15 && position === 2);
    client.api.reqMktDepth(16, { ...AAPL, exchange: 'ARCA' }, 2, false);
    await client.event(EventName.updateMktDepth, ([reqId]) => reqId === 16);
    client.api.reqMktDepthExchanges();
    await client.event(EventName.mktDepthExchanges);
    client.api.reqTickByTickData(17, AAPL, TickByTickDataType.BidAsk, 2, false);
    await client.event(EventName.historicalTicksBidAsk, ([reqId]) => reqId === 17);
    await client.event(EventName.tickByTickBidAsk, ([reqId]) => reqId === 17);
  });

  it('serves bars, ticks, histogram and head timestamp', async () => {
    const client = await start();
    client.api.reqHistoricalData(21, AAPL, '', '1 D', BarSizeSetting.MINUTES_ONE, 'TRADES', 1, 1, false);
    await client.event(
      EventName.historicalData,
      ([reqId, date]) => reqId === 21 && String(date).startsWith('finished'),
    );
    expect(client.events(EventName.historicalData).length).toBe(11);
    client.api.reqHistoricalData(22, AAPL, '', '1 D', 'nonsense' as BarSizeSetting, 'TRADES', 1, 1, false);
    await client.event(EventName.error, ([, code, id]) => code === 321 && id === 22);
    client.api.reqHeadTimestamp(23, AAPL, 'TRADES', true, 1);
    await client.event(EventName.headTimestamp, ([reqId, at]) => reqId === 23 && at === '19801212-14:30:00');
    client.api.reqHistogramData(24, AAPL, true, 1, 'week' as never);
    await client.event(EventName.histogramData, ([reqId]) => reqId === 24);
    client.api.reqHistoricalTicks(25, AAPL, '20260105 09:30:00 US/Eastern', '', 3, 'TRADES', 1, false);
    await client.event(EventName.historicalTicksLast, ([reqId]) => reqId === 25);
    client.api.cancelHistoricalData(26);
    await client.event(EventName.error, ([, code, id]) => code === 366 && id === 26);
    client.api.reqHistoricalData(27, AAPL, '', '5 D', BarSizeSetting.DAYS_ONE, 'SCHEDULE', 1, 1, false);
    await client.event(EventName.historicalSchedule, ([reqId]) => reqId === 27);
  });

  it('tells contracts of every kind, symbols, options and rules', async () => {
    const client = await start();
    client.api.reqContractDetails(31, AAPL);
    await client.event(EventName.contractDetailsEnd, ([reqId]) => reqId === 31);
    const [, details] = await client.event(EventName.contractDetails);
    expect(details).toMatchObject({ contract: { conId: 265598 }, minTick: 0.01, longName: 'AAPL SOCIÉTÉ' });
    client.api.reqContractDetails(32, { symbol: 'T', secType: SecType.BOND });
    await client.event(EventName.bondContractDetails, ([reqId]) => reqId === 32);
    client.api.reqContractDetails(33, { symbol: 'VFIAX', secType: SecType.FUND });
    await client.event(EventName.contractDetailsEnd, ([reqId]) => reqId === 33);
    client.api.reqContractDetails(34, { symbol: 'NOSUCH', secType: SecType.STK });
    await client.event(EventName.error, ([, code, id]) => code === 200 && id === 34);
    client.api.reqMatchingSymbols(35, 'AA');
    await client.event(EventName.symbolSamples, ([reqId]) => reqId === 35);
    client.api.reqSecDefOptParams(36, 'AAPL', '', SecType.STK, 265598);
    await client.event(EventName.securityDefinitionOptionParameterEnd, ([reqId]) => reqId === 36);
    client.api.reqMarketRule(26);
    await client.event(EventName.marketRule);
    client.api.reqSmartComponents(37, '9c0001');
    await client.event(EventName.smartComponents, ([reqId]) => reqId === 37);
    client.api.reqSoftDollarTiers(38);
    await client.event(EventName.softDollarTiers);
    client.api.reqFamilyCodes();
    await client.event(EventName.familyCodes);
    client.api.reqNewsProviders();
    await client.event(EventName.newsProviders);
    client.api.reqUserInfo(39);
    await client.event(EventName.userInfo);
    client.api.calculateImpliedVolatility(
      40,
      { ...AAPL, secType: SecType.STK, right: OptionType.Call },
      10,
      200,
    );
    await client.event(EventName.tickOptionComputation, ([reqId]) => reqId === 40);
    client.api.queryDisplayGroups(41);
    await client.event(EventName.displayGroupList);
    client.api.reqScannerParameters();
    await client.event(EventName.scannerParameters);
    client.api.reqWshMetaData(42);
    await client.event(EventName.error, ([, code, id]) => code === 10276 && id === 42);
    client.api.requestFA(1);
    await client.event(EventName.info, ([, code]) => code === 321);
  });

  it('tells the account: values, summary, positions, profit and loss', async () => {
    const client = await start();
    client.api.placeOrder(1, AAPL, limit({ orderType: OrderType.MKT }));
    await client.event(EventName.commissionReport);
    client.api.reqAccountUpdates(true, ACCOUNT);
    await client.event(EventName.accountDownloadEnd, ([account]) => account === ACCOUNT);
    await client.event(EventName.updateAccountValue, ([key]) => key === 'NetLiquidation');
    await client.event(EventName.updatePortfolio);
    await client.event(EventName.updateAccountTime);
    client.api.reqAccountSummary(51, 'All', 'NetLiquidation,$LEDGER');
    await client.event(EventName.accountSummaryEnd, ([reqId]) => reqId === 51);
    expect(client.events(EventName.accountSummary).map(([, , tag]) => tag)).toEqual([
      'NetLiquidation',
      'CashBalance',
    ]);
    client.api.reqPositions();
    await client.event(EventName.positionEnd);
    const [account, contract, position, avgCost] = await client.event(EventName.position);
    expect([account, (contract as Contract).conId, position, avgCost]).toEqual([
      ACCOUNT,
      265598,
      100,
      201.94,
    ]);
    client.api.reqPositionsMulti(52, ACCOUNT, '');
    await client.event(EventName.positionMultiEnd);
    client.api.reqAccountUpdatesMulti(53, ACCOUNT, '', false);
    await client.event(EventName.accountUpdateMultiEnd);
    client.api.reqPnL(54, ACCOUNT, '');
    await client.event(EventName.pnl, ([reqId]) => reqId === 54);
    client.api.reqPnLSingle(55, ACCOUNT, '', 265598);
    await client.event(EventName.pnlSingle, ([reqId]) => reqId === 55);
    client.api.reqPnL(56, 'DU0000000', '');
    await client.event(EventName.error, ([, code, id]) => code === 321 && id === 56);
  });

  it('serves IBApiNext: time, contract details, positions, market data, open orders', async () => {
    const api = new IBApiNext({
      host: '127.0.0.1',
      port: simulator.port,
      maxReqPerSec: 1000,
      reconnectInterval: 0,
    });
    try {
      api.connect(9);
      expect(await api.getCurrentTime()).toBeGreaterThan(1_700_000_000);
      const [details] = await api.getContractDetails(AAPL);
      expect(details?.contract.conId).toBe(265598);
      const { orderId } = { orderId: await api.getNextValidOrderId() };
      api.placeOrder(orderId, AAPL, limit());
      const deadline = Date.now() + DEADLINE_MS;
      while ((await api.getAllOpenOrders()).length === 0 && Date.now() < deadline);
      expect((await api.getAllOpenOrders())[0]).toMatchObject({ orderId, order: { lmtPrice: 150.25 } });
      const snapshot = await api.getMarketDataSnapshot(AAPL, '', false);
      expect(snapshot.get(IBApiTickType.BID)?.value).toBe(201.9);
      const bars = await api.getHistoricalData(AAPL, '', '1 D', BarSizeSetting.MINUTES_FIVE, 'TRADES', 1, 1);
      expect(bars).toHaveLength(10);
    } finally {
      api.disconnect();
    }
  });
});
