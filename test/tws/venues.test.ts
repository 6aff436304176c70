/** TWS tells positions in futures without the exchange, which is a part of their name. */
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../program.ts';
import { startWhole, type Whole } from '../whole.ts';

const future = 649_180_695;
const account = 'DU1234567';
let whole: Whole;
afterEach(() => whole.stop());

// biome-ignore lint/suspicious/noExplicitAny: rows of every shape are looked into
const positions = async (): Promise<any[]> => (await whole.call('GET', '/v1/positions')).body.positions;

test('a position that was there before is named as it can be ordered', async () => {
  whole = await startWhole({ environment: { MAX_ORDER_NOTIONAL: '0' } });
  const { faults, exchange } = whole.simulator;
  faults.swallow({ messages: ['updatePortfolio'] });
  exchange.script.setPosition(account, future, 2, 330_000);
  exchange.script.setPosition(account, 265_598, 7, 100);
  const rows = await eventually(positions, ({ length }) => length === 2);
  expect(rows.map(({ instrument, quantity }) => [instrument, quantity])).toEqual(
    expect.arrayContaining([
      ['FUT:ESZ6@CME', '2'],
      ['AAPL', '7'],
    ]),
  );
  const { contract } = rows.find(({ quantity }) => quantity === '2');
  for (const [n, instrument] of ['FUT:ESZ6@CME', contract].entries()) {
    const exit = { clientOrderId: `exit-${n}`, instrument, side: 'sell', type: 'market', quantity: '1' };
    expect((await whole.place(exit, '?wait=closed')).body.state).toBe('filled');
  }
  await eventually(positions, (now) => now.length === 1 && now[0].instrument === 'AAPL');
});

test('what nobody says is left out, and the list comes all the same', async () => {
  whole = await startWhole();
  const { faults, exchange } = whole.simulator;
  faults.swallow({ messages: ['updatePortfolio'] });
  const silence = faults.swallow({ messages: ['contractDetails', 'contractDetailsEnd'] });
  exchange.script.setPosition(account, future, 2, 330_000);
  exchange.script.setPosition(account, 265_598, 7, 100);
  const named = (rows: { instrument: string }[]) => rows.map(({ instrument }) => instrument).sort();
  expect(named(await eventually(positions, ({ length }) => length === 2, 15_000))).toEqual([
    'AAPL',
    'FUT:ESZ6',
  ]);
  silence.clear();
  await whole.restart();
  expect(named(await positions())).toEqual(['AAPL', 'FUT:ESZ6']);
});
