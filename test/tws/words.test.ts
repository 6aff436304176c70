import { type Contract, type Execution, type Order, type OrderState, OrderStatus } from '@stoqey/ib';
import { describe, expect, test } from 'vitest';
import { type OrderType, orderTypes, twsOrderFields } from '../../machines/order.ts';
import { farmNameOf, historyAnswerOf, isKnownCode, meaningOf } from '../../src/tws/codes.ts';
import { createFrameSplitter, frameText, messageIdOf } from '../../src/tws/frames.ts';
import { toIbContract, toIbOrder } from '../../src/tws/orders.ts';
import { parseTwsTime, toIsoDate, toRfc3339, toTwsUtc, zoneOfGreeting } from '../../src/tws/times.ts';
import {
  commissioned,
  completedSeen,
  decimalOf,
  executed,
  hasFigures,
  orderSeen,
  positionSeen,
  statusSeen,
  toContract,
  toPreview,
} from '../../src/tws/translate.ts';
import { ticket } from './link.ts';
import { frame } from './peer.ts';

const asOrder = (fields: object): Order => fields as Order;
const asState = (fields: object): OrderState => fields as OrderState;

describe('numbers', () => {
  test.each([
    [187.2, '187.2'],
    [0.1 + 0.2, '0.30000000000000004'],
    [1e-7, '0.0000001'],
    [-0.35, '-0.35'],
    [0, '0'],
    [undefined, null],
    [Number.NaN, null],
    [2_147_483_647, null],
    [Number.MAX_VALUE, null],
    [Number.parseFloat('1.797693134862316e+308'), null],
    [Number('9223372036854775807'), null],
    [Number('-9223372036854775808'), null],
    [Number.POSITIVE_INFINITY, null],
  ])('%s reads %s', (number, text) => expect(decimalOf(number)).toBe(text));
});

describe('times', () => {
  test.each([
    ['20250415  19:38:31', 'UTC', '2025-04-15T19:38:31.000Z'],
    ['20250415  19:38:31', 'Europe/London', '2025-04-15T18:38:31.000Z'],
    ['20250415 19:38:31 US/Eastern', 'UTC', '2025-04-15T23:38:31.000Z'],
    ['20250115 19:38:31 America/New_York', 'UTC', '2025-01-16T00:38:31.000Z'],
    ['20250415-19:38:31', 'US/Eastern', '2025-04-15T19:38:31.000Z'],
    ['20250415 19:38:31 Middle-earth', 'UTC', '2025-04-15T19:38:31.000Z'],
    ['20250309 03:00:00 America/New_York', 'UTC', '2025-03-09T07:00:00.000Z'],
    ['20250309 01:59:59 America/New_York', 'UTC', '2025-03-09T06:59:59.000Z'],
    ['20251102 01:30:00 America/New_York', 'UTC', '2025-11-02T05:30:00.000Z'],
    ['20251102 02:30:00 America/New_York', 'UTC', '2025-11-02T07:30:00.000Z'],
    ['20250101 00:30:00 Asia/Tokyo', 'UTC', '2024-12-31T15:30:00.000Z'],
    ['1744745911', 'UTC', '2025-04-15T19:38:31.000Z'],
    ['20250415', 'UTC', '2025-04-15T00:00:00.000Z'],
  ])('%s in %s is %s', (text, zone, iso) => expect(toRfc3339(text, 0, zone)).toBe(iso));

  test('an unreadable time falls back', () => {
    expect(parseTwsTime('yesterday')).toBeNull();
    expect(toRfc3339('', 86_400_000)).toBe('1970-01-02T00:00:00.000Z');
    expect(toTwsUtc('2026-01-15T10:30:00+01:00')).toBe('20260115-09:30:00');
    expect(() => toTwsUtc('soon')).toThrow('not an RFC 3339 time');
    expect(toIsoDate('20260115')).toBe('2026-01-15');
    expect(zoneOfGreeting('20250415 19:38:30 British Summer Time')).toBe('UTC');
    expect(zoneOfGreeting('20250415 19:38:30 US/Central')).toBe('US/Central');
  });
});

