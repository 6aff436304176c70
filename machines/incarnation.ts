/**
 * The broker orders behind one order of ours. Mostly one; but a change that falls into a cut of the link can leave the
 * old order live beside the new one, both under the same order id. The order has ended when all of them have.
 */
import { add, compare, type Decimal } from './decimal.ts';
import { isFullyFilled, type Order } from './order.ts';

/** `replaced`: gone from the broker's complete lists, with a newer one in its place */
export type IncarnationState = 'live' | 'filled' | 'cancelled' | 'inactive' | 'replaced';

export interface Incarnation {
  readonly permId: string;
  readonly state: IncarnationState;
}

export const incarnationsOf = (order: Pick<Order, 'incarnations'>): readonly Incarnation[] =>
  order.incarnations ?? [];

/** What was filled under a permId; of an order with a single incarnation: all. */
export function filledUnder(order: Order, permId: string): Decimal {
  if (incarnationsOf(order).length < 2) return order.filledQuantity;
  return order.fills
    .filter((fill) => fill.permId === permId)
    .reduce((sum, { quantity }) => add(sum, quantity), '0');
}

/** Those that may still fill. */
export const liveIncarnations = (order: Order): readonly Incarnation[] =>
  incarnationsOf(order).filter(
    ({ permId, state }) =>
      state === 'live' && (order.quantityUnknown || compare(filledUnder(order, permId), order.quantity) < 0),
  );

/** Nothing is left to fill, and nothing lives that could fill more. */
export const isComplete = (order: Order): boolean =>
  isFullyFilled(order) && (incarnationsOf(order).length < 2 || liveIncarnations(order).length === 0);

/** Some have ended and at least one has not: a cancel that reached only a part. */
export const hasSurvivor = (order: Order): boolean =>
  liveIncarnations(order).length > 0 && liveIncarnations(order).length < incarnationsOf(order).length;

/** With one more, live. A known one comes alive again when the broker says so. */
export function withIncarnation(
  incarnations: readonly Incarnation[],
  permId: string,
  isAlive: boolean,
): readonly Incarnation[] {
  if (permId === '0') return incarnations;
  if (!incarnations.some((known) => known.permId === permId))
    return [...incarnations, { permId, state: 'live' }];
  return isAlive
    ? incarnations.map((each) => (each.permId === permId ? { ...each, state: 'live' } : each))
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
