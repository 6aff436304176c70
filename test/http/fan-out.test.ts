import { expect, it } from 'vitest';
import { inTurns } from '../../src/http/fan-out.ts';

it('does few at once, and lets others in between many', async () => {
  const log: (number | 'other')[] = [];
  const few = inTurns([1, 2, 3], (n) => log.push(n));
  expect(log).toEqual([1, 2, 3]);
  await few;
  log.length = 0;
  setImmediate(() => log.push('other'));
  const numbers = Array.from({ length: 200 }, (_, n) => n);
  await inTurns(numbers, (n) => log.push(n));
  expect(log.filter((entry) => entry !== 'other')).toEqual(numbers);
  expect(log.indexOf('other')).toBeGreaterThan(0);
  expect(log.indexOf('other')).toBeLessThan(60);
});
