/** The fan-out to many clients, and what the trading path and the probes feel of it. Described in bench.ts. */
import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, machineMs, until } from './children.ts';
import type { Row, Rows } from './figures.ts';
import type { OrderRun } from './order-client.ts';
import type { Instrument } from './simulated.ts';
import type { CrowdPart, Watched } from './stream-crowd.ts';

export interface StreamPlan {
  readonly lines: number;
  /** of the orders that are placed before, and with each crowd */
  readonly orders: number;
  readonly everyMs: number;
  readonly crowds: readonly Crowd[];
}

export interface Crowd {
  readonly id: string;
  readonly clients: number;
  /** keys of each client */
  readonly keys: number;
  readonly ticksPerSecond: number;
}

type Runtime = Child & { readonly url: string };

/** What the parts of the bench have in common. */
export interface Bench {
  readonly rows: Rows;
  readonly notes: string[];
  start(name: string): Child;
  startRuntime(twsPort: number): Promise<Runtime>;
  /** Rows of one run of orders; `toSocket`: received -> socket. */
  placeOrders(
    id: string,
    runtime: Runtime,
    client: Child,
    gateway: Child,
    run: Omit<OrderRun, 'url' | 'name'>,
  ): Promise<{ readonly toSocket: Row }>;
}

const parts = 2;
const ordersEvery = 10;
const probes = ['/health/live', '/health/ready', '/metrics'] as const;
const probeEveryMs = 100;
const settleMs = 500;
/** Above these the crowd itself is what is measured. */
const crowdShareMax = 0.8;
const crowdLoopMs = 15;

/** One runtime: orders alone, then with each crowd in turn. */
export async function measureStreams(bench: Bench, plan: StreamPlan): Promise<void> {
  const { rows, start, startRuntime, placeOrders } = bench;
  const gateway = start('simulated.ts');
  const client = start('order-client.ts');
  const port = await gateway.call<number>('start', { unlimited: false });
  const instruments = await gateway.call<readonly Instrument[]>('instruments', { count: plan.lines });
  const keys = instruments.map(({ key }) => key);
  const runtime = await startRuntime(port);
  const run = { orders: plan.orders, everyMs: plan.everyMs, withinMs: 2 * plan.orders * plan.everyMs };
  rows.group('Streams: orders alone');
  const alone = await placeOrders('streams.alone', runtime, client, gateway, run);
  const idle = await probe(runtime.url, () => false, 3);
  rows.spread('streams.alone.probes', 'probes', 'ms', [...idle.values()].flat());

  for (const crowd of plan.crowds) {
    rows.group(
      `Streams: ${crowd.clients} clients with ${crowd.keys} of ${keys.length} lines, ${crowd.ticksPerSecond} tick messages/s`,
    );
    await measureCrowd(bench, { crowd, keys, gateway, client, runtime, run, alone: alone.toSocket });
  }
  await Promise.all([client.stop(), runtime.stop(), gateway.stop()]);
}

interface Setting {
  readonly crowd: Crowd;
  readonly keys: readonly string[];
  readonly gateway: Child;
  readonly client: Child;
  readonly runtime: Runtime;
  readonly run: Omit<OrderRun, 'url' | 'name'>;
  readonly alone: Row;
}

