import { readContract, readQuery } from './contractFields.ts';
import { FieldError, FieldReader } from './fields.ts';
import {
  type RequestContext,
  readCalculation,
  readCancelOrder,
  readExercise,
  readHistoricalData,
  readMktData,
  readScanner,
} from './longRequests.ts';
import { IN, inName } from './names.ts';
import { readPlaceOrder } from './placeOrder.ts';

type Reader = FieldReader;

const versioned =
  <T extends string>(type: T) =>
  (r: Reader) => {
    r.text('version');
    return { type };
  };
const versionedId =
  <T extends string>(type: T) =>
  (r: Reader) => {
    r.text('version');
    return { type, reqId: r.int('reqId') };
  };
const plainId =
  <T extends string>(type: T) =>
  (r: Reader) => ({ type, reqId: r.int('reqId') });

/** Every request, by number. Fields are named as in IB's API; `rest` is ignored on purpose where clients differ. */
const decoders = {
  [IN.reqMktData]: readMktData,
  [IN.cancelMktData]: versionedId('cancelMktData'),
  [IN.placeOrder]: (r: Reader, { version, clientId }: RequestContext) => ({
    type: 'placeOrder' as const,
    order: readPlaceOrder(r, version, clientId),
  }),
  [IN.cancelOrder]: readCancelOrder,
  [IN.reqOpenOrders]: versioned('reqOpenOrders'),
  [IN.reqAccountUpdates]: (r: Reader) => {
    r.text('version');
    return {
      type: 'reqAccountUpdates' as const,
      subscribe: r.bool('subscribe'),
      account: r.text('acctCode'),
    };
  },
  [IN.reqExecutions]: (r: Reader) => {
    r.text('version');
    return {
      type: 'reqExecutions' as const,
      reqId: r.int('reqId'),
      clientId: r.int('clientId'),
      account: r.text('acctCode'),
      time: r.text('time'),
      symbol: r.text('symbol'),
      secType: r.text('secType'),
      exchange: r.text('exchange'),
      side: r.text('side'),
    };
  },
  [IN.reqIds]: (r: Reader) => {
    r.text('version');
    r.text('numIds');
    return { type: 'reqIds' as const };
  },
  [IN.reqContractDetails]: (r: Reader, { version }: RequestContext) => {
    r.text('version');
    const reqId = r.int('reqId');
    const query = readQuery(r);
    const secIdType = r.text('secIdType');
    const secId = r.text('secId');
    if (version >= 176) r.text('issuerId');
    return { type: 'reqContractDetails' as const, reqId, query: { ...query, secIdType, secId } };
  },
  [IN.reqMktDepth]: (r: Reader) => {
    r.text('version');
    const reqId = r.int('reqId');
    const contract = readContract(r);
    const numRows = r.int('numRows');
    const isSmartDepth = r.bool('isSmartDepth');
    r.text('mktDepthOptions');
    return { type: 'reqMktDepth' as const, reqId, contract, numRows, isSmartDepth };
  },
  [IN.cancelMktDepth]: (r: Reader) => {
    r.text('version');
    return {
      type: 'cancelMktDepth' as const,
      reqId: r.int('reqId'),
      isSmartDepth: r.bool('isSmartDepth'),
    };
  },
  [IN.reqNewsBulletins]: (r: Reader) => {
    r.text('version');
    return { type: 'reqNewsBulletins' as const, allMsgs: r.bool('allMsgs') };
  },
  [IN.cancelNewsBulletins]: versioned('cancelNewsBulletins'),
  [IN.setServerLogLevel]: (r: Reader) => {
    r.text('version');
    return { type: 'setServerLogLevel' as const, level: r.int('logLevel') };
  },
  [IN.reqAutoOpenOrders]: (r: Reader) => {
    r.text('version');
    return { type: 'reqAutoOpenOrders' as const, autoBind: r.bool('autoBind') };
  },
  [IN.reqAllOpenOrders]: versioned('reqAllOpenOrders'),
  [IN.reqManagedAccts]: versioned('reqManagedAccts'),
  [IN.requestFA]: (r: Reader) => {
    r.text('version');
    return { type: 'requestFA' as const, faDataType: r.int('faDataType') };
  },
  [IN.replaceFA]: (r: Reader) => {
    r.text('version');
    r.int('faDataType');
    r.text('xml');
    return { type: 'replaceFA' as const, reqId: r.int('reqId') };
  },
  [IN.reqHistoricalData]: readHistoricalData,
  [IN.exerciseOptions]: readExercise,
  [IN.reqScannerSubscription]: readScanner,
  [IN.cancelScannerSubscription]: versionedId('cancelScannerSubscription'),
  [IN.reqScannerParameters]: versioned('reqScannerParameters'),
  [IN.cancelHistoricalData]: versionedId('cancelHistoricalData'),
  [IN.reqCurrentTime]: versioned('reqCurrentTime'),
  [IN.reqRealTimeBars]: (r: Reader) => {
    r.text('version');
    const reqId = r.int('reqId');
    const contract = readContract(r);
    r.int('barSize');
    const whatToShow = r.text('whatToShow').toUpperCase();
    const useRth = r.bool('useRTH');
    r.text('realTimeBarsOptions');
    return { type: 'reqRealTimeBars' as const, reqId, contract, whatToShow, useRth };
  },
  [IN.cancelRealTimeBars]: versionedId('cancelRealTimeBars'),
  [IN.reqFundamentalData]: (r: Reader) => {
    r.text('version');
    const reqId = r.int('reqId');
    r.rest();
    return { type: 'reqFundamentalData' as const, reqId };
  },
  [IN.cancelFundamentalData]: versionedId('cancelFundamentalData'),
  [IN.calculateImpliedVolatility]: (r: Reader) => readCalculation(r, 'calculateImpliedVolatility'),
  [IN.calculateOptionPrice]: (r: Reader) => readCalculation(r, 'calculateOptionPrice'),
  [IN.cancelCalculateImpliedVolatility]: versionedId('cancelCalculateImpliedVolatility'),
  [IN.cancelCalculateOptionPrice]: versionedId('cancelCalculateOptionPrice'),
  [IN.reqGlobalCancel]: (r: Reader, { version }: RequestContext) => {
    if (version < 192) r.text('version');
    else {
      r.text('extOperator');
      r.int('manualOrderIndicator');
    }
    return { type: 'reqGlobalCancel' as const };
  },
  [IN.reqMarketDataType]: (r: Reader) => {
    r.text('version');
    return { type: 'reqMarketDataType' as const, marketDataType: r.int('marketDataType') };
  },
  [IN.reqPositions]: versioned('reqPositions'),
  [IN.reqAccountSummary]: (r: Reader) => {
    r.text('version');
    return {
      type: 'reqAccountSummary' as const,
      reqId: r.int('reqId'),
      group: r.text('group'),
      tags: r.text('tags'),
    };
  },
  [IN.cancelAccountSummary]: versionedId('cancelAccountSummary'),
  [IN.cancelPositions]: versioned('cancelPositions'),
  [IN.queryDisplayGroups]: versionedId('queryDisplayGroups'),
  [IN.subscribeToGroupEvents]: (r: Reader) => {
    r.text('version');
    return { type: 'subscribeToGroupEvents' as const, reqId: r.int('reqId'), groupId: r.int('groupId') };
  },
  [IN.updateDisplayGroup]: (r: Reader) => {
    r.text('version');
    return {
      type: 'updateDisplayGroup' as const,
      reqId: r.int('reqId'),
      contractInfo: r.text('contractInfo'),
    };
  },
  [IN.unsubscribeFromGroupEvents]: versionedId('unsubscribeFromGroupEvents'),
  [IN.startApi]: (r: Reader) => {
    r.text('version');
    const clientId = r.int('clientId');
    r.text('optionalCapabilities');
    return { type: 'startApi' as const, clientId };
  },
  [IN.reqPositionsMulti]: (r: Reader) => {
    r.text('version');
    return {
      type: 'reqPositionsMulti' as const,
      reqId: r.int('reqId'),
      account: r.text('account'),
      modelCode: r.text('modelCode'),
    };
  },
  [IN.cancelPositionsMulti]: versionedId('cancelPositionsMulti'),
  [IN.reqAccountUpdatesMulti]: (r: Reader) => {
    r.text('version');
    return {
      type: 'reqAccountUpdatesMulti' as const,
      reqId: r.int('reqId'),
      account: r.text('account'),
      modelCode: r.text('modelCode'),
      ledgerAndNlv: r.bool('ledgerAndNLV'),
    };
  },
  [IN.cancelAccountUpdatesMulti]: versionedId('cancelAccountUpdatesMulti'),
  [IN.reqSecDefOptParams]: (r: Reader) => ({
    type: 'reqSecDefOptParams' as const,
    reqId: r.int('reqId'),
    underlyingSymbol: r.text('underlyingSymbol'),
    futFopExchange: r.text('futFopExchange'),
    underlyingSecType: r.text('underlyingSecType'),
    underlyingConId: r.int('underlyingConId'),
  }),
  [IN.reqSoftDollarTiers]: plainId('reqSoftDollarTiers'),
  [IN.reqFamilyCodes]: () => ({ type: 'reqFamilyCodes' as const }),
  [IN.reqMatchingSymbols]: (r: Reader) => ({
    type: 'reqMatchingSymbols' as const,
    reqId: r.int('reqId'),
    pattern: r.text('pattern'),
  }),
  [IN.reqMktDepthExchanges]: () => ({ type: 'reqMktDepthExchanges' as const }),
  [IN.reqSmartComponents]: (r: Reader) => ({
    type: 'reqSmartComponents' as const,
    reqId: r.int('reqId'),
    bboExchange: r.text('bboExchange'),
  }),
  [IN.reqNewsArticle]: (r: Reader) => {
    const reqId = r.int('reqId');
    r.rest();
    return { type: 'reqNewsArticle' as const, reqId };
  },
  [IN.reqNewsProviders]: () => ({ type: 'reqNewsProviders' as const }),
  [IN.reqHistoricalNews]: (r: Reader) => {
    const reqId = r.int('reqId');
    r.rest();
    return { type: 'reqHistoricalNews' as const, reqId };
  },
  [IN.reqHeadTimestamp]: (r: Reader) => ({
    type: 'reqHeadTimestamp' as const,
    reqId: r.int('reqId'),
    contract: readQuery(r),
    useRth: r.bool('useRTH'),
    whatToShow: r.text('whatToShow').toUpperCase(),
    formatDate: r.int('formatDate'),
  }),
  [IN.reqHistogramData]: (r: Reader) => ({
    type: 'reqHistogramData' as const,
    reqId: r.int('reqId'),
    contract: readQuery(r),
    useRth: r.bool('useRTH'),
    period: r.text('timePeriod'),
  }),
  [IN.cancelHistogramData]: plainId('cancelHistogramData'),
  [IN.cancelHeadTimestamp]: plainId('cancelHeadTimestamp'),
  [IN.reqMarketRule]: (r: Reader) => ({
    type: 'reqMarketRule' as const,
    marketRuleId: r.int('marketRuleId'),
  }),
  [IN.reqPnL]: (r: Reader) => ({
    type: 'reqPnL' as const,
    reqId: r.int('reqId'),
    account: r.text('account'),
    modelCode: r.text('modelCode'),
  }),
  [IN.cancelPnL]: plainId('cancelPnL'),
  [IN.reqPnLSingle]: (r: Reader) => ({
    type: 'reqPnLSingle' as const,
    reqId: r.int('reqId'),
    account: r.text('account'),
    modelCode: r.text('modelCode'),
    conId: r.int('conId'),
  }),
  [IN.cancelPnLSingle]: plainId('cancelPnLSingle'),
  [IN.reqHistoricalTicks]: (r: Reader) => {
    const reqId = r.int('reqId');
    const contract = readQuery(r);
    const startDateTime = r.text('startDateTime');
    const endDateTime = r.text('endDateTime');
    const numberOfTicks = r.int('numberOfTicks');
    const whatToShow = r.text('whatToShow').toUpperCase();
    const useRth = r.bool('useRth');
    const ignoreSize = r.bool('ignoreSize');
    r.text('miscOptions');
    return {
      type: 'reqHistoricalTicks' as const,
      reqId,
      contract,
      startDateTime,
      endDateTime,
      numberOfTicks,
      whatToShow,
      useRth,
      ignoreSize,
    };
  },
  [IN.reqTickByTickData]: (r: Reader) => ({
    type: 'reqTickByTickData' as const,
    reqId: r.int('reqId'),
    contract: readContract(r),
    tickType: r.text('tickType'),
    numberOfTicks: r.int('numberOfTicks'),
    ignoreSize: r.bool('ignoreSize'),
  }),
  [IN.cancelTickByTickData]: plainId('cancelTickByTickData'),
  [IN.reqCompletedOrders]: (r: Reader) => ({
    type: 'reqCompletedOrders' as const,
    apiOnly: r.bool('apiOnly'),
  }),
  [IN.reqWshMetaData]: plainId('reqWshMetaData'),
  [IN.cancelWshMetaData]: plainId('cancelWshMetaData'),
  [IN.reqWshEventData]: (r: Reader) => {
    const reqId = r.int('reqId');
    r.rest();
    return { type: 'reqWshEventData' as const, reqId };
  },
  [IN.cancelWshEventData]: plainId('cancelWshEventData'),
  [IN.reqUserInfo]: plainId('reqUserInfo'),
};

