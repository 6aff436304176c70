/**
 * The supervisor of all market-data lines: counts their readers, keeps them below TWS's limit, and passes on what the
 * connection says. One subscription actor per line; a dead one is replaced a few times, then given up.
 */
import type { ActorRefFrom } from 'xstate';
import { assertEvent, assign, enqueueActions, setup } from 'xstate';
import { type LineChannel, lineChannels } from './feed.ts';
import type { LineRow, MarketCommand, MarketLinkFact } from './market.ts';
import { farmServes } from './market.ts';
import type { SubscriptionPatience, SubscriptionReport } from './subscription.machine.ts';
import { subscriptionMachine } from './subscription.machine.ts';

export type LineLimits = Readonly<Record<LineChannel, number>>;

const usualLimits: LineLimits = { quotes: 95, depth: 3, trades: 5, bars: 45 };

export interface MarketInput {
  /**
   * Lines of each kind open at once. TWS's own limits for most accounts are 100 for quotes, 3 for depth, 5 for trades and 50 for
   * bars. Default 95, 3, 5 and 45
   */
  readonly lineLimits?: Partial<LineLimits>;
  /** lines known at once, waiting ones included. Default 1,000 */
  readonly rowLimit?: number;
  /** how long a line stays open without a reader. Default 5,000 */
  readonly lingerMs?: number;
  readonly patience?: Partial<SubscriptionPatience>;
  /** the session that stands already, for a machine that replaces another */
  readonly sessionId?: string | null;
}

export interface MarketContext {
  readonly lineLimits: LineLimits;
  readonly rowLimit: number;
  readonly lingerMs: number;
  readonly patience: Partial<SubscriptionPatience>;
  readonly sessionId: string | null;
  /** in the order in which they were asked for, which is the order of the queue */
  readonly rows: readonly LineRow[];
  /** instruments turned away because the list was full */
  readonly turnedAway: number;
}

export type MarketEvent =
  | MarketCommand
  | MarketLinkFact
  | SubscriptionReport
  | { readonly type: 'market.lingered'; readonly key: string };

/** How often an actor that died is started again. */
const crashLimit = 3;

const actorIdOf = (key: string) => `line:${key}` as const;
const lingerIdOf = (key: string): string => `linger:${key}`;

/** A line that TWS counts, or will count again without being asked. */
const isOccupying = (row: LineRow): boolean =>
  row.standing !== 'waiting' && !(row.standing === 'refused' && row.retryAfterMs === null);
const isWaiting = (row: LineRow): boolean => row.standing === 'waiting';
const hasActor = (row: LineRow): boolean => !isWaiting(row) && row.crashes <= crashLimit;
const isOf =
  (channel: LineChannel) =>
  (row: LineRow): boolean =>
    row.feed.channel === channel;
const isIdle = (row: LineRow): boolean => row.readers === 0;

export const rowOf = (rows: readonly LineRow[], key: string): LineRow | undefined =>
  rows.find((row) => row.key === key);

function orphanOf(subscription: ActorRefFrom<typeof subscriptionMachine> | undefined) {
  return subscription?.getSnapshot().children?.line;
}

const changed = (rows: readonly LineRow[], key: string, change: Partial<LineRow>): readonly LineRow[] =>
  rows.map((row) => (row.key === key ? { ...row, ...change } : row));

