import { given } from './args.ts';
import { realClock, VirtualClock } from './clock.ts';
import { createExchange } from './exchange/exchange.ts';
import { type ExchangeMemory, openMemory } from './exchange/memory.ts';
import { Faults } from './faults.ts';
import { type FloodOptions, type FloodResult, flood } from './flood.ts';
import { Gateway } from './gateway.ts';
import { type Limits, TWS_LIMITS } from './limits.ts';
import type { Clock, Exchange } from './model.ts';
import { type ConformanceRecord, type InboundRecord, type ReceivedFilter, select } from './records.ts';
import { Server } from './server.ts';
import { seededRandom } from './shuffle.ts';

export interface SimulatorOptions {
  /** only loopback is ever bound */
  readonly host?: '127.0.0.1';
  /** 0 or absent: a free one */
  readonly port?: number;
  /** the same seed gives the same market and the same faults */
  readonly seed?: number;
  /** default: the machine's time */
  readonly clock?: Clock;
  /** default: one paper account */
  readonly accounts?: readonly string[];
  /** default: the built-in exchange, closed together with the simulator */
  readonly exchange?: Exchange;
  /** default: those of a TWS; `UNLIMITED` for load tests */
  readonly limits?: Partial<Limits>;
  /** how often the built-in market moves, ms */
  readonly tickIntervalMs?: number;
  /** hours of the built-in market: `alwaysOpen` (default) or those of the real venues */
  readonly calendar?: 'alwaysOpen' | 'regular';
  /** range of the built-in exchange's own delays, default 1 to 20 */
  readonly latencyMs?: { readonly min: number; readonly max: number };
  /**
   * file in which the built-in exchange remembers orders, executions, positions, cash and used ids, so that a killed process
   * finds the same broker again; made when it is missing. Default: nothing outlives the process
   */
  readonly memoryPath?: string;
  /** how whoever starts it has the memory in another file, for complaints; default `name another file` */
  readonly memoryElsewhere?: string;
  /** IANA name of the gateway's time zone */
  readonly timeZone?: string;
  /** how often bars that are kept up to date are told; default 5,000 */
  readonly barUpdateMs?: number;
  /** the first id that nextValidId announces to a client */
  readonly firstOrderId?: number;
  /** the client that hears everybody's orders; none by default */
  readonly masterClientId?: number;
  readonly log?: (line: string) => void;
}

export interface ClientInfo {
  readonly session: number;
  /** null before START_API */
  readonly clientId: number | null;
  readonly version: number;
}

export interface Simulator {
  readonly port: number;
  readonly exchange: Exchange;
  readonly faults: Faults;
  readonly clock: Clock;
  /** What reached the wire, oldest first; bounded by `limits.recordedMessages`. */
  received(filter?: ReceivedFilter): readonly InboundRecord[];
  /** Where a client and the codec disagreed: fields left over, fields missing. Empty when all is well. */
  conformance(): readonly ConformanceRecord[];
  clients(): readonly ClientInfo[];
  /** Valid ticks to open market-data lines, for load tests. */
  flood(options: FloodOptions): Promise<FloodResult>;
  /** Moves a virtual clock; throws with any other. */
  advance(ms: number): void;
  close(): Promise<void>;
}

/**
 * A gateway on loopback that speaks the TWS API to any client. Resolves when it listens; rejects when the port is taken or the
 * memory's file can't be used.
 */
export async function createSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const clock = options.clock ?? realClock;
  const random = seededRandom(options.seed ?? 1);
  if (options.exchange !== undefined && options.memoryPath !== undefined)
    throw new RangeError('memoryPath: only the built-in exchange has a memory, but an exchange was given');
  const memory =
    options.memoryPath === undefined ? null : openMemory(options.memoryPath, options.memoryElsewhere);
  const exchange = options.exchange ?? builtInExchange(options, clock, memory);
  const closeExchange = (): void => {
    if (options.exchange === undefined) exchange.close();
    memory?.close();
  };
  const gateway = new Gateway({
    exchange,
    clock,
    limits: { ...TWS_LIMITS, ...options.limits },
    zone: options.timeZone ?? 'America/New_York',
    barUpdateMs: options.barUpdateMs ?? 5_000,
    firstOrderId: options.firstOrderId ?? 1,
    masterClientId: options.masterClientId ?? null,
    log: options.log ?? (() => undefined),
    ...(memory === null ? {} : { orderIdStore: memory }),
  });
  const server = new Server(gateway);
  const faults = new Faults(gateway, server, random);
  try {
    await server.open(options.port ?? 0);
  } catch (error) {
    gateway.close();
    closeExchange();
    throw error;
  }
  return {
    get port() {
      return server.port;
    },
    exchange,
    faults,
    clock,
    received: (filter = {}) => select(gateway.inbound.list(), filter),
    conformance: () => gateway.conformance.list(),
    clients: () =>
      [...gateway.connections].map(({ number, clientId, version, isStarted }) => ({
        session: number,
        clientId: isStarted ? clientId : null,
        version,
      })),
    flood: (floodOptions) => flood(gateway, floodOptions, random),
    advance: (ms) => {
      if (!(clock instanceof VirtualClock)) throw new Error('advance: the simulator runs on real time');
      clock.advance(ms);
    },
    close: async () => {
      await server.close();
      gateway.close();
      closeExchange();
    },
  };
}

function builtInExchange(options: SimulatorOptions, clock: Clock, memory: ExchangeMemory | null): Exchange {
  const { accounts, tickIntervalMs, calendar, latencyMs } = options;
  try {
    return createExchange({
      clock,
      seed: options.seed ?? 1,
      ...given({ accounts, tickIntervalMs, calendar, latencyMs, memory: memory ?? undefined }),
    });
  } catch (error) {
    memory?.close();
    throw error;
  }
}
