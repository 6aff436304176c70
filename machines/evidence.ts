/**
 * What the broker's words mean for one order: each broker fact, weighed against what the order is, becomes the order
 * facts that are news, none when it says what we know. No error code ends an order here by itself.
 */
import { add, compare, equals, isZero, subtract } from './decimal.ts';
import { filledUnder, incarnationsOf, liveIncarnations, sizeUnder } from './incarnation.ts';
import {
  aliveAgainCode,
  applyFact,
  effectiveChange,
  executionFamily,
  executionRevision,
  type Fill,
  isFullyFilled,
  isSettledByHand,
  type Order,
  type OrderFact,
  type OrderTerms,
  type Reason,
} from './order.ts';
import type { BrokerFact, BrokerOrderStatus, BrokerOrderTerms } from './tws.ts';

const closedStates: ReadonlySet<Order['state']> = new Set([
  'filled',
  'cancelled',
  'expired',
  'rejected',
  'denied',
]);
export const isClosed = (order: Pick<Order, 'state'>): boolean => closedStates.has(order.state);

/** Statuses of a broker order that may still fill. */
export const openStatuses: ReadonlySet<BrokerOrderStatus> = new Set(['pending', 'working', 'cancelPending']);

/** Whether a word has ended it, the broker's or a person's. What executions have filled needs no word. */
export const endedByWord = (order: Order): boolean =>
  order.state === 'cancelled' ||
  order.state === 'expired' ||
  order.state === 'rejected' ||
  (order.state === 'filled' && isSettledByHand(order));

/** States in which nobody at the broker has acknowledged the newest request of ours. */
const unanswered: ReadonlySet<Order['state']> = new Set(['submitting', 'inDoubt']);

/** Whether a fact says of a closed order nothing but what it knows. */
export const isKnown = (order: Order, fact: BrokerFact): boolean =>
  isClosed(order) &&
  fact.type !== 'broker.orderNoted' &&
  interpret(order, fact).length === 0 &&
  unexplainedFills(order, fact) === null &&
  !contradictsEnd(order, fact);

/** A fact before it is stamped with the order's name and the time. */
type News = OrderFact extends infer Fact
  ? Fact extends OrderFact
    ? Omit<Fact, 'clientOrderId' | 'at'>
    : never
  : never;

/** Pure. The facts come in the order in which they must be applied. */
export function interpret(order: Order, fact: BrokerFact): readonly OrderFact[] {
  const stamp = (news: News): OrderFact => ({ ...news, clientOrderId: order.clientOrderId, at: fact.at });
  switch (fact.type) {
    case 'broker.orderSeen': {
      const { permId } = fact.ids;
      const seen = accepted(order, permId, fact.status, fact.terms, undefined).map(stamp);
      const now = seen.reduce(applyFact, order);
      return [
        ...seen,
        ...termsSeen(now, permId, fact.terms, fact.status).map(stamp),
        ...orderEnded(now, permId, fact.status, fact.text).map(stamp),
      ];
    }
    case 'broker.statusSeen': {
      const { permId } = fact.ids;
      const seen = accepted(order, permId, fact.status, null, fact.heldBecause).map(stamp);
      const now = seen.reduce(applyFact, order);
      const { filled, remaining } = fact;
      const size = filled && remaining ? add(filled, remaining) : '0';
      const sized = sizeSeen(now, fact.status, size).map(stamp);
      const known = sized.reduce(applyFact, now);
      return [...seen, ...sized, ...statusSeen(known, permId, fact).map(stamp)];
    }
    case 'broker.completedSeen': {
      const { permId } = fact.ids;
      const seen = accepted(order, permId, fact.status, null, undefined).map(stamp);
      const now = seen.reduce(applyFact, order);
      const reason: Reason | null = fact.text ? { code: 'broker', message: fact.text } : null;
      const { filled } = fact;
      const sized = sizeSeen(now, fact.status, filled ?? fact.terms.quantity).map(stamp);
      if (sized.length > 0) return [...seen, ...sized];
      const isCutShort = now.state === 'filled' && fact.status !== 'filled';
      const larger = isCutShort ? grown(now, permId, fact.terms).map(stamp) : [];
      const reopened: Order =
        larger.length > 0 ? { ...larger.reduce(applyFact, now), state: 'working' } : now;
      if (isTakenBack(now, fact)) return [...seen, stamp({ type: 'order.cancelled', reason: takenBack })];
      const smaller = fact.status === 'filled' ? shrunk(now, permId, fact.filled).map(stamp) : [];
      const isWhole = filled !== null && equals(filledUnder(reopened, permId), filled);
      const ended = ending(reopened, permId, fact.status, reason, isWhole).map(stamp);
      return [...seen, ...larger, ...smaller, ...cutShort(now, fact).map(stamp), ...ended];
    }
    case 'broker.executed':
      return executed(order, fact).map(stamp);
    case 'broker.commissioned':
      return [...order.fills, ...(order.legFills ?? [])].some(
        (fill) =>
          fill.execId === fact.execId &&
          (fill.commission !== fact.commission || fill.realizedPnl !== fact.realizedPnl) &&
          (fact.commission !== null || fill.commission === null),
      ) &&
        (fact.commission !== null || fact.realizedPnl !== null)
        ? [
            stamp({
              type: 'order.commissioned',
              execId: fact.execId,
              commission: fact.commission,
              currency: fact.currency,
              realizedPnl: fact.realizedPnl,
            }),
          ]
        : [];
    case 'broker.orderNoted':
      return noted(order, fact).map(stamp);
    default:
      return [];
  }
}

