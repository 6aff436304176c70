import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createActor, fromCallback } from 'xstate';
import { add, compare, multiply } from '../../machines/decimal.ts';
import { interpret } from '../../machines/evidence.ts';
import { orderMachine } from '../../machines/order.machine.ts';
import { applyFact, executionFamily, type Order, type OrderFact, orderStates } from '../../machines/order.ts';
import type { OrderEvent } from '../../machines/order-words.ts';
import { matrix, stoppedClock } from './matrix.ts';
import {
  at,
  everyState,
  executed,
  fact,
  fill,
  order,
  orderAfter,
  orderSeen,
  reason,
  startOrder,
  statusSeen,
  ticket,
} from './orders.ts';

const accepted = fact('order.accepted', { permId: '700', alive: true, contract: null, heldBecause: '' });
const requested = fact('order.requested', { ticket: ticket(), orderId: 1001, parentOrderId: 0 });
const noted = (
  code: number,
  disposition: Extract<OrderEvent, { type: 'broker.orderNoted' }>['disposition'],
): OrderEvent => ({
  type: 'broker.orderNoted',
  at,
  orderId: 1001,
  code,
  message: `text of ${code}`,
  disposition,
});

const events: readonly OrderEvent[] = [
  { type: 'order.approve', at },
  { type: 'order.cancel', at },
  { type: 'order.resume', at },
  requested,
  fact('order.denied', { ticket: ticket(), reason }),
  fact('order.sent', { sessionId: 's-1' }),
  fact('order.withheld', { reason }),
  accepted,
  fact('order.accepted', { permId: '701', alive: false, contract: null, heldBecause: '' }),
  fact('order.filled', { fill: fill('x.01', '4') }),
  fact('order.filled', { fill: fill('y.01', '10') }),
  fact('order.legExecuted', { fill: { ...fill('l.01', '4'), side: 'sell', conId: 272093 } }),
  fact('order.corrected', { fill: fill('e.02', '8'), replaces: 'e.01' }),
  fact('order.filledAsStated', { filled: '10', averagePrice: '187' }),
  fact('order.commissioned', { execId: 'e.01', commission: '1', currency: 'USD', realizedPnl: null }),
  fact('order.modifyRequested', { change: { limitPrice: '189' } }),
  fact('order.modified', { terms: { limitPrice: '189' } }),
  fact('order.modifyRejected', { reason }),
  fact('order.cancelRequested', {}),
  fact('order.cancelRejected', { reason }),
  fact('order.cancelled', { reason: null }),
  fact('order.expired', { reason: null }),
  fact('order.rejected', { reason }),
  fact('order.noticed', { notice: { code: 399, message: 'held', at: '2026-11-20T15:00:00.000Z' } }),
  fact('order.doubted', { reason }),
  fact('order.incarnationEnded', { permId: '700', how: 'cancelled' }),
  fact('order.idRefused', { orderId: 1001, reason }),
  fact('order.renumbered', { orderId: 1002, parentOrderId: 0 }),
  fact('order.orphaned', {}),
  fact('order.reclassified', { origin: 'liquidation' }),
  { type: 'order.endAnnounced' },
  { type: 'session.lost', at, cause: 'closed' },
  { type: 'dispatch.withheld', what: 'place', reason: 'no session', at },
  { type: 'dispatch.withheld', what: 'modify', reason: 'no session', at },
  { type: 'dispatch.withheld', what: 'cancel', reason: 'no session', at },
  { type: 'evidence.completed', at: at + 9_000, since: at + 8_000, present: true },
  { type: 'evidence.completed', at: at + 9_000, since: at + 8_000, present: false },
  { type: 'order.listed', at: at + 9_000, since: at + 8_000, permId: '700' },
  { type: 'order.listed', at: at + 9_000, since: at, permId: '700' },
  orderSeen('pending'),
  orderSeen('working'),
  orderSeen('inactive'),
  orderSeen('working', {}, '701'),
  statusSeen('pending'),
  statusSeen('working'),
  statusSeen('cancelPending'),
  statusSeen('cancelled'),
  statusSeen('inactive'),
  statusSeen('inactive', { heldBecause: 'locate' }),
  statusSeen('filled', { filled: '10', remaining: '0' }),
  executed('z.01', '4'),
  executed('z.01', '10'),
  executed('z.01', '4', '187.19', '701'),
  noted(399, 'notice'),
  noted(201, 'refusal'),
  noted(202, 'cancelled'),
  noted(103, 'duplicateOrderId'),
  noted(135, 'parentUnknown'),
  noted(10147, 'cancelTargetUnknown'),
  noted(10148, 'cancelTargetClosed'),
];

