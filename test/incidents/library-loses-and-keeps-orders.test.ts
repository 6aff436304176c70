/**
 * What @stoqey/ib does with orders when it is used as it comes; measured, not reported.
 * Switched off once by hand: one library object for each attempt and the end of its pacer (src/tws/library.ts, session.ts: L-A, L-G);
 * the client id with every connect (L-D); permId 0 as no name in machines/identity.ts (L-F); the step of the allocator in
 * machines/desk.ts (L-I).
 */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import type { Whole } from '../whole.ts';
import { incident } from './incident.ts';
import { writtenOrders } from './oracle.ts';

const sessionsOf = (whole: Whole): Map<number, string[]> => {
  const sessions = new Map<number, string[]>();
  for (const { session, name } of whole.simulator.received()) {
    sessions.set(session, [...(sessions.get(session) ?? []), name]);
  }
  return sessions;
};

/** Sends 60 orders and cuts the connection when some of them have arrived and others wait for their turn. */
async function cutBurst(whole: Whole): Promise<readonly string[]> {
  const { simulator } = whole;
  const ids = Array.from({ length: 60 }, (_, n) => `b-${n}`);
  const answers = ids.map((clientOrderId) => whole.place({ clientOrderId }, ''));
  await eventually(
    () => simulator.received({ message: 'placeOrder' }).length,
    (arrived) => arrived >= 12,
  );
  await simulator.faults.refuse();
  simulator.faults.drop();
  await Promise.all(answers);
  return ids;
}

incident({
  id: 'L-A',
  title:
    '@stoqey/ib keeps an order that is placed while disconnected, and sends it with the next session, at any age',
  sources: [],
  others: 'an unbounded queue that no reconnect empties',
  ours: 'one library object for each attempt; what waited for its turn is withheld for good, and the order says so',
  test: async (start) => {
    const whole = await start({ environment: { MAX_ORDERS_PER_SECOND: '0', MAX_OPEN_ORDERS: '0' } });
    const { simulator } = whole;
    const ids = await cutBurst(whole);
    const written = new Set(writtenOrders(simulator).map(({ orderRef }) => orderRef));
    const session = simulator.received({ message: 'placeOrder' }).at(-1)?.session;
    await simulator.faults.accept();
    await whole.untilTrading();
    await whole.place({ clientOrderId: 'after' });
    expect(
      simulator
        .received({ message: 'placeOrder' })
        .filter((message) => message.session !== session)
        .map(({ fields }) => fields[1]),
    ).toHaveLength(1);
    const held = ids.filter((id) => !written.has(id));
    expect(held.length).toBeGreaterThan(0);
    for (const id of held) {
      const { status, body } = await whole.call('GET', `/v1/orders/${id}`);
      if (status === 404) continue;
      expect(['denied', 'rejected', 'inDoubt']).toContain(body.state);
      if (body.state === 'denied') expect(body.reason.code).toBe('not-sent');
    }
  },
});

incident({
  id: 'L-G',
  title:
    "@stoqey/ib's limiter counts orders as sent that never were, and writes its backlog into the next session, even before the greeting",
  sources: [],
  others:
    '60 `sent` events for 12 arrivals; after a quick reconnect 36 to 44 late orders, once instead of a handshake',
  ours: '`sent` is what was handed to this socket; every session begins with a greeting, and each order is written at most once',
  test: async (start) => {
    const whole = await start({ environment: { MAX_ORDERS_PER_SECOND: '0', MAX_OPEN_ORDERS: '0' } });
    const { simulator } = whole;
    const ids = await cutBurst(whole);
    await simulator.faults.accept();
    await whole.untilTrading();
    for (const messages of sessionsOf(whole).values())
      expect(messages.slice(0, 2)).toEqual(['hello', 'startApi']);
    const refs = writtenOrders(simulator).map(({ orderRef }) => orderRef);
    expect(new Set(refs).size).toBe(refs.length);
    for (const id of ids) {
      const isInBook = simulator.exchange.openOrders().some(({ request }) => request.orderRef === id);
      const { body } = await eventually(
        () => whole.call('GET', `/v1/orders/${id}`),
        ({ status, body: order }) =>
          status === 404 ||
          (isInBook ? order.state === 'working' : order.state === 'denied' || order.state === 'rejected'),
        25_000,
      );
      if (isInBook) expect(body.permIds).toHaveLength(1);
    }
  },
});

