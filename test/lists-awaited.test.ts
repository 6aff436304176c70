/** A session that stands while a list of the broker never ends: no order is taken, and whoever looks is told why. */
import { afterEach, expect, test } from 'vitest';
import { createSimulator } from '../src/simulator/simulator.ts';
import { eventually, startProgram, temporaryFolder } from './program.ts';

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

test('positions that never end: the log, the metrics and the reconciliation say what is lacking', async () => {
  const folder = temporaryFolder();
  closers.push(() => folder.remove());
  const simulator = await createSimulator({ latencyMs: { min: 0, max: 2 } });
  closers.push(() => simulator.close());
  const swallowed = simulator.faults.swallow({ messages: ['positionEnd'] });
  const program = await startProgram(folder.path, { GATEWAY: 'tws', TWS_PORT: String(simulator.port) });
  closers.push(() => program.kill());

  const warning = await eventually(
    () => program.lines.find((line) => line.includes('have not come')),
    (line) => line !== undefined,
  );
  expect(warning).toMatch(/the session with the TWS at \S+ stands, .*its positions have not come; see http/);
  const metrics = async () => (await fetch(`${program.url}/metrics`)).text();
  const told = await metrics();
  expect(told).toContain('tws_runtime_reconciled 0\n');
  expect(told).toContain('tws_runtime_link{state="whole"} 1\n');
  const order = { instrument: 'AAPL', side: 'buy', quantity: '1', type: 'market', clientOrderId: 'first' };
  expect(await program.call('POST', '/v1/orders', order)).toMatchObject({
    status: 503,
    body: { reason: 'reconciling' },
  });
  await eventually(
    () => program.call('GET', '/v1/reconciliations/latest'),
    ({ body }) =>
      body.detail ===
      'no reconciliation has been made yet: the broker has not told its positions (timeout, attempt 1)',
  );

  swallowed.clear();
  await eventually(metrics, (text) => text.includes('tws_runtime_reconciled 1\n'));
}, 60_000);
