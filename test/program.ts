/** The program as a user runs it: a process of its own, on free ports, with a journal in a folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';

const root = new URL('..', import.meta.url).pathname;

export interface Program {
  readonly url: string;
  readonly lines: readonly string[];
  readonly pid: number;
  /** Resolves when the process is gone, however it went. */
  readonly ended: Promise<void>;
  /** The answer with its status, headers and body. */
  call(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; headers: Headers; body: Record<string, unknown> }>;
  stream(): Promise<Stream>;
  /** SIGKILL: nothing can be tidied up. */
  kill(): Promise<void>;
  /** SIGTERM, as an orchestrator stops it; the exit code. */
  stop(): Promise<number | null>;
}

export interface Stream {
  readonly frames: readonly Record<string, unknown>[];
  send(message: unknown): void;
  /** The first frame, past or to come, that fits. */
  frame(
    fits: (frame: Record<string, unknown>) => boolean,
    withinMs?: number,
  ): Promise<Record<string, unknown>>;
  close(): void;
}

/** Where files are kept in memory, if there is such a place: for tests that open hundreds of journals, of which none must survive. */
export const fastestFolder = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A folder that is removed with the test. */
export function temporaryFolder(parent = tmpdir()): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(parent, 'tws-runtime-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Polls until the value is there; the deadline's error shows the last one. */
export async function eventually<T>(
  look: () => Promise<T> | T,
  fits: (value: T) => boolean,
  withinMs = 30_000,
): Promise<T> {
  const end = Date.now() + withinMs;
  for (;;) {
    const value = await look();
    if (fits(value)) return value;
    if (Date.now() > end)
      throw new Error(`not within ${withinMs} ms; last: ${JSON.stringify(value)?.slice(0, 2_000)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** For the environment of a child: what was compiled once is not compiled again. */
export const compileCache: Readonly<Record<string, string>> = process.env.NODE_COMPILE_CACHE
  ? { NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }
  : {};

/** Starts it in `folder` and waits until HTTP listens. `environment` overrides the defaults of the test: free port, quiet colours. */
export async function startProgram(
  folder: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Program> {
  const child: ChildProcess = spawn(process.execPath, [join(root, 'src/main.ts')], {
    cwd: folder,
    env: {
      PATH: process.env.PATH ?? '',
      ...compileCache,
      NODE_ENV: 'production',
      PORT: '0',
      JOURNAL_PATH: join(folder, 'journal.db'),
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    const deadline = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`no listening line:\n${lines.join('\n')}`));
    }, 30_000);
    const read = (line: string): void => {
      lines.push(line);
      const found = /Server listening at (http:[^"]+)/.exec(line)?.[1];
      if (!found) return;
      clearTimeout(deadline);
      resolve(found);
    };
    for (const stream of [child.stdout, child.stderr])
      if (stream) createInterface({ input: stream }).on('line', read);
    child.once('exit', (code) => {
      clearTimeout(deadline);
      reject(new Error(`ended with ${code}:\n${lines.join('\n')}`));
    });
  });
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const exit = once(child, 'exit');
    child.kill(signal);
    const [code] = await exit;
    return code as number | null;
  };
  return {
    url,
    lines,
    pid: child.pid ?? 0,
    ended,
    async call(method, path, body) {
      const answer = await fetch(url + path, {
        method,
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      const text = await answer.text();
      return { status: answer.status, headers: answer.headers, body: text ? JSON.parse(text) : {} };
    },
    stream: () => openStream(`${url.replace('http', 'ws')}/v1/stream`),
    kill: async () => {
      await end('SIGKILL');
    },
    stop: () => end('SIGTERM'),
  };
}

/** A client of the stream. */
export async function openStream(url: string): Promise<Stream> {
  const socket = new WebSocket(url);
  const frames: Record<string, unknown>[] = [];
  const waiting = new Set<(frame: Record<string, unknown>) => void>();
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data)) as Record<string, unknown>;
    frames.push(frame);
    for (const look of [...waiting]) look(frame);
  });
  await once(socket, 'open');
  return {
    frames,
    send: (message) => socket.send(JSON.stringify(message)),
    frame: (fits, withinMs = 30_000) =>
      new Promise((resolve, reject) => {
        const past = frames.find(fits);
        if (past) return resolve(past);
        const look = (frame: Record<string, unknown>): void => {
          if (!fits(frame)) return;
          clearTimeout(deadline);
          waiting.delete(look);
          resolve(frame);
        };
        const deadline = setTimeout(() => {
          waiting.delete(look);
          reject(
            new Error(
              `no such frame within ${withinMs} ms among ${frames.length}: ${JSON.stringify(frames.slice(-3))}`,
            ),
          );
        }, withinMs);
        waiting.add(look);
        return undefined;
      }),
    close: () => socket.close(),
  };
}
