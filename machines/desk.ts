/**
 * What the desk does, as functions of its book: each takes a command or a fact and says what is to happen, in order.
 * The machine in desk.machine.ts runs them.
 */
import { add, compare, isZero, larger, subtract } from './decimal.ts';
import type { Denial } from './denial.ts';
import { isClosed } from './evidence.ts';
import type { GateEvent, GateReport } from './gate.machine.ts';
import type { GateQuestion } from './gate.ts';
import { lostBelow, type OrderIndex, orderKey } from './identity.ts';
import { filledUnder, incarnationsOf } from './incarnation.ts';
import { type Lookup, lookUp, put, remove } from './lookup.ts';
import {
  applyFact,
  effectiveChange,
  type FieldProblem,
  type Order,
  type OrderFact,
  type OrderTerms,
  type OrderTicket,
  orderOf,
  type Reason,
  withChange,
} from './order.ts';
import { type OrderEvent, type OrderReport, type SessionLost, termsOf } from './order-words.ts';
import { isRepetition } from './repetition.ts';
import type { Settlement } from './settlement.ts';
import type { BrokerFact, BrokerOrderIds, DispatchFact, PlaceOrder, TwsCommand } from './tws.ts';
import type { WithdrawalEvent, WithdrawalReport } from './withdrawal.machine.ts';

/** One order of a submission, with what the caller knows of its market. */
export type Submission = GateQuestion;

/** A fact and the order that it led to, to be made durable together. */
export interface OrderRecord {
  readonly fact: OrderFact;
  readonly order: Order;
}

/** The desk's answer to one command. Times are the caller's business. */
export type DeskAnswer =
  | { readonly outcome: 'created'; readonly orders: readonly Order[] }
  | { readonly outcome: 'existing'; readonly orders: readonly Order[] }
  | { readonly outcome: 'conflict'; readonly orders: readonly Order[] }
  | { readonly outcome: 'denied'; readonly orders: readonly Order[]; readonly reason: Reason }
  | { readonly outcome: 'requested'; readonly orders: readonly Order[] }
  | { readonly outcome: 'settled'; readonly orders: readonly Order[] }
  | { readonly outcome: 'closed'; readonly orders: readonly Order[] }
  | { readonly outcome: 'version'; readonly orders: readonly Order[] }
  | { readonly outcome: 'unknown'; readonly orders: readonly Order[] }
  /** another client of TWS placed it: only that one, or a person in TWS, can change or cancel it */
  | { readonly outcome: 'notOurs'; readonly orders: readonly Order[] }
  /** to be settled by hand an order must be missing from the broker's lists */
  | { readonly outcome: 'notMissing'; readonly orders: readonly Order[] }
  | { readonly outcome: 'unavailable'; readonly orders: readonly Order[]; readonly reason: Reason }
  | {
      readonly outcome: 'invalid';
      readonly orders: readonly Order[];
      readonly pointer: string;
      readonly detail: string;
    };

/** Ids that TWS accepts as order ids and that never meet the range of request ids. */
export const orderIdMax = 1_999_999_999;

/** Terms that may be changed only while an order works, never its side, type or instrument. */
export type OrderChange = Partial<OrderTerms>;

