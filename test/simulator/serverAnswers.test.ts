/** Answers over the wire that clients of IB rely on, at the newest version of the protocol. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { VirtualClock } from '../../src/simulator/clock.ts';
import { UNLIMITED } from '../../src/simulator/limits.ts';
import type { Contract } from '../../src/simulator/model.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { query } from './exchangeDriver.ts';
import { RawClient, stockOrder } from './rawClient.ts';

const account = 'DU1234567';
const aapl = ['', 'AAPL', 'STK', '', '', '', '', 'SMART', '', 'USD', '', ''];

let simulator: Simulator;
let client: RawClient;

beforeEach(async () => {
  simulator = await createSimulator({ clock: new VirtualClock(), limits: UNLIMITED });
  client = await RawClient.start(simulator.port, 'v100..193');
});

afterEach(async () => {
  client.end();
  await simulator.close();
  expect(simulator.conformance()).toEqual([]);
});

const pass = async (ms: number): Promise<void> => {
  await client.answers(8, 1, 1);
  simulator.advance(ms);
  await client.answers(8, 1, 1);
};
/** The code and the text of the error on a request. */
async function refusal(reqId: number): Promise<[string | undefined, string]> {
  const [, , , code, text = ''] = await client.message(([id, , own]) => id === '4' && own === String(reqId));
  return [code, text];
}
function callWithStrike(choose: (strikes: readonly number[]) => number): Contract {
  const calls = simulator.exchange
    .findContracts(query({ symbol: 'AAPL', secType: 'OPT', right: 'C', exchange: 'SMART' }))
    .map(({ contract }) => contract)
    .sort((a, b) => b.lastTradeDateOrContractMonth.localeCompare(a.lastTradeDateOrContractMonth));
  const strike = choose(calls.map((call) => call.strike));
  const call = calls.find((each) => each.strike === strike);
  if (call === undefined) throw new Error('no call');
  return call;
}
const fieldsOf = ({ conId, exchange }: Contract) => [conId, '', '', '', '', '', '', exchange, '', '', '', ''];

it('every tag of an account summary that IB lists has a row', async () => {
  const tags =
    'AccountType,NetLiquidation,TotalCashValue,SettledCash,AccruedCash,BuyingPower,EquityWithLoanValue,PreviousDayEquityWithLoanValue,GrossPositionValue,ReqTEquity,ReqTMargin,SMA,InitMarginReq,MaintMarginReq,AvailableFunds,ExcessLiquidity,Cushion,FullInitMarginReq,FullMaintMarginReq,FullAvailableFunds,FullExcessLiquidity,LookAheadNextChange,LookAheadInitMarginReq,LookAheadMaintMarginReq,LookAheadAvailableFunds,LookAheadExcessLiquidity,HighestSeverity,DayTradesRemaining,Leverage';
  client.send(...stockOrder(1, 193, { type: 'MKT', limit: '' }));
  await pass(1_000);
  const rows = (await client.answers(62, 1, 7, 'All', tags)).filter(([id]) => id === '63');
  expect(rows.map((row) => row[4])).toEqual(tags.split(','));
  const values = new Map(rows.map((row) => [row[4], Number(row[5])]));
  expect(values.get('ReqTMargin')).toBeCloseTo((values.get('GrossPositionValue') ?? 0) / 2, 1);
});

it('profit and loss is told in cents', async () => {
  client.send(...stockOrder(1, 193, { type: 'MKT', limit: '', quantity: 37 }));
  client.send(92, 5, account, '');
  await pass(60_000);
  for (const [, , ...amounts] of client.all(94))
    for (const amount of amounts) expect(amount).toMatch(/^-?\d+(\.\d\d?)?$/);
  expect(client.all(94).length).toBeGreaterThan(10);
});

it('a snapshot with generic ticks is refused', async () => {
  client.send(1, 11, 3, ...aapl, 0, '233', 1, 0, '');
  expect(await refusal(3)).toEqual(['321', expect.stringContaining('not applicable to generic ticks')]);
});

