import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
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
