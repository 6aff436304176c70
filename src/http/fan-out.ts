/**
 * Work for many clients, in slices of the event loop. One slice runs per turn whoever has work, so that an order that arrives
 * meanwhile waits for one slice and never for a beat; those who have work take turns.
 */

/** Of this thread's own time: some hundred frames. */
const sliceMs = 1;
/** By the wall, when the machine gives the time to others. */
const longestSliceMs = 2;

// Of the process, like the event loop that they share out.
const waiting: (() => void)[] = [];
let isScheduled = false;
let looksAt = 0;
let endsByWall = 0;
let endsByCpuUs = 0;

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
  const now = performance.now();
  looksAt = now + sliceMs;
  endsByWall = now + longestSliceMs;
  endsByCpuUs = ownCpuUs() + sliceMs * 1_000;
  begin();
  setImmediate(beginSlice);
}

function ownCpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/** On a busy machine most of a slice may pass without us: then it goes on for what is left of it. */
function isOver(): boolean {
  const now = performance.now();
  if (now < looksAt) return false;
  if (now >= endsByWall) return true;
  const leftUs = endsByCpuUs - ownCpuUs();
  looksAt = now + leftUs / 1_000;
  return leftUs <= 0;
}

/** Does `work` for each item in order, beginning after what the event loop has read already. `items` may change meanwhile. */
export async function inTurns<T>(items: Iterable<T>, work: (item: T) => void): Promise<void> {
  await nextSlice();
  for (const item of items) {
    if (isOver()) await nextSlice();
    work(item);
  }
}
