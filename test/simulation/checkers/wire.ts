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
    *hear(observation) {
      if (observation.type === 'asked') {
        for (const { clientOrderId } of observation.tickets) asked.add(clientOrderId);
        return;
      }
      if (observation.type === 'durable' && observation.entry.kind === 'order') {
        const { fact } = observation.entry;
        if (fact.type === 'order.requested') {
          const { clientOrderId, ticket, orderId } = fact;
          if (!asked.has(clientOrderId)) yield `nobody asked for ${clientOrderId}`;
          if (intents.has(clientOrderId)) yield `${clientOrderId} was requested twice`;
          intents.set(clientOrderId, { ticket, orderId });
        }
        if (fact.type === 'order.modifyRequested')
          changes.set(fact.clientOrderId, (changes.get(fact.clientOrderId) ?? 0) + 1);
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
