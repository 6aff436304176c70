/** Trading sessions: when a contract trades, when it opens and closes next, and the text of it in contract details. */
import type { Holidays } from './holidays.ts';
import { holidays } from './holidays.ts';
import { atLocal, dayMs, dayText, localDay, weekday } from './zones.ts';

export type CalendarName = 'alwaysOpen' | 'regular';

/** Minutes after local midnight of the trading day; negative = the evening before. */
export interface SessionRule {
  readonly zone: string;
  readonly regular: readonly [number, number];
  readonly extended: readonly [number, number];
  readonly days: 'weekdays' | 'all';
  readonly isHoliday: Holidays;
}

export const sessions = {
  usStock: {
    zone: 'US/Eastern',
    regular: [570, 960],
    extended: [240, 1200],
    days: 'weekdays',
    isHoliday: holidays.us,
  },
  usOption: {
    zone: 'US/Eastern',
    regular: [570, 960],
    extended: [570, 960],
    days: 'weekdays',
    isHoliday: holidays.us,
  },
  future: {
    zone: 'US/Central',
    regular: [510, 960],
    extended: [-420, 960],
    days: 'weekdays',
    isHoliday: holidays.none,
  },
  forex: {
    zone: 'US/Eastern',
    regular: [-405, 1020],
    extended: [-405, 1020],
    days: 'weekdays',
    isHoliday: holidays.none,
  },
  crypto: {
    zone: 'US/Eastern',
    regular: [0, 1440],
    extended: [0, 1440],
    days: 'all',
    isHoliday: holidays.none,
  },
  xetra: {
    zone: 'MET',
    regular: [540, 1050],
    extended: [540, 1050],
    days: 'weekdays',
    isHoliday: holidays.xetra,
  },
} as const satisfies Record<string, SessionRule>;

export type SessionPhase = 'regular' | 'extended' | 'closed';
export interface Span {
  readonly open: number;
  readonly close: number;
}
export interface Session extends Span {
  /** the local trading day, counted from 1970-01-01 */
  readonly day: number;
}

/** One calendar for a whole exchange; `alwaysOpen` never closes, but keeps the hours of the auctions. */
export class Calendar {
  readonly name: CalendarName;
  private readonly spans = new Map<SessionRule, Map<number, Span | null>>();

  constructor(name: CalendarName) {
    this.name = name;
  }

  private span(rule: SessionRule, day: number, outsideRth: boolean): Span | null {
    let known = this.spans.get(rule);
    if (known === undefined) {
      known = new Map();
      this.spans.set(rule, known);
    }
    const key = day * 2 + (outsideRth ? 1 : 0);
    let span = known.get(key);
    if (span === undefined) {
      if (known.size > 20_000) known.clear();
      span = this.computeSpan(rule, day, outsideRth);
      known.set(key, span);
    }
    return span;
  }

  private computeSpan(rule: SessionRule, day: number, outsideRth: boolean): Span | null {
    if (rule.days === 'weekdays') {
      const name = weekday(day);
      if (name === 0 || name === 6 || rule.isHoliday(day)) return null;
    }
    const [open, close] = outsideRth ? rule.extended : rule.regular;
    return { open: atLocal(rule.zone, day, open), close: atLocal(rule.zone, day, close) };
  }

  phaseAt(rule: SessionRule, time: number): SessionPhase {
    if (this.name === 'alwaysOpen') return 'regular';
    const day = localDay(rule.zone, time);
    for (let d = day; d <= day + 1; d++) {
      const regular = this.span(rule, d, false);
      if (regular !== null && time >= regular.open && time < regular.close) return 'regular';
    }
    for (let d = day; d <= day + 1; d++) {
      const extended = this.span(rule, d, true);
      if (extended !== null && time >= extended.open && time < extended.close) return 'extended';
    }
    return 'closed';
  }

  isOpen(rule: SessionRule, time: number, outsideRth: boolean): boolean {
    const phase = this.phaseAt(rule, time);
    return phase === 'regular' || (outsideRth && phase === 'extended');
  }

  /** The first opening strictly after `time` (of the hours asked for). */
  nextOpen(rule: SessionRule, time: number, outsideRth: boolean): number {
    return this.nextEdge(rule, time, outsideRth, 'open');
  }

  /** The first close strictly after `time`. */
  nextClose(rule: SessionRule, time: number, outsideRth: boolean): number {
    return this.nextEdge(rule, time, outsideRth, 'close');
  }

