/** What the exchange knows of a contract: its terms, its price grid and where its price comes from. */
import type { ComboLeg, Contract, PriceIncrement } from '../model.ts';
import type { SessionRule } from './calendar.ts';

/** Where the price of an instrument comes from. */
export type Driver =
  /** a random walk of its own */
  | { readonly type: 'own'; readonly base: number; readonly volatility: number }
  /** an index or commodity carried to expiry */
  | {
      readonly type: 'carried';
      readonly underlying: Instrument;
      readonly expiry: number;
      readonly rate: number;
    }
  | {
      readonly type: 'option';
      readonly underlying: Instrument;
      readonly expiry: number;
      readonly volatility: number;
    }
  | { readonly type: 'combo'; readonly legs: readonly PricedLeg[] };

export interface PricedLeg {
  readonly leg: ComboLeg;
  readonly instrument: Instrument;
}

export interface Instrument {
  /** complete, with its default exchange */
  readonly contract: Contract;
  readonly longName: string;
  readonly marketName: string;
  readonly exchanges: readonly string[];
  readonly ruleId: number;
  readonly minTick: number;
  readonly session: SessionRule;
  readonly driver: Driver;
  /** ms since the epoch after which the contract is gone; null = never */
  readonly expiresAt: number | null;
  readonly underlying: { readonly conId: number; readonly symbol: string; readonly secType: string } | null;
  readonly stockType: string;
  readonly industry: readonly [string, string, string];
  readonly isin: string;
  /** smallest size and step of size of orders */
  readonly sizeIncrement: number;
  /** unit of displayed sizes */
  readonly lot: number;
  /** usual displayed size in lots */
  readonly depthLots: number;
  readonly spreadTicks: number;
  readonly dailyVolume: number;
  /** initial margin per contract of a future, 0 otherwise */
  readonly futureMargin: number;
  readonly derivatives: readonly string[];
}

/** The price multiplier as a number. */
export function multiplierOf(contract: Contract): number {
  const multiplier = Number(contract.multiplier);
  return Number.isFinite(multiplier) && multiplier > 0 ? multiplier : 1;
}

const rules = new Map<number, readonly PriceIncrement[]>([
  [26, [{ lowEdge: 0, increment: 0.01 }]],
  [
    32,
    [
      { lowEdge: 0, increment: 0.01 },
      { lowEdge: 3, increment: 0.05 },
    ],
  ],
  [67, [{ lowEdge: 0, increment: 0.25 }]],
  [109, [{ lowEdge: 0, increment: 0.01 }]],
  [239, [{ lowEdge: 0, increment: 0.00005 }]],
  [240, [{ lowEdge: 0, increment: 0.005 }]],
  [32_000, [{ lowEdge: 0, increment: 0.1 }]],
  [
    1_740,
    [
      { lowEdge: 0, increment: 0.01 },
      { lowEdge: 100, increment: 0.02 },
      { lowEdge: 500, increment: 0.05 },
    ],
  ],
  [2_412, [{ lowEdge: 0, increment: 0.25 }]],
]);

/** The price grid of a market rule, ascending by lower edge; null when there is no such rule. */
export function marketRule(id: number): readonly PriceIncrement[] | null {
  return rules.get(id) ?? null;
}

/** The increment that holds at a price (of any sign). */
export function tickAt(instrument: Instrument, price: number): number {
  const bands = rules.get(instrument.ruleId);
  const size = Math.abs(price);
  let tick = instrument.minTick;
  if (bands !== undefined) for (const band of bands) if (size >= band.lowEdge - 1e-9) tick = band.increment;
  return tick;
}

/** A number without the noise of binary fractions. */
export function clean(value: number): number {
  return Math.round(value * 1e8) / 1e8;
}

export function roundToTick(instrument: Instrument, price: number): number {
  const tick = tickAt(instrument, price);
  return clean(Math.round(price / tick) * tick);
}

export function floorToTick(instrument: Instrument, price: number): number {
  const tick = tickAt(instrument, price);
  return clean(Math.floor(price / tick + 1e-6) * tick);
}

export function ceilToTick(instrument: Instrument, price: number): number {
  const tick = tickAt(instrument, price);
  return clean(Math.ceil(price / tick - 1e-6) * tick);
}

export function isOnGrid(instrument: Instrument, price: number): boolean {
  return Math.abs(roundToTick(instrument, price) - price) < 1e-7;
}
