/** The vocabulary of orders: intents, facts, and the view that facts add up to. */
import { add, compare, type Decimal, divide, equals, isZero, larger, multiply, subtract } from './decimal.ts';
import { type Incarnation, type IncarnationState, withEnded, withIncarnation } from './incarnation.ts';
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
  /** what the client called it, where that is something else */
  readonly calledAs?: string;
  readonly contract: Contract;
  readonly side: Side;
  readonly type: OrderType;
  readonly ocaGroup?: string;
  readonly parentClientOrderId?: string;
  readonly algo?: { readonly strategy: string; readonly params: Readonly<Record<string, string>> };
  /** the client's own name, by which its lease covers the order; absent: nameless */
  readonly client?: string;
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

/** What became of one leg of a combo. Positions follow these; what the combo has filled is told by executions of its own. */
export interface LegFill extends Fill {
  readonly side: Side;
  readonly conId?: number;
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
  /** `other`: an order of others whose TWS type (`brokerType`) has no name here */
  readonly type: OrderType | 'other';
  readonly brokerType?: string;
  /** true: met by its executions, its size is not known yet; `quantity` is what they have filled so far */
  readonly quantityUnknown?: true;
  readonly ocaGroup?: string;
  readonly parentClientOrderId?: string;
  readonly client?: string;
  readonly algo?: OrderTicket['algo'];
  readonly tws?: OrderTicket['tws'];
  readonly state: OrderState;
  readonly filledQuantity: Decimal;
  readonly remainingQuantity: Decimal;
  readonly averageFillPrice: Decimal | null;
  readonly commission: Decimal | null;
  readonly orderId: number | null;
  readonly permIds: readonly string[];
  /** the broker orders behind `permIds`, oldest first, each with its own end */
  readonly incarnations?: readonly Incarnation[];
  /** ids that TWS refused as used before or with a parent that it does not know; nothing entered the book under them */
  readonly refusedOrderIds?: readonly number[];
  /** true: its parent is gone from the broker's book, it stands on its own */
  readonly orphaned?: boolean;
  /** a cancel was asked for and not refused; RFC 3339 */
  readonly cancelRequestedAt?: string;
  readonly version: number;
  readonly reason: Reason | null;
  readonly notices: readonly Notice[];
  readonly pendingChange: Partial<OrderTerms> | null;
  readonly fills: readonly Fill[];
  /** of a combo: executions of its legs, each in its last revision; quantity `"0"`: taken back */
  readonly legFills?: readonly LegFill[];
  /** filled quantity that the broker states though no execution explains it */
  readonly statedFilled?: {
    readonly quantity: Decimal;
    readonly averagePrice: Decimal | null;
    /** a person stated it, not the broker */
    readonly settled?: true;
  };
  /** executions that the broker took back */
  readonly busted?: readonly string[];
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

interface OrderFactBase {
  readonly clientOrderId: string;
  /** ms since the epoch */
  readonly at: number;
  /** present once the fact is durable: such a fact is replayed, not news */
  readonly seq?: number;
}

/** What happened to an order. Durable facts, in the order in which they became known; replaying them rebuilds the order. */
export type OrderFact = OrderFactBase &
  (
    | {
        readonly type: 'order.requested';
        readonly ticket: OrderTicket;
        readonly orderId: number;
        readonly parentOrderId: number;
      }
    | { readonly type: 'order.denied'; readonly ticket: OrderTicket; readonly reason: Reason }
    /** an order that we did not submit, as the broker first showed it */
    | { readonly type: 'order.discovered'; readonly order: Order }
    /** every byte was handed to the socket */
    | { readonly type: 'order.sent'; readonly sessionId: string }
    /** it is certain that no byte left */
    | { readonly type: 'order.withheld'; readonly reason: Reason }
    /** the broker holds the order under this permId, `"0"` while it has none */
    | {
        readonly type: 'order.accepted';
        readonly permId: string;
        /** false: the same message shows that it is not in the book any more */
        readonly alive: boolean;
        readonly contract: Contract | null;
        readonly heldBecause: string;
        /** of one that a newer has followed: its size, when it is another than we knew */
        readonly quantity?: Decimal;
      }
    /** one of several broker orders has ended, others live */
    | {
        readonly type: 'order.incarnationEnded';
        readonly permId: string;
        readonly how: Exclude<IncarnationState, 'live'>;
      }
    /** TWS refused the order id, or the parent's: nothing entered the book */
    | { readonly type: 'order.idRefused'; readonly orderId: number; readonly reason: Reason }
    /** the same intent under a fresh order id */
    | { readonly type: 'order.renumbered'; readonly orderId: number; readonly parentOrderId: number }
    /** the broker does not know its parent any more: changes go without it */
    | { readonly type: 'order.orphaned' }
    /** an order of others turns out to be the broker's own liquidation */
    | { readonly type: 'order.reclassified'; readonly origin: OrderOrigin }
    | { readonly type: 'order.filled'; readonly fill: Fill }
    /** an execution of a leg, or a later revision of one */
    | { readonly type: 'order.legExecuted'; readonly fill: LegFill }
    /** a later revision of a known execution; quantity `"0"` busts it */
    | { readonly type: 'order.corrected'; readonly fill: Fill; readonly replaces: string }
    /** the broker states a filled quantity that no execution explains and never will */
    | {
        readonly type: 'order.filledAsStated';
        readonly filled: Decimal;
        readonly averagePrice: Decimal | null;
        /** absent: the broker states it; a person does so with a reason */
        readonly reason?: Reason;
      }
    | {
        readonly type: 'order.commissioned';
        readonly execId: string;
        readonly commission: Decimal | null;
        readonly currency: string;
        readonly realizedPnl: Decimal | null;
      }
    | { readonly type: 'order.modifyRequested'; readonly change: Partial<OrderTerms> }
    | { readonly type: 'order.modified'; readonly terms: Partial<OrderTerms> }
    | { readonly type: 'order.modifyRejected'; readonly reason: Reason }
    | { readonly type: 'order.cancelRequested' }
    | { readonly type: 'order.cancelRejected'; readonly reason: Reason }
    | { readonly type: 'order.cancelled'; readonly reason: Reason | null }
    | { readonly type: 'order.expired'; readonly reason: Reason | null }
    | { readonly type: 'order.rejected'; readonly reason: Reason }
    | { readonly type: 'order.noticed'; readonly notice: Notice }
    /** written, outcome unknown */
    | { readonly type: 'order.doubted'; readonly reason: Reason }
  );

/** Notices kept per order; the newest win. */
const noticesPerOrderMax = 50;

const iso = (at: number): string => new Date(at).toISOString();

/** The order that a ticket starts as. */
export function orderOf(ticket: OrderTicket, orderId: number | null, at: number): Order {
  const { transmit: _t, calledAs: _c, ...terms } = ticket;
  return {
    ...terms,
    origin: 'api',
    state: 'reviewing',
    filledQuantity: '0',
    remainingQuantity: ticket.quantity,
    averageFillPrice: null,
    commission: null,
    orderId,
    permIds: [],
    version: 1,
    reason: null,
    notices: [],
    pendingChange: null,
    fills: [],
    createdAt: iso(at),
    updatedAt: iso(at),
  };
}

/** Executions whose ids differ only after the last period are revisions of one fill. */
export const executionFamily = (execId: string): string => {
  const end = execId.lastIndexOf('.');
  return end > 0 ? execId.slice(0, end) : execId;
};
/** The revision number after the last period; 0 when there is none. */
export const executionRevision = (execId: string): number => {
  const digits = execId.slice(execId.lastIndexOf('.') + 1);
  return /^\d+$/.test(digits) ? Number(digits) : 0;
};

const isSameExecution = (a: Pick<Fill, 'execId'>, b: Pick<Fill, 'execId'>): boolean =>
  executionFamily(a.execId) === executionFamily(b.execId);

/** What was stated falls by what the correction takes back; by how much that is, of an execution never heard of, nobody knows. */
function restated({ statedFilled, ...order }: Order, corrected: Fill): Order {
  const known = order.fills.find((fill) => isSameExecution(fill, corrected));
  if (statedFilled === undefined || known === undefined) return order;
  const quantity = subtract(statedFilled.quantity, subtract(known.quantity, corrected.quantity));
  return { ...order, statedFilled: { ...statedFilled, quantity } };
}

/** Sums, average and remainder follow from the fills; what the broker stated without executions is a lower bound. */
function withFills(order: Order, fills: readonly Fill[]): Order {
  let filled = '0';
  let value = '0';
  for (const fill of fills) {
    filled = add(filled, fill.quantity);
    value = add(value, multiply(fill.quantity, fill.price));
  }
  const stated = order.statedFilled?.quantity ?? '0';
  const explained = compare(filled, stated) >= 0;
  const filledQuantity = larger(filled, stated);
  const quantity = order.quantityUnknown ? larger(order.quantity, filledQuantity) : order.quantity;
  const left = order.quantityUnknown ? '0' : subtract(quantity, filledQuantity);
  // Explained by executions it has served: a correction of these must be able to fall below it.
  const { statedFilled, ...rest } = order;
  return {
    ...rest,
    ...(statedFilled && !explained ? { statedFilled } : {}),
    quantity,
    fills,
    filledQuantity,
    remainingQuantity: compare(left, '0') > 0 ? left : '0',
    averageFillPrice: explained
      ? isZero(filled)
        ? null
        : divide(value, filled)
      : (order.statedFilled?.averagePrice ?? order.averageFillPrice),
    commission: commissionOf(fills, order.legFills ?? []),
  };
}

/** Why an order is in doubt that the broker's lists lack. */
export const missingCode = 'missing-at-broker';
/** Why an order is open again that had ended. */
export const aliveAgainCode = 'alive-again';

/** Whether a person's word stands for executions that nobody has seen. */
export const isSettledByHand = ({ statedFilled }: Order): boolean => statedFilled?.settled === true;

/** A person who took it for ended was wrong, and so may be what he said of its fills. */
function unsettled(order: Order): Order {
  if (!isSettledByHand(order)) return order;
  const { statedFilled: _, ...rest } = order;
  return withFills(rest, order.fills);
}

/** A combo is charged by its legs; what its own line says counts when theirs say nothing, and never twice. */
function commissionOf(fills: readonly Fill[], legFills: readonly LegFill[]): Decimal | null {
  const own = commissionSum(fills);
  const legs = commissionSum(legFills);
  return legs === null || (isZero(legs) && own !== null) ? own : legs;
}

/** Null: none is known, or they are in several currencies. */
function commissionSum(fills: readonly Fill[]): Decimal | null {
  const charged = fills.filter(({ commission }) => commission !== null);
  const currencies = new Set(charged.flatMap(({ commissionCurrency }) => commissionCurrency ?? []));
  if (charged.length === 0 || currencies.size > 1) return null;
  return charged.reduce((sum, { commission }) => add(sum, commission ?? '0'), '0');
}

/** The fills with the commission of one of them. */
const commissioned = <T extends Fill>(
  fills: readonly T[],
  { execId, commission, realizedPnl, currency }: Extract<OrderFact, { type: 'order.commissioned' }>,
): T[] =>
  fills.map((fill) =>
    fill.execId === execId
      ? { ...fill, commission, realizedPnl, ...(currency ? { commissionCurrency: currency } : {}) }
      : fill,
  );

/** Whether nothing is left to fill. */
export const isFullyFilled = (order: Order): boolean =>
  !order.quantityUnknown &&
  compare(order.filledQuantity, '0') > 0 &&
  compare(order.filledQuantity, order.quantity) >= 0;

/** The order with the fact's figures worked in. States are the machine's business: only figures and texts change here. */
export function applyFact(order: Order, fact: OrderFact): Order {
  const next = figuresAfter(order, fact);
  return next === order ? order : { ...next, version: order.version + 1, updatedAt: iso(fact.at) };
}

function figuresAfter(order: Order, fact: OrderFact): Order {
  switch (fact.type) {
    case 'order.requested':
      return {
        ...orderOf(fact.ticket, fact.orderId, fact.at),
        // Its parent had ended before it was sent.
        ...(fact.ticket.parentClientOrderId !== undefined && fact.parentOrderId === 0
          ? { orphaned: true }
          : {}),
        version: order.version,
      };
    case 'order.denied':
      return { ...orderOf(fact.ticket, null, fact.at), version: order.version, reason: fact.reason };
    case 'order.discovered':
      return { ...fact.order, version: order.version };
    case 'order.sent':
      return order;
    case 'order.doubted':
      return { ...(fact.reason.code === aliveAgainCode ? unsettled(order) : order), reason: fact.reason };
    case 'order.withheld':
    case 'order.rejected':
      return { ...ended(order, 'inactive'), reason: fact.reason };
    case 'order.incarnationEnded':
      return { ...order, incarnations: withEnded(order.incarnations ?? [], fact.how, fact.permId) };
    case 'order.idRefused':
      return {
        ...order,
        refusedOrderIds: [...(order.refusedOrderIds ?? []), fact.orderId],
        reason: fact.reason,
      };
    case 'order.renumbered':
      return { ...order, orderId: fact.orderId, reason: null };
    case 'order.orphaned':
      return { ...order, orphaned: true };
    case 'order.reclassified':
      return { ...order, origin: fact.origin };
    case 'order.accepted': {
      const permIds =
        fact.permId === '0' || order.permIds.includes(fact.permId)
          ? order.permIds
          : [...order.permIds, fact.permId];
      const { heldBecause: _, ...free } = order;
      return {
        ...free,
        ...(fact.heldBecause ? { heldBecause: fact.heldBecause } : {}),
        permIds,
        incarnations: withIncarnation(order.incarnations ?? [], fact, order.quantity),
        contract: fact.contract ? { ...order.contract, ...fact.contract } : order.contract,
        reason: fact.alive ? null : order.reason,
      };
    }
    case 'order.filled':
      return withFills(order, [...order.fills, fact.fill]);
    case 'order.corrected':
      return withFills(
        isZero(fact.fill.quantity)
          ? { ...restated(order, fact.fill), busted: [...(order.busted ?? []), fact.fill.execId] }
          : restated(order, fact.fill),
        order.fills
          .map((fill) => (isSameExecution(fill, fact.fill) ? fact.fill : fill))
          .filter((fill) => !isZero(fill.quantity)),
      );
    case 'order.filledAsStated': {
      const { filled: quantity, averagePrice, reason = order.reason } = fact;
      const statedFilled = { quantity, averagePrice, ...(fact.reason ? { settled: true as const } : {}) };
      return withFills({ ...order, reason, statedFilled }, order.fills);
    }
    case 'order.legExecuted': {
      const family = executionFamily(fact.fill.execId);
      const others = (order.legFills ?? []).filter(({ execId }) => executionFamily(execId) !== family);
      return withFills({ ...order, legFills: [...others, fact.fill] }, order.fills);
    }
    case 'order.commissioned':
      return withFills(
        order.legFills ? { ...order, legFills: commissioned(order.legFills, fact) } : order,
        commissioned(order.fills, fact),
      );
    case 'order.modifyRequested':
      return { ...order, pendingChange: fact.change };
    case 'order.modified': {
      const { quantityUnknown: _, ...sized } = order;
      const known = fact.terms.quantity === undefined ? order : sized;
      return withFills({ ...withChange(known, fact.terms), pendingChange: null, reason: null }, order.fills);
    }
    case 'order.modifyRejected':
      return { ...order, pendingChange: null, reason: fact.reason };
    case 'order.cancelRequested': {
      // To ask for it does not make the lists name the order.
      const reason = order.reason?.code === missingCode ? order.reason : null;
      return { ...order, cancelRequestedAt: iso(fact.at), reason };
    }
    case 'order.cancelRejected': {
      const { cancelRequestedAt: _, ...kept } = order;
      return { ...kept, reason: order.reason?.code === missingCode ? order.reason : fact.reason };
    }
    case 'order.cancelled':
    case 'order.expired':
      return { ...ended(order, 'cancelled'), reason: fact.reason ?? order.reason };
    case 'order.noticed':
      return { ...order, notices: [...order.notices, fact.notice].slice(-noticesPerOrderMax) };
  }
}

const ended = (order: Order, how: IncarnationState): Order => ({
  ...order,
  ...(order.incarnations ? { incarnations: withEnded(order.incarnations, how) } : {}),
  pendingChange: null,
});

/** With the changed terms worked in. A change away from gtd takes the date with it. */
export function withChange<T extends OrderTerms>(of: T, change: Partial<OrderTerms>): T {
  const changed: T & { goodTillDate?: string } = { ...of, ...change };
  if (changed.timeInForce !== 'gtd') delete changed.goodTillDate;
  return changed;
}

/** The changed terms of `change` that differ from what the order has. */
export function effectiveChange(order: OrderTerms, change: Partial<OrderTerms>): Partial<OrderTerms> {
  const entries = Object.entries(change).filter(([name, value]) => {
    const current = order[name as keyof OrderTerms];
    if (value === undefined) return false;
    if (typeof value === 'string' && typeof current === 'string' && decimalTerms.has(name))
      return !equals(value, current);
    return value !== current;
  });
  return Object.fromEntries(entries);
}
const decimalTerms: ReadonlySet<string> = new Set([
  'quantity',
  'limitPrice',
  'stopPrice',
  'trailAmount',
  'trailPercent',
]);

/** What a further TWS order field holds. `integer` and `number` may be given as text. */
export type TwsFieldKind = 'text' | 'integer' | 'number' | 'boolean';

/**
 * The TWS order fields, in IB's own spelling, that `OrderTicket.tws` may carry. What a ticket says in words of its own
 * (side, prices, account, transmit, whatIf, orderRef, ...) is not among them.
 */
export const twsOrderFields = {
  ocaType: 'integer',
  allOrNone: 'boolean',
  hidden: 'boolean',
  blockOrder: 'boolean',
  sweepToFill: 'boolean',
  displaySize: 'integer',
  minQty: 'integer',
  triggerMethod: 'integer',
  discretionaryAmt: 'number',
  discretionaryUpToLimitPrice: 'boolean',
  percentOffset: 'number',
  nbboPriceCap: 'number',
  lmtPriceOffset: 'number',
  trailStopPrice: 'number',
  goodAfterTime: 'text',
  overridePercentageConstraints: 'boolean',
  notHeld: 'boolean',
  solicited: 'boolean',
  usePriceMgmtAlgo: 'boolean',
  optOutSmartRouting: 'boolean',
  randomizeSize: 'boolean',
  randomizePrice: 'boolean',
  includeOvernight: 'boolean',
  autoCancelParent: 'boolean',
  isOmsContainer: 'boolean',
  duration: 'integer',
  postToAts: 'integer',
  minTradeQty: 'integer',
  minCompeteSize: 'integer',
  competeAgainstBestOffset: 'number',
  midOffsetAtWhole: 'number',
  midOffsetAtHalf: 'number',
  adjustedOrderType: 'text',
  triggerPrice: 'number',
  adjustedStopPrice: 'number',
  adjustedStopLimitPrice: 'number',
  adjustedTrailingAmount: 'number',
  adjustableTrailingUnit: 'integer',
  volatility: 'number',
  volatilityType: 'integer',
  openClose: 'text',
  rule80A: 'text',
  modelCode: 'text',
  shortSaleSlot: 'integer',
  designatedLocation: 'text',
  exemptCode: 'integer',
  settlingFirm: 'text',
  clearingAccount: 'text',
  clearingIntent: 'text',
  customerAccount: 'text',
  professionalCustomer: 'boolean',
  extOperator: 'text',
  manualOrderIndicator: 'integer',
  manualOrderTime: 'text',
  mifid2DecisionMaker: 'text',
  mifid2DecisionAlgo: 'text',
  mifid2ExecutionTrader: 'text',
  mifid2ExecutionAlgo: 'text',
  advancedErrorOverride: 'text',
} as const satisfies Readonly<Record<string, TwsFieldKind>>;
export type TwsOrderField = keyof typeof twsOrderFields;
