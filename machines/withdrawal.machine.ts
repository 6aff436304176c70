/**
 * Orders that must go, whoever demanded it (the kill switch, a lease that nobody renewed), asked for again and again
 * until they have closed. A demand outlives a lost session and a restart.
 */
import { assign, enqueueActions, setup } from 'xstate';

/** A client's promise to be alive: its open orders are cancelled when it stops renewing. */
export interface Lease {
  /** the client's own name; empty for everybody without one */
  readonly client: string;
  readonly cancelAfterMs: number;
  /** ms since the epoch */
  readonly expiresAt: number;
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
}

export type WithdrawalEvent =
  | { readonly type: 'withdrawal.restored'; readonly standing: WithdrawalStanding; readonly at: number }
  | {
      readonly type: 'withdrawal.demand';
      readonly clientOrderIds: readonly string[];
      readonly why: string;
      readonly at: number;
    }
  | { readonly type: 'withdrawal.orderClosed'; readonly clientOrderId: string }
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
  | {
      readonly type: 'order.cancel';
      readonly requestId: string;
      readonly clientOrderId: string;
      readonly at: number;
    };

interface WithdrawalContext extends WithdrawalStanding {
  readonly at: number;
  readonly attempts: number;
}

type Of<T extends WithdrawalEvent['type']> = Extract<WithdrawalEvent, { type: T }>;
const timerOf = (client: string): string => `lease:${client}`;
const requestPrefix = 'withdrawal.';
/** The order that one of our own cancel requests was about; null for requests of others. */
export const withdrawnOrderId = (requestId: string): string | null =>
  requestId.startsWith(requestPrefix) ? requestId.slice(requestPrefix.length) : null;

export const withdrawalsMax = 10_000;

export const withdrawalMachine = setup({
  types: {
    context: {} as WithdrawalContext,
    events: {} as WithdrawalEvent,
    tags: {} as 'withdrawing',
  },
  guards: {
    isNothingOwed: ({ context }) => context.owed.length === 0,
    isAnythingOwed: ({ context }) => context.owed.length > 0,
    isCurrentExpiry: ({ context, event }) =>
      event.type === 'lease.expired' &&
      context.leases.some(
        ({ client, expiresAt }) => client === event.client && expiresAt === event.expiresAt,
      ),
  },
  actions: {
    restore: enqueueActions(({ event, enqueue }) => {
      const { standing, at } = event as Of<'withdrawal.restored'>;
      enqueue.assign({ leases: standing.leases, owed: standing.owed, at });
      for (const { client, expiresAt } of standing.leases) {
        const left = Math.max(0, expiresAt - at);
        enqueue.raise({ type: 'lease.expired', client, expiresAt }, { delay: left, id: timerOf(client) });
      }
    }),
    demand: enqueueActions(({ context, event, enqueue }) => {
      const { clientOrderIds, why, at } = event as Of<'withdrawal.demand'>;
      const known = new Set(context.owed.map(({ clientOrderId }) => clientOrderId));
      const more = clientOrderIds
        .filter((clientOrderId) => !known.has(clientOrderId))
        .map((clientOrderId): Withdrawal => ({ clientOrderId, why, since: at }));
      const standing = { leases: context.leases, owed: [...context.owed, ...more].slice(-withdrawalsMax) };
      enqueue.assign({ ...standing, at });
      enqueue.sendParent({ type: 'withdrawal.changed', standing, at } satisfies WithdrawalReport);
    }),
    settle: enqueueActions(({ context, event, enqueue }) => {
      const { clientOrderId } = event as Of<'withdrawal.orderClosed'>;
      if (!context.owed.some((each) => each.clientOrderId === clientOrderId)) return;
      const standing = {
        leases: context.leases,
        owed: context.owed.filter((each) => each.clientOrderId !== clientOrderId),
      };
      enqueue.assign(standing);
      enqueue.sendParent({ type: 'withdrawal.changed', standing, at: context.at } satisfies WithdrawalReport);
    }),
    renew: enqueueActions(({ context, event, enqueue }) => {
      const { client, cancelAfterMs, at } = event as Of<'lease.renew'>;
      const expiresAt = at + cancelAfterMs;
      const others = context.leases.filter((lease) => lease.client !== client);
      const standing = { leases: [...others, { client, cancelAfterMs, expiresAt }], owed: context.owed };
      enqueue.assign({ ...standing, at });
      enqueue.cancel(timerOf(client));
      enqueue.raise(
        { type: 'lease.expired', client, expiresAt },
        { delay: cancelAfterMs, id: timerOf(client) },
      );
      enqueue.sendParent({ type: 'withdrawal.changed', standing, at } satisfies WithdrawalReport);
    }),
    release: enqueueActions(({ context, event, enqueue }) => {
      const { client, at } = event as Of<'lease.release'>;
      const standing = {
        leases: context.leases.filter((lease) => lease.client !== client),
        owed: context.owed,
      };
      enqueue.cancel(timerOf(client));
      enqueue.assign({ ...standing, at });
      enqueue.sendParent({ type: 'withdrawal.changed', standing, at } satisfies WithdrawalReport);
    }),
    lapse: enqueueActions(({ context, event, enqueue }) => {
      const { client, expiresAt } = event as Of<'lease.expired'>;
      const standing = {
        leases: context.leases.filter((lease) => lease.client !== client),
        owed: context.owed,
      };
      enqueue.assign({ ...standing, at: expiresAt });
      // First what has to go, then that the lease is gone: a crash in between must not lose the demand.
      enqueue.sendParent({ type: 'lease.lapsed', client, at: expiresAt } satisfies WithdrawalReport);
      enqueue.sendParent({ type: 'withdrawal.changed', standing, at: expiresAt } satisfies WithdrawalReport);
    }),
    cancelOwed: enqueueActions(({ context, enqueue }) => {
      enqueue.assign({ attempts: context.attempts + 1 });
      for (const { clientOrderId } of context.owed) {
        const requestId = `${requestPrefix}${clientOrderId}`;
        enqueue.sendParent({
          type: 'order.cancel',
          requestId,
          clientOrderId,
          at: context.at,
        } satisfies WithdrawalReport);
      }
    }),
    rest: assign({ attempts: 0 }),
  },
  delays: {
    /** 1 s, doubling up to half a minute: a cancel may be unanswered for hours and must not use up the pacing */
    nextAttempt: ({ context }) => Math.min(30_000, 1_000 * 2 ** Math.max(0, context.attempts - 1)),
  },
}).createMachine({
  id: 'withdrawal',
  description: 'orders that must go, asked for until they have closed',
  context: { leases: [], owed: [], at: 0, attempts: 0 },
  initial: 'resting',
  on: {
    'withdrawal.restored': { actions: 'restore' },
    'withdrawal.demand': { target: '.withdrawing', actions: 'demand', reenter: true },
    'withdrawal.orderClosed': { actions: 'settle' },
    'lease.renew': { actions: 'renew' },
    'lease.release': { actions: 'release' },
    'lease.expired': { guard: 'isCurrentExpiry', actions: 'lapse' },
  },
  states: {
    resting: {
      description: 'nothing is owed, or it cannot be asked for now',
      entry: 'rest',
      on: { 'withdrawal.retry': { guard: 'isAnythingOwed', target: 'withdrawing' } },
    },
    withdrawing: {
      description: 'cancels are out',
      tags: 'withdrawing',
      entry: 'cancelOwed',
      always: { guard: 'isNothingOwed', target: 'resting' },
      after: { nextAttempt: { target: 'withdrawing', reenter: true } },
      on: { 'withdrawal.retry': { target: 'withdrawing', reenter: true } },
    },
  },
});
