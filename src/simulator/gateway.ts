import type { Entitlement } from './handlers/link.ts';
import type { Limits } from './limits.ts';
import type { Clock, Exchange, ExchangeEvent } from './model.ts';
import { type OrderIdStore, OrderIds } from './orderIds.ts';
import { type ConformanceRecord, type InboundRecord, Ring } from './records.ts';
import { Farms, Upstream } from './upstream.ts';
import type { Field } from './wire/frames.ts';

/** Newest server version of the text protocol that is offered. */
export const MAX_VERSION = 193;
/** Oldest one that is spoken. */
export const MIN_VERSION = 173;

const MAX_CONFORMANCE_RECORDS = 1000;

/** What faults may do to messages on their way. */
export interface Interference {
  /** True while some rule concerns outgoing messages. */
  readonly touchesOutbound: boolean;
  /** True while some rule concerns requests. */
  readonly touchesInbound: boolean;
  /** Takes an outgoing message over. */
  outbound(connection: Connection, fields: readonly Field[]): void;
  /** True when the request shall never be seen. */
  swallows(connection: Connection, fields: readonly string[]): boolean;
}

/** One client's connection, as the rest of the gateway sees it. */
export interface Connection {
  readonly number: number;
  readonly version: number;
  /** -1 before START_API */
  readonly clientId: number;
  readonly isStarted: boolean;
  readonly localPort: number;
  /** Bytes that the client has not taken. */
  readonly backlog: number;
  /** Through the faults. */
  send(fields: readonly Field[]): void;
  /** Past the faults. */
  write(fields: readonly Field[]): void;
  error(id: number, code: number, text: string): void;
  hear(event: ExchangeEvent): void;
  /** The data requests are lost, as after 1101. */
  loseData(): void;
  /** Voids the books of a contract, or all, and tells them anew. */
  resetDepth(conId: number | null): void;
  lines(conIds: ReadonlySet<number> | null): readonly { readonly reqId: number; readonly conId: number }[];
  freeze(isFrozen: boolean): void;
  /** RST */
  drop(): void;
  /** FIN */
  close(): void;
}

/** What all connections share. */
export class Gateway {
  readonly exchange: Exchange;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly zone: string;
  readonly barUpdateMs: number;
  readonly log: (line: string) => void;
  readonly orderIds: OrderIds;
  readonly farms = new Farms();
  readonly upstream: Upstream;
  readonly connections = new Set<Connection>();
  readonly inbound: Ring<InboundRecord>;
  readonly conformance = new Ring<ConformanceRecord>(MAX_CONFORMANCE_RECORDS);
  /** Hears all orders and executions; null when none was set. */
  readonly masterClientId: number | null;
  interference: Interference | null = null;
  maxVersion = MAX_VERSION;
  entitlement: Entitlement = 'live';
  readonly #unsubscribe: () => void;

  constructor(options: {
    readonly exchange: Exchange;
    readonly clock: Clock;
    readonly limits: Limits;
    readonly zone: string;
    readonly barUpdateMs: number;
    readonly firstOrderId: number;
    readonly orderIdStore?: OrderIdStore;
    readonly masterClientId: number | null;
    readonly log: (line: string) => void;
  }) {
    this.exchange = options.exchange;
    this.clock = options.clock;
    this.limits = options.limits;
    this.zone = options.zone;
    this.barUpdateMs = options.barUpdateMs;
    this.log = options.log;
    this.masterClientId = options.masterClientId;
    this.orderIds = new OrderIds(options.firstOrderId, options.orderIdStore);
    this.inbound = new Ring(options.limits.recordedMessages);
    this.upstream = new Upstream(options.exchange, (event) => this.#deliver(event));
    this.#unsubscribe = options.exchange.onEvent((event) => this.upstream.hear(event));
  }

  /** The started connection of a client id. */
  connectionOf(clientId: number): Connection | undefined {
    for (const connection of this.connections) {
      if (connection.isStarted && connection.clientId === clientId) return connection;
    }
    return undefined;
  }

  /** System message to every client. */
  broadcast(code: number, text: string): void {
    for (const connection of this.connections) if (connection.isStarted) connection.error(-1, code, text);
  }

  noteConformance(connection: Connection, message: string, problem: string): void {
    const clientId = connection.isStarted ? connection.clientId : null;
    this.conformance.add({ at: this.clock.now(), session: connection.number, clientId, message, problem });
    this.log(`client ${clientId ?? '?'}: ${message}: ${problem}`);
  }

  close(): void {
    this.#unsubscribe();
  }

  #deliver(event: ExchangeEvent): void {
    const owner = ownerOf(event);
    for (const connection of this.connections) {
      if (!connection.isStarted) continue;
      const isConcerned =
        owner === null || connection.clientId === owner || connection.clientId === this.masterClientId;
      if (isConcerned) connection.hear(event);
    }
  }
}

/** The client id that an event concerns; null for all. */
function ownerOf(event: ExchangeEvent): number | null {
  switch (event.type) {
    case 'openOrder':
    case 'orderStatus':
      return event.order.request.clientId;
    case 'execution':
      return event.execution.clientId;
    case 'commission':
    case 'orderError':
      return event.clientId;
    default:
      return null;
  }
}
