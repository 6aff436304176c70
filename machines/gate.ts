/** The arithmetic of the risk gate: limits, and what speaks against an order. Closed list of reasons. */
import { isCollarable, outside, type Reach, reachesOf, referencePrice } from './collar.ts';
import {
  absolute,
  add,
  compare,
  type Decimal,
  isZero,
  larger,
  multiply,
  negate,
  subtract,
} from './decimal.ts';
import { fillable } from './incarnation.ts';
import type { Mark } from './market.ts';
import type { Order, OrderTicket, Reason, Side } from './order.ts';
import { type ContractNumbers, identityOf, isSameInstrument } from './sameness.ts';

export interface GateLimits {
  /** units of the instrument; `"0"` = no limit, here and below */
  readonly maxOrderQuantity: Decimal;
  /** in the instrument's currency */
  readonly maxOrderNotional: Decimal;
  readonly maxOpenOrders: number;
  readonly maxOrdersPerSecond: number;
  /** how far beyond the market, in percent of it, a price may reach */
  readonly priceCollarPercent: Decimal;
  /** of one instrument in one account, all open orders of one side counted as filled */
  readonly maxPositionNotional: Decimal;
  /** in the account's base currency */
  readonly maxDailyLoss: Decimal;
}

/** Why the gate refuses. A code is never reused for another meaning. */
export const denialCodes = [
  'account-unknown',
  'account-not-paper',
  'duplicate',
  'order-quantity',
  'order-notional',
  'notional-unknown',
  'no-price',
  'open-orders',
  'order-rate',
  'price-collar',
  'position-notional',
  'daily-loss',
  'daily-loss-unknown',
  'not-reducing',
  'position-uncertain',
] as const;
export type DenialCode = (typeof denialCodes)[number];
export interface Denial extends Reason {
  readonly code: DenialCode;
  /** the order that it is about, when several are judged together; absent: all of them */
  readonly clientOrderId?: string;
}

/**
 * Why there is no price. `line`: none could be asked for; `answer`: it was asked for and has not come, or is refused for the moment;
 * `data`: TWS has none.
 */
export type Absence = 'line' | 'answer' | 'data';

/** One order to judge, with what is known of its market. */
export interface GateQuestion {
  readonly ticket: OrderTicket;
  readonly mark: Mark | null;
  /** of a mark without a price; `data` when left out */
  readonly absence?: Absence;
  /** units of currency per point and contract; null: not known */
  readonly multiplier: Decimal | null;
  /** TWS's number of the contract, where it had to be asked for */
  readonly conId?: number | null;
  /** of an order whose terms are to change: what the broker order that carries the change has filled already */
  readonly filled?: Decimal;
}

/** What an open order may still do to a position. */
export interface Exposure {
  readonly account: string;
  readonly instrument: string;
  readonly side: Side;
  readonly remaining: Decimal;
  /** the part of it that former broker orders of a changed order may fill: another change does not touch it */
  readonly beside: Decimal;
  /** the order that it waits for, if there is one: while that can open what this closes, this adds nothing to the worst case */
  readonly parent: string | null;
  /** the price at which it is to trade; null: at any */
  readonly entry: Decimal | null;
}

export interface GateBook {
  readonly limits: GateLimits;
  readonly tradingMode: 'paper' | 'live' | 'off';
  /** accounts of this login; empty while unknown */
  readonly accounts: readonly string[];
  readonly exposures: Readonly<Record<string, Exposure>>;
  /** `account|instrument` -> signed quantity */
  readonly positions: Readonly<Record<string, Decimal>>;
  /** times of the newest submissions, ms since the epoch */
  readonly recent: readonly number[];
  /** account -> profit or loss of the day in base currency */
  readonly dailyPnl: Readonly<Record<string, Decimal>>;
  /** `account|instrument` of positions on which the broker's books and ours differ */
  readonly uncertain: readonly string[];
  /** what is known of which names mean the same */
  readonly numbers: ContractNumbers;
}

export const positionKey = (account: string, instrument: string): string => `${account}|${instrument}`;

const isLimited = (limit: Decimal | number): boolean =>
  typeof limit === 'number' ? limit > 0 : !isZero(limit);
