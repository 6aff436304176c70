/** What speaks against a combination: it is judged by its legs. Its own price may be nothing while each leg is worth millions. */
import { fairPrice } from './collar.ts';
import { absolute, add, compare, type Decimal, divide, multiply, subtract } from './decimal.ts';
import { type Denial, denial, isLimited } from './denial.ts';
import {
  type ExposedLeg,
  exposureOf,
  grows,
  heldIn,
  isUncertain,
  legWith,
  reduces,
  sideOfLeg,
} from './exposure.ts';
import type { GateBook, GateLimits } from './gate.ts';
import type { Mark } from './market.ts';
import type { OrderTicket, Side } from './order.ts';

/** What is known of the market of one leg, in the order of the contract's legs. */
export interface LegMarket {
  readonly mark: Mark | null;
  /** units of currency per point and contract; null: not known */
  readonly multiplier: Decimal | null;
}

interface PricedLeg extends ExposedLeg {
  readonly price: Decimal | null;
  readonly multiplier: Decimal | null;
}

function pricedLegs(ticket: OrderTicket, markets: readonly LegMarket[]): readonly PricedLeg[] {
  return (exposureOf(ticket).legs ?? []).map((leg, index) => {
    const { mark = null, multiplier = null } = markets[index] ?? {};
    return { ...leg, price: fairPrice(mark, sideOfLeg(ticket.side, leg)), multiplier };
  });
}

/** Limits that cannot be applied because a leg has no price, by the names of their settings. */
export function unpricedOfCombo(
  limits: GateLimits,
  ticket: OrderTicket,
  markets: readonly LegMarket[],
): readonly string[] {
  if (pricedLegs(ticket, markets).every(({ price }) => price !== null)) return [];
  return [
    ...(isLimited(limits.maxOrderNotional) ? ['MAX_ORDER_NOTIONAL'] : []),
    ...(isLimited(limits.maxPositionNotional) ? ['MAX_POSITION_NOTIONAL'] : []),
    ...(isLimited(limits.priceCollarPercent) && ticket.limitPrice ? ['PRICE_COLLAR_PERCENT'] : []),
  ];
}

/** `ticket`: with what it may still fill. */
export function reviewCombo(
  book: GateBook,
  ticket: OrderTicket,
  markets: readonly LegMarket[],
  replaces: string | null,
): Denial[] {
  const { limits } = book;
  const legs = pricedLegs(ticket, markets);
  const denials: Denial[] = [];
  const units = (leg: ExposedLeg): Decimal => multiply(ticket.quantity, leg.ratio);
  for (const leg of legs)
    if (isLimited(limits.maxOrderQuantity) && compare(units(leg), limits.maxOrderQuantity) > 0)
      denials.push(
        denial(
          'order-quantity',
          `${units(leg)} of the leg ${leg.instrument} exceed MAX_ORDER_QUANTITY=${limits.maxOrderQuantity}`,
        ),
      );
  const isValued = isLimited(limits.maxOrderNotional) || isLimited(limits.maxPositionNotional);
  const unknown = legs.find(({ multiplier }) => multiplier === null);
  if (unknown && isValued)
    denials.push(denial('notional-unknown', `the contract multiplier of ${unknown.instrument} is not known`));
  const worth = ({ price, multiplier }: PricedLeg, quantity: Decimal): Decimal | null =>
    price === null || multiplier === null ? null : absolute(multiply(multiply(quantity, price), multiplier));
  const notional = legs.reduce<Decimal | null>((sum, leg) => {
    const own = worth(leg, units(leg));
    return sum === null || own === null ? null : add(sum, own);
  }, '0');
  if (
    notional !== null &&
    isLimited(limits.maxOrderNotional) &&
    compare(notional, limits.maxOrderNotional) > 0
  )
    denials.push(
      denial(
        'order-notional',
        `its legs are worth ${notional} together, more than MAX_ORDER_NOTIONAL=${limits.maxOrderNotional}`,
      ),
    );
  const collar = outsideCombo(ticket, legs, limits.priceCollarPercent);
  if (collar) denials.push(collar);
  const isClosing = reduces(book, ticket, replaces);
  for (const leg of legs) {
    const named = { account: ticket.account, instrument: leg.instrument };
    const held = heldIn(book, named);
    const open = legWith(book, ticket, leg, replaces);
    const after = sideOfLeg(ticket.side, leg) === 'buy' ? add(held, open) : subtract(held, open);
    const value = worth(leg, after);
    if (isUncertain(book, named) && !isClosing)
      denials.push(
        denial(
          'position-uncertain',
          `the broker's books and ours differ on the position in ${leg.instrument}`,
        ),
      );
    if (
      value !== null &&
      isLimited(limits.maxPositionNotional) &&
      grows(held, after) &&
      compare(value, limits.maxPositionNotional) > 0
    )
      denials.push(
        denial(
          'position-notional',
          `a position of ${after} (${value}) in ${leg.instrument} would exceed MAX_POSITION_NOTIONAL=${limits.maxPositionNotional}`,
        ),
      );
  }
  return denials;
}

/** The limit of a combination against what its legs cost now, in percent of all of them: their difference may be nothing. */
function outsideCombo(ticket: OrderTicket, legs: readonly PricedLeg[], percent: Decimal): Denial | null {
  const { side, limitPrice } = ticket;
  if (!limitPrice || !isLimited(percent)) return null;
  let [net, gross]: [Decimal, Decimal] = ['0', '0'];
  for (const { price, ratio, side: legSide } of legs) {
    if (price === null) return null;
    const points = multiply(price, ratio);
    gross = add(gross, points);
    net = legSide === 'buy' ? add(net, points) : subtract(net, points);
  }
  const allowed = divide(multiply(gross, percent), '100');
  return compare(beyond(side, limitPrice, net), allowed) > 0
    ? denial(
        'price-collar',
        `limitPrice ${limitPrice} is more than PRICE_COLLAR_PERCENT=${percent} of its legs beyond the market (${net})`,
      )
    : null;
}

const beyond = (side: Side, price: Decimal, from: Decimal): Decimal =>
  side === 'buy' ? subtract(price, from) : subtract(from, price);
