import type { Clock, TimerHandle } from './model.ts';

/** The machine's own time. */
export const realClock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
};

interface VirtualTimer {
  readonly at: number;
  readonly sequence: number;
  readonly callback: () => void;
}

const isSooner = (left: VirtualTimer, right: VirtualTimer): boolean =>
  left.at < right.at || (left.at === right.at && left.sequence < right.sequence);

/** Time that stands still until `advance`: each timer fires alone, at its own time, in order of time and then of creation. */
export class VirtualClock implements Clock {
  #now: number;
  #sequence = 0;
  readonly #heap: VirtualTimer[] = [];
  readonly #cancelled = new WeakSet<VirtualTimer>();
  #advancing = false;

  /** @param startMs the first time shown, ms since the epoch */
  constructor(startMs = Date.UTC(2026, 0, 5, 14, 30)) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, delayMs: number): TimerHandle {
    this.#sequence += 1;
    const timer = { at: this.#now + Math.max(0, delayMs), sequence: this.#sequence, callback };
    this.#push(timer);
    return timer;
  }

  clearTimeout(handle: TimerHandle): void {
    this.#cancelled.add(handle as VirtualTimer);
  }

  /** Moves time forward by `ms`, firing on the way what falls due, timers set meanwhile included. */
  advance(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`advance(ms): ms must not be negative, got ${ms}`);
    if (this.#advancing) throw new Error('advance() was called from a timer that advance() fired');
    const end = this.#now + ms;
    this.#advancing = true;
    try {
      for (let next = this.#heap[0]; next !== undefined && next.at <= end; next = this.#heap[0]) {
        this.#pop();
        if (this.#cancelled.has(next)) continue;
        this.#now = next.at;
        next.callback();
      }
      this.#now = end;
    } finally {
      this.#advancing = false;
    }
  }

  #push(timer: VirtualTimer): void {
    const heap = this.#heap;
    let index = heap.push(timer) - 1;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex];
      if (parent === undefined || !isSooner(timer, parent)) break;
      heap[index] = parent;
      heap[parentIndex] = timer;
      index = parentIndex;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    heap[0] = last;
    for (;;) {
      let childIndex = 2 * index + 1;
      let child = heap[childIndex];
      if (child === undefined) return;
      const right = heap[childIndex + 1];
      if (right !== undefined && isSooner(right, child)) {
        childIndex += 1;
        child = right;
      }
      if (!isSooner(child, last)) return;
      heap[index] = child;
      heap[childIndex] = last;
      index = childIndex;
    }
  }
}
