import fc from 'fast-check';
import { expect, test } from 'vitest';
import { referencePrice } from '../../machines/collar.ts';
import { absolute, add, compare, multiply } from '../../machines/decimal.ts';
import { type GateEvent, gateMachine } from '../../machines/gate.machine.ts';
import type { GateLimits } from '../../machines/gate.ts';
import type { Incarnation } from '../../machines/incarnation.ts';
import type { Order, OrderTicket } from '../../machines/order.ts';
import { mark, startGate } from './gate-driver.ts';
import { matrix } from './matrix.ts';
import { at, fill, order, position, ticket } from './orders.ts';

test('every state against every event is the committed table', async () => {
  const states = Object.fromEntries(
    (['open', 'reducing', 'halted'] as const).map((state) => [state, startGate({}, state).persisted()]),
  );
  const reason = { code: 'operator', message: 'asked for' };
  const events: GateEvent[] = [
    {
      type: 'gate.review',
      requestId: 'r',
      questions: [{ ticket: ticket(), mark, multiplier: '1' }],
      replaces: null,
      preview: false,
      at,
    },
    { type: 'gate.orderNoted', order: order({ state: 'working' }) },
    position('5'),
    { type: 'gate.pnlNoted', account: 'DU1234567', daily: '-5' },
    { type: 'gate.accountsNoted', accounts: ['DU1234567'] },
    { type: 'gate.uncertaintyNoted', positions: [] },
    { type: 'gate.liquidated', account: 'DU1234567', instrument: 'AAPL', side: 'sell', at },
    { type: 'gate.release', clientOrderIds: ['c-1'] },
    { type: 'gate.open', reason, at },
    { type: 'gate.reduce', reason, at },
    { type: 'gate.halt', reason, at },
  ];
  await expect(matrix(gateMachine, { states, events })).toMatchFileSnapshot('./gate.matrix.txt');
});

/** An order without a limit says so: the one that is changed here has one. */
type Change = { readonly [F in keyof OrderTicket]?: OrderTicket[F] | undefined };
test.for<[string, Partial<GateLimits>, Change, string[]]>([
  ['quantity at the limit', { maxOrderQuantity: '10' }, { quantity: '10' }, []],
  ['quantity above the limit', { maxOrderQuantity: '10' }, { quantity: '10.01' }, ['order-quantity']],
  ['notional by the limit price', { maxOrderNotional: '1000' }, { quantity: '6' }, ['order-notional']],
  [
    'notional of a sell by the market, not by its low limit',
    { maxOrderNotional: '1000' },
    { side: 'sell', quantity: '6', limitPrice: '1' },
    ['order-notional'],
  ],
  [
    'notional of a market order',
    { maxOrderNotional: '1000' },
    { type: 'market', quantity: '6' },
    ['order-notional'],
  ],
  ['a passive limit far away', { priceCollarPercent: '5' }, { limitPrice: '1' }, []],
  ['a buy limit beyond the market', { priceCollarPercent: '5' }, { limitPrice: '200' }, ['price-collar']],
  [
    'a buy limit that is touched already',
    { priceCollarPercent: '5' },
    { type: 'limit_if_touched', stopPrice: '999', limitPrice: '1000' },
    ['price-collar'],
  ],
  [
    'a sell limit that is touched already',
    { priceCollarPercent: '5' },
    { type: 'limit_if_touched', side: 'sell', stopPrice: '1', limitPrice: '0.96' },
    ['price-collar'],
  ],
  [
    'a sell limit beyond the market',
    { priceCollarPercent: '5' },
    { side: 'sell', limitPrice: '150' },
    ['price-collar'],
  ],
  [
    'a limit that follows its stop too far behind',
    { priceCollarPercent: '5' },
    {
      type: 'trailing_stop_limit',
      trailAmount: '2',
      stopPrice: '190',
      limitPrice: undefined,
      tws: { lmtPriceOffset: 10 },
    },
    ['price-collar'],
  ],
  [
    'a limit that follows its stop closely',
    { priceCollarPercent: '5' },
    {
      type: 'trailing_stop_limit',
      trailAmount: '2',
      stopPrice: '190',
      limitPrice: undefined,
      tws: { lmtPriceOffset: '1' },
    },
    [],
  ],
  [
    'what a limit follows its stop to is worth',
    { maxOrderNotional: '2000' },
    {
      type: 'trailing_stop_limit',
      trailAmount: '2',
      stopPrice: '190',
      limitPrice: undefined,
      tws: { lmtPriceOffset: 13 },
    },
    ['order-notional'],
  ],
  [
    'a limit that a stop gets later',
    { priceCollarPercent: '5', maxOrderNotional: '3000' },
    {
      type: 'stop',
      stopPrice: '190',
      limitPrice: undefined,
      tws: { adjustedOrderType: 'STP LMT', adjustedStopPrice: 192, adjustedStopLimitPrice: 2000 },
    },
    ['order-notional', 'price-collar'],
  ],
  [
    'a limit that a sell stop gets later',
    { priceCollarPercent: '5' },
    {
      type: 'stop',
      side: 'sell',
      stopPrice: '180',
      limitPrice: undefined,
      tws: { adjustedStopLimitPrice: 2 },
    },
    ['price-collar'],
  ],
  [
    'an offset from the best price',
    { priceCollarPercent: '5' },
    { type: 'relative', limitPrice: undefined, trailAmount: '20' },
    ['price-collar'],
  ],
  [
    'a share beyond the best price',
    { priceCollarPercent: '5' },
    { type: 'relative', limitPrice: undefined, tws: { percentOffset: 0.06 } },
    ['price-collar'],
  ],
  [
    'a small offset from the best price',
    { priceCollarPercent: '5' },
    { type: 'relative', limitPrice: undefined, trailAmount: '0.02' },
    [],
  ],
  ['a buy limit inside the collar', { priceCollarPercent: '5' }, { limitPrice: '190' }, []],
  ['a position too large', { maxPositionNotional: '1000' }, { quantity: '6' }, ['position-notional']],
  [
    'everything at once',
    { maxOrderQuantity: '1', priceCollarPercent: '5' },
    { limitPrice: '900' },
    ['order-quantity', 'price-collar'],
  ],
])('%s', ([, limits, change, codes]) => {
  expect(startGate(limits).judge(change as Partial<OrderTicket>)).toEqual(codes);
});

