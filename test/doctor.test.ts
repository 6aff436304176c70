/** The doctor as a user calls it: a process of its own, against real gateways, journals and ports. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { VirtualClock } from '../src/simulator/clock.ts';
import { createSimulator, type Simulator } from '../src/simulator/simulator.ts';
import { noRedis, startRedis } from './cache/redis-server.ts';
import { compileCache, eventually, type Program, startProgram, temporaryFolder } from './program.ts';
import { startPeer } from './tws/peer.ts';

interface Found {
  readonly code: number | null;
  readonly out: string;
  readonly status: string;
  readonly checks: readonly { name: string; status: string; detail: string; fix: string }[];
  /** `ok gateway` of the checks with this name */
  of(name: string): string[];
  detail(name: string): string;
}

// Each of them starts several processes, one after the other.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** For what never comes. */
const hasty = ['--json', '--timeout-ms', '200'];
const folder = temporaryFolder();
let simulator: Simulator;
beforeAll(async () => {
  simulator = await createSimulator();
});
afterAll(async () => {
  await simulator.close();
  folder.remove();
});

async function doctor(
  environment: Record<string, string> = {},
  args: readonly string[] = ['--json'],
): Promise<Found> {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, '../src/doctor.ts'), '--timeout-ms', '10000', ...args],
    {
      cwd: folder.path,
      env: {
        PATH: process.env.PATH ?? '',
        ...compileCache,
        GATEWAY: 'tws',
        TWS_PORT: String(simulator.port),
        PORT: '0',
        JOURNAL_PATH: join(folder.path, 'none.db'),
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let out = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      out += chunk;
    });
  const [code] = await once(child, 'close');
  const said = args.includes('--json') && out.startsWith('{') ? JSON.parse(out) : { status: '', checks: [] };
  const named = (name: string) => (said as Found).checks.filter((check) => check.name === name);
  return {
    ...said,
    code,
    out,
    of: (name) => named(name).map(({ status }) => status),
    detail: (name) =>
      named(name)
        .map(({ detail, fix }) => `${detail} -> ${fix}`)
        .join('\n'),
  };
}

describe('the gateway', () => {
  test('a healthy one is greeted, asked for the time, and left; nothing else', async () => {
    const found = await doctor();
    expect(simulator.received().map(({ name }) => name)).toEqual(['hello', 'startApi', 'reqCurrentTime']);
    const asText = doctor({}, []);
    expect(found.checks.filter(({ status }) => status !== 'ok')).toEqual([]);
    expect([found.code, found.status]).toEqual([0, 'ok']);
    expect(found.detail('gateway')).toContain('server version 193, client id 9999 is free');
    expect(found.detail('accounts')).toMatch(/DU…\d{3}/);
    expect(found.out).not.toContain(simulator.exchange.accounts[0]);
    expect(simulator.conformance()).toEqual([]);
    expect(existsSync(join(folder.path, 'none.db'))).toBe(false);
    const lines = (await asText).out.trim().split('\n');
    expect(lines[0]).toMatch(/^ok {4}node: /);
    expect(lines.every((line) => line.startsWith('ok  '))).toBe(true);
  });

  test('down, silent, of another version, something else, late: each has its name and its advice', async () => {
    await simulator.faults.refuse();
    const down = await doctor();
    expect([down.code, down.status, ...down.of('gateway')]).toEqual([1, 'fail', 'fail']);
    expect(down.detail('gateway')).toMatch(
      /refused .* -> start TWS or IB Gateway .*Socket Clients.*7497.*4002/,
    );
    await simulator.faults.acceptSilently();
    expect((await doctor({}, hasty)).detail('gateway')).toMatch(/silent .* -> look at the screen of TWS/);
    await simulator.faults.accept();

    const peer = await startPeer({ version: 300 });
    try {
      const at = { TWS_PORT: String(peer.port) };
      expect((await doctor(at)).detail('gateway')).toMatch(
        /versionUnsupported \(server version 300; 100 to 193/,
      );
      peer.behaviour.version = 150;
      expect((await doctor(at)).of('gateway')).toEqual(['warn']);
      peer.behaviour.version = 193;
      peer.behaviour.accounts = null;
      // Who is that hasty may miss the greeting as well.
      await eventually(
        async () => (await doctor(at, hasty)).detail('gateway'),
        (detail) => /unintroduced .*no accounts .* -> log in to TWS/.test(detail ?? ''),
        30_000,
      );
    } finally {
      await peer.close();
    }

    const other = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    expect((await doctor({ TWS_PORT: String(port) })).detail('gateway')).toMatch(
      /garbage .* -> TWS_PORT is the port of something else/,
    );
    other.close();
  });

  test('its clock and its accounts are compared with ours', async () => {
    const yesterday = await createSimulator({ clock: new VirtualClock(Date.now() - 86_400_000) });
    try {
      const found = await doctor({ TWS_PORT: String(yesterday.port) });
      expect(found.of('clock')).toEqual(['fail']);
      expect(found.detail('clock')).toMatch(/8640\d s behind ours -> set both clocks by NTP/);
    } finally {
      await yesterday.close();
    }
    const [live, paperPort, livePort] = await Promise.all([
      doctor({ TRADING_MODE: 'live' }),
      doctor({ TRADING_MODE: 'live', TWS_PORT: '7497' }),
      doctor({ TWS_PORT: '4001' }),
    ]);
    expect([live.code, ...live.of('accounts')]).toEqual([0, 'warn']);
    expect(paperPort.of('trading mode')).toEqual(['warn']);
    expect(livePort.detail('trading mode')).toContain('usual port of a live login');
  });
});

describe('this machine', () => {
  test('a wrong configuration: every variable by its name', async () => {
    const found = await doctor({ PORT: 'x', TRADING_MODE: 'maybe', TRADE_TOKEN: 'with spaces in it' });
    expect(found.code).toBe(1);
    expect(found.of('configuration')).toEqual(['fail', 'fail', 'fail']);
    for (const name of ['PORT', 'TRADING_MODE', 'TRADE_TOKEN'])
      expect(found.detail('configuration')).toContain(`set ${name} right in the environment`);
    expect(found.out).not.toContain('with spaces in it');
    expect((await doctor({}, ['--client-id', 'x'])).code).toBe(64);
    const file = join(folder.path, '.env.local');
    writeFileSync(file, 'PORT=1\n', 'utf16le');
    expect((await doctor()).detail('configuration')).toMatch(/UTF-16 .* -> make \.env\.local a text file/);
    rmSync(file);
  });

  test('a port that somebody else has, a folder that is none, a Redis that is not there', async () => {
    const other = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.end('no HTTP at all');
    });
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const file = join(folder.path, 'a-file');
    writeFileSync(file, '');
    const found = await doctor({
      PORT: String((other.address() as AddressInfo).port),
      JOURNAL_PATH: join(file, 'journal.db'),
      REDIS_URL: 'redis://:hush-hush@127.0.0.1:1/0',
    });
    other.close();
    expect(found.detail('http')).toMatch(/taken by another program -> .*PORT/);
    expect([found.code, ...found.of('http'), ...found.of('journal')]).toEqual([1, 'fail', 'fail']);
    expect(found.detail('journal')).toContain('is not a folder');
    expect(found.of('redis')).toEqual(['warn']);
    expect(found.out).not.toContain('hush-hush');
  });
});

