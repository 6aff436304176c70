/**
 * The supervisor's table, row by row: each child of the root is struck by a message that it cannot read, as a fault of
 * our own would strike it, and what then shows outside is what machines/supervision.ts says.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { orderActor } from '../machines/blotter.machine.ts';
import type { ActorRow, HealthReason } from '../machines/health.ts';
import {
  type ChildName,
  restartsMax,
  restartWindowMs,
  type SupervisionRule,
  supervision,
} from '../machines/supervision.ts';
import type { Program } from '../src/program.ts';
import { eventually, openStream } from './program.ts';
import { startWhole, type Whole } from './whole.ts';

const rules: readonly (readonly [ChildName, SupervisionRule])[] = Object.entries(supervision) as never;

/** Facts and commands without their bodies: the child throws in its own code when it reads them. */
const unreadable: Readonly<Record<Exclude<ChildName, 'reconciliation'>, { readonly type: string }>> = {
  journal: { type: 'journal.append' },
  gate: { type: 'gate.positionNoted' },
  ledger: { type: 'ledger.book' },
  desk: { type: 'order.submit' },
  audit: { type: 'audit.compared' },
  withdrawal: { type: 'withdrawal.demand' },
  tws: { type: 'farm.changed' },
  market: { type: 'tws.farmChanged' },
};

function childOf({ runtime }: Program, name: ChildName) {
  const child = runtime.root.getSnapshot().children[name];
  if (!child) throw new Error(`there is no ${name}`);
  return child as {
    send(event: { readonly type: string }): void;
    getSnapshot(): { readonly status: string };
  };
}

/** Strikes once, and returns when the child has thrown. */
async function strike(program: Program, name: ChildName): Promise<void> {
  const child = childOf(program, name);
  if (name === 'reconciliation') {
    // It is told nothing that it could misread: what its port brings once is no list.
    const { gateway } = program.runtime;
    const { positions } = gateway;
    const once = () => {
      Object.assign(gateway, { positions });
      return Promise.resolve(undefined);
    };
    Object.assign(gateway, { positions: once });
    child.send({ type: 'evidence.wanted' });
    await eventually(
      () => child.getSnapshot().status,
      (status) => status === 'error',
    );
    return;
  }
  if (name === 'tws')
    await eventually(
      () => program.runtime.child('tws').getSnapshot().children.session,
      (session) => session !== undefined,
    );
  if (name === 'market')
    await eventually(
      () => program.runtime.child('market').getSnapshot().context.rows.length,
      (readInstruments) => readInstruments > 0,
    );
  child.send(unreadable[name]);
  expect(child.getSnapshot().status).toBe('error');
}

async function rowOf(whole: Whole, name: ChildName): Promise<ActorRow | undefined> {
  const { body } = await whole.call('GET', '/health/detailed');
  return body.actors.find(({ id }: ActorRow) => id === `runtime.${name}`);
}

async function reasonCodes(whole: Whole): Promise<string[]> {
  const { body } = await whole.call('GET', '/health/detailed');
  return body.reasons.map(({ code }: HealthReason) => code);
}

/** Alerts of this kind about this child since the beginning. */
const alerts = async (whole: Whole, event: string, name: ChildName) =>
  (await alertsOf(whole, event)).filter(({ child }) => child === name);

async function alertsOf(whole: Whole, event: string) {
  const all = [];
  for (let after = 0; ; ) {
    const { body } = await whole.call('GET', `/v1/journal?after=${after}&limit=500`);
    if (body.facts.length === 0) break;
    all.push(...body.facts);
    after = body.facts.at(-1).seq;
  }
  return all.filter((fact) => fact.event === event).map(({ payload }) => payload.alert);
}

let whole: Whole;
beforeAll(async () => {
  whole = await startWhole();
});
afterAll(() => whole.stop());

