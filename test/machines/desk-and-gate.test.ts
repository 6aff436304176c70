/** The desk and the gate together: what is judged is what is sent, and what is reserved is what may trade. */
import { expect, test } from 'vitest';
import { type ActorRefFrom, createActor, enqueueActions, setup } from 'xstate';
import { deskMachine } from '../../machines/desk.machine.ts';
import type { DeskEvent, DeskReport } from '../../machines/desk.ts';
import { type GateEvent, type GateReport, gateMachine } from '../../machines/gate.machine.ts';
import type { GateLimits } from '../../machines/gate.ts';
import type { OrderTicket } from '../../machines/order.ts';
import type { BrokerFact } from '../../machines/tws.ts';
import { stoppedClock } from './matrix.ts';
import { at, executed, orderSeen, position, statusSeen, ticket, unlimited } from './orders.ts';

const market = { mark: { bid: 100, ask: 100, last: 100, close: 100, at }, multiplier: '1' };

function bench(limits: Partial<GateLimits> = {}) {
  const reports: (DeskReport | GateReport)[] = [];
  let seq = 0;
  const root = createActor(
    setup({
      types: { events: {} as DeskReport | GateReport | Extract<GateEvent, { type: 'gate.review' }> },
      actors: { desk: deskMachine, gate: gateMachine },
      actions: {
        route: enqueueActions(({ event, enqueue }) => {
          const toDesk = (told: DeskEvent): void => enqueue.sendTo('desk', told);
          reports.push(event as DeskReport);
          if (/^gate\.(review|orderNoted|release)$/.test(event.type))
            enqueue.sendTo('gate', event as GateEvent);
          if (event.type === 'gate.reviewed') toDesk(event);
          if (event.type === 'trading.changed')
            toDesk({ type: 'desk.tradingChanged', isHalted: event.state === 'halted', at });
          if (event.type === 'journal.commit') {
            const seqs = event.records.map(() => ++seq);
            toDesk({ type: 'journal.committed', requestId: event.requestId, seqs });
          }
        }),
      },
    }).createMachine({
      invoke: [
        { src: 'desk', id: 'desk', input: { clientId: 1 } },
        {
          src: 'gate',
          id: 'gate',
          input: {
            limits: { ...unlimited, ...limits },
            tradingMode: 'paper',
            latched: { state: 'open', reasons: [] },
          },
        },
      ],
      on: { '*': { actions: 'route' } },
    }),
    { clock: stoppedClock },
  ).start();
  const desk = () => root.getSnapshot().children.desk as ActorRefFrom<typeof deskMachine>;
  const gate = () => root.getSnapshot().children.gate as ActorRefFrom<typeof gateMachine>;
  desk().send({ type: 'desk.open' });
  const answered = () =>
    reports.flatMap(({ ...each }) => {
      if (each.type !== 'desk.answered') return [];
      return ['reason' in each.answer && each.answer.reason ? each.answer.reason.code : each.answer.outcome];
    });
  return {
    tell: (event: DeskEvent) => desk().send(event),
    submit(...tickets: readonly OrderTicket[]) {
      const submissions = tickets.map((each) => ({ ticket: each, ...market }));
      desk().send({ type: 'order.submit', requestId: `r${reports.length}`, submissions, at });
      for (const { clientOrderId } of tickets) {
        const order = desk().getSnapshot().context.orders;
        const orderId = Object.values(order)
          .flatMap((bucket) => Object.values(bucket))
          .find(({ order: each }) => each.clientOrderId === clientOrderId)?.order.orderId;
        if (orderId)
          desk().send({ type: 'dispatch.sent', clientOrderId, orderId, what: 'place', sessionId: 's', at });
      }
      return answered().at(-1);
    },
    modify(clientOrderId: string, change: Partial<OrderTicket>) {
      const requestId = `m${reports.length}`;
      desk().send({ type: 'order.modify', requestId, clientOrderId, change, ifVersion: null, market, at });
      return answered().at(-1);
    },
    hold: (quantity: string) => gate().send(position(quantity)),
    reduce: () => gate().send({ type: 'gate.reduce', reason: { code: 'operator', message: '' }, at }),
    halt: () => gate().send({ type: 'gate.halt', reason: { code: 'operator', message: '' }, at }),
    reserved: () =>
      Object.fromEntries(
        Object.entries(gate().getSnapshot().context.exposures).map(([id, { remaining }]) => [id, remaining]),
      ),
    sent: () => reports.flatMap((each) => (each.type === 'tws.place' ? [each] : [])),
  };
}

