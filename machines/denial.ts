/** What speaks against an order, in a closed list. */
import type { Decimal } from './decimal.ts';
import { isZero } from './decimal.ts';
import type { Reason } from './order.ts';

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

/** Whether a limit of the gate is set. */
export const isLimited = (limit: Decimal | number): boolean =>
  typeof limit === 'number' ? limit > 0 : !isZero(limit);

export const denial = (code: DenialCode, message: string): Denial => ({ code, message });
