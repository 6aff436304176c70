/** Where the running process leaves its id, beside the journal, so that it can be signalled without HTTP. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';

export const pidFileOf = (journalPath: string): string => `${journalPath}.pid`;

/**
 * Returns the way to remove it again, unless another process has put its own there meanwhile. Where it cannot be written
 * `onFailure` is told, and nothing is left: half an id would be another process.
 */
export function leavePid(journalPath: string, pid: number, onFailure: (message: string) => void): () => void {
  const file = pidFileOf(journalPath);
  try {
    writeFileSync(file, `${pid}\n`);
  } catch (error) {
    removeQuietly(file);
    onFailure(error instanceof Error ? error.message : String(error));
  }
  return () => {
    try {
      if (Number(readFileSync(file, 'utf8')) === pid) removeQuietly(file);
    } catch {
      // It is gone already.
    }
  };
}

function removeQuietly(file: string): void {
  try {
    rmSync(file);
  } catch {
    // It stays: a stale id is checked by whoever reads it.
  }
}
