/**
 * What is measured, once for Prometheus (since the start, seconds) and once for people (the last minutes, milliseconds).
 * Labels come from small fixed sets; nothing is labelled by account, order, instrument or client.
 */
import { createHistogram, monitorEventLoopDelay, type RecordableHistogram } from 'node:perf_hooks';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** The recent values of one duration, in ms; null where there were none. */
export interface LatencySummary {
  /** in the window */
  readonly count: number;
  /** since the start */
  readonly total: number;
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

/** One kind of duration. */
export interface Latency {
  record(ms: number): void;
  summary(): LatencySummary;
}

/** Something that happens, by one label of a small set. */
export interface Tally<Label extends string = string> {
  add(label: Label, count?: number): void;
}

export interface EventLoopLag {
  readonly p99Ms: number;
  readonly maxMs: number;
  /** since the loop last came round */
  readonly lastTurnAgeMs: number;
  /** how long it stood still, told until it has turned in time for a second; 0 otherwise */
  readonly stallMs: number;
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
  /** messages written to TWS */
  readonly messages: Tally<'cancel' | 'order' | 'control' | 'data'>;
  readonly slowConsumers: Tally<'skipped' | 'thinned' | 'closed'>;
  /** what came of the values and facts meant for Redis */
  readonly redis: Tally<'written' | 'published' | 'refused' | 'dropped'>;
  clients(connected: number): void;
  eventLoop(): EventLoopLag;
  /** Prometheus text. */
  text(): Promise<string>;
  /** The body of `/health/metrics`: latencies in ms over the window, rates per second, counters since the start. */
  json(): Readonly<Record<string, unknown>>;
  /** Stops the timers. */
  close(): void;
}

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
/** Labels beyond this many of one kind are counted as `other`. */
const labelsMax = 100;
const lagResolutionMs = 10;
const rateSeconds = 10;
/** How often the event loop is seen to turn, what counts as standing still, and for how long that is told. */
const turnMs = 100;
const lateTurnMs = 1_000;
const stallMemoryMs = 1_000;

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
  const tally = (key: string, name: string, help: string, label: string): Tally => {
    const counter = new Counter({ name, help, labelNames: [label], registers });
    const counts = new Map<string, number>();
    const rate = meter(now);
    tallies.set(key, counts);
    rates.set(key, rate.perSecond);
    return {
      add(value, count = 1) {
        // A figure that went back must never end the process.
        if (!(count > 0)) return;
        const known = bounded(counts, value);
        counts.set(known, (counts.get(known) ?? 0) + count);
        counter.labels(known).inc(count);
        rate.add(count);
      },
    };
  };
  const denials = tally(
    'denials',
    'tws_runtime_order_denials_total',
    'Orders that the gate refused',
    'reason',
  );
  const reconnects = tally(
    'reconnects',
    'tws_runtime_reconnects_total',
    'Sessions with TWS begun after a loss',
    'cause',
  );
  const messages = tally('messages', 'tws_runtime_messages_sent_total', 'Messages written to TWS', 'lane');
  const slowConsumers = tally(
    'slowConsumers',
    'tws_runtime_websocket_slow_consumers_total',
    'What was done to clients that did not drain',
    'measure',
  );
  const redis = tally(
    'redis',
    'tws_runtime_redis_commands_total',
    'Values written to Redis and facts published there, or not',
    'outcome',
  );
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
    messages,
    slowConsumers,
    redis,
    clients(connected) {
      connectedClients = connected;
      clientGauge.set(connected);
    },
    eventLoop: loop.lag,
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
        transitions: Object.fromEntries(transitions),
        ...Object.fromEntries([...tallies].map(([key, counts]) => [key, Object.fromEntries(counts)])),
      },
    }),
    close: loop.close,
  };
}

interface Window {
  readonly now: () => number;
  readonly windowMs: number;
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

/** Two histograms in turn: the older one is dropped when the newer one has filled its window. */
function recorder({ now, windowMs }: Window): Latency {
  let current = histogram();
  let previous = histogram();
  let turnsAt = now() + windowMs;
  let total = 0;
  const turn = (): void => {
    const at = now();
    if (at < turnsAt) return;
    if (at < turnsAt + windowMs) [previous, current] = [current, previous];
    else previous.reset();
    current.reset();
    turnsAt = at + windowMs;
  };
  return {
    record(ms) {
      turn();
      total++;
      current.record(Math.min(Math.max(1, Math.round(ms * unitsPerMs)), longest));
    },
    summary() {
      turn();
      const both = histogram();
      both.add(previous);
      both.add(current);
      if (both.count === 0) return { count: 0, total, p50: null, p90: null, p99: null, max: null };
      const at = (percentile: number): number => round(both.percentile(percentile) / unitsPerMs);
      return {
        count: both.count,
        total,
        p50: at(50),
        p90: at(90),
        p99: at(99),
        max: round(both.max / unitsPerMs),
      };
    },
  };
}

const unitsPerMs = 10_000;
const longest = 600_000 * unitsPerMs;
/** Two digits are enough for people and take 25 kB; three would take ten times as much. */
function histogram(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: longest, figures: 2 });
}

