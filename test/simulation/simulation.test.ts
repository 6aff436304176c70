import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createCoverage } from './coverage.ts';
import { planOf } from './plan.ts';
import { shrink } from './shrink.ts';
import { play } from './world.ts';

const seeds = 500;
/** Seeds that failed once, one in each line, with what they showed. */
const formerFailures = readFileSync(new URL('seeds.txt', import.meta.url), 'utf8')
  .split('\n')
  .flatMap((line) => /^\d+/.exec(line)?.[0] ?? [])
  .map(Number);

/** Empty when every law holds; otherwise the smallest story that breaks one. */
function story(seed: number): string {
  const plan = planOf(seed);
  const [failure] = play(plan, coverage).failures;
  if (failure === undefined) return '';
  const { run } = shrink(plan, failure.checker);
  return [`seed ${seed} breaks "${failure.checker}": ${failure.message}`, ...run.trace].join('\n');
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

  it('keeps every law where one was broken before', { timeout: 120_000 }, () => {
    expect(formerFailures.length).toBeGreaterThan(0);
    for (const seed of formerFailures) expect(story(seed)).toBe('');
  });

  it(`keeps every law in ${seeds} worlds`, { timeout: 240_000 }, () => {
    for (let seed = 0; seed < seeds; seed += 1) expect(story(seed)).toBe('');
  });

  it('has met orders in every open state, and every fault', () => {
    const summary = coverage.print();
    expect(coverage.untouched()).toEqual([]);
    expect(summary).toContain('pairs of word and state met');
  });
});
