/** What a number of runs has touched: which word met a machine in which state, which faults struck, which laws were tried. */
import { readFileSync } from 'node:fs';
import { orderStates } from '../../machines/order.ts';
import { pathOf } from '../machines/matrix.ts';
import { impossible } from './impossible.ts';
import { chances, disturbances, features, wideHappenings } from './plan.ts';

/** Machines whose states and words are tabled in test/machines. */
export const matrixNames = ['order', 'gate', 'tws', 'reconciliation', 'audit'] as const;
export type MatrixName = (typeof matrixNames)[number];
/** Machines that are counted besides. */
export const countedNames = [...matrixNames, 'runtime', 'desk', 'withdrawal'] as const;
export type CountedName = (typeof countedNames)[number];

export const isMatrixName = (id: string): id is CountedName =>
  (countedNames as readonly string[]).includes(id);

const paths = new WeakMap<object, string>();

function shortPath(name: CountedName, whole: string): string {
  const last = whole.split('.').at(-1) ?? whole;
  switch (name) {
    case 'runtime':
      return whole.replace(/^.*phase\.([A-Za-z.]+).*$/, '$1');
    case 'reconciliation':
      // `books.<state>+account.<state>`: the tables name the state of the books
      if (!whole.includes('gathering')) return whole.replace(/^books\.(?:\w+\.)?(\w+)\+.*$/, '$1');
      return whole.replace(/\+account\.\w+$/, '').includes('.failed') ? 'failing' : 'gathering';
    case 'tws':
      return last;
    default:
      return whole;
  }
}

/** The state as the tables name it. */
export function stateOf(name: CountedName, value: unknown): string {
  if (typeof value === 'string') return value;
  const key = value as object;
  let path = paths.get(key);
  if (path === undefined) {
    path = shortPath(name, pathOf(value as never));
    paths.set(key, path);
  }
  return path;
}

/** Plain figures, to be put together with those of other runs. */
export interface CoverageFigures {
  /** `machine|state|word` -> how often */
  readonly cells: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  readonly laws: Readonly<Record<string, number>>;
}

export interface Coverage {
  noteCell(machine: CountedName, state: string, word: string): void;
  noteFault(name: string): void;
  noteLaw(name: string): void;
  figures(): CoverageFigures;
  add(figures: CoverageFigures): void;
  /** Open states in which no order was ever met, and faults that never struck. */
  untouched(): readonly string[];
  /** As tables for people. */
  print(): string;
}

/** Every state and word of a machine, as its committed table lists them. */
function tableOf(name: MatrixName): {
  readonly states: readonly string[];
  readonly words: readonly string[];
} {
  const text = readFileSync(new URL(`../machines/${name}.matrix.txt`, import.meta.url), 'utf8');
  const [head = '', ...rows] = text.trimEnd().split('\n');
  const words = new Set(rows.map((row) => /^\S+/.exec(row)?.[0] ?? ''));
  return { states: head.trim().split(/\s+/).slice(1), words: [...words] };
}

const whyImpossible = (machine: string, state: string, word: string): string | null =>
  impossible.find(
    (row) =>
      row.machine === machine &&
      row.states?.includes(state) !== false &&
      row.words?.includes(word) !== false &&
      !row.butStates?.includes(state) &&
      !row.butWords?.includes(word),
  )?.because ?? null;

export function createCoverage(): Coverage {
  const cells = new Map<string, number>();
  const faults = new Map<string, number>(chances.map((name) => [name, 0]));
  const laws = new Map<string, number>();
  const count = (map: Map<string, number>, key: string, by = 1): void => {
    map.set(key, (map.get(key) ?? 0) + by);
  };
  const ofMachine = (machine: string): { state: string; word: string; met: number }[] =>
    [...cells].flatMap(([key, met]) => {
      const [name, state = '', word = ''] = key.split('|');
      return name === machine && !word.startsWith('xstate.') ? [{ state, word, met }] : [];
    });

  function orderTable(): string[] {
    const { words } = tableOf('order');
    const met = new Map(ofMachine('order').map((cell) => [`${cell.state} ${cell.word}`, cell.met]));
    const all = [...new Set([...words, ...ofMachine('order').map(({ word }) => word)])].sort();
    const table = [
      ['word', ...orderStates],
      ...all.map((word) => [
        word,
        ...orderStates.map((state) => {
          const times = met.get(`${state} ${word}`);
          return times === undefined
            ? whyImpossible('order', state, word) === null
              ? '-'
              : 'x'
            : String(times);
        }),
      ]),
    ];
    const widths = ['word', ...orderStates].map((_, column) =>
      Math.max(...table.map((row) => (row[column] ?? '').length)),
    );
    return table.map((row) =>
      row
        .map((text, column) =>
          column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0),
        )
        .join('  '),
    );
  }

  function summaryOf(machine: MatrixName): string[] {
    const { states, words } = tableOf(machine);
    const met = new Set(ofMachine(machine).map(({ state, word }) => `${state} ${word}`));
    const pairs = words.flatMap((word) => states.map((state) => ({ state, word })));
    const missing = pairs.filter(({ state, word }) => !met.has(`${state} ${word}`));
    const open = missing.filter(({ state, word }) => whyImpossible(machine, state, word) === null);
    const broken = [...met].filter((pair) => {
      const [state = '', word = ''] = pair.split(' ');
      return whyImpossible(machine, state, word) !== null;
    });
    return [
      `${machine}: ${pairs.length - missing.length} of ${pairs.length} pairs met, ${missing.length - open.length} cannot happen, ${open.length} are open`,
      ...(open.length === 0
        ? []
        : words.flatMap((word) => {
            const where = open.filter((pair) => pair.word === word).map(({ state }) => state);
            return where.length === 0 ? [] : [`  ${word}: ${where.join(' ')}`];
          })),
      ...broken.map((pair) => `  met although it cannot happen: ${pair}`),
    ];
  }

  return {
    noteCell: (machine, state, word) => count(cells, `${machine}|${state}|${word}`),
    noteFault: (name) => count(faults, name),
    noteLaw: (name) => count(laws, name),
    figures: () => ({
      cells: Object.fromEntries(cells),
      faults: Object.fromEntries(faults),
      laws: Object.fromEntries(laws),
    }),
    add(figures) {
      for (const [key, times] of Object.entries(figures.cells)) count(cells, key, times);
      for (const [key, times] of Object.entries(figures.faults)) count(faults, key, times);
      for (const [key, times] of Object.entries(figures.laws)) count(laws, key, times);
    },
    untouched() {
      const met = new Set(ofMachine('order').map(({ state }) => state));
      const names: readonly string[] = [...chances, ...disturbances, ...wideHappenings, ...features];
      return [
        ...orderStates.filter((state) => !met.has(state)),
        ...names.filter((name) => !faults.get(name)),
      ];
    },
    print() {
      const rest = countedNames.filter((name) => !(matrixNames as readonly string[]).includes(name));
      const struck = [...faults].map(([name, times]) => `${name} ${times}`);
      const tried = [...laws].map(([name, times]) => `${name} ${times}`);
      return [
        ...orderTable(),
        '',
        ...matrixNames.flatMap(summaryOf),
        ...rest.map((name) => {
          const met = ofMachine(name);
          const states = new Set(met.map(({ state }) => state));
          return `${name}: ${met.length} pairs met in ${states.size} states: ${[...states].sort().join(' ')}`;
        }),
        `events: ${struck.join(', ')}`,
        `laws: ${tried.join(', ')}`,
      ].join('\n');
    },
  };
}
