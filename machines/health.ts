/**
 * How the running tree is, judged from what was observed of its actors and from a few figures. Nobody reports his own
 * health. Meaning is read from tags, never from the names of states.
 */
import type { Reason } from './order.ts';
import type { Farm, LinkState } from './tws.ts';

/** One actor as it was last seen. */
export interface ActorRow {
  /** path of ids from the root, e.g. `runtime.desk.order:c-1` */
  readonly id: string;
  readonly machine: string;
  /** dotted, parallel regions joined by commas */
  readonly state: string;
  readonly tags: readonly string[];
  /** RFC 3339 */
  readonly since: string;
  readonly restarts: number;
}

export type HealthStatus = 'pass' | 'warn' | 'fail';

/** One part, judged: its figures stand beside the verdict. `since`, RFC 3339: how long the status has been this. */
export interface HealthComponent {
  readonly status: HealthStatus;
  readonly since: string;
  readonly [figure: string]: unknown;
}

export interface HealthReason {
  /** stable, lower case with dashes */
  readonly code: string;
  /** what it was found in, one of `componentNames` */
  readonly component: string;
  /** RFC 3339 */
  readonly since: string;
  readonly detail: string;
}

export interface HealthReport {
  /** the worst of all components */
  readonly status: HealthStatus;
  readonly gates: {
    readonly live: boolean;
    readonly started: boolean;
    readonly ready: boolean;
    readonly trading: boolean;
  };
  /** what shuts trading first, failures before warnings */
  readonly reasons: readonly HealthReason[];
  /** by `componentNames` */
  readonly components: Readonly<Record<string, HealthComponent>>;
}

/** All that a verdict is made of. Times are ms since the epoch. */
export interface HealthFacts {
  readonly actors: readonly ActorRow[];
  readonly start: {
    readonly configurationRead: boolean;
    readonly journalReplayed: boolean;
    readonly httpBound: boolean;
  };
  readonly draining: boolean;
  readonly readyRequiresTws: boolean;
  /** paper trading on a login without a paper account; absent: not so */
  readonly lacksPaperAccount?: boolean;
  readonly tws: {
    /** null while there is no session */
    readonly sessionId: string | null;
    readonly link: LinkState | null;
    readonly serverVersion: number | null;
    readonly farms: readonly Farm[];
    /** frames that could not be decoded since the start */
    readonly undecodable: number;
    readonly lastUndecodableAt: number | null;
    /** a person was called because there is no session, ms since when; null or absent: not so */
    readonly absentSince?: number | null;
    /** why there is no session, or what the broker complained of */
    readonly trouble: Reason | null;
    readonly lastMessageAt: number | null;
  };
  readonly journal: {
    readonly writable: boolean;
    readonly lastSeq: number;
    readonly lastAppendMs: number | null;
    readonly trouble: string | null;
  };
  readonly reconciliation: {
    /** the session of the last complete answer; null before the first */
    readonly sessionId: string | null;
    readonly completedAt: number | null;
    /** lists of the broker whose last attempt failed */
    readonly failing: readonly string[];
    /** differences between the broker's books and ours that nobody has explained */
    readonly differences: number;
  };
  readonly marketData: {
    readonly lastTickAt: number | null;
    /** lines that wait for another to become free */
    readonly waiting: number;
    /** lines that somebody reads and TWS refuses, although it served them before or will again */
    readonly deprived: readonly string[];
  };
  readonly clients: {
    readonly connected: number;
    readonly subscriptions: number;
    /** get fewer beats than there are */
    readonly slow: number;
    /** closed because they took too little, ever */
    readonly closedSlow: number;
    /** written for them and not on its way yet */
    readonly unsentBytes: number;
  };
  readonly redis: 'absent' | 'up' | 'down';
  /** of a configured one: why it is not up, since when it is as it is, and its figures */
  readonly redisStanding?: {
    readonly reason: string | null;
    readonly since: number;
    readonly figures: Readonly<Record<string, unknown>>;
  };
  readonly eventLoop: {
    readonly p99Ms: number;
    readonly maxMs: number;
    /** since the loop last came round */
    readonly lastTurnAgeMs: number;
    /** how long it stood still in the last second; 0 while it turns in time */
    readonly stallMs: number;
  };
  /** of the orders in the window; p99 is null when there were none, and judged from `latencySamplesMin` on */
  readonly executionLatency: {
    readonly count: number;
    readonly p99Ms: number | null;
    readonly budgetMs: number;
  };
}

