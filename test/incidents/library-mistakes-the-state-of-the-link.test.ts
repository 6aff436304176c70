/**
 * What @stoqey/ib makes of the link and of its streams when it is used as it comes; measured, not reported.
 * Switched off once by hand: 1100 as a state of the link (src/tws/notices.ts: L-B); the deadline of the heartbeat (L-C) and what
 * comes before `ready` (L-H) in machines/tws.machine.ts; `firstRequestId` in src/tws/wire.ts (L-E); asking again after a refusal
 * in machines/subscription.machine.ts (L-K).
 */
import { expect } from 'vitest';
import { createSimulator } from '../../src/simulator/simulator.ts';
import { eventually, openStream } from '../program.ts';
import { startLink } from '../tws/link.ts';
import { until } from '../tws/peer.ts';
import type { Whole } from '../whole.ts';
import { incident } from './incident.ts';

const quoteOf = async (whole: Whole, instrument: string) =>
  (await whole.call('GET', `/v1/quotes/${instrument}`)).body;
const untilLive = (whole: Whole) =>
  eventually(
    () => quoteOf(whole, 'AAPL'),
    ({ status }) => status === 'live',
    20_000,
  );
async function reader(whole: Whole): Promise<() => void> {
  const stream = await openStream(`${whole.url.replace('http', 'ws')}/v1/stream`);
  stream.send({ type: 'subscribe', id: 1, channel: 'quotes', keys: ['AAPL'] });
  await untilLive(whole);
  return () => stream.close();
}

incident({
  id: 'L-B',
  title: '@stoqey/ib hangs up a healthy socket because of 1100, and by default never comes back',
  sources: [],
  others: 'a cut behind the gateway closed the session to the gateway',
  ours: 'severed is a state of a standing session: nothing is closed, cancels go out, facts come in',
  test: async (start) => {
    const whole = await start();
    const { simulator } = whole;
    await whole.place({ clientOrderId: 'c-1' });
    simulator.faults.upstreamLost();
    await eventually(
      () => whole.call('GET', '/health/ready?gate=trading'),
      ({ status }) => status === 503,
    );
    expect((await whole.call('DELETE', '/v1/orders/c-1')).status).toBe(202);
    await eventually(
      () => simulator.received({ message: 'cancelOrder' }).length,
      (count) => count === 1,
    );
    simulator.faults.upstreamBack(1102);
    await whole.untilTrading();
    await whole.order('c-1', ({ state }) => state === 'cancelled');
    expect(simulator.clients()).toMatchObject([{ session: 1, clientId: 1 }]);
  },
});

incident({
  id: 'L-C',
  title: '@stoqey/ib stays Connected to a gateway that says nothing, its watchdog unanswered eleven times',
  sources: [],
  others: 'the watchdog reconnects only what is disconnected already',
  ours: 'one heartbeat without an answer in time ends the session, and another begins',
  test: async () => {
    const simulator = await createSimulator();
    const link = startLink({ port: simulator.port, delays: { heartbeatDeadline: 400 } });
    try {
      link.send({ type: 'tws.connect' });
      await link.hears('tws.ready');
      simulator.faults.freeze();
      expect(await link.hears('tws.lost')).toMatchObject({ cause: 'silent' });
      simulator.faults.drop();
      const second = await link.hears('tws.ready', 2);
      expect(second.sessionId).not.toBe((await link.hears('tws.ready')).sessionId);
      expect(simulator.clients()).toHaveLength(1);
    } finally {
      link.stop();
      await simulator.close();
    }
  },
});

incident({
  id: 'L-E',
  title: '@stoqey/ib kills the market-data stream whose request id equals the id of a rejected order',
  sources: [],
  others: 'request ids begin at 1, like order ids, and an error carries one number for both',
  ours: 'two ranges that never meet: orders below two thousand million, requests above',
  test: async (start) => {
    const whole = await start({ simulator: { firstOrderId: 1 } });
    const { simulator } = whole;
    const close = await reader(whole);
    simulator.faults.reject(201, 'Order rejected - reason:margin', 3);
    for (const clientOrderId of ['a', 'b', 'c']) {
      const { body } = await whole.place({ clientOrderId });
      expect(body).toMatchObject({ state: 'rejected', reason: { code: '201' } });
      expect(body.orderId).toBeLessThan(100);
    }
    const requests = simulator.received({ message: 'reqMktData' }).map(({ fields }) => Number(fields[2]));
    expect(Math.min(...requests)).toBeGreaterThanOrEqual(2_000_000_000);
    expect(requests).toHaveLength(1);
    expect(await quoteOf(whole, 'AAPL')).toMatchObject({ status: 'live' });
    close();
  },
});

incident({
  id: 'L-H',
  title: '@stoqey/ib says Connected before 326 refuses the client id, and its error channel stays silent',
  sources: [],
  others: 'connected after START_API, whatever TWS answers; 326 is an information',
  ours: 'no session is announced before its accounts, order id and heartbeat; 326 is a loss with a name',
  test: async () => {
    const simulator = await createSimulator();
    const refusals = simulator.faults.alter(
      { messages: ['managedAccounts'] },
      { set: { 0: 4, 1: 2, 2: -1 }, add: [326, 'Unable to connect as the client id is already in use.', ''] },
      2,
    );
    const link = startLink({ port: simulator.port });
    try {
      link.send({ type: 'tws.connect' });
      await until(() => link.tws().getSnapshot().context.lastCause === 'clientIdInUse', 'the cause');
      expect(link.all('tws.ready')).toEqual([]);
      await link.hears('tws.ready');
      expect(refusals.acted).toBe(2);
      expect(simulator.received({ message: 'startApi' })).toHaveLength(3);
      expect(link.all('tws.lost')).toEqual([]);
    } finally {
      link.stop();
      await simulator.close();
    }
  },
});

incident({
  id: 'L-K',
  title: '@stoqey/ib ends a stream with 10182, and nothing asks for it again in the next session',
  sources: [],
  others: 'the stream had failed, so it was not among those to be restored',
  ours: 'the line belongs to its readers, not to a request: it is asked for after its pause and in every session',
  test: async (start) => {
    const whole = await start();
    const { simulator } = whole;
    const close = await reader(whole);
    const [line] = simulator.received({ message: 'reqMktData' });
    simulator.faults.injectError(
      Number(line?.fields[2]),
      10_182,
      'Failed to request live updates (disconnected).',
    );
    await eventually(
      () => quoteOf(whole, 'AAPL'),
      ({ status }) => status === 'stale',
    );
    simulator.faults.drop();
    await whole.untilTrading();
    await untilLive(whole);
    const asked = simulator.received({ message: 'reqMktData' });
    expect(asked.map(({ session }) => session)).toEqual([1, 2]);
    close();
  },
});
