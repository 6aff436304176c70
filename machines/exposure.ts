/** What open orders may still do to positions: the sums of the risk gate. */
import { absolute, add, compare, type Decimal, larger, multiply, negate, subtract } from './decimal.ts';
import { fillable } from './incarnation.ts';
import type { ComboLeg } from './instrument.ts';
import type { Order, OrderTicket, Side } from './order.ts';
import { type ContractNumbers, identityOf, isSameInstrument } from './sameness.ts';

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
  /** where the market is when it trades; null: anywhere */
  readonly entry: Decimal | null;
  /** up to which it may trade, of a plain limit order; null: of others */
  readonly limit: Decimal | null;
  /** of a combination: what it trades */
  readonly legs?: readonly ExposedLeg[];
}

/** One leg of a combination. */
export interface ExposedLeg {
  /** `CONID:n` */
  readonly instrument: string;
  /** of a combination that is bought */
  readonly side: Side;
  /** units for each of the combination */
  readonly ratio: Decimal;
}

/** What is held and what may still trade. */
export interface Holdings {
  /** by clientOrderId */
  readonly exposures: Readonly<Record<string, Exposure>>;
  /** `account|instrument` -> signed quantity */
  readonly positions: Readonly<Record<string, Decimal>>;
  /** `account|instrument` of positions on which the broker's books and ours differ */
  readonly uncertain: readonly string[];
  /** what is known of which names mean the same */
  readonly numbers: ContractNumbers;
}

export const positionKey = (account: string, instrument: string): string => `${account}|${instrument}`;

export const isSameExposure = (a: Exposure, b: Exposure): boolean =>
  // The legs of an order are what they were.
  (Object.keys(a) as (keyof Exposure)[]).every((field) => field === 'legs' || a[field] === b[field]);

/** Where the market is when it trades. A stop may be past already, and then that is anywhere. */
const opensAt = ({ type, stopPrice, limitPrice }: OrderTicket | Order): Decimal | null =>
  type.startsWith('stop') || type.startsWith('trailing') ? null : (stopPrice ?? limitPrice ?? null);

export function exposureOf(order: OrderTicket | Order): Exposure {
  const { newest, older } = 'fills' in order ? fillable(order) : { newest: order.quantity, older: '0' };
  return {
    account: order.account,
    instrument: order.instrument,
    side: order.side,
    remaining: add(newest, older),
    beside: older,
    parent: ('orphaned' in order && order.orphaned ? undefined : order.parentClientOrderId) ?? null,
    entry: opensAt(order),
    limit: order.type === 'limit' || order.type === 'limit_on_close' ? (order.limitPrice ?? null) : null,
    ...(order.contract.secType === 'BAG' && order.contract.comboLegs
      ? { legs: order.contract.comboLegs.map(exposedLeg) }
      : {}),
  };
}

const exposedLeg = ({ conId, ratio, action }: ComboLeg): ExposedLeg => ({
  instrument: `CONID:${conId}`,
  side: action === 'BUY' ? 'buy' : 'sell',
  ratio: String(ratio),
});

/** On which side a leg trades when the combination trades on this one. */
export const sideOfLeg = (side: Side, leg: Pick<ExposedLeg, 'side'>): Side =>
  side === 'buy' ? leg.side : leg.side === 'buy' ? 'sell' : 'buy';

/** All that may trade on the side of one leg of a combination, itself included. */
export function legWith(
  book: Holdings,
  ticket: OrderTicket,
  leg: ExposedLeg,
  replaces: string | null,
): Decimal {
  const named = { account: ticket.account, instrument: leg.instrument, side: sideOfLeg(ticket.side, leg) };
  return add(openOn(book, named, {}, null, replaces), multiply(ticket.quantity, leg.ratio));
}

export function decided(
  book: Holdings,
  own: Exposure,
  replaces: string | null,
  together: Readonly<Record<string, Exposure>>,
): Exposure {
  const former =
    replaces !== null && Object.hasOwn(book.exposures, replaces) ? book.exposures[replaces] : undefined;
  const isAttached = former ? former.parent !== null : openParentOf(book, own, together) !== undefined;
  return isAttached ? own : { ...own, parent: null };
}

export const exitsOf = (book: Holdings, parent: string): readonly (readonly [string, Exposure])[] =>
  Object.entries(book.exposures).filter(([, exposure]) => exposure.parent === parent);

export const grows = (held: Decimal, after: Decimal): boolean => compare(absolute(after), absolute(held)) > 0;

export type Held = Pick<OrderTicket, 'account' | 'instrument'> & Partial<Pick<OrderTicket, 'contract'>>;