  private nextEdge(rule: SessionRule, time: number, outsideRth: boolean, edge: 'open' | 'close'): number {
    const today = localDay(rule.zone, time);
    for (let day = today - 1; day < today + 15; day++) {
      const span = this.span(rule, day, outsideRth);
      if (span !== null && span[edge] > time) return span[edge];
    }
    return time + 15 * dayMs;
  }

  /** When a DAY order entered now ends: the close, or a full day where nothing closes. */
  dayEnd(rule: SessionRule, time: number, outsideRth: boolean): number {
    if (this.name === 'alwaysOpen') return time + dayMs;
    return this.nextClose(rule, time, outsideRth);
  }

  /** `time` itself while open (extended hours included), else the last moment of the session before. */
  lastOpenMoment(rule: SessionRule, time: number): number {
    if (this.phaseAt(rule, time) !== 'closed') return time;
    const today = localDay(rule.zone, time);
    for (let day = today; day > today - 15; day--) {
      const span = this.span(rule, day, true);
      if (span !== null && span.close <= time) return span.close - 1;
    }
    return time;
  }

  /** The session that holds a moment, or null when closed then. */
  spanAt(rule: SessionRule, time: number, useRth: boolean): Span | null {
    const day = localDay(rule.zone, time);
    if (this.name === 'alwaysOpen')
      return { open: atLocal(rule.zone, day, 0), close: atLocal(rule.zone, day + 1, 0) };
    for (let d = day; d <= day + 1; d++) {
      const span = this.span(rule, d, !useRth);
      if (span !== null && time >= span.open && time < span.close) return span;
    }
    return null;
  }

  /** The session of a trading day; where nothing closes it goes from midnight to midnight. */
  sessionOf(rule: SessionRule, day: number, useRth: boolean): Session | null {
    const span =
      this.name === 'alwaysOpen'
        ? { open: atLocal(rule.zone, day, 0), close: atLocal(rule.zone, day + 1, 0) }
        : this.span(rule, day, !useRth);
    return span === null ? null : { ...span, day };
  }

  /** The sessions that open from `from` on and before `end`, ascending. */
  *sessionsBetween(rule: SessionRule, from: number, end: number, useRth: boolean): Generator<Session> {
    const last = localDay(rule.zone, end) + 1;
    for (let day = localDay(rule.zone, from); day <= last; day++) {
      const session = this.sessionOf(rule, day, useRth);
      if (session !== null && session.open >= from && session.open < end) yield session;
    }
  }

  /** The last `count` sessions that opened before `end`, ascending. */
  lastSessions(rule: SessionRule, end: number, useRth: boolean, count: number): Session[] {
    const found: Session[] = [];
    const first = localDay(rule.zone, end) + 1;
    const farthest = first - 2 * count - 15;
    for (let day = first; day > farthest && found.length < count; day--) {
      const session = this.sessionOf(rule, day, useRth);
      if (session !== null && session.open < end) found.push(session);
    }
    return found.reverse();
  }

  /** Start of the statistics of the day (open, high, low, volume) that contains `time`. */
  dayStart(rule: SessionRule, time: number): number {
    return atLocal(rule.zone, localDay(rule.zone, time), 0);
  }

  /** `20261123:0930-20261123:1600;20261128:CLOSED` for the coming days. */
  hoursText(rule: SessionRule, time: number, outsideRth: boolean, days: number): string {
    const first = localDay(rule.zone, time);
    const parts: string[] = [];
    for (let day = first; day < first + days; day++) {
      if (this.name === 'alwaysOpen') {
        parts.push(`${dayText(day)}:0000-${dayText(day)}:2359`);
        continue;
      }
      const [open, close] = outsideRth ? rule.extended : rule.regular;
      parts.push(
        this.span(rule, day, outsideRth) === null
          ? `${dayText(day)}:CLOSED`
          : `${edgeText(day, open)}-${edgeText(day, close)}`,
      );
    }
    return parts.join(';');
  }
}

function edgeText(day: number, minutes: number): string {
  const shifted = day + (minutes < 0 ? -1 : 0);
  const inDay = Math.min(minutes < 0 ? minutes + 1440 : minutes, 1439);
  const hours = String(Math.floor(inDay / 60)).padStart(2, '0');
  return `${dayText(shifted)}:${hours}${String(inDay % 60).padStart(2, '0')}`;
}
