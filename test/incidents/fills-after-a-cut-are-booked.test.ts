/** Switched off once by hand: `reconcile` after a cut in machines/runtime.machine.ts; trading never opened again. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';
import { executions, quantityOf } from './told.ts';

incident({
  id: 'I21',
  title: 'Fills that arrive after 1100 are dropped, and nobody asks for them later',
  sources: [
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/issues/249',
    'https://github.com/QuantConnect/Lean/pull/884',
  ],
  others: 'a flag of the link let no event in; nothing was compared after 1102',
  ours: 'a fact is booked whatever the link is thought to be; after 1101 and 1102 all lists are asked for, and repetitions count once',
  test: Object.fromEntries(
    ([1102, 1101] as const).map((code) => [
      `ten orders, ended by ${code}`,
      async (start) => {
        const whole = await start();
        const { faults, exchange } = whole.simulator;
        const ids = Array.from({ length: 10 }, (_, index) => `moo-${index + 1}`);
        for (const clientOrderId of ids) await whole.place({ clientOrderId });
        const permIds = exchange.openOrders().map(({ permId }) => permId);
        const fill = (from: number, to: number): void => {
          for (const permId of permIds.slice(from - 1, to)) exchange.script.fill(permId, 10, 1);
        };
        fill(1, 4);
        faults.injectError(-1, 1100, 'Connectivity between IBKR and Trader Workstation has been lost.');
        fill(5, 8);
        for (const id of ids.slice(0, 8)) await whole.order(id, ({ state }) => state === 'filled');
        expect((await whole.call('GET', '/health/ready?gate=trading')).status).toBe(503);
        const unheard = faults.swallow({
          messages: ['execDetails', 'commissionReport', 'openOrder', 'orderStatus', 'position'],
        });
        fill(9, 10);
        await eventually(
          () => unheard.acted,
          (acted) => acted >= 8,
        );
        unheard.clear();
        faults.injectError(-1, code, 'Connectivity has been restored.');
        await whole.untilTrading();
        for (const id of ids)
          expect(await whole.order(id, ({ state }) => state === 'filled')).toMatchObject({
            filledQuantity: '10',
            fills: [{ quantity: '10' }],
          });
        expect(await executions(whole)).toHaveLength(10);
        expect(await quantityOf(whole, 'AAPL')).toBe('100');
      },
    ]),
  ),
});
