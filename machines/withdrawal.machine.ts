/**
 * Orders that must go, whoever demanded it (the kill switch, a lease that nobody renewed), asked for again and again
 * until they have closed. A demand outlives a lost session and a restart.
 */
import { assign, enqueueActions, setup } from 'xstate';
import type { DeskAnswer } from './desk.ts';
import { isCalledMissing } from './order-words.ts';

/** A client's promise to be alive: its open orders are cancelled when it stops renewing. */
export interface Lease {
  /** the client's own name; empty for everybody without one */
  readonly client: string;
  readonly cancelAfterMs: number;
  /** ms since the epoch */
  readonly expiresAt: number;
  /** since when it has been renewed in time, ms; absent: from a journal that does not say */
  readonly since?: number;
}

/** One order that must go. */
export interface Withdrawal {
  readonly clientOrderId: string;
  /** `kill` or `lease-lapsed` */
  readonly why: string;
  /** when it was demanded, ms */
  readonly since: number;
}

export interface WithdrawalStanding {
  readonly leases: readonly Lease[];
  readonly owed: readonly Withdrawal[];
  /** since when all orders of the account must go, those of others too, ms; absent: they need not, or it was asked for */
  readonly everythingSince?: number | undefined;
}

export type WithdrawalEvent =
  | { readonly type: 'withdrawal.restored'; readonly standing: WithdrawalStanding; readonly at: number }
  | {
      readonly type: 'withdrawal.demand';
      readonly clientOrderIds: readonly string[];
      readonly why: string;
      readonly at: number;
    }
  /** the open orders of a client whose lease has run out: from now on they are owed, and the lease is gone */
  | {
      readonly type: 'withdrawal.lapsed';
      readonly client: string;
      readonly clientOrderIds: readonly string[];
      readonly at: number;
    }
  /** nobody could be asked to cancel everything: the next session is */
  | { readonly type: 'withdrawal.demandAll'; readonly at: number }
  | { readonly type: 'withdrawal.orderClosed'; readonly clientOrderId: string }
  /** the desk's answer to one of our own cancels */
  | { readonly type: 'withdrawal.answered'; readonly clientOrderId: string; readonly answer: DeskAnswer }
  | {
      readonly type: 'lease.renew';
      readonly client: string;
      readonly cancelAfterMs: number;
      readonly at: number;
    }
  | { readonly type: 'lease.release'; readonly client: string; readonly at: number }
  | { readonly type: 'lease.expired'; readonly client: string; readonly expiresAt: number }
  /** a session stands again: ask at once */
  | { readonly type: 'withdrawal.retry' };

export type WithdrawalReport =
  | { readonly type: 'lease.lapsed'; readonly client: string; readonly at: number }
  | { readonly type: 'withdrawal.changed'; readonly standing: WithdrawalStanding; readonly at: number }
  | { readonly type: 'tws.cancelAll' }
  | {
      readonly type: 'order.cancel';
      readonly requestId: string;
      readonly clientOrderId: string;
      readonly at: number;
    };

interface WithdrawalContext extends WithdrawalStanding {
  readonly at: number;
  readonly attempts: number;
  /** those owed that the broker's lists lack, as their orders said at the last attempt */
  readonly missing: readonly string[];
}

const standingOf = ({ leases, owed, everythingSince }: WithdrawalStanding): WithdrawalStanding => ({
  leases,
  owed,
  ...(everythingSince === undefined ? {} : { everythingSince }),
});

type Of<T extends WithdrawalEvent['type']> = Extract<WithdrawalEvent, { type: T }>;
const timerOf = (client: string): string => `lease:${client}`;
const requestPrefix = 'withdrawal.';
/** The order that one of our own cancel requests was about; null for requests of others. */
export const withdrawnOrderId = (requestId: string): string | null =>
  requestId.startsWith(requestPrefix) ? requestId.slice(requestPrefix.length) : null;

const withdrawalsMax = 10_000;
/** Clients that may have a lease: every change of one makes the whole table durable. */
export const leasesMax = 100;
/** The broker does not find what its lists lack: every so many attempts are enough to ask for it, minutes apart. */
const attemptsPerMissing = 10;

const leaseOf = (leases: readonly Lease[], client: string): Lease | undefined =>
  leases.find((lease) => lease.client === client);

/** Whether one more client may have a lease, or this one has it already. */
export const isRoomFor = ({ leases }: WithdrawalStanding, client: string): boolean =>
  leases.length < leasesMax || leaseOf(leases, client) !== undefined;

/** Which life of its client a lease is; null: it has none. One that was lost and taken anew is another. */
export const lifeOf = ({ leases }: Pick<WithdrawalStanding, 'leases'>, client: string): number | null => {
  const lease = leaseOf(leases, client);
  return lease ? (lease.since ?? 0) : null;
};

