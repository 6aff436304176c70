/** How the running tree is, judged from what was observed of its actors. */

export interface ActorRow {
  readonly id: string;
  readonly machine: string;
  readonly state: string;
  readonly tags: readonly string[];
  /** RFC 3339 */
  readonly since: string;
  readonly restarts: number;
}
