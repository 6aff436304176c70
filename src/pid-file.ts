/** Where the running process leaves its id, beside the journal, so that it can be signalled without HTTP. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';

export const pidFileOf = (journalPath: string): string => `${journalPath}.pid`;

/** Returns the way to remove it again, unless another process has put its own there meanwhile. */
export function leavePid(journalPath: string, pid: number): () => void {
  const file = pidFileOf(journalPath);
  writeFileSync(file, `${pid}\n`);
  return () => {
    try {
      if (Number(readFileSync(file, 'utf8')) === pid) rmSync(file);
    } catch {
      // It is gone already, or cannot be removed: a stale id is checked by whoever reads it.
    }
  };
}
