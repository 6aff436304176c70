/** Where the log goes: a descriptor that may be slow, full or gone. The log never stops the process, and never grows without end. */
import { write, writeSync } from 'node:fs';
import type { DestinationStream } from 'pino';

/** Text that waits for the descriptor; what finds no room is lost, and counted. */
const waitingMax = 8 * 1024 * 1024;
const retryMs = 100;
/** At the end: for a write that is under way, and how often a busy descriptor is tried. */
const lastWaitMs = 20;
const lastTries = 10;
/** An in-flight write that takes longer than this will not come back: who reads has stopped reading. */
const stuckMs = 1_000;

const isBusy = (error: unknown): boolean => ['EAGAIN', 'EBUSY'].includes(codeOf(error));
/** Nobody reads any more, for good. */
const isGone = (error: unknown): boolean => ['EPIPE', 'EBADF'].includes(codeOf(error));
const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : 'unknown';

/**
 * A destination of pino's on an open descriptor, written in the background. Lines that cannot be written (disk full, no
 * room) are lost and a later line says how many and why. What waits at the end of the process is written then, once.
 */
export function createLogOutput(descriptor: number): DestinationStream {
  let waiting: string[] = [];
  let size = 0;
  let isOpen = true;
  let writingSince: number | null = null;
  let lost = 0;
  let why = '';

  const lose = (lines: number, cause: string): void => {
    lost += lines;
    why = cause;
  };

  /** All that waits, after a word about what is missing before it. */
  const taken = (): Buffer => {
    const message = `${lost} lines of the log before this one could not be written (${why})`;
    const word = { level: 'warn', time: new Date().toISOString(), lost, msg: message };
    const text = (lost === 0 ? '' : `${JSON.stringify(word)}\n`) + waiting.join('');
    waiting = [];
    size = 0;
    return Buffer.from(text);
  };

  const pump = (): void => {
    if (writingSince !== null || waiting.length === 0 || !isOpen) return;
    const lines = waiting.length;
    const told = lost;
    send(taken(), (error) => {
      writingSince = null;
      if (error === null) {
        lost -= told;
        pump();
        return;
      }
      isOpen = !isGone(error);
      lose(lines, codeOf(error));
      setTimeout(pump, retryMs).unref();
    });
  };

  const send = (bytes: Buffer, done: (error: unknown) => void): void => {
    writingSince = performance.now();
    write(descriptor, bytes, (error, written) => {
      if (error && isBusy(error)) setTimeout(() => send(bytes, done), retryMs);
      else if (error) done(error);
      else if (written < bytes.length) send(bytes.subarray(written), done);
      else done(null);
    });
  };

  /** Nothing may wait for a reader that has stopped reading. */
  const finish = (): void => {
    if (waiting.length === 0 || !isOpen) return;
    if (writingSince !== null) {
      if (performance.now() - writingSince > stuckMs) return;
      pause(lastWaitMs);
    }
    let bytes = taken();
    for (let tries = 0; bytes.length > 0 && tries < lastTries; tries += 1) {
      try {
        bytes = bytes.subarray(writeSync(descriptor, bytes));
      } catch (error) {
        if (!isBusy(error)) return;
        pause(lastWaitMs);
      }
    }
  };
  process.once('exit', finish);

  return {
    write(line) {
      if (!isOpen) return;
      if (size + line.length > waitingMax) {
        lose(1, 'nobody takes them');
        return;
      }
      waiting.push(line);
      size += line.length;
      pump();
    },
  };
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
