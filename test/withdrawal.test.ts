/** Orders that must go: the kill switch by HTTP, signal and command, and leases that nobody renews. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { leasesMax } from '../machines/withdrawal.machine.ts';
import { everyRow } from './incidents/oracle.ts';
import { alerts, movableClock } from './incidents/told.ts';
import { eventually, openStream, startProgram, temporaryFolder } from './program.ts';
import { startWhole, type Whole } from './whole.ts';

const run = promisify(execFile);
const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function whole(): Promise<Whole> {
  const started = await startWhole();
  closers.push(() => started.stop());
  return started;
}

async function lease(at: Whole, command: Record<string, unknown>) {
  const stream = await openStream(`${at.url.replace('http', 'ws')}/v1/stream`);
  stream.send({ type: 'command', id: 'l', command: 'lease.renew', ...command });
  return { stream, result: await stream.frame(({ id }) => id === 'l') };
}

test('open orders of a client are cancelled when it stops renewing, those of others stay', async () => {
  const at = await whole();
  await at.place({ clientOrderId: 'mine', client: 'robot' });
  await at.place({ clientOrderId: 'other', client: 'human' });
  await at.place({ clientOrderId: 'nameless' });
  const { stream, result } = await lease(at, { client: 'robot', cancelAfterMs: 400 });
  expect(result).toMatchObject({ ok: true, lease: { client: 'robot', expiresAt: expect.any(String) } });
  stream.close();
  await at.order('mine', ({ state }) => state === 'cancelled');
  expect(
    (await at.call('GET', '/v1/orders?state=open')).body.orders
      .map((order: { clientOrderId: string }) => order.clientOrderId)
      .sort(),
  ).toEqual(['nameless', 'other']);
});

test('the end of a lease and what it demands are one record', async () => {
  const at = await whole();
  await at.place({ clientOrderId: 'mine', client: 'robot' });
  const { stream } = await lease(at, { client: 'robot', cancelAfterMs: 200 });
  stream.close();
  await at.order('mine', ({ state }) => state === 'cancelled');
  const standings = (await everyRow(at, '/v1/journal', 'facts'))
    .filter(({ event }) => event === 'withdrawal.changed')
    .map(({ payload }) => payload.withdrawal);
  expect(standings).toMatchObject([
    { leases: [{ client: 'robot' }], owed: [] },
    { leases: [], owed: [{ clientOrderId: 'mine', why: 'lease-lapsed' }] },
    { leases: [], owed: [] },
  ]);
});

test('an order that waited for a price longer than its client lived is not sent', async () => {
  const at = await whole();
  at.simulator.faults.swallow({ messages: ['tickPrice', 'tickSize', 'tickString', 'tickGeneric'] });
  const { stream } = await lease(at, { client: 'robot', cancelAfterMs: 200 });
  stream.close();
  const late = { clientOrderId: 'late', client: 'robot', instrument: 'MSFT', timeInForce: 'gtc' };
  expect(await at.place(late)).toMatchObject({ status: 503, body: { reason: 'lease-lapsed' } });
  expect((await at.call('GET', '/v1/orders/late')).status).toBe(404);
  expect(at.simulator.exchange.openOrders()).toEqual([]);
  expect(await at.place({ ...late, client: 'human' })).toMatchObject({ status: 201 });
});

test('an order of a life that ended is not sent in the next', async () => {
  const at = await whole();
  at.simulator.faults.swallow({ messages: ['tickPrice', 'tickSize', 'tickString', 'tickGeneric'] });
  const { stream } = await lease(at, { client: 'robot', cancelAfterMs: 200 });
  const late = at.place({ clientOrderId: 'late', client: 'robot', instrument: 'MSFT' });
  await eventually(
    () => at.call('GET', '/v1/journal?after=0&limit=500'),
    ({ body }) => body.facts.some(({ event }: { event: string }) => event === 'lease.lapsed'),
  );
  stream.send({
    type: 'command',
    id: 'again',
    command: 'lease.renew',
    client: 'robot',
    cancelAfterMs: 60_000,
  });
  expect(await stream.frame(({ id }) => id === 'again')).toMatchObject({ ok: true });
  expect(await late).toMatchObject({ status: 503, body: { reason: 'lease-lapsed' } });
  stream.close();
});

test('a kill is one message before it is many', async () => {
  const at = await whole();
  for (const clientOrderId of ['a', 'b', 'c']) await at.place({ clientOrderId });
  await at.call('POST', '/v1/kill', {});
  await at.order('c', ({ state }) => state === 'cancelled');
  const cancels = at.simulator
    .received({})
    .map(({ name }) => name)
    .filter((name) => name === 'reqGlobalCancel' || name === 'cancelOrder');
  expect(cancels[0]).toBe('reqGlobalCancel');
});

test('a lease that is renewed or ended cancels nothing', async () => {
  const at = await whole();
  await at.place({ clientOrderId: 'a' });
  const { stream } = await lease(at, { cancelAfterMs: 1_000 });
  for (let n = 0; n < 8; n += 1) {
    stream.send({ type: 'command', id: n, command: 'lease.renew', cancelAfterMs: 1_000 });
    await stream.frame(({ id }) => id === n);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  stream.send({ type: 'command', id: 'end', command: 'lease.renew', cancelAfterMs: 0 });
  expect(await stream.frame(({ id }) => id === 'end')).toMatchObject({
    ok: true,
    lease: { expiresAt: null },
  });
  const { body } = await at.call('GET', '/v1/journal?after=0&limit=500');
  expect(body.facts.filter(({ event }: { event: string }) => event === 'lease.lapsed')).toEqual([]);
  expect(await at.order('a', () => true)).toMatchObject({ state: 'working' });
  stream.close();
});

test('leases have a bound, and a renewal of one leaves nothing in the journal', async () => {
  const at = await whole();
  const { stream } = await lease(at, { client: 'robot', cancelAfterMs: 3_600_000 });
  let asked = 0;
  const renew = (client: string, cancelAfterMs = 3_600_000) => {
    asked += 1;
    const id = `r${asked}`;
    stream.send({ type: 'command', id, command: 'lease.renew', client, cancelAfterMs });
    return stream.frame((frame) => frame.id === id);
  };
  const changes = async () =>
    (await everyRow(at, '/v1/journal', 'facts')).filter(({ event }) => event === 'withdrawal.changed').length;
  const leased = () => at.program.runtime.child('withdrawal').getSnapshot().context.leases.length;

  const expiryOfRobot = async () => {
    const { lease: renewed } = (await renew('robot')) as { lease?: { expiresAt: string } };
    return Date.parse(renewed?.expiresAt ?? '');
  };
  const before = await expiryOfRobot();
  for (let n = 0; n < 20; n += 1) expect(await renew('robot')).toMatchObject({ ok: true });
  expect(await expiryOfRobot()).toBeGreaterThan(before);
  await renew('nobody', 0);
  expect(await changes()).toBe(1);
  await renew('robot', 7_200_000);
  expect(await changes()).toBe(2);

  for (let n = 1; n < leasesMax; n += 1) await renew(`c${n}`);
  expect(await renew('one-more')).toMatchObject({
    ok: false,
    problem: {
      code: 'too-many-leases',
      status: 409,
      detail: expect.stringContaining('end one with cancelAfterMs 0'),
    },
  });
  expect(leased()).toBe(leasesMax);
  expect(await renew('robot')).toMatchObject({ ok: true });
  await renew('c1', 0);
  expect(await renew('one-more')).toMatchObject({ ok: true });
  expect(leased()).toBe(leasesMax);
  stream.close();
});

test('after a restart a lease runs anew: whoever lives renews it, the orders of the dead go', async () => {
  const clock = movableClock(Date.now());
  const at = await startWhole({ now: clock.now });
  closers.push(() => at.stop());
  await at.place({ clientOrderId: 'living', client: 'living' });
  await at.place({ clientOrderId: 'dead', client: 'dead' });
  for (const client of ['living', 'dead']) {
    const { stream } = await lease(at, { client, cancelAfterMs: 4_000 });
    stream.close();
  }
  await at.restart(() => clock.move(60_000));
  const { stream, result } = await lease(at, { client: 'living', cancelAfterMs: 3_600_000 });
  expect(result).toMatchObject({ ok: true });
  await at.order('dead', ({ state }) => state === 'cancelled');
  expect(await at.order('living', () => true)).toMatchObject({ state: 'working' });
  stream.close();
});

test('a lease that lapses while there is no session, or no process, is honoured when both are back', async () => {
  const at = await whole();
  await at.place({ clientOrderId: 'a' });
  const { stream } = await lease(at, { cancelAfterMs: 500 });
  stream.close();
  await at.simulator.faults.refuse();
  at.simulator.faults.drop();
  await eventually(
    () => at.call('GET', '/v1/journal?after=0&limit=500'),
    ({ body }) => body.facts.some(({ event }: { event: string }) => event === 'lease.lapsed'),
  );
  expect(at.simulator.exchange.openOrders()).toHaveLength(1);
  await at.simulator.faults.accept();
  await at.restart();
  await at.order('a', ({ state }) => state === 'cancelled');
  expect(at.simulator.exchange.openOrders()).toEqual([]);
});

test('the kill switch is remembered while the gateway is away: everything goes when it is back', async () => {
  const at = await whole();
  await at.place({ clientOrderId: 'a' });
  await at.simulator.faults.refuse();
  at.simulator.faults.drop();
  await eventually(
    () => at.call('GET', '/health/ready?gate=trading'),
    ({ status }) => status === 503,
  );
  const killed = await at.call('POST', '/v1/kill', {});
  expect(killed.body).toMatchObject({
    trading: { state: 'halted' },
    orders: [{ clientOrderId: 'a', fate: 'unavailable' }],
  });
  await at.simulator.faults.accept();
  await at.order('a', ({ state }) => state === 'cancelled', 20_000);
  expect(at.simulator.exchange.openOrders()).toEqual([]);
});

test('the kill switch names the orders of others that it cancels, and looks what became of them', async () => {
  const at = await whole();
  await at.place({ clientOrderId: 'a' });
  const { exchange } = at.simulator;
  const [ours] = exchange.openOrders();
  if (!ours) throw new Error('our order is in the book');
  exchange.place({ ...ours.request, clientId: 9, orderId: 1, orderRef: 'theirs' });
  const listed = () => at.call('GET', '/v1/orders');
  const { body } = await eventually(listed, ({ body: { orders } }) => orders.length === 2, 40_000);
  const theirs = body.orders.find(({ origin }: { origin: string }) => origin === 'external').clientOrderId;
  const killed = await at.call('POST', '/v1/kill', {});
  expect(killed.body.orders).toMatchObject([
    { clientOrderId: 'a', fate: 'requested' },
    { clientOrderId: theirs, fate: 'requested' },
  ]);
  const again = await at.call('DELETE', '/v1/orders');
  for (const { fate } of again.body.orders) expect(fate).toBe('requested');
  // Sooner than the next lists would come by themselves.
  await at.order(theirs, ({ state }) => state === 'cancelled', 5_000);
});

test('a kill while the gateway is away cancels the orders of others once it is back', async () => {
  const at = await whole();
  await at.place({ clientOrderId: 'a' });
  const { exchange, faults } = at.simulator;
  const [ours] = exchange.openOrders();
  if (!ours) throw new Error('our order is in the book');
  await faults.refuse();
  faults.drop();
  exchange.place({ ...ours.request, clientId: 9, orderId: 1, orderRef: 'theirs' });
  await eventually(
    () => at.call('GET', '/health/ready?gate=trading'),
    ({ status }) => status === 503,
  );
  await at.call('POST', '/v1/kill', {});
  await at.restart(undefined, 'started');
  await faults.accept();
  await eventually(
    () => exchange.openOrders(),
    ({ length }) => length === 0,
    30_000,
  );
  // Once: what somebody places by hand after that is not meant.
  exchange.place({ ...ours.request, clientId: 9, orderId: 2, orderRef: 'later' });
  faults.drop();
  await eventually(
    () => at.simulator.received({ message: 'startApi' }),
    ({ length }) => length >= 3,
  );
  await eventually(
    () => at.program.runtime.root.getSnapshot(),
    (root) => root.hasTag('reconciled'),
    30_000,
  );
  expect(at.simulator.received({ message: 'reqGlobalCancel' })).toHaveLength(1);
  expect(exchange.openOrders()).toHaveLength(1);
});

test('an order that the lists lack stays called missing while it is called back, calmly, until a person settles it', async () => {
  const clock = movableClock(Date.parse('2026-08-13T16:24:00-04:00'));
  const at = await startWhole({ now: clock.now, simulator: { clock } });
  closers.push(() => at.stop());
  await at.place({ clientOrderId: 'a', timeInForce: 'gtc' });
  const { permIds } = await at.order('a', (order) => order.permIds.length > 0);
  await at.restart(() => {
    at.simulator.exchange.script.end(Number(permIds[0]), 'Cancelled');
    clock.move(24 * 3_600_000);
  });
  await at.order('a', ({ reason }) => reason?.code === 'missing-at-broker', 30_000);
  const sent = () => at.simulator.received({ message: 'cancelOrder' }).length;
  const before = sent();
  const withdrawal = () => at.program.runtime.child('withdrawal').getSnapshot().context;

  await at.call('POST', '/v1/kill', {});
  const seen = new Set<string>();
  await eventually(
    async () => {
      const { state, reason } = (await at.call('GET', '/v1/orders/a')).body;
      seen.add(`${state} ${reason?.code}`);
      return withdrawal().attempts;
    },
    (attempts) => attempts >= 3,
  );
  expect([...seen]).toEqual(['inDoubt missing-at-broker']);
  expect(sent() - before).toBe(2);
  expect(await alerts(at, 'order.surprised')).toEqual([]);
  const order = await at.order('a', ({ notices }) => notices.length > 0);
  expect(order.notices).toHaveLength(1);
  const facts = (await everyRow(at, '/v1/journal', 'facts')).map(({ event }) => event);
  expect(facts.filter((event) => event === 'order.cancelRequested')).toHaveLength(1);

  expect((await at.call('POST', '/v1/orders/a/settle', { filledQuantity: '0' })).status).toBe(200);
  await eventually(withdrawal, ({ owed }) => owed.length === 0);
}, 60_000);

test('SIGUSR2 and npm run kill halt and cancel, and the halt outlives the process', async () => {
  const home = temporaryFolder();
  closers.push(() => home.remove());
  const first = await startProgram(home.path);
  closers.push(() => first.kill());
  const ready = (program: typeof first, path: string, status: number) =>
    eventually(
      () => program.call('GET', path),
      (answer) => answer.status === status,
    );
  await ready(first, '/health/ready?gate=trading', 200);
  const resting = {
    instrument: 'AAPL',
    side: 'buy',
    quantity: '1',
    type: 'limit',
    limitPrice: '1',
    timeInForce: 'gtc',
  };
  await first.call('POST', '/v1/orders?wait=accepted', { ...resting, clientOrderId: 'a' });
  process.kill(first.pid, 'SIGUSR2');
  await eventually(
    () => first.call('GET', '/v1/orders/a'),
    ({ body }) => body.state === 'cancelled',
  );
  await first.call('PUT', '/v1/trading', { state: 'open' });
  await first.call('POST', '/v1/orders?wait=accepted', { ...resting, clientOrderId: 'b' });

  const environment = { PATH: process.env.PATH, JOURNAL_PATH: `${home.path}/journal.db` };
  const script = new URL('../src/kill.ts', import.meta.url).pathname;
  const explained = await run(process.execPath, [script, '--help'], {
    cwd: home.path,
    env: { ...environment, PORT: new URL(first.url).port },
  });
  expect(explained.stdout).toMatch(/^usage: npm run kill\n/);
  expect((await first.call('GET', '/v1/trading')).body).toMatchObject({ state: 'open' });
  // A mistake elsewhere in the configuration is told and holds nothing up.
  const byHttp = await run(process.execPath, [script], {
    cwd: home.path,
    env: { ...environment, PORT: new URL(first.url).port, MAX_DAILY_LOSS: 'abc' },
  });
  expect(byHttp.stderr).toContain('MAX_DAILY_LOSS: is "abc"');
  expect(byHttp.stdout).toContain('open orders: 1\n  b: ');
  await eventually(
    () => first.call('GET', '/v1/orders/b'),
    ({ body }) => body.state === 'cancelled',
  );
  await first.call('PUT', '/v1/trading', { state: 'open' });
  const bySignal = await run(process.execPath, [script], {
    cwd: home.path,
    env: { ...environment, PORT: 'eight' },
  });
  expect(bySignal.stdout).toContain(`sent SIGUSR2 to process ${first.pid}`);
  await eventually(
    () => first.call('GET', '/v1/trading'),
    ({ body }) => body.state === 'halted',
  );
  await first.kill();
  const second = await startProgram(home.path);
  closers.push(() => second.kill());
  expect((await second.call('GET', '/v1/trading')).body).toMatchObject({
    state: 'halted',
    reasons: [{ code: 'kill' }],
  });
}, 40_000);