test('every state against every event is the committed table', async () => {
  await expect(matrix(orderMachine, { states: everyState(), events })).toMatchFileSnapshot(
    './order.matrix.txt',
  );
});

test('in every cell the view names the state of the machine', () => {
  const parent = createActor(
    fromCallback(() => undefined),
    { clock: stoppedClock },
  ).start();
  for (const [name, snapshot] of Object.entries(everyState())) {
    for (const event of events) {
      const actor = createActor(orderMachine, { snapshot, parent, input: undefined as never }).start();
      actor.send(event);
      const { value, context } = actor.getSnapshot();
      expect(context.order.state, `${name} after ${event.type}`).toBe(
        typeof value === 'string' ? value : Object.keys(value)[0],
      );
    }
  }
});

test('every state that waits for an answer has a way out by time', () => {
  for (const state of ['submitting', 'modifying', 'cancelling', 'inDoubt'] as const) {
    const node = orderMachine.states[state];
    const all = node ? [node, ...Object.values(node.states)] : [];
    expect(
      all.some(({ after }) => after.length > 0),
      state,
    ).toBe(true);
  }
  expect(
    Object.keys(orderMachine.states)
      .filter((name) => name !== 'waking')
      .sort(),
  ).toEqual([...orderStates].sort());
});

test('no code of the broker ends an order that it has acknowledged', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20_000 }),
      fc.constantFrom(
        'notice',
        'refusal',
        'duplicateOrderId',
        'parentUnknown',
        'cancelled',
        'cancelTargetUnknown',
        'cancelTargetClosed',
      ),
      (code, disposition) => {
        const actor = orderAfter(requested, accepted);
        actor.send(noted(code, disposition as never));
        expect(actor.snapshot().hasTag('open')).toBe(true);
      },
    ),
  );
});

test('a refused change leaves the order working on its former terms', () => {
  const actor = orderAfter(
    requested,
    accepted,
    fact('order.modifyRequested', { change: { limitPrice: '190' } }),
  );
  actor.send(noted(110, 'refusal'));
  const view = actor.view();
  expect(view).toMatchObject({
    state: 'working',
    limitPrice: '187.20',
    pendingChange: null,
    reason: { code: '110' },
  });
});

test('a cancel that was asked for outlives the session and is sent again when the order turns out to live', () => {
  const actor = orderAfter(requested, accepted, fact('order.cancelRequested', {}));
  actor.send({ type: 'session.lost', at, cause: 'closed' });
  expect(actor.view().state).toBe('inDoubt');
  actor.send(orderSeen('working'));
  expect(actor.view().state).toBe('cancelling');
});

test('absence alone never ends an acknowledged order, and ends an unacknowledged one only the second time', () => {
  const absent = (since: number): OrderEvent => ({
    type: 'evidence.completed',
    at: since + 1,
    since,
    present: false,
    coversFrom: at,
  });
  const known = orderAfter(requested, accepted);
  for (let n = 1; n < 6; n += 1) known.send(absent(at + n * 10_000));
  expect(known.view()).toMatchObject({ state: 'inDoubt', reason: { code: 'missing-at-broker' } });
  const waiting = orderAfter(requested, fact('order.doubted', { reason }));
  for (let n = 1; n < 6; n += 1) waiting.send(absent(at + n * 10_000));
  // Its bytes have not left: they may still go.
  expect(waiting.view().state).toBe('inDoubt');
  const sent = fact('order.sent', { sessionId: 's-1' });
  const unknown = orderAfter(requested, sent, fact('order.doubted', { reason }));
  unknown.send(absent(at + 10_000));
  expect(unknown.view().state).toBe('inDoubt');
  unknown.send(absent(at + 20_000));
  expect(unknown.view()).toMatchObject({ state: 'rejected', reason: { code: 'not-at-broker' } });
  unknown.send(orderSeen('working'));
  expect(unknown.view()).toMatchObject({ state: 'working', permIds: ['700'] });
});

