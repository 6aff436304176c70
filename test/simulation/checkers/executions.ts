import { listsLateMs } from '../../../machines/audit.machine.ts';
import { add, equals, toDecimal } from '../../../machines/decimal.ts';
import { executionFamily } from '../../../machines/order.ts';
import type { Checker } from '../observation.ts';

/** Each execution is booked exactly once, in its last revision, with its commission, in the ledger and in its order. */
export const executionsOnce: Checker = {
  name: 'executions exactly once',
  *atRest(world) {
    const { history, journal, orders, dayStart, gaps, emptied, doubtedPositions, missingOrders, knownSince } =
      world;
    const lastLists = dayStart - listsLateMs;
    const { executions, commissions } = history;
    const { rows } = journal.executions({ limit: 1_000_000, after: null });
    const booked = new Map<string, (typeof rows)[number]>();
    for (const row of rows) {
      const family = executionFamily(row.execId);
      if (booked.has(family)) yield `${family} is booked twice`;
      booked.set(family, row);
      if (!executions.has(family)) yield `${row.execId} is booked and the broker has no such execution`;
    }
    const fills = orders.flatMap(({ clientOrderId, fills: each }) =>
      each.map((fill) => ({ ...fill, clientOrderId })),
    );
    const combinations = new Set(
      orders.filter(({ contract }) => contract.secType === 'BAG').flatMap(({ permIds }) => permIds),
    );
    for (const [family, execution] of executions) {
      const { execId, shares, price, permId, time } = execution;
      // What TWS no longer lists may be missed, when that is told.
      const isPast = time < dayStart;
      const row = booked.get(family);
      if (row === undefined) {
        const names = [...doubtedPositions].filter((name) => name.startsWith(`${execution.account}|`));
        const holder =
          orders.find(({ permIds }) => permIds.includes(String(permId))) ??
          orders.find(({ clientOrderId }) => clientOrderId === execution.orderRef);
        const isTold =
          time < knownSince ||
          // Busted before anyone heard of it: nothing was traded.
          shares === 0 ||
          // Others traded after the last true list of the day, and the position was back before the next lists.
          ((holder === undefined || holder.origin === 'external') &&
            (time > lastLists || emptied.some((at) => time <= at && at > lastLists))) ||
          // The order says that fills were stated which no execution explains.
          holder?.statedFilled !== undefined ||
          (holder !== undefined && missingOrders.has(holder.clientOrderId)) ||
          gaps.some(({ from, to }) => from <= time && time <= to) ||
          names.some((name) => name.includes(execution.contract.localSymbol)) ||
          (execution.contract.secType === 'BAG' && names.length > 0);
        if (!isPast || !isTold) yield `${execId} of perm ${permId} is not booked`;
        continue;
      }
      if (row.execId !== execId && isPast) continue;
      if (row.execId !== execId) yield `${family} is booked as ${row.execId}, its last revision is ${execId}`;
      if (!equals(row.quantity, toDecimal(shares) ?? '0') || !equals(row.price, toDecimal(price) ?? '0'))
        yield `${execId} is booked as ${row.quantity} at ${row.price}, it was ${shares} at ${price}`;
      const report = commissions.get(execId);
      if (report && shares > 0 && row.commission !== toDecimal(report.commission) && !isPast)
        yield `${execId} is booked with the commission ${row.commission}, it was ${report.commission}`;
      const own = fills.filter((fill) => executionFamily(fill.execId) === family);
      // A combination is filled by its own line; those of its legs only move positions.
      const isLeg = combinations.has(String(permId)) && execution.contract.secType !== 'BAG';
      if (own.length !== (shares > 0 && !isLeg ? 1 : 0))
        yield `${execId} (${shares} shares) is a fill of ${own.length} orders`;
      const leg = isLeg
        ? orders
            .flatMap(({ legFills = [] }) => legFills)
            .find((each) => executionFamily(each.execId) === family)
        : undefined;
      if (isLeg && leg?.execId !== execId) yield `${execId} is ${leg?.execId ?? 'no leg'} in its combo`;
      if (leg && report && leg.commission !== row.commission)
        yield `${execId} costs ${leg.commission} in its combo and ${row.commission} in the ledger`;
      const [fill] = own;
      if (fill === undefined) continue;
      if (fill.clientOrderId !== row.clientOrderId)
        yield `${execId} is a fill of ${fill.clientOrderId} and booked for ${row.clientOrderId}`;
      if (fill.execId !== execId || !equals(fill.quantity, toDecimal(shares) ?? '0'))
        yield `${fill.clientOrderId} has ${fill.quantity} of ${fill.execId}, the broker ${shares} of ${execId}`;
      if (report && fill.commission !== row.commission)
        yield `${execId} costs ${fill.commission} in its order and ${row.commission} in the ledger`;
    }
    for (const { clientOrderId, legFills, commission } of orders) {
      const told = (legFills ?? []).flatMap((leg) => leg.commission ?? []);
      const sum = told.reduce(add, '0');
      if (told.length > 0 && commission !== sum)
        yield `${clientOrderId} costs ${commission}, the commissions of its legs are ${sum}`;
    }
  },
};
