/** The past over the wire, where the market closes for nights, week-ends and holidays. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/simulator/clock.ts';
import { UNLIMITED } from '../../src/simulator/limits.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { RawClient } from './rawClient.ts';

/** Saturday; Thursday was Thanksgiving. */
const saturday = Date.UTC(2026, 10, 28, 15, 0);
const aapl = ['', 'AAPL', 'STK', '', '', '', '', 'SMART', '', 'USD', '', ''];

let simulator: Simulator;
let client: RawClient;

beforeEach(async () => {
  simulator = await createSimulator({
    clock: new VirtualClock(saturday),
    calendar: 'regular',
    limits: UNLIMITED,
    tickIntervalMs: 60_000,
    timeZone: 'America/New_York',
  });
  client = await RawClient.start(simulator.port, 'v100..193');
});

afterEach(async () => {
  client.end();
  await simulator.close();
  expect(simulator.conformance()).toEqual([]);
});

interface Asked {
  readonly duration: string;
  readonly barSize?: string;
  readonly end?: string;
  readonly shows?: string;
  readonly useRth?: 0 | 1;
  readonly keepUpToDate?: 0 | 1;
}
let reqId = 100;
async function ask(asked: Asked): Promise<string[]> {
  reqId += 1;
  const { duration, barSize = '1 day', end = '', shows = 'TRADES', useRth = 1, keepUpToDate = 0 } = asked;
  const past = [0, end, barSize, duration, useRth, shows, 1, keepUpToDate, ''];
  client.send(20, reqId, ...aapl, ...past);
  const own = String(reqId);
  return await client.message(([id, a, b]) =>
    ['17', '106'].includes(id ?? '') ? a === own : id === '4' && b === own,
  );
}
/** The dates of the bars of an answer. */
function dates(answer: readonly string[]): string[] {
  expect(answer[0]).toBe('17');
  return Array.from({ length: Number(answer[4]) }, (_, index) => answer[5 + 8 * index] ?? '');
}

describe('a duration in days', () => {
  it('is one of trading days: week-ends and holidays do not count', async () => {
    expect(dates(await ask({ duration: '2 D' }))).toEqual(['20261125', '20261127']);
    expect(dates(await ask({ duration: '1 D' }))).toEqual(['20261127']);
    const end = '20261127 10:00:00 US/Eastern';
    expect(dates(await ask({ duration: '2 D', end }))).toEqual(['20261125', '20261127']);
    expect(dates(await ask({ duration: '1 D', end: '20261127 08:00:00 US/Eastern' }))).toEqual(['20261125']);
  });

  it('begins small bars with a session', async () => {
    const bars = dates(await ask({ duration: '1 D', barSize: '30 mins' }));
    expect(bars).toHaveLength(13);
    expect(bars[0]).toBe('20261127 09:30:00 America/New_York');
    expect(dates(await ask({ duration: '2 D', barSize: '1 hour', useRth: 0 }))[0]).toBe(
      '20261125 04:00:00 America/New_York',
    );
  });

  it.each([
    ['366 D', '365 days must be made in years'],
    ['53 W', '52 weeks must be made in years'],
    ['13 M', '12 months must be made in years'],
    ['86401 S', '86400 seconds must be made in days'],
  ])('%s is too long for its unit', async (duration, text) => {
    const [, , , code, why] = await ask({ duration });
    expect([code, why]).toEqual(['321', expect.stringContaining(`durations longer than ${text}.`)]);
  });
});

it('weeks and months are dated by their last trading day', async () => {
  expect(dates(await ask({ duration: '3 W', barSize: '1W' })).slice(-3)).toEqual([
    '20261113',
    '20261120',
    '20261127',
  ]);
  const months = dates(await ask({ duration: '4 M', barSize: '1M' }));
  expect(months.slice(-3)).toEqual(['20260930', '20261030', '20261127']);
});

it('a year without a list of holidays has them by rule', async () => {
  const days = dates(await ask({ duration: '5 D', end: '20251130 00:00:00 US/Eastern' }));
  expect(days).toEqual(['20251121', '20251124', '20251125', '20251126', '20251128']);
  const easter = dates(await ask({ duration: '2 D', end: '20240401 23:00:00 US/Eastern' }));
  expect(easter).toEqual(['20240328', '20240401']);
});

describe('a schedule', () => {
  const shows = 'SCHEDULE';

  it('is of the past sessions that were asked for', async () => {
    expect(await ask({ shows, duration: '2 D' })).toEqual([
      ...['106', String(reqId), '20261125-09:30:00', '20261127-16:00:00', 'US/Eastern', '2'],
      ...['20261125-09:30:00', '20261125-16:00:00', '20261125'],
      ...['20261127-09:30:00', '20261127-16:00:00', '20261127'],
    ]);
    const week = await ask({ shows, duration: '1 W', end: '20261121 12:00:00 US/Eastern' });
    expect(week.slice(2, 6)).toEqual(['20261116-09:30:00', '20261120-16:00:00', 'US/Eastern', '5']);
  });

  it('of extended hours begins before and ends after the regular ones', async () => {
    const answer = await ask({ shows, duration: '1 D', useRth: 0 });
    expect(answer.slice(6)).toEqual(['20261127-04:00:00', '20261127-20:00:00', '20261127']);
  });
});

it('an end is refused where the present is meant', async () => {
  const end = '20261127 10:00:00 US/Eastern';
  for (const more of [{ shows: 'ADJUSTED_LAST' }, { keepUpToDate: 1 as const }]) {
    const [id, , , code] = await ask({ duration: '1 D', end, ...more });
    expect([id, code]).toEqual(['4', '321']);
  }
});