test('lists of a later day cannot tell what became of an order: it stays in doubt until something else does', () => {
  const absent = (since: number): OrderEvent => ({
    type: 'evidence.completed',
    at: since + 1,
    since,
    present: false,
    coversFrom: at + 1,
  });
  const live = startOrder({ replaying: false });
  for (const event of [{ ...requested, seq: 1 }, fact('order.sent', { sessionId: 's-1' })]) live.send(event);
  live.send({ type: 'session.lost', at, cause: 'closed' });
  for (let n = 1; n < 9; n += 1) live.send(absent(at + n * 10_000));
  expect(live.view()).toMatchObject({
    state: 'inDoubt',
    reason: {
      code: 'missing-at-broker',
      message: expect.stringContaining(`before ${new Date(at + 1).toISOString()}`),
    },
  });
  const doubts = live.heard.flatMap((report) =>
    report.type === 'order.recorded' && report.fact.type === 'order.doubted' ? [report.fact.reason.code] : [],
  );
  expect(doubts).toEqual(['session-lost', 'missing-at-broker']);
  live.send(executed('l.01', '10'));
  expect(live.view().state).toBe('filled');
});

test('an acknowledged order that goes missing while it is in doubt is called missing', () => {
  const order = orderAfter(requested, accepted, fact('order.cancelRequested', {}));
  order.send({ type: 'session.lost', at, cause: 'closed' });
  expect(order.view()).toMatchObject({ state: 'inDoubt', reason: { code: 'session-lost' } });
  for (let n = 1; n < 4; n += 1)
    order.send({
      type: 'evidence.completed',
      at: at + n * 10_000 + 1,
      since: at + n * 10_000,
      present: false,
    });
  expect(order.view()).toMatchObject({ state: 'inDoubt', reason: { code: 'missing-at-broker' } });
});

test('an Inactive order that waits for a locate is held, not dead', () => {
  const actor = orderAfter(requested);
  actor.send(statusSeen('inactive', { heldBecause: 'locate' }));
  expect(actor.view()).toMatchObject({ state: 'working', heldBecause: 'locate' });
  actor.send(executed('l.01', '10'));
  expect(actor.view().state).toBe('filled');
});

test('an order of others is a liquidation as soon as an execution says so, also when its terms were known before', () => {
  const discovered = fact('order.discovered', {
    order: order({ clientOrderId: 'c-1', origin: 'external', orderId: null, permIds: ['700'] }),
  });
  const ordinary = orderAfter(discovered);
  ordinary.send(executed('l.01', '4'));
  expect(ordinary.view().origin).toBe('external');
  const forced = executed('l.01', '4');
  if (forced.type !== 'broker.executed') throw new Error('not an execution');
  const liquidated = orderAfter(discovered);
  liquidated.send({ ...forced, execution: { ...forced.execution, liquidation: true } });
  expect(liquidated.view()).toMatchObject({ origin: 'liquidation', filledQuantity: '4' });
});

test('a change that was made durable while the order went another way is refused, and nothing of it is sent', () => {
  const running = startOrder({ replaying: false });
  for (const event of [{ ...requested, seq: 1 }, orderSeen('working')]) running.send(event);
  running.send({ type: 'order.cancel', at });
  running.send({ ...fact('order.modifyRequested', { change: { limitPrice: '190' } }), seq: 2 });
  expect(running.view()).toMatchObject({ state: 'cancelling', limitPrice: '187.20', pendingChange: null });
  expect(running.heard.filter(({ type }) => type === 'tws.place')).toEqual([]);
});

