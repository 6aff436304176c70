/** Positions, cash and profit of the accounts. Prices and rates are asked for; nothing here knows where they come from. */
import type { Contract, Position } from '../model.ts';
import type { Instrument } from './instruments.ts';
import { clean, multiplierOf } from './instruments.ts';
import type { Margin } from './margin.ts';
import { hasLoanValue, marginOf } from './margin.ts';

interface HoldingState {
  quantity: number;
  /** what the position cost, commissions included: quantity x average cost, signed */
  cost: number;
  /** the same without commissions; futures settle their gains against it */
  grossCost: number;
  /** money paid (-) and received (+) today */
  flowToday: number;
  realizedToday: number;
}

interface Holding {
  readonly instrument: Instrument;
  state: HoldingState;
  /** the state before the trades in the log */
  opening: HoldingState;
  readonly log: Trade[];
  /** the first place of the log that no memory has */
  unsaved: number;
  /** value at the start of the day */
  startValue: number;
}

const logMax = 20_000;

export interface Trade {
  readonly execId: string;
  readonly account: string;
  readonly instrument: Instrument;
  /** positive bought, negative sold */
  readonly quantity: number;
  readonly price: number;
  readonly commission: number;
  readonly commissionCurrency: string;
}

export interface AccountSummary {
  readonly cash: number;
  readonly netLiquidation: number;
  readonly equityWithLoan: number;
  readonly grossPositionValue: number;
  readonly stockValue: number;
  readonly optionValue: number;
  readonly futuresPnl: number;
  readonly unrealized: number;
  readonly realized: number;
  readonly daily: number;
  readonly securities: Margin;
  readonly commodities: Margin;
}

/** A trade whose account and contract are known. */
export type TradeRecord = Omit<Trade, 'account' | 'instrument'>;

/** A holding without its log, as plain data. */
export interface HoldingRecord {
  readonly account: string;
  readonly contract: Contract;
  /** start of the trading day that the sums are of, ms since the epoch */
  readonly day: number;
  readonly state: Readonly<HoldingState>;
  readonly opening: Readonly<HoldingState>;
  readonly startValue: number;
}

interface Account {
  readonly cash: Map<string, number>;
  readonly holdings: Map<number, Holding>;
  day: number;
}

export interface Pricing {
  /** value price of a contract now, or at a given time */
  mark(instrument: Instrument, time?: number): number;
  /** price of one unit of a currency in the base currency */
  rate(currency: string): number;
  underlyingPrice(instrument: Instrument): number;
  /** start of the current trading day, ms since the epoch */
  dayStart(): number;
}

export class Ledger {
  private readonly accounts = new Map<string, Account>();
  private readonly pricing: Pricing;

  constructor(names: readonly string[], baseCurrency: string, startingCash: number, pricing: Pricing) {
    this.pricing = pricing;
    for (const name of names)
      this.accounts.set(name, {
        cash: new Map([[baseCurrency, startingCash]]),
        holdings: new Map(),
        day: pricing.dayStart(),
      });
  }

  /** An account whose day is today: yesterday's profit is closed at the price of midnight. */
  private account(name: string): Account {
    const account = this.accounts.get(name);
    if (account === undefined) throw new Error(`account "${name}" is unknown`);
    const today = this.pricing.dayStart();
    if (today > account.day) {
      account.day = today;
      for (const [conId, holding] of account.holdings) {
        if (holding.state.quantity === 0) account.holdings.delete(conId);
        else this.beginDay(holding, today);
      }
    }
    return account;
  }

  private beginDay(holding: Holding, today: number): void {
    holding.startValue = this.value(holding, today);
    holding.state.flowToday = 0;
    holding.state.realizedToday = 0;
    holding.opening = { ...holding.state };
    holding.log.length = 0;
    holding.unsaved = 0;
  }

  /** A holding and the trades of its day from the place `from` on, which then count as saved. Null: nothing was ever held. */
  save(
    name: string,
    conId: number,
  ): {
    readonly identity: object;
    readonly record: HoldingRecord;
    readonly from: number;
    readonly trades: readonly TradeRecord[];
  } | null {
    const account = this.accounts.get(name);
    const holding = account?.holdings.get(conId);
    if (account === undefined || holding === undefined) return null;
    const { instrument, state, opening, startValue, log, unsaved: from } = holding;
    holding.unsaved = log.length;
    return {
      identity: holding,
      record: { account: name, contract: instrument.contract, day: account.day, state, opening, startValue },
      from,
      trades: log.slice(from).map(({ account: _, instrument: __, ...trade }) => trade),
    };
  }

  /** Takes the cash of an earlier process in the place of the starting cash. */
  restoreCash(name: string, cash: Iterable<readonly [string, number]>): void {
    const account = this.account(name);
    account.cash.clear();
    for (const [currency, amount] of cash) account.cash.set(currency, amount);
  }

