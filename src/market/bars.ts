/**
 * A series of bars that goes on: a backfill first, then the bar that forms. Each bar is there once, in the order of time. A bar is
 * closed when the next one has begun, or when nothing came for some time after its own end; one that differs afterwards says so.
 */
import { type StreamedBarSize, streamedBars } from '../../machines/feed.ts';
import type { Bar } from '../../machines/market.ts';
import { type Fields, LiveCell } from './cell.ts';

/** More than one request for any size brings. */
const barsKept = 2_000;
/** Bars that a reader begins with. */
const barsShown = 300;
/** The last figures of a bar come a little after its end. */
const lateMs = 10_000;
/** What one look counts for at most: when the looks themselves came late, what was told meanwhile may still wait to be read. */
const lookMs = 2_000;

interface KeptBar {
  bar: Bar;
  readonly startsAt: number;
  isClosed: boolean;
  isCorrected: boolean;
  changedAt: number;
}

const isEqual = (a: Bar, b: Bar): boolean =>
  a.open === b.open &&
  a.high === b.high &&
  a.low === b.low &&
  a.close === b.close &&
  a.volume === b.volume &&
  a.wap === b.wap &&
  a.count === b.count;

export class BarsCell extends LiveCell {
  private readonly lengthMs: number;
  /** ascending; all but the last one are closed */
  private kept: KeptBar[] = [];
  /** start of the last closed bar before a hole that no request reached across, and when it was found */
  private gap: { readonly after: string; readonly changedAt: number } | null = null;
  private isDoubtful = false;
  private lookedAt = 0;
  /** for how long the last bar has been seen to be over */
  private overMs = 0;

  constructor(key: string, barSize: StreamedBarSize) {
    super(key);
    this.lengthMs = streamedBars[barSize].seconds * 1_000;
  }

  /** The backfill that comes joins what is known. */
  override opened(): void {}

  override trust(trusted: boolean, at: number): void {
    if (!trusted) {
      this.isDoubtful = this.kept.length > 0;
      this.overMs = 0;
    }
    super.trust(trusted, at);
  }

  /** False: bars between may be missing, and only a backfill can tell. */
  update(bar: Bar, at: number): boolean {
    const last = this.kept.at(-1);
    const startsAt = Date.parse(bar.time);
    if (this.isDoubtful && last && startsAt > last.startsAt) return false;
    this.take(at);
    if (!Number.isNaN(startsAt)) this.put(bar, startsAt);
    if (last && startsAt === last.startsAt) this.isDoubtful = false;
    return true;
  }

  backfilled(bars: readonly Bar[], at: number): void {
    this.take(at);
    const first = Date.parse(bars[0]?.time ?? '');
    const last = this.kept.at(-1);
    if (last && first > last.startsAt) this.breakOff(first);
    for (const bar of bars) {
      const startsAt = Date.parse(bar.time);
      if (!Number.isNaN(startsAt)) this.put(bar, startsAt);
    }
    this.isDoubtful = false;
  }

  /** Closes a bar that is over although no other has begun. Called about once a second. */
  settle(now: number): void {
    const passedMs = now - this.lookedAt;
    this.lookedAt = now;
    const last = this.kept.at(-1);
    if (!last || last.isClosed || this.status === 'stale') return;
    const sinceEndMs = Math.max(0, now - last.startsAt - this.lengthMs);
    this.overMs += Math.min(passedMs, sinceEndMs, lookMs);
    if (this.overMs >= lateMs) this.close(last);
  }

  protected override whole(): string {
    return this.textOf(this.kept.slice(-barsShown));
  }

  protected override changedSince(changes: number): Fields {
    if (changes === 0) return { text: this.whole() };
    const bars = this.textOf(this.kept.filter(({ changedAt }) => changedAt > changes));
    if (this.gap === null || this.gap.changedAt <= changes) return { text: bars };
    return { text: `${bars},"gapAfter":${JSON.stringify(this.gap.after)}` };
  }

  private textOf(kept: readonly KeptBar[]): string {
    const bars = kept.map(({ bar, isClosed, isCorrected }) => ({
      ...bar,
      ...(isClosed ? {} : { partial: true }),
      ...(isCorrected ? { corrected: true } : {}),
    }));
    return `,"bars":${JSON.stringify(bars)}`;
  }

  /** What is known ends before the backfill begins: unless both meet, there is a hole, and the series begins anew. */
  private breakOff(first: number): void {
    const last = this.kept.at(-1);
    if (last?.isClosed && last.startsAt + this.lengthMs === first) return;
    const after = this.kept.findLast(({ isClosed }) => isClosed)?.bar.time;
    this.kept = [];
    this.changes += 1;
    if (after !== undefined) this.gap = { after, changedAt: this.changes };
  }

  private put(bar: Bar, startsAt: number): void {
    const { kept } = this;
    let place = kept.length;
    while (place > 0 && (kept[place - 1]?.startsAt ?? 0) >= startsAt) place -= 1;
    const known = kept[place];
    if (known?.startsAt === startsAt) {
      if (isEqual(known.bar, bar)) return;
      known.bar = bar;
      known.isCorrected ||= known.isClosed;
      this.touch(known);
      return;
    }
    // Older than anything that is kept: nobody has it, and nobody misses it.
    if (place === 0 && kept.length >= barsKept) return;
    const before = kept[place - 1];
    if (before && !before.isClosed) this.close(before);
    const added = { bar, startsAt, isClosed: place < kept.length, isCorrected: false, changedAt: 0 };
    kept.splice(place, 0, added);
    this.overMs = 0;
    this.touch(added);
    if (kept.length > barsKept) kept.splice(0, kept.length - barsKept);
  }

  private close(kept: KeptBar): void {
    kept.isClosed = true;
    this.touch(kept);
  }

  private touch(kept: KeptBar): void {
    this.changes += 1;
    kept.changedAt = this.changes;
  }
}
