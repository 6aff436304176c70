/** Date-times of the wire. From server version 174 on they carry a time zone, before they have two spaces and none. */

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(zone: string): Intl.DateTimeFormat {
  let found = formatters.get(zone);
  if (found === undefined) {
    found = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
    formatters.set(zone, found);
  }
  return found;
}

interface WallTime {
  readonly date: string;
  readonly time: string;
}

/** Zones change their offset at quarters of an hour at most. */
const QUARTER_MS = 900_000;
const offsets = new Map<string, { quarter: number; offsetMs: number }>();

/** How far the clock in `zone` is ahead of UTC. */
function offsetMs(ms: number, zone: string): number {
  const quarter = Math.floor(ms / QUARTER_MS);
  const known = offsets.get(zone);
  if (known?.quarter === quarter) return known.offsetMs;
  const part: Record<string, number> = {};
  const start = quarter * QUARTER_MS;
  for (const { type, value } of formatter(zone).formatToParts(start)) part[type] = Number(value);
  const shown = Date.UTC(
    part.year ?? 0,
    (part.month ?? 1) - 1,
    part.day,
    part.hour,
    part.minute,
    part.second,
  );
  offsets.set(zone, { quarter, offsetMs: shown - start });
  return shown - start;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** `yyyymmdd` and `hh:mm:ss` as a clock in `zone` shows them. */
export function wallTime(ms: number, zone: string): WallTime {
  const local = new Date(ms + offsetMs(ms, zone));
  const year = String(local.getUTCFullYear()).padStart(4, '0');
  return {
    date: `${year}${two(local.getUTCMonth() + 1)}${two(local.getUTCDate())}`,
    time: `${two(local.getUTCHours())}:${two(local.getUTCMinutes())}:${two(local.getUTCSeconds())}`,
  };
}

/** A date-time for this server version: `20260130 10:46:26 America/New_York`, below 174 `20260130  10:46:26`. */
export function dateTime(ms: number, zone: string, version: number): string {
  const { date, time } = wallTime(ms, zone);
  return version >= 174 ? `${date} ${time} ${zone}` : `${date}  ${time}`;
}

/** With its zone at every version, as completed orders and the greeting have it. */
export function zonedDateTime(ms: number, zone: string): string {
  const { date, time } = wallTime(ms, zone);
  return `${date} ${time} ${zone}`;
}

const ZONE_NAMES: Readonly<Record<string, string>> = {
  EST: 'America/New_York',
  EDT: 'America/New_York',
  CST: 'America/Chicago',
  CDT: 'America/Chicago',
  MST: 'America/Denver',
  PST: 'America/Los_Angeles',
  PDT: 'America/Los_Angeles',
  GMT: 'UTC',
};

/**
 * ms since the epoch of `yyyymmdd hh:mm:ss [zone]` (one or two spaces), `yyyymmdd-hh:mm:ss` (UTC) or `yyyymmdd`;
 * null when it is none of these or names an unknown zone. `defaultZone` is for those without a zone.
 */
export function parseDateTime(text: string, defaultZone: string): number | null {
  const match = /^(\d{4})(\d{2})(\d{2})(?:(-| +)(\d{1,2}):(\d{2})(?::(\d{2}))?(?: +(\S.*))?)?$/.exec(
    text.trim(),
  );
  if (match === null) return null;
  const [, year, month, day, separator, hour, minute, second, namedZone] = match;
  const asUtc = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour ?? 0),
    Number(minute ?? 0),
    Number(second ?? 0),
  );
  if (Number.isNaN(asUtc) || new Date(asUtc).getUTCDate() !== Number(day)) return null;
  const zone = namedZone ?? (separator === '-' ? 'UTC' : defaultZone);
  try {
    const known = ZONE_NAMES[zone] ?? zone;
    const first = asUtc - offsetMs(asUtc, known);
    return asUtc - offsetMs(first, known);
  } catch {
    return null;
  }
}

const DURATION_SECONDS: Readonly<Record<string, number>> = {
  S: 1,
  D: 86_400,
  W: 7 * 86_400,
  M: 30 * 86_400,
  Y: 365 * 86_400,
};

/** Seconds of `1 D`, `3600 S`, `2 W`, `1 M`, `1 Y`; null when it is none of these. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,9}) ([SDWMY])$/.exec(text.trim());
  const unit = DURATION_SECONDS[match?.[2] ?? ''];
  const count = Number(match?.[1] ?? 0);
  return unit === undefined || count === 0 ? null : count * unit;
}

/** N of a duration of `N D`, which TWS counts in trading days; null for other durations. */
export function daysOf(text: string): number | null {
  const days = Number(/^(\d{1,9}) D$/.exec(text.trim())?.[1] ?? 0);
  return days === 0 ? null : days;
}

const DURATION_MAX: Readonly<Record<string, { readonly count: number; readonly text: string }>> = {
  S: { count: 86_400, text: '86400 seconds must be made in days' },
  D: { count: 365, text: '365 days must be made in years' },
  W: { count: 52, text: '52 weeks must be made in years' },
  M: { count: 12, text: '12 months must be made in years' },
};

/** What TWS says about a duration that is too long for its unit; null when it is not. */
export function durationFault(text: string): string | null {
  const [count, unit = ''] = text.trim().split(' ');
  const most = DURATION_MAX[unit];
  if (most === undefined || Number(count) <= most.count) return null;
  return `Historical data requests for durations longer than ${most.text}.`;
}

const PERIOD_SECONDS: Readonly<Record<string, number>> = {
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
  week: 7 * 86_400,
  month: 30 * 86_400,
  year: 365 * 86_400,
};

/** Seconds of a histogram's period such as `1 week` or `3 days`; null when it is none. */
export function parsePeriod(text: string): number | null {
  const match = /^(\d{1,6}) ?([a-z]+?)s?$/i.exec(text.trim());
  const unit = PERIOD_SECONDS[(match?.[2] ?? '').toLowerCase()];
  const count = Number(match?.[1] ?? 0);
  return unit === undefined || count === 0 ? null : count * unit;
}

/** The bar sizes that TWS knows, in seconds. */
export const BAR_SECONDS: Readonly<Record<string, number>> = {
  '1 secs': 1,
  '1 sec': 1,
  '5 secs': 5,
  '10 secs': 10,
  '15 secs': 15,
  '30 secs': 30,
  '1 min': 60,
  '2 mins': 120,
  '3 mins': 180,
  '5 mins': 300,
  '10 mins': 600,
  '15 mins': 900,
  '20 mins': 1200,
  '30 mins': 1800,
  '1 hour': 3600,
  '2 hours': 7200,
  '3 hours': 10_800,
  '4 hours': 14_400,
  '8 hours': 28_800,
  '1 day': 86_400,
  '1W': 7 * 86_400,
  '1 week': 7 * 86_400,
  '1M': 30 * 86_400,
  '1 month': 30 * 86_400,
};
