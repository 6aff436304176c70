/** A hash in Redis that follows a table of ours: changed rows by name, and the whole of it after a loss. */
import { longestText } from './keys.ts';
import type { Command } from './link.ts';

export interface TableOptions<Row> {
  /** name of the hash */
  readonly key: string;
  readonly fieldOf: (row: Row) => string;
  /** false: a row that belongs here no more */
  readonly isShown: (row: Row) => boolean;
  /** how long the hash lives without a refresh, ms */
  readonly lifetimeMs: number;
}

/** Of one command: a bigger one would hold our event loop and Redis for too long. */
const rowsMax = 100;
const lengthMax = 262_144;
/** Changes that wait; beyond it the whole table is written instead. */
const waitingMax = 5_000;

export class Table<Row> {
  readonly #options: TableOptions<Row>;
  readonly #shown = new Set<string>();
  /** rows that are too big to be shown */
  readonly #leftOut = new Set<string>();
  #changed = new Map<string, Row>();
  #isWhole = false;

  constructor(options: TableOptions<Row>) {
    this.#options = options;
  }

  /** Whether Redis can be missing more than the changes that wait. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** How many rows are too big to be shown. */
  get leftOut(): number {
    return this.#leftOut.size;
  }

  get hasChanges(): boolean {
    return this.#isWhole && this.#changed.size > 0;
  }

  /** A row as it is now. Only the newest of each name is kept. */
  note(row: Row): void {
    if (this.#changed.size >= waitingMax) this.doubt();
    this.#changed.set(this.#options.fieldOf(row), row);
  }

  /** Redis lacks something: everything is written again. */
  doubt(): void {
    this.#isWhole = false;
    this.#changed = new Map();
  }

  /** The commands that bring the hash up to the rows noted so far. */
  takeChanges(): Command[] {
    const { key, isShown, lifetimeMs } = this.#options;
    const changed = [...this.#changed];
    this.#changed = new Map();
    const gone = changed.flatMap(([field, row]) => {
      if (isShown(row)) return [];
      this.#leftOut.delete(field);
      return this.#shown.delete(field) ? [field] : [];
    });
    const commands: Command[] = [...this.#setting(key, changed.map(([, row]) => row).filter(isShown))];
    if (commands.length > 0) commands.push(['PEXPIRE', key, String(lifetimeMs)]);
    for (let at = 0; at < gone.length; at += rowsMax)
      commands.push(['HDEL', key, ...gone.slice(at, at + rowsMax)]);
    return commands;
  }

  /** The commands that write these rows, none of them too big. */
  *#setting(key: string, rows: readonly Row[]): Generator<Command> {
    let fields: string[] = [];
    let length = 0;
    for (const row of rows) {
      const field = this.#options.fieldOf(row);
      const text = JSON.stringify(row);
      if (text.length > longestText) {
        this.#leftOut.add(field);
        continue;
      }
      this.#leftOut.delete(field);
      this.#shown.add(field);
      fields.push(field, text);
      length += text.length;
      if (fields.length < 2 * rowsMax && length < lengthMax) continue;
      yield ['HSET', key, ...fields];
      fields = [];
      length = 0;
    }
    if (fields.length > 0) yield ['HSET', key, ...fields];
  }

  /**
   * Writes the whole table beside the hash and puts it in its place. `pages` gives the rows; what changes meanwhile waits
   * and comes after. `run` throws when Redis refuses a command; then the table stays in doubt.
   */
  async rewrite(
    pages: Iterable<readonly Row[]>,
    run: (commands: readonly Command[]) => Promise<void>,
  ): Promise<void> {
    const { key, isShown, lifetimeMs } = this.#options;
    const beside = `${key}:next`;
    this.#shown.clear();
    this.#leftOut.clear();
    this.#changed = new Map();
    // From now on a change counts: a row that was read before it is corrected after.
    this.#isWhole = true;
    try {
      await run([['DEL', beside]]);
      for (const page of pages) {
        for (const command of this.#setting(beside, page.filter(isShown)))
          await run([command, ['PEXPIRE', beside, String(lifetimeMs)]]);
      }
      await run([this.#shown.size > 0 ? ['RENAME', beside, key] : ['DEL', key]]);
    } catch (error) {
      this.doubt();
      throw error;
    }
  }

  /** Keeps the hash alive. */
  refresh(): Command {
    return ['PEXPIRE', this.#options.key, String(this.#options.lifetimeMs)];
  }

  /** Takes what Redis says to a refresh; true: the hash is gone although it had rows, and is in doubt. */
  noteRefreshed(reply: unknown): boolean {
    const isGone = this.#isWhole && reply === 0 && this.#shown.size > 0;
    if (isGone) this.doubt();
    return isGone;
  }
}
