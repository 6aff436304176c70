import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { orderTypes, timesInForce } from '../../machines/order.ts';
import { readChange, readOrder } from '../../src/http/order-input.ts';

const limit = { instrument: 'AAPL', side: 'buy', quantity: 10, type: 'limit', limitPrice: '187.20' };
const pointers = (body: unknown) => readOrder(body).errors?.map((error) => error.pointer) ?? [];
const detail = (body: unknown) => readOrder(body).errors?.[0]?.detail;

describe('what is read', () => {
  it('becomes a request with plain decimals, a canonical instrument, and nothing that was not said', () => {
    const { value } = readOrder({
      ...limit,
      clientOrderId: 'c-1',
      instrument: 'STK:SAP@ibis/EUR',
      quantity: '010.50',
    });
    expect(value).toEqual({
      clientOrderId: 'c-1',
      instrument: 'SAP@IBIS/EUR',
      contract: { symbol: 'SAP', secType: 'STK', exchange: 'IBIS', currency: 'EUR' },
      side: 'buy',
      quantity: '10.5',
      type: 'limit',
      limitPrice: '187.20',
      timeInForce: 'day',
    });
  });

  it('takes a contract object for the instrument', () => {
    const contract = {
      secType: 'OPT',
      symbol: 'AAPL',
      lastTradeDateOrContractMonth: '20261218',
      strike: 200,
      right: 'C',
    };
    expect(readOrder({ ...limit, instrument: contract }).value).toMatchObject({
      instrument: 'OPT:AAPL  261218C00200000',
      contract,
    });
  });

  it('fills in what a contract object leaves to the usual', () => {
    const contractOf = (instrument: unknown) => readOrder({ ...limit, instrument }).value?.contract;
    expect(contractOf({ symbol: 'AAPL' })).toEqual(readOrder(limit).value?.contract);
    expect(contractOf({ conId: 265598 })).toEqual({ conId: 265598, exchange: 'SMART' });
    expect(contractOf({ secType: 'FUT', localSymbol: 'ESZ6' })).toEqual({
      secType: 'FUT',
      localSymbol: 'ESZ6',
      currency: 'USD',
    });
  });

  it('keeps everything else that was said', () => {
    const more = {
      account: 'DU1',
      ocaGroup: 'g-1',
      parentClientOrderId: 'p-1',
      outsideRegularHours: true,
      timeInForce: 'gtd',
      goodTillDate: '2026-12-18T21:00:00Z',
      algo: { strategy: 'Adaptive', params: { adaptivePriority: 'Normal' } },
      tws: { hidden: true, displaySize: 100 },
      bracket: { takeProfit: { limitPrice: '200' }, stopLoss: { stopPrice: '180', limitPrice: '179.5' } },
    };
    expect(readOrder({ ...limit, ...more }).value).toMatchObject(more);
  });
});

it('a time with an offset is the same moment in UTC', () => {
  const read = (goodTillDate: string) =>
    readOrder({ ...limit, timeInForce: 'gtd', goodTillDate }).value?.goodTillDate;
  expect(read('2026-12-18T10:00:00+02:00')).toBe('2026-12-18T08:00:00Z');
  expect(read('2026-12-18T08:00:00.500Z')).toBe('2026-12-18T08:00:00.500Z');
});

