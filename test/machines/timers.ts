/** A clock that fires in order, one instant at a time, and a way to let promises that are due settle. */
export function eventClock(start = 0) {
  let now = start;
  let next = 0;
  const timers = new Map<number, { readonly at: number; run(): void }>();
  return {
    now: (): number => now,
    setTimeout(run: () => void, ms: number): number {
      next += 1;
      timers.set(next, { at: now + ms, run });
      return next;
    },
    clearTimeout: (id: number): void => {
      timers.delete(id);
    },
    advance(ms: number): void {
      const end = now + ms;
      for (;;) {
        const due = [...timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
        if (!due) break;
        timers.delete(due[0]);
        now = due[1].at;
        due[1].run();
      }
      now = end;
    },
  };
}

/** Resolves when promises that are due, and what follows from them, have run. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