/** The broker's word on the n-th order of ours. */
const works = (n: number, terms: Partial<OrderTicket>, orderRef = 'c-1'): BrokerFact => {
  const seen = orderSeen('working', terms as never, String(699 + n)) as Extract<
    BrokerFact,
    { type: 'broker.orderSeen' }
  >;
  return { ...seen, ids: { ...seen.ids, orderId: n, orderRef } };
};
const noted = (orderId: number, code: number, disposition: 'refusal' | 'parentUnknown'): BrokerFact => ({
  type: 'broker.orderNoted',
  at,
  orderId,
  code,
  message: 'refused',
  disposition,
});
const sell = (changes: Partial<OrderTicket>) => ticket({ side: 'sell', limitPrice: '100', ...changes });

test('a second change is judged on the terms that the first one left', () => {
  const of = bench({ maxOrderNotional: '10000' });
  of.submit(ticket({ quantity: '10', limitPrice: '100' }));
  of.tell(works(1, { quantity: '10', limitPrice: '100' }));
  expect(of.modify('c-1', { quantity: '90' })).toBe('requested');
  of.tell(works(1, { quantity: '90', limitPrice: '100' }));
  expect(of.modify('c-1', { limitPrice: '1000' })).toBe('order-notional');
  expect(of.modify('c-1', { limitPrice: '101' })).toBe('requested');
  expect(of.reserved()).toEqual({ 'c-1': '90' });
});

test('a change that makes an order smaller frees nothing before the broker agrees', () => {
  const of = bench();
  of.hold('100');
  of.reduce();
  expect(of.submit(sell({ quantity: '100' }))).toBe('created');
  of.tell(works(1, { side: 'sell', quantity: '100', limitPrice: '100' }));
  expect(of.modify('c-1', { quantity: '10' })).toBe('requested');
  expect(of.reserved()).toEqual({ 'c-1': '100' });
  expect(of.submit(sell({ clientOrderId: 'c-2', quantity: '90' }))).toBe('not-reducing');
  of.tell(works(1, { side: 'sell', quantity: '10', limitPrice: '100' }));
  expect(of.reserved()).toEqual({ 'c-1': '10' });
  expect(of.submit(sell({ clientOrderId: 'c-3', quantity: '90' }))).toBe('created');
});

test('an exit counts for nothing only while its parent has yet to open what it closes', () => {
  const of = bench({ maxPositionNotional: '10000' });
  const exit = (changes: Partial<OrderTicket>) => sell({ parentClientOrderId: 'c-1', ...changes });
  const entry = ticket({ quantity: '100', limitPrice: '100' });
  const takeProfit = exit({ clientOrderId: 'c-1.tp', quantity: '100', limitPrice: '110' });
  const stopLoss = exit({ clientOrderId: 'c-1.sl', quantity: '100', limitPrice: '90' });
  expect(of.submit(entry, takeProfit, stopLoss)).toBe('created');
  of.tell(works(1, { quantity: '100', limitPrice: '100' }));
  of.tell(works(2, { side: 'sell', quantity: '100', limitPrice: '110' }, 'c-1.tp'));
  of.tell(works(3, { side: 'sell', quantity: '100', limitPrice: '90' }, 'c-1.sl'));
  // Of another side, of another instrument, and larger than what is opened: orders like any other.
  const strangers = [
    ticket({ clientOrderId: 'x-1', quantity: '1000', limitPrice: '100', parentClientOrderId: 'c-1' }),
    exit({ clientOrderId: 'x-2', instrument: 'MSFT', quantity: '1000' }),
    exit({ clientOrderId: 'x-3', quantity: '1000' }),
  ];
  for (const stranger of strangers) expect(of.submit(stranger)).toBe('position-notional');
  const fill = executed('x.01', '100', '100') as Extract<BrokerFact, { type: 'broker.executed' }>;
  of.tell({ ...fill, ids: { ...fill.ids, orderId: 1 } });
  of.hold('100');
  of.reduce();
  // One of the two exits closes all: there is nothing left for another, and each of them may still be moved.
  expect(of.submit(sell({ clientOrderId: 'c-2', quantity: '100' }))).toBe('not-reducing');
  expect(of.modify('c-1.tp', { limitPrice: '109' })).toBe('requested');
});

