/** Books, prints and bars over the wire, by bytes, at the oldest and the newest version of the protocol. */
import { afterEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/simulator/clock.ts';
import { Commands } from '../../src/simulator/commands.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { RawClient } from './rawClient.ts';

const AAPL = 265598;
const contract = ['', 'AAPL', 'STK', '', '', '', '', 'SMART', '', 'USD', '', ''];
const oneExchange = contract.with(7, 'ARCA');
const isNumber = (field: string | undefined): boolean => field !== '' && Number.isFinite(Number(field));

let simulator: Simulator;
let client: RawClient;

afterEach(async () => {
  client.end();
  await simulator.close();
  expect(simulator.conformance()).toEqual([]);
});

/** Time stands still until `pass`. */
async function start(version: string): Promise<void> {
  simulator = await createSimulator({ clock: new VirtualClock(), tickIntervalMs: 250, barUpdateMs: 1_000 });
  client = await RawClient.start(simulator.port, version);
}
/** What was sent is read first. */
const pass = async (ms: number): Promise<void> => {
  await client.answers(8, 1, 1);
  for (let passed = 0; passed < ms; passed += 250) simulator.advance(250);
  await client.answers(8, 1, 1);
};
/** The book that a client keeps who inserts, changes and deletes by place. */
function bookOf(messages: readonly (readonly string[])[], id: string, offset: number) {
  const sides: { price: number; size: number }[][] = [[], []];
  for (const fields of messages) {
    if (fields[0] === '4' && fields[3] === '317') for (const side of sides) side.length = 0;
    if (fields[0] !== id) continue;
    const [operation, side, price, size] = fields.slice(offset).map(Number);
    const rows = sides[side ?? 0] ?? [];
    const row = { price: price ?? 0, size: size ?? 0 };
    if (operation === 2) rows.splice(Number(fields[3]), 1);
    else rows.splice(Number(fields[3]), operation === 1 ? 1 : 0, row);
  }
  return { asks: sides[0] ?? [], bids: sides[1] ?? [] };
}

describe.each(['v100..173', 'v100..193'])('at %s', (version) => {
  it('depth: rows of a book, with and without market makers; void after 317, and told anew', async () => {
    await start(version);
    client.send(10, 5, 1, ...contract, 5, 1, '');
    client.send(10, 5, 2, ...oneExchange, 3, 0, '');
    await pass(2_000);
    for (const fields of client.all(13)) {
      expect(fields).toHaveLength(10);
      expect([fields[1], fields[2], fields[9]]).toEqual(['1', '1', '1']);
      expect([3, 5, 6, 7, 8].every((index) => isNumber(fields[index]))).toBe(true);
      expect(fields[4]).toMatch(/^[A-Z]/);
    }
    for (const fields of client.all(12)) expect(fields).toHaveLength(8);
    expect(client.all(12).length).toBeGreaterThan(6);
    const check = () => {
      const { bids, asks } = bookOf(client.messages, '13', 5);
      const prices = (rows: readonly { price: number }[]) => rows.map(({ price }) => price);
      expect([bids.length, asks.length]).toEqual([5, 5]);
      expect(prices(bids)).toEqual(prices(bids).toSorted((a, b) => b - a));
      expect(prices(asks)).toEqual(prices(asks).toSorted((a, b) => a - b));
      const quote = simulator.exchange.quote(AAPL);
      expect([bids[0]?.price, asks[0]?.price]).toEqual([quote?.bid, quote?.ask]);
    };
    check();
    await new Commands(simulator).run({ fault: 'resetDepth', conId: AAPL });
    await client.message(([id, , reqId, code]) => id === '4' && reqId === '1' && code === '317');
    await pass(1_000);
    check();
    // What was not told while the farm was away is made up for by a book from nothing.
    simulator.faults.farmBroken('usfarm');
    await pass(1_000);
    const before = client.all(13).length;
    simulator.faults.farmOk('usfarm');
    await pass(1_000);
    expect(client.all(13).length).toBeGreaterThan(before + 9);
    check();
    client.send(11, 1, 1, 1);
    client.send(11, 1, 2, 0);
    await pass(250);
    const heard = client.all(13).length;
    await pass(1_000);
    expect(client.all(13)).toHaveLength(heard);
    expect(await client.answers(11, 1, 1, 1)).toMatchObject([['4', '2', '1', '310', expect.any(String), '']]);
  });

  it('prints: those of before in one message, then one message each', async () => {
    await start(version);
    client.send(97, 1, ...contract, 'AllLast', 10, 0);
    await pass(4_000);
    const [before] = client.all(98);
    expect(before?.slice(0, 3)).toEqual(['98', '1', '10']);
    expect(before).toHaveLength(3 + 10 * 6 + 1);
    const prints = client.all(99);
    expect(prints.length).toBeGreaterThan(0);
    for (const fields of prints) {
      expect(fields).toHaveLength(9);
      expect(fields.slice(1, 3)).toEqual(['1', '2']);
      expect([3, 4, 5, 6].every((index) => isNumber(fields[index]))).toBe(true);
    }
    client.send(98, 1);
    await pass(250);
    const heard = client.all(99).length;
    await pass(4_000);
    expect(client.all(99)).toHaveLength(heard);
  });

  it('bars kept up to date: the series, then the forming bar, each closed one with its last figures', async () => {
    await start(version);
    client.send(20, 1, ...contract, 0, '', '5 secs', '1800 S', 0, 'TRADES', 2, 1, '');
    await pass(250);
    const [series] = client.all(17);
    const count = Number(series?.[4]);
    expect(series).toHaveLength(5 + count * 8);
    await pass(20_000);
    const updates = client.all(90);
    for (const fields of updates) {
      expect(fields).toHaveLength(10);
      expect(fields.slice(2).every((field) => isNumber(field))).toBe(true);
      const [open, close, high, low] = fields.slice(4, 8).map(Number);
      expect(Math.max(open ?? 0, close ?? 0)).toBeLessThanOrEqual(high ?? 0);
      expect(Math.min(open ?? 0, close ?? 0)).toBeGreaterThanOrEqual(low ?? 0);
    }
    const times = updates.map((fields) => Number(fields[3]));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    // The last word on each closed bar is what history says of it.
    const last = new Map(updates.map((fields) => [fields[3], fields]));
    client.send(20, 2, ...contract, 0, '', '5 secs', '60 S', 0, 'TRADES', 2, 0, '');
    const answer = await client.message(([id, reqId]) => id === '17' && reqId === '2');
    let compared = 0;
    for (let index = 5; index < answer.length - 8; index += 8) {
      const [time, open, high, low, close, volume, wap, trades] = answer.slice(index, index + 8);
      const told = last.get(time ?? '');
      if (!told) continue;
      expect(told.slice(2)).toEqual([trades, time, open, close, high, low, wap, volume]);
      compared += 1;
    }
    expect(compared).toBeGreaterThanOrEqual(3);
    expect(await client.answers(25, 1, 1)).toMatchObject([
      ['4', '2', '1', '162', expect.stringContaining('cancelled'), ''],
    ]);
  });

  it('without permission each kind says so in its own way', async () => {
    await start(version);
    simulator.faults.marketData('none');
    client.send(10, 5, 1, ...contract, 5, 1, '');
    client.send(97, 2, ...contract, 'AllLast', 0, 0);
    client.send(20, 3, ...contract, 0, '', '5 secs', '60 S', 0, 'TRADES', 2, 1, '');
    await client.answers(8, 1, 1);
    expect(
      client
        .all(4)
        .filter(([, , id]) => id !== '-1')
        .map(([, , id, code]) => `${id} ${code}`),
    ).toEqual(['1 354', '2 10189', '3 162']);
  });
});
