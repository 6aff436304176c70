/** Every order of the session, and the ways to find it. */
import type { OrderRequest } from '../model.ts';
import type { WorkingOrder } from './workingOrder.ts';

const closedMax = 20_000;

export class OrderBook {
  private readonly byKey = new Map<string, WorkingOrder>();
  /** open orders that a newer one of the same key hides: what a change in a cut of the link leaves behind */
  private readonly twins = new Map<string, readonly WorkingOrder[]>();
  private readonly byPermId = new Map<number, WorkingOrder>();
  private readonly open = new Set<WorkingOrder>();
  private readonly closed: WorkingOrder[] = [];
  private readonly byContract = new Map<number, Set<WorkingOrder>>();
  private closings = 0;

  add(order: WorkingOrder): void {
    const { clientId, orderId } = order.request;
    const key = keyOf(clientId, orderId);
    const other = this.byKey.get(key);
    if (other?.isOpen && orderId > 0) this.twins.set(key, [...(this.twins.get(key) ?? []), other]);
    if (orderId > 0) this.byKey.set(key, order);
    this.byPermId.set(order.permId, order);
    if (order.isOpen) this.open.add(order);
  }

  find(clientId: number, orderId: number): WorkingOrder | null {
    return this.byKey.get(keyOf(clientId, orderId)) ?? null;
  }

  withPermId(permId: number): WorkingOrder | null {
    return this.byPermId.get(permId) ?? null;
  }

  openOrders(): readonly WorkingOrder[] {
    return [...this.open];
  }

  closedSince(time: number): readonly WorkingOrder[] {
    return this.closed.filter((order) => (order.completedAt ?? 0) >= time);
  }

  /** Orders of one-cancels-all groups with this one, open ones only. */
  ocaMates(order: WorkingOrder): readonly WorkingOrder[] {
    const { ocaGroup } = order.request;
    if (ocaGroup === '') return [];
    return [...this.open].filter(
      (other) => other !== order && other.request.ocaGroup === ocaGroup && other.account === order.account,
    );
  }

  /** Takes the next rank of closing, unless the order closed in an earlier process and has one. */
  close(order: WorkingOrder): void {
    order.closingRank ??= this.closings + 1;
    this.closings = Math.max(this.closings, order.closingRank);
    this.open.delete(order);
    this.closed.push(order);
    this.uncover(order);
    if (this.closed.length <= closedMax) return;
    const oldest = this.closed.shift();
    if (oldest === undefined) return;
    this.byPermId.delete(oldest.permId);
    const key = keyOf(oldest.request.clientId, oldest.request.orderId);
    if (this.byKey.get(key) === oldest) this.byKey.delete(key);
  }

  /** A hidden order is found by its key again when the one before it has closed. */
  private uncover(order: WorkingOrder): void {
    const key = keyOf(order.request.clientId, order.request.orderId);
    const hidden = (this.twins.get(key) ?? []).filter((other) => other !== order && other.isOpen);
    if (this.byKey.get(key) !== order || !this.twins.has(key)) return;
    const next = hidden.at(-1);
    if (next !== undefined) this.byKey.set(key, next);
    if (hidden.length > 1) this.twins.set(key, hidden.slice(0, -1));
    else this.twins.delete(key);
  }

  /** Orders that want to hear of a contract's quotes. */
  onContract(conId: number): readonly WorkingOrder[] {
    const orders = this.byContract.get(conId);
    return orders === undefined ? [] : [...orders];
  }

  hasOrdersOn(conId: number): boolean {
    return this.byContract.has(conId);
  }

  listen(order: WorkingOrder, conIds: readonly number[]): void {
    order.watched = conIds;
    for (const conId of conIds) {
      const orders = this.byContract.get(conId);
      if (orders === undefined) this.byContract.set(conId, new Set([order]));
      else orders.add(order);
    }
  }

  /** Answers the contracts that it no longer listens to. */
  unlisten(order: WorkingOrder): readonly number[] {
    const { watched } = order;
    for (const conId of watched) {
      const orders = this.byContract.get(conId);
      orders?.delete(order);
      if (orders?.size === 0) this.byContract.delete(conId);
    }
    order.watched = [];
    return watched;
  }
}

function keyOf(clientId: number, orderId: number): string {
  return `${clientId}:${orderId}`;
}

/** A request with every field that a caller left out. */
export function completeRequest(
  partial: Partial<OrderRequest> & Pick<OrderRequest, 'contract' | 'action' | 'totalQuantity'>,
): OrderRequest {
  return {
    clientId: 0,
    orderId: 0,
    orderType: 'MKT',
    lmtPrice: null,
    auxPrice: null,
    tif: 'DAY',
    ocaGroup: '',
    ocaType: 3,
    account: '',
    orderRef: '',
    transmit: true,
    parentId: 0,
    outsideRth: false,
    allOrNone: false,
    minQty: null,
    displaySize: null,
    percentOffset: null,
    trailStopPrice: null,
    trailingPercent: null,
    lmtPriceOffset: null,
    cashQty: null,
    goodAfterTime: '',
    goodTillDate: '',
    algoStrategy: '',
    algoParams: [],
    conditions: [],
    conditionsCancelOrder: false,
    conditionsIgnoreRth: false,
    orderComboLegPrices: [],
    smartComboRoutingParams: [],
    whatIf: false,
    fields: {},
    ...partial,
  };
}
