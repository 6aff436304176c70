import { expect, test } from 'vitest';
import { type ActorRefFrom, createActor, setup } from 'xstate';
import { orderMachine } from '../../machines/order.machine.ts';
import type { OrderEvent, OrderReport } from '../../machines/order-words.ts';
import { executed, fact, ids, order, statusSeen, ticket, at as when } from './orders.ts';
import { eventClock } from './timers.ts';

/** An order on a clock that tells what is still to come. */
function timedOrder() {
  const clock = eventClock();
  const pending = new Set<number>();
  const heard: OrderReport[] = [];
  const supervisor = setup({
    types: { events: {} as OrderReport | { type: 'retire' } },
    actors: { order: orderMachine },
    actions: { keep: ({ event }) => heard.push(event as OrderReport) },
  }).createMachine({
    initial: 'keeping',
    states: {
      keeping: {
        invoke: {
          src: 'order',
          id: 'order',
          input: { order: order(), ticket: ticket(), parentOrderId: 0, replaying: false },
        },
        on: { retire: 'retired', 'order.*': { actions: 'keep' }, 'tws.*': { actions: 'keep' } },
      },
      retired: {},
    },
  });
  const root = createActor(supervisor, {
    clock: {
      setTimeout(run: () => void, ms: number) {
        const id = clock.setTimeout(() => {
          pending.delete(id);
          run();
        }, ms);
        pending.add(id);
        return id;
      },
      clearTimeout(id: number) {
        pending.delete(id);
        clock.clearTimeout(id);
      },
    },
  }).start();
  const actor = root.getSnapshot().children.order as ActorRefFrom<typeof orderMachine>;
  return {
    clock,
    pending,
    heard,
    send: (event: OrderEvent) => actor.send(event),
    snapshot: () => actor.getSnapshot().context.order,
    retire: () => root.send({ type: 'retire' }),
  };
}

const working: readonly OrderEvent[] = [
  fact('order.requested', { ticket: ticket(), orderId: 1001, parentOrderId: 0 }),
  fact('order.accepted', { permId: '700', alive: true, contract: null, heldBecause: '' }),
];
const announced = {
  type: 'broker.orderNoted',
  at: when,
  orderId: ids.orderId,
  code: 202,
  message: 'Order Canceled - reason:',
  disposition: 'cancelled',
} as const;

test('an order that is retired leaves nothing to come, however often the broker repeated itself', () => {
  const { pending, send, retire } = timedOrder();
  for (const event of working) send(event);
  for (const filled of ['2', '4', '4', '6'])
    send(statusSeen('working', { filled, remaining: '4', averagePrice: '187.19' }));
  for (const event of [announced, announced]) send(event);
  expect(pending.size).toBeGreaterThan(0);
  retire();
  expect(pending.size).toBe(0);
});

test('statements that go on do not put off the question about the first', () => {
  const { clock, heard, send } = timedOrder();
  for (const event of working) send(event);
  const asked = () => heard.filter(({ type }) => type === 'order.evidenceWanted').length;
  for (let filled = 1; filled <= 4; filled += 1) {
    send(statusSeen('working', { filled: String(filled), remaining: '4', averagePrice: '187.19' }));
    clock.advance(600);
  }
  expect(asked()).toBeGreaterThan(0);
});

test('that a cancel cannot be taken twice is no news while the first is under way', () => {
  const told = (status: 'working' | 'cancelPending') => {
    const { heard, send } = timedOrder();
    for (const event of working) send(event);
    send({ type: 'order.cancel', at: when });
    send(statusSeen(status, { filled: '0', remaining: '10' }));
    send({
      ...announced,
      code: 161,
      message: 'not in a cancellable state',
      disposition: 'cancelTargetClosed',
    });
    return heard.flatMap((report) => (report.type === 'order.recorded' ? [report.fact.type] : []));
  };
  expect(told('cancelPending')).toContain('order.noticed');
  expect(told('cancelPending')).not.toContain('order.doubted');
  expect(told('working')).toContain('order.doubted');
});

test('the last fill ends a doubt, and its reason with it', () => {
  const { clock, heard, send, snapshot } = timedOrder();
  send(working[0] as OrderEvent);
  send(fact('order.sent', { sessionId: 's1' }));
  clock.advance(5_000);
  expect(snapshot()).toMatchObject({ state: 'inDoubt', reason: { code: 'unanswered' } });
  send(executed('e.01', '10', '187.19'));
  expect(snapshot()).toMatchObject({ state: 'filled', filledQuantity: '10', reason: null });
  const alarms = heard.filter(({ type }) => type === 'order.alerted');
  expect(alarms.at(-1)).toMatchObject({ alert: 'order.doubtResolved', detail: { reason: null } });
});
