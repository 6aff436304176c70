import type { Checker } from '../observation.ts';

/** No doubt lasts in silence: whoever waits for an order is told that its fate is not known. */
const silenceMaxMs = 30_000;

export const doubtsAreTold = (): Checker => {
  const doubted = new Map<string, { readonly since: number; isTold: boolean }>();
  return {
    name: 'doubts are told',
    hears: ['durable'],
    *hear(observation) {
      if (observation.type !== 'durable') return;
      const { entry } = observation;
      if (entry.kind === 'alert') {
        const told = doubted.get(String(entry.detail.clientOrderId));
        if (told !== undefined) told.isTold = true;
        return;
      }
      if (entry.kind !== 'order') return;
      const { clientOrderId, state } = entry.order;
      if (state !== 'inDoubt') {
        doubted.delete(clientOrderId);
        return;
      }
      const doubt = doubted.get(clientOrderId);
      if (doubt === undefined) doubted.set(clientOrderId, { since: entry.fact.at, isTold: false });
      else if (!doubt.isTold && entry.fact.at - doubt.since > silenceMaxMs)
        yield `${clientOrderId} has been in doubt since ${doubt.since} and nobody was told`;
    },
  };
};
