/** Switched off once by hand: `order.filled` of the state `cancelled` in machines/order.machine.ts; the fill was lost. */
import { expect } from 'vitest';
import { incident } from './incident.ts';
import { alertsAbout } from './oracle.ts';

incident({
  id: 'I13',
  title: 'An order fills after the cancel was asked for, or even after it was confirmed',
  sources: [
    'https://github.com/scmhub/ibsync/pull/23',
    'https://github.com/pst-group/pysystemtrade/issues/1580',
    'https://github.com/pst-group/pysystemtrade/issues/874',
  ],
  others: 'done and not filled was taken for cancelled; the record was deleted, and the fill had no owner',
  ours: 'an order that is being cancelled is still exposure; a late fill is booked on the cancelled order, moves the position once, and raises an alert',
  test: {
    'filled while the cancel is on its way': async (start) => {
      const whole = await start();
      await whole.place({ clientOrderId: 'c-1' });
      const { exchange, faults } = whole.simulator;
      const [broker] = exchange.openOrders();
      faults.ignore({ messages: ['cancelOrder'] });
      await whole.call('DELETE', '/v1/orders/c-1');
      expect(await whole.order('c-1', () => true)).toMatchObject({ state: 'cancelling' });
      exchange.script.fill(broker?.permId ?? 0, 10);
      await whole.order('c-1', ({ state }) => state === 'filled');
    },
    'a part is filled after the confirmation': async (start) => {
      const whole = await start();
      await whole.place({ clientOrderId: 'c-1', quantity: '100' });
      const { exchange, faults } = whole.simulator;
      const [broker] = exchange.openOrders();
      const late = faults.hold({ messages: ['execDetails', 'commissionReport', 'position'] });
      const silent = faults.swallow({ messages: ['orderStatus'], fields: { 3: 40 } });
      exchange.script.fill(broker?.permId ?? 0, 40);
      exchange.script.end(broker?.permId ?? 0, 'Cancelled');
      await whole.order('c-1', ({ notices }) => notices.length > 0);
      faults.inject([
        3,
        broker?.request.orderId ?? 0,
        'Cancelled',
        0,
        100,
        0,
        broker?.permId ?? 0,
        0,
        0,
        1,
        '',
        0,
      ]);
      await whole.order('c-1', ({ state }) => state === 'cancelled');
      silent.clear();
      late.clear();
      faults.releaseHeld();
      const reopened = await whole.order('c-1', ({ commission }) => commission !== null);
      expect(reopened).toMatchObject({
        state: 'cancelled',
        filledQuantity: '40',
        remainingQuantity: '60',
        fills: [{ quantity: '40' }],
      });
      expect(await alertsAbout(whole, 'c-1')).toMatchObject([
        { event: 'order.filledLate', state: 'cancelled', fill: { quantity: '40' } },
      ]);
    },
  },
});