/**
 * Without a turn of the event loop for so long the process does not live. A probe that waited meanwhile is told so at
 * the next turn; when the loop has turned in time for a second, it lives again.
 */
export const deadLoopMs = 3_000;
/** Above this p99 the event loop itself costs more than an order may. */
export const slowLoopMs = 50;
/** An append that takes longer than this means a disk in trouble. */
export const slowAppendMs = 250;
/** Of fewer orders the p99 is the slowest, and the first of a process are slow: nothing is told by it. */
export const latencySamplesMin = 20;
/** A frame that could not be decoded keeps the connection from passing for so long. */
export const undecodableMemoryMs = 15 * 60_000;

export const componentNames = [
  'tws',
  'farms',
  'journal',
  'orders',
  'trading',
  'reconciliation',
  'marketData',
  'clients',
  'redis',
  'eventLoop',
  'executionLatency',
  'actors',
] as const;
export type ComponentName = (typeof componentNames)[number];

interface Complaint {
  readonly status: 'warn' | 'fail';
  readonly code: string;
  readonly detail: string;
  /** while it lasts no order is taken */
  readonly shutsTrading?: boolean;
  /** RFC 3339, when it is known exactly */
  readonly since?: string;
  /** RFC 3339: it began then or earlier, for an actor may have changed its state within the same trouble */
  readonly sinceAtLeast?: string;
}
interface Finding {
  readonly complaints: readonly Complaint[];
  readonly figures: Readonly<Record<string, unknown>>;
  readonly since?: string;
}

/**
 * The verdict on these facts. `previous` is the report before, from which `since` of an unchanged status is taken;
 * without it everything that has no time of its own counts from `now` (ms since the epoch).
 */
export function assessHealth(facts: HealthFacts, now: number, previous?: HealthReport): HealthReport {
  const findings: Record<ComponentName, Finding> = {
    tws: judgeTws(facts, now),
    farms: judgeFarms(facts),
    journal: judgeJournal(facts),
    orders: judgeOrders(facts),
    trading: judgeTrading(facts),
    reconciliation: judgeReconciliation(facts),
    marketData: judgeMarketData(facts),
    clients: judgeClients(facts),
    redis: judgeRedis(facts),
    eventLoop: judgeEventLoop(facts),
    executionLatency: judgeExecutionLatency(facts),
    actors: judgeActors(facts),
  };
  const components = {} as Record<ComponentName, HealthComponent>;
  const gravelyShutting: HealthReason[] = [];
  const shutting: HealthReason[] = [];
  const further: HealthReason[] = [];
  for (const name of componentNames) {
    const { complaints, figures, since } = findings[name];
    const found: HealthReason[] = complaints.map((complaint) => ({
      code: complaint.code,
      component: name,
      since: beginningOf(complaint, previous) ?? toRfc3339(now),
      detail: complaint.detail,
    }));
    found.forEach((reason, index) => {
      const { shutsTrading = false, status } = complaints[index] ?? {};
      const reasons = !shutsTrading ? further : status === 'fail' ? gravelyShutting : shutting;
      reasons.push(reason);
    });
    const status = worst(complaints.map((complaint) => complaint.status));
    const gravest = found.filter((_, index) => complaints[index]?.status === status);
    const before = previous?.components[name];
    components[name] = {
      status,
      since: before?.status === status ? before.since : (earliest(gravest) ?? since ?? toRfc3339(now)),
      ...figures,
    };
  }
  const gates = judgeGates(facts);
  return {
    status: worst([
      ...Object.values(components).map(({ status }) => status),
      ...(gates.live ? [] : (['fail'] as const)),
    ]),
    gates,
    reasons: [...gravelyShutting, ...shutting, ...further],
    components,
  };
}

