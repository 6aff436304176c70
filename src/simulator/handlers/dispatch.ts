import { OUT } from '../wire/names.ts';
import type { Request } from '../wire/requests.ts';
import { Account } from './account.ts';
import { Depth } from './depth.ts';
import { History } from './history.ts';
import { invalid, type Link } from './link.ts';
import { MarketData } from './marketData.ts';
import { calculate } from './options.ts';
import { Orders } from './orders.ts';
import { RealTimeBars } from './realTimeBars.ts';
import { Reference } from './reference.ts';
import { TickByTick } from './tickByTick.ts';

/** Who answers what, for one connection. */
export interface Desks {
  readonly orders: Orders;
  readonly account: Account;
  readonly marketData: MarketData;
  readonly depth: Depth;
  readonly tickByTick: TickByTick;
  readonly realTimeBars: RealTimeBars;
  readonly history: History;
  readonly reference: Reference;
  /** those whose subscriptions end when data are lost */
  readonly data: readonly { loseAll(): void }[];
}

export function openDesks(link: Link): Desks {
  const marketData = new MarketData(link);
  const depth = new Depth(link);
  const tickByTick = new TickByTick(link);
  const realTimeBars = new RealTimeBars(link);
  const history = new History(link);
  return {
    orders: new Orders(link),
    account: new Account(link),
    reference: new Reference(link),
    marketData,
    depth,
    tickByTick,
    realTimeBars,
    history,
    data: [marketData, depth, tickByTick, realTimeBars, history],
  };
}

const NO_NEWS = 'News feed is not allowed.';
const NOT_AN_ADVISOR = invalid('FA data operations ignored for non FA customers.');

