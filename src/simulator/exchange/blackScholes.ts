/** European option values on a forward without dividends. */

export interface OptionTerms {
  readonly right: 'C' | 'P';
  readonly strike: number;
  readonly years: number;
  readonly rate: number;
}

export interface OptionValue {
  readonly price: number;
  readonly delta: number;
  readonly gamma: number;
  /** per point of volatility (1%) */
  readonly vega: number;
  /** per day */
  readonly theta: number;
}

/** The distribution function of the standard normal, to about 1e-7. */
export function normalCdf(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const poly =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const tail = 0.3989422804014327 * Math.exp((-x * x) / 2) * poly;
  return x >= 0 ? 1 - tail : tail;
}

export function optionValue(terms: OptionTerms, underlying: number, volatility: number): OptionValue {
  const sign = terms.right === 'C' ? 1 : -1;
  const years = Math.max(terms.years, 1 / (365 * 24 * 60));
  const root = volatility * Math.sqrt(years);
  const d1 =
    (Math.log(underlying / terms.strike) + (terms.rate + (volatility * volatility) / 2) * years) / root;
  const d2 = d1 - root;
  const discount = Math.exp(-terms.rate * years);
  const density = 0.3989422804014327 * Math.exp((-d1 * d1) / 2);
  const price = sign * (underlying * normalCdf(sign * d1) - terms.strike * discount * normalCdf(sign * d2));
  const decay = (-underlying * density * volatility) / (2 * Math.sqrt(years));
  return {
    price: Math.max(price, 0),
    delta: sign * normalCdf(sign * d1),
    gamma: density / (underlying * root),
    vega: (underlying * density * Math.sqrt(years)) / 100,
    theta: (decay - sign * terms.rate * terms.strike * discount * normalCdf(sign * d2)) / 365,
  };
}

/** The volatility at which the option is worth `price`, between 0.1% and 500%; null when no volatility gives it. */
export function impliedVolatility(terms: OptionTerms, underlying: number, price: number): number | null {
  let low = 0.001;
  let high = 5;
  if (
    price < optionValue(terms, underlying, low).price - 1e-6 ||
    price > optionValue(terms, underlying, high).price
  )
    return null;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (optionValue(terms, underlying, middle).price < price) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
