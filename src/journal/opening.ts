/** Opens the file of a journal, proves that it is whole, and says what to do when it is not. */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { DamagedFact } from './facts.ts';
import { prepareFolder } from './folder.ts';
import { headsAgree, rebuildHeads } from './heads.ts';
import { epochOf, prepare, renewEpoch } from './schema.ts';
import { readWitness } from './witness.ts';

export interface Opened {
  readonly database: DatabaseSync;
  /** number of the newest fact; 0 for an empty journal */
  readonly lastSeq: number;
  /** names this row of numbers: it changes when a number may be given twice */
  readonly epoch: string;
  /** the read model was not a fold of the facts and was made again */
  readonly rebuilt: boolean;
  /** facts that were told to somebody and are gone from its end */
  readonly lost: number;
  /** facts of another journal that was here before this new one */
  readonly before: number;
}

/** SQLite's primary result codes that have a cure of their own. */
const result = {
  busy: 5,
  readOnly: 8,
  io: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notADatabase: 26,
} as const;

/**
 * Opens or creates. Throws with the variable's name and the fix when the file cannot be used: somebody else uses it,
 * it cannot be written, or it is damaged. Nothing is guessed and nothing in a damaged file is changed.
 */
export function openDatabase(path: string): Opened {
  let database: DatabaseSync | undefined;
  try {
    prepareFolder(path);
    refuseOrphans(path);
    if (existsSync(path)) accessSync(path, constants.W_OK);
    database = new DatabaseSync(path);
    // Exclusive: two runtimes on one journal would each believe themselves the only writer of orders.
    database.exec(
      'pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 0; pragma temp_store = memory; pragma foreign_keys = off;',
    );
    prepare(database, path);
    const lastSeq = proveFacts(database);
    const rebuilt = !headsAgree(database);
    if (rebuilt) rebuildHeads(database);
    const seen = readWitness(path);
    const lost = seen?.epoch === epochOf(database) ? Math.max(0, seen.seq - lastSeq) : 0;
    if (lost > 0) renewEpoch(database);
    const before = lastSeq === 0 && lost === 0 ? (seen?.seq ?? 0) : 0;
    return { database, lastSeq, epoch: epochOf(database), rebuilt, lost, before };
  } catch (error) {
    if (database?.isOpen) database.close();
    throw explained(path, error);
  }
}

/** For what is put beside the journal before it is opened. Throws like `openDatabase`. */
export function prepareJournalFolder(path: string): void {
  try {
    prepareFolder(path);
  } catch (error) {
    throw explained(path, error);
  }
}

/** SQLite deletes a write-ahead log that it finds beside an empty file, with all the facts that are in it. */
function refuseOrphans(path: string): void {
  const size = (file: string): number => (existsSync(file) ? statSync(file).size : 0);
  if (size(path) === 0 && size(`${path}-wal`) > 0)
    throw new Damage(
      `${path}-wal holds facts and the file that it belongs to is ${existsSync(path) ? 'empty' : 'gone'}`,
    );
}

class Damage extends Error {}

/** The number of the newest fact, once the file is found whole and its facts without holes. */
function proveFacts(database: DatabaseSync): number {
  const { integrity_check: verdict } = database.prepare('pragma integrity_check(1)').get() ?? {};
  if (verdict !== 'ok') throw new Damage(String(verdict));
  const { number, last } =
    database.prepare('select count(*) as number, coalesce(max(seq), 0) as last from facts').get() ?? {};
  if (number !== last) throw new Damage(`of ${last} facts only ${number} are there`);
  return Number(last);
}

/** What to do about a damaged file, in words for people. */
export const repairAdvice = (path: string): string =>
  `put back a copy of ${path} from a backup (with its -wal, if it has one), or save what can be read: npm run journal:repair -- ${path} <new file>, then set JOURNAL_PATH to the new file; what is missing then is asked of the broker`;

/** The error that a reader of a stored fact may pass on. */
export function damaged(path: string, error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  return new Error(`JOURNAL_PATH: ${path} is damaged (${message}); ${repairAdvice(path)}`, { cause: error });
}

export const isDamage = (error: unknown): boolean => {
  const code = codeOf(error);
  return (
    error instanceof Damage ||
    error instanceof DamagedFact ||
    code === result.corrupt ||
    code === result.notADatabase
  );
};

/** The primary code: the extended ones carry more in their upper bits. */
const codeOf = (error: unknown): number =>
  error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0;

function explained(path: string, error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  if (message.startsWith('JOURNAL_PATH')) return error as Error;
  if (isDamage(error)) return damaged(path, error);
  const fixes: Readonly<Record<number, string>> = {
    [result.busy]: 'another tws-runtime is using it: stop that one or set another JOURNAL_PATH',
    [result.io]: 'the disk does not do what it is told: look at it before anything else',
    [result.full]: 'make room on its disk',
  };
  const fix =
    fixes[codeOf(error)] ??
    'the file and its folder must be writable, and the folder creatable when it is missing';
  return new Error(`JOURNAL_PATH: cannot open ${path} (${message}); ${fix}`, { cause: error });
}