/** Whether a lease on these terms is what stands, but for its time: nothing of it has to be made durable. */
export const isRenewal = (
  { leases }: WithdrawalStanding,
  { client, cancelAfterMs }: Pick<Lease, 'client' | 'cancelAfterMs'>,
): boolean => leaseOf(leases, client)?.cancelAfterMs === cancelAfterMs;

/** What was owed, with these; the same list when they are in it. */
function owedWith(
  { owed }: WithdrawalStanding,
  { clientOrderIds, why, at }: Pick<Of<'withdrawal.demand'>, 'clientOrderIds' | 'why' | 'at'>,
): readonly Withdrawal[] {
  const known = new Set(owed.map(({ clientOrderId }) => clientOrderId));
  const more = clientOrderIds
    .filter((clientOrderId) => !known.has(clientOrderId))
    .map((clientOrderId): Withdrawal => ({ clientOrderId, why, since: at }));
  return more.length === 0 ? owed : [...owed, ...more].slice(-withdrawalsMax);
}

/** Answers after which nothing can be done about an order from here. */
const finalAnswers: ReadonlySet<DeskAnswer['outcome']> = new Set(['closed', 'unknown', 'notOurs']);

export const withdrawalMachine = setup({
  types: {
    context: {} as WithdrawalContext,
    events: {} as WithdrawalEvent,
    tags: {} as 'withdrawing',
  },
  guards: {
    isNothingOwed: ({ context }) => context.owed.length === 0,
    isAnythingOwed: ({ context }) => context.owed.length > 0,
    isRoomFor: ({ context, event }) => isRoomFor(context, (event as Of<'lease.renew'>).client),
    isLeased: ({ context, event }) =>
      leaseOf(context.leases, (event as Of<'lease.release'>).client) !== undefined,
    isOver: ({ event }) => finalAnswers.has((event as Of<'withdrawal.answered'>).answer.outcome),
    isCurrentExpiry: ({ context, event }) =>
      event.type === 'lease.expired' &&
      context.leases.some(
        ({ client, expiresAt }) => client === event.client && expiresAt === event.expiresAt,
      ),
  },
  actions: {
    /** When a lease was renewed last nobody wrote down: each runs anew, so that whoever lives has time to renew it. */
    restore: enqueueActions(({ event, enqueue }) => {
      const { standing, at } = event as Of<'withdrawal.restored'>;
      const leases = standing.leases.map((lease) => ({ ...lease, expiresAt: at + lease.cancelAfterMs }));
      enqueue.assign({ ...standingOf(standing), leases, at });
      for (const { client, cancelAfterMs: delay, expiresAt } of leases)
        enqueue.raise({ type: 'lease.expired', client, expiresAt }, { delay, id: timerOf(client) });
    }),
    demand: enqueueActions(({ context, event, enqueue }) => {
      const { at } = event as Of<'withdrawal.demand'>;
      const owed = owedWith(context, event as Of<'withdrawal.demand'>);
      if (owed === context.owed) return;
      const standing = standingOf({ ...context, owed });
      enqueue.assign({ ...standing, at });
      enqueue.sendParent({ type: 'withdrawal.changed', standing, at } satisfies WithdrawalReport);
    }),
    settle: enqueueActions(({ context, event, enqueue }) => {
      const { clientOrderId } = event as Of<'withdrawal.orderClosed' | 'withdrawal.answered'>;
      if (!context.owed.some((each) => each.clientOrderId === clientOrderId)) return;
      const owed = context.owed.filter((each) => each.clientOrderId !== clientOrderId);
      const standing = standingOf({ ...context, owed });
      enqueue.assign({ ...standing, missing: context.missing.filter((id) => id !== clientOrderId) });
      enqueue.sendParent({ type: 'withdrawal.changed', standing, at: context.at } satisfies WithdrawalReport);
    }),
    renew: enqueueActions(({ context, event, enqueue }) => {
      const { client, cancelAfterMs, at } = event as Of<'lease.renew'>;
      const expiresAt = at + cancelAfterMs;
      const others = context.leases.filter((lease) => lease.client !== client);
      const since = leaseOf(context.leases, client)?.since ?? at;
      const leases = [...others, { client, cancelAfterMs, expiresAt, since }];
      const standing = standingOf({ ...context, leases });
      enqueue.assign({ ...standing, at });
      enqueue.cancel(timerOf(client));
      enqueue.raise(
        { type: 'lease.expired', client, expiresAt },
        { delay: cancelAfterMs, id: timerOf(client) },
      );
      if (isRenewal(context, { client, cancelAfterMs })) return;
      enqueue.sendParent({ type: 'withdrawal.changed', standing, at } satisfies WithdrawalReport);
    }),
    release: enqueueActions(({ context, event, enqueue }) => {
      const { client, at } = event as Of<'lease.release'>;
      const leases = context.leases.filter((lease) => lease.client !== client);
      const standing = standingOf({ ...context, leases });
      enqueue.cancel(timerOf(client));
      enqueue.assign({ ...standing, at });
      enqueue.sendParent({ type: 'withdrawal.changed', standing, at } satisfies WithdrawalReport);
    }),
    tellLapse: enqueueActions(({ event, enqueue }) => {
      const { client, expiresAt } = event as Of<'lease.expired'>;
      enqueue.sendParent({ type: 'lease.lapsed', client, at: expiresAt } satisfies WithdrawalReport);
    }),
    /** In one record: a crash between the end of the lease and the demand would leave the orders to nobody. */
    lapse: enqueueActions(({ context, event, enqueue }) => {
      const { client, clientOrderIds, at } = event as Of<'withdrawal.lapsed'>;
      const leases = context.leases.filter((lease) => lease.client !== client || lease.expiresAt > at);
      const owed = owedWith(context, { clientOrderIds, why: 'lease-lapsed', at });
      const standing = standingOf({ ...context, leases, owed });
      enqueue.assign({ ...standing, at });
      enqueue.sendParent({ type: 'withdrawal.changed', standing, at } satisfies WithdrawalReport);
    }),
    cancelOwed: enqueueActions(({ context, enqueue }) => {
      const isTheirTurn = context.attempts % attemptsPerMissing === 0;
      enqueue.assign({ attempts: context.attempts + 1 });
      for (const { clientOrderId } of context.owed) {
        if (!isTheirTurn && context.missing.includes(clientOrderId)) continue;
        const requestId = `${requestPrefix}${clientOrderId}`;
        enqueue.sendParent({
          type: 'order.cancel',
          requestId,
          clientOrderId,
          at: context.at,
        } satisfies WithdrawalReport);
      }
    }),
    noteMissing: assign(({ context, event }) => {
      const { clientOrderId, answer } = event as Of<'withdrawal.answered'>;
      const others = context.missing.filter((id) => id !== clientOrderId);
      return { missing: answer.orders.some(isCalledMissing) ? [...others, clientOrderId] : others };
    }),
    demandAll: enqueueActions(({ context, event, enqueue }) => {
      const { at } = event as Of<'withdrawal.demandAll'>;
      const standing = standingOf({ ...context, everythingSince: context.everythingSince ?? at });
      enqueue.assign({ ...standing, at });
      enqueue.sendParent({ type: 'withdrawal.changed', standing, at } satisfies WithdrawalReport);
    }),
    /** Once: what others place after it is not meant. */
    cancelEverything: enqueueActions(({ context, enqueue }) => {
      if (context.everythingSince === undefined) return;
      const { everythingSince: _, ...rest } = standingOf(context);
      enqueue.assign({ everythingSince: undefined });
      enqueue.sendParent({ type: 'tws.cancelAll' } satisfies WithdrawalReport);
      const changed: WithdrawalReport = { type: 'withdrawal.changed', standing: rest, at: context.at };
      enqueue.sendParent(changed);
    }),
    rest: assign({ attempts: 0, missing: [] }),
    forgetMissing: assign({ missing: [] }),
  },
  delays: {
    /** 1 s, doubling up to half a minute: a cancel may be unanswered for hours and must not use up the pacing */
    nextAttempt: ({ context }) => Math.min(30_000, 1_000 * 2 ** Math.max(0, context.attempts - 1)),
  },
}).createMachine({
  id: 'withdrawal',
  description: 'orders that must go, asked for until they have closed',
  context: { leases: [], owed: [], at: 0, attempts: 0, missing: [] },
  initial: 'resting',
  on: {
    'withdrawal.restored': { actions: 'restore' },
    'withdrawal.demand': { target: '.withdrawing', actions: 'demand', reenter: true },
    'withdrawal.lapsed': { target: '.withdrawing', actions: 'lapse', reenter: true },
    'withdrawal.demandAll': { actions: 'demandAll' },
    'withdrawal.orderClosed': { actions: 'settle' },
    'withdrawal.answered': [{ guard: 'isOver', actions: 'settle' }, { actions: 'noteMissing' }],
    'lease.renew': { guard: 'isRoomFor', actions: 'renew' },
    'lease.release': { guard: 'isLeased', actions: 'release' },
    'lease.expired': { guard: 'isCurrentExpiry', actions: 'tellLapse' },
  },
  states: {
    resting: {
      description: 'nothing is owed, or it cannot be asked for now',
      entry: 'rest',
      on: {
        'withdrawal.retry': [
          { guard: 'isAnythingOwed', target: 'withdrawing', actions: 'cancelEverything' },
          { actions: 'cancelEverything' },
        ],
      },
    },
    withdrawing: {
      description: 'cancels are out',
      tags: 'withdrawing',
      entry: 'cancelOwed',
      always: { guard: 'isNothingOwed', target: 'resting' },
      after: { nextAttempt: { target: 'withdrawing', reenter: true } },
      on: {
        'withdrawal.retry': {
          target: 'withdrawing',
          reenter: true,
          actions: ['forgetMissing', 'cancelEverything'],
        },
      },
    },
  },
});
