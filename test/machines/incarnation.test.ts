/** Laws of an order that has several broker orders behind it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { add, compare } from '../../machines/decimal.ts';
import { isClosed } from '../../machines/evidence.ts';
import { fillable, hasSurvivor, incarnationsOf, liveIncarnations } from '../../machines/incarnation.ts';
import type { OrderEvent } from '../../machines/order-words.ts';
import { at, executed, fact, ids, orderAfter, orderSeen, startOrder, statusSeen, ticket } from './orders.ts';

const requested = {
  ...fact('order.requested', { ticket: ticket(), orderId: 1001, parentOrderId: 0 }),
  seq: 1,
};
const permIds = ['700', '701', '702'] as const;
const permId = fc.constantFrom(...permIds);
const status = (word: Parameters<typeof statusSeen>[0]) => (id: string) =>
  statusSeen(word, { ids: { ...ids, permId: id }, filled: null });
const lists = (present: readonly string[], n: number): OrderEvent => ({
  type: 'evidence.completed',
  at: at + n * 10_000 + 1,
  since: at + n * 10_000,
  present: present.length > 0,
  permIds: present,
});

const step = fc.oneof(
  permId.map((id): OrderEvent => orderSeen('working', {}, id)),
  permId.map((id): OrderEvent => status('working')(id)),
  permId.map((id): OrderEvent => status('cancelled')(id)),
  permId.map((id): OrderEvent => status('inactive')(id)),
  fc
    .tuple(permId, fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 6 }))
    .map(([id, shares, n]): OrderEvent => executed(`${id}.${n}.01`, String(shares), '187.19', id)),
  fc.constant<OrderEvent>({ type: 'order.cancel', at }),
  fc.constant<OrderEvent>({ type: 'session.lost', at, cause: 'closed' }),
  fc.tuple(fc.subarray([...permIds]), fc.integer({ min: 1, max: 50 })).map(([some, n]) => lists(some, n)),
  fc.constantFrom<OrderEvent>(
    ...(['notice', 'refusal', 'cancelled', 'cancelTargetClosed'] as const).map(
      (disposition): OrderEvent => ({
        type: 'broker.orderNoted',
        at,
        orderId: 1001,
        code: 202,
        message: 'cancelled',
        disposition,
      }),
    ),
  ),
);

const live = (...events: readonly OrderEvent[]) => {
  const order = startOrder({ replaying: false });
  for (const event of [requested, ...events]) order.send(event);
  return order;
};

test('an order is closed only when nothing behind it lives', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const order = live();
      for (const event of steps) {
        order.send(event);
        if (isClosed(order.view())) expect(liveIncarnations(order.view())).toEqual([]);
      }
    }),
    { numRuns: 500 },
  );
});

test('whatever happens, each permId is one incarnation, and filled is the sum of the fills', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const view = live(...steps).view();
      expect(incarnationsOf(view).map((each) => each.permId)).toEqual(view.permIds);
      const sum = view.fills.reduce((total, { quantity }) => add(total, quantity), '0');
      expect(compare(view.filledQuantity, sum)).toBe(0);
    }),
    { numRuns: 300 },
  );
});

test('every doubt is told once when it begins and once when it ends', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const order = live(...steps);
      const told = order.heard.flatMap((report) =>
        report.type === 'order.alerted' && /oubt/.test(report.alert) ? [report.alert] : [],
      );
      told.forEach((alert, index) => {
        expect(alert).toBe(index % 2 === 0 ? 'order.inDoubt' : 'order.doubtResolved');
      });
      expect(told.at(-1) === 'order.inDoubt').toBe(order.view().state === 'inDoubt');
    }),
    { numRuns: 500 },
  );
});

test('the facts that were told, replayed, give the same order', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const order = live(...steps);
      const facts = order.heard.flatMap((report) =>
        report.type === 'order.recorded' ? [{ ...report.fact, seq: 2 }] : [],
      );
      expect(orderAfter(requested, ...facts).view()).toEqual(order.view());
    }),
    { numRuns: 300 },
  );
});

test('a cancel that reached one of two is sent again when the lists still show the other', () => {
  const order = live(orderSeen('working', {}, '700'), orderSeen('working', {}, '701'));
  const cancels = () => order.heard.filter(({ type }) => type === 'tws.cancel').length;
  order.send({ type: 'order.cancel', at });
  expect(cancels()).toBe(1);
  order.send(status('cancelled')('701'));
  expect(order.view()).toMatchObject({ state: 'cancelling' });
  expect(hasSurvivor(order.view())).toBe(true);
  order.send(lists(['700'], 1));
  expect(cancels()).toBe(2);
  order.send(status('cancelled')('700'));
  expect(order.view().state).toBe('cancelled');
});

test('an older one that two complete lists lack was replaced; the newest never is', () => {
  const order = live(orderSeen('working', {}, '700'), orderSeen('working', {}, '701'));
  order.send(lists(['701'], 1));
  expect(liveIncarnations(order.view())).toHaveLength(2);
  order.send(lists(['701'], 2));
  expect(order.view()).toMatchObject({
    state: 'working',
    incarnations: [
      { permId: '700', state: 'replaced' },
      { permId: '701', state: 'live' },
    ],
  });
  for (let n = 3; n < 8; n += 1) order.send(lists([], n));
  expect(order.view().state).toBe('inDoubt');
});

test('an end that a session brings is no cancellation', () => {
  const expired = 'Order Canceled - reason:Order expired';
  const order = live(orderSeen('working', {}, '700'));
  order.send({
    type: 'broker.orderNoted',
    at,
    orderId: 1001,
    code: 202,
    message: expired,
    disposition: 'cancelled',
  });
  expect(order.view().state).toBe('working');
  order.send(status('cancelled')('700'));
  expect(order.view()).toMatchObject({ state: 'expired', reason: { message: expired } });
});

test('a refused id is renewed once; words about the former number are ignored', () => {
  const duplicate = (orderId: number): OrderEvent => ({
    type: 'broker.orderNoted',
    at,
    orderId,
    code: 103,
    message: 'Duplicate order id',
    disposition: 'duplicateOrderId',
  });
  const order = live(duplicate(1001), duplicate(1001));
  const wanted = () => order.heard.filter(({ type }) => type === 'order.renumberWanted').length;
  expect(wanted()).toBe(1);
  order.send({ ...fact('order.renumbered', { orderId: 1500, parentOrderId: 0 }), seq: 9 });
  expect(order.view()).toMatchObject({ state: 'submitting', orderId: 1500, refusedOrderIds: [1001] });
  order.send(duplicate(1001));
  expect(order.view().state).toBe('submitting');
  order.send(duplicate(1500));
  expect(order.view()).toMatchObject({ state: 'rejected', reason: { code: '103' } });
  expect(wanted()).toBe(1);
  const placed = order.heard.flatMap((report) => (report.type === 'tws.place' ? [report.orderId] : []));
  expect(placed.at(-1)).toBe(1500);
});

const completed = (word: 'filled' | 'cancelled', id: string, filled: string): OrderEvent => ({
  type: 'broker.completedSeen',
  at,
  ids: { ...ids, permId: id },
  status: word,
  filled,
  completedAt: '2026-11-20T15:00:00.000Z',
  terms: (orderSeen('filled') as Extract<OrderEvent, { type: 'broker.orderSeen' }>).terms,
  text: '',
});

test('a bust of one of two live orders leaves the other at work', () => {
  const order = live(
    orderSeen('working', {}, '700'),
    orderSeen('working', {}, '701'),
    executed('x.01', '10', '187.19', '700'),
    status('filled')('700'),
    executed('x.02', '0', '187.19', '700'),
    completed('filled', '700', '0'),
  );
  expect(order.view()).toMatchObject({ state: 'working', filledQuantity: '0', busted: ['x.02'] });
  order.send(status('cancelled')('701'));
  expect(order.view().state).toBe('cancelled');
});

test('the size that the broker tells of an older one is what it may still fill', () => {
  const order = live(orderSeen('working', {}, '700'), orderSeen('working', {}, '701'));
  order.send(orderSeen('working', { quantity: '25' }, '700'));
  expect(fillable(order.view())).toEqual({ newest: '10', older: '25' });
  const { version } = order.view();
  order.send(orderSeen('working', { quantity: '25' }, '700'));
  expect(order.view()).toMatchObject({ version, quantity: '10' });
});

test('what the completed orders state of an order that was cut short counts, and its executions once', () => {
  const order = live(orderSeen('working', {}, '700'), completed('cancelled', '700', '4'));
  const late = () =>
    order.heard.filter((each) => each.type === 'order.alerted' && each.alert === 'order.filledLate').length;
  expect(order.view()).toMatchObject({ state: 'cancelled', filledQuantity: '4', fills: [] });
  order.send(completed('cancelled', '700', '4'));
  order.send(executed('x.01', '4', '187.19', '700'));
  expect(order.view()).toMatchObject({ state: 'cancelled', filledQuantity: '4' });
  expect(late()).toBe(0);
  order.send(executed('y.01', '1', '187.19', '700'));
  expect(order.view()).toMatchObject({ state: 'cancelled', filledQuantity: '5' });
  expect(late()).toBe(1);
});

test('a cancel that names neither of two ends the one that the lists lack', () => {
  const announced: OrderEvent = {
    type: 'broker.orderNoted',
    at: at + 1,
    orderId: 1001,
    code: 202,
    message: 'cancelled',
    disposition: 'cancelled',
  };
  const both = [orderSeen('working', {}, '700'), orderSeen('working', {}, '701')];
  const asked = [...both, { type: 'order.cancel', at } as const];
  const ends = (...events: readonly OrderEvent[]) => {
    const { state, incarnations = [] } = live(...asked, ...events).view();
    return [state, ...incarnations.map((each) => each.state)];
  };
  expect(ends(announced, lists(['700'], 1))).toEqual(['cancelling', 'live', 'live']);
  expect(ends(announced, lists(['700'], 1), lists(['700'], 2))).toEqual(['cancelling', 'live', 'cancelled']);
  const twice = [announced, announced];
  expect(ends(...twice, lists([], 1), lists([], 2))).toEqual(['cancelled', 'cancelled', 'cancelled']);
  // Without a word for each, and when it was of the other, nobody knows what became of the newest.
  expect(ends(lists(['700'], 1), lists(['700'], 2))).toEqual(['cancelling', 'live', 'live']);
  expect(ends(announced, lists([], 1), lists([], 2))[0]).toBe('inDoubt');
  const named = [announced, status('cancelled')('700')];
  expect(ends(...named, lists([], 1), lists([], 2))).toEqual(['inDoubt', 'cancelled', 'live']);
});

test('what one of two has stated to be filled counts once, however often it is stated', () => {
  const order = live(orderSeen('working', {}, '700'), orderSeen('working', {}, '701'));
  const seen = orderSeen('filled', {}, '700');
  if (seen.type !== 'broker.orderSeen') throw new Error('an openOrder');
  const stated = { status: 'cancelled', filled: '3', completedAt: '', text: '' } as const;
  for (let n = 1; n < 5; n += 1) {
    order.send({ ...seen, ...stated, type: 'broker.completedSeen', at: at + n });
    expect(order.view()).toMatchObject({ filledQuantity: '3', state: 'working' });
  }
});

test('the one that is left is not taken for replaced by another that has ended', () => {
  const order = live(
    orderSeen('working', {}, '700'),
    orderSeen('working', {}, '701'),
    status('cancelled')('701'),
  );
  for (const n of [1, 2, 3]) order.send(lists([], n));
  expect(order.view()).toMatchObject({ state: 'inDoubt', reason: { code: 'missing-at-broker' } });
});

test('what somebody gave up and asked to cancel is cancelled when it turns out to live', () => {
  for (const word of [orderSeen('working', {}, '700'), executed('x.01', '1', '187.19', '700')]) {
    const order = live(fact('order.sent', { sessionId: 's' }));
    order.send(fact('order.doubted', { reason: { code: 'unanswered', message: '' } }));
    order.send({ type: 'order.cancel', at });
    for (const n of [1, 2]) order.send({ ...lists([], n), coversFrom: at - 1_000 } as OrderEvent);
    expect(order.view()).toMatchObject({ state: 'rejected', reason: { code: 'not-at-broker' } });
    const before = order.heard.filter(({ type }) => type === 'tws.cancel').length;
    order.send({ ...word, at: at + 60_000 } as OrderEvent);
    expect(order.view().state).toBe('cancelling');
    expect(order.heard.filter(({ type }) => type === 'tws.cancel')).toHaveLength(before + 1);
  }
});
