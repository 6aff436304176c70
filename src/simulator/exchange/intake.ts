/** The order desk of the exchange: requests in the order of their arrival, checked, refused or put into the book. */
import type { BookOrder, ExerciseRequest, OrderRequest, WhatIfMargin } from '../model.ts';
import { exerciseOption } from './exercise.ts';
import { commissionOf } from './fees.ts';
import type { Floor } from './floor.ts';
import type { Instrument } from './instruments.ts';
import { clean, multiplierOf } from './instruments.ts';
import { money } from './ledger.ts';
import { hasLoanValue } from './margin.ts';
import { hash32 } from './random.ts';
import type { Refusal } from './terms.ts';
import { findFault, invalid, isCurrencyHedge } from './terms.ts';
import type { Venue } from './venue.ts';
import type { WorkingOrder } from './workingOrder.ts';
import { kindOf, pictureOf } from './workingOrder.ts';

interface ScriptedRejection {
  readonly code: number;
  readonly text: string;
  left: number;
}

const duplicateId: Refusal = { code: 103, text: 'Duplicate order id' };

export class Intake {
  private readonly floor: Floor;
  private readonly venue: Venue;
  private nextPermId: number;
  private laneFreeAt = 0;
  private rejection: ScriptedRejection | null = null;

  constructor(floor: Floor, venue: Venue) {
    this.floor = floor;
    this.venue = venue;
    this.nextPermId = 400_000_000 + (hash32(floor.seed, floor.now(), 11) % 1_500_000_000);
  }

  get lastPermId(): number {
    return this.nextPermId;
  }

  /** Every later permId is above this one. */
  givePermIdsAbove(permId: number): void {
    this.nextPermId = permId;
  }

  /** Runs after the venue's latency, never before what was sent earlier. */
  private enqueue(run: () => void): void {
    const { floor } = this;
    this.laneFreeAt = Math.max(this.laneFreeAt, floor.now() + floor.latency());
    floor.agenda.at(this.laneFreeAt, run);
  }

  place(request: OrderRequest, isSpent = false): void {
    this.enqueue(() => this.accept(request, isSpent));
  }

  /** Takes new terms for an order of TWS itself. */
  modify(permId: number, request: OrderRequest): void {
    this.enqueue(() => {
      const order = this.floor.book.withPermId(permId);
      if (order === null) return;
      const { clientId, orderId } = order.request;
      this.acceptChange(order, { ...request, clientId, orderId });
    });
  }

  exercise(request: ExerciseRequest): void {
    this.enqueue(() => {
      const make = this.makeOrder.bind(this);
      const cause = exerciseOption(this.floor, this.venue, make, request);
      if (cause === null) return;
      const { clientId, reqId: orderId } = request;
      const text = `Error processing request.-'bW' : cause - ${cause}`;
      this.floor.emit({ type: 'orderError', clientId, orderId, permId: null, code: 322, text });
    });
  }

  cancel(clientId: number, orderId: number): void {
    this.enqueue(() => this.acceptCancel(clientId, orderId));
  }

  cancelAll(): void {
    this.enqueue(() => {
      for (const order of this.floor.book.openOrders())
        if (order.isOpen && order.status !== 'PendingCancel') this.venue.cancel(order, 'Cancelled by Trader');
    });
  }

  rejectNext(code: number, text: string, times: number): void {
    this.rejection = times > 0 ? { code, text, left: times } : null;
  }

  private refuse(request: OrderRequest, refusal: Refusal, permId: number | null = null): void {
    const { clientId, orderId } = request;
    this.floor.emit({ type: 'orderError', clientId, orderId, permId, ...refusal });
  }

