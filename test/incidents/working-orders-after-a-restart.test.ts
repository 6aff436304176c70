/** Switched off once by hand: `order.resume` after the replay (machines/intake.ts); changes and cancels never left. */
import { expect } from 'vitest';
import { createSimulator } from '../../src/simulator/simulator.ts';
import { eventually, type Program, startProgram, temporaryFolder } from '../program.ts';
import { incident } from './incident.ts';
import { expectBooksAgree, writtenOrders } from './oracle.ts';

// biome-ignore lint/suspicious/noExplicitAny: orders of the public API, read by name
type Order = any;

incident({
  id: 'I58',
  title: 'Working orders of the previous session cannot be managed after a restart',
  sources: [
    'https://github.com/nautechsystems/nautilus_trader/issues/5057',
    'https://github.com/nautechsystems/nautilus_trader/pull/4281',
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/issues/77',
  ],
  others:
    'PreSubmitted was a state that the reconciler did not know; submission time and state were not kept',
  ours: 'the journal brings every order back under its own id, with its times and fills; changes and cancels work as soon as the lists are there',
  test: async () => {
    const simulator = await createSimulator({ latencyMs: { min: 0, max: 2 }, tickIntervalMs: 50 });
    const folder = temporaryFolder();
    let program: Program | null = null;
    try {
      const launch = async (): Promise<Program> => {
        const started = await startProgram(folder.path, { GATEWAY: 'tws', TWS_PORT: String(simulator.port) });
        program = started;
        await eventually(
          () => started.call('GET', '/health/ready?gate=trading'),
          ({ status }) => status === 200,
          20_000,
        );
        return started;
      };
      const first = await launch();
      const orders = {
        held: { type: 'stop', stopPrice: '900.00' },
        live: { type: 'limit', limitPrice: '1.00' },
        part: { type: 'limit', limitPrice: '1.10' },
      };
      for (const [clientOrderId, terms] of Object.entries(orders)) {
        const { status } = await first.call('POST', '/v1/orders?wait=accepted&timeoutMs=5000', {
          clientOrderId,
          instrument: 'AAPL',
          side: 'buy',
          quantity: '10',
          ...terms,
        });
        expect(status).toBe(201);
      }
      const book = () =>
        new Map(simulator.exchange.openOrders().map((order) => [order.request.orderRef, order] as const));
      simulator.exchange.script.fill(book().get('part')?.permId ?? 0, 4, 1.1);
      const orderOf = async (running: Program, id: string, fits: (order: Order) => boolean): Promise<Order> =>
        (
          await eventually(
            () => running.call('GET', `/v1/orders/${id}`),
            ({ body }) => fits(body),
            20_000,
          )
        ).body;
      await orderOf(first, 'part', ({ fills }) => fills?.[0]?.commission != null);
      const before = new Map<string, Order>();
      for (const id of Object.keys(orders))
        before.set(id, await orderOf(first, id, ({ state }) => state === 'working'));
      expect(book().get('held')?.status).toBe('PreSubmitted');

      await first.kill();
      const second = await launch();
      for (const id of Object.keys(orders)) {
        const { createdAt, orderId, permIds, filledQuantity, fills } = before.get(id);
        expect(await orderOf(second, id, () => true)).toMatchObject({
          state: 'working',
          origin: 'api',
          createdAt,
          orderId,
          permIds,
          filledQuantity,
          fills,
        });
      }
      // At once, all three.
      const answers = await Promise.all([
        second.call('DELETE', '/v1/orders/held'),
        second.call('PATCH', '/v1/orders/live', { limitPrice: '1.50' }),
        second.call('PATCH', '/v1/orders/part', { quantity: '20' }),
      ]);
      expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
      await orderOf(second, 'held', ({ state }) => state === 'cancelled');
      await orderOf(second, 'live', ({ limitPrice, state }) => limitPrice === '1.50' && state === 'working');
      expect(
        await orderOf(second, 'part', ({ quantity, state }) => quantity === '20' && state === 'working'),
      ).toMatchObject({ filledQuantity: '4', remainingQuantity: '16' });
      expect(book().get('live')?.request.lmtPrice).toBe(1.5);
      expect(new Set(writtenOrders(simulator).map(({ orderId }) => orderId)).size).toBe(3);
      await expectBooksAgree({ simulator, call: (method, path) => second.call(method, path) });
      expect(simulator.conformance()).toEqual([]);
    } finally {
      await (program as Program | null)?.kill();
      await simulator.close();
      folder.remove();
    }
  },
});
