/** The runtime under load, in a process of its own whose clock can be moved and whose heap can be weighed. */
import pino from 'pino';
import { steadyClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config.ts';
import { createProgram } from '../../src/program.ts';
import { serve } from '../bench/children.ts';

declare const gc: () => void;

let aheadMs = 0;
const config = loadConfig({ cwd: process.cwd(), env: process.env });
const program = createProgram({
  config,
  endpoint: config.tws,
  log: pino({ level: config.logLevel }),
  now: steadyClock(() => Date.now() + aheadMs),
});

export interface Weight {
  /** after a collection */
  readonly heapBytes: number;
  readonly rssBytes: number;
  readonly actors: number;
}

serve({
  start: () => program.start(),
  stop: () => program.stop(),
  /** The wall clock jumps ahead, as after a night's sleep. */
  moveAhead: (ms: number) => {
    aheadMs += ms;
  },
  weigh: (): Weight => {
    // The second one takes what the first has set free.
    gc();
    gc();
    const { heapUsed, external, rss } = process.memoryUsage();
    const orders = Object.values(program.runtime.child('desk').getSnapshot().children)
      .map((blotter) => Object.keys(blotter?.getSnapshot().children ?? {}).length)
      .reduce((sum, count) => sum + count, 0);
    return { heapBytes: heapUsed + external, rssBytes: rss, actors: orders };
  },
});
