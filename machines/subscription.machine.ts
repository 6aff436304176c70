/**
 * One market-data line: from the request to the first tick, through silence and refusal, over every loss of the link.
 * Ticks do not pass through here; the line says when they start, stop and come back.
 */
import { assertEvent, assign, fromCallback, sendParent, sendTo, setup } from 'xstate';
import type { LineFeed } from './feed.ts';
import type { Contract } from './instrument.ts';
import type { DataKind, LineCommand, LineFact, LineStanding, MarketLinkFact } from './market.ts';
import type { Reason } from './order.ts';

/** Which line to open, and where its messages belong. */
export interface LineInput {
  readonly key: string;
  readonly contract: Contract;
  /** what it carries; quotes when left out */
  readonly feed?: LineFeed;
}

/** How long a subscription waits, in ms. */
export interface SubscriptionPatience {
  /** for the first tick of a new request */
  readonly requestMs: number;
  /** before a stale line is asked for again; doubles with every time that it did not help */
  readonly rerequestMs: number;
  readonly longestRerequestMs: number;
  /** for a sign of life or a measured silence after the link came back */
  readonly checkMs: number;
  /** at least, before a refusal is questioned */
  readonly retryMs: number;
  /** live for so long means that the last remedy worked */
  readonly settleMs: number;
}

const defaultPatience: SubscriptionPatience = {
  requestMs: 15_000,
  rerequestMs: 5_000,
  longestRerequestMs: 600_000,
  checkMs: 600_000,
  retryMs: 5_000,
  settleMs: 60_000,
};

export interface SubscriptionInput extends LineInput {
  readonly patience?: Partial<SubscriptionPatience>;
}

interface SubscriptionContext extends LineInput {
  readonly feed: LineFeed;
  readonly patience: SubscriptionPatience;
  /** what we know of the link that would carry the data */
  readonly link: 'whole' | 'severed' | 'down';
  readonly kind: DataKind;
  /** why it is not live */
  readonly reason: Reason | null;
  /** information of TWS that ended nothing */
  readonly note: Reason | null;
  /** of the last refusal; null: final for this session */
  readonly retryAfterMs: number | null;
  /** requests made in vain since the line was last live for a while */
  readonly remedies: number;
  /** facts that no state expected */
  readonly surprises: number;
}

export type SubscriptionEvent = LineFact | MarketLinkFact;

/** What a subscription tells its supervisor on entering a state. */
export interface SubscriptionReport {
  readonly type: 'subscription.changed';
  readonly key: string;
  readonly standing: LineStanding;
  readonly reason: Reason | null;
  readonly retryAfterMs: number | null;
}

const reasons = {
  disconnected: { code: 'not-connected', message: 'no session with TWS' },
  severed: { code: 'severed', message: 'TWS lost its link to IB' },
  unanswered: { code: 'no-answer', message: 'the request brought no data in time' },
  silent: { code: 'silent', message: 'no tick for longer than this feed ever paused' },
  unconfirmed: { code: 'unconfirmed', message: 'the feed may have stopped; waiting for a tick or a silence' },
} as const satisfies Record<string, Reason>;

const describe = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, 200);