export type DeskEvent =
  | {
      readonly type: 'order.submit';
      readonly requestId: string;
      /** the first is the parent of the others */
      readonly submissions: readonly Submission[];
      readonly at: number;
    }
  | {
      readonly type: 'order.modify';
      readonly requestId: string;
      readonly clientOrderId: string;
      readonly change: OrderChange;
      /** null: whatever the version is */
      readonly ifVersion: number | null;
      readonly market: Omit<Submission, 'ticket'>;
      readonly at: number;
    }
  | {
      readonly type: 'order.cancel';
      readonly requestId: string;
      readonly clientOrderId: string;
      readonly at: number;
    }
  | {
      readonly type: 'order.settle';
      readonly requestId: string;
      readonly clientOrderId: string;
      readonly settlement: Settlement;
      readonly at: number;
    }
  | { readonly type: 'desk.open' }
  /** `canCancel`: a session stands, so cancels may pass */
  | { readonly type: 'desk.shut'; readonly reason: Reason; readonly canCancel: boolean }
  | { readonly type: 'desk.identify'; readonly clientId: number }
  | { readonly type: 'desk.raiseOrderId'; readonly orderId: number }
  /** halted: nothing goes out that the gate has not let through in this state */
  | { readonly type: 'desk.tradingChanged'; readonly isHalted: boolean; readonly at?: number }
  | {
      readonly type: 'desk.restored';
      /** open orders with their facts, oldest first */
      readonly open: readonly { readonly facts: readonly OrderFact[] }[];
      /** orders that closed lately */
      readonly closed: readonly Order[];
      readonly nextOrderId: number;
      readonly at: number;
    }
  /** complete lists of the broker: `since` = when they were asked for */
  | {
      readonly type: 'desk.evidence';
      readonly at: number;
      readonly since: number;
      readonly present: readonly BrokerOrderIds[];
      /** open in two lists in a row */
      readonly lasting: readonly BrokerOrderIds[];
      /** since when they tell what was filled or ended, ms; null: not known */
      readonly coversFrom: number | null;
    }
  | { readonly type: 'desk.sweep'; readonly at: number }
  /** to itself: TWS has told its next order id */
  | (Omit<Extract<OrderReport, { type: 'order.renumberWanted' }>, 'type'> & {
      readonly type: 'desk.renumber';
    })
  | { readonly type: 'journal.committed'; readonly requestId: string; readonly seqs: readonly number[] }
  | { readonly type: 'journal.failed'; readonly requestId: string; readonly message: string }
  /** to itself, behind whatever it has just sent to its orders: the views are settled when this is read */
  | {
      readonly type: 'desk.settle';
      readonly requestId: string;
      readonly outcome: 'created' | 'denied' | 'requested' | 'settled';
      readonly ids: readonly string[];
      readonly reason: Reason | null;
    }
  | Extract<WithdrawalReport, { type: 'lease.lapsed' }>
  | GateReport
  | BrokerFact
  | DispatchFact
  | SessionLost
  | OrderReport;

/** What the desk tells its supervisor. */
export type DeskReport =
  | { readonly type: 'desk.answered'; readonly requestId: string; readonly answer: DeskAnswer }
  | { readonly type: 'journal.append'; readonly records: readonly OrderRecord[] }
  | { readonly type: 'journal.commit'; readonly requestId: string; readonly records: readonly OrderRecord[] }
  | {
      readonly type: 'ledger.book';
      readonly clientOrderId: string | null;
      readonly fact: Extract<BrokerFact, { type: 'broker.executed' }>;
    }
  | { readonly type: 'ledger.name'; readonly conId: number; readonly instrument: string }
  | { readonly type: 'evidence.wanted'; readonly why: string }
  | { readonly type: 'order.surprised'; readonly clientOrderId: string; readonly fact: unknown }
  | Extract<OrderReport, { type: 'order.alerted' }>
  | Extract<WithdrawalEvent, { type: 'withdrawal.lapsed' }>
  | GateEvent
  | TwsCommand;

export interface Known {
  /** true: an actor lives under `order:<clientOrderId>` */
  readonly live: boolean;
  /** newest view; of a live order as of its last recorded fact */
  readonly order: Order;
  readonly ticket: OrderTicket | null;
  readonly parentOrderId: number;
  /** ms since the epoch, when it closed; null while open */
  readonly closedAt: number | null;
  /** how often its actor threw; absent: never. One without an actor can still be cancelled */
  readonly failures?: number;
}

