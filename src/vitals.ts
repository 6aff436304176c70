/** How the process is: figures gathered from the tree and the clocks, judged by machines/health.ts, kept in memory for the probes. */
import { assessHealth, type HealthFacts, type HealthReport } from '../machines/health.ts';
import type { CacheFigures } from './cache/cache.ts';
import type { Config } from './config.ts';
import type { HealthPort } from './http/options.ts';
import type { Metrics } from './metrics.ts';
import type { Observer } from './observer.ts';
import type { Runtime } from './runtime.ts';

/** A report is made at most this often, however many probes ask. */
const reportEveryMs = 250;
/** Also without a probe, so that what it says began is when it began: soon after a change that is not of an order, and now and then. */
const lookAfterMs = 20;
const lookEveryMs = 1_000;

export interface VitalsOptions {
  readonly runtime: Runtime;
  readonly observer: Observer;
  readonly metrics: Metrics;
  readonly config: Pick<Config, 'maxLatencyMs' | 'readyRequiresTws'>;
  /** null: no Redis is configured */
  readonly redisFigures: () => CacheFigures | null;
  readonly now: () => number;
}

export function createVitals({ runtime, observer, metrics, config, redisFigures, now }: VitalsOptions) {
  const start = { configurationRead: true, journalReplayed: true, httpBound: false };
  let clients = (): HealthFacts['clients'] => ({
    connected: 0,
    subscriptions: 0,
    slow: 0,
    closedSlow: 0,
    unsentBytes: 0,
  });
  let report: HealthReport | null = null;
  let reportedAt = 0;
  let changed = true;
  let ticksSeen = 0;
  let lastTickAt: number | null = null;
  let look: NodeJS.Timeout | null = null;
  const stopListening = observer.onChange(({ machine }) => {
    changed = true;
    if (machine === 'order' || machine === 'blotter') return;
    look ??= setTimeout(lookAround, lookAfterMs).unref();
  });
  const looking = setInterval(lookAround, lookEveryMs).unref();

  function failingLists(): string[] {
    const lists = runtime.child('reconciliation').getSnapshot().context.lists;
    return Object.values(lists).flatMap(({ list, outcome }) => (outcome === 'failed' ? [list] : []));
  }

  function facts(at: number): HealthFacts {
    const root = runtime.root.getSnapshot();
    const { journalProblem, reconciliation, sessionId } = root.context;
    const tws = runtime.child('tws').getSnapshot();
    const { context } = tws;
    const total = metrics.order.total.summary();
    const last = context.undecodable.at(-1);
    const { ticks, linesShort, linesDeprived } = runtime.market.figures();
    if (ticks !== ticksSeen) {
      ticksSeen = ticks;
      lastTickAt = at;
    }
    return {
      actors: observer.rows(),
      start,
      draining: root.hasTag('draining'),
      readyRequiresTws: config.readyRequiresTws,
      lacksPaperAccount: runtime.lacksPaperAccount(),
      tws: {
        sessionId,
        link: !tws.hasTag('connected')
          ? null
          : context.severedSince === null
            ? tws.hasTag('degraded')
              ? 'impaired'
              : 'whole'
            : 'severed',
        serverVersion: context.serverVersion,
        farms: context.farms,
        undecodable: context.undecodableCount,
        lastUndecodableAt: last?.at ?? null,
        absentSince: context.absentSince,
        trouble:
          context.lastCause && !sessionId ? { code: context.lastCause, message: context.lastMessage } : null,
        lastMessageAt: context.at || null,
      },
      journal: {
        writable: journalProblem === null,
        lastSeq: runtime.journal.lastSeq(),
        lastAppendMs: runtime.lastAppendMs(),
        trouble: journalProblem,
      },
      reconciliation: {
        // The state of the supervisor, not the newest list: after a cut the lists of before count for nothing.
        sessionId: root.hasTag('reconciled') ? (reconciliation?.sessionId ?? null) : null,
        completedAt: reconciliation?.at ?? null,
        failing: failingLists(),
        differences: runtime.child('audit').getSnapshot().context.book.open.length,
      },
      marketData: { lastTickAt, waiting: linesShort, deprived: linesDeprived },
      clients: clients(),
      ...redisFacts(),
      eventLoop: metrics.eventLoop(),
      executionLatency: { count: total.count, p99Ms: total.p99, budgetMs: config.maxLatencyMs },
    };
  }

  function redisFacts(): Pick<HealthFacts, 'redis' | 'redisStanding'> {
    const figures = redisFigures();
    if (figures === null) return { redis: 'absent' };
    const { state, since, reason, ...rest } = figures;
    const redisStanding = { reason, since, figures: { connection: state, ...rest } };
    return { redis: state === 'up' ? 'up' : 'down', redisStanding };
  }

  function lookAround(): void {
    look = null;
    if (runtime.root.getSnapshot().status === 'active') assess(now());
  }

  function assess(at: number): HealthReport {
    report = assessHealth(facts(at), at, report ?? undefined);
    return report;
  }

  const port: HealthPort = {
    report() {
      const at = now();
      if (report !== null && !changed && at - reportedAt < reportEveryMs) return report;
      reportedAt = at;
      changed = false;
      return assess(at);
    },
    metricsJson() {
      const stream = clients();
      metrics.clients(stream.connected);
      return { ...metrics.json(), stream };
    },
    metricsText() {
      metrics.clients(clients().connected);
      return metrics.text();
    },
  };
  return {
    port,
    stop(): void {
      stopListening();
      clearInterval(looking);
      if (look) clearTimeout(look);
    },
    noteBound(): void {
      start.httpBound = true;
      changed = true;
    },
    /** Where the clients of the stream are counted. */
    watchClients(figures: () => HealthFacts['clients']): void {
      clients = figures;
    },
  };
}
