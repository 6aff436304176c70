/** Rows of a depth book around the quote, told as inserts first and then as the changes that lead from state to state. */
import type { DepthRow } from '../model.ts';
import type { Instrument } from './instruments.ts';
import { clean, roundToTick, tickAt } from './instruments.ts';
import type { RawQuote } from './prices.ts';
import { hash32 } from './random.ts';

interface Level {
  readonly price: number;
  readonly size: number;
  readonly marketMaker: string;
}

/** The size that rests at a price away from the best one; it changes every two seconds or so. */
export function levelSize(instrument: Instrument, seed: number, price: number, time: number): number {
  const epoch = Math.floor(time / 2000);
  const chance = hash32(seed, instrument.contract.conId, Math.round(price * 1e6), 50 + (epoch % 1000));
  return clean(instrument.lot * (1 + (chance % (instrument.depthLots * 3))));
}

/** Prices of one side from the best outwards. `side`: 0 ask, 1 bid. */
export function levelPrice(instrument: Instrument, quote: RawQuote, side: 0 | 1, index: number): number {
  const best = side === 0 ? quote.ask : quote.bid;
  const step = tickAt(instrument, best);
  return roundToTick(instrument, best + (side === 0 ? 1 : -1) * index * step);
}

export class DepthBook {
  private readonly instrument: Instrument;
  private readonly seed: number;
  private readonly rows: number;
  private readonly listener: (row: DepthRow) => void;
  private readonly exchangeAt: (step: number, salt: number) => string;
  private readonly sides: [Level[], Level[]] = [[], []];

  constructor(
    instrument: Instrument,
    seed: number,
    rows: number,
    listener: (row: DepthRow) => void,
    exchangeAt: (step: number, salt: number) => string,
  ) {
    this.instrument = instrument;
    this.seed = seed;
    this.rows = Math.max(1, Math.min(rows, 50));
    this.listener = listener;
    this.exchangeAt = exchangeAt;
  }

  update(quote: RawQuote, time: number): void {
    if (quote.bid === -1 && quote.ask === -1) return;
    this.updateSide(0, quote, time);
    this.updateSide(1, quote, time);
  }

  /** Rows move by updates in place: clients differ in how they shift rows on inserts and deletes, none in this. */
  private updateSide(side: 0 | 1, quote: RawQuote, time: number): void {
    const wanted = this.levels(side, quote, time);
    const shown = this.sides[side];
    while (shown.length > wanted.length) {
      shown.pop();
      this.tell(2, side, shown.length, { price: 0, size: 0, marketMaker: '' });
    }
    wanted.forEach((level, position) => {
      const old = shown[position];
      if (old?.price === level.price && old.size === level.size) return;
      shown[position] = level;
      this.tell(old === undefined ? 0 : 1, side, position, level);
    });
  }

  private levels(side: 0 | 1, quote: RawQuote, time: number): Level[] {
    const levels: Level[] = [];
    for (let index = 0; index < this.rows; index++) {
      const price = levelPrice(this.instrument, quote, side, index);
      if (price <= 0 && this.instrument.contract.secType !== 'BAG') break;
      const best = side === 0 ? quote.askSize : quote.bidSize;
      const size = index === 0 ? best : levelSize(this.instrument, this.seed, price, time);
      levels.push({ price, size, marketMaker: this.exchangeAt(Math.round(price * 1e6), 1 + side) });
    }
    return levels;
  }

  private tell(operation: 0 | 1 | 2, side: 0 | 1, position: number, level: Level): void {
    this.listener({ position, operation, side, ...level });
  }
}
