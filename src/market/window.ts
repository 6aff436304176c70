/** Figures over the last minute, kept in fixed memory. */

/** Latencies in ms. Null while nothing was measured. */
export interface LatencyFigures {
  readonly count: number;
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

const windowMs = 60_000;

/** The newest samples of the last minute, at most `capacity` of them. */
export class LatencyWindow {
  private readonly samples: Float64Array;
  private readonly times: Float64Array;
  private next = 0;
  private size = 0;

  constructor(capacity: number) {
    this.samples = new Float64Array(capacity);
    this.times = new Float64Array(capacity);
  }

  add(latencyMs: number, at: number): void {
    this.samples[this.next] = latencyMs;
    this.times[this.next] = at;
    this.next = (this.next + 1) % this.samples.length;
    if (this.size < this.samples.length) this.size += 1;
  }

  figures(now: number): LatencyFigures {
    const recent = this.samples
      .subarray(0, this.size)
      .filter((_, index) => now - (this.times[index] ?? 0) <= windowMs)
      .sort();
    const at = (share: number): number | null =>
      recent[Math.min(recent.length - 1, Math.floor(recent.length * share))] ?? null;
    return { count: recent.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: recent.at(-1) ?? null };
  }
}

/** How fast a total grew lately, per second. */
export class RateWindow {
  private readonly marks: { readonly at: number; readonly total: number }[] = [];
  private readonly spanMs: number;

  constructor(spanMs: number) {
    this.spanMs = spanMs;
  }

  /** Called about once a second. */
  mark(total: number, at: number): void {
    this.marks.push({ at, total });
    while (this.marks.length > 2 && at - (this.marks[1]?.at ?? at) >= this.spanMs) this.marks.shift();
  }

  perSecond(): number {
    const first = this.marks[0];
    const last = this.marks.at(-1);
    if (!first || !last || last.at <= first.at) return 0;
    return ((last.total - first.total) * 1000) / (last.at - first.at);
  }
}
