import fc from 'fast-check';
import { expect, test } from 'vitest';
import { toDecimal } from '../../machines/decimal.ts';

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
