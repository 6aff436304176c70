/** Switched off once by hand: the deadline of a list in src/tws/requests.ts; trading never opened. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident, type Scenario } from './incident.ts';

const lists = {
  completedOrders: 'reqCompletedOrders',
  executions: 'reqExecutions',
  positions: 'reqPositions',
} as const;

/** What its money is, nobody says: orders go on, and health says what is missing until it comes. */
const account: Scenario = async (start) => {
  const whole = await start();
  const { faults } = whole.simulator;
  const verdict = async () => {
    const { body } = await whole.call('GET', '/v1/reconciliations/latest');
    return body.lists.find(({ list }: { list: string }) => list === 'account');
  };
  const complete = await eventually(verdict, ({ outcome }) => outcome === 'complete', 20_000);
  expect(complete).toMatchObject({ reason: null, since: expect.any(String), at: expect.any(String) });
  expect(complete.rows).toBeGreaterThan(2);
  const silence = faults.ignore({ messages: ['reqAccountSummary'] });
  faults.drop();
  await eventually(
    () => whole.simulator.clients(),
    ([client]) => client?.session === 2,
    20_000,
  );
  await whole.untilTrading();
  expect(await verdict()).toMatchObject({ outcome: 'asking', at: null });
  expect(await whole.place({ clientOrderId: 'c-1' })).toMatchObject({ status: 201 });
  const { body } = await eventually(
    () => whole.call('GET', '/health/detailed'),
    (answer) => answer.body.components.reconciliation.failing.length > 0,
    20_000,
  );
  expect(body).toMatchObject({ status: 'warn', gates: { ready: true, trading: true } });
  expect(body.reasons).toContainEqual(expect.objectContaining({ code: 'lists-failing' }));
  expect(body.components.reconciliation).toMatchObject({ status: 'warn', failing: ['account'] });
  expect(await verdict()).toMatchObject({ outcome: 'failed', reason: 'timeout' });
  expect((await whole.call('GET', '/health/ready?gate=trading')).status).toBe(200);
  silence.clear();
  // An end without figures is no answer either.
  const hollow = faults.swallow({ messages: ['accountSummary'] });
  await eventually(verdict, ({ reason }) => reason === 'no figures of 1 of 1 accounts', 20_000);
  hollow.clear();
  expect(await eventually(verdict, ({ outcome }) => outcome === 'complete', 20_000)).toMatchObject({
    reason: null,
  });
  await eventually(
    () => whole.call('GET', '/health/detailed'),
    (answer) => answer.body.components.reconciliation.failing.length === 0,
  );
  // None of them is left open: TWS allows two at a time.
  const of = (message: string) => whole.simulator.received({ message }).length;
  await eventually(
    () => of('reqAccountSummary') - of('cancelAccountSummary'),
    (left) => left === 0,
    20_000,
  );
};

incident({
  id: 'I35',
  title: 'Synchronisation at the start hangs on one request that TWS never answers',
  sources: [
    'https://github.com/erdewit/ib_insync/issues/224',
    'https://github.com/erdewit/ib_insync/issues/355',
    'https://github.com/erdewit/ib_insync/issues/638',
    'https://github.com/ib-api-reloaded/ib_async/issues/84',
  ],
  others: 'one shared deadline, or none; the error ended the connection or was ignored',
  ours: 'each list has its own deadline, verdict and retry; orders wait for those of the books, never for the account, and a failed list is never an empty one',
  test: Object.fromEntries<Scenario>([
    ['account', account],
    ...Object.entries(lists).map(([list, message]): [string, Scenario] => [
      list,
      async (start) => {
        const whole = await start();
        const { faults, exchange } = whole.simulator;
        await whole.place({ clientOrderId: 'c-0' });
        await whole.call('DELETE', '/v1/orders/c-0');
        await whole.order('c-0', ({ state }) => state === 'cancelled');
        await whole.place({ clientOrderId: 'c-1' });
        const [order] = exchange.openOrders();
        exchange.script.fill(order?.permId ?? 0, 4, 1);
        await whole.order('c-1', ({ filledQuantity }) => filledQuantity === '4');
        const swallowed = faults.ignore({ messages: [message] }, 1);
        faults.drop();
        await eventually(
          () => swallowed.acted,
          (acted) => acted === 1,
          20_000,
        );
        expect(await whole.place({ clientOrderId: 'c-2' })).toMatchObject({
          status: 503,
          body: { reason: 'reconciling' },
        });
        // The list fails alone, by its deadline; nothing is taken from it, and it is asked for again.
        const { body } = await eventually(
          () => whole.call('GET', '/health/detailed'),
          (answer) => answer.body.components.reconciliation.failing.length > 0,
          20_000,
        );
        expect(body.components.reconciliation.failing).toEqual([list]);
        expect((await whole.call('GET', '/v1/positions')).body.positions).toMatchObject([{ quantity: '4' }]);
        await whole.untilTrading();
        expect((await whole.call('GET', '/v1/reconciliations/latest')).body.lists).toEqual(
          expect.arrayContaining([expect.objectContaining({ list, outcome: 'complete' })]),
        );
        expect(whole.simulator.clients()).toMatchObject([{ session: 2 }]);
      },
    ]),
  ]),
});