type Operation =
  | { readonly kind: 'submit'; readonly ids: readonly string[]; readonly records: readonly OrderRecord[] }
  | { readonly kind: 'modify'; readonly ids: readonly string[]; readonly records: readonly OrderRecord[] }
  /** the same intent under a fresh order id */
  | { readonly kind: 'renumber'; readonly ids: readonly string[]; readonly records: readonly OrderRecord[] }
  /** what a person states of an order that is missing at the broker */
  | { readonly kind: 'settlement'; readonly ids: readonly string[]; readonly records: readonly OrderRecord[] }
  /** durable; waits until the bytes are handed to the socket. Of a `redispatch` nobody waits for an answer */
  | {
      readonly kind: 'dispatch' | 'redispatch';
      readonly ids: readonly string[];
      readonly waitingFor: readonly string[];
    };

export interface DeskContext {
  readonly clientId: number;
  readonly nextOrderId: number;
  readonly lostIds: OrderIndex['lostIds'];
  readonly orders: Lookup<Known>;
  readonly byPermId: Lookup<string>;
  /** `clientId:orderId` */
  readonly byOrderId: Lookup<string>;
  readonly byExecId: Lookup<string>;
  /** commissions whose execution has not come, by execId, newest last, bounded */
  readonly earlyCommissions: Readonly<Record<string, Extract<BrokerFact, { type: 'broker.commissioned' }>>>;
  /** intents whose order id TWS refused, until it tells the next one */
  readonly refused: readonly Extract<OrderReport, { type: 'order.renumberWanted' }>[];
  readonly operations: Readonly<Record<string, Operation>>;
  readonly shut: { readonly reason: Reason; readonly canCancel: boolean } | null;
  readonly isHalted: boolean;
  /** each looks at another share of the orders that may be forgotten */
  readonly sweeps: number;
  /** time of the newest sweep, ms since the epoch; 0: none yet */
  readonly sweptAt: number;
  /** when the clock was found put forward; null: not since the broker's lists were weighed */
  readonly leaptAt: number | null;
}

export const earlyCommissionsMax = 500;
/** Closed orders keep their actor this long after the last fact: late fills and commissions mostly come at once. */
export const retireAfterMs = 5_000;
/** Never more in one turn, or an order would wait behind them. */
export const retiredPerSweepMax = 100;
/** Sweeps are many times closer to each other. A gap like this is a clock that was put forward, or a machine that slept. */
export const leapMs = 60_000;
/** Closed orders stay known to the desk this long: TWS may still speak of them for the rest of the day. */
export const forgetAfterMs = 48 * 3_600_000;

export type ActorId = `order:${string}`;
export const actorId = (clientOrderId: string): ActorId => `order:${clientOrderId}`;
export const orderOfActor = (id: string): string => id.slice('order:'.length);

export type Of<T extends DeskEvent['type']> = Extract<DeskEvent, { type: T }>;

/** What the desk's functions may do, in the order in which XState will do it. */
export interface Outbox {
  assign(change: Partial<DeskContext>): void;
  toOrder(clientOrderId: string, event: OrderEvent): void;
  toSelf(event: DeskEvent): void;
  report(event: DeskReport): void;
  spawn(clientOrderId: string, entry: Known, replaying: boolean): void;
  stop(clientOrderId: string): void;
}

export type Handle = (
  desk: {
    context: DeskContext;
    event: DeskEvent;
    view: (entry: Known) => Order;
    /** orders that have an actor */
    living: () => readonly string[];
  },
  out: Outbox,
) => void;

export const answer = (out: Outbox, requestId: string, deskAnswer: DeskAnswer): void =>
  out.report({ type: 'desk.answered', requestId, answer: deskAnswer });

/**
 * What speaks against a child whose parent has ended: it closes what that has filled and what other exits of it have not
 * closed, and nothing else. Exits that are open beside it count at the gate.
 */
