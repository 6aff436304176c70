/** Sends to many without keeping the event loop: an order that arrives meanwhile is served between two chunks. */
import { setImmediate } from 'node:timers/promises';

/** Some 10 us per frame: a chunk holds the loop for well under a millisecond. */
const chunk = 25;

/** Does `work` for each item in order; synchronously as long as they are few. */
export async function inTurns<T>(items: Iterable<T>, work: (item: T) => void): Promise<void> {
  let done = 0;
  for (const item of items) {
    work(item);
    done += 1;
    if (done % chunk === 0) await setImmediate();
  }
}
