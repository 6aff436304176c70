import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openVenue } from './exchangeDriver.ts';

/** BUY 100 at 100.01 with a target at 102 and a stop at 98; the market stands at 99.99 / 100.01. */
function bracket(quantity = 100, entryPrice = 100.01, askSize = 10_000) {
  const venue = openVenue({ latencyMs: { min: 0, max: 0 } });
  venue.pin(99.99, 100.01, { last: 100, askSize });
  const size = { totalQuantity: quantity };
  venue.place({ orderId: 1, ...size, orderType: 'LMT', lmtPrice: entryPrice, transmit: false }, 5);
  venue.place(
    { orderId: 2, ...size, action: 'SELL', orderType: 'LMT', lmtPrice: 102, parentId: 1, transmit: false },
    5,
  );
  expect(venue.events).toEqual([]);
  venue.place({ orderId: 3, ...size, action: 'SELL', orderType: 'STP', auxPrice: 98, parentId: 1 }, 1);
  return venue;
}

describe('brackets', () => {
  test('nothing is told until the last order transmits; then the parent goes first', () => {
    const venue = bracket(100, 99);
    expect(venue.order(1)).toMatchObject({ status: 'Submitted' });
    expect(venue.order(2)).toMatchObject({
      status: 'PreSubmitted',
      whyHeld: 'child',
      parentPermId: venue.order(1).permId,
    });
    expect(venue.order(3)).toMatchObject({ status: 'PreSubmitted', whyHeld: 'child,trigger' });
    const first = venue.events.flatMap((event) =>
      event.type === 'openOrder' ? [event.order.request.orderId] : [],
    );
    expect(first.slice(0, 3)).toEqual([1, 2, 3]);
  });

  test('the fill of the parent lets the target work and the stop wait for its trigger', () => {
    const venue = bracket();
    expect(venue.order(1).status).toBe('Filled');
    expect(venue.order(2)).toMatchObject({ status: 'Submitted', whyHeld: '' });
    expect(venue.order(3)).toMatchObject({ status: 'PreSubmitted', whyHeld: 'trigger' });
  });

  test.each([
    ['target', [102.01, 102.03], 2, 3],
    ['stop', [97.5, 97.52], 3, 2],
  ] as const)('the fill of the %s cancels the other exit', (_, [bid, ask], filled, cancelled) => {
    const venue = bracket();
    venue.pin(bid, ask);
    venue.clock.advance(300);
    expect(venue.order(filled).status).toBe('Filled');
    expect(venue.order(cancelled).status).toBe('Cancelled');
    expect(venue.errors(cancelled).map(({ code }) => code)).toEqual([202]);
    expect(venue.exchange.positions()).toEqual([]);
  });

  test('the cancellation of an unfilled parent cancels its children', () => {
    const venue = bracket(100, 99);
    venue.exchange.cancel(1, 1);
    venue.clock.advance(50);
    expect([1, 2, 3].map((id) => venue.order(id).status)).toEqual(['Cancelled', 'Cancelled', 'Cancelled']);
  });

  test('a partly filled parent that is cancelled leaves children of what it filled', () => {
    const venue = bracket(100, 100.01, 37);
    venue.pin(101, 101.02, { last: 101 });
    venue.exchange.cancel(1, 1);
    venue.clock.advance(50);
    expect(venue.order(1)).toMatchObject({ status: 'Cancelled', filled: 37 });
    expect(venue.order(2)).toMatchObject({
      status: 'Submitted',
      remaining: 37,
      request: { totalQuantity: 37 },
    });
    venue.pin(97.5, 97.52);
    venue.clock.advance(200);
    expect(venue.order(3)).toMatchObject({ status: 'Filled', filled: 37 });
    expect(venue.order(2).status).toBe('Cancelled');
    expect(venue.exchange.positions()).toEqual([]);
  });

  test('a stop that triggers while the entry is partly filled sells only what was bought', () => {
    const venue = bracket(100, 100.01, 37);
    venue.exchange.script.hold(venue.order(1).permId);
    venue.pin(97.5, 97.52);
    venue.clock.advance(300);
    expect(venue.order(1)).toMatchObject({ status: 'Submitted', filled: 37 });
    expect(venue.order(3)).toMatchObject({ filled: 37 });
    expect(venue.executions(3).reduce((sum, { shares }) => sum + shares, 0)).toBe(37);
    expect(venue.exchange.positions()).toEqual([]);
  });

  test('a partly filled target shrinks the stop by as much', () => {
    const venue = bracket();
    venue.pin(102.01, 102.03, { bidSize: 40 });
    expect(venue.order(2)).toMatchObject({ status: 'Submitted', filled: 40 });
    expect(venue.order(3)).toMatchObject({ remaining: 60, request: { totalQuantity: 60 } });
  });

  test('a child of an order that is gone is refused', () => {
    const venue = bracket();
    venue.place({ orderId: 4, action: 'SELL', orderType: 'STP', auxPrice: 97, parentId: 1 });
    expect(venue.errors(4)).toEqual([{ code: 135, text: "Can't find order with id = 1" }]);
    expect(venue.isKnown(4)).toBe(false);
    // the stop still works, and moves once the modification no longer names the parent
    venue.place({ orderId: 3, action: 'SELL', orderType: 'STP', auxPrice: 97, parentId: 1 });
    expect(venue.errors(3).map(({ code }) => code)).toEqual([135]);
    venue.place({ orderId: 3, action: 'SELL', orderType: 'STP', auxPrice: 97 });
    expect(venue.order(3)).toMatchObject({ status: 'PreSubmitted', request: { auxPrice: 97 } });
  });

  test('an order that was not transmitted can be cancelled', () => {
    const venue = openVenue();
    venue.place({ orderId: 1, transmit: false });
    expect(venue.exchange.openOrders()).toEqual([]);
    venue.exchange.cancel(1, 1);
    venue.clock.advance(100);
    expect(venue.order(1).status).toBe('Cancelled');
  });
});

