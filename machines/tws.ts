/** The words between the connection and everybody else: what the broker told us, what we ask of it. No wire words. */
import type { Decimal } from './decimal.ts';
import type { Contract } from './instrument.ts';
import type { OrderTerms, OrderTicket, OrderType, Side, TimeInForce } from './order.ts';

/** How the broker holds an order: TWS's status words, reduced to what decides something. */
export type BrokerOrderStatus =
  /** received, not yet confirmed by the exchange or held back */
  | 'pending'
  /** live: at the exchange, or simulated by IB and armed */
  | 'working'
  | 'cancelPending'
  | 'cancelled'
  | 'filled'
  /** TWS `Inactive`: dead unless `heldBecause` says why it may come back */
  | 'inactive';

/** Ids by which the broker names an order. permId is `"0"` until assigned. */
export interface BrokerOrderIds {
  readonly orderId: number;
  readonly clientId: number;
  readonly permId: string;
  readonly orderRef: string;
}

/** Terms as the broker echoes them. A field that TWS left unset is absent. */
export interface BrokerOrderTerms {
  readonly account: string;
  readonly contract: Contract;
  readonly side: Side;
  /** null: a TWS order type outside our vocabulary (orders of others) */
  readonly type: OrderType | null;
  /** TWS's own spelling, for display */
  readonly brokerType: string;
  readonly quantity: Decimal;
  readonly limitPrice?: Decimal;
  readonly stopPrice?: Decimal;
  readonly trailAmount?: Decimal;
  readonly trailPercent?: Decimal;
  readonly timeInForce: TimeInForce | null;
  readonly ocaGroup?: string;
  readonly parentOrderId?: number;
  readonly outsideRegularHours?: boolean;
}

/** What the broker said about orders. Facts: never refused, never dropped. `at` = when the bytes were read, ms. */
export type BrokerFact =
  | {
      readonly type: 'broker.orderSeen';
      readonly at: number;
      readonly ids: BrokerOrderIds;
      readonly terms: BrokerOrderTerms;
      readonly status: BrokerOrderStatus;
      /** reason that TWS gives beside an inactive order (warning text), empty if none */
      readonly text: string;
    }
  | {
      readonly type: 'broker.statusSeen';
      readonly at: number;
      readonly ids: Omit<BrokerOrderIds, 'orderRef'>;
      readonly status: BrokerOrderStatus;
      /** null: TWS did not say */
      readonly filled: Decimal | null;
      readonly remaining: Decimal | null;
      readonly averagePrice: Decimal | null;
      readonly heldBecause: string;
    }
  | {
      readonly type: 'broker.executed';
      readonly at: number;
      readonly ids: BrokerOrderIds;
      readonly execution: BrokerExecution;
    }
  | {
      readonly type: 'broker.commissioned';
      readonly at: number;
      readonly execId: string;
      /** null: unset, or the -1 that means pending */
      readonly commission: Decimal | null;
      readonly currency: string;
      readonly realizedPnl: Decimal | null;
    }
  | {
      /** an error or notice that TWS tied to an order id; `disposition` comes from the one table of codes */
      readonly type: 'broker.orderNoted';
      readonly at: number;
      readonly orderId: number;
      readonly code: number;
      readonly message: string;
      readonly disposition: OrderNoteDisposition;
    }
  | {
      readonly type: 'broker.completedSeen';
      readonly at: number;
      readonly ids: BrokerOrderIds;
      readonly terms: BrokerOrderTerms;
      readonly status: 'filled' | 'cancelled' | 'inactive';
      readonly filled: Decimal | null;
      readonly completedAt: string;
      readonly text: string;
    }
  | {
      readonly type: 'broker.positionSeen';
      readonly at: number;
      readonly account: string;
      readonly contract: Contract;
      readonly quantity: Decimal;
      readonly averageCost: Decimal;
    };

export interface BrokerExecution {
  /** with its revision: `0000e0d5.67fe667b.01.01` */
  readonly execId: string;
  readonly account: string;
  readonly contract: Contract;
  readonly side: Side;
  readonly quantity: Decimal;
  readonly price: Decimal;
  /** broker's own time, RFC 3339 UTC */
  readonly executedAt: string;
  readonly exchange: string;
  readonly cumulativeQuantity: Decimal;
  readonly averagePrice: Decimal;
  readonly liquidation: boolean;
}

