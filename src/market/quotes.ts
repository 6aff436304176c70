/**
 * The newest values of every instrument, one mutable cell each. Ticks overwrite; rows come out at the beat or on demand.
 * A reader who applies every later delta to a row taken at any moment always ends at the cell.
 */
import { Observable, Subject } from 'rxjs';
import type { DataKind, Quote, QuoteField, QuoteStatus } from '../../machines/market.ts';
import { quoteFields, statusOf } from '../../machines/market.ts';

/** One tick of one instrument, for those who need every one. `at` = when the bytes were read, ms since the epoch. */
export interface Tick {
  readonly field: QuoteField;
  readonly value: number;
  readonly at: number;
}

const indexOf: Readonly<Record<QuoteField, number>> = {
  bid: 0,
  ask: 1,
  bidSize: 2,
  askSize: 3,
  last: 4,
  lastSize: 5,
  volume: 6,
  open: 7,
  high: 8,
  low: 9,
  close: 10,
};
const statusBit = 1 << quoteFields.length;
const prefixes = quoteFields.map((field) => `,"${field}":`);

/** What a group of readers has not got of a cell. */
interface Owed {
  /** fields, by bit */
  changed: number;
  merged: number;
  readonly oldestAt: number;
}

export class QuoteCell {
  readonly key: string;
  /** NaN: never received */
  readonly values = new Float64Array(quoteFields.length).fill(Number.NaN);
  /** when the newest bytes about this instrument were read, ms; 0 before */
  readAt = 0;
  /** when the newest tick was read, ms; 0 before the first */
  tickedAt = 0;
  /** ticks ever taken */
  total = 0;
  /** when the first tick was read, ms; 0 before */
  firstAt = 0;
  /** ticks since it was settled */
  merged = 0;
  /** read time of the oldest tick since then that changed something, ms */
  oldestAt = 0;
  /** every field ever received, by bit */
  received = 0;
  ticks: Subject<Tick> | null = null;

  private changed = statusBit;
  private queued = false;
  private readonly owed: (Owed | undefined)[] = [];
  private readonly dirty: QuoteCell[];
  private readonly head: string;
  private kind: DataKind = 'live';
  private isHalted = false;
  private isTrusted = false;
  private currentStatus: QuoteStatus = 'stale';

  constructor(key: string, dirty: QuoteCell[]) {
    this.key = key;
    this.dirty = dirty;
    this.head = `{"key":${JSON.stringify(key)}`;
  }

  get status(): QuoteStatus {
    return this.currentStatus;
  }

  /** Nothing is expected to move: halted, or the last values of a closed market. */
  get isStill(): boolean {
    return this.isHalted || this.kind === 'frozen' || this.kind === 'delayedFrozen';
  }

  /** Takes one value. Not a finite number: ignored, false. */
  tick(field: QuoteField, value: number, at: number): boolean {
    if (!Number.isFinite(value)) return false;
    const index = indexOf[field];
    const values = this.values;
    if (values[index] !== value) {
      values[index] = value;
      const bit = 1 << index;
      this.received |= bit;
      this.changed |= bit;
      if (!this.queued) this.enqueue(at);
    }
    if (this.total === 0) this.firstAt = at;
    this.total += 1;
    this.merged += 1;
    this.readAt = at;
    this.tickedAt = at;
    if (this.ticks !== null) this.ticks.next({ field, value, at });
    return true;
  }

  setKind(kind: DataKind, at: number): void {
    this.kind = kind;
    this.readAt = at;
    this.judge(at);
  }

  setHalted(halted: boolean, at: number): void {
    this.isHalted = halted;
    this.readAt = at;
    this.judge(at);
  }

  /** Whether the line vouches for these values; without it the status is `stale`. */
  trust(trusted: boolean, at: number): void {
    if (this.isTrusted === trusted) return;
    this.isTrusted = trusted;
    this.judge(at);
  }

  /** The whole row; undefined before the first tick. */
  row(): Quote | undefined {
    if (this.received === 0) return undefined;
    const row: { -readonly [K in keyof Quote]: Quote[K] } = {
      key: this.key,
      status: this.currentStatus,
      ts: this.readAt,
    };
    for (const field of quoteFields) {
      const value = this.values[indexOf[field]];
      if (value !== undefined && !Number.isNaN(value)) row[field] = value;
    }
    return row;
  }