async function measureCrowd({ rows, notes, start, placeOrders }: Bench, setting: Setting): Promise<void> {
  const { crowd, keys, gateway, client, runtime, run, alone } = setting;
  const id = `streams.${crowd.id}`;
  const people = Array.from({ length: parts }, () => start('stream-crowd.ts'));
  const rssBefore = await runtime.call<number>('rss');
  const watchlists = watchlistsOf(crowd, keys);
  await Promise.all(
    people.map((child, part) => {
      const own = watchlists.filter((_, index) => index % parts === part);
      return child.call('connect', { url: runtime.url, watchlists: own, ordersEvery } satisfies CrowdPart);
    }),
  );
  await until(async () => (await gateway.call<number>('lines')) === keys.length, 'all lines to be open');
  await sleep(settleMs);
  const rssAfter = await runtime.call<number>('rss');

  // The warm-up orders of the run are placed under load as well.
  const seconds = ((run.orders + 40) * run.everyMs) / 1_000;
  const messages = Math.ceil(seconds * crowd.ticksPerSecond);
  await gateway.call('flood', { messages, perSecond: crowd.ticksPerSecond });
  await Promise.all(people.map((child) => child.call('begin')));
  const [before, gatewayBefore] = await Promise.all([cpuOf(runtime), cpuOf(gateway)]);
  const began = machineMs();
  let placing = true;
  const [placed, probed] = await Promise.all([
    placeOrders(id, runtime, client, gateway, run).finally(() => {
      placing = false;
    }),
    probe(runtime.url, () => placing, 3),
  ]);
  const [after, gatewayAfter] = await Promise.all([cpuOf(runtime), cpuOf(gateway)]);
  const tookMs = machineMs() - began;
  const watched = await Promise.all(people.map((child) => child.call<Watched>('watched')));
  const outlasted = await gateway.call<boolean>('flooding');
  const flooded = await gateway.call<{ sent: number; elapsedMs: number }>('flooded');
  await Promise.all(people.map((child) => child.stop()));

  const sum = (of: (part: Watched) => number): number => watched.reduce((total, part) => total + of(part), 0);
  if (sum(({ holes }) => holes) > 0) throw new Error(`${id}: a client missed a frame without being told`);
  const silent = sum((part) => part.silent);
  if (silent > 0) throw new Error(`${id}: ${silent} clients heard nothing`);
  const share = (ms: number): number => ms / tookMs;
  const rate = flooded.sent / (flooded.elapsedMs / 1_000);
  rows.value(`${id}.ticks`, 'tick messages', '1/s', rate, flooded.sent);
  rows.value(`${id}.frames`, 'frames at the clients', '1/s', sum(({ frames }) => frames) / (tookMs / 1_000));
  rows.value(`${id}.bytes`, 'bytes at the clients', 'MB/s', sum(({ bytes }) => bytes) / tookMs / 1_000);
  rows.spread(
    `${id}.frame`,
    'beat -> client (aim p99 20)',
    'ms',
    agesOf(watched.map((part) => part.frameAges)),
  );
  rows.spread(
    `${id}.row`,
    "age of a row's newest tick at the client",
    'ms',
    agesOf(watched.map((part) => part.rowAges)),
  );
  rows.value(
    `${id}.notices`,
    'notices of skipped beats',
    '',
    sum(({ notices }) => notices),
  );
  for (const path of probes) {
    rows.spread(
      `${id}.probe${path.replaceAll('/', '.')}`,
      `GET ${path} (aim p99 5)`,
      'ms',
      probed.get(path) ?? [],
    );
  }
  rows.ratio(`${id}.ratio.order`, 'ratio received -> socket, with streams : alone', placed.toSocket, alone);
  rows.value(`${id}.cpu`, "runtime's CPU time, of one core", 'share', share(after - before));
  rows.value(`${id}.memory`, 'memory per client', 'kB', (rssAfter - rssBefore) / 1_000 / crowd.clients);
  const crowdShare = Math.max(...watched.map(({ cpuUs }) => share(cpuUs / 1_000)));
  const crowdLoop = Math.max(...watched.map(({ loopP99Ms }) => loopP99Ms));
  rows.value(`${id}.crowd.cpu`, 'busiest of the processes with clients, of one core', 'share', crowdShare);
  rows.value(`${id}.crowd.loop`, 'p99 of its own delay', 'ms', crowdLoop);
  rows.value(
    `${id}.gateway.cpu`,
    "gateway's CPU time, of one core",
    'share',
    share(gatewayAfter - gatewayBefore),
  );
  if (!outlasted) notes.push(`${id}: the ticks ended before the orders did`);
  if (rate < crowd.ticksPerSecond * 0.95) notes.push(`${id}: the gateway sent fewer ticks than planned`);
  if (crowdShare > crowdShareMax || crowdLoop > crowdLoopMs)
    notes.push(`${id}: the clients' own processes were too busy to measure: ages are theirs as well`);
}

/** Neighbours watch different things, as dashboards do; as many differ as there are lines. */
function watchlistsOf(
  { clients, keys: count }: Crowd,
  keys: readonly string[],
): readonly (readonly string[])[] {
  const watched = Math.min(count, keys.length);
  const starts = watched === keys.length ? 1 : keys.length;
  return Array.from({ length: clients }, (_, client) =>
    Array.from({ length: watched }, (_, n) => keys[((client % starts) + n) % keys.length] ?? ''),
  );
}

/** ms */
async function cpuOf(child: Child): Promise<number> {
  const { user, system } = await child.call<NodeJS.CpuUsage>('cpu');
  return (user + system) / 1_000;
}

function* agesOf(counted: readonly Uint32Array[]): Generator<number> {
  for (const ages of counted) {
    for (const [age, count] of ages.entries()) for (let n = 0; n < count; n += 1) yield age;
  }
}

/** Times of probes in turn, at an even pace, at least so many of each. */
async function probe(
  url: string,
  goesOn: () => boolean,
  least: number,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times = new Map<string, number[]>(probes.map((path) => [path, []]));
  for (let round = 0; round < least || goesOn(); round += 1) {
    for (const path of probes) {
      times.get(path)?.push(await timed(agent, url + path));
      await sleep(probeEveryMs / probes.length);
    }
  }
  agent.destroy();
  return times;
}

function timed(agent: Agent, url: string): Promise<number> {
  const sentAt = machineMs();
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      response.resume();
      response.on('end', () => {
        if (response.statusCode === 200) resolve(machineMs() - sentAt);
        else reject(new Error(`${url}: ${response.statusCode}`));
      });
    }).on('error', reject);
  });
}
