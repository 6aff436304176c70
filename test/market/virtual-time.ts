/** One discrete-event time for XState's clock, RxJS's scheduler and whoever asks what time it is. */

import type { Subscription } from 'rxjs';
import { VirtualTimeScheduler } from 'rxjs';

export class VirtualTime {
  readonly scheduler = new VirtualTimeScheduler();
  private readonly start: number;
  private readonly timers = new Map<number, Subscription>();
  private nextId = 1;

  /** `start`: ms since the epoch */
  constructor(start = Date.UTC(2026, 10, 18, 15, 0)) {
    this.start = start;
  }

  readonly now = (): number => this.start + this.scheduler.frame;

  /** for the `clock` option of createActor */
  readonly clock = {
    setTimeout: (callback: () => void, delayMs: number): number => {
      const id = this.nextId;
      this.nextId += 1;
      this.timers.set(
        id,
        this.scheduler.schedule(() => {
          this.timers.delete(id);
          callback();
        }, delayMs),
      );
      return id;
    },
    clearTimeout: (id: number): void => {
      this.timers.get(id)?.unsubscribe();
      this.timers.delete(id);
    },
  };

  /** Everything that is due within so many ms happens, each at its own time. */
  advance(ms: number): void {
    const end = this.scheduler.frame + ms;
    this.scheduler.maxFrames = end;
    this.scheduler.flush();
    this.scheduler.frame = end;
  }

  /** The same, with a chance for promises between the steps. */
  async pass(ms: number, stepMs = 50): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.advance(Math.min(stepMs, ms - passed));
      await Promise.resolve();
      await Promise.resolve();
      await Promise.resolve();
    }
  }
}
