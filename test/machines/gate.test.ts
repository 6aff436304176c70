import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ActorRefFrom, createActor, type Snapshot, setup } from 'xstate';
import { referencePrice } from '../../machines/collar.ts';
import { absolute, add, compare, multiply } from '../../machines/decimal.ts';
import {
  type GateEvent,
  type GateReport,
  gateMachine,
  type TradingState,
} from '../../machines/gate.machine.ts';
import type { GateLimits } from '../../machines/gate.ts';
import type { Incarnation } from '../../machines/incarnation.ts';
import type { Mark } from '../../machines/market.ts';
import type { Order, OrderTicket } from '../../machines/order.ts';
import { matrix, stoppedClock } from './matrix.ts';
import { at, fill, order, position, ticket, unlimited } from './orders.ts';

const mark: Mark = { bid: 187, ask: 187.02, last: 187.01, close: 186, at };
let requests = 0;
function startGate(
  limits: Partial<GateLimits> = {},
  state: TradingState = 'open',
  tradingMode: 'paper' | 'live' = 'paper',
) {
  const heard: GateReport[] = [];
  const supervisor = setup({
    types: { events: {} as GateReport },
    actors: { gate: gateMachine },
    actions: { keep: ({ event }) => heard.push(event) },
  }).createMachine({
    invoke: {
      src: 'gate',
      id: 'gate',
      input: { limits: { ...unlimited, ...limits }, tradingMode, latched: { state, reasons: [] } },
    },
    on: {
      'gate.reviewed': { actions: 'keep' },
      'gate.reversing': { actions: 'keep' },
      'trading.changed': { actions: 'keep' },
    },
  });
  const gate = createActor(supervisor, { clock: stoppedClock }).start().getSnapshot().children
    .gate as ActorRefFrom<typeof gateMachine>;
  return {
    heard,
    send: (event: GateEvent) => gate.send(event),
    snapshot: () => gate.getSnapshot(),
    persisted: () => gate.getPersistedSnapshot() as Snapshot<unknown>,
    /** The codes that speak against it; empty when approved. */
    judge(
      change: Partial<OrderTicket>,
      options: {
        readonly mark?: Mark | null;
        readonly at?: number;
        readonly multiplier?: string | null;
        readonly conId?: number;
        readonly alias?: string;
        readonly replaces?: string;
      } = {},
    ) {
      requests += 1;
      const requestId = `r${requests}`;
      const question = {
        ticket: ticket({ clientOrderId: requestId, ...change }),
        mark: options.mark === undefined ? mark : options.mark,
        multiplier: options.multiplier === undefined ? '1' : options.multiplier,
        ...(options.conId === undefined ? {} : { conId: options.conId }),
        ...(options.alias === undefined ? {} : { alias: options.alias }),
      };
      gate.send({
        type: 'gate.review',
        requestId,
        questions: [question],
        replaces: options.replaces ?? null,
        preview: false,
        at: options.at ?? at,
      });
      const report = heard.find((each) => each.type === 'gate.reviewed' && each.requestId === requestId);
      if (report?.type !== 'gate.reviewed') throw new Error('no verdict');
      const { verdict } = report;
      return verdict.verdict === 'denied'
        ? verdict.reasons.map(({ code }) => code)
        : verdict.verdict === 'approved'
          ? []
          : [verdict.reason.code];
    },
  };
}

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