/** Hands a request to whom it concerns. Everything that a TWS knows is answered, if only by its error. */
export function dispatch(link: Link, desks: Desks, request: Exclude<Request, { type: 'startApi' }>): void {
  const { orders, account, marketData, depth, tickByTick, realTimeBars, history, reference } = desks;
  switch (request.type) {
    case 'placeOrder':
      orders.place(request.order);
      return;
    case 'cancelOrder':
      orders.cancel(request.orderId);
      return;
    case 'reqGlobalCancel':
      orders.cancelAll();
      return;
    case 'reqOpenOrders':
      orders.listOwn();
      return;
    case 'reqAllOpenOrders':
      orders.listAll();
      return;
    case 'reqAutoOpenOrders':
      orders.autoBind(request.autoBind);
      return;
    case 'reqExecutions':
      orders.listExecutions(request);
      return;
    case 'reqCompletedOrders':
      orders.listCompleted(request.apiOnly);
      return;
    case 'exerciseOptions':
      orders.exercise(request);
      return;
    case 'reqIds':
      link.send([OUT.nextValidId, 1, link.orderIds.next(link.clientId)]);
      return;
    case 'reqManagedAccts':
      link.send([OUT.managedAccounts, 1, link.exchange.accounts.join(',')]);
      return;
    case 'reqCurrentTime':
      link.send([OUT.currentTime, 1, Math.floor(link.clock.now() / 1000)]);
      return;
    case 'setServerLogLevel':
      link.log(`log level ${request.level}`);
      return;

    case 'reqMktData':
      marketData.subscribe(request);
      return;
    case 'cancelMktData':
      marketData.cancel(request.reqId);
      return;
    case 'reqMarketDataType':
      marketData.setType(request.marketDataType);
      return;
    case 'reqMktDepth':
      depth.subscribe(request);
      return;
    case 'cancelMktDepth':
      depth.cancel(request.reqId);
      return;
    case 'reqTickByTickData':
      tickByTick.subscribe(request);
      return;
    case 'cancelTickByTickData':
      tickByTick.cancel(request.reqId);
      return;
    case 'reqRealTimeBars':
      realTimeBars.subscribe(request);
      return;
    case 'cancelRealTimeBars':
      realTimeBars.cancel(request.reqId);
      return;
    case 'calculateImpliedVolatility':
    case 'calculateOptionPrice':
      calculate(link, request);
      return;

    case 'reqHistoricalData':
      history.request(request);
      return;
    case 'cancelHistoricalData':
      history.cancel(request.reqId);
      return;
    case 'reqHeadTimestamp':
      history.headTimestamp(request);
      return;
    case 'reqHistogramData':
      history.histogram(request);
      return;
    case 'reqHistoricalTicks':
      history.ticks(request);
      return;

    case 'reqAccountUpdates':
      account.updates(request.subscribe, request.account);
      return;
    case 'reqAccountSummary':
      account.summary(request);
      return;
    case 'cancelAccountSummary':
      account.cancelSummary(request.reqId);
      return;
    case 'reqPositions':
      account.positions();
      return;
    case 'cancelPositions':
      account.cancelPositions();
      return;
    case 'reqPositionsMulti':
      account.positionsMulti(request);
      return;
    case 'cancelPositionsMulti':
      account.cancelPositionsMulti(request.reqId);
      return;
    case 'reqAccountUpdatesMulti':
      account.updatesMulti(request);
      return;
    case 'cancelAccountUpdatesMulti':
      account.cancelUpdatesMulti(request.reqId);
      return;
    case 'reqPnL':
      account.pnl(request);
      return;
    case 'cancelPnL':
      account.cancelPnl(request.reqId);
      return;
    case 'reqPnLSingle':
      account.pnlSingle(request);
      return;
    case 'cancelPnLSingle':
      account.cancelPnlSingle(request.reqId);
      return;

    case 'reqContractDetails':
      reference.contractDetails(request);
      return;
    case 'reqMatchingSymbols':
      reference.matchingSymbols(request);
      return;
    case 'reqSecDefOptParams':
      reference.optionParameters(request);
      return;
    case 'reqMarketRule':
      reference.marketRule(request.marketRuleId);
      return;
    case 'reqSmartComponents':
      reference.smartComponents(request);
      return;
    case 'reqMktDepthExchanges':
      reference.depthExchanges();
      return;
    case 'reqSoftDollarTiers':
      reference.softDollarTiers(request.reqId);
      return;
    case 'reqFamilyCodes':
      reference.familyCodes();
      return;
    case 'reqScannerParameters':
      reference.scannerParameters();
      return;
    case 'reqScannerSubscription':
      reference.scan(request);
      return;
    case 'cancelScannerSubscription':
      reference.cancelScan(request.reqId);
      return;
    case 'queryDisplayGroups':
      reference.displayGroups(request.reqId);
      return;
    case 'subscribeToGroupEvents':
      reference.joinGroup(request);
      return;
    case 'updateDisplayGroup':
      reference.updateGroup(request);
      return;
    case 'unsubscribeFromGroupEvents':
      reference.leaveGroup(request.reqId);
      return;
    case 'reqUserInfo':
      link.send([OUT.userInfo, request.reqId, '']);
      return;

    case 'reqNewsProviders':
      link.send([OUT.newsProviders, 0]);
      return;
    case 'reqNewsArticle':
      link.error(request.reqId, 10172, 'Failed to request news article:No such article');
      return;
    case 'reqHistoricalNews':
    case 'reqWshMetaData':
    case 'reqWshEventData':
      link.error(request.reqId, 10276, NO_NEWS);
      return;
    case 'reqFundamentalData':
      link.error(request.reqId, 10358, 'Fundamentals data is not allowed.');
      return;
    case 'requestFA':
      link.error(-1, 321, NOT_AN_ADVISOR);
      return;
    case 'replaceFA':
      link.error(request.reqId, 321, NOT_AN_ADVISOR);
      return;

    // Nothing is due: bulletins never come here, and the others were answered at once.
    case 'reqNewsBulletins':
    case 'cancelNewsBulletins':
    case 'cancelFundamentalData':
    case 'cancelCalculateImpliedVolatility':
    case 'cancelCalculateOptionPrice':
    case 'cancelHeadTimestamp':
    case 'cancelHistogramData':
    case 'cancelWshMetaData':
    case 'cancelWshEventData':
      return;
    default:
      unhandled(request);
  }
}

function unhandled(request: never): never {
  throw new Error(`no handler for ${JSON.stringify(request)}`);
}
