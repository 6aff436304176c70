/**
 * Asks the broker for its own lists and says when they are complete. Each list has its own deadline and its own
 * verdict; a failed one never reads as empty, and what a complete one lacks counts as absent only when the next one
 * lacks it too. The books are weighed together; the account stands beside them: trading never waits for its figures.
 */
import { assign, enqueueActions, fromPromise, setup } from 'xstate';
import { openStatuses } from './evidence.ts';
import type { AccountValue, BrokerFact, BrokerOrderIds, Snapshot } from './tws.ts';

/** The lists that are weighed together, and that trading waits for. */
export const bookKinds = ['openOrders', 'executions', 'completedOrders', 'positions'] as const;
export type BookKind = (typeof bookKinds)[number];
export const listKinds = [...bookKinds, 'account'] as const;
export type ListKind = (typeof listKinds)[number];
export type BrokerRow = BrokerFact | AccountValue;

/** A day of the broker's, ms since the epoch. Of executions TWS lists those of the current one only. */
export interface BrokerDay {
  readonly from: number;
  readonly to: number;
}

/** One list, and when it was asked for (ms). */
export interface AskedList {
  readonly since: number;
  readonly snapshot: Snapshot<BrokerRow>;
  /** the day whose executions are listed; null or absent: not known */
  readonly day?: BrokerDay | null;
}

/** Open orders of two complete lists in a row, the first asked for at `since`. */
export interface OrderEvidence {
  readonly since: number;
  /** in at least one of the two: an order counts as absent only when neither holds it */
  readonly present: readonly BrokerOrderIds[];
  /** in both, with a status of an order that may still fill: it is open, whatever was heard of its end */
  readonly lasting: readonly BrokerOrderIds[];
  /** the beginning of the day whose executions and ends were listed, ms; null: not known */
  readonly coversFrom: number | null;
}

export interface ListVerdict {
  readonly list: ListKind;
  readonly outcome: 'complete' | 'failed' | 'asking';
  readonly rows: number;
  /** since it was last complete, that answer included */
  readonly attempts: number;
  readonly reason: string | null;
  /** ms since the epoch; null while nothing came */
  readonly at: number | null;
  /** when it was asked for, ms since the epoch; null before its first answer */
  readonly since: number | null;
}

export interface Reconciliation {
  readonly sessionId: string;
  /** when the earliest of its lists was asked for, ms */
  readonly since: number;
  readonly at: number;
  /** of the books */
  readonly lists: readonly ListVerdict[];
  /** every one of them came whole: what is not in them is not at the broker */
  readonly conclusive: boolean;
  /** null after the first list: nothing can be missing from one list */
  readonly evidence: OrderEvidence | null;
  readonly positions: readonly Extract<BrokerFact, { type: 'broker.positionSeen' }>[];
  /** when the positions were asked for, and when their list was complete, ms */
  readonly positionsSince: number;
  readonly positionsAt: number;
  /** when the executions were asked for, ms, and the day that they are of */
  readonly executionsSince: number;
  readonly day: BrokerDay | null;
}

export type ReconciliationEvent =
  | { readonly type: 'reconciliation.start'; readonly sessionId: string; readonly at: number }
  | { readonly type: 'reconciliation.stop' }
  /** somebody doubts: ask again soon */
  | { readonly type: 'evidence.wanted'; readonly why: string };

export type ReconciliationReport =
  | { readonly type: 'reconciliation.concluded'; readonly reconciliation: Reconciliation }
  | {
      readonly type: 'reconciliation.faltered';
      readonly list: ListKind;
      readonly reason: string;
      readonly at: number;
    };

interface ReconciliationContext {
  readonly sessionId: string | null;
  readonly lists: Readonly<Record<ListKind, ListVerdict>>;
  readonly rows: Readonly<Record<BookKind, readonly BrokerRow[]>>;
  readonly since: number;
  readonly at: number;
  readonly day: BrokerDay | null;
  /** how many more times the lists are wanted, soon */
  readonly wanted: number;
  /** open orders of the last complete list, of whichever session */
  readonly former: {
    readonly since: number;
    readonly ids: readonly BrokerOrderIds[];
    readonly open: readonly BrokerOrderIds[];
  } | null;
}

