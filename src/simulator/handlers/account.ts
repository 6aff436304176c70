import type { AccountValue, Position } from '../model.ts';
import { positionContract } from '../wire/contracts.ts';
import { wallTime } from '../wire/dates.ts';
import { double } from '../wire/fields.ts';
import { type Field, joinFields } from '../wire/frames.ts';
import { OUT } from '../wire/names.ts';
import type { RequestOf } from '../wire/requests.ts';
import { invalid, type Link, type Stop, unprocessed } from './link.ts';

const SUMMARY_EVERY_MS = 180_000;
const PNL_EVERY_MS = 1000;
/** Changes within this time go out together. */
const SETTLE_MS = 100;

/** Remembers what was sent per key and lets only changes through. */
class Changes {
  readonly #sent = new Map<string, string>();

  /** True when these fields differ from the last ones under this key. */
  note(key: string, fields: readonly Field[]): boolean {
    const text = joinFields(fields);
    if (this.#sent.get(key) === text) return false;
    this.#sent.set(key, text);
    return true;
  }
}

interface Updates {
  readonly account: string;
  readonly changes: Changes;
}

/** Account data of one connection. */
export class Account {
  readonly #link: Link;
  #updates: Updates | null = null;
  #isSettling = false;
  #hearsPositions = false;
  readonly #summaries = new Map<number, Stop>();
  readonly #positionsMulti = new Map<number, { readonly account: string; readonly modelCode: string }>();
  readonly #updatesMulti = new Map<
    number,
    Updates & { readonly modelCode: string; readonly ledgerOnly: boolean }
  >();
  readonly #pnl = new Map<number, Stop>();
  readonly #pnlSingle = new Map<number, Stop>();

  constructor(link: Link) {
    this.#link = link;
  }

  /** reqAccountUpdates: one at a time; a second account replaces the first. */
  updates(subscribe: boolean, wanted: string): void {
    const link = this.#link;
    const account = wanted === '' ? (link.exchange.accounts[0] ?? '') : wanted;
    if (!link.exchange.accounts.includes(account)) {
      link.error(-1, 321, invalid(`Invalid account code '${account}'.`));
      return;
    }
    if (!subscribe) {
      this.#updates = null;
      return;
    }
    if (this.#updates !== null && this.#updates.account !== account) {
      link.error(
        -1,
        2100,
        'New account data requested from TWS.  API client has been unsubscribed from account data.',
      );
    }
    this.#updates = { account, changes: new Changes() };
    this.#sendUpdates(this.#updates);
    link.send([OUT.accountDownloadEnd, 1, account]);
  }

  summary(request: RequestOf<'reqAccountSummary'>): void {
    const link = this.#link;
    const { reqId } = request;
    const { accountSummaries } = link.limits;
    if (this.#summaries.has(reqId)) {
      link.error(reqId, 322, unprocessed('Duplicate ticker id'));
      return;
    }
    if (accountSummaries > 0 && this.#summaries.size >= accountSummaries) {
      link.error(reqId, 322, unprocessed('Maximum number of account summary requests exceeded'));
      return;
    }
    if (request.group !== '' && request.group !== 'All') {
      link.error(reqId, 321, invalid(`Unknown account group "${request.group}"; there is only All`));
      return;
    }
    const tags = request.tags.split(',').map((tag) => tag.trim());
    const changes = new Changes();
    const send = (): void => {
      for (const row of this.#summaryRows(tags)) {
        const fields: Field[] = [OUT.accountSummary, 1, reqId, row.account, row.key, row.value, row.currency];
        if (changes.note(`${row.account} ${row.key} ${row.currency}`, fields)) link.send(fields);
      }
    };
    send();
    link.send([OUT.accountSummaryEnd, 1, reqId]);
    this.#summaries.set(reqId, link.every(SUMMARY_EVERY_MS, send));
  }

  cancelSummary(reqId: number): void {
    this.#summaries.get(reqId)?.();
    this.#summaries.delete(reqId);
  }

  positions(): void {
    this.#hearsPositions = true;
    for (const position of this.#link.book.positions()) {
      if (position.position !== 0) this.#sendPosition(position);
    }
    this.#link.send([OUT.positionEnd, 1]);
  }

  cancelPositions(): void {
    this.#hearsPositions = false;
  }

