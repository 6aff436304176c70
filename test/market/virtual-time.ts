/** One discrete-event time for XState's clock, RxJS's scheduler and whoever asks what time it is. */
import type { SchedulerAction, SchedulerLike } from 'rxjs';
import { Subscription } from 'rxjs';

interface Due {
  readonly at: number;
  readonly run: () => void;
  isCancelled: boolean;
}

export class VirtualTime {
  /** ms since the start */
  elapsed = 0;
  private readonly start: number;
  private readonly agenda: Due[] = [];
  private readonly timers = new Map<number, Due>();
  private nextId = 1;

  /** `start`: ms since the epoch */
  constructor(start = Date.UTC(2026, 10, 18, 15, 0)) {
    this.start = start;
  }

  readonly now = (): number => this.start + this.elapsed;

  /** for the `clock` option of createActor */
  readonly clock = {
    setTimeout: (callback: () => void, delayMs: number): number => {
      const id = this.nextId;
      this.nextId += 1;
      const due = this.plan(delayMs, () => {
        this.timers.delete(id);
        callback();
      });
      this.timers.set(id, due);
      return id;
    },
    clearTimeout: (id: number): void => {
      const due = this.timers.get(id);
      if (due) due.isCancelled = true;
      this.timers.delete(id);
    },
  };

  readonly scheduler: SchedulerLike = {
    now: this.now,
    schedule: <T>(
      work: (this: SchedulerAction<T>, state?: T) => void,
      delay = 0,
      state?: T,
    ): Subscription => {
      const plan = (ms: number, run: () => void) => this.plan(ms, run);
      class Action extends Subscription {
        schedule(next?: T, delayMs = 0): Subscription {
          const due = plan(delayMs, () => {
            if (!this.closed) work.call(this, next);
          });
          this.pending = due;
          return this;
        }
        private pending: Due | null = null;
        override unsubscribe(): void {
          if (this.pending) this.pending.isCancelled = true;
          super.unsubscribe();
        }
      }
      return new Action().schedule(state, delay);
    },
  };

  /** Everything that is due within so many ms happens, each at its own time, in the order in which it was planned. */
  advance(ms: number): void {
    const end = this.elapsed + ms;
    for (let due = this.agenda[0]; due && due.at <= end; due = this.agenda[0]) {
      this.agenda.shift();
      this.elapsed = due.at;
      if (!due.isCancelled) due.run();
    }
    this.elapsed = end;
  }

  /** The same in steps, with a chance for promises between them. */
  async pass(ms: number, stepMs = 50): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.advance(Math.min(stepMs, ms - passed));
      for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
    }
  }

  private plan(delayMs: number, run: () => void): Due {
    const due = { at: this.elapsed + Math.max(0, delayMs), run, isCancelled: false };
    let low = 0;
    let high = this.agenda.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.agenda[middle]?.at ?? 0) <= due.at) low = middle + 1;
      else high = middle;
    }
    this.agenda.splice(low, 0, due);
    return due;
  }
}
