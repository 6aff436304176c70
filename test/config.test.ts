import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseEnv } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Config, ConfigError, isLoopback, loadConfig, publicConfig, variables } from '../src/config.ts';

const root = resolve(import.meta.dirname, '..');
let cwd = '';
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'config-'));
});
afterEach(() => rmSync(cwd, { recursive: true }));

function problemsOf(env: Record<string, string>): ConfigError {
  try {
    loadConfig({ cwd, env });
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

/** Per variable, texts that must be refused and texts that must pass. */
const cases: Record<string, { wrong: string[]; right: string[] }> = {
  GATEWAY: { wrong: ['ib', ''], right: ['simulated', 'tws', 'TWS'] },
  TWS_HOST: { wrong: ['a b', '', '256.1.1.1', 'http://x'], right: ['gateway.local', '10.0.0.7', '::1'] },
  TWS_PORT: { wrong: ['0', '65536', '74.97', 'x', '', '0x10', '1e3', '-1'], right: ['1', '4002', '65535'] },
  TWS_CLIENT_ID: { wrong: ['-1', '1.5', '2147483648'], right: ['0', '31'] },
  TRADING_MODE: { wrong: ['demo', 'true'], right: ['paper', 'Live', 'off'] },
  HOST: { wrong: ['', 'not a host'], right: ['127.0.0.1', 'localhost', '::1', '127.8.9.1'] },
  PORT: { wrong: ['-1', '65536', 'eight', ''], right: ['0', '8000', '65535'] },
  TRADE_TOKEN: { wrong: ['two words', 'umläut', 'x'.repeat(513)], right: ['', 'x'.repeat(64)] },
  READ_TOKEN: { wrong: ['two words', 'tab\tin'], right: ['', 'y'.repeat(64)] },
  ALLOWED_ORIGINS: {
    wrong: ['*', 'desk.example.com', 'http://a/path', 'http://a,http://a', 'ftp://a'],
    right: ['', 'http://localhost:5173', 'https://a.example, http://b:81'],
  },
  DEBUG: { wrong: ['maybe', '2', '', 'on'], right: ['true', 'FALSE', '1', '0', 'yes', 'No'] },
  LOG_LEVEL: { wrong: ['loud', '', '30'], right: ['INFO', 'Debug', 'silent'] },
  REDIS_URL: {
    wrong: ['127.0.0.1:6379', 'http://x', 'redis://', 'redis://h/foo', 'redis://h/0/1'],
    right: ['', 'redis://h:1/0', 'rediss://h', 'redis://h/'],
  },
  REDIS_PREFIX: { wrong: ['', 'a b', 'ключ', '*', 'x'.repeat(65)], right: ['desk', 'eu:tws-runtime.2'] },
  STOP_ORDER_POLICY: { wrong: ['cancel', ''], right: ['leave', 'cancel-day', 'CANCEL-ALL'] },
  STOP_DEADLINE_MS: { wrong: ['0', '999', '600001', '10s'], right: ['1000', '10000'] },
  MAX_LATENCY_MS: { wrong: ['0', '-1', 'fast', '60001', ''], right: ['10', '0.5', '60000'] },
  BATCH_UPDATE_INTERVAL_MS: { wrong: ['0', '10001', '16.6'], right: ['1', '50'] },
  JOURNAL_PATH: {
    wrong: ['', ':memory:', 'file:j.db?mode=memory'],
    right: ['./j.db', 'elsewhere/j.db'],
  },
  READY_REQUIRES_TWS: { wrong: ['x'], right: ['true', 'false'] },
  INSPECT: { wrong: ['x'], right: ['1', '0'] },
  INSPECT_PORT: { wrong: ['65536', '-1', ''], right: ['0', '8080'] },
  MAX_ORDER_QUANTITY: { wrong: ['-1', 'many', 'Infinity', ''], right: ['0', '0.5', '1e6'] },
  MAX_ORDER_NOTIONAL: { wrong: ['-0.01', 'NaN'], right: ['0', '250000.50'] },
  MAX_OPEN_ORDERS: { wrong: ['-1', '1.5'], right: ['0', '15'] },
  MAX_ORDERS_PER_SECOND: { wrong: ['-1', '2.5'], right: ['0', '50'] },
  PRICE_COLLAR_PERCENT: { wrong: ['101', '-1', '5%'], right: ['0', '2.5', '100'] },
  MAX_POSITION_NOTIONAL: { wrong: ['-1', '1,000'], right: ['0', '5'] },
  MAX_DAILY_LOSS: { wrong: ['-1', ''], right: ['0', '100.25'] },
};
const names = Object.keys(variables.properties);

describe('values', () => {
  test('there are cases for every variable', () => {
    expect(Object.keys(cases).sort()).toEqual([...names].sort());
  });

  test.each(Object.entries(cases))('%s takes what is right', (name, { right }) => {
    for (const value of right) expect(() => loadConfig({ cwd, env: { [name]: value } }), value).not.toThrow();
  });

  test.each(Object.entries(cases))('%s refuses what is wrong and says what is allowed', (name, { wrong }) => {
    for (const value of wrong) {
      const { problems } = problemsOf({ [name]: value });
      expect(
        problems.map(({ variable }) => variable),
        value,
      ).toEqual([name]);
      expect(problems[0]?.detail).toMatch(/\(environment\); it must be .+, e\.g\. .+/);
    }
  });

  test('any mixture of right and wrong values reports exactly the wrong ones', () => {
    const setting = (name: string) =>
      fc.oneof(
        fc.constantFrom(...(cases[name]?.wrong ?? [])).map((value) => ({ name, value, wrong: true })),
        fc.constantFrom(...(cases[name]?.right ?? [])).map((value) => ({ name, value, wrong: false })),
        fc.constant({ name, value: undefined, wrong: false }),
      );
    fc.assert(
      fc.property(fc.tuple(...names.map(setting)), (settings) => {
        const env = Object.fromEntries(settings.map(({ name, value }) => [name, value]));
        const expected = settings.filter(({ wrong }) => wrong).map(({ name }) => name);
        let reported: string[] = [];
        try {
          loadConfig({ cwd, env });
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
          reported = error.problems.map(({ variable }) => variable);
        }
        expect(reported.sort()).toEqual(expected.sort());
      }),
      { numRuns: 300 },
    );
  });

  test('words and numbers become what they mean', () => {
    const config = loadConfig({
      cwd,
      env: {
        LOG_LEVEL: 'INFO',
        DEBUG: 'Yes',
        MAX_DAILY_LOSS: '1.50e2',
        ALLOWED_ORIGINS: 'http://a, http://b:81',
      },
    });
    expect(config.logLevel).toBe('info');
    expect(config.http.debug).toBe(true);
    expect(config.limits.maxDailyLoss).toBe('150');
    expect(config.http.allowedOrigins).toEqual(['http://a', 'http://b:81']);
    expect(config.journalPath).toBe(join(cwd, 'data/journal.db'));
  });
});

describe('layers', () => {
  test('the committed .env says what the schema says, each line with its comment, and no secret', () => {
    const content = readFileSync(join(root, '.env'), 'utf8');
    const committed = parseEnv(content);
    content.split('\n').forEach((line, index, lines) => {
      if (line.includes('=') && !line.startsWith('#')) expect(lines[index - 1], line).toMatch(/^# ./);
    });
    expect(Object.keys(committed).sort()).toEqual([...names].sort());
    const bare = loadConfig({ cwd, env: {} });
    writeFileSync(join(cwd, '.env'), content);
    expect(loadConfig({ cwd, env: {} })).toEqual(bare);
    expect(committed.TRADE_TOKEN).toBe('');
    expect(committed.READ_TOKEN).toBe('');
    expect([bare.gateway, bare.tradingMode, bare.http.host]).toEqual(['simulated', 'paper', '127.0.0.1']);
  });

  test('.env.local overrides .env, the environment overrides both', () => {
    writeFileSync(join(cwd, '.env'), 'PORT=1001\nTWS_PORT=1002\nTWS_CLIENT_ID=3\n');
    writeFileSync(join(cwd, '.env.local'), 'PORT=2001\nTWS_PORT="2002" # comment\n');
    const { http, tws } = loadConfig({ cwd, env: { PORT: '3001' } });
    expect([http.port, tws.port, tws.clientId]).toEqual([3001, 2002, 3]);
  });

  test('a problem names the layer that it came from', () => {
    writeFileSync(join(cwd, '.env.local'), 'TWS_PORT=99999\n');
    expect(problemsOf({}).message).toContain('TWS_PORT: is "99999" (.env.local); it must be');
  });

  test('a variable set twice in one file is refused with its lines', () => {
    writeFileSync(join(cwd, '.env.local'), 'PORT=1\n# PORT=5\n\nPORT=2\n');
    expect(problemsOf({}).problems).toEqual([
      { variable: 'PORT', detail: 'is set 2 times in .env.local (lines 1, 4); keep one' },
    ]);
  });

  test('a file that cannot be read is a problem, an absent one is not', () => {
    const file = join(root, 'package.json');
    expect(() => loadConfig({ cwd: join(cwd, 'absent'), env: {} })).not.toThrow();
    expect(() => loadConfig({ cwd: file, env: {} })).toThrow(/\.env: cannot be read \(ENOTDIR\)/);
  });

  test('a byte order mark is no part of the first name, and UTF-16 is refused by the name of the file', () => {
    writeFileSync(join(cwd, '.env.local'), '\ufeffPORT=2001\nTWS_PORT=2002\n');
    const { http, tws, warnings } = loadConfig({ cwd, env: {} });
    expect([http.port, tws.port, warnings]).toEqual([2001, 2002, []]);
    for (const mark of ['\ufeff', '']) {
      writeFileSync(join(cwd, '.env.local'), `${mark}TRADING_MODE=off\n`, 'utf16le');
      expect(problemsOf({}).problems).toEqual([
        { variable: '.env.local', detail: expect.stringMatching(/is UTF-16 .* save it as UTF-8/) },
      ]);
    }
  });

  test('strangers are ignored, near misses are warned of', () => {
    writeFileSync(join(cwd, '.env.local'), 'twsPort=7496\n');
    const { warnings, tws } = loadConfig({
      cwd,
      env: { TWS_PROT: '4001', TRADING_MOED: 'live', PATH: '/bin', HOSTNAME: 'x', TWS_PATH: 'y', LANG: 'C' },
    });
    expect(tws.port).toBe(7497);
    expect(warnings).toEqual([
      'twsPort (.env.local) is not a variable of ours and is ignored; did you mean TWS_PORT?',
      'TWS_PROT (environment) is not a variable of ours and is ignored; did you mean TWS_PORT?',
      'TRADING_MOED (environment) is not a variable of ours and is ignored; did you mean TRADING_MODE?',
    ]);
  });
});

describe('safety', () => {
  const secret = 's3cret-s3cret-s3cret';

  test('the inspector needs a port of its own, when it runs', () => {
    const env = { PORT: '8080', INSPECT_PORT: '8080' };
    expect(() => loadConfig({ cwd, env: { ...env, INSPECT: 'true' } })).toThrow(
      'INSPECT_PORT: is 8080, like PORT',
    );
    expect(() => loadConfig({ cwd, env })).not.toThrow();
    expect(() => loadConfig({ cwd, env: { PORT: '0', INSPECT_PORT: '0', INSPECT: 'true' } })).not.toThrow();
  });

  test.each(['.', '/'])('a journal is a file, not the folder %s', (path) => {
    expect(() => loadConfig({ cwd, env: { JOURNAL_PATH: path } })).toThrow(
      `JOURNAL_PATH: is ${JSON.stringify(path)}, which is a folder: name a file in it`,
    );
  });

  test('a host that other machines can reach needs a token', () => {
    expect(problemsOf({ HOST: '0.0.0.0' }).problems).toEqual([
      { variable: 'HOST', detail: expect.stringContaining('set TRADE_TOKEN (and READ_TOKEN)') },
    ]);
    for (const name of ['TRADE_TOKEN', 'READ_TOKEN']) {
      expect(loadConfig({ cwd, env: { HOST: '::', [name]: secret } }).http.host).toBe('::');
    }
  });

  test('a token that is too short beyond this machine stops the start, and is no more than a warning on it', () => {
    for (const name of ['TRADE_TOKEN', 'READ_TOKEN']) {
      expect(problemsOf({ HOST: '0.0.0.0', [name]: 'fifteen-letters' }).problems).toEqual([
        { variable: name, detail: expect.stringContaining('is shorter than 16 characters') },
      ]);
      expect(problemsOf({ HOST: 'fd00::1', TRADE_TOKEN: secret, READ_TOKEN: 'r' }).problems).toHaveLength(1);
      const { warnings } = loadConfig({ cwd, env: { [name]: 'fifteen-letters' } });
      expect(warnings).toEqual([`${name} is shorter than 16 characters`]);
    }
  });

  test('loopback is 127/8, ::1 and localhost, nothing that resembles them', () => {
    for (const name of ['127.0.0.1', '127.1.2.3', '::1', 'localhost', '::ffff:127.0.0.1', 'LOCALHOST'])
      expect(isLoopback(name), name).toBe(true);
    for (const name of [
      '0.0.0.0',
      '::',
      '10.0.0.1',
      '128.0.0.1',
      '127.0.0.1.example.com',
      'localhost.example.com',
    ])
      expect(isLoopback(name), name).toBe(false);
  });

  test('a wrong secret is never shown', () => {
    const { message, problems } = problemsOf({ TRADE_TOKEN: 'hush hush', REDIS_URL: 'http://me:hush@h' });
    expect(problems).toHaveLength(2);
    expect(message).not.toContain('hush');
  });

  test('what goes to the log has no secret in it', () => {
    const env = {
      TRADE_TOKEN: secret,
      READ_TOKEN: `${secret}2`,
      REDIS_URL: `redis://me:${secret}@h:1/0?p=${secret}`,
    };
    const text = JSON.stringify(publicConfig(loadConfig({ cwd, env })));
    expect(text).not.toContain(secret);
    expect(text).toContain('"tradeTokenSet":true');
    expect(text).toContain('redis://***@h:1/0');
    expect(JSON.stringify(publicConfig(loadConfig({ cwd, env: {} })))).toContain('"readTokenSet":false');
  });

  test('what is legal but not meant is warned of', () => {
    const warningsOf = (env: Record<string, string>): Config['warnings'] => loadConfig({ cwd, env }).warnings;
    expect(warningsOf({})).toEqual([]);
    expect(warningsOf({ TRADING_MODE: 'live' })).toEqual([expect.stringContaining('GATEWAY=simulated')]);
    expect(warningsOf({ TRADE_TOKEN: secret, READ_TOKEN: secret })).toEqual([
      expect.stringContaining('same'),
    ]);
    expect(warningsOf({ TRADE_TOKEN: 'short' })).toEqual([expect.stringContaining('shorter')]);
  });
});

test('a process that starts with wrong values prints every problem and no stack, from its real environment', () => {
  const script = `
    const { loadConfig, ConfigError } = await import(${JSON.stringify(pathToFileURL(join(root, 'src/config.ts')).href)});
    try { loadConfig({ cwd: process.cwd(), env: process.env }); } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      process.stderr.write(error.message + '\\n');
      process.exitCode = 2;
    }`;
  const run = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd,
    env: { TWS_PORT: 'abc', GATEWAY: 'ib' },
    encoding: 'utf8',
  });
  expect(run.status).toBe(2);
  expect(run.stderr.trim().split('\n')).toEqual([
    'the configuration has 2 problems:',
    '  GATEWAY: is "ib" (environment); it must be one of simulated, tws, e.g. simulated',
    '  TWS_PORT: is "abc" (environment); it must be a whole number from 1 to 65535, e.g. 7497',
  ]);
});
