/** `npm run journal:repair -- <damaged> <new>`: saves the facts of a damaged journal, from the first to the last good one. */
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isLocked } from './checkup.ts';
import { type FactRow, factColumns, proven } from './facts.ts';
import { openDatabase } from './opening.ts';
import { epochOf, hasEpoch } from './schema.ts';
import { readWitness } from './witness.ts';

export interface Repair {
  /** number of the last fact that was saved; every one before it was saved as well. 0: there is no new file */
  readonly lastSeq: number;
  /** why it ended there; null: the journal ended */
  readonly problem: string | null;
  /** facts that were told to somebody and were not saved; null: nothing beside the journal says how many there were */
  readonly missing: number | null;
}

/**
 * Copies facts 1, 2, 3 ... to a new file until one is missing, cannot be read or is not what was written. The damaged
 * file is not touched, not even by SQLite's own recovery: a copy of it is read. Throws when the new file exists, and
 * when a running process has the damaged one open.
 */
export function repair(damaged: string, target: string): Repair {
  if (!existsSync(damaged)) throw new Error(`${damaged} does not exist`);
  if (existsSync(target)) throw new Error(`${target} exists: name a new file`);
  if (isLocked(damaged)) throw new Error(`${damaged} is in use by a running process: stop that one first`);
  const folder = mkdtempSync(
    join(existsSync(dirname(target)) ? dirname(target) : tmpdir(), '.journal-repair-'),
  );
  try {
    const copy = join(folder, basename(damaged));
    for (const suffix of ['', '-wal'])
      if (existsSync(damaged + suffix)) copyFileSync(damaged + suffix, copy + suffix);
    lengthen(copy);
    const { epoch, lastSeq, problem } = copyFacts(copy, target);
    const seen = readWitness(damaged);
    const isOfThisJournal = seen !== null && (epoch === null || epoch === seen.epoch);
    return { lastSeq, problem, missing: isOfThisJournal ? Math.max(0, seen.seq - lastSeq) : null };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** SQLite refuses a file that is shorter than its header says, and throws away the log of an empty one: both still hold facts. */
function lengthen(copy: string): void {
  const { size } = statSync(copy);
  const header = size >= 100 ? firstBytes(copy, 100) : null;
  const log = header === null && existsSync(`${copy}-wal`) ? firstBytes(`${copy}-wal`, 32) : null;
  const pageSize = header ? header.readUInt16BE(16) : (log?.readUInt32BE(8) ?? 0);
  const wanted = (pageSize === 1 ? 65_536 : pageSize) * (header ? header.readUInt32BE(28) : 1);
  if (wanted <= size) return;
  try {
    truncateSync(copy, wanted);
  } catch {
    // A header that is damaged, too, may name a length that no disk has.
  }
}

function firstBytes(path: string, count: number): Buffer {
  const bytes = Buffer.alloc(count);
  const file = openSync(path, 'r');
  try {
    readSync(file, bytes, 0, count, 0);
  } finally {
    closeSync(file);
  }
  return bytes;
}

function copyFacts(
  from: string,
  target: string,
): Pick<Repair, 'lastSeq' | 'problem'> & { epoch: string | null } {
  const { database: to } = openDatabase(target);
  let source: DatabaseSync | undefined;
  let epoch: string | null = null;
  let lastSeq = 0;
  let problem: string | null = null;
  to.exec('begin immediate');
  try {
    const put = to.prepare(
      'insert into facts (seq, ts, channel, event, kind, name, fact, payload, checksum) values (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    );
    source = new DatabaseSync(from);
    epoch = hasEpoch(source) ? epochOf(source) : null;
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
  if (lastSeq > 0) openDatabase(target).database.close();
  else for (const suffix of ['', '-wal', '-shm']) rmSync(target + suffix, { force: true });
  return { epoch, lastSeq, problem };
}

if (import.meta.main) {
  const [damaged, target] = process.argv.slice(2);
  if (!damaged || !target) {
    process.stderr.write('usage: npm run journal:repair -- <damaged journal> <new file>\n');
    process.exitCode = 64;
  } else {
    try {
      const { lastSeq, problem, missing } = repair(resolve(damaged), resolve(target));
      const lines = [
        `${lastSeq} facts saved${lastSeq === 0 ? '' : ` to ${target}`}${problem === null ? '' : `; what followed could not be read (${problem})`}`,
        ...(missing ? [`missing at its end: ${missing} facts that were told (${damaged}.seq says so)`] : []),
        lastSeq === 0
          ? `nothing in ${damaged} can be saved, and no file was made: put back a backup, or begin with a new JOURNAL_PATH and no open orders`
          : `set JOURNAL_PATH=${target}; at the next start the broker's own lists tell what is missing`,
      ];
      (lastSeq === 0 ? process.stderr : process.stdout).write(`${lines.join('\n')}\n`);
      if (lastSeq === 0) process.exitCode = 1;
    } catch (error) {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 1;
    }
  }
}
