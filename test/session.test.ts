/** A trading session from start to fill, killed, and found again: the program as a user starts it. */
import { afterEach, expect, test } from 'vitest';
import { eventually, type Program, startProgram, temporaryFolder } from './program.ts';

const folders: { remove(): void }[] = [];
const programs: Program[] = [];
afterEach(async () => {
  for (const program of programs.splice(0)) await program.kill();
  for (const folder of folders.splice(0)) folder.remove();
});

async function start(folder: string, environment?: Record<string, string>): Promise<Program> {
  const program = await startProgram(folder, environment);
  programs.push(program);
  await eventually(
    () => program.call('GET', '/health/ready?gate=trading'),
    ({ status }) => status === 200,
  );
  return program;
}

function folder(): string {
  const made = temporaryFolder();
  folders.push(made);
  return made.path;
}

const list = (body: Record<string, unknown>, noun: string) => body[noun] as Record<string, unknown>[];

test('an order fills, the process is killed, and order, fill and position are there exactly once', async () => {
  const home = folder();
  const first = await start(home);
  const stream = await first.stream();
  stream.send({ type: 'subscribe', id: 1, channel: 'quotes', keys: ['AAPL'] });
  stream.send({ type: 'subscribe', id: 2, channel: 'orders' });
  const quote = await stream.frame(
    ({ type, rows }) => type !== 'ack' && JSON.stringify(rows ?? '').includes('"bid"'),
  );
  expect(quote).toMatchObject({ seq: expect.any(Number), rows: [{ key: 'AAPL' }] });

  const placed = await first.call('POST', '/v1/orders?wait=closed&timeoutMs=5000', {
    clientOrderId: 'c-1',
    instrument: 'AAPL',
    side: 'buy',
    quantity: 10,
    type: 'market',
  });
  expect(placed).toMatchObject({
    status: 201,
    body: { clientOrderId: 'c-1', state: 'filled', filledQuantity: '10', remainingQuantity: '0' },
  });
  expect(placed.headers.get('location')).toBe('/v1/orders/c-1');
  const filled = await stream.frame(({ event }) => event === 'order.filled');
  expect(filled).toMatchObject({ type: 'event', order: { clientOrderId: 'c-1' }, fill: { quantity: '10' } });
  const commissioned = await eventually(
    () => first.call('GET', '/v1/orders/c-1'),
    ({ body }) => body.commission !== null,
  );
  stream.close();

  const working = await first.call('POST', '/v1/orders?wait=accepted', {
    clientOrderId: 'c-2',
    instrument: 'AAPL',
    side: 'buy',
    quantity: '5',
    type: 'limit',
    limitPrice: '1.00',
    timeInForce: 'gtc',
  });
  expect(working.body).toMatchObject({ state: 'working', permIds: [expect.stringMatching(/^\d+$/)] });

  await first.kill();
  const second = await start(home);
  const again = await second.call('GET', '/v1/orders/c-1');
  expect(again.body).toEqual({
    ...commissioned.body,
    updatedAt: again.body.updatedAt,
    version: again.body.version,
  });
  expect(
    list((await second.call('GET', '/v1/orders')).body, 'orders').map(({ clientOrderId }) => clientOrderId),
  ).toEqual(['c-2', 'c-1']);
  const executions = list((await second.call('GET', '/v1/executions')).body, 'executions');
  expect(executions).toMatchObject([{ clientOrderId: 'c-1', quantity: '10', side: 'buy' }]);
  const positions = await eventually(
    async () => list((await second.call('GET', '/v1/positions')).body, 'positions'),
    (rows) => rows[0]?.confirmed === true,
  );
  expect(positions).toMatchObject([{ instrument: 'AAPL', quantity: '10', confirmed: true }]);

  const alive = await second.call('GET', '/v1/orders/c-2');
  expect(alive.body).toMatchObject({
    state: 'working',
    permIds: working.body.permIds,
    orderId: working.body.orderId,
  });
  const cancelled = await second.call('DELETE', '/v1/orders/c-2');
  expect(cancelled.status).toBe(202);
  await eventually(
    () => second.call('GET', '/v1/orders/c-2'),
    ({ body }) => body.state === 'cancelled',
  );

  const repeated = await second.call('POST', '/v1/orders', {
    clientOrderId: 'c-1',
    instrument: 'AAPL',
    side: 'buy',
    quantity: '10',
    type: 'market',
  });
  expect(repeated).toMatchObject({ status: 200, body: { state: 'filled' } });
  const next = await second.call('POST', '/v1/orders', {
    clientOrderId: 'c-3',
    instrument: 'AAPL',
    side: 'sell',
    quantity: '10',
    type: 'market',
  });
  expect(next.body.orderId).toBeGreaterThan(Number(working.body.orderId));
  await eventually(
    async () => list((await second.call('GET', '/v1/positions')).body, 'positions'),
    (rows) => rows.length === 0,
  );
  expect(await second.stop()).toBe(0);
});

test('a wrong configuration stops the start with every problem, and nothing is touched', async () => {
  const home = folder();
  await expect(startProgram(home, { PORT: 'many', TRADING_MODE: 'yolo' })).rejects.toThrow(
    /PORT[\s\S]*TRADING_MODE|TRADING_MODE[\s\S]*PORT/,
  );
});

test('a port that is taken is named, with what to do', async () => {
  const first = await startProgram(folder());
  const { port } = new URL(first.url);
  await expect(startProgram(folder(), { PORT: port })).rejects.toThrow(
    `PORT: 127.0.0.1:${port} cannot be listened on (EADDRINUSE); stop the program that listens there`,
  );
  expect(await first.stop()).toBe(0);
});
