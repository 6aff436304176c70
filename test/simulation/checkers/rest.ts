import type { Checker } from '../observation.ts';

/** Once nothing goes wrong any more, every question finds its answer: nobody waits for ever, nothing stays in doubt. */
export const restComes: Checker = { name: 'rest comes', atRest: ({ unrest }) => unrest };
