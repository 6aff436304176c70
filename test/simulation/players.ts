/** Plays seeds and says what came of them; `worker.ts` does it in a thread of its own. */
import { type Coverage, type CoverageFigures, createCoverage } from './coverage.ts';
import { narrowPlanOf, type Plan } from './plan.ts';
import { shrink } from './shrink.ts';
import { planOf } from './widening.ts';
import { type Failure, play } from './world.ts';

/** A piece of work: seeds from `first` on. */
export interface Task {
  readonly first: number;
  readonly count: number;
  readonly isNarrow: boolean;
  readonly shrinks: boolean;
}

export interface FailedSeed {
  readonly seed: number;
  readonly failure: Failure;
  /** for people; empty when it was not to be shrunk */
  readonly story: readonly string[];
}

export interface TaskResult {
  readonly task: Task;
  readonly failed: readonly FailedSeed[];
  readonly coverage: CoverageFigures;
  readonly cpuMs: number;
}

/** The plan of a seed: the same at every call. */
export const planOfSeed = (seed: number, isNarrow: boolean): Plan =>
  isNarrow ? narrowPlanOf(seed) : planOf(seed);

export function playTask(task: Task): TaskResult {
  const coverage = createCoverage();
  const failed: FailedSeed[] = [];
  const begun = process.threadCpuUsage();
  for (let seed = task.first; seed < task.first + task.count; seed += 1) {
    const plan = planOfSeed(seed, task.isNarrow);
    const [failure] = playCounted(plan, coverage);
    if (failure === undefined) continue;
    failed.push({ seed, failure, story: task.shrinks ? storyOf(plan, failure) : [] });
  }
  const { user, system } = process.threadCpuUsage(begun);
  return { task, failed, coverage: coverage.figures(), cpuMs: (user + system) / 1_000 };
}

function playCounted(plan: Plan, coverage: Coverage): readonly Failure[] {
  for (const feature of plan.features) coverage.noteFault(feature);
  return play(plan, coverage).failures;
}

/** The smallest history that breaks the same law. */
export function storyOf(plan: Plan, { checker }: Failure): readonly string[] {
  const { plan: small, run, plays } = shrink(plan, checker);
  const faults = Object.entries(small.chances).filter(([, rate]) => rate > 0);
  return [
    `after ${plays} plays: ${small.steps.length} of ${plan.steps.length} steps, ${faults.length} chances`,
    ...faults.map(([name, rate]) => `${name} ${rate.toFixed(3)}`),
    ...run.trace,
  ];
}
