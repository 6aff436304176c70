/** What a number of runs has touched: which word met an order in which state, and which faults struck. */
import { orderStates } from '../../machines/order.ts';
import { chances, disturbances } from './plan.ts';

export interface Coverage {
  noteCell(state: string, word: string): void;
  noteFault(name: string): void;
  /** Open states in which no order was ever met, and faults that never struck. */
  untouched(): readonly string[];
  /** As a table for people. */
  print(): string;
}

export function createCoverage(): Coverage {
  const cells = new Map<string, Map<string, number>>();
  const faults = new Map<string, number>(chances.map((name) => [name, 0]));
  return {
    noteCell(state, word) {
      let row = cells.get(word);
      if (row === undefined) {
        row = new Map();
        cells.set(word, row);
      }
      row.set(state, (row.get(state) ?? 0) + 1);
    },
    noteFault(name) {
      faults.set(name, (faults.get(name) ?? 0) + 1);
    },
    untouched() {
      const met = new Set([...cells.values()].flatMap((row) => [...row.keys()]));
      const names: readonly string[] = [...chances, ...disturbances];
      return [
        ...orderStates.filter((state) => !met.has(state)),
        ...names.filter((name) => !faults.get(name)),
      ];
    },
    print() {
      const words = [...cells.keys()].filter((word) => !word.startsWith('xstate.')).sort();
      const table = [
        ['word', ...orderStates],
        ...words.map((word) => [
          word,
          ...orderStates.map((state) => String(cells.get(word)?.get(state) ?? '-')),
        ]),
      ];
      const widths = ['word', ...orderStates].map((_, column) =>
        Math.max(...table.map((row) => (row[column] ?? '').length)),
      );
      const lines = table.map((row) =>
        row
          .map((text, column) =>
            column === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[column] ?? 0),
          )
          .join('  '),
      );
      const met = words.reduce((sum, word) => sum + (cells.get(word)?.size ?? 0), 0);
      const struck = [...faults].map(([name, count]) => `${name} ${count}`);
      return [
        ...lines,
        '',
        `${met} of ${words.length * orderStates.length} pairs of word and state met`,
        `events: ${struck.join(', ')}`,
      ].join('\n');
    },
  };
}
