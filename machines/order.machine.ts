/** One order from intent to last fill. Closed is a tag: late fills, corrections and commissions still arrive. */
import { assign, enqueueActions, raise, setup } from 'xstate';
import { type Alarm, alarmsOf, doubtAlarm, resolutionAlarm } from './alarm.ts';
import { aliveAgain, contradictsEnd, interpret, unexplainedFills } from './evidence.ts';
import { hasSurvivor, isComplete, liveIncarnations } from './incarnation.ts';
import { applyFact, isFullyFilled, type Order, type OrderFact, type Reason } from './order.ts';
import {
  absencesMin,
  ackTimeoutMs,
  cancelPatienceMs,
  changedTicket,
  type DispatchWithheld,
  doubt,
  doubtAbsent,
  type EvidenceCompleted,
  executionLagMs,
  hasStatedFills,
  heardIn,
  isAbsent,
  isCalledMissing,
  isCancelLost,
  isCancelRepeated,
  isListedSinceItsEnd,
  isMissingFrom,
  isNewList,
  isNewlyLost,
  isProvenAbsent,
  isUnwanted,
  listedAlive,
  missingFrom,
  type OrderCommand,
  type OrderContext,
  type OrderEvent,
  type OrderInput,
  type OrderListed,
  type OrderReport,
  question,
  reasonIn,
  type SessionLost,
  stillUnexplained,
  unnamedEnds,
} from './order-words.ts';
import type { BrokerFact } from './tws.ts';

/** A fact after which nothing may be left to fill; otherwise the order stays where it is, or works. */
const fillingFurther = [
  { guard: 'completesOrder', target: 'filled', actions: 'record' },
  { actions: 'record' },
] as const;
const fillingOrWorking = [
  { guard: 'completesOrder', target: 'filled', actions: 'record' },
  { guard: 'isUnwanted', target: 'cancelling', actions: ['record', 'sendCancel'] },
  { target: 'working', actions: 'record' },
] as const;

/** What somebody has asked to cancel is cancelled as soon as it is seen alive. */
const acceptance = [
  { guard: 'isAliveAndUnwanted', target: 'cancelling', actions: ['record', 'sendCancel'] },
  { guard: 'isAlive', target: 'working', actions: 'record' },
  { actions: 'record' },
] as const;

