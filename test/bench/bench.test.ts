/** The bench runs from end to end and reports everything that it promises. What it measures is not judged here. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { type Report, type Row, Rows, spreadOf, tableOf } from './figures.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'tws-runtime-'));
  folders.push(made);
  return made;
}

const ofOrders = (id: string): string[] => [
  `${id}.ours.receivedToSocket`,
  `${id}.ours.sentToRead`,
  `${id}.ours.sentToAnswered`,
  `${id}.ours.sentToAccepted`,
  `${id}.bare.callToRead`,
  `${id}.bare.callToOpenOrder`,
  `${id}.ratio.read`,
  `${id}.ratio.accepted`,
];
const ofStreams = (id: string): string[] => [
  `${id}.ours.receivedToSocket`,
  `${id}.ticks`,
  `${id}.frames`,
  `${id}.frame`,
  `${id}.row`,
  `${id}.notices`,
  `${id}.probe.health.live`,
  `${id}.probe.health.ready`,
  `${id}.probe.metrics`,
  `${id}.ratio.order`,
  `${id}.cpu`,
  `${id}.memory`,
  `${id}.crowd.cpu`,
  `${id}.crowd.loop`,
];
const promised = [
  ...ofOrders('paced'),
  'paced.ours.saidSubmit',
  'paced.ours.saidTotal',
  ...ofOrders('busy'),
  'busy.rate',
  ...ofOrders('fast'),
  'fast.ours.rate',
  'fast.bare.rate',
  'ticks.feeder.rate',
  'ticks.bare.rate',
  'ticks.ours.rate',
  'ticks.ratio.rate',
  'ticks.bare.cpu',
  'ticks.ours.cpu',
  'ticks.accounted',
  'latency.rate',
  'latency.row',
  'latency.frame',
  'latency.cpu',
  'latency.accounted',
  'streams.alone.ours.receivedToSocket',
  ...ofStreams('streams.fast'),
  ...ofStreams('streams.wide'),
  'steps.journal',
  'steps.submit',
  'steps.transition',
  'steps.tick',
  'steps.beat',
];

test('a quick run measures everything, accounts for every tick, and leaves nothing behind', async () => {
  const temporary = folder();
  const json = join(folder(), 'report.json');
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [join(import.meta.dirname, 'bench.ts'), '--quick', '--json', json],
    { env: { PATH: process.env.PATH, TMPDIR: temporary }, timeout: 300_000 },
  );
  expect(stderr).toBe('');
  const report = JSON.parse(readFileSync(json, 'utf8')) as Report;
  expect(report).toMatchObject({ quick: true, node: process.version, cpus: expect.any(Number) });
  expect(new Set(report.rows.map(({ id }) => id)).size).toBe(report.rows.length);
  expect(report.rows.map(({ id }) => id)).toEqual(expect.arrayContaining(promised));
  for (const row of report.rows) {
    const figures = [row.p50, row.p90, row.p99, row.max].filter((figure) => figure !== null);
    // a collection of garbage may make a process smaller while clients come
    if (row.unit !== 'kB') for (const figure of figures) expect(figure, row.id).toBeGreaterThanOrEqual(0);
    if (row.unit !== 'x') expect(figures, row.id).toEqual(figures.toSorted((a, b) => a - b));
    expect(stdout).toContain(row.what);
  }
  const found = (id: string): Row | undefined => report.rows.find((row) => row.id === id);
  expect(found('ticks.accounted')?.p50).toBe(1);
  expect(found('latency.accounted')?.p50).toBe(1);
  const toSocket = found('paced.ours.receivedToSocket');
  expect(toSocket?.count).toBe(8);
  // The order's way to the socket is a part of its way to the answer.
  expect(toSocket?.p50).toBeLessThan(found('paced.ours.sentToAnswered')?.p50 ?? 0);
  expect(readdirSync(temporary)).toEqual([]);
}, 310_000);

test.each([
  [['--fast'], '--fast'],
  [['--only', 'everything'], 'orders, fast, ticks, streams, steps'],
  [['everything'], 'orders, fast, ticks, streams, steps'],
  [['streams', 'steps'], 'name one'],
])('what is not an option is refused: %s', async (options, complaint) => {
  const run = promisify(execFile)(process.execPath, [join(import.meta.dirname, 'bench.ts'), ...options]);
  await expect(run).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining(complaint) });
});

test('percentiles are those of the nearest rank, and nothing measured is an error', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(spreadOf(hundred)).toEqual({ count: 100, p50: 50, p90: 90, p99: 99, max: 100 });
  expect(spreadOf([7])).toEqual({ count: 1, p50: 7, p90: 7, p99: 7, max: 7 });
  expect(() => spreadOf([])).toThrow('nothing was measured');
});

test('rows stay with their group, ratios go figure by figure, the table is aligned', () => {
  const rows = new Rows();
  rows.group('first');
  const above = rows.spread('a', 'above', 'ms', [2, 4]);
  rows.group('second');
  rows.value('c', 'alone', '1/s', 12_345.6, 3);
  rows.group('first');
  const below = rows.spread('b', 'below', 'ms', [1, 1]);
  expect(rows.ratio('r', 'ratio', above, below)).toMatchObject({
    count: null,
    p50: 2,
    p90: 4,
    p99: 4,
    max: 4,
  });
  expect(rows.all().map(({ id }) => id)).toEqual(['a', 'b', 'r', 'c']);
  const about = { at: 'now', quick: true, node: 'v', cpu: 'c', cpus: 2, loadBefore: 0, tookSeconds: 1 };
  const table = tableOf({ ...about, rows: rows.all(), notes: ['noted'] }).split('\n');
  const lines = table.filter((line) => line.startsWith('  '));
  expect(lines.map((line) => line.split(/\s{2,}/).filter((cell) => cell !== ''))).toEqual([
    ['unit', 'n', 'value/p50', 'p90', 'p99', 'max'],
    ['above', 'ms', '2', '2.000', '4.000', '4.000', '4.000'],
    ['below', 'ms', '2', '1.000', '1.000', '1.000', '1.000'],
    ['ratio', 'x', '2.000', '4.000', '4.000', '4.000'],
    ['alone', '1/s', '3', '12346'],
  ]);
  expect(new Set(lines.slice(1, 4).map(({ length }) => length)).size).toBe(1);
  expect(table).toContain('- noted');
});
