/** The pulse of market data: what changed since the last one, serialised once for all readers. */
import type { Observable, SchedulerLike, Subscription } from 'rxjs';
import { interval, Subject } from 'rxjs';
import type { Beat, ChangedRow } from '../../machines/market.ts';
import type { Quotes } from './quotes.ts';
import type { LatencyFigures } from './window.ts';
import { LatencyWindow } from './window.ts';

const samples = 4096;

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

export class Pulse {
  /** Shared and hot. Nothing changed, nothing emitted. */
  readonly beat$: Observable<Beat>;
  private readonly beats = new Subject<Beat>();
  private readonly latency = new LatencyWindow(samples);
  private readonly options: PulseOptions;
  private readonly timer: Subscription;

  constructor(options: PulseOptions) {
    this.options = options;
    this.beat$ = this.beats.asObservable();
    this.timer = interval(options.beatMs, options.scheduler).subscribe(() => this.beat());
  }

  /** Time from a row's oldest unsent tick to the beat that sent it, in ms. */
  figures(): LatencyFigures {
    return this.latency.figures(this.options.now());
  }

  /** One beat, now. */
  beat(): void {
    const { quotes, now, afterBeat } = this.options;
    if (quotes.hasChanges) {
      if (this.beats.observed) this.beats.next(this.collect(now()));
      else quotes.drain((cell) => cell.settle());
    }
    afterBeat?.();
  }

  close(): void {
    this.timer.unsubscribe();
    this.beats.complete();
  }

  private collect(ts: number): Beat {
    const rows = new Map<string, ChangedRow>();
    this.options.quotes.drain((cell) => {
      const age = Math.max(0, ts - cell.oldestAt);
      this.latency.add(age, ts);
      this.options.onRowAge?.(age);
      const { key, merged } = cell;
      rows.set(key, { key, delta: cell.takeDelta(), merged });
    });
    return { ts, rows };
  }
}
