import { EventName, IBApi, type Order, OrderAction, OrderType, SecType } from '@stoqey/ib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UNLIMITED } from '../../src/simulator/limits.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { TinyExchange } from './tinyExchange.ts';

/** Ways in which @stoqey/ib writes orders that no gateway can read. They must fail loudly, not become other orders. */
describe('orders that cannot be read', () => {
  let simulator: Simulator;
  let exchange: TinyExchange;
  let api: IBApi;
  const infos: string[] = [];

  beforeEach(async () => {
    exchange = new TinyExchange();
    simulator = await createSimulator({ exchange, limits: UNLIMITED });
    api = new IBApi({ host: '127.0.0.1', port: simulator.port, clientId: 1, maxReqPerSec: 10_000 });
    infos.length = 0;
    api.on(EventName.info, (message) => infos.push(message));
    api.on(EventName.error, () => undefined);
    await new Promise((resolve) => {
      api.once(EventName.nextValidId, resolve);
      api.connect();
    });
  });
  afterEach(async () => {
    api.disconnect();
    await simulator.close();
  });

  it.each([
    ['an empty orderMiscOptions shifts every later field', { orderMiscOptions: [] }, /unable to parse field/],
    [
      'a filled orderMiscOptions is not tag=value',
      { orderMiscOptions: [{ tag: 'a', value: 'b' }] },
      /unable to parse field orderMiscOptions/,
    ],
    [
      'scalePriceIncrement 0 brings seven fields too many',
      { scalePriceIncrement: 0 },
      /scalePriceIncrement: 7 fields/,
    ],
  ] as const)('%s', async (_, more, text) => {
    const order = {
      action: OrderAction.BUY,
      orderType: OrderType.LMT,
      totalQuantity: 1,
      lmtPrice: 1,
      transmit: true,
      ...more,
    };
    const closed = new Promise((resolve) => api.once(EventName.disconnected, resolve));
    api.placeOrder(
      1,
      { symbol: 'AAPL', secType: SecType.STK, exchange: 'SMART', currency: 'USD' },
      order as unknown as Order,
    );
    await closed;
    expect(infos.filter((message) => message.startsWith('Error reading request'))).toHaveLength(1);
    expect(infos.at(-1)).toMatch(text);
    expect(exchange.placed).toEqual([]);
    expect(simulator.conformance()).toHaveLength(1);
    expect(simulator.received({ message: 'placeOrder' })).toHaveLength(1);
  });

  it('an order without transmit is held, not sent', async () => {
    const order = { action: OrderAction.BUY, orderType: OrderType.LMT, totalQuantity: 1, lmtPrice: 1 };
    api.placeOrder(1, { symbol: 'AAPL', secType: SecType.STK, exchange: 'SMART', currency: 'USD' }, order);
    const ended = new Promise((resolve) => api.once(EventName.openOrderEnd, resolve));
    api.reqOpenOrders();
    await ended;
    expect(exchange.placed.map(({ transmit }) => transmit)).toEqual([false]);
    expect(exchange.openOrders()).toEqual([]);
  });
});
