/** Disks that get full and limits that the operating system holds, for tests that need the real thing. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../program.ts';

export interface SmallDisk {
  readonly path: string;
  /** Leaves not a byte free. */
  fill(): void;
  /** Gives the room back. */
  free(): void;
  /** From now on nothing on it can be changed. Nobody may have a file of it open for writing. */
  freeze(): void;
  remove(): void;
}

/** Whether this user may mount. */
export const canMount: boolean = (() => {
  try {
    const disk = smallDisk('1m');
    disk.remove();
    return true;
  } catch {
    return false;
  }
})();

/** A file system of its own in memory, of the given size. */
export function smallDisk(size: string): SmallDisk {
  const folder = temporaryFolder();
  const path = join(folder.path, 'disk');
  mkdirSync(path);
  const mount = (...options: string[]) => execFileSync('mount', [...options, path], { stdio: 'pipe' });
  try {
    mount('-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs');
  } catch (error) {
    folder.remove();
    throw error;
  }
  const filler = join(path, 'filler');
  return {
    path,
    fill() {
      const file = openSync(filler, 'a');
      for (let size = 65_536; size >= 1; ) {
        try {
          writeSync(file, Buffer.alloc(size));
        } catch {
          size = Math.floor(size / 2);
        }
      }
      closeSync(file);
    },
    free: () => rmSync(filler, { force: true }),
    freeze: () => mount('-o', 'remount,ro'),
    remove() {
      execFileSync('umount', ['-l', path]);
      folder.remove();
    },
  };
}

/** Whether the limits of a running process can be changed from here. */
export const canLimit: boolean = (() => {
  try {
    execFileSync('prlimit', ['--version'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
})();

/** No file of the process may be written beyond its first byte; `null` takes that back. */
export function limitFiles(pid: number, bytes: 1 | null): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes ?? 'unlimited'}:unlimited`]);
}
