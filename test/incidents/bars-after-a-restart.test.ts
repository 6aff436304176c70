/**
 * Switched off once by hand: `withPartial` in machines/market.ts (the forming bar looked final); streamed, in src/market/bars.ts
 * the join of the backfill (bars were missing), the marks `partial` and `corrected` (half a bar looked final, a change silent).
 */
import { expect, onTestFinished } from 'vitest';
import { withPartial } from '../../machines/market.ts';
import { VirtualClock } from '../../src/simulator/clock.ts';
import { StreamTester } from '../http/stream-tester.ts';
import { eventually } from '../program.ts';
import { incident, type Start } from './incident.ts';

interface Bar {
  readonly time: string;
  readonly close: number;
  readonly partial?: true;
  readonly corrected?: true;
}
interface Row {
  readonly status?: string;
  readonly bars?: readonly Bar[];
  readonly gapAfter?: string;
}

const lengthMs = 5_000;
const isContiguous = (bars: readonly Bar[]): void => {
  for (const [index, { time }] of bars.entries()) {
    const next = bars[index + 1];
    if (next !== undefined) expect(Date.parse(next.time) - Date.parse(time)).toBe(lengthMs);
  }
};

incident({
  id: 'I43',
  title: 'Streaming bars do not come back after the daily restart, overlap, and end with half a bar',
  sources: ['https://github.com/nautechsystems/nautilus_trader/issues/1933'],
  others: 'the resubscription left these streams out; the last bar was published as final',
  ours: 'asked for or streamed, each bar comes once: a stream is asked for again with all that it missed, a bar that still forms is marked `partial`, and a closed one that changes `corrected`',
  test: { 'asked for': askedFor, streamed },
});

async function askedFor(start: Start): Promise<void> {
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
  isContiguous(after);
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
}

/**
 * The broker's day and ours in steps of 50 ms, up to five times as fast as the wall. A slow machine makes it slower: between two
 * steps all that was told is read.
 */
class SteppedDay extends VirtualClock {
  private timer: NodeJS.Timeout | undefined;

  run(): void {
    this.timer ??= setInterval(() => this.advance(50), 10);
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** `ms` later, step by step. */
  async pass(ms: number): Promise<void> {
    for (const end = this.now() + ms; this.now() < end; ) {
      this.advance(50);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

async function streamed(start: Start): Promise<void> {
  const day = new SteppedDay(Date.now());
  onTestFinished(() => day.stop());
  day.run();
  const whole = await start({ now: () => day.now(), simulator: { clock: day, barUpdateMs: 500 } });
  const { faults } = whole.simulator;
  const port = Number(new URL(whole.url).port);
  const subscribe = async () => {
    const tester = await StreamTester.open({ port });
    const id = await tester.subscribe('bars', { keys: ['AAPL'], barSize: '5 secs' });
    const rows = (): readonly Row[] => tester.of(id).flatMap((frame) => (frame.rows ?? []) as readonly Row[]);
    /** as a client keeps them: the newest of each time, in the order of time */
    const bars = (): readonly Bar[] => {
      const known = new Map<string, Bar>();
      for (const row of rows()) for (const bar of row.bars ?? []) known.set(bar.time, bar);
      return [...known.values()].sort((a, b) => (a.time < b.time ? -1 : 1));
    };
    const status = (): string | undefined => rows().findLast((row) => row.status !== undefined)?.status;
    return { tester, rows, bars, status };
  };
  const requests = () =>
    whole.simulator.received({ message: 'reqHistoricalData' }).filter(({ fields }) => fields.at(-2) === '1');

  const early = await subscribe();
  await eventually(early.status, (status) => status === 'live', 15_000);
  // Time stands still in the middle of a bar, once everything that was told has been read.
  day.stop();
  await day.pass(1.5 * lengthMs - (day.now() % lengthMs));
  const formingTime = new Date(day.now() - (day.now() % lengthMs)).toISOString();
  const forming = await eventually(
    () => early.bars().at(-1),
    (bar) => bar?.partial === true && bar.time === formingTime,
    15_000,
  );
  await faults.refuse();
  faults.drop();
  await eventually(early.status, (status) => status === 'stale', 15_000);
  // Away until the bar that was forming is over, and the next one as well.
  await day.pass(2 * lengthMs);
  expect(early.bars().at(-1)).toMatchObject({ time: forming?.time, partial: true });
  const repeated = faults.duplicate({ messages: ['historicalData'] }, { times: 1 });
  await faults.accept();
  day.run();
  await whole.untilTrading();
  await eventually(early.status, (status) => status === 'live', 15_000);
  expect(repeated.acted).toBe(1);
  expect(requests()).toHaveLength(2);
  const joined = await eventually(
    () => early.bars(),
    (bars) => bars.at(-1)?.partial === true && (bars.at(-1)?.time ?? '') > (forming?.time ?? ''),
    15_000,
  );
  // One more bar is seen to close.
  const next = joined.at(-1)?.time;
  await eventually(
    () => early.bars().find(({ time }) => time === next),
    (bar) => bar !== undefined && bar.partial === undefined,
    15_000,
  );

  const late = await subscribe();
  await eventually(late.status, (status) => status === 'live', 15_000);
  expect(requests()).toHaveLength(2);
  for (const reader of [early, late]) {
    const bars = reader.bars();
    isContiguous(bars);
    expect(bars.slice(0, -1).some(({ partial }) => partial)).toBe(false);
    expect(reader.rows().some((row) => row.gapAfter !== undefined)).toBe(false);
    expect(bars.some(({ corrected }) => corrected)).toBe(false);
  }
  // Once closed, a bar was never told otherwise.
  const closed = new Map<string, Bar>();
  for (const bar of early.rows().flatMap((row) => row.bars ?? [])) {
    if (closed.has(bar.time)) expect(bar).toEqual(closed.get(bar.time));
    if (!bar.partial) closed.set(bar.time, bar);
  }
  // They are the bars of the broker.
  const { body } = await whole.call('GET', '/v1/bars/AAPL?duration=1800 S&barSize=5 secs&limit=500');
  const asked = new Map((body.bars as Bar[]).filter(({ partial }) => !partial).map((bar) => [bar.time, bar]));
  const common = [...closed.values()].filter(({ time }) => asked.has(time));
  expect(common.length).toBeGreaterThan(50);
  for (const bar of common) expect(bar).toEqual(asked.get(bar.time));

  const [oldest] = common;
  const seconds = Date.parse(oldest?.time ?? '') / 1_000;
  const [, request] = requests().at(-1)?.fields ?? [];
  faults.inject([90, Number(request), 1, seconds, 1, 4, 9, 1, 2, 3]);
  await eventually(
    () => early.bars().find(({ time }) => time === oldest?.time),
    (bar) => bar?.corrected === true && bar.close === 4,
    15_000,
  );
  early.tester.close();
  late.tester.close();
}
