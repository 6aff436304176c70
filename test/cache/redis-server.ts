/** A real Redis on loopback, as a child of the test. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createClient } from 'redis';
import { temporaryFolder } from '../program.ts';

const missing = spawnSync('redis-server', ['--version']).error;
/** Why the tests with Redis cannot run here; null: they can. */
export const noRedis: string | null = missing
  ? `redis-server is not installed (${missing.message}): the tests of the cache need a real one`
  : null;

export type Client = ReturnType<typeof makeClient>;
const makeClient = (url: string) => createClient({ url, RESP: 2, socket: { reconnectStrategy: 50 } });

export interface RedisServer {
  readonly url: string;
  /** A client of the test's own; it is closed with the server. */
  client(): Promise<Client>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stand, nothing is answered. */
  freeze(): void;
  thaw(): void;
  /** Starts it again on the same port, empty. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** `settings` are lines of redis.conf: `['maxmemory', '2mb']`. */
export async function startRedis(
  settings: readonly (readonly [string, string])[] = [],
): Promise<RedisServer> {
  const folder = temporaryFolder();
  const port = await freePort();
  const password = settings.find(([name]) => name === 'requirepass')?.[1];
  const url = `redis://${password ? `:${password}@` : ''}127.0.0.1:${port}/0`;
  const clients: Client[] = [];
  let child: ChildProcess | null = null;

  const start = async (): Promise<void> => {
    const given = [
      ['port', String(port)],
      ['bind', '127.0.0.1'],
      ['save', ''],
      ['appendonly', 'no'],
      ['dir', folder.path],
      ...settings,
    ];
    const args = given.flatMap(([name, value]) => [`--${name}`, value ?? '']);
    const started = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    child = started;
    let said = '';
    await new Promise<void>((resolve, reject) => {
      started.once('exit', (code) => reject(new Error(`redis-server ended with ${code}:\n${said}`)));
      started.stdout.on('data', (chunk) => {
        said += chunk;
        if (said.includes('Ready to accept connections')) resolve();
      });
    });
  };
  const kill = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  await start();
  return {
    url,
    async client() {
      const client = makeClient(url);
      client.on('error', () => undefined);
      clients.push(client);
      await client.connect();
      return client;
    },
    kill,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    start,
    async close() {
      for (const client of clients) client.destroy();
      await kill();
      folder.remove();
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}

/** What arrives on these channels, parsed, in the order of arrival. */
export async function listen(server: RedisServer, ...channels: readonly string[]) {
  // biome-ignore lint/suspicious/noExplicitAny: tests look into messages of every shape
  const heard: { readonly channel: string; readonly message: any }[] = [];
  const client = await server.client();
  await client.subscribe([...channels], (text, channel) => {
    heard.push({ channel, message: JSON.parse(text) });
  });
  return heard;
}