describe('orders', () => {
  const fields = (type: OrderType): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(
        toIbOrder(
          ticket('c-1', {
            type,
            limitPrice: '10.50',
            stopPrice: '9.9',
            trailAmount: '0.25',
            quantity: '0.5',
          }),
          0,
        ),
      ).filter(([name]) =>
        ['orderType', 'lmtPrice', 'auxPrice', 'trailStopPrice', 'trailingPercent'].includes(name),
      ),
    );

  test('every type of order has its words and its prices, as exact text', () => {
    expect(Object.fromEntries(orderTypes.map((type) => [type, fields(type)]))).toEqual({
      market: { orderType: 'MKT' },
      limit: { orderType: 'LMT', lmtPrice: '10.50' },
      stop: { orderType: 'STP', auxPrice: '9.9' },
      stop_limit: { orderType: 'STP LMT', lmtPrice: '10.50', auxPrice: '9.9' },
      trailing_stop: { orderType: 'TRAIL', auxPrice: '0.25', trailStopPrice: '9.9' },
      trailing_stop_limit: {
        orderType: 'TRAIL LIMIT',
        auxPrice: '0.25',
        trailStopPrice: '9.9',
        lmtPrice: '10.50',
      },
      market_if_touched: { orderType: 'MIT', auxPrice: '9.9' },
      limit_if_touched: { orderType: 'LIT', lmtPrice: '10.50', auxPrice: '9.9' },
      market_on_close: { orderType: 'MOC' },
      limit_on_close: { orderType: 'LOC', lmtPrice: '10.50' },
      midprice: { orderType: 'MIDPRICE', lmtPrice: '10.50' },
      relative: { orderType: 'REL', lmtPrice: '10.50', auxPrice: '0.25' },
    });
  });

  test('what identifies and holds back an order is always said', () => {
    const order = toIbOrder(
      ticket('my.order_1', {
        transmit: false,
        timeInForce: 'gtd',
        goodTillDate: '2026-02-01T21:00:00Z',
        ocaGroup: 'g',
        algo: { strategy: 'Vwap', params: { maxPctVol: '0.1' } },
        tws: { hidden: true, displaySize: '100', ocaType: 1 },
      }),
      99,
    );
    expect(order).toMatchObject({
      orderRef: 'my.order_1',
      transmit: false,
      parentId: 99,
      tif: 'GTD',
      goodTillDate: '20260201-21:00:00',
      ocaGroup: 'g',
      algoStrategy: 'Vwap',
      algoParams: [{ tag: 'maxPctVol', value: '0.1' }],
      hidden: true,
      displaySize: 100,
      ocaType: 1,
      whatIf: false,
    });
    expect(order).not.toHaveProperty('orderMiscOptions');
    expect(order).not.toHaveProperty('scalePriceIncrement');
  });

  test('further fields pass only from the allow-list and with their kind', () => {
    expect(() => toIbOrder(ticket('c', { tws: { orderMiscOptions: 'x' } }), 0)).toThrow(
      'tws.orderMiscOptions',
    );
    expect(() => toIbOrder(ticket('c', { tws: { transmit: false } }), 0)).toThrow('tws.transmit');
    expect(() => toIbOrder(ticket('c', { tws: { toString: 'x' } }), 0)).toThrow('tws.toString');
    expect(() => toIbOrder(ticket('c', { tws: { hidden: 'yes' } }), 0)).toThrow(
      'tws.hidden must be a boolean',
    );
    expect(() => toIbOrder(ticket('c', { tws: { minQty: 1.5 } }), 0)).toThrow(
      'tws.minQty must be an integer',
    );
    expect(() => toIbOrder(ticket('c', { tws: { modelCode: 'a\0b' } }), 0)).toThrow('tws.modelCode');
    for (const own of [
      'orderRef',
      'account',
      'action',
      'lmtPrice',
      'whatIf',
      'parentId',
      'scalePriceIncrement',
    ]) {
      expect(Object.keys(twsOrderFields)).not.toContain(own);
    }
  });

  test('a contract goes there and back', () => {
    const spread = {
      symbol: 'SPY',
      secType: 'BAG',
      exchange: 'SMART',
      currency: 'USD',
      comboLegs: [
        { conId: 1, ratio: 1, action: 'BUY' as const, exchange: 'SMART' },
        { conId: 2, ratio: 2, action: 'SELL' as const, exchange: 'SMART' },
      ],
    };
    expect(toContract(toIbContract(spread))).toEqual(spread);
    expect(toContract({ conId: 0, symbol: 'X', strike: 0, multiplier: 0, exchange: '' } as Contract)).toEqual(
      {
        symbol: 'X',
      },
    );
  });
});

