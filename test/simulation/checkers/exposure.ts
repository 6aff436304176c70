import { add, compare, equals, isZero, toDecimal } from '../../../machines/decimal.ts';
import { isClosed } from '../../../machines/evidence.ts';
import { fillable } from '../../../machines/incarnation.ts';
import type { Order } from '../../../machines/order.ts';
import { isOutdated } from '../history.ts';
import type { Checker } from '../observation.ts';

const mayFill = (order: Order): string => add(fillable(order).newest, fillable(order).older);

/** What the gate has reserved is what open orders may still do; of closed ones nothing is left. */
export const exposureReleased: Checker = {
  name: 'exposure reserved and released',
  *atRest({ gate, orders, exchange, history, dayStart }) {
    const byName = new Map(orders.map((order) => [order.clientOrderId, order]));
    for (const [name, { remaining }] of Object.entries(gate.exposures)) {
      const order = byName.get(name);
      if (!order || isClosed(order))
        yield `${remaining} are reserved for ${name}, which is ${order?.state ?? 'unknown'}`;
      else if (!equals(mayFill(order), remaining))
        yield `${remaining} are reserved for ${name}, ${mayFill(order)} may fill`;
    }
    const open = exchange.openOrders();
    for (const order of orders) {
      const broker = open.filter(({ permId }) => order.permIds.includes(String(permId)));
      const working = broker.reduce((sum, { remaining }) => sum + remaining, 0);
      if (isOutdated(order, history, dayStart)) continue;
      const reserved = gate.exposures[order.clientOrderId]?.remaining ?? '0';
      if (compare(reserved, toDecimal(working) ?? '0') < 0)
        yield `${reserved} are reserved for ${order.clientOrderId}, and ${working} may fill at the broker`;
      if (!isClosed(order) && !isZero(order.remainingQuantity) && !gate.exposures[order.clientOrderId])
        yield `nothing is reserved for ${order.clientOrderId}, which is ${order.state}`;
    }
  },
};
