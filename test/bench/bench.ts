/**
 * What the runtime costs beside the library that it stands on.
 * `npm run bench [-- [orders|fast|ticks|streams|steps] [--quick] [--json <file>] [--profile <folder>]]`; `--only <part>` is the same
 * as naming the part.
 *
 * Everything that is measured runs in a process of its own, on loopback: the runtime as `npm start` starts it (journal on,
 * LOG_LEVEL=warn), its clients, the simulated gateway, and bare @stoqey/ib as the yardstick. The bare library is taken at its
 * best: limiter out of the way, Nagle off. Times of different processes are compared by the machine's monotonic clock.
 *
 * Orders. One limit order after the other, far from the market, each cancelled when the broker acknowledged it; the venue
 * adds no delay of its own.
 *   received -> socket    request's head read by the runtime's HTTP parser, to the bytes handed to TWS's socket; noted from
 *                         outside (runtime-probe.ts). Reading the body, validation, gate, journal's fsync are inside it.
 *   sent -> read          the client sends, the gateway reads the order's frame
 *   sent -> answered      the client sends, the client has the 201
 *   sent -> accepted      the client sends, the client hears `order.accepted` on its WebSocket
 *   call -> read, call -> openOrder   the same of the bare library, which has neither HTTP nor a journal
 *   submit, total         what the runtime says of itself: `Server-Timing: submit` of each answer, and `orderPath.total` of
 *                         /health/metrics. Where these are shorter than received -> socket, they leave something out.
 * Three times: within TWS's limits (15 orders and 15 cancels a second); as fast as one client gets answers, with the pacing
 * of messages and the simulator's limits lifted; and within the limits again while 10,000 tick messages a second arrive.
 *
 * Ticks. A feeder writes the same ready-made tickPrice and tickSize messages to the runtime and to the bare library, as fast
 * as each takes them, for as many lines as the runtime opens. Bare: decoded, one empty listener per event. Ours: from the
 * first byte written to the frame that carries the last tick at a WebSocket client; every tick changes its value, and the
 * `merged` of all rows must sum up to the ticks sent. In turns, several times; the median counts. CPU time is that of the
 * runtime's or the library's process alone. Then at a pace: how old a row is (`ts`, 1 ms resolution) when the client has it. A row waits
 * for its beat, so half a beat and more is by design; beat -> client is what the way itself takes.
 *
 * Streams. One runtime on the simulated gateway; its clients sit in two processes of their own. First orders alone, within
 * TWS's limits; then the same orders while crowds of dashboards watch ticks at a pace, one in ten of them the orders too:
 * beat -> client of every frame of every client, holes in any `seq` end the bench, probes are asked all the while, memory is
 * what the process grew by when the clients had come. The clients' processes tell how busy and how late they were themselves.
 *
 * Steps. Single functions in loops, for orientation (micro.ts).
 *
 * Ratios are of figures of the same run; figures of different machines or runs compare with nothing. `--quick` shows that all
 * of it works, with counts too small to mean anything. `--profile` writes a CPU profile of every runtime into the folder.
 */
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { BareOrder, BareTicks } from './bare.ts';
import { type Child, machineMs, startChild, stopAll, until } from './children.ts';
import type { Sent } from './feeder.ts';
import { type Report, Rows, tableOf } from './figures.ts';
import type { OrderRun, PlacedOrder } from './order-client.ts';
import type { Instrument } from './simulated.ts';
import { type Crowd, measureStreams } from './streams.ts';
import type { Taken } from './tick-client.ts';

interface Plan {
  readonly warmUp: number;
  readonly orders: number;
  readonly everyMs: number;
  readonly fastOrders: number;
  /** the fast orders, and the steps that place some, end after so long however many they were */
  readonly fastMs: number;
  readonly lines: number;
  readonly rounds: number;
  readonly messages: number;
  readonly pacedSeconds: number;
  readonly crowds: readonly Crowd[];
  readonly steps: number;
}