describe('facts', () => {
  const order = asOrder({
    action: 'SELL',
    totalQuantity: 10,
    orderType: 'STP LMT',
    lmtPrice: 9,
    auxPrice: 9.5,
    tif: 'GTC',
    account: 'DU1',
    orderRef: 'c-1',
    permId: 0,
    clientId: 3,
    parentId: 7,
    filledQuantity: Number.MAX_VALUE,
  });

  test('openOrder', () => {
    expect(
      orderSeen(8, { symbol: 'AAPL' } as Contract, order, asState({ status: 'PreSubmitted' }), 5),
    ).toEqual({
      type: 'broker.orderSeen',
      at: 5,
      ids: { orderId: 8, clientId: 3, permId: '0', orderRef: 'c-1' },
      terms: {
        account: 'DU1',
        contract: { symbol: 'AAPL' },
        side: 'sell',
        type: 'stop_limit',
        brokerType: 'STP LMT',
        quantity: '10',
        limitPrice: '9',
        stopPrice: '9.5',
        timeInForce: 'gtc',
        parentOrderId: 7,
      },
      status: 'working',
      text: '',
    });
    expect(orderSeen(8, {}, order, asState({ status: 'Perplexed' }), 5)).toBeNull();
    const strange = orderSeen(
      8,
      {},
      asOrder({ ...order, orderType: 'PEG MID', tif: 'DTC' }),
      asState({ status: 'Filled' }),
      5,
    );
    expect(strange?.terms).toMatchObject({ type: null, brokerType: 'PEG MID', timeInForce: null });
  });

  test('orderStatus keeps apart what is zero and what is unknown', () => {
    const row = {
      orderId: 1,
      status: 'Inactive',
      filled: 0,
      remaining: undefined,
      averagePrice: 0,
      permId: 12,
      clientId: 3,
      whyHeld: 'locate',
    };
    expect(statusSeen(row, 5)).toEqual({
      type: 'broker.statusSeen',
      at: 5,
      ids: { orderId: 1, clientId: 3, permId: '12' },
      status: 'inactive',
      filled: '0',
      remaining: null,
      averagePrice: null,
      heldBecause: 'locate',
    });
  });

  test('executions, also of liquidations', () => {
    const execution: Execution = {
      orderId: -1,
      clientId: 0,
      execId: '0001.02',
      time: '20260115 10:00:00 US/Eastern',
      acctNumber: 'DU1',
      exchange: 'NYSE',
      side: 'SLD',
      shares: 0.5,
      price: 10.01,
      permId: 5_000_000_000,
      liquidation: 1,
      cumQty: 0.5,
      avgPrice: 10.01,
    };
    const fact = executed({ symbol: 'TQQQ' } as Contract, execution, 1, 'UTC');
    expect(fact).toMatchObject({
      ids: { orderId: -1, clientId: 0, permId: '5000000000', orderRef: '' },
      execution: { side: 'sell', quantity: '0.5', liquidation: true, executedAt: '2026-01-15T15:00:00.000Z' },
    });
    expect(executed({}, { ...execution, side: 'HELD' }, 1, 'UTC')).toBeNull();
  });

  test('commissions: pending, rebates, unset', () => {
    expect(commissioned({ execId: 'e', commission: -1, currency: 'USD' }, 1).commission).toBeNull();
    expect(commissioned({ execId: 'e', commission: -0.35, currency: 'USD' }, 1).commission).toBe('-0.35');
    expect(commissioned({ execId: 'e', commission: Number.MAX_VALUE }, 1)).toMatchObject({
      commission: null,
      realizedPnl: null,
    });
  });

  test('a completed order that filled had the quantity that it filled', () => {
    const state = asState({
      status: 'Filled',
      completedTime: '20230306 12:28:30 America/Los_Angeles',
      completedStatus: 'Filled Size: 100',
    });
    expect(
      completedSeen({}, asOrder({ ...order, totalQuantity: 0, filledQuantity: 100 }), state, 1, 'UTC'),
    ).toMatchObject({
      status: 'filled',
      filled: '100',
      terms: { quantity: '100' },
      completedAt: '2023-03-06T20:28:30.000Z',
      text: 'Filled Size: 100',
    });
  });

  test('positions and previews', () => {
    expect(positionSeen('DU1', { symbol: 'A' } as Contract, -110, 201.8829709, 1)).toMatchObject({
      quantity: '-110',
      averageCost: '201.8829709',
    });
    expect(positionSeen('DU1', {}, undefined, 1, 1)).toBeNull();
    const unset = toPreview({ status: OrderStatus.PreSubmitted, commission: Number.MAX_VALUE });
    expect(hasFigures(unset)).toBe(false);
    expect(Object.values(unset).every((value) => value === null)).toBe(true);
    expect(hasFigures(toPreview({ status: OrderStatus.PreSubmitted, initMarginChange: 100 }))).toBe(true);
  });
});

