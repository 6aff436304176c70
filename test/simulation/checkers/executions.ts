import { equals, toDecimal } from '../../../machines/decimal.ts';
import { executionFamily } from '../../../machines/order.ts';
import type { Execution } from '../../../src/simulator/model.ts';
import type { Checker } from '../observation.ts';

const everything = {
  clientId: 0,
  account: '',
  since: null,
  symbol: '',
  secType: '',
  exchange: '',
  side: '',
};

/** Each execution is booked exactly once, in its last revision, with its commission, in the ledger and in its order. */
export const executionsOnce: Checker = {
  name: 'executions exactly once',
  *atRest({ exchange, journal, orders }) {
    const newest = new Map<string, Execution>();
    for (const execution of exchange.executions(everything))
      newest.set(executionFamily(execution.execId), execution);
    const { rows } = journal.executions({ limit: 1_000_000, after: null });
    const booked = new Map<string, (typeof rows)[number]>();
    for (const row of rows) {
      const family = executionFamily(row.execId);
      if (booked.has(family)) yield `${family} is booked twice`;
      booked.set(family, row);
      if (!newest.has(family)) yield `${row.execId} is booked and the broker has no such execution`;
    }
    const fills = orders.flatMap(({ clientOrderId, fills: each }) =>
      each.map((fill) => ({ ...fill, clientOrderId })),
    );
    for (const [family, execution] of newest) {
      const { execId, shares, price, permId } = execution;
      const row = booked.get(family);
      if (row === undefined) {
        yield `${execId} of perm ${permId} is not booked`;
        continue;
      }
      if (row.execId !== execId) yield `${family} is booked as ${row.execId}, its last revision is ${execId}`;
      if (!equals(row.quantity, toDecimal(shares) ?? '0') || !equals(row.price, toDecimal(price) ?? '0'))
        yield `${execId} is booked as ${row.quantity} at ${row.price}, it was ${shares} at ${price}`;
      const report = exchange.commissionReport(execId);
      if (report !== null && shares > 0 && row.commission !== toDecimal(report.commission))
        yield `${execId} is booked with the commission ${row.commission}, it was ${report.commission}`;
      const own = fills.filter((fill) => executionFamily(fill.execId) === family);
      if (own.length !== (shares > 0 ? 1 : 0))
        yield `${execId} (${shares} shares) is a fill of ${own.length} orders`;
      const [fill] = own;
      if (fill === undefined) continue;
      if (fill.clientOrderId !== row.clientOrderId)
        yield `${execId} is a fill of ${fill.clientOrderId} and booked for ${row.clientOrderId}`;
      if (fill.execId !== execId || !equals(fill.quantity, toDecimal(shares) ?? '0'))
        yield `${fill.clientOrderId} has ${fill.quantity} of ${fill.execId}, the broker ${shares} of ${execId}`;
      if (report !== null && fill.commission !== row.commission)
        yield `${execId} costs ${fill.commission} in its order and ${row.commission} in the ledger`;
    }
  },
};
