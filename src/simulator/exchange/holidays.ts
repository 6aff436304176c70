/** The days without trading, by the rules of the exchanges, for any year. */
import { dayMs, weekday } from './zones.ts';

const days = (year: number, month: number, day: number): number => Date.UTC(year, month - 1, day) / dayMs;

/** The n-th of a weekday (0 Sunday) in a month; 0 is the last one. */
function nth(n: number, name: number, year: number, month: number): number {
  if (n === 0) {
    const last = days(year, month + 1, 0);
    return last - ((weekday(last) - name + 7) % 7);
  }
  const first = days(year, month, 1);
  return first + ((name - weekday(first) + 7) % 7) + 7 * (n - 1);
}

/** Easter Sunday by the Gregorian computus: the Sunday after the first full moon of spring. */
function easter(year: number): number {
  const century = Math.floor(year / 100);
  const golden = year % 19;
  const moonShift = century - Math.floor(century / 4) - Math.floor((8 * century + 13) / 25);
  const age = (moonShift + 19 * golden + 15) % 30;
  const late = age === 29 || (age === 28 && golden > 10) ? 1 : 0;
  const fullMoon = days(year, 3, 21) + age - late;
  return fullMoon + (7 - weekday(fullMoon));
}

/** Saturday's holiday is kept on Friday, Sunday's on Monday. */
function observed(day: number): number {
  if (weekday(day) === 6) return day - 1;
  return weekday(day) === 0 ? day + 1 : day;
}

function usHolidays(year: number): number[] {
  const newYear = days(year, 1, 1);
  const found = [
    // A Friday before New Year's Day is the last day of the business year and is traded.
    weekday(newYear) === 6 ? newYear : observed(newYear),
    nth(3, 1, year, 1),
    nth(3, 1, year, 2),
    easter(year) - 2,
    nth(0, 1, year, 5),
    observed(days(year, 7, 4)),
    nth(1, 1, year, 9),
    nth(4, 4, year, 11),
    observed(days(year, 12, 25)),
  ];
  if (year >= 2022) found.push(observed(days(year, 6, 19)));
  return found;
}

function xetraHolidays(year: number): number[] {
  const sunday = easter(year);
  const december = [24, 25, 26, 31].map((day) => days(year, 12, day));
  return [days(year, 1, 1), sunday - 2, sunday + 1, days(year, 5, 1), ...december];
}

/** Tells whether nothing is traded on a local day, counted from 1970-01-01. */
export type Holidays = (day: number) => boolean;

function remembered(ofYear: (year: number) => readonly number[]): Holidays {
  const years = new Map<number, ReadonlySet<number>>();
  return (day) => {
    const year = new Date(day * dayMs).getUTCFullYear();
    let known = years.get(year);
    if (known === undefined) {
      known = new Set(ofYear(year));
      years.set(year, known);
    }
    return known.has(day);
  };
}

export const holidays = {
  us: remembered(usHolidays),
  xetra: remembered(xetraHolidays),
  none: () => false,
} as const satisfies Record<string, Holidays>;
