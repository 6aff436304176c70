/** Everything that ever happened in the book, whatever TWS still lists of it. */
import { executionFamily, type Order } from '../../machines/order.ts';
import type { BookOrder, CommissionReport, Exchange, Execution } from '../../src/simulator/model.ts';

export interface History {
  /** permId -> the newest picture of the order */
  readonly orders: ReadonlyMap<number, BookOrder>;
  /** family -> its newest revision */
  readonly executions: ReadonlyMap<string, Execution>;
  /** execId -> its report */
  readonly commissions: ReadonlyMap<string, CommissionReport>;
}

export function writeHistory(exchange: Exchange): History {
  const orders = new Map<number, BookOrder>();
  const executions = new Map<string, Execution>();
  const commissions = new Map<string, CommissionReport>();
  exchange.onEvent((event) => {
    switch (event.type) {
      case 'openOrder':
      case 'orderStatus':
        orders.set(event.order.permId, event.order);
        return;
      case 'execution':
        executions.set(executionFamily(event.execution.execId), event.execution);
        return;
      case 'commission':
        commissions.set(event.report.execId, event.report);
        return;
      case 'orderError':
      case 'position':
      case 'account':
        return;
    }
  });
  return { orders, executions, commissions };
}

/**
 * A fill of it was corrected or busted before the day that TWS lists, and nobody heard: the lists of the new day hold
 * neither the correction nor what it corrects.
 */
export const isOutdated = ({ permIds, fills }: Order, { executions }: History, dayStart: number): boolean =>
  fills.some(({ execId }) => {
    const now = executions.get(executionFamily(execId));
    return (
      now !== undefined &&
      now.execId !== execId &&
      now.time < dayStart &&
      permIds.includes(String(now.permId))
    );
  });