describe('one cancels all', () => {
  function pair(ocaType: number) {
    const venue = openVenue({ latencyMs: { min: 0, max: 0 } });
    venue.pin(99.99, 100.01, { last: 100 });
    const group = { ocaGroup: 'g', ocaType, orderType: 'LMT' };
    venue.place({ orderId: 1, ...group, lmtPrice: 99 }, 5);
    venue.place({ orderId: 2, ...group, lmtPrice: 98 }, 5);
    venue.place({ orderId: 3, orderType: 'LMT', lmtPrice: 97, ocaGroup: 'other' }, 5);
    return venue;
  }

  test.each([1, 2, 3, 0])('type %i: a whole fill cancels the mates and nobody else', (ocaType) => {
    const venue = pair(ocaType);
    venue.pin(98.9, 98.92);
    venue.clock.advance(100);
    expect([1, 2, 3].map((id) => venue.order(id).status)).toEqual(['Filled', 'Cancelled', 'Submitted']);
  });

  test('type 1: a partial fill cancels the mates', () => {
    const venue = pair(1);
    venue.pin(98.9, 98.92, { askSize: 30 });
    expect(venue.order(1)).toMatchObject({ status: 'Submitted', filled: 30 });
    expect(venue.order(2).status).toBe('Cancelled');
  });

  test.each([2, 3])('type %i: a partial fill shrinks the mates', (ocaType) => {
    const venue = pair(ocaType);
    venue.pin(98.9, 98.92, { askSize: 30 });
    expect(venue.order(1)).toMatchObject({ status: 'Submitted', filled: 30 });
    expect(venue.order(2)).toMatchObject({ status: 'Submitted', remaining: 70 });
  });

  test('a group never buys more than one of its orders', () => {
    const venue = pair(3);
    venue.pin(90, 90.02, { askSize: 70 });
    venue.clock.advance(1_000);
    const bought = venue.executions().reduce((sum, { shares }) => sum + shares, 0);
    expect(bought).toBeLessThanOrEqual(200);
    expect(
      venue
        .executions(1)
        .concat(venue.executions(2))
        .reduce((sum, { shares }) => sum + shares, 0),
    ).toBe(100);
  });
});

describe('laws', () => {
  const move = fc.record({
    price: fc.integer({ min: 96, max: 104 }),
    size: fc.integer({ min: 1, max: 80 }),
    waitMs: fc.integer({ min: 0, max: 400 }),
    deed: fc.constantFrom('nothing', 'cancel parent', 'cancel target', 'move stop', 'hold', 'unhold'),
  });

  test('whatever the market does, the exits of a bracket never close more than its entry opened', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(move, { maxLength: 15 }), (seed, moves) => {
        const venue = openVenue({ seed, latencyMs: { min: 0, max: 0 } });
        venue.pin(99.99, 100.01, { last: 100 });
        venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 100, transmit: false }, 0);
        const exit = { action: 'SELL', parentId: 1 };
        venue.place({ orderId: 2, ...exit, orderType: 'LMT', lmtPrice: 102, transmit: false }, 0);
        venue.place({ orderId: 3, ...exit, orderType: 'STP', auxPrice: 98 }, 20);
        const filled = (orderId: number) =>
          venue.executions(orderId).reduce((sum, { shares }) => sum + shares, 0);
        for (const { price, size, waitMs, deed } of moves) {
          venue.pin(price - 0.01, price + 0.01, { last: price, bidSize: size, askSize: size });
          const { permId } = venue.order(1);
          if (deed === 'cancel parent') venue.exchange.cancel(1, 1);
          else if (deed === 'cancel target') venue.exchange.cancel(1, 2);
          else if (deed === 'move stop') {
            // a change names the size that the order has now: another one would be a wish for more or less
            const { totalQuantity } = venue.order(3).request;
            venue.place({ orderId: 3, action: 'SELL', orderType: 'STP', auxPrice: 97, totalQuantity }, 0);
          } else if (deed === 'hold') venue.exchange.script.hold(permId);
          else if (deed === 'unhold') venue.exchange.script.unhold(permId);
          venue.clock.advance(waitMs);
          expect(filled(2) + filled(3)).toBeLessThanOrEqual(filled(1));
        }
        const held = venue.exchange.positions()[0]?.position ?? 0;
        expect(held).toBe(filled(1) - filled(2) - filled(3));
        for (const orderId of [1, 2, 3]) {
          const { status, filled: shown, remaining, request } = venue.order(orderId);
          expect(shown).toBe(filled(orderId));
          expect(shown + remaining).toBe(request.totalQuantity);
          if (remaining === 0 && status !== 'Cancelled') expect(status).toBe('Filled');
        }
        venue.exchange.close();
      }),
      { numRuns: 150 },
    );
  });
});
