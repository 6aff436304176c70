/** Switched off once by hand: `balances` computed from now instead of from the values; the money looked fresh. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';
import { movableClock, quantityOf, untilAgreed } from './told.ts';

const cut = (faults: { injectError(id: number, code: number, text: string): void }): void =>
  faults.injectError(-1, 1100, 'Connectivity between IBKR and Trader Workstation has been lost.');

incident({
  id: 'I51',
  title: 'A week-end outage: 1100 every minute for hours, values without portfolio rows',
  sources: [
    'https://github.com/QuantConnect/Lean/issues/2799',
    'https://github.com/QuantConnect/Lean/pull/2953',
    'https://github.com/QuantConnect/Lean.Brokerages.InteractiveBrokers/pull/17',
  ],
  others: 'waited for a callback that is not owed, tried to reconnect inside the outage, and stopped',
  ours: 'one outage however often it is announced; the session stays, money is shown with its age, nothing trades on it, and it goes on by itself',
  test: async (start) => {
    // Friday night in New York.
    const clock = movableClock(Date.parse('2026-08-14T23:45:00-04:00'));
    const whole = await start({ now: clock.now, simulator: { clock } });
    const { faults, exchange } = whole.simulator;
    await whole.place({ clientOrderId: 'gtc', timeInForce: 'gtc' });
    const noRows = faults.swallow({ messages: ['updatePortfolio'] });
    const sessions = whole.simulator.clients().map(({ session }) => session);
    faults.upstreamLost();
    await eventually(
      () => whole.call('GET', '/health/ready?gate=trading'),
      ({ status }) => status === 503,
    );
    const before = (await whole.call('GET', '/v1/account')).body.balances[0];
    const eightHours = 8 * 60;
    for (let minute = 0; minute < eightHours; minute += 1) {
      clock.move(60_000);
      cut(faults);
    }
    await eventually(
      () => whole.call('GET', '/v1/account'),
      ({ body }) => body.balances[0].ageMs > 7 * 3_600_000,
    );
    const aged = (await whole.call('GET', '/v1/account')).body.balances[0];
    expect(aged.at >= before.at).toBe(true);
    const refused = await whole.place({ clientOrderId: 'blind' });
    expect(refused).toMatchObject({ status: 503, body: { reason: 'severed' } });
    exchange.script.fill(exchange.openOrders()[0]?.permId ?? 0, 4, 1);
    faults.upstreamBack(1102);
    await whole.untilTrading();
    expect(await whole.order('gtc', ({ filledQuantity }) => filledQuantity === '4')).toMatchObject({
      state: 'working',
    });
    await eventually(
      () => quantityOf(whole, 'AAPL'),
      (quantity) => quantity === '4',
    );
    await eventually(
      () => whole.call('GET', '/v1/account'),
      ({ body }) => body.balances[0].ageMs < 3_600_000,
      20_000,
    );
    // The whole time it was one and the same session, and one loss with one recovery.
    expect(whole.simulator.clients().map(({ session }) => session)).toEqual(sessions);
    const { facts } = (await whole.call('GET', '/v1/journal?limit=500')).body;
    const links = facts.filter(({ event }: { event: string }) => /tws\.(severed|restored|lost)/.test(event));
    expect(links.map(({ event }: { event: string }) => event)).toEqual(['tws.severed', 'tws.restored']);
    noRows.clear();
    await untilAgreed(whole);
  },
});