// --- arithmetic ----------------------------------------------------------------------------------------------------

const quantity = fc.integer({ min: 1, max: 1_000_000 }).map((n) => String(n / 100));
const price = fc.integer({ min: 1, max: 50_000_000 }).map((n) => String(n / 10_000));
const trade = fc.record({
  quantity,
  price,
  revisions: fc.array(fc.record({ quantity, price }), { maxLength: 3 }),
});

test('whatever order, repetition and revision executions come in, each family counts once with its newest revision', () => {
  fc.assert(
    fc.property(fc.array(trade, { maxLength: 12 }), fc.infiniteStream(fc.nat()), (trades, chance) => {
      const messages = trades.flatMap(({ quantity: first, price: at1, revisions }, n) =>
        [{ quantity: first, price: at1 }, ...revisions].map((each, revision) => ({
          ...each,
          execId: `f${n}.0${revision + 1}`,
          n,
          revision,
        })),
      );
      const random = chance[Symbol.iterator]();
      const next = (): number => Number(random.next().value);
      const doubled = [...messages, ...messages.filter(() => next() % 3 === 0)];
      const shuffled = doubled
        .map((message) => ({ message, key: next() }))
        .sort((a, b) => a.key - b.key)
        .map(({ message }) => message);
      let view: Order = {
        ...order({ quantity: '100000000', remainingQuantity: '100000000' }),
        state: 'working',
      };
      for (const { execId, quantity: shares, price: paid } of shuffled) {
        for (const news of interpret(view, executed(execId, shares, paid))) view = applyFact(view, news);
      }
      let filled = '0';
      let value = '0';
      for (const { quantity: first, price: at1, revisions } of trades) {
        const newest = revisions.at(-1) ?? { quantity: first, price: at1 };
        filled = add(filled, newest.quantity);
        value = add(value, multiply(newest.quantity, newest.price));
      }
      expect(view.filledQuantity).toBe(filled);
      expect(new Set(view.fills.map(({ execId }) => executionFamily(execId))).size).toBe(view.fills.length);
      if (compare(filled, '0') > 0) {
        const drift = Math.abs(Number(view.averageFillPrice) * Number(filled) - Number(value));
        expect(drift).toBeLessThan(1e-6 * Number(value) + 1e-6);
      }
      expect(compare(add(view.filledQuantity, view.remainingQuantity), view.quantity)).toBe(0);
    }),
    { numRuns: 200 },
  );
});

test('filled never falls except by a correction, whatever the broker says in between', () => {
  const anything = fc.constantFrom<OrderEvent>(...events.filter(({ type }) => type !== 'order.corrected'));
  fc.assert(
    fc.property(fc.array(anything, { maxLength: 40 }), (sequence) => {
      const actor = orderAfter(requested);
      let filled = '0';
      for (const event of sequence) {
        // A discovery or a request describes an order from nothing; here the order exists.
        if (event.type === 'order.requested' || event.type === 'order.denied') continue;
        actor.send(event);
        const now = actor.view().filledQuantity;
        expect(compare(now, filled), event.type).toBeGreaterThanOrEqual(0);
        filled = now;
      }
    }),
    { numRuns: 300 },
  );
});

test('replaying the recorded facts through the same machine gives the same order', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom<OrderEvent>(...events), { maxLength: 30 }), (sequence) => {
      const live = startOrder({ replaying: false });
      live.send({ ...requested, seq: 1 });
      for (const event of sequence) {
        if (
          event.type.startsWith('broker.') ||
          event.type === 'session.lost' ||
          event.type === 'evidence.completed'
        )
          live.send(event);
      }
      const recorded = live.heard.flatMap((report) =>
        report.type === 'order.recorded' ? [report.fact] : [],
      );
      const replayed = orderAfter(
        { ...requested, seq: 1 },
        ...recorded.map((each, n): OrderFact => ({ ...each, seq: n + 2 })),
      );
      expect(replayed.view()).toEqual(live.view());
    }),
    { numRuns: 300 },
  );
});
