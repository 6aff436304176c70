/** Switched off once by hand: the deadline of a silent START_API (`sync` in machines/tws.machine.ts); no second session came. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';

incident({
  id: 'I32',
  title: 'The client id is still in use after a restart: given up, or the rival is our own forgotten socket',
  sources: [
    'https://github.com/nautechsystems/nautilus_trader/pull/3796',
    'https://github.com/nautechsystems/nautilus_trader/issues/4193',
    'https://github.com/nautechsystems/nautilus_trader/pull/4210',
    'https://github.com/ib-api-reloaded/ib_async/issues/152',
    'https://github.com/stoqey/ib/pull/43',
  ],
  others: '326 was final; a timed-out handshake left its socket open; several connect loops ran at once',
  ours: 'one loop, one socket at a time, always the same client id; 326 is waited out with growing pauses',
  test: {
    'the gateway holds the dead session for a while': async (start) => {
      const whole = await start();
      const { simulator } = whole;
      await whole.place({ clientOrderId: 'c-1' });
      // Every answer to START_API is a 326 until the old session is forgotten.
      const greetings = simulator.faults.alter(
        { messages: ['managedAccounts'] },
        {
          set: { 0: 4, 1: 2, 2: -1 },
          add: [326, 'Unable to connect as the client id is already in use.', ''],
        },
        2,
      );
      simulator.faults.drop();
      await eventually(
        () => greetings.acted,
        (acted) => acted === 1,
        20_000,
      );
      await eventually(
        () => whole.call('GET', '/health/detailed'),
        ({ body }) => body.components.tws.reason?.code === 'clientIdInUse',
      );
      expect(simulator.clients().length).toBeLessThanOrEqual(1);
      await whole.untilTrading();
      expect(simulator.clients()).toMatchObject([{ clientId: 1 }]);
      const ids = simulator.received({ message: 'startApi' }).map(({ fields }) => fields[2]);
      expect(new Set(ids)).toEqual(new Set(['1']));
      expect(await whole.call('DELETE', '/v1/orders/c-1')).toMatchObject({ status: 202 });
      await whole.order('c-1', ({ state }) => state === 'cancelled');
    },
    'START_API is answered with silence: that socket is closed before the next is opened': async (start) => {
      const whole = await start();
      const { simulator } = whole;
      let most = 0;
      const mute = simulator.faults.ignore({ messages: ['startApi'] }, 1);
      simulator.faults.drop();
      await eventually(
        () => {
          most = Math.max(most, simulator.clients().length);
          return simulator.clients();
        },
        (clients) => mute.acted === 1 && clients.some(({ clientId }) => clientId === 1),
        25_000,
      );
      expect(most).toBe(1);
      await whole.untilTrading();
      expect(simulator.received({ message: 'startApi' })).toHaveLength(3);
    },
  },
});
