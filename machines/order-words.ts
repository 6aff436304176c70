/** What an order hears, what it says to its desk, and what it knows besides its view. */
import type { Alarm } from './alarm.ts';
import { compare, multiply, subtract, toDecimal } from './decimal.ts';
import { cancelledCode, echoed, isTrailing } from './evidence.ts';
import { isComplete, liveIncarnations } from './incarnation.ts';
import {
  isSettledByHand,
  missingCode,
  type Order,
  type OrderFact,
  type OrderTicket,
  type Reason,
  withChange,
} from './order.ts';
import type { BrokerFact, BrokerOrderStatus, TwsCommand } from './tws.ts';

export interface OrderInput {
  /** as it is known so far; `state` decides where the actor wakes up */
  readonly order: Order;
  /** what was asked for; null for orders of others */
  readonly ticket: OrderTicket | null;
  readonly parentOrderId: number;
  /** true while facts of the journal are worked in: nothing is sent to anybody */
  readonly replaying: boolean;
}

export interface OrderContext extends OrderInput {
  /** complete answers of the broker in which a doubtful order did not occur */
  readonly absences: number;
  /** how often evidence was asked for in this doubt */
  readonly asked: number;
  /** what the broker states beyond the known executions */
  readonly stated: { readonly filled: string; readonly averagePrice: string | null } | null;
  /** its bytes may still wait for their turn: until they have left, silence and absence say nothing */
  readonly isUnsent: boolean;
  /** not a byte of it left before this, ms since the epoch */
  readonly sentSince: number;
  /** the broker's newest word of the order; null: there was none in this life of it */
  readonly seenStatus: BrokerOrderStatus | null;
  /** permId of a live incarnation -> complete lists, in a row, without it */
  readonly vanished: Readonly<Record<string, number>>;
  /** when this doubt began, ms since the epoch */
  readonly doubtSince: number;
  /** time of the newest event, ms since the epoch */
  readonly lastAt: number;
}

export type OrderCommand =
  | { readonly type: 'order.approve'; readonly at: number }
  | { readonly type: 'order.cancel'; readonly at: number }
  /** the journal has been replayed: what was unanswered when the process ended is in doubt */
  | { readonly type: 'order.resume'; readonly at: number };

/** The session through which requests were sent is gone, and with it their answers. */
export type SessionLost = { readonly type: 'session.lost'; readonly at: number; readonly cause: string };
/** Complete lists of the broker, asked for after `since`, did or did not contain the order. */
export type EvidenceCompleted = {
  readonly type: 'evidence.completed';
  readonly at: number;
  readonly since: number;
  readonly present: boolean;
  /** those of its broker orders that are open; absent: not told */
  readonly permIds?: readonly string[];
  /** since when the lists tell what was filled or ended, ms since the epoch; null or absent: not known */
  readonly coversFrom?: number | null;
};
/** Two complete lists of the broker in a row, the first asked for at `since`, hold one of its broker orders as open. */
export type OrderListed = {
  readonly type: 'order.listed';
  readonly at: number;
  readonly since: number;
  readonly permId: string;
};
export type DispatchWithheld = {
  readonly type: 'dispatch.withheld';
  readonly what: 'place' | 'modify' | 'cancel';
  readonly reason: string;
  readonly at: number;
};

/** Executions have had their time to arrive. */
export type OrderLagged = { readonly type: 'order.lagged' };
/** The broker announced a cancellation that nobody asked for; its status has had its time to follow. */
export type EndAnnounced = { readonly type: 'order.endAnnounced' };

export type OrderEvent =
  | OrderFact
  | BrokerFact
  | OrderCommand
  | SessionLost
  | EvidenceCompleted
  | OrderListed
  | DispatchWithheld
  | OrderLagged
  | EndAnnounced;

/** What an order tells its desk. */
export type OrderReport =
  | { readonly type: 'order.recorded'; readonly clientOrderId: string; readonly fact: OrderFact }
  | { readonly type: 'order.surprised'; readonly clientOrderId: string; readonly fact: OrderEvent }
  | { readonly type: 'order.evidenceWanted'; readonly clientOrderId: string; readonly why: string }
  /** something that people must know */
  | ({ readonly type: 'order.alerted'; readonly clientOrderId: string; readonly at: number } & Alarm)
  /** TWS refused its order id: the desk may give it another, once */
  | {
      readonly type: 'order.renumberWanted';
      readonly clientOrderId: string;
      readonly orderId: number;
      readonly reason: Reason;
      readonly at: number;
    }
  | TwsCommand;

/** No answer for so long after the bytes left: in doubt. */
export const ackTimeoutMs = 4_000;
/** A cancel may be unanswered for so long before it is asked for in the lists, and sent again if they don't show it. */
export const cancelPatienceMs = 30_000;
/** After so long without an effect a cancel is sent again when it is asked for again. */
const cancelRepeatMs = 1_000;
/** How long executions may lag behind a stated fill before they are asked for. */
export const executionLagMs = 1_500;
/** Complete answers without the order, in a row, before an unacknowledged order counts as unknown to the broker. */
export const absencesMin = 2;

