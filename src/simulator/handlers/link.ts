import type { Limits } from '../limits.ts';
import type {
  AccountValue,
  BookOrder,
  Clock,
  Contract,
  ContractDetails,
  Exchange,
  Execution,
  ExecutionFilter,
  Position,
} from '../model.ts';
import type { OrderIds } from '../orderIds.ts';
import type { Field } from '../wire/frames.ts';

export type Stop = () => void;
export type FarmKind = 'market' | 'history' | 'secdef';

/** The book as the gateway knows it: the exchange's, or what it was when the link to IB broke. */
export interface BookView {
  openOrders(): readonly BookOrder[];
  completedOrders(): readonly BookOrder[];
  executions(filter: ExecutionFilter): readonly Execution[];
  positions(): readonly Position[];
  accountValues(account: string): readonly AccountValue[];
}

/** What the gateway lets a connection's handlers see and do. */
export interface Link {
  readonly version: number;
  readonly clientId: number;
  readonly exchange: Exchange;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly orderIds: OrderIds;
  /** IANA name of the gateway's time zone */
  readonly zone: string;
  /** how often bars that are kept up to date are told */
  readonly barUpdateMs: number;
  readonly book: BookView;
  send(fields: readonly Field[]): void;
  /** `id` is a request id, an order id, or -1 for the system */
  error(id: number, code: number, text: string): void;
  /** A timer that dies with the connection. */
  after(ms: number, callback: () => void): Stop;
  /** A repeated timer that dies with the connection. */
  every(ms: number, callback: () => void): Stop;
  /** False while the farm that serves this contract, or the link to IB, is silent. */
  isServed(kind: FarmKind, contract: Contract): boolean;
  /** True while the link between the gateway and IB is down. */
  readonly isUpstreamLost: boolean;
  /** Runs now, or when the link to IB is back, or never, as the outage was scripted. */
  whenUpstream(action: () => void): void;
  /** `live`, or what the account may see instead. */
  readonly entitlement: Entitlement;
  log(line: string): void;
}

/** live: real-time data; delayed: only with market data type 3 or 4; none: error 354 */
export type Entitlement = 'live' | 'delayed' | 'none';

/** The contract that a request means; answers the error itself when there is none. */
export function resolved(link: Link, reqId: number, contract: Contract): ContractDetails | null {
  const answer = link.exchange.resolve(contract);
  if ('details' in answer) return answer.details;
  link.error(reqId, answer.code, answer.text);
  return null;
}

/** The text of error 321. */
export const invalid = (cause: string): string => `Error validating request.-'bW' : cause - ${cause}`;
/** The text of error 322. */
export const unprocessed = (cause: string): string => `Error processing request.-'bW' : cause - ${cause}`;