/** Events per second over the last ten full seconds (fewer at the start). */
function meter(now: () => number): { add(count: number): void; perSecond(): number } {
  const slots = new Array<number>(rateSeconds + 1).fill(0);
  const firstSecond = Math.floor(now() / 1_000);
  let newest = firstSecond;
  const advance = (): void => {
    const second = Math.floor(now() / 1_000);
    for (let cleared = 0; newest < second && cleared <= slots.length; cleared++) {
      newest++;
      slots[newest % slots.length] = 0;
    }
    newest = second;
  };
  return {
    add(count) {
      advance();
      const slot = newest % slots.length;
      slots[slot] = (slots[slot] ?? 0) + count;
    },
    perSecond() {
      advance();
      const full = Math.min(rateSeconds, newest - firstSecond);
      if (full === 0) return slots[newest % slots.length] ?? 0;
      let sum = 0;
      for (let back = 1; back <= full; back++) {
        sum += slots[(newest - back + slots.length * 2) % slots.length] ?? 0;
      }
      return round(sum / full);
    },
  };
}

function watchEventLoop({ now, windowMs }: Window): {
  lag(): EventLoopLag;
  summary(): LatencySummary;
  close(): void;
} {
  // The monitor records whole intervals between its own timer's turns: what exceeds the interval is lag.
  let current = monitorEventLoopDelay({ resolution: lagResolutionMs });
  current.enable();
  let previous: LatencySummary = { count: 0, total: 0, p50: null, p90: null, p99: null, max: null };
  let turnsAt = now() + windowMs;
  let lastTurnAt = now();
  let stallMs = 0;
  let stallEndedAt = 0;
  const lagMs = (ns: number): number => round(Math.max(0, ns / 1_000_000 - lagResolutionMs));
  const measured = (): LatencySummary => {
    const { count } = current;
    if (count === 0) return { count, total: count, p50: null, p90: null, p99: null, max: null };
    const at = (percentile: number): number => lagMs(current.percentile(percentile));
    return { count, total: count, p50: at(50), p90: at(90), p99: at(99), max: lagMs(current.max) };
  };
  const timer = setInterval(() => {
    const at = now();
    if (at - lastTurnAt >= lateTurnMs) [stallMs, stallEndedAt] = [at - lastTurnAt, at];
    else if (at - stallEndedAt >= stallMemoryMs) stallMs = 0;
    lastTurnAt = at;
    if (lastTurnAt < turnsAt) return;
    previous = measured();
    current.disable();
    current = monitorEventLoopDelay({ resolution: lagResolutionMs });
    current.enable();
    turnsAt = lastTurnAt + windowMs;
  }, turnMs);
  timer.unref();
  const summary = (): LatencySummary => {
    const fresh = measured();
    if (previous.count === 0) return fresh;
    if (fresh.count === 0) return previous;
    const worse = (a: number | null, b: number | null): number => Math.max(a ?? 0, b ?? 0);
    return {
      count: fresh.count + previous.count,
      total: fresh.count + previous.count,
      p50: fresh.p50,
      p90: worse(fresh.p90, previous.p90),
      p99: worse(fresh.p99, previous.p99),
      max: worse(fresh.max, previous.max),
    };
  };
  return {
    lag() {
      const { p99, max } = summary();
      const lastTurnAgeMs = round(Math.max(0, now() - lastTurnAt));
      return { p99Ms: p99 ?? 0, maxMs: max ?? 0, lastTurnAgeMs, stallMs: round(stallMs) };
    },
    summary,
    close() {
      clearInterval(timer);
      current.disable();
    },
  };
}

/** The label itself while there is room, then `other`. */
function bounded(known: ReadonlyMap<string, unknown>, label: string): string {
  return known.has(label) || known.size < labelsMax ? label : 'other';
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
