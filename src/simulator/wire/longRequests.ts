/** The requests with many fields. Fields are named as in IB's API. */
import { readContract, readDataLegs, readQuery } from './contractFields.ts';
import type { FieldReader } from './fields.ts';

/** What a decoder needs to know about the connection that the request came on. */
export interface RequestContext {
  readonly version: number;
  readonly clientId: number;
}

type Reader = FieldReader;

export function readMktData(r: Reader) {
  r.text('version');
  const reqId = r.int('reqId');
  const contract = readDataLegs(r, readContract(r));
  if (r.bool('deltaNeutralContract')) {
    r.int('deltaNeutralContract.conId');
    r.double('deltaNeutralContract.delta');
    r.double('deltaNeutralContract.price');
  }
  const genericTickList = r.text('genericTickList');
  const snapshot = r.bool('snapshot');
  const regulatorySnapshot = r.bool('regulatorySnapshot');
  r.text('mktDataOptions');
  return { type: 'reqMktData' as const, reqId, contract, genericTickList, snapshot, regulatorySnapshot };
}

export function readHistoricalData(r: Reader) {
  const reqId = r.int('reqId');
  const query = readQuery(r);
  const endDateTime = r.text('endDateTime');
  const barSize = r.text('barSizeSetting');
  const duration = r.text('durationStr');
  const useRth = r.bool('useRTH');
  const whatToShow = r.text('whatToShow').toUpperCase();
  const formatDate = r.int('formatDate');
  const contract = readDataLegs(r, query);
  const keepUpToDate = r.bool('keepUpToDate');
  r.text('chartOptions');
  return {
    type: 'reqHistoricalData' as const,
    reqId,
    contract,
    includeExpired: query.includeExpired,
    endDateTime,
    barSize,
    duration,
    useRth,
    whatToShow,
    formatDate,
    keepUpToDate,
  };
}

export function readScanner(r: Reader) {
  const reqId = r.int('reqId');
  const numberOfRows = r.intOrNull('numberOfRows');
  const instrument = r.text('instrument');
  const locationCode = r.text('locationCode');
  const scanCode = r.text('scanCode');
  const abovePrice = r.doubleOrNull('abovePrice');
  const belowPrice = r.doubleOrNull('belowPrice');
  const aboveVolume = r.doubleOrNull('aboveVolume');
  for (const name of ['marketCapAbove', 'marketCapBelow']) r.doubleOrNull(name);
  for (const name of ['moodyRatingAbove', 'moodyRatingBelow', 'spRatingAbove', 'spRatingBelow']) r.text(name);
  for (const name of ['maturityDateAbove', 'maturityDateBelow']) r.text(name);
  for (const name of ['couponRateAbove', 'couponRateBelow']) r.doubleOrNull(name);
  r.bool('excludeConvertible');
  r.doubleOrNull('averageOptionVolumeAbove');
  for (const name of ['scannerSettingPairs', 'stockTypeFilter', 'filterOptions', 'subscriptionOptions'])
    r.text(name);
  return {
    type: 'reqScannerSubscription' as const,
    reqId,
    numberOfRows,
    instrument,
    locationCode,
    scanCode,
    abovePrice,
    belowPrice,
    aboveVolume,
  };
}

export function readCancelOrder(r: Reader, { version }: RequestContext) {
  if (version < 192) r.text('version');
  const orderId = r.int('orderId');
  const manualCancelTime = r.text('manualCancelTime');
  if (version >= 187 && version < 190) {
    r.text('extOperator');
    r.text('externalUserId');
    r.int('manualOrderIndicator');
  }
  if (version >= 192) {
    r.text('extOperator');
    r.int('manualOrderIndicator');
  }
  return { type: 'cancelOrder' as const, orderId, manualCancelTime };
}

export function readExercise(r: Reader, { version }: RequestContext) {
  r.text('version');
  const reqId = r.int('reqId');
  const contract = readContract(r, { primaryExchange: false });
  const action = r.int('exerciseAction');
  const quantity = r.int('exerciseQuantity');
  const account = r.text('account');
  const override = r.bool('override');
  if (version >= 180) r.text('manualOrderTime');
  if (version >= 183) r.text('customerAccount');
  if (version >= 184) r.bool('professionalCustomer');
  return { type: 'exerciseOptions' as const, reqId, contract, action, quantity, account, override };
}

export function readCalculation<T extends 'calculateImpliedVolatility' | 'calculateOptionPrice'>(
  r: Reader,
  type: T,
) {
  r.text('version');
  const reqId = r.int('reqId');
  const contract = readContract(r);
  const given = r.double(type === 'calculateImpliedVolatility' ? 'optionPrice' : 'volatility');
  const underPrice = r.double('underPrice');
  // Some clients send a count before the options, others only the text: nothing of it matters.
  r.rest();
  return { type, reqId, contract, given, underPrice };
}
