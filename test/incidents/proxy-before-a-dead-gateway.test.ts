/**
 * Switched off once by hand: the deadline of the greeting and `isTurnedAway` in machines/tws.machine.ts; the first attempt lasted
 * for ever, and health spoke of a closed connection only.
 */
import { createServer } from 'node:net';
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { outsideResets } from '../whole.ts';
import { incident } from './incident.ts';

const reasonWith =
  (code: string) =>
  (answer: { readonly body: { components: { tws: { reason: { code: string } | null } } } }) =>
    answer.body.components.tws.reason?.code === code;

incident({
  id: 'I56',
  title: 'A TCP proxy accepts connections while the gateway behind it is dead',
  sources: [
    'https://github.com/UnusualAlpha/ib-gateway-docker/issues/52',
    'https://github.com/gnzsnz/ib-gateway-docker/issues/77',
    'https://github.com/gnzsnz/ib-gateway-docker/issues/34',
    'https://github.com/mvberg/ib-gateway-docker/issues/23',
  ],
  others: 'an open port was taken for a service that is up',
  ours: 'only a greeting in time counts; health says that the port is open and nothing speaks behind it',
  test: {
    'nothing is said for a minute': async (start) => {
      const whole = await start({ now: outsideResets });
      await whole.simulator.faults.acceptSilently();
      whole.simulator.faults.drop();
      const { body } = await eventually(
        () => whole.call('GET', '/health/detailed'),
        reasonWith('greetingTimeout'),
        20_000,
      );
      expect(body.components.tws).toMatchObject({
        status: 'fail',
        reason: { message: 'the port is open but nothing speaks behind it' },
      });
      expect((await whole.place({ clientOrderId: 'c-1' })).status).toBe(503);
      await whole.simulator.faults.accept();
      await whole.untilTrading();
      expect((await whole.place({ clientOrderId: 'c-1' })).status).toBe(201);
    },
    'every connection is reset at once': async (start) => {
      const whole = await start({ now: outsideResets });
      const { faults, port } = whole.simulator;
      await faults.refuse();
      let calls = 0;
      const proxy = createServer((socket) => {
        calls += 1;
        socket.on('error', () => undefined);
        socket.resetAndDestroy();
      });
      await new Promise<void>((resolve) => proxy.listen(port, '127.0.0.1', resolve));
      try {
        faults.drop();
        const { body } = await eventually(
          () => whole.call('GET', '/health/detailed'),
          reasonWith('turnedAway'),
          20_000,
        );
        expect(body.components.tws.reason.message).toMatch(/^the port is open, but .* before a greeting/);
        await eventually(
          () => calls,
          (count) => count >= 3,
          20_000,
        );
        expect(calls).toBeLessThan(10);
      } finally {
        await new Promise((resolve) => proxy.close(resolve));
      }
      await faults.accept();
      await whole.untilTrading();
    },
  },
});
