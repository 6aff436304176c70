import { compare } from '../../../machines/decimal.ts';
import type { Checker } from '../observation.ts';

/** What an order has filled never falls, but by a correction; what is durable of it only gets newer. */
export const fillsOnlyGrow = (): Checker => {
  const filled = new Map<string, string>();
  const versions = new Map<string, number>();
  return {
    name: 'fills only grow',
    hears: ['durable'],
    *hear(observation) {
      if (observation.type !== 'durable' || observation.entry.kind !== 'order') return;
      const { fact, order } = observation.entry;
      const { clientOrderId, filledQuantity, version } = order;
      const before = filled.get(clientOrderId) ?? '0';
      if (compare(filledQuantity, before) < 0 && fact.type !== 'order.corrected')
        yield `${clientOrderId} fell from ${before} to ${filledQuantity} by ${fact.type}`;
      if (version < (versions.get(clientOrderId) ?? 0))
        yield `${clientOrderId} went from version ${versions.get(clientOrderId)} to ${version} by ${fact.type}`;
      filled.set(clientOrderId, filledQuantity);
      versions.set(clientOrderId, version);
    },
  };
};
