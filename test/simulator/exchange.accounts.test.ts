import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { aapl, aaplId, openVenue, query } from './exchangeDriver.ts';

const account = 'DU1234567';
const es = { ...aapl, symbol: '', localSymbol: 'ESZ6', secType: 'FUT', exchange: 'CME' };
const eur = { ...aapl, symbol: 'EUR', secType: 'CASH', exchange: 'IDEALPRO', currency: 'USD' };
const msft = { ...aapl, symbol: 'MSFT' };
const sap = { ...aapl, symbol: 'SAP', exchange: 'IBIS', currency: 'EUR' };

function value(venue: ReturnType<typeof openVenue>, key: string, currency = 'USD'): number {
  const row = venue.exchange
    .accountValues(account)
    .find((each) => each.key === key && each.currency === currency);
  if (row === undefined) throw new Error(`no account value ${key} in ${currency}`);
  return Number(row.value);
}

describe('profit and loss of a stock', () => {
  test('average cost holds the commission, realized profit both', () => {
    const venue = openVenue();
    venue.pin(99.98, 100);
    venue.place({ orderId: 1 }, 300);
    expect(venue.exchange.positions()).toMatchObject([{ position: 100, avgCost: 100.01, account }]);
    venue.pin(110, 110.02, { last: 110 });
    expect(venue.exchange.pnl(account)).toEqual({ daily: 999, unrealized: 999, realized: 0 });
    venue.place({ orderId: 2, action: 'SELL', totalQuantity: 40 }, 300);
    const report = venue.exchange.commissionReport(venue.executions(2)[0]?.execId ?? '');
    expect(report).toMatchObject({ commission: 1, currency: 'USD', realizedPNL: 398.6 });
    expect(venue.exchange.positions()).toMatchObject([{ position: 60, avgCost: 100.01, realizedPNL: 398.6 }]);
    venue.place({ orderId: 3, action: 'SELL', totalQuantity: 100 }, 300);
    expect(venue.exchange.positions()).toMatchObject([{ position: -40, avgCost: 109.99 }]);
    expect(venue.exchange.pnlSingle(account, aaplId)).toMatchObject({ position: -40, value: -4400 });
    expect(venue.exchange.pnlSingle(account, 1)).toBeNull();
  });

  test('net liquidation, cash and margin follow the trades', () => {
    const venue = openVenue({ startingCash: 100_000 });
    venue.pin(99.98, 100, { last: 100 });
    venue.place({ orderId: 1 }, 300);
    expect(value(venue, 'TotalCashValue')).toBe(89_999);
    expect(value(venue, 'NetLiquidation')).toBe(99_999);
    expect(value(venue, 'GrossPositionValue')).toBe(10_000);
    expect(value(venue, 'InitMarginReq')).toBe(5_000);
    expect(value(venue, 'MaintMarginReq')).toBe(2_500);
    expect(value(venue, 'AvailableFunds')).toBe(94_999);
    expect(value(venue, 'ExcessLiquidity')).toBe(97_499);
    expect(value(venue, 'BuyingPower')).toBe(379_996);
    expect(value(venue, 'UnrealizedPnL', 'BASE')).toBe(-1);
    for (const key of [
      'NetLiquidation-S',
      'NetLiquidation-C',
      'FullInitMarginReq',
      'LookAheadMaintMarginReq',
    ])
      expect(Number.isFinite(value(venue, key))).toBe(true);
  });

  test('the day turns over: yesterday is realized no more, unrealized stays', () => {
    const venue = openVenue({ tickIntervalMs: 1_000 });
    venue.pin(99.98, 100, { last: 100 });
    venue.place({ orderId: 1 }, 2_000);
    venue.pin(105, 105.02, { last: 105 });
    venue.clock.advance(24 * 3_600_000);
    const { daily, unrealized } = venue.exchange.pnl(account);
    expect(daily).toBeCloseTo(0, 6);
    expect(unrealized).toBeCloseTo(499, 6);
    venue.pin(106, 106.02, { last: 106 });
    expect(venue.exchange.pnl(account).daily).toBeCloseTo(100, 6);
    expect(
      venue.exchange.executions({
        clientId: 0,
        account: '',
        since: null,
        symbol: '',
        secType: '',
        exchange: '',
        side: '',
      }),
    ).toEqual([]);
  });
});

