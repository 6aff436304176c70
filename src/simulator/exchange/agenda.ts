/** Everything that the exchange will do later, in one order, behind one timer of the clock. */
import type { Clock, TimerHandle } from '../model.ts';

export interface Appointment {
  readonly due: number;
  readonly sequence: number;
  run: (() => void) | null;
}

/** Node's timers overflow beyond 2^31 ms; a long wait is cut into days. */
const longestWaitMs = 86_400_000;

export class Agenda {
  private readonly clock: Clock;
  private readonly around: (run: () => void) => void;
  private readonly heap: Appointment[] = [];
  private sequence = 0;
  private cancelled = 0;
  private timer: TimerHandle | null = null;
  private timerDue = Number.POSITIVE_INFINITY;
  private isClosed = false;
  private isRunning = false;

  /** `around` runs each appointment, if something must be done before or after it. */
  constructor(clock: Clock, around: (run: () => void) => void = (run) => run()) {
    this.clock = clock;
    this.around = around;
  }

  /** Runs at `due` (ms since the epoch) or as soon after as the clock allows; equal times run in the order of the calls. */
  at(due: number, run: () => void): Appointment {
    this.sequence += 1;
    const appointment: Appointment = { due, sequence: this.sequence, run };
    if (this.isClosed) return appointment;
    this.push(appointment);
    if (due < this.timerDue && !this.isRunning) this.arm();
    return appointment;
  }

  cancel(appointment: Appointment | null): void {
    if (appointment === null || appointment.run === null) return;
    appointment.run = null;
    this.cancelled += 1;
    if (this.cancelled > 1000 && this.cancelled * 2 > this.heap.length) this.sweep();
  }

  /** Forgets what was cancelled; far-off appointments would else be kept until they are due. */
  private sweep(): void {
    const kept = this.heap.filter(({ run }) => run !== null);
    this.heap.length = 0;
    for (const appointment of kept) this.push(appointment);
    this.cancelled = 0;
  }

  close(): void {
    this.isClosed = true;
    this.heap.length = 0;
    if (this.timer !== null) this.clock.clearTimeout(this.timer);
    this.timer = null;
  }

  private arm(): void {
    if (this.timer !== null) this.clock.clearTimeout(this.timer);
    this.timer = null;
    this.timerDue = Number.POSITIVE_INFINITY;
    const first = this.heap[0];
    if (first === undefined || this.isClosed) return;
    this.timerDue = first.due;
    const wait = Math.min(longestWaitMs, Math.max(0, first.due - this.clock.now()));
    this.timer = this.clock.setTimeout(() => {
      this.timer = null;
      this.timerDue = Number.POSITIVE_INFINITY;
      this.runDue();
    }, wait);
  }

  private runDue(): void {
    const now = this.clock.now();
    this.isRunning = true;
    try {
      for (let first = this.heap[0]; first !== undefined && first.due <= now; first = this.heap[0]) {
        this.pop();
        const { run } = first;
        if (run === null) this.cancelled -= 1;
        first.run = null;
        if (run !== null) this.around(run);
      }
    } finally {
      this.isRunning = false;
      this.arm();
    }
  }

  private push(appointment: Appointment): void {
    const { heap } = this;
    let index = heap.push(appointment) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBefore(appointment, parent)) break;
      heap[index] = parent;
      heap[above] = appointment;
      index = above;
    }
  }

  private pop(): void {
    const { heap } = this;
    const moved = heap.pop();
    if (moved === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let least = 2 * index + 1;
      const right = heap[least + 1];
      let child = heap[least];
      if (child === undefined) break;
      if (right !== undefined && isBefore(right, child)) {
        child = right;
        least += 1;
      }
      if (!isBefore(child, moved)) break;
      heap[index] = child;
      index = least;
    }
    heap[index] = moved;
  }
}

function isBefore(left: Appointment, right: Appointment): boolean {
  return left.due < right.due || (left.due === right.due && left.sequence < right.sequence);
}
