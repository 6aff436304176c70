/** The pulse of market data: what changed since the last one, serialised once for all readers of a group. */
import type { Subscription } from 'rxjs';
import { asyncScheduler, Observable, type SchedulerAction, type SchedulerLike, Subject } from 'rxjs';
import type { Beat, ChangedRow } from '../../machines/market.ts';
import type { QuoteCell, Quotes } from './quotes.ts';
import type { LatencyFigures } from './window.ts';
import { LatencyWindow } from './window.ts';

const samples = 4096;
/**
 * Into so many parts a beat is divided at most, none shorter than this. With more of them a thousand clients would be served all
 * the time, and an order would find no moment of rest.
 */
const groupsMax = 2;
const partMs = 5;

export interface PulseOptions {
  readonly quotes: Quotes;
  readonly beatMs: number;
  /** ms since the epoch */
  readonly now: () => number;
  /** the source of the beat; RxJS's own timer when absent */
  readonly scheduler?: SchedulerLike;
  /** called at every beat, also an empty one, after the rows went out */
  readonly afterBeat?: () => void;
  /** called for each row that goes out, with the age of its oldest unsent tick in ms */
  readonly onRowAge?: (ms: number) => void;
}

/** Readers who are served at the same moment of each beat. */
interface Group {
  readonly index: number;
  readonly beats: Subject<Beat>;
  /** cells with changes that it has not got */
  owed: QuoteCell[];
}

export class Pulse {
  /** Shared and hot. Nothing changed, nothing emitted. */
  readonly beat$: Observable<Beat>;
  /**
   * The same for groups of readers, the first of which is `beat$`: each hears of everything once per beat, one after the
   * other, so that frames for a thousand clients do not all begin at one moment.
   */
  readonly beats: readonly [Observable<Beat>, ...Observable<Beat>[]];
  private readonly groups: readonly Group[];
  private readonly latency = new LatencyWindow(samples);
  private readonly options: PulseOptions;
  private readonly timer: Subscription;

  constructor(options: PulseOptions) {
    this.options = options;
    const { beatMs, scheduler = asyncScheduler } = options;
    const count = partsOf(beatMs);
    this.groups = Array.from({ length: count }, (_, index) => ({
      index,
      beats: new Subject<Beat>(),
      owed: [],
    }));
    const [first, ...others] = this.groups.map((group) => this.hearing(group));
    if (!first) throw new Error('a beat has a part');
    this.beat$ = first;
    this.beats = [first, ...others];
    const stepMs = beatMs / count;
    let due = scheduler.now() + stepMs;
    let parts = 0;
    const pulse = this;
    this.timer = scheduler.schedule(function (this: SchedulerAction<void>) {
      parts += 1;
      pulse.beat(parts % count);
      // Timers are late, each a little: the beat is not. A clock that leaps moves it by no more than a part.
      const now = scheduler.now();
      due = due + stepMs > now && due <= now ? due + stepMs : now + stepMs;
      this.schedule(undefined, due - now);
    }, stepMs);
  }

  /** Time from a row's oldest unsent tick to the beat that sent it, in ms. */
  figures(): LatencyFigures {
    return this.latency.figures(this.options.now());
  }

  /** The beat of one group, now. */
  beat(index = 0): void {
    this.shareOut();
    const group = this.groups[index];
    if (group && group.owed.length > 0) this.serve(group, this.options.now());
    if (index === 0) this.options.afterBeat?.();
  }

  close(): void {
    this.timer.unsubscribe();
    for (const { beats } of this.groups) beats.complete();
  }

  private hearing(group: Group): Observable<Beat> {
    return new Observable((reader) => {
      const subscription = group.beats.subscribe(reader);
      return () => {
        subscription.unsubscribe();
        if (group.beats.observed) return;
        for (const cell of group.owed) cell.forgive(group.index);
        group.owed = [];
      };
    });
  }

  /** What changed is owed to every group that has readers. */
  private shareOut(): void {
    const { quotes } = this.options;
    if (!quotes.hasChanges) return;
    quotes.drain((cell) => {
      for (const { index, beats, owed } of this.groups) {
        if (beats.observed && cell.owe(index)) owed.push(cell);
      }
      cell.settle();
    });
  }

  private serve(group: Group, ts: number): void {
    const rows = new Map<string, ChangedRow>();
    let oldestAt = ts;
    const isMeasured = this.groups.find(({ beats }) => beats.observed) === group;
    for (const cell of group.owed) {
      const { delta, merged, oldestAt: tickedAt } = cell.take(group.index);
      if (this.options.quotes.find(cell.key) !== cell) continue;
      oldestAt = Math.min(oldestAt, tickedAt);
      if (isMeasured) this.measure(ts - tickedAt, ts);
      rows.set(cell.key, { key: cell.key, delta, merged });
    }
    group.owed = [];
    if (rows.size > 0) group.beats.next({ ts, oldestAt, rows });
  }

  /** Of one group: every tick is in a beat of each. */
  private measure(ageMs: number, at: number): void {
    const age = Math.max(0, ageMs);
    this.latency.add(age, at);
    this.options.onRowAge?.(age);
  }
}

/** The most parts of equal whole milliseconds. */
function partsOf(beatMs: number): number {
  let parts = groupsMax;
  while (parts > 1 && (beatMs % parts !== 0 || beatMs / parts < partMs)) parts -= 1;
  return parts;
}
