/** The risk gate: reviews and reserves in one step, so that two orders cannot pass on the same room. Latched. */
import { assign, enqueueActions, setup } from 'xstate';
import { add, isZero, larger, subtract } from './decimal.ts';
import type { Denial } from './denial.ts';
import { isClosed } from './evidence.ts';
import { exposureOf, isExitOf, isSameExposure, positionKey, reversals } from './exposure.ts';
import {
  type GateBook,
  type GateLimits,
  type GateQuestion,
  isInSecond,
  reservationOf,
  review,
  togetherOf,
} from './gate.ts';
import type { PositionRow } from './ledger.ts';
import type { Order, Reason, Side } from './order.ts';
import { withNumber } from './sameness.ts';

export type TradingState = 'open' | 'reducing' | 'halted';
export interface LatchedReason extends Reason {
  /** RFC 3339 */
  readonly since: string;
}

export interface GateInput {
  readonly limits: GateLimits;
  readonly tradingMode: 'paper' | 'live' | 'off';
  readonly latched: { readonly state: TradingState; readonly reasons: readonly LatchedReason[] };
}

export type GateVerdict =
  | { readonly verdict: 'approved' }
  | { readonly verdict: 'denied'; readonly reasons: readonly Denial[] }
  /** nothing is judged: trading is shut */
  | { readonly verdict: 'unavailable'; readonly reason: Reason };

export type GateEvent =
  | {
      readonly type: 'gate.review';
      readonly requestId: string;
      readonly questions: readonly GateQuestion[];
      /** the clientOrderId whose terms are to change; null for new orders */
      readonly replaces: string | null;
      /** true: judge only, reserve nothing */
      readonly preview: boolean;
      readonly at: number;
    }
  | { readonly type: 'gate.orderNoted'; readonly order: Order }
  | { readonly type: 'gate.positionNoted'; readonly position: PositionRow }
  /** null: TWS does not tell it any more */
  | { readonly type: 'gate.pnlNoted'; readonly account: string; readonly daily: string | null }
  /** what the session told of the day's profit or loss is of that session */
  | { readonly type: 'gate.sessionLost' }
  | {
      readonly type: 'gate.uncertaintyNoted';
      readonly positions: readonly { readonly account: string; readonly instrument: string }[];
    }
  /** the broker closed a position by itself, to cover margin */
  | {
      readonly type: 'gate.liquidated';
      readonly account: string;
      readonly instrument: string;
      readonly side: Side;
      readonly at: number;
    }
  | { readonly type: 'gate.accountsNoted'; readonly accounts: readonly string[] }
  | { readonly type: 'gate.release'; readonly clientOrderIds: readonly string[] }
  | {
      readonly type: 'gate.open' | 'gate.reduce' | 'gate.halt';
      readonly reason: Reason;
      readonly at: number;
    };

export type GateReport =
  /** open orders that would now turn a position round */
  | { readonly type: 'gate.reversing'; readonly clientOrderIds: readonly string[]; readonly at: number }
  | {
      readonly type: 'gate.reviewed';
      readonly requestId: string;
      readonly verdict: GateVerdict;
      readonly at: number;
    }
  | {
      readonly type: 'trading.changed';
      readonly state: TradingState;
      readonly reasons: readonly LatchedReason[];
      readonly at: number;
    };

interface GateContext extends GateBook {
  readonly reasons: readonly LatchedReason[];
  readonly wakeAs: TradingState;
}

type Review = Extract<GateEvent, { type: 'gate.review' }>;
type Switch = Extract<GateEvent, { type: 'gate.open' | 'gate.reduce' | 'gate.halt' }>;