const heldBecause = (order: Order): string => order.heldBecause ?? '';

/** A permId we did not know, a first sign of life, or a change of what holds the order back. */
function accepted(
  order: Order,
  permId: string,
  status: BrokerOrderStatus,
  terms: BrokerOrderTerms | null,
  held: string | undefined,
): News[] {
  const isNewIncarnation = permId !== '0' && !order.permIds.includes(permId);
  const known = incarnationsOf(order).find((incarnation) => incarnation.permId === permId);
  const held_ = held ?? heldBecause(order);
  // Only a message that says itself why it waits is one of an order that waits.
  const isHeld = status === 'inactive' && held !== undefined && held !== '';
  const isAlive = openStatuses.has(status) || isHeld;
  // What says that an ended one lives was overtaken on its way.
  const lives = isAlive && (known === undefined || known.state === 'live');
  // What became of a change only the terms can tell.
  const isChangeTold = order.pendingChange === null || terms !== null;
  const firstSign = unanswered.has(order.state) && lives && isChangeTold;
  // Of two live ones the newest says what holds the order: each has its own word, in every list.
  const newest = liveIncarnations(order).at(-1)?.permId ?? permId;
  const heldChanged =
    !isClosed(order) && held !== undefined && held_ !== heldBecause(order) && lives && permId === newest;
  // An order that we gave up for unknown to the broker may still be transmitted by a late click in the gateway,
  // and Inactive was no end if the next message says what is waited for.
  const isRejected = order.state === 'rejected';
  const revived =
    (isRejected && lives && order.reason?.code === 'not-at-broker') ||
    ((isRejected || !isClosed(order)) && isHeld && known?.state === 'inactive');
  if (!isNewIncarnation && !firstSign && !heldChanged && !revived) return [];
  const news: News = {
    type: 'order.accepted',
    permId,
    alive: lives || revived,
    contract: terms?.contract ?? null,
    heldBecause: held_,
  };
  return isNewIncarnation && lives ? [news, ...reopened(order, permId)] : [news];
}

/** The end came before the broker's name of what had ended. */
function namedLate(order: Order, permId: string): News[] {
  const how = order.state === 'filled' ? 'filled' : 'cancelled';
  return order.state === 'filled' || order.state === 'cancelled' || order.state === 'expired'
    ? [{ type: 'order.incarnationEnded', permId, how }]
    : [];
}

/** A live broker order under an order of ours that had its end: nothing is certain about it any more. */
function reopened(order: Order, permId: string): News[] {
  if (order.state !== 'filled' && order.state !== 'cancelled' && order.state !== 'expired') return [];
  return [{ type: 'order.doubted', reason: aliveAgain(order, permId) }];
}

export const aliveAgain = ({ state }: Order, permId: string): Reason => ({
  code: aliveAgainCode,
  message: `the order was ${state}, and the broker shows a live one behind it (permId ${permId})`,
});