type Statement = OrderContext['stated'];

/** A statement has served once executions explain it: a correction may fall below it. */
export const stillUnexplained = (stated: Statement, order: Order): Statement =>
  stated !== null && compare(stated.filled, order.filledQuantity) > 0 ? stated : null;

/** A cancel was asked for and not refused. */
export const isUnwanted = (order: Order): boolean => order.cancelRequestedAt !== undefined;

export const question = (
  { clientOrderId, reason }: Order,
  why = reason?.message ?? 'in doubt',
): OrderReport => ({ type: 'order.evidenceWanted', clientOrderId, why });

/** A doubt is over with the last fill, and its reason with it. */
export const reasonIn = (state: Order['state'], order: Order): Reason | null =>
  state === 'filled' && order.state === 'inDoubt' && !isSettledByHand(order) ? null : order.reason;

/** Why an order may be in doubt, in words for people; what is known beside it follows in brackets. */
const doubts = {
  unanswered: `TWS did not answer within ${ackTimeoutMs} ms`,
  'end-announced': 'the broker announced a cancellation, and no status followed',
  'session-lost': 'the session ended before TWS answered',
  restarted: 'the process ended before TWS answered',
  'missing-at-broker': "the order is missing from the broker's lists",
  'cancel-withheld': 'the cancel was not sent',
} as const;

export function doubt(
  { order }: OrderContext,
  code: keyof typeof doubts,
  at: number,
  detail?: string,
): OrderFact {
  const message = detail === undefined ? doubts[code] : `${doubts[code]} (${detail})`;
  return { type: 'order.doubted', clientOrderId: order.clientOrderId, at, reason: { code, message } };
}

const changeable = [
  ...echoed,
  'goodTillDate',
  'outsideRegularHours',
] as const satisfies readonly (keyof Order & keyof OrderTicket)[];

/** The terms as they stand now, of those that a change may touch. */
export const termsOf = (order: Order): Partial<OrderTicket> =>
  Object.fromEntries(changeable.flatMap((name) => (order[name] === undefined ? [] : [[name, order[name]]])));

/** What a change asks TWS to make of the order: its standing terms, with those that change. */
export function changedTicket(ticket: OrderTicket, order: Order): OrderTicket {
  const change = order.pendingChange ?? {};
  const changed = { ...withChange({ ...ticket, ...termsOf(order) }, change), transmit: true };
  if (!isTrailing(order)) return changed;
  // Where its stop began is history: it would put one that has followed the market back, and its limit with it.
  const { stopPrice, limitPrice, ...moving } = changed;
  const { trailStopPrice: first, lmtPriceOffset, ...tws } = ticket.tws ?? {};
  const began = ticket.stopPrice ?? toDecimal(Number(first ?? Number.NaN));
  const isFollowing =
    began &&
    limitPrice !== undefined &&
    limitPrice === ticket.limitPrice &&
    change.limitPrice === undefined &&
    change.stopPrice === undefined;
  const sign = order.side === 'sell' ? '1' : '-1';
  const distance = lmtPriceOffset ?? (isFollowing ? multiply(sign, subtract(began, limitPrice)) : undefined);
  // TWS takes the one or the other: a limit that is asked for now is the limit.
  const hasOffset = distance !== undefined && change.limitPrice === undefined;
  const offset = hasOffset ? { lmtPriceOffset: distance } : undefined;
  return {
    ...moving,
    ...(change.stopPrice === undefined ? {} : { stopPrice: change.stopPrice }),
    ...(offset || limitPrice === undefined ? {} : { limitPrice }),
    ...(ticket.tws || offset ? { tws: { ...offset, ...tws } } : {}),
  };
}

/** How many of several broker orders were cancelled, as words have told that name none: those that the lists lack since. */
export function unnamedEnds({ incarnations = [], notices, cancelRequestedAt }: Order): number {
  if (incarnations.length < 2 || cancelRequestedAt === undefined) return 0;
  const told = notices.filter(({ code, at }) => code === cancelledCode && at >= cancelRequestedAt);
  return told.length - incarnations.filter(({ state }) => state === 'cancelled').length;
}
/** Each of its broker orders that may still live has been told of as cancelled. */
const isAnnounced = (order: Order): boolean =>
  unnamedEnds(order) >= Math.max(1, liveIncarnations(order).length);

