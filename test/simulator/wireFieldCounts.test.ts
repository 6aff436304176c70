import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UNLIMITED } from '../../src/simulator/limits.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { RawClient, stockOrder } from './rawClient.ts';
import { TinyExchange } from './tinyExchange.ts';

let simulator: Simulator;
let exchange: TinyExchange;
const clients: RawClient[] = [];

beforeEach(async () => {
  exchange = new TinyExchange();
  simulator = await createSimulator({ exchange, limits: UNLIMITED });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.end();
  await simulator.close();
});

async function start(version: number, clientId = 1): Promise<RawClient> {
  const client = await RawClient.start(simulator.port, `v100..${version}`, clientId);
  clients.push(client);
  return client;
}

const VERSIONS = [173, 174, 175, 176, 177, 178, 182, 183, 184, 185, 187, 188, 189, 190, 191, 192, 193];
const from = (version: number, table: readonly (readonly [number, number])[]): number =>
  table.findLast(([first]) => version >= first)?.[1] ?? Number.NaN;

const PLACE_ORDER = [
  [173, 115],
  [177, 114],
  [183, 115],
  [184, 116],
  [187, 118],
  [189, 119],
  [190, 117],
  [192, 118],
] as const;
const OPEN_ORDER = [
  [173, 136],
  [177, 135],
  [183, 136],
  [184, 137],
  [185, 138],
  [189, 139],
  [193, 141],
] as const;
const COMPLETED_ORDER = [
  [173, 101],
  [177, 100],
  [183, 101],
  [184, 102],
] as const;

describe('field counts by server version', () => {
  it.each(VERSIONS)('version %i: an order from placeOrder to completedOrder', async (version) => {
    const client = await start(version);
    expect(client.messages[0]?.[0]).toBe(String(version));
    expect(client.messages[0]).toHaveLength(2);

    const order = stockOrder(1, version, { type: 'MKT', limit: '', orderRef: 'ref-1' });
    expect(order).toHaveLength(from(version, PLACE_ORDER));
    client.send(...order);
    await client.message(([id]) => id === '59');

    const [openOrder] = client.all(5);
    expect(openOrder).toHaveLength(from(version, OPEN_ORDER));
    expect(openOrder?.[24]).toBe('1');
    expect(openOrder?.[22]).toBe('0');
    expect(openOrder?.[23]).toBe('ref-1');
    const [status] = client.all(3);
    expect(status).toHaveLength(12);
    const [execution] = client.all(11);
    expect(execution).toHaveLength(version >= 178 ? 32 : 31);
    expect(execution?.[1]).toBe('-1');
    expect(execution?.[15]).toMatch(
      version >= 174 ? /^\d{8} \d\d:\d\d:\d\d America\/New_York$/ : /^\d{8} {2}\d\d:\d\d:\d\d$/,
    );
    expect(client.all(59)[0]).toHaveLength(8);
    const order5 = client.messages.findIndex(([id]) => id === '5');
    const order11 = client.messages.findIndex(([id]) => id === '11');
    expect(order5).toBeLessThan(order11);

    client.send(99, 0);
    await client.message(([id]) => id === '102');
    const [completed] = client.all(101);
    expect(completed).toHaveLength(from(version, COMPLETED_ORDER));
    expect(completed?.find((field) => field.startsWith('Filled Size'))).toBe('Filled Size: 100');
    expect(simulator.conformance()).toEqual([]);
  });

  it.each(VERSIONS)('version %i: contract details', async (version) => {
    const client = await start(version);
    const query = [0, 'AAPL', 'STK', '', 0, '', '', '', '', '', '', '', 0, '', ''];
    if (version >= 176) query.push('');
    const answers = await client.answers(9, 8, 7, ...query);
    expect(answers.map(([id]) => id)).toEqual(['10', '52']);
    expect(answers[0]).toHaveLength(42 + (version >= 182 ? 1 : 0) + (version >= 186 ? 1 : 0));
    expect(answers[0]).toContain('AAPL SOCI\\u00c9T\\u00c9');

    const samples = await client.answers(81, 8, 'AAPL');
    expect(samples[0]).toHaveLength(3 + 6 + 2 + (version >= 176 ? 2 : 0));
  });

  it('an error has six fields, and a contract that nobody knows has no end message', async () => {
    const client = await start(193);
    const answers = await client.answers(
      9,
      8,
      7,
      0,
      'NOSUCH',
      'STK',
      '',
      0,
      '',
      '',
      '',
      '',
      '',
      '',
      '',
      0,
      '',
      '',
      '',
    );
    expect(answers).toEqual([
      ['4', '2', '7', '200', 'No security definition has been found for the request', ''],
    ]);
  });
});
