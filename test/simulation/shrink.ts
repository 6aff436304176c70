/** Makes a failing plan small: the same law is still broken, with fewer steps and fewer faults. */
import { createCoverage } from './coverage.ts';
import { chances, type Plan } from './plan.ts';
import { play, type Run } from './world.ts';

/** Plays of the shrinker for one failing seed. */
export const shrinkPlaysMax = 300;

export interface Shrunk {
  readonly plan: Plan;
  readonly run: Run;
  readonly plays: number;
}

export function shrink(plan: Plan, checker: string): Shrunk {
  const coverage = createCoverage();
  let plays = 0;
  let best = plan;
  const breaks = (candidate: Plan): boolean => {
    if (plays >= shrinkPlaysMax) return false;
    plays += 1;
    return play(candidate, coverage).failures.some((failure) => failure.checker === checker);
  };
  const improve = (candidate: Plan): boolean => {
    if (!breaks(candidate)) return false;
    best = candidate;
    return true;
  };

  improve({ ...best, ending: 'leave' });
  for (const name of chances) {
    if (best.chances[name] > 0) improve({ ...best, chances: { ...best.chances, [name]: 0 } });
  }
  for (let size = Math.ceil(best.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < best.steps.length; ) {
      const steps = [...best.steps.slice(0, from), ...best.steps.slice(from + size)];
      if (!improve({ ...best, steps })) from += size;
    }
  }
  const last = best.steps.at(-1)?.at ?? 0;
  improve({ ...best, faultsEndAt: last + 2_000 });
  return { plan: best, run: play(best, coverage), plays };
}
