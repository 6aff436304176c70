/** What is traded in the simulated worlds. */
import type { Contract as Instrument } from '../../machines/instrument.ts';
import { formatInstrument } from '../../machines/instrument.ts';

export interface MarketRow {
  /** short name within plans */
  readonly symbol: string;
  /** canonical name within the runtime */
  readonly instrument: string;
  readonly contract: Instrument;
  /** of the catalogue; null: a combination, whose price follows from its legs */
  readonly conId: number | null;
  /** around which its prices move */
  readonly middle: number;
  readonly tick: number;
  readonly multiplier: string;
}

/** Prices of everything that has a price of its own begin here. */
export const firstPrice = 100;

const stock = (symbol: string, conId: number): MarketRow => ({
  symbol,
  instrument: symbol,
  contract: { symbol, secType: 'STK', exchange: 'SMART', currency: 'USD' },
  conId,
  middle: firstPrice,
  tick: 0.01,
  multiplier: '1',
});

const spread: Instrument = {
  symbol: 'AAPL',
  secType: 'BAG',
  exchange: 'SMART',
  currency: 'USD',
  comboLegs: [
    { conId: 265598, ratio: 1, action: 'BUY', exchange: 'SMART' },
    { conId: 272093, ratio: 1, action: 'SELL', exchange: 'SMART' },
  ],
};

export const stocks: readonly [MarketRow, MarketRow] = [stock('AAPL', 265598), stock('MSFT', 272093)];
export const future: MarketRow = {
  symbol: 'ES',
  instrument: 'FUT:ESZ6@CME',
  contract: { secType: 'FUT', localSymbol: 'ESZ6', exchange: 'CME', currency: 'USD' },
  conId: 649180695,
  middle: firstPrice,
  tick: 0.25,
  multiplier: '50',
};
export const combination: MarketRow = {
  symbol: 'SPREAD',
  instrument: formatInstrument(spread),
  contract: spread,
  conId: null,
  middle: 0,
  tick: 0.01,
  multiplier: '1',
};

const bySymbol = new Map([...stocks, future, combination].map((row) => [row.symbol, row]));

/** Throws on a symbol that is not traded here. */
export function marketOf(symbol: string): MarketRow {
  const row = bySymbol.get(symbol);
  if (row === undefined) throw new Error(`no market is called ${symbol}`);
  return row;
}

export const onTick = (price: number, { tick }: MarketRow): number =>
  Number((Math.round(price / tick) * tick).toFixed(2));
