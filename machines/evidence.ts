/**
 * What the broker's words mean for one order: each broker fact, weighed against what the order is, becomes the order
 * facts that are news, none when it says what we know. No error code ends an order here by itself.
 */
import { compare, equals } from './decimal.ts';
import {
  effectiveChange,
  executionFamily,
  executionRevision,
  type Fill,
  isFullyFilled,
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

/** States in which nobody at the broker has acknowledged the newest request of ours. */
const unanswered: ReadonlySet<Order['state']> = new Set(['submitting', 'inDoubt']);

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
    case 'broker.orderSeen':
      return [
        ...accepted(order, fact.ids.permId, fact.status, fact.terms, undefined).map(stamp),
        ...termsSeen(order, fact.terms, fact.status).map(stamp),
        ...statusSeen(order, fact.status, heldBecause(order), fact.text, null).map(stamp),
      ];
    case 'broker.statusSeen':
      return [
        ...accepted(order, fact.ids.permId, fact.status, null, fact.heldBecause).map(stamp),
        ...statusSeen(order, fact.status, fact.heldBecause, '', fact.filled).map(stamp),
      ];
    case 'broker.completedSeen': {
      const seen = accepted(order, fact.ids.permId, fact.status, null, undefined).map(stamp);
      if (isClosed(order)) return [];
      if (fact.status === 'filled') return seen;
      const reason: Reason | null = fact.text ? { code: 'broker', message: fact.text } : null;
      const end = fact.status === 'inactive' ? 'order.rejected' : 'order.cancelled';
      return end === 'order.rejected'
        ? [
            ...seen,
            stamp({
              type: end,
              reason: reason ?? { code: 'inactive', message: 'the broker holds the order as Inactive' },
            }),
          ]
        : [...seen, stamp({ type: end, reason })];
    }
    case 'broker.executed':
      return executed(order, fact).map(stamp);
    case 'broker.commissioned':
      return order.fills.some(
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
  const alive = status === 'pending' || status === 'working' || status === 'cancelPending';
  const held_ = held ?? heldBecause(order);
  const isHeld = status === 'inactive' && held_ !== '';
  const firstSign = unanswered.has(order.state) && (alive || isHeld);
  const heldChanged =
    !isClosed(order) && held !== undefined && held_ !== heldBecause(order) && (alive || isHeld);
  // An order that we gave up for unknown to the broker may still be transmitted by a late click in the gateway.
  const revived =
    order.state === 'rejected' && alive && (isNewIncarnation || order.reason?.code === 'not-at-broker');
  if (!isNewIncarnation && !firstSign && !heldChanged && !revived) return [];
  return [
    {
      type: 'order.accepted',
      permId,
      alive: alive || isHeld,
      contract: terms?.contract ?? null,
      heldBecause: held_,
    },
  ];
}

const changeable = [
  'quantity',
  'limitPrice',
  'stopPrice',
  'trailAmount',
  'trailPercent',
  'timeInForce',
] as const;

/** Terms that the broker echoes and that differ from ours: an acknowledged modification, or one made elsewhere. */
function termsSeen(order: Order, terms: BrokerOrderTerms, status: BrokerOrderStatus): News[] {
  if (isClosed(order) || status === 'cancelled' || status === 'filled' || status === 'inactive') return [];
  const echoed: Partial<OrderTerms> = Object.fromEntries(
    changeable.flatMap((name) => {
      const value = terms[name];
      // A price that our type does not have is TWS's own bookkeeping (the stop that a trailing order has reached).
      return value === null || value === undefined || (name !== 'quantity' && order[name] === undefined)
        ? []
        : [[name, value]];
    }),
  );
  const different = effectiveChange(order, echoed);
  if (order.pendingChange) {
    const wanted = effectiveChange({ ...order, ...echoed }, order.pendingChange);
    // Only the terms that an openOrder shows can be compared; the rest is taken as asked once these agree.
    const visible = Object.keys(wanted).some((name) => (changeable as readonly string[]).includes(name));
    if (!visible) return [{ type: 'order.modified', terms: { ...different, ...order.pendingChange } }];
    const lost: Reason = { code: 'modify-lost', message: 'the broker holds the order on its former terms' };
    return order.state === 'inDoubt' ? [{ type: 'order.modifyRejected', reason: lost }] : [];
  }
  return Object.keys(different).length > 0 ? [{ type: 'order.modified', terms: different }] : [];
}

function statusSeen(
  order: Order,
  status: BrokerOrderStatus,
  held: string,
  text: string,
  filled: string | null,
): News[] {
  if (isClosed(order)) return [];
  if (status === 'cancelled') {
    if (filled !== null && compare(filled, order.filledQuantity) > 0) return [];
    return [{ type: 'order.cancelled', reason: text ? { code: 'broker', message: text } : null }];
  }
  if (status === 'inactive' && !held) {
    const noticed = order.notices.findLast((notice) => notice.code === 201);
    const reason: Reason = noticed
      ? { code: String(noticed.code), message: noticed.message }
      : { code: 'inactive', message: text || 'the broker holds the order as Inactive' };
    return [{ type: 'order.rejected', reason }];
  }
  return [];
}

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
  const known = order.fills.find((other) => executionFamily(other.execId) === family);
  const busted = (order.busted ?? []).find((execId) => executionFamily(execId) === family);
  const newest = Math.max(
    known ? executionRevision(known.execId) : -1,
    busted ? executionRevision(busted) : -1,
  );
  if (revision <= newest) return [];
  const seen: News[] =
    ids.permId !== '0' && !order.permIds.includes(ids.permId)
      ? [{ type: 'order.accepted', permId: ids.permId, alive: false, contract: null, heldBecause: '' }]
      : [];
  return known || busted
    ? [...seen, { type: 'order.corrected', fill, replaces: known?.execId ?? busted ?? '' }]
    : [...seen, { type: 'order.filled', fill }];
}