function lateChild(child: OrderTicket, parent: Order, exits: readonly Order[]): FieldProblem | null {
  const { clientOrderId, side, filledQuantity } = parent;
  const pointer = '/parentClientOrderId';
  if (isZero(filledQuantity))
    return { pointer, detail: `"${clientOrderId}" has ended and filled nothing: there is nothing to close` };
  if (child.side === side)
    return { pointer, detail: `"${clientOrderId}" has ended: place this order without a parent` };
  const closed = exits
    .filter((exit) => exit.parentClientOrderId === clientOrderId && exit.side !== side)
    .reduce((sum, exit) => add(sum, exit.filledQuantity), '0');
  const left = larger(subtract(filledQuantity, closed), '0');
  if (compare(child.quantity, left) <= 0) return null;
  const rest = isZero(closed) ? '' : `, of which its exits have closed ${closed}`;
  return {
    pointer: '/quantity',
    detail: `"${clientOrderId}" has ended and filled ${filledQuantity}${rest}: close at most ${left}, or place this order without a parent`,
  };
}

export const submit: Handle = ({ context, event, view }, out) => {
  const { requestId, submissions, at } = event as Of<'order.submit'>;
  const known = submissions.flatMap(({ ticket }) => lookUp(context.orders, ticket.clientOrderId) ?? []);
  if (known.length > 0) {
    const same = isRepetition(
      submissions.map(({ ticket }) => ticket),
      (clientOrderId) => lookUp(context.orders, clientOrderId)?.ticket ?? null,
    );
    return answer(out, requestId, { outcome: same ? 'existing' : 'conflict', orders: known.map(view) });
  }
  if (context.shut)
    return answer(out, requestId, { outcome: 'unavailable', orders: [], reason: context.shut.reason });
  const leadOrderId = context.nextOrderId;
  if (leadOrderId + submissions.length > orderIdMax) {
    const reason: Reason = {
      code: 'order-ids-exhausted',
      message: 'reset the API order id sequence in the settings of TWS',
    };
    return answer(out, requestId, { outcome: 'unavailable', orders: [], reason });
  }
  const foreign = submissions[0]?.ticket.parentClientOrderId;
  const parent = foreign === undefined ? undefined : lookUp(context.orders, foreign);
  if (foreign !== undefined && (parent === undefined || parent.order.orderId === null)) {
    const detail = `no order of ours is called "${foreign}"`;
    return answer(out, requestId, {
      outcome: 'invalid',
      orders: [],
      pointer: '/parentClientOrderId',
      detail,
    });
  }
  const lead = submissions[0]?.ticket;
  const parentView = parent && view(parent);
  const hasEnded = parentView !== undefined && isClosed(parentView);
  const exits = () => Object.values(context.orders).flatMap((bucket) => Object.values(bucket).map(view));
  const late = lead && hasEnded ? lateChild(lead, parentView, exits()) : null;
  if (late) return answer(out, requestId, { outcome: 'invalid', orders: [], ...late });
  // TWS refuses a child whose parent is gone (error 135); the exit of what it filled is still wanted, on its own.
  const outsideParentId = parent && !hasEnded ? (parent.order.orderId ?? 0) : 0;
  let { orders, byOrderId } = context;
  const records = submissions.map(({ ticket }, index): OrderRecord => {
    const { clientOrderId } = ticket;
    const orderId = leadOrderId + index;
    const parentOrderId = index === 0 ? outsideParentId : leadOrderId;
    const order = orderOf(ticket, orderId, at);
    const entry: Known = { live: true, order, ticket, parentOrderId, closedAt: null };
    out.spawn(clientOrderId, entry, false);
    orders = put(orders, clientOrderId, entry);
    byOrderId = put(byOrderId, orderKey(context.clientId, orderId), clientOrderId);
    const fact: OrderFact = { type: 'order.requested', clientOrderId, at, ticket, orderId, parentOrderId };
    return { fact, order: { ...applyFact(order, fact), state: 'submitting' } };
  });
  const ids = records.map(({ fact }) => fact.clientOrderId);
  out.assign({
    orders,
    byOrderId,
    nextOrderId: leadOrderId + submissions.length,
    lostIds: lostBelow(context.lostIds, leadOrderId),
    operations: { ...context.operations, [requestId]: { kind: 'submit', ids, records } },
  });
  out.report({ type: 'gate.review', requestId, questions: submissions, replaces: null, preview: false, at });
};