function judgeGates(facts: HealthFacts): HealthReport['gates'] {
  const runtime = rowOf(facts, 'runtime');
  const { configurationRead, journalReplayed, httpBound } = facts.start;
  const live = !isMissingOrDead(runtime) && stallOf(facts) < deadLoopMs;
  const started = configurationRead && journalReplayed && httpBound;
  const tradable = isTradable(facts);
  const ready =
    started && !isDraining(facts) && facts.journal.writable && (!facts.readyRequiresTws || tradable);
  const gate = rowOf(facts, 'gate');
  const isGuarded = !isMissingOrDead(gate) && !isMissingOrDead(rowOf(facts, 'desk'));
  const isHalted = gate?.tags.includes('halted') ?? true;
  const isOpen = isGuarded && !isHalted && !isReadOnly(facts) && !facts.lacksPaperAccount;
  const trading = ready && live && tradable && isReconciled(facts) && isOpen;
  return { live, started, ready, trading };
}

function judgeTws(facts: HealthFacts, now: number): Finding {
  const row = rowOf(facts, 'tws');
  const { link, sessionId, serverVersion, undecodable, lastUndecodableAt, trouble, lastMessageAt } =
    facts.tws;
  const figures = {
    link,
    sessionId,
    serverVersion,
    undecodable,
    lastUndecodableAt: timeOrNull(lastUndecodableAt),
    reason: trouble,
    lastMessageAt: timeOrNull(lastMessageAt),
  };
  const why = trouble ? `: ${trouble.message} (${trouble.code})` : '';
  const complain = (status: Complaint['status'], code: string, said: string, since = row?.since): Finding => {
    const began = since === undefined ? {} : { sinceAtLeast: since };
    const shutsTrading = code !== 'impaired';
    return { complaints: [{ status, code, detail: `${said}${why}`, shutsTrading, ...began }], figures };
  };
  if (!row) return complain('fail', 'connecting', 'the connection has not been started');
  const has = (tag: string): boolean => row.tags.includes(tag);
  if (has('failed')) return complain('fail', 'tws-failed', 'the connection actor has failed');
  if (rowOf(facts, 'runtime')?.tags.includes('foreign'))
    return complain('fail', 'other-login', 'TWS is logged in with accounts that this journal has never seen');
  if (facts.tws.absentSince) {
    const since = toRfc3339(facts.tws.absentSince);
    return complain('fail', 'gateway-absent', `no session since ${since}: the gateway needs a person`, since);
  }
  if (has('maintenance')) return complain('warn', 'maintenance', 'scheduled reset of the gateway');
  if (has('down')) return complain('fail', 'connecting', 'no session with TWS');
  if (link === 'severed') return complain('fail', 'severed', 'TWS has lost its link to IB');
  if (!has('tradable')) return complain('warn', 'connecting', 'the session is not ready yet');
  if (has('degraded')) return complain('warn', 'impaired', 'the link to IB is impaired');
  if (lastUndecodableAt !== null && now - lastUndecodableAt < undecodableMemoryMs) {
    const detail = `${undecodable} ${undecodable === 1 ? 'frame' : 'frames'} could not be decoded`;
    const sinceAtLeast = toRfc3339(lastUndecodableAt);
    return { complaints: [{ status: 'warn', code: 'undecodable-frames', detail, sinceAtLeast }], figures };
  }
  return { complaints: [], figures, since: row.since };
}

function judgeFarms({ tws: { farms } }: HealthFacts): Finding {
  const broken = farms.filter((farm) => farm.status === 'broken');
  return {
    complaints: broken.map(({ name, kind, since }) => ({
      status: 'warn',
      code: 'farm-broken',
      detail: `${kind} data farm ${name} is broken`,
      since: toRfc3339(since),
    })),
    figures: {
      broken: broken.map(({ name }) => name),
      farms: farms.map(({ name, kind, status, since }) => ({ name, kind, status, since: toRfc3339(since) })),
    },
  };
}

