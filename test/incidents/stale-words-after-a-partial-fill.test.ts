/** Switched off once by hand: the families of `executed` (machines/evidence.ts); the reconnect filled it twice. */
import { expect } from 'vitest';
import { openOrder, orderStatus } from '../../src/simulator/wire/orders.ts';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';
import { everyRow } from './oracle.ts';

const context = { version: 193, zone: 'America/New_York' } as const;

incident({
  id: 'I15',
  title: 'An openOrder after a partial fill moves the order backwards, with nothing filled',
  sources: [
    'https://github.com/nautechsystems/nautilus_trader/pull/3471',
    'https://github.com/nautechsystems/nautilus_trader/pull/3472',
  ],
  others: 'the status of an openOrder was taken literally; an unset quantity was read as 0',
  ours: 'what executions have filled never falls, whatever older words arrive after them',
  test: async (start) => {
    const whole = await start();
    await whole.place({ clientOrderId: 'c-1' });
    const { exchange, faults } = whole.simulator;
    const [before] = exchange.openOrders();
    if (!before) throw new Error('the order is not in the book');
    for (const [index, shares] of [4, 3].entries()) {
      exchange.script.fill(before.permId, shares);
      await whole.order('c-1', ({ fills }) => fills.length === index + 1);
      faults.inject(openOrder(before, context));
      faults.inject(orderStatus(before));
    }
    faults.injectError(before.request.orderId, 399, 'the last of the stale words');
    const after = await whole.order('c-1', ({ notices }) => notices.length === 1);
    expect(after).toMatchObject({ state: 'working', filledQuantity: '7', remainingQuantity: '3' });
    faults.drop(1);
    await eventually(
      () => everyRow(whole, '/v1/journal', 'facts'),
      (facts) => facts.filter(({ event }) => event === 'tws.ready').length === 2,
      20_000,
    );
    await whole.untilTrading();
    expect(await whole.order('c-1', () => true)).toMatchObject({ state: 'working', filledQuantity: '7' });
    const facts = await everyRow(whole, '/v1/journal', 'facts');
    const filled = facts.flatMap(({ payload }) =>
      payload.order?.clientOrderId === 'c-1' ? [Number(payload.order.filledQuantity)] : [],
    );
    expect(filled).toEqual([...filled].sort((a, b) => a - b));
  },
});
