/**
 * Plays many seeds: `node test/simulation/simulate.ts [--seeds 1000] [--from 0] [--workers 1] [--seed n] [--failures 3]
 * [--narrow] [--no-shrink] [--verbose]`. Failing seeds are shrunk and printed, `--failures` of them in each chunk of 25.
 * A seed gives the same history whatever it is played beside. Exit code 1 when any failed.
 */
import { parseArgs } from 'node:util';
import { createCoverage } from './coverage.ts';
import { planOfSeed, type Task, type TaskResult } from './players.ts';
import { playAll } from './threads.ts';
import { play } from './world.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '0' },
    workers: { type: 'string', default: '1' },
    seed: { type: 'string' },
    failures: { type: 'string', default: '3' },
    narrow: { type: 'boolean', default: false },
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

const seedsPerTask = 25;

const isNarrow = values.narrow;
const first = count('from', values.seed ?? values.from);
const seeds = values.seed === undefined ? count('seeds', values.seeds) : 1;
const workers = Math.min(count('workers', values.workers), 64);
let storiesLeft = values['no-shrink'] ? 0 : count('failures', values.failures);
const coverage = createCoverage();
const begun = performance.now();
const laws = new Map<string, number[]>();
let played = 0;
let failing = 0;
let cpuMs = 0;

function* tasks(): Generator<Task> {
  for (let from = first; from < first + seeds; from += seedsPerTask) {
    const left = Math.min(seedsPerTask, first + seeds - from);
    yield { first: from, count: left, isNarrow, shrinks: storiesLeft > 0 };
  }
}

function take(result: TaskResult): void {
  coverage.add(result.coverage);
  played += result.task.count;
  cpuMs += result.cpuMs;
  for (const { seed, failure, story } of result.failed) {
    failing += 1;
    laws.set(failure.checker, [...(laws.get(failure.checker) ?? []), seed]);
    out(`seed ${seed} breaks "${failure.checker}": ${failure.message}`);
    if (storiesLeft === 0) continue;
    storiesLeft -= 1;
    for (const line of story) out(`  ${line}`);
  }
  if (values.verbose && played % 1_000 < result.task.count) out(`${played} seeds, ${failing} failed`);
}

if (values.verbose && seeds === 1)
  for (const line of play(planOfSeed(first, isNarrow), createCoverage()).trace) out(line);

await playAll(tasks(), workers, take);

const seconds = (performance.now() - begun) / 1_000;
out(coverage.print());
out(
  `${seeds} seeds in ${seconds.toFixed(1)} s (${(cpuMs / seeds).toFixed(1)} ms of a core each), ${failing} failed`,
);
for (const [law, broken] of laws)
  out(`  ${law}: ${broken.slice(0, 20).join(' ')}${broken.length > 20 ? ` ... (${broken.length})` : ''}`);
process.exitCode = failing > 0 ? 1 : 0;
