/** A statechart as a Mermaid diagram: states, tags and what leads from one state to another. Reactions that stay in their state are not drawn. */
import { flat, type MachineDefinition, type StateDefinition } from './machine-definition.ts';

/** Of one arrow; what is beyond is counted. */
const linesMax = 10;
const lineMax = 70;
/** When as many states go the same way for the same reason, they share one arrow. */
const sharedFrom = 4;
/** A state that decides at once between more ways than this shows them as text. */
const forkMax = 4;
/** Characters in a row of the states that share an arrow: Mermaid breaks longer ones where it likes. */
const originRowMax = 24;
/** Words that Mermaid reads as its own. */
const reserved = new Set(['end', 'state', 'note', 'default', 'direction', 'class', 'style', 'click', 'fork']);

interface Way {
  /** path of the state that holds both ends */
  readonly within: string;
  /** ids of nodes */
  readonly from: string;
  readonly to: string;
  readonly line: string;
}

/** `stateDiagram-v2`, ending with a line break. */
export function diagramOf(machine: MachineDefinition): string {
  const states = new Map(flat(machine.states).map((state) => [state.path, state]));
  const keys = new Map([...states].map(([path, { key }]) => [idOf(path), key]));
  const ways = waysOf(machine, states);
  const lines = ['stateDiagram-v2'];
  let origins = 0;

  const draw = (state: StateDefinition, indent: string): void => {
    const id = idOf(state.path);
    lines.push(`${indent}state "${titleOf(state)}" as ${id}${state.states.length > 0 ? ' {' : ''}`);
    if (state.states.length > 0) {
      inside(state, `${indent}  `);
      lines.push(`${indent}}`);
    } else if (state.type === 'final') lines.push(`${indent}${id} --> [*]`);
  };
  const inside = (state: StateDefinition, indent: string): void => {
    state.states.forEach((child, index) => {
      if (state.type === 'parallel' && index > 0) lines.push(`${indent}--`);
      draw(child, indent);
    });
    if (state.initial !== null) lines.push(`${indent}[*] --> ${idOf(state.initial)}`);
    for (const { from, to, lines: labels } of arrowsOf(ways.filter(({ within }) => within === state.path))) {
      let origin = from[0] ?? '';
      if (from.length > 1 || origin === anywhere) {
        origins += 1;
        origin = `from_${origins}`;
        lines.push(`${indent}state "${originOf(from, keys)}" as ${origin}`);
      }
      lines.push(`${indent}${origin} --> ${to} : ${labelOf(labels)}`);
    }
  };
  const { states: root } = machine;
  if (root.type === 'parallel' || root.states.length === 0) draw(root, '  ');
  else inside(root, '  ');
  if (origins > 0) {
    const ids = Array.from({ length: origins }, (_, index) => `from_${index + 1}`);
    lines.push('  classDef origin fill:transparent,stroke-dasharray:4', `  class ${ids.join(',')} origin`);
  }
  return `${lines.join('\n')}\n`;
}

/** Stands for the state that holds the arrow: whatever is active in it. */
const anywhere = '*';

function waysOf(machine: MachineDefinition, states: ReadonlyMap<string, StateDefinition>): readonly Way[] {
  const delays = new Map(machine.delays.map(({ name, ms }) => [name, ms]));
  const ways: Way[] = [];
  for (const state of states.values()) {
    for (const transition of state.transitions) {
      if (isFork(state) && transition.guard !== null) continue;
      const line = isFork(state) ? 'otherwise' : lineOf(transition, delays);
      for (const target of transition.targets) {
        // Mermaid draws no arrow between a state and its own inside, and boxes come apart when arrows cross their
        // edges: arrows end at boxes that stand side by side, and say what is inside.
        if (isWithin(target, state.path)) {
          const to = sideOf(target, state.path);
          ways.push({
            within: state.path,
            from: anywhere,
            to: idOf(to),
            line: line + innerTarget(target, to),
          });
        } else if (state.path === target && state.initial !== null) {
          ways.push({ within: target, from: anywhere, to: idOf(state.initial), line });
        } else if (isWithin(state.path, target)) {
          const from = sideOf(state.path, target);
          const to = states.get(target)?.initial ?? from;
          ways.push({
            within: target,
            from: idOf(from),
            to: idOf(to),
            line: innerSource(state, from) + line,
          });
        } else {
          const within = commonPath(state.path, target);
          const [from, to] = [sideOf(state.path, within), sideOf(target, within)];
          const words = innerSource(state, from) + line + innerTarget(target, to);
          ways.push({ within, from: idOf(from), to: idOf(to), line: words });
        }
      }
    }
  }
  return ways;
}

