/**
 * Holds the actors of some orders for the desk. XState copies an actor's whole list of children whenever one comes or
 * goes: with thousands in one list each order would pay for all of them.
 */
import { type ActorRefFrom, enqueueActions, setup } from 'xstate';
import { type ActorId, actorId } from './desk.ts';
import { hashOf } from './lookup.ts';
import { orderMachine } from './order.machine.ts';
import type { OrderEvent, OrderInput, OrderReport } from './order-words.ts';
import type { OrderActorFailed } from './quarantine.ts';

const blotterCount = 32;
export type BlotterId = `blotter:${number}`;
/** Under which actor of the desk the actor of an order lives. */
export const blotterOf = (clientOrderId: string): BlotterId =>
  `blotter:${hashOf(clientOrderId) % blotterCount}`;

/** What the desk asks of it. */
export type BlotterCommand =
  | { readonly type: 'blotter.open'; readonly clientOrderId: string; readonly input: OrderInput }
  /** for an order that was opened a moment ago, whose actor nobody can name yet */
  | { readonly type: 'blotter.pass'; readonly clientOrderId: string; readonly event: OrderEvent }
  | { readonly type: 'blotter.close'; readonly clientOrderId: string };

/** What its orders tell the desk goes through it. */
export type BlotterEvent = BlotterCommand | OrderReport | OrderActorFailed;

type Of<T extends BlotterCommand['type']> = Extract<BlotterCommand, { type: T }>;

export const blotterMachine = setup({
  types: {
    context: {} as Record<never, never>,
    events: {} as BlotterEvent,
    children: {} as { [id: ActorId]: 'order' },
  },
  actors: { order: orderMachine },
  actions: {
    open: enqueueActions(({ event, enqueue }) => {
      const { clientOrderId, input } = event as Of<'blotter.open'>;
      enqueue.spawnChild('order', { id: actorId(clientOrderId), input });
    }),
    close: enqueueActions(({ event, enqueue }) => {
      enqueue.stopChild(actorId((event as Of<'blotter.close'>).clientOrderId));
    }),
    pass: enqueueActions(({ event, enqueue, self }) => {
      const { clientOrderId, event: passed } = event as Of<'blotter.pass'>;
      const id = actorId(clientOrderId);
      // XState throws when there is no such actor: an order that failed at its birth must not take its siblings along.
      if (self.getSnapshot().children[id]) enqueue.sendTo(id, passed);
    }),
    tell: enqueueActions(({ event, enqueue }) => enqueue.sendParent(event)),
  },
}).createMachine({
  id: 'blotter',
  description: "holds the actors of some of the desk's orders, and passes on what they tell",
  context: {},
  initial: 'holding',
  states: {
    holding: {
      description: 'orders come and go',
      on: {
        'blotter.open': { actions: 'open' },
        'blotter.pass': { actions: 'pass' },
        'blotter.close': { actions: 'close' },
        'order.*': { actions: 'tell' },
        'tws.*': { actions: 'tell' },
        'xstate.error.actor.*': { actions: 'tell' },
      },
    },
  },
});

export type Blotters = { readonly [id: BlotterId]: ActorRefFrom<typeof blotterMachine> | undefined };

/** The living actor of an order, among the children of the desk. */
export const orderActor = (
  blotters: Blotters,
  clientOrderId: string,
): ActorRefFrom<typeof orderMachine> | undefined =>
  blotters[blotterOf(clientOrderId)]?.getSnapshot().children[actorId(clientOrderId)];
