/** A venue on a virtual clock, and short ways to trade on it. */
import { VirtualClock } from '../../src/simulator/clock.ts';
import { completeRequest } from '../../src/simulator/exchange/book.ts';
import { noContract } from '../../src/simulator/exchange/catalogue.ts';
import type { ExchangeOptions } from '../../src/simulator/exchange/exchange.ts';
import { createExchange } from '../../src/simulator/exchange/exchange.ts';
import type {
  BookOrder,
  Contract,
  ContractQuery,
  ExchangeEvent,
  Execution,
  OrderRequest,
} from '../../src/simulator/model.ts';

/** A Monday, 10:00 in New York. */
export const mondayMorning = Date.UTC(2026, 10, 23, 15, 0);

export const aapl: Contract = {
  ...noContract,
  symbol: 'AAPL',
  secType: 'STK',
  exchange: 'SMART',
  currency: 'USD',
};
export const aaplId = 265598;

export function query(partial: Partial<ContractQuery>): ContractQuery {
  return { ...noContract, includeExpired: false, secIdType: '', secId: '', ...partial };
}

export type OrderTerms = Partial<OrderRequest> & { readonly orderId: number };

export function openVenue(options: Partial<ExchangeOptions> & { readonly startMs?: number } = {}) {
  const { startMs = mondayMorning, ...rest } = options;
  const clock = new VirtualClock(startMs);
  const exchange = createExchange({ clock, seed: 7, ...rest });
  const events: ExchangeEvent[] = [];
  exchange.onEvent((event) => events.push(event));

  const orderEvents = (orderId: number): BookOrder[] =>
    events.flatMap((event) =>
      (event.type === 'openOrder' || event.type === 'orderStatus') && event.order.request.orderId === orderId
        ? [event.order]
        : [],
    );

  return {
    clock,
    exchange,
    events,
    /** Places an order of AAPL (unless told otherwise) and lets the venue accept it, not yet much more. */
    place(terms: OrderTerms, waitMs = 60): void {
      exchange.place(
        completeRequest({ clientId: 1, contract: aapl, action: 'BUY', totalQuantity: 100, ...terms }),
      );
      clock.advance(waitMs);
    },
    /** The newest picture of an order. */
    order(orderId: number): BookOrder {
      const newest = orderEvents(orderId).at(-1);
      if (newest === undefined) throw new Error(`nothing was told about order ${orderId}`);
      return newest;
    },
    orderEvents,
    isKnown: (orderId: number): boolean => orderEvents(orderId).length > 0,
    executions: (orderId?: number): Execution[] =>
      events.flatMap((event) =>
        event.type === 'execution' && (orderId === undefined || event.execution.orderId === orderId)
          ? [event.execution]
          : [],
      ),
    errors: (orderId: number): { code: number; text: string }[] =>
      events.flatMap((event) =>
        event.type === 'orderError' && event.orderId === orderId
          ? [{ code: event.code, text: event.text }]
          : [],
      ),
    /** `openOrder:Filled`, `execution`, ...: the sequence that concerns one order. */
    sequence: (orderId: number): string[] =>
      events.flatMap((event) => {
        switch (event.type) {
          case 'openOrder':
          case 'orderStatus':
            return event.order.request.orderId === orderId ? [`${event.type}:${event.order.status}`] : [];
          case 'execution':
            return event.execution.orderId === orderId ? ['execution'] : [];
          case 'commission':
            return ['commission'];
          case 'orderError':
            return event.orderId === orderId ? [`error:${event.code}`] : [];
          default:
            return [];
        }
      }),
    pin: (bid: number, ask: number, more: { bidSize?: number; askSize?: number; last?: number } = {}) =>
      exchange.script.pin(aaplId, { bid, ask, bidSize: 10_000, askSize: 10_000, ...more }),
  };
}
