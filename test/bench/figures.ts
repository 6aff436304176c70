/** Figures of the bench: percentiles, rows of the report, and the report as text. */

export interface Row {
  /** stable name for whoever reads the JSON */
  readonly id: string;
  readonly group: string;
  readonly what: string;
  /** `ms`, `us`, `ns`, `1/s`, `s`, `kB`, `MB/s`, `x` (a ratio) or `share`; empty for a mere count */
  readonly unit: string;
  /** how many were measured; null for a ratio */
  readonly count: number | null;
  /** the value itself where there is only one */
  readonly p50: number;
  readonly p90: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

export interface Report {
  readonly at: string;
  readonly quick: boolean;
  readonly node: string;
  readonly cpu: string;
  readonly cpus: number;
  /** of the minute before the run: above 0.5, something else ran too */
  readonly loadBefore: number;
  readonly tookSeconds: number;
  readonly rows: readonly Row[];
  readonly notes: readonly string[];
}

type Spread = Pick<Row, 'count' | 'p50' | 'p90' | 'p99' | 'max'>;

/** Nearest-rank percentiles. Throws when nothing was measured. */
export function spreadOf(samples: Iterable<number>): Spread {
  const sorted = Float64Array.from(samples).sort();
  const largest = sorted.at(-1);
  if (largest === undefined) throw new Error('nothing was measured');
  const at = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? largest;
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: largest };
}

const one = (value: number, count: number | null): Spread => ({
  count,
  p50: value,
  p90: null,
  p99: null,
  max: null,
});

/** Collects the rows of one report. */
export class Rows {
  readonly #groups = new Map<string, Row[]>();
  #group = '';

  /** Begins a group, or goes on with it. */
  group(name: string): void {
    this.#group = name;
  }

  /** Group by group. */
  all(): readonly Row[] {
    return [...this.#groups.values()].flat();
  }

  spread(id: string, what: string, unit: string, samples: Iterable<number>): Row {
    return this.add({ id, what, unit, ...spreadOf(samples) });
  }

  value(id: string, what: string, unit: string, value: number, count: number | null = null): Row {
    return this.add({ id, what, unit, ...one(value, count) });
  }

  /** What one row is in terms of another, figure by figure. */
  ratio(id: string, what: string, above: Row, below: Row): Row {
    const divide = (a: number | null, b: number | null): number | null =>
      a === null || b === null || b === 0 ? null : a / b;
    return this.add({
      id,
      what,
      unit: 'x',
      count: null,
      p50: divide(above.p50, below.p50) ?? Number.NaN,
      p90: divide(above.p90, below.p90),
      p99: divide(above.p99, below.p99),
      max: divide(above.max, below.max),
    });
  }

  add(row: Omit<Row, 'group'>): Row {
    const whole = { group: this.#group, ...row };
    const rows = this.#groups.get(this.#group) ?? [];
    this.#groups.set(this.#group, rows);
    rows.push(whole);
    return whole;
  }
}

const heads = ['', 'unit', 'n', 'value/p50', 'p90', 'p99', 'max'] as const;

/** The report as one aligned table. */
export function tableOf({ rows, notes, ...about }: Report): string {
  const lines: string[][] = [];
  let group = '';
  for (const row of rows) {
    if (row.group !== group) {
      group = row.group;
      lines.push([group]);
    }
    const figures = [row.p50, row.p90, row.p99, row.max].map(shown);
    lines.push([`  ${row.what}`, row.unit, row.count === null ? '' : String(row.count), ...figures]);
  }
  const widths = heads.map((head, column) =>
    Math.max(
      head.length,
      ...lines.filter(({ length }) => length > 1).map((line) => line[column]?.length ?? 0),
    ),
  );
  const text = (line: readonly string[]): string =>
    line
      .map((cell, column) =>
        column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  const busy = about.loadBefore > 0.5 ? '  (something else was running: the figures are worth little)' : '';
  return [
    `${about.at}, node ${about.node}, ${about.cpus} x ${about.cpu}${about.quick ? ', quick run: for the shape, not for the figures' : ''}`,
    `load before ${about.loadBefore.toFixed(2)}${busy}, took ${about.tookSeconds.toFixed(0)} s`,
    '',
    text(heads),
    text(heads.map((_, column) => '-'.repeat(widths[column] ?? 0))),
    ...lines.map((line) => (line.length === 1 ? (line[0] ?? '') : text(line))),
    '',
    ...notes.map((note) => `- ${note}`),
    '',
  ].join('\n');
}

function shown(value: number | null): string {
  if (value === null) return '';
  const size = Math.abs(value);
  return value.toFixed(size >= 1_000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3);
}