function judgeJournal({ journal }: HealthFacts): Finding {
  const { trouble } = journal;
  const complaints: Complaint[] = [];
  if (!journal.writable) {
    const detail = `the journal cannot be written${trouble ? `: ${trouble}` : ''}`;
    complaints.push({ status: 'fail', code: 'journal-unavailable', detail, shutsTrading: true });
  } else if (journal.lastAppendMs !== null && journal.lastAppendMs > slowAppendMs) {
    const detail = `the last append took more than ${slowAppendMs} ms`;
    complaints.push({ status: 'warn', code: 'journal-slow', detail });
  }
  return { complaints, figures: { ...journal } };
}

function judgeOrders(facts: HealthFacts): Finding {
  const rows = facts.actors.filter(({ machine }) => machine === 'order');
  const inDoubt = rows.filter(({ tags }) => tags.includes('inDoubt'));
  const failed = rows.filter(({ tags }) => tags.includes('failed'));
  const open = rows.filter(({ tags }) => !tags.includes('closed') && !tags.includes('failed'));
  const desk = rowOf(facts, 'desk');
  const complaints: Complaint[] = [];
  if (desk?.tags.includes('failed')) {
    complaints.push({
      status: 'fail',
      code: 'desk-failed',
      detail: 'the desk has failed',
      shutsTrading: true,
      since: desk.since,
    });
  }
  if (failed.length > 0) {
    const detail = `${countOf(failed, 'order actor')} failed: ${listOf(failed)}`;
    complaints.push({ status: 'fail', code: 'order-actor-failed', detail, sinceAtLeast: oldest(failed) });
  }
  if (inDoubt.length > 0) {
    const detail = `${countOf(inDoubt, 'order')} in doubt: ${listOf(inDoubt)}`;
    complaints.push({ status: 'warn', code: 'orders-in-doubt', detail, sinceAtLeast: oldest(inDoubt) });
  }
  return {
    complaints,
    figures: { open: open.length, inDoubt: inDoubt.length, failed: failed.length, known: rows.length },
  };
}

function judgeTrading(facts: HealthFacts): Finding {
  const row = rowOf(facts, 'gate');
  const has = (tag: string): boolean => row?.tags.includes(tag) ?? false;
  const figures = {
    state: has('halted') || isMissingOrDead(row) ? 'halted' : has('reducing') ? 'reducing' : 'open',
    draining: isDraining(facts),
  };
  const complaints: Complaint[] = [];
  const complain = (code: string, detail: string, more: Partial<Complaint> = {}): void => {
    complaints.push({ status: 'warn', code, detail, shutsTrading: true, ...more });
  };
  const since = row ? { since: row.since } : {};
  if (isMissingOrDead(row)) complain('gate-down', 'the risk gate is not running', { status: 'fail' });
  else if (has('halted')) complain('halted', 'trading is halted', since);
  else if (has('reducing'))
    complain('reducing', 'only orders that reduce a position are taken', { ...since, shutsTrading: false });
  if (facts.lacksPaperAccount)
    complain(
      'no-paper-account',
      'TRADING_MODE=paper, and no account of this login begins with D: every order is denied',
    );
  if (isReadOnly(facts)) complain('read-only', 'TRADING_MODE=off: no order is taken');
  if (isDraining(facts)) complain('draining', 'the runtime is shutting down');
  return { complaints, figures, ...(complaints.length === 0 && row ? { since: row.since } : {}) };
}

function judgeReconciliation(facts: HealthFacts): Finding {
  const { completedAt, failing, differences, sessionId } = facts.reconciliation;
  const isComplete = isReconciled(facts);
  const progress = isComplete ? 'complete' : isTradable(facts) ? 'running' : 'none';
  const complaints: Complaint[] = [];
  if (!isComplete) {
    const detail = "the broker's lists of this session are not complete yet";
    complaints.push({ status: 'warn', code: 'reconciling', detail, shutsTrading: true });
  }
  if (failing.length > 0) {
    const detail = `the broker's ${failing.join(', ')} could not be read`;
    complaints.push({ status: 'warn', code: 'lists-failing', detail });
  }
  if (differences > 0) {
    const detail = `${differences} unexplained ${differences === 1 ? 'difference' : 'differences'} between the broker's books and ours`;
    complaints.push({ status: 'warn', code: 'books-differ', detail });
  }
  return {
    complaints,
    figures: { progress, sessionId, failing, differences, completedAt: timeOrNull(completedAt) },
  };
}

