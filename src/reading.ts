/** What clients may read: living views first, the journal for the rest. */
import { isZero } from '../machines/decimal.ts';
import { discrepancyView } from '../machines/discrepancy.ts';
import { isClosed } from '../machines/evidence.ts';
import { type PositionRow, positionRow } from '../machines/ledger.ts';
import type { Order } from '../machines/order.ts';
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

/** An order, and whether the broker's own lists of this session have confirmed what is shown of it. */
interface ConfirmedOrder extends Order {
  readonly confirmed: boolean;
}

const timeOrNull = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());

const positionsByKey = (runtime: Runtime) =>
  Object.entries(runtime.child('ledger').getSnapshot().context.positions).filter(
    ([, position]) => !isZero(position.quantity),
  );

/** Every position that is not flat. */
export const openPositions = (runtime: Runtime): PositionRow[] =>
  positionsByKey(runtime).map(([, position]) => positionRow(position));

export function createReading(
  runtime: Runtime,
  observer: Observer,
  now: () => number = Date.now,
): ReadingPort {
  const { journal } = runtime;

  /** How old what we know of each account's money is. The age counts from the last time that TWS said anything of it. */
  const accountVerdicts = (at: number) => {
    const { accounts, sessionId } = runtime.root.getSnapshot().context;
    const readySince = runtime.child('tws').getSnapshot().context.readySince;
    return accounts.map((account) => {
      let newest: number | null = null;
      for (const value of runtime.accountValues.values())
        if (value.account === account) newest = Math.max(newest ?? 0, Date.parse(value.at));
      const isOfSession =
        sessionId !== null && newest !== null && readySince !== null && newest >= readySince;
      return {
        account,
        outcome: isOfSession ? ('complete' as const) : ('asking' as const),
        at: timeOrNull(newest),
        ageMs: newest === null ? null : Math.max(0, at - newest),
      };
    });
  };

  /** After a gap an open order is only what was last heard of it, until lists asked for after the gap have been weighed. */
  const viewed = (order: Order): ConfirmedOrder => ({
    ...order,
    confirmed:
      isClosed(order) || (runtime.root.getSnapshot().context.isConfirmed && order.state !== 'inDoubt'),
  });

  return {
    orders(query) {
      const { rows, next } = journal.orders(query);
      const orders = rows.map((order) => runtime.order(order.clientOrderId) ?? order);
      // The journal's own index is behind while the disk is.
      const shown = query.state === 'open' ? orders.filter((order) => !isClosed(order)) : orders;
      return { rows: shown.map(viewed), next };
    },
    order(clientOrderId) {
      const order = runtime.order(clientOrderId);
      return order && viewed(order);
    },
    executions: (query) => journal.executions(query),
    positions({ limit, after }) {
      const rows = positionsByKey(runtime).sort(([a], [b]) => (a < b ? -1 : 1));
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
      // A summary is of one account: of the first that has values.
      const first = accounts.find((account) => values.some((value) => value.account === account));
      const summary = Object.fromEntries(
        Object.entries(summaryKeys).flatMap(([name, key]) => {
          const found = values.find(
            (value) => value.account === first && value.key === key && value.currency !== 'BASE',
          );
          return found ? [[name, found.value]] : [];
        }),
      );
      return {
        accounts,
        values,
        summary: Object.keys(summary).length > 0 ? summary : null,
        balances: accountVerdicts(now()),
      };
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
    awaitedLists: () => runtime.awaitedLists(),
    latestReconciliation() {
      const { reconciliation } = runtime.root.getSnapshot().context;
      if (!reconciliation) return null;
      const { sessionId, since, at, lists, conclusive, day } = reconciliation;
      const { book, coveredAt } = runtime.child('audit').getSnapshot().context;
      const { account: accountList } = runtime.child('reconciliation').getSnapshot().context.lists;
      const readAt = now();
      return {
        sessionId,
        startedAt: new Date(since).toISOString(),
        completedAt: new Date(at).toISOString(),
        conclusive,
        lists: [...lists, accountList].map((list) => ({
          ...list,
          since: timeOrNull(list.since),
          at: timeOrNull(list.at),
        })),
        accounts: accountVerdicts(readAt),
        executions: {
          completeUntil: timeOrNull(coveredAt),
          dayBegan: timeOrNull(day?.from ?? null),
          dayEnds: timeOrNull(day?.to ?? null),
        },
        discrepancies: [...book.open, ...book.done.toReversed()].map((discrepancy) =>
          discrepancyView(discrepancy, readAt),
        ),
      };
    },
    journal: (query) => ({
      records: journal.records(query),
      lastSeq: journal.lastSeq(),
      epoch: journal.epoch(),
    }),
    onRecord: (listener) => runtime.onRecord(listener),
  };
}

const encode = (key: string): string => Buffer.from(`p${key}`).toString('base64url');
const decode = (cursor: string): string => Buffer.from(cursor, 'base64url').toString().slice(1);
