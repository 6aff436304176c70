/** The desk and a refused order id: asked for again once, durable first, or not at all. */
import { expect, test } from 'vitest';
import { type ActorRefFrom, createActor, setup } from 'xstate';
import { deskMachine } from '../../machines/desk.machine.ts';
import type { DeskEvent, DeskReport } from '../../machines/desk.ts';
import type { BrokerFact, BrokerOrderStatus } from '../../machines/tws.ts';
import { stoppedClock } from './matrix.ts';
import { at, executed, orderSeen, statusSeen, ticket } from './orders.ts';

function startDesk() {
  const heard: DeskReport[] = [];
  const supervisor = setup({
    types: { events: {} as DeskReport },
    actors: { desk: deskMachine },
    actions: { keep: ({ event }) => heard.push(event) },
  }).createMachine({
    invoke: { src: 'desk', id: 'desk', input: { clientId: 1 } },
    on: {
      'desk.*': { actions: 'keep' },
      'journal.*': { actions: 'keep' },
      'gate.*': { actions: 'keep' },
      'tws.*': { actions: 'keep' },
      'order.*': { actions: 'keep' },
      'ledger.*': { actions: 'keep' },
      'evidence.*': { actions: 'keep' },
    },
  });
  const desk = createActor(supervisor, { clock: stoppedClock }).start().getSnapshot().children
    .desk as ActorRefFrom<typeof deskMachine>;
  const send = (event: DeskEvent): void => desk.send(event);
  send({ type: 'desk.open' });
  const commits = () =>
    heard.flatMap((report) => (report.type === 'journal.commit' ? [report.requestId] : []));
  const placed = () =>
    heard.flatMap((report) =>
      report.type === 'tws.place' ? [{ id: report.ticket.clientOrderId, ...pick(report) }] : [],
    );
  const commit = (requestId: string, count: number): void =>
    send({
      type: 'journal.committed',
      requestId,
      seqs: Array.from({ length: count }, (_, index) => index + 1),
    });
  const view = (id: string) => {
    const known = Object.values(desk.getSnapshot().context.orders).find((bucket) => id in bucket)?.[id];
    return known?.order;
  };
  /** An order and a child of it, written to the socket. */
  const submit = (): void => {
    const submissions = [
      ticket(),
      ticket({ clientOrderId: 'c-1.sl', parentClientOrderId: 'c-1', side: 'sell' }),
    ].map((each) => ({ ticket: each, mark: null, multiplier: '1' }));
    send({ type: 'order.submit', requestId: 'r', submissions, at });
    send({ type: 'gate.reviewed', requestId: 'r', verdict: { verdict: 'approved' }, at });
    commit('r', 2);
  };
  const refuse = (orderId: number): void =>
    send({
      type: 'broker.orderNoted',
      at,
      orderId,
      code: 103,
      message: 'Duplicate order id',
      disposition: 'duplicateOrderId',
    });
  const grant = (orderId: number): void => send({ type: 'broker.orderIdGranted', at, orderId });
  const reports = <T extends DeskReport['type']>(type: T) =>
    heard.filter((report): report is Extract<DeskReport, { type: T }> => report.type === type);
  const actors = () =>
    Object.values(desk.getSnapshot().children)
      .flatMap((blotter) => Object.keys(blotter?.getSnapshot().children ?? {}))
      .sort();
  return { send, submit, refuse, grant, commit, commits, placed, view, actors, heard: reports };
}
const pick = ({ orderId, parentOrderId }: { orderId: number; parentOrderId: number }) => ({
  orderId,
  parentOrderId,
});

test('nothing goes out again before TWS has told an id and the journal has it', () => {
  const desk = startDesk();
  desk.submit();
  expect(desk.placed()).toEqual([
    { id: 'c-1', orderId: 1, parentOrderId: 0 },
    { id: 'c-1.sl', orderId: 2, parentOrderId: 1 },
  ]);
  desk.refuse(1);
  desk.refuse(2);
  expect(desk.commits()).toEqual(['r']);
  desk.grant(500);
  expect(desk.commits()).toEqual(['r', 'renumber:500', 'renumber:501']);
  expect(desk.placed()).toHaveLength(2);
  desk.commit('renumber:500', 1);
  desk.commit('renumber:501', 1);
  expect(desk.placed().slice(2)).toEqual([
    { id: 'c-1', orderId: 500, parentOrderId: 0 },
    { id: 'c-1.sl', orderId: 501, parentOrderId: 500 },
  ]);
  // Another grant has nothing left to take up.
  desk.grant(600);
  expect(desk.commits()).toHaveLength(3);
});

