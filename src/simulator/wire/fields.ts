/** Reading and writing of single fields: unset values, booleans, decimals, escaped text. */

export const UNSET_INT = 2147483647;
export const UNSET_DOUBLE = '1.7976931348623157E308';
export const UNSET_LONG = '9223372036854775807';

const BACKSLASH = 0x5c;

const UNSET_TEXTS = new Set(['2147483647', UNSET_DOUBLE, UNSET_LONG, '-9223372036854775808']);

/** A field that is missing or cannot be what the message says it is. */
export class FieldError extends Error {
  override readonly name = 'FieldError';
  readonly field: string;
  constructor(field: string, problem: string) {
    super(`${field}: ${problem}`);
    this.field = field;
  }
}

/** Walks the fields of one request from left to right. Every read names its field, so that a failure can. */
export class FieldReader {
  readonly #fields: readonly string[];
  #index: number;

  constructor(fields: readonly string[], start: number) {
    this.#fields = fields;
    this.#index = start;
  }

  get remaining(): number {
    return this.#fields.length - this.#index;
  }

  text(name: string): string {
    const value = this.#fields[this.#index];
    if (value === undefined) {
      throw new FieldError(name, `missing, the message ended after ${this.#fields.length} fields`);
    }
    this.#index += 1;
    return value;
  }

  /** An integer; empty and unset are 0. `0.0` is accepted as clients send it. */
  int(name: string): number {
    return this.intOrNull(name) ?? 0;
  }

  intOrNull(name: string): number | null {
    const value = this.doubleOrNull(name);
    if (value === null || Number.isSafeInteger(value)) return value;
    throw new FieldError(name, `"${value}" is not an integer`);
  }

  /** A number; empty and unset are 0. */
  double(name: string): number {
    return this.doubleOrNull(name) ?? 0;
  }

  doubleOrNull(name: string): number | null {
    const text = this.text(name);
    return parseNumber(name, text);
  }

  /** `1` and `true` are true; empty, `0` and `false` are false. */
  bool(name: string): boolean {
    const text = this.text(name);
    if (text === '1' || text === 'true') return true;
    if (text === '' || text === '0' || text === 'false' || text === '0.0' || UNSET_TEXTS.has(text))
      return false;
    throw new FieldError(name, `"${text}" is not a boolean (0 or 1)`);
  }

  /** A count of things that follow. */
  count(name: string, max: number): number {
    const value = this.int(name);
    if (value < 0 || value > max) throw new FieldError(name, `${value} is not a count from 0 to ${max}`);
    return value;
  }

  /** `tag=value;tag=value;` in one field. */
  tagValues(name: string): readonly { readonly tag: string; readonly value: string }[] {
    const text = this.text(name);
    const pairs: { tag: string; value: string }[] = [];
    for (const part of text.split(';')) {
      if (part === '') continue;
      const at = part.indexOf('=');
      if (at < 0) throw new FieldError(name, `"${part}" is not tag=value`);
      pairs.push({ tag: part.slice(0, at), value: part.slice(at + 1) });
    }
    return pairs;
  }

  /** The fields that are left. */
  rest(): readonly string[] {
    const rest = this.#fields.slice(this.#index);
    this.#index = this.#fields.length;
    return rest;
  }
}

/** null for empty and unset in any spelling, Infinity for `Infinite` and `Infinity`; throws FieldError for what is no number. */
export function parseNumber(name: string, text: string): number | null {
  if (text === '' || UNSET_TEXTS.has(text)) return null;
  if (text === 'Infinite') return Number.POSITIVE_INFINITY;
  const value = Number(text);
  if (Number.isNaN(value) || text.trim() === '') throw new FieldError(name, `"${text}" is not a number`);
  return value === Number.MAX_VALUE ? null : value;
}

/** A decimal as TWS writes doubles: `100.0`, `0.01`, `1.0E-8`; null is the unset double. */
export function double(value: number | null): string {
  if (value === null) return UNSET_DOUBLE;
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return `${value}.0`;
  const [digits = '', exponent] = String(value).split('e');
  if (exponent === undefined) return digits;
  return `${digits.includes('.') ? digits : `${digits}.0`}E${exponent.replace('+', '')}`;
}

/**
 * Non-ASCII characters as `\uXXXX`, which is how TWS sends names and error texts; clients
 * undo it, so a backslash is escaped too.
 */
export function ascii(text: string): string {
  let escaped = '';
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    escaped += code < 128 && code !== BACKSLASH ? text[index] : `\\u${code.toString(16).padStart(4, '0')}`;
  }
  return escaped;
}