incident({
  id: 'L-D',
  title:
    '@stoqey/ib forgets its client id at a reconnect without argument: 7, 8, 9, and the orders are not ours any more',
  sources: [],
  others: 'the id given in the options is raised with each automatic reconnect',
  ours: 'the id goes with every attempt; orders of before can be changed and cancelled',
  test: async (start) => {
    const whole = await start({ environment: { TWS_CLIENT_ID: '7' } });
    const { simulator } = whole;
    await whole.place({ clientOrderId: 'c-1' });
    for (let drop = 1; drop <= 3; drop += 1) {
      simulator.faults.drop();
      await eventually(
        () => simulator.received({ message: 'startApi' }).length,
        (count) => count === drop + 1,
        20_000,
      );
      await whole.untilTrading();
    }
    expect(simulator.received({ message: 'startApi' }).map(({ fields }) => fields[2])).toEqual([
      '7',
      '7',
      '7',
      '7',
    ]);
    expect((await whole.call('DELETE', '/v1/orders/c-1')).status).toBe(202);
    await whole.order('c-1', ({ state }) => state === 'cancelled');
  },
});

incident({
  id: 'L-F',
  title: "@stoqey/ib's list of open orders keeps one of two orders that have no permId yet",
  sources: [],
  others: 'orders are matched by permId, and 0 matches 0',
  ours: 'no permId is no name: until it is assigned, client, order id and reference tell orders apart',
  test: async (start) => {
    const whole = await start();
    const { faults } = whole.simulator;
    const nameless = [
      faults.alter({ messages: ['openOrder'] }, { set: { 25: 0 } }),
      faults.alter({ messages: ['orderStatus'] }, { set: { 6: 0 } }),
    ];
    for (const clientOrderId of ['c-1', 'c-2']) {
      const { body } = await whole.place({ clientOrderId });
      expect(body).toMatchObject({ state: 'working', permIds: [] });
    }
    const { body } = await whole.call('GET', '/v1/orders');
    expect(body.orders.map(({ clientOrderId }: { clientOrderId: string }) => clientOrderId)).toEqual([
      'c-2',
      'c-1',
    ]);
    for (const fault of nameless) fault.clear();
    faults.drop();
    for (const id of ['c-1', 'c-2'])
      expect(await whole.order(id, ({ permIds }) => permIds.length === 1, 20_000)).toMatchObject({
        state: 'working',
      });
  },
});

incident({
  id: 'L-I',
  title: '@stoqey/ib gives the same order id to whoever asks twice, and a lower one after a restart',
  sources: [],
  others: '38103, 38103, then 38099',
  ours: 'an allocator of our own that only rises, with a floor on disk',
  test: async (start) => {
    const whole = await start({ simulator: { firstOrderId: 38_103 } });
    const { simulator } = whole;
    const two = await Promise.all(['a', 'b'].map((clientOrderId) => whole.place({ clientOrderId })));
    const ids = two.map(({ body }) => body.orderId);
    await simulator.faults.restart({ nextValidId: 38_099, downMs: 200 });
    await whole.untilTrading();
    ids.push((await whole.place({ clientOrderId: 'c' })).body.orderId);
    simulator.faults.setNextValidId(38_099);
    await whole.restart();
    ids.push((await whole.place({ clientOrderId: 'd' })).body.orderId);
    expect(ids.toSorted((a, b) => a - b)).toEqual([38_103, 38_104, 38_105, 38_106]);
    expect(writtenOrders(simulator)).toHaveLength(4);
  },
});