  /** Puts a holding of an earlier process back; what was gained on an earlier day is closed. */
  restoreHolding(record: HoldingRecord, instrument: Instrument, trades: readonly TradeRecord[]): void {
    const account = this.account(record.account);
    const holding: Holding = {
      instrument,
      state: { ...record.state },
      opening: { ...record.opening },
      log: trades.map((trade) => ({ ...trade, account: record.account, instrument })),
      unsaved: trades.length,
      startValue: record.startValue,
    };
    if (record.day < account.day) {
      if (holding.state.quantity === 0) return;
      this.beginDay(holding, account.day);
    }
    account.holdings.set(instrument.contract.conId, holding);
  }

  private value(holding: Holding, time?: number): number {
    const { instrument, state } = holding;
    if (state.quantity === 0) return 0;
    return state.quantity * this.pricing.mark(instrument, time) * multiplierOf(instrument.contract);
  }

  private holding(account: Account, instrument: Instrument): Holding {
    const { conId } = instrument.contract;
    let holding = account.holdings.get(conId);
    if (holding === undefined) {
      holding = { instrument, state: { ...flat }, opening: { ...flat }, log: [], unsaved: 0, startValue: 0 };
      account.holdings.set(conId, holding);
    }
    return holding;
  }

  /** Books a trade; answers the realized profit, or null when it only opened. */
  book(trade: Trade): number | null {
    const account = this.account(trade.account);
    const holding = this.holding(account, trade.instrument);
    holding.log.push(trade);
    if (holding.log.length > logMax) {
      holding.unsaved = 0;
      for (const old of holding.log.splice(0, logMax / 2)) applyTrade(holding.opening, old);
    }
    const effect = applyTrade(holding.state, trade);
    for (const [currency, amount] of effect.cash) this.pay(account, currency, amount);
    return effect.realized;
  }

  /**
   * Puts another trade in the place of one booked today (null: takes it out) and books everything after it again.
   * Answers what the replacement realized. A trade of an earlier day is undone by its opposite.
   */
  correct(execId: string, old: Trade, replacement: Trade | null): number | null {
    const account = this.account(old.account);
    const holding = this.holding(account, old.instrument);
    const index = holding.log.findIndex((trade) => trade.execId === execId);
    if (index === -1) {
      this.book({ ...old, quantity: -old.quantity, commission: -old.commission });
      return replacement === null ? null : this.book(replacement);
    }
    const before = replay(holding, -1);
    holding.unsaved = Math.min(holding.unsaved, index);
    if (replacement === null) holding.log.splice(index, 1);
    else holding.log[index] = replacement;
    const after = replay(holding, replacement === null ? -1 : index);
    holding.state = after.state;
    for (const [currency, amount] of after.cash) this.pay(account, currency, amount);
    for (const [currency, amount] of before.cash) this.pay(account, currency, -amount);
    return after.realized;
  }

  private pay(account: Account, currency: string, amount: number): void {
    account.cash.set(currency, (account.cash.get(currency) ?? 0) + amount);
  }

  setPosition(name: string, instrument: Instrument, quantity: number, averageCost: number): void {
    const account = this.account(name);
    const holding = this.holding(account, instrument);
    const cost = quantity * averageCost;
    holding.state = { ...holding.state, quantity, cost, grossCost: cost, flowToday: 0 };
    holding.opening = { ...holding.state };
    holding.log.length = 0;
    holding.unsaved = 0;
    holding.startValue = this.value(holding);
  }

  setCash(name: string, currency: string, amount: number): void {
    this.account(name).cash.set(currency, amount);
  }

  cash(name: string): ReadonlyMap<string, number> {
    return this.account(name).cash;
  }

  quantity(name: string, conId: number): number {
    return this.account(name).holdings.get(conId)?.state.quantity ?? 0;
  }

  position(name: string, conId: number): Position | null {
    const holding = this.account(name).holdings.get(conId);
    return holding === undefined ? null : this.positionOf(name, holding);
  }

  /** Positions that are not flat. */
  positions(name: string): Position[] {
    return [...this.account(name).holdings.values()]
      .filter((holding) => holding.state.quantity !== 0)
      .map((holding) => this.positionOf(name, holding));
  }

