/** The vocabulary of orders: intents, facts, and the view that facts add up to. */
import type { Decimal } from './decimal.ts';
import type { Contract } from './instrument.ts';

export const orderTypes = [
  'market',
  'limit',
  'stop',
  'stop_limit',
  'trailing_stop',
  'trailing_stop_limit',
  'market_if_touched',
  'limit_if_touched',
  'market_on_close',
  'limit_on_close',
  'midprice',
  'relative',
] as const;
export type OrderType = (typeof orderTypes)[number];

export const timesInForce = ['day', 'gtc', 'ioc', 'fok', 'gtd', 'opg'] as const;
export type TimeInForce = (typeof timesInForce)[number];

export type Side = 'buy' | 'sell';

export const orderStates = [
  'reviewing',
  'journaling',
  'submitting',
  'working',
  'modifying',
  'cancelling',
  'inDoubt',
  'filled',
  'cancelled',
  'expired',
  'rejected',
  'denied',
] as const;
export type OrderState = (typeof orderStates)[number];

/** Who made the order: us through the API, another client or TWS, or the broker's risk desk. */
export type OrderOrigin = 'api' | 'external' | 'liquidation';

/** The terms that may change while an order works. */
export interface OrderTerms {
  readonly quantity: Decimal;
  readonly limitPrice?: Decimal;
  readonly stopPrice?: Decimal;
  readonly trailAmount?: Decimal;
  readonly trailPercent?: Decimal;
  readonly timeInForce: TimeInForce;
  /** RFC 3339 */
  readonly goodTillDate?: string;
  readonly outsideRegularHours?: boolean;
}

/** An intent: all that defines one order before anybody answered. */
export interface OrderTicket extends OrderTerms {
  readonly clientOrderId: string;
  readonly account: string;
  /** canonical short form */
  readonly instrument: string;
  readonly contract: Contract;
  readonly side: Side;
  readonly type: OrderType;
  readonly ocaGroup?: string;
  readonly parentClientOrderId?: string;
  readonly algo?: { readonly strategy: string; readonly params: Readonly<Record<string, string>> };
  /** further TWS order fields, from an allow-list */
  readonly tws?: Readonly<Record<string, string | number | boolean>>;
  /** false: TWS holds the order until a later one of its group transmits */
  readonly transmit: boolean;
}

export interface Reason {
  /** stable, lower case with dashes, or the broker's own number as text */
  readonly code: string;
  readonly message: string;
}

export interface Fill {
  readonly execId: string;
  readonly quantity: Decimal;
  readonly price: Decimal;
  /** RFC 3339 */
  readonly at: string;
  readonly commission: Decimal | null;
  readonly commissionCurrency?: string;
  readonly realizedPnl: Decimal | null;
  readonly permId?: string;
  readonly exchange?: string;
}

export interface Notice {
  readonly code: number;
  readonly message: string;
  readonly at: string;
}

/** An order as clients see it. Contracted: fields are only added. */
export interface Order extends OrderTerms {
  readonly clientOrderId: string;
  readonly origin: OrderOrigin;
  readonly account: string;
  readonly instrument: string;
  readonly contract: Contract;
  readonly side: Side;
  readonly type: OrderType;
  readonly ocaGroup?: string;
  readonly parentClientOrderId?: string;
  readonly algo?: OrderTicket['algo'];
  readonly tws?: OrderTicket['tws'];
  readonly state: OrderState;
  readonly filledQuantity: Decimal;
  readonly remainingQuantity: Decimal;
  readonly averageFillPrice: Decimal | null;
  readonly commission: Decimal | null;
  readonly orderId: number | null;
  readonly permIds: readonly string[];
  readonly version: number;
  readonly reason: Reason | null;
  readonly notices: readonly Notice[];
  readonly pendingChange: Partial<OrderTerms> | null;
  readonly fills: readonly Fill[];
  /** why TWS holds a live order back, e.g. `locate`; absent when it does not */
  readonly heldBecause?: string;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface FieldProblem {
  /** JSON pointer into the body, e.g. `/limitPrice` */
  readonly pointer: string;
  readonly detail: string;
}