function judgeMarketData(facts: HealthFacts): Finding {
  const rows = facts.actors.filter(({ machine }) => machine === 'subscription');
  const tagged = (tag: string): ActorRow[] => rows.filter(({ tags }) => tags.includes(tag));
  const stale = tagged('stale');
  const complaints: Complaint[] = [];
  if (stale.length > 0) {
    const detail = `${countOf(stale, 'market-data line')} silent: ${listOf(stale)}`;
    complaints.push({ status: 'warn', code: 'market-data-stale', detail, sinceAtLeast: oldest(stale) });
  }
  const { waiting, deprived } = facts.marketData;
  if (waiting > 0) {
    const detail = `every market-data line is in use: ${waiting} more ${waiting === 1 ? 'waits' : 'wait'}`;
    complaints.push({ status: 'warn', code: 'market-data-exhausted', detail });
  }
  const refused = tagged('refused').length;
  if (deprived.length > 0) {
    const lines = deprived.length === 1 ? 'market-data line' : 'market-data lines';
    const detail = `${deprived.length} ${lines} refused: ${named(deprived)}`;
    complaints.push({ status: 'warn', code: 'market-data-refused', detail });
  }
  return {
    complaints,
    figures: {
      lines: rows.length - refused,
      live: tagged('live').length,
      stale: stale.length,
      refused,
      waiting,
      lastTickAt: timeOrNull(facts.marketData.lastTickAt),
    },
  };
}

function judgeClients({ clients }: HealthFacts): Finding {
  const detail = `${clients.slow} of ${clients.connected} clients do not keep up`;
  return {
    complaints: clients.slow > 0 ? [{ status: 'warn', code: 'slow-consumers', detail }] : [],
    figures: { ...clients },
  };
}

function judgeRedis({ redis, redisStanding }: HealthFacts): Finding {
  const { reason = null, since, figures } = redisStanding ?? {};
  const known = since === undefined ? {} : { since: toRfc3339(since) };
  const detail = `Redis is of no use; trading goes on without it${reason === null ? '' : `: ${reason}`}`;
  return {
    complaints: redis === 'down' ? [{ status: 'warn', code: 'redis-down', detail, ...known }] : [],
    figures: { configured: redis !== 'absent', state: redis, reason, ...figures },
    ...known,
  };
}

function judgeEventLoop(facts: HealthFacts): Finding {
  const { eventLoop } = facts;
  const complaints: Complaint[] = [];
  const stallMs = stallOf(facts);
  if (stallMs >= deadLoopMs) {
    const detail = `the event loop stood still for ${(stallMs / 1_000).toFixed(1)} s`;
    complaints.push({ status: 'fail', code: 'event-loop-stalled', detail, shutsTrading: true });
  } else if (eventLoop.p99Ms > slowLoopMs) {
    const detail = `the event loop's p99 delay is above ${slowLoopMs} ms`;
    complaints.push({ status: 'warn', code: 'event-loop-slow', detail });
  }
  return { complaints, figures: { ...eventLoop } };
}

function judgeExecutionLatency({ executionLatency }: HealthFacts): Finding {
  const { count, p99Ms, budgetMs } = executionLatency;
  const detail = `the p99 of the trading path is above its budget of ${budgetMs} ms`;
  const isOver = count >= latencySamplesMin && p99Ms !== null && p99Ms > budgetMs;
  return {
    complaints: isOver ? [{ status: 'warn', code: 'execution-latency', detail }] : [],
    figures: { ...executionLatency },
  };
}

