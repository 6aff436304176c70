import { expect, test } from 'vitest';
import { type ActorRefFrom, createActor, fromPromise, type Snapshot, setup } from 'xstate';
import {
  type AskedList,
  type BrokerRow,
  bookKinds,
  type ListKind,
  listKinds,
  type ReconciliationEvent,
  type ReconciliationReport,
  reconciliationMachine,
} from '../../machines/reconciliation.machine.ts';
import type { BrokerFact, Snapshot as List } from '../../machines/tws.ts';
import { matrix } from './matrix.ts';
import { eventClock, settled } from './timers.ts';

const noon = Date.UTC(2026, 0, 14, 17);
type Answer = List<BrokerRow> | Error;

/** The machine below a supervisor, with the broker's answers given by hand. */
function bench() {
  const clock = eventClock(noon);
  const heard: ReconciliationReport[] = [];
  const open: { readonly list: ListKind; give(answer: Answer): void }[] = [];
  const machine = reconciliationMachine.provide({
    actors: {
      askBroker: fromPromise<AskedList, { list: ListKind }>(({ input }) => {
        const since = clock.now();
        return new Promise((resolve, reject) => {
          open.push({
            list: input.list,
            give: (answer) =>
              answer instanceof Error ? reject(answer) : resolve({ since, snapshot: answer }),
          });
        });
      }),
    },
  });
  const supervisor = setup({
    types: { events: {} as ReconciliationReport },
    actors: { machine },
    actions: { keep: ({ event }) => heard.push(event) },
  }).createMachine({
    invoke: { src: 'machine', id: 'machine' },
    on: { 'reconciliation.concluded': { actions: 'keep' }, 'reconciliation.faltered': { actions: 'keep' } },
  });
  const root = createActor(supervisor, { clock }).start();
  const actor = root.getSnapshot().children.machine as ActorRefFrom<typeof reconciliationMachine>;
  return {
    clock,
    actor,
    heard,
    open,
    send: (event: ReconciliationEvent) => actor.send(event),
    persisted: () => actor.getPersistedSnapshot() as Snapshot<unknown>,
    concluded: () =>
      heard.flatMap((report) => (report.type === 'reconciliation.concluded' ? [report.reconciliation] : [])),
    /** Answers what is asked at present; lists that are not named come complete and empty. */
    async answer(answers: Partial<Record<ListKind, Answer>> = {}) {
      clock.advance(1);
      for (const { list, give } of open.splice(0)) give(answers[list] ?? complete([], clock.now()));
      await settled();
    },
  };
}

const complete = (rows: readonly BrokerRow[], at: number): List<BrokerRow> => ({
  outcome: 'complete',
  rows,
  at,
});
const failed = (reason: string): List<BrokerFact> => ({ outcome: 'failed', reason, at: noon });
const seen = (permId: string): BrokerFact => ({
  type: 'broker.orderSeen',
  at: noon,
  ids: { orderId: Number(permId), clientId: 1, permId, orderRef: `c-${permId}` },
  terms: {
    account: 'DU1',
    contract: {},
    side: 'buy',
    type: 'limit',
    brokerType: 'LMT',
    quantity: '1',
    timeInForce: 'day',
  },
  status: 'working',
  text: '',
});
const start: ReconciliationEvent = { type: 'reconciliation.start', sessionId: 's1', at: noon };
const permIds = (ids: readonly { readonly permId: string }[] | undefined) =>
  ids?.map(({ permId }) => permId).toSorted();

test('every list is asked for at once, and all of them make a conclusion', async () => {
  const { send, open, answer, concluded } = bench();
  send(start);
  expect(open.map(({ list }) => list).toSorted()).toEqual([...listKinds].toSorted());
  await answer();
  expect(concluded()).toMatchObject([
    {
      sessionId: 's1',
      conclusive: true,
      evidence: null,
      lists: bookKinds.map((list) => ({ list, outcome: 'complete', rows: 0, attempts: 1 })),
    },
  ]);
});

