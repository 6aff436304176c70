/** Looks at a journal without touching it: whether it could be opened, and whether what is in it is whole. */
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdtempSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openDatabase } from './opening.ts';

export type Checkup =
  | { readonly outcome: 'absent'; readonly message: string }
  | { readonly outcome: 'whole'; readonly facts: number; readonly bytes: number; readonly rebuilt: boolean }
  | { readonly outcome: 'inUse'; readonly message: string }
  | { readonly outcome: 'unusable'; readonly message: string }
  | { readonly outcome: 'notProven'; readonly message: string };

/** SQLite's primary result code for a lock that somebody else holds. */
const busy = 5;

/**
 * Proves a copy, write-ahead log included: not even SQLite's own recovery changes the file. Only for a journal that no
 * process has open.
 */
export function examine(path: string): Checkup {
  const folder = nearestFolder(path);
  try {
    if (!statSync(folder).isDirectory())
      return { outcome: 'unusable', message: `JOURNAL_PATH: ${folder} is not a folder` };
    for (const needed of [folder, path]) if (existsSync(needed)) accessSync(needed, constants.W_OK);
  } catch (error) {
    return { outcome: 'unusable', message: `JOURNAL_PATH: cannot write (${messageOf(error)})` };
  }
  const files = [path, `${path}-wal`].filter((file) => existsSync(file));
  if (files.length === 0)
    return { outcome: 'absent', message: `${path} does not exist yet and will be made` };
  if (isLocked(path)) return { outcome: 'inUse', message: `${path} is locked by a running process` };
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  if (bytes * 2 > freeBytes(tmpdir()))
    return { outcome: 'notProven', message: `no room in ${tmpdir()} for a copy of ${bytes} bytes` };
  const scratch = mkdtempSync(join(tmpdir(), 'journal-checkup-'));
  try {
    const copy = join(scratch, basename(path));
    for (const file of files) copyFileSync(file, join(scratch, basename(file)));
    try {
      const { database, lastSeq, rebuilt } = openDatabase(copy);
      database.close();
      return { outcome: 'whole', facts: lastSeq, bytes, rebuilt };
    } catch (error) {
      return { outcome: 'unusable', message: messageOf(error).replaceAll(copy, path) };
    }
  } catch (error) {
    return { outcome: 'unusable', message: `JOURNAL_PATH: cannot read ${path} (${messageOf(error)})` };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * Whether a running process has it. A runtime keeps its journal locked for as long as it runs, and only then is there a
 * write-ahead log that is not ours.
 */
export function isLocked(path: string): boolean {
  if (!existsSync(`${path}-wal`)) return false;
  // Only looking at an empty file makes SQLite delete its log, with all the facts in it.
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0) return false;
  const index = `${path}-shm`;
  const hadIndex = existsSync(index);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true });
    database.prepare('select count(*) from sqlite_schema').get();
    return false;
  } catch (error) {
    return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === busy;
  } finally {
    if (database?.isOpen) database.close();
    if (!hadIndex) rmSync(index, { force: true });
  }
}

/** Bytes that the disk of the journal has left for us. */
export function roomFor(path: string): number {
  return freeBytes(nearestFolder(path));
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** The folder of the file, or the nearest one above that exists. */
function nearestFolder(path: string): string {
  let folder = dirname(path);
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
