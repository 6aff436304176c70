/**
 * The yardstick: @stoqey/ib alone in a process, at its best, that is with its limiter out of the way and Nagle's
 * algorithm off. And a reader that decodes nothing, to see that the feeder is faster than both.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Contract,
  EventName,
  IBApi,
  type Order,
  OrderAction,
  OrderType,
  SecType,
  TimeInForce,
} from '@stoqey/ib';
import { IN } from '../../src/simulator/wire/names.ts';
import { frame } from '../tws/peer.ts';
import { machineMs, serve, until } from './children.ts';
import type { OrderRun } from './order-client.ts';
import type { Instrument } from './simulated.ts';

/** One order; times by the machine's clock, ms. */
export interface BareOrder {
  readonly orderId: number;
  readonly calledAt: number;
  readonly openAt: number;
}
export interface BareTicks {
  /** tickPrice and tickSize callbacks */
  readonly callbacks: number;
  readonly endedAt: number;
  /** of this process since `begin`, microseconds */
  readonly cpuUs: number;
}

const answerWithinMs = 10_000;
const firstLineId = 2_000_000_000;
const betweenLinesMs = 40;
let api: IBApi | null = null;
let nextOrderId = 0;
let callbacks = 0;
let ended: ((at: number) => void) | null = null;
let run: Promise<BareTicks> | null = null;

const current = (): IBApi => {
  if (!api) throw new Error('call "connect" first');
  return api;
};

async function open({ port, clientId }: { readonly port: number; readonly clientId: number }): Promise<void> {
  const opened = new IBApi({ host: '127.0.0.1', port, clientId, maxReqPerSec: 1_000_000_000 });
  api = opened;
  const count = (): void => {
    callbacks += 1;
  };
  opened.on(EventName.tickPrice, count);
  opened.on(EventName.tickSize, count);
  opened.on(EventName.tickGeneric, () => undefined);
  opened.on(EventName.tickString, () => undefined);
  opened.on(EventName.currentTime, () => ended?.(machineMs()));
  opened.on(EventName.error, () => undefined);
  opened.on(EventName.nextValidId, (id) => {
    nextOrderId = id;
  });
  opened.connect(clientId);
  const { socket } = (opened as unknown as { controller: { socket: { client: Socket } } }).controller;
  socket.client.setNoDelay(true);
  await until(() => nextOrderId > 0, 'the first order id');
}

/** The next event of this order that fits. */
function heard(event: EventName.openOrder | EventName.orderStatus, orderId: number, status: string | null) {
  return new Promise<number>((resolve, reject) => {
    const deadline = setTimeout(() => {
      current().off(event, listen);
      reject(new Error(`no ${event} ${status ?? ''} of order ${orderId}`));
    }, answerWithinMs);
    const listen = (id: number, given: unknown): void => {
      if (id !== orderId || (status !== null && given !== status)) return;
      clearTimeout(deadline);
      current().off(event, listen);
      resolve(machineMs());
    };
    if (event === EventName.openOrder) current().on(EventName.openOrder, listen);
    else current().on(EventName.orderStatus, listen);
  });
}

async function orders({
  orders: count,
  everyMs,
  withinMs,
}: Omit<OrderRun, 'url' | 'name'>): Promise<BareOrder[]> {
  const contract: Contract = { symbol: 'AAPL', secType: SecType.STK, exchange: 'SMART', currency: 'USD' };
  const done: BareOrder[] = [];
  let due = machineMs();
  const end = due + withinMs;
  for (let index = 0; index < count && machineMs() < end; index += 1) {
    const orderId = nextOrderId;
    nextOrderId += 1;
    const order: Order = {
      action: OrderAction.BUY,
      orderType: OrderType.LMT,
      totalQuantity: 1,
      lmtPrice: 1,
      tif: TimeInForce.DAY,
      account: 'DU1234567',
      orderRef: `b.bare.${orderId}`,
      transmit: true,
    };
    const opened = heard(EventName.openOrder, orderId, null);
    const calledAt = machineMs();
    current().placeOrder(orderId, contract, order);
    done.push({ orderId, calledAt, openAt: await opened });
    const cancelled = heard(EventName.orderStatus, orderId, 'Cancelled');
    current().cancelOrder(orderId, {});
    await cancelled;
    due += everyMs;
    const pause = due - machineMs();
    if (pause > 0) await sleep(pause);
  }
  return done;
}

/** A session that reads and decodes nothing. Answers when it was greeted. */
function discard({ port }: { readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port }, () => {
      socket.write('API\0\0\0\0\tv100..193');
      socket.write(frame(IN.startApi, 2, 5, ''));
    });
    socket.on('error', reject);
    socket.once('data', () => resolve());
    socket.resume();
  });
}

serve({
  connect: open,
  orders,
  discard,
  /** Paced by hand: TWS takes 50 messages a second. */
  subscribe: async ({ instruments }: { readonly instruments: readonly Instrument[] }) => {
    for (const [index, { contract }] of instruments.entries()) {
      current().reqMktData(firstLineId + index, contract as Contract, '', false, false);
      await sleep(betweenLinesMs);
    }
  },
  begin: () => {
    const { promise, resolve } = Promise.withResolvers<BareTicks>();
    callbacks = 0;
    const before = process.cpuUsage();
    ended = (endedAt) => {
      const { user, system } = process.cpuUsage(before);
      resolve({ callbacks, endedAt, cpuUs: user + system });
    };
    run = promise;
  },
  /** Answers when the feeder's last message since `begin` was decoded. */
  ended: () => run,
  disconnect: () => current().disconnect(),
});
