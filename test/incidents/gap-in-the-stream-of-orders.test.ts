/**
 * Switched off once by hand: `isConfirmed: false` in `forgetSession` (I37) and `forgetConfirmation` in state severed (I37a) of
 * machines/runtime.machine.ts; the order looked confirmed.
 */
import { expect } from 'vitest';
import { eventually, openStream } from '../program.ts';
import { incident } from './incident.ts';
import { everyRow } from './oracle.ts';

// biome-ignore lint/suspicious/noExplicitAny: frames of the stream, read by name
type Frame = any;

incident({
  id: 'I37',
  title: 'The stream of orders goes on after a reconnect with no sign of the gap',
  sources: [
    'https://github.com/wboayue/rust-ibapi/issues/777',
    'https://github.com/wboayue/rust-ibapi/pull/784',
  ],
  others: 'the stream survived the reconnect, and what happened between was nowhere',
  ours: 'loss, return and reconciliation of each session are events with its name, in journal order before what follows; until then open orders say `confirmed: false`',
  test: async (start) => {
    const whole = await start();
    const { faults, exchange } = whole.simulator;
    for (const clientOrderId of ['filled', 'cancelled', 'quiet']) await whole.place({ clientOrderId });
    const permIdOf = (ref: string): number =>
      exchange.openOrders().find(({ request }) => request.orderRef === ref)?.permId ?? 0;
    await whole.order('quiet', ({ confirmed }) => confirmed);
    const stream = await openStream(`${whole.url.replace('http', 'ws')}/v1/stream`);
    stream.send({ type: 'subscribe', id: 1, channel: 'orders' });
    stream.send({ type: 'subscribe', id: 2, channel: 'health' });
    await stream.frame(({ type, id }) => type === 'ack' && id === 2);
    await faults.refuse();
    faults.drop();
    await whole.order('quiet', ({ confirmed }) => !confirmed);
    exchange.script.fill(permIdOf('filled'), 10, 1);
    exchange.script.end(permIdOf('cancelled'), 'Cancelled');
    // The lists tell what became of the orders; nothing is told unasked.
    await faults.accept();
    await whole.order('filled', ({ state }) => state === 'filled', 20_000);
    await whole.order('cancelled', ({ state }) => state === 'cancelled', 20_000);
    const quiet = await whole.order('quiet', ({ confirmed }) => confirmed, 20_000);
    expect(quiet).toMatchObject({ state: 'working' });

    await stream.frame(({ event }) => event === 'session.reconciled');
    const events = (stream.frames as readonly Frame[]).filter(({ type }) => type === 'event');
    const seqs = events.map(({ journalSeq }) => journalSeq);
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    const story = events.flatMap(({ event, health, order }) =>
      event.startsWith('tws.farm')
        ? []
        : [order ? `${event} ${order.clientOrderId}` : `${event} ${health.sessionId}`],
    );
    const [former = '', latter = ''] = [...new Set(events.flatMap(({ health }) => health?.sessionId ?? []))];
    expect(story[0]).toBe(`tws.lost ${former}`);
    expect(story[1]).toBe(`tws.ready ${latter}`);
    expect(story.slice(2)).toEqual(
      expect.arrayContaining([
        'order.filled filled',
        'order.cancelled cancelled',
        `session.reconciled ${latter}`,
      ]),
    );
    expect(story.filter((each) => each.startsWith('tws.') || each.startsWith('session.'))).toEqual([
      `tws.lost ${former}`,
      `tws.ready ${latter}`,
      `session.reconciled ${latter}`,
    ]);
    stream.close();
  },
});

incident({
  id: 'I37a',
  title: 'A cut behind the gateway is a gap, too: the same session, and no word of what it missed',
  sources: [],
  others: 'only a lost socket counted as a gap',
  ours: 'cut and restoration carry the name of the session and are paired; open orders are unconfirmed until new lists came',
  test: async (start) => {
    const whole = await start();
    const { faults } = whole.simulator;
    await whole.place({ clientOrderId: 'c-1' });
    await whole.order('c-1', ({ confirmed }) => confirmed);
    for (const code of [1102, 1101] as const) {
      faults.upstreamLost();
      faults.injectError(-1, 1100, 'Connectivity between IBKR and Trader Workstation has been lost.');
      await whole.order('c-1', ({ confirmed }) => !confirmed);
      faults.upstreamBack(code, { replay: 'none' });
      await whole.order('c-1', ({ confirmed }) => confirmed, 20_000);
    }
    const facts = await everyRow(whole, '/v1/journal', 'facts');
    const story = facts.flatMap(({ channel, event, payload }) =>
      channel === 'health' && !event.startsWith('tws.farm') ? [[event, payload.health.sessionId]] : [],
    );
    const [, session] = story[0] ?? [];
    expect(story).toEqual(
      [
        'tws.ready',
        'session.reconciled',
        'tws.severed',
        'tws.restored',
        'session.reconciled',
        'tws.severed',
        'tws.restored',
        'session.reconciled',
      ].map((event) => [event, session]),
    );
    await eventually(
      () => whole.call('GET', '/health/ready?gate=trading'),
      ({ status }) => status === 200,
    );
  },
});