describe('other contracts', () => {
  test('a future moves cash by its gain alone, in units of its multiplier', () => {
    const venue = openVenue({ startingCash: 100_000 });
    const id = 649180695;
    venue.exchange.script.pin(id, { bid: 6600, ask: 6600.25, last: 6600, bidSize: 50, askSize: 50 });
    venue.place({ orderId: 1, contract: es, totalQuantity: 2 }, 300);
    expect(venue.exchange.positions()).toMatchObject([{ position: 2, avgCost: 6600.25 * 50 + 2.25 }]);
    expect(value(venue, 'TotalCashValue')).toBe(99_995.5);
    expect(value(venue, 'InitMarginReq-C')).toBe(46_200);
    venue.exchange.script.pin(id, { bid: 6610.25, ask: 6610.5, last: 6610.25, bidSize: 50, askSize: 50 });
    expect(value(venue, 'NetLiquidation')).toBe(99_995.5 + 1_000);
    venue.place({ orderId: 2, contract: es, totalQuantity: 2, action: 'SELL' }, 300);
    expect(value(venue, 'TotalCashValue')).toBe(100_000 + 1_000 - 9);
    expect(venue.exchange.pnl(account).realized).toBeCloseTo(991, 6);
  });

  test('an option costs its premium times its multiplier and lends nothing', () => {
    const venue = openVenue({ startingCash: 100_000 });
    const [option] = venue.exchange.findContracts(
      query({ localSymbol: 'AAPL  261218C00200000', secType: 'OPT', exchange: 'SMART' }),
    );
    if (option === undefined) throw new Error('no option');
    const { conId } = option.contract;
    venue.exchange.script.pin(conId, { bid: 70, ask: 70.05, last: 70.05, bidSize: 50, askSize: 50 });
    venue.place({ orderId: 1, contract: option.contract, totalQuantity: 3 }, 300);
    expect(value(venue, 'TotalCashValue')).toBeCloseTo(100_000 - 21_015 - 1.95, 6);
    expect(value(venue, 'OptionMarketValue')).toBeCloseTo(21_015, 6);
    expect(value(venue, 'EquityWithLoanValue')).toBeCloseTo(100_000 - 21_015 - 1.95, 6);
    expect(venue.exchange.positions()[0]?.avgCost).toBeCloseTo(7005.65, 6);
  });

  test('a share in euros makes a debt in euros', () => {
    const venue = openVenue();
    venue.exchange.script.pin(14204, { bid: 199.98, ask: 200, bidSize: 1000, askSize: 1000 });
    venue.place({ orderId: 1, contract: sap, totalQuantity: 10 }, 300);
    expect(value(venue, 'CashBalance', 'EUR')).toBe(-2_003);
    expect(value(venue, 'StockMarketValue', 'EUR')).toBeGreaterThan(1_900);
    expect(value(venue, 'NetLiquidation')).toBeLessThan(1_000_000);
    expect(value(venue, 'NetLiquidation')).toBeGreaterThan(999_900);
  });

  test('the rows of all currencies add up to the base row', () => {
    const venue = openVenue();
    venue.place({ orderId: 1, contract: eur, totalQuantity: 20_000 }, 300);
    venue.place({ orderId: 2, contract: sap, totalQuantity: 10 }, 300);
    venue.place({ orderId: 3 }, 300);
    const rows = venue.exchange.accountValues(account);
    const rate = Number(
      rows.find(({ key, currency }) => key === 'ExchangeRate' && currency === 'EUR')?.value,
    );
    const total =
      value(venue, 'NetLiquidationByCurrency', 'EUR') * rate +
      value(venue, 'NetLiquidationByCurrency', 'USD');
    expect(total).toBeCloseTo(value(venue, 'NetLiquidationByCurrency', 'BASE'), -1);
    expect(value(venue, 'NetLiquidationByCurrency', 'BASE')).toBeCloseTo(value(venue, 'NetLiquidation'), 1);
  });
});

