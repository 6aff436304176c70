/** The journal of one login in front of the TWS of another. */
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { loadConfig } from '../src/config.ts';
import { createProgram } from '../src/program.ts';
import { createSimulator, type Simulator } from '../src/simulator/simulator.ts';
import { eventually, temporaryFolder } from './program.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape are looked into
type Body = any;

async function login(account: string): Promise<Simulator> {
  const simulator = await createSimulator({ accounts: [account], latencyMs: { min: 0, max: 1 } });
  stops.push(() => simulator.close());
  return simulator;
}

async function start(simulator: Simulator, journal: string) {
  const folder = temporaryFolder();
  stops.push(() => folder.remove());
  const env = {
    GATEWAY: 'tws',
    PORT: '0',
    JOURNAL_PATH: journal,
    LOG_LEVEL: 'silent',
    NODE_ENV: 'production',
  };
  const config = loadConfig({ cwd: folder.path, env });
  const endpoint = { host: '127.0.0.1', port: simulator.port };
  const program = createProgram({ config, endpoint, log: pino({ level: 'silent' }) });
  const url = await program.start();
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (!isStopped) await program.stop();
    isStopped = true;
  };
  stops.push(stop);
  const call = async (
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: Body }> => {
    const sent =
      body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const answer = await fetch(url + path, { method, ...sent });
    return { status: answer.status, body: await answer.json() };
  };
  const trading = () =>
    eventually(
      () => call('GET', '/health/ready?gate=trading'),
      ({ status }) => status === 200,
      20_000,
    );
  return { call, stop, trading };
}

const resting = {
  instrument: 'AAPL',
  side: 'buy',
  quantity: '1',
  type: 'limit',
  limitPrice: '1',
  timeInForce: 'gtc',
};

test('nothing of one login reaches another: no cancel, no order, no position', async () => {
  const folder = temporaryFolder();
  stops.push(() => folder.remove());
  const [mine, other] = [await login('DU1234567'), await login('DU7654321')];
  const journal = join(folder.path, 'mine.db');

  const first = await start(mine, journal);
  await first.trading();
  const order = { ...resting, clientOrderId: 'mine' };
  expect((await first.call('POST', '/v1/orders?wait=accepted', order)).body.state).toBe('working');
  const bought = { ...order, clientOrderId: 'bought', type: 'market', limitPrice: undefined };
  expect((await first.call('POST', '/v1/orders?wait=closed', bought)).body.state).toBe('filled');
  await first.stop();

  const theirs = await start(other, join(folder.path, 'theirs.db'));
  await theirs.trading();
  const placed = await theirs.call('POST', '/v1/orders?wait=accepted', {
    ...resting,
    clientOrderId: 'theirs',
  });
  expect(placed.body).toMatchObject({ state: 'working', orderId: 1 });
  await theirs.stop();

  const strayed = await start(other, journal);
  await eventually(
    () => strayed.call('GET', '/health/detailed'),
    ({ body }) => body.reasons.some(({ code }: { code: string }) => code === 'other-login'),
  );
  const refused = {
    status: 503,
    body: { reason: 'other-login', detail: expect.stringContaining('JOURNAL_PATH') },
  };
  expect(await strayed.call('POST', '/v1/orders', { ...resting, clientOrderId: 'next' })).toMatchObject(
    refused,
  );
  expect(await strayed.call('DELETE', '/v1/orders/mine')).toMatchObject(refused);
  await strayed.call('POST', '/v1/kill', {});
  expect((await strayed.call('GET', '/health/ready?gate=trading')).status).toBe(503);
  expect((await strayed.call('GET', '/v1/positions')).body.positions).toMatchObject([
    { account: 'DU1234567' },
  ]);
  const { facts } = (await strayed.call('GET', '/v1/journal?limit=500')).body;
  expect(facts).toContainEqual(
    expect.objectContaining({
      event: 'tws.otherLogin',
      payload: { alert: { accounts: ['DU7654321'], known: ['DU1234567'] } },
    }),
  );
  await strayed.stop();
  expect(other.received({ message: 'cancelOrder' })).toEqual([]);
  expect(other.received({ message: 'reqGlobalCancel' })).toEqual([]);
  expect(other.exchange.openOrders()).toHaveLength(1);

  const back = await start(mine, journal);
  await eventually(
    () => back.call('GET', '/v1/orders/mine'),
    ({ body }) => body.state === 'cancelled',
    20_000,
  );
  expect(mine.exchange.openOrders()).toEqual([]);
});