const innerSource = ({ path, key }: StateDefinition, shown: string): string =>
  path === shown ? '' : `${key}: `;
const innerTarget = (path: string, shown: string): string =>
  path === shown ? '' : ` → ${path.split('.').at(-1) ?? ''}`;

interface Arrow {
  readonly from: readonly string[];
  readonly to: string;
  readonly lines: readonly string[];
}

/** First what many states share, then one arrow from each state to each other. */
function arrowsOf(ways: readonly Way[]): readonly Arrow[] {
  const reasons = Map.groupBy(ways, ({ to, line }) => `${to} ${line}`);
  const arrows = new Map<string, { from: readonly string[]; to: string; lines: string[] }>();
  for (const same of reasons.values()) {
    const from = [...new Set(same.map((way) => way.from))];
    for (const sources of from.length >= sharedFrom ? [from] : from.map((source) => [source])) {
      const { to, line } = same[0] as Way;
      const key = `${sources.join()} ${to}`;
      const arrow = arrows.get(key);
      if (arrow) arrow.lines.push(line);
      else arrows.set(key, { from: sources, to, lines: [line] });
    }
  }
  return [...arrows.values()];
}

/** Decides at once, by guards alone, between many ways. */
function isFork({ transitions }: StateDefinition): boolean {
  return (
    transitions.length > forkMax && transitions.every(({ event, delay }) => event === null && delay === null)
  );
}

function originOf(from: readonly string[], keys: ReadonlyMap<string, string>): string {
  if (from[0] === anywhere) return 'in any of these';
  const names = from.map((id) => keys.get(id) ?? id);
  const rows: string[] = [];
  for (const name of names) {
    const last = rows.at(-1);
    if (last !== undefined && last.length + name.length < originRowMax)
      rows[rows.length - 1] = `${last}, ${name}`;
    else rows.push(name);
  }
  return rows.join(',<br/>');
}

/** The state's name, its tags, and what it decides at once. */
function titleOf(state: StateDefinition): string {
  const { key, tags, states, transitions } = state;
  const marks = tags.map((tag) => `#35;${tag}`).join(' ');
  const guarded = isFork(state) ? transitions.filter(({ guard }) => guard !== null) : [];
  const ways = guarded.map(({ guard, targets }) => `[${guard}] → ${targets.join()}`);
  const rows = [key, ...(marks === '' ? [] : [marks]), ...ways];
  return rows.join(states.length > 0 ? ' ' : '<br/>');
}

function labelOf(lines: readonly string[]): string {
  const shown = lines.slice(0, lines.length > linesMax ? linesMax - 1 : linesMax);
  const rest = lines.length - shown.length;
  return [...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].map(quoted).join('<br/>');
}

function lineOf(
  {
    event,
    delay,
    guard,
  }: { readonly event: string | null; readonly delay: string | null; readonly guard: string | null },
  delays: ReadonlyMap<string, number | null>,
): string {
  const cause = delay === null ? (event ?? '') : `after ${delay}${lengthOf(delays.get(delay) ?? null)}`;
  const line = `${cause}${guard === null ? '' : `${cause === '' ? '' : ' '}[${guard}]`}` || 'at once';
  return line.length > lineMax ? `${line.slice(0, lineMax - 1)}…` : line;
}

const quoted = (line: string): string => line.replaceAll(/[;:#"<>{}]/g, (sign) => `#${sign.charCodeAt(0)};`);

function lengthOf(ms: number | null): string {
  if (ms === null) return '';
  if (ms % 60_000 === 0) return ` (${ms / 60_000} min)`;
  return ms % 1_000 === 0 ? ` (${ms / 1_000} s)` : ` (${ms} ms)`;
}

const idOf = (path: string): string => {
  const id = path === '' ? 'machine' : path.replaceAll(/\W/g, '_');
  return reserved.has(id) ? `${id}_` : id;
};
const isWithin = (inner: string, outer: string): boolean =>
  inner !== outer && (outer === '' || inner.startsWith(`${outer}.`));

function commonPath(a: string, b: string): string {
  const [one, two] = [a.split('.').slice(0, -1), b.split('.').slice(0, -1)];
  const shared: string[] = [];
  for (const [index, key] of one.entries()) {
    if (two[index] !== key) break;
    shared.push(key);
  }
  return shared.join('.');
}

/** The ancestor of this state, or the state itself, that stands right inside of the other. */
function sideOf(path: string, within: string): string {
  const depth = within === '' ? 1 : within.split('.').length + 1;
  return path.split('.').slice(0, depth).join('.');
}
