/** Every law, new for each run: some remember what they have heard. */
import type { Checker } from '../observation.ts';
import { answersAgree } from './answers.ts';
import { booksAgree } from './books.ts';
import { executionsOnce } from './executions.ts';
import { exposureReleased } from './exposure.ts';
import { fillsOnlyGrow } from './fills.ts';
import { oneRecordEach } from './identity.ts';
import { positionsAgree } from './positions.ts';
import { replayRebuilds } from './replay.ts';
import { restComes } from './rest.ts';
import { onlyWhatWasAsked } from './wire.ts';

export const checkers = (): readonly Checker[] => [
  onlyWhatWasAsked(),
  fillsOnlyGrow(),
  answersAgree(),
  restComes,
  oneRecordEach,
  booksAgree,
  executionsOnce,
  positionsAgree,
  exposureReleased,
  replayRebuilds,
];