describe.each(rules)('the %s', (name, rule) => {
  const isJournaled = name !== 'journal';
  const isLatched = rule.finally === 'halt' && isJournaled;

  if (rule.restartsWith !== null)
    test(`is started again ${restartsMax} times within ${restartWindowMs / 1_000} s, and trading goes on`, async () => {
      const resting = `resting-${name}`;
      expect((await whole.place({ clientOrderId: resting })).status).toBe(201);
      for (let restarts = 1; restarts <= restartsMax; restarts += 1) {
        await strike(whole.program, name);
        const row = await rowOf(whole, name);
        expect(row?.restarts, 'restarts').toBe(restarts);
        expect(row?.tags).not.toContain('failed');
      }
      await whole.untilTrading();
      const told = await eventually(
        () => alerts(whole, 'runtime.childRestarted', name),
        ({ length }) => length === restartsMax,
      );
      expect(told.map(({ restarts }) => restarts)).toEqual([1, 2, 3]);
      expect(told[0].error).toContain('Error');
      expect((await whole.call('GET', '/v1/trading')).body.state).toBe('open');
      expect((await whole.place()).status).toBe(201);
      expect((await whole.call('DELETE', `/v1/orders/${resting}`)).status).toBe(202);
      await whole.order(resting, ({ state }) => state === 'cancelled');
    });

  test(`${rule.restartsWith === null ? 'is not started again' : 'is given up then'}: ${rule.finally}`, async () => {
    const resting = `left-${name}`;
    expect((await whole.place({ clientOrderId: resting })).status).toBe(201);
    await strike(whole.program, name);
    const row = await rowOf(whole, name);
    expect(row?.tags).toEqual(name === 'journal' ? undefined : ['failed']);

    const refused = await whole.place({}, '');
    expect([refused.status, refused.body.code, refused.body.reason]).toEqual([
      503,
      'trading-unavailable',
      rule.finally === 'halt' ? 'disabled' : 'failed',
    ]);
    const live = await whole.call('GET', '/health/live');
    expect(live.status).toBe(rule.finally === 'escalate' ? 503 : 200);
    expect((await whole.call('GET', '/health')).status).toBe(503);
    expect((await whole.call('GET', '/health/ready?gate=trading')).status).toBe(503);
    expect(await reasonCodes(whole)).toContain('part-failed');
    if (isJournaled) {
      const told = await eventually(
        () => alerts(whole, 'runtime.failed', name),
        ({ length }) => length === 1,
      );
      expect(told[0]).toMatchObject({ child: name, consequence: rule.finally });
    }
    const { body } = await whole.call('GET', '/v1/trading');
    expect(body.state).toBe(rule.finally === 'halt' ? 'halted' : 'open');
    if (rule.finally === 'halt') expect(body.reasons[0].code).toBe('part-failed');
    for (const state of ['open', 'reducing']) {
      expect(await whole.call('PUT', '/v1/trading', { state })).toMatchObject({
        status: 409,
        body: {
          code: 'part-failed',
          parts: [name],
          trading: body,
          detail: expect.stringMatching(`the ${name} failed .* restart the runtime`),
        },
      });
    }
    expect((await whole.call('GET', '/v1/trading')).body).toEqual(body);
    if (rule.finally === 'halt' && name !== 'tws') {
      expect((await whole.call('DELETE', `/v1/orders/${resting}`)).status, 'cancels pass').toBe(202);
      await whole.order(resting, ({ state }) => state === 'cancelled');
    }

    // A new process: what was latched stays so until a person opens it, the rest is healed.
    await whole.restart(undefined, isLatched ? 'started' : 'trading');
    expect((await whole.call('GET', '/health/live')).status).toBe(200);
    expect(await reasonCodes(whole)).not.toContain('part-failed');
    if (isLatched) {
      expect((await whole.call('GET', '/v1/trading')).body).toMatchObject({
        state: 'halted',
        reasons: [{ code: 'part-failed' }],
      });
      await whole.call('PUT', '/v1/trading', { state: 'open' });
      await whole.untilTrading();
    }
    await whole.order(
      resting,
      ({ state }) => state === (rule.finally === 'halt' && name !== 'tws' ? 'cancelled' : 'working'),
    );
    expect((await whole.place()).status).toBe(201);
  });
});

test('an order whose actor throws is in doubt for a moment, halts trading, and takes no other with it', async () => {
  await whole.place({ clientOrderId: 'struck' });
  await whole.place({ clientOrderId: 'beside' });
  await whole.order('struck', ({ state }) => state === 'working');
  const actor = orderActor(whole.program.runtime.child('desk').getSnapshot().children, 'struck');
  const unreadableFact = { type: 'order.filled' } as never;
  actor?.send(unreadableFact);
  expect((await whole.call('GET', '/health/live')).status).toBe(200);
  expect((await whole.call('GET', '/v1/trading')).body).toMatchObject({
    state: 'halted',
    reasons: [{ code: 'order-failed' }],
  });
  const refused = await whole.place({}, '');
  expect([refused.status, refused.body.reason]).toEqual([503, 'halted']);
  // The broker's lists settle what became of it.
  await whole.order('struck', ({ state }) => state === 'working');
  for (const id of ['beside', 'struck'])
    expect((await whole.call('DELETE', `/v1/orders/${id}`)).status).toBe(202);
  for (const id of ['beside', 'struck']) await whole.order(id, ({ state }) => state === 'cancelled');
  const told = await eventually(
    () => alertsOf(whole, 'order.failed'),
    ({ length }) => length === 1,
  );
  expect(told[0]).toMatchObject({ clientOrderId: 'struck', state: 'inDoubt', failures: 1 });
  await whole.call('PUT', '/v1/trading', { state: 'open' });
  expect((await whole.place()).status).toBe(201);
});

describe('what a part held is held by the one that takes its place', () => {
  test('leases and what they call back', async () => {
    const stream = await openStream(`${whole.url.replace('http', 'ws')}/v1/stream`);
    await whole.place({ clientOrderId: 'leased', client: 'robot' });
    stream.send({ type: 'command', id: 1, command: 'lease.renew', client: 'robot', cancelAfterMs: 1_500 });
    await stream.frame(({ type, id }) => type === 'result' && id === 1);
    await strike(whole.program, 'withdrawal');
    await whole.order('leased', ({ state }) => state === 'cancelled');
    stream.close();
  });

  test('readers of quotes, without a line left over from the one that failed', async () => {
    const lines = () => whole.program.runtime.gateway.figures().lines;
    const stream = await openStream(`${whole.url.replace('http', 'ws')}/v1/stream`);
    stream.send({ type: 'subscribe', id: 1, channel: 'quotes', keys: ['AAPL', 'MSFT'] });
    await eventually(lines, (count) => count === 2);
    await strike(whole.program, 'market');
    await eventually(lines, (count) => count === 0);
    await eventually(lines, (count) => count === 2);
    const seen = stream.frames.length;
    await eventually(
      () => stream.frames.slice(seen),
      (frames) => frames.some(({ type }) => type === 'update'),
    );
    stream.close();
  });
});
