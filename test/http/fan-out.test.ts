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
  const turns: string[][] = [[]];
  let isDone = false;
  const turn = () => {
    turns.push([]);
    if (!isDone) setImmediate(turn);
  };
  setImmediate(turn);
  const work = (name: string) => () => {
    turns.at(-1)?.push(name);
    busy(0.6);
  };
  const much = inTurns(Array(80), work('much'));
  await inTurns(Array(10), work('little'));
  const whileBoth = turns.filter((names) => names.length > 0).map((names) => [...new Set(names)].join('+'));
  // Two slices of little at the least, whatever else the machine does: one lasts 4 ms of the wall at most.
  expect(whileBoth.length).toBeGreaterThanOrEqual(4);
  expect(whileBoth).toEqual(whileBoth.map((_, n) => (n % 2 === 0 ? 'much' : 'little')));
  await much;
  isDone = true;
  expect(turns.flat()).toHaveLength(90);
});
