import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createCoverage } from './coverage.ts';
import { planOfSeed, storyOf } from './players.ts';
import { planOf } from './widening.ts';
import { play } from './world.ts';

const seeds = 500;
/** Seeds that failed once, one in each line, with what they showed; `narrow` ones are played without what makes plans wide. */
const formerFailures = readFileSync(new URL('seeds.txt', import.meta.url), 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, seed, narrow] = /^(\d+)( narrow)?:/.exec(line) ?? [];
    return seed === undefined ? [] : [{ seed: Number(seed), isNarrow: narrow !== undefined }];
  });

/** Empty when every law holds; otherwise the smallest story that breaks one. */
function story(seed: number, isNarrow = false): string {
  const plan = planOfSeed(seed, isNarrow);
  for (const feature of plan.features) coverage.noteFault(feature);
  const [failure] = play(plan, coverage).failures;
  if (failure === undefined) return '';
  return [`seed ${seed} breaks "${failure.checker}": ${failure.message}`, ...storyOf(plan, failure)].join(
    '\n',
  );
}
const coverage = createCoverage();

describe('the whole tree, the venue and everything between them on one clock', () => {
  it('plays a seed the same way every time', () => {
    for (const seed of [3, 77, 1_234]) {
      const [one, other] = [play(planOf(seed), createCoverage()), play(planOf(seed), createCoverage())];
      expect(one.trace.length).toBeGreaterThan(50);
      expect(other.trace.join('\n')).toBe(one.trace.join('\n'));
    }
  });

  it('keeps every law where one was broken before', { timeout: 600_000 }, () => {
    expect(formerFailures.length).toBeGreaterThan(0);
    for (const { seed, isNarrow } of formerFailures) expect(story(seed, isNarrow)).toBe('');
  });

  it(`keeps every law in ${seeds} worlds`, { timeout: 900_000 }, () => {
    for (let seed = 0; seed < seeds; seed += 1) expect(story(seed)).toBe('');
  });

  it('has met orders in every open state, and every fault', () => {
    const summary = coverage.print();
    expect(coverage.untouched()).toEqual([]);
    expect(summary).not.toContain('met although it cannot happen');
  });
});
