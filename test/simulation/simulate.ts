/**
 * Plays many seeds: `node test/simulation/simulate.ts [--seeds 1000] [--from 0] [--seed n] [--failures 3] [--verbose]`.
 * Each failing seed is shrunk and printed. Exit code 1 when any failed.
 */
import { parseArgs } from 'node:util';
import { createCoverage } from './coverage.ts';
import { planOf } from './plan.ts';
import { shrink } from './shrink.ts';
import { play } from './world.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string' },
    failures: { type: 'string', default: '3' },
    verbose: { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
  },
});
const out = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
const count = (name: string, text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    process.stderr.write(`--${name} must be a whole number, not "${text}"\n`);
    process.exit(2);
  }
  return value;
};

const first = count('from', values.seed ?? values.from);
const seeds = values.seed === undefined ? count('seeds', values.seeds) : 1;
const failuresMax = count('failures', values.failures);
const coverage = createCoverage();
const begun = performance.now();
const failing: number[] = [];
const laws = new Map<string, number[]>();

for (let seed = first; seed < first + seeds; seed += 1) {
  const plan = planOf(seed);
  const run = play(plan, coverage);
  if (values.verbose && seeds === 1) for (const line of run.trace) out(line);
  else if (values.verbose && (seed + 1) % 1_000 === 0)
    out(`${seed + 1 - first} seeds, ${failing.length} failed`);
  const [failure] = run.failures;
  if (failure === undefined) continue;
  failing.push(seed);
  laws.set(failure.checker, [...(laws.get(failure.checker) ?? []), seed]);
  out(`seed ${seed} breaks "${failure.checker}": ${failure.message}`);
  if (failing.length > failuresMax || values['no-shrink']) continue;
  const shrunk = shrink(plan, failure.checker);
  const { steps, chances } = shrunk.plan;
  const faults = Object.entries(chances).filter(([, rate]) => rate > 0);
  out(
    `  after ${shrunk.plays} plays: ${steps.length} of ${plan.steps.length} steps, ${faults.length} chances`,
  );
  for (const [name, rate] of faults) out(`  ${name} ${rate.toFixed(3)}`);
  for (const line of shrunk.run.trace) out(`  ${line}`);
}

const seconds = (performance.now() - begun) / 1_000;
out(coverage.print());
out(
  `${seeds} seeds in ${seconds.toFixed(1)} s (${((seconds * 1_000) / seeds).toFixed(1)} ms each), ${failing.length} failed`,
);
for (const [law, broken] of laws)
  out(`  ${law}: ${broken.slice(0, 20).join(' ')}${broken.length > 20 ? ' ...' : ''}`);
process.exitCode = failing.length > 0 ? 1 : 0;