test('a doubt is asked about while another list stays away', async () => {
  const { send, open, answer, clock, heard, concluded } = bench();
  const asked = () => open.map(({ list }) => list).toSorted();
  send(start);
  send({ type: 'evidence.wanted', why: 'before the orders were listed' });
  await answer({ positions: failed('timeout') });
  expect(asked()).toEqual([]);
  send({ type: 'evidence.wanted', why: 'after they were' });
  expect(asked()).toEqual([...bookKinds].toSorted());
  await answer({ positions: failed('timeout') });
  clock.advance(2_000);
  expect(asked()).toEqual(['positions']);
  await answer({ positions: failed('timeout') });
  // Once for each round: health goes on saying it.
  expect(heard.map(({ type }) => type)).toEqual(Array(2).fill('reconciliation.faltered'));
  clock.advance(2_000);
  await answer();
  expect(concluded()).toHaveLength(1);
});

test('doubts that go on do not keep a list that can be done without from being given up', async () => {
  const { send, answer, clock, concluded } = bench();
  send(start);
  for (const _ of [1, 2]) {
    await answer({ completedOrders: failed('timeout') });
    send({ type: 'evidence.wanted', why: 'a position is not explained' });
    clock.advance(2_000);
  }
  expect(concluded()).toHaveLength(1);
});

test('a failed list has a verdict of its own, is asked for again alone, and never reads as empty', async () => {
  const { send, open, answer, clock, heard, concluded, actor } = bench();
  send(start);
  await answer({ positions: failed('timeout') });
  expect(heard).toMatchObject([{ type: 'reconciliation.faltered', list: 'positions', reason: 'timeout' }]);
  expect(actor.getSnapshot().context.lists.positions).toMatchObject({ outcome: 'failed', reason: 'timeout' });
  expect(actor.getSnapshot().hasTag('reconciling')).toBe(true);
  clock.advance(20_000);
  expect(open.map(({ list }) => list)).toEqual(['positions']);
  await answer();
  expect(concluded()).toHaveLength(1);
  expect(concluded()[0]?.lists.find(({ list }) => list === 'positions')).toMatchObject({ attempts: 2 });
});

test('the account is asked for beside the books, which are weighed without it', async () => {
  const { send, open, answer, clock, heard, concluded, actor } = bench();
  const verdict = () => actor.getSnapshot().context.lists.account;
  send(start);
  const all = open.splice(0);
  const asked = all.find(({ list }) => list === 'account');
  for (const { give } of all.filter((each) => each !== asked)) give(complete([], noon));
  await settled();
  expect(concluded()).toMatchObject([{ conclusive: true }]);
  expect(verdict()).toMatchObject({ outcome: 'asking', at: null });
  asked?.give(failed('timeout'));
  await settled();
  expect(verdict()).toMatchObject({ outcome: 'failed', reason: 'timeout', rows: 0, attempts: 1 });
  expect(actor.getSnapshot().hasTag('reconciled')).toBe(true);
  // Told once, however often it fails; rounds of the books leave its verdict alone.
  for (let attempt = 2; attempt < 8; attempt += 1) {
    clock.advance(60_000);
    await answer({ account: failed('timeout') });
  }
  expect(heard.filter(({ type }) => type === 'reconciliation.faltered')).toHaveLength(1);
  expect(verdict().outcome).toBe('failed');
  clock.advance(60_000);
  const value = { account: 'DU1', key: 'NetLiquidation', value: '1', currency: 'USD', at: '' };
  await answer({ account: complete([value], clock.now()) });
  expect(verdict()).toMatchObject({ outcome: 'complete', reason: null, rows: 1 });
  expect(concluded().at(-1)).toMatchObject({ conclusive: true, positions: [] });
  clock.advance(30_000);
  await answer({ account: failed('322') });
  expect(verdict()).toMatchObject({ outcome: 'failed', reason: '322', attempts: 1 });
  expect(heard.filter(({ type }) => type === 'reconciliation.faltered')).toHaveLength(2);
  send({ type: 'reconciliation.stop' });
  expect(verdict()).toMatchObject({ outcome: 'asking', attempts: 0 });
});

test('an answer that breaks down is a failure like any other', async () => {
  const { send, open, answer, clock, concluded, actor } = bench();
  send(start);
  await answer({ executions: new Error('out of memory') });
  expect(actor.getSnapshot().context.lists.executions).toMatchObject({
    outcome: 'failed',
    reason: 'out of memory',
  });
  clock.advance(20_000);
  expect(open).toHaveLength(1);
  await answer();
  expect(concluded()).toHaveLength(1);
});