test.for([
  ['buy', '100', 'sell', '104', []],
  ['buy', '100', 'sell', '94', ['price-collar']],
  // In a market that is there already nothing waits for the limit of the parent.
  ['buy', '195', 'sell', '176', ['price-collar']],
  ['sell', '300', 'buy', '290', []],
  ['sell', '300', 'buy', '316', ['price-collar']],
] as const)('a %s at %s has its exit judged there: %s at %s', ([
  side,
  limitPrice,
  exit,
  exitPrice,
  codes,
]) => {
  const gate = startGate({ priceCollarPercent: '5' });
  expect(gate.judge({ clientOrderId: 'entry', side, limitPrice })).toEqual([]);
  const child = { side: exit, limitPrice: exitPrice } as const;
  expect(gate.judge({ ...child, parentClientOrderId: 'entry' })).toEqual(codes);
  if (codes.length === 0) expect(gate.judge(child)).toEqual(['price-collar']);
});

test('paper mode knows only paper accounts, live mode any', () => {
  expect(startGate().judge({ account: 'U7654321' })).toEqual(['account-not-paper']);
  expect(startGate({}, 'open', 'live').judge({ account: 'U7654321' })).toEqual([]);
});

test('an account that TWS did not name is refused', () => {
  const gate = startGate();
  gate.send({ type: 'gate.accountsNoted', accounts: ['DU1234567'] });
  expect(gate.judge({ account: 'DU9999999' })).toEqual(['account-unknown']);
});

test('no more orders in one second than allowed, and again in the next', () => {
  const gate = startGate({ maxOrdersPerSecond: 2 });
  expect([gate.judge({}), gate.judge({}), gate.judge({})]).toEqual([[], [], ['order-rate']]);
  expect(gate.judge({}, { at: at + 1_000 })).toEqual([]);
});