/**
 * What an error code on an order id can mean. The code alone never ends an order: the order's machine weighs it
 * against its state (`refusal` ends an order nobody has acknowledged, and only the change of one that works).
 */
export type OrderNoteDisposition =
  /** information: the order lives on (399, 10349, 404, 2109, ...) and every code that we do not know */
  | 'notice'
  /** the request was refused: new order or modification (201, 200, 110, 103, 104, 105, 135, 203, 321, ...) */
  | 'refusal'
  /** the order id was used before: nothing entered the book (103) */
  | 'duplicateOrderId'
  /** the broker cancelled the order (202) */
  | 'cancelled'
  /** the order to cancel is not in the book (10147) */
  | 'cancelTargetUnknown'
  /** the order to cancel is already closed (10148), the state is in the text */
  | 'cancelTargetClosed';

/** What we ask of TWS about orders. `parentOrderId`: 0 for none. */
export interface PlaceOrder {
  readonly type: 'tws.place';
  readonly orderId: number;
  readonly parentOrderId: number;
  readonly ticket: OrderTicket;
  /** true: a modification of a live order */
  readonly modification: boolean;
}
export interface CancelOrder {
  readonly type: 'tws.cancel';
  readonly clientOrderId: string;
  readonly orderId: number;
}
export interface CancelAllOrders {
  readonly type: 'tws.cancelAll';
}
export type TwsCommand = PlaceOrder | CancelOrder | CancelAllOrders;

/** Changed terms of a modification, as the client asked. */
export type TermsChange = Partial<OrderTerms>;

/** What happened to a command on its way out. */
export type DispatchFact =
  /** the bytes were handed to the socket of this session */
  | {
      readonly type: 'dispatch.sent';
      readonly clientOrderId: string;
      readonly orderId: number;
      readonly what: 'place' | 'modify' | 'cancel';
      readonly sessionId: string;
      readonly at: number;
    }
  /** certain that no byte left: no session, or the session ended while the command waited for pacing */
  | {
      readonly type: 'dispatch.withheld';
      readonly clientOrderId: string;
      readonly orderId: number;
      readonly what: 'place' | 'modify' | 'cancel';
      readonly reason: string;
      readonly at: number;
    };

/** State of the link to IB through a live gateway. */
export type LinkState = 'whole' | 'impaired' | 'severed';

export type FarmKind = 'market' | 'history' | 'secdef';
export interface Farm {
  readonly name: string;
  readonly kind: FarmKind;
  readonly status: 'ok' | 'broken' | 'inactive';
  readonly since: number;
}

/** One complete or failed answer to a question. Failed never reads as empty. */
export type Snapshot<T> =
  | { readonly outcome: 'complete'; readonly rows: readonly T[]; readonly at: number }
  | { readonly outcome: 'failed'; readonly reason: string; readonly at: number };

/** What a preview of an order says. Null: the broker gave no figure. */
export interface OrderPreview {
  readonly initialMarginBefore: Decimal | null;
  readonly initialMarginChange: Decimal | null;
  readonly initialMarginAfter: Decimal | null;
  readonly maintenanceMarginBefore: Decimal | null;
  readonly maintenanceMarginChange: Decimal | null;
  readonly maintenanceMarginAfter: Decimal | null;
  readonly equityWithLoanBefore: Decimal | null;
  readonly equityWithLoanChange: Decimal | null;
  readonly equityWithLoanAfter: Decimal | null;
  readonly commission: Decimal | null;
  readonly minCommission: Decimal | null;
  readonly maxCommission: Decimal | null;
  readonly commissionCurrency: string | null;
  readonly warning: string | null;
}

/** One value of an account; `at` is when TWS last sent it, RFC 3339. */
export interface AccountValue {
  readonly account: string;
  readonly key: string;
  readonly value: string;
  readonly currency: string;
  readonly at: string;
}

export interface ContractDetails {
  readonly contract: Contract;
  readonly instrument: string;
  readonly longName: string;
  readonly minTick: number;
  readonly timeZone: string;
  readonly tradingHours: string;
  readonly liquidHours: string;
  readonly validExchanges: readonly string[];
  readonly orderTypes: readonly string[];
}
