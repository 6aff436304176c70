/**
 * The broker orders behind one order of ours. Mostly one; but a change that falls into a cut of the link can leave the
 * old order live beside the new one, both under the same order id. The order has ended when all of them have.
 */
import { add, compare, type Decimal, larger, subtract } from './decimal.ts';
import { isFullyFilled, type Order, type OrderFact } from './order.ts';

/** `replaced`: gone from the broker's complete lists, with a newer one in its place */
export type IncarnationState = 'live' | 'filled' | 'cancelled' | 'inactive' | 'replaced';

export interface Incarnation {
  readonly permId: string;
  readonly state: IncarnationState;
  /** its size, of one that a newer has followed; absent: that of the order */
  readonly quantity?: Decimal;
}

type Accepted = Pick<Extract<OrderFact, { type: 'order.accepted' }>, 'permId' | 'alive' | 'quantity'>;

export const incarnationsOf = (order: Pick<Order, 'incarnations'>): readonly Incarnation[] =>
  order.incarnations ?? [];

/** What was filled under a permId; of an order with a single incarnation: all. */
export function filledUnder(order: Order, permId: string): Decimal {
  if (incarnationsOf(order).length < 2) return order.filledQuantity;
  return order.fills
    .filter((fill) => fill.permId === permId)
    .reduce((sum, { quantity }) => add(sum, quantity), '0');
}

/** What one of its broker orders is for. */
export const sizeUnder = (order: Order, permId: string): Decimal =>
  incarnationsOf(order).find((each) => each.permId === permId)?.quantity ?? order.quantity;

/** Those that may still fill. */
export const liveIncarnations = (order: Order): readonly Incarnation[] =>
  incarnationsOf(order).filter(
    ({ permId, state }) =>
      state === 'live' &&
      (order.quantityUnknown || compare(filledUnder(order, permId), sizeUnder(order, permId)) < 0),
  );

/**
 * What the order may still fill at the broker: of each live incarnation its own rest, and of a change that is not
 * answered the larger size.
 */
export function fillable(order: Order): { readonly newest: Decimal; readonly older: Decimal } {
  const size = larger(order.quantity, order.pendingChange?.quantity ?? '0');
  const last = incarnationsOf(order).at(-1);
  const filled = last ? filledUnder(order, last.permId) : order.filledQuantity;
  const hasEnded = incarnationsOf(order).length > 1 && last?.state !== 'live';
  const older = liveIncarnations(order)
    .filter(({ permId }) => permId !== last?.permId)
    .reduce((sum, { permId }) => add(sum, rest(sizeUnder(order, permId), filledUnder(order, permId))), '0');
  return { newest: order.quantityUnknown || hasEnded ? '0' : rest(size, filled), older };
}

const rest = (quantity: Decimal, filled: Decimal): Decimal => larger(subtract(quantity, filled), '0');

/** Nothing is left to fill, and nothing lives that could fill more. */
export const isComplete = (order: Order): boolean =>
  isFullyFilled(order) && (incarnationsOf(order).length < 2 || liveIncarnations(order).length === 0);

/** Some have ended and at least one has not: a cancel that reached only a part. */
export const hasSurvivor = (order: Order): boolean =>
  liveIncarnations(order).length > 0 && liveIncarnations(order).length < incarnationsOf(order).length;

/** With one more, live; `quantity`: what the order was for until now. A known one comes alive again when the broker says so. */
export function withIncarnation(
  incarnations: readonly Incarnation[],
  { permId, alive, quantity: own }: Accepted,
  quantity: Decimal,
): readonly Incarnation[] {
  if (permId === '0') return incarnations;
  // The size of a former one is that of before the change which the newer carries.
  if (!incarnations.some((known) => known.permId === permId))
    return [...incarnations.map((each) => ({ quantity, ...each })), { permId, state: 'live' }];
  const size = own === undefined ? {} : { quantity: own };
  return alive
    ? incarnations.map((each) => (each.permId === permId ? { ...each, ...size, state: 'live' } : each))
    : incarnations;
}

/** With an end for one of them, or, without a permId, for all that live. */
export const withEnded = (
  incarnations: readonly Incarnation[],
  state: IncarnationState,
  permId?: string,
): readonly Incarnation[] =>
  incarnations.map((each) =>
    each.state === 'live' && (permId === undefined || each.permId === permId) ? { ...each, state } : each,
  );
