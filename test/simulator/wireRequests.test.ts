import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OrderRequest } from '../../src/simulator/model.ts';
import { dateTime, parseDateTime, parseDuration, parsePeriod } from '../../src/simulator/wire/dates.ts';
import { FieldError } from '../../src/simulator/wire/fields.ts';
import { IN } from '../../src/simulator/wire/names.ts';
import { decodeRequest } from '../../src/simulator/wire/requests.ts';
import { stockOrder } from './rawClient.ts';

const VERSIONS = [173, 176, 177, 183, 184, 187, 189, 190, 192, 193];

function place(fields: readonly unknown[], version = 193): OrderRequest {
  const { request } = decodeRequest(fields.map(String), { version, clientId: 4 });
  if (request.type !== 'placeOrder') throw new Error(`decoded as ${request.type}`);
  return request.order;
}

const failure = (fields: readonly unknown[], version = 193): FieldError => {
  try {
    decodeRequest(fields.map(String), { version, clientId: 4 });
  } catch (error) {
    if (error instanceof FieldError) return error;
    throw error;
  }
  throw new Error('it was decoded');
};

describe('placeOrder', () => {
  it.each(VERSIONS)('is walked to its last field at version %i', (version) => {
    const order = place(stockOrder(17, version, { quantity: 2.5, limit: 187.2, orderRef: 'x' }), version);
    expect(order).toMatchObject({
      clientId: 4,
      orderId: 17,
      totalQuantity: 2.5,
      lmtPrice: 187.2,
      auxPrice: null,
      orderRef: 'x',
      transmit: true,
      whatIf: false,
      contract: { conId: 265598, secType: 'STK', strike: 0, right: '' },
    });
  });

  it.each(VERSIONS)('names the missing field when one is lost at version %i', (version) => {
    const fields = stockOrder(1, version);
    expect(failure(fields.slice(0, -1), version).message).toMatch(/missing, the message ended/);
    expect(failure([...fields, ''], version).message).toMatch(/1 fields are left over/);
  });

  it('names orderMiscOptions when it is no tag=value list', () => {
    const order = stockOrder(1, 193);
    const index = order.findIndex((_, at) => {
      const probe = [...order];
      probe[at] = '[object Object]';
      try {
        place(probe);
        return false;
      } catch (error) {
        return error instanceof FieldError && error.field === 'orderMiscOptions';
      }
    });
    expect(index).toBeGreaterThan(0);
  });

  it('takes unset values in every spelling, and an empty transmit as false', () => {
    const order = stockOrder(1, 193);
    expect(place(order.with(19, '1.7976931348623157E308')).lmtPrice).toBeNull();
    expect(place(order.with(27, '')).transmit).toBe(false);
    expect(place(order.with(31, '2147483647')).displaySize).toBeNull();
    expect(failure(order.with(19, 'abc')).field).toBe('lmtPrice');
    expect(failure(order.with(28, '1.5')).field).toBe('parentId');
  });

  it('never does anything but decode or name a field, whatever one field holds', () => {
    const order = stockOrder(1, 193);
    fc.assert(
      fc.property(fc.nat({ max: order.length - 2 }), fc.string({ maxLength: 12 }), (index, text) => {
        const changed = order.with(index + 1, text.replaceAll('\0', ''));
        try {
          place(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(FieldError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('requests', () => {
  it('knows every number of its table but the greeting, and no other', () => {
    for (const id of Object.values(IN)) {
      if (id === IN.hello) continue;
      let problem = '';
      try {
        decodeRequest([String(id)], { version: 193, clientId: 1 });
      } catch (error) {
        problem = error instanceof FieldError ? error.field : String(error);
      }
      expect(problem).not.toBe('message id');
    }
    for (const id of ['0', '26', '999', 'x', '', '-1', '1.0']) expect(failure([id]).field).toBe('message id');
  });

  it('reports what it left unread', () => {
    expect(decodeRequest(['49', '1', 'extra'], { version: 193, clientId: 1 }).leftover).toEqual(['extra']);
  });

  it('reads cancelOrder and reqGlobalCancel by version', () => {
    const at = (version: number, fields: readonly string[]) =>
      decodeRequest(fields, { version, clientId: 1 });
    for (const [version, fields] of [
      [176, ['4', '1', '7', '']],
      [188, ['4', '1', '7', '', '', '', '2147483647']],
      [190, ['4', '1', '7', '']],
      [193, ['4', '7', '', '', '2147483647']],
    ] as const) {
      expect(at(version, fields)).toMatchObject({ request: { orderId: 7 }, leftover: [] });
    }
    expect(at(191, ['58', '1']).leftover).toEqual([]);
    expect(at(192, ['58', '', '']).leftover).toEqual([]);
  });
});

describe('times', () => {
  it('writes them with a zone from 174 on', () => {
    const at = Date.UTC(2026, 0, 30, 15, 46, 26);
    expect(dateTime(at, 'America/New_York', 173)).toBe('20260130  10:46:26');
    expect(dateTime(at, 'America/New_York', 174)).toBe('20260130 10:46:26 America/New_York');
  });

  it('reads what it writes, in summer and in winter', () => {
    const zones = ['UTC', 'America/New_York', 'America/Chicago', 'Europe/London', 'Asia/Tokyo'];
    fc.assert(
      fc.property(
        fc.integer({ min: Date.UTC(2000, 0, 1) / 1000, max: Date.UTC(2035, 0, 1) / 1000 }),
        fc.constantFrom(...zones),
        (seconds, zone) => {
          const read = parseDateTime(dateTime(seconds * 1000, zone, 193), 'UTC') ?? Number.NaN;
          // The hour that a clock shows twice in autumn may be read as either.
          expect([0, 3_600_000]).toContain(Math.abs(read - seconds * 1000));
        },
      ),
    );
  });

  it('reads the spellings of clients and nothing else', () => {
    expect(parseDateTime('20260105-14:30:00', 'Asia/Tokyo')).toBe(Date.UTC(2026, 0, 5, 14, 30));
    expect(parseDateTime('20260105 09:30:00 US/Eastern', 'UTC')).toBe(Date.UTC(2026, 0, 5, 14, 30));
    expect(parseDateTime('20260105  09:30:00', 'America/New_York')).toBe(Date.UTC(2026, 0, 5, 14, 30));
    for (const text of ['', 'now', '2026-01-05', '20260145 09:30:00', '20260105 09:30:00 Nowhere/Land']) {
      expect(parseDateTime(text, 'UTC')).toBeNull();
    }
    expect(['1 D', '3600 S', '2 W', '1 Y', '0 D', '1D', 'x'].map(parseDuration)).toEqual([
      86_400,
      3600,
      1_209_600,
      31_536_000,
      null,
      null,
      null,
    ]);
    expect(['1 week', '3 days', '2 fortnights'].map(parsePeriod)).toEqual([604_800, 259_200, null]);
  });
});
