import { describe, expect, test } from 'vitest';
import { impliedVolatility, normalCdf, optionValue } from '../../src/simulator/exchange/blackScholes.ts';
import { listedInstruments } from '../../src/simulator/exchange/catalogue.ts';
import { commissionOf } from '../../src/simulator/exchange/fees.ts';
import { atLocal, dayOfText, parseTime, zoneOffsetMs } from '../../src/simulator/exchange/zones.ts';

function listed(localSymbol: string, currency = 'USD') {
  const found = listedInstruments().find(
    ({ contract }) => contract.localSymbol === localSymbol && contract.currency === currency,
  );
  if (found === undefined) throw new Error(`${localSymbol} is not listed`);
  return found;
}

describe('commissions', () => {
  test.each([
    ['AAPL', 'USD', 100, 200, 1],
    ['AAPL', 'USD', 1_000, 200, 5],
    ['AMC', 'USD', 10, 2, 0.2],
    ['AMC', 'USD', 100_000, 0.4, 400],
    ['SAP', 'EUR', 10, 200, 3],
    ['SAP', 'EUR', 100, 200, 10],
    ['AAPL  261218C00200000', 'USD', 1, 70, 1],
    ['AAPL  261218C00200000', 'USD', 10, 70, 6.5],
    ['ESZ6', 'USD', 2, 6600, 4.5],
    ['MESZ6', 'USD', 2, 6600, 1.24],
    ['EUR.USD', 'USD', 20_000, 1.15, 2],
    ['EUR.USD', 'USD', 1_000_000, 1.15, 20],
    ['AAPL', 'USD', 0, 200, 0],
  ])('%s in %s: %d at %d cost %d', (name, currency, quantity, price, amount) => {
    expect(commissionOf(listed(name, currency), quantity, price)).toEqual({ amount, currency });
  });
});

describe('local time', () => {
  test.each([
    ['20260307 12:00:00 US/Eastern', Date.UTC(2026, 2, 7, 17)],
    ['20260308 12:00:00 US/Eastern', Date.UTC(2026, 2, 8, 16)],
    ['20261031 12:00:00 America/New_York', Date.UTC(2026, 9, 31, 16)],
    ['20261101 12:00:00 America/New_York', Date.UTC(2026, 10, 1, 17)],
    ['20261101 00:30:00 US/Eastern', Date.UTC(2026, 10, 1, 4, 30)],
    ['20260328 12:00:00 MET', Date.UTC(2026, 2, 28, 11)],
    ['20260329 12:00:00 MET', Date.UTC(2026, 2, 29, 10)],
    ['20261025 12:00:00 Europe/Berlin', Date.UTC(2026, 9, 25, 11)],
    ['20261123 12:00:00 Asia/Hong_Kong', Date.UTC(2026, 10, 23, 4)],
    ['20261123 12:00:00', Date.UTC(2026, 10, 23, 17)],
    ['20261123 12:00 UTC', Date.UTC(2026, 10, 23, 12)],
    ['20261123-12:00:00', Date.UTC(2026, 10, 23, 12)],
    ['20261123', Date.UTC(2026, 10, 24, 5)],
    ['20261301 12:00:00', null],
    ['20261123 25:00:00', null],
    ['20261123 12:61:00', null],
    ['20261123 12:00:00 Nowhere/Land', null],
    ['soon', null],
    ['', null],
  ])('reads "%s"', (text, time) => {
    expect(parseTime(text, 'US/Eastern')).toBe(time);
  });

  test('the zones with rules of their own agree with the system', () => {
    for (const zone of [
      'America/New_York',
      'America/Chicago',
      'Europe/Berlin',
      'Europe/London',
      'Asia/Tokyo',
    ])
      for (let time = Date.UTC(2025, 0, 1); time < Date.UTC(2028, 0, 1); time += 11 * 3_600_000) {
        const parts = new Intl.DateTimeFormat('en-CA', {
          timeZone: zone,
          hourCycle: 'h23',
          year: 'numeric',
          month: '2-digit',
          day: '2-digit',
          hour: '2-digit',
        }).format(time);
        const local = new Date(time + (zoneOffsetMs(zone, time) ?? Number.NaN)).toISOString();
        expect(`${zone} ${local.slice(0, 10)}, ${local.slice(11, 13)}`).toBe(`${zone} ${parts}`);
      }
  });

  test('a local moment of the evening before is a negative minute', () => {
    expect(atLocal('US/Central', dayOfText('20261123'), -420)).toBe(Date.UTC(2026, 10, 22, 23));
  });
});

describe('option values', () => {
  test('agree with published ones', () => {
    expect(normalCdf(1.96)).toBeCloseTo(0.9750021, 6);
    const terms = { right: 'C', strike: 100, years: 1, rate: 0.05 } as const;
    const value = optionValue(terms, 100, 0.2);
    expect(value.price).toBeCloseTo(10.4506, 3);
    expect(value.delta).toBeCloseTo(0.6368, 4);
    expect(value.gamma).toBeCloseTo(0.01876, 5);
    expect(value.vega).toBeCloseTo(0.37524, 4);
    expect(value.theta * 365).toBeCloseTo(-6.414, 3);
    expect(optionValue({ ...terms, right: 'P' }, 100, 0.2).price).toBeCloseTo(5.5735, 3);
    expect(impliedVolatility(terms, 100, value.price)).toBeCloseTo(0.2, 6);
    expect(impliedVolatility(terms, 100, 200)).toBeNull();
  });
});
