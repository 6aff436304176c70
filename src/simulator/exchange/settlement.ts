/** Turns fills into executions, money and the events that TWS would send, in its order. */
import type { CommissionReport, Execution } from '../model.ts';
import { commissionOf } from './fees.ts';
import type { Floor } from './floor.ts';
import type { Instrument, PricedLeg } from './instruments.ts';
import { clean, roundToTick } from './instruments.ts';
import type { Trade } from './ledger.ts';
import { pricesWithinLimits } from './legPrices.ts';
import type { TapeEntry } from './tape.ts';
import { nextRevision } from './tape.ts';
import type { WorkingOrder } from './workingOrder.ts';
import { averagePriceOf, pictureOf, remainingOf } from './workingOrder.ts';

export interface Fill {
  readonly size: number;
  readonly price: number;
  readonly liquidity: 1 | 2 | 3;
  readonly exchange: string;
}

export class Settlement {
  private readonly floor: Floor;

  constructor(floor: Floor) {
    this.floor = floor;
  }

  /**
   * Books a fill. The order's status becomes Filled or Submitted; an order that had ended keeps its end. Size and price are taken
   * as they are: the caller has checked that the order has room.
   */
  fill(order: WorkingOrder, fill: Fill): Execution {
    const { floor } = this;
    const wasOpen = order.isOpen;
    const filledBefore = order.filled;
    const valueBefore = order.filledValue;
    order.filled = clean(order.filled + fill.size);
    order.filledValue += fill.size * fill.price;
    order.lastFillPrice = fill.price;
    if (wasOpen) {
      if (remainingOf(order) === 0) {
        order.status = 'Filled';
        order.isOpen = false;
        order.completedAt = floor.now();
        order.completedStatus = `Filled Size: ${order.filled}`;
      } else if (order.status !== 'PendingCancel') order.status = 'Submitted';
      order.whyHeld = '';
    }
    const family = floor.tape.nextFamily();
    const { driver } = order.instrument;
    const isCombo = driver.type === 'combo';
    const main = this.record(order, order.instrument, `${family}.01.01`, fill, order.sign, isCombo);
    const lines = isCombo ? this.recordLegs(order, driver.legs, family, fill) : [main];
    if (wasOpen) {
      floor.emit({ type: 'openOrder', order: pictureOf(order, { withoutCommission: true }) });
      floor.emit({ type: 'orderStatus', order: pictureOf(order) });
    }
    const reports = lines.map((entry) => {
      const before = isCombo
        ? { quantity: (entry.execution.shares / fill.size) * filledBefore, price: entry.execution.price }
        : { quantity: filledBefore, price: filledBefore === 0 ? 0 : valueBefore / filledBefore };
      return this.book(entry, before);
    });
    if (wasOpen) floor.emit({ type: 'openOrder', order: pictureOf(order) });
    for (const report of reports)
      floor.emit({ type: 'commission', clientId: order.request.clientId, report });
    this.tellPositions(order.account, lines);
    return main.execution;
  }

  private record(
    order: WorkingOrder,
    instrument: Instrument,
    execId: string,
    fill: Fill,
    sign: 1 | -1,
    isComboLine: boolean,
    ratio = 1,
  ): TapeEntry {
    const { request } = order;
    const isOwn = instrument === order.instrument;
    const execution: Execution = {
      execId,
      orderId: request.orderId,
      clientId: request.clientId,
      permId: order.permId,
      orderRef: request.orderRef,
      contract: { ...instrument.contract, exchange: fill.exchange },
      time: this.floor.now(),
      account: order.account,
      exchange: fill.exchange,
      side: sign === 1 ? 'BOT' : 'SLD',
      shares: fill.size,
      price: fill.price,
      cumQty: clean(order.filled * ratio),
      avgPrice: isOwn ? averagePriceOf(order) : fill.price,
      liquidation: request.orderId === -1 ? 1 : 0,
      lastLiquidity: fill.liquidity,
    };
    const entry: TapeEntry = { execution, instrument, order, report: null, isCurrent: true, isComboLine };
    this.floor.tape.add(entry);
    this.floor.emit({ type: 'execution', execution });
    return entry;
  }

  /** One line per leg; their prices add up to the price of the combination. */
  private recordLegs(
    order: WorkingOrder,
    legs: readonly PricedLeg[],
    family: string,
    fill: Fill,
  ): TapeEntry[] {
    const prices = order.request.orderComboLegPrices.some((limit) => limit !== null)
      ? pricesWithinLimits(order, legs, fill.price, (instrument) => this.floor.market.quote(instrument))
      : this.pricesOfLegs(legs, fill.price);
    return legs.map(({ leg, instrument }, index) => {
      const sign = (leg.action === 'BUY' ? order.sign : -order.sign) as 1 | -1;
      const price = prices[index] ?? 0;
      const number = String(index + 2).padStart(2, '0');
      const part = {
        ...fill,
        size: clean(fill.size * leg.ratio),
        price: roundToTick(instrument, price),
        exchange: this.floor.prices.exchangeOf(instrument, this.floor.now(), 0),
      };
      return this.record(order, instrument, `${family}.${number}.01`, part, sign, false, leg.ratio);
    });
  }

