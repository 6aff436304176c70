/** The life of orders: acceptance, groups, matching, cancellation. What it decides, it tells through `floor.emit`. */
import type { OrderRequest } from '../model.ts';
import { areConditionsMet, watchedBy } from './conditions.ts';
import { advanceTrail, tradable, trailingLimit } from './decisions.ts';
import type { Floor } from './floor.ts';
import { followedLimit, leaderOf } from './followed.ts';
import { clean } from './instruments.ts';
import { areLegLimitsMet } from './legPrices.ts';
import { orderKind } from './orderKinds.ts';
import type { Settlement } from './settlement.ts';
import type { Stage } from './stage.ts';
import { roomOf, stageOf, worldOf } from './stage.ts';
import { orderTime } from './terms.ts';
import type { WorkingOrder } from './workingOrder.ts';
import { isHedge, isRival, pictureOf, remainingOf } from './workingOrder.ts';
import { messageTime } from './zones.ts';

const auctionGraceMs = 60_000;
const plainCancel = 'Order Canceled - reason:';

export class Venue {
  private readonly floor: Floor;
  private readonly settlement: Settlement;

  constructor(floor: Floor, settlement: Settlement) {
    this.floor = floor;
    this.settlement = settlement;
  }

  /** Tells an order to the world and lets it work; its untransmitted parent goes first, its siblings follow. */
  transmit(order: WorkingOrder): void {
    const root = order.parent ?? order;
    for (const each of [root, ...root.children]) if (!each.isTransmitted && each.isOpen) this.activate(each);
  }

  private activate(order: WorkingOrder): void {
    const { floor } = this;
    order.isTransmitted = true;
    order.matchableAt = floor.now() + floor.latency();
    this.setTimes(order);
    this.watch(order);
    this.advance(order);
    const stage = stageOf(order, floor);
    order.status = stage.status;
    order.whyHeld = stage.whyHeld;
    this.warnWhenClosed(order);
    this.tell(order);
    floor.agenda.at(order.matchableAt, () => this.review(order));
    this.wakeAt(order, stage.wakeAt);
  }

  /** Computes when the order becomes active, meets its auction and expires. */
  setTimes(order: WorkingOrder): void {
    const { calendar } = this.floor;
    const { request, instrument, kind } = order;
    const now = this.floor.now();
    order.activeFrom = request.goodAfterTime === '' ? null : orderTime(request.goodAfterTime, now);
    const from = Math.max(now, order.activeFrom ?? 0);
    order.auctionAt = null;
    if (request.tif === 'OPG') order.auctionAt = calendar.nextOpen(instrument.session, from, false);
    else if (kind.atClose) order.auctionAt = calendar.nextClose(instrument.session, from, false);
    if (request.tif === 'AUC') {
      order.auctionAt = calendar.nextOpen(instrument.session, from, false);
      order.expiresAt = calendar.dayEnd(instrument.session, order.auctionAt, request.outsideRth);
    } else if (order.auctionAt !== null) order.expiresAt = order.auctionAt + auctionGraceMs;
    else if (request.tif === 'GTD') order.expiresAt = orderTime(request.goodTillDate, now);
    else if (request.tif === 'DAY' || request.tif === 'DTC' || request.tif === '')
      order.expiresAt = calendar.dayEnd(instrument.session, from, request.outsideRth);
    else order.expiresAt = null;
    const { expiresAt } = instrument;
    if (expiresAt !== null && expiresAt < (order.expiresAt ?? Number.POSITIVE_INFINITY))
      order.expiresAt = expiresAt;
  }

  private watch(order: WorkingOrder): void {
    const { floor } = this;
    const watched = new Map([[order.instrument.contract.conId, order.instrument]]);
    for (const conId of [leaderOf(order) ?? 0, ...watchedBy(order.request.conditions)]) {
      const instrument = floor.directory.instrument(conId);
      if (instrument !== null) watched.set(conId, instrument);
    }
    floor.book.listen(order, [...watched.keys()]);
    for (const instrument of watched.values()) floor.market.watch(instrument);
  }

  private unwatch(order: WorkingOrder): void {
    for (const conId of this.floor.book.unlisten(order)) this.floor.market.unwatch(conId);
    this.floor.agenda.cancel(order.wake);
    order.wake = null;
    order.wakeAt = null;
  }

