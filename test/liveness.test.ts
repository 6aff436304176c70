/** Liveness as an orchestrator sees it, from outside of the process. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deadLoopMs } from '../machines/health.ts';
import { eventually, type Program, startProgram, temporaryFolder } from './program.ts';

const stallMs = deadLoopMs + 1_000;
const folder = temporaryFolder();
let program: Program;
beforeAll(async () => {
  program = await startProgram(folder.path, {
    NODE_OPTIONS: `--import ${new URL('./stall.ts', import.meta.url).href}`,
    STALL_MS: String(stallMs),
  });
});
afterAll(async () => {
  await program.kill();
  folder.remove();
});

test('an event loop that stands still fails liveness, and lives again when it turns', async () => {
  expect((await program.call('GET', '/health/live')).status).toBe(200);
  process.kill(program.pid, 'SIGALRM');
  await eventually(
    () => program.lines,
    (lines) => lines.includes('standing still'),
  );
  const patient = program.call('GET', '/health/live');
  const hasty = fetch(`${program.url}/health/live`, { signal: AbortSignal.timeout(deadLoopMs / 3) });
  await expect(hasty).rejects.toThrow('timeout');

  const answer = await patient;
  expect(answer.status).toBe(503);
  expect(answer.body).toMatchObject({
    status: 'fail',
    gates: { live: false, trading: false },
    reasons: expect.arrayContaining([
      expect.objectContaining({
        code: 'event-loop-stalled',
        component: 'eventLoop',
        detail: expect.stringMatching(/stood still for \d+\.\d s/),
      }),
    ]),
  });
  await eventually(
    () => program.call('GET', '/health/live'),
    ({ status }) => status === 200,
  );
  const { body } = await program.call('GET', '/health/detailed');
  expect((body.components as { eventLoop: { maxMs: number } }).eventLoop.maxMs).toBeGreaterThan(deadLoopMs);
});
