/** The last rows of quotes: what was read from Redis at the start, and what this process saw after. */
import { type Quote, quoteFields } from '../../machines/market.ts';
import { lifetimes } from './keys.ts';

const knownMax = 2_000;

export class LastQuotes {
  readonly #rows = new Map<string, Quote>();
  readonly #environment: string;
  readonly #now: () => number;

  constructor(environment: string, now: () => number) {
    this.#environment = environment;
    this.#now = now;
  }

  /** Keeps the newest row of each instrument. */
  note(row: Quote): void {
    const known = this.#rows.get(row.key);
    if (known && known.ts > row.ts) return;
    this.#rows.delete(row.key);
    this.#rows.set(row.key, row);
    const oldest = this.#rows.keys().next().value;
    if (this.#rows.size > knownMax && oldest !== undefined) this.#rows.delete(oldest);
  }

  /** The last known row under the status `stale` and with the time of its ticks; undefined when it is too old or unknown. */
  find(key: string): Quote | undefined {
    const row = this.#rows.get(key);
    return row && this.#now() - row.ts <= lifetimes.quoteMs ? { ...row, status: 'stale' } : undefined;
  }

  keys(): IterableIterator<string> {
    return this.#rows.keys();
  }

  /** The row as it lies in Redis. Prices of a simulated market must never be taken for those of a real one. */
  textOf(row: Quote): string {
    return `${JSON.stringify(row).slice(0, -1)},"environment":${JSON.stringify(this.#environment)}}`;
  }

  /** Takes a text of Redis when it is a row of this environment that is neither too old nor of the future. */
  read(text: unknown): void {
    const row = rowOf(text);
    if (row === null || row.environment !== this.#environment) return;
    const at = this.#now();
    if (row.quote.ts > at || at - row.quote.ts > lifetimes.quoteMs) return;
    this.note(row.quote);
  }
}

/** Redis is written by others as well: only what has the shape of a row is one. */
function rowOf(text: unknown): { readonly quote: Quote; readonly environment: unknown } | null {
  if (typeof text !== 'string') return null;
  let value: Readonly<Record<string, unknown>> | null;
  try {
    value = JSON.parse(text) as typeof value;
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { key, ts, environment } = value;
  if (typeof key !== 'string' || typeof ts !== 'number') return null;
  const quote: { -readonly [K in keyof Quote]: Quote[K] } = { key, status: 'stale', ts };
  let hasValue = false;
  for (const field of quoteFields) {
    const figure = value[field];
    if (typeof figure !== 'number') continue;
    quote[field] = figure;
    hasValue = true;
  }
  return hasValue ? { quote, environment } : null;
}
