/** Orders, facts and sessions for the machines' tests: one valid default each, changed where a test says so. */

import { expect } from 'vitest';
import { type ActorRefFrom, createActor, type Snapshot, setup } from 'xstate';
import type { GateEvent } from '../../machines/gate.machine.ts';
import type { Contract } from '../../machines/instrument.ts';
import { orderMachine } from '../../machines/order.machine.ts';
import { type Order, type OrderFact, type OrderTicket, orderOf } from '../../machines/order.ts';
import type { OrderEvent, OrderReport } from '../../machines/order-words.ts';
import type { BrokerFact, BrokerOrderStatus } from '../../machines/tws.ts';
import { stoppedClock } from './matrix.ts';

export { unlimited } from '../simulation/plan.ts';

export const at = Date.UTC(2026, 10, 20, 15);

export const ticket = (change: Partial<OrderTicket> = {}): OrderTicket => ({
  clientOrderId: 'c-1',
  account: 'DU1234567',
  instrument: 'AAPL',
  contract: { symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'USD' },
  side: 'buy',
  quantity: '10',
  type: 'limit',
  limitPrice: '187.20',
  timeInForce: 'day',
  transmit: true,
  ...change,
});

export const order = (change: Partial<Order> = {}): Order => ({ ...orderOf(ticket(), 1001, at), ...change });

type FactOf<T extends OrderFact['type']> = Extract<OrderFact, { type: T }>;
type News<T extends OrderFact['type']> = Omit<FactOf<T>, 'type' | 'clientOrderId' | 'at'>;

/** A fact of order `c-1`. */
export const fact = <T extends OrderFact['type']>(type: T, news: News<T>): OrderFact =>
  ({ type, clientOrderId: 'c-1', at, ...news }) as unknown as OrderFact;

export const reason = { code: '201', message: 'refused' };

export const fill = (execId: string, quantity = '10', price = '187.19') => ({
  execId,
  quantity,
  price,
  at: '2026-11-20T15:00:00.000Z',
  commission: null,
  realizedPnl: null,
});

export const ids = { orderId: 1001, clientId: 1, permId: '700', orderRef: 'c-1' };

export const executed = (execId: string, quantity: string, price = '187.19', permId = '700'): BrokerFact => ({
  type: 'broker.executed',
  at,
  ids: { ...ids, permId },
  execution: {
    execId,
    account: 'DU1234567',
    contract: { conId: 265598, symbol: 'AAPL', secType: 'STK', currency: 'USD', exchange: 'IEX' },
    side: 'buy',
    quantity,
    price,
    executedAt: '2026-11-20T15:00:00.000Z',
    exchange: 'IEX',
    cumulativeQuantity: quantity,
    averagePrice: price,
    liquidation: false,
  },
});

export const statusSeen = (
  status: BrokerOrderStatus,
  change: Partial<Extract<BrokerFact, { type: 'broker.statusSeen' }>> = {},
): BrokerFact => ({
  type: 'broker.statusSeen',
  at,
  ids: { orderId: 1001, clientId: 1, permId: '700' },
  status,
  filled: '0',
  remaining: '10',
  averagePrice: null,
  heldBecause: '',
  ...change,
});

export const orderSeen = (
  status: BrokerOrderStatus,
  terms: Partial<Extract<BrokerFact, { type: 'broker.orderSeen' }>['terms']> = {},
  permId = '700',
): BrokerFact => ({
  type: 'broker.orderSeen',
  at,
  ids: { ...ids, permId },
  status,
  text: '',
  terms: {
    account: 'DU1234567',
    contract: { conId: 265598, symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'USD' },
    side: 'buy',
    type: 'limit',
    brokerType: 'LMT',
    quantity: '10',
    limitPrice: '187.2',
    timeInForce: 'day',
    ...terms,
  },
});

/** A running order under a supervisor that keeps what it hears. `replaying: false`: the order is live. */
export function startOrder(options: { readonly replaying: boolean } = { replaying: true }) {
  const heard: OrderReport[] = [];
  const supervisor = setup({
    types: { events: {} as OrderReport },
    actors: { order: orderMachine },
    actions: { keep: ({ event }) => heard.push(event) },
  }).createMachine({
    invoke: {
      src: 'order',
      id: 'order',
      input: { order: order(), ticket: ticket(), parentOrderId: 0, replaying: options.replaying },
    },
    on: { 'order.*': { actions: 'keep' }, 'tws.*': { actions: 'keep' } },
  });
  const actor = createActor(supervisor, { clock: stoppedClock }).start().getSnapshot().children
    .order as ActorRefFrom<typeof orderMachine>;
  return {
    heard,
    send: (event: OrderEvent) => actor.send(event),
    snapshot: () => actor.getSnapshot(),
    view: () => actor.getSnapshot().context.order,
    persisted: () => actor.getPersistedSnapshot() as Snapshot<unknown> & { context: { replaying: boolean } },
  };
}

/** An order that went through these events, as a replay of the journal would make it. */
export function orderAfter(...events: readonly OrderEvent[]) {
  const running = startOrder();
  for (const event of events) running.send(event);
  return running;
}

/** A snapshot in each state of the order's life, reached by the events that lead there. */
export function everyState(): Readonly<Record<string, Snapshot<unknown>>> {
  const requested = fact('order.requested', { ticket: ticket(), orderId: 1001, parentOrderId: 0 });
  const accepted = fact('order.accepted', { permId: '700', alive: true, contract: null, heldBecause: '' });
  const paths: Readonly<Record<string, readonly OrderEvent[]>> = {
    reviewing: [],
    journaling: [{ type: 'order.approve', at }],
    submitting: [requested],
    working: [requested, accepted],
    modifying: [requested, accepted, fact('order.modifyRequested', { change: { limitPrice: '188' } })],
    cancelling: [requested, accepted, fact('order.cancelRequested', {})],
    inDoubt: [requested, fact('order.doubted', { reason })],
    filled: [requested, accepted, fact('order.filled', { fill: fill('e.01') })],
    cancelled: [requested, accepted, fact('order.cancelled', { reason: null })],
    expired: [requested, accepted, fact('order.expired', { reason: null })],
    rejected: [requested, fact('order.rejected', { reason })],
    denied: [fact('order.denied', { ticket: ticket(), reason })],
  };
  return Object.fromEntries(
    Object.entries(paths).map(([name, events]) => {
      const actor = orderAfter(...events);
      expect(actor.view().state, name).toBe(name);
      const snapshot = actor.persisted();
      snapshot.context.replaying = false;
      return [name, snapshot];
    }),
  );
}

/** What the gate hears of a position in AAPL. */
export const position = (quantity: string, contract: Contract = {}): GateEvent => ({
  type: 'gate.positionNoted',
  position: {
    account: 'DU1234567',
    instrument: 'AAPL',
    contract,
    quantity,
    averageCost: null,
    marketPrice: null,
    unrealizedPnl: null,
    realizedPnl: null,
    confirmed: true,
  },
});