const denial = (code: DenialCode, message: string): Denial => ({ code, message });

/** The limits that cannot be applied to this order for want of a price, by the names of their settings. */
export function unpricedLimits(limits: GateLimits, { ticket, mark }: GateQuestion): readonly string[] {
  if (referencePrice(mark, ticket.side) !== null) return [];
  const { limitPrice, stopPrice } = ticket;
  if (!limitPrice && !stopPrice) {
    return [
      ...(isLimited(limits.maxOrderNotional) ? ['MAX_ORDER_NOTIONAL'] : []),
      ...(isLimited(limits.maxPositionNotional) ? ['MAX_POSITION_NOTIONAL'] : []),
    ];
  }
  return isLimited(limits.priceCollarPercent) && isCollarable(ticket) ? ['PRICE_COLLAR_PERCENT'] : [];
}

export const isSameExposure = (a: Exposure, b: Exposure): boolean =>
  (Object.keys(a) as (keyof Exposure)[]).every((field) => a[field] === b[field]);

export function exposureOf(order: OrderTicket | Order): Exposure {
  const { newest, older } = 'fills' in order ? fillable(order) : { newest: order.quantity, older: '0' };
  return {
    account: order.account,
    instrument: order.instrument,
    side: order.side,
    remaining: add(newest, older),
    beside: older,
    parent: ('orphaned' in order && order.orphaned ? undefined : order.parentClientOrderId) ?? null,
    entry: order.stopPrice ?? order.limitPrice ?? null,
  };
}

/** The ticket with what it may still fill. */
const restOf = ({ ticket, filled }: GateQuestion): OrderTicket =>
  filled === undefined ? ticket : { ...ticket, quantity: larger(subtract(ticket.quantity, filled), '0') };

/** What is submitted as one. */
export const togetherOf = (questions: readonly GateQuestion[]): Readonly<Record<string, Exposure>> =>
  Object.fromEntries(
    questions.map((question) => [question.ticket.clientOrderId, exposureOf(restOf(question))] as const),
  );

/**
 * What is reserved for an order. It has a parent only where that is open and this closes what it opens: whatever else names
 * one fills beside its siblings. A change leaves that as it was decided.
 */
export function reservationOf(
  book: GateBook,
  question: GateQuestion,
  replaces: string | null,
  together: Readonly<Record<string, Exposure>>,
): Exposure {
  return decided(book, exposureOf(restOf(question)), replaces, together);
}

function decided(
  book: GateBook,
  own: Exposure,
  replaces: string | null,
  together: Readonly<Record<string, Exposure>>,
): Exposure {
  const former =
    replaces !== null && Object.hasOwn(book.exposures, replaces) ? book.exposures[replaces] : undefined;
  const isAttached = former ? former.parent !== null : openParentOf(book, own, together) !== undefined;
  return isAttached ? own : { ...own, parent: null };
}

/** IB's own convention. */
export const isPaperAccount = (account: string): boolean => account.startsWith('D');

/** Everything that speaks against these orders, submitted together; empty: approved. `replacing`: their former selves. */
export function review(
  book: GateBook,
  questions: readonly GateQuestion[],
  at: number,
  options: { readonly isReducing: boolean; readonly replaces: string | null },
): Denial[] {
  const denials: Denial[] = [];
  const { limits } = book;
  const isNew = options.replaces === null;
  const openCount = Object.keys(book.exposures).length + (isNew ? questions.length : 0);
  if (isNew && isLimited(limits.maxOpenOrders) && openCount > limits.maxOpenOrders) {
    denials.push(
      denial('open-orders', `${openCount} open orders would exceed MAX_OPEN_ORDERS=${limits.maxOpenOrders}`),
    );
  }
  const inLastSecond = book.recent.filter((time) => time > at - 1_000).length;
  if (isLimited(limits.maxOrdersPerSecond) && inLastSecond + questions.length > limits.maxOrdersPerSecond) {
    denials.push(
      denial(
        'order-rate',
        `more than MAX_ORDERS_PER_SECOND=${limits.maxOrdersPerSecond} orders in one second`,
      ),
    );
  }
  const together = togetherOf(questions);
  for (const question of questions) {
    const { clientOrderId } = question.ticket;
    for (const each of reviewOne(book, question, { ...options, together }))
      denials.push(questions.length > 1 ? { ...each, clientOrderId } : each);
  }
  return denials;
}

