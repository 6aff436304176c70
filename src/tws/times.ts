/** TWS's ways to write a time. */

const formatters = new Map<string, Intl.DateTimeFormat | null>();
const formatterLimit = 200;

function formatterFor(zone: string): Intl.DateTimeFormat | null {
  const known = formatters.get(zone);
  if (known !== undefined) return known;
  let made: Intl.DateTimeFormat | null;
  try {
    made = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      hourCycle: 'h23',
    });
  } catch {
    made = null;
  }
  if (formatters.size < formatterLimit) formatters.set(zone, made);
  return made;
}

/** Offsets change at whole quarters of an hour only: what was asked for once holds for the quarter. */
const offsets = new WeakMap<Intl.DateTimeFormat, Map<number, number>>();
const offsetLimit = 1_000;
const quarterMs = 900_000;

/** How far local time of a zone is ahead of UTC at an instant, ms. */
function offsetAt(formatter: Intl.DateTimeFormat, at: number): number {
  const quarter = Math.floor(at / quarterMs);
  let known = offsets.get(formatter);
  if (known === undefined || known.size >= offsetLimit) {
    known = new Map();
    offsets.set(formatter, known);
  }
  let offset = known.get(quarter);
  if (offset === undefined) {
    offset = readOffset(formatter, at);
    known.set(quarter, offset);
  }
  return offset;
}

function readOffset(formatter: Intl.DateTimeFormat, at: number): number {
  const parts: Record<string, number> = {};
  for (const { type, value } of formatter.formatToParts(at)) parts[type] = Number(value);
  const local = Date.UTC(
    parts.year ?? 1970,
    (parts.month ?? 1) - 1,
    parts.day ?? 1,
    parts.hour ?? 0,
    parts.minute ?? 0,
    parts.second ?? 0,
  );
  return local - Math.floor(at / 1_000) * 1_000;
}

/** Wall time of a zone as an instant, ms; of a time that a clock change repeats, the earlier one. */
function toInstant(wall: number, zone: string): number | null {
  const formatter = formatterFor(zone);
  if (!formatter) return null;
  const before = wall - offsetAt(formatter, wall - 86_400_000);
  if (before + offsetAt(formatter, before) === wall) return before;
  return wall - offsetAt(formatter, wall + 86_400_000);
}

const PATTERN = /^(\d{4})(\d{2})(\d{2})(?:(-|\s+)(\d{2}):(\d{2})(?::(\d{2}))?(?:\s+(.+))?)?$/;

/**
 * A time of TWS in ms since the epoch: `20250415 19:38:31 US/Eastern`, `20250415  19:38:31` (in `fallbackZone`),
 * `20250415-19:38:31` (UTC), `20250415`, or seconds since the epoch. Null when it is none of these.
 * A zone that nobody knows counts as the fallback, and a fallback that nobody knows as UTC.
 */
export function parseTwsTime(text: string, fallbackZone = 'UTC'): number | null {
  const trimmed = text.trim();
  if (/^\d{9,12}$/.test(trimmed)) return Number(trimmed) * 1_000;
  const match = PATTERN.exec(trimmed);
  if (!match) return null;
  const [, year, month, day, separator, hour = '0', minute = '0', second = '0', zone] = match;
  const wall = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  );
  if (separator === '-' && !zone) return wall;
  return (zone ? toInstant(wall, zone) : null) ?? toInstant(wall, fallbackZone) ?? wall;
}

/** RFC 3339 in UTC of a TWS time; of an unreadable one, of `otherwise` (ms). */
export function toRfc3339(text: string, otherwise: number, fallbackZone?: string): string {
  return new Date(parseTwsTime(text, fallbackZone) ?? otherwise).toISOString();
}

/** `yyyymmdd-hh:mm:ss`, TWS's notation for UTC, of an RFC 3339 time. Throws on anything else. */
export function toTwsUtc(rfc3339: string): string {
  const at = Date.parse(rfc3339);
  if (Number.isNaN(at)) throw new Error(`"${rfc3339}" is not an RFC 3339 time`);
  const iso = new Date(at).toISOString();
  return `${iso.slice(0, 10).replaceAll('-', '')}-${iso.slice(11, 19)}`;
}

/** `2025-04-15` of `20250415`; anything else unchanged. */
export function toIsoDate(text: string): string {
  return /^\d{8}$/.test(text) ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6, 8)}` : text;
}

/** The zone in TWS's greeting (`20250415 19:38:30 US/Eastern`), UTC when it has none that is known. */
export function zoneOfGreeting(connectionTime: string): string {
  const zone = /^\d{8}\s+\d{2}:\d{2}:\d{2}\s+(.+)$/.exec(connectionTime.trim())?.[1];
  return zone && formatterFor(zone) ? zone : 'UTC';
}

/** From midnight to midnight of a zone (UTC when nobody knows it) around an instant, ms. */
export function dayOf(at: number, zone: string): { readonly from: number; readonly to: number } {
  const formatter = formatterFor(zone);
  const wall = at + (formatter ? offsetAt(formatter, at) : 0);
  const midnight = Math.floor(wall / 86_400_000) * 86_400_000;
  return {
    from: toInstant(midnight, zone) ?? midnight,
    to: toInstant(midnight + 86_400_000, zone) ?? midnight + 86_400_000,
  };
}