  private warnWhenClosed(order: WorkingOrder): void {
    const { calendar } = this.floor;
    const { session, contract } = order.instrument;
    const now = this.floor.now();
    if (order.auctionAt !== null || calendar.isOpen(session, now, order.request.outsideRth)) return;
    const opens = calendar.nextOpen(session, now, order.request.outsideRth);
    order.warningText = `Warning: your order will not be placed at the exchange until ${messageTime(session.zone, opens)}`;
    const { clientId, orderId, action } = order.request;
    const text = `Order Message:\n${action} ${order.quantity} ${contract.symbol} ${contract.primaryExchange || contract.exchange}\n${order.warningText}`;
    this.floor.emit({ type: 'orderError', clientId, orderId, permId: order.permId, code: 399, text });
  }

  tell(order: WorkingOrder): void {
    this.floor.emit({ type: 'openOrder', order: pictureOf(order) });
    this.floor.emit({ type: 'orderStatus', order: pictureOf(order) });
  }

  onQuote(conId: number): void {
    for (const order of this.floor.book.onContract(conId)) this.review(order);
  }

  private advance(order: WorkingOrder): void {
    if (order.kind.pricing === 'followed') {
      const limit = followedLimit(order, this.floor);
      if (limit !== order.wonLimit) order.isResting = false;
      order.wonLimit = limit;
    }
    const cell = this.floor.market.cell(order.instrument.contract.conId);
    const waitsForParent = order.parent?.isOpen === true && order.parent.filled === 0;
    if (cell !== undefined && !waitsForParent && !cell.halted) advanceTrail(order, cell.quote);
  }

  private wakeAt(order: WorkingOrder, stageWake: number | null): void {
    const { expiresAt } = order;
    const wake = Math.min(stageWake ?? Number.POSITIVE_INFINITY, expiresAt ?? Number.POSITIVE_INFINITY);
    if (order.wakeAt === wake) return;
    this.floor.agenda.cancel(order.wake);
    order.wakeAt = wake;
    order.wake = null;
    if (wake !== Number.POSITIVE_INFINITY)
      order.wake = this.floor.agenda.at(wake, () => {
        order.wake = null;
        order.wakeAt = null;
        this.review(order);
      });
  }

  /** Looks at one order again: has it expired, been triggered, become active, and can it trade? */
  review(order: WorkingOrder): void {
    const { floor } = this;
    if (!order.isOpen || !order.isTransmitted) return;
    floor.remember(order);
    const now = floor.now();
    if (order.expiresAt !== null && now >= order.expiresAt) {
      this.expire(order);
      return;
    }
    if (
      order.request.conditionsCancelOrder &&
      order.request.conditions.length > 0 &&
      areConditionsMet(order.request.conditions, worldOf(order, floor))
    ) {
      this.end(order, 'Cancelled', 'Cancelled by condition', 'Order Canceled - reason:Condition met');
      return;
    }
    this.advance(order);
    const stage = stageOf(order, floor);
    if (stage.isReady && order.kind.trigger !== 'none' && !order.isTriggered) this.trigger(order);
    this.showStage(order, stage);
    this.wakeAt(order, stage.wakeAt);
    if (stage.isReady && !order.isHeld && now >= order.matchableAt) this.match(order);
  }

  private trigger(order: WorkingOrder): void {
    order.isTriggered = true;
    if (order.kind.trigger === 'trail' && order.kind.pricing === 'limit')
      order.wonLimit = trailingLimit(order);
  }

  private showStage(order: WorkingOrder, stage: Stage): void {
    if (order.status === 'PendingCancel' || order.isHeld) return;
    const status = order.filled > 0 && stage.isReady ? 'Submitted' : stage.status;
    if (order.status === status && order.whyHeld === stage.whyHeld) return;
    order.status = status;
    order.whyHeld = stage.whyHeld;
    this.tell(order);
  }