test('open orders are counted until they close', () => {
  const gate = startGate({ maxOpenOrders: 1 });
  expect(gate.judge({ clientOrderId: 'c-1' })).toEqual([]);
  expect(gate.judge({})).toEqual(['open-orders']);
  gate.send({ type: 'gate.orderNoted', order: order({ state: 'cancelled' }) });
  expect(gate.judge({})).toEqual([]);
});

test('reducing passes only what cannot do more than close the position', () => {
  const gate = startGate({}, 'reducing');
  expect(gate.judge({ side: 'sell', quantity: '1' })).toEqual(['not-reducing']);
  gate.send(position('10'));
  expect(gate.judge({ side: 'buy', quantity: '1' })).toEqual(['not-reducing']);
  expect(gate.judge({ side: 'sell', quantity: '11' })).toEqual(['not-reducing']);
  expect(gate.judge({ side: 'sell', quantity: '6' })).toEqual([]);
  // What the first may still sell is not there for the second.
  expect(gate.judge({ side: 'sell', quantity: '5' })).toEqual(['not-reducing']);
  expect(gate.judge({ side: 'sell', quantity: '4' })).toEqual([]);
});

test('beyond the loss of the day only reducing orders pass', () => {
  const gate = startGate({ maxDailyLoss: '100' });
  gate.send({ type: 'gate.pnlNoted', account: 'DU1234567', daily: '-100.01' });
  gate.send(position('10'));
  expect(gate.judge({ side: 'buy' })).toEqual(['daily-loss']);
  expect(gate.judge({ side: 'sell', quantity: '10' })).toEqual([]);
});

test('a loss that nobody has told yet is no small one, where something is held', () => {
  const gate = startGate({ maxDailyLoss: '100' });
  expect(gate.judge({ clientOrderId: 'flat' })).toEqual([]);
  gate.send(position('10'));
  expect(gate.judge({ side: 'buy' })).toEqual(['daily-loss-unknown']);
  expect(gate.judge({ side: 'sell', quantity: '10', clientOrderId: 'exit' })).toEqual([]);
  const told = (daily: string | null): void =>
    gate.send({ type: 'gate.pnlNoted', account: 'DU1234567', daily });
  const buys = () => gate.judge({ side: 'buy', quantity: '1' });
  told('-99');
  expect(buys()).toEqual([]);
  told(null);
  expect(buys()).toEqual(['daily-loss-unknown']);
  told('-99');
  gate.send({ type: 'gate.sessionLost' });
  expect(buys()).toEqual(['daily-loss-unknown']);
});

test('an order that turns a position round opens one like any other', () => {
  const gate = startGate({ maxPositionNotional: '20000' });
  gate.send(position('120'));
  // Above the limit by the broker's own hand: it may be closed, also by one of two.
  expect(gate.judge({ side: 'sell', quantity: '239' })).toEqual(['position-notional']);
  expect(gate.judge({ side: 'sell', quantity: '199', clientOrderId: 'turn' })).toEqual([]);
  gate.send({ type: 'gate.release', clientOrderIds: ['turn'] });
  for (const clientOrderId of ['profit', 'stop'])
    expect(gate.judge({ side: 'sell', quantity: '120', clientOrderId })).toEqual([]);
});

test.each([
  'constructor',
  'toString',
  'valueOf',
])('an account that is called %s has lost nothing', (account) => {
  const gate = startGate({ maxDailyLoss: '100' }, 'open', 'live');
  expect(gate.judge({ account })).toEqual([]);
  gate.send({ type: 'gate.accountsNoted', accounts: ['DU1234567'] });
  expect(gate.judge({ account })).toEqual(['account-unknown']);
});

