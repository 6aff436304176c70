/** Limits that follow something else: a volatility, the stock of an option, another contract. */
import type { OrderRequest } from '../model.ts';
import type { Floor } from './floor.ts';
import type { Instrument } from './instruments.ts';
import { ceilToTick, clean, floorToTick } from './instruments.ts';
import { optionModel } from './optionModel.ts';
import type { WorkingOrder } from './workingOrder.ts';

const tradingDaysOfYear = 252;

/** A number among the terms that an order carries along; null when it was left out. */
function term(request: OrderRequest, name: string): number | null {
  const text = request.fields[name] ?? '';
  return text === '' ? null : Number(text);
}

/** What a following order lacks, `unsupported` for a contract that has no such orders; null when it can be priced or follows nothing. */
export function followingFault(request: OrderRequest, instrument: Instrument): string | null {
  const isOption = instrument.driver.type === 'option';
  const lacks = (...names: readonly string[]) => names.some((name) => !((term(request, name) ?? 0) > 0));
  switch (request.orderType) {
    case 'VOL':
      if (!isOption) return 'unsupported';
      return lacks('volatility') ? 'Missing volatility' : null;
    case 'PEG STK':
      if (!isOption) return 'unsupported';
      return lacks('startingPrice', 'stockRefPrice') || term(request, 'delta') === null
        ? 'Missing delta, starting price or stock reference price'
        : null;
    case 'PEG BENCH':
    case 'PEGBENCH':
      return lacks('startingPrice', 'stockRefPrice', 'referenceContractId', 'referenceChangeAmount')
        ? 'Missing starting price, reference contract, reference price or reference change amount'
        : null;
    default:
      return null;
  }
}

/** The contract whose price moves the limit, besides the order's own; null when there is none. */
export function leaderOf(order: WorkingOrder): number | null {
  const { request, instrument, kind } = order;
  if (kind.pricing !== 'followed') return null;
  if (instrument.driver.type === 'option') return instrument.driver.underlying.contract.conId;
  return term(request, 'referenceContractId');
}

/** The limit of a following order now, on the grid; null while it has none. */
export function followedLimit(order: WorkingOrder, floor: Floor): number | null {
  const { request, instrument, sign } = order;
  const price = exactLimit(order, floor);
  if (price === null || !(price > 0)) return null;
  const followed = sign === 1 ? floorToTick(instrument, price) : ceilToTick(instrument, price);
  const { lmtPrice } = request;
  if (lmtPrice === null || lmtPrice === 0) return followed;
  return sign === 1 ? Math.min(followed, lmtPrice) : Math.max(followed, lmtPrice);
}

function exactLimit(order: WorkingOrder, floor: Floor): number | null {
  const { request, instrument } = order;
  const number = (name: string) => term(request, name) ?? 0;
  if (request.orderType === 'VOL') {
    const days = number('volatilityType') === 1 ? tradingDaysOfYear : 1;
    const volatility = (number('volatility') / 100) * Math.sqrt(days);
    return optionModel(instrument, floor.market, floor.prices, floor.now(), { volatility })?.optPrice ?? null;
  }
  const leader = floor.directory.instrument(leaderOf(order) ?? 0);
  if (leader === null) return null;
  const reference = floor.market.mark(leader);
  const lower = term(request, 'stockRangeLower') ?? 0;
  const upper = term(request, 'stockRangeUpper') ?? Number.POSITIVE_INFINITY;
  if (reference < lower || (upper > 0 && reference > upper)) return null;
  const moved = reference - number('stockRefPrice');
  if (request.orderType === 'PEG STK')
    return clean(number('startingPrice') + (number('delta') / 100) * moved);
  const direction = ['1', 'true'].includes(request.fields.isPeggedChangeAmountDecrease ?? '') ? -1 : 1;
  const steps = moved / number('referenceChangeAmount');
  return clean(number('startingPrice') + direction * steps * number('peggedChangeAmount'));
}