test('the list of completed orders may stay away, but then nothing is proved by absence', async () => {
  const { send, answer, clock, concluded } = bench();
  send(start);
  await answer({ completedOrders: failed('timeout') });
  clock.advance(20_000);
  await answer({ completedOrders: failed('timeout') });
  expect(concluded()).toMatchObject([{ conclusive: false }]);
});

test('one list cannot say that an order is gone; two in a row can', async () => {
  const { send, answer, clock, concluded } = bench();
  send(start);
  await answer({ openOrders: complete([seen('1'), seen('2')], noon) });
  expect(concluded().at(-1)?.evidence).toBeNull();
  // The second list of a session follows by itself.
  clock.advance(500);
  await answer({ openOrders: complete([], noon) });
  expect(permIds(concluded().at(-1)?.evidence?.present)).toEqual(['1', '2']);
  // What a list lacks is asked about again, without anybody's doubt.
  clock.advance(500);
  await answer({ openOrders: complete([seen('2')], noon) });
  expect(permIds(concluded().at(-1)?.evidence?.present)).toEqual(['2']);
});

test('evidence dates from the older of its two lists', async () => {
  const { send, answer, clock, concluded } = bench();
  send(start);
  const first = clock.now();
  await answer();
  clock.advance(500);
  await answer();
  expect(concluded().at(-1)?.evidence?.since).toBe(first);
});

test('a new session keeps the orders of the last list, and nothing else of it', async () => {
  const { send, answer, concluded, actor } = bench();
  send(start);
  await answer({ openOrders: complete([seen('1')], noon) });
  send({ type: 'reconciliation.stop' });
  expect(actor.getSnapshot().context.lists.openOrders).toMatchObject({ outcome: 'asking', at: null });
  send({ ...start, sessionId: 's2' });
  await answer();
  expect(concluded().at(-1)).toMatchObject({ sessionId: 's2', evidence: { present: [{ permId: '1' }] } });
});

test('an answer of a session that is over counts for nothing', async () => {
  const { send, open, concluded } = bench();
  send(start);
  const late = open.splice(0);
  send({ type: 'reconciliation.stop' });
  for (const { give } of late) give(complete([], noon));
  await settled();
  expect(concluded()).toEqual([]);
});

test('doubts that come together are answered together, twice; a quiet book is compared all the same', async () => {
  const { send, answer, open, clock, concluded } = bench();
  send(start);
  await answer();
  clock.advance(500);
  await answer();
  expect(concluded()).toHaveLength(2);
  clock.advance(29_000);
  expect(open).toEqual([]);
  clock.advance(1_000);
  await answer();
  expect(concluded()).toHaveLength(3);
  for (let doubt = 0; doubt < 5; doubt += 1) send({ type: 'evidence.wanted', why: 'test' });
  clock.advance(500);
  send({ type: 'evidence.wanted', why: 'while it is asked' });
  await answer();
  for (const _ of [1, 2]) {
    clock.advance(500);
    await answer();
  }
  expect(concluded()).toHaveLength(6);
  clock.advance(25_000);
  expect(open).toEqual([]);
});

test('every state against every event', async () => {
  const machine = reconciliationMachine.provide({
    actors: { askBroker: fromPromise<AskedList, { list: ListKind }>(() => new Promise(() => undefined)) },
  });
  const idle = bench();
  const gathering = bench();
  gathering.send(start);
  const failing = bench();
  failing.send(start);
  await failing.answer({ openOrders: failed('timeout') });
  const pausing = bench();
  pausing.send(start);
  await pausing.answer();
  const quiet = bench();
  quiet.send(start);
  await quiet.answer();
  quiet.clock.advance(500);
  await quiet.answer();
  const states = {
    idle: idle.persisted(),
    gathering: gathering.persisted(),
    failing: failing.persisted(),
    pausing: pausing.persisted(),
    quiet: quiet.persisted(),
  };
  const events: ReconciliationEvent[] = [
    start,
    { type: 'reconciliation.stop' },
    { type: 'evidence.wanted', why: 'test' },
  ];
  await expect(matrix(machine, { states, events })).toMatchFileSnapshot('./reconciliation.matrix.txt');
});