  /** The legs at the market, and what is missing to the price of the whole on the dearest. */
  private pricesOfLegs(legs: readonly PricedLeg[], whole: number): number[] {
    const priced = legs.map(({ leg, instrument }) => ({
      leg,
      instrument,
      price: this.floor.market.mark(instrument),
    }));
    const direction = (action: string) => (action === 'BUY' ? 1 : -1);
    const sum = priced.reduce(
      (total, { leg, price }) => total + direction(leg.action) * leg.ratio * price,
      0,
    );
    const widest = priced.reduce((best, each) => (each.price > best.price ? each : best));
    widest.price = Math.max(
      widest.instrument.minTick,
      widest.price + (direction(widest.leg.action) * (whole - sum)) / widest.leg.ratio,
    );
    return priced.map(({ price }) => price);
  }

  private tradeOf(entry: TapeEntry, commission: number, commissionCurrency: string): Trade {
    const { execution, instrument } = entry;
    return {
      execId: familyOf(execution.execId),
      account: execution.account,
      instrument,
      quantity: (execution.side === 'BOT' ? 1 : -1) * execution.shares,
      price: execution.price,
      commission,
      commissionCurrency,
    };
  }

  private book(entry: TapeEntry, before: { quantity: number; price: number }): CommissionReport {
    const { order, execution, instrument } = entry;
    const quantity = clean(before.quantity + execution.shares);
    const price = (before.quantity * before.price + execution.shares * execution.price) / quantity;
    const total = commissionOf(instrument, quantity, price);
    const earlier = commissionOf(instrument, before.quantity, before.price);
    const commission = clean(total.amount - earlier.amount);
    const realizedPNL = this.floor.ledger.book(this.tradeOf(entry, commission, total.currency));
    return this.report(entry, commission, total.currency, realizedPNL, order);
  }

  private report(
    entry: TapeEntry,
    commission: number,
    currency: string,
    realizedPNL: number | null,
    order: WorkingOrder,
  ): CommissionReport {
    const { execId } = entry.execution;
    entry.report = {
      execId,
      commission,
      currency,
      realizedPNL: realizedPNL === null ? null : clean(realizedPNL),
    };
    order.commission = clean((order.commission ?? 0) + commission);
    order.commissionCurrency = currency;
    return entry.report;
  }

  private tellPositions(account: string, lines: readonly TapeEntry[]): void {
    for (const { instrument } of lines) {
      const position = this.floor.ledger.position(account, instrument.contract.conId);
      if (position !== null) this.floor.emit({ type: 'position', position });
    }
    this.floor.emit({ type: 'account', account });
  }

  /** Replaces an execution by its next revision; shares 0 busts it. */
  correct(entry: TapeEntry, change: { readonly shares?: number; readonly price?: number }): Execution {
    const { floor } = this;
    const { order, instrument, report } = entry;
    const shares = change.shares ?? entry.execution.shares;
    const price = change.price ?? entry.execution.price;
    entry.isCurrent = false;
    const isOwn = instrument === order.instrument;
    if (isOwn) {
      order.filled = clean(order.filled - entry.execution.shares + shares);
      order.filledValue += shares * price - entry.execution.shares * entry.execution.price;
    }
    const execution: Execution = {
      ...entry.execution,
      execId: nextRevision(entry.execution.execId),
      time: floor.now(),
      shares,
      price,
      cumQty: isOwn ? order.filled : shares,
      avgPrice: isOwn ? averagePriceOf(order) : price,
    };
    const next: TapeEntry = { ...entry, execution, report: null, isCurrent: true };
    floor.tape.add(next);
    floor.emit({ type: 'execution', execution });
    if (entry.isComboLine) return execution;
    const fee = commissionOf(instrument, shares, price);
    const old = this.tradeOf(entry, report?.commission ?? 0, report?.currency ?? fee.currency);
    const replacement = shares === 0 ? null : this.tradeOf(next, fee.amount, fee.currency);
    const realized = floor.ledger.correct(old.execId, old, replacement);
    order.commission = clean((order.commission ?? 0) - (report?.commission ?? 0));
    const revised = this.report(next, fee.amount, fee.currency, realized, order);
    if (order.isOpen) {
      floor.emit({ type: 'openOrder', order: pictureOf(order) });
      floor.emit({ type: 'orderStatus', order: pictureOf(order) });
    }
    floor.emit({ type: 'commission', clientId: order.request.clientId, report: revised });
    this.tellPositions(order.account, [next]);
    return execution;
  }
}

/** What all revisions of an execution share. */
function familyOf(execId: string): string {
  return execId.slice(0, execId.lastIndexOf('.'));
}
