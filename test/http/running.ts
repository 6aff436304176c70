/** A real server on a free loopback port, over the in-memory ports. */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { HttpOptions } from '../../src/http/options.ts';
import { createServer } from '../../src/http/server.ts';
import { MemoryHealth, MemoryJournal, MemoryMarket, MemoryOrders, MemoryReading } from './ports.ts';

export interface Running {
  readonly server: FastifyInstance;
  readonly port: number;
  readonly url: string;
  readonly journal: MemoryJournal;
  readonly trading: MemoryOrders;
  readonly reading: MemoryReading;
  readonly market: MemoryMarket;
  readonly health: MemoryHealth;
  readonly timings: { readonly route: string; readonly ms: number }[];
}

export async function startServer(changes: Partial<HttpOptions> = {}): Promise<Running> {
  const journal = new MemoryJournal();
  const trading = new MemoryOrders(journal);
  const reading = new MemoryReading(trading);
  const market = new MemoryMarket();
  const health = new MemoryHealth();
  const timings: { route: string; ms: number }[] = [];
  const server = createServer({
    name: 'tws-runtime',
    version: '1.2.3',
    environment: 'simulated',
    host: '127.0.0.1',
    port: 0,
    debug: false,
    tradeToken: '',
    readToken: '',
    allowedOrigins: [],
    beatMs: 20,
    readyRequiresTws: false,
    trading,
    reading,
    market,
    health,
    onHttpTiming: (route, ms) => timings.push({ route, ms }),
    ...changes,
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
  const { port } = server.server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return { server, port, url, journal, trading, reading, market, health, timings };
}

/** A request with a JSON body. */
export function call(
  running: Running,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(running.url + path, {
    method,
    headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

/** Polls until true; throws after `ms`. */
export async function until(what: () => boolean, ms = 15_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!what()) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
