/** The soak itself: that its verdict tells growth from noise, and that days with nights end with equal books. */
import { expect, test } from 'vitest';
import { judge, type Sample, slopeOf } from './figures.ts';
import { soak } from './soak.ts';

const samples = (heapMbAt: (index: number) => number): Sample[] =>
  Array.from({ length: 40 }, (_, index) => ({
    at: index * 30,
    day: 1 + Math.floor(index / 2),
    orders: index * 100,
    heapBytes: heapMbAt(index) * 1_048_576,
    rssBytes: 0,
    actors: 0,
  }));
const noise = (index: number): number => ((index * 7) % 5) / 2;

test('a heap that rises and settles is flat, one that goes on rising is not, and few samples say nothing', () => {
  expect(slopeOf([1, 2, 3].map((x) => ({ x, y: 5 - 2 * x })))).toBeCloseTo(-2);
  expect(judge(samples((index) => 60 + Math.min(index, 15) + noise(index)))).toMatchObject({ isFlat: true });
  const leak = judge(samples((index) => 60 + index / 2 + noise(index)));
  expect(leak).toMatchObject({ isFlat: false, text: expect.stringMatching(/GROWS: 6\d\.\d MB per hour/) });
  expect(judge(samples(() => 60).slice(0, 6)).text).toContain('too few');
});

test('two days with a cut, an outage and a night between them', async () => {
  const lines: string[] = [];
  const result = await soak({
    minutes: 0.1,
    daySeconds: 3,
    ordersPerSecond: 10,
    say: (line) => void lines.push(line),
  });
  expect(result).toMatchObject({ days: 2, isFlat: true });
  expect(result.placed, lines.join('\n')).toBeGreaterThan(5);
  expect(result.samples).toHaveLength(4);
  expect(result.samples.every(({ heapBytes }) => heapBytes > 1_000_000)).toBe(true);
}, 90_000);
