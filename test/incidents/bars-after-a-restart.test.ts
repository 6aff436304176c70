/** Switched off once by hand: `withPartial` in src/market/market.ts; the forming bar looked final. */
import { expect } from 'vitest';
import { withPartial } from '../../machines/market.ts';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';

interface Bar {
  readonly time: string;
  readonly partial?: true;
}

incident({
  id: 'I43',
  title: 'Streaming bars do not come back after the daily restart, overlap, and end with half a bar',
  sources: ['https://github.com/nautechsystems/nautilus_trader/issues/1933'],
  others: 'the resubscription left these streams out; the last bar was published as final',
  ours: 'bars are asked for, not streamed: after a gap the same question brings each bar once, and one that still forms is marked `partial`',
  test: async (start) => {
    const whole = await start();
    const { faults } = whole.simulator;
    const ask = async (): Promise<readonly Bar[]> => {
      const { status, body } = await whole.call(
        'GET',
        '/v1/bars/AAPL?duration=1800 S&barSize=5 secs&limit=500',
      );
      expect(status).toBe(200);
      return body.bars;
    };
    const before = await ask();
    await faults.refuse();
    faults.drop();
    const refused = await eventually(
      () => whole.call('GET', '/v1/bars/AAPL?duration=1800 S&barSize=5 secs'),
      ({ status }) => status !== 200,
    );
    expect(refused).toMatchObject({ status: 503, body: { reason: 'not-connected' } });
    await faults.accept();
    await whole.untilTrading();
    const repeated = faults.duplicate({ messages: ['historicalData'] });
    const after = await ask();
    expect(repeated.acted).toBe(1);
    const times = after.map(({ time }) => time);
    expect(times).toEqual([...new Set(times)].sort());
    // What was final stays as it was; what is missing between is there; at most the last one is not final.
    const final = before.filter(({ partial, time }) => !partial && time >= (times[0] ?? ''));
    expect(after.filter(({ time }) => final.some((bar) => bar.time === time))).toEqual(final);
    expect(after.slice(0, -1).some(({ partial }) => partial)).toBe(false);
    for (const [index, time] of times.entries()) {
      const next = times[index + 1];
      if (next !== undefined) expect(Date.parse(next) - Date.parse(time)).toBe(5_000);
    }
    const forming = await eventually(
      async () => (await ask()).at(-1),
      (bar) => bar?.partial === true,
    );
    const finished = await eventually(
      async () => (await ask()).find(({ time }) => time === forming?.time),
      (bar) => bar !== undefined && bar.partial === undefined,
    );
    expect(finished).not.toHaveProperty('partial');
    expect(withPartial([], '5 mins', 0)).toEqual([]);
  },
});