/** The state decides what a code means: it can refuse what is unanswered, never what the broker has acknowledged. */
function noted(order: Order, fact: Extract<BrokerFact, { type: 'broker.orderNoted' }>): News[] {
  const reason: Reason = { code: String(fact.code), message: fact.message };
  const notice: News = {
    type: 'order.noticed',
    notice: { code: fact.code, message: fact.message, at: new Date(fact.at).toISOString() },
  };
  const unacknowledged =
    unanswered.has(order.state) && order.permIds.length === 0 && order.fills.length === 0;
  switch (fact.disposition) {
    case 'refusal':
    case 'duplicateOrderId':
      if (unacknowledged) return [{ type: 'order.rejected', reason }];
      if (order.state === 'modifying') return [notice, { type: 'order.modifyRejected', reason }];
      if (order.state === 'cancelling') return [notice, { type: 'order.cancelRejected', reason }];
      if (order.state === 'rejected')
        return order.reason?.code === 'inactive' ? [notice, { type: 'order.rejected', reason }] : [];
      return isClosed(order) ? [] : [notice];
    case 'cancelled':
      if (order.state === 'cancelling') return [{ type: 'order.cancelled', reason }];
      return isClosed(order) ? (order.reason ? [] : [notice]) : [notice, { type: 'order.doubted', reason }];
    case 'cancelTargetUnknown':
    case 'cancelTargetClosed':
      if (isClosed(order)) return [];
      return [notice, { type: 'order.doubted', reason }];
    case 'notice':
      return order.notices.some((other) => other.code === fact.code && other.message === fact.message)
        ? []
        : [notice];
  }
}

/** Whether the broker states fills that no execution has explained yet. */
export function hasUnexplainedFills(order: Order, fact: BrokerFact): boolean {
  if (fact.type === 'broker.statusSeen') {
    return fact.filled !== null && compare(fact.filled, order.filledQuantity) > 0;
  }
  if (fact.type === 'broker.completedSeen') {
    return (
      fact.status === 'filled' &&
      !isFullyFilled(order) &&
      !(fact.filled !== null && equals(fact.filled, order.filledQuantity))
    );
  }
  return (
    fact.type === 'broker.orderSeen' && fact.status === 'filled' && !isFullyFilled(order) && !isClosed(order)
  );
}
