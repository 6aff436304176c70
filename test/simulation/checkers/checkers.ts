/** Every law, new for each run: some remember what they have heard. */
import type { Checker } from '../observation.ts';
import { answersAgree } from './answers.ts';
import { booksAgree } from './books.ts';
import { doubtsAreTold } from './doubts.ts';
import { executionsOnce } from './executions.ts';
import { exposureReleased } from './exposure.ts';
import { fillsOnlyGrow } from './fills.ts';
import { oneRecordEach } from './identity.ts';
import { limitsHold } from './limits.ts';
import { positionsAgree } from './positions.ts';
import { replayRebuilds } from './replay.ts';
import { restComes } from './rest.ts';
import { streamHasNoHoles } from './stream.ts';
import { onlyWhatWasAsked } from './wire.ts';

export const checkers = (): readonly Checker[] => [
  onlyWhatWasAsked(),
  fillsOnlyGrow(),
  answersAgree(),
  limitsHold(),
  doubtsAreTold(),
  streamHasNoHoles(),
  restComes,
  oneRecordEach,
  booksAgree,
  executionsOnce,
  positionsAgree,
  exposureReleased,
  replayRebuilds,
];
