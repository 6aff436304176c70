import { join } from 'node:path';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { createProgram } from '../../src/program.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { eventually, temporaryFolder } from '../program.ts';
import { startLink } from '../tws/link.ts';
import { heapBytes } from './heap.ts';
import { createMutator, fieldsOf, frameOf } from './mutants.ts';
import { seed } from './seed.ts';
import { startTampering, type Tampering } from './tampering.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function startGateway(): Promise<{ simulator: Simulator; wire: Tampering }> {
  const simulator = await createSimulator({ latencyMs: { min: 0, max: 2 }, tickIntervalMs: 200, seed: 7 });
  stops.push(() => simulator.close());
  const wire = await startTampering(simulator.port);
  stops.push(() => wire.close());
  return { simulator, wire };
}

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape are looked into
type Body = any;

/** The whole runtime behind the stranger. */
async function startRuntime(port: number) {
  const folder = temporaryFolder();
  stops.push(() => folder.remove());
  const config = loadConfig({
    cwd: folder.path,
    env: {
      GATEWAY: 'tws',
      TWS_PORT: String(port),
      PORT: '0',
      JOURNAL_PATH: join(folder.path, 'journal.db'),
      LOG_LEVEL: 'silent',
      NODE_ENV: 'production',
    },
  });
  const program = createProgram({ config, endpoint: config.tws, log: pino({ level: 'silent' }) });
  stops.push(() => program.stop());
  const url = await program.start();
  return async (method: string, path: string, body?: unknown): Promise<{ status: number; body: Body }> => {
    const answer = await fetch(url + path, {
      method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = await answer.text();
    return { status: answer.status, body: text ? JSON.parse(text) : null };
  };
}
type Call = Awaited<ReturnType<typeof startRuntime>>;

const trading = (call: Call) =>
  eventually(
    () => call('GET', '/health/ready?gate=trading'),
    ({ status }) => status === 200,
    20_000,
  );

/** What must be right in the end, in a form that can be compared. */
async function booksOf(call: Call, ids: readonly string[]) {
  const orders = await Promise.all(ids.map(async (id) => (await call('GET', `/v1/orders/${id}`)).body));
  const { positions } = (await call('GET', '/v1/positions')).body;
  return {
    orders: orders.map(
      ({ clientOrderId, state, quantity, limitPrice, side, filledQuantity, fills }: Body) => ({
        clientOrderId,
        state,
        quantity,
        limitPrice,
        side,
        filledQuantity,
        executions: fills.map(({ execId, quantity, price }: Body) => `${execId} ${quantity} ${price}`).sort(),
      }),
    ),
    positions: positions
      .filter(({ quantity }: Body) => Number(quantity) !== 0)
      .map(({ account, instrument, quantity }: Body) => `${account} ${instrument} ${quantity}`)
      .sort(),
  };
}

const frames = 20_000;
const batch = 250;

/** All facts of the journal. */
async function factsOf(call: Call): Promise<Body[]> {
  const facts: Body[] = [];
  for (let after = '0'; after !== null; ) {
    const { body } = await call('GET', `/v1/journal?limit=500&after=${after}`);
    facts.push(...body.facts);
    after = body.next;
  }
  return facts;
}

const familyOf = (execution: string): string =>
  execution.slice(0, execution.indexOf(' ')).replace(/\.[^.]*$/, '');

async function trade(call: Call): Promise<readonly string[]> {
  const place = (clientOrderId: string, wait: string, terms: object) =>
    call('POST', `/v1/orders?wait=${wait}&timeoutMs=15000`, {
      clientOrderId,
      instrument: 'AAPL',
      side: 'buy',
      quantity: '10',
      ...terms,
    });
  const resting = { type: 'limit', timeInForce: 'gtc' };
  await place('bought', 'closed', { type: 'market' });
  await place('sold', 'closed', { type: 'market', side: 'sell', quantity: '3' });
  await place('resting', 'accepted', { ...resting, limitPrice: '1.00' });
  await place('other', 'accepted', { ...resting, limitPrice: '2.00', instrument: 'MSFT' });
  for (const path of ['quotes/AAPL', 'contracts?instrument=AAPL', 'bars/AAPL', 'contracts/search?pattern=AA'])
    await call('GET', `/v1/${path}`);
  await call('POST', '/v1/orders/preview', {
    instrument: 'AAPL',
    side: 'buy',
    quantity: '1',
    type: 'market',
  });
  return ['bought', 'sold', 'resting', 'other'];
}

test(`whatever a gateway says, the books are the broker's in the end, and what was believed is told (FUZZ_SEED=${seed})`, {
  timeout: 600_000,
}, async () => {
  const { wire } = await startGateway();
  const call = await startRuntime(wire.port);
  await trading(call);
  const ids = await trade(call);
  const truth = await eventually(
    () => booksOf(call, ids),
    ({ positions, orders }) =>
      positions.length === 1 && orders.every(({ state }: Body) => /filled|working/.test(state)),
    60_000,
  );
  const told = new Set(
    truth.orders.flatMap(({ executions }: Body) => executions.map((line: string) => line.split(' ')[0])),
  );
  expect(told.size).toBeGreaterThan(1);
  const before = await heapBytes();

  const { mutate, pick } = createMutator(seed);
  const kinds = [...wire.samples.keys()];
  expect(kinds.length).toBeGreaterThan(12);
  // one bit of its revision makes an execution the correction of itself
  const [sample] = wire.samples.get('11') ?? [];
  const corrected = truth.orders[0]?.executions[0].split(' ')[0];
  await wire.inject(
    frameOf(
      fieldsOf(sample as Buffer).map((field) =>
        field === corrected ? field.replace(/0(.)$/, '1$1') : field,
      ),
    ),
  );
  for (let sent = 0; sent < frames; sent += batch) {
    const mutants = Array.from({ length: batch }, () => mutate(pick(wire.samples.get(pick(kinds)) ?? [])));
    await wire.inject(Buffer.concat(mutants));
    // 503 for a moment where the machine stood still: no answer at all would be a crash.
    await eventually(
      () => call('GET', '/health/live'),
      ({ status }) => status === 200,
    );
  }
  await eventually(
    () => call('GET', '/health/detailed'),
    ({ body }) => body.components.tws.undecodable > frames / 2,
    20_000,
  );
  expect((await heapBytes()) - before).toBeLessThan(80e6);
  const { body: health } = await call('GET', '/health/detailed');
  expect(health.actors.length).toBeLessThan(100);

  // lists of two sessions after each other settle what one frame said
  for (let n = 0; n < 3; n += 1) {
    const { connections } = wire;
    wire.cut();
    await eventually(
      () => wire.connections,
      (count) => count > connections,
      20_000,
    );
    await trading(call);
  }
  // A list may lag behind an execution for half a minute; the next round of lists outweighs what never was.
  const after = await eventually(
    () => booksOf(call, ids),
    ({ positions }) => JSON.stringify(positions) === JSON.stringify(truth.positions),
    90_000,
  );
  expect(after.positions).toEqual(truth.positions);

  // ours: as the broker has them, or an alert says what is wrong with them
  const facts = await factsOf(call);
  const alerts = facts.filter(({ channel }) => channel === 'alerts');
  const alarmed = (clientOrderId: string): boolean =>
    alerts.some(
      ({ event, payload }) =>
        event.startsWith('order.') && JSON.stringify(payload).includes(`"clientOrderId":"${clientOrderId}"`),
    );
  const corrections = facts.flatMap(({ event, payload }) =>
    event === 'order.corrected' ? [payload.fill.execId] : [],
  );
  after.orders.forEach((order: Body, at: number) => {
    const right: Body = truth.orders[at];
    for (const execution of right.executions) {
      if (order.executions.includes(execution)) continue;
      const revision = order.executions.find((other: string) => familyOf(other) === familyOf(execution));
      expect(revision, `${order.clientOrderId} lost ${execution}`).toBeDefined();
      expect(corrections, `${order.clientOrderId}: ${execution} became ${revision}`).toContain(
        revision.split(' ')[0],
      );
    }
    expect([right.state, 'inDoubt'], order.clientOrderId).toContain(order.state);
    if (order.state !== right.state || order.filledQuantity !== right.filledQuantity)
      expect(alarmed(order.clientOrderId), `${order.clientOrderId} is ${order.state}`).toBe(true);
  });
  // nobody's: closed, in doubt, or open and not confirmed; and never many
  const { orders } = (await call('GET', '/v1/orders?limit=500')).body;
  const strangers = orders.filter(({ clientOrderId }: Body) => !ids.includes(clientOrderId));
  expect(strangers.length).toBeLessThan(frames / 200);
  for (const { clientOrderId, state, confirmed } of strangers)
    if (!['filled', 'cancelled', 'expired', 'rejected', 'inDoubt'].includes(state))
      expect(confirmed, `${clientOrderId} is ${state}`).toBe(false);
  // an execution that never was has overfilled or corrected an order of ours, and that was told, or is a stranger's
  const { executions } = (await call('GET', '/v1/executions?limit=500')).body;
  const invented = executions.filter(({ execId }: Body) => !told.has(execId));
  expect(invented.length).toBeLessThan(frames / 500);
  for (const { execId, account, clientOrderId } of invented) {
    expect(execId).toMatch(/^[\x21-\x7e]+$/);
    expect(account).toBe('DU1234567');
    if (ids.includes(clientOrderId) && !corrections.includes(execId))
      expect(alarmed(clientOrderId), execId).toBe(true);
  }
  // a flood of frames is no flood of alerts
  expect(alerts.length).toBeLessThan(frames / 20);
  const { lastSeq } = (await call('GET', '/v1/journal?limit=1')).body;
  expect(lastSeq).toBeLessThan(frames / 5);
});

test(`in every phase of a session (FUZZ_SEED=${seed})`, { timeout: 600_000 }, async () => {
  const { wire } = await startGateway();
  const link = startLink({
    port: wire.port,
    delays: { greetingDeadline: 250, syncDeadline: 250, heartbeatDeadline: 250, retryPause: 5 },
  });
  stops.push(() => link.stop());
  const { mutate, misframe, pick } = createMutator(seed + 1);
  const odds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  wire.change = (frame) => {
    const chance = pick(odds);
    if (chance < 3) return mutate(frame);
    if (chance < 4) return misframe(frame);
    return chance < 5 ? Buffer.alloc(0) : null;
  };
  link.send({ type: 'tws.connect' });
  await eventually(
    () => wire.connections,
    (count) => count > 40,
    60_000,
  );
  wire.change = null;
  wire.cut();
  await eventually(
    () => link.hasTag('connected') && link.all('tws.ready').length > 0,
    (isReady) => isReady,
    20_000,
  );
  // and once it stands: a length that lies is the end of this session and of nothing else
  for (let n = 0; n < 25; n += 1) {
    const { connections } = wire;
    const sample = pick(wire.samples.get(pick([...wire.samples.keys()])) ?? []);
    await wire.inject(Buffer.concat([misframe(sample), ...Array.from({ length: 50 }, () => mutate(sample))]));
    wire.cut();
    await eventually(
      () => wire.connections > connections && link.hasTag('connected'),
      (isBack) => isBack,
      20_000,
    );
  }
  const { undecodable } = link.tws().getSnapshot().context;
  expect(undecodable.length).toBeLessThanOrEqual(20);
  for (const { text } of undecodable) expect(text.length).toBeLessThanOrEqual(2_000);
  expect(link.gateway.figures()).toMatchObject({ requestsWaiting: 0, lines: 0 });
});
