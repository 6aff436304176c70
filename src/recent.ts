/** What happened lately, for people: durations, rates and the event loop over a window that moves with the clock. */
import { createHistogram, monitorEventLoopDelay, type RecordableHistogram } from 'node:perf_hooks';

/** The recent values of one duration, in ms; null where there were none. */
export interface LatencySummary {
  /** in the window */
  readonly count: number;
  /** since the start */
  readonly total: number;
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

/** One kind of duration. */
export interface Latency {
  record(ms: number): void;
  summary(): LatencySummary;
}

export interface EventLoopLag {
  readonly p99Ms: number;
  readonly maxMs: number;
  /** since the loop last came round */
  readonly lastTurnAgeMs: number;
  /** how long it stood still, told until it has turned in time for a second; 0 otherwise */
  readonly stallMs: number;
}

export interface Window {
  readonly now: () => number;
  readonly windowMs: number;
}

const lagResolutionMs = 10;
const rateSeconds = 10;
/** How often the event loop is seen to turn, what counts as standing still, and for how long that is told. */
const turnMs = 100;
const lateTurnMs = 1_000;
const stallMemoryMs = 1_000;

/** Two histograms in turn: the older one is dropped when the newer one has filled its window. */
export function recorder({ now, windowMs }: Window): Latency {
  let current = histogram();
  let previous = histogram();
  let turnsAt = now() + windowMs;
  let total = 0;
  const turn = (): void => {
    const at = now();
    if (at < turnsAt) return;
    if (at < turnsAt + windowMs) [previous, current] = [current, previous];
    else previous.reset();
    current.reset();
    turnsAt = at + windowMs;
  };
  return {
    record(ms) {
      turn();
      total++;
      current.record(Math.min(Math.max(1, Math.round(ms * unitsPerMs)), longest));
    },
    summary() {
      turn();
      both.reset();
      both.add(previous);
      both.add(current);
      if (both.count === 0) return { count: 0, total, p50: null, p90: null, p99: null, max: null };
      const at = (percentile: number): number => round(both.percentile(percentile) / unitsPerMs);
      return {
        count: both.count,
        total,
        p50: at(50),
        p90: at(90),
        p99: at(99),
        max: round(both.max / unitsPerMs),
      };
    },
  };
}

const unitsPerMs = 10_000;
const longest = 600_000 * unitsPerMs;
/** Two digits are enough for people and take 25 kB; three would take ten times as much. */
function histogram(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: longest, figures: 2 });
}

/** Of whoever asks; native memory that is made anew for each answer is given back late. */
const both = histogram();

/** Events per second over the last ten full seconds (fewer at the start). */
export function meter(now: () => number): { add(count: number): void; perSecond(): number } {
  const slots = new Array<number>(rateSeconds + 1).fill(0);
  const firstSecond = Math.floor(now() / 1_000);
  let newest = firstSecond;
  const advance = (): void => {
    const second = Math.floor(now() / 1_000);
    for (let cleared = 0; newest < second && cleared <= slots.length; cleared++) {
      newest++;
      slots[newest % slots.length] = 0;
    }
    newest = second;
  };
  return {
    add(count) {
      advance();
      const slot = newest % slots.length;
      slots[slot] = (slots[slot] ?? 0) + count;
    },
    perSecond() {
      advance();
      const full = Math.min(rateSeconds, newest - firstSecond);
      if (full === 0) return slots[newest % slots.length] ?? 0;
      let sum = 0;
      for (let back = 1; back <= full; back++) {
        sum += slots[(newest - back + slots.length * 2) % slots.length] ?? 0;
      }
      return round(sum / full);
    },
  };
}

export function watchEventLoop({ now, windowMs }: Window): {
  lag(): EventLoopLag;
  summary(): LatencySummary;
  close(): void;
} {
  // The monitor records whole intervals between its own timer's turns: what exceeds the interval is lag.
  const current = monitorEventLoopDelay({ resolution: lagResolutionMs });
  current.enable();
  let previous: LatencySummary = { count: 0, total: 0, p50: null, p90: null, p99: null, max: null };
  let turnsAt = now() + windowMs;
  let lastTurnAt = now();
  let stallMs = 0;
  let stallEndedAt = 0;
  const lagMs = (ns: number): number => round(Math.max(0, ns / 1_000_000 - lagResolutionMs));
  const measured = (): LatencySummary => {
    const { count } = current;
    if (count === 0) return { count, total: count, p50: null, p90: null, p99: null, max: null };
    const at = (percentile: number): number => lagMs(current.percentile(percentile));
    return { count, total: count, p50: at(50), p90: at(90), p99: at(99), max: lagMs(current.max) };
  };
  const timer = setInterval(() => {
    const at = now();
    if (at - lastTurnAt >= lateTurnMs) [stallMs, stallEndedAt] = [at - lastTurnAt, at];
    else if (at - stallEndedAt >= stallMemoryMs) stallMs = 0;
    lastTurnAt = at;
    if (lastTurnAt < turnsAt) return;
    previous = measured();
    current.reset();
    turnsAt = lastTurnAt + windowMs;
  }, turnMs);
  timer.unref();
  const summary = (): LatencySummary => {
    const fresh = measured();
    if (previous.count === 0) return fresh;
    if (fresh.count === 0) return previous;
    const worse = (a: number | null, b: number | null): number => Math.max(a ?? 0, b ?? 0);
    return {
      count: fresh.count + previous.count,
      total: fresh.count + previous.count,
      p50: fresh.p50,
      p90: worse(fresh.p90, previous.p90),
      p99: worse(fresh.p99, previous.p99),
      max: worse(fresh.max, previous.max),
    };
  };
  return {
    lag() {
      const { p99, max } = summary();
      const lastTurnAgeMs = round(Math.max(0, now() - lastTurnAt));
      return { p99Ms: p99 ?? 0, maxMs: max ?? 0, lastTurnAgeMs, stallMs: round(stallMs) };
    },
    summary,
    close() {
      clearInterval(timer);
      current.disable();
    },
  };
}

export function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
