/** Account values, portfolio and profit and loss: one stream of account updates, as TWS allows no second one. */
import { EventName } from '@stoqey/ib';
import { type Decimal, round } from '../../machines/decimal.ts';
import type { Contract } from '../../machines/instrument.ts';
import type { AccountValue } from '../../machines/tws.ts';
import { decimalOf, toContract } from './translate.ts';
import type { Venues } from './venues.ts';
import type { Wire } from './wire.ts';

/** One position as TWS values it. */
export interface PortfolioRow {
  readonly account: string;
  readonly contract: Contract;
  readonly quantity: Decimal;
  readonly marketPrice: Decimal | null;
  readonly marketValue: Decimal | null;
  readonly averageCost: Decimal | null;
  readonly unrealizedPnl: Decimal | null;
  readonly realizedPnl: Decimal | null;
  /** ms */
  readonly at: number;
}

/** Profit and loss of one account. */
export interface PnlRow {
  readonly account: string;
  readonly daily: Decimal | null;
  readonly unrealized: Decimal | null;
  readonly realized: Decimal | null;
  /** ms */
  readonly at: number;
}

export interface Account {
  onAccountValue(listener: (value: AccountValue) => void): () => void;
  onPortfolio(listener: (row: PortfolioRow) => void): () => void;
  onPnl(listener: (row: PnlRow) => void): () => void;
  /** Tells those who listen to values of a whole summary. */
  tell(values: readonly AccountValue[]): void;
  attach(wire: Wire): void;
  /** The session is ready: asks TWS for the streams that somebody listens to. */
  start(wire: Wire): void;
  detach(): void;
  /** True when the id is of one of these streams. */
  error(id: number): boolean;
}

/** What the summary tells of the accounts beyond the first. */
const summaryTags =
  'NetLiquidation,TotalCashValue,SettledCash,BuyingPower,EquityWithLoanValue,GrossPositionValue,InitMarginReq,MaintMarginReq,AvailableFunds,ExcessLiquidity';

/** Sums of money come as binary doubles, with the dust of their additions (`-1.9099999999998545`). */
const amountOf = (value: number | undefined | null): Decimal | null => {
  const amount = decimalOf(value);
  return amount === null ? null : round(amount, 8);
};

export function createAccount(nextId: () => number, venues: Venues): Account {
  const valueListeners = new Set<(value: AccountValue) => void>();
  const portfolioListeners = new Set<(row: PortfolioRow) => void>();
  const pnlListeners = new Set<(row: PnlRow) => void>();
  let ready: Wire | null = null;
  let updatesAsked = false;
  let summaryId: number | null = null;
  const pnlAccounts = new Map<number, string>();

  const askUpdates = (): void => {
    const account = ready?.accounts[0];
    if (!ready || updatesAsked || account === undefined) return;
    if (valueListeners.size === 0 && portfolioListeners.size === 0) return;
    updatesAsked = true;
    ready.send('data', 'accountUpdates', (api) => api.reqAccountUpdates(true, account));
    if (ready.accounts.length > 1) {
      const id = nextId();
      summaryId = id;
      ready.send('data', 'accountSummary', (api) => api.reqAccountSummary(id, 'All', summaryTags));
    }
  };
  const askPnl = (): void => {
    if (!ready || pnlAccounts.size > 0 || pnlListeners.size === 0) return;
    for (const account of ready.accounts) {
      const id = nextId();
      pnlAccounts.set(id, account);
      ready.send('data', `pnl:${account}`, (api) => api.reqPnL(id, account));
    }
  };
  const joining = <T>(listeners: Set<T>, listener: T, ask: () => void): (() => void) => {
    listeners.add(listener);
    ask();
    return () => listeners.delete(listener);
  };

  return {
    onAccountValue: (listener) => joining(valueListeners, listener, askUpdates),
    onPortfolio: (listener) => joining(portfolioListeners, listener, askUpdates),
    onPnl: (listener) => joining(pnlListeners, listener, askPnl),
    tell(values) {
      for (const value of values) for (const listener of valueListeners) listener(value);
    },

    attach(wire) {
      const { connection } = wire;
      const { api } = connection;
      const emitValue = (account: string, key: string, value: string, currency: string): void => {
        const row = { account, key, value, currency, at: new Date(connection.readAt).toISOString() };
        for (const listener of valueListeners) listener(row);
      };
      api.on(EventName.updateAccountValue, (key, value, currency, account) =>
        emitValue(account || (wire.accounts[0] ?? ''), key, value, currency),
      );
      api.on(EventName.accountSummary, (id, account, tag, value, currency) => {
        if (id === summaryId && account !== wire.accounts[0]) emitValue(account, tag, value, currency);
      });
      api.on(
        EventName.updatePortfolio,
        (contract, position, marketPrice, marketValue, averageCost, unrealized, realized, account) => {
          const row: PortfolioRow = {
            account: account || (wire.accounts[0] ?? ''),
            contract: toContract(contract),
            quantity: decimalOf(position) ?? '0',
            marketPrice: decimalOf(marketPrice),
            marketValue: amountOf(marketValue),
            averageCost: decimalOf(averageCost),
            unrealizedPnl: amountOf(unrealized),
            realizedPnl: amountOf(realized),
            at: connection.readAt,
          };
          venues.inOrder(row.contract, (placed) => {
            for (const listener of portfolioListeners) listener({ ...row, contract: placed });
          });
        },
      );
      api.on(EventName.pnl, (id, daily, unrealized, realized) => {
        const account = pnlAccounts.get(id);
        if (account === undefined) return;
        const row: PnlRow = {
          account,
          daily: amountOf(daily),
          unrealized: amountOf(unrealized),
          realized: amountOf(realized),
          at: connection.readAt,
        };
        for (const listener of pnlListeners) listener(row);
      });
    },

    start(wire) {
      ready = wire;
      askUpdates();
      askPnl();
    },

    detach() {
      ready = null;
      updatesAsked = false;
      summaryId = null;
      pnlAccounts.clear();
    },

    error: (id) => id === summaryId || pnlAccounts.has(id),
  };
}
