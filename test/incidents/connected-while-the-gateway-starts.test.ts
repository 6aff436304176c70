/** Switched off once by hand: accounts, order id and probe before `ready` (machines/tws.machine.ts); a mute session was announced. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';
import { everyRow } from './oracle.ts';

const readyCount = (facts: readonly { readonly event: string }[]): number =>
  facts.filter(({ event }) => event === 'tws.ready').length;

incident({
  id: 'I34',
  title: 'A connection made while TWS starts becomes a zombie, and the client reconnects without end',
  sources: ['https://github.com/stoqey/ib/issues/195', 'https://github.com/stoqey/ib/issues/162'],
  others:
    'TCP stood, so it was "connected"; the next attempt came at a fixed pace while TWS still held the id',
  ours: 'ready is: accounts, order id and an answered heartbeat; what does not get there in time is closed and tried again, later each time',
  test: async (start) => {
    const whole = await start();
    const { simulator } = whole;
    const { faults } = simulator;
    await whole.place({ clientOrderId: 'c-1' });
    const greetings = faults.swallow({ messages: ['managedAccounts', 'nextValidId'] });
    faults.drop();
    await eventually(
      () => simulator.received({ message: 'startApi' }).length,
      (count) => count === 2,
      20_000,
    );
    expect((await whole.call('GET', '/health/ready?gate=trading')).status).toBe(503);
    // Garbage, and the end; the id stays taken for the next attempts.
    faults.inject([200_001, 'x', 'left over']);
    greetings.clear();
    const taken = faults.alter(
      { messages: ['managedAccounts'] },
      {
        set: { 0: 4, 1: 2, 2: -1 },
        add: [326, 'Unable to connect as the client id is already in use.', ''],
      },
      1,
    );
    faults.close();
    await whole.untilTrading();
    expect(taken.acted).toBe(1);
    expect(readyCount(await everyRow(whole, '/v1/journal', 'facts'))).toBe(2);
    const ids = simulator.received({ message: 'startApi' }).map(({ fields }) => fields[2]);
    expect(ids).toEqual(['1', '1', '1', '1']);
    expect(simulator.clients()).toHaveLength(1);
    expect(await whole.order('c-1', ({ confirmed }) => confirmed)).toMatchObject({ state: 'working' });
  },
});
