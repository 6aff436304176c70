/**
 * Exact decimals for quantities, prices and money, as text (`"187.20"` is kept as it was written).
 * Binary floating point never touches an order, a fill or a position.
 */
import Big from 'big.js';

Big.DP = 12;
Big.RM = Big.roundHalfEven;
Big.NE = -30;
Big.PE = 30;

/** A finite decimal number in plain notation, e.g. `"-0.35"`. */
export type Decimal = string;

const DECIMAL = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$/;

const PLAIN = /^-?(0|[1-9]\d*)(\.\d+)?$/;

/**
 * The decimal that this text or number means; null when it is not a finite number.
 * Plain notation is kept as it was written (`"187.20"`), anything else is put into it (`"1e3"` becomes `"1000"`).
 */
export function toDecimal(value: string | number): Decimal | null {
  const text = typeof value === 'number' ? (Number.isFinite(value) ? String(value) : '') : value.trim();
  if (!DECIMAL.test(text) || text.length > 40) return null;
  return PLAIN.test(text) ? text : new Big(text.replace(/^\+/, '')).toFixed();
}

/** Whole numbers that a double holds exactly, as their sums too: most quantities are such, and the gate adds those of all open orders. */
const WHOLE = /^(0|-?[1-9]\d{0,14})$/;
const areWhole = (a: Decimal, b: Decimal): boolean => WHOLE.test(a) && WHOLE.test(b);

export const add = (a: Decimal, b: Decimal): Decimal =>
  areWhole(a, b) ? String(Number(a) + Number(b)) : new Big(a).plus(b).toFixed();
export const subtract = (a: Decimal, b: Decimal): Decimal =>
  areWhole(a, b) ? String(Number(a) - Number(b)) : new Big(a).minus(b).toFixed();
export const multiply = (a: Decimal, b: Decimal): Decimal => new Big(a).times(b).toFixed();
/** The quotient to 12 places, half to even. Throws on division by zero. */
export const divide = (a: Decimal, b: Decimal): Decimal => new Big(a).div(b).toFixed();
export const negate = (a: Decimal): Decimal => new Big(a).times(-1).toFixed();
export const absolute = (a: Decimal): Decimal => new Big(a).abs().toFixed();
/** -1, 0 or 1. */
export const compare = (a: Decimal, b: Decimal): -1 | 0 | 1 =>
  areWhole(a, b) ? (Math.sign(Number(a) - Number(b)) as -1 | 0 | 1) : new Big(a).cmp(b);
export const isZero = (a: Decimal): boolean => compare(a, '0') === 0;
export const isPositive = (a: Decimal): boolean => compare(a, '0') > 0;
export const equals = (a: Decimal, b: Decimal): boolean => compare(a, b) === 0;
export const smaller = (a: Decimal, b: Decimal): Decimal => (compare(a, b) <= 0 ? a : b);
export const larger = (a: Decimal, b: Decimal): Decimal => (compare(a, b) >= 0 ? a : b);
/** Rounded to so many places, without trailing zeros. */
export const round = (a: Decimal, places: number): Decimal => new Big(new Big(a).toFixed(places)).toFixed();
