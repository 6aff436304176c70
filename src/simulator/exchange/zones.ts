/** Local time of exchanges: offsets of zones, local days, and the date-time texts that orders carry. */

export const minuteMs = 60_000;
export const hourMs = 3_600_000;
export const dayMs = 86_400_000;

type Dst = 'us' | 'eu' | 'none';
const zones: Readonly<Record<string, { readonly hours: number; readonly dst: Dst }>> = {
  'US/Eastern': { hours: -5, dst: 'us' },
  'America/New_York': { hours: -5, dst: 'us' },
  EST5EDT: { hours: -5, dst: 'us' },
  EST: { hours: -5, dst: 'us' },
  'US/Central': { hours: -6, dst: 'us' },
  'America/Chicago': { hours: -6, dst: 'us' },
  'US/Pacific': { hours: -8, dst: 'us' },
  'America/Los_Angeles': { hours: -8, dst: 'us' },
  MET: { hours: 1, dst: 'eu' },
  CET: { hours: 1, dst: 'eu' },
  'Europe/Berlin': { hours: 1, dst: 'eu' },
  'Europe/London': { hours: 0, dst: 'eu' },
  UTC: { hours: 0, dst: 'none' },
  GMT: { hours: 0, dst: 'none' },
  Japan: { hours: 9, dst: 'none' },
  'Asia/Tokyo': { hours: 9, dst: 'none' },
};

/** The n-th (1 based; 0 = last) Sunday of a month as UTC midnight. */
function sunday(year: number, month: number, n: number): number {
  if (n === 0) {
    const last = Date.UTC(year, month + 1, 0);
    return last - new Date(last).getUTCDay() * dayMs;
  }
  const first = Date.UTC(year, month, 1);
  return first + (((7 - new Date(first).getUTCDay()) % 7) + (n - 1) * 7) * dayMs;
}

const summers = new Map<number, { usStart: number; usEnd: number; euStart: number; euEnd: number }>();
function summerOf(year: number) {
  let summer = summers.get(year);
  if (summer === undefined) {
    summer = {
      usStart: sunday(year, 2, 2) + 2 * hourMs,
      usEnd: sunday(year, 10, 1) + 2 * hourMs,
      euStart: sunday(year, 2, 0) + hourMs,
      euEnd: sunday(year, 9, 0) + hourMs,
    };
    summers.set(year, summer);
  }
  return summer;
}

const formats = new Map<string, Intl.DateTimeFormat | null>();
function intlOffsetMs(zone: string, utcMs: number): number | null {
  let format = formats.get(zone);
  if (format === undefined) {
    try {
      format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' });
    } catch {
      format = null;
    }
    if (formats.size < 500) formats.set(zone, format);
  }
  if (format === null) return null;
  const name = format.formatToParts(utcMs).find((part) => part.type === 'timeZoneName')?.value ?? 'GMT';
  const match = /GMT(?:([+-])(\d\d):(\d\d))?/.exec(name);
  if (match?.[1] === undefined) return 0;
  return (match[1] === '-' ? -1 : 1) * (Number(match[2]) * hourMs + Number(match[3]) * minuteMs);
}

/** What to add to UTC for local time, ms; null for a zone that nobody knows. */
export function zoneOffsetMs(zone: string, utcMs: number): number | null {
  const known = zones[zone];
  if (known === undefined) return intlOffsetMs(zone, utcMs);
  const standard = known.hours * hourMs;
  if (known.dst === 'none') return standard;
  const summer = summerOf(new Date(utcMs).getUTCFullYear());
  if (known.dst === 'eu')
    return utcMs >= summer.euStart && utcMs < summer.euEnd ? standard + hourMs : standard;
  const local = utcMs + standard;
  return local >= summer.usStart && local < summer.usEnd - hourMs ? standard + hourMs : standard;
}

function offset(zone: string, utcMs: number): number {
  return zoneOffsetMs(zone, utcMs) ?? 0;
}

/** Days since 1970-01-01 on the local calendar. */
export function localDay(zone: string, utcMs: number): number {
  return Math.floor((utcMs + offset(zone, utcMs)) / dayMs);
}

/** UTC ms of a moment given as local day and minutes after its midnight (may be negative or beyond 24 h). */
export function atLocal(zone: string, day: number, minutes: number): number {
  const local = day * dayMs + minutes * minuteMs;
  const guess = local - offset(zone, local);
  return local - offset(zone, guess);
}

/** 0 Sunday .. 6 Saturday of a local day. */
export function weekday(day: number): number {
  return (((day + 4) % 7) + 7) % 7;
}

/** `yyyymmdd` of a local day. */
export function dayText(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10).replaceAll('-', '');
}

/** Local day of `yyyymmdd`. */
export function dayOfText(text: string): number {
  return Math.floor(
    Date.UTC(Number(text.slice(0, 4)), Number(text.slice(4, 6)) - 1, Number(text.slice(6, 8))) / dayMs,
  );
}

/** `yyyy-mm-dd hh:mm:ss ZONE` as TWS words times in its messages. */
export function messageTime(zone: string, utcMs: number): string {
  const text = new Date(utcMs + offset(zone, utcMs)).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, 19)} ${zone}`;
}

/**
 * Reads `yyyymmdd hh:mm[:ss] [ZONE]`, `yyyymmdd-hh:mm:ss` (UTC) or `yyyymmdd` (the end of that day).
 * Answers ms since the epoch, or null when the text is none of these.
 */
export function parseTime(text: string, defaultZone: string): number | null {
  const match = /^(\d{4})(\d\d)(\d\d)(?:(-| {1,2})(\d{1,2}):(\d\d)(?::(\d\d))?)?(?: +(\S.*?))?\s*$/.exec(
    text.trim(),
  );
  if (match === null) return null;
  const day = Date.UTC(Number(match[1]), Number(match[2]) - 1, Number(match[3])) / dayMs;
  if (dayText(day) !== `${match[1]}${match[2]}${match[3]}`) return null;
  const zone = match[8] ?? (match[4] === '-' ? 'UTC' : defaultZone);
  if (zoneOffsetMs(zone, day * dayMs) === null) return null;
  if (match[5] === undefined) return atLocal(zone, day + 1, 0);
  const seconds = Number(match[7] ?? 0);
  if (Number(match[5]) > 24 || Number(match[6]) > 59 || seconds > 59) return null;
  return atLocal(zone, day, Number(match[5]) * 60 + Number(match[6])) + seconds * 1000;
}
