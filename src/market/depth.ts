/** One book, kept by the operations that TWS sends: rows are inserted, changed and deleted by their place. */
import type { DepthChange } from '../../machines/feed.ts';
import { type Fields, LiveCell } from './cell.ts';

interface Level {
  readonly price: number;
  readonly size: number;
  readonly marketMaker: string;
}

class Side {
  levels: Level[] = [];
  /** number of the change that touched it last */
  changedAt = 0;

  apply({ operation, position, price, size, marketMaker }: DepthChange, rows: number): boolean {
    const { levels } = this;
    const isBelow = position < levels.length;
    if (operation === 'delete') {
      if (isBelow) levels.splice(position, 1);
      return isBelow;
    }
    const level = { price, size, marketMaker };
    // A row below the last one can only be the next: a book has no holes.
    if (operation === 'insert' || !isBelow) levels.splice(Math.min(position, levels.length), 0, level);
    else levels[position] = level;
    if (levels.length > rows) levels.length = rows;
    return true;
  }

  get text(): string {
    const rows = this.levels.map(({ price, size, marketMaker }) =>
      marketMaker === '' ? [price, size] : [price, size, marketMaker],
    );
    return JSON.stringify(rows);
  }
}

export class DepthCell extends LiveCell {
  private readonly rows: number;
  private readonly bids = new Side();
  private readonly asks = new Side();
  private isOutdated = false;

  constructor(key: string, rows: number) {
    super(key);
    this.rows = rows;
  }

  /** The best price is not first. Books of several exchanges may cross, but each side is in order. */
  get isDisordered(): boolean {
    const falls = (levels: readonly Level[]): boolean =>
      levels.some(({ price }, place) => price < (levels[place - 1]?.price ?? price));
    const rises = (levels: readonly Level[]): boolean =>
      levels.some(({ price }, place) => price > (levels[place - 1]?.price ?? price));
    return rises(this.bids.levels) || falls(this.asks.levels);
  }

  /** The old book is shown until the new one begins. */
  override opened(): void {
    this.isOutdated = true;
  }

  level(change: DepthChange, at: number): void {
    this.take(at);
    if (this.isOutdated) this.empty();
    const side = change.side === 'bid' ? this.bids : this.asks;
    if (!side.apply(change, this.rows)) return;
    this.changes += 1;
    side.changedAt = this.changes;
  }

  reset(at: number): void {
    this.take(at);
    this.empty();
  }

  protected override whole(): string {
    return `,"bids":${this.bids.text},"asks":${this.asks.text}`;
  }

  protected override changedSince(changes: number): Fields {
    if (changes === 0) return { text: this.whole() };
    const bids = this.bids.changedAt > changes ? `,"bids":${this.bids.text}` : '';
    const asks = this.asks.changedAt > changes ? `,"asks":${this.asks.text}` : '';
    return { text: bids + asks };
  }

  private empty(): void {
    this.isOutdated = false;
    this.changes += 1;
    for (const side of [this.bids, this.asks]) {
      side.levels = [];
      side.changedAt = this.changes;
    }
  }
}