interface Setting {
  readonly isReducing: boolean;
  readonly replaces: string | null;
  /** what is submitted as one */
  readonly together: Readonly<Record<string, Exposure>>;
}

function reviewOne(book: GateBook, question: GateQuestion, options: Setting): Denial[] {
  const { limits } = book;
  const { ticket, mark, multiplier } = question;
  const rest = restOf(question);
  const denials: Denial[] = [];
  const blind = blindDenial(book, question, options.replaces);
  if (blind) denials.push(blind);
  if (book.accounts.length > 0 && !book.accounts.includes(ticket.account)) {
    const known = book.accounts.join(', ');
    denials.push(
      denial('account-unknown', `${ticket.account} is not an account of this TWS login (${known})`),
    );
  }
  if (book.tradingMode === 'paper' && !isPaperAccount(ticket.account)) {
    denials.push(
      denial('account-not-paper', 'TRADING_MODE=paper allows only accounts whose id begins with D'),
    );
  }
  if (options.replaces === null && Object.hasOwn(book.exposures, ticket.clientOrderId)) {
    denials.push(denial('duplicate', 'an open order has this clientOrderId'));
  }
  if (isLimited(limits.maxOrderQuantity) && compare(ticket.quantity, limits.maxOrderQuantity) > 0) {
    denials.push(
      denial(
        'order-quantity',
        `quantity ${ticket.quantity} exceeds MAX_ORDER_QUANTITY=${limits.maxOrderQuantity}`,
      ),
    );
  }
  const reference = referencePrice(mark, ticket.side);
  const parent = openParentOf(book, exposureOf(rest), options.together);
  const reaches = reference === null ? [] : reachesOf(ticket, reference, parent?.entry ?? null);
  const price = highest([
    ticket.limitPrice,
    ticket.stopPrice,
    reference,
    ...reaches.map((each) => each.price),
  ]);
  if (multiplier === null && (isLimited(limits.maxOrderNotional) || isLimited(limits.maxPositionNotional))) {
    denials.push(
      denial(
        'notional-unknown',
        `the contract multiplier of ${ticket.instrument} is not known: TWS has not told it yet, or has no such contract`,
      ),
    );
  }
  const worth = (quantity: Decimal): Decimal | null =>
    price === null || multiplier === null ? null : absolute(multiply(multiply(quantity, price), multiplier));
  const notional = worth(ticket.quantity);
  if (
    notional !== null &&
    isLimited(limits.maxOrderNotional) &&
    compare(notional, limits.maxOrderNotional) > 0
  ) {
    denials.push(
      denial('order-notional', `notional ${notional} exceeds MAX_ORDER_NOTIONAL=${limits.maxOrderNotional}`),
    );
  }
  const collar = outsideCollar(ticket, reaches, limits.priceCollarPercent);
  if (collar) denials.push(collar);
  denials.push(...reviewPosition(book, rest, worth, options));
  const loss = lossDenial(book, ticket.account);
  if (loss && !reduces(book, rest, options.replaces)) denials.push(loss);
  return denials;
}

/** Whether the day's profit or loss, where it is limited, is not told. */
export const isLossUnknown = (
  { limits, dailyPnl }: Pick<GateBook, 'limits' | 'dailyPnl'>,
  account: string,
): boolean => isLimited(limits.maxDailyLoss) && !Object.hasOwn(dailyPnl, account);