test('an id that TWS tells never lowers ours', () => {
  const desk = startDesk();
  desk.submit();
  desk.refuse(1);
  desk.grant(1);
  desk.commit('renumber:3', 1);
  expect(desk.placed().at(-1)).toEqual({ id: 'c-1', orderId: 3, parentOrderId: 0 });
});

test('what cannot be made durable is rejected, and so is what comes while the desk is shut', () => {
  const failing = startDesk();
  failing.submit();
  failing.refuse(1);
  failing.grant(500);
  failing.send({ type: 'journal.failed', requestId: 'renumber:500', message: 'disk full' });
  expect(failing.view('c-1')).toMatchObject({ state: 'rejected', reason: { code: 'journal-unavailable' } });
  const shut = startDesk();
  shut.submit();
  shut.refuse(1);
  shut.send({ type: 'desk.shut', reason: { code: 'severed', message: 'no link' }, canCancel: true });
  shut.grant(500);
  expect(shut.view('c-1')).toMatchObject({ state: 'rejected', reason: { code: '103' } });
  expect([...failing.placed(), ...shut.placed()]).toHaveLength(4);
});

test('an exit whose parent ended without a fill does not go out again', () => {
  const desk = startDesk();
  desk.submit();
  desk.send({
    type: 'broker.orderNoted',
    at,
    orderId: 1,
    code: 201,
    message: 'margin',
    disposition: 'refusal',
  });
  desk.refuse(2);
  desk.grant(500);
  expect(desk.view('c-1.sl')).toMatchObject({ state: 'rejected' });
  expect(desk.placed()).toHaveLength(2);
});

test('a session that ends takes the waiting with it: lists decide, not a late id', () => {
  const desk = startDesk();
  desk.submit();
  desk.refuse(1);
  desk.send({ type: 'session.lost', at, cause: 'closed' });
  desk.grant(500);
  expect(desk.commits()).toEqual(['r']);
  expect(desk.view('c-1')).toMatchObject({ state: 'inDoubt' });
});

test('a commission that comes before its execution is worked in with it', () => {
  const desk = startDesk();
  desk.submit();
  desk.send({
    type: 'broker.commissioned',
    at,
    execId: 'e.01',
    commission: '-0.25',
    currency: 'USD',
    realizedPnl: null,
  });
  const ids = { orderId: 1, clientId: 1, permId: '700', orderRef: 'c-1' };
  desk.send({
    type: 'broker.executed',
    at,
    ids,
    execution: {
      execId: 'e.01',
      account: 'DU1234567',
      contract: { symbol: 'AAPL', secType: 'STK', currency: 'USD' },
      side: 'buy',
      quantity: '4',
      price: '187',
      executedAt: '2026-11-20T15:00:00.000Z',
      exchange: 'IEX',
      cumulativeQuantity: '4',
      averagePrice: '187',
      liquidation: false,
    },
  });
  expect(desk.view('c-1')).toMatchObject({ commission: '-0.25', fills: [{ commission: '-0.25' }] });
});

/** An execution of an order that somebody else made, as a list of executions tells it. */
const strange = (execId: string, quantity: string, cumulativeQuantity: string): DeskEvent => ({
  type: 'broker.executed',
  at,
  ids: { orderId: 0, clientId: 0, permId: '900', orderRef: '' },
  execution: {
    execId,
    account: 'DU1234567',
    contract: { conId: 265598, symbol: 'AAPL', secType: 'STK', currency: 'USD', exchange: 'IEX' },
    side: 'buy',
    quantity,
    price: '187',
    executedAt: '2026-11-20T15:00:00.000Z',
    exchange: 'IEX',
    cumulativeQuantity,
    averagePrice: '187',
    liquidation: false,
  },
});
const strangeSeen = (status: BrokerOrderStatus): DeskEvent => ({
  ...(orderSeen(status, { quantity: '100' }, '900') as Extract<BrokerFact, { type: 'broker.orderSeen' }>),
  ids: { orderId: 0, clientId: 0, permId: '900', orderRef: '' },
});

