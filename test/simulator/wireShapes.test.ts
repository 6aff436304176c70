import { afterEach, beforeEach, expect, it } from 'vitest';
import { UNLIMITED } from '../../src/simulator/limits.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { RawClient, stockOrder } from './rawClient.ts';

const UNSET = '1.7976931348623157E308';
const UNSET_INT = '2147483647';

/**
 * What a live gateway at version 173 put into the fields of a plain stock order, by index. Fields that are not listed were
 * empty; `any` varies with the order.
 */
const any = expect.stringMatching(/./);
const run = (first: number, last: number, value: string): [number, string][] =>
  Array.from({ length: last - first + 1 }, (_, index) => [first + index, value]);
const zeros = (...indexes: readonly number[]): [number, string][] => indexes.map((index) => [index, '0']);

const OPEN_ORDER = new Map<number, unknown>([
  ...zeros(
    6,
    22,
    26,
    27,
    28,
    40,
    43,
    50,
    51,
    52,
    55,
    56,
    58,
    59,
    61,
    64,
    69,
    70,
    72,
    73,
    79,
    80,
    81,
    86,
    89,
    90,
  ),
  ...zeros(92, 93, 109, 110, 111, 119, 123, 125, 126, 127, 130),
  [0, '5'],
  [1, '5'],
  [2, '265598'],
  [3, 'AAPL'],
  [4, 'STK'],
  [7, '?'],
  [9, 'SMART'],
  [10, 'USD'],
  [11, 'AAPL'],
  [12, 'NMS'],
  [13, 'BUY'],
  [14, '100'],
  [15, 'MKT'],
  [16, '0.0'],
  [17, '0.0'],
  [18, 'DAY'],
  [20, 'DU1234567'],
  [24, '100'],
  [25, any],
  [30, expect.stringMatching(/^\d+\.0\/DU1234567\/100$/)],
  [42, '-1'],
  [49, UNSET_INT],
  [54, '3'],
  [62, 'None'],
  [68, '?'],
  [82, UNSET_INT],
  [83, UNSET_INT],
  [88, 'IB'],
  [94, 'PreSubmitted'],
  ...run(95, 103, UNSET),
  [112, 'None'],
  ...run(113, 118, UNSET),
  [124, '1'],
  [132, '100'],
  [133, '0.02'],
]);

const COMPLETED_ORDER = new Map<number, unknown>([
  ...zeros(
    5,
    21,
    24,
    25,
    26,
    37,
    46,
    47,
    50,
    52,
    55,
    56,
    57,
    59,
    60,
    64,
    65,
    66,
    73,
    74,
    76,
    78,
    79,
    80,
    83,
    85,
  ),
  ...zeros(87, 89, 91, 92),
  [0, '101'],
  [1, '265598'],
  [2, 'AAPL'],
  [3, 'STK'],
  [6, '?'],
  [8, 'SMART'],
  [9, 'USD'],
  [10, 'AAPL'],
  [11, 'NMS'],
  [12, 'BUY'],
  [13, '1'],
  [14, 'LMT'],
  [15, '100.0'],
  [16, '0.0'],
  [17, 'DAY'],
  [19, 'DU1234567'],
  [23, any],
  [39, '-1'],
  [45, UNSET_INT],
  [49, '3'],
  [53, 'None'],
  [67, UNSET_INT],
  [68, UNSET_INT],
  [72, 'IB'],
  [77, 'Cancelled'],
  [81, '101.0'],
  [82, UNSET],
  [84, '1'],
  [88, UNSET_INT],
  [90, 'Not an insider or substantial shareholder'],
  [93, '9223372036854775807'],
  [94, expect.stringMatching(/^\d{8} \d\d:\d\d:\d\d America\/New_York$/)],
  [95, 'Cancelled by Trader'],
]);

const filledIn = (table: ReadonlyMap<number, unknown>, length: number): unknown[] =>
  Array.from({ length }, (_, index) => table.get(index) ?? '');

let simulator: Simulator;
let client: RawClient;

beforeEach(async () => {
  simulator = await createSimulator({ limits: UNLIMITED, latencyMs: { min: 0, max: 0 } });
  client = await RawClient.start(simulator.port, 'v100..173', 100);
});
afterEach(async () => {
  client.end();
  await simulator.close();
});

it('an open order looks as a gateway at 173 sends it', async () => {
  client.send(...stockOrder(5, 173, { type: 'MKT', limit: '' }));
  const order = await client.message(([id]) => id === '5');
  expect(order).toEqual(filledIn(OPEN_ORDER, 136));
  const status = await client.message(([id]) => id === '3');
  expect(status).toEqual(['3', '5', 'PreSubmitted', '0', '100', '0', order[25], '0', '0', '100', '', '0']);
});