export const gateMachine = setup({
  types: {
    context: {} as GateContext,
    input: {} as GateInput,
    events: {} as GateEvent,
    tags: {} as 'permissive' | 'reducing' | 'halted',
  },
  guards: {
    wasHalted: ({ context }) => context.wakeAs === 'halted',
    wasReducing: ({ context }) => context.wakeAs === 'reducing',
  },
  actions: {
    judge: enqueueActions(({ context, event, enqueue }, params: { isReducing: boolean }) => {
      const { requestId, questions, replaces, preview, at } = event as Review;
      const numbers = questions.reduce(
        (known, { ticket, conId, alias }) =>
          [ticket.instrument, ...(alias ? [alias] : [])].reduce(
            (named, instrument) => (conId ? withNumber(named, { instrument, contract: { conId } }) : named),
            known,
          ),
        context.numbers,
      );
      enqueue.assign({ numbers });
      const book = { ...context, numbers };
      const reasons = review(book, questions, at, { isReducing: params.isReducing, replaces });
      const approved = reasons.length === 0;
      if (approved && !preview) {
        const together = togetherOf(questions);
        const reserved = questions.map((question) => {
          const { ticket } = question;
          const exposure = reservationOf(book, question, replaces, together);
          const beside = context.exposures[ticket.clientOrderId]?.beside ?? '0';
          const former = context.exposures[ticket.clientOrderId]?.remaining ?? '0';
          const newest = larger(exposure.remaining, subtract(former, beside));
          const both = { ...exposure, beside, remaining: add(newest, beside) };
          return [ticket.clientOrderId, both] as const;
        });
        enqueue.assign({
          exposures: { ...context.exposures, ...Object.fromEntries(reserved) },
          recent: [...context.recent.filter((time) => isInSecond(time, at)), ...questions.map(() => at)],
        });
      }
      enqueue.sendParent({
        type: 'gate.reviewed',
        requestId,
        verdict: approved ? { verdict: 'approved' } : { verdict: 'denied', reasons },
        at,
      } satisfies GateReport);
    }),
    refuseWhileHalted: enqueueActions(({ context, event, enqueue }) => {
      const { requestId, at } = event as Review;
      enqueue.sendParent({
        type: 'gate.reviewed',
        requestId,
        verdict: {
          verdict: 'unavailable',
          reason: {
            code: 'halted',
            message: context.reasons.map(({ message }) => message).join('; ') || 'trading is halted',
          },
        },
        at,
      } satisfies GateReport);
    }),
    followOrder: assign(({ context, event }) => {
      const { order } = event as Extract<GateEvent, { type: 'gate.orderNoted' }>;
      const told = exposureOf(order);
      // What it is to its parent was decided when it was judged.
      const known = context.exposures[order.clientOrderId];
      const isAlone = known ? known.parent === null : !isExitOf(context, told);
      const exposure = isAlone ? { ...told, parent: null } : told;
      const numbers = withNumber(context.numbers, order);
      if (!isClosed(order) && !isZero(exposure.remaining)) {
        // Most of what is told of an order changes nothing here, and a copy costs what all of them cost.
        if (known && isSameExposure(known, exposure)) return { numbers };
        return { numbers, exposures: { ...context.exposures, [order.clientOrderId]: exposure } };
      }
      if (!known) return { numbers };
      const { [order.clientOrderId]: _, ...exposures } = context.exposures;
      return { numbers, exposures };
    }),
    releaseExposure: assign(({ context, event }) => {
      const gone = new Set((event as Extract<GateEvent, { type: 'gate.release' }>).clientOrderIds);
      return {
        exposures: Object.fromEntries(Object.entries(context.exposures).filter(([id]) => !gone.has(id))),
      };
    }),
    followPosition: assign(({ context, event }) => {
      const { position } = event as Extract<GateEvent, { type: 'gate.positionNoted' }>;
      const key = positionKey(position.account, position.instrument);
      return {
        numbers: withNumber(context.numbers, position),
        positions: { ...context.positions, [key]: add(position.quantity, '0') },
      };
    }),
    followPnl: assign(({ context, event }) => {
      const { account, daily } = event as Extract<GateEvent, { type: 'gate.pnlNoted' }>;
      const { [account]: _, ...others } = context.dailyPnl;
      return { dailyPnl: daily === null ? others : { ...others, [account]: daily } };
    }),
    forgetPnl: assign({ dailyPnl: {} }),
    followUncertainty: assign(({ event }) => ({
      uncertain: (event as Extract<GateEvent, { type: 'gate.uncertaintyNoted' }>).positions.map(
        ({ account, instrument }) => positionKey(account, instrument),
      ),
    })),
    callReversals: enqueueActions(({ context, event, enqueue }) => {
      const { account, instrument, side, at } = event as Extract<GateEvent, { type: 'gate.liquidated' }>;
      const clientOrderIds = reversals(context, account, instrument, side);
      if (clientOrderIds.length === 0) return;
      enqueue.sendParent({ type: 'gate.reversing', clientOrderIds, at } satisfies GateReport);
    }),
    latchLiquidation: enqueueActions(({ event, enqueue }) => {
      const { account, instrument, at } = event as Extract<GateEvent, { type: 'gate.liquidated' }>;
      const reasons = [
        {
          code: 'liquidation',
          message: `the broker liquidated ${instrument} in ${account}: only reducing orders until a person opens trading again`,
          since: new Date(at).toISOString(),
        },
      ];
      enqueue.assign({ reasons });
      enqueue.sendParent({ type: 'trading.changed', state: 'reducing', reasons, at } satisfies GateReport);
    }),
    rememberAccounts: assign(({ event }) => ({
      accounts: (event as Extract<GateEvent, { type: 'gate.accountsNoted' }>).accounts,
    })),
    latch: enqueueActions(({ event, enqueue }, params: { state: TradingState }) => {
      const { reason, at } = event as Switch;
      const reasons = params.state === 'open' ? [] : [{ ...reason, since: new Date(at).toISOString() }];
      enqueue.assign({ reasons });
      enqueue.sendParent({ type: 'trading.changed', state: params.state, reasons, at } satisfies GateReport);
    }),
  },
}).createMachine({
  id: 'gate',
  description: 'reviews and reserves in one step; latched',
  context: ({ input }) => ({
    limits: input.limits,
    tradingMode: input.tradingMode,
    accounts: [],
    exposures: {},
    positions: {},
    recent: [],
    dailyPnl: {},
    uncertain: [],
    numbers: {},
    reasons: input.latched.reasons,
    wakeAs: input.latched.state,
  }),
  initial: 'waking',
  on: {
    'gate.orderNoted': { actions: 'followOrder' },
    'gate.release': { actions: 'releaseExposure' },
    'gate.positionNoted': { actions: 'followPosition' },
    'gate.pnlNoted': { actions: 'followPnl' },
    'gate.sessionLost': { actions: 'forgetPnl' },
    'gate.accountsNoted': { actions: 'rememberAccounts' },
    'gate.uncertaintyNoted': { actions: 'followUncertainty' },
    'gate.liquidated': { actions: 'callReversals' },
  },
  states: {
    waking: {
      description: 'goes on where it was latched; never stayed in',
      always: [
        { guard: 'wasHalted', target: 'halted' },
        { guard: 'wasReducing', target: 'reducing' },
        { target: 'open' },
      ],
    },
    open: {
      description: 'everything within the limits passes',
      tags: 'permissive',
      on: {
        'gate.review': { actions: { type: 'judge', params: { isReducing: false } } },
        'gate.reduce': { target: 'reducing', actions: { type: 'latch', params: { state: 'reducing' } } },
        'gate.halt': { target: 'halted', actions: { type: 'latch', params: { state: 'halted' } } },
        'gate.liquidated': { target: 'reducing', actions: ['callReversals', 'latchLiquidation'] },
        'gate.open': {},
      },
    },
    reducing: {
      description: 'only orders that shrink a position pass',
      tags: 'reducing',
      on: {
        'gate.review': { actions: { type: 'judge', params: { isReducing: true } } },
        'gate.open': { target: 'open', actions: { type: 'latch', params: { state: 'open' } } },
        'gate.halt': { target: 'halted', actions: { type: 'latch', params: { state: 'halted' } } },
        'gate.reduce': {},
      },
    },
    halted: {
      description: 'nothing passes until a person opens it',
      tags: 'halted',
      on: {
        'gate.review': { actions: 'refuseWhileHalted' },
        'gate.open': { target: 'open', actions: { type: 'latch', params: { state: 'open' } } },
        'gate.reduce': { target: 'reducing', actions: { type: 'latch', params: { state: 'reducing' } } },
        'gate.halt': {},
      },
    },
  },
});
