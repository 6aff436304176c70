/** Whether the file that is written to is still the one that stands under its name. */
import { statSync } from 'node:fs';

/** SQLite goes on writing to a file that was deleted or replaced: what it makes durable then is gone with the process. */
export class Place {
  readonly #path: string;
  readonly #file: string | null;
  #log: string | null = null;

  constructor(path: string) {
    this.#path = path;
    this.#file = identityOf(path);
  }

  /** Throws when the file, or its write-ahead log, is not there any more or another one is. */
  check(): void {
    this.#hold(this.#path, this.#file);
    this.#log ??= identityOf(`${this.#path}-wal`);
    this.#hold(`${this.#path}-wal`, this.#log);
  }

  #hold(path: string, known: string | null): void {
    if (known === null || identityOf(path) === known) return;
    throw new Error(
      `${path} was deleted or replaced while it was in use: halt, put it back from a backup, and start again`,
    );
  }
}

/** Null: there is none. */
function identityOf(path: string): string | null {
  const found = statSync(path, { throwIfNoEntry: false });
  return found ? `${found.dev}:${found.ino}` : null;
}