describe('codes', () => {
  test('farms are named however the notice is written', () => {
    expect(farmNameOf('Market data farm connection is OK:usfarm.nj')).toBe('usfarm.nj');
    expect(
      farmNameOf('HMDS data farm connection is inactive but should be available upon demand.ushmds'),
    ).toBe('ushmds');
    expect(farmNameOf('nothing')).toBe('unnamed');
  });
  test('162 is three things', () => {
    expect(
      historyAnswerOf(
        'Historical Market Data Service error message:HMDS query returned no data: X@SMART Trades',
      ),
    ).toBe('noData');
    expect(historyAnswerOf('Historical data request pacing violation')).toBe('pacing');
    expect(historyAnswerOf('No market data permissions for NYSE STK')).toBe('failure');
  });
  test('no code is an order refusal by accident', () => {
    for (const code of [399, 404, 2100, 2109, 2148, 10349, 10167, 10090, 1100, 2104, 481, 12_345]) {
      expect(meaningOf(code).order ?? 'notice', String(code)).toBe('notice');
    }
    for (const code of [104, 105, 110, 200, 201, 203, 321, 460, 10243]) {
      expect(meaningOf(code).order, String(code)).toBe('refusal');
    }
    expect(meaningOf(135).order).toBe('parentUnknown');
    expect(isKnownCode(12_345)).toBe(false);
  });
});

describe('frames', () => {
  test('whole messages come out, however they are cut', () => {
    const stream = Buffer.concat([frame(9, 1, 5), frame(15, 1, 'DU1'), frame(4, 2, -1, 2104, 'ok', '')]);
    for (let size = 1; size <= stream.length; size += 1) {
      const seen: string[] = [];
      const splitter = createFrameSplitter((bytes, start, end) =>
        seen.push(frameText(bytes.subarray(start, end))),
      );
      for (let at = 0; at < stream.length; at += size) {
        expect(splitter.push(stream.subarray(at, at + size))).toBe(true);
      }
      expect(seen).toEqual(['9|1|5|', '15|1|DU1|', '4|2|-1|2104|ok||']);
    }
    expect(messageIdOf(frame(59, 1))).toBe(59);
  });
  test.each([
    ['-4', [0xff, 0xff, 0xff, 0xfc]],
    ['zero', [0, 0, 0, 0]],
    ['HTTP', [...Buffer.from('HTTP')]],
  ])('a length of %s is refused for good', (_, bytes) => {
    const splitter = createFrameSplitter(() => expect.unreachable());
    expect(splitter.push(Buffer.from(bytes))).toBe(false);
    expect(splitter.push(frame(9, 1, 5))).toBe(false);
  });
});
