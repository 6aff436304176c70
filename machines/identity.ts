/** Which order a broker's message is about, and what an order of others is called and looks like. */
import { isZero } from './decimal.ts';
import { formatInstrument } from './instrument.ts';
import { type Lookup, lookUp } from './lookup.ts';
import type { Order, OrderTicket } from './order.ts';
import type { BrokerFact, BrokerOrderIds, BrokerOrderTerms } from './tws.ts';

/** The facts that name an order by more than one of its ids. */
export type IdentifiedFact = Extract<
  BrokerFact,
  { type: 'broker.orderSeen' | 'broker.statusSeen' | 'broker.executed' | 'broker.completedSeen' }
>;

/** What is needed to find an order by any of its names. */
export interface OrderIndex {
  /** our own client id */
  readonly clientId: number;
  readonly orders: Lookup<{ readonly order: Order; readonly ticket: OrderTicket | null }>;
  readonly byPermId: Lookup<string>;
  /** `clientId:orderId` */
  readonly byOrderId: Lookup<string>;
  /** order ids that a former life may have given without the journal knowing: from the first it does not hold to the first that was given since */
  readonly lostIds: { readonly from: number; readonly below: number };
}

export const orderKey = (clientId: number, orderId: number): string => `${clientId}:${orderId}`;

/** Names of orders of others begin so, and no other does. */
export const externalPrefix = 'ext-';

/** The name that we give to an order of others: stable across restarts. */
const externalOrderId = ({ permId, clientId, orderId }: Omit<BrokerOrderIds, 'orderRef'>): string =>
  `${externalPrefix}${permId !== '0' ? permId : `${clientId}.${orderId}`}`;

/** Every id of a fact; a status carries no reference. */
export const idsOf = (fact: IdentifiedFact): BrokerOrderIds =>
  fact.type === 'broker.statusSeen' ? { ...fact.ids, orderRef: '' } : fact.ids;

/**
 * permId first, then our own reference, then (clientId, orderId). Undefined: an order of others, not met before.
 * `isNumbered` false: a list that carries neither client nor order id, TWS's completed orders.
 */
export function identify(
  index: OrderIndex,
  { permId, orderRef, clientId, orderId }: BrokerOrderIds,
  isNumbered = true,
): string | undefined {
  const byPermId = permId === '0' ? undefined : lookUp(index.byPermId, permId);
  if (byPermId !== undefined) return byPermId;
  const named = orderRef ? lookUp(index.orders, orderRef) : undefined;
  // Anybody may have typed our reference into TWS: an order of ours also carries our ids wherever TWS tells them.
  const isOurs =
    named?.ticket && (clientId === index.clientId || !isNumbered || named.order.orderId === orderId);
  if (isOurs) return orderRef;
  const byOrderId = orderId > 0 ? lookUp(index.byOrderId, orderKey(clientId, orderId)) : undefined;
  if (byOrderId !== undefined) {
    const contradicted = orderRef !== '' && orderRef !== byOrderId && lookUp(index.orders, byOrderId)?.ticket;
    return contradicted ? undefined : byOrderId;
  }
  const external = externalOrderId({ permId, clientId, orderId });
  return lookUp(index.orders, external) ? external : undefined;
}

/** What a reference of ours looks like. */
const referencePattern = /^[A-Za-z0-9._-]{1,64}$/;

/** No id from `given` on was lost. */
export const lostBelow = ({ from, below }: OrderIndex['lostIds'], given: number): OrderIndex['lostIds'] => ({
  from,
  below: Math.min(below, given),
});

/**
 * Whether an order that we do not know is one that we forgot, because the end of the journal was lost: it carries our
 * client id, an order id that the journal does not hold, and a reference that we would have given and have not given to another.
 */
