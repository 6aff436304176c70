/** What the gate knows beyond one order: exits and their parents, combinations and their legs, markets that say little. */
import { expect, test } from 'vitest';
import type { LegMarket } from '../../machines/combo.ts';
import type { Mark } from '../../machines/market.ts';
import type { Order, OrderTicket } from '../../machines/order.ts';
import { startGate } from './gate-driver.ts';
import { at, order, position } from './orders.ts';

test('an entry is not made smaller than its exits allow, and its exits are judged where it is to open', () => {
  const gate = startGate({ maxPositionNotional: '20000', priceCollarPercent: '5' });
  const entry = { clientOrderId: 'entry', limitPrice: '180', quantity: '100' };
  const exit = { side: 'sell', parentClientOrderId: 'entry' } as const;
  const stop = { ...exit, clientOrderId: 'stop', type: 'stop', stopPrice: '170' } as const;
  expect(gate.judge(entry)).toEqual([]);
  expect(gate.judge({ ...stop, quantity: '200' })).toEqual([]);
  // Ninety fewer to open: the stop could sell 110 more than that, and 190 with the next.
  expect(gate.judge({ ...entry, quantity: '99' }, { replaces: 'entry' })).toEqual([]);
  expect(gate.judge({ ...entry, quantity: '10' }, { replaces: 'entry' })).toEqual(['position-notional']);
  expect(gate.judge({ ...exit, clientOrderId: 'profit', quantity: '99', limitPrice: '175' })).toEqual([]);
  expect(gate.judge({ ...entry, limitPrice: '188' }, { replaces: 'entry' })).toEqual(['price-collar']);
  expect(gate.judge({ ...entry, limitPrice: '182' }, { replaces: 'entry' })).toEqual([]);
});

test('while nothing may grow, entries that work may be protected and made smaller', () => {
  const gate = startGate({ maxDailyLoss: '100' });
  const entry = { clientOrderId: 'entry', quantity: '10', limitPrice: '180' };
  const stop = {
    clientOrderId: 'stop',
    side: 'sell',
    type: 'stop',
    quantity: '10',
    stopPrice: '170',
  } as const;
  const attached = { ...stop, parentClientOrderId: 'entry' };
  gate.send({ type: 'gate.pnlNoted', account: 'DU1234567', daily: '0' });
  expect([gate.judge(entry), gate.judge(attached)]).toEqual([[], []]);
  const nothingMayGrow = (why: string): void => {
    expect(gate.judge({ ...attached, stopPrice: '175' }, { replaces: 'stop' })).toEqual([]);
    expect(gate.judge({ ...attached, clientOrderId: `second-${why}` })).toEqual([]);
    expect(gate.judge({ ...entry, quantity: '11' }, { replaces: 'entry' })).toEqual([why]);
    expect(gate.judge({ ...entry, limitPrice: '181' }, { replaces: 'entry' })).toEqual([why]);
    // Its exits would open what it does not.
    expect(gate.judge({ ...entry, quantity: '9' }, { replaces: 'entry' })).toEqual([why]);
    expect(gate.judge({ clientOrderId: 'new', quantity: '1' })).toEqual([why]);
    expect(gate.judge({ ...stop, clientOrderId: 'lone' })).toEqual([why]);
  };
  gate.send({ type: 'gate.pnlNoted', account: 'DU1234567', daily: '-101' });
  nothingMayGrow('daily-loss');
  gate.send({ type: 'gate.pnlNoted', account: 'DU1234567', daily: '0' });
  gate.send({ type: 'gate.reduce', reason: { code: 'operator', message: 'less' }, at });
  nothingMayGrow('not-reducing');
  gate.send({ type: 'gate.release', clientOrderIds: ['stop', 'second-daily-loss', 'second-not-reducing'] });
  expect(gate.judge({ ...entry, quantity: '9' }, { replaces: 'entry' })).toEqual([]);
});

test('a stop that is past already is no place where an exit could wait', () => {
  const gate = startGate({ priceCollarPercent: '5' });
  expect(gate.judge({ clientOrderId: 'past', side: 'sell', type: 'stop', stopPrice: '5000' })).toEqual([]);
  expect(gate.judge({ parentClientOrderId: 'past', limitPrice: '5900' })).toEqual(['price-collar']);
});

test('a stop that trails comes to the market, and its limit keeps the distance', () => {
  const gate = startGate({ priceCollarPercent: '5' });
  const trailing = { type: 'trailing_stop_limit', trailAmount: '1', stopPrice: '5000' } as const;
  expect(gate.judge({ ...trailing, limitPrice: '5900' })).toEqual(['price-collar']);
  expect(gate.judge({ ...trailing, limitPrice: '5009' })).toEqual([]);
  expect(gate.judge({ ...trailing, side: 'sell', stopPrice: '10', limitPrice: '0.5' })).toEqual([
    'price-collar',
  ]);
});

test('a clock that was put back stops no order', () => {
  const gate = startGate({ maxOrdersPerSecond: 1 });
  expect([gate.judge({}), gate.judge({})]).toEqual([[], ['order-rate']]);
  expect(gate.judge({}, { at: at - 3_600_000 })).toEqual([]);
  expect(gate.judge({}, { at: at - 3_600_000 })).toEqual(['order-rate']);
});

test('against a lone bid of a cent nothing is cheap', () => {
  const wide: Mark = { bid: 0.01, ask: 199_999, last: 187, close: 186, at };
  const gate = startGate({ maxOrderNotional: '1000', priceCollarPercent: '5' });
  const sell = { side: 'sell', quantity: '6' } as const;
  expect(gate.judge({ ...sell, type: 'market_on_close' }, { mark: wide })).toEqual(['order-notional']);
  expect(gate.judge({ ...sell, quantity: '1', limitPrice: '0.02' }, { mark: wide })).toEqual([
    'price-collar',
  ]);
  const buys = startGate({ priceCollarPercent: '5' });
  expect(buys.judge({ limitPrice: '250' }, { mark: wide })).toEqual(['price-collar']);
  expect(buys.judge({ limitPrice: '190' }, { mark: wide })).toEqual([]);
});

