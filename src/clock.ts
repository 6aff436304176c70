/** The time that the runtime lives by. */

/**
 * Time of day in whole ms since the epoch that never goes back. Facts are compared by their times (was this list asked
 * for after that answer?), so a wall clock that is set back, by hand or by a time server, must not be followed: time goes
 * on from where it was, and the wall clock counts again when it has caught up. Forward it is followed, as after a sleep.
 */
export function steadyClock(
  wall: () => number = Date.now,
  elapsed: () => number = () => performance.now(),
): () => number {
  let ahead = wall() - elapsed();
  return () => {
    // In this order: a pause between the two must not count as time that the wall is ahead, for that is kept for good.
    const time = wall();
    const passed = elapsed();
    ahead = Math.max(ahead, time - passed);
    return Math.floor(ahead + passed);
  };
}