/** Lists asked for at the beginning of a session and after every doubt: two, so that absence can be told from a gap. */
const roundsPerDoubt = 2;

const blank = (list: ListKind): ListVerdict => ({
  list,
  outcome: 'asking',
  rows: 0,
  attempts: 0,
  reason: null,
  at: null,
  since: null,
});
const nothingYet = {
  lists: {
    openOrders: blank('openOrders'),
    executions: blank('executions'),
    completedOrders: blank('completedOrders'),
    positions: blank('positions'),
    account: blank('account'),
  },
  rows: { openOrders: [], executions: [], completedOrders: [], positions: [] },
  since: 0,
  at: 0,
  day: null,
};

type Done = { readonly output: AskedList };

const attemptsAfter = ({ outcome, attempts }: ListVerdict): number =>
  outcome === 'complete' ? 1 : attempts + 1;

/** 500 ms and more, doubled with each failure. */
const backoffMs = (attempts: number, mostMs: number): number =>
  Math.min(mostMs, 500 * 2 ** Math.max(0, attempts - 1));

const region = (list: BookKind) =>
  ({
    description: 'one of the lists, with a verdict of its own',
    initial: 'asking',
    states: {
      asking: {
        description: 'the broker is asked, within a deadline',
        invoke: {
          src: 'askBroker',
          input: { list },
          onDone: [
            {
              guard: { type: 'isComplete' },
              target: 'complete',
              actions: { type: 'keepList', params: { list } },
            },
            { target: 'failed', actions: { type: 'noteFailure', params: { list } } },
          ],
          onError: { target: 'failed', actions: { type: 'noteBreakdown', params: { list } } },
        },
      },
      failed: {
        description: 'no whole answer; asked again after a pause',
        // Nothing that decides about money hangs on the list of completed orders: the others can conclude without it.
        always: { guard: { type: 'canDoWithout', params: { list } }, target: 'complete' },
        after: { nextAttempt: 'asking' },
      },
      complete: { description: 'it came whole', type: 'final' },
    },
  }) as const;

