/** Model values of options, as tickOptionComputation and the calculator requests carry them. */
import { impliedVolatility, optionValue } from './blackScholes.ts';
import type { Instrument } from './instruments.ts';
import { clean } from './instruments.ts';
import type { Market } from './market.ts';
import type { Prices } from './prices.ts';
import { riskFreeRate } from './prices.ts';

const yearMs = 31_536_000_000;

export interface ModelInput {
  readonly volatility?: number;
  readonly optionPrice?: number;
  readonly underPrice?: number;
}

/** Values at the live (or given) underlying price; null for what is not an option or has no solution. */
export function optionModel(
  instrument: Instrument,
  market: Market,
  prices: Prices,
  now: number,
  given: ModelInput = {},
) {
  const { driver, contract } = instrument;
  if (driver.type !== 'option' || contract.right === '') return null;
  const underlying = given.underPrice ?? market.mark(driver.underlying);
  const years = Math.max(0, driver.expiry - now) / yearMs;
  const terms = { right: contract.right, strike: contract.strike, years, rate: riskFreeRate };
  const volatility =
    given.optionPrice === undefined
      ? (given.volatility ?? prices.impliedVolatility(instrument, underlying))
      : impliedVolatility(terms, underlying, given.optionPrice);
  if (volatility === null || !(volatility > 0) || !(underlying > 0)) return null;
  const value = optionValue(terms, underlying, volatility);
  return {
    impliedVol: clean(volatility),
    delta: clean(value.delta),
    optPrice: clean(given.optionPrice ?? value.price),
    pvDividend: 0,
    gamma: clean(value.gamma),
    vega: clean(value.vega),
    theta: clean(value.theta),
    undPrice: underlying,
  };
}
