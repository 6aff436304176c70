/** Switched off once by hand: the family as the key in machines/ledger.machine.ts; each report became a row. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';
import { compareNow, executions, positions } from './told.ts';

incident({
  id: 'I60',
  title: 'Two sources tell the same fills, and every trade is booked twice',
  sources: ['https://github.com/joemccann/radon/pull/28', 'https://github.com/joemccann/radon/pull/139'],
  others: 'two writers with two keys for one fill; a claim that outlived the write that failed',
  ours: 'one row per family of executions, whoever tells it and how often: live, listed, repeated, after a reconnect and after a restart',
  test: async (start) => {
    const whole = await start();
    const { faults, exchange } = whole.simulator;
    await whole.place({ clientOrderId: 'c-1' });
    await whole.place({ clientOrderId: 'c-2' });
    faults.duplicate({ messages: ['execDetails', 'commissionReport', 'orderStatus'] }, { copies: 2 });
    const [one, two] = exchange.openOrders().map(({ permId }) => permId);
    exchange.script.fill(one ?? 0, 4, 1);
    exchange.script.fill(two ?? 0, 10, 1);
    exchange.script.fill(one ?? 0, 6, 1.1);
    await whole.order('c-1', ({ state }) => state === 'filled');
    await whole.order('c-2', ({ state }) => state === 'filled');
    const booked = await eventually(
      () => executions(whole),
      (rows) => rows.length === 3 && rows.every(({ commission }) => commission !== null),
    );
    const [position] = await positions(whole);
    expect(position).toMatchObject({ quantity: '20' });
    const { averageCost } = position;

    await compareNow(whole);
    faults.drop();
    await whole.untilTrading();
    await compareNow(whole);
    await whole.restart();
    await compareNow(whole);
    expect(await executions(whole)).toEqual(booked);
    expect(await positions(whole)).toMatchObject([{ quantity: '20', averageCost }]);
    expect(await whole.order('c-1', () => true)).toMatchObject({ filledQuantity: '10', fills: [{}, {}] });
    const { body } = await whole.call('GET', '/v1/journal?limit=500');
    const told = body.facts.filter(({ event }: { event: string }) => event === 'order.filled');
    expect(told).toHaveLength(3);
  },
});