test('a Redis that is there', async ({ skip }) => {
  if (noRedis !== null) skip(noRedis);
  const redis = await startRedis([['requirepass', 'hush-hush']]);
  try {
    const found = await doctor({ REDIS_URL: redis.url });
    expect(found.detail('redis')).toBe('answers -> ');
    expect((await doctor({ REDIS_URL: redis.url.replace('hush-hush', 'wrong') })).of('redis')).toEqual([
      'warn',
    ]);
  } finally {
    await redis.close();
  }
});

describe('beside a running runtime', () => {
  const journalPath = join(folder.path, 'journal.db');
  let program: Program;
  let its: Record<string, string>;
  beforeAll(async () => {
    program = await startProgram(folder.path, {
      GATEWAY: 'tws',
      TWS_PORT: String(simulator.port),
      TWS_CLIENT_ID: '7',
    });
    its = { PORT: new URL(program.url).port, JOURNAL_PATH: journalPath, TWS_CLIENT_ID: '7' };
    await eventually(
      () => program.call('GET', '/health/ready?gate=trading'),
      ({ status }) => status === 200,
      20_000,
    );
  });
  afterAll(() => program?.kill());

  test('it says so, and disturbs nothing', async () => {
    const sessions = simulator.clients().map(({ session }) => session);
    const files = readdirSync(folder.path).sort();
    const found = await doctor(its);
    expect(found.detail('http')).toContain('a runtime');
    expect(found.detail('health')).toContain('the running instance says');
    expect(found.detail('journal')).toContain(`in use by process ${program.pid}`);
    expect(found.of('gateway')).toEqual(['ok']);
    expect(found.code).toBe(0);
    expect((await doctor(its, ['--json', '--client-id', '7'])).detail('gateway')).toContain(
      'is TWS_CLIENT_ID',
    );
    const taken = await doctor({ ...its, TWS_CLIENT_ID: '1' }, ['--json', '--client-id', '7']);
    expect(taken.detail('client id')).toMatch(/clientIdInUse .* -> another program uses this client id/);
    expect(taken.code).toBe(1);
    expect(simulator.clients().map(({ session }) => session)).toEqual(sessions);
    expect(readdirSync(folder.path).sort()).toEqual(files);
    expect((await program.call('GET', '/health/ready?gate=trading')).status).toBe(200);
  });

  test('its journal, once it has stopped: whole, then damaged; not a byte is changed', async () => {
    await program.stop();
    const digest = (): string =>
      readdirSync(folder.path)
        .filter((name) => name.startsWith('journal.db'))
        .sort()
        .map(
          (name) =>
            name +
            createHash('sha256')
              .update(readFileSync(join(folder.path, name)))
              .digest('hex'),
        )
        .join();
    const before = digest();
    const whole = await doctor({ JOURNAL_PATH: journalPath });
    expect(whole.detail('journal')).toMatch(/^\d+ facts in \d+ bytes, all of them whole/);
    expect(digest()).toBe(before);
    const bytes = readFileSync(journalPath);
    expect(bytes.length).toBeGreaterThan(8_192);
    bytes.fill(0xff, 4_096 + 8, 8_192);
    writeFileSync(journalPath, bytes);
    const after = digest();
    const damaged = await doctor({ JOURNAL_PATH: journalPath });
    expect([damaged.code, ...damaged.of('journal')]).toEqual([1, 'fail']);
    expect(damaged.detail('journal')).toContain(`${journalPath} is damaged`);
    expect(damaged.detail('journal')).toContain('npm run journal:repair');
    expect(digest()).toBe(after);
  });
});
