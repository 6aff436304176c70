import { describe, expect, test } from 'vitest';
import { isWithin } from '../../src/market/hours.ts';

const week =
  '20260306:0400-20260306:2000;20260307:CLOSED;20260308:CLOSED;20260309:0400-20260309:2000;20260311:1800-20260312:1700';
const newYork = (text: string, zone = '-05:00') => Date.parse(`${text}:00${zone}`);

describe('trading hours', () => {
  test.each([
    ['before the opening', '2026-03-06T03:59', '-05:00', false],
    ['at the opening', '2026-03-06T04:00', '-05:00', true],
    ['in the last minute', '2026-03-06T19:59', '-05:00', true],
    ['at the close', '2026-03-06T20:00', '-05:00', false],
    ['on a closed day', '2026-03-07T12:00', '-05:00', false],
    ['after the clocks changed', '2026-03-09T04:00', '-04:00', true],
    ['a minute before that', '2026-03-09T03:59', '-04:00', false],
    ['over midnight', '2026-03-12T00:30', '-04:00', true],
    ['after a session that ran over midnight', '2026-03-12T17:00', '-04:00', false],
    ['on a day that is not listed', '2026-03-10T12:00', '-04:00', null],
    ['beyond the list', '2026-04-01T12:00', '-04:00', null],
  ])('%s', (_, at, offset, expected) => {
    for (const zone of ['America/New_York', 'US/Eastern']) {
      expect(isWithin(week, zone, newYork(at, offset))).toBe(expected);
    }
  });

  test('the short form without a second date is read too', () => {
    expect(isWithin('20260306:0930-1600', 'US/Eastern', newYork('2026-03-06T10:00'))).toBe(true);
    expect(isWithin('20260306:0930-1600', 'US/Eastern', newYork('2026-03-06T17:00'))).toBe(false);
  });

  test('a zone that nobody knows, no hours and nonsense say nothing', () => {
    const at = newYork('2026-03-06T10:00');
    expect(isWithin(week, 'Mars/Olympus', at)).toBeNull();
    expect(isWithin('', 'US/Eastern', at)).toBeNull();
    expect(isWithin('tomorrow-maybe;;', 'US/Eastern', at)).toBeNull();
  });
});
