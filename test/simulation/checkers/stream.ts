import type { Checker } from '../observation.ts';

/** Listeners hear every durable record once, in the order of the journal, without holes; the journal itself has none. */
export const streamHasNoHoles = (): Checker => {
  let heard: number | null = null;
  let durable = 0;
  return {
    name: 'the stream has no holes',
    hears: ['born', 'durable', 'announced'],
    *hear(observation) {
      if (observation.type === 'born') heard = null;
      if (observation.type === 'durable') {
        if (observation.seq !== durable + 1)
          yield `record ${observation.seq} follows ${durable} in the journal`;
        durable = observation.seq;
      }
      if (observation.type !== 'announced') return;
      for (const { seq } of observation.records) {
        if (heard !== null && seq !== heard + 1) yield `record ${seq} was told after ${heard}`;
        if (seq > durable) yield `record ${seq} was told before it was durable`;
        heard = seq;
      }
    },
    *atRest({ journal }) {
      const last = journal.lastSeq();
      if (last !== durable) yield `the journal ends at ${last}, ${durable} records were written`;
      if (heard !== null && heard !== last)
        yield `listeners know records up to ${heard}, the journal ${last}`;
      let expected = 0;
      for (const { seq } of journal.records({ after: 0, limit: 1_000_000 })) {
        expected += 1;
        if (seq !== expected) {
          yield `the journal holds record ${seq} where ${expected} belongs`;
          break;
        }
      }
    },
  };
};
