/**
 * What is measured, once for Prometheus (since the start, seconds) and once for people (the last minutes, milliseconds).
 * Labels come from small fixed sets; nothing is labelled by account, order, instrument or client.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { denialCodes } from '../machines/denial.ts';
import { discrepancyCodes } from '../machines/discrepancy.ts';
import { lossCauses } from '../machines/tws.ts';
import {
  type EventLoopLag,
  type Latency,
  meter,
  recorder,
  round,
  type Window,
  watchEventLoop,
} from './recent.ts';

export type { Latency, LatencySummary } from './recent.ts';

/** Something that happens, by one label of a small set. */
export interface Tally<Label extends string = string> {
  add(label: Label, count?: number): void;
}

export interface Metrics {
  /** the order path, in the order in which an order passes them; `total`: from received to handed to the socket */
  readonly order: Readonly<Record<'review' | 'journal' | 'dispatch' | 'total', Latency>>;
  /** from handed to the socket to the broker's first word */
  readonly acknowledgement: Latency;
  /** one durable append */
  readonly journalAppend: Latency;
  /** from bytes read to the beat that carries the value */
  readonly tickToBeat: Latency;
  /** from bytes read to the frame handed to the client's socket */
  readonly tickToClient: Latency;
  /** by route template, not by path */
  http(route: string, ms: number): void;
  ticks(count?: number): void;
  /** a state of a machine was entered */
  transition(machine: string, state: string): void;
  readonly denials: Tally;
  readonly reconnects: Tally;
  /** from asked to handed to the socket, by the lane of the message */
  readonly pacingWait: Readonly<Record<Lane, Latency>>;
  /** differences from the broker's books that began */
  readonly discrepancies: Tally;
  /** an order became in doubt */
  doubt(): void;
  /** nobody renewed a lease in time */
  lapse(): void;
  /** messages written to TWS */
  readonly messages: Tally<Lane>;
  readonly slowConsumers: Tally<'skipped' | 'thinned' | 'closed'>;
  /** what came of the values and facts meant for Redis */
  readonly redis: Tally<'written' | 'published' | 'refused' | 'dropped'>;
  /** changes of books, prints and bars folded into rows, and prints that rows had no room for */
  readonly mergedRows: Tally<'depth' | 'trades' | 'bars'>;
  readonly droppedPrints: Tally<'depth' | 'trades' | 'bars'>;
  /** market-data lines of one kind, by their standing */
  lines(channel: string, standing: string, count: number): void;
  clients(connected: number): void;
  eventLoop(): EventLoopLag;
  /** for what is read at each scrape (standing.ts) */
  readonly registry: Registry;
  /** Prometheus text. */
  text(): Promise<string>;
  /** The body of `/health/metrics`: latencies in ms over the window, rates per second, counters since the start. */
  json(): Readonly<Record<string, unknown>>;
  /** Stops the timers. */
  close(): void;
}

const lanes = ['cancel', 'order', 'control', 'data'] as const;
type Lane = (typeof lanes)[number];

export interface MetricsOptions {
  readonly version: string;
  readonly environment: string;
  /** monotonic, ms */
  readonly now?: () => number;
  /** a summary covers between one and two of these */
  readonly windowMs?: number;
}

