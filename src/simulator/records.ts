import { IN, messageId } from './wire/names.ts';

/** One message that reached the gateway. */
export interface InboundRecord {
  /** ms since the epoch, by the simulator's clock */
  readonly at: number;
  /** the connection, counted from 1 */
  readonly session: number;
  /** null before START_API */
  readonly clientId: number | null;
  /** 0 for the greeting */
  readonly id: number;
  /** IB's name, e.g. `placeOrder`; `hello` for the greeting */
  readonly name: string;
  readonly fields: readonly string[];
}

/** A way in which a client and the codec disagreed. */
export interface ConformanceRecord {
  readonly at: number;
  readonly session: number;
  readonly clientId: number | null;
  readonly message: string;
  readonly problem: string;
}

export interface ReceivedFilter {
  /** IB's name or number of the request */
  readonly message?: string | number;
  readonly clientId?: number;
  readonly session?: number;
  /** not before this time */
  readonly since?: number;
}

/** The newest `capacity` entries of what was added. */
export class Ring<T> {
  readonly #entries: T[] = [];
  readonly #capacity: number;
  #next = 0;

  constructor(capacity: number) {
    this.#capacity = Math.max(1, capacity);
  }

  add(entry: T): void {
    if (this.#entries.length < this.#capacity) this.#entries.push(entry);
    else this.#entries[this.#next] = entry;
    this.#next = (this.#next + 1) % this.#capacity;
  }

  /** Oldest first. */
  list(): T[] {
    if (this.#entries.length < this.#capacity) return [...this.#entries];
    return [...this.#entries.slice(this.#next), ...this.#entries.slice(0, this.#next)];
  }
}

/** Those of the records that a filter lets through. */
export function select(records: readonly InboundRecord[], filter: ReceivedFilter): InboundRecord[] {
  const id = filter.message === undefined ? undefined : messageId(IN, filter.message);
  if (filter.message !== undefined && id === undefined) {
    throw new RangeError(`message: "${filter.message}" is not the name of a request`);
  }
  return records.filter(
    (record) =>
      (id === undefined || record.id === id) &&
      (filter.clientId === undefined || record.clientId === filter.clientId) &&
      (filter.session === undefined || record.session === filter.session) &&
      (filter.since === undefined || record.at >= filter.since),
  );
}
