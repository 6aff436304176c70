import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createLogger, shortenAccount } from '../src/log.ts';

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
