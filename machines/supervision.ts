/**
 * What becomes of the supervisor's children when they fail: one table, which machines/runtime.machine.ts obeys and the
 * README prints. A child is started again as long as it holds no truth of its own, or can be given its last standing.
 */
import type { Reason } from './order.ts';

/**
 * `halt`: no order is taken, cancels are; latched where that can be made durable, so that a person opens trading after
 * a restart of the process.
 * `escalate`: as `halt`, and liveness fails: only a new process can read the truth back from the journal.
 */
export type Consequence = 'halt' | 'escalate';

export interface SupervisionRule {
  /** what a new one begins with; null: it is not started again */
  readonly restartsWith: string | null;
  /** when it is not started again, or no more */
  readonly finally: Consequence;
  /** why, for people */
  readonly because: string;
}

/** So often within `restartWindowMs` a child is started again; older restarts are forgotten. */
export const restartsMax = 3;
export const restartWindowMs = 60_000;

/** By the child's name, in the order in which they start. */
export const supervision = {
  journal: {
    restartsWith: null,
    finally: 'halt',
    because: 'nothing can be made durable; a new process before a broken disk would lose the rest',
  },
  gate: {
    restartsWith: null,
    finally: 'halt',
    because: 'nobody reviews orders; a person must know before trading goes on',
  },
  ledger: {
    restartsWith: null,
    finally: 'escalate',
    because: 'executions and positions are read back from the journal',
  },
  desk: {
    restartsWith: null,
    finally: 'escalate',
    because: 'orders are read back from the journal',
  },
  audit: {
    restartsWith: 'the differences that were open',
    finally: 'halt',
    because: 'positions that differ would be traded on',
  },
  withdrawal: {
    restartsWith: 'the leases and the orders that must go',
    finally: 'halt',
    because: 'the kill switch and leases depend on it',
  },
  tws: {
    restartsWith: 'a new session',
    finally: 'halt',
    because: 'there is no way to the broker',
  },
  market: {
    restartsWith: 'the instruments that somebody reads',
    finally: 'halt',
    because: 'orders would be judged without prices',
  },
  reconciliation: {
    restartsWith: 'all lists asked for anew',
    finally: 'halt',
    because: "nobody compares the broker's books with ours",
  },
} as const satisfies Readonly<Record<string, SupervisionRule>>;

export type ChildName = keyof typeof supervision;

/** A child that is gone for good. */
export interface ChildFailed {
  readonly type: 'runtime.failed';
  readonly child: ChildName;
  readonly consequence: Consequence;
  /** what it threw, in short */
  readonly error: string;
}

export interface RestartCounts {
  /** since the start of the process */
  readonly restarts: Readonly<Partial<Record<ChildName, number>>>;
  /** within the window */
  readonly recentRestarts: Readonly<Partial<Record<ChildName, number>>>;
}

/** Whether a child that just failed is started again. */
export const mayRestart = ({ recentRestarts }: RestartCounts, child: ChildName): boolean =>
  supervision[child].restartsWith !== null && (recentRestarts[child] ?? 0) < restartsMax;

export const withRestart = (
  { restarts, recentRestarts }: RestartCounts,
  child: ChildName,
): RestartCounts => ({
  restarts: { ...restarts, [child]: (restarts[child] ?? 0) + 1 },
  recentRestarts: { ...recentRestarts, [child]: (recentRestarts[child] ?? 0) + 1 },
});

/** The window of one restart has passed. */
export const withoutRestart = (
  { recentRestarts }: RestartCounts,
  child: ChildName,
): Pick<RestartCounts, 'recentRestarts'> => ({
  recentRestarts: { ...recentRestarts, [child]: Math.max(0, (recentRestarts[child] ?? 0) - 1) },
});

/** The failure that XState tells (`xstate.error.actor.<id>`); null when it is not one of the children. */
export function failureOf(event: object): { readonly child: ChildName; readonly error: string } | null {
  const { actorId, error } = event as { readonly actorId?: unknown; readonly error?: unknown };
  if (typeof actorId !== 'string' || !Object.hasOwn(supervision, actorId)) return null;
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { child: actorId as ChildName, error: text.slice(0, 500) };
}

/** Why trading is halted, as the gate latches it. */
export const haltReason = ({ child, error }: Pick<ChildFailed, 'child' | 'error'>): Reason => ({
  code: 'part-failed',
  message: `the ${child} has failed and was given up (${error}): restart the runtime, then open trading`,
});
