import { createServer, type Socket } from 'node:net';
import { Commands } from './commands.ts';
import type { Simulator } from './simulator.ts';

const HOST = '127.0.0.1';
const MAX_LINE_BYTES = 1024 * 1024;

export interface Control {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * A loopback port that takes one command per line as JSON and answers each with one line: `{"id", "ok": true, "result"}` or
 * `{"id", "ok": false, "error"}`; `id` is whatever the command brought. Rejects when the port is taken.
 */
export async function openControl(simulator: Simulator, port = 0): Promise<Control> {
  const commands = new Commands(simulator);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    serve(socket, commands);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: HOST, port }, () => resolve());
  });
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new Error('the control server has no TCP address');
  return {
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function serve(socket: Socket, commands: Commands): void {
  let text = '';
  let queue = Promise.resolve();
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    text += chunk;
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) {
      if (line.trim() === '') continue;
      queue = queue.then(async () => {
        const reply = await answer(line, commands);
        if (!socket.destroyed) socket.write(`${reply}\n`);
      });
    }
    if (text.length > MAX_LINE_BYTES) socket.destroy();
  });
}

async function answer(line: string, commands: Commands): Promise<string> {
  let id: unknown = null;
  try {
    const { id: given, ...members } = parseCommand(line);
    id = given ?? null;
    return JSON.stringify({ id, ok: true, result: await commands.run(members) });
  } catch (error) {
    return JSON.stringify({ id, ok: false, error: error instanceof Error ? error.message : String(error) });
  }
}

/** One JSON object; throws an error that says what is wrong with the line. */
export function parseCommand(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new RangeError(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RangeError('not a JSON object');
  return { ...value };
}
