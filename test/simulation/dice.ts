/** Chance, one source for each purpose: switching a fault off leaves the draws of all others as they were. */
import { hashText } from '../../src/simulator/exchange/random.ts';
import { type Random, seededRandom } from '../../src/simulator/shuffle.ts';
import type { Chance } from './plan.ts';

export interface Dice {
  /** Whether a fault strikes this time. Counted. */
  strikes(chance: Chance): boolean;
  /** A whole number, both ends included. */
  between(purpose: string, low: number, high: number): number;
  oneOf<T>(purpose: string, items: readonly [T, ...T[]]): T;
  /** Nothing strikes any more. */
  calm(): void;
}

export function createDice(
  seed: number,
  rates: Readonly<Record<Chance, number>>,
  struck: (chance: Chance) => void,
): Dice {
  const sources = new Map<string, Random>();
  let isCalm = false;
  const draw = (purpose: string): number => {
    let source = sources.get(purpose);
    if (source === undefined) {
      source = seededRandom(hashText(`${seed} ${purpose}`));
      sources.set(purpose, source);
    }
    return source();
  };
  const between = (purpose: string, low: number, high: number): number =>
    low + Math.floor(draw(purpose) * (high - low + 1));
  return {
    strikes(chance) {
      const rate = rates[chance];
      if (isCalm || rate === 0 || draw(`? ${chance}`) >= rate) return false;
      struck(chance);
      return true;
    },
    between,
    oneOf: (purpose, items) => items[between(purpose, 0, items.length - 1)] ?? items[0],
    calm() {
      isCalm = true;
    },
  };
}
