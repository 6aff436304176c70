/** A name that comes again is the same order or a conflict, also after a restart and when all has closed. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startWhole, type Whole } from './whole.ts';

let whole: Whole;
beforeAll(async () => {
  whole = await startWhole();
});
afterAll(() => whole.stop());

const takeProfit = { limitPrice: '900.00' };
const stopLoss = { stopPrice: '0.50' };
const submissions: Record<string, Record<string, unknown>> = {
  named: { client: 'rob' },
  nameless: {},
  both: { bracket: { takeProfit, stopLoss } },
  profit: { bracket: { takeProfit } },
  loss: { bracket: { stopLoss } },
};
const others: Record<string, readonly Record<string, unknown>[]> = {
  named: [{}, { client: 'bob' }],
  nameless: [{ client: 'rob' }, { bracket: { stopLoss } }],
  both: [
    {},
    { bracket: { stopLoss } },
    { bracket: { takeProfit } },
    { bracket: { takeProfit, stopLoss: { stopPrice: '0.60' } } },
    { bracket: { takeProfit, stopLoss }, client: 'rob' },
  ],
  profit: [{}, { bracket: { stopLoss } }, { bracket: { takeProfit, stopLoss } }],
  loss: [{}, { bracket: { takeProfit } }, { bracket: { takeProfit, stopLoss } }],
};

async function judge(when: string): Promise<void> {
  for (const [clientOrderId, terms] of Object.entries(submissions)) {
    const again = await whole.place({ clientOrderId, ...terms });
    expect([again.status, again.body.clientOrderId], `${clientOrderId} ${when}`).toEqual([
      200,
      clientOrderId,
    ]);
    for (const other of others[clientOrderId] ?? [])
      expect(
        await whole.place({ clientOrderId, ...other }),
        `${clientOrderId} ${when}: ${JSON.stringify(other)}`,
      ).toMatchObject({ status: 409, body: { code: 'client-order-id-reused', order: { clientOrderId } } });
  }
}

test('only the same body is a repetition: while it works, after a restart, and when it has closed', async () => {
  for (const [clientOrderId, terms] of Object.entries(submissions))
    expect((await whole.place({ clientOrderId, ...terms })).body).toMatchObject({ state: 'working' });
  await judge('as it works');
  await whole.call('PATCH', '/v1/orders/nameless', { limitPrice: '1.10' });
  await whole.order('nameless', ({ limitPrice, state }) => limitPrice === '1.10' && state === 'working');
  await judge('changed');
  await whole.restart();
  await judge('after a restart');
  for (const id of Object.keys(submissions)) await whole.call('DELETE', `/v1/orders/${id}`);
  for (const id of Object.keys(submissions)) await whole.order(id, ({ state }) => state === 'cancelled');
  await judge('closed');
  await whole.restart();
  await judge('closed, after a restart');
}, 60_000);
