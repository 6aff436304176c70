import { describe, expect, test } from 'vitest';
import { aaplId, mondayMorning, openVenue, query } from './exchangeDriver.ts';

const hour = 3_600_000;

describe('times in force', () => {
  test('IOC takes what there is and cancels the rest', () => {
    const venue = openVenue();
    venue.pin(99.99, 100.01, { askSize: 60 });
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 100.01, tif: 'IOC' }, 200);
    expect(venue.order(1)).toMatchObject({ status: 'Cancelled', filled: 60, remaining: 40 });
    expect(venue.errors(1).map(({ code }) => code)).toEqual([202]);
  });

  test.each([
    [100, 'Filled', 100],
    [99, 'Cancelled', 0],
  ])('FOK against %i displayed is %s', (askSize, status, filled) => {
    const venue = openVenue();
    venue.pin(99.99, 100.01, { askSize });
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 100.01, tif: 'FOK' }, 200);
    expect(venue.order(1)).toMatchObject({ status, filled });
  });

  test('GTD ends at its time', () => {
    const venue = openVenue();
    venue.pin(99.99, 100.01);
    venue.place({
      orderId: 1,
      orderType: 'LMT',
      lmtPrice: 99,
      tif: 'GTD',
      goodTillDate: '20261123 10:30:00 US/Eastern',
    });
    venue.clock.advance(29 * 60_000);
    expect(venue.order(1).status).toBe('Submitted');
    venue.clock.advance(60_000);
    expect(venue.order(1)).toMatchObject({ status: 'Cancelled', completedStatus: 'Expired' });
  });

  test('goodAfterTime holds back until then', () => {
    const venue = openVenue();
    venue.pin(99.99, 100.01);
    venue.place({ orderId: 1, goodAfterTime: '20261123 16:00:00 UTC' });
    expect(venue.order(1).status).toBe('PreSubmitted');
    venue.clock.advance(hour - 1000);
    expect(venue.executions()).toEqual([]);
    venue.clock.advance(1000);
    expect(venue.order(1).status).toBe('Filled');
  });

  test('a price condition on another contract releases the order', () => {
    const venue = openVenue();
    venue.pin(99.99, 100.01);
    venue.exchange.script.pin(756733, { bid: 659.99, ask: 660.01, last: 660 });
    const conditions = [
      { type: 1, conjunction: 'a' as const, isMore: true, price: 665, conId: 756733, exchange: 'SMART' },
    ];
    venue.place({ orderId: 1, conditions }, 500);
    expect(venue.order(1)).toMatchObject({ status: 'PreSubmitted', filled: 0 });
    venue.exchange.script.pin(756733, { bid: 665.99, ask: 666.01, last: 666 });
    venue.clock.advance(50);
    expect(venue.order(1).status).toBe('Filled');
  });

  test('a time condition releases the order, an or-joined one as soon as either holds', () => {
    const venue = openVenue();
    venue.pin(99.99, 100.01);
    const conditions = [
      { type: 1, conjunction: 'o' as const, isMore: true, price: 500, conId: aaplId, exchange: 'SMART' },
      { type: 3, conjunction: 'a' as const, isMore: true, time: '20261123 15:30:00 UTC' },
    ];
    venue.place({ orderId: 1, conditions }, 500);
    expect(venue.executions()).toEqual([]);
    venue.clock.advance(hour);
    expect(venue.order(1).status).toBe('Filled');
    expect(venue.executions(1)[0]?.time).toBe(mondayMorning + hour / 2);
  });
});

describe('the regular calendar', () => {
  const evening = Date.UTC(2026, 10, 23, 22, 0);
  const regular = (startMs: number) => openVenue({ calendar: 'regular', startMs, tickIntervalMs: 1_000 });

  test('an order after the close waits with a warning and trades at the open', () => {
    const venue = regular(evening);
    venue.place({ orderId: 1 }, 1_000);
    expect(venue.order(1).status).toBe('PreSubmitted');
    expect(venue.errors(1)).toMatchObject([
      { code: 399, text: expect.stringContaining('2026-11-24 09:30:00 US/Eastern') },
    ]);
    venue.clock.advance(Date.UTC(2026, 10, 24, 14, 29, 59) - venue.clock.now());
    expect(venue.executions()).toEqual([]);
    venue.clock.advance(2_000);
    expect(venue.order(1).status).toBe('Filled');
  });

  test('outsideRth trades in the evening, within the extended hours', () => {
    const venue = regular(evening);
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 400, outsideRth: true }, 1_000);
    expect(venue.order(1).status).toBe('Filled');
  });

  test('DAY ends with the session, GTC lives on', () => {
    const venue = regular(mondayMorning);
    venue.place({ orderId: 1, orderType: 'LMT', lmtPrice: 100 });
    venue.place({ orderId: 2, orderType: 'LMT', lmtPrice: 100, tif: 'GTC' });
    venue.clock.advance(Date.UTC(2026, 10, 23, 21, 0, 1) - venue.clock.now());
    expect(venue.order(1)).toMatchObject({ status: 'Cancelled', completedStatus: 'Expired' });
    expect(venue.exchange.openOrders().map(({ request }) => request.orderId)).toEqual([2]);
  });

  test.each([
    ['MOC', { orderType: 'MOC' }, Date.UTC(2026, 10, 23, 21, 0)],
    ['LOC', { orderType: 'LOC', lmtPrice: 400 }, Date.UTC(2026, 10, 23, 21, 0)],
    ['OPG market', { orderType: 'MKT', tif: 'OPG' }, Date.UTC(2026, 10, 24, 14, 30)],
  ])('%s trades in its auction', (_, terms, time) => {
    const venue = regular(mondayMorning);
    venue.place({ orderId: 1, ...terms }, 1_000);
    expect(venue.order(1)).toMatchObject({ status: 'PreSubmitted', filled: 0 });
    venue.clock.advance(time + 100 - venue.clock.now());
    expect(venue.order(1).status).toBe('Filled');
    expect(venue.executions(1)[0]?.time).toBe(time);
  });

  test('an auction order beyond its limit ends unfilled', () => {
    const venue = regular(mondayMorning);
    venue.place({ orderId: 1, orderType: 'LOC', lmtPrice: 100 });
    venue.clock.advance(Date.UTC(2026, 10, 23, 21, 2) - venue.clock.now());
    expect(venue.order(1)).toMatchObject({ status: 'Cancelled', filled: 0 });
  });

  test('the week-end, the holiday and the change of clocks are in the hours', () => {
    const venue = regular(Date.UTC(2026, 10, 25, 15, 0));
    const [details] = venue.exchange.findContracts(query({ conId: aaplId }));
    expect(details?.liquidHours.split(';').slice(0, 4)).toEqual([
      '20261125:0930-20261125:1600',
      '20261126:CLOSED',
      '20261127:0930-20261127:1600',
      '20261128:CLOSED',
    ]);
    const [future] = venue.exchange.findContracts(query({ conId: 649180695 }));
    expect(future?.tradingHours).toMatch(/^20261124:1700-20261125:1600;/);
    expect(future?.timeZoneId).toBe('US/Central');
    const summer = regular(Date.UTC(2027, 5, 14, 12, 0));
    summer.place({ orderId: 1 }, 1_000);
    summer.clock.advance(Date.UTC(2027, 5, 14, 13, 30) + 100 - summer.clock.now());
    expect(summer.order(1).status).toBe('Filled');
  });
});
