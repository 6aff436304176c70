/** The wall clock is put forward by days while the process lives: closed orders stay what they are, and their names taken. */
import { expect, test } from 'vitest';
import { everyRow } from '../incidents/oracle.ts';
import { compareNow } from '../incidents/told.ts';
import { eventually } from '../program.ts';
import { startWhole } from '../whole.ts';

test('days later by the clock alone, closed orders are found and never sent again', async () => {
  let leap = 0;
  const whole = await startWhole({ now: () => Date.now() + leap });
  try {
    const terms = { clientOrderId: 'old', type: 'market' };
    const first = await whole.place(terms, '?wait=closed&timeoutMs=10000');
    expect(first).toMatchObject({ status: 201, body: { state: 'filled' } });
    const bracket = { takeProfit: { limitPrice: '900' }, stopLoss: { stopPrice: '0.50' } };
    const exits = { clientOrderId: 'pair', bracket };
    expect((await whole.place(exits)).status).toBe(201);
    await whole.call('DELETE', '/v1/orders/pair');
    for (const id of ['pair', 'pair.tp', 'pair.sl'])
      await whole.order(id, ({ state }) => state === 'cancelled');
    const desk = () => whole.program.runtime.child('desk').getSnapshot().context;
    const written = whole.simulator.received({ message: 'placeOrder' }).length;

    leap = 3 * 86_400_000;
    const { sweptAt } = desk();
    await eventually(
      async () => desk().sweptAt,
      (at) => at > sweptAt + leap,
    );
    // The broker's lists of the day still speak of it.
    await compareNow(whole);
    const orders = await everyRow(whole, '/v1/orders?state=all', 'orders');
    expect(orders.map(({ clientOrderId }) => clientOrderId).sort()).toEqual([
      'old',
      'pair',
      'pair.sl',
      'pair.tp',
    ]);
    expect((await whole.call('GET', '/v1/orders/old')).body).toMatchObject({ state: 'filled' });
    expect(await whole.place(terms, '')).toMatchObject({ status: 200, body: { filledQuantity: '10' } });
    expect((await whole.place({ ...terms, quantity: '11' }, '')).status).toBe(409);
    expect((await whole.place({ clientOrderId: 'pair.tp' }, '')).status).toBe(409);
    expect(whole.simulator.received({ message: 'placeOrder' })).toHaveLength(written);
  } finally {
    await whole.stop();
  }
});

test('names that only the journal still knows are taken, those of exits too', async () => {
  let back = 4 * 86_400_000;
  const whole = await startWhole({ now: () => Date.now() - back });
  try {
    const terms = { clientOrderId: 'b.tp', type: 'market' };
    await whole.place(terms, '?wait=closed&timeoutMs=10000');
    await whole.restart(() => {
      back = 0;
    });
    // A start counts from the newest fact: the one before the last start was four days old.
    await whole.restart();
    // What closed four days ago is not taken up; two days of silence would do the same.
    const { orders } = whole.program.runtime.child('desk').getSnapshot().context;
    expect(Object.values(orders).flatMap((bucket) => Object.keys(bucket))).not.toContain('b.tp');
    const written = whole.simulator.received({ message: 'placeOrder' }).length;
    expect(await whole.place(terms, '')).toMatchObject({ status: 200, body: { state: 'filled' } });
    const bracket = { takeProfit: { limitPrice: '900' }, stopLoss: { stopPrice: '0.50' } };
    expect(await whole.place({ clientOrderId: 'b', bracket }, '')).toMatchObject({
      status: 409,
      body: { code: 'client-order-id-reused' },
    });
    expect(whole.simulator.received({ message: 'placeOrder' })).toHaveLength(written);
  } finally {
    await whole.stop();
  }
});
