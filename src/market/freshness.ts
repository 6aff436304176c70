/**
 * Measures the silence of every feed against its own rhythm. A feed is silent when it paused for longer than it ever does
 * although its market trades; a farm that is reported well proves nothing, and neither does a heartbeat.
 */
import type { Contract } from '../../machines/instrument.ts';

/** How many of its usual gaps a feed may miss. */
const patience = 20;
const longestExpectedMs = 600_000;
const smoothing = 0.2;

/** What a line fills, as far as its rhythm goes. */
export interface Ticking {
  /** when the newest tick was read, ms; 0 before the first */
  readonly tickedAt: number;
  /** ticks ever taken */
  readonly total: number;
  /** nothing is expected to move */
  readonly isStill: boolean;
}

/** One open line under watch. */
export interface Feed {
  readonly cell: Ticking;
  /** how many times longer than a quote it may pause before that can count as silence */
  readonly calm: number;
  readonly contract: Contract;
  /** the first tick came, or somebody asked for a check: silence counts */
  isArmed: boolean;
  /** silence counts from here at the earliest, ms */
  since: number;
  /** called once per silence */
  readonly onSilence: () => void;
  /** called with every check, ms */
  readonly look: (now: number) => void;
}

/** What a feed's ticks taught about its rhythm; outlives the line. */
interface Rhythm {
  seenTickedAt: number;
  seenTicks: number;
  gapMs: number;
}

export interface FreshnessOptions {
  /** the shortest pause that can count as silence */
  readonly staleAfterMs: number;
  /**
   * Whether the market was closed at the beginning or at the end of a silence (ms): then it is no news. Null: not known yet, ask
   * again at the next check.
   */
  readonly wasClosed: (
    contract: Contract,
    lastTickAt: number,
    silentSince: number,
    now: number,
  ) => boolean | null;
}

export class Freshness {
  private readonly feeds = new Set<Feed>();
  private readonly rhythms = new WeakMap<Ticking, Rhythm>();
  private readonly options: FreshnessOptions;

  constructor(options: FreshnessOptions) {
    this.options = options;
  }

  get size(): number {
    return this.feeds.size;
  }

  add(feed: Feed): void {
    this.feeds.add(feed);
  }

  remove(feed: Feed): void {
    this.feeds.delete(feed);
  }

  /** Called about once a second, or more often for a short `staleAfterMs`. */
  check(now: number): void {
    for (const feed of this.feeds) {
      feed.look(now);
      const expectedMs = this.learn(feed.cell, this.options.staleAfterMs * feed.calm);
      if (!feed.isArmed || feed.cell.isStill) continue;
      const last = Math.max(feed.cell.tickedAt, feed.since);
      if (now - last <= expectedMs) continue;
      const wasClosed = this.options.wasClosed(feed.contract, feed.cell.tickedAt || last, last, now);
      // Silence counts anew from the next opening.
      if (wasClosed === true) feed.since = now;
      if (wasClosed !== false) continue;
      feed.isArmed = false;
      feed.onSilence();
    }
  }

  /** The pause that this feed may make, after a look at its newest ticks. */
  private learn(cell: Ticking, leastMs: number): number {
    let rhythm = this.rhythms.get(cell);
    if (rhythm === undefined) {
      rhythm = { seenTickedAt: cell.tickedAt, seenTicks: cell.total, gapMs: 0 };
      this.rhythms.set(cell, rhythm);
    } else if (cell.total > rhythm.seenTicks) {
      if (rhythm.seenTickedAt > 0) {
        const gapMs = (cell.tickedAt - rhythm.seenTickedAt) / (cell.total - rhythm.seenTicks);
        rhythm.gapMs = rhythm.gapMs === 0 ? gapMs : rhythm.gapMs + smoothing * (gapMs - rhythm.gapMs);
      }
      rhythm.seenTickedAt = cell.tickedAt;
      rhythm.seenTicks = cell.total;
    }
    return Math.min(longestExpectedMs, Math.max(leastMs, patience * rhythm.gapMs));
  }
}
