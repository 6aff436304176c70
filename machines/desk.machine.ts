/**
 * The only door to orders. A command with a known clientOrderId gets the answer of the first; an intent is durable
 * before it is handed to TWS; every fact of the broker finds its order, or becomes an order of others.
 */
import { type AnyActorRef, assign, enqueueActions, setup } from 'xstate';
import {
  type BlotterCommand,
  type BlotterId,
  type Blotters,
  blotterMachine,
  blotterOf,
  orderActor,
} from './blotter.machine.ts';
import {
  cancel,
  type DeskContext,
  type DeskEvent,
  type DeskReport,
  followCommit,
  followCommitFailure,
  followDispatch,
  followVerdict,
  type Handle,
  modify,
  noteTrading,
  orderIdMax,
  orderOfActor,
  settle,
  submit,
  withholdChange,
} from './desk.ts';
import { listLeased, recordFact, restore, routeFact, sweep, tellOpenOrders, weighLists } from './intake.ts';
import type { Order } from './order.ts';
import { quarantine } from './quarantine.ts';
import { noteRefusedId, raiseOrderId, renumber } from './renumbering.ts';
import { settleMissing } from './settlement.ts';

export const deskMachine = setup({
  types: {
    context: {} as DeskContext,
    input: {} as { readonly clientId: number },
    events: {} as DeskEvent,
    tags: {} as 'serving' | 'shut',
    children: {} as { [id: BlotterId]: 'blotter' },
  },
  actors: { blotter: blotterMachine },
  guards: {
    /** an order that waits for its turn is cancelled by a halt; what works keeps its terms */
    isLateChange: ({ context, event }) =>
      event.type === 'tws.place' && event.modification && context.isHalted,
  },
  actions: {
    submit: enqueueActions((args) => run(submit, args)),
    modify: enqueueActions((args) => run(modify, args)),
    cancel: enqueueActions((args) => run(cancel, args)),
    settleMissing: enqueueActions((args) => run(settleMissing, args)),
    noteRefusedId: enqueueActions((args) => run(noteRefusedId, args)),
    grantOrderId: enqueueActions((args) => run(raiseOrderId, args)),
    renumber: enqueueActions((args) => run(renumber, args)),
    settle: enqueueActions((args) => run(settle, args)),
    followVerdict: enqueueActions((args) => run(followVerdict, args)),
    followCommit: enqueueActions((args) => run(followCommit, args)),
    followCommitFailure: enqueueActions((args) => run(followCommitFailure, args)),
    followDispatch: enqueueActions((args) => run(followDispatch, args)),
    routeFact: enqueueActions((args) => run(routeFact, args)),
    recordFact: enqueueActions((args) => run(recordFact, args)),
    restore: enqueueActions((args) => run(restore, args)),
    weighLists: enqueueActions((args) => run(weighLists, args)),
    tellOpenOrders: enqueueActions((args) => run(tellOpenOrders, args)),
    sweep: enqueueActions((args) => run(sweep, args)),
    listLeased: enqueueActions((args) => run(listLeased, args)),
    pass: enqueueActions(({ event, enqueue }) => enqueue.sendParent(event)),
    askForEvidence: enqueueActions(({ event, enqueue }) => {
      const { why } = event as Extract<DeskEvent, { type: 'order.evidenceWanted' }>;
      enqueue.sendParent({ type: 'evidence.wanted', why } satisfies DeskReport);
    }),
    raiseOrderId: assign(({ context, event }) => ({
      nextOrderId: Math.max(
        context.nextOrderId,
        (event as Extract<DeskEvent, { type: 'desk.raiseOrderId' }>).orderId,
      ),
    })),
    rememberWhyShut: assign(({ event }) => {
      const { reason, canCancel } = event as Extract<DeskEvent, { type: 'desk.shut' }>;
      return { shut: { reason, canCancel } };
    }),
    forgetWhyShut: assign({ shut: null }),
    withholdChange: enqueueActions((args) => run(withholdChange, args)),
    noteTrading: enqueueActions((args) => run(noteTrading, args)),
    quarantine: enqueueActions((args) => run(quarantine, args)),
  },
}).createMachine({
  id: 'desk',
  description: 'the only door to orders: same id, same answer; durable before it is sent',
  context: ({ input }) => ({
    clientId: input.clientId,
    nextOrderId: 1,
    lostIds: { from: 1, below: orderIdMax },
    orders: {},
    byPermId: {},
    byOrderId: {},
    byExecId: {},
    earlyCommissions: {},
    refused: [],
    operations: {},
    isHalted: false,
    sweeps: 0,
    sweptAt: 0,
    leaptAt: null,
    shut: { reason: { code: 'starting', message: 'the runtime is starting' }, canCancel: false },
  }),
  initial: 'shut',
  on: {
    'order.submit': { actions: 'submit' },
    'order.modify': { actions: 'modify' },
    'order.cancel': { actions: 'cancel' },
    'order.settle': { actions: 'settleMissing' },
    'order.recorded': { actions: 'recordFact' },
    'order.surprised': { actions: 'pass' },
    'order.alerted': { actions: 'pass' },
    'order.renumberWanted': { actions: 'noteRefusedId' },
    'desk.renumber': { actions: 'renumber' },
    'broker.orderIdGranted': { actions: 'grantOrderId' },
    'order.evidenceWanted': { actions: 'askForEvidence' },
    'tws.place': [{ guard: 'isLateChange', actions: 'withholdChange' }, { actions: 'pass' }],
    'tws.*': { actions: 'pass' },
    'gate.reviewed': { actions: 'followVerdict' },
    'journal.committed': { actions: 'followCommit' },
    'journal.failed': { actions: 'followCommitFailure' },
    'dispatch.*': { actions: 'followDispatch' },
    'broker.*': { actions: 'routeFact' },
    'session.lost': { actions: 'tellOpenOrders' },
    'lease.lapsed': { actions: 'listLeased' },
    'desk.settle': { actions: 'settle' },
    'desk.restored': { actions: 'restore' },
    'desk.evidence': { actions: 'weighLists' },
    'desk.sweep': { actions: 'sweep' },
    'desk.raiseOrderId': { actions: 'raiseOrderId' },
    'desk.tradingChanged': { actions: 'noteTrading' },
    'xstate.error.actor.*': { actions: 'quarantine' },
    'desk.shut': { target: '.shut', actions: 'rememberWhyShut' },
    'desk.open': { target: '.serving', actions: 'forgetWhyShut' },
  },
  states: {
    shut: {
      description: 'new orders and changes are refused with the reason; facts are worked in all the same',
      tags: 'shut',
    },
    serving: { description: 'orders are taken', tags: 'serving' },
  },
});

