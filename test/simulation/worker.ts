/** A thread that plays the tasks that it is given. */
import { parentPort } from 'node:worker_threads';
import { playTask, type Task } from './players.ts';

parentPort?.on('message', (task: Task) => {
  parentPort?.postMessage(playTask(task));
});
