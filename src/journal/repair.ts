/** `npm run journal:repair -- <damaged> <new>`: saves the facts of a damaged journal, from the first to the last good one. */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type FactRow, factColumns, proven } from './facts.ts';
import { openDatabase } from './opening.ts';

export interface Repair {
  /** number of the last fact that was saved; every one before it was saved as well */
  readonly lastSeq: number;
  /** why it ended there; null: the journal ended */
  readonly problem: string | null;
}

/**
 * Copies facts 1, 2, 3 ... to a new file until one is missing, cannot be read or is not what was written. The damaged
 * file is not touched, not even by SQLite's own recovery: a copy of it is read. Throws when the new file exists.
 */
export function repair(damaged: string, target: string): Repair {
  if (!existsSync(damaged)) throw new Error(`${damaged} does not exist`);
  if (existsSync(target)) throw new Error(`${target} exists: name a new file`);
  const folder = mkdtempSync(
    join(existsSync(dirname(target)) ? dirname(target) : tmpdir(), '.journal-repair-'),
  );
  try {
    const copy = join(folder, basename(damaged));
    for (const suffix of ['', '-wal'])
      if (existsSync(damaged + suffix)) copyFileSync(damaged + suffix, copy + suffix);
    return copyFacts(copy, target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function copyFacts(from: string, target: string): Repair {
  const { database: to } = openDatabase(target);
  let source: DatabaseSync | undefined;
  let lastSeq = 0;
  let problem: string | null = null;
  to.exec('begin immediate');
  try {
    const put = to.prepare(
      'insert into facts (seq, ts, channel, event, kind, name, fact, payload, checksum) values (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    );
    source = new DatabaseSync(from);
    for (const row of source
      .prepare(`select ${factColumns} from facts f not indexed order by seq`)
      .iterate()) {
      const fact: FactRow = proven(row);
      if (fact.seq !== lastSeq + 1) throw new Error(`fact ${lastSeq + 1} is missing`);
      const { seq, ts, channel, event, kind, name, fact: said, payload, checksum } = fact;
      put.run(seq, ts, channel, event, kind, name, said, payload, checksum);
      lastSeq = seq;
    }
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  to.exec('commit');
  source?.close();
  to.close();
  // Opened once more, the new file makes its read model from the facts.
  openDatabase(target).database.close();
  return { lastSeq, problem };
}

if (import.meta.main) {
  const [damaged, target] = process.argv.slice(2);
  if (!damaged || !target) {
    process.stderr.write('usage: npm run journal:repair -- <damaged journal> <new file>\n');
    process.exitCode = 64;
  } else {
    try {
      const { lastSeq, problem } = repair(resolve(damaged), resolve(target));
      process.stdout.write(
        `${lastSeq} facts saved to ${target}${problem === null ? '' : `; what followed could not be read (${problem})`}\n` +
          `set JOURNAL_PATH=${target}; at the next start the broker's own lists tell what is missing\n`,
      );
    } catch (error) {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 1;
    }
  }
}
