/** The arithmetic of the risk gate: limits, and what speaks against an order. Closed list of reasons. */
import {
  anchorOfExit,
  fairPrice,
  isCollarable,
  outside,
  type Reach,
  reachesOf,
  referencePrice,
} from './collar.ts';
import { type LegMarket, reviewCombo, unpricedOfCombo } from './combo.ts';
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
import { type Denial, denial, isLimited } from './denial.ts';
import {
  beyondParent,
  decided,
  type Exposure,
  exitsOf,
  exposureOf,
  grows,
  type Holdings,
  heldIn,
  isUncertain,
  openOn,
  openParentOf,
  positionKey,
  reduces,
  sideWith,
} from './exposure.ts';
import type { Mark } from './market.ts';
import type { OrderTicket } from './order.ts';

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
  /** of a combination: what is known of its legs */
  readonly legs?: readonly LegMarket[];
  /** what TWS calls that contract, where the ticket calls it otherwise */
  readonly alias?: string;
  /** of an order whose terms are to change: what the broker order that carries the change has filled already */
  readonly filled?: Decimal;
}

export interface GateBook extends Holdings {
  readonly limits: GateLimits;
  readonly tradingMode: 'paper' | 'live' | 'off';
  /** accounts of this login; empty while unknown */
  readonly accounts: readonly string[];
  /** times of the newest submissions, ms since the epoch */
  readonly recent: readonly number[];
  /** account -> profit or loss of the day in base currency */
  readonly dailyPnl: Readonly<Record<string, Decimal>>;
}

/** Of a clock that was put back the future does not count. */
export const isInSecond = (time: number, at: number): boolean => time > at - 1_000 && time <= at;

/** The limits that cannot be applied to this order for want of a price, by the names of their settings. */
export function unpricedLimits(limits: GateLimits, { ticket, mark, legs }: GateQuestion): readonly string[] {
  if (legs) return unpricedOfCombo(limits, ticket, legs);
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
  const inLastSecond = book.recent.filter((time) => isInSecond(time, at)).length;
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
  const { ticket, mark, multiplier, legs } = question;
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
  const loss = lossDenial(book, ticket.account);
  if (loss && !isHarmless(book, rest, options)) denials.push(loss);
  if (legs) {
    if (options.isReducing && !isHarmless(book, rest, options)) denials.push(notReducing);
    return [...denials, ...reviewCombo(book, rest, legs, options.replaces)];
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
  const fair = fairPrice(mark, ticket.side);
  const reaches = fair === null ? [] : reachesOf(ticket, fair, parent?.entry ?? null);
  const price = highest([
    ticket.limitPrice,
    ticket.stopPrice,
    reference,
    fair,
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
  if (fair !== null) denials.push(...exitsOutside(book, ticket, fair, options.replaces));
  return [...denials, ...reviewPosition(book, rest, worth, options)];
}

/** Exits of an order that is changed: each was judged by where it opened before. */
function exitsOutside(book: GateBook, ticket: OrderTicket, fair: Decimal, replaces: string | null): Denial[] {
  const percent = book.limits.priceCollarPercent;
  if (replaces === null || !isLimited(percent)) return [];
  const { entry, side } = exposureOf(ticket);
  return exitsOf(book, replaces).flatMap(([id, exit]) => {
    if (exit.limit === null || exit.side === side) return [];
    const anchor = anchorOfExit(exit.side, fair, entry);
    const reach = { field: 'limitPrice', value: exit.limit, price: exit.limit, anchor };
    if (!outside([reach], exit.side, percent)) return [];
    const detail = `limitPrice ${exit.limit} of its exit ${id} would be more than PRICE_COLLAR_PERCENT=${percent} beyond the market (${anchor}): change that first`;
    return [denial('price-collar', detail)];
  });
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
  const isBounded = !question.legs && Boolean(ticket.limitPrice ?? ticket.stopPrice);
  const isGrave = absence === 'line' || (absence === 'answer' && !isBounded);
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

const notReducing = denial('not-reducing', 'trading is in reducing: only orders that shrink a position pass');

function reviewPosition(
  book: GateBook,
  ticket: OrderTicket,
  worth: (quantity: Decimal) => Decimal | null,
  options: Setting,
): Denial[] {
  const denials: Denial[] = [];
  const { maxPositionNotional } = book.limits;
  if (options.isReducing && !isHarmless(book, ticket, options)) {
    denials.push(notReducing);
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
  if (!isLimited(maxPositionNotional)) return denials;
  const held = heldIn(book, ticket);
  const exceeds = (after: Decimal): Decimal | null => {
    const notional = worth(after);
    return notional !== null && compare(notional, maxPositionNotional) > 0 ? notional : null;
  };
  const closed = shrunk(book, ticket, options) ? afterExits(book, ticket, options) : held;
  const overclosed = grows(held, closed) ? exceeds(closed) : null;
  if (overclosed !== null)
    denials.push(
      denial(
        'position-notional',
        `its exits could make a position of ${closed} (${overclosed}), and MAX_POSITION_NOTIONAL=${maxPositionNotional}: make them smaller first`,
      ),
    );
  if (isMereExit) return denials;
  const sameSide = sideWith(book, ticket, options.replaces, options.together);
  const after = ticket.side === 'buy' ? add(held, sameSide) : subtract(held, sameSide);
  // By itself it closes more than there is: what it opens on the other side is a position like any other.
  const turns = compare(multiply(after, held), '0') < 0 && compare(ticket.quantity, absolute(held)) > 0;
  const notional = grows(held, after) || turns ? exceeds(after) : null;
  if (notional !== null) {
    denials.push(
      denial(
        'position-notional',
        `a position of ${after} (${notional}) would exceed MAX_POSITION_NOTIONAL=${maxPositionNotional}`,
      ),
    );
  }
  return denials;
}

/** The position if the exits of an order with these terms traded and it did not. */
function afterExits(book: GateBook, ticket: OrderTicket, options: Setting): Decimal {
  const side = ticket.side === 'buy' ? 'sell' : 'buy';
  const exits = openOn(book, { ...ticket, side }, options.together);
  const held = heldIn(book, ticket);
  return side === 'buy' ? add(held, exits) : subtract(held, exits);
}

/** Whether a change does nothing but make an order smaller. */
function shrunk(book: GateBook, ticket: OrderTicket, { replaces }: Setting): boolean {
  const former =
    replaces !== null && Object.hasOwn(book.exposures, replaces) ? book.exposures[replaces] : undefined;
  return (
    former !== undefined &&
    compare(exposureOf(ticket).remaining, subtract(former.remaining, former.beside)) < 0
  );
}

/**
 * What passes when nothing may grow: an order that shrinks a position, the exit of one that works at the broker, and a change that
 * makes one smaller without leaving its exits too large.
 */
function isHarmless(book: GateBook, ticket: OrderTicket, options: Setting): boolean {
  const own = exposureOf(ticket);
  if (reduces(book, ticket, options.replaces)) return true;
  if (openParentOf(book, own, {}) && isZero(beyondParent(book, own))) return true;
  const former = options.replaces === null ? undefined : book.exposures[options.replaces];
  const isSameOtherwise = former?.entry === own.entry && former?.limit === own.limit;
  return (
    isSameOtherwise &&
    shrunk(book, ticket, options) &&
    !grows(heldIn(book, ticket), afterExits(book, ticket, options))
  );
}

function highest(prices: readonly (Decimal | null | undefined)[]): Decimal | null {
  return prices.reduce<Decimal | null>(
    (best, price) => (price ? (best === null ? price : larger(best, price)) : best),
    null,
  );
}