  private accept(request: OrderRequest, isSpent: boolean): void {
    const { floor } = this;
    const known = request.whatIf ? null : floor.book.find(request.clientId, request.orderId);
    if (known !== null) {
      this.acceptChange(known, request);
      return;
    }
    if (isSpent) {
      this.refuse(request, duplicateId);
      return;
    }
    const resolution = floor.directory.resolve(request.contract);
    if ('code' in resolution) {
      this.refuse(request, resolution);
      return;
    }
    const { instrument } = resolution;
    const fault =
      findFault(request, instrument, floor.now()) ?? this.accountFault(request) ?? this.parentFault(request);
    if (fault !== null) {
      this.refuse(request, fault);
      return;
    }
    const order = this.makeOrder(request, instrument);
    if (request.whatIf) {
      floor.emit({ type: 'openOrder', order: this.preview(order) });
      return;
    }
    const rejected = this.scriptedRejection() ?? (order.parent === null ? this.fundsFault(order) : null);
    if (rejected !== null) {
      if (rejected.code === 201) this.reject(order, rejected);
      else this.refuse(request, rejected);
      return;
    }
    this.enter(order);
    if (request.transmit) this.venue.transmit(order);
  }

  private enter(order: WorkingOrder): void {
    order.parent?.children.push(order);
    this.floor.book.add(order);
    this.floor.remember(order);
  }

  /** The 201 of a risk check: the error first, then an order that is Inactive for good. */
  private reject(order: WorkingOrder, refusal: Refusal): void {
    this.floor.book.add(order);
    order.isTransmitted = true;
    this.venue.end(order, 'Inactive', 'Rejected', refusal.text, refusal.code);
  }

  private scriptedRejection(): Refusal | null {
    const rejection = this.rejection;
    if (rejection === null) return null;
    rejection.left -= 1;
    if (rejection.left <= 0) this.rejection = null;
    return { code: rejection.code, text: rejection.text };
  }

  private accountFault(request: OrderRequest): Refusal | null {
    if (request.account === '' && this.floor.accounts.length > 1)
      return { code: 435, text: 'You must specify an account.' };
    if (request.account === '' || this.floor.accounts.includes(request.account)) return null;
    return invalid(`Invalid account code '${request.account}'`);
  }

  private parentFault(request: OrderRequest): Refusal | null {
    if (request.parentId === 0) return null;
    const parent = this.floor.book.find(request.clientId, request.parentId);
    if (parent?.isOpen === true) return this.hedgedCurrencyFault(request, parent);
    return { code: 135, text: `Can't find order with id = ${request.parentId}` };
  }

  private hedgedCurrencyFault(request: OrderRequest, parent: WorkingOrder): Refusal | null {
    if (!isCurrencyHedge(request)) return null;
    const resolution = this.floor.directory.resolve(request.contract);
    if ('code' in resolution) return resolution;
    const { symbol, currency } = resolution.instrument.contract;
    const hedged = parent.instrument.contract.currency;
    if (hedged === symbol || hedged === currency) return null;
    return invalid(`An FX hedge order must trade the currency of its parent, ${hedged}`);
  }

  /** An order that is not in the book yet. */
  makeOrder(request: OrderRequest, instrument: Instrument): WorkingOrder {
    const { floor } = this;
    const parent = request.parentId === 0 ? null : floor.book.find(request.clientId, request.parentId);
    const account = request.account === '' ? (floor.accounts[0] ?? '') : request.account;
    const quantity = this.quantityOf(request, instrument);
    this.nextPermId += 1;
    return {
      request: { ...request, account, totalQuantity: quantity },
      kind: kindOf(request),
      instrument,
      permId: this.nextPermId,
      account,
      acceptedAt: floor.now(),
      sign: request.action === 'BUY' ? 1 : -1,
      status: 'PreSubmitted',
      isOpen: true,
      isTransmitted: false,
      quantity,
      filled: 0,
      filledValue: 0,
      lastFillPrice: 0,
      commission: null,
      commissionCurrency: '',
      whyHeld: '',
      warningText: '',
      completedAt: null,
      completedStatus: '',
      closingRank: null,
      parent,
      children: [],
      ratioToParent: parent === null ? 1 : quantity / parent.quantity,
      isTriggered: false,
      isResting: false,
      hasMetMarket: false,
      isHeld: false,
      trailStop: request.trailStopPrice,
      trailOffset: null,
      wonLimit: null,
      matchableAt: 0,
      activeFrom: null,
      auctionAt: null,
      expiresAt: null,
      wake: null,
      wakeAt: null,
      watched: [],
    };
  }