describe('what is refused, and where', () => {
  it.each<[string, object, string[]]>([
    ['an unknown field', { colour: 'red' }, ['/colour']],
    ['a field in another spelling', { limit_price: 1 }, ['/limit_price']],
    ['a side', { side: 'BUY' }, ['/side']],
    ['a type', { type: 'lmt' }, ['/type']],
    ['a quantity of nothing', { quantity: '0' }, ['/quantity']],
    ['a negative quantity', { quantity: -1 }, ['/quantity']],
    ['a quantity that is no number', { quantity: 'ten' }, ['/quantity']],
    ['a quantity that is no text', { quantity: true }, ['/quantity']],
    ['a limit of nothing on a stock', { limitPrice: 0 }, ['/limitPrice']],
    ['a quantity with more digits than TWS keeps', { quantity: '1.0000000000000001' }, ['/quantity']],
    ['an endless price', { limitPrice: '1e999' }, ['/limitPrice']],
    ['a limit without its price', { limitPrice: undefined, type: 'limit' }, ['/limitPrice']],
    ['a market order with a price', { type: 'market' }, ['/limitPrice']],
    ['a stop with a limit', { type: 'stop', stopPrice: 1 }, ['/limitPrice']],
    ['a stop limit without stop', { type: 'stop_limit' }, ['/stopPrice']],
    ['a trail without distance', { type: 'trailing_stop_limit' }, ['/trailAmount']],
    ['two distances', { type: 'trailing_stop_limit', trailAmount: 1, trailPercent: 1 }, ['/trailAmount']],
    [
      'a trailing limit without a limit',
      { type: 'trailing_stop_limit', trailAmount: 1, limitPrice: undefined },
      ['/limitPrice'],
    ],
    [
      'a trailing limit with two',
      { type: 'trailing_stop_limit', trailAmount: 1, tws: { lmtPriceOffset: 1 } },
      ['/limitPrice'],
    ],
    ["a limit's distance from no stop", { tws: { lmtPriceOffset: 1 } }, ['/tws/lmtPriceOffset']],
    ['a size that TWS chooses', { tws: { faPercentage: '500' } }, ['/tws/faPercentage']],
    ['gtd without date', { timeInForce: 'gtd' }, ['/goodTillDate']],
    ['a date without gtd', { goodTillDate: '2026-12-18T21:00:00Z' }, ['/goodTillDate']],
    ['a date that is none', { timeInForce: 'gtd', goodTillDate: 'tomorrow' }, ['/goodTillDate']],
    ['a day that is none', { timeInForce: 'gtd', goodTillDate: '2027-02-31T00:00:00Z' }, ['/goodTillDate']],
    ['an hour that is none', { timeInForce: 'gtd', goodTillDate: '2027-02-28T24:00:00Z' }, ['/goodTillDate']],
    ['an id with a blank', { clientOrderId: 'c 1' }, ['/clientOrderId']],
    ['an id that is a step in a path', { clientOrderId: '.' }, ['/clientOrderId']],
    ['an id that is a step back', { clientOrderId: '..' }, ['/clientOrderId']],
    ['an id that is too long', { clientOrderId: 'x'.repeat(33) }, ['/clientOrderId']],
    ['an instrument', { instrument: 'FISH:AAPL' }, ['/instrument']],
    ['an instrument that is a number', { instrument: 265598 }, ['/instrument']],
    ['an unknown contract field', { instrument: { symbol: 'AAPL', ticker: 'x' } }, ['/instrument/ticker']],
    ['a contract that names nothing', { instrument: { secType: 'STK' } }, ['/instrument']],
    ['a symbol that ends a field', { instrument: { symbol: 'AAPL\0STK' } }, ['/instrument/symbol']],
    ['a short form that ends a field', { instrument: 'AAPL\0' }, ['/instrument']],
    [
      'a contract that would be other fields',
      {
        instrument: {
          symbol: 'AAPL',
          localSymbol: 'AAPL\0\0SELL\x009000',
          tradingClass: '\0',
          multiplier: '\n',
        },
      },
      ['/instrument/multiplier', '/instrument/localSymbol', '/instrument/tradingClass'],
    ],
    ['a text of TWS that ends a field', { tws: { modelCode: 'x\0' } }, ['/tws/modelCode']],
    [
      'a parameter that ends a field',
      { algo: { strategy: 'Vwap', params: { maxPctVol: '0.1\0' } } },
      ['/algo/params/maxPctVol'],
    ],
    ['an option of no expiry', { instrument: { secType: 'OPT', symbol: 'AAPL' } }, ['/instrument']],
    [
      'a combination without legs',
      { instrument: { secType: 'BAG', symbol: 'AAPL' } },
      ['/instrument/comboLegs'],
    ],
    [
      'exits that stand the wrong way round',
      { bracket: { takeProfit: { limitPrice: '180' }, stopLoss: { stopPrice: '190' } } },
      ['/bracket/stopLoss/stopPrice'],
    ],
    [
      'exits of a sell that stand the wrong way round',
      { side: 'sell', bracket: { takeProfit: { limitPrice: '190' }, stopLoss: { stopPrice: '180' } } },
      ['/bracket/stopLoss/stopPrice'],
    ],
    ['an empty bracket', { bracket: {} }, ['/bracket']],
    ['a bracket without price', { bracket: { takeProfit: {} } }, ['/bracket/takeProfit/limitPrice']],
    ['a bracket price', { bracket: { stopLoss: { stopPrice: 'low' } } }, ['/bracket/stopLoss/stopPrice']],
    ['a TWS field that is not allowed', { tws: { transmit: true } }, ['/tws/transmit']],
    ['a TWS field of the wrong type', { tws: { hidden: 'yes' } }, ['/tws/hidden']],
    [
      'several at once',
      { quantity: 0, limitPrice: 'x', timeInForce: 'gtd' },
      ['/quantity', '/limitPrice', '/goodTillDate'],
    ],
  ])('%s', (_name, change, expected) => {
    expect(pointers(JSON.parse(JSON.stringify({ ...limit, ...change })))).toEqual(expected);
  });

  it('leaves room for the children of a bracket', () => {
    const bracket = { takeProfit: { limitPrice: 1 } };
    expect(pointers({ ...limit, bracket, clientOrderId: 'x'.repeat(30) })).toEqual(['/clientOrderId']);
    expect(pointers({ ...limit, bracket, clientOrderId: 'x'.repeat(29) })).toEqual([]);
  });

  it('says what was meant, what is allowed, what is missing', () => {
    expect(detail({ ...limit, limit_price: 1 })).toBe('unknown field; did you mean limitPrice?');
    expect(detail({ ...limit, side: 'long' })).toBe('must be one of buy, sell');
    expect(detail({ ...limit, type: 'stop_limit' })).toBe('is required: a stop_limit order needs stopPrice');
    expect(detail({ ...limit, quantity: '-3' })).toBe('must be more than 0, not -3');
  });

  it.each([null, undefined, 'text', 7, [], true])('a body that is %j', (body) => {
    expect(readOrder(body).errors?.length).toBeGreaterThan(0);
  });

  it('a thousand unknown fields get a short answer', () => {
    const body = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`f${n}`, n]));
    const { errors } = readOrder({ ...limit, ...body });
    expect(errors?.length).toBeGreaterThan(0);
    expect(errors?.length).toBeLessThanOrEqual(16);
  });

  it('takes prices below zero where they exist', () => {
    const legs = [
      { conId: 1, ratio: 1, action: 'BUY', exchange: 'SMART' },
      { conId: 2, ratio: 1, action: 'SELL', exchange: 'SMART' },
    ];
    const instrument = { secType: 'BAG', symbol: 'CL', currency: 'USD', exchange: 'NYMEX', comboLegs: legs };
    expect(readOrder({ ...limit, instrument, limitPrice: '-0.25' }).value?.limitPrice).toBe('-0.25');
    expect(
      readOrder({ ...limit, instrument: 'FUT:CLK0@NYMEX', limitPrice: '-37.63' }).errors,
    ).toBeUndefined();
  });
});

