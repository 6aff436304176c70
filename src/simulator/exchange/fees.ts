/** Commissions in the manner of IB's fixed US prices. */
import type { Instrument } from './instruments.ts';
import { clean, multiplierOf } from './instruments.ts';

export interface Fee {
  readonly amount: number;
  readonly currency: string;
}

/** The commission of a whole order of this size at this average price. Minimum and maximum are those of the order. */
export function commissionOf(instrument: Instrument, quantity: number, price: number): Fee {
  const { contract } = instrument;
  const value = quantity * Math.abs(price) * multiplierOf(contract);
  const { currency } = contract;
  if (quantity === 0) return { amount: 0, currency: contract.secType === 'CASH' ? 'USD' : currency };
  switch (contract.secType) {
    case 'STK':
      if (currency === 'USD') return fee(Math.min(Math.max(quantity * 0.005, 1), value * 0.01), currency);
      return fee(Math.max(value * 0.0005, 3), currency);
    case 'OPT':
      return fee(Math.max(quantity * 0.65, 1), currency);
    case 'FUT':
      return fee(quantity * (multiplierOf(contract) <= 5 ? 0.62 : 2.25), currency);
    case 'CASH':
      return fee(Math.max(quantity * 0.00002, 2), 'USD');
    case 'CRYPTO':
      return fee(Math.min(Math.max(value * 0.0018, 1.75), Math.max(value * 0.01, 0.01)), currency);
    case 'BOND':
      return fee(Math.max(quantity * 1, 5), currency);
    case 'FUND':
      return fee(Math.min(14.95, value * 0.03), currency);
    default:
      return fee(Math.max(value * 0.0002, 1), currency);
  }
}

function fee(amount: number, currency: string): Fee {
  return { amount: clean(amount), currency };
}