test('a contract that a client calls by its number is one with its name', () => {
  const gate = startGate({ maxPositionNotional: '1900' });
  const numbered = { conId: 265_598, alias: 'AAPL' };
  expect(gate.judge({ instrument: 'CONID:265598', quantity: '6' }, numbered)).toEqual([]);
  expect(gate.judge({ instrument: 'AAPL', quantity: '6' })).toEqual(['position-notional']);
});

test('after a restart a child that closes nothing of its parent counts like any order', () => {
  const gate = startGate({ maxPositionNotional: '3000' });
  const child = (clientOrderId: string, change: Partial<Order>): void =>
    gate.send({ type: 'gate.orderNoted', order: order({ clientOrderId, state: 'working', ...change }) });
  gate.send(position('5'));
  for (const name of ['one', 'two']) child(name, { quantity: '5', parentClientOrderId: 'gone' });
  expect(gate.judge({ quantity: '2' })).toEqual(['position-notional']);
  // Exits of what is held: one of them fills.
  gate.send({ type: 'gate.release', clientOrderIds: ['one', 'two'] });
  for (const name of ['profit', 'stop'])
    child(name, { side: 'sell', quantity: '5', parentClientOrderId: 'gone' });
  expect(gate.judge({ side: 'sell', quantity: '16' })).toEqual([]);
});

test('a liquidation calls back the newest of what could turn the position round together', () => {
  const gate = startGate();
  gate.send(position('100'));
  for (const clientOrderId of ['old', 'new']) gate.judge({ clientOrderId, side: 'sell', quantity: '60' });
  gate.send({ type: 'gate.liquidated', account: 'DU1234567', instrument: 'AAPL', side: 'sell', at });
  expect(gate.heard).toContainEqual({ type: 'gate.reversing', clientOrderIds: ['new'], at });
});

const legs = [
  { conId: 1, ratio: 1, action: 'BUY' as const, exchange: 'SMART' },
  { conId: 2, ratio: 10, action: 'SELL' as const, exchange: 'SMART' },
];
const pair: Partial<OrderTicket> = {
  instrument: 'BAG:GOOG +1x1 -10x2',
  contract: { symbol: 'GOOG', secType: 'BAG', exchange: 'SMART', currency: 'USD', comboLegs: legs },
  type: 'limit',
  limitPrice: '0.50',
  quantity: '10',
};
const legAt = (price: number, multiplier = '1'): LegMarket => ({
  mark: { bid: price, ask: price, last: price, close: price, at },
  multiplier,
});
/** 100 and ten of 10: together nothing, and 200 worth of legs. */
const markets = { legs: [legAt(100), legAt(10)], mark: null };

test.for([
  ['units of a leg', { maxOrderQuantity: '99' }, {}, markets, ['order-quantity']],
  ['what its legs are worth', { maxOrderNotional: '1999' }, {}, markets, ['order-notional']],
  ['as much as is allowed', { maxOrderNotional: '2000', maxOrderQuantity: '100' }, {}, markets, []],
  [
    'a position in a leg',
    { maxPositionNotional: '999' },
    {},
    markets,
    ['position-notional', 'position-notional'],
  ],
  ['a limit beyond its legs', { priceCollarPercent: '5' }, { limitPrice: '11' }, markets, ['price-collar']],
  ['a limit near its legs', { priceCollarPercent: '5' }, { limitPrice: '9' }, markets, []],
  [
    'a leg without a multiplier',
    { maxOrderNotional: '1' },
    {},
    { legs: [legAt(100), { ...legAt(10), multiplier: null }] },
    ['notional-unknown'],
  ],
  [
    'a leg without a price',
    { maxOrderNotional: '1' },
    {},
    { legs: [legAt(100), { mark: null, multiplier: '1' }], absence: 'answer' },
    ['no-price'],
  ],
] as const)('of a combination: %s', ([, limits, change, options, codes]) => {
  expect(startGate(limits).judge({ ...pair, ...change }, options)).toEqual(codes);
});

test('the legs of open combinations and orders in them count together, and closing all of them reduces', () => {
  const gate = startGate({ maxPositionNotional: '1500' });
  expect(gate.judge(pair, markets)).toEqual([]);
  // 10 of the first leg are to be bought, and 100 of the second to be sold.
  const lone = { instrument: 'CONID:2', side: 'sell', limitPrice: '10' } as const;
  expect(gate.judge({ ...lone, quantity: '51' }, { mark: null })).toEqual(['position-notional']);
  expect(gate.judge({ ...pair, quantity: '6' }, markets)).toEqual(['position-notional', 'position-notional']);
  const closing = startGate({}, 'reducing');
  const close: Partial<OrderTicket> = { ...pair, side: 'sell' };
  expect(closing.judge(close, markets)).toEqual(['not-reducing']);
  const held = (conId: number, quantity: string): void => {
    const instrument = `CONID:${conId}`;
    const { position: row } = position(quantity) as { position: object };
    closing.send({
      type: 'gate.positionNoted',
      position: { ...row, instrument, contract: { conId }, quantity },
    } as never);
  };
  held(1, '10');
  held(2, '-99');
  expect(closing.judge(close, markets)).toEqual(['not-reducing']);
  held(2, '-100');
  expect(closing.judge(close, markets)).toEqual([]);
  expect(closing.judge({ ...close, quantity: '1' }, markets)).toEqual(['not-reducing']);
});