export type Request = ReturnType<(typeof decoders)[keyof typeof decoders]>;
/** One kind of request. */
export type RequestOf<T extends Request['type']> = Extract<Request, { readonly type: T }>;

const decoderOf = new Map<number, (r: Reader, context: RequestContext) => Request>(
  Object.entries(decoders).map(([id, decode]) => [Number(id), decode]),
);

/**
 * The request that these fields are, and how many fields it left unread (0 unless codec and client disagree).
 * Throws FieldError for a number that is no request and for fields that cannot be read.
 */
export function decodeRequest(
  fields: readonly string[],
  context: RequestContext,
): { readonly request: Request; readonly leftover: readonly string[] } {
  const id = Number(fields[0]);
  const decode = decoderOf.get(id);
  if (fields[0] === undefined || !/^\d+$/.test(fields[0]) || decode === undefined) {
    throw new FieldError(
      'message id',
      `"${(fields[0] ?? '').slice(0, 40)}" is not the number of any request`,
    );
  }
  const reader = new FieldReader(fields, 1);
  const request = decode(reader, context);
  const leftover = reader.rest();
  if (leftover.length > 0 && request.type === 'placeOrder') {
    const suspect =
      request.order.fields.scalePriceIncrement === undefined ? 'end of order' : 'scalePriceIncrement';
    throw new FieldError(suspect, `${leftover.length} fields are left over after the whole order was read`);
  }
  return { request, leftover };
}

/** A word for logs: the request's name and number. */
export const describeRequest = (fields: readonly string[]): string =>
  `${inName(Number(fields[0]))} (${fields.length} fields)`;
