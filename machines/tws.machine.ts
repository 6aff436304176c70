/**
 * The connection to TWS or IB Gateway: one session actor per attempt, thrown away on any loss. It decides when a
 * session counts as ready, how long silence is borne, and when to try again. It never drops a fact.
 */
import {
  type AnyActorRef,
  assertEvent,
  assign,
  cancel,
  enqueueActions,
  fromCallback,
  raise,
  sendParent,
  sendTo,
  setup,
} from 'xstate';
import { noSession, type TwsContext } from './connection.ts';
import {
  asToldBefore,
  type BrokerFact,
  chanceOf,
  type DispatchFact,
  hasBrokenFarm,
  isResetTime,
  type LinkReport,
  type LossCause,
  nextRandom,
  retryDelayMs,
  type SessionEvent,
  type TwsCommand,
  withFarm,
  withheld,
} from './tws.ts';

/** Where and as whom to connect. `sessionId` names the attempt and is never used twice. */
export interface SessionInput {
  readonly host: string;
  readonly port: number;
  readonly clientId: number;
  readonly sessionId: string;
}

/** What a session is asked. A probe is answered with `session.probed`. */
export type SessionCommand = TwsCommand | { readonly type: 'session.probe' };
/** What a session says. */
export type SessionReport = SessionEvent | BrokerFact | DispatchFact;

export interface TwsInput {
  readonly host: string;
  readonly port: number;
  readonly clientId: number;
  /** whole number that feeds the jitter of retries and the names of sessions; different for every start */
  readonly seed: number;
  /** how long there may be no session before a person is called. Default 600,000: a restart of a gateway takes two minutes */
  readonly absencePatienceMs?: number;
}

export type TwsEvent =
  | { readonly type: 'tws.connect' }
  | { readonly type: 'tws.disconnect' }
  | TwsCommand
  | SessionReport
  | { readonly type: 'heartbeat.due' }
  | { readonly type: 'heartbeat.missed' }
  | { readonly type: 'absence.noticed' };

const undecodableLimit = 20;
const defaultAbsencePatienceMs = 600_000;

const waitsMs = {
  dial: 10_000,
  greeting: 5_000,
  sync: 10_000,
  heartbeat: 5_000,
  severedHeartbeat: 30_000,
} as const;

const reportOf = (report: LinkReport): LinkReport => report;

function parentOf(self: AnyActorRef): AnyActorRef {
  if (self._parent === undefined) throw new Error('the connection needs a parent to report to');
  return self._parent;
}