  private match(order: WorkingOrder): void {
    const { floor } = this;
    const { conId } = order.instrument.contract;
    const cell = floor.market.cell(conId);
    if (cell === undefined || cell.halted) return;
    const { allOrNone, minQty, tif } = order.request;
    const want = roomOf(order);
    const isPinned = floor.prices.isPinned(conId, floor.now());
    const isPriced = order.kind.pricing !== 'followed' || order.wonLimit !== null;
    const areLegsMet = areLegLimitsMet(order, (instrument) => floor.market.quote(instrument));
    const slices = !(isPriced && areLegsMet)
      ? []
      : tradable(order, cell, want, isPinned, floor.seed, floor.liquidity.get(conId) ?? 0);
    const available = slices.reduce((sum, { size }) => clean(sum + size), 0);
    const least = allOrNone || tif === 'FOK' ? remainingOf(order) : order.filled > 0 ? 0 : (minQty ?? 0);
    const isFirst = !order.hasMetMarket;
    order.hasMetMarket = true;
    if (available > 0 && available >= least) {
      for (const slice of slices) {
        const size = Math.min(slice.size, roomOf(order));
        if (!order.isOpen || size <= 0) break;
        if (order.sign === 1) cell.takenAsk += size;
        else cell.takenBid += size;
        this.fill(order, size, slice.price, slice.liquidity);
      }
    }
    if (!order.isOpen) return;
    if (tif === 'IOC' || tif === 'FOK') {
      this.end(order, 'Cancelled', 'Cancelled by System', 'Order Canceled - reason:');
      return;
    }
    if (order.kind.pricing === 'marketToLimit' && order.filled > 0) order.wonLimit = order.lastFillPrice;
    if (available === 0) order.isResting = true;
    if (isFirst && order.status === 'PreSubmitted') this.showStage(order, stageOf(order, floor));
  }

  /** Fills an open order and lets its groups follow. */
  fill(order: WorkingOrder, size: number, price: number, liquidity: 1 | 2, exchange?: string) {
    const { floor } = this;
    const { instrument, request } = order;
    const isSmart = request.contract.exchange === '' || request.contract.exchange === 'SMART';
    const venue = isSmart
      ? floor.prices.exchangeOf(instrument, Math.floor(floor.now()), 1)
      : request.contract.exchange;
    const wasOpen = order.isOpen;
    const execution = this.settlement.fill(order, { size, price, liquidity, exchange: exchange ?? venue });
    if (!wasOpen) return execution;
    if (!order.isOpen) {
      floor.book.close(order);
      this.unwatch(order);
    }
    this.followGroups(order, size);
    return execution;
  }

  private followGroups(order: WorkingOrder, size: number): void {
    const isComplete = !order.isOpen;
    for (const mate of this.floor.book.ocaMates(order)) {
      if (isComplete || order.request.ocaType === 1)
        this.end(mate, 'Cancelled', 'Cancelled by OCA', 'Order Canceled - reason:OCA group');
      else this.reduce(mate, (size * mate.request.totalQuantity) / order.request.totalQuantity);
    }
    const { parent } = order;
    if (parent !== null && parent.sign !== order.sign && !isHedge(order)) {
      for (const sibling of parent.children) {
        const sameOca = order.request.ocaGroup !== '' && sibling.request.ocaGroup === order.request.ocaGroup;
        if (sibling !== order && sibling.isOpen && isRival(sibling, order) && !sameOca)
          this.reduce(sibling, size);
      }
    }
    for (const child of order.children) this.review(child);
  }

  private reduce(order: WorkingOrder, by: number): void {
    if (!order.isOpen) return;
    const step = order.instrument.sizeIncrement;
    const wanted = Math.round((order.quantity - by) / step) * step;
    const quantity = clean(Math.max(order.filled, wanted));
    if (quantity <= order.filled) {
      this.end(order, 'Cancelled', 'Cancelled by group', 'Order Canceled - reason:');
      return;
    }
    order.quantity = quantity;
    if (order.isTransmitted) this.tell(order);
  }

  private expire(order: WorkingOrder): void {
    this.end(order, 'Cancelled', 'Expired', 'Order Canceled - reason:Order expired');
  }

  /** Ends an order without a fill. Children of an unfilled order end with it, those of a partly filled one shrink to it. */
  end(
    order: WorkingOrder,
    status: 'Cancelled' | 'Inactive',
    completedStatus: string,
    text: string,
    code = 202,
  ): void {
    if (!order.isOpen) return;
    const { floor } = this;
    const { clientId, orderId } = order.request;
    const wasTransmitted = order.isTransmitted;
    order.isOpen = false;
    order.status = status;
    order.whyHeld = '';
    order.completedAt = floor.now();
    order.completedStatus = completedStatus;
    floor.book.close(order);
    this.unwatch(order);
    const { permId } = order;
    const tellError = () => floor.emit({ type: 'orderError', clientId, orderId, permId, code, text });
    if (status === 'Inactive') {
      tellError();
      this.tell(order);
    } else {
      floor.emit({ type: 'orderStatus', order: pictureOf(order) });
      tellError();
    }
    if (wasTransmitted || order.children.length > 0) this.followEnd(order);
  }

