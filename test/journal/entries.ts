/** Plausible entries of a journal, any number of them, the same for the same seed. */
import type { JournalEntry } from '../../machines/journal.ts';
import {
  applyFact,
  type Fill,
  type Order,
  type OrderFact,
  type OrderTicket,
  orderOf,
} from '../../machines/order.ts';
import { seededRandom } from '../../src/simulator/shuffle.ts';

const at0 = Date.UTC(2026, 0, 5, 15);

const ticket = (clientOrderId: string): OrderTicket => ({
  clientOrderId,
  account: 'DU1234567',
  instrument: 'AAPL',
  contract: { conId: 265598, symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'USD' },
  side: 'buy',
  quantity: '10',
  type: 'limit',
  limitPrice: '180.5',
  timeInForce: 'day',
  transmit: true,
});

/** Lives of orders, interleaved: intent, acceptance, fills with their executions and positions, ends; some stay open. */
export function* entries(seed: number): Generator<JournalEntry> {
  const random = seededRandom(seed);
  const open: Order[] = [];
  let [orders, fills, at, held] = [0, 0, at0, 0];
  for (;;) {
    at += Math.floor(random() * 1_000);
    const index = Math.floor(random() * open.length);
    const order = open[index];
    if (!order || (open.length < 60 && random() < 0.25)) {
      orders += 1;
      const clientOrderId = `o-${orders}`;
      const blank = orderOf(ticket(clientOrderId), orders, at);
      const fact: OrderFact = {
        type: 'order.requested',
        clientOrderId,
        at,
        ticket: ticket(clientOrderId),
        orderId: orders,
        parentOrderId: 0,
      };
      const next: Order = { ...applyFact(blank, fact), state: 'submitting' };
      open.push(next);
      yield { kind: 'order', fact, order: next };
      continue;
    }
    const { clientOrderId } = order;
    const follow = (fact: OrderFact, state: Order['state']): JournalEntry => {
      const next: Order = { ...applyFact(order, fact), state };
      if (state === 'filled' || state === 'cancelled') open.splice(index, 1);
      else open[index] = next;
      return { kind: 'order', fact, order: next };
    };
    if (order.state === 'submitting') {
      const permId = String(900_000 + Number(order.orderId));
      yield follow(
        { type: 'order.accepted', clientOrderId, at, permId, alive: true, contract: null, heldBecause: '' },
        'working',
      );
    } else if (random() < 0.2) {
      yield follow({ type: 'order.cancelled', clientOrderId, at, reason: null }, 'cancelled');
    } else if (random() < 0.05) {
      yield { kind: 'health', at, event: 'tws.lost', detail: { cause: 'closed' } };
    } else if (random() < 0.02) {
      yield { kind: 'trading', at, state: random() < 0.5 ? 'open' : 'reducing', reasons: [] };
    } else {
      fills += 1;
      held += 5;
      const execId = `0000e0d5.${fills}.01.01`;
      const time = new Date(at).toISOString();
      const fill: Fill = {
        execId,
        quantity: '5',
        price: '180.25',
        at: time,
        commission: null,
        realizedPnl: null,
        exchange: 'NASDAQ',
      };
      yield follow(
        { type: 'order.filled', clientOrderId, at, fill },
        order.fills.length === 0 ? 'working' : 'filled',
      );
      yield {
        kind: 'execution',
        at,
        event: 'execution.booked',
        family: `0000e0d5.${fills}.01`,
        execution: {
          execId,
          clientOrderId,
          account: 'DU1234567',
          instrument: 'AAPL',
          side: 'buy',
          quantity: '5',
          price: '180.25',
          commission: null,
          currency: 'USD',
          realizedPnl: null,
          at: time,
        },
      };
      yield {
        kind: 'position',
        at,
        position: {
          account: 'DU1234567',
          instrument: 'AAPL',
          contract: order.contract,
          quantity: String(held),
          averageCost: '180.25',
          marketPrice: null,
          unrealizedPnl: null,
          realizedPnl: null,
          confirmed: true,
        },
      };
    }
  }
}

export function take(count: number, seed = 1): JournalEntry[] {
  const taken: JournalEntry[] = [];
  for (const entry of entries(seed)) {
    if (taken.length === count) break;
    taken.push(entry);
  }
  return taken;
}