/**
 * Whether the broker speaks of an order as open that it has ended before. Mostly such words were overtaken on their way:
 * only its lists can tell.
 */
export const contradictsEnd = (order: Order, fact: BrokerFact): boolean =>
  endedByWord(order) &&
  (fact.type === 'broker.orderSeen' || fact.type === 'broker.statusSeen') &&
  openStatuses.has(fact.status) &&
  order.permIds.includes(fact.ids.permId);

/** The broker says how large an order is that was met by its executions. Of one that was cut short the rest is not told. */
const sizeSeen = (order: Order, status: BrokerOrderStatus, quantity: string): News[] =>
  order.quantityUnknown &&
  !isClosed(order) &&
  status !== 'cancelled' &&
  status !== 'inactive' &&
  !isZero(quantity)
    ? [{ type: 'order.modified', terms: { quantity } }]
    : [];

/** Terms that a change may touch and that an openOrder shows. */
export const echoed = [
  'quantity',
  'limitPrice',
  'stopPrice',
  'trailAmount',
  'trailPercent',
  'timeInForce',
] as const satisfies readonly (keyof Order & keyof OrderTerms)[];

/** Its stop follows the market at the broker: what was asked for is where it began. */
export const isTrailing = ({ type }: Pick<Order, 'type'>): boolean =>
  type === 'trailing_stop' || type === 'trailing_stop_limit';
const echoedOf = (order: Order) =>
  isTrailing(order) ? echoed.filter((name) => name !== 'stopPrice') : echoed;

/** Terms that the broker echoes and that differ from ours: an acknowledged modification, or one made elsewhere. */
function termsSeen(order: Order, permId: string, terms: BrokerOrderTerms, status: BrokerOrderStatus): News[] {
  if (order.quantityUnknown) return sizeSeen(order, status, terms.quantity);
  if (order.state === 'filled') return status === 'filled' ? [] : grown(order, permId, terms);
  if (isClosed(order) || status === 'cancelled' || status === 'filled' || status === 'inactive') return [];
  // An older one beside it has the terms from before the change.
  const newest = incarnationsOf(order).at(-1);
  if (newest && permId !== '0' && newest.permId !== permId) return olderSized(order, permId, terms);
  const seen: Partial<OrderTerms> = Object.fromEntries(
    echoedOf(order).flatMap((name) => {
      const value = terms[name];
      // A price that nobody asked for is TWS's own bookkeeping.
      const isAsked = order[name] !== undefined || order.pendingChange?.[name] !== undefined;
      return value === null || value === undefined || (name !== 'quantity' && !isAsked)
        ? []
        : [[name, value]];
    }),
  );
  const different = effectiveChange(order, seen);
  if (order.pendingChange) {
    const wanted = effectiveChange({ ...order, ...seen }, order.pendingChange);
    // Only the terms that an openOrder shows can be compared; the rest is taken as asked once these agree.
    const shown: readonly string[] = echoedOf(order);
    const visible = Object.keys(wanted).some((name) => shown.includes(name));
    if (!visible) return [{ type: 'order.modified', terms: { ...different, ...order.pendingChange } }];
    const lost: Reason = { code: 'modify-lost', message: 'the broker holds the order on its former terms' };
    const isUnderWay = order.state === 'modifying' || order.state === 'cancelling';
    return isUnderWay ? [] : [{ type: 'order.modifyRejected', reason: lost }];
  }
  return Object.keys(different).length > 0 ? [{ type: 'order.modified', terms: different }] : [];
}

/** An older one was changed elsewhere: what it may still fill counts as well. */
function olderSized(order: Order, permId: string, { quantity }: BrokerOrderTerms): News[] {
  const known = incarnationsOf(order).find((each) => each.permId === permId);
  if (known?.state !== 'live' || equals(sizeUnder(order, permId), quantity)) return [];
  const held = heldBecause(order);
  return [{ type: 'order.accepted', permId, alive: true, contract: null, heldBecause: held, quantity }];
}

/**
 * An order is filled as far as its size is known. That of others may come after their executions, and that of ours may
 * grow while the last fill is on its way: a broker order that has not ended and is larger lives on.
 */