/** Live incarnations, the newest only after words that name none, that these lists don't contain, each with how many lists in a row lacked it. */
export function missingFrom(
  { order, vanished, lastAt }: OrderContext,
  { permIds, since }: EvidenceCompleted,
): Readonly<Record<string, number>> {
  if (permIds === undefined || since <= lastAt) return vanished;
  const missing = liveIncarnations(order).filter(({ permId }) => !permIds.includes(permId));
  const newest = liveIncarnations(order).at(-1)?.permId;
  const areTold = unnamedEnds(order) >= missing.length;
  return Object.fromEntries(
    missing
      .filter(({ permId }) => areTold || permId !== newest)
      .map(({ permId }) => [permId, (vanished[permId] ?? 0) + 1]),
  );
}

/** The broker states fills that no execution explains. */
export const hasStatedFills = ({ stated, order }: OrderContext): boolean =>
  stated !== null && compare(stated.filled, order.filledQuantity) > 0;

/** The broker works on what we hold for ended, and there is something left to fill, whatever a person said. */
export const isListedSinceItsEnd = ({ lastAt, order }: OrderContext, event: OrderEvent): boolean =>
  event.type === 'order.listed' && event.since > lastAt && (!isComplete(order) || isSettledByHand(order));

/** The broker works on it: that is what the lists say. */
export const listedAlive = ({ order }: OrderContext, { at, permId }: OrderListed): OrderFact => ({
  type: 'order.accepted',
  clientOrderId: order.clientOrderId,
  at,
  permId,
  alive: true,
  contract: null,
  heldBecause: '',
});

/** Complete lists of the broker, asked for after the newest word about the order. */
export const isNewList = (context: OrderContext, event: OrderEvent): event is EvidenceCompleted =>
  event.type === 'evidence.completed' && event.since > context.lastAt;
/** They do not contain it. */
export const isMissingFrom = (context: OrderContext, event: OrderEvent): boolean =>
  isNewList(context, event) && !event.present;

/** They do not contain it, and no word explains that. */
export const isAbsent = (context: OrderContext, event: OrderEvent): boolean =>
  isMissingFrom(context, event) && context.stated === null && !isAnnounced(context.order);

/** They lack it once more than chance explains, and it has had its chance to be in them. */
export const isLost = (context: OrderContext, event: OrderEvent): boolean =>
  isMissingFrom(context, event) && !context.isUnsent && context.absences + 1 >= absencesMin;

/** What ended on a day of the broker's that the lists do not tell of any more is not in them, whatever became of it. */
const isCovered = ({ sentSince }: OrderContext, { coversFrom }: EvidenceCompleted): boolean =>
  typeof coversFrom === 'number' && coversFrom <= sentSince;

/** The broker does not know it: it never said a word about it, and lists of the whole time since it was sent lack it. */
export const isProvenAbsent = (context: OrderContext, event: OrderEvent): boolean =>
  event.type === 'evidence.completed' &&
  isLost(context, event) &&
  isCovered(context, event) &&
  context.order.permIds.length === 0 &&
  context.order.fills.length === 0;

/** They have lacked it twice by now, and no word explains that. */
export const isNewlyLost = (context: OrderContext, event: OrderEvent): boolean =>
  isLost(context, event) && !isCalledMissing(context.order) && !isAnnounced(context.order);

export const isCalledMissing = ({ reason }: { readonly reason: Reason | null }): boolean =>
  reason?.code === missingCode;

/** In doubt, because the lists lack it; the reason says when they cannot tell what became of it. */
export function doubtAbsent(context: OrderContext, event: EvidenceCompleted): OrderFact {
  const { coversFrom } = event;
  const isUntold = typeof coversFrom === 'number' && !isCovered(context, event);
  return doubt(
    context,
    'missing-at-broker',
    event.at,
    isUntold
      ? `what was filled or ended before ${new Date(coversFrom).toISOString()} is listed no more: the position and the broker's statement tell`
      : undefined,
  );
}

/** The lists show it untouched, long after the cancel was sent: TWS never heard of it, or has lost it. */
export const isCancelLost = (context: OrderContext, event: OrderEvent): boolean =>
  event.type === 'evidence.completed' &&
  event.present &&
  isCancelUnheard(context) &&
  event.since > context.lastAt + cancelPatienceMs;

const isCancelUnheard = ({ seenStatus }: OrderContext): boolean =>
  seenStatus === 'working' || seenStatus === 'pending';

/** Whoever asks again for a cancel that shows no effect may have seen it lost: it is sent once more. */
export const isCancelRepeated = (context: OrderContext, event: OrderEvent): boolean =>
  event.type === 'order.cancel' && isCancelUnheard(context) && event.at >= context.lastAt + cancelRepeatMs;

/** Of an order whose cancel is under way TWS says that it cannot be cancelled: that is no news about its end. */
export const heardIn = ({ seenStatus, order }: OrderContext, fact: BrokerFact): BrokerFact =>
  fact.type === 'broker.orderNoted' &&
  fact.disposition === 'cancelTargetClosed' &&
  seenStatus === 'cancelPending' &&
  order.state === 'cancelling'
    ? { ...fact, disposition: 'notice' }
    : fact;
