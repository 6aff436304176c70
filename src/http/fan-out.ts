/**
 * Work for many clients, in slices of the event loop. One slice runs per turn whoever has work, so that an order that arrives
 * meanwhile waits for one slice and never for a beat; those who have work take turns.
 */

/** Some hundred frames. */
const sliceMs = 1;

// Of the process, like the event loop that they share out.
const waiting: (() => void)[] = [];
let isScheduled = false;
let sliceEndsAt = 0;

/** Resolves at the beginning of a slice of one's own. */
export function nextSlice(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(beginSlice);
  });
}

function beginSlice(): void {
  const begin = waiting.shift();
  isScheduled = begin !== undefined;
  if (!begin) return;
  sliceEndsAt = performance.now() + sliceMs;
  begin();
  setImmediate(beginSlice);
}

/** Does `work` for each item in order, beginning after what the event loop has read already. `items` may change meanwhile. */
export async function inTurns<T>(items: Iterable<T>, work: (item: T) => void): Promise<void> {
  await nextSlice();
  for (const item of items) {
    if (performance.now() >= sliceEndsAt) await nextSlice();
    work(item);
  }
}