/** As many market-data lines as the runtime opens by itself. */
const lines = 80;
const plans: Readonly<Record<'whole' | 'quick', Plan>> = {
  whole: {
    warmUp: 30,
    orders: 200,
    everyMs: 1_000 / 15,
    fastOrders: 2_000,
    fastMs: 10_000,
    lines,
    rounds: 3,
    messages: 1_000_000,
    pacedSeconds: 10,
    crowds: [
      { id: 'fast', clients: 200, keys: lines, ticksPerSecond: 50_000 },
      { id: 'wide', clients: 1_000, keys: 20, ticksPerSecond: 10_000 },
    ],
    steps: 1_000,
  },
  quick: {
    warmUp: 2,
    orders: 8,
    everyMs: 1_000 / 15,
    fastOrders: 20,
    fastMs: 3_000,
    lines: 10,
    rounds: 1,
    messages: 20_000,
    pacedSeconds: 1,
    crowds: [
      { id: 'fast', clients: 6, keys: 10, ticksPerSecond: 5_000 },
      { id: 'wide', clients: 20, keys: 4, ticksPerSecond: 1_000 },
    ],
    steps: 20,
  },
};
const deadlineMs = 300_000;
const ticksPerSecond = 10_000;
const idleMs = 5_000;
const memoryFilesystem = 0x01_02_19_94;

const {
  values,
  positionals: [named, ...surplus],
} = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    json: { type: 'string' },
    profile: { type: 'string' },
  },
});
const options = { ...values, only: named ?? values.only };
const plan = plans[options.quick ? 'quick' : 'whole'];
const rows = new Rows();
const notes: string[] = [];
const folder = mkdtempSync(join(tmpdir(), 'tws-runtime-bench-'));

const start = (name: string): Child => startChild(new URL(name, import.meta.url));

interface RunningRuntime extends Child {
  readonly url: string;
}