it('an option price that no volatility gives is no question of the contract', async () => {
  const deep = callWithStrike((strikes) => Math.min(...strikes));
  client.send(54, 3, 4, ...fieldsOf(deep), 0.01, 1_000, 0, '');
  expect(await refusal(4)).toEqual(['322', expect.stringContaining('No volatility')]);
  client.send(54, 3, 5, ...aapl, 1, 100, 0, '');
  expect(await refusal(5)).toEqual(['322', expect.stringContaining('is not an option')]);
});

it('an option that is held can be exercised: it goes, and its shares come at the strike', async () => {
  const call = callWithStrike((strikes) => [...strikes].sort((a, b) => a - b)[1] ?? 0);
  const exercise = (reqId: number, quantity: number, action = 1) => {
    client.send(21, 2, reqId, ...fieldsOf(call).toSpliced(8, 1), action, quantity, '', 0, '', '', 0);
  };
  exercise(5, 1);
  await pass(1_000);
  expect(await refusal(5)).toEqual(['322', expect.stringContaining('No unlapsed position')]);
  simulator.exchange.script.setPosition(account, call.conId, 3, 2_000);
  exercise(6, 4);
  exercise(7, 1, 2);
  exercise(8, 2);
  await pass(1_000);
  expect(await refusal(6)).toEqual(['322', expect.stringContaining('from 1 to 3')]);
  expect(await refusal(7)).toEqual(['322', expect.stringContaining('lapses at its expiry')]);
  expect(client.all(4).filter(([, , id]) => id === '8')).toEqual([]);
  const held = simulator.exchange.positions().map(({ contract, position }) => [contract.conId, position]);
  expect(held).toEqual([
    [call.conId, 1],
    [265598, 200],
  ]);
  const shares = simulator.exchange.positions()[1];
  expect(shares?.avgCost).toBeCloseTo(call.strike, 1);
});

it('an option out of the money is exercised with an override alone', async () => {
  const call = callWithStrike((strikes) => Math.max(...strikes));
  simulator.exchange.script.setPosition(account, call.conId, 1, 2);
  const exercise = (reqId: number, override: 0 | 1) => {
    client.send(21, 2, reqId, ...fieldsOf(call).toSpliced(8, 1), 1, 1, account, override, '', '', 0);
  };
  exercise(5, 0);
  exercise(6, 1);
  await pass(1_000);
  expect(await refusal(5)).toEqual(['322', expect.stringContaining('override')]);
  expect(simulator.exchange.positions()).toMatchObject([{ contract: { conId: 265598 }, position: 100 }]);
});

it('an order and its change sent back to back are one order with the new terms; a filled one is not changed', async () => {
  client.send(...stockOrder(1, 193, { limit: 1 }));
  client.send(...stockOrder(1, 193, { limit: 2 }));
  await pass(1_000);
  expect(client.all(4).filter(([, , id]) => id === '1')).toEqual([]);
  expect(simulator.exchange.openOrders()).toMatchObject([{ request: { orderId: 1, lmtPrice: 2 } }]);
  client.send(...stockOrder(2, 193, { type: 'MKT', limit: '' }));
  await pass(5_000);
  client.send(...stockOrder(2, 193, { limit: 2 }));
  await pass(1_000);
  expect(await refusal(2)).toEqual(['104', "Can't modify a filled order."]);
});

it('an option ticks with the volatilities of its bid, its ask and its last price', async () => {
  const option = callWithStrike((strikes) => strikes[Math.floor(strikes.length / 2)] as number);
  client.send(1, 11, 7, option.conId, '', '', '', '', '', '', 'SMART', '', '', '', '', 0, '', 0, 0, '');
  await pass(3_000);
  const ticks = client.all(21).filter(([, reqId]) => reqId === '7');
  const volatilityOf = (type: string): number => Number(ticks.find(([, , own]) => own === type)?.[4]);
  expect([...new Set(ticks.map(([, , type]) => type))].sort()).toEqual(
    expect.arrayContaining(['10', '11', '13']),
  );
  expect(volatilityOf('10')).toBeLessThan(volatilityOf('11'));
  expect(volatilityOf('13')).toBeGreaterThan(0);
});
