import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Connection, Gateway } from './gateway.ts';
import type { Random } from './shuffle.ts';
import { OUT } from './wire/names.ts';

export interface FloodOptions {
  /** only lines of these contracts; all without */
  readonly conIds?: readonly number[];
  /** how many messages in all */
  readonly messages: number;
  /** 0 or absent: as fast as the clients take them */
  readonly perSecond?: number;
}

export interface FloodResult {
  readonly sent: number;
  readonly elapsedMs: number;
}

const BATCH = 1000;
const MAX_BACKLOG_BYTES = 1024 * 1024;
const SLICE_MS = 5;

interface Target {
  readonly connection: Connection;
  readonly reqId: number;
  price: number;
}

/**
 * Sends valid tickPrice and tickSize messages to the market-data lines that are open, around the current quote, past the
 * faults and by the machine's clock. Rejects when no line is open.
 */
export async function flood(gateway: Gateway, options: FloodOptions, random: Random): Promise<FloodResult> {
  if (!(options.messages > 0)) throw new RangeError(`messages: must be positive, got ${options.messages}`);
  const conIds = options.conIds === undefined ? null : new Set(options.conIds);
  const targets: Target[] = [];
  for (const connection of gateway.connections) {
    for (const { reqId, conId } of connection.lines(conIds)) {
      targets.push({ connection, reqId, price: gateway.exchange.quote(conId)?.last ?? 100 });
    }
  }
  if (targets.length === 0)
    throw new Error('flood: no client is subscribed to market data of these contracts');
  const perSecond = options.perSecond ?? 0;
  const start = performance.now();
  let sent = 0;
  while (sent < options.messages && targets.some(({ connection }) => gateway.connections.has(connection))) {
    const due =
      perSecond > 0
        ? Math.min(options.messages, Math.floor(((performance.now() - start) / 1000) * perSecond))
        : Math.min(options.messages, sent + BATCH);
    for (; sent < due; sent += 1) {
      const target = targets[sent % targets.length];
      if (target !== undefined) sendOne(target, random());
    }
    if (perSecond > 0) await sleep(SLICE_MS);
    else {
      await nextTurn();
      while (targets.some(({ connection }) => isBehind(gateway, connection))) await sleep(1);
    }
  }
  return { sent, elapsedMs: performance.now() - start };
}

const isBehind = (gateway: Gateway, connection: Connection): boolean =>
  gateway.connections.has(connection) && connection.backlog > MAX_BACKLOG_BYTES;

function sendOne(target: Target, draw: number): void {
  const { connection, reqId } = target;
  const cents = Math.round(target.price * 100);
  const size = 100 + Math.floor(draw * 9) * 100;
  if (draw < 0.3) connection.write([OUT.tickPrice, 6, reqId, 1, (cents - 1) / 100, size, 1]);
  else if (draw < 0.6) connection.write([OUT.tickPrice, 6, reqId, 2, (cents + 1) / 100, size, 1]);
  else if (draw < 0.8) {
    target.price = Math.max(1, cents + (draw < 0.7 ? 1 : -1)) / 100;
    connection.write([OUT.tickPrice, 6, reqId, 4, target.price, size, 0]);
  } else if (draw < 0.9) connection.write([OUT.tickSize, 6, reqId, 0, size]);
  else connection.write([OUT.tickSize, 6, reqId, 3, size]);
}
