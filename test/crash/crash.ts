/** `npm run crash`: kills the program as often as asked, at every point in turn and at random instants, and compares the books. */
import { parseArgs } from 'node:util';
import { seededRandom } from '../../src/simulator/shuffle.ts';
import { startProgram, temporaryFolder } from '../program.ts';
import { points } from './points.ts';
import { createWorld, type Death } from './world.ts';

export interface CrashOptions {
  /** how many kills */
  readonly runs: number;
  readonly seed: number;
  /** worlds that live side by side */
  readonly slots: number;
  /** kills between two comparisons of the books */
  readonly perComparison: number;
  /** comparisons before a world is given up for a new one */
  readonly comparisonsPerWorld: number;
  readonly log: (line: string) => void;
}

export interface CrashReport {
  readonly kills: number;
  /** at the point that was named */
  readonly atPoints: number;
  readonly atRandom: number;
  /** points that were armed and never passed in that life: killed from outside instead */
  readonly missed: readonly string[];
  readonly comparisons: number;
  readonly failures: readonly {
    readonly seed: number;
    readonly problem: string;
    readonly steps: readonly string[];
  }[];
}

/** Every point once, then random instants and points, alternating. The same seed gives the same deaths. */
export function deaths(runs: number, seed: number): readonly Death[] {
  const random = seededRandom(seed);
  return Array.from({ length: runs }, (_, index): Death => {
    const point = points[index];
    if (point !== undefined) return { at: point };
    if (random() < 0.4) {
      const at = points[Math.floor(random() * points.length)] ?? '';
      return { at: at.includes('#') || random() < 0.5 ? at : `${at}#${1 + Math.floor(random() * 6)}` };
    }
    return random() < 0.25
      ? { afterMs: -1 - Math.floor(random() * 500) }
      : { afterMs: Math.floor(random() ** 2 * 600) };
  });
}

export async function crash(options: CrashOptions): Promise<CrashReport> {
  const { runs, seed, slots, perComparison, comparisonsPerWorld, log } = options;
  const all = deaths(runs, seed);
  const perWorld = perComparison * comparisonsPerWorld;
  const worlds = Array.from({ length: Math.ceil(all.length / perWorld) }, (_, index) =>
    all.slice(index * perWorld, (index + 1) * perWorld),
  );
  let [kills, atPoints, atRandom, comparisons] = [0, 0, 0, 0];
  const missed: string[] = [];
  const failures: CrashReport['failures'][number][] = [];

  async function inhabit(fates: readonly Death[], worldSeed: number): Promise<void> {
    const world = await createWorld(worldSeed, cache.path);
    try {
      for (const [index, death] of fates.entries()) {
        const met = await world.live(death);
        kills += 1;
        if (!('at' in death)) atRandom += 1;
        else if (met) atPoints += 1;
        else missed.push(death.at);
        if ((index + 1) % perComparison !== 0 && index + 1 < fates.length) continue;
        await world.settle();
        comparisons += 1;
        log(`seed ${worldSeed}: ${index + 1} kills, the books agree (${kills} of ${all.length} in all)`);
      }
    } catch (error) {
      const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log(`seed ${worldSeed}: ${problem}`);
      failures.push({ seed: worldSeed, problem, steps: [...world.steps, ...world.log()] });
    } finally {
      await world.close();
    }
  }

  const cache = await compiled();
  const waiting = [...worlds.entries()];
  await Promise.all(
    Array.from({ length: slots }, async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) await inhabit(next[1], seed + next[0]);
    }),
  );
  cache.remove();
  return { kills, atPoints, atRandom, missed, comparisons, failures };
}

/** The program's modules as one that ends in order leaves them; one that is killed leaves nothing. */
async function compiled(): Promise<ReturnType<typeof temporaryFolder>> {
  const folder = temporaryFolder();
  const environment = { GATEWAY: 'tws', TWS_PORT: '1', NODE_COMPILE_CACHE: folder.path };
  const program = await startProgram(folder.path, environment);
  await program.stop();
  return folder;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '300' },
      seed: { type: 'string', default: '1' },
      slots: { type: 'string', default: '2' },
    },
  });
  const [runs, seed, slots] = [Number(values.runs), Number(values.seed), Number(values.slots)];
  if (![runs, seed, slots].every((value) => Number.isSafeInteger(value) && value > 0))
    throw new RangeError('--runs, --seed and --slots must be whole numbers above 0');
  const report = await crash({
    runs,
    seed,
    slots,
    // A comparison settles doubts: none may come between a death and the next that needs its doubt.
    perComparison: 6,
    comparisonsPerWorld: 3,
    log: (line) => process.stdout.write(`${line}\n`),
  });
  for (const { seed: failed, problem, steps } of report.failures)
    process.stdout.write(`\nFAILED with seed ${failed}\n${problem}\n  ${steps.join('\n  ')}\n`);
  const { kills, atPoints, atRandom, missed, comparisons, failures } = report;
  process.stdout.write(
    `\n${kills} kills: ${atPoints} at named points, ${atRandom} at random instants, ${missed.length} at a point that was not passed\n` +
      `${comparisons} comparisons of the books, ${failures.length} failed\n`,
  );
  if (missed.length > 0) process.stdout.write(`not passed: ${missed.join('; ')}\n`);
  // Not by running dry: Node can wait for ever for a request to a process that is gone.
  process.exit(failures.length > 0 ? 1 : 0);
}

if (import.meta.main) await main();
