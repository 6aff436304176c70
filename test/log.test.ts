import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, truncateSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createLogger, shortenAccount } from '../src/log.ts';
import { compileCache, eventually, temporaryFolder } from './program.ts';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

function capture(logLevel: 'info' | 'debug' = 'info') {
  const lines: string[] = [];
  const log = createLogger({ logLevel, production: false }, { write: (line) => void lines.push(line) });
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown> };
}

describe('lines', () => {
  test('are JSON with a level in words and the time in RFC 3339, and nothing about the host', () => {
    const { log, last } = capture();
    log.warn({ lines: 3 }, 'hello');
    expect(last()).toEqual({
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-.+Z$/),
      lines: 3,
      msg: 'hello',
    });
  });

  test('below the configured level are not written', () => {
    const { log, lines } = capture();
    log.debug('no');
    expect(lines).toEqual([]);
  });
});

describe('what must not be shown', () => {
  test('account ids are shortened wherever a key says account, also in children', () => {
    const { log, last } = capture();
    const order = { account: 'DU1234567', legs: [{ account: 'U7654321', quantity: '1' }] };
    log
      .child({ account: 'DU1234567', token: 'hush' })
      .info({ order, accounts: ['DU1234567', 'DF12'] }, 'placed');
    expect(last()).toMatchObject({
      account: 'DU…567',
      token: '[hidden]',
      order: { account: 'DU…567', legs: [{ account: 'U…321', quantity: '1' }] },
      accounts: ['DU…567', 'DF…'],
    });
    expect(order.account).toBe('DU1234567');
  });

  test('tokens, cookies and authorization are hidden at any level, and in requests', () => {
    const { log, lines, last } = capture();
    class Request {
      readonly headers = { authorization: 'Bearer hush', cookie: 'a=hush', accept: '*/*' };
    }
    log.info(
      { http: { tradeToken: 'hush', headers: { Authorization: 'Bearer hush' } }, TRADE_TOKEN: 'hush' },
      'a',
    );
    log.info({ req: new Request() }, 'b');
    expect(last()).toMatchObject({ req: { headers: { authorization: '[hidden]', accept: '*/*' } } });
    expect(lines.join()).not.toContain('hush');
  });

  test('errors keep their message and stack', () => {
    const { log, last } = capture();
    log.error(new Error('socket closed'));
    expect(last()).toMatchObject({
      err: { message: 'socket closed', stack: expect.stringContaining('log.test') },
    });
  });

  test('depth is bounded, and a cycle is written, not followed', () => {
    const { log, last } = capture();
    const loop: Record<string, unknown> = { account: 'DU1234567' };
    loop.self = loop;
    log.info(loop, 'loop');
    expect(last()).toMatchObject({ msg: 'loop', account: 'DU…567' });
    expect(JSON.stringify(last())).not.toContain('1234567');
  });

  test('property: no account id survives, however it is nested', () => {
    const id = 'DU1234567';
    const nested = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 9 },
        fc.record({ account: fc.constant(id) }),
        fc.record({ accounts: fc.array(fc.constant(id), { maxLength: 3 }) }),
        fc.record({ a: tie('node'), b: tie('node') }),
        fc.array(tie('node'), { maxLength: 2 }),
      ),
    })).node;
    fc.assert(
      fc.property(nested, (value) => {
        const { log, lines } = capture();
        log.info({ value });
        expect(lines.join()).not.toContain(id);
      }),
    );
  });

  test('a short account id gives nothing away', () => {
    expect([
      shortenAccount('DU1234567'),
      shortenAccount('U12'),
      shortenAccount(''),
      shortenAccount('1234567'),
    ]).toEqual(['DU…567', 'U…', '…', '…567']);
  });
});

describe('a log that cannot be written', () => {
  const root = resolve(import.meta.dirname, '..');
  const module = pathToFileURL(join(root, 'src/log.ts')).href;

  test('stops nothing: the process answers, and ends when asked', async () => {
    const folder = temporaryFolder();
    const full = openSync('/dev/full', 'w');
    const port = await freePort();
    const child = spawn(process.execPath, [join(root, 'src/main.ts')], {
      cwd: folder.path,
      env: { PATH: process.env.PATH ?? '', ...compileCache, NODE_ENV: 'production', PORT: String(port) },
      stdio: ['ignore', full, 'ignore'],
    });
    const ended = once(child, 'exit');
    try {
      const answers = (path: string) =>
        fetch(`http://127.0.0.1:${port}${path}`).then(
          ({ status }) => status,
          () => 0,
        );
      await eventually(
        () => answers('/health/ready?gate=trading'),
        (status) => status === 200,
        20_000,
      );
      expect(await answers('/nowhere')).toBe(404);
      expect(await answers('/health/live')).toBe(200);
      child.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
    } finally {
      child.kill('SIGKILL');
      closeSync(full);
      folder.remove();
    }
  }, 60_000);

  test('goes on when there is room again, and says how much is missing', async () => {
    const folder = temporaryFolder();
    const file = join(folder.path, 'log');
    const script = `
      import { createLogger } from ${JSON.stringify(module)};
      const log = createLogger({ logLevel: 'info', production: true });
      let n = 0;
      setInterval(() => log.info({ n: (n += 1) }, 'x'.repeat(100)), 5);
      process.on('SIGTERM', () => { log.fatal('the last'); process.exit(0); });`;
    // Of a file that is full a disk is not, so that this needs none of its own.
    const child = spawn(
      'bash',
      [
        '-c',
        'ulimit -f 4; exec "$0" --input-type=module --eval "$1" >> "$2"',
        process.execPath,
        script,
        file,
      ],
      { stdio: 'ignore' },
    );
    const ended = once(child, 'exit');
    const read = () => (existsSync(file) ? readFileSync(file, 'utf8') : '');
    try {
      await eventually(
        () => read().length,
        (length) => length >= 4 * 1024,
      );
      await new Promise((done) => setTimeout(done, 300));
      truncateSync(file);
      await eventually(read, (text) => text.includes('could not be written (EFBIG)'));
      child.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
      const lines = read()
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line));
      const word = lines.findIndex(({ lost }) => lost > 0);
      expect(lines[word]).toMatchObject({ level: 'warn', lost: expect.any(Number) });
      expect(lines.at(-1)).toMatchObject({ level: 'fatal', msg: 'the last' });
    } finally {
      child.kill('SIGKILL');
      folder.remove();
    }
  });
});

describe('standard output', () => {
  const module = pathToFileURL(resolve(import.meta.dirname, '../src/log.ts')).href;
  function run(isTerminal: boolean, production: boolean): string {
    const script = `
      import { createLogger } from ${JSON.stringify(module)};
      Object.defineProperty(process.stdout, 'isTTY', { value: ${isTerminal} });
      createLogger({ logLevel: 'info', production: ${production} }).info({ port: 8000 }, 'listening');`;
    const child = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
    });
    expect(child.stderr).toBe('');
    return child.stdout;
  }

  test('gets JSON unless it is a terminal in development, and nothing is lost at the end', () => {
    for (const output of [run(false, false), run(true, true)]) {
      expect(JSON.parse(output)).toMatchObject({ level: 'info', port: 8000, msg: 'listening' });
    }
    const forPeople = run(true, false);
    expect(forPeople).toContain('listening');
    expect(() => JSON.parse(forPeople)).toThrow();
  });
});
