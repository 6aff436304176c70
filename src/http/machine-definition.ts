/** The statecharts as data, read from the machines themselves: what each can do, for people and tools. */
import type { AnyStateMachine, AnyStateNode } from 'xstate';
import { runtimeMachine } from '../../machines/runtime.machine.ts';

/** How one state answers one event. */
export interface TransitionDefinition {
  /** the event's type; null: as soon as the guard holds */
  readonly event: string | null;
  /** name of the delay after which it happens by itself; null: not by time */
  readonly delay: string | null;
  readonly guard: string | null;
  /** paths of states; empty: the state stays, only the actions run */
  readonly targets: readonly string[];
  /** the state is left and entered again */
  readonly reenter: boolean;
  readonly actions: readonly string[];
}

export interface StateDefinition {
  readonly key: string;
  /** keys from the root on, joined by dots; empty for the root */
  readonly path: string;
  readonly type: 'atomic' | 'compound' | 'parallel' | 'final' | 'history';
  readonly description: string | null;
  readonly tags: readonly string[];
  /** path of the state that is entered first */
  readonly initial: string | null;
  readonly entry: readonly string[];
  readonly exit: readonly string[];
  /** slots of the actors that run while the state lasts */
  readonly invokes: readonly string[];
  readonly transitions: readonly TransitionDefinition[];
  readonly states: readonly StateDefinition[];
}

/** One machine; lists of names are sorted, states and transitions stand as they are declared. */
export interface MachineDefinition {
  readonly id: string;
  readonly description: string | null;
  readonly tags: readonly string[];
  readonly events: readonly string[];
  readonly guards: readonly string[];
  readonly actions: readonly string[];
  /** ms: null when it is computed */
  readonly delays: readonly { readonly name: string; readonly ms: number | null }[];
  /** slots for actors; `machine`: the id of the machine that fills it, null for a port */
  readonly actors: readonly { readonly name: string; readonly machine: string | null }[];
  readonly states: StateDefinition;
}

interface Transition {
  readonly eventType: string;
  readonly guard?: unknown;
  readonly target?: readonly AnyStateNode[] | undefined;
  readonly reenter: boolean;
  readonly actions: readonly unknown[];
}

/** Every machine that can run in the tree of this one, by id. */
export function definitionsOf(root: AnyStateMachine): readonly MachineDefinition[] {
  const found = new Map<string, AnyStateMachine>();
  const collect = (machine: AnyStateMachine): void => {
    if (found.has(machine.id)) return;
    found.set(machine.id, machine);
    for (const logic of Object.values(machine.implementations.actors)) if (isMachine(logic)) collect(logic);
  };
  collect(root);
  return [...found.values()].map(definitionOf).sort((a, b) => (a.id < b.id ? -1 : 1));
}

let all: readonly MachineDefinition[] | undefined;
/** The machines of the runtime. They do not change while it runs. */
export function machineDefinitions(): readonly MachineDefinition[] {
  all ??= definitionsOf(runtimeMachine);
  return all;
}

function definitionOf(machine: AnyStateMachine): MachineDefinition {
  const states = stateOf(machine.root);
  const every = flat(states);
  const { guards, actions, delays, actors } = machine.implementations;
  return {
    id: machine.id,
    description: states.description,
    tags: sorted(every.flatMap(({ tags }) => tags)),
    events: sorted(
      every.flatMap(({ transitions }) => transitions.flatMap(({ event }) => (event === null ? [] : [event]))),
    ),
    guards: sorted(Object.keys(guards)),
    actions: sorted(Object.keys(actions)),
    delays: sorted(Object.keys(delays)).map((name) => {
      const delay: unknown = (delays as Record<string, unknown>)[name];
      return { name, ms: typeof delay === 'number' ? delay : null };
    }),
    actors: sorted(Object.keys(actors)).map((name) => {
      const logic: unknown = (actors as Record<string, unknown>)[name];
      return { name, machine: isMachine(logic) ? logic.id : null };
    }),
    states,
  };
}

function stateOf(node: AnyStateNode): StateDefinition {
  const path = pathOf(node);
  const delays = new Map(node.after.map(({ eventType, delay }) => [eventType, String(delay)]));
  const transitions = [
    ...(node.always ?? []).map((transition) => transitionOf(transition, null, null)),
    ...[...node.transitions.values()].flat().map((transition) => {
      const delay = delays.get(transition.eventType) ?? null;
      return transitionOf(transition, delay === null ? eventOf(transition.eventType, node) : null, delay);
    }),
  ];
  const initial: unknown = node.initial?.target?.[0];
  return {
    key: node.key,
    path,
    type: node.type,
    description: node.description ?? null,
    tags: [...node.tags],
    initial: initial ? pathOf(initial as AnyStateNode) : null,
    entry: ownActions(node.entry),
    exit: ownActions(node.exit),
    invokes: node.invoke.map(({ src }) => nameOf(src)),
    transitions,
    states: Object.values(node.states).map(stateOf),
  };
}

function transitionOf(
  { guard, target, reenter, actions }: Transition,
  event: string | null,
  delay: string | null,
): TransitionDefinition {
  return {
    event,
    delay,
    guard: guard === undefined ? null : nameOf(guard),
    targets: (target ?? []).map(pathOf),
    reenter,
    actions: actions.map(nameOf),
  };
}

/** XState names the ends of actors and of inner states after ids; people call them by what ended. */
function eventOf(type: string, node: AnyStateNode): string {
  if (type === `xstate.done.state.${node.id}`) return 'done';
  const [, end, id] = /^xstate\.(done|error|snapshot)\.actor\.(.+)$/.exec(type) ?? [];
  if (end === undefined) return type;
  const invoked = node.invoke.find((invoke) => invoke.id === id);
  return `${end}.${invoked ? nameOf(invoked.src) : id}`;
}

/** Without those that XState adds for delays. */
function ownActions(actions: readonly unknown[]): readonly string[] {
  return actions.map(nameOf).filter((name) => !/^xstate\.(raise|cancel)$/.test(name));
}

/** `name`, or `name(values of its parameters)`. */
function nameOf(item: unknown): string {
  if (typeof item === 'string') return item;
  const { type, params } = item as { readonly type?: unknown; readonly params?: unknown };
  if (typeof type !== 'string') return typeof item === 'function' ? item.name || 'computed' : 'computed';
  if (typeof params !== 'object' || params === null) return type;
  const values = Object.values(params).map((value) => (value === null ? 'none' : String(value)));
  return values.length === 0 ? type : `${type}(${values.join(', ')})`;
}

/** Every state of a tree, outer ones first. */
export function flat(state: StateDefinition): readonly StateDefinition[] {
  return [state, ...state.states.flatMap(flat)];
}

const pathOf = (node: AnyStateNode): string => node.path.join('.');
const sorted = (names: readonly string[]): string[] => [...new Set(names)].sort();

function isMachine(logic: unknown): logic is AnyStateMachine {
  return typeof logic === 'object' && logic !== null && 'root' in logic && 'implementations' in logic;
}
