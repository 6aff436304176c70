/**
 * The root inspector: what every machine of the tree is doing now, without one of them having to say so. Also the one
 * place that logs transitions and counts them.
 */
import type { Logger } from 'pino';
import { type InspectionEvent, isMachineSnapshot, type StateValue, type StateValueMap } from 'xstate';
import type { ActorRow } from '../machines/health.ts';

/** One change of state of one actor. */
export interface Transition {
  /** path of the actor */
  readonly id: string;
  readonly machine: string;
  /** null: the actor started */
  readonly from: string | null;
  /** null: the actor stopped or failed */
  readonly to: string | null;
  /** what to count it by: `to` without the inner regions of a parallel state; null when only those changed */
  readonly entered: string | null;
  readonly tags: readonly string[];
  /** type of the event that caused it */
  readonly event: string;
  /** ms since the epoch */
  readonly at: number;
}

export interface TransitionCount {
  readonly machine: string;
  /** without the inner regions of parallel states */
  readonly state: string;
  /** how often this state was entered since the start */
  readonly count: number;
}

export interface Observer {
  /** For `createActor(root, { inspect })`. */
  readonly inspect: (event: InspectionEvent) => void;
  /** Every machine that runs, in the order of starting, then the last ones that failed and were not started again. */
  rows(): readonly ActorRow[];
  transitions(): readonly TransitionCount[];
  /** Called after each change, synchronously; must not throw. Returns the way to unsubscribe. */
  onChange(listener: (transition: Transition) => void): () => void;
}

interface Cell {
  readonly id: string;
  readonly machine: string;
  readonly restarts: number;
  readonly value: StateValue;
  readonly row: ActorRow;
}

/** The parts of an actor that XState gives to inspectors without saying so in the type. */
interface InspectedActor {
  readonly id: string;
  readonly sessionId: string;
  readonly _parent?: InspectedActor;
  readonly logic?: { readonly id?: unknown };
  getSnapshot(): unknown;
}

const failedMax = 64;
const levels: Readonly<Record<string, 'info' | 'debug'>> = {
  runtime: 'info',
  tws: 'info',
  gate: 'info',
  desk: 'info',
  reconciliation: 'info',
  watchdog: 'info',
  strategy: 'info',
  order: 'info',
};

