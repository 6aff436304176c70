/** A wall clock that jumps: order is a matter of sequence, and nothing waits for a time to come again. */

import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { steadyClock } from '../src/clock.ts';
import { createSimulator } from '../src/simulator/simulator.ts';
import { expectBooksAgree } from './incidents/oracle.ts';
import { eventually, type Program, startProgram, temporaryFolder } from './program.ts';

const endings: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

test('it never goes back, is never behind the wall, and runs on while the wall is behind', () => {
  const jump = fc.record({
    passes: fc.integer({ min: 0, max: 10_000 }),
    jumps: fc.integer({ min: -1e8, max: 1e8 }),
  });
  fc.assert(
    fc.property(fc.array(jump, { minLength: 1, maxLength: 30 }), (jumps) => {
      let [wall, elapsed] = [1_700_000_000_000, 5_000];
      const now = steadyClock(
        () => wall,
        () => elapsed,
      );
      let before = now();
      expect(before).toBe(wall);
      for (const { passes, jumps: by } of jumps) {
        wall += passes + by;
        elapsed += passes;
        const time = now();
        expect(time).toBe(Math.max(before + passes, wall));
        before = time;
      }
    }),
  );
});

test('a pause of the process between two readings does not put it ahead of the wall', () => {
  let [passed, pause] = [0, 0];
  const read = (): number => {
    const time = passed;
    passed += pause;
    return time;
  };
  const now = steadyClock(
    () => 1_700_000_000_000 + read(),
    () => read(),
  );
  pause = 50;
  now();
  pause = 0;
  expect(now()).toBe(1_700_000_000_000 + passed);
});

test('an hour back and a day forward: doubts are settled, fills are booked once, a restart finds the same books', async () => {
  const folder = temporaryFolder();
  endings.push(folder.remove);
  const simulator = await createSimulator({ latencyMs: { min: 0, max: 2 }, tickIntervalMs: 20 });
  endings.push(() => simulator.close());
  const start = async (shifts: readonly number[]): Promise<Program> => {
    const program = await startProgram(folder.path, {
      GATEWAY: 'tws',
      TWS_PORT: String(simulator.port),
      JOURNAL_PATH: join(folder.path, 'journal.db'),
      NODE_OPTIONS: `--import ${new URL('./crash/preload.ts', import.meta.url).href}`,
      CLOCK_SHIFTS: shifts.join(','),
    });
    endings.push(() => program.kill());
    await eventually(
      () => program.call('GET', '/health/ready?gate=trading'),
      ({ status }) => status === 200,
      20_000,
    );
    return program;
  };
  const [hour, day] = [3_600_000, 86_400_000];
  let program = await start([0, -hour, day]);
  const jump = async (shift: number) => {
    process.kill(program.pid, 'SIGALRM');
    await eventually(
      () => program.lines.length,
      () => program.lines.includes(`wall clock shifted by ${shift} ms`),
    );
  };
  const place = (clientOrderId: string, terms: object, query = '?wait=accepted&timeoutMs=8000') =>
    program.call('POST', `/v1/orders${query}`, {
      clientOrderId,
      instrument: 'AAPL',
      side: 'buy',
      quantity: '4',
      ...terms,
    });
  const resting = { type: 'limit', limitPrice: '1.00', timeInForce: 'gtc' };
  const market = { type: 'market' };
  const order = (id: string, state: string) =>
    eventually(
      () => program.call('GET', `/v1/orders/${id}`),
      ({ body }) => body.state === state,
      20_000,
    );
  const trade = async (name: string) => {
    expect((await place(`${name}-rests`, resting)).status).toBe(201);
    expect((await place(`${name}-fills`, market)).status).toBe(201);
    await order(`${name}-rests`, 'working');
    await order(`${name}-fills`, 'filled');
  };
  await trade('before');

  simulator.faults.ignore({ messages: ['placeOrder'] }, 1);
  expect((await place('swallowed', resting, '')).status).toBe(201);
  // What is asked of the broker from now on is asked an hour before the order was placed, says the wall.
  await jump(-hour);
  expect((await order('swallowed', 'rejected')).body).toMatchObject({ reason: { code: 'not-at-broker' } });
  await trade('back');

  await jump(day);
  await trade('forward');
  await order('before-rests', 'working');
  await order('back-rests', 'working');
  expect((await place('before-fills', market, '')).status).toBe(200);
  await expectBooksAgree({ simulator, call: program.call });

  for (const shift of [-hour, 3 * day, 0]) {
    await program.kill();
    program = await start([shift]);
    await expectBooksAgree({ simulator, call: program.call });
    expect((await place('back-fills', market, '')).status).toBe(200);
    await order('before-rests', 'working');
  }
}, 120_000);
