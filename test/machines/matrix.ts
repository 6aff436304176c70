/** Every state of a machine against every event, as a table that a test compares with a committed one. */
import {
  type AnyEventObject,
  type AnyStateMachine,
  createActor,
  type EventFromLogic,
  fromCallback,
  type Snapshot,
  type StateValue,
} from 'xstate';

/** A clock on which nothing ever comes due. */
export const stoppedClock = { setTimeout: (): number => 0, clearTimeout: (): void => undefined };

/** A state value as a path, e.g. `session.online.whole`; regions of a parallel state are joined with `+`. */
export function pathOf(value: StateValue): string {
  if (typeof value === 'string') return value;
  return Object.entries(value)
    .map(([name, inner]) => (inner && Object.keys(inner).length > 0 ? `${name}.${pathOf(inner)}` : name))
    .join('+');
}

export interface MatrixOptions<TMachine extends AnyStateMachine> {
  /** persisted snapshots (`actor.getPersistedSnapshot()`) by the name of their column */
  readonly states: Readonly<Record<string, Snapshot<unknown>>>;
  readonly events: readonly EventFromLogic<TMachine>[];
}

/**
 * A row for each event, a column for each state. A cell is the state that follows, `=` when the machine reacts and
 * stays, `-` when the event means nothing to it there. The machine's slots must be provided and harmless.
 */
export function matrix<TMachine extends AnyStateMachine>(
  machine: TMachine,
  { states, events }: MatrixOptions<TMachine>,
): string {
  const parent = createActor(
    fromCallback(() => undefined),
    { clock: stoppedClock },
  ).start();
  const subject: AnyStateMachine = machine;
  const cell = (snapshot: Snapshot<unknown>, event: AnyEventObject): string => {
    const actor = createActor(subject, { snapshot, parent }).start();
    const before = actor.getSnapshot();
    const means = subject.getTransitionData(before, event).length > 0;
    actor.send(event);
    const after = actor.getSnapshot();
    if (after.status === 'error') return `! ${String(after.error)}`;
    const path = pathOf(after.value);
    if (path !== pathOf(before.value)) return path;
    return means ? '=' : '-';
  };
  const names = Object.keys(states);
  const counts = new Map<string, number>();
  const rows = events.map((event) => {
    const nth = (counts.get(event.type) ?? 0) + 1;
    counts.set(event.type, nth);
    return [
      nth > 1 ? `${event.type} (${nth})` : event.type,
      ...Object.values(states).map((snapshot) => cell(snapshot, event)),
    ];
  });
  parent.stop();
  const table = [['event', ...names], ...rows];
  const widths = ['event', ...names].map((_, column) =>
    Math.max(...table.map((row) => (row[column] ?? '').length)),
  );
  return `${table
    .map((row) =>
      row
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')}\n`;
}
