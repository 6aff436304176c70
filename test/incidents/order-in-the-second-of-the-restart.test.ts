/** Switched off once by hand: `doubtLostSession` in state submitting (machines/order.machine.ts); the loss gave no cause for doubt. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident, type Scenario } from './incident.ts';
import { alertsAbout, writtenOrders } from './oracle.ts';

const everything = { clientId: 0, account: '', since: 0, symbol: '', secType: '', exchange: '', side: '' };

/** The client sees the same in both: bytes taken, then the end. */
const scenario =
  (reached: boolean): Scenario =>
  async (start) => {
    const whole = await start();
    const { faults, exchange } = whole.simulator;
    if (reached)
      faults.swallow({ messages: ['openOrder', 'orderStatus', 'execDetails', 'commissionReport'] });
    else faults.ignore({ messages: ['placeOrder'] }, 1);
    const placed = await whole.place({ clientOrderId: 'c-1', type: 'market' }, '');
    expect(placed).toMatchObject({ status: 201, body: { state: 'submitting' } });
    await eventually(
      () => [...exchange.completedOrders(), ...whole.simulator.received({ message: 'placeOrder' })].length,
      (heard) => heard === (reached ? 2 : 1),
    );
    expect(exchange.executions(everything)).toHaveLength(reached ? 1 : 0);
    const back = faults.restart({ downMs: 500 });
    await whole.order('c-1', ({ state }) => state === 'inDoubt', 20_000);
    const told = await eventually(
      () => alertsAbout(whole, 'c-1'),
      ({ length }) => length > 0,
    );
    expect(told).toMatchObject([{ event: 'order.inDoubt', reason: { code: 'session-lost' } }]);
    faults.clear();
    await back;
    const ended = await whole.order('c-1', ({ state }) => state === 'filled' || state === 'rejected', 20_000);
    expect(ended).toMatchObject(
      reached
        ? { state: 'filled', fills: [{ quantity: '10' }] }
        : { state: 'rejected', reason: { code: 'not-at-broker' }, fills: [] },
    );
    expect(writtenOrders(whole.simulator)).toHaveLength(1);
  };

incident({
  id: 'I39',
  title: 'An order is written in the same second in which the gateway restarts',
  sources: [
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/issues/242',
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/pull/257',
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/pull/240',
  ],
  others: 'written to a socket counted as placed; five minutes of waiting, then the algorithm stopped',
  ours: 'in doubt at the loss, said so by an alert, and decided by the lists of the next session: found, or proven unknown; never sent again',
  test: { 'it never arrived': scenario(false), 'it arrived, and filled meanwhile': scenario(true) },
});
