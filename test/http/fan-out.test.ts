import { expect, it } from 'vitest';
import { inTurns } from '../../src/http/fan-out.ts';

const busy = (ms: number) => {
  const end = performance.now() + ms;
  while (performance.now() < end);
};

it('does everything in order, also what is added meanwhile', async () => {
  const items = new Set([1, 2, 3]);
  const done: number[] = [];
  await inTurns(items, (item) => {
    done.push(item);
    if (item === 2) items.add(4);
  });
  expect(done).toEqual([1, 2, 3, 4]);
});

it('lets the event loop turn between slices', async () => {
  const log: (number | 'other')[] = [];
  const other = () => {
    log.push('other');
    if (log.length < 200) setImmediate(other);
  };
  setImmediate(other);
  const items = Array.from({ length: 60 }, (_, n) => n);
  await inTurns(items, (n) => {
    log.push(n);
    busy(0.3);
  });
  expect(log.filter((entry) => entry !== 'other')).toEqual(items);
  const longest = log
    .join(' ')
    .split('other')
    .map((run) => run.trim().split(/\s+/).length);
  expect(Math.max(...longest)).toBeLessThan(20);
});

it('gives those who have much and those who have little a slice in turn, one per turn of the loop', async () => {
  const log: string[] = [];
  const work = (name: string) => () => {
    log.push(name);
    busy(0.6);
  };
  const much = inTurns(Array(40), work('much'));
  await inTurns(Array(2), work('little'));
  expect(log.filter((name) => name === 'much').length).toBeLessThan(10);
  await much;
  expect(log).toHaveLength(42);
});
