/** Limits on the single legs of a combination order. */
import type { OrderRequest, QuoteSnapshot } from '../model.ts';
import type { Instrument, PricedLeg } from './instruments.ts';
import { clean, roundToTick } from './instruments.ts';
import type { WorkingOrder } from './workingOrder.ts';

type Quotes = (instrument: Instrument) => QuoteSnapshot;

const direction = (action: string): 1 | -1 => (action === 'BUY' ? 1 : -1);

/** The limit of a leg as the client stated it, null for none. */
export function legLimit(request: OrderRequest, conId: number): number | null {
  const index = request.contract.comboLegs.findIndex((leg) => leg.conId === conId);
  return request.orderComboLegPrices[index] ?? null;
}

/** The limit of the whole that the limits of all its legs make; null unless every leg has one. */
export function limitOfLegs(request: OrderRequest, instrument: Instrument): number | null {
  if (instrument.driver.type !== 'combo' || request.orderComboLegPrices.length === 0) return null;
  let sum = 0;
  for (const { leg } of instrument.driver.legs) {
    const limit = legLimit(request, leg.conId);
    if (limit === null) return null;
    sum += direction(leg.action) * leg.ratio * limit;
  }
  return clean(sum);
}

/** Whether the market offers every leg within its limit. */
export function areLegLimitsMet(order: WorkingOrder, quotes: Quotes): boolean {
  const { driver } = order.instrument;
  if (driver.type !== 'combo') return true;
  return driver.legs.every(({ leg, instrument }) => {
    const limit = legLimit(order.request, leg.conId);
    if (limit === null) return true;
    const sign = order.sign * direction(leg.action);
    const { bid, ask } = quotes(instrument);
    return sign * ((sign === 1 ? ask : bid) - limit) <= 1e-9;
  });
}

/** The prices of the legs in a fill of the whole at `price`: they add up to it, and none is beyond its limit. */
export function pricesWithinLimits(
  order: WorkingOrder,
  legs: readonly PricedLeg[],
  price: number,
  quotes: Quotes,
): number[] {
  const priced = legs.map(({ leg, instrument }) => {
    const sign = (order.sign * direction(leg.action)) as 1 | -1;
    const { bid, ask } = quotes(instrument);
    return { leg, instrument, sign, price: sign === 1 ? ask : bid };
  });
  const cost = priced.reduce((sum, each) => sum + each.sign * each.leg.ratio * each.price, 0);
  let gap = order.sign * price - cost;
  for (const each of gap > 0 ? priced : []) {
    const limit = legLimit(order.request, each.leg.conId);
    const room = limit === null ? gap : Math.max(0, each.sign * (limit - each.price)) * each.leg.ratio;
    const part = Math.min(room, gap);
    each.price += (each.sign * part) / each.leg.ratio;
    gap -= part;
  }
  const widest = priced.reduce((best, each) => (each.price > best.price ? each : best));
  if (gap < 0) {
    const better = widest.price + (widest.sign * gap) / widest.leg.ratio;
    widest.price = Math.max(widest.instrument.minTick, better);
  }
  return priced.map((each) => roundToTick(each.instrument, each.price));
}
