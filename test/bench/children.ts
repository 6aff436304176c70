/** Processes of the bench: each answers named calls over its channel and ends with whoever started it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';

/** What one process offers. Inputs and results are structured-cloned. */
export type Handlers = Readonly<Record<string, (input: never) => unknown>>;

interface Call {
  readonly id: number;
  readonly name: string;
  readonly input: unknown;
}
type Reply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

/** Answers calls until the parent is gone. */
export function serve(handlers: Handlers): void {
  process.on('message', async ({ id, name, input }: Call) => {
    const handler = handlers[name] as ((input: unknown) => unknown) | undefined;
    let reply: Reply;
    try {
      if (!handler) throw new Error(`"${name}" is not among ${Object.keys(handlers).join(', ')}`);
      reply = { id, result: await handler(input) };
    } catch (error) {
      reply = { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
    if (process.connected) process.send?.(reply);
  });
  process.on('disconnect', () => process.exit(0));
}

export interface Child {
  readonly pid: number;
  /** Rejects with the child's error, when the child ends, and after `withinMs`. */
  call<T>(name: string, input?: unknown, withinMs?: number): Promise<T>;
  /** Ends it, with SIGKILL when asking is not enough. Idempotent. */
  stop(): Promise<void>;
}

export interface ChildOptions {
  readonly execArgv?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** how `stop` asks it to end, default SIGTERM */
  readonly stopWith?: NodeJS.Signals;
}

const callWithinMs = 60_000;
const stopWithinMs = 3_000;
const stderrKept = 4_000;

const running = new Set<Child>();

/** Starts one module as a process of its own. */
export function startChild(module: URL, options: ChildOptions = {}): Child {
  const child: ChildProcess = fork(module, {
    execArgv: [...(options.execArgv ?? [])],
    env: { PATH: process.env.PATH ?? '', TMPDIR: tmpdir(), NODE_ENV: 'production', ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const name = module.pathname.split('/').at(-1) ?? '';
  const waiting = new Map<
    number,
    { resolve(value: unknown): void; reject(error: Error): void; deadline: NodeJS.Timeout }
  >();
  let last = 0;
  let said = '';
  const hear = (chunk: Buffer): void => {
    said = (said + chunk.toString()).slice(-stderrKept);
  };
  child.stdout?.on('data', hear);
  child.stderr?.on('data', hear);
  child.on('message', (reply: Reply) => {
    const asked = waiting.get(reply.id);
    if (!asked) return;
    waiting.delete(reply.id);
    clearTimeout(asked.deadline);
    if ('error' in reply) asked.reject(new Error(`${name}: ${reply.error}`));
    else asked.resolve(reply.result);
  });
  child.on('exit', (code, signal) => {
    running.delete(self);
    for (const { reject, deadline } of waiting.values()) {
      clearTimeout(deadline);
      reject(new Error(`${name} ended with ${code ?? signal}: ${said}`));
    }
    waiting.clear();
  });
  const self: Child = {
    pid: child.pid ?? 0,
    call: <T>(what: string, input?: unknown, withinMs = callWithinMs) =>
      new Promise<T>((resolve, reject) => {
        last += 1;
        const id = last;
        const deadline = setTimeout(() => {
          waiting.delete(id);
          reject(new Error(`${name}: no answer to "${what}" within ${withinMs} ms\n${said}`));
        }, withinMs);
        waiting.set(id, { resolve: (value) => resolve(value as T), reject, deadline });
        child.send({ id, name: what, input }, (error) => {
          if (!error) return;
          clearTimeout(deadline);
          waiting.delete(id);
          reject(new Error(`${name} cannot be called: ${error.message}\n${said}`));
        });
      }),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      const force = setTimeout(() => child.kill('SIGKILL'), stopWithinMs);
      child.kill(options.stopWith ?? 'SIGTERM');
      await ended;
      clearTimeout(force);
    },
  };
  running.add(self);
  return self;
}

/** Ends every process that still runs. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((child) => child.stop()));
}

/** Monotonic, in ms, and the same in all processes of this machine. */
export function machineMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

/** Polls until it is so; the error names what was waited for. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 20_000,
): Promise<void> {
  const deadline = machineMs() + withinMs;
  while (!(await isSo())) {
    if (machineMs() > deadline) throw new Error(`waited ${withinMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