test('one position is one position, whatever a client calls it', () => {
  const gate = startGate({ maxPositionNotional: '3000' });
  const conId = 265598;
  gate.send(position('10', { conId }));
  const names = [
    { instrument: 'AAPL' },
    { instrument: 'AAPL@NASDAQ', contract: { symbol: 'AAPL', secType: 'STK', exchange: 'NASDAQ' } },
    { instrument: `CONID:${conId}`, contract: { conId } },
    { instrument: `CONID:${conId}@ARCA`, contract: { conId, exchange: 'ARCA' } },
  ];
  for (const name of names) expect(gate.judge({ ...name, quantity: '7' })).toEqual(['position-notional']);
  // Open orders under another name count as well.
  expect(gate.judge({ ...names[1], clientOrderId: 'first', quantity: '4' })).toEqual([]);
  for (const name of names) expect(gate.judge({ ...name, quantity: '3' })).toEqual(['position-notional']);
  for (const name of names) {
    gate.send({ type: 'gate.reduce', reason: { code: 'operator', message: '' }, at });
    expect(gate.judge({ ...name, clientOrderId: 'exit', side: 'sell', quantity: '10' })).toEqual([]);
    gate.send({ type: 'gate.release', clientOrderIds: ['exit'] });
  }
  for (const instrument of ['AAPL/EUR', 'MSFT', 'CONID:1', 'constructor'])
    expect(gate.judge({ instrument, side: 'sell' })).toEqual(['not-reducing']);
});

test('a derivative is known by its number under every name that TWS has told it for', () => {
  const gate = startGate({ maxPositionNotional: '3000' });
  const future = { symbol: 'ES', secType: 'FUT', exchange: 'CME', currency: 'USD' };
  const [first, second] = ['FUT:ESZ6@CME', 'FUT:ES 202612@CME'].map((instrument) => ({
    instrument,
    contract: future,
  }));
  expect(gate.judge({ ...first, clientOrderId: 'first', quantity: '10' }, { conId: 5 })).toEqual([]);
  expect(gate.judge({ ...second, clientOrderId: 'other', quantity: '10' }, { conId: 6 })).toEqual([]);
  gate.send({ type: 'gate.release', clientOrderIds: ['other'] });
  expect(gate.judge({ ...second, quantity: '10' }, { conId: 5 })).toEqual(['position-notional']);
});

test('what cannot be valued is refused when value is limited', () => {
  expect(startGate({ maxOrderNotional: '1' }).judge({}, { multiplier: null })).toContain('notional-unknown');
  expect(startGate().judge({}, { multiplier: null })).toEqual([]);
});

test('halted judges nothing, and says why', () => {
  const gate = startGate();
  gate.send({ type: 'gate.halt', reason: { code: 'kill', message: 'kill switch' }, at });
  expect(gate.judge({})).toEqual(['halted']);
  expect(gate.heard).toContainEqual({
    type: 'trading.changed',
    state: 'halted',
    reasons: [{ code: 'kill', message: 'kill switch', since: new Date(at).toISOString() }],
    at,
  });
});

test('a preview reserves nothing', () => {
  const gate = startGate({ maxOpenOrders: 1 });
  const questions = [{ ticket: ticket(), mark, multiplier: '1' }];
  for (let n = 0; n < 3; n += 1)
    gate.send({ type: 'gate.review', requestId: `p${n}`, questions, replaces: null, preview: true, at });
  expect(gate.judge({})).toEqual([]);
});

test('the reference is what the side would meet, else the best that is known, never nonsense', () => {
  expect(referencePrice(mark, 'buy')).toBe('187.02');
  expect(referencePrice(mark, 'sell')).toBe('187');
  expect(referencePrice({ bid: null, ask: null, last: null, close: 186, at }, 'buy')).toBe('186');
  expect(referencePrice({ bid: -1, ask: null, last: null, close: null, at }, 'sell')).toBeNull();
  expect(referencePrice(null, 'sell')).toBeNull();
});

test('an uncertain position lets only orders pass that shrink it, in its own account and instrument', () => {
  const gate = startGate();
  gate.send(position('10'));
  gate.send({
    type: 'gate.uncertaintyNoted',
    positions: [{ account: 'DU1234567', instrument: 'AAPL' }],
  });
  expect(gate.judge({ side: 'buy', quantity: '1' })).toEqual(['position-uncertain']);
  expect(gate.judge({ side: 'sell', quantity: '11' })).toEqual(['position-uncertain']);
  expect(gate.judge({ side: 'sell', quantity: '10' })).toEqual([]);
  expect(gate.judge({ side: 'buy', quantity: '1', instrument: 'MSFT' })).toEqual([]);
  gate.send({ type: 'gate.uncertaintyNoted', positions: [] });
  expect(gate.judge({ side: 'buy', quantity: '1' })).toEqual([]);
});

