/** Switched off once by hand: -1 read as an amount in src/tws/translate.ts; the pending commission was "-1". */
import { expect } from 'vitest';
import type { Whole } from '../whole.ts';
import { incident } from './incident.ts';
import { executions } from './told.ts';

const unset = '1.7976931348623157E308';

/** A market order whose own report of its commission never comes; its execution's id. */
async function fillUnreported(whole: Whole, clientOrderId: string): Promise<string> {
  await whole.place({ clientOrderId, type: 'market' }, '?wait=closed&timeoutMs=10000');
  const order = await whole.order(clientOrderId, ({ state }) => state === 'filled');
  expect(order).toMatchObject({ commission: null, fills: [{ commission: null }] });
  return order.fills[0].execId;
}

const report = (whole: Whole, execId: string, commission: string, realized: string): void =>
  whole.simulator.faults.inject([59, 1, execId, commission, 'USD', realized, '', '']);

incident({
  id: 'I26',
  title: 'A commission is missing, -1 or unset; and a real one is negative',
  sources: [
    'https://github.com/nautechsystems/nautilus_trader/issues/4228',
    'https://github.com/nautechsystems/nautilus_trader/pull/4230',
    'https://github.com/nautechsystems/nautilus_trader/pull/4281',
  ],
  others: 'money was made of the sentinel and the fill was lost; the first repair cut off every rebate',
  ours: 'a fill is booked without its commission; exactly -1 and unset mean "not known", any other negative amount is a rebate',
  test: async (start) => {
    const whole = await start();
    // Also not with a list of executions: what is told here is told by the test alone.
    whole.simulator.faults.swallow({ messages: ['commissionReport'] });
    const late = await fillUnreported(whole, 'late');
    report(whole, late, '-1.0', unset);
    const rebate = await fillUnreported(whole, 'rebate');
    report(whole, rebate, '-0.35', unset);
    expect(await whole.order('rebate', ({ commission }) => commission !== null)).toMatchObject({
      commission: '-0.35',
      fills: [{ commission: '-0.35', realizedPnl: null }],
    });
    expect(await whole.order('late', () => true)).toMatchObject({ commission: null });
    report(whole, late, '1.05', unset);
    expect(await whole.order('late', ({ commission }) => commission !== null)).toMatchObject({
      commission: '1.05',
      fills: [{ commission: '1.05', realizedPnl: null }],
    });
    const never = await fillUnreported(whole, 'unset');
    report(whole, never, unset, '12.5');
    expect(await whole.order('unset', ({ fills }) => fills[0].realizedPnl !== null)).toMatchObject({
      commission: null,
      fills: [{ realizedPnl: '12.5' }],
    });
    const rows = await executions(whole);
    expect(rows.map(({ clientOrderId, commission }) => [clientOrderId, commission]).toSorted()).toEqual([
      ['late', '1.05'],
      ['rebate', '-0.35'],
      ['unset', null],
    ]);
  },
});