describe('whatever is sent', () => {
  const junk = fc.oneof(fc.jsonValue(), fc.constant('187.20'), fc.constant(-1), fc.double());
  const anything = fc.record(
    {
      clientOrderId: fc.oneof(fc.constant('c-1'), junk),
      instrument: fc.oneof(fc.constantFrom('AAPL', 'CASH:EUR.USD', 'nonsense:', 'CONID:1'), junk),
      side: fc.oneof(fc.constantFrom('buy', 'sell'), junk),
      quantity: fc.oneof(fc.integer({ min: 1, max: 1e6 }), junk),
      type: fc.oneof(fc.constantFrom(...orderTypes), junk),
      limitPrice: junk,
      stopPrice: junk,
      trailAmount: junk,
      timeInForce: fc.constantFrom(...timesInForce, 'never'),
      goodTillDate: fc.constantFrom('2026-12-18T21:00:00Z', 'soon'),
      bracket: fc.oneof(fc.constant({ takeProfit: { limitPrice: 5 } }), junk),
      '~odd/name': junk,
    },
    { requiredKeys: [] },
  );

  it('is read or refused with a pointer and a reason, never thrown at; and what was read reads the same again', () => {
    fc.assert(
      fc.property(anything, (body) => {
        const { value, errors } = readOrder(body);
        if (errors) {
          expect(errors.length).toBeGreaterThan(0);
          for (const error of errors) {
            expect(error.pointer === '' || error.pointer.startsWith('/')).toBe(true);
            expect(error.detail).not.toBe('');
          }
          return;
        }
        const { contract: _contract, ...said } = value;
        expect(readOrder(said).value).toEqual({ ...value, contract: readOrder(said).value?.contract });
      }),
      { numRuns: 500 },
    );
  });
});