  /** Adds what changed to what this group of readers has not got; true when that was nothing. */
  owe(group: number): boolean {
    const owed = this.owed[group];
    if (owed === undefined) {
      this.owed[group] = { changed: this.changed, merged: this.merged, oldestAt: this.oldestAt };
      return true;
    }
    owed.changed |= this.changed;
    owed.merged += this.merged;
    return false;
  }

  /** JSON of what is owed to a group, which is owed nothing then; `oldestAt`: read time of the oldest tick in it. */
  take(group: number): { readonly delta: string; readonly merged: number; readonly oldestAt: number } {
    const { changed, merged, oldestAt } = this.owed[group] ?? {
      changed: 0,
      merged: 0,
      oldestAt: this.readAt,
    };
    this.forgive(group);
    let delta = this.head;
    for (let index = 0; index < prefixes.length; index += 1) {
      if ((changed & (1 << index)) !== 0) delta += `${prefixes[index]}${this.values[index]}`;
    }
    if ((changed & statusBit) !== 0) delta += `,"status":"${this.currentStatus}"`;
    delta += `,"merged":${merged},"ts":${this.readAt}}`;
    return { delta, merged, oldestAt };
  }

  /** The group has no readers any more. */
  forgive(group: number): void {
    this.owed[group] = undefined;
  }

  /** What changed was shared out, or nobody was there to hear of it. */
  settle(): void {
    this.changed = 0;
    this.merged = 0;
    this.queued = false;
  }

  private judge(at: number): void {
    const status = this.isTrusted ? statusOf(this.kind, this.isHalted) : 'stale';
    if (status === this.currentStatus) return;
    this.currentStatus = status;
    this.changed |= statusBit;
    if (this.received !== 0 && !this.queued) this.enqueue(at);
  }

  private enqueue(at: number): void {
    this.queued = true;
    this.oldestAt = at;
    this.dirty.push(this);
  }
}

export class Quotes {
  private readonly cells = new Map<string, QuoteCell>();
  private readonly dirty: QuoteCell[] = [];
  private droppedTotal = 0;

  /** The cell of this key, made when it is new. The caller bounds the number of keys. */
  cell(key: string): QuoteCell {
    let cell = this.cells.get(key);
    if (cell === undefined) {
      cell = new QuoteCell(key, this.dirty);
      this.cells.set(key, cell);
    }
    return cell;
  }

  find(key: string): QuoteCell | undefined {
    return this.cells.get(key);
  }

  get size(): number {
    return this.cells.size;
  }

  /** Ticks ever taken, of all instruments. */
  get total(): number {
    let total = this.droppedTotal;
    for (const cell of this.cells.values()) total += cell.total;
    return total;
  }

  keys(): IterableIterator<string> {
    return this.cells.keys();
  }

  drop(key: string): void {
    const cell = this.cells.get(key);
    if (cell === undefined) return;
    this.cells.delete(key);
    this.droppedTotal += cell.total;
    const place = this.dirty.indexOf(cell);
    if (place >= 0) this.dirty.splice(place, 1);
    cell.ticks?.complete();
    cell.ticks = null;
  }

  get hasChanges(): boolean {
    return this.dirty.length > 0;
  }

  /** Hands every changed cell to `take`, which settles it, and forgets them. */
  drain(take: (cell: QuoteCell) => void): void {
    for (const cell of this.dirty) take(cell);
    this.dirty.length = 0;
  }

  /** Every tick of this instrument. Costs nothing while nobody listens; completes when the instrument is dropped. */
  tick$(key: string): Observable<Tick> {
    return new Observable<Tick>((subscriber) => {
      const cell = this.cell(key);
      const subject = cell.ticks ?? new Subject<Tick>();
      cell.ticks = subject;
      const subscription = subject.subscribe(subscriber);
      return () => {
        subscription.unsubscribe();
        if (!subject.observed && cell.ticks === subject) cell.ticks = null;
      };
    });
  }
}