export const modify: Handle = ({ context, event, view }, out) => {
  const { requestId, clientOrderId, change, ifVersion, market, at } = event as Of<'order.modify'>;
  const entry = lookUp(context.orders, clientOrderId);
  if (!entry) return answer(out, requestId, { outcome: 'unknown', orders: [] });
  const order = view(entry);
  const orders = [order];
  if (isClosed(order)) return answer(out, requestId, { outcome: 'closed', orders });
  if (ifVersion !== null && ifVersion !== order.version)
    return answer(out, requestId, { outcome: 'version', orders });
  if (!entry.ticket) return answer(out, requestId, { outcome: 'notOurs', orders });
  if (context.shut)
    return answer(out, requestId, { outcome: 'unavailable', orders, reason: context.shut.reason });
  const isChanging = Object.values(context.operations).some(
    ({ kind, ids }) => kind === 'modify' && ids.includes(clientOrderId),
  );
  if (order.state !== 'working' || isChanging) {
    const reason: Reason = {
      code: 'order-busy',
      message: `the order is ${isChanging ? 'modifying' : order.state}: wait for the broker's answer`,
    };
    return answer(out, requestId, { outcome: 'unavailable', orders, reason });
  }
  const effective = effectiveChange(order, change);
  if (Object.keys(effective).length === 0) return answer(out, requestId, { outcome: 'settled', orders });
  if (effective.quantity !== undefined && compare(effective.quantity, order.filledQuantity) <= 0) {
    const detail = `quantity must exceed the filled quantity ${order.filledQuantity}; cancel the order instead`;
    return answer(out, requestId, { outcome: 'invalid', orders, pointer: '/quantity', detail });
  }
  const fact: OrderFact = { type: 'order.modifyRequested', clientOrderId, at, change: effective };
  const record: OrderRecord = { fact, order: { ...applyFact(order, fact), state: 'modifying' } };
  out.assign({
    operations: {
      ...context.operations,
      [requestId]: { kind: 'modify', ids: [clientOrderId], records: [record] },
    },
  });
  const newest = incarnationsOf(order).at(-1);
  const ticket: OrderTicket = withChange({ ...entry.ticket, ...termsOf(order) }, effective);
  out.report({
    type: 'gate.review',
    requestId,
    questions: [
      { ...market, ticket, filled: newest ? filledUnder(order, newest.permId) : order.filledQuantity },
    ],
    replaces: clientOrderId,
    preview: false,
    at,
  });
};

export const cancel: Handle = ({ context, event, view }, out) => {
  const { requestId, clientOrderId, at } = event as Of<'order.cancel'>;
  const entry = lookUp(context.orders, clientOrderId);
  if (!entry) return answer(out, requestId, { outcome: 'unknown', orders: [] });
  const order = view(entry);
  const orders = [order];
  if (isClosed(order)) return answer(out, requestId, { outcome: 'closed', orders });
  if (order.state === 'cancelling') {
    if (entry.live && (!context.shut || context.shut.canCancel))
      out.toOrder(clientOrderId, { type: 'order.cancel', at });
    return answer(out, requestId, { outcome: 'settled', orders });
  }
  if (order.orderId === null) return answer(out, requestId, { outcome: 'notOurs', orders });
  if (context.shut && !context.shut.canCancel) {
    return answer(out, requestId, { outcome: 'unavailable', orders, reason: context.shut.reason });
  }
  if (entry.live) out.toOrder(clientOrderId, { type: 'order.cancel', at });
  else out.report({ type: 'tws.cancel', clientOrderId, orderId: order.orderId });
  out.toSelf({ type: 'desk.settle', requestId, outcome: 'requested', ids: [clientOrderId], reason: null });
};

