/** Loaded into the program by `node --import`: at SIGALRM its event loop stands still for `STALL_MS`, as under a job that never yields. */
import { writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  process.on('SIGALRM', () => {
    writeSync(1, 'standing still\n');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(process.env.STALL_MS));
  });
}
