/** The connection machine with the real gateway, under a parent that remembers what it is told. */
import { type ActorRefFrom, createActor, setup } from 'xstate';
import type { OrderTicket } from '../../machines/order.ts';
import { type TwsEvent, twsMachine } from '../../machines/tws.machine.ts';
import type { BrokerFact, DispatchFact, LinkReport, PlaceOrder } from '../../machines/tws.ts';
import { createGateway, type Gateway, type GatewayOptions } from '../../src/tws/gateway.ts';
import { until } from './peer.ts';

export type Told = LinkReport | BrokerFact | DispatchFact;
type ToldOf<T extends Told['type']> = Extract<Told, { type: T }>;

export const silentLog = { debug() {}, info() {}, warn() {}, error() {} };

export interface Link {
  readonly gateway: Gateway;
  readonly told: Told[];
  tws(): ActorRefFrom<typeof twsMachine>;
  send(event: TwsEvent): void;
  all<T extends Told['type']>(type: T): ToldOf<T>[];
  hears<T extends Told['type']>(type: T, count?: number): Promise<ToldOf<T>>;
  hasTag(tag: 'connected' | 'tradable' | 'degraded' | 'down' | 'maintenance'): boolean;
  stop(): void;
}

export interface LinkOptions extends Partial<Omit<GatewayOptions, 'log'>> {
  readonly port: number;
  readonly clientId?: number;
  readonly delays?: Parameters<typeof twsMachine.provide>[0]['delays'];
}

/** Deadlines that a slow machine does not miss, and pauses that nobody waits for long. */
const defaultDelays = {
  dialDeadline: 5_000,
  greetingDeadline: 5_000,
  syncDeadline: 5_000,
  heartbeatPause: 40,
  heartbeatDeadline: 5_000,
  retryPause: 30,
} as const;

export function startLink({ port, clientId = 7, delays, ...options }: LinkOptions): Link {
  const gateway = createGateway({ now: Date.now, ...options, log: silentLog });
  const told: Told[] = [];
  const parent = setup({
    types: { events: {} as Told },
    actors: {
      tws: twsMachine.provide({
        actors: { session: gateway.session },
        delays: { ...defaultDelays, ...delays },
      }),
    },
    actions: { remember: ({ event }) => told.push(event) },
  }).createMachine({
    id: 'parent',
    invoke: { id: 'tws', src: 'tws', input: { host: '127.0.0.1', port, clientId, seed: 1 } },
    on: {
      'tws.*': { actions: 'remember' },
      'broker.*': { actions: 'remember' },
      'dispatch.*': { actions: 'remember' },
    },
  });
  const actor = createActor(parent);
  actor.start();
  const tws = (): ActorRefFrom<typeof twsMachine> => {
    const child = actor.getSnapshot().children.tws;
    if (!child) throw new Error('the connection machine is gone');
    return child as ActorRefFrom<typeof twsMachine>;
  };
  const all = <T extends Told['type']>(type: T): ToldOf<T>[] =>
    told.filter((event): event is ToldOf<T> => event.type === type);
  return {
    gateway,
    told,
    tws,
    send: (event) => tws().send(event),
    all,
    async hears(type, count = 1) {
      await until(() => all(type).length >= count, `${count} x ${type}`);
      const heard = all(type)[count - 1];
      if (!heard) throw new Error('unreachable');
      return heard;
    },
    hasTag: (tag) => tws().getSnapshot().hasTag(tag),
    stop: () => actor.stop(),
  };
}

export const ticket = (clientOrderId: string, changes: Partial<OrderTicket> = {}): OrderTicket => ({
  clientOrderId,
  account: 'DU1234567',
  instrument: 'AAPL',
  contract: { symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'USD' },
  side: 'buy',
  quantity: '10',
  type: 'limit',
  limitPrice: '187.20',
  timeInForce: 'day',
  transmit: true,
  ...changes,
});

export const place = (orderId: number, clientOrderId = `c-${orderId}`): PlaceOrder => ({
  type: 'tws.place',
  orderId,
  parentOrderId: 0,
  ticket: ticket(clientOrderId),
  modification: false,
});