/** An account that holds something may have lost any amount before TWS tells; one that is flat has little to lose more. */
function lossDenial(book: GateBook, account: string): Denial | null {
  const { maxDailyLoss } = book.limits;
  if (isLossUnknown(book, account)) {
    const prefix = positionKey(account, '');
    const holds = Object.entries(book.positions).some(
      ([key, held]) => key.startsWith(prefix) && !isZero(held),
    );
    const why = `TWS has not told the day's profit or loss of ${account}, and MAX_DAILY_LOSS=${maxDailyLoss} bounds it`;
    return holds ? denial('daily-loss-unknown', `${why}: only reducing orders`) : null;
  }
  // A client's word: an object has more names than those that were put into it.
  const daily = Object.hasOwn(book.dailyPnl, account) ? book.dailyPnl[account] : undefined;
  if (!isLimited(maxDailyLoss) || daily === undefined || compare(negate(daily), maxDailyLoss) <= 0)
    return null;
  return denial('daily-loss', `the day's loss exceeds MAX_DAILY_LOSS=${maxDailyLoss}: only reducing orders`);
}

/** What has no price because nobody could ask, or nobody answered yet, must not slip through; TWS's own word that it has none is borne. */
function blindDenial(book: GateBook, question: GateQuestion, replaces: string | null): Denial | null {
  const { ticket, absence = 'data' } = question;
  const blunt = unpricedLimits(book.limits, question);
  const isGrave = absence === 'line' || (absence === 'answer' && !ticket.limitPrice && !ticket.stopPrice);
  if (blunt.length === 0 || !isGrave || reduces(book, restOf(question), replaces)) return null;
  const why = absence === 'line' ? 'no market-data line could be had' : 'TWS has not told one yet';
  return denial('no-price', `${ticket.instrument} has no price to apply ${blunt.join(', ')} by: ${why}`);
}

function outsideCollar(ticket: OrderTicket, reaches: readonly Reach[], percent: Decimal): Denial | null {
  const found = isLimited(percent) ? outside(reaches, ticket.side, percent) : undefined;
  return found
    ? denial(
        'price-collar',
        `${found.field} ${found.value} is more than PRICE_COLLAR_PERCENT=${percent} beyond the market (${found.anchor})`,
      )
    : null;
}

function reviewPosition(
  book: GateBook,
  ticket: OrderTicket,
  worth: (quantity: Decimal) => Decimal | null,
  options: Setting,
): Denial[] {
  const denials: Denial[] = [];
  const { maxPositionNotional } = book.limits;
  if (options.isReducing && !reduces(book, ticket, options.replaces)) {
    denials.push(denial('not-reducing', 'trading is in reducing: only orders that shrink a position pass'));
  }
  const isMereExit = isZero(beyondParent(book, exposureOf(ticket), options.together));
  if (isUncertain(book, ticket) && !isMereExit && !reduces(book, ticket, options.replaces)) {
    denials.push(
      denial(
        'position-uncertain',
        `the broker's books and ours differ on the position in ${ticket.instrument}: only orders that shrink it pass`,
      ),
    );
  }
  if (isMereExit || !isLimited(maxPositionNotional)) return denials;
  const held = heldIn(book, ticket);
  const sameSide = sideWith(book, ticket, options.replaces, options.together);
  const after = ticket.side === 'buy' ? add(held, sameSide) : subtract(held, sameSide);
  const grows = compare(absolute(after), absolute(held)) > 0;
  // By itself it closes more than there is: what it opens on the other side is a position like any other.
  const turns = compare(multiply(after, held), '0') < 0 && compare(ticket.quantity, absolute(held)) > 0;
  const notional = worth(after);
  if ((grows || turns) && notional !== null && compare(notional, maxPositionNotional) > 0) {
    denials.push(
      denial(
        'position-notional',
        `a position of ${after} (${notional}) would exceed MAX_POSITION_NOTIONAL=${maxPositionNotional}`,
      ),
    );
  }
  return denials;
}

type Held = Pick<OrderTicket, 'account' | 'instrument'> & Partial<Pick<OrderTicket, 'contract'>>;

/** Tells of names whether they mean this instrument; each is looked at once, however many orders have it. */
function sameAs(book: GateBook, named: Omit<Held, 'account'>): (instrument: string) => boolean {
  const identity = identityOf(book.numbers, named);
  const known = new Map([[named.instrument, true]]);
  return (instrument) => {
    const told = known.get(instrument);
    if (told !== undefined) return told;
    const isSame = isSameInstrument(identity, identityOf(book.numbers, { instrument }));
    known.set(instrument, isSame);
    return isSame;
  };
}