/** The supervisor, and the actors that no other component speaks for. */
function judgeActors(facts: HealthFacts): Finding {
  const elsewhere = ['runtime', 'order', 'desk', 'tws', 'gate', 'subscription'];
  const others = facts.actors.filter(({ machine }) => !elsewhere.includes(machine));
  const failed = others.filter(({ tags }) => tags.includes('failed'));
  const degraded = others.filter(({ tags }) => tags.includes('degraded'));
  const complaints: Complaint[] = [];
  const root = rowOf(facts, 'runtime');
  if (root?.tags.includes('failed') || root?.tags.includes('disabled')) {
    const isEscalated = root.tags.includes('failed');
    const parts = facts.actors.filter(({ id, tags }) => tags.includes('failed') && id !== root.id);
    const which = parts.length > 0 ? ` (${listOf(parts)})` : '';
    const help = isEscalated ? 'restart the process' : 'restart the process, then open trading';
    const detail = `a part that trading needs is gone for good${which}: ${help}`;
    const { since } = root;
    complaints.push({ status: 'fail', code: 'part-failed', detail, shutsTrading: true, sinceAtLeast: since });
  }
  for (const { id, since } of failed) {
    complaints.push({ status: 'warn', code: 'actor-failed', detail: `actor ${id} has failed`, since });
  }
  for (const { id, since } of degraded) {
    complaints.push({ status: 'warn', code: 'actor-degraded', detail: `actor ${id} is degraded`, since });
  }
  if (!root) {
    complaints.push({
      status: 'fail',
      code: 'runtime-absent',
      detail: 'the root actor is not running',
      shutsTrading: true,
    });
  }
  return {
    complaints,
    figures: {
      count: facts.actors.length,
      restarts: facts.actors.reduce((sum, { restarts }) => sum + restarts, 0),
    },
  };
}

const stallOf = ({ eventLoop }: HealthFacts): number => Math.max(eventLoop.lastTurnAgeMs, eventLoop.stallMs);

/** The broker takes orders from this session. */
function isTradable(facts: HealthFacts): boolean {
  const tags = rowOf(facts, 'tws')?.tags ?? [];
  return tags.includes('tradable') && !tags.includes('failed');
}

/** The supervisor says so, and the lists are those of this session: an earlier one proves nothing about it. */
function isReadOnly(facts: HealthFacts): boolean {
  return rowOf(facts, 'runtime')?.tags.includes('readOnly') ?? false;
}

function isReconciled(facts: HealthFacts): boolean {
  const { sessionId } = facts.reconciliation;
  return (
    (rowOf(facts, 'runtime')?.tags.includes('reconciled') ?? false) &&
    sessionId !== null &&
    sessionId === facts.tws.sessionId
  );
}

function isDraining(facts: HealthFacts): boolean {
  return facts.draining || (rowOf(facts, 'runtime')?.tags.includes('draining') ?? false);
}

function isMissingOrDead(row: ActorRow | undefined): boolean {
  return row === undefined || row.tags.includes('failed');
}

function rowOf({ actors }: HealthFacts, machine: string): ActorRow | undefined {
  return actors.find((row) => row.machine === machine);
}

function countOf(rows: readonly ActorRow[], noun: string): string {
  return rows.length === 1 ? `1 ${noun} is` : `${rows.length} ${noun}s are`;
}

/** The first few, by the name of the order or the line: a report must stay readable. */
function listOf(rows: readonly ActorRow[]): string {
  return named(rows.map(({ id }) => id.replace(/^.*?\.(?:order|line):/, '')));
}

function named(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ');
  return names.length > 5 ? `${shown}, and ${names.length - 5} more` : shown;
}

function oldest(rows: readonly ActorRow[]): string {
  return rows.map(({ since }) => since).reduce((a, b) => (a < b ? a : b));
}

/** Undefined: it was first seen now. */
function beginningOf(complaint: Complaint, previous: HealthReport | undefined): string | undefined {
  if (complaint.since !== undefined) return complaint.since;
  const known = previous?.reasons.filter(({ code }) => code === complaint.code) ?? [];
  return [...known.map(({ since }) => since), complaint.sinceAtLeast]
    .filter((at) => at !== undefined)
    .sort()[0];
}

function earliest(reasons: readonly HealthReason[]): string | undefined {
  return reasons.map(({ since }) => since).sort()[0];
}

function worst(statuses: readonly HealthStatus[]): HealthStatus {
  if (statuses.includes('fail')) return 'fail';
  return statuses.includes('warn') ? 'warn' : 'pass';
}

function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : toRfc3339(ms);
}

function toRfc3339(ms: number): string {
  return new Date(ms).toISOString();
}
