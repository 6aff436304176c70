/** Switched off once by hand: reqAccountSummary for the further accounts in src/tws/account.ts; the second account had no money. */
import { expect } from 'vitest';
import { eventually } from '../program.ts';
import { incident } from './incident.ts';
import { positions, untilAgreed } from './told.ts';

const accounts = ['DU1234567', 'DU7654321'];

incident({
  id: 'I50',
  title: 'A linked account sends no portfolio, and the end of its download is somebody else’s or never comes',
  sources: [
    'https://github.com/brndnmtthws/thetagang/pull/646',
    'https://github.com/ib-api-reloaded/ib_async/issues/72',
    'https://github.com/ib-api-reloaded/ib_async/pull/165',
    'https://github.com/erdewit/ib_insync/issues/442',
  ],
  others: 'readiness hung on the end of a download; two downloads answered for each other',
  ours: 'positions of all accounts come from one list; one account download at a time, nothing waits for its end, and further accounts are asked for by their summary',
  test: {
    'both accounts trade, the second never ends its download': async (start) => {
      const silence = ['accountDownloadEnd'];
      const whole = await start({ simulator: { accounts } });
      const { faults, exchange } = whole.simulator;
      const mute = faults.swallow({ messages: silence });
      await faults.restart({ downMs: 200 });
      await whole.untilTrading();
      for (const account of accounts)
        await whole.place(
          { clientOrderId: `b-${account}`, account, type: 'market', quantity: '7' },
          '?wait=closed&timeoutMs=10000',
        );
      const rows = await eventually(
        () => positions(whole),
        (found) => found.length === 2 && found.every(({ confirmed }) => confirmed),
      );
      expect(rows.map(({ account, quantity }) => [account, quantity]).toSorted()).toEqual(
        accounts.map((account) => [account, '7']),
      );
      const { body } = await eventually(
        () => whole.call('GET', '/v1/account'),
        // What is known of a former session may be there before this one has asked.
        (answer) =>
          answer.body.balances.every(({ outcome }: { outcome: string }) => outcome === 'complete') &&
          accounts.every((account) =>
            answer.body.values.some(
              (value: { account: string; key: string }) =>
                value.account === account && value.key === 'NetLiquidation',
            ),
          ),
        20_000,
      );
      expect(body.balances).toMatchObject(
        accounts.map((account) => ({ account, outcome: 'complete', at: expect.any(String) })),
      );
      expect(whole.simulator.received({ message: 'reqAccountUpdates' }).length).toBeLessThanOrEqual(2);
      mute.clear();
      await untilAgreed(whole);
      expect(exchange.positions()).toHaveLength(2);
    },
    'a position of the second account goes: its portfolio never told of it': async (start) => {
      const whole = await start({ simulator: { accounts } });
      const { exchange } = whole.simulator;
      const [, second = ''] = accounts;
      await whole.place(
        { clientOrderId: 'b', account: second, type: 'market', quantity: '7' },
        '?wait=closed&timeoutMs=10000',
      );
      await eventually(
        () => positions(whole),
        ([row]) => row?.confirmed === true,
      );
      exchange.script.setPosition(second, 265_598, 2, 100);
      await eventually(
        () => positions(whole),
        ([row]) => row?.quantity === '2',
      );
      await untilAgreed(whole);
    },
  },
});