function grown(order: Order, permId: string, { quantity }: BrokerOrderTerms): News[] {
  const [known] = incarnationsOf(order);
  if (!isOnlyOne(order, permId) || (known && known.state !== 'live')) return [];
  return compare(quantity, order.quantity) > 0 ? [{ type: 'order.modified', terms: { quantity } }] : [];
}

/** Orders of others have none by name until a second one appears. */
const isOnlyOne = (order: Order, permId: string): boolean => {
  const [known, ...others] = incarnationsOf(order);
  return others.length === 0 && (known === undefined || known.permId === permId);
};

/** It was filled, and every execution was busted: the broker's list calls it filled, over nothing. Others behind it live on. */
const isTakenBack = (order: Order, fact: Extract<BrokerFact, { type: 'broker.completedSeen' }>): boolean =>
  !isClosed(order) &&
  liveIncarnations(order).every(({ permId }) => permId === fact.ids.permId) &&
  fact.status === 'filled' &&
  fact.filled !== null &&
  isZero(fact.filled) &&
  isZero(order.filledQuantity) &&
  // Of one that is met here for the first time the size has gone with the executions.
  ((order.busted ?? []).length > 0 || isZero(order.quantity));
const takenBack: Reason = { code: 'busted', message: 'the broker took all its executions back' };

/** A broker order that is filled was as large as its executions, whatever its last change was. */
function shrunk(order: Order, permId: string, filled: string | null): News[] {
  if (isClosed(order) || filled === null || !isOnlyOne(order, permId)) return [];
  const isExplained = !isZero(filled) && compare(filled, order.filledQuantity) === 0;
  return isExplained && compare(filled, order.quantity) < 0
    ? [{ type: 'order.modified', terms: { quantity: filled } }]
    : [];
}

const statable: ReadonlySet<Order['state']> = new Set([
  'submitting',
  'working',
  'modifying',
  'cancelling',
  'inDoubt',
  'cancelled',
  'expired',
]);
const isCorrected = ({ busted = [], fills }: Order): boolean =>
  busted.length > 0 || fills.some(({ execId }) => executionRevision(execId) > 1);

/**
 * What a broker order had filled before it ended: the lists tell it also when they hold its executions no more. Whether
 * the figure is from before a correction nobody can tell.
 */
function cutShort(
  order: Order,
  { ids, status, filled }: Extract<BrokerFact, { type: 'broker.completedSeen' }>,
): News[] {
  if (status === 'filled' || !statable.has(order.state) || isCorrected(order)) return [];
  const stated = beyondKnown(order, ids.permId, filled);
  return stated === null ? [] : [{ type: 'order.filledAsStated', filled: stated, averagePrice: null }];
}

/** An openOrder cannot say why an order is held: as Inactive it ends only what was refused before. */
function orderEnded(order: Order, permId: string, status: BrokerOrderStatus, text: string): News[] {
  const reason: Reason | null = text ? { code: 'broker', message: text } : null;
  if (status === 'cancelled' || (status === 'inactive' && refusalOf(order)))
    return ending(order, permId, status, reason);
  return [];
}

function statusSeen(
  order: Order,
  permId: string,
  { status, filled, heldBecause: held }: Extract<BrokerFact, { type: 'broker.statusSeen' }>,
): News[] {
  if (status === 'inactive') return held ? [] : ending(order, permId, status, null);
  if (status !== 'cancelled' && status !== 'filled') return [];
  // With fills that no execution explains the order has not told its whole story.
  const isExplained = filled === null || compare(filled, filledUnder(order, permId)) <= 0;
  return isExplained ? ending(order, permId, status, null) : [];
}

const refusalOf = (order: Order): Reason | null => {
  const noticed = order.notices.findLast(({ code }) => code === 201);
  return noticed ? { code: String(noticed.code), message: noticed.message } : null;
};
/** The broker cancelled an order: TWS names it by its number alone. */
export const cancelledCode = 202;
const cancellationOf = (order: Order): Reason | null => {
  const noticed = order.notices.findLast(({ code }) => code === cancelledCode);
  return noticed ? { code: String(noticed.code), message: noticed.message } : null;
};