/** Tells of names whether they mean this instrument; each is looked at once, however many orders have it. */
function sameAs(book: Holdings, named: Omit<Held, 'account'>): (instrument: string) => boolean {
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
export function heldIn(book: Holdings, held: Held): Decimal {
  const prefix = positionKey(held.account, '');
  const isIt = sameAs(book, held);
  return Object.entries(book.positions).reduce(
    (sum, [key, quantity]) =>
      key.startsWith(prefix) && isIt(key.slice(prefix.length)) ? add(sum, quantity) : sum,
    '0',
  );
}

export function isUncertain(book: Holdings, held: Held): boolean {
  if (book.uncertain.length === 0) return false;
  const prefix = positionKey(held.account, '');
  const isIt = sameAs(book, held);
  return book.uncertain.some((key) => key.startsWith(prefix) && isIt(key.slice(prefix.length)));
}

/** Whether the order, with all open ones of its side, cannot do more than close the position. */
export function reduces(book: Holdings, ticket: OrderTicket, replaces: string | null): boolean {
  const { legs } = exposureOf(ticket);
  const closes = (held: Decimal, side: Side, open: () => Decimal): boolean =>
    (side === 'sell' ? compare(held, '0') > 0 : compare(held, '0') < 0) &&
    compare(open(), absolute(held)) <= 0;
  if (!legs) return closes(heldIn(book, ticket), ticket.side, () => sideWith(book, ticket, replaces));
  return legs.every((leg) =>
    closes(
      heldIn(book, { account: ticket.account, instrument: leg.instrument }),
      sideOfLeg(ticket.side, leg),
      () => legWith(book, ticket, leg, replaces),
    ),
  );
}

/**
 * What an order may do beyond closing what its parent has yet to open. One that names a parent which is gone, or of another
 * instrument, or of its own side, is an order like any other.
 */
export function beyondParent(
  book: Holdings,
  exposure: Exposure,
  together: Readonly<Record<string, Exposure>> = {},
): Decimal {
  const parent = openParentOf(book, exposure, together);
  return parent ? larger(subtract(exposure.remaining, parent.remaining), '0') : exposure.remaining;
}

/** The open order whose exit this is, if it is one. */
export function openParentOf(
  book: Holdings,
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

/**
 * Whether an order that was open before anybody here judged it is the exit that it names itself: its parent works, and is what
 * it closes, or has ended, and left a position that this closes.
 */
export function isExitOf(book: Holdings, exposure: Exposure): boolean {
  const { parent } = exposure;
  if (parent === null) return false;
  if (Object.hasOwn(book.exposures, parent)) return openParentOf(book, exposure, {}) !== undefined;
  const held = heldIn(book, exposure);
  return exposure.side === 'sell' ? compare(held, '0') > 0 : compare(held, '0') < 0;
}

/** All that may trade on the side of this order, which is included. */
export function sideWith(
  book: Holdings,
  ticket: OrderTicket,
  replaces: string | null,
  together: Readonly<Record<string, Exposure>> = {},
): Decimal {
  const own = decided(book, exposureOf(ticket), replaces, together);
  return openOn(book, ticket, {}, [own, beyondParent(book, own, together)], replaces);
}

/**
 * All that may trade on one side of an instrument. Of the exits of one parent only one fills. `together`: parents with other
 * terms than they have. `own`: an order that is not open yet, and what counts of it. `replaces`: what it was before.
 */
export function openOn(
  book: Holdings,
  named: Held & Pick<OrderTicket, 'side'>,
  together: Readonly<Record<string, Exposure>>,
  own: readonly [Exposure, Decimal] | null = null,
  replaces: string | null = null,
): Decimal {
  const isIt = sameAs(book, named);
  const exits = new Map<string, Decimal>();
  let open = '0';
  const count = (parent: string | null, quantity: Decimal): void => {
    if (parent === null) open = add(open, quantity);
    else exits.set(parent, larger(exits.get(parent) ?? '0', quantity));
  };
  for (const [id, exposure] of Object.entries(book.exposures)) {
    if (exposure.account !== named.account) continue;
    const left = (): Decimal => (id === replaces ? exposure.beside : beyondParent(book, exposure, together));
    for (const leg of exposure.legs ?? [])
      if (sideOfLeg(exposure.side, leg) === named.side && isIt(leg.instrument))
        count(null, multiply(left(), leg.ratio));
    if (exposure.side === named.side && isIt(exposure.instrument)) count(exposure.parent, left());
  }
  if (own) count(own[0].parent, own[1]);
  return [...exits.values()].reduce(add, open);
}

/**
 * Open orders of the side on which the broker itself has just traded that could now turn the position round, one alone or all
 * together: those that are too large, and the newest of the others, as many as are too many.
 */
export function reversals(
  book: Holdings,
  account: string,
  instrument: string,
  side: Side,
): readonly string[] {
  const named = { account, instrument, side };
  const held = heldIn(book, named);
  const isIt = sameAs(book, { instrument });
  const closable = larger(side === 'sell' ? held : negate(held), '0');
  const newestFirst = Object.entries(book.exposures)
    .reverse()
    .filter(([, each]) => each.account === account && each.side === side && isIt(each.instrument));
  const isTooLarge = ([, { remaining }]: readonly [string, Exposure]): boolean =>
    compare(remaining, closable) > 0;
  const called = new Set(newestFirst.filter(isTooLarge).map(([id]) => id));
  for (const [id] of newestFirst) {
    const exposures = Object.fromEntries(newestFirst.filter(([other]) => !called.has(other)));
    if (compare(openOn({ ...book, exposures }, named, {}), closable) <= 0) break;
    called.add(id);
  }
  return [...called];
}