  private followEnd(order: WorkingOrder): void {
    for (const child of order.children) {
      if (!child.isOpen) continue;
      if (order.filled === 0) {
        this.end(child, 'Cancelled', 'Cancelled with its parent', 'Order Canceled - reason:');
        continue;
      }
      const step = child.instrument.sizeIncrement;
      const allowed = Math.floor((order.filled * child.ratioToParent) / step + 1e-9) * step;
      let usedByOthers = 0;
      for (const other of order.children)
        if (other !== child && isRival(other, child)) usedByOthers += other.filled;
      this.reduce(child, child.quantity - Math.max(0, Math.min(child.quantity, allowed - usedByOthers)));
      this.review(child);
    }
  }

  /** Lets an open order of an earlier process work again at the market of now; ends it when its time is over. */
  resume(order: WorkingOrder): void {
    const { floor } = this;
    if (!order.isOpen) return;
    const now = floor.now();
    if (order.expiresAt !== null && now >= order.expiresAt) {
      this.expire(order);
      order.completedAt = order.expiresAt;
      return;
    }
    this.watch(order);
    if (order.status === 'PendingCancel') this.answerCancel(order, 'Cancelled by Trader');
    floor.agenda.at(Math.max(now, order.matchableAt), () => this.review(order));
  }

  private answerCancel(order: WorkingOrder, completedStatus: string): void {
    const { floor } = this;
    floor.agenda.at(floor.now() + floor.latency(), () =>
      this.end(order, 'Cancelled', completedStatus, plainCancel),
    );
  }

  /** Starts the cancellation of an open order: PendingCancel now, Cancelled when the exchange answers. */
  cancel(order: WorkingOrder, completedStatus: string): void {
    const { floor } = this;
    if (!order.isTransmitted) {
      this.end(order, 'Cancelled', completedStatus, plainCancel);
      return;
    }
    order.status = 'PendingCancel';
    floor.emit({ type: 'orderStatus', order: pictureOf(order) });
    this.answerCancel(order, completedStatus);
  }

  /** Takes new terms for an open order. */
  modify(order: WorkingOrder, request: OrderRequest): void {
    const { floor } = this;
    const kind = orderKind(request.orderType);
    if (kind === null) return;
    const before = order.request;
    order.request = { ...request, account: order.account, parentId: before.parentId };
    order.kind = kind;
    order.quantity = request.totalQuantity;
    order.isResting = false;
    if (request.lmtPrice !== before.lmtPrice || request.orderType !== before.orderType) order.wonLimit = null;
    if (request.auxPrice !== before.auxPrice || request.orderType !== before.orderType) {
      order.isTriggered = false;
      order.trailStop = null;
    }
    if (request.trailStopPrice !== null) order.trailStop = request.trailStopPrice;
    if (request.lmtPrice !== before.lmtPrice || request.lmtPriceOffset !== before.lmtPriceOffset)
      order.trailOffset = null;
    this.unwatch(order);
    if (!order.isTransmitted) {
      if (request.transmit) this.transmit(order);
      return;
    }
    this.setTimes(order);
    this.watch(order);
    if (remainingOf(order) === 0) {
      this.completeAsIs(order);
      return;
    }
    this.advance(order);
    order.matchableAt = floor.now() + floor.latency();
    const stage = stageOf(order, floor);
    order.status = order.filled > 0 && stage.isReady ? 'Submitted' : stage.status;
    order.whyHeld = stage.whyHeld;
    this.tell(order);
    this.wakeAt(order, stage.wakeAt);
    floor.agenda.at(order.matchableAt, () => this.review(order));
  }

  /** An order cut down to what it has filled is filled. */
  private completeAsIs(order: WorkingOrder): void {
    order.status = 'Filled';
    order.isOpen = false;
    order.completedAt = this.floor.now();
    order.completedStatus = `Filled Size: ${order.filled}`;
    this.floor.book.close(order);
    this.unwatch(order);
    this.tell(order);
    this.followGroups(order, 0);
  }
}