export const settle: Handle = ({ context, event, view }, out) => {
  const { requestId, outcome, ids, reason } = event as Of<'desk.settle'>;
  const orders = ids.flatMap((id) => lookUp(context.orders, id) ?? []).map(view);
  const withheld = orders.find((order) => order.state === 'denied');
  if (reason || (withheld && outcome === 'created')) {
    const why = reason ?? withheld?.reason ?? { code: 'not-sent', message: 'the order could not be sent' };
    return answer(out, requestId, { outcome: 'denied', orders, reason: why });
  }
  return answer(out, requestId, { outcome: outcome === 'denied' ? 'requested' : outcome, orders });
};

export const followVerdict: Handle = ({ context, event, view }, out) => {
  const { requestId, verdict, at } = event as Extract<GateReport, { type: 'gate.reviewed' }>;
  const operation = context.operations[requestId];
  if (!operation || 'waitingFor' in operation) return;
  if (operation.kind === 'renumber' || operation.kind === 'settlement') return;
  const { kind, ids, records } = operation;
  if (verdict.verdict === 'approved') {
    if (kind === 'submit') for (const id of ids) out.toOrder(id, { type: 'order.approve', at });
    return out.report({ type: 'journal.commit', requestId, records });
  }
  const { [requestId]: _, ...operations } = context.operations;
  if (kind === 'modify') {
    out.assign({ operations });
    const orders = ids.flatMap((id) => lookUp(context.orders, id) ?? []).map(view);
    return answer(
      out,
      requestId,
      verdict.verdict === 'denied'
        ? { outcome: 'denied', orders, reason: inOne(verdict.reasons) }
        : { outcome: 'unavailable', orders, reason: verdict.reason },
    );
  }
  if (verdict.verdict === 'unavailable') {
    out.assign({ operations, ...without(context, ids, out) });
    return answer(out, requestId, { outcome: 'unavailable', orders: [], reason: verdict.reason });
  }
  out.assign({ operations });
  for (const { fact } of records) {
    if (fact.type !== 'order.requested') continue;
    const { clientOrderId, ticket } = fact;
    const own = verdict.reasons.filter((each) => (each.clientOrderId ?? clientOrderId) === clientOrderId);
    // One that went down with the others alone says what was said of them.
    const reason = inOne(own.length > 0 ? own : verdict.reasons, clientOrderId);
    out.toOrder(clientOrderId, { type: 'order.denied', clientOrderId, at, ticket, reason });
  }
  const reason = inOne(verdict.reasons);
  return out.toSelf({ type: 'desk.settle', requestId, outcome: 'denied', ids, reason });
};

export const followCommit: Handle = ({ context, event }, out) => {
  const { requestId, seqs } = event as Of<'journal.committed'>;
  const operation = context.operations[requestId];
  if (!operation || 'waitingFor' in operation) return;
  const { kind, ids, records } = operation;
  const { [requestId]: _, ...operations } = context.operations;
  const isOver = kind === 'modify' || kind === 'settlement';
  out.assign({
    operations: isOver
      ? operations
      : {
          ...operations,
          [requestId]: { kind: kind === 'submit' ? 'dispatch' : 'redispatch', ids, waitingFor: ids },
        },
  });
  const durable = records.map(({ fact }, index): OrderFact => ({ ...fact, seq: seqs[index] ?? 0 }));
  for (const fact of durable) out.toOrder(fact.clientOrderId, fact);
  const last = durable.at(-1);
  // Its end is news to all but the journal.
  if (kind === 'settlement' && last)
    out.toSelf({ type: 'order.recorded', clientOrderId: last.clientOrderId, fact: last });
  if (isOver) {
    const outcome = kind === 'modify' ? 'requested' : 'settled';
    out.toSelf({ type: 'desk.settle', requestId, outcome, ids, reason: null });
  }
};