test('an order of others that is met by its executions has no size until the broker tells it, and no false alerts', () => {
  const desk = startDesk();
  desk.send(strange('s1.01', '40', '40'));
  expect(desk.view('ext-900')).toMatchObject({
    quantityUnknown: true,
    quantity: '40',
    filledQuantity: '40',
    remainingQuantity: '0',
    state: 'working',
  });
  expect(desk.heard('evidence.wanted')).toHaveLength(1);
  desk.send(strange('s2.01', '35', '75'));
  expect(desk.view('ext-900')).toMatchObject({ quantity: '75', filledQuantity: '75', state: 'working' });
  expect(desk.heard('order.alerted')).toEqual([]);
  desk.send(strangeSeen('working'));
  expect(desk.view('ext-900')).toMatchObject({ quantity: '100', remainingQuantity: '25', state: 'working' });
  expect(desk.view('ext-900')).not.toHaveProperty('quantityUnknown');
  desk.send(strange('s3.01', '25', '100'));
  expect(desk.view('ext-900')).toMatchObject({ state: 'filled' });
  desk.send(strange('s4.01', '1', '101'));
  expect(desk.heard('order.alerted').map(({ alert }) => alert)).toEqual([
    'order.filledLate',
    'order.overfilled',
  ]);
});

test('the size of an order of others is told by a status, by the completed orders, or by nobody any more', () => {
  const ids = { orderId: 0, clientId: 0, permId: '900', orderRef: '' };
  const completed = (status: 'filled' | 'cancelled'): DeskEvent => ({
    type: 'broker.completedSeen',
    at,
    ids,
    terms: (strangeSeen('working') as Extract<BrokerFact, { type: 'broker.orderSeen' }>).terms,
    status,
    filled: '40',
    completedAt: '',
    text: '',
  });
  const ways: readonly (readonly [readonly DeskEvent[], object])[] = [
    [
      [{ ...(statusSeen('working', { filled: '40', remaining: '60' }) as BrokerFact), ids } as DeskEvent],
      { quantity: '100', remainingQuantity: '60', state: 'working' },
    ],
    [[completed('filled')], { quantity: '40', state: 'filled' }],
    [[completed('cancelled')], { quantity: '40', quantityUnknown: true, state: 'cancelled' }],
    [
      [{ type: 'desk.evidence', at: at + 9_000, since: at + 8_000, present: [], lasting: [], coversFrom: 0 }],
      { quantity: '40', state: 'filled' },
    ],
  ];
  for (const [events, order] of ways) {
    const desk = startDesk();
    desk.send(strange('s1.01', '40', '40'));
    for (const event of events) desk.send(event);
    expect(desk.view('ext-900')).toMatchObject(order);
    expect(desk.heard('order.alerted')).toEqual([]);
    expect(desk.heard('order.surprised')).toEqual([]);
  }
});

test('a clock that is put forward forgets no order before the lists of the broker have told which are of today', () => {
  const desk = startDesk();
  desk.submit();
  desk.send({ type: 'desk.sweep', at });
  for (const status of ['working', 'cancelled'] as const)
    desk.send({
      ...(orderSeen(status, {}, '700') as Extract<BrokerFact, { type: 'broker.orderSeen' }>),
      ids: mine,
    });
  expect(desk.view('c-1')).toMatchObject({ state: 'cancelled' });
  const leapt = at + 3 * 86_400_000;
  const sweep = (from: number, to: number): void => {
    for (let ms = from; ms <= to; ms += 30_000) desk.send({ type: 'desk.sweep', at: leapt + ms });
  };
  const weigh = (ms: number): void =>
    desk.send({
      type: 'desk.evidence',
      at: leapt + ms,
      since: leapt + ms - 1_000,
      present: [],
      lasting: [],
      coversFrom: 0,
    });
  sweep(0, 600_000);
  const late = executed('late.01', '4') as Extract<BrokerFact, { type: 'broker.executed' }>;
  desk.send({ ...late, ids: mine, at: leapt + 601_000 });
  expect(desk.view('c-1')).toMatchObject({ state: 'cancelled', filledQuantity: '4' });
  weigh(610_000);
  sweep(630_000, 3_600_000);
  expect(desk.view('c-1')).toBeDefined();
  // Two days after the last word of it, it is forgotten, when a sweep comes round to it.
  sweep(3_630_000, 2 * 86_400_000 + 600_000);
  expect(desk.view('c-1')).toBeDefined();
  sweep(2 * 86_400_000 + 630_000, 2 * 86_400_000 + 630_000 + 256 * 30_000);
  expect(desk.view('c-1')).toBeUndefined();
});
const mine = { orderId: 1, clientId: 1, permId: '700', orderRef: 'c-1' };

