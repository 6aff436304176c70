/**
 * How far the journal had come when facts were last announced, in a small file beside it. It is written without fsync
 * and outlives the process: when the journal ends before that, its end was lost.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

export interface Witnessed {
  readonly epoch: string;
  readonly seq: number;
}

/** SQLite's name for a database without a file. */
const inMemory = ':memory:';

export const witnessPath = (path: string): string => `${path}.seq`;

/** What it says; null when there is none that can be read. */
export function readWitness(path: string): Witnessed | null {
  try {
    const [, epoch, seq] =
      /^([0-9a-f]{8}) +(\d{1,16})\n/.exec(readFileSync(witnessPath(path), 'latin1')) ?? [];
    return epoch === undefined ? null : { epoch, seq: Number(seq) };
  } catch {
    return null;
  }
}

export class Witness {
  readonly #path: string;
  #file: number | null = null;
  #seq = -1;

  constructor(path: string) {
    this.#path = witnessPath(path);
  }

  /** Notes the newest number that anybody may know. A disk that refuses it is the journal's own trouble, and told there. */
  note({ epoch, seq }: Witnessed): void {
    if (seq === this.#seq || this.#path === witnessPath(inMemory)) return;
    try {
      this.#file ??= openSync(this.#path, 'w');
      writeSync(this.#file, `${epoch} ${String(seq).padStart(16)}\n`, 0, 'latin1');
      this.#seq = seq;
    } catch {
      this.close();
    }
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }
}
