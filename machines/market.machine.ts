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
  /** lines of quotes that readers leave to trading, of `lineLimits`. Default 0 */
  readonly tradingLines?: number;
  /** lines known at once, waiting ones included; those of trading come on top. Default 1,000 */
  readonly rowLimit?: number;
  /** how long a line stays open without a reader. Default 5,000 */
  readonly lingerMs?: number;
  readonly patience?: Partial<SubscriptionPatience>;
  /** the session that stands already, for a machine that replaces another */
  readonly sessionId?: string | null;
}

export interface MarketContext {
  readonly lineLimits: LineLimits;
  readonly tradingLines: number;
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
const isTrading = (row: LineRow): boolean => row.traders > 0;

export const rowOf = (rows: readonly LineRow[], key: string): LineRow | undefined =>
  rows.find((row) => row.key === key);

function orphanOf(subscription: ActorRefFrom<typeof subscriptionMachine> | undefined) {
  return subscription?.getSnapshot().children?.line;
}

const changed = (rows: readonly LineRow[], key: string, change: Partial<LineRow>): readonly LineRow[] =>
  rows.map((row) => (row.key === key ? { ...row, ...change } : row));

interface Admission {
  readonly entering: ReadonlySet<string>;
  /** lingered only */
  readonly leaving: ReadonlySet<string>;
  /** have readers, and wait again */
  readonly displaced: ReadonlySet<string>;
}

/**
 * Who gets a line now. Trading first, then first come, first served; a line that only lingers gives way. Readers never hold more
 * than trading leaves them: a line that was theirs and trading's, and is theirs alone again, gives way as soon as it is needed.
 */
function admissionOf({ rows, lineLimits, tradingLines }: MarketContext): Admission {
  const entering: LineRow[] = [];
  const leaving: LineRow[] = [];
  const displaced: LineRow[] = [];
  for (const channel of lineChannels) {
    const waiting = rows.filter((row) => isWaiting(row) && isOf(channel)(row));
    if (waiting.length === 0) continue;
    const occupied = rows.filter((row) => isOccupying(row) && isOf(channel)(row));
    const idle = occupied.filter(isIdle);
    const read = occupied.filter((row) => !isIdle(row) && !isTrading(row));
    const limit = lineLimits[channel];
    const readable = Math.max(0, limit - (channel === 'quotes' ? tradingLines : 0));
    const surplus = read.slice(readable);
    let free = limit - occupied.length;
    let room = readable - read.length;
    for (const row of [...waiting.filter(isTrading), ...waiting.filter((each) => !isTrading(each))]) {
      if (!isTrading(row) && room <= 0) break;
      if (free > 0) {
        free -= 1;
      } else {
        const gone = idle.shift();
        const given = gone ?? (isTrading(row) ? surplus.pop() : undefined);
        if (!given) break;
        (gone ? leaving : displaced).push(given);
      }
      if (!isTrading(row)) room -= 1;
      entering.push(row);
    }
  }
  const keysOf = (some: readonly LineRow[]): ReadonlySet<string> => new Set(some.map(({ key }) => key));
  return { entering: keysOf(entering), leaving: keysOf(leaving), displaced: keysOf(displaced) };
}

export const marketMachine = setup({
  types: {
    context: {} as MarketContext,
    events: {} as MarketEvent,
    input: {} as MarketInput,
    tags: {} as 'admitting' | 'severed',
    children: {} as { [id: `line:${string}`]: 'subscription' },
  },
  actors: { subscription: subscriptionMachine },
  guards: {
    isKnown: ({ context, event }) => 'key' in event && rowOf(context.rows, event.key) !== undefined,
    /** each of both has a list of its own length: who only reads cannot turn trading away */
    isFull: ({ context, event }) => {
      const forTrading = 'forTrading' in event && event.forTrading === true;
      const alike = context.rows.filter((row) => isTrading(row) === forTrading);
      return alike.length >= context.rowLimit;
    },
    hasSession: ({ context }) => context.sessionId !== null,
    isSameSession: ({ context, event }) =>
      event.type === 'tws.ready' && event.sessionId === context.sessionId,
    /** somebody waits, and a line of that kind is free or can be freed */
    canAdmit: ({ context }) => context.rows.some(isWaiting) && admissionOf(context).entering.size > 0,
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
        traders: event.forTrading ? 1 : 0,
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
      const row = rowOf(context.rows, event.key);
      const readers = (row?.readers ?? 0) + 1;
      const traders = (row?.traders ?? 0) + (event.forTrading ? 1 : 0);
      enqueue.cancel(lingerIdOf(event.key));
      enqueue.assign({ rows: changed(context.rows, event.key, { readers, traders }) });
    }),
    /** The last reader gone, the line lingers; one that TWS refused for a while lingers until it may be asked again. */
    discountReader: enqueueActions(({ context, event, enqueue }) => {
      assertEvent(event, 'market.release');
      const row = rowOf(context.rows, event.key);
      if (!row || row.readers === 0) return;
      const readers = row.readers - 1;
      const traders = Math.min(readers, row.traders - (event.forTrading && isTrading(row) ? 1 : 0));
      if (readers === 0 && isWaiting(row)) {
        enqueue.assign({ rows: context.rows.filter((other) => other.key !== row.key) });
        return;
      }
      enqueue.assign({ rows: changed(context.rows, event.key, { readers, traders }) });
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
    admitWaiting: enqueueActions(({ context, enqueue }) => {
      const { entering, leaving, displaced } = admissionOf(context);
      for (const key of [...leaving, ...displaced]) {
        enqueue.cancel(lingerIdOf(key));
        enqueue.stopChild(actorIdOf(key));
      }
      const rows: LineRow[] = [];
      for (const row of context.rows) {
        if (leaving.has(row.key)) continue;
        if (displaced.has(row.key)) {
          rows.push({ ...row, standing: 'waiting', reason: null, retryAfterMs: null });
          continue;
        }
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
    tradingLines: input.tradingLines ?? 0,
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
          tags: 'severed',
          on: { 'tws.restored': { target: 'whole', actions: 'passOn' } },
        },
      },
    },
  },
});