  /** The size of an order; one given in money is turned into units at the market. */
  private quantityOf(request: OrderRequest, instrument: Instrument): number {
    if (isCurrencyHedge(request)) return this.hedgeQuantity(request, instrument);
    if (request.totalQuantity > 0 || request.cashQty === null) return request.totalQuantity;
    const price = request.lmtPrice ?? this.floor.market.mark(instrument);
    const step = instrument.sizeIncrement;
    return clean(Math.max(step, Math.floor(request.cashQty / price / step) * step));
  }

  /** What the parent is worth at its price, in the currency that the pair trades. */
  private hedgeQuantity(request: OrderRequest, pair: Instrument): number {
    const parent = this.floor.book.find(request.clientId, request.parentId);
    if (parent === null) return 0;
    const { contract } = parent.instrument;
    const value = parent.quantity * this.priceOf(parent) * multiplierOf(contract);
    const rate = contract.currency === pair.contract.symbol ? 1 : this.floor.market.mark(pair);
    return Math.max(1, Math.round(value / rate));
  }

  /** Enters an order at once, as if it had always been there. */
  enterAtOnce(request: OrderRequest, instrument: Instrument): WorkingOrder {
    const order = this.makeOrder(request, instrument);
    this.enter(order);
    if (request.transmit) this.venue.transmit(order);
    return order;
  }

  private acceptChange(order: WorkingOrder, request: OrderRequest): void {
    if (!order.isOpen) {
      this.refuse(
        request,
        order.status === 'Filled' ? { code: 104, text: "Can't modify a filled order." } : duplicateId,
        order.permId,
      );
      return;
    }
    if (order.status === 'PendingCancel') {
      this.refuse(
        request,
        { code: 2102, text: 'Unable to modify this order as it is still being processed.' },
        order.permId,
      );
      return;
    }
    const fault = this.changeFault(order, request);
    if (fault !== null) this.refuse(request, fault, order.permId);
    else this.venue.modify(order, { ...request, totalQuantity: this.quantityOf(request, order.instrument) });
  }

  private changeFault(order: WorkingOrder, request: OrderRequest): Refusal | null {
    const resolution = this.floor.directory.resolve(request.contract);
    if ('code' in resolution) return resolution;
    const isOther =
      resolution.instrument.contract.conId !== order.instrument.contract.conId ||
      (request.action === 'BUY' ? 1 : -1) !== order.sign ||
      (request.account !== '' && request.account !== order.account);
    if (isOther) return { code: 105, text: 'Order being modified does not match original order.' };
    const rejected = this.scriptedRejection();
    if (rejected !== null) return rejected;
    // A client that repeats what openOrder told names the size that the hedge has got.
    const asked = isCurrencyHedge(request) ? { ...request, totalQuantity: 0 } : request;
    const fault = findFault(asked, order.instrument, this.floor.now()) ?? this.parentFault(request);
    if (fault !== null) return fault;
    if (request.totalQuantity > 0 && request.totalQuantity < order.filled)
      return invalid('The order size must not be smaller than the quantity filled');
    return null;
  }

  private acceptCancel(clientId: number, orderId: number): void {
    const order = this.floor.book.find(clientId, orderId);
    const refuse = (code: number, text: string) =>
      this.floor.emit({ type: 'orderError', clientId, orderId, permId: order?.permId ?? null, code, text });
    if (order === null) refuse(10147, `OrderId ${orderId} that needs to be cancelled is not found.`);
    else if (!order.isOpen)
      refuse(
        10148,
        `OrderId ${orderId} that needs to be cancelled cannot be cancelled, state: ${order.status}.`,
      );
    else if (order.status === 'PendingCancel')
      refuse(
        161,
        `Cancel attempted when order is not in a cancellable state.  Order permId = ${order.permId}`,
      );
    else this.venue.cancel(order, 'Cancelled by Trader');
  }