describe('laws', () => {
  const step = fc.record({
    contract: fc.constantFrom(aapl, msft, es, eur),
    action: fc.constantFrom('BUY', 'SELL'),
    size: fc.integer({ min: 1, max: 9 }),
    orderType: fc.constantFrom('MKT', 'LMT'),
    tif: fc.constantFrom('DAY', 'IOC', 'FOK'),
    offset: fc.integer({ min: -3, max: 3 }),
    waitMs: fc.integer({ min: 0, max: 900 }),
    cancel: fc.boolean(),
  });

  test('whatever is traded, shares and money are conserved', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e6 }),
        fc.array(step, { minLength: 1, maxLength: 12 }),
        (seed, steps) => {
          const venue = openVenue({ seed, startingCash: 50_000_000 });
          steps.forEach(({ contract, action, size, orderType, tif, offset, waitMs, cancel }, index) => {
            const orderId = index + 1;
            const found = venue.exchange.resolve(contract);
            if (!('details' in found)) throw new Error(found.text);
            const { minTick, contract: full } = found.details;
            const unit = full.secType === 'STK' ? 100 : full.secType === 'CASH' ? 100_000 : 1;
            const bid = venue.exchange.quote(full.conId)?.bid ?? 0;
            const lmtPrice = Math.round((Math.round(bid / minTick) + offset) * minTick * 1e8) / 1e8;
            venue.place(
              { orderId, contract, action, totalQuantity: size * unit, orderType, tif, lmtPrice },
              waitMs,
            );
            if (cancel) venue.exchange.cancel(1, orderId);
          });
          venue.clock.advance(2_000);

          const flows = new Map<number, number>();
          let cash = 50_000_000;
          for (const { execId, contract, side, shares, price } of venue.executions()) {
            const signed = side === 'BOT' ? shares : -shares;
            flows.set(contract.conId, (flows.get(contract.conId) ?? 0) + signed);
            const commission = venue.exchange.commissionReport(execId)?.commission ?? Number.NaN;
            cash -= commission + signed * price * (contract.secType === 'FUT' ? 50 : 1);
          }
          for (const [conId, shares] of flows) {
            const position = venue.exchange.positions().find(({ contract }) => contract.conId === conId);
            expect(position?.position ?? 0).toBeCloseTo(shares, 6);
          }
          let worth = cash;
          for (const { contract, position, marketPrice } of venue.exchange.positions())
            worth += position * marketPrice * (contract.secType === 'FUT' ? 50 : 1);
          expect(value(venue, 'NetLiquidation')).toBeCloseTo(worth, 0);
          const { daily } = venue.exchange.pnl(account);
          const paidInDollarsForForex = venue
            .executions()
            .filter(({ contract }) => contract.secType === 'CASH')
            .reduce((sum, { execId }) => sum + (venue.exchange.commissionReport(execId)?.commission ?? 0), 0);
          expect(daily - paidInDollarsForForex).toBeCloseTo(worth - 50_000_000, 0);

          for (let orderId = 1; orderId <= steps.length; orderId++) {
            if (!venue.isKnown(orderId)) continue;
            const order = venue.order(orderId);
            const parts = venue.executions(orderId);
            const filled = parts.reduce((sum, { shares }) => sum + shares, 0);
            const paid = parts.reduce((sum, { shares, price }) => sum + shares * price, 0);
            expect(order.filled).toBeCloseTo(filled, 6);
            expect(order.filled).toBeLessThanOrEqual(order.request.totalQuantity);
            expect(order.filled + order.remaining).toBeCloseTo(order.request.totalQuantity, 6);
            if (filled > 0) expect(order.avgFillPrice).toBeCloseTo(paid / filled, 6);
            for (const { price, side } of parts)
              if (order.request.orderType === 'LMT') {
                const limit = order.request.lmtPrice ?? 0;
                if (side === 'BOT') expect(price).toBeLessThanOrEqual(limit + 1e-9);
                else expect(price).toBeGreaterThanOrEqual(limit - 1e-9);
              }
            const isFok = order.request.tif === 'FOK';
            if (isFok) expect([0, order.request.totalQuantity]).toContain(order.filled);
            if (isFok || order.request.tif === 'IOC') expect(order.completedAt).not.toBeNull();
          }
          expect(new Set(venue.executions().map(({ execId }) => execId)).size).toBe(
            venue.executions().length,
          );
          const permIds = [...venue.exchange.openOrders(), ...venue.exchange.completedOrders()].map(
            ({ permId }) => permId,
          );
          expect(new Set(permIds).size).toBe(permIds.length);
          expect(Math.max(0, ...permIds)).toBeLessThan(2 ** 31);
          venue.exchange.close();
        },
      ),
      { numRuns: 40 },
    );
  });
});
