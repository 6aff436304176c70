/** Switched off once by hand: `hasMissedMidnight` and the gap of `followComparison` in machines/audit.machine.ts; nothing was told. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import type { Whole } from '../whole.ts';
import { incident, type Start } from './incident.ts';
import {
  alerts,
  discrepancies,
  discrepancy,
  executions,
  movableClock,
  quantityOf,
  untilAgreed,
  untilPaired,
} from './told.ts';

/** 16:24 in New York, a Thursday. */
const afternoon = Date.parse('2026-08-13T16:24:00-04:00');
const aapl = 265_598;

async function holding(
  start: Start,
  options: object = {},
): Promise<{ whole: Whole; clock: ReturnType<typeof movableClock> }> {
  const clock = movableClock(afternoon);
  const whole = await start({ now: clock.now, simulator: { clock }, ...options });
  await whole.place(
    { clientOrderId: 'entry', type: 'market', quantity: '800' },
    '?wait=closed&timeoutMs=10000',
  );
  await eventually(
    () => quantityOf(whole, 'AAPL'),
    (quantity) => quantity === '800',
  );
  return { whole, clock };
}

const sell = (whole: Whole, totalQuantity: number): void => {
  const { exchange } = whole.simulator;
  exchange.script.external({
    contract: exchange.positions().find(({ contract }) => contract.conId === aapl)?.contract as never,
    action: 'SELL',
    totalQuantity,
    orderType: 'MKT',
    account: exchange.accounts[0] ?? '',
  });
};

incident({
  id: 'I29',
  title: 'Executions of an evening without a gateway: at midnight the broker forgets them',
  sources: ['https://github.com/joemccann/radon/pull/20'],
  others: 'a time window let the late fills through, and the sweep asked a source that only has today',
  ours: 'the gap is told at midnight and has its times; the broker’s positions are taken, and what they cannot explain has a name',
  test: {
    'unreachable from 16:24 to 00:05, 800 sold meanwhile': async (start) => {
      // The executions of the gap are on the broker's tape for ever; no API gives them to us.
      const { whole, clock } = await holding(start, { agrees: false });
      const { faults } = whole.simulator;
      await faults.refuse();
      faults.drop();
      await eventually(
        () => whole.call('GET', '/health/ready?gate=trading'),
        ({ status }) => status === 503,
      );
      sell(whole, 500);
      sell(whole, 300);
      await eventually(
        () => whole.simulator.exchange.positions(),
        (rows) => rows.every(({ position }) => position === 0),
      );
      clock.move(7 * 3_600_000 + 41 * 60_000);
      const told = await discrepancy(whole, 'executions-gap');
      expect(told).toMatchObject({
        subject: { kind: 'accounts' },
        evidence: { from: expect.stringMatching(/^2026-08-13T20:/), to: '2026-08-14T04:00:00.000Z' },
      });
      expect((await alerts(whole, 'discrepancy.raised')).length).toBe(1);
      await faults.accept();
      await whole.untilTrading();
      await eventually(
        () => quantityOf(whole, 'AAPL'),
        (quantity) => quantity === '0',
        20_000,
      );
      await untilAgreed(whole);
      await untilPaired(whole);
      const named = (await discrepancies(whole)).filter(({ subject }) => subject.kind === 'position');
      expect(named).toMatchObject([{ subject: { instrument: 'AAPL' }, done: { how: 'accepted' } }]);
      // What nobody told us is not made up.
      expect(new Set((await executions(whole)).map(({ side }) => side))).toEqual(new Set(['buy']));
    },
    'the process itself was down over midnight': async (start) => {
      const { whole, clock } = await holding(start);
      await whole.restart(() => clock.move(10 * 3_600_000));
      await discrepancy(whole, 'executions-gap', false);
      await untilAgreed(whole);
      await untilPaired(whole);
      expect(await quantityOf(whole, 'AAPL')).toBe('800');
    },
    'midnight in a session: nothing is missing, nothing is told': async (start) => {
      const { whole, clock } = await holding(start);
      clock.move(8 * 3_600_000);
      sell(whole, 800);
      await eventually(
        () => quantityOf(whole, 'AAPL'),
        (quantity) => quantity === '0',
      );
      expect(await alerts(whole, 'discrepancy.raised')).toEqual([]);
    },
  },
});