export const marketMachine = setup({
  types: {
    context: {} as MarketContext,
    events: {} as MarketEvent,
    input: {} as MarketInput,
    tags: {} as 'admitting',
    children: {} as { [id: `line:${string}`]: 'subscription' },
  },
  actors: { subscription: subscriptionMachine },
  guards: {
    isKnown: ({ context, event }) => 'key' in event && rowOf(context.rows, event.key) !== undefined,
    isFull: ({ context }) => context.rows.length >= context.rowLimit,
    hasSession: ({ context }) => context.sessionId !== null,
    isSameSession: ({ context, event }) =>
      event.type === 'tws.ready' && event.sessionId === context.sessionId,
    /** somebody waits, and a line of that kind is free or can be freed */
    canAdmit: ({ context }) => {
      const waiting = context.rows.filter(isWaiting);
      return lineChannels.some((channel) => {
        if (!waiting.some(isOf(channel))) return false;
        const rows = context.rows.filter(isOf(channel));
        const occupied = rows.filter(isOccupying);
        return occupied.length < context.lineLimits[channel] || occupied.some(isIdle);
      });
    },
  },
  actions: {
    noteSession: assign(({ event }) => {
      assertEvent(event, 'tws.ready');
      return { sessionId: event.sessionId };
    }),
    forgetSession: assign({ sessionId: null }),
    addRow: assign(({ context, event }) => {
      assertEvent(event, 'market.acquire');
      const row: LineRow = {
        key: event.key,
        contract: event.contract,
        feed: event.feed ?? { channel: 'quotes' },
        readers: 1,
        standing: 'waiting',
        reason: null,
        retryAfterMs: null,
        crashes: 0,
      };
      return { rows: [...context.rows, row] };
    }),
    turnAway: assign(({ context }) => ({ turnedAway: context.turnedAway + 1 })),
    countReader: enqueueActions(({ context, event, enqueue }) => {
      assertEvent(event, 'market.acquire');
      const readers = (rowOf(context.rows, event.key)?.readers ?? 0) + 1;
      enqueue.cancel(lingerIdOf(event.key));
      enqueue.assign({ rows: changed(context.rows, event.key, { readers }) });
    }),
    /** The last reader gone, the line lingers; one that TWS refused for a while lingers until it may be asked again. */
    discountReader: enqueueActions(({ context, event, enqueue }) => {
      assertEvent(event, 'market.release');
      const row = rowOf(context.rows, event.key);
      if (!row || row.readers === 0) return;
      const readers = row.readers - 1;
      if (readers === 0 && isWaiting(row)) {
        enqueue.assign({ rows: context.rows.filter((other) => other.key !== row.key) });
        return;
      }
      enqueue.assign({ rows: changed(context.rows, event.key, { readers }) });
      if (readers > 0) return;
      enqueue.raise(
        { type: 'market.lingered', key: event.key },
        { id: lingerIdOf(event.key), delay: Math.max(context.lingerMs, row.retryAfterMs ?? 0) },
      );
    }),
    closeLine: enqueueActions(({ context, event, enqueue }) => {
      assertEvent(event, 'market.lingered');
      if (rowOf(context.rows, event.key)?.readers !== 0) return;
      enqueue.stopChild(actorIdOf(event.key));
      enqueue.assign({ rows: context.rows.filter((row) => row.key !== event.key) });
    }),
    /** First come, first served; a line that only lingers gives way. */
    admitWaiting: enqueueActions(({ context, enqueue }) => {
      const leaving = new Set<string>();
      const entering = new Set<string>();
      for (const channel of lineChannels) {
        const rows = context.rows.filter(isOf(channel));
        const occupied = rows.filter(isOccupying);
        const waiting = rows.filter(isWaiting);
        const free = context.lineLimits[channel] - occupied.length;
        const making = occupied.filter(isIdle).slice(0, Math.max(0, waiting.length - free));
        for (const { key } of making) leaving.add(key);
        for (const { key } of waiting.slice(0, Math.max(0, free + making.length))) entering.add(key);
      }
      for (const key of leaving) {
        enqueue.cancel(lingerIdOf(key));
        enqueue.stopChild(actorIdOf(key));
      }
      const rows: LineRow[] = [];
      for (const row of context.rows) {
        if (leaving.has(row.key)) continue;
        if (!entering.has(row.key)) {
          rows.push(row);
          continue;
        }
        rows.push({ ...row, standing: 'requesting' });
        const { key, contract, feed } = row;
        enqueue.spawnChild('subscription', {
          id: actorIdOf(key),
          input: { key, contract, feed, patience: context.patience },
        });
      }
      enqueue.assign({ rows });
    }),
    passOn: enqueueActions(({ context, event, enqueue }) => {
      assertEvent(event, ['tws.ready', 'tws.lost', 'tws.severed', 'tws.restored']);
      for (const row of context.rows) {
        if (hasActor(row)) enqueue.sendTo(actorIdOf(row.key), event);
      }
    }),
    passToConcerned: enqueueActions(({ context, event, enqueue }) => {
      assertEvent(event, 'tws.farmChanged');
      for (const row of context.rows) {
        if (hasActor(row) && farmServes(event.farm, row.contract, row.feed)) {
          enqueue.sendTo(actorIdOf(row.key), event);
        }
      }
    }),
    recordStanding: assign(({ context, event }) => {
      assertEvent(event, 'subscription.changed');
      const row = rowOf(context.rows, event.key);
      if (!row || !hasActor(row)) return {};
      const { key, standing, reason, retryAfterMs } = event;
      return { rows: changed(context.rows, key, { standing, reason, retryAfterMs }) };
    }),
    /** A dead actor goes back to the queue and is started again from there; one that keeps dying does not. */
    buryLine: enqueueActions(({ context, event, self, enqueue }) => {
      const actorId = 'actorId' in event && typeof event.actorId === 'string' ? event.actorId : '';
      // A crashed actor leaves its children running, and only their parent could stop them.
      const orphan = orphanOf(self.getSnapshot().children[actorId]);
      if (orphan) enqueue.sendTo(orphan, { type: 'line.close' });
      const row = context.rows.find(({ key }) => actorIdOf(key) === actorId);
      enqueue.stopChild(actorId);
      if (!row) return;
      const crashes = row.crashes + 1;
      const reason = { code: 'line-failed', message: `the subscription died ${crashes} times` };
      enqueue.assign({
        rows: changed(context.rows, row.key, {
          crashes,
          reason,
          retryAfterMs: null,
          standing: crashes > crashLimit ? 'refused' : 'waiting',
        }),
      });
    }),
  },
}).createMachine({
  id: 'market',
  description: 'all market-data lines, within the limit of TWS',
  context: ({ input }) => ({
    lineLimits: { ...usualLimits, ...input.lineLimits },
    rowLimit: input.rowLimit ?? 1000,
    lingerMs: input.lingerMs ?? 5000,
    patience: input.patience ?? {},
    sessionId: input.sessionId ?? null,
    rows: [],
    turnedAway: 0,
  }),
  initial: 'offline',
  on: {
    'market.acquire': [
      { guard: 'isKnown', actions: 'countReader' },
      { guard: 'isFull', actions: 'turnAway' },
      { actions: 'addRow' },
    ],
    'market.release': { actions: 'discountReader' },
    'market.lingered': { actions: 'closeLine' },
    'subscription.changed': { actions: 'recordStanding' },
    'tws.farmChanged': { actions: 'passToConcerned' },
    'xstate.error.actor.*': { actions: 'buryLine' },
  },
  states: {
    offline: {
      description: 'no session: lines wait',
      always: { guard: 'hasSession', target: 'online' },
      on: {
        'tws.ready': { target: 'online', actions: ['noteSession', 'passOn'] },
      },
    },
    online: {
      description: 'a session stands',
      on: {
        'tws.ready': [
          { guard: 'isSameSession' },
          { target: 'online', reenter: true, actions: ['noteSession', 'passOn'] },
        ],
        'tws.lost': { target: 'offline', actions: ['forgetSession', 'passOn'] },
      },
      initial: 'whole',
      states: {
        whole: {
          description: 'lines are opened as there is room',
          tags: 'admitting',
          always: { guard: 'canAdmit', actions: 'admitWaiting' },
          on: {
            'tws.severed': { target: 'severed', actions: 'passOn' },
            // TWS may tell the end of an outage whose beginning it never told.
            'tws.restored': { actions: 'passOn' },
          },
        },
        severed: {
          description: 'no link to IB: nothing is opened',
          on: { 'tws.restored': { target: 'whole', actions: 'passOn' } },
        },
      },
    },
  },
});
