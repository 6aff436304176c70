/** Every point once and a few random instants; `npm run crash` does it for longer. */
import { expect, test } from 'vitest';
import { crash } from './crash.ts';
import { points } from './points.ts';

test('killed between any two steps, the program finds the broker as it left it: nothing lost, nothing doubled', async () => {
  const report = await crash({
    runs: points.length + 10,
    seed: 1,
    slots: 2,
    perComparison: 13,
    comparisonsPerWorld: 3,
    log: () => undefined,
  });
  expect(report.failures).toEqual([]);
  expect(report.kills).toBe(points.length + 10);
  // A point that is never passed would prove nothing. Its n-th passing may lie beyond the end of a life.
  expect(report.missed.filter((at) => points.includes(at))).toEqual([]);
}, 900_000);
