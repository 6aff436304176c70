import type { OrderTicket } from '../../../machines/order.ts';
import type { Checker } from '../observation.ts';

const sameTerms = (a: OrderTicket, b: OrderTicket): boolean =>
  a.clientOrderId === b.clientOrderId &&
  a.side === b.side &&
  a.instrument === b.instrument &&
  a.type === b.type &&
  a.account === b.account &&
  a.quantity === b.quantity &&
  a.limitPrice === b.limitPrice &&
  a.stopPrice === b.stopPrice;

/**
 * Nothing is sent that no durable intent asked for: an order once, under an id never used before, with the terms of the
 * intent, and none while trading is halted.
 */
export const onlyWhatWasAsked = (): Checker => {
  const intents = new Map<string, { readonly ticket: OrderTicket; readonly orderId: number }>();
  const changes = new Map<string, number>();
  const sent = new Map<number, string>();
  const asked = new Set<string>();
  return {
    name: 'only what was asked is sent',
    hears: ['asked', 'durable', 'placed'],
    *hear(observation) {
      if (observation.type === 'asked') {
        for (const { clientOrderId } of observation.tickets) asked.add(clientOrderId);
        return;
      }
      if (observation.type === 'durable' && observation.entry.kind === 'order') {
        const { fact } = observation.entry;
        const { clientOrderId } = fact;
        const intent = intents.get(clientOrderId);
        if (fact.type === 'order.requested') {
          const { ticket, orderId } = fact;
          if (!asked.has(clientOrderId)) yield `nobody asked for ${clientOrderId}`;
          if (intent) yield `${clientOrderId} was requested twice`;
          intents.set(clientOrderId, { ticket, orderId });
        }
        // Refused for its number, and asked for again under a fresh one.
        if (fact.type === 'order.renumbered' && intent)
          intents.set(clientOrderId, { ...intent, orderId: fact.orderId });
        if (fact.type === 'order.modifyRequested')
          // A child whose parent is gone is refused once, and changed on its own.
          changes.set(clientOrderId, (changes.get(clientOrderId) ?? 0) + 2);
        return;
      }
      if (observation.type !== 'placed') return;
      const { command, state } = observation;
      const { orderId, ticket, modification } = command;
      const { clientOrderId } = ticket;
      const intent = intents.get(clientOrderId);
      if (intent === undefined || intent.orderId !== orderId) {
        yield `#${orderId} ${clientOrderId} was sent before its intent was durable`;
        return;
      }
      if (modification) {
        const left = changes.get(clientOrderId) ?? 0;
        if (left === 0) yield `a change of ${clientOrderId} was sent that no durable request asked for`;
        changes.set(clientOrderId, left - 1);
        return;
      }
      const former = sent.get(orderId);
      if (former !== undefined)
        yield `order id ${orderId} was used for ${former} and again for ${clientOrderId}`;
      sent.set(orderId, clientOrderId);
      if (!sameTerms(intent.ticket, ticket))
        yield `${clientOrderId} was sent with terms that nobody asked for`;
      if (state === 'halted') yield `${clientOrderId} was sent while trading was halted`;
    },
  };
};