/** `now` gives ms since the epoch. Keeps no actor that stopped, and of those that failed the last 64. */
export function createObserver({ now, log }: { readonly now: () => number; readonly log: Logger }): Observer {
  const cells = new Map<string, Cell>();
  const failed = new Map<string, Cell>();
  /** a failure is reported by the parent's event, by the last snapshot, or by both */
  const mourned = new WeakSet<InspectedActor>();
  const counts = new Map<string, { machine: string; state: string; count: number }>();
  const listeners = new Set<(transition: Transition) => void>();
  let root: InspectedActor | undefined;

  function inspect(event: InspectionEvent): void {
    if (event.type === '@xstate.event') {
      if (event.event.type.startsWith('xstate.error.actor.') && event.sourceRef) {
        fail(event.sourceRef as unknown as InspectedActor, event.event.type, event.event.error);
      }
      return;
    }
    if (event.type !== '@xstate.snapshot' || !isMachineSnapshot(event.snapshot)) return;
    const { snapshot } = event;
    const cell = cells.get(event.actorRef.sessionId);
    if (snapshot.status === 'active') {
      if (cell === undefined) {
        begin(event.actorRef as unknown as InspectedActor, snapshot, event.event.type);
      } else if (!isSameValue(cell.value, snapshot.value)) {
        move(event.actorRef.sessionId, cell, snapshot, event.event.type);
      }
      return;
    }
    if (snapshot.status === 'error') {
      fail(event.actorRef as unknown as InspectedActor, event.event.type, snapshot.error);
    } else if (cell) end(event.actorRef.sessionId, cell, snapshot.value, event.event.type);
  }

  function begin(actor: InspectedActor, snapshot: Inspected, event: string): void {
    if (mourned.has(actor)) return;
    const cell = cellOf(actor, snapshot);
    cells.set(actor.sessionId, cell);
    failed.delete(cell.id);
    if (!actor._parent) root = actor;
    const entered = outlineOf(cell.value);
    count(cell.machine, entered);
    log[cell.restarts > 0 ? 'warn' : 'debug'](
      { actor: cell.id, machine: cell.machine, to: cell.row.state, restarts: cell.restarts },
      cell.restarts > 0 ? 'actor restarted' : 'actor started',
    );
    tell(cell, null, cell.row.state, entered, event);
  }

  function cellOf(actor: InspectedActor, snapshot: Inspected): Cell {
    const id = pathOf(actor);
    const before = failed.get(id);
    const identity = { id, machine: snapshot.machine.id, restarts: before ? before.restarts + 1 : 0 };
    return { ...identity, value: snapshot.value, row: rowOf(identity, snapshot, now()) };
  }

  function move(sessionId: string, before: Cell, snapshot: Inspected, event: string): void {
    const row = rowOf(before, snapshot, now());
    const cell = { ...before, value: snapshot.value, row };
    cells.set(sessionId, cell);
    const outline = outlineOf(cell.value);
    const entered = outline === outlineOf(before.value) ? null : outline;
    if (entered !== null) count(cell.machine, entered);
    const level = entered === null ? 'debug' : (levels[cell.machine] ?? 'debug');
    if (log.isLevelEnabled(level)) {
      const fields = {
        actor: cell.id,
        machine: cell.machine,
        from: before.row.state,
        to: row.state,
        event,
        ...(cell.machine === 'order' ? orderIds(snapshot.context) : {}),
      };
      log[level](fields, `${cell.machine} ${before.row.state} -> ${row.state}`);
    }
    tell(cell, before.row.state, row.state, entered, event);
  }

  function end(sessionId: string, cell: Cell, value: StateValue, event: string): void {
    cells.delete(sessionId);
    const last = outlineOf(value);
    if (last !== outlineOf(cell.value)) count(cell.machine, last);
    log.debug({ actor: cell.id, machine: cell.machine, from: cell.row.state, event }, 'actor stopped');
    tell(cell, cell.row.state, null, null, event);
  }

  function fail(actor: InspectedActor, event: string, error: unknown): void {
    const known = cells.get(actor.sessionId);
    if (mourned.has(actor) || (!known && typeof actor.logic?.id !== 'string')) return;
    mourned.add(actor);
    cells.delete(actor.sessionId);
    const cell = known ?? cellOf(actor, stillborn(actor));
    const row = { ...cell.row, tags: ['failed'], since: new Date(now()).toISOString() };
    failed.delete(cell.id);
    failed.set(cell.id, { ...cell, row });
    for (const oldest of failed.keys()) {
      if (failed.size <= failedMax) break;
      failed.delete(oldest);
    }
    log.error({ actor: cell.id, machine: cell.machine, from: cell.row.state, err: error }, 'actor failed');
    tell({ ...cell, row }, cell.row.state, null, null, event);
  }

  function count(machine: string, state: string): void {
    const key = `${machine} ${state}`;
    const counter = counts.get(key);
    if (counter) counter.count++;
    else counts.set(key, { machine, state, count: 1 });
  }

  function tell(
    cell: Cell,
    from: string | null,
    to: string | null,
    entered: string | null,
    event: string,
  ): void {
    if (listeners.size === 0) return;
    const { id, machine } = cell;
    const transition = { id, machine, from, to, entered, tags: cell.row.tags, event, at: now() };
    for (const listener of listeners) listener(transition);
  }

  return {
    inspect,
    rows() {
      // Nobody hears of the failure of an actor without a parent.
      if (root && cells.has(root.sessionId) && isFailed(root)) {
        fail(root, 'xstate.error', (root.getSnapshot() as { error?: unknown }).error);
      }
      return [...cells.values(), ...failed.values()].map(({ row }) => row);
    },
    transitions: () => [...counts.values()].map((counter) => ({ ...counter })),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

type Inspected = {
  readonly value: StateValue;
  readonly tags: ReadonlySet<string>;
  readonly context: unknown;
  readonly machine: { readonly id: string };
};

function rowOf(
  identity: Pick<Cell, 'id' | 'machine' | 'restarts'>,
  { value, tags }: Inspected,
  at: number,
): ActorRow {
  const { id, machine, restarts } = identity;
  return { id, machine, state: dotted(value), tags: [...tags], since: new Date(at).toISOString(), restarts };
}

/** What stands for the snapshot of a machine that failed before it had one. */
function stillborn(actor: InspectedActor): Inspected {
  return { value: 'unborn', tags: new Set(), context: undefined, machine: { id: String(actor.logic?.id) } };
}

function pathOf(actor: InspectedActor): string {
  return actor._parent ? `${pathOf(actor._parent)}.${actor.id}` : actor.id;
}

function isFailed(actor: InspectedActor): boolean {
  return (actor.getSnapshot() as { status?: unknown } | undefined)?.status === 'error';
}

/** Of parallel regions those that can change: one with a single state says nothing. */
function regionsOf(value: StateValueMap): [string, StateValue | undefined][] {
  const regions = Object.entries(value);
  const telling = regions.filter(
    ([, inner]) => typeof inner === 'string' || Object.keys(inner ?? {}).length > 0,
  );
  return telling.length > 0 ? telling : regions;
}

/** `{ online: 'whole' }` -> `online.whole`; parallel regions are joined by commas. */
function dotted(value: StateValue): string {
  if (typeof value === 'string') return value;
  return regionsOf(value)
    .map(([key, inner]) => {
      const rest = inner === undefined ? '' : dotted(inner);
      return rest === '' ? key : `${key}.${rest}`;
    })
    .join(',');
}

/** As `dotted`, but of a parallel state inside another only its name: how far each of its regions got is detail. */
function outlineOf(value: StateValue, isRoot = true): string {
  if (typeof value === 'string') return value;
  const entries = regionsOf(value);
  if (entries.length > 1 && !isRoot) return '';
  return entries
    .map(([key, inner]) => {
      const rest = inner === undefined ? '' : outlineOf(inner, false);
      return rest === '' ? key : `${key}.${rest}`;
    })
    .join(',');
}

function isSameValue(a: StateValue | undefined, b: StateValue | undefined): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object') return false;
  for (const key in a) if (!isSameValue(a[key], b[key])) return false;
  for (const key in b) if (!(key in a)) return false;
  return true;
}

function orderIds(context: unknown): { clientOrderId?: string; permId?: string | null } {
  const { order } = context as { order?: { clientOrderId?: string; permIds?: readonly string[] } };
  return order?.clientOrderId === undefined
    ? {}
    : { clientOrderId: order.clientOrderId, permId: order.permIds?.at(-1) ?? null };
}
