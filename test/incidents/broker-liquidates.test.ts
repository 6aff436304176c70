/** Switched off once by hand: `callReversals` in machines/gate.machine.ts; our order to sell what was no longer held went on working. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';
import { alerts, executions, quantityOf } from './told.ts';

incident({
  id: 'I48',
  title: 'The broker liquidates a position while our own order to sell it works',
  sources: [
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/issues/156',
    'https://github.com/QuantConnect/Lean/issues/5839',
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/pull/59',
  ],
  others: 'events of unknown order ids were ignored; the books kept a position that was gone',
  ours: 'the liquidation is an order of its own and moves the position; ours that would now turn it round are called back, and only reducing orders pass until a person opens trading',
  test: async (start) => {
    const whole = await start();
    const { faults, exchange } = whole.simulator;
    await whole.place(
      { clientOrderId: 'entry', type: 'market', quantity: '314' },
      '?wait=closed&timeoutMs=10000',
    );
    await eventually(
      () => quantityOf(whole, 'AAPL'),
      (quantity) => quantity === '314',
    );
    const quote = exchange.quote(265_598);
    const above = ((quote?.ask ?? 0) * 1.1).toFixed(2);
    await whole.place({
      clientOrderId: 'exit',
      side: 'sell',
      quantity: '314',
      type: 'limit',
      limitPrice: above,
    });
    faults.injectError(
      -1,
      2148,
      'URGENT: your account is subject to liquidation. Reduce your positions immediately.',
    );
    exchange.script.liquidate(exchange.accounts[0] ?? '', 265_598);
    expect(await whole.order('exit', ({ state }) => state === 'cancelled', 20_000)).toMatchObject({
      filledQuantity: '0',
    });
    expect(await quantityOf(whole, 'AAPL')).toBe('0');
    const { body } = await whole.call('GET', '/v1/orders');
    expect(body.orders.find(({ origin }: { origin: string }) => origin === 'liquidation')).toMatchObject({
      side: 'sell',
      filledQuantity: '314',
      state: 'filled',
    });
    // The entry may have taken several prints; the liquidation is one.
    const rows = await executions(whole);
    const sum = (side: string): number =>
      rows.filter((row) => row.side === side).reduce((total, { quantity }) => total + Number(quantity), 0);
    expect([sum('buy'), sum('sell')]).toEqual([314, 314]);
    expect(rows.filter(({ side }) => side === 'sell')).toHaveLength(1);
    expect(await alerts(whole, 'account.liquidated')).toMatchObject([
      { payload: { alert: { instrument: 'AAPL', execution: { quantity: '314' } } } },
    ]);
    expect((await whole.call('GET', '/v1/trading')).body).toMatchObject({
      state: 'reducing',
      reasons: [{ code: 'liquidation' }],
    });
    const again = await whole.place({ clientOrderId: 'again' });
    expect(again).toMatchObject({ status: 422, body: { code: 'denied-not-reducing' } });
    await whole.call('PUT', '/v1/trading', { state: 'open' });
    expect((await whole.place({ clientOrderId: 'later' })).status).toBe(201);
  },
});
