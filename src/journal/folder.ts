/** The folder of a journal, made and found writable before anything is put into it. */
import { accessSync, constants, lstatSync, mkdirSync, readlinkSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** Throws in the system's words when the folder of this file cannot be made or written to. */
export function prepareFolder(file: string): void {
  makeFolder(dirname(file));
  // SQLite would call it an I/O error.
  accessSync(dirname(file), constants.W_OK);
}

/** Step by step: node's own recursive way never returns where a folder is missing and cannot be made, as below /proc. */
function makeFolder(path: string): void {
  const isThere = () => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (isThere()) return;
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink())
    throw new Error(`${path} is a link to ${readlinkSync(path)}, which is no folder`);
  if (dirname(path) !== path) makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    // Somebody else was quicker.
    if (!isThere()) throw error;
  }
}