  /** Profit realized today, per currency. */
  realizedByCurrency(name: string): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const { instrument, state } of this.account(name).holdings.values()) {
      const { currency } = instrument.contract;
      sums.set(currency, (sums.get(currency) ?? 0) + state.realizedToday);
    }
    return sums;
  }

  private positionOf(account: string, holding: Holding): Position {
    const { instrument, state } = holding;
    const { quantity } = state;
    const value = this.value(holding);
    const { contract } = instrument;
    return {
      account,
      contract: { ...contract, exchange: contract.primaryExchange || contract.exchange },
      position: quantity,
      avgCost: quantity === 0 ? 0 : clean(state.cost / quantity),
      marketPrice: this.pricing.mark(instrument),
      marketValue: money(value),
      unrealizedPNL: money(value - state.cost),
      realizedPNL: money(state.realizedToday),
    };
  }

  /** Profit of one contract, in its currency; null when it was never held today. */
  profitOf(name: string, conId: number) {
    const holding = this.account(name).holdings.get(conId);
    if (holding === undefined) return null;
    const value = this.value(holding);
    return {
      position: holding.state.quantity,
      daily: money(value + holding.state.flowToday - holding.startValue),
      unrealized: money(value - holding.state.cost),
      realized: money(holding.state.realizedToday),
      value: money(value),
    };
  }

  /** All sums in the base currency. */
  summary(name: string): AccountSummary {
    const account = this.account(name);
    let cash = 0;
    for (const [currency, amount] of account.cash) cash += amount * this.pricing.rate(currency);
    const sums = {
      stock: 0,
      option: 0,
      futures: 0,
      gross: 0,
      noLoan: 0,
      unrealized: 0,
      realized: 0,
      daily: 0,
    };
    const securities = { initial: 0, maintenance: 0 };
    const commodities = { initial: 0, maintenance: 0 };
    for (const holding of account.holdings.values()) {
      const { instrument, state } = holding;
      const { quantity } = state;
      const { secType, currency } = instrument.contract;
      const rate = this.pricing.rate(currency);
      const value = this.value(holding) * rate;
      sums.unrealized += value - state.cost * rate;
      sums.realized += state.realizedToday * rate;
      sums.daily += value + (state.flowToday - holding.startValue) * rate;
      if (quantity === 0) continue;
      const margin = this.marginFor(instrument, quantity);
      const segment = secType === 'FUT' ? commodities : securities;
      segment.initial += margin.initial;
      segment.maintenance += margin.maintenance;
      if (secType === 'CASH') continue;
      if (secType === 'FUT') {
        sums.futures += value - state.grossCost * rate;
        continue;
      }
      sums.gross += Math.abs(value);
      if (secType === 'OPT') sums.option += value;
      else sums.stock += value;
      if (!hasLoanValue(secType) && value > 0) sums.noLoan += value;
    }
    const netLiquidation = cash + sums.stock + sums.option + sums.futures;
    return {
      cash,
      netLiquidation,
      equityWithLoan: netLiquidation - sums.noLoan,
      grossPositionValue: sums.gross,
      stockValue: sums.stock,
      optionValue: sums.option,
      futuresPnl: sums.futures,
      unrealized: sums.unrealized,
      realized: sums.realized,
      daily: sums.daily,
      securities,
      commodities,
    };
  }

  /** Margin in the base currency that a position of this size would need. */
  marginFor(instrument: Instrument, quantity: number): Margin {
    const rate = this.pricing.rate(instrument.contract.currency);
    const price = this.pricing.mark(instrument);
    const margin = marginOf(instrument, quantity, price, this.pricing.underlyingPrice(instrument));
    return { initial: margin.initial * rate, maintenance: margin.maintenance * rate };
  }
}

const flat: HoldingState = { quantity: 0, cost: 0, grossCost: 0, flowToday: 0, realizedToday: 0 };

interface Effect {
  readonly realized: number | null;
  readonly cash: readonly (readonly [string, number])[];
}

/** Moves the state by one trade at average cost. */
function applyTrade(state: HoldingState, trade: Trade): Effect {
  const { contract } = trade.instrument;
  const { quantity, price } = trade;
  const isForex = contract.secType === 'CASH';
  const multiplier = multiplierOf(contract);
  const ownCommission = isForex ? 0 : trade.commission;
  const size = Math.abs(quantity);
  const closing =
    Math.sign(state.quantity) === -Math.sign(quantity) ? Math.min(Math.abs(state.quantity), size) : 0;
  let realized: number | null = null;
  let grossRealized = 0;
  if (closing > 0) {
    const share = closing / Math.abs(state.quantity);
    const proceeds = Math.sign(state.quantity) * closing * price * multiplier;
    realized = proceeds - state.cost * share - ownCommission * (closing / size);
    grossRealized = proceeds - state.grossCost * share;
    state.cost -= state.cost * share;
    state.grossCost -= state.grossCost * share;
    state.realizedToday += realized;
  }
  const opening = size - closing;
  if (opening > 0) {
    const gross = Math.sign(quantity) * opening * price * multiplier;
    state.cost += gross + ownCommission * (opening / size);
    state.grossCost += gross;
  }
  state.quantity = clean(state.quantity + quantity);
  if (state.quantity === 0) {
    state.cost = 0;
    state.grossCost = 0;
  }
  const paid = quantity * price * multiplier;
  state.flowToday -= paid + ownCommission;
  const cash: (readonly [string, number])[] = [
    [contract.currency, contract.secType === 'FUT' ? grossRealized : -paid],
    [trade.commissionCurrency, -trade.commission],
  ];
  if (isForex) cash.push([contract.symbol, quantity]);
  return { realized, cash };
}

/** Runs the log of a holding again from its opening; also answers what the trade at `index` realized. */
function replay(holding: Holding, index: number) {
  const state = { ...holding.opening };
  const cash: (readonly [string, number])[] = [];
  let realized: number | null = null;
  holding.log.forEach((trade, at) => {
    const effect = applyTrade(state, trade);
    cash.push(...effect.cash);
    if (at === index) realized = effect.realized;
  });
  return { state, cash, realized };
}

/** Cents, without a negative zero. */
export function money(value: number): number {
  return Math.round(value * 100) / 100 + 0;
}
