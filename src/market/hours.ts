/** Trading hours as IB writes them: `20250324:0400-20250324:2000;20250329:CLOSED`, in the exchange's own time zone. */

const SESSION = /^(\d{8}):(\d{4})-(?:(\d{8}):)?(\d{4})$/;
const CLOSED = /^(\d{8}):CLOSED$/;

const formatters = new Map<string, Intl.DateTimeFormat | null>();
const formatterLimit = 64;

/** Whether these hours hold at this moment (ms since the epoch); null when they do not say. */
export function isWithin(hours: string, timeZone: string, at: number): boolean | null {
  const local = localMinute(timeZone, at);
  if (local === null) return null;
  const day = local.slice(0, 8);
  let isListed = false;
  for (const part of hours.split(';')) {
    const text = part.trim();
    const closed = CLOSED.exec(text);
    if (closed) {
      isListed ||= closed[1] === day;
      continue;
    }
    const session = SESSION.exec(text);
    if (!session) continue;
    const [, firstDay = '', start = '', lastDay = firstDay, end = ''] = session;
    if (local >= firstDay + start && local < lastDay + end) return true;
    isListed ||= day >= firstDay && day <= lastDay;
  }
  return isListed ? false : null;
}

/** `yyyymmddhhmm` in this zone; null for a zone that nobody knows. */
function localMinute(timeZone: string, at: number): string | null {
  const formatter = formatterOf(timeZone);
  if (!formatter) return null;
  const parts: Partial<Record<Intl.DateTimeFormatPartTypes, string>> = {};
  for (const { type, value } of formatter.formatToParts(at)) parts[type] = value;
  return `${parts.year}${parts.month}${parts.day}${parts.hour}${parts.minute}`;
}

function formatterOf(timeZone: string): Intl.DateTimeFormat | null {
  const known = formatters.get(timeZone);
  if (known !== undefined) return known;
  let formatter: Intl.DateTimeFormat | null;
  try {
    formatter = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
    });
  } catch {
    formatter = null;
  }
  if (formatters.size >= formatterLimit) formatters.clear();
  formatters.set(timeZone, formatter);
  return formatter;
}
