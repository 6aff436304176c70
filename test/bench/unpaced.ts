/** Takes the pacing of messages out of the way of whatever gateway this process makes from now on. */
import { defaultPacing, type PacingOptions } from '../../src/tws/pacing.ts';

export function liftPacing(): void {
  const free = { cancel: 100_000, order: 100_000, control: 100_000, data: 100_000 };
  const unpaced: Partial<PacingOptions> = {
    perSecond: 1_000_000,
    reserved: free,
    waitLimit: free,
    dataBurst: 100_000,
  };
  Object.assign(defaultPacing, unpaced);
}