test('who names a parent that is gone closes what that has filled, and nothing else', () => {
  const of = bench({ maxPositionNotional: '10000' });
  of.submit(ticket({ quantity: '10', limitPrice: '100' }));
  of.tell(works(1, { quantity: '10', limitPrice: '100' }));
  const gone = statusSeen('cancelled') as Extract<BrokerFact, { type: 'broker.statusSeen' }>;
  of.tell({ ...gone, ids: { orderId: 1, clientId: 1, permId: '700' } as never });
  const child = { clientOrderId: 'c-2', quantity: '100000', limitPrice: '100', parentClientOrderId: 'c-1' };
  expect(of.submit(ticket(child))).toBe('invalid');
  expect(of.submit(sell({ ...child, quantity: '10' }))).toBe('invalid');
});

test('of those that name a parent which is gone each one counts', () => {
  const of = bench();
  of.submit(ticket({ quantity: '10', limitPrice: '100' }));
  of.tell(works(1, { quantity: '10', limitPrice: '100' }));
  const fill = executed('x.01', '10', '100') as Extract<BrokerFact, { type: 'broker.executed' }>;
  of.tell({ ...fill, ids: { ...fill.ids, orderId: 1 } });
  of.hold('10');
  of.reduce();
  const exit = (clientOrderId: string) =>
    of.submit(sell({ clientOrderId, quantity: '10', parentClientOrderId: 'c-1' }));
  expect(exit('x-1')).toBe('created');
  expect(exit('x-2')).toBe('not-reducing');
  of.tell(works(2, { side: 'sell', quantity: '10', limitPrice: '100' }, 'x-1'));
  expect(exit('x-3')).toBe('not-reducing');
});

test('what one exit has closed is not there for a later one', () => {
  const of = bench();
  of.submit(ticket({ quantity: '10', limitPrice: '100' }));
  of.tell(works(1, { quantity: '10', limitPrice: '100' }));
  const fills = (orderId: number, execId: string, quantity: string, side: 'buy' | 'sell') => {
    const fill = executed(execId, quantity, '100') as Extract<BrokerFact, { type: 'broker.executed' }>;
    const ids = {
      orderId,
      clientId: 1,
      permId: String(699 + orderId),
      orderRef: orderId === 1 ? 'c-1' : 'x-1',
    };
    of.tell({ ...fill, ids, execution: { ...fill.execution, side } });
  };
  fills(1, 'x.01', '10', 'buy');
  const exit = (clientOrderId: string, quantity: string) =>
    of.submit(sell({ clientOrderId, quantity, parentClientOrderId: 'c-1' }));
  expect(exit('x-1', '10')).toBe('created');
  of.tell(works(2, { side: 'sell', quantity: '10', limitPrice: '100' }, 'x-1'));
  fills(2, 'y.01', '6', 'sell');
  expect(exit('x-2', '5')).toBe('invalid');
  expect(exit('x-3', '4')).toBe('created');
});

test('of an order that is partly filled the rest is judged', () => {
  const of = bench({ maxOrderQuantity: '100' });
  of.hold('100');
  of.reduce();
  of.submit(sell({ quantity: '100' }));
  of.tell(works(1, { side: 'sell', quantity: '100', limitPrice: '100' }));
  const fill = executed('x.01', '60', '100') as Extract<BrokerFact, { type: 'broker.executed' }>;
  of.tell({ ...fill, ids: { ...fill.ids, orderId: 1 }, execution: { ...fill.execution, side: 'sell' } });
  of.hold('40');
  expect(of.modify('c-1', { limitPrice: '99' })).toBe('requested');
  expect(of.reserved()).toEqual({ 'c-1': '40' });
  of.tell(works(1, { side: 'sell', quantity: '100', limitPrice: '99' }));
  expect(of.modify('c-1', { quantity: '101' })).toBe('order-quantity');
});

test('no change leaves after a halt, and none is sent once more', () => {
  const of = bench();
  of.submit(ticket({ quantity: '10', limitPrice: '100' }));
  of.tell(works(1, { quantity: '10', limitPrice: '100' }));
  of.submit(sell({ clientOrderId: 'c-2', parentClientOrderId: 'c-1', quantity: '10', limitPrice: '200' }));
  of.tell(works(2, { side: 'sell', quantity: '10', limitPrice: '200' }, 'c-2'));
  expect(of.modify('c-2', { limitPrice: '190' })).toBe('requested');
  of.halt();
  const before = of.sent().length;
  of.tell(noted(2, 135, 'parentUnknown'));
  expect(of.sent()).toHaveLength(before);
});