test('after a liquidation the orders that would turn the position round are called back, and only reducing ones pass', () => {
  const gate = startGate();
  gate.send(position('30'));
  for (const [clientOrderId, side, quantity] of [
    ['exit', 'sell', '30'],
    ['part', 'sell', '5'],
    ['entry', 'buy', '10'],
  ] as const)
    gate.judge({ clientOrderId, side, quantity });
  gate.send(position('5'));
  gate.send({ type: 'gate.liquidated', account: 'DU1234567', instrument: 'AAPL', side: 'sell', at });
  expect(gate.heard.slice(-2)).toMatchObject([
    { type: 'gate.reversing', clientOrderIds: ['exit'] },
    { type: 'trading.changed', state: 'reducing', reasons: [{ code: 'liquidation' }] },
  ]);
  expect(gate.snapshot().hasTag('reducing')).toBe(true);
});

test('whatever is approved, the worst case of a position stays within its limit', () => {
  const limit = '10000';
  const step = fc.record({
    side: fc.constantFrom('buy' as const, 'sell' as const),
    quantity: fc.integer({ min: 1, max: 60 }),
    closes: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const gate = startGate({ maxPositionNotional: limit });
      const open: OrderTicket[] = [];
      for (const { side, quantity, closes } of steps) {
        const each = ticket({
          clientOrderId: `o${open.length}`,
          side,
          quantity: String(quantity),
          limitPrice: '187.02',
        });
        if (gate.judge(each).length === 0) open.push(each);
        const first = open[0];
        if (closes && first) {
          open.shift();
          gate.send({ type: 'gate.orderNoted', order: { ...order(first), state: 'cancelled' } as never });
          gate.send({ type: 'gate.release', clientOrderIds: [first.clientOrderId] });
        }
        for (const worst of ['buy', 'sell'] as const) {
          const sum = open
            .filter((other) => other.side === worst)
            .reduce((total, other) => add(total, other.quantity), '0');
          expect(compare(multiply(absolute(sum), '187.02'), limit)).toBeLessThanOrEqual(0);
        }
      }
    }),
    { numRuns: 150 },
  );
});

test('of an order with two live broker orders both count, and of a change that is not answered the larger size', () => {
  const gate = startGate({ maxPositionNotional: '9350' });
  const live = (quantity?: string) => ({ state: 'live' as const, ...(quantity ? { quantity } : {}) });
  const fills = [{ ...fill('e.01', '4'), permId: '700' }];
  const both = [
    { permId: '700', ...live('10') },
    { permId: '701', ...live() },
  ];
  // 6 are left of the first and 20 of the second: 26, and with 24 more it is 50 at 187.
  const note = (change: Partial<Order>): void =>
    gate.send({
      type: 'gate.orderNoted',
      order: order({
        state: 'working',
        quantity: '20',
        remainingQuantity: '16',
        filledQuantity: '4',
        ...change,
      }),
    });
  note({ fills, permIds: ['700', '701'], incarnations: both });
  expect(gate.snapshot().context.exposures['c-1']).toMatchObject({ remaining: '26', beside: '6' });
  expect(gate.judge({ quantity: '25', limitPrice: '187' })).toEqual(['position-notional']);
  // Nothing of the order remains, and its first one may still fill 6.
  note({ fills, incarnations: both, quantity: '4', remainingQuantity: '0' });
  expect(gate.snapshot().context.exposures['c-1']).toMatchObject({ remaining: '10' });
  note({ fills, incarnations: [both[0] as Incarnation, { permId: '701', state: 'filled' }] });
  expect(gate.snapshot().context.exposures['c-1']).toMatchObject({ remaining: '6' });
  note({
    incarnations: [{ permId: '700', state: 'live' }],
    filledQuantity: '0',
    pendingChange: { quantity: '50' },
  });
  expect(gate.snapshot().context.exposures['c-1']).toMatchObject({ remaining: '50' });
  note({ state: 'cancelled', incarnations: [] });
  expect(gate.snapshot().context.exposures).not.toHaveProperty('c-1');
});
