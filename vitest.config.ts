import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take longest. Begun last, one of them would run on alone while the other workers rest. */
const longest = [
  'simulation/simulation',
  'crash/crash',
  'journal/trouble',
  'fuzz/http',
  'bench/bench',
  'fuzz/tws',
  'one-list-is-never-answered',
  'test/withdrawal',
  'message-rate-exceeded',
  'journal/damage',
  'client-id-is-still-in-use',
  'test/api.promises',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const place = longest.findIndex((name) => moduleId.includes(`${name}.test.ts`));
      return place < 0 ? longest.length : place;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    // Most of the scenarios wait for the product's own deadlines: two cores carry more than two files.
    maxWorkers: 4,
    // What a file leaves behind in its process would be a leak: the next file finds it.
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Programs that tests start load in half the time.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compile') },
    coverage: {
      provider: 'v8',
      include: ['machines/**/*.ts', 'src/**/*.ts'],
      reporter: ['text-summary', 'html'],
    },
  },
});
