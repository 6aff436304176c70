/** What clients may read: living views first, the journal for the rest. */
import { isZero } from '../machines/decimal.ts';
import { positionRow } from '../machines/ledger.ts';
import type { ReadingPort } from './http/options.ts';
import type { Observer } from './observer.ts';
import type { Runtime } from './runtime.ts';

/** Account values that the summary shows, by their name in the API. */
const summaryKeys: Readonly<Record<string, string>> = {
  netLiquidation: 'NetLiquidation',
  totalCashValue: 'TotalCashValue',
  settledCash: 'SettledCash',
  buyingPower: 'BuyingPower',
  availableFunds: 'AvailableFunds',
  excessLiquidity: 'ExcessLiquidity',
  equityWithLoanValue: 'EquityWithLoanValue',
  grossPositionValue: 'GrossPositionValue',
  initialMargin: 'InitMarginReq',
  maintenanceMargin: 'MaintMarginReq',
  realizedPnl: 'RealizedPnL',
  unrealizedPnl: 'UnrealizedPnL',
};

export function createReading(runtime: Runtime, observer: Observer): ReadingPort {
  const { journal } = runtime;
  return {
    orders(query) {
      const { rows, next } = journal.orders(query);
      return { rows: rows.map((order) => runtime.order(order.clientOrderId) ?? order), next };
    },
    order: (clientOrderId) => runtime.order(clientOrderId),
    executions: (query) => journal.executions(query),
    positions({ limit, after }) {
      const rows = Object.entries(runtime.child('ledger').getSnapshot().context.positions)
        .filter(([, position]) => !isZero(position.quantity))
        .sort(([a], [b]) => (a < b ? -1 : 1));
      const start = after === null ? 0 : rows.findIndex(([key]) => key === decode(after)) + 1;
      if (after !== null && start === 0)
        throw new RangeError('after: not a cursor of this list, or its row is gone');
      const shown = rows.slice(start, start + limit);
      const last = shown.at(-1);
      return {
        rows: shown.map(([, position]) => positionRow(position)),
        next: rows.length > start + limit && last ? encode(last[0]) : null,
      };
    },
    account() {
      const { accounts } = runtime.root.getSnapshot().context;
      const values = [...runtime.accountValues.values()];
      const summary = Object.fromEntries(
        Object.entries(summaryKeys).flatMap(([name, key]) => {
          const found = values.find((value) => value.key === key && value.currency !== 'BASE');
          return found ? [[name, found.value]] : [];
        }),
      );
      return { accounts, values, summary: Object.keys(summary).length > 0 ? summary : null };
    },
    pnl: () => ({
      accounts: [...runtime.pnl.values()].map(({ account, daily, unrealized, realized, at }) => ({
        account,
        daily,
        unrealized,
        realized,
        at: new Date(at).toISOString(),
      })),
    }),
    actors: () => observer.rows(),
    latestReconciliation() {
      const { reconciliation } = runtime.root.getSnapshot().context;
      if (!reconciliation) return null;
      const { sessionId, since, at, lists, conclusive } = reconciliation;
      return {
        sessionId,
        startedAt: new Date(since).toISOString(),
        completedAt: new Date(at).toISOString(),
        conclusive,
        lists: lists.map((list) => ({
          ...list,
          at: list.at === null ? null : new Date(list.at).toISOString(),
        })),
      };
    },
    journal: (query) => ({ records: journal.records(query), lastSeq: journal.lastSeq() }),
    onRecord: (listener) => runtime.onRecord(listener),
  };
}

const encode = (key: string): string => Buffer.from(`p${key}`).toString('base64url');
const decode = (cursor: string): string => Buffer.from(cursor, 'base64url').toString().slice(1);
