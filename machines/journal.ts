/** The durable record as readers see it. */

/** One durable fact, in journal order. `channel` says which lossless stream carries it; null: none. */
export interface JournalRecord {
  readonly seq: number;
  /** ms since the epoch */
  readonly ts: number;
  readonly channel: 'orders' | 'positions' | 'alerts' | 'health' | null;
  readonly event: string;
  /** the rest of the frame: `order`, `fill`, `position`, `alert`, ... */
  readonly payload: Readonly<Record<string, unknown>>;
}

export interface Page<T> {
  readonly rows: readonly T[];
  /** opaque; null at the end */
  readonly next: string | null;
}