export const subscriptionMachine = setup({
  types: {
    context: {} as SubscriptionContext,
    events: {} as SubscriptionEvent,
    input: {} as SubscriptionInput,
    tags: {} as LineStanding,
  },
  actors: {
    /** Opens one line, writes its ticks to the quote of `key`, closes it when stopped. */
    line: fromCallback<LineCommand, LineInput>(() => {
      throw new Error('port "line" was not provided');
    }),
  },
  guards: {
    isDataLost: ({ event }) => event.type === 'tws.restored' && event.dataLost,
    isFarmUsable: ({ event }) => event.type === 'tws.farmChanged' && event.farm.status !== 'broken',
    isSevered: ({ context }) => context.link === 'severed',
    isDown: ({ context }) => context.link === 'down',
    isUp: ({ context }) => context.link !== 'down',
    mayRetry: ({ context }) => context.retryAfterMs !== null,
    /** the session ended under the line: nothing was refused */
    isSessionEnd: ({ event }) => event.type === 'line.ended' && event.reason.code === 'not-connected',
  },
  delays: {
    /** history is slower than a tick */
    firstTick: ({ context: { patience, feed } }) => patience.requestMs * (feed.channel === 'bars' ? 4 : 1),
    rerequestPause: ({ context }) =>
      Math.min(
        context.patience.longestRerequestMs,
        context.patience.rerequestMs * 2 ** Math.min(context.remedies, 20),
      ),
    signOfLife: ({ context }) => context.patience.checkMs,
    retryPause: ({ context }) => Math.max(context.patience.retryMs, context.retryAfterMs ?? 0),
    settling: ({ context }) => context.patience.settleMs,
  },
  actions: {
    noteLink: assign((_, params: { readonly link: SubscriptionContext['link'] }) => ({ link: params.link })),
    noteReason: assign((_, params: { readonly reason: Reason | null }) => ({ reason: params.reason })),
    recordRefusal: assign(({ event }) => {
      assertEvent(event, 'line.ended');
      return { reason: event.reason, retryAfterMs: event.retryAfterMs };
    }),
    /** a fault of our own is worth another try */
    recordFault: assign(({ context }, params: { readonly error: unknown }) => ({
      reason: { code: 'line-failed', message: describe(params.error) },
      retryAfterMs: context.patience.retryMs,
    })),
    recordKind: assign(({ event }) => {
      assertEvent(event, 'line.kindChanged');
      return { kind: event.kind };
    }),
    recordNote: assign(({ event }) => {
      assertEvent(event, 'line.noted');
      return { note: event.note };
    }),
    countRemedy: assign(({ context }) => ({ remedies: context.remedies + 1 })),
    forgetRemedies: assign({ remedies: 0 }),
    noteSurprise: assign(({ context }) => ({ surprises: context.surprises + 1 })),
    doubtLine: sendTo('line', { type: 'line.doubt' }),
    checkLine: sendTo('line', { type: 'line.check' }),
    report: sendParent(
      ({ context }, params: { readonly standing: LineStanding }): SubscriptionReport => ({
        type: 'subscription.changed',
        key: context.key,
        standing: params.standing,
        reason: context.reason,
        retryAfterMs: params.standing === 'refused' ? context.retryAfterMs : null,
      }),
    ),
  },
}).createMachine({
  id: 'subscription',
  description: 'one market-data line, over silence, refusal and every loss of the link',
  context: ({ input }) => ({
    key: input.key,
    contract: input.contract,
    feed: input.feed ?? { channel: 'quotes' },
    patience: { ...defaultPatience, ...input.patience },
    link: 'whole',
    kind: 'live',
    reason: null,
    note: null,
    retryAfterMs: null,
    remedies: 0,
    surprises: 0,
  }),
  initial: 'open',
  on: {
    'line.noted': { actions: 'recordNote' },
    'line.*': { actions: 'noteSurprise' },
  },
  states: {
    open: {
      description: 'a request stands; entering it anew closes the old line and opens another',
      invoke: {
        id: 'line',
        src: 'line',
        input: ({ context: { key, contract, feed } }) => ({ key, contract, feed }),
        onError: {
          target: 'refused',
          actions: { type: 'recordFault', params: ({ event }) => ({ error: event.error }) },
        },
      },
      on: {
        'line.kindChanged': { actions: 'recordKind' },
        'line.missed': { target: 'open', reenter: true },
        'line.ended': [
          { guard: 'isSessionEnd', target: 'offline' },
          { target: 'refused', actions: 'recordRefusal' },
        ],
        'tws.ready': {
          target: 'open',
          reenter: true,
          actions: ['forgetRemedies', { type: 'noteLink', params: { link: 'whole' } }],
        },
        'tws.lost': { target: 'offline', actions: { type: 'noteLink', params: { link: 'down' } } },
        'tws.severed': { target: '.suspended', actions: { type: 'noteLink', params: { link: 'severed' } } },
        'tws.restored': [
          {
            guard: 'isDataLost',
            target: 'open',
            reenter: true,
            actions: ['forgetRemedies', { type: 'noteLink', params: { link: 'whole' } }],
          },
          { actions: { type: 'noteLink', params: { link: 'whole' } } },
        ],
        'tws.farmChanged': [
          { guard: 'isFarmUsable', actions: 'forgetRemedies' },
          { guard: 'isSevered' },
          { target: '.checking' },
        ],
      },
      initial: 'requesting',
      states: {
        requesting: {
          description: 'asked for; no tick yet',
          tags: 'requesting',
          entry: { type: 'report', params: { standing: 'requesting' } },
          on: { 'line.started': { target: 'live' } },
          after: {
            firstTick: [
              { guard: 'isSevered', target: 'suspended' },
              { target: 'stale', actions: { type: 'noteReason', params: { reason: reasons.unanswered } } },
            ],
          },
        },

        live: {
          description: 'ticks flow',
          tags: 'live',
          entry: [
            { type: 'noteReason', params: { reason: null } },
            { type: 'report', params: { standing: 'live' } },
          ],
          on: {
            'line.silenced': [
              { guard: 'isSevered', target: 'suspended' },
              { target: 'stale', actions: { type: 'noteReason', params: { reason: reasons.silent } } },
            ],
          },
          after: { settling: { actions: 'forgetRemedies' } },
        },

        checking: {
          description:
            'the link came back or a farm spoke up: a tick clears it, a measured silence condemns it',
          tags: 'stale',
          entry: [
            'checkLine',
            { type: 'noteReason', params: { reason: reasons.unconfirmed } },
            { type: 'report', params: { standing: 'stale' } },
          ],
          on: {
            'line.started': { target: 'live' },
            'line.revived': { target: 'live' },
            'line.silenced': {
              target: 'stale',
              actions: { type: 'noteReason', params: { reason: reasons.silent } },
            },
            'tws.farmChanged': [
              { guard: 'isFarmUsable', target: 'checking', reenter: true, actions: 'forgetRemedies' },
              {},
            ],
          },
          after: { signOfLife: { target: 'stale' } },
        },

        stale: {
          description: 'data should flow and does not: asked for again, with growing pauses',
          tags: 'stale',
          entry: ['doubtLine', { type: 'report', params: { standing: 'stale' } }],
          on: {
            'line.started': { target: 'live' },
            'line.revived': { target: 'live' },
            'tws.farmChanged': [{ guard: 'isFarmUsable', target: 'checking', actions: 'forgetRemedies' }, {}],
          },
          after: { rerequestPause: { target: '#subscription.open', reenter: true, actions: 'countRemedy' } },
        },

        suspended: {
          description: 'TWS lost its link to IB: nothing to ask for until that is back',
          tags: 'stale',
          entry: [
            'doubtLine',
            { type: 'noteReason', params: { reason: reasons.severed } },
            { type: 'report', params: { standing: 'stale' } },
          ],
          on: {
            'line.started': { target: 'live' },
            'line.revived': { target: 'live' },
            'tws.severed': {},
            'tws.restored': [
              {
                guard: 'isDataLost',
                target: '#subscription.open',
                reenter: true,
                actions: ['forgetRemedies', { type: 'noteLink', params: { link: 'whole' } }],
              },
              {
                target: 'checking',
                actions: ['forgetRemedies', { type: 'noteLink', params: { link: 'whole' } }],
              },
            ],
          },
        },
      },
    },

    offline: {
      description: 'no session: the next one opens the line',
      tags: 'stale',
      entry: [
        { type: 'noteReason', params: { reason: reasons.disconnected } },
        { type: 'report', params: { standing: 'stale' } },
      ],
      on: {
        'tws.ready': {
          target: 'open',
          actions: ['forgetRemedies', { type: 'noteLink', params: { link: 'whole' } }],
        },
        'tws.lost': { actions: { type: 'noteLink', params: { link: 'down' } } },
        'tws.severed': { actions: { type: 'noteLink', params: { link: 'severed' } } },
        'tws.restored': { actions: { type: 'noteLink', params: { link: 'whole' } } },
      },
      after: { retryPause: { guard: 'isUp', target: 'open' } },
    },

    refused: {
      description:
        'TWS said no. What may pass is asked again after its pause, whatever the link does meanwhile',
      tags: 'refused',
      entry: { type: 'report', params: { standing: 'refused' } },
      on: {
        'tws.ready': [
          { guard: 'mayRetry', actions: { type: 'noteLink', params: { link: 'whole' } } },
          { target: 'open', actions: { type: 'noteLink', params: { link: 'whole' } } },
        ],
        'tws.lost': { actions: { type: 'noteLink', params: { link: 'down' } } },
        'tws.severed': { actions: { type: 'noteLink', params: { link: 'severed' } } },
        'tws.restored': { actions: { type: 'noteLink', params: { link: 'whole' } } },
      },
      after: {
        retryPause: [
          { guard: 'isDown', target: 'offline' },
          { guard: 'mayRetry', target: 'open' },
        ],
      },
    },
  },
});