export const twsMachine = setup({
  types: {
    context: {} as TwsContext,
    events: {} as TwsEvent,
    input: {} as TwsInput,
    tags: {} as 'connected' | 'tradable' | 'degraded' | 'down' | 'maintenance',
    children: {} as { session: 'session' },
  },
  actors: {
    session: fromCallback<SessionCommand, SessionInput>(() => {
      throw new Error('port "session" was not provided');
    }),
  },
  delays: {
    dialDeadline: waitsMs.dial,
    greetingDeadline: waitsMs.greeting,
    syncDeadline: waitsMs.sync,
    heartbeatPause: waitsMs.heartbeat,
    /** a gateway cut off from IB may answer late, and hanging up on it would lose what it still delivers */
    heartbeatDeadline: ({ context }) =>
      context.severedSince === null ? waitsMs.heartbeat : waitsMs.severedHeartbeat,
    retryPause: ({ context }) => context.retryInMs,
    absencePatience: ({ context }) => context.absencePatienceMs,
  },
  guards: {
    isIntroduced: ({ context }) => context.accounts.length > 0 && context.orderId !== null,
    isSevered: ({ context }) => context.severedSince !== null,
    /** a new session tells of every farm anew */
    isFarmNews: ({ context, event }) =>
      event.type === 'farm.changed' && withFarm(context.farms, event.farm) !== context.farms,
    isImpaired: ({ context }) => hasBrokenFarm(context.farms),
    isWhole: ({ context }) => !hasBrokenFarm(context.farms),
    isTurnedAway: ({ context, event }) =>
      event.type === 'session.closed' && event.cause === 'closed' && context.serverVersion === null,
    isMissing: ({ context }) => context.readySince === null && context.absentSince === null,
    isUnsupported: ({ context }) => context.lastCause === 'versionUnsupported',
    /** a client id in use is no sign of a reset */
    isResetTime: ({ context }) => context.lastCause !== 'clientIdInUse' && isResetTime(context.at),
  },
  actions: {
    beginSession: assign(({ context }) => ({
      ...noSession,
      sessions: context.sessions + 1,
      sessionId: `${context.seed.toString(36)}-${context.sessions + 1}`,
    })),
    noteTime: assign(({ context, event }) =>
      'at' in event && typeof event.at === 'number' ? { at: Math.max(context.at, event.at) } : {},
    ),
    noteDown: assign(({ context }) => ({ downSince: context.downSince ?? context.at })),
    noteVersion: assign(({ event }) => {
      assertEvent(event, 'session.greeted');
      return { serverVersion: event.serverVersion };
    }),
    noteAccounts: assign(({ event }) => {
      assertEvent(event, 'session.accountsListed');
      return { accounts: event.accounts };
    }),
    noteOrderId: assign(({ context, event }) => {
      assertEvent(event, 'session.orderIdGranted');
      return { orderId: Math.max(context.orderId ?? 0, event.orderId) };
    }),
    reportOrderId: sendParent(({ event }): BrokerFact => {
      assertEvent(event, 'session.orderIdGranted');
      return { type: 'broker.orderIdGranted', at: event.at, orderId: event.orderId };
    }),
    noteRoundTrip: assign(({ context, event }) => {
      assertEvent(event, 'session.probed');
      return { rttMs: event.rttMs, answeredAt: context.at };
    }),
    noteSevered: assign(({ context }) => ({ severedSince: context.severedSince ?? context.at })),
    noteRestored: assign({ severedSince: null }),
    noteFarm: assign(({ context, event }) => {
      assertEvent(event, 'farm.changed');
      const farm = asToldBefore(context.farmsTold, event.farm);
      return {
        farms: withFarm(context.farms, farm),
        farmsTold: withFarm(context.farmsTold, farm),
      };
    }),
    reportFarm: sendParent(({ context, event }) => {
      assertEvent(event, 'farm.changed');
      const farm = asToldBefore(context.farmsTold, event.farm);
      const repeated = farm !== event.farm;
      return reportOf({ type: 'tws.farmChanged', farm, at: event.at, ...(repeated ? { repeated } : {}) });
    }),
    noteLimited: assign({ limited: true }),
    reportLimited: sendParent(({ event }) => {
      assertEvent(event, 'session.limited');
      return reportOf({
        type: 'tws.noted',
        code: 100,
        message: event.message,
        severity: 'warning',
        at: event.at,
      });
    }),
    reportNote: sendParent(({ event }) => {
      assertEvent(event, 'session.noted');
      return reportOf({ ...event, type: 'tws.noted' });
    }),
    noteUndecodable: assign(({ context, event }) => {
      assertEvent(event, 'session.undecodable');
      const { type: _, ...frame } = event;
      return {
        undecodable: [...context.undecodable, frame].slice(-undecodableLimit),
        undecodableCount: context.undecodableCount + (frame.count ?? 1),
      };
    }),
    reportUndecodable: sendParent(({ event }) => {
      assertEvent(event, 'session.undecodable');
      return reportOf({ ...event, type: 'tws.undecodable' });
    }),
    pass: sendParent(({ event }) => event),
    noteReady: assign(({ context }) => ({ readySince: context.at, downSince: null })),
    awaitSession: raise({ type: 'absence.noticed' }, { delay: 'absencePatience', id: 'absencePatience' }),
    stopAwaiting: cancel('absencePatience'),
    noteAbsence: assign(({ context }) => {
      const since = context.downSince ?? context.at;
      return { absentSince: since, at: Math.max(context.at, since + context.absencePatienceMs) };
    }),
    reportAbsence: sendParent(({ context }) =>
      reportOf({
        type: 'tws.absent',
        since: context.absentSince ?? context.at,
        cause: context.lastCause ?? 'closed',
        message: context.lastMessage,
        attempts: context.failures,
        at: context.at,
      }),
    ),
    endAbsence: enqueueActions(({ context, enqueue, self }) => {
      if (context.absentSince === null) return;
      enqueue.sendTo(
        parentOf(self),
        reportOf({ type: 'tws.returned', since: context.absentSince, at: context.at }),
      );
      enqueue.assign({ absentSince: null });
    }),
    reportReady: sendParent(({ context }) =>
      reportOf({
        type: 'tws.ready',
        sessionId: context.sessionId ?? '',
        accounts: context.accounts,
        serverVersion: context.serverVersion ?? 0,
        orderId: context.orderId ?? 0,
        at: context.at,
      }),
    ),
    reportSevered: sendParent(({ context }) =>
      reportOf({
        type: 'tws.severed',
        sessionId: context.sessionId ?? '',
        at: context.severedSince ?? context.at,
      }),
    ),
    reportRestored: sendParent(({ context, event }) => {
      assertEvent(event, 'link.restored');
      return reportOf({
        type: 'tws.restored',
        sessionId: context.sessionId ?? '',
        dataLost: event.dataLost,
        at: event.at,
      });
    }),
    noteLoss: assign(({ context }, loss: { readonly cause: LossCause; readonly message: string }) => ({
      lastCause: context.limited && loss.cause === 'closed' ? 'limited' : loss.cause,
      lastMessage: loss.message.slice(0, 500),
    })),
    /** deadlines carry no time of their own: the wait that ended is the least that passed */
    passTime: assign(({ context }, wait: { readonly ms: number }) => ({ at: context.at + wait.ms })),
    endSession: enqueueActions(({ context, enqueue, self }) => {
      if (context.readySince !== null) {
        enqueue.raise(
          { type: 'absence.noticed' },
          { delay: context.absencePatienceMs, id: 'absencePatience' },
        );
        enqueue.sendTo(
          parentOf(self),
          reportOf({
            type: 'tws.lost',
            sessionId: context.sessionId ?? '',
            cause: context.lastCause ?? 'closed',
            message: context.lastMessage,
            at: context.at,
          }),
        );
      }
      enqueue.assign({
        ...noSession,
        readySince: null,
        downSince: context.readySince === null ? context.downSince : context.at,
      });
    }),
    planRetry: assign(({ context }) => {
      const cause = context.lastCause ?? 'closed';
      const failures = context.failures + 1;
      const random = nextRandom(context.random);
      const calm = context.absentSince !== null || (cause !== 'clientIdInUse' && isResetTime(context.at));
      return { failures, random, retryInMs: retryDelayMs(cause, failures, chanceOf(random), calm) };
    }),
    forgetFailures: assign({ failures: 0 }),
    probe: sendTo('session', { type: 'session.probe' }),
    /** Since the last answer there was a pause, and then a wait in vain; what came meanwhile has a time of its own. */
    passHeartbeat: assign(({ context }) => {
      const waited = context.severedSince === null ? waitsMs.heartbeat : waitsMs.severedHeartbeat;
      return { at: Math.max(context.at, context.answeredAt + waitsMs.heartbeat + waited) };
    }),
    planHeartbeat: raise({ type: 'heartbeat.due' }, { delay: 'heartbeatPause', id: 'heartbeatPause' }),
    awaitHeartbeat: raise(
      { type: 'heartbeat.missed' },
      { delay: 'heartbeatDeadline', id: 'heartbeatDeadline' },
    ),
    heartbeatAnswered: cancel('heartbeatDeadline'),
    stopHeartbeat: enqueueActions(({ enqueue }) => {
      enqueue.cancel('heartbeatPause');
      enqueue.cancel('heartbeatDeadline');
    }),
    forward: sendTo('session', ({ event }) => {
      assertEvent(event, ['tws.place', 'tws.cancel', 'tws.cancelAll']);
      return event;
    }),
    withhold: sendParent(({ context, event }, params: { readonly reason: string }): DispatchFact => {
      assertEvent(event, ['tws.place', 'tws.cancel', 'tws.cancelAll']);
      return withheld(event, params.reason, event.at ?? context.at);
    }),
  },
}).createMachine({
  id: 'tws',
  description: 'the connection: one session per attempt, thrown away on any loss',
  context: ({ input }) => ({
    farmsTold: [],
    answeredAt: 0,
    ...input,
    ...noSession,
    random: input.seed >>> 0,
    sessions: 0,
    sessionId: null,
    failures: 0,
    retryInMs: 0,
    lastCause: null,
    lastMessage: '',
    at: 0,
    readySince: null,
    downSince: null,
    absentSince: null,
    absencePatienceMs: input.absencePatienceMs ?? defaultAbsencePatienceMs,
    undecodable: [],
    undecodableCount: 0,
  }),
  initial: 'idle',
  on: {
    'broker.*': { actions: 'pass' },
    'dispatch.*': { actions: 'pass' },
    'tws.place': { actions: { type: 'withhold', params: { reason: 'not-connected' } } },
    'tws.cancel': { actions: { type: 'withhold', params: { reason: 'not-connected' } } },
    'tws.cancelAll': { actions: { type: 'withhold', params: { reason: 'not-connected' } } },
    'tws.disconnect': { target: '.idle' },
    'absence.noticed': { guard: 'isMissing', actions: ['noteAbsence', 'reportAbsence'] },
  },
  states: {
    idle: {
      description: 'not asked to connect',
      tags: 'down',
      entry: 'stopAwaiting',
      on: { 'tws.connect': { target: 'session', actions: 'awaitSession' } },
    },

    session: {
      description: 'one attempt, from the first byte to the last',
      entry: 'beginSession',
      invoke: {
        id: 'session',
        src: 'session',
        input: ({ context }) => ({
          host: context.host,
          port: context.port,
          clientId: context.clientId,
          sessionId: context.sessionId ?? '',
        }),
        onError: {
          target: 'lost',
          actions: {
            type: 'noteLoss',
            params: ({ event }) => ({ cause: 'failed', message: String(event.error) }),
          },
        },
      },
      on: {
        'session.closed': [
          {
            guard: 'isTurnedAway',
            target: 'lost',
            actions: [
              'noteTime',
              {
                type: 'noteLoss',
                params: ({ event }) => ({
                  cause: 'turnedAway',
                  message: `the port is open, but the connection ended before a greeting: ${event.message}`,
                }),
              },
            ],
          },
          {
            target: 'lost',
            actions: [
              'noteTime',
              { type: 'noteLoss', params: ({ event }) => ({ cause: event.cause, message: event.message }) },
            ],
          },
        ],
        'session.refused': {
          target: 'lost',
          actions: [
            'noteTime',
            { type: 'noteLoss', params: ({ event }) => ({ cause: event.cause, message: event.message }) },
          ],
        },
        'session.limited': { actions: ['noteTime', 'noteLimited', 'reportLimited'] },
        'session.noted': { actions: ['noteTime', 'reportNote'] },
        'session.undecodable': { actions: ['noteTime', 'noteUndecodable', 'reportUndecodable'] },
        'session.orderIdGranted': { actions: ['noteTime', 'noteOrderId', 'reportOrderId'] },
        'session.accountsListed': { actions: ['noteTime', 'noteAccounts'] },
        'farm.changed': [
          { guard: 'isFarmNews', actions: ['noteTime', 'reportFarm', 'noteFarm'] },
          { actions: 'noteTime' },
        ],
        'link.severed': { actions: ['noteTime', 'noteSevered'] },
        'link.restored': { actions: ['noteTime', 'noteRestored'] },
        'tws.disconnect': {
          target: 'idle',
          actions: [
            { type: 'noteLoss', params: { cause: 'asked', message: 'disconnected on request' } },
            'endSession',
          ],
        },
      },
      initial: 'dialing',
      states: {
        dialing: {
          description: 'no TCP connection yet',
          tags: 'down',
          on: {
            'session.dialing': { actions: ['noteTime', 'noteDown'] },
            'session.connected': { target: 'negotiating', actions: 'noteTime' },
          },
          after: {
            dialDeadline: {
              target: '#tws.lost',
              actions: [
                { type: 'passTime', params: { ms: waitsMs.dial } },
                { type: 'noteLoss', params: { cause: 'dialTimeout', message: 'no TCP connection in time' } },
              ],
            },
          },
        },
        negotiating: {
          description: 'connected, not greeted',
          tags: 'down',
          on: { 'session.greeted': { target: 'syncing', actions: ['noteTime', 'noteVersion'] } },
          after: {
            greetingDeadline: {
              target: '#tws.lost',
              actions: [
                { type: 'passTime', params: { ms: waitsMs.greeting } },
                {
                  type: 'noteLoss',
                  params: {
                    cause: 'greetingTimeout',
                    message: 'the port is open but nothing speaks behind it',
                  },
                },
              ],
            },
          },
        },
        syncing: {
          description:
            'greeted; accounts, order id and a first answer are missing. What must go can be called back',
          tags: 'down',
          on: { 'tws.cancel': { actions: 'forward' }, 'tws.cancelAll': { actions: 'forward' } },
          initial: 'introducing',
          states: {
            introducing: {
              description: 'waits for accounts and order id',
              always: { guard: 'isIntroduced', target: 'probing' },
            },
            probing: {
              description: 'waits for the answer to a first heartbeat',
              entry: 'probe',
              on: {
                'session.probed': [
                  {
                    guard: 'isSevered',
                    target: '#tws.session.online.severed',
                    actions: ['noteTime', 'noteRoundTrip'],
                  },
                  {
                    guard: 'isImpaired',
                    target: '#tws.session.online.impaired',
                    actions: ['noteTime', 'noteRoundTrip'],
                  },
                  { target: '#tws.session.online.whole', actions: ['noteTime', 'noteRoundTrip'] },
                ],
              },
            },
          },
          after: {
            syncDeadline: {
              target: '#tws.lost',
              actions: [
                { type: 'passTime', params: { ms: waitsMs.sync } },
                {
                  type: 'noteLoss',
                  params: {
                    cause: 'syncTimeout',
                    message: 'greeted, but accounts, order id or probe did not come',
                  },
                },
              ],
            },
          },
        },
        online: {
          description: 'a session that answers; its heartbeat is watched',
          tags: 'connected',
          entry: ['stopAwaiting', 'noteReady', 'reportReady', 'endAbsence', 'planHeartbeat'],
          exit: 'stopHeartbeat',
          on: {
            'heartbeat.due': { actions: ['probe', 'awaitHeartbeat'] },
            'session.probed': {
              actions: ['noteTime', 'noteRoundTrip', 'heartbeatAnswered', 'forgetFailures', 'planHeartbeat'],
            },
            'heartbeat.missed': {
              target: '#tws.lost',
              actions: [
                'passHeartbeat',
                {
                  type: 'noteLoss',
                  params: { cause: 'silent', message: 'a heartbeat was not answered in time' },
                },
              ],
            },
            'tws.place': { actions: 'forward' },
            'tws.cancel': { actions: 'forward' },
            'tws.cancelAll': { actions: 'forward' },
          },
          initial: 'whole',
          states: {
            whole: {
              description: 'all of IB can be reached',
              tags: 'tradable',
              always: { guard: 'isImpaired', target: 'impaired' },
              on: {
                'link.severed': { target: 'severed', actions: ['noteTime', 'noteSevered'] },
                // The outage went unannounced: it is reported before its end, so that the two stay a pair.
                'link.restored': { actions: ['noteTime', 'reportSevered', 'reportRestored'] },
              },
            },
            impaired: {
              description: 'a data farm is broken; orders pass',
              tags: ['tradable', 'degraded'],
              always: { guard: 'isWhole', target: 'whole' },
              on: {
                'link.severed': { target: 'severed', actions: ['noteTime', 'noteSevered'] },
                'link.restored': { actions: ['noteTime', 'reportSevered', 'reportRestored'] },
              },
            },
            severed: {
              description: 'the gateway lives and has no link to IB: no order, facts are heard',
              tags: 'degraded',
              entry: 'reportSevered',
              on: {
                'link.severed': { actions: 'noteTime' },
                'link.restored': { target: 'whole', actions: ['noteTime', 'noteRestored', 'reportRestored'] },
                'tws.place': { actions: { type: 'withhold', params: { reason: 'severed' } } },
              },
            },
          },
        },
      },
    },

    lost: {
      description: 'decides where to wait; never stayed in',
      entry: ['endSession', 'planRetry'],
      always: [
        { guard: 'isUnsupported', target: 'refused' },
        { guard: 'isResetTime', target: 'maintenance' },
        { target: 'waiting' },
      ],
    },
    waiting: {
      description: 'no session; tried again after a pause that grows',
      tags: 'down',
      after: { retryPause: 'session' },
    },
    refused: {
      description: 'a version that cannot be spoken with; tried again, rarely',
      tags: 'down',
      after: { retryPause: 'session' },
    },
    maintenance: {
      description: 'IB resets its systems; tried again calmly',
      tags: ['down', 'maintenance'],
      after: { retryPause: 'session' },
    },
  },
});
