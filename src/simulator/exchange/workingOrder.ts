/** One order while the exchange holds it, and the immutable picture of it that the outside sees. */
import type { BookOrder, OrderRequest, OrderStatus, WhatIfMargin } from '../model.ts';
import type { Appointment } from './agenda.ts';
import type { Instrument } from './instruments.ts';
import { clean } from './instruments.ts';
import type { OrderKind } from './orderKinds.ts';
import { orderKind } from './orderKinds.ts';

export interface WorkingOrder {
  request: OrderRequest;
  kind: OrderKind;
  readonly instrument: Instrument;
  readonly permId: number;
  readonly account: string;
  readonly acceptedAt: number;
  /** 1 buy, -1 sell */
  readonly sign: 1 | -1;
  status: OrderStatus;
  isOpen: boolean;
  /** false while `transmit` was withheld: nobody hears of the order */
  isTransmitted: boolean;
  /** current size; groups reduce it */
  quantity: number;
  filled: number;
  /** sum of shares x price */
  filledValue: number;
  lastFillPrice: number;
  commission: number | null;
  commissionCurrency: string;
  whyHeld: string;
  warningText: string;
  completedAt: number | null;
  completedStatus: string;
  /** place in the order of all closings, null while open */
  closingRank: number | null;
  parent: WorkingOrder | null;
  readonly children: WorkingOrder[];
  /** size when the order was placed, against the parent's: how much of a partly filled parent it may close */
  ratioToParent: number;
  isTriggered: boolean;
  /** it met the market before and was not marketable: later fills are at its own price */
  isResting: boolean;
  /** it met the market at least once */
  hasMetMarket: boolean;
  /** held by script at the exchange */
  isHeld: boolean;
  trailStop: number | null;
  /** from the stop of a trailing order to its limit, which keeps the distance that it began with; null: not fixed yet */
  trailOffset: number | null;
  /** a limit that the order got on its way (market-to-limit, trailing limit) */
  wonLimit: number | null;
  matchableAt: number;
  activeFrom: number | null;
  auctionAt: number | null;
  expiresAt: number | null;
  wake: Appointment | null;
  wakeAt: number | null;
  watched: readonly number[];
}

/** An order without what it is tied to: plain numbers, texts and flags. */
export type OrderState = Omit<
  WorkingOrder,
  'request' | 'kind' | 'instrument' | 'parent' | 'children' | 'wake' | 'wakeAt' | 'watched'
>;

export function stateOf(order: WorkingOrder): OrderState {
  const { request, kind, instrument, parent, children, wake, wakeAt, watched, ...state } = order;
  return state;
}

/** The order that had this state, tied to its parent but to no timer and no market. */
export function orderOf(
  request: OrderRequest,
  instrument: Instrument,
  state: OrderState,
  parent: WorkingOrder | null,
): WorkingOrder {
  return {
    ...state,
    request,
    kind: kindOf(request),
    instrument,
    parent,
    children: [],
    wake: null,
    wakeAt: null,
    watched: [],
  };
}

/** Types that are unknown never enter the book by the desk; liquidations and the like are plain market orders. */
export function kindOf(request: OrderRequest): OrderKind {
  return orderKind(request.orderType) ?? { trigger: 'none', pricing: 'market', atClose: false };
}

/** A hedge closes nothing of its parent. */
export function isHedge(order: WorkingOrder): boolean {
  return (order.request.fields.hedgeType ?? '') !== '';
}

/** Whether two children of one parent close the same part of it. */
export function isRival(order: WorkingOrder, other: WorkingOrder): boolean {
  return order === other || (order.sign === other.sign && !isHedge(order) && !isHedge(other));
}

export function remainingOf(order: WorkingOrder): number {
  return Math.max(0, clean(order.quantity - order.filled));
}

export function averagePriceOf(order: WorkingOrder): number {
  return order.filled === 0 ? 0 : clean(order.filledValue / order.filled);
}

export function pictureOf(
  order: WorkingOrder,
  change: { readonly margin?: WhatIfMargin; readonly withoutCommission?: boolean } = {},
): BookOrder {
  const { request } = order;
  return {
    request:
      request.totalQuantity === order.quantity ? request : { ...request, totalQuantity: order.quantity },
    contract: { ...order.instrument.contract, exchange: request.contract.exchange },
    permId: order.permId,
    parentPermId: order.parent?.permId ?? 0,
    status: order.status,
    filled: order.filled,
    remaining: remainingOf(order),
    avgFillPrice: averagePriceOf(order),
    lastFillPrice: order.lastFillPrice,
    whyHeld: order.whyHeld,
    mktCapPrice: 0,
    trailStopPrice: order.trailStop,
    commission: change.withoutCommission === true ? null : order.commission,
    commissionCurrency:
      order.commission === null || change.withoutCommission === true ? '' : order.commissionCurrency,
    warningText: order.warningText,
    margin: change.margin ?? null,
    completedAt: order.completedAt,
    completedStatus: order.completedStatus,
  };
}