/** The signed quantity held, under whatever name. */
function heldIn(book: GateBook, held: Held): Decimal {
  const prefix = positionKey(held.account, '');
  const isIt = sameAs(book, held);
  return Object.entries(book.positions).reduce(
    (sum, [key, quantity]) =>
      key.startsWith(prefix) && isIt(key.slice(prefix.length)) ? add(sum, quantity) : sum,
    '0',
  );
}

function isUncertain(book: GateBook, held: Held): boolean {
  if (book.uncertain.length === 0) return false;
  const prefix = positionKey(held.account, '');
  const isIt = sameAs(book, held);
  return book.uncertain.some((key) => key.startsWith(prefix) && isIt(key.slice(prefix.length)));
}

/** Whether the order, with all open ones of its side, cannot do more than close the position. */
function reduces(book: GateBook, ticket: OrderTicket, replaces: string | null): boolean {
  const held = heldIn(book, ticket);
  const closes = ticket.side === 'sell' ? compare(held, '0') > 0 : compare(held, '0') < 0;
  return closes && compare(sideWith(book, ticket, replaces), absolute(held)) <= 0;
}

/**
 * What an order may do beyond closing what its parent has yet to open. One that names a parent which is gone, or of another
 * instrument, or of its own side, is an order like any other.
 */
function beyondParent(
  book: GateBook,
  exposure: Exposure,
  together: Readonly<Record<string, Exposure>> = {},
): Decimal {
  const parent = openParentOf(book, exposure, together);
  return parent ? larger(subtract(exposure.remaining, parent.remaining), '0') : exposure.remaining;
}

/** The open order whose exit this is, if it is one. */
function openParentOf(
  book: GateBook,
  exposure: Exposure,
  together: Readonly<Record<string, Exposure>>,
): Exposure | undefined {
  const { parent: name } = exposure;
  if (name === null) return undefined;
  const of = Object.hasOwn(together, name) ? together : book.exposures;
  const parent = Object.hasOwn(of, name) ? of[name] : undefined;
  const isItsExit =
    parent !== undefined &&
    parent.account === exposure.account &&
    parent.side !== exposure.side &&
    sameAs(book, { instrument: parent.instrument })(exposure.instrument);
  return isItsExit ? parent : undefined;
}

/** All that may trade on the side of this order, which is included. Of the exits of one parent only one fills. */
function sideWith(
  book: GateBook,
  ticket: OrderTicket,
  replaces: string | null,
  together: Readonly<Record<string, Exposure>> = {},
): Decimal {
  const own = decided(book, exposureOf(ticket), replaces, together);
  const isOfTicket = sameAs(book, ticket);
  const exits = new Map<string, Decimal>();
  let open = '0';
  const count = (parent: string | null, quantity: Decimal): void => {
    if (parent === null) open = add(open, quantity);
    else exits.set(parent, larger(exits.get(parent) ?? '0', quantity));
  };
  for (const [id, exposure] of Object.entries(book.exposures)) {
    if (exposure.side !== ticket.side) continue;
    if (exposure.account !== ticket.account || !isOfTicket(exposure.instrument)) continue;
    count(exposure.parent, id === replaces ? exposure.beside : beyondParent(book, exposure));
  }
  count(own.parent, beyondParent(book, own, together));
  return [...exits.values()].reduce(add, open);
}

function highest(prices: readonly (Decimal | null | undefined)[]): Decimal | null {
  return prices.reduce<Decimal | null>(
    (best, price) => (price ? (best === null ? price : larger(best, price)) : best),
    null,
  );
}

/** Open orders of the side on which the broker itself has just traded that could now turn the position round. */
export function reversals(
  book: GateBook,
  account: string,
  instrument: string,
  side: Side,
): readonly string[] {
  const held = heldIn(book, { account, instrument });
  const isIt = sameAs(book, { instrument });
  const closable = larger(side === 'sell' ? held : negate(held), '0');
  return Object.entries(book.exposures).flatMap(([id, exposure]) =>
    exposure.account === account &&
    isIt(exposure.instrument) &&
    exposure.side === side &&
    compare(exposure.remaining, closable) > 0
      ? [id]
      : [],
  );
}
