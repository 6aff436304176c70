import { OUT } from '../wire/names.ts';
import type { Request } from '../wire/requests.ts';
import { Account } from './account.ts';
import { Depth } from './depth.ts';
import { History } from './history.ts';
import { invalid, type Link, unprocessed } from './link.ts';
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
      return orders.place(request.order);
    case 'cancelOrder':
      return orders.cancel(request.orderId);
    case 'reqGlobalCancel':
      return orders.cancelAll();
    case 'reqOpenOrders':
      return orders.listOwn();
    case 'reqAllOpenOrders':
      return orders.listAll();
    case 'reqAutoOpenOrders':
      return orders.autoBind(request.autoBind);
    case 'reqExecutions':
      return orders.listExecutions(request);
    case 'reqCompletedOrders':
      return orders.listCompleted(request.apiOnly);
    case 'exerciseOptions':
      return link.error(request.reqId, 322, unprocessed('No unlapsed position exists in this option'));
    case 'reqIds':
      return link.send([OUT.nextValidId, 1, link.orderIds.next(link.clientId)]);
    case 'reqManagedAccts':
      return link.send([OUT.managedAccounts, 1, link.exchange.accounts.join(',')]);
    case 'reqCurrentTime':
      return link.send([OUT.currentTime, 1, Math.floor(link.clock.now() / 1000)]);
    case 'setServerLogLevel':
      return link.log(`log level ${request.level}`);

    case 'reqMktData':
      return marketData.subscribe(request);
    case 'cancelMktData':
      return marketData.cancel(request.reqId);
    case 'reqMarketDataType':
      return marketData.setType(request.marketDataType);
    case 'reqMktDepth':
      return depth.subscribe(request);
    case 'cancelMktDepth':
      return depth.cancel(request.reqId);
    case 'reqTickByTickData':
      return tickByTick.subscribe(request);
    case 'cancelTickByTickData':
      return tickByTick.cancel(request.reqId);
    case 'reqRealTimeBars':
      return realTimeBars.subscribe(request);
    case 'cancelRealTimeBars':
      return realTimeBars.cancel(request.reqId);
    case 'calculateImpliedVolatility':
    case 'calculateOptionPrice':
      return calculate(link, request);

    case 'reqHistoricalData':
      return history.request(request);
    case 'cancelHistoricalData':
      return history.cancel(request.reqId);
    case 'reqHeadTimestamp':
      return history.headTimestamp(request);
    case 'reqHistogramData':
      return history.histogram(request);
    case 'reqHistoricalTicks':
      return history.ticks(request);

    case 'reqAccountUpdates':
      return account.updates(request.subscribe, request.account);
    case 'reqAccountSummary':
      return account.summary(request);
    case 'cancelAccountSummary':
      return account.cancelSummary(request.reqId);
    case 'reqPositions':
      return account.positions();
    case 'cancelPositions':
      return account.cancelPositions();
    case 'reqPositionsMulti':
      return account.positionsMulti(request);
    case 'cancelPositionsMulti':
      return account.cancelPositionsMulti(request.reqId);
    case 'reqAccountUpdatesMulti':
      return account.updatesMulti(request);
    case 'cancelAccountUpdatesMulti':
      return account.cancelUpdatesMulti(request.reqId);
    case 'reqPnL':
      return account.pnl(request);
    case 'cancelPnL':
      return account.cancelPnl(request.reqId);
    case 'reqPnLSingle':
      return account.pnlSingle(request);
    case 'cancelPnLSingle':
      return account.cancelPnlSingle(request.reqId);

    case 'reqContractDetails':
      return reference.contractDetails(request);
    case 'reqMatchingSymbols':
      return reference.matchingSymbols(request);
    case 'reqSecDefOptParams':
      return reference.optionParameters(request);
    case 'reqMarketRule':
      return reference.marketRule(request.marketRuleId);
    case 'reqSmartComponents':
      return reference.smartComponents(request);
    case 'reqMktDepthExchanges':
      return reference.depthExchanges();
    case 'reqSoftDollarTiers':
      return reference.softDollarTiers(request.reqId);
    case 'reqFamilyCodes':
      return reference.familyCodes();
    case 'reqScannerParameters':
      return reference.scannerParameters();
    case 'reqScannerSubscription':
      return reference.scan(request);
    case 'cancelScannerSubscription':
      return reference.cancelScan(request.reqId);
    case 'queryDisplayGroups':
      return reference.displayGroups(request.reqId);
    case 'subscribeToGroupEvents':
      return reference.joinGroup(request);
    case 'updateDisplayGroup':
      return reference.updateGroup(request);
    case 'unsubscribeFromGroupEvents':
      return reference.leaveGroup(request.reqId);
    case 'reqUserInfo':
      return link.send([OUT.userInfo, request.reqId, '']);

    case 'reqNewsProviders':
      return link.send([OUT.newsProviders, 0]);
    case 'reqNewsArticle':
      return link.error(request.reqId, 10172, 'Failed to request news article:No such article');
    case 'reqHistoricalNews':
    case 'reqWshMetaData':
    case 'reqWshEventData':
      return link.error(request.reqId, 10276, NO_NEWS);
    case 'reqFundamentalData':
      return link.error(request.reqId, 10358, 'Fundamentals data is not allowed.');
    case 'requestFA':
      return link.error(-1, 321, NOT_AN_ADVISOR);
    case 'replaceFA':
      return link.error(request.reqId, 321, NOT_AN_ADVISOR);

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
      return unhandled(request);
  }
}

function unhandled(request: never): never {
  throw new Error(`no handler for ${JSON.stringify(request)}`);
}
