/** What TWS checks about the terms of an order before it enters the book. */
import type { OrderRequest } from '../model.ts';
import { followingFault } from './followed.ts';
import type { Instrument } from './instruments.ts';
import { isOnGrid } from './instruments.ts';
import { legLimit, limitOfLegs } from './legPrices.ts';
import type { OrderKind } from './orderKinds.ts';
import { orderKind, timesInForce } from './orderKinds.ts';
import { dayText, localDay, parseTime } from './zones.ts';

export interface Refusal {
  readonly code: number;
  readonly text: string;
}

const unsupported: Refusal = {
  code: 387,
  text: 'Unsupported order type for this exchange and security type.',
};
const homeZone = 'US/Eastern';

export function invalid(cause: string): Refusal {
  return { code: 321, text: `Error validating request.-'bW' : cause - ${cause}` };
}

/** A date-time of an order; the date may be missing and is today's then. */
export function orderTime(text: string, now: number): number | null {
  const full = /^\d{1,2}:/.test(text) ? `${dayText(localDay(homeZone, now))} ${text}` : text;
  return parseTime(full, homeZone);
}

/** The limit that an order must respect, null when it has none. IB's clients send 0 for "none" outside combos. */
export function statedLimit(request: OrderRequest, kind: OrderKind, instrument: Instrument): number | null {
  if (kind.pricing === 'market' || kind.pricing === 'marketToLimit') return null;
  const ofLegs = limitOfLegs(request, instrument);
  if (request.lmtPrice === null) return ofLegs;
  if (ofLegs !== null)
    return request.action === 'BUY' ? Math.min(request.lmtPrice, ofLegs) : Math.max(request.lmtPrice, ofLegs);
  if (request.lmtPrice === 0 && (instrument.contract.secType !== 'BAG' || kind.pricing !== 'limit'))
    return null;
  return request.lmtPrice;
}

/** The first thing wrong with an order, or null. */
export function findFault(request: OrderRequest, instrument: Instrument, now: number): Refusal | null {
  const { secType } = instrument.contract;
  if (secType === 'IND')
    return {
      code: 203,
      text: `The security ${instrument.contract.symbol} ${secType} is not available or allowed for this account.`,
    };
  if (!['BUY', 'SELL', 'SSHORT'].includes(request.action))
    return invalid(`Invalid action '${request.action}'`);
  const kind = orderKind(request.orderType);
  if (kind === null) return unsupported;
  const tif = request.tif === '' ? 'DAY' : request.tif;
  if (!timesInForce.has(tif)) return invalid(`Invalid time in force '${request.tif}'`);
  if (tif === 'AUC' && request.orderType !== 'LMT' && request.orderType !== 'MTL')
    return invalid('Time in force AUC is for LMT and MTL orders');
  return (
    hedgeFault(request, instrument) ??
    sizeFault(request, instrument) ??
    priceFault(request, kind, instrument) ??
    timeFault(request, tif, now)
  );
}

/** The size of a currency hedge is that of its parent in the other currency, so it has none of its own. */
export function isCurrencyHedge(request: OrderRequest): boolean {
  return request.fields.hedgeType === 'F';
}

function hedgeFault(request: OrderRequest, instrument: Instrument): Refusal | null {
  const { hedgeType = '' } = request.fields;
  if (hedgeType === '') return null;
  if (request.parentId === 0) return invalid('A hedge order must have a parent order');
  if (!isCurrencyHedge(request)) return null;
  if (instrument.contract.secType !== 'CASH') return invalid('An FX hedge order must be for a currency pair');
  return request.totalQuantity === 0 ? null : invalid('FX hedge orders can only have quantity 0');
}

function sizeFault(request: OrderRequest, instrument: Instrument): Refusal | null {
  const { secType } = instrument.contract;
  const { totalQuantity, cashQty, minQty, displaySize } = request;
  if (isCurrencyHedge(request)) return null;
  if (cashQty !== null && cashQty > 0) {
    if (!['CASH', 'CRYPTO', 'STK', 'FUND'].includes(secType))
      return { code: 10244, text: 'Cash Quantity order parameters cannot be specified for this contract.' };
    if (totalQuantity === 0) return null;
  }
  if (!(totalQuantity > 0) || !Number.isFinite(totalQuantity))
    return invalid('The order size cannot be zero or negative');
  if (instrument.sizeIncrement >= 1 && !Number.isInteger(totalQuantity))
    return { code: 10243, text: 'Fractional-sized order cannot be placed via API.' };
  if (minQty !== null && minQty > totalQuantity)
    return invalid('The minimum quantity must not exceed the order size');
  if (displaySize !== null && displaySize < 0) return invalid('The display size must not be negative');
  return null;
}

function priceFault(request: OrderRequest, kind: OrderKind, instrument: Instrument): Refusal | null {
  const { secType } = instrument.contract;
  const { lmtPrice, auxPrice, trailingPercent, trailStopPrice } = request;
  if (kind.pricing === 'limit' && kind.trigger !== 'trail' && secType !== 'BAG' && !(lmtPrice ?? 0))
    return invalid('Missing limit price');
  const following = followingFault(request, instrument);
  if (following !== null) return following === 'unsupported' ? unsupported : invalid(following);
  if (kind.pricing === 'limit' && kind.trigger === 'none' && statedLimit(request, kind, instrument) === null)
    return invalid('Missing limit price');
  if (kind.pricing === 'limit' && (lmtPrice ?? 0) < 0 && secType !== 'BAG')
    return invalid('The limit price must not be negative');
  if ((kind.trigger === 'stop' || kind.trigger === 'touch') && (auxPrice === null || auxPrice === 0))
    return invalid('Missing stop price');
  if (kind.trigger === 'trail' && !((auxPrice ?? 0) > 0) && !((trailingPercent ?? 0) > 0))
    return invalid('Missing trailing amount or percent');
  const prices: (number | null)[] = [statedLimit(request, kind, instrument), trailStopPrice];
  if (kind.trigger === 'stop' || kind.trigger === 'touch') prices.push(auxPrice);
  const isOff = prices.some((price) => price !== null && !isOnGrid(instrument, price));
  if (!isOff && areLegsOnGrid(request, instrument)) return null;
  return {
    code: 110,
    text: 'The price does not conform to the minimum price variation for this contract.',
  };
}

function areLegsOnGrid(request: OrderRequest, { driver }: Instrument): boolean {
  if (driver.type !== 'combo') return true;
  return driver.legs.every(({ leg, instrument }) => {
    const limit = legLimit(request, leg.conId);
    return limit === null || isOnGrid(instrument, limit);
  });
}

function timeFault(request: OrderRequest, tif: string, now: number): Refusal | null {
  const badTime: Refusal = {
    code: 343,
    text: 'The date, time, or time-zone entered is invalid. The correct format is yyyymmdd hh:mm:ss xxx where yyyymmdd and xxx are optional.',
  };
  if (request.goodAfterTime !== '' && orderTime(request.goodAfterTime, now) === null) return badTime;
  if (tif === 'GTD') {
    if (request.goodTillDate === '') return invalid('A GTD order needs a good-till date');
    const until = orderTime(request.goodTillDate, now);
    if (until === null) return badTime;
    if (until <= now)
      return { code: 201, text: 'Order rejected - reason:The good-till date is in the past.' };
  }
  for (const condition of request.conditions)
    if (condition.type === 3 && orderTime(condition.time ?? '', now) === null) return badTime;
  return null;
}
