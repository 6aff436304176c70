import { equals, isZero } from '../../../machines/decimal.ts';
import { isClosed } from '../../../machines/evidence.ts';
import type { Checker } from '../observation.ts';

/** What the gate has reserved is what open orders may still do; of closed ones nothing is left. */
export const exposureReleased: Checker = {
  name: 'exposure reserved and released',
  *atRest({ gate, orders }) {
    const byName = new Map(orders.map((order) => [order.clientOrderId, order]));
    for (const [name, { remaining }] of Object.entries(gate.exposures)) {
      const order = byName.get(name);
      if (!order || isClosed(order))
        yield `${remaining} are reserved for ${name}, which is ${order?.state ?? 'unknown'}`;
      else if (!equals(order.remainingQuantity, remaining))
        yield `${remaining} are reserved for ${name}, ${order.remainingQuantity} remain`;
    }
    for (const order of orders) {
      if (!isClosed(order) && !isZero(order.remainingQuantity) && !gate.exposures[order.clientOrderId])
        yield `nothing is reserved for ${order.clientOrderId}, which is ${order.state}`;
    }
  },
};
