/**
 * Switched off once by hand: `position-unexplained` in `compared` of machines/ledger.machine.ts (nothing was named), and
 * `position-uncertain` in machines/gate.ts (the order in the uncertain instrument was taken).
 */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';
import {
  compareNow,
  discrepancies,
  discrepancy,
  positions,
  quantityOf,
  untilAgreed,
  untilPaired,
} from './told.ts';

const aapl = 265_598;

incident({
  id: 'I49',
  title: 'The local book and the broker disagree, and nobody compares',
  sources: [
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/issues/136',
    'https://github.com/nautechsystems/nautilus_trader/issues/3655',
    'https://github.com/nautechsystems/nautilus_trader/issues/3023',
    'https://github.com/nautechsystems/nautilus_trader/issues/3054',
  ],
  others: 'no comparison, or one that "closed" a ghost by opening the opposite position',
  ours: 'own fills, positions and portfolio are compared; a difference has a name, shuts only what it concerns, and ends with its reason',
  test: {
    'refused, and yet a short position appears': async (start) => {
      const whole = await start();
      const { faults, exchange } = whole.simulator;
      const account = exchange.accounts[0] ?? '';
      faults.reject(201, 'Order rejected - reason: margin');
      const dear = ((exchange.quote(aapl)?.ask ?? 0) * 1.1).toFixed(2);
      const sell = { side: 'sell', type: 'limit', limitPrice: dear };
      await whole.place({ clientOrderId: 'mnq', ...sell, quantity: '1' });
      await whole.order('mnq', ({ state }) => state === 'rejected');
      // The broker's list of positions is not to be had: what is uncertain stays so.
      const mute = faults.ignore({ messages: ['reqPositions'] });
      exchange.script.setPosition(account, aapl, -1, 100);
      await eventually(
        () => quantityOf(whole, 'AAPL'),
        (quantity) => quantity === '-1',
      );
      mute.clear();
      const named = await discrepancy(whole, 'position-unexplained');
      expect(named).toMatchObject({
        subject: { kind: 'position', account, instrument: 'AAPL' },
        evidence: { ours: '-1', reported: '-1', unexplained: '-1' },
        age: expect.any(Number),
        done: null,
      });
      const { body } = await whole.call('GET', '/health/detailed');
      expect(body.components.reconciliation).toMatchObject({ status: 'warn', differences: 1 });
      const refused = await whole.place({ clientOrderId: 'more', ...sell });
      expect(refused).toMatchObject({ status: 422, body: { code: 'denied-position-uncertain' } });
      expect((await whole.place({ clientOrderId: 'other', instrument: 'MSFT' })).status).toBe(201);
      await whole.place({ clientOrderId: 'back', type: 'market', quantity: '1' });
      expect(await whole.order('back', ({ state }) => state === 'filled')).toBeDefined();
      await untilAgreed(whole);
      await untilPaired(whole);
      expect((await whole.place({ clientOrderId: 'again' })).status).toBe(201);
    },
    'only the portfolio says that there is a position': async (start) => {
      const whole = await start();
      const { faults, exchange } = whole.simulator;
      const mute = faults.swallow({ messages: ['position'] });
      exchange.script.setPosition(exchange.accounts[0] ?? '', aapl, -1, 100);
      expect(await discrepancy(whole, 'portfolio-differs')).toMatchObject({
        evidence: { ours: '0', portfolio: '-1' },
      });
      mute.clear();
      await untilAgreed(whole);
      expect(await quantityOf(whole, 'AAPL')).toBe('-1');
      await untilPaired(whole);
    },
    'closed by hand in TWS: an execution of client 0 explains it': async (start) => {
      const whole = await start();
      const { exchange } = whole.simulator;
      await whole.place({ clientOrderId: 'entry', type: 'market' }, '?wait=closed&timeoutMs=10000');
      await eventually(
        () => quantityOf(whole, 'AAPL'),
        (quantity) => quantity === '10',
      );
      exchange.script.external({
        contract: exchange.positions()[0]?.contract as never,
        action: 'SELL',
        totalQuantity: 10,
        orderType: 'MKT',
        account: exchange.accounts[0] ?? '',
      });
      await eventually(
        () => positions(whole),
        (rows) => rows.length === 0,
      );
      const { body } = await eventually(
        () => whole.call('GET', '/v1/orders'),
        (answer) =>
          answer.body.orders.some(
            (order: { origin: string; state: string }) =>
              order.origin === 'external' && order.state === 'filled',
          ),
        20_000,
      );
      expect(body.orders).toHaveLength(2);
      await untilAgreed(whole);
      const told = await discrepancies(whole);
      expect(told.every(({ done }) => done.how === 'explained')).toBe(true);
    },
    'the row of a position disappears': async (start) => {
      const whole = await start();
      const { faults, exchange } = whole.simulator;
      await whole.place({ clientOrderId: 'entry', type: 'market' }, '?wait=closed&timeoutMs=10000');
      await eventually(
        () => positions(whole),
        ([row]) => row?.confirmed === true,
      );
      // Not a word of it: neither position nor portfolio, only lists that lack it.
      const mute = faults.swallow({ messages: ['position', 'updatePortfolio'] });
      exchange.script.setPosition(exchange.accounts[0] ?? '', aapl, 0, 0);
      await compareNow(whole);
      expect(await discrepancy(whole, 'position-missing', false)).toMatchObject({
        done: { how: 'accepted' },
      });
      expect(await positions(whole)).toEqual([]);
      expect(exchange.openOrders()).toEqual([]);
      mute.clear();
    },
  },
});
