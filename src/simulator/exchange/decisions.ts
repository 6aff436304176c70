/** What the state of the market means for one order: is it triggered, what is its limit, what could it trade now. */
import type { QuoteSnapshot } from '../model.ts';
import { levelPrice, levelSize } from './depth.ts';
import type { Instrument } from './instruments.ts';
import { ceilToTick, clean, floorToTick } from './instruments.ts';
import type { Cell } from './market.ts';
import { statedLimit } from './terms.ts';
import type { WorkingOrder } from './workingOrder.ts';

const sweepLevels = 10;

export interface Slice {
  readonly price: number;
  readonly size: number;
  /** 1 added, 2 removed liquidity */
  readonly liquidity: 1 | 2;
}

/** The price that triggers stops: the last trade, or the side that the order would hit where nothing is printed. */
function triggerPrice(order: WorkingOrder, quote: QuoteSnapshot): number {
  const side = order.sign === 1 ? quote.ask : quote.bid;
  const method = Number(order.request.fields.triggerMethod ?? 0);
  const { secType } = order.instrument.contract;
  if (method === 8) return (quote.bid + quote.ask) / 2;
  if (method === 1 || method === 4) return side;
  if (method === 0 && (secType === 'OPT' || secType === 'CASH' || secType === 'CRYPTO')) return side;
  return quote.last === -1 ? side : quote.last;
}

/** Moves a trailing stop after the market, never back. */
export function advanceTrail(order: WorkingOrder, quote: QuoteSnapshot): void {
  if (order.kind.trigger !== 'trail' || order.isTriggered) return;
  const { auxPrice, trailingPercent, trailStopPrice } = order.request;
  const reference = triggerPrice(order, quote);
  const distance = (trailingPercent ?? 0) > 0 ? (reference * (trailingPercent ?? 0)) / 100 : (auxPrice ?? 0);
  const wanted =
    order.sign === 1
      ? ceilToTick(order.instrument, reference + distance)
      : floorToTick(order.instrument, reference - distance);
  if (order.trailStop === null) order.trailStop = trailStopPrice ?? wanted;
  const { lmtPrice, lmtPriceOffset } = order.request;
  order.trailOffset ??=
    lmtPriceOffset ?? (lmtPrice === null ? null : order.sign * (lmtPrice - order.trailStop));
  order.trailStop = order.sign === 1 ? Math.min(order.trailStop, wanted) : Math.max(order.trailStop, wanted);
}

/** Whether the trigger of a stop, touched or trailing order has been reached. */
export function isTriggerReached(order: WorkingOrder, quote: QuoteSnapshot): boolean {
  if (order.kind.trigger === 'none' || order.isTriggered) return true;
  const price = triggerPrice(order, quote);
  if (price === -1) return false;
  const level = order.kind.trigger === 'trail' ? order.trailStop : order.request.auxPrice;
  if (level === null) return false;
  const rising = (order.kind.trigger === 'touch') !== (order.sign === 1);
  return rising ? price >= level : price <= level;
}

/** The limit of a trailing limit order once its stop has been reached. */
export function trailingLimit(order: WorkingOrder): number | null {
  const { trailOffset, trailStop } = order;
  if (trailOffset === null || trailStop === null) return order.request.lmtPrice;
  return order.sign === 1
    ? floorToTick(order.instrument, trailStop + trailOffset)
    : ceilToTick(order.instrument, trailStop - trailOffset);
}

function better(sign: 1 | -1, left: number, right: number | null): number {
  if (right === null) return left;
  return sign === 1 ? Math.min(left, right) : Math.max(left, right);
}

/** The worst price that an order accepts now; null = any. */
export function limitNow(order: WorkingOrder, quote: QuoteSnapshot): number | null {
  if (order.wonLimit !== null) return order.wonLimit;
  const stated = statedLimit(order.request, order.kind, order.instrument);
  const passive = (price: number) =>
    order.sign === 1 ? floorToTick(order.instrument, price) : ceilToTick(order.instrument, price);
  switch (order.kind.pricing) {
    case 'market':
    case 'marketToLimit':
      return null;
    case 'limit':
    case 'followed':
      return stated;
    case 'mid':
      return better(order.sign, passive((quote.bid + quote.ask) / 2), stated);
    case 'relative': {
      const { auxPrice, percentOffset } = order.request;
      const mid = (quote.bid + quote.ask) / 2;
      const offset = (percentOffset ?? 0) > 0 ? mid * (percentOffset ?? 0) : (auxPrice ?? 0);
      const pegged = order.sign === 1 ? quote.bid + offset : quote.ask - offset;
      return better(order.sign, passive(pegged), stated);
    }
  }
}

function hasSide(instrument: Instrument, price: number, size: number): boolean {
  if (size <= 0) return false;
  return instrument.contract.secType === 'BAG' || price > 0;
}

/**
 * What an order of this size could trade against the displayed market, best first.
 * `liquidityCap`: at most this many shares per state of the quote, 0 = no such limit.
 */
export function tradable(
  order: WorkingOrder,
  cell: Cell,
  want: number,
  isPinned: boolean,
  seed: number,
  liquidityCap: number,
): readonly Slice[] {
  const { quote, raw } = cell;
  const { instrument, sign } = order;
  const best = sign === 1 ? quote.ask : quote.bid;
  const displayed = sign === 1 ? quote.askSize : quote.bidSize;
  if (!hasSide(instrument, best, displayed)) return [];
  const taken = sign === 1 ? cell.takenAsk : cell.takenBid;
  const limit = limitNow(order, quote);
  const room = liquidityCap > 0 ? Math.max(0, liquidityCap - taken) : Number.POSITIVE_INFINITY;
  let left = Math.min(want, room);

  const pegged = order.kind.pricing === 'mid' || order.kind.pricing === 'relative';
  if (pegged && order.wonLimit === null && limit !== null) {
    const isFair =
      order.kind.pricing === 'mid'
        ? Math.abs(limit - (quote.bid + quote.ask) / 2) <= (quote.ask - quote.bid) / 2 - 1e-9 ||
          sign * (limit - best) >= -1e-9
        : raw.traded && sign * (limit - quote.last) >= -1e-9;
    if (!isFair && sign * (limit - best) < -1e-9) return [];
    const size = clean(Math.min(left, Math.max(0, displayed - taken)));
    return size > 0 ? [{ price: limit, size, liquidity: 1 }] : [];
  }

  if (limit !== null && sign * (best - limit) > 1e-9) return [];
  if (order.isResting && limit !== null) {
    const size = clean(Math.min(left, Math.max(0, displayed - taken)));
    return size > 0 ? [{ price: limit, size, liquidity: 1 }] : [];
  }
  const slices: Slice[] = [];
  let skip = taken;
  for (let index = 0; index < (isPinned ? 1 : sweepLevels) && left > 0; index++) {
    const price = levelPrice(instrument, raw, sign === 1 ? 0 : 1, index);
    if (!hasSide(instrument, price, 1) || (limit !== null && sign * (price - limit) > 1e-9)) break;
    const size = index === 0 ? displayed : levelSize(instrument, seed, price, raw.lastTime);
    const free = Math.max(0, size - skip);
    skip = Math.max(0, skip - size);
    const part = clean(Math.min(left, free));
    if (part <= 0) continue;
    slices.push({ price, size: part, liquidity: 2 });
    left = clean(left - part);
  }
  return slices;
}