export const orderMachine = setup({
  types: {
    context: {} as OrderContext,
    input: {} as OrderInput,
    events: {} as OrderEvent,
    tags: {} as 'open' | 'closed' | 'inDoubt' | 'awaiting',
  },
  guards: {
    wakesAs: ({ context }, params: { state: Order['state'] }) => context.order.state === params.state,
    isAlive: ({ event }) => event.type === 'order.accepted' && event.alive,
    isAliveAndUnwanted: ({ context, event }) =>
      event.type === 'order.accepted' && event.alive && isUnwanted(context.order),
    completesOrder: ({ context, event }) => isComplete(applyFact(context.order, event as OrderFact)),
    leavesSurvivor: ({ context, event }) =>
      isNewList(context, event) && event.present && hasSurvivor(context.order),
    isCancelLost: ({ context, event }) => isCancelLost(context, event),
    isCancelRepeated: ({ context, event }) => isCancelRepeated(context, event),
    isProvenAbsent: ({ context, event }) => isProvenAbsent(context, event),
    isNewlyLost: ({ context, event }) => isNewlyLost(context, event),
    isMissing: ({ context, event }) => isMissingFrom(context, event) && !context.isUnsent,
    isNewlyMissing: ({ context, event }) =>
      event.type === 'order.doubted' && isCalledMissing(event) && !isCalledMissing(context.order),
    isUnsent: ({ context }) => context.isUnsent,
    isUnwanted: ({ context }) => isUnwanted(context.order),
    /** It is not open any more, and nobody says how large it was: it was what it filled. */
    isSizeLost: ({ context, event }) =>
      isMissingFrom(context, event) && context.order.quantityUnknown === true && context.stated === null,
    isAbsent: ({ context, event }) => isAbsent(context, event),
    hasStatedFills: ({ context, event }) => isNewList(context, event) && hasStatedFills(context),
    isListedSinceItsEnd: ({ context, event }) => isListedSinceItsEnd(context, event),
    concernsPlacing: ({ event }) => event.type === 'dispatch.withheld' && event.what === 'place',
    concernsChange: ({ event }) => event.type === 'dispatch.withheld' && event.what === 'modify',
    concernsCancel: ({ event }) => event.type === 'dispatch.withheld' && event.what === 'cancel',
  },
  actions: {
    /** Works the fact in and hands it to the desk when it is news. */
    record: enqueueActions(({ context, event, enqueue }) => {
      const fact = event as OrderFact;
      const order = applyFact(context.order, fact);
      // What was stated before a correction may contain what it took back.
      const stated = fact.type === 'order.corrected' ? null : stillUnexplained(context.stated, order);
      enqueue.assign({ order, lastAt: fact.at, stated });
      if (fact.type === 'order.sent') enqueue.assign({ isUnsent: false });
      if (context.replaying) return;
      const { clientOrderId } = order;
      const tell = (report: OrderReport): void => enqueue.sendParent(report);
      if (fact.seq === undefined) tell({ type: 'order.recorded', clientOrderId, fact });
      for (const alarm of alarmsOf(context.order, fact, order))
        tell({ type: 'order.alerted', clientOrderId, at: fact.at, ...alarm });
    }),
    becomes: enqueueActions(({ context, enqueue }, params: { state: Order['state'] }) => {
      const { order, lastAt: at, doubtSince: since } = context;
      if (order.state === params.state) return;
      const reason = reasonIn(params.state, order);
      enqueue.assign({ order: { ...order, state: params.state, reason } });
      if (params.state === 'inDoubt') enqueue.assign({ doubtSince: at });
      if (context.replaying) return;
      const { clientOrderId } = order;
      const tell = (alarm: Alarm): void =>
        enqueue.sendParent({ type: 'order.alerted', clientOrderId, at, ...alarm } satisfies OrderReport);
      if (params.state === 'inDoubt') tell(doubtAlarm(order, at));
      if (order.state === 'inDoubt') tell(resolutionAlarm({ ...order, reason }, params.state, { since, at }));
    }),
    weighEvidence: enqueueActions(({ context, event, enqueue }) => {
      const fact = event as BrokerFact;
      if (fact.type === 'broker.orderSeen' || fact.type === 'broker.statusSeen')
        enqueue.assign({ seenStatus: fact.status });
      const filled = unexplainedFills(context.order, fact);
      // A newer statement takes the place of an older one, which may have been overtaken on its way.
      if (fact.type === 'broker.statusSeen' && fact.filled !== null && filled === null)
        enqueue.assign({ stated: null });
      // A repetition is no newer word: lists that were asked for after the first one weigh it.
      if (filled !== null && context.stated?.filled !== filled) {
        const averagePrice = fact.type === 'broker.statusSeen' ? fact.averagePrice : null;
        enqueue.assign({ stated: { filled, averagePrice }, lastAt: fact.at });
        enqueue.raise({ type: 'order.lagged' }, { delay: 'executionLag' });
      }
      if (fact.type === 'broker.orderNoted' && fact.disposition === 'cancelled')
        enqueue.raise({ type: 'order.endAnnounced' }, { delay: 'executionLag' });
      for (const news of interpret(context.order, heardIn(context, fact))) enqueue.raise(news);
      if (contradictsEnd(context.order, fact))
        enqueue.sendParent(question(context.order, 'the broker speaks of an order that has ended as open'));
    }),
    /** What ended it was no end: a stray word, or one about a cancel that never arrived. */
    reopen: enqueueActions(({ context, event, enqueue }) => {
      const { at, permId } = event as OrderListed;
      const { clientOrderId } = context.order;
      enqueue.raise({ type: 'order.doubted', clientOrderId, at, reason: aliveAgain(context.order, permId) });
      enqueue.raise(listedAlive(context, event as OrderListed));
    }),
    /** Of several broker orders one had ended alone, by a word that was none. */
    revive: raise(({ context, event }) => listedAlive(context, event as OrderListed)),
    askForLaggingExecutions: enqueueActions(({ context, enqueue }) => {
      if (!hasStatedFills(context)) return;
      enqueue.sendParent(question(context.order, 'the broker states fills that no execution explains'));
    }),
    place: enqueueActions(({ context, enqueue }) => {
      if (context.replaying || !context.ticket || context.order.orderId === null) return;
      enqueue.sendParent({
        type: 'tws.place',
        orderId: context.order.orderId,
        parentOrderId: context.order.orphaned ? 0 : context.parentOrderId,
        ticket: context.ticket,
        modification: false,
      } satisfies OrderReport);
    }),
    placeChange: enqueueActions(({ context, enqueue }) => {
      if (context.replaying || !context.ticket || context.order.orderId === null) return;
      enqueue.sendParent({
        type: 'tws.place',
        orderId: context.order.orderId,
        parentOrderId: context.order.orphaned ? 0 : context.parentOrderId,
        ticket: changedTicket(context.ticket, context.order),
        at: context.lastAt,
        modification: true,
      } satisfies OrderReport);
    }),
    sendCancel: enqueueActions(({ context, enqueue }) => {
      const { clientOrderId, orderId } = context.order;
      if (context.replaying || orderId === null) return;
      enqueue.sendParent({ type: 'tws.cancel', clientOrderId, orderId } satisfies OrderReport);
    }),
    noteResending: assign(({ event }) => ({ lastAt: (event as EvidenceCompleted | OrderCommand).at })),
    adoptNumber: assign(({ event }) => ({
      isUnsent: true,
      sentSince: (event as OrderFact).at,
      parentOrderId: (event as Extract<OrderFact, { type: 'order.renumbered' }>).parentOrderId,
    })),
    wantNumber: enqueueActions(({ context, event, enqueue }) => {
      if (context.replaying) return;
      const { seq: _, ...refused } = event as Extract<OrderFact, { type: 'order.idRefused' }>;
      enqueue.sendParent({ ...refused, type: 'order.renumberWanted' } satisfies OrderReport);
    }),
    /** A change that was made durable while the order went another way: nothing of it was sent. */
    refuseChange: enqueueActions(({ context, event, enqueue }) => {
      if (context.replaying) return;
      const { clientOrderId, state } = context.order;
      const { at } = event as OrderFact;
      const reason: Reason = {
        code: 'order-busy',
        message: `the order is ${state}: the change was not sent`,
      };
      enqueue.raise({ type: 'order.modifyRejected', clientOrderId, at, reason });
    }),
    /** The last fill was faster than a change. Should the broker have taken it after all, its larger size is seen. */
    refuseLateChange: enqueueActions(({ context, enqueue }) => {
      if (context.replaying || context.order.pendingChange === null) return;
      const { clientOrderId } = context.order;
      const reason: Reason = { code: 'order-closed', message: 'the order was filled before its change' };
      enqueue.raise({ type: 'order.modifyRejected', clientOrderId, at: context.lastAt, reason });
    }),
    /** An older broker order that the complete lists lack was replaced by the newer, unless a word has told of a cancel. */
    followVanished: enqueueActions(({ context, event, enqueue }) => {
      const { at } = event as EvidenceCompleted;
      const { clientOrderId } = context.order;
      const live = liveIncarnations(context.order);
      const vanished = missingFrom(context, event as EvidenceCompleted);
      enqueue.assign({ vanished });
      const gone = live.filter(({ permId }) => (vanished[permId] ?? 0) >= absencesMin);
      const how = unnamedEnds(context.order) >= gone.length ? 'cancelled' : 'replaced';
      for (const { permId } of gone)
        enqueue.raise({ type: 'order.incarnationEnded', clientOrderId, at, permId, how });
      if (gone.length > 0 && gone.length === live.length && !isFullyFilled(context.order))
        enqueue.raise({ type: 'order.cancelled', clientOrderId, at, reason: null });
    }),
    noteCancelRequest: raise(({ context, event }) => ({
      type: 'order.cancelRequested' as const,
      clientOrderId: context.order.clientOrderId,
      at: (event as OrderCommand).at,
    })),
    doubtUnanswered: raise(({ context }) => doubt(context, 'unanswered', context.lastAt + ackTimeoutMs)),
    doubtAnnouncedEnd: raise(({ context }) =>
      doubt(context, 'end-announced', context.lastAt + executionLagMs),
    ),
    doubtLostSession: raise(({ context, event }) => {
      const { at, cause } = event as SessionLost;
      return doubt(context, 'session-lost', at, cause);
    }),
    doubtReplayed: raise(({ context, event }) => doubt(context, 'restarted', (event as OrderCommand).at)),
    doubtAbsent: raise(({ context, event }) => doubtAbsent(context, event as EvidenceCompleted)),
    doubtWithheld: raise(({ context, event }) => {
      const { at, reason } = event as DispatchWithheld;
      return doubt(context, 'cancel-withheld', at, reason);
    }),
    noteWithheld: raise(({ context, event }) => {
      const { what, at, reason } = event as DispatchWithheld;
      return {
        type: what === 'modify' ? 'order.modifyRejected' : 'order.withheld',
        clientOrderId: context.order.clientOrderId,
        at,
        reason: { code: 'not-sent', message: reason },
      } satisfies OrderFact;
    }),
    concludeAbsent: raise(({ context, event }) => ({
      type: 'order.rejected' as const,
      clientOrderId: context.order.clientOrderId,
      at: (event as EvidenceCompleted).at,
      reason: { code: 'not-at-broker', message: 'complete lists of the broker do not contain the order' },
    })),
    concludeSize: raise(({ context, event }) => ({
      type: 'order.modified' as const,
      clientOrderId: context.order.clientOrderId,
      at: (event as EvidenceCompleted).at,
      terms: { quantity: context.order.filledQuantity },
    })),
    acceptStatement: raise(({ context, event }) => ({
      type: 'order.filledAsStated' as const,
      clientOrderId: context.order.clientOrderId,
      at: (event as EvidenceCompleted).at,
      filled: context.stated?.filled ?? '0',
      averagePrice: context.stated?.averagePrice ?? null,
    })),
    countAbsence: assign({ absences: ({ context }) => context.absences + 1 }),
    /** A cancel that reaches nothing must not turn doubt into a quick circle: the gaps go on growing. */
    beginDoubt: assign(({ context }) => ({
      absences: 0,
      asked: isUnwanted(context.order) ? context.asked : 0,
    })),
    askAtOnce: enqueueActions(({ context, enqueue }) => {
      if (context.asked > 0) return;
      enqueue.assign({ asked: 1 });
      if (!context.replaying) enqueue.sendParent(question(context.order));
    }),
    askForEvidence: enqueueActions(({ context, enqueue }) => {
      enqueue.assign({ asked: context.asked + 1 });
      if (!context.replaying) enqueue.sendParent(question(context.order));
    }),
    noteSessionGone: assign({ isUnsent: false }),
    endReplay: assign(({ event }) => ({
      replaying: false,
      isUnsent: false,
      lastAt: (event as OrderCommand).at,
    })),
    noteSurprise: enqueueActions(({ context, event, enqueue }) => {
      if (context.replaying) return;
      const { clientOrderId } = context.order;
      enqueue.sendParent({ type: 'order.surprised', clientOrderId, fact: event } satisfies OrderReport);
    }),
  },
  delays: {
    ackTimeout: ackTimeoutMs,
    executionLag: executionLagMs,
    cancelPatience: cancelPatienceMs,
    /** 2 s, then doubling up to a minute */
    nextQuestion: ({ context }) => Math.min(60_000, 2_000 * 2 ** Math.max(0, context.asked - 1)),
  },
}).createMachine({
  id: 'order',
  description: 'one order from intent to last fill; late facts still arrive when it is closed',
  context: ({ input }) => ({
    ...input,
    isUnsent: input.ticket !== null && input.order.state === 'reviewing',
    sentSince: Date.parse(input.order.createdAt),
    seenStatus: null,
    vanished: {},
    doubtSince: Date.parse(input.order.updatedAt),
    absences: 0,
    asked: 0,
    stated: null,
    lastAt: 0,
  }),
  initial: 'waking',
  on: {
    'broker.*': { actions: 'weighEvidence' },
    'order.lagged': { actions: 'askForLaggingExecutions' },
    'order.endAnnounced': {},
    'order.listed': { guard: 'isListedSinceItsEnd', actions: 'revive' },
    'order.idRefused': { actions: ['record', 'wantNumber'] },
    'order.renumbered': { actions: ['record', 'adoptNumber'] },
    'order.incarnationEnded': { actions: 'record' },
    'order.orphaned': { actions: 'record' },
    'order.reclassified': { actions: 'record' },
    'order.modifyRequested': { actions: ['record', 'refuseChange'] },
    'order.sent': { actions: 'record' },
    'order.accepted': { actions: 'record' },
    'order.commissioned': { actions: 'record' },
    'order.legExecuted': { actions: 'record' },
    'order.noticed': { actions: 'record' },
    'order.corrected': { actions: 'record' },
    'order.modifyRejected': { actions: 'record' },
    'order.resume': { actions: 'endReplay' },
    'session.lost': { actions: 'noteSessionGone' },
    'evidence.completed': {},
    'order.*': { actions: 'noteSurprise' },
  },
  states: {
    waking: {
      description: 'replayed from the journal, or new',
      always: [
        { guard: { type: 'wakesAs', params: { state: 'working' } }, target: 'working' },
        { guard: { type: 'wakesAs', params: { state: 'inDoubt' } }, target: 'inDoubt' },
        { guard: { type: 'wakesAs', params: { state: 'filled' } }, target: 'filled' },
        { guard: { type: 'wakesAs', params: { state: 'cancelled' } }, target: 'cancelled' },
        { guard: { type: 'wakesAs', params: { state: 'expired' } }, target: 'expired' },
        { guard: { type: 'wakesAs', params: { state: 'rejected' } }, target: 'rejected' },
        { guard: { type: 'wakesAs', params: { state: 'denied' } }, target: 'denied' },
        { target: 'reviewing' },
      ],
    },
    reviewing: {
      description: 'the gate has not judged yet',
      tags: ['open', 'awaiting'],
      entry: { type: 'becomes', params: { state: 'reviewing' } },
      on: {
        'order.approve': 'journaling',
        'order.denied': { target: 'denied', actions: 'record' },
        'order.requested': { target: 'submitting', actions: 'record' },
        'order.discovered': { target: 'working', actions: 'record' },
      },
    },
    journaling: {
      description: 'approved; not yet on disk',
      tags: ['open', 'awaiting'],
      entry: { type: 'becomes', params: { state: 'journaling' } },
      on: {
        'order.requested': { target: 'submitting', actions: ['record', 'place'] },
        'order.denied': { target: 'denied', actions: 'record' },
      },
    },
    submitting: {
      description: 'on disk and handed to the socket; TWS has not answered',
      tags: ['open', 'awaiting'],
      entry: { type: 'becomes', params: { state: 'submitting' } },
      after: {
        ackTimeout: [
          { guard: 'isUnsent', target: 'submitting', reenter: true },
          { actions: 'doubtUnanswered' },
        ],
      },
      on: {
        'order.accepted': acceptance,
        'order.filledAsStated': fillingFurther,
        'order.filled': fillingOrWorking,
        'order.modified': { target: 'working', actions: 'record' },
        'order.rejected': { target: 'rejected', actions: 'record' },
        'order.cancelled': { target: 'cancelled', actions: 'record' },
        'order.expired': { target: 'expired', actions: 'record' },
        'order.withheld': { target: 'denied', actions: 'record' },
        'order.renumbered': {
          target: 'submitting',
          reenter: true,
          actions: ['record', 'adoptNumber', 'place'],
        },
        'order.doubted': { target: 'inDoubt', actions: 'record' },
        'order.endAnnounced': { actions: 'doubtAnnouncedEnd' },
        'order.cancelRequested': { target: 'cancelling', actions: ['record', 'sendCancel'] },
        'order.cancel': { actions: 'noteCancelRequest' },
        'order.resume': { actions: ['endReplay', 'doubtReplayed'] },
        'session.lost': { actions: ['noteSessionGone', 'doubtLostSession'] },
        'dispatch.withheld': { guard: 'concernsPlacing', actions: 'noteWithheld' },
      },
    },
    working: {
      description: 'live at the broker',
      tags: 'open',
      entry: { type: 'becomes', params: { state: 'working' } },
      on: {
        'order.filled': fillingFurther,
        'order.filledAsStated': fillingFurther,
        'order.modified': fillingFurther,
        'order.incarnationEnded': fillingFurther,
        'order.modifyRequested': { target: 'modifying', actions: ['record', 'placeChange'] },
        'order.endAnnounced': { actions: 'doubtAnnouncedEnd' },
        'order.cancel': { actions: 'noteCancelRequest' },
        'order.cancelRequested': { target: 'cancelling', actions: ['record', 'sendCancel'] },
        'order.cancelled': { target: 'cancelled', actions: 'record' },
        'order.expired': { target: 'expired', actions: 'record' },
        'order.rejected': { target: 'rejected', actions: 'record' },
        'order.doubted': { target: 'inDoubt', actions: 'record' },
        'evidence.completed': [
          { guard: 'hasStatedFills', actions: 'acceptStatement' },
          { guard: 'isSizeLost', actions: 'concludeSize' },
          { guard: 'isAbsent', actions: 'doubtAbsent' },
          { actions: 'followVanished' },
        ],
      },
    },
    modifying: {
      description: 'a change is sent, unanswered',
      tags: ['open', 'awaiting'],
      entry: { type: 'becomes', params: { state: 'modifying' } },
      after: { ackTimeout: { actions: 'doubtUnanswered' } },
      on: {
        'order.modified': fillingOrWorking,
        'order.incarnationEnded': fillingFurther,
        'order.orphaned': { target: 'modifying', reenter: true, actions: ['record', 'placeChange'] },
        'order.modifyRequested': { actions: 'noteSurprise' },
        'order.modifyRejected': { target: 'working', actions: 'record' },
        'order.endAnnounced': { actions: 'doubtAnnouncedEnd' },
        'order.filled': fillingFurther,
        'order.cancel': { actions: 'noteCancelRequest' },
        'order.cancelRequested': { target: 'cancelling', actions: ['record', 'sendCancel'] },
        'order.cancelled': { target: 'cancelled', actions: 'record' },
        'order.expired': { target: 'expired', actions: 'record' },
        'order.rejected': { target: 'rejected', actions: 'record' },
        'order.doubted': { target: 'inDoubt', actions: 'record' },
        'order.resume': { actions: ['endReplay', 'doubtReplayed'] },
        'session.lost': { actions: ['noteSessionGone', 'doubtLostSession'] },
        'dispatch.withheld': { guard: 'concernsChange', actions: 'noteWithheld' },
        'evidence.completed': { guard: 'hasStatedFills', actions: 'acceptStatement' },
        'order.filledAsStated': fillingFurther,
      },
    },
    cancelling: {
      description: 'wanted gone; works until TWS says otherwise',
      tags: ['open', 'awaiting'],
      entry: { type: 'becomes', params: { state: 'cancelling' } },
      after: { cancelPatience: { target: 'cancelling', reenter: true, actions: 'askForEvidence' } },
      on: {
        'order.incarnationEnded': [
          { guard: 'completesOrder', target: 'filled', actions: 'record' },
          { actions: ['record', 'askForEvidence'] },
        ],
        'order.cancelled': { target: 'cancelled', actions: 'record' },
        'order.cancelRejected': { target: 'working', actions: 'record' },
        'order.filled': fillingFurther,
        'order.filledAsStated': fillingFurther,
        'order.modified': fillingFurther,
        'order.cancel': [{ guard: 'isCancelRepeated', actions: ['noteResending', 'sendCancel'] }, {}],
        'order.cancelRequested': {},
        'order.expired': { target: 'expired', actions: 'record' },
        'order.rejected': { target: 'rejected', actions: 'record' },
        'order.withheld': { target: 'denied', actions: 'record' },
        'order.doubted': { target: 'inDoubt', actions: 'record' },
        'order.resume': { actions: ['endReplay', 'doubtReplayed'] },
        'session.lost': { actions: ['noteSessionGone', 'doubtLostSession'] },
        'dispatch.withheld': [
          { guard: 'concernsCancel', actions: 'doubtWithheld' },
          { guard: 'concernsPlacing', actions: 'noteWithheld' },
        ],
        'evidence.completed': [
          { guard: 'hasStatedFills', actions: 'acceptStatement' },
          { guard: 'isAbsent', actions: 'doubtAbsent' },
          { guard: 'leavesSurvivor', actions: ['followVanished', 'sendCancel'] },
          { guard: 'isCancelLost', actions: ['followVanished', 'noteResending', 'sendCancel'] },
          { actions: 'followVanished' },
        ],
      },
    },
    inDoubt: {
      description: "what became of it is asked of the broker's own lists",
      tags: ['open', 'inDoubt'],
      entry: [{ type: 'becomes', params: { state: 'inDoubt' } }, 'beginDoubt', 'askAtOnce'],
      initial: 'asking',
      states: {
        asking: {
          description: 'the broker is asked again with growing pauses',
          after: { nextQuestion: { target: 'asking', reenter: true, actions: 'askForEvidence' } },
        },
      },
      on: {
        'order.incarnationEnded': fillingFurther,
        'order.renumbered': { target: 'submitting', actions: ['record', 'adoptNumber', 'place'] },
        'order.accepted': acceptance,
        'order.filled': fillingFurther,
        'order.filledAsStated': fillingFurther,
        'order.modified': fillingFurther,
        'order.cancel': [{ guard: 'isUnwanted', actions: 'sendCancel' }, { actions: 'noteCancelRequest' }],
        'order.cancelRequested': { actions: ['record', 'sendCancel'] },
        'order.cancelRejected': { actions: 'record' },
        'order.cancelled': { target: 'cancelled', actions: 'record' },
        'order.expired': { target: 'expired', actions: 'record' },
        'order.rejected': { target: 'rejected', actions: 'record' },
        'order.withheld': { target: 'denied', actions: 'record' },
        'order.doubted': { guard: 'isNewlyMissing', actions: 'record' },
        'order.resume': { actions: ['endReplay', 'askForEvidence'] },
        'evidence.completed': [
          { guard: 'hasStatedFills', actions: 'acceptStatement' },
          { guard: 'isProvenAbsent', actions: 'concludeAbsent' },
          { guard: 'isNewlyLost', actions: ['doubtAbsent', 'countAbsence', 'followVanished'] },
          { guard: 'isMissing', actions: ['countAbsence', 'followVanished'] },
          { actions: 'followVanished' },
        ],
      },
    },
    filled: {
      description: 'all of it is executed',
      tags: 'closed',
      entry: [{ type: 'becomes', params: { state: 'filled' } }, 'refuseLateChange'],
      on: {
        'order.filled': { actions: 'record' },
        'order.corrected': { actions: 'record' },
        'order.modified': fillingOrWorking,
        'order.doubted': { target: 'inDoubt', actions: 'record' },
        'order.listed': { guard: 'isListedSinceItsEnd', actions: 'reopen' },
        'order.cancel': {},
      },
    },
    cancelled: {
      description: 'ended on request; fills may still come',
      tags: 'closed',
      entry: { type: 'becomes', params: { state: 'cancelled' } },
      on: {
        'order.filledAsStated': fillingFurther,
        'order.filled': fillingFurther,
        'order.expired': { target: 'expired', actions: 'record' },
        'order.doubted': { target: 'inDoubt', actions: 'record' },
        'order.listed': { guard: 'isListedSinceItsEnd', actions: 'reopen' },
        'order.cancel': {},
      },
    },
    expired: {
      description: 'ended by the clock',
      tags: 'closed',
      entry: { type: 'becomes', params: { state: 'expired' } },
      on: {
        'order.filledAsStated': fillingFurther,
        'order.filled': fillingFurther,
        'order.doubted': { target: 'inDoubt', actions: 'record' },
        'order.listed': { guard: 'isListedSinceItsEnd', actions: 'reopen' },
        'order.cancel': {},
      },
    },
    rejected: {
      description: 'the broker refused it',
      tags: 'closed',
      entry: { type: 'becomes', params: { state: 'rejected' } },
      on: {
        'order.accepted': acceptance,
        'order.rejected': { actions: 'record' },
        'order.doubted': { target: 'inDoubt', actions: 'record' },
        'order.listed': { guard: 'isListedSinceItsEnd', actions: 'reopen' },
        'order.filled': fillingOrWorking,
        'order.cancel': {},
      },
    },
    denied: {
      description: 'never reached TWS',
      tags: 'closed',
      entry: { type: 'becomes', params: { state: 'denied' } },
      on: {
        'order.accepted': acceptance,
        'order.filled': fillingOrWorking,
        'order.cancel': {},
      },
    },
  },
});