/** An execution whose size is no number: the ledger's quarantine is elsewhere, here it strikes the order. */
const unreadable = (): BrokerFact => ({ ...(executed('bad.01', 'x') as object), ids: mine }) as BrokerFact;

test.each([
  ['an open one goes on in doubt', 'working', 'inDoubt'],
  ['a closed one stays closed', 'cancelled', 'cancelled'],
] as const)('an order whose actor throws takes nobody with it: %s', (_, status, state) => {
  const desk = startDesk();
  desk.submit();
  desk.send({ ...(orderSeen('working') as object), ids: mine } as BrokerFact);
  desk.send({ ...(statusSeen(status) as object), ids: mine } as BrokerFact);
  desk.send(unreadable());
  expect(desk.view('c-1')?.state).toBe(state);
  expect(desk.heard('order.alerted').filter(({ alert }) => alert === 'order.failed')).toMatchObject([
    { clientOrderId: 'c-1', detail: { state, failures: 1, isGivenUp: false } },
  ]);
  expect(desk.heard('gate.halt')).toMatchObject([{ reason: { code: 'order-failed' } }]);
  const told = desk.heard('journal.append').at(-1)?.records[0];
  expect(told?.order.state).toBe(state);
  for (const id of ['c-1.sl', 'c-1'])
    desk.send({ type: 'order.cancel', requestId: id, clientOrderId: id, at });
  expect(desk.heard('tws.cancel').map(({ orderId }) => orderId)).toEqual(state === 'inDoubt' ? [2, 1] : [2]);
  // Its actor is another one, and hears what comes.
  desk.send({ ...(executed('good.01', '4') as object), ids: mine } as BrokerFact);
  expect(desk.heard('journal.append').at(-1)?.records[0]?.order).toMatchObject({ filledQuantity: '4' });
});

test('an order whose actor throws again and again is left without one, and can still be cancelled', () => {
  const desk = startDesk();
  desk.submit();
  desk.send({ ...(orderSeen('working') as object), ids: mine } as BrokerFact);
  for (let times = 0; times < 9; times += 1) desk.send(unreadable());
  const failures = desk.heard('order.alerted').filter(({ alert }) => alert === 'order.failed');
  expect(failures.map(({ detail }) => detail.isGivenUp)).toEqual([false, false, false, true]);
  expect(desk.view('c-1')?.state).toBe('inDoubt');
  desk.send({
    type: 'broker.commissioned',
    at,
    execId: 'bad.01',
    commission: '1',
    currency: 'USD',
    realizedPnl: null,
  });
  desk.send(unreadable());
  desk.send({ type: 'desk.tradingChanged', isHalted: true, at });
  // What it filled is booked all the same.
  expect(desk.heard('ledger.book')).toHaveLength(10);
  desk.send({ type: 'order.cancel', requestId: 'c', clientOrderId: 'c-1', at });
  expect(desk.heard('tws.cancel').at(-1)).toMatchObject({ clientOrderId: 'c-1', orderId: 1 });
  expect(desk.heard('desk.answered').at(-1)?.answer.outcome).toBe('requested');
});

test('a retired order sleeps through what it knows, and wakes up for news', () => {
  const desk = startDesk();
  desk.submit();
  const tell = (fact: BrokerFact, later = 0): void =>
    desk.send({ ...fact, ids: mine, at: at + later } as BrokerFact);
  tell(orderSeen('working'));
  tell(executed('a.01', '10'));
  tell(statusSeen('filled', { filled: '10', remaining: '0' }));
  desk.send({ type: 'desk.sweep', at: at + 10_000 });
  expect(desk.actors()).toEqual(['order:c-1.sl']);
  tell(executed('a.01', '10'), 20_000);
  tell(statusSeen('filled', { filled: '10', remaining: '0' }), 20_000);
  expect(desk.actors()).toEqual(['order:c-1.sl']);
  // A commission that was told before its execution was told again, and of which it knows already.
  tell({
    type: 'broker.commissioned',
    at,
    execId: 'a.01',
    commission: null,
    currency: '',
    realizedPnl: null,
  });
  expect(desk.actors()).toEqual(['order:c-1.sl']);
  tell(executed('a.02', '9'), 30_000);
  expect(desk.actors()).toEqual(['order:c-1', 'order:c-1.sl']);
  expect(desk.view('c-1')).toMatchObject({ filledQuantity: '9' });
});
