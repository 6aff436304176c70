/** Spreads tasks over threads. */
import { Worker } from 'node:worker_threads';
import { playTask, type Task, type TaskResult } from './players.ts';

/** Most of what a run makes is garbage at once: a small nursery is swept too often. */
const nurseryMb = 64;

/** Plays every task, in this thread when `workers` is 1; each thread takes the next one when it has done one. */
export async function playAll(
  tasks: Iterable<Task>,
  workers: number,
  take: (result: TaskResult) => void,
): Promise<void> {
  if (workers <= 1) {
    for (const task of tasks) take(playTask(task));
    return;
  }
  const pending = tasks[Symbol.iterator]();
  const threads = Array.from(
    { length: workers },
    () =>
      new Worker(new URL('worker.ts', import.meta.url), {
        resourceLimits: { maxYoungGenerationSizeMb: nurseryMb },
      }),
  );
  await Promise.all(threads.map((thread) => keepBusy(thread, pending, take)));
}

function keepBusy(
  thread: Worker,
  pending: Iterator<Task>,
  take: (result: TaskResult) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const next = (): void => {
      const { value, done } = pending.next();
      if (done === true) void thread.terminate().then(() => resolve());
      else thread.postMessage(value);
    };
    thread.on('message', (result: TaskResult) => {
      take(result);
      next();
    });
    thread.on('error', reject);
    next();
  });
}