/** The broker has ended one incarnation: that ends the order when no other lives. Executions alone fill an order. */
function ending(
  order: Order,
  permId: string,
  status: 'cancelled' | 'filled' | 'inactive',
  reason: Reason | null,
  /** the broker says so of one that its executions explain, whatever its size was last */
  isWhole = false,
): News[] {
  const incarnations = incarnationsOf(order);
  const known = incarnations.find((incarnation) => incarnation.permId === permId);
  const endedAlone: News[] =
    known?.state === 'live' ? [{ type: 'order.incarnationEnded', permId, how: status }] : [];
  if (isClosed(order)) return endedAlone;
  if (incarnations.length > 1) {
    if (known?.state !== 'live') return [];
    const others = liveIncarnations(order).filter((incarnation) => incarnation.permId !== permId);
    if (others.length > 0 || isFullyFilled(order)) return endedAlone;
    if (status === 'filled' && (isWhole || isFilledUp(order, permId)))
      return [...endedAlone, endOf(order, null)];
  }
  if (status === 'filled') return [];
  return [
    status === 'inactive'
      ? { type: 'order.rejected', reason: refusalOf(order) ?? reason ?? inactive }
      : endOf(order, reason),
  ];
}
/** One of several is filled as far as it went. */
const isFilledUp = (order: Order, permId: string): boolean =>
  order.quantityUnknown !== true && compare(filledUnder(order, permId), sizeUnder(order, permId)) >= 0;
const inactive: Reason = { code: 'inactive', message: 'the broker holds the order as Inactive' };

/** The end of a session is no cancellation, if the broker says so. */
function endOf(order: Order, reason: Reason | null): News {
  const why = reason ?? cancellationOf(order);
  return { type: isExpiry(why) ? 'order.expired' : 'order.cancelled', reason: why };
}
const isExpiry = (reason: Reason | null): boolean => reason !== null && /\bexpir/i.test(reason.message);

function executed(order: Order, fact: Extract<BrokerFact, { type: 'broker.executed' }>): News[] {
  const { execution, ids } = fact;
  const fill: Fill = {
    execId: execution.execId,
    quantity: execution.quantity,
    price: execution.price,
    at: execution.executedAt,
    commission: null,
    realizedPnl: null,
    exchange: execution.exchange,
    ...(ids.permId === '0' ? {} : { permId: ids.permId }),
  };
  const family = executionFamily(execution.execId);
  const revision = executionRevision(execution.execId);
  // A combo is filled by its own line; the lines of its legs say what became of the positions, and what it costs.
  const isLeg = order.contract.secType === 'BAG' && execution.contract.secType !== 'BAG';
  const told: readonly Fill[] = isLeg ? (order.legFills ?? []) : order.fills;
  const known = told.find((other) => executionFamily(other.execId) === family);
  const busted = (order.busted ?? []).find((execId) => executionFamily(execId) === family);
  const newest = Math.max(
    known ? executionRevision(known.execId) : -1,
    busted ? executionRevision(busted) : -1,
  );
  if (revision <= newest) return [];
  const seen: News[] =
    ids.permId !== '0' && !order.permIds.includes(ids.permId)
      ? [
          { type: 'order.accepted', permId: ids.permId, alive: false, contract: null, heldBecause: '' },
          ...(order.permIds.length > 0 ? reopened(order, ids.permId) : namedLate(order, ids.permId)),
        ]
      : [];
  // An order of others is known by its terms before an execution tells whose it is.
  if (execution.liquidation && order.origin === 'external')
    seen.push({ type: 'order.reclassified', origin: 'liquidation' });
  if (isLeg) {
    const { conId } = execution.contract;
    const leg = { ...fill, side: execution.side, ...(conId === undefined ? {} : { conId }) };
    return [...seen, { type: 'order.legExecuted', fill: leg }];
  }
  // Taken back before it was ever heard of: there is nothing to fill, and its first revision must not count later.
  // What was stated may hold the revision before this one, which nobody heard.
  const isRestated = revision > 1 && order.statedFilled !== undefined;
  if (known || busted || isRestated || isZero(fill.quantity))
    return [...seen, { type: 'order.corrected', fill, replaces: known?.execId ?? busted ?? '' }];
  const filled = {
    ...order,
    filledQuantity: add(order.filledQuantity, fill.quantity),
    fills: [...order.fills, fill],
  };
  const isLast = liveIncarnations(filled).length === 0 && isFilledUp(filled, ids.permId);
  const ended = isLast && !isClosed(order) ? ending(filled, ids.permId, 'filled', null) : [];
  return [...seen, { type: 'order.filled', fill }, ...ended];
}