it.each([
  '1.7976931348623157e+308',
  '1.7976931348623157E+308',
  '2147483647',
  UNSET,
])('numbers that a client leaves out as %s come back as a gateway spells them', async (unset) => {
  client.send(...stockOrder(5, 173, { type: 'MKT', limit: '', unset }));
  expect(await client.message(([id]) => id === '5')).toEqual(filledIn(OPEN_ORDER, 136));
  client.send(...stockOrder(6, 173, { unset }));
  client.send(4, 1, 6, '');
  await client.message(([id, , order, code]) => id === '4' && order === '6' && code === '202');
  client.send(99, 0);
  await client.message(([id]) => id === '102');
  const cancelled = client.all(101).find((fields) => fields.at(-6) === 'Cancelled by Trader');
  expect(cancelled?.slice(-5)).toEqual(['', '', '', '', '']);
});

it.each(['Infinite', 'Infinity'])('a pegged offset of %s is told as Infinity', async (offset) => {
  const order = stockOrder(5, 173, { type: 'PEG BEST', limit: '' });
  client.send(...order, 200, offset, '1e-2', '.5');
  const open = await client.message(([id]) => id === '5');
  expect(open.slice(-5)).toEqual(['', '200', 'Infinity', '0.01', '0.5']);
});

it('a completed order looks as a gateway at 173 sends it', async () => {
  client.send(...stockOrder(5, 173, { quantity: 1, limit: 100 }));
  await client.message(([id]) => id === '3');
  client.send(4, 1, 5, '');
  await client.message(([id, , status]) => id === '3' && status === 'Cancelled');
  const cancelled = await client.message(([id, , , code]) => id === '4' && code === '202');
  expect(cancelled).toEqual(['4', '2', '5', '202', 'Order Canceled - reason:', '']);
  client.send(99, 0);
  await client.message(([id]) => id === '102');
  expect(client.all(101)).toEqual([filledIn(COMPLETED_ORDER, 101)]);
});

it('a backslash in a text that an error repeats survives the unescaping of clients', async () => {
  client.send(6, 2, 1, 'DU\\x');
  const [, , , , text = ''] = await client.message(([id, , , code]) => id === '4' && code === '321');
  expect(text).not.toContain('\\x');
  const unescaped = text.replace(/\\u([0-9a-f]{4})/g, (_, code) => String.fromCharCode(parseInt(code, 16)));
  expect(unescaped).toContain("'DU\\x'");
});

it('the first words of a session come in the order of a gateway', async () => {
  expect(client.messages.slice(0, 3)).toEqual([
    ['173', expect.stringMatching(/^\d{8} \d\d:\d\d:\d\d \S+$/)],
    ['15', '1', 'DU1234567'],
    ['9', '1', '1'],
  ]);
  await client.answers(8, 1, 1);
  const notices = client.all(4).map(([, version, id, code, , json]) => [version, id, code, json]);
  expect(notices).toEqual(['2104', '2104', '2104', '2107', '2158'].map((code) => ['2', '-1', code, '']));
});

it('positions, account rows and times have the fields of a gateway', async () => {
  client.send(...stockOrder(5, 173, { type: 'MKT', limit: '' }));
  await client.message(([id]) => id === '59');
  expect(client.all(59)[0]).toEqual([
    '59',
    '1',
    any,
    expect.stringMatching(/^\d+\.\d+$/),
    'USD',
    UNSET,
    UNSET,
    '',
  ]);
  client.send(61, 1);
  await client.message(([id]) => id === '62');
  const [position] = client.all(61);
  expect(position?.slice(0, 14)).toEqual([
    '61',
    '3',
    'DU1234567',
    '265598',
    'AAPL',
    'STK',
    '',
    '0.0',
    '',
    '',
    'NASDAQ',
    'USD',
    'AAPL',
    'NMS',
  ]);
  expect(position?.slice(14)).toEqual(['100', any]);
  const updates = await client.answers(6, 2, 1, 'DU1234567');
  const lengths = new Map(updates.map((fields) => [fields[0], fields.length]));
  expect(Object.fromEntries(lengths)).toEqual({ 6: 6, 7: 20, 8: 3, 54: 3 });
  expect(updates.at(-1)).toEqual(['54', '1', 'DU1234567']);
  const portfolio = updates.find(([id]) => id === '7');
  expect(portfolio?.slice(13, 19).every((field) => field !== '' && !Number.isNaN(Number(field)))).toBe(true);
  const [time] = updates.filter(([id]) => id === '8');
  expect(time?.[2]).toMatch(/^\d\d:\d\d$/);
});
