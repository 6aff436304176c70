import Big from 'big.js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { add, compare, subtract, toDecimal } from '../../machines/decimal.ts';

test.each([
  ['187.20', '187.20'],
  ['+1', '1'],
  ['+.5', '0.5'],
  ['5.', '5'],
  ['-0', '-0'],
  ['1e3', '1000'],
  ['+1E-3', '0.001'],
  [' 7 ', '7'],
])('%s means %s', (text, decimal) => {
  expect(toDecimal(text)).toBe(decimal);
});

test.each([
  '',
  '+',
  '-',
  '.',
  '1e',
  '1e1000',
  '++1',
  '0x10',
  'NaN',
  'Infinity',
  '1 2',
  '1,000',
  '٣',
])('%s means none', (text) => {
  expect(toDecimal(text)).toBeNull();
});

test('whatever is written in signs, digits, points and exponents is read or refused, never thrown at', () => {
  const words = fc.string({
    unit: fc.constantFrom('+', '-', '.', 'e', 'E', '0', '1', '9', ' '),
    maxLength: 12,
  });
  fc.assert(
    fc.property(words, (text) => {
      const decimal = toDecimal(text);
      if (decimal !== null) expect(Number(decimal)).toBeCloseTo(Number(text), 6);
    }),
    { numRuns: 2_000 },
  );
});

test('sums, differences and order are those of exact arithmetic', () => {
  const whole = fc.oneof(
    fc.integer({ min: -20, max: 20 }),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.constantFrom(999_999_999_999_999, -999_999_999_999_999),
  );
  const decimal = fc.oneof(
    whole.map(String),
    fc.tuple(fc.integer(), fc.nat(999)).map(([units, part]) => `${units}.${part}`),
    fc.constantFrom('-0', '0.0', '-0.00'),
  );
  fc.assert(
    fc.property(decimal, decimal, (a, b) => {
      const [x, y] = [new Big(a), new Big(b)];
      expect(Object.is(compare(a, b) + 0, x.cmp(y) + 0)).toBe(true);
      expect(new Big(add(a, b)).eq(x.plus(y))).toBe(true);
      expect(new Big(subtract(a, b)).eq(x.minus(y))).toBe(true);
      expect(add(a, b)).toMatch(/^-?(0|[1-9]\d*)(\.\d+)?$/);
      expect(subtract(a, a)).toMatch(/^-?0(\.0+)?$/);
    }),
    { numRuns: 5_000 },
  );
});