/** Runs a handler on XState's queue, and folds its changes so that later ones see the earlier. */
function run(
  handle: Handle,
  {
    context,
    event,
    enqueue,
    self,
  }: {
    context: DeskContext;
    event: DeskEvent;
    self: AnyActorRef;
    // biome-ignore lint/suspicious/noExplicitAny: XState exports no name for the type of its queue
    enqueue: any;
  },
): void {
  const blotters: Blotters = self.getSnapshot().children;
  const born = new Set<string>();
  const opened = new Set<string>();
  const tellBlotter = (command: BlotterCommand): void => {
    const id = blotterOf(command.clientOrderId);
    if (!blotters[id] && !opened.has(id)) enqueue.spawnChild('blotter', { id });
    opened.add(id);
    enqueue.sendTo(id, command);
  };
  handle(
    {
      context,
      event,
      living: () =>
        Object.values(blotters).flatMap((each) =>
          Object.keys(each?.getSnapshot().children ?? {}).map(orderOfActor),
        ),
      view: ({ live, order }) => {
        const ref = live ? orderActor(blotters, order.clientOrderId) : undefined;
        // One that threw at its birth has no context.
        return (ref?.getSnapshot().context?.order as Order | undefined) ?? order;
      },
    },
    {
      assign: (change) => enqueue.assign(change),
      toOrder: (clientOrderId, orderEvent) => {
        const actor = orderActor(blotters, clientOrderId);
        if (born.has(clientOrderId)) tellBlotter({ type: 'blotter.pass', clientOrderId, event: orderEvent });
        else if (actor) enqueue.sendTo(actor, orderEvent);
      },
      toSelf: (deskEvent) => enqueue.sendTo(self, deskEvent),
      report: (report) => enqueue.sendParent(report),
      spawn: (clientOrderId, { order, ticket, parentOrderId }, replaying) => {
        born.add(clientOrderId);
        const input = { order, ticket, parentOrderId, replaying };
        tellBlotter({ type: 'blotter.open', clientOrderId, input });
      },
      stop: (clientOrderId) => tellBlotter({ type: 'blotter.close', clientOrderId }),
    },
  );
}