const secondsBuckets = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.05, 0.1, 0.25, 1, 5,
];
const waitBuckets = [0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const conflatedChannels = ['depth', 'trades', 'bars'] as const;
/** Labels beyond this many of one kind are counted as `other`. */
const labelsMax = 100;

/** Starts measuring: one registry, one timer for the event loop. */
export function createMetrics({
  version,
  environment,
  now = () => performance.now(),
  windowMs = 60_000,
}: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const startedAt = now();
  const window = { now, windowMs };

  new Gauge({
    name: 'tws_runtime_build_info',
    help: 'Always 1; the labels say what runs',
    labelNames: ['version', 'node', 'environment'],
    registers,
  }).set({ version, node: process.version, environment }, 1);

  const stageSeconds = new Histogram({
    name: 'tws_runtime_order_path_duration_seconds',
    help: 'Time of an order in each stage from received to handed to the socket',
    labelNames: ['stage'],
    buckets: secondsBuckets,
    registers,
  });
  const stage = (name: string): Latency => latency(window, stageSeconds.labels(name));
  const duration = (name: string, help: string): Latency =>
    latency(window, new Histogram({ name, help, buckets: secondsBuckets, registers }));
  const order = {
    review: stage('review'),
    journal: stage('journal'),
    dispatch: stage('dispatch'),
    total: stage('total'),
  };
  const acknowledgement = duration(
    'tws_runtime_order_acknowledgement_duration_seconds',
    "Time from an order handed to the socket to the broker's first word",
  );
  const journalAppend = duration('tws_runtime_journal_append_duration_seconds', 'Time of one durable append');
  const tickToBeat = duration(
    'tws_runtime_tick_to_beat_duration_seconds',
    'Age of a value when the beat that carries it leaves',
  );
  const tickToClient = duration(
    'tws_runtime_tick_to_client_duration_seconds',
    "Age of a value when its frame is handed to a client's socket",
  );

  const httpSeconds = new Histogram({
    name: 'tws_runtime_http_request_duration_seconds',
    help: 'Time from a request received to its answer sent',
    labelNames: ['route'],
    buckets: secondsBuckets,
    registers,
  });
  const httpAll = recorder(window);
  const routes = new Map<string, Latency>();
  const http = (route: string, ms: number): void => {
    const name = bounded(routes, route);
    let known = routes.get(name);
    if (!known) {
      known = latency(window, httpSeconds.labels(name));
      routes.set(name, known);
    }
    known.record(ms);
    httpAll.record(ms);
  };

  let tickTotal = 0;
  let ticksReported = 0;
  const tickRate = meter(now);
  new Counter({
    name: 'tws_runtime_ticks_total',
    help: 'Ticks received',
    registers,
    collect() {
      this.inc(tickTotal - ticksReported);
      ticksReported = tickTotal;
    },
  });
  const transitionCounter = new Counter({
    name: 'tws_runtime_transitions_total',
    help: 'States entered, by machine',
    labelNames: ['machine', 'state'],
    registers,
  });
  const transitions = new Map<string, number>();

  const tallies = new Map<string, ReadonlyMap<string, number>>();
  const rates = new Map<string, () => number>();
  /** Counts by a label whose values are known beforehand, so that each is there, as 0, before it happens. */
  const tally = <Label extends string>(
    key: string,
    name: string,
    help: string,
    label: string,
    values: readonly Label[],
  ): Tally<Label> => {
    const counter = new Counter({ name, help, labelNames: [label], registers });
    for (const value of values) counter.labels(value).inc(0);
    const known = new Set<string>(values);
    const counts = new Map<string, number>();
    const rate = meter(now);
    tallies.set(key, counts);
    rates.set(key, rate.perSecond);
    return {
      add(value, count = 1) {
        // A figure that went back must never end the process.
        if (!(count > 0)) return;
        const counted = known.has(value) ? value : 'other';
        counts.set(counted, (counts.get(counted) ?? 0) + count);
        counter.labels(counted).inc(count);
        rate.add(count);
      },
    };
  };
  const denials = tally(
    'denials',
    'tws_runtime_order_denials_total',
    'Orders that the gate refused',
    'reason',
    denialCodes,
  );
  const reconnects = tally(
    'reconnects',
    'tws_runtime_reconnects_total',
    'Attempts at a session with TWS that ended, early or late, by what ended them',
    'cause',
    lossCauses,
  );
  const discrepancies = tally(
    'discrepancies',
    'tws_runtime_discrepancies_total',
    "Differences from the broker's books that began",
    'code',
    discrepancyCodes,
  );
  const occasions = new Map<string, number>();
  const occasion = (key: string, name: string, help: string): (() => void) => {
    const counter = new Counter({ name, help, registers });
    occasions.set(key, 0);
    return () => {
      counter.inc();
      occasions.set(key, (occasions.get(key) ?? 0) + 1);
    };
  };
  const doubt = occasion('doubts', 'tws_runtime_order_doubts_total', 'Orders that became in doubt');
  const lapse = occasion('leaseLapses', 'tws_runtime_lease_lapses_total', 'Leases not renewed in time');
  const waitSeconds = new Histogram({
    name: 'tws_runtime_pacing_wait_seconds',
    help: 'Time of a message from asked to handed to the socket of TWS',
    labelNames: ['lane'],
    buckets: waitBuckets,
    registers,
  });
  const paced = (lane: Lane): Latency => latency(window, waitSeconds.labels(lane));
  const pacingWait = {
    cancel: paced('cancel'),
    order: paced('order'),
    control: paced('control'),
    data: paced('data'),
  };
  const messages = tally(
    'messages',
    'tws_runtime_messages_sent_total',
    'Messages written to TWS',
    'lane',
    lanes,
  );
  const slowConsumers = tally(
    'slowConsumers',
    'tws_runtime_websocket_slow_consumers_total',
    'What was done to clients that did not drain: beats skipped, beats thinned, closed',
    'measure',
    ['skipped', 'thinned', 'closed'],
  );
  const redis = tally(
    'redis',
    'tws_runtime_redis_commands_total',
    'Values written to Redis and facts published there, or not',
    'outcome',
    ['written', 'published', 'refused', 'dropped'],
  );
  const mergedRows = tally(
    'mergedRows',
    'tws_runtime_stream_merged_total',
    'Changes of books, prints and bars folded into rows, over all clients',
    'channel',
    conflatedChannels,
  );
  const droppedPrints = tally(
    'droppedPrints',
    'tws_runtime_stream_dropped_total',
    'Prints that rows had no room for, over all clients; the rows say how many',
    'channel',
    conflatedChannels,
  );
  const lineGauge = new Gauge({
    name: 'tws_runtime_market_lines',
    help: 'Market-data lines, by what they carry and how they stand',
    labelNames: ['channel', 'standing'],
    registers,
  });
  const clientGauge = new Gauge({
    name: 'tws_runtime_websocket_clients',
    help: 'Connected WebSocket clients',
    registers,
  });
  let connectedClients = 0;

  const loop = watchEventLoop(window);
  new Gauge({
    name: 'tws_runtime_event_loop_lag_p99_seconds',
    help: 'p99 of the delay of the event loop over the last minutes',
    registers,
    collect() {
      this.set(loop.lag().p99Ms / 1_000);
    },
  });

  return {
    order,
    acknowledgement,
    journalAppend,
    tickToBeat,
    tickToClient,
    http,
    ticks(count = 1) {
      tickTotal += count;
      tickRate.add(count);
    },
    transition(machine, state) {
      const key = bounded(transitions, `${machine}.${state}`);
      transitions.set(key, (transitions.get(key) ?? 0) + 1);
      if (key === 'other') transitionCounter.labels('other', 'other').inc();
      else transitionCounter.labels(machine, state).inc();
    },
    denials,
    reconnects,
    pacingWait,
    discrepancies,
    doubt,
    lapse,
    messages,
    slowConsumers,
    redis,
    mergedRows,
    droppedPrints,
    lines: (channel, standing, count) => lineGauge.labels(channel, standing).set(count),
    clients(connected) {
      connectedClients = connected;
      clientGauge.set(connected);
    },
    eventLoop: loop.lag,
    registry,
    text: () => registry.metrics(),
    json: () => ({
      uptimeSeconds: round((now() - startedAt) / 1_000),
      windowSeconds: windowMs / 1_000,
      orderPath: {
        review: order.review.summary(),
        journal: order.journal.summary(),
        dispatch: order.dispatch.summary(),
        total: order.total.summary(),
        acknowledgement: acknowledgement.summary(),
      },
      pacingWait: Object.fromEntries(lanes.map((lane) => [lane, pacingWait[lane].summary()])),
      journalAppend: journalAppend.summary(),
      tickToBeat: tickToBeat.summary(),
      tickToClient: tickToClient.summary(),
      http: {
        ...httpAll.summary(),
        routes: Object.fromEntries([...routes].map(([route, known]) => [route, known.summary()])),
      },
      eventLoop: loop.summary(),
      rates: {
        ticksPerSecond: tickRate.perSecond(),
        messagesPerSecond: rates.get('messages')?.() ?? 0,
        denialsPerSecond: rates.get('denials')?.() ?? 0,
      },
      counters: {
        ticks: tickTotal,
        orders: order.total.summary().total,
        clients: connectedClients,
        ...Object.fromEntries(occasions),
        transitions: Object.fromEntries(transitions),
        ...Object.fromEntries([...tallies].map(([key, counts]) => [key, Object.fromEntries(counts)])),
      },
    }),
    close: loop.close,
  };
}

/** Feeds a recorder for people and a Prometheus histogram. */
function latency(window: Window, seconds: { observe(value: number): void }): Latency {
  const recent = recorder(window);
  return {
    record(ms) {
      if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY)) return;
      recent.record(ms);
      seconds.observe(ms / 1_000);
    },
    summary: recent.summary,
  };
}

/** The label itself while there is room, then `other`. */
function bounded(known: ReadonlyMap<string, unknown>, label: string): string {
  return known.has(label) || known.size < labelsMax ? label : 'other';
}