let runtimes = 0;
/** The program itself, ready to trade; `unpaced` lifts the pacing of messages. */
async function startRuntime(twsPort: number, { unpaced = false } = {}): Promise<RunningRuntime> {
  runtimes += 1;
  const profile =
    options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(options.profile)}`];
  const child = startChild(new URL('../../src/main.ts', import.meta.url), {
    execArgv: ['--import', new URL('runtime-probe.ts', import.meta.url).href, ...profile],
    cwd: folder,
    // A profile is written by whoever may end in peace; otherwise there is nothing to keep.
    stopWith: options.profile === undefined ? 'SIGKILL' : 'SIGTERM',
    env: {
      GATEWAY: 'tws',
      TWS_PORT: String(twsPort),
      TWS_CLIENT_ID: '1',
      PORT: '0',
      LOG_LEVEL: 'warn',
      JOURNAL_PATH: join(folder, `journal-${runtimes}.db`),
      ...(unpaced ? { BENCH_UNPACED: '1', MAX_OPEN_ORDERS: '0', MAX_ORDERS_PER_SECOND: '0' } : {}),
    },
  });
  let url: string | null = null;
  await until(async () => {
    url = await child.call<string | null>('url');
    return url !== null;
  }, 'the runtime to listen');
  const base = String(url);
  await until(async () => {
    // Rejects, with what it said, when the process has ended.
    await child.call('url');
    const answer = await fetch(`${base}/health/ready?gate=trading`).catch(() => null);
    return answer?.ok ?? false;
  }, 'the runtime to be ready for orders');
  return { ...child, url: base };
}

type Stamp = readonly [orderId: number, at: number];

function byOrder(stamps: readonly Stamp[]): (orderId: number) => number {
  const times = new Map(stamps);
  return (orderId) => {
    const at = times.get(orderId);
    if (at === undefined) throw new Error(`order ${orderId} was not seen on its way`);
    return at;
  };
}

/** One run through the runtime: `id` names its rows. */
async function ourOrders(
  id: string,
  runtime: RunningRuntime,
  client: Child,
  gateway: Child,
  run: Omit<OrderRun, 'url' | 'name'>,
) {
  const { url } = runtime;
  await client.call('run', { ...run, url, name: `${id}.warm`, orders: plan.warmUp });
  await Promise.all([runtime.call('stamps'), gateway.call('reads')]);
  const began = machineMs();
  const placed = await client.call<readonly PlacedOrder[]>('run', { url, name: id, ...run });
  const seconds = (machineMs() - began) / 1_000;
  const stamps = await runtime.call<readonly [number, number, number][]>('stamps');
  const received = byOrder(stamps.map(([orderId, at]) => [orderId, at]));
  const handed = byOrder(stamps.map(([orderId, , at]) => [orderId, at]));
  const read = byOrder(await gateway.call<readonly Stamp[]>('reads'));
  const spread = (name: string, what: string, of: (order: PlacedOrder) => number) =>
    rows.spread(`${id}.ours.${name}`, `ours  ${what}`, 'ms', placed.map(of));
  const found = {
    toSocket: spread(
      'receivedToSocket',
      'received -> socket',
      (o) => handed(o.orderId) - received(o.orderId),
    ),
    toRead: spread('sentToRead', 'sent -> read', (o) => read(o.orderId) - o.sentAt),
    toAnswer: spread('sentToAnswered', 'sent -> answered', (o) => o.answeredAt - o.sentAt),
    toAccepted: spread('sentToAccepted', 'sent -> accepted', (o) => o.acceptedAt - o.sentAt),
  };
  if (placed.every(({ serverTiming }) => serverTiming.submit !== undefined)) {
    spread('saidSubmit', 'says of itself: submit', ({ serverTiming }) => serverTiming.submit ?? 0);
  }
  return { ...found, count: placed.length, perSecond: placed.length / seconds };
}

async function bareOrders(id: string, bare: Child, gateway: Child, run: Omit<OrderRun, 'url' | 'name'>) {
  await bare.call('orders', { ...run, orders: plan.warmUp });
  await gateway.call('reads');
  const began = machineMs();
  const placed = await bare.call<readonly BareOrder[]>('orders', run);
  const seconds = (machineMs() - began) / 1_000;
  const read = byOrder(await gateway.call<readonly Stamp[]>('reads'));
  const toRead = placed.map(({ orderId, calledAt }) => read(orderId) - calledAt);
  const toOpen = placed.map(({ calledAt, openAt }) => openAt - calledAt);
  return {
    toRead: rows.spread(`${id}.bare.callToRead`, 'bare  call -> read', 'ms', toRead),
    toOpen: rows.spread(`${id}.bare.callToOpenOrder`, 'bare  call -> openOrder', 'ms', toOpen),
    count: placed.length,
    perSecond: placed.length / seconds,
  };
}

type Ours = Awaited<ReturnType<typeof ourOrders>>;
type Bare = Awaited<ReturnType<typeof bareOrders>>;

function orderRatios(id: string, ours: Ours, bare: Bare): void {
  rows.ratio(`${id}.ratio.read`, 'ratio sent -> read : call -> read', ours.toRead, bare.toRead);
  rows.ratio(
    `${id}.ratio.accepted`,
    'ratio sent -> accepted : call -> openOrder',
    ours.toAccepted,
    bare.toOpen,
  );
}

/** What the runtime says of its own order path, over all orders so far. */
async function saidTotal(id: string, { url }: RunningRuntime): Promise<void> {
  const metrics = (await (await fetch(`${url}/health/metrics`)).json()) as {
    orderPath: { total: { count: number; p50: number; p90: number; p99: number; max: number } };
  };
  const { count, p50, p90, p99, max } = metrics.orderPath.total;
  rows.add({
    id: `${id}.ours.saidTotal`,
    what: 'ours  says of itself: total',
    unit: 'ms',
    count,
    p50,
    p90,
    p99,
    max,
  });
}

async function withinLimits(): Promise<void> {
  const gateway = start('simulated.ts');
  const client = start('order-client.ts');
  const dashboard = start('tick-client.ts');
  const bare = start('bare.ts');
  const port = await gateway.call<number>('start', { unlimited: false });
  const instruments = await gateway.call<readonly Instrument[]>('instruments', { count: plan.lines });
  const planned = plan.orders * plan.everyMs;
  // However slow the machine is, a short series gets through.
  const run = { orders: plan.orders, everyMs: plan.everyMs, withinMs: Math.max(2 * planned, 30_000) };
  const messages = Math.ceil(((run.orders + plan.warmUp + 15) * run.everyMs * ticksPerSecond) / 1_000);
  const flood = { messages, perSecond: ticksPerSecond };

  const runtime = await startRuntime(port);
  const calm = "Orders within TWS's limits";
  const busy = `${calm}, ${ticksPerSecond} tick messages/s on ${plan.lines} lines`;
  rows.group(calm);
  const ours = await ourOrders('paced', runtime, client, gateway, run);
  await saidTotal('paced', runtime);
  await dashboard.call('subscribe', { url: runtime.url, keys: instruments.map(({ key }) => key) });
  await until(async () => (await gateway.call<number>('lines')) === plan.lines, 'all lines to be open');
  rows.group(busy);
  await gateway.call('flood', flood);
  await dashboard.call('begin');
  const oursBusy = await ourOrders('busy', runtime, client, gateway, run);
  const seen = await dashboard.call<Taken>('taken', { ticks: 0, idleMs });
  const outlasted = await gateway.call<boolean>('flooding');
  if (!outlasted) notes.push('the ticks ended before the orders did: the runtime was slower than planned');
  const flooded = await gateway.call<{ sent: number; elapsedMs: number }>('flooded');
  rows.value('busy.rate', 'tick messages', '1/s', flooded.sent / (flooded.elapsedMs / 1_000), flooded.sent);
  if (seen.merged === 0) throw new Error('no tick reached the client while orders were placed');
  await dashboard.stop();
  await runtime.stop();

  await bare.call('connect', { port, clientId: 9 });
  rows.group(calm);
  orderRatios('paced', ours, await bareOrders('paced', bare, gateway, run));
  rows.group(busy);
  await bare.call('subscribe', { instruments });
  await until(async () => (await gateway.call<number>('lines')) === plan.lines, 'all lines to be open');
  await gateway.call('flood', flood);
  orderRatios('busy', oursBusy, await bareOrders('busy', bare, gateway, run));
  await gateway.call('flooded');
  const strange = await gateway.call<number>('conformance');
  if (strange > 0) throw new Error(`the simulated gateway did not understand ${strange} messages`);
  await Promise.all([bare.stop(), client.stop(), gateway.stop()]);
}

async function unlimited(): Promise<void> {
  const gateway = start('simulated.ts');
  const client = start('order-client.ts');
  const bare = start('bare.ts');
  const port = await gateway.call<number>('start', { unlimited: true });
  const runtime = await startRuntime(port, { unpaced: true });
  const run = { orders: plan.fastOrders, everyMs: 0, withinMs: plan.fastMs };
  rows.group('Orders one after the other, pacing and limits lifted');
  const ours = await ourOrders('fast', runtime, client, gateway, run);
  rows.value('fast.ours.rate', 'ours  placed, accepted, cancelled', '1/s', ours.perSecond, ours.count);
  await Promise.all([runtime.stop(), client.stop()]);
  await bare.call('connect', { port, clientId: 9 });
  const yardstick = await bareOrders('fast', bare, gateway, run);
  rows.value(
    'fast.bare.rate',
    'bare  placed, accepted, cancelled',
    '1/s',
    yardstick.perSecond,
    yardstick.count,
  );
  orderRatios('fast', ours, yardstick);
  await Promise.all([bare.stop(), gateway.stop()]);
}

async function steps(): Promise<void> {
  const gateway = start('simulated.ts');
  const micro = start('micro.ts');
  const port = await gateway.call<number>('start', { unlimited: true });
  rows.group('Steps');
  const times = plan.steps;
  const journal = await micro.call<Float64Array>('journal', { times });
  rows.spread('steps.journal', 'journal: one durable append', 'ms', journal);
  const submit = await micro.call<readonly number[]>('submit', { port, times, withinMs: plan.fastMs });
  rows.spread('steps.submit', 'submit without HTTP, journal and socket included', 'ms', submit);
  const transitions = await micro.call<number>('transitions', { times: times * 10 });
  rows.value(
    'steps.transition',
    'order: one transition of its chart (mean)',
    'us',
    transitions * 1e3,
    times * 60,
  );
  const tick = await micro.call<number>('tick', { times: times * 5_000 });
  rows.value('steps.tick', 'quote: one tick (mean)', 'ns', tick * 1e6, times * 5_000);
  const beat = await micro.call<Float64Array>('beat', { times: times * 5, rows: 100 });
  rows.spread(
    'steps.beat',
    'beat: 100 changed rows to one text',
    'us',
    beat.map((ms) => ms * 1e3),
  );
  await Promise.all([micro.stop(), gateway.stop()]);
}

interface TickRound {
  readonly perSecond: number;
  /** ms of CPU time per million messages */
  readonly cpuMs: number;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN;
}

async function bareRound(bare: Child, feeder: Child): Promise<TickRound> {
  await bare.call('begin');
  const sent = await feeder.call<Sent>('flood', { messages: plan.messages });
  const { callbacks, endedAt, cpuUs } = await bare.call<BareTicks>('ended');
  // The library swallows the size that comes with a bid: one callback less for one message in five.
  const expected = sent.ticks - sent.messages / 5;
  if (callbacks !== expected) throw new Error(`bare: ${callbacks} callbacks, ${expected} expected`);
  return {
    perSecond: sent.messages / ((endedAt - sent.startedAt) / 1_000),
    cpuMs: cpuUs / 1_000 / (sent.messages / 1e6),
  };
}

async function ourRound(
  runtime: Child,
  dashboard: Child,
  feeder: Child,
): Promise<TickRound & { share: number }> {
  await dashboard.call('begin');
  const before = await runtime.call<NodeJS.CpuUsage>('cpu');
  const sent = await feeder.call<Sent>('flood', { messages: plan.messages });
  const taken = await dashboard.call<Taken>('taken', { ticks: sent.ticks, idleMs });
  const after = await runtime.call<NodeJS.CpuUsage>('cpu');
  const cpuUs = after.user - before.user + after.system - before.system;
  return {
    perSecond: sent.messages / ((taken.lastAt - sent.startedAt) / 1_000),
    cpuMs: cpuUs / 1_000 / (sent.messages / 1e6),
    share: taken.merged / sent.ticks,
  };
}

async function ticks(): Promise<void> {
  const [forBare, forOurs] = [start('feeder.ts'), start('feeder.ts')];
  const bare = start('bare.ts');
  const dashboard = start('tick-client.ts');
  rows.group(`Ticks on ${plan.lines} lines, as fast as they are taken`);
  const port = await forBare.call<number>('port');
  await bare.call('discard', { port });
  const alone = await forBare.call<Sent>('flood', { messages: plan.messages });
  const aloneRate = alone.messages / ((alone.endedAt - alone.startedAt) / 1_000);
  rows.value(
    'ticks.feeder.rate',
    'feeder to a reader that decodes nothing',
    '1/s',
    aloneRate,
    alone.messages,
  );

  const keys = Array.from({ length: plan.lines }, (_, index) => `CONID:${index + 1}`);
  await bare.call('connect', { port, clientId: 9 });
  const instruments = keys.map((key, index) => ({ key, contract: { conId: index + 1, exchange: 'SMART' } }));
  await bare.call('subscribe', { instruments });
  const runtime = await startRuntime(await forOurs.call<number>('port'));
  await dashboard.call('subscribe', { url: runtime.url, keys });
  for (const feeder of [forBare, forOurs]) {
    await until(async () => (await feeder.call<number>('lines')) === plan.lines, 'all lines to be open');
  }
  const theirs: TickRound[] = [];
  const ours: (TickRound & { share: number })[] = [];
  for (let round = 0; round < plan.rounds; round += 1) {
    theirs.push(await bareRound(bare, forBare));
    ours.push(await ourRound(runtime, dashboard, forOurs));
  }
  const count = plan.rounds * plan.messages;
  const medianOf = (rounds: readonly TickRound[], of: (round: TickRound) => number) => median(rounds.map(of));
  const bareRate = medianOf(theirs, ({ perSecond }) => perSecond);
  const ourRate = medianOf(ours, ({ perSecond }) => perSecond);
  rows.value('ticks.bare.rate', 'bare  decoded, empty listeners', '1/s', bareRate, count);
  rows.value('ticks.ours.rate', 'ours  to frames at a WebSocket client', '1/s', ourRate, count);
  const ratio = median(
    ours.map(({ perSecond }, round) => perSecond / (theirs[round]?.perSecond ?? Number.NaN)),
  );
  rows.value('ticks.ratio.rate', 'ratio ours : bare (aim 0.8)', 'x', ratio);
  rows.value(
    'ticks.bare.cpu',
    'bare  CPU time per million messages',
    'ms',
    medianOf(theirs, ({ cpuMs }) => cpuMs),
  );
  rows.value(
    'ticks.ours.cpu',
    'ours  CPU time per million messages',
    'ms',
    medianOf(ours, ({ cpuMs }) => cpuMs),
  );
  const share = Math.min(...ours.map((round) => round.share));
  rows.value('ticks.accounted', 'ticks accounted for by `merged`', 'share', share);
  notes.push(
    `ticks, ratio of each round: ${ours.map(({ perSecond }, round) => (perSecond / (theirs[round]?.perSecond ?? 1)).toFixed(3)).join(', ')}`,
  );
  await bare.stop();

  rows.group(`Ticks on ${plan.lines} lines at ${ticksPerSecond} messages/s`);
  await dashboard.call('begin');
  const before = await runtime.call<NodeJS.CpuUsage>('cpu');
  const sent = await forOurs.call<Sent>('paced', {
    messages: ticksPerSecond * plan.pacedSeconds,
    perSecond: ticksPerSecond,
  });
  const taken = await dashboard.call<Taken>('taken', { ticks: sent.ticks, idleMs });
  const after = await runtime.call<NodeJS.CpuUsage>('cpu');
  const tookMs = sent.endedAt - sent.startedAt;
  const busyMs = (after.user - before.user + after.system - before.system) / 1_000;
  rows.value('latency.rate', 'tick messages', '1/s', sent.messages / (tookMs / 1_000), sent.messages);
  rows.spread('latency.row', "age of a row's newest tick at the client", 'ms', taken.rowAges);
  rows.spread('latency.frame', 'beat -> client', 'ms', taken.frameAges);
  rows.value('latency.cpu', "runtime's CPU time, of one core", 'share', busyMs / tookMs);
  rows.value('latency.accounted', 'ticks accounted for by `merged`', 'share', taken.merged / sent.ticks);
  await Promise.all([dashboard.stop(), runtime.stop(), forBare.stop(), forOurs.stop()]);
}

const streams = (): Promise<void> =>
  measureStreams(
    { rows, notes, start, startRuntime, placeOrders: ourOrders },
    { lines: plan.lines, orders: plan.orders, everyMs: plan.everyMs, crowds: plan.crowds },
  );

const parts: Readonly<Record<string, () => Promise<void>>> = {
  orders: withinLimits,
  fast: unlimited,
  ticks,
  streams,
  steps,
};

async function main(): Promise<void> {
  const startedAt = machineMs();
  const [loadBefore = 0] = loadavg();
  if (statfsSync(folder).type === memoryFilesystem) {
    notes.push(
      'the journal is in memory (tmpfs), where fsync costs nothing: set TMPDIR to a folder on a disk',
    );
  }
  notes.push(
    'pacing lifted means: the limits in src/tws/pacing.ts are raised from outside (unpaced.ts), the gate has no MAX_ORDERS_PER_SECOND and MAX_OPEN_ORDERS, the simulator runs without limits',
  );
  for (const [name, part] of Object.entries(parts)) {
    if (options.only === undefined || options.only === name) await part();
  }
  const report: Report = {
    at: new Date().toISOString(),
    quick: options.quick,
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cpus: cpus().length,
    loadBefore,
    tookSeconds: (machineMs() - startedAt) / 1_000,
    rows: rows.all(),
    notes,
  };
  process.stdout.write(tableOf(report));
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
}

let isLeaving = false;
async function leave(code: number, message: string): Promise<void> {
  if (isLeaving) return;
  isLeaving = true;
  if (message !== '') process.stderr.write(`${message}\n`);
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
  process.exit(code);
}

const tooLong = setTimeout(() => void leave(1, `not finished within ${deadlineMs} ms`), deadlineMs);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void leave(130, signal));
const [unknown] = [options.only, ...surplus].filter(
  (part) => part !== undefined && !Object.hasOwn(parts, part),
);
if (unknown !== undefined || surplus.length > 0) {
  void leave(1, `"${unknown ?? surplus[0]}": name one of ${Object.keys(parts).join(', ')}`);
} else {
  main().then(
    () => {
      clearTimeout(tooLong);
      void leave(0, '');
    },
    (error: unknown) =>
      void leave(1, error instanceof Error ? (error.stack ?? error.message) : String(error)),
  );
}