  positionsMulti({ reqId, account, modelCode }: RequestOf<'reqPositionsMulti'>): void {
    if (!this.#isAccount(reqId, account)) return;
    const wanted = { account, modelCode };
    this.#positionsMulti.set(reqId, wanted);
    for (const position of this.#link.book.positions()) {
      if (position.position !== 0) this.#sendPositionMulti(reqId, wanted, position);
    }
    this.#link.send([OUT.positionMultiEnd, 1, reqId]);
  }

  cancelPositionsMulti(reqId: number): void {
    this.#positionsMulti.delete(reqId);
  }

  updatesMulti({ reqId, account, modelCode, ledgerAndNlv }: RequestOf<'reqAccountUpdatesMulti'>): void {
    if (!this.#isAccount(reqId, account)) return;
    const wanted = { account, modelCode, ledgerOnly: ledgerAndNlv, changes: new Changes() };
    this.#updatesMulti.set(reqId, wanted);
    this.#sendUpdatesMulti(reqId, wanted);
    this.#link.send([OUT.accountUpdateMultiEnd, 1, reqId]);
  }

  cancelUpdatesMulti(reqId: number): void {
    this.#updatesMulti.delete(reqId);
  }

  pnl({ reqId, account }: RequestOf<'reqPnL'>): void {
    const link = this.#link;
    if (!this.#isKnownAccount(reqId, account)) return;
    this.#pnl.get(reqId)?.();
    const send = (): void => {
      if (link.isUpstreamLost) return;
      const { daily, unrealized, realized } = link.exchange.pnl(account);
      link.send([OUT.pnl, reqId, daily, unrealized, realized]);
    };
    send();
    this.#pnl.set(reqId, link.every(PNL_EVERY_MS, send));
  }

  cancelPnl(reqId: number): void {
    this.#stop(this.#pnl, reqId, 'PnL');
  }

  pnlSingle({ reqId, account, conId }: RequestOf<'reqPnLSingle'>): void {
    const link = this.#link;
    if (!this.#isKnownAccount(reqId, account)) return;
    if (link.exchange.pnlSingle(account, conId) === null) {
      link.error(reqId, 321, invalid(`Account ${account} holds no position in contract ${conId}`));
      return;
    }
    this.#pnlSingle.get(reqId)?.();
    const send = (): void => {
      const row = link.exchange.pnlSingle(account, conId);
      if (row === null || link.isUpstreamLost) return;
      const { position, daily, unrealized, realized, value } = row;
      link.send([OUT.pnlSingle, reqId, position, daily, unrealized, realized, value]);
    };
    send();
    this.#pnlSingle.set(reqId, link.every(PNL_EVERY_MS, send));
  }

  cancelPnlSingle(reqId: number): void {
    this.#stop(this.#pnlSingle, reqId, 'PnLSingle');
  }

  /** A position changed, also to 0. */
  hearPosition(position: Position): void {
    if (this.#hearsPositions) this.#sendPosition(position);
    for (const [reqId, wanted] of this.#positionsMulti) this.#sendPositionMulti(reqId, wanted, position);
    this.hearAccount(position.account);
  }

  /** Values or portfolio rows of an account moved. */
  hearAccount(account: string): void {
    const isWanted =
      this.#updates?.account === account ||
      [...this.#updatesMulti.values()].some((wanted) => wanted.account === '' || wanted.account === account);
    if (!isWanted || this.#isSettling) return;
    this.#isSettling = true;
    this.#link.after(SETTLE_MS, () => {
      this.#isSettling = false;
      if (this.#updates !== null) this.#sendUpdates(this.#updates);
      for (const [reqId, wanted] of this.#updatesMulti) this.#sendUpdatesMulti(reqId, wanted);
    });
  }

  #sendUpdates({ account, changes }: Updates): void {
    const link = this.#link;
    let hasChanged = false;
    const send = (key: string, fields: readonly Field[]): void => {
      if (!changes.note(key, fields)) return;
      hasChanged = true;
      link.send(fields);
    };
    for (const { key, value, currency } of link.book.accountValues(account)) {
      send(`${key} ${currency}`, [OUT.updateAccountValue, 2, key, value, currency, account]);
    }
    for (const row of link.book.positions()) {
      if (row.account !== account) continue;
      const contract = positionContract(row.contract);
      contract[7] =
        row.contract.primaryExchange === '' ? row.contract.exchange : row.contract.primaryExchange;
      send(`position ${row.contract.conId}`, [
        OUT.updatePortfolio,
        8,
        ...contract,
        row.position,
        row.marketPrice,
        row.marketValue,
        row.avgCost,
        row.unrealizedPNL,
        row.realizedPNL,
        account,
      ]);
    }
    if (hasChanged) {
      link.send([OUT.updateAccountTime, 1, wallTime(link.clock.now(), link.zone).time.slice(0, 5)]);
    }
  }

  #sendUpdatesMulti(
    reqId: number,
    wanted: Updates & { readonly modelCode: string; readonly ledgerOnly: boolean },
  ): void {
    const accounts = wanted.account === '' ? this.#link.exchange.accounts : [wanted.account];
    for (const account of accounts) {
      for (const row of this.#link.book.accountValues(account)) {
        if (wanted.ledgerOnly && row.currency !== 'BASE' && row.key !== 'NetLiquidation') continue;
        const fields: Field[] = [
          OUT.accountUpdateMulti,
          1,
          reqId,
          account,
          wanted.modelCode,
          row.key,
          row.value,
          row.currency,
        ];
        if (wanted.changes.note(`${account} ${row.key} ${row.currency}`, fields)) this.#link.send(fields);
      }
    }
  }

  #summaryRows(tags: readonly string[]): readonly AccountValue[] {
    const rows: AccountValue[] = [];
    for (const account of this.#link.exchange.accounts) {
      const values = this.#link.book.accountValues(account);
      for (const tag of tags) {
        if (tag.startsWith('$LEDGER')) {
          const currency = tag.split(':')[1] ?? 'BASE';
          rows.push(
            ...values.filter(
              (row) => LEDGER_KEYS.has(row.key) && (currency === 'ALL' || row.currency === currency),
            ),
          );
          continue;
        }
        const name = tag.replace(/^ReqT/, 'RegT');
        const row = values.find(({ key, currency }) => key === name && currency !== 'BASE');
        // IB's list of tags misspells those of Regulation T, and clients look for what they asked.
        if (row !== undefined) rows.push({ ...row, key: tag });
      }
    }
    return rows;
  }

  #sendPosition({ account, contract, position, avgCost }: Position): void {
    this.#link.send([OUT.position, 3, account, ...positionContract(contract), position, double(avgCost)]);
  }

  #sendPositionMulti(
    reqId: number,
    wanted: { readonly account: string; readonly modelCode: string },
    { account, contract, position, avgCost }: Position,
  ): void {
    if (wanted.account !== '' && wanted.account !== account) return;
    this.#link.send([
      OUT.positionMulti,
      1,
      reqId,
      account,
      ...positionContract(contract),
      position,
      double(avgCost),
      wanted.modelCode,
    ]);
  }

  #stop(timers: Map<number, Stop>, reqId: number, name: string): void {
    const stop = timers.get(reqId);
    if (stop === undefined) {
      this.#link.error(reqId, 10185, `Failed to cancel ${name} (not subscribed)`);
      return;
    }
    stop();
    timers.delete(reqId);
  }

  /** Empty means all accounts. */
  #isAccount(reqId: number, account: string): boolean {
    return account === '' || account === 'All' || this.#isKnownAccount(reqId, account);
  }

  #isKnownAccount(reqId: number, account: string): boolean {
    if (this.#link.exchange.accounts.includes(account)) return true;
    this.#link.error(reqId, 321, invalid(`Invalid account code '${account}'.`));
    return false;
  }
}

const LEDGER_KEYS = new Set([
  'CashBalance',
  'TotalCashBalance',
  'AccruedCash',
  'StockMarketValue',
  'OptionMarketValue',
  'FutureOptionValue',
  'FuturesPNL',
  'NetLiquidationByCurrency',
  'UnrealizedPnL',
  'RealizedPnL',
  'ExchangeRate',
  'FundValue',
  'NetDividend',
  'MutualFundValue',
  'MoneyMarketFundValue',
  'CorporateBondValue',
  'TBondValue',
  'TBillValue',
  'WarrantValue',
  'FxCashBalance',
  'AccountOrGroup',
  'RealCurrency',
  'IssuerOptionValue',
  'Currency',
  'Cryptocurrency',
]);
