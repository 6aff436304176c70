import type { Checker } from '../observation.ts';

/** A name means one order for ever: created once, and the answer to its repetition is that order, also after a crash. */
export const answersAgree = (): Checker => {
  const asks = new Map<string, readonly string[]>();
  const created = new Map<string, number | null>();
  return {
    name: 'one answer for one name',
    hears: ['asked', 'durable', 'answered'],
    *hear(observation) {
      if (observation.type === 'asked')
        asks.set(
          observation.requestId,
          observation.tickets.map(({ clientOrderId }) => clientOrderId),
        );
      if (observation.type === 'durable' && observation.entry.kind === 'order') {
        const { fact } = observation.entry;
        if (fact.type === 'order.renumbered' && created.has(fact.clientOrderId))
          created.set(fact.clientOrderId, fact.orderId);
      }
      if (observation.type !== 'answered') return;
      const { requestId, answer } = observation;
      const names = asks.get(requestId);
      if (names === undefined) return;
      for (const name of names) {
        const former = created.get(name);
        const order = answer.orders.find(({ clientOrderId }) => clientOrderId === name);
        if (former !== undefined && answer.outcome !== 'existing' && answer.outcome !== 'conflict')
          yield `${name} was created and later ${answer.outcome}`;
        if (former !== undefined && order && order.orderId !== former)
          yield `${name} was order id ${former} and is ${order.orderId}`;
        if (answer.outcome === 'created') created.set(name, order?.orderId ?? null);
      }
    },
  };
};
