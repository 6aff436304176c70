/** One session's way to TWS, as the parts of the gateway share it. */
import type { IBApi } from '@stoqey/ib';
import type { Connection } from './library.ts';
import type { Lane, Pacer } from './pacing.ts';

/** Clocks and timers, in ms. */
export interface GatewayClock {
  /** time of day */
  now(): number;
  /** never set back: what spans are measured with */
  monotonic(): number;
  setTimeout(callback: () => void, delayMs: number): unknown;
  clearTimeout(handle: never): void;
}

/** What the gateway logs to; a pino logger is one. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface Wire {
  readonly sessionId: string;
  readonly connection: Connection;
  readonly pacer: Pacer;
  /** TWS granted an order id: it hears requests from then on */
  readonly isOpen: boolean;
  /** empty until TWS listed them */
  readonly accounts: readonly string[];
  /** the zone of TWS's clock, for times written without one */
  readonly zone: string;
  /** Sends when pacing allows. `withheld` instead, when it never will. */
  send(lane: Lane, key: string, request: (api: IBApi) => void, withheld?: (reason: string) => void): void;
}

/** Ids of requests begin here; order ids always stay below. */
export const firstRequestId = 2_000_000_000;
const lastRequestId = 2_147_000_000;

/** Ids for requests, unique within any span that matters. */
export function createRequestIds(): () => number {
  let next = firstRequestId;
  return () => {
    const id = next;
    next = next >= lastRequestId ? firstRequestId : next + 1;
    return id;
  };
}
