/** A journal of a hundred thousand executions: a start takes up what may still be spoken of, readers page through all. */
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { JournalEntry } from '../../machines/journal.ts';
import { executionRecallMs } from '../../machines/ledger.ts';
import { applyFact, executionFamily, type Order, type OrderFact, orderOf } from '../../machines/order.ts';
import { openJournal } from '../../src/journal/journal.ts';
import { everyRow } from '../incidents/oracle.ts';
import { ticket } from '../machines/orders.ts';
import { temporaryFolder } from '../program.ts';
import { startWhole } from '../whole.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());

const count = 100_000;
const recentCount = 5_000;
const account = 'DU1234567';

const execution = (n: number, at: number, clientOrderId = 'ext-1'): JournalEntry => ({
  kind: 'execution',
  at,
  event: 'execution.booked',
  family: `f${n}.01`,
  execution: {
    execId: `f${n}.01.01`,
    clientOrderId,
    account,
    instrument: 'MSFT',
    side: n % 2 === 0 ? 'buy' : 'sell',
    quantity: '1',
    price: '400',
    commission: '1',
    currency: 'USD',
    realizedPnl: null,
    at: new Date(at).toISOString(),
  },
});

/** An order that filled in part a month ago and works on. */
function* openOrder(at: number): Generator<JournalEntry> {
  let order: Order = orderOf(ticket({ timeInForce: 'gtc' }), 1, at);
  const facts: OrderFact[] = [
    {
      type: 'order.requested',
      clientOrderId: 'c-1',
      at,
      ticket: ticket({ timeInForce: 'gtc' }),
      orderId: 1,
      parentOrderId: 0,
    },
    {
      type: 'order.filled',
      clientOrderId: 'c-1',
      at,
      fill: {
        execId: 'f0.01.01',
        quantity: '1',
        price: '187',
        at: new Date(at).toISOString(),
        commission: null,
        realizedPnl: null,
      },
    },
  ];
  for (const fact of facts) {
    order = { ...applyFact(order, fact), state: 'working' };
    yield { kind: 'order', fact, order };
  }
}

test('a start takes up a week of executions and those of open orders; the API pages through all', async () => {
  const path = join(folder.path, 'journal.db');
  const now = Date.now();
  const old = now - 30 * 86_400_000;
  const journal = openJournal(path);
  journal.append([...openOrder(old), execution(0, old, 'c-1')]);
  for (let from = 1; from < count; from += 9_999)
    journal.append(
      Array.from({ length: Math.min(9_999, count - from) }, (_, index) => {
        const n = from + index;
        return execution(n, n < count - recentCount ? old : now - 60_000);
      }),
    );
  const { executions } = journal.restore(now, now - executionRecallMs);
  expect(executions).toHaveLength(recentCount + 1);
  expect(executions[0]).toMatchObject({ execId: 'f0.01.01', clientOrderId: 'c-1' });
  journal.close();

  const whole = await startWhole({ environment: { JOURNAL_PATH: path } });
  try {
    const { context } = whole.program.runtime.child('ledger').getSnapshot();
    const known = Object.values(context.executions).flatMap((bucket) => Object.keys(bucket));
    expect(known).toHaveLength(recentCount + 1);
    const rows = await everyRow(whole, '/v1/executions', 'executions');
    expect(rows).toHaveLength(count);
    expect(new Set(rows.map(({ execId }) => executionFamily(execId))).size).toBe(count);
  } finally {
    await whole.stop();
  }
}, 60_000);
