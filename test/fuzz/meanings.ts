/** What the names in requests stand for, so that a good part of what chance says is understood. */
import fc from 'fast-check';
import { exoticNumbers, type Meanings } from './values.ts';

const price = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom<unknown>('1.00', '187.20', 150, '0.01', 200.5, '1.2345') },
  { weight: 1, arbitrary: fc.constantFrom<unknown>(...exoticNumbers) },
);

export const meanings: Meanings = {
  instrument: fc.oneof(
    {
      weight: 6,
      arbitrary: fc.constantFrom('AAPL', 'MSFT', 'SPY', 'CASH:EUR.USD', 'FUT:ESZ6@CME', 'IND:SPX@CBOE'),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom<unknown>(
        'SAP@IBIS/EUR',
        'CONID:265598',
        { conId: 265598 },
        { symbol: 'AAPL', secType: 'STK' },
        { symbol: 'AAPL', secType: 'BAG' },
        'NOSUCH',
        'OPT:AAPL  261218C00200000',
        'FUT:',
        ':@/',
      ),
    },
  ),
  clientOrderId: fc.oneof(
    { weight: 5, arbitrary: fc.nat(60).map((n) => `f-${n}`) },
    { weight: 1, arbitrary: fc.stringMatching(/^[A-Za-z0-9._-]{1,32}$/) },
  ),
  parentClientOrderId: fc.nat(60).map((n) => `f-${n}`),
  quantity: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom<unknown>('1', 10, '100', '0.5', 7) },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(...exoticNumbers) },
  ),
  limitPrice: price,
  stopPrice: price,
  trailAmount: price,
  trailPercent: price,
  goodTillDate: fc.constantFrom<unknown>(
    '2031-01-02T03:04:05Z',
    '2031-13-45T99:99:99Z',
    '1970-01-01T00:00:00Z',
    'soon',
  ),
  account: fc.constantFrom<unknown>('DU1234567', 'DU7654321', 'U1', ''),
  timeoutMs: fc.integer({ min: 1, max: 40 }),
  after: fc.oneof(
    fc.nat(5_000).map(String),
    fc.base64String({ maxLength: 24 }),
    fc.string({ maxLength: 12 }),
  ),
  duration: fc.constantFrom('1 D', '3600 S', '2 W', '9 Q', '0 D', '999999 Y'),
  pattern: fc.constantFrom('AAPL', 'a', 'S', 'zzz'),
};

const sides = fc.constantFrom('buy', 'sell');
const instruments = fc.constantFrom('AAPL', 'MSFT', 'SPY', 'CASH:EUR.USD');
const quantities = fc.constantFrom<unknown>('1', 10, '25');
const ids = fc.nat(60).map((n) => `f-${n}`);

/** Bodies that are sound in themselves, which chance alone rarely hits. */
export const soundBodies: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  'POST /v1/orders': fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record(
        {
          clientOrderId: ids,
          instrument: instruments,
          side: sides,
          quantity: quantities,
          type: fc.constant('limit'),
          limitPrice: fc.constantFrom<unknown>('1.00', '1.25', 100, '150.10'),
          timeInForce: fc.constantFrom('day', 'gtc', 'ioc'),
        },
        { requiredKeys: ['instrument', 'side', 'quantity', 'type', 'limitPrice'] },
      ),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        clientOrderId: ids,
        instrument: instruments,
        side: sides,
        quantity: quantities,
        type: fc.constant('market'),
      }),
    },
  ),
  'PATCH /v1/orders/{clientOrderId}': fc.oneof(
    fc.record({ limitPrice: fc.constantFrom<unknown>('1.01', '1.02', 99) }),
    fc.record({ quantity: quantities }),
    fc.record({ timeInForce: fc.constantFrom('day', 'gtc') }),
  ),
};
