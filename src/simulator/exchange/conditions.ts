/** Conditions of conditional orders, judged against the market and the clock. */
import type { OrderCondition, QuoteSnapshot } from '../model.ts';
import { orderTime } from './terms.ts';

export interface ConditionWorld {
  readonly now: number;
  quote(conId: number): QuoteSnapshot | null;
  /** margin cushion of the account, percent */
  cushionPercent(): number;
  /** an execution in this symbol happened after the order was placed */
  hasExecuted(symbol: string, secType: string): boolean;
}

/** IB joins conditions from left to right: each one's conjunction binds it to the next. */
export function areConditionsMet(conditions: readonly OrderCondition[], world: ConditionWorld): boolean {
  let result: boolean | null = null;
  let conjunction: 'a' | 'o' = 'a';
  for (const condition of conditions) {
    const met = isConditionMet(condition, world);
    if (result === null) result = met;
    else result = conjunction === 'a' ? result && met : result || met;
    conjunction = condition.conjunction;
  }
  return result ?? true;
}

function isConditionMet(condition: OrderCondition, world: ConditionWorld): boolean {
  const compare = (value: number, bound: number) =>
    condition.isMore === true ? value >= bound : value <= bound;
  const quote = condition.conId === undefined ? null : world.quote(condition.conId);
  switch (condition.type) {
    case 1: {
      if (quote === null || condition.price === undefined) return false;
      const price = quote.last === -1 ? (quote.bid + quote.ask) / 2 : quote.last;
      return compare(price, condition.price);
    }
    case 3: {
      const time = orderTime(condition.time ?? '', world.now);
      return time !== null && compare(world.now, time);
    }
    case 4:
      return compare(world.cushionPercent(), condition.percent ?? 0);
    case 5:
      return world.hasExecuted(condition.symbol ?? '', condition.secType ?? '');
    case 6:
      return quote !== null && compare(quote.volume, condition.volume ?? 0);
    case 7: {
      if (quote === null || quote.close === 0) return false;
      return compare((100 * (quote.last - quote.close)) / quote.close, condition.percent ?? 0);
    }
    default:
      return false;
  }
}

/** The next moment at which a time condition may turn true; null when none can. */
export function nextConditionTime(conditions: readonly OrderCondition[], now: number): number | null {
  let next: number | null = null;
  for (const condition of conditions) {
    if (condition.type !== 3) continue;
    const time = orderTime(condition.time ?? '', now);
    if (time !== null && time > now && (next === null || time < next)) next = time;
  }
  return next;
}

/** Contracts whose quotes the conditions look at. */
export function watchedBy(conditions: readonly OrderCondition[]): readonly number[] {
  return conditions.flatMap(({ conId }) => (conId === undefined || conId === 0 ? [] : [conId]));
}