export const reconciliationMachine = setup({
  types: {
    context: {} as ReconciliationContext,
    events: {} as ReconciliationEvent,
    tags: {} as 'reconciled' | 'reconciling',
  },
  actors: {
    askBroker: fromPromise<AskedList, { list: ListKind }>(() => {
      throw new Error('port "askBroker" was not provided');
    }),
  },
  guards: {
    isComplete: ({ event }) => (event as unknown as Done).output.snapshot.outcome === 'complete',
    canDoWithout: ({ context }, { list }: { list: ListKind }) =>
      list === 'completedOrders' && context.lists.completedOrders.attempts >= 2,
    isWantedAgain: ({ context }) => context.wanted > 0,
    /** orders were listed already, and what is missing is another list */
    isHeldUp: ({ context: { lists } }) =>
      lists.openOrders.outcome === 'complete' &&
      bookKinds.some((kind) => kind !== 'completedOrders' && lists[kind].outcome === 'failed'),
  },
  actions: {
    begin: assign(({ event }) => {
      const { sessionId, at } = event as Extract<ReconciliationEvent, { type: 'reconciliation.start' }>;
      return { ...nothingYet, sessionId, at, wanted: roundsPerDoubt - 1 };
    }),
    beginAgain: assign(({ context }) => ({
      ...nothingYet,
      lists: { ...nothingYet.lists, account: context.lists.account },
      at: context.at,
      wanted: Math.max(0, context.wanted - 1),
    })),
    keepList: assign(({ context, event }, { list }: { list: BookKind }) => {
      const { since, snapshot, day } = (event as unknown as Done).output;
      if (snapshot.outcome !== 'complete') return {};
      const verdict = completed(context.lists[list], snapshot, since);
      return {
        ...(day && (context.day === null || day.from > context.day.from) ? { day } : {}),
        lists: { ...context.lists, [list]: verdict },
        rows: { ...context.rows, [list]: snapshot.rows },
        since: context.since === 0 ? since : Math.min(context.since, since),
        at: Math.max(context.at, snapshot.at),
      };
    }),
    keepAccount: assign(({ context, event }) => {
      const { since, snapshot } = (event as unknown as Done).output;
      if (snapshot.outcome !== 'complete') return {};
      return { lists: { ...context.lists, account: completed(context.lists.account, snapshot, since) } };
    }),
    noteFailure: enqueueActions(({ context, event, enqueue }, { list }: { list: ListKind }) => {
      const { since, snapshot } = (event as unknown as Done).output;
      const reason = snapshot.outcome === 'failed' ? snapshot.reason : 'unknown';
      const attempts = attemptsAfter(context.lists[list]);
      const verdict: ListVerdict = {
        ...context.lists[list],
        outcome: 'failed',
        attempts,
        reason,
        at: snapshot.at,
        since,
      };
      enqueue.assign({ lists: { ...context.lists, [list]: verdict } });
      // It may stay away for days: told once, health goes on saying it.
      if (attempts > 1) return;
      enqueue.sendParent({
        type: 'reconciliation.faltered',
        list,
        reason,
        at: snapshot.at,
      } satisfies ReconciliationReport);
    }),
    noteBreakdown: assign(({ context, event }, { list }: { list: ListKind }) => {
      const error = (event as unknown as { error: unknown }).error;
      const reason = error instanceof Error ? error.message : String(error);
      const former = context.lists[list];
      return {
        lists: {
          ...context.lists,
          [list]: { ...former, outcome: 'failed', attempts: attemptsAfter(former), reason },
        },
      };
    }),
    conclude: enqueueActions(({ context, enqueue }) => {
      const lists = bookKinds.map((kind) => context.lists[kind]);
      const { openOrders, positions, executions } = context.lists;
      const since = openOrders.since ?? context.since;
      const ids = context.rows.openOrders.flatMap((row) =>
        isFact(row) && row.type === 'broker.orderSeen' ? [row.ids] : [],
      );
      const open = context.rows.openOrders.flatMap((row) =>
        isFact(row) && row.type === 'broker.orderSeen' && openStatuses.has(row.status) ? [row.ids] : [],
      );
      const { former } = context;
      const reconciliation: Reconciliation = {
        sessionId: context.sessionId ?? '',
        since: context.since,
        at: context.at,
        lists,
        conclusive: lists.every(({ outcome }) => outcome === 'complete'),
        evidence: former && {
          since: former.since,
          present: [...former.ids, ...ids],
          lasting: open.filter((now) => former.open.some((before) => isSame(before, now))),
          coversFrom: context.day?.from ?? null,
        },
        positions: context.rows.positions.flatMap((row) =>
          isFact(row) && row.type === 'broker.positionSeen' ? [row] : [],
        ),
        positionsSince: positions.since ?? context.since,
        positionsAt: positions.at ?? context.at,
        executionsSince: executions.since ?? context.since,
        day: context.day,
      };
      enqueue.assign({ former: { since, ids, open } });
      // Something went since the last list: only the next one can say that it is gone.
      if (
        former &&
        context.wanted === 0 &&
        !former.ids.every((before) => ids.some((now) => isSame(before, now)))
      )
        enqueue.assign({ wanted: 1 });
      enqueue.sendParent({ type: 'reconciliation.concluded', reconciliation } satisfies ReconciliationReport);
    }),
    wantAgain: assign({ wanted: roundsPerDoubt }),
    forgetSession: assign({ ...nothingYet, sessionId: null, wanted: 0 }),
  },
  delays: {
    /** short, as somebody may doubt meanwhile */
    nextAttempt: ({ context }) =>
      backoffMs(Math.max(...bookKinds.map((kind) => context.lists[kind].attempts)), 2_000),
    nextAccountAttempt: ({ context }) => backoffMs(context.lists.account.attempts, 60_000),
    /** doubts that come together are answered together */
    pause: 500,
    /** lists of a quiet book are compared this often */
    routine: 30_000,
  },
}).createMachine({
  id: 'reconciliation',
  description: "asks for the broker's own lists and says when they are complete",
  context: { ...nothingYet, sessionId: null, wanted: 0, former: null },
  type: 'parallel',
  on: {
    'reconciliation.start': {
      target: ['.books.gathering', '.account.asking'],
      actions: 'begin',
      reenter: true,
    },
    'reconciliation.stop': { target: ['.books.idle', '.account.idle'], actions: 'forgetSession' },
  },
  states: {
    books: {
      description: 'orders, executions and positions: trading waits for them',
      initial: 'idle',
      states: {
        idle: { description: 'no session' },
        gathering: {
          description: 'each list has its own deadline and verdict',
          tags: 'reconciling',
          type: 'parallel',
          states: {
            openOrders: region('openOrders'),
            executions: region('executions'),
            completedOrders: region('completedOrders'),
            positions: region('positions'),
          },
          on: {
            'evidence.wanted': [
              {
                guard: 'isHeldUp',
                target: '#reconciliation.books.gathering',
                reenter: true,
                actions: ['beginAgain', 'wantAgain'],
              },
              { actions: 'wantAgain' },
            ],
          },
          onDone: { target: 'settled', actions: 'conclude' },
        },
        settled: {
          description: 'lists were weighed; the next round comes by itself',
          tags: 'reconciled',
          initial: 'quiet',
          states: {
            quiet: {
              description: 'nobody doubts; compared again by routine',
              always: { guard: 'isWantedAgain', target: 'pausing' },
              after: { routine: { target: '#reconciliation.books.gathering', actions: 'beginAgain' } },
              on: { 'evidence.wanted': { target: 'pausing', actions: 'wantAgain' } },
            },
            pausing: {
              description: 'somebody doubts: doubts that come together are answered together',
              after: { pause: { target: '#reconciliation.books.gathering', actions: 'beginAgain' } },
              on: { 'evidence.wanted': { actions: 'wantAgain' } },
            },
          },
        },
      },
    },
    account: {
      description: 'cash and net liquidation: nothing waits for them',
      initial: 'idle',
      states: {
        idle: { description: 'no session' },
        asking: {
          description: 'the broker is asked, within a deadline',
          invoke: {
            src: 'askBroker',
            input: { list: 'account' },
            onDone: [
              { guard: 'isComplete', target: 'complete', actions: 'keepAccount' },
              { target: 'failed', actions: { type: 'noteFailure', params: { list: 'account' } } },
            ],
            onError: {
              target: 'failed',
              actions: { type: 'noteBreakdown', params: { list: 'account' } },
            },
          },
        },
        failed: {
          description: 'no whole answer; asked again after a pause',
          after: { nextAccountAttempt: 'asking' },
        },
        complete: { description: 'it came whole; asked again by routine', after: { routine: 'asking' } },
      },
    },
  },
});

const isFact = (row: BrokerRow): row is BrokerFact => 'type' in row;

const completed = (
  former: ListVerdict,
  { rows, at }: Extract<Snapshot<BrokerRow>, { outcome: 'complete' }>,
  since: number,
): ListVerdict => ({
  list: former.list,
  outcome: 'complete',
  rows: rows.length,
  attempts: attemptsAfter(former),
  reason: null,
  at,
  since,
});

const isSame = (a: BrokerOrderIds, b: BrokerOrderIds): boolean =>
  a.permId !== '0' || b.permId !== '0'
    ? a.permId === b.permId
    : a.clientId === b.clientId && a.orderId === b.orderId;
