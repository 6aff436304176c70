/** Traded volume as a pure function of time: a day's total, spread over quarter hours and minutes with hashed weights. */
import type { Calendar } from './calendar.ts';
import type { Instrument } from './instruments.ts';
import { normal, uniform } from './random.ts';
import { dayMs } from './zones.ts';

const blockMs = 900_000;
const blocks = 100;
const purpose = { day: 20, block: 21, minute: 22 } as const;

interface Cached {
  dayStart: number;
  total: number;
  prefix: Float64Array;
  block: number;
  minutePrefix: Float64Array;
}

export class VolumeCurve {
  private readonly seed: number;
  private readonly calendar: Calendar;
  private readonly instrument: Instrument;
  private readonly unit: number;
  private cached: Cached | null = null;
  private today = { start: 0, end: 0 };

  constructor(seed: number, calendar: Calendar, instrument: Instrument) {
    this.seed = seed;
    this.calendar = calendar;
    this.instrument = instrument;
    this.unit = instrument.sizeIncrement >= 1 ? 1 : 0.0001;
  }

  /** Volume since the start of the day that contains `time`. */
  at(time: number): number {
    return this.since(this.dayAt(time).start, time);
  }

  private dayAt(time: number): { readonly start: number; readonly end: number } {
    if (time < this.today.start || time >= this.today.end) {
      const start = this.calendar.dayStart(this.instrument.session, time);
      const end = this.calendar.dayStart(this.instrument.session, start + dayMs + 2 * 3_600_000);
      this.today = { start, end };
    }
    return this.today;
  }

  /** Volume in [from, to). */
  between(from: number, to: number): number {
    let sum = 0;
    let cursor = from;
    while (cursor < to) {
      const { start, end } = this.dayAt(cursor);
      const until = Math.min(to, end);
      sum += this.since(start, until) - this.since(start, cursor);
      cursor = until;
    }
    return Math.round(sum / this.unit) * this.unit;
  }

  private since(dayStart: number, time: number): number {
    const day = this.day(dayStart);
    const position = Math.min(time - dayStart, blocks * blockMs - 1);
    const block = Math.floor(position / blockMs);
    if (day.block !== block) this.fillMinutes(day, block);
    const inBlock = (position - block * blockMs) / 60_000;
    const minute = Math.min(14, Math.floor(inBlock));
    const left = day.minutePrefix[minute] ?? 0;
    const right = day.minutePrefix[minute + 1] ?? 1;
    const share = left + (right - left) * (inBlock - minute);
    const low = day.prefix[block] ?? 0;
    const high = day.prefix[block + 1] ?? 1;
    return Math.floor((day.total * (low + (high - low) * share)) / this.unit) * this.unit;
  }

  private day(dayStart: number): Cached {
    if (this.cached?.dayStart === dayStart) return this.cached;
    const { seed, instrument, calendar } = this;
    const { conId } = instrument.contract;
    const prefix = new Float64Array(blocks + 1);
    let sum = 0;
    for (let block = 0; block < blocks; block++) {
      const phase = calendar.phaseAt(instrument.session, dayStart + block * blockMs + blockMs / 2);
      const activity = phase === 'regular' ? 1 : phase === 'extended' ? 0.05 : 0;
      sum += activity * (0.4 + 1.2 * uniform(seed, conId, dayStart + block, purpose.block));
      prefix[block + 1] = sum;
    }
    if (sum > 0) for (let block = 0; block <= blocks; block++) prefix[block] = (prefix[block] ?? 0) / sum;
    const total =
      sum === 0 ? 0 : instrument.dailyVolume * Math.exp(0.25 * normal(seed, conId, dayStart, purpose.day));
    this.cached = { dayStart, total, prefix, block: -1, minutePrefix: new Float64Array(16) };
    return this.cached;
  }

  private fillMinutes(day: Cached, block: number): void {
    let sum = 0;
    day.minutePrefix[0] = 0;
    for (let minute = 0; minute < 15; minute++) {
      const key = day.dayStart + block * 16 + minute;
      sum += 0.3 + 1.4 * uniform(this.seed, this.instrument.contract.conId, key, purpose.minute);
      day.minutePrefix[minute + 1] = sum;
    }
    for (let minute = 1; minute <= 15; minute++)
      day.minutePrefix[minute] = (day.minutePrefix[minute] ?? 0) / sum;
    day.block = block;
  }
}