export const followCommitFailure: Handle = ({ context, event, view }, out) => {
  const { requestId, message } = event as Of<'journal.failed'>;
  const operation = context.operations[requestId];
  if (!operation || 'waitingFor' in operation) return;
  const { [requestId]: _, ...operations } = context.operations;
  const reason: Reason = { code: 'journal-unavailable', message };
  if (operation.kind === 'renumber') {
    out.assign({ operations });
    for (const { fact } of operation.records)
      out.toOrder(fact.clientOrderId, {
        type: 'order.rejected',
        clientOrderId: fact.clientOrderId,
        at: fact.at,
        reason,
      });
    return;
  }
  if (operation.kind === 'submit') {
    out.report({ type: 'gate.release', clientOrderIds: operation.ids });
    out.assign({ operations, ...without(context, operation.ids, out) });
    return answer(out, requestId, { outcome: 'unavailable', orders: [], reason });
  }
  out.assign({ operations });
  const orders = operation.ids.flatMap((id) => lookUp(context.orders, id) ?? []).map(view);
  for (const order of orders) out.report({ type: 'gate.orderNoted', order });
  return answer(out, requestId, { outcome: 'unavailable', orders, reason });
};

export const followDispatch: Handle = ({ context, event }, out) => {
  const fact = event as DispatchFact;
  const { clientOrderId, at, what } = fact;
  if (!lookUp(context.orders, clientOrderId)?.live) return;
  if (fact.type === 'dispatch.withheld') {
    if (what !== 'cancelAll') out.toOrder(clientOrderId, { type: fact.type, what, reason: fact.reason, at });
  } else if (what === 'place') {
    out.toOrder(clientOrderId, { type: 'order.sent', clientOrderId, at, sessionId: fact.sessionId });
  }
  if (what !== 'place') return;
  for (const [requestId, operation] of Object.entries(context.operations)) {
    if (!('waitingFor' in operation) || !operation.waitingFor.includes(clientOrderId)) continue;
    const waitingFor = operation.waitingFor.filter((id) => id !== clientOrderId);
    const { [requestId]: _, ...operations } = context.operations;
    if (waitingFor.length > 0) {
      out.assign({ operations: { ...operations, [requestId]: { ...operation, waitingFor } } });
    } else {
      out.assign({ operations });
      if (operation.kind === 'redispatch') continue;
      out.toSelf({ type: 'desk.settle', requestId, outcome: 'created', ids: operation.ids, reason: null });
    }
  }
};

/** A halt reaches what waits for its turn: it must not leave any more, and half of a group must not stay behind. */
export const noteTrading: Handle = ({ context, event }, out) => {
  const { isHalted, at = 0 } = event as Of<'desk.tradingChanged'>;
  out.assign({ isHalted });
  if (!isHalted) return;
  for (const operation of Object.values(context.operations)) {
    if (!('waitingFor' in operation)) continue;
    for (const id of operation.ids) out.toOrder(id, { type: 'order.cancel', at });
  }
};

/** A change that was about to leave when trading was halted, or that would be sent once more. */
export const withholdChange: Handle = ({ event }, out) => {
  const { ticket, at = 0 } = event as PlaceOrder;
  const withheld = { type: 'dispatch.withheld', what: 'modify', reason: 'trading is halted', at } as const;
  out.toOrder(ticket.clientOrderId, withheld);
};

/** A submission that leaves nothing behind. */
function without(
  context: DeskContext,
  ids: readonly string[],
  out: Outbox,
): Pick<DeskContext, 'orders' | 'byOrderId'> {
  let { orders, byOrderId } = context;
  for (const id of ids) {
    const orderId = lookUp(orders, id)?.order.orderId;
    out.stop(id);
    orders = remove(orders, id);
    if (orderId) byOrderId = remove(byOrderId, orderKey(context.clientId, orderId));
  }
  return { orders, byOrderId };
}

/** Each with the order that it is about, unless that is `reader`. */
const inOne = (reasons: readonly Denial[], reader?: string): Reason => ({
  code: reasons[0]?.code ?? 'denied',
  message: reasons
    .map(({ clientOrderId: of = reader, message }) => (of === reader ? message : `${of}: ${message}`))
    .join('; '),
});