/** The state decides what a code means: it can refuse what is unanswered, never what the broker has acknowledged. */
function noted(order: Order, fact: Extract<BrokerFact, { type: 'broker.orderNoted' }>): News[] {
  const reason: Reason = { code: String(fact.code), message: fact.message };
  const notice: News = {
    type: 'order.noticed',
    notice: { code: fact.code, message: fact.message, at: new Date(fact.at).toISOString() },
  };
  // A late word about a number that the order no longer has.
  if (order.refusedOrderIds?.includes(fact.orderId)) return [];
  const isRepeated = order.notices.some(
    ({ code, message }) => code === fact.code && message === fact.message,
  );
  const once = isRepeated ? [] : [notice];
  const unheard = order.permIds.length === 0 && order.fills.length === 0;
  const unacknowledged = unanswered.has(order.state) && unheard;
  const asRefusal = (): News[] => {
    if (unacknowledged) return [{ type: 'order.rejected', reason }];
    if (order.state === 'modifying') return [notice, { type: 'order.modifyRejected', reason }];
    if (order.state === 'cancelling')
      return [notice, { type: unheard ? 'order.doubted' : 'order.cancelRejected', reason }];
    if (order.state === 'rejected')
      return order.reason?.code === 'inactive' ? [notice, { type: 'order.rejected', reason }] : [];
    return isClosed(order) ? [] : [notice];
  };
  // Once: a second refusal of a fresh number has another cause.
  const mayRenumber = unacknowledged && order.refusedOrderIds === undefined && order.origin === 'api';
  const isChild = order.parentClientOrderId !== undefined && order.orphaned !== true;
  switch (fact.disposition) {
    case 'refusal':
      return asRefusal();
    case 'duplicateOrderId':
      return mayRenumber ? [{ type: 'order.idRefused', orderId: fact.orderId, reason }] : asRefusal();
    case 'parentUnknown':
      if (mayRenumber && isChild) return [{ type: 'order.idRefused', orderId: fact.orderId, reason }];
      return order.state === 'modifying' && isChild ? [notice, { type: 'order.orphaned' }] : asRefusal();
    case 'cancelled':
      if (order.state === 'cancelling')
        // It names no permId: of several broker orders only their status tells which one has ended.
        return incarnationsOf(order).length > 1 ? [notice] : [endOf(order, reason)];
      if (order.state === 'cancelled' && order.reason === null && isExpiry(reason))
        return [{ type: 'order.expired', reason }];
      return isClosed(order) && order.reason ? [] : [notice];
    case 'cancelTargetUnknown':
    case 'cancelTargetClosed':
      if (isClosed(order)) return [];
      // In doubt already, it stays so for its own reason, however often its cancel finds nothing.
      return order.state === 'inDoubt' ? once : [notice, { type: 'order.doubted', reason }];
    case 'notice':
      return once;
  }
}

/** The filled total that the broker's words amount to, when it is beyond the known executions; else null. */
export function unexplainedFills(order: Order, fact: BrokerFact): string | null {
  switch (fact.type) {
    case 'broker.statusSeen':
      return beyondKnown(order, fact.ids.permId, fact.filled);
    case 'broker.completedSeen':
      if (fact.status !== 'filled' || isFullyFilled(order)) return null;
      return beyondKnown(order, fact.ids.permId, fact.filled ?? sizeUnder(order, fact.ids.permId));
    case 'broker.orderSeen':
      return fact.status === 'filled' && !isFullyFilled(order) && !isClosed(order)
        ? beyondKnown(order, fact.ids.permId, sizeUnder(order, fact.ids.permId))
        : null;
    default:
      return null;
  }
}

function beyondKnown(order: Order, permId: string, stated: string | null): string | null {
  if (stated === null || compare(stated, filledUnder(order, permId)) <= 0) return null;
  const several = incarnationsOf(order).length > 1;
  const executed = order.fills.reduce((sum, { quantity }) => add(sum, quantity), '0');
  const total = several ? add(subtract(executed, filledUnder(order, permId)), stated) : stated;
  return compare(total, order.filledQuantity) > 0 ? total : null;
}