const isForgotten = (
  index: Pick<OrderIndex, 'clientId' | 'orders' | 'lostIds'>,
  { clientId, orderId, orderRef }: BrokerOrderIds,
): boolean =>
  clientId === index.clientId &&
  orderId >= index.lostIds.from &&
  orderId < index.lostIds.below &&
  referencePattern.test(orderRef) &&
  !orderRef.startsWith(externalPrefix) &&
  lookUp(index.orders, orderRef) === undefined;

/** What an order is called that is met for the first time. */
export const nameOfNew = (
  index: Pick<OrderIndex, 'clientId' | 'orders' | 'lostIds'>,
  ids: BrokerOrderIds,
): string => (isForgotten(index, ids) ? ids.orderRef : externalOrderId(ids));

/**
 * The record of an order that is met for the first time: one of others, or one that we forgot, which is ours again. A
 * status alone does not tell enough: null.
 */
export function discoveredOrder(
  index: Pick<OrderIndex, 'clientId' | 'orders' | 'lostIds'>,
  fact: IdentifiedFact,
): Order | null {
  if (fact.type === 'broker.statusSeen') return null;
  const clientOrderId = nameOfNew(index, fact.ids);
  const order =
    fact.type === 'broker.executed'
      ? orderOfExecution(clientOrderId, fact)
      : orderOfTerms(clientOrderId, fact.terms, fact);
  return isForgotten(index, fact.ids) ? { ...order, origin: 'api', orderId: fact.ids.orderId } : order;
}

function orderOfTerms(
  clientOrderId: string,
  terms: BrokerOrderTerms,
  { ids, at }: { ids: BrokerOrderIds; at: number },
): Order {
  const { account, contract, side, quantity, limitPrice, stopPrice, trailAmount, trailPercent } = terms;
  return {
    ...blankOrder(clientOrderId, ids, at),
    account,
    contract,
    instrument: formatInstrument(contract),
    side,
    type: terms.type ?? 'other',
    brokerType: terms.brokerType,
    quantity: isZero(quantity) ? '0' : quantity,
    remainingQuantity: quantity,
    ...(limitPrice === undefined ? {} : { limitPrice }),
    ...(stopPrice === undefined ? {} : { stopPrice }),
    ...(trailAmount === undefined ? {} : { trailAmount }),
    ...(trailPercent === undefined ? {} : { trailPercent }),
    timeInForce: terms.timeInForce ?? 'day',
  };
}

function orderOfExecution(
  clientOrderId: string,
  { ids, execution, at }: Extract<BrokerFact, { type: 'broker.executed' }>,
): Order {
  const { exchange: _, ...contract } = execution.contract;
  return {
    ...blankOrder(clientOrderId, ids, at),
    origin: execution.liquidation ? 'liquidation' : 'external',
    account: execution.account,
    contract,
    instrument: formatInstrument(contract),
    side: execution.side,
    type: 'other',
    quantity: execution.cumulativeQuantity,
    quantityUnknown: true,
    remainingQuantity: '0',
    timeInForce: 'day',
  };
}

function blankOrder(clientOrderId: string, ids: BrokerOrderIds, at: number) {
  const now = new Date(at).toISOString();
  return {
    clientOrderId,
    origin: 'external' as const,
    state: 'reviewing' as const,
    filledQuantity: '0',
    averageFillPrice: null,
    commission: null,
    // The order id of another client means nothing here: only its owner can use it.
    orderId: null,
    permIds: ids.permId === '0' ? [] : [ids.permId],
    version: 1,
    reason: null,
    notices: [],
    pendingChange: null,
    fills: [],
    createdAt: now,
    updatedAt: now,
  };
}

/** What was asked for, as far as an order of ours still tells; null for orders of others. */
export function ticketOf(order: Order): OrderTicket | null {
  if (order.origin !== 'api') return null;
  const { type } = order;
  if (type === 'other') return null;
  const { algo, tws, ...terms } = order;
  return { ...terms, type, transmit: true, ...(algo ? { algo } : {}), ...(tws ? { tws } : {}) };
}
