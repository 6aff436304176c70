/** A hash in Redis that follows a table of ours: changed rows by name, and the whole of it after a loss. */
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

/** Rows of one command: a bigger one would hold our event loop and Redis for too long. */
const chunk = 100;
/** Changes that wait; beyond it the whole table is written instead. */
const waitingMax = 5_000;

export class Table<Row> {
  readonly #options: TableOptions<Row>;
  readonly #shown = new Set<string>();
  #changed = new Map<string, Row>();
  #isWhole = false;

  constructor(options: TableOptions<Row>) {
    this.#options = options;
  }

  /** Whether Redis can be missing more than the changes that wait. */
  get isWhole(): boolean {
    return this.#isWhole;
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
    const changed = this.#changed;
    this.#changed = new Map();
    const set: string[] = [];
    const gone: string[] = [];
    for (const [field, row] of changed) {
      if (isShown(row)) {
        set.push(field, JSON.stringify(row));
        this.#shown.add(field);
      } else if (this.#shown.delete(field)) gone.push(field);
    }
    const commands: Command[] = [];
    for (let at = 0; at < set.length; at += 2 * chunk)
      commands.push(['HSET', key, ...set.slice(at, at + 2 * chunk)]);
    for (let at = 0; at < gone.length; at += chunk)
      commands.push(['HDEL', key, ...gone.slice(at, at + chunk)]);
    if (set.length > 0) commands.push(['PEXPIRE', key, String(lifetimeMs)]);
    return commands;
  }

  /**
   * Writes the whole table beside the hash and puts it in its place. `pages` gives the rows; what changes meanwhile waits
   * and comes after. `run` throws when Redis refuses a command; then the table stays in doubt.
   */
  async rewrite(
    pages: Iterable<readonly Row[]>,
    run: (commands: readonly Command[]) => Promise<void>,
  ): Promise<void> {
    const { key, fieldOf, isShown, lifetimeMs } = this.#options;
    const beside = `${key}:next`;
    this.#shown.clear();
    this.#changed = new Map();
    // From now on a change counts: a row that was read before it is corrected after.
    this.#isWhole = true;
    try {
      await run([['DEL', beside]]);
      for (const page of pages) {
        const rows = page.filter(isShown);
        for (let at = 0; at < rows.length; at += chunk) {
          const fields = rows.slice(at, at + chunk).flatMap((row) => [fieldOf(row), JSON.stringify(row)]);
          for (let index = 0; index < fields.length; index += 2) this.#shown.add(fields[index] ?? '');
          await run([
            ['HSET', beside, ...fields],
            ['PEXPIRE', beside, String(lifetimeMs)],
          ]);
        }
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