  private priceOf(order: WorkingOrder): number {
    const { request, instrument, sign } = order;
    if (request.lmtPrice !== null && request.lmtPrice !== 0) return request.lmtPrice;
    const { bid, ask } = this.floor.market.quote(instrument);
    return sign === 1 ? ask : bid;
  }

  /** What the order would change if it filled whole. */
  private impactOf(order: WorkingOrder) {
    const { floor } = this;
    const { instrument, account, sign, quantity } = order;
    const price = this.priceOf(order);
    const parts =
      instrument.driver.type === 'combo'
        ? instrument.driver.legs.map(({ leg, instrument: each }) => ({
            instrument: each,
            quantity: sign * (leg.action === 'BUY' ? 1 : -1) * leg.ratio * quantity,
            price: floor.market.mark(each),
          }))
        : [{ instrument, quantity: sign * quantity, price }];
    let initial = 0;
    let maintenance = 0;
    let equity = 0;
    let commission = 0;
    for (const part of parts) {
      const held = floor.ledger.quantity(account, part.instrument.contract.conId);
      const before = floor.ledger.marginFor(part.instrument, held);
      const after = floor.ledger.marginFor(part.instrument, held + part.quantity);
      initial += after.initial - before.initial;
      maintenance += after.maintenance - before.maintenance;
      const fee = commissionOf(part.instrument, Math.abs(part.quantity), part.price);
      const rate = floor.rate(part.instrument.contract.currency);
      commission += fee.amount;
      equity -= fee.amount * floor.rate(fee.currency);
      if (!hasLoanValue(part.instrument.contract.secType)) {
        const unit = part.price * multiplierOf(part.instrument.contract) * rate;
        equity -= (Math.max(0, held + part.quantity) - Math.max(0, held)) * unit;
      }
    }
    const currency = instrument.contract.secType === 'CASH' ? 'USD' : instrument.contract.currency;
    return { initial, maintenance, equity, commission, currency };
  }

  private fundsFault(order: WorkingOrder): Refusal | null {
    const impact = this.impactOf(order);
    if (impact.initial <= 0 && impact.equity >= -impact.commission) return null;
    const { equityWithLoan, securities, commodities } = this.floor.ledger.summary(order.account);
    const needed = securities.initial + commodities.initial + impact.initial;
    const equity = equityWithLoan + impact.equity;
    if (equity >= needed) return null;
    return {
      code: 201,
      text: `Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH LOAN VALUE [${equity.toFixed(2)} USD] MUST EXCEED THE INITIAL MARGIN [${needed.toFixed(2)} USD]`,
    };
  }

  private preview(order: WorkingOrder): BookOrder {
    const impact = this.impactOf(order);
    const { equityWithLoan, securities, commodities } = this.floor.ledger.summary(order.account);
    const initialBefore = securities.initial + commodities.initial;
    const maintenanceBefore = securities.maintenance + commodities.maintenance;
    const margin: WhatIfMargin = {
      initMarginBefore: money(initialBefore),
      maintMarginBefore: money(maintenanceBefore),
      equityWithLoanBefore: money(equityWithLoan),
      initMarginChange: money(impact.initial),
      maintMarginChange: money(impact.maintenance),
      equityWithLoanChange: money(impact.equity),
      initMarginAfter: money(initialBefore + impact.initial),
      maintMarginAfter: money(maintenanceBefore + impact.maintenance),
      equityWithLoanAfter: money(equityWithLoan + impact.equity),
      commission: clean(impact.commission),
      minCommission: clean(impact.commission),
      maxCommission: clean(impact.commission),
      commissionCurrency: impact.currency,
    };
    return pictureOf(order, { margin });
  }
}
