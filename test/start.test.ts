/** Starts on a machine that is not as it should be: what stops them, what does not, and what is said. */
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { createSimulator } from '../src/simulator/simulator.ts';
import { eventually, startProgram, temporaryFolder } from './program.ts';

vi.setConfig({ testTimeout: 40_000 });
const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
function home(): { readonly path: string; readonly pidFile: string } {
  const folder = temporaryFolder();
  closers.push(() => folder.remove());
  return { path: folder.path, pidFile: join(folder.path, 'journal.db.pid') };
}

test.each([
  ['a full disk', 'ENOSPC', (file: string) => symlinkSync('/dev/full', file), false],
  ['a folder in its place', 'EISDIR', (file: string) => mkdirSync(file), true],
] as const)('a process id that cannot be written for %s is a warning', async (_, code, hinder, stays) => {
  const { path, pidFile } = home();
  hinder(pidFile);
  const program = await startProgram(path);
  closers.push(() => program.kill());
  expect(program.lines.find((line) => line.includes('the process id cannot be left'))).toContain(code);
  expect(existsSync(pidFile)).toBe(stays);
  expect(await program.stop()).toBe(0);
});

test('an address that is not of this machine is the fault of HOST', async () => {
  const { path } = home();
  await expect(
    startProgram(path, { HOST: '192.0.2.1', TRADE_TOKEN: 'a-token-of-enough-letters' }),
  ).rejects.toThrow(
    /ended with 1:[\s\S]*HOST: 192\.0\.2\.1 is no address of this machine \(EADDRNOTAVAIL\); set/,
  );
});

test('paper trading on a login of live accounts is told by the log, by health, and by the gate of trading', async () => {
  const { path } = home();
  const simulator = await createSimulator({ accounts: ['U1234567'], latencyMs: { min: 0, max: 2 } });
  closers.push(() => simulator.close());
  const program = await startProgram(path, { GATEWAY: 'tws', TWS_PORT: String(simulator.port) });
  closers.push(() => program.kill());
  await eventually(
    () => program.lines,
    (lines) => lines.some((line) => /"level":"warn".*no account of this login is a paper account/.test(line)),
  );
  expect(await program.call('GET', '/health/ready?gate=trading')).toMatchObject({
    status: 503,
    body: { reason: 'no-paper-account' },
  });
  const order = { instrument: 'AAPL', side: 'buy', quantity: '1', type: 'market', clientOrderId: 'first' };
  expect((await program.call('POST', '/v1/orders', order)).status).toBe(422);
});