describe('changes', () => {
  const contract = { secType: 'STK' };
  const working = { type: 'limit', contract, quantity: '10', timeInForce: 'day' } as const;
  const pointersOf = (body: unknown, of: Parameters<typeof readChange>[1]) =>
    readChange(body, of).errors?.map(({ pointer }) => pointer);

  it('hold what was said in canonical form', () => {
    expect(
      readChange({ quantity: '012', limitPrice: 187.5, outsideRegularHours: false }, working).value,
    ).toEqual({
      quantity: '12',
      limitPrice: '187.5',
      outsideRegularHours: false,
    });
  });

  it('refuse what cannot change', () => {
    expect(readChange({ instrument: 'MSFT' }, working).errors?.[0]?.pointer).toBe('/instrument');
    expect(readChange({ trailAmount: 1 }, working).errors?.[0]?.pointer).toBe('/trailAmount');
    expect(readChange({ quantity: 0 }, undefined).errors?.[0]?.pointer).toBe('/quantity');
    expect(readChange({}, undefined).errors?.length).toBe(1);
  });

  it('keep the kind of trail that the order has, and name the way to the other', () => {
    const byAmount = { ...working, type: 'trailing_stop', trailAmount: '2' } as const;
    const byPercent = { ...working, type: 'trailing_stop', trailPercent: '2' } as const;
    expect(readChange({ trailPercent: '3' }, byAmount).errors).toEqual([
      {
        pointer: '/trailPercent',
        detail:
          'the order trails by trailAmount: change that, or cancel the order and place it anew with trailPercent',
      },
    ]);
    expect(pointersOf({ trailAmount: '3', trailPercent: '3' }, byPercent)).toEqual(['/trailAmount']);
    expect(readChange({ trailPercent: '3' }, byPercent).value).toEqual({ trailPercent: '3' });
  });

  it('leave terms that a new order could have: a date with gtd and only with it', () => {
    const goodTillDate = '2026-12-18T21:00:00Z';
    const dated = { ...working, timeInForce: 'gtd', goodTillDate } as const;
    expect(pointersOf({ timeInForce: 'gtd' }, working)).toEqual(['/goodTillDate']);
    expect(pointersOf({ goodTillDate }, working)).toEqual(['/goodTillDate']);
    expect(pointersOf({ timeInForce: 'day', goodTillDate }, dated)).toEqual(['/goodTillDate']);
    expect(pointersOf({ goodTillDate: 'soon' }, dated)).toEqual(['/goodTillDate']);
    expect(readChange({ timeInForce: 'gtd', goodTillDate }, working).value).toEqual({
      timeInForce: 'gtd',
      goodTillDate,
    });
    const fine = [{ timeInForce: 'gtd' }, { goodTillDate }, { timeInForce: 'day' }, { quantity: '5' }];
    for (const body of fine) expect(readChange(body, dated).errors).toBeUndefined();
  });
});
