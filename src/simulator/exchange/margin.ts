/** Margin in the manner of Reg T for securities and of fixed amounts for futures. In the currency of the contract. */
import type { Instrument } from './instruments.ts';
import { multiplierOf } from './instruments.ts';

export interface Margin {
  readonly initial: number;
  readonly maintenance: number;
}

const nothing: Margin = { initial: 0, maintenance: 0 };

/** @param underlyingPrice price of the underlying of an option; ignored otherwise */
export function marginOf(
  instrument: Instrument,
  position: number,
  price: number,
  underlyingPrice: number,
): Margin {
  if (position === 0) return nothing;
  const multiplier = multiplierOf(instrument.contract);
  const size = Math.abs(position);
  const value = size * Math.abs(price) * multiplier;
  switch (instrument.contract.secType) {
    case 'STK':
    case 'CFD':
      return { initial: value * 0.5, maintenance: value * (position > 0 ? 0.25 : 0.3) };
    case 'FUT': {
      const initial = size * instrument.futureMargin;
      return { initial, maintenance: initial / 1.1 };
    }
    case 'OPT': {
      if (position > 0) return nothing;
      const naked = size * multiplier * underlyingPrice * 0.2 + value;
      return { initial: naked, maintenance: naked };
    }
    case 'CASH':
      return { initial: value * 0.025, maintenance: value * 0.02 };
    case 'BOND':
      return { initial: value * 0.1, maintenance: value * 0.08 };
    default:
      return { initial: value, maintenance: value };
  }
}

/** Long options and crypto carry no loan value: they don't count as equity for margin. */
export function hasLoanValue(secType: string): boolean {
  return secType !== 'OPT' && secType !== 'CRYPTO';
}
