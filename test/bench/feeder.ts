/**
 * A gateway that does nothing but send ticks: it greets, answers what a session asks for with empty lists, and writes
 * blocks of ready-made tickPrice and tickSize messages as fast as the socket takes them, or at a pace.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { IN, OUT } from '../../src/simulator/wire/names.ts';
import { frame, type PeerConnection, startPeer } from '../tws/peer.ts';
import { machineMs, serve } from './children.ts';

const variants = 4;
/** of one line and variant: bid, ask and last with their sizes, and two sizes alone */
const messagesPerVariant = 5;
const ticksPerVariant = 8;
const sliceMs = 5;
const withoutLines = 95;
const firstUnaskedId = 2_000_000_000;

/** One round of messages over all lines. */
export interface Round {
  readonly frames: readonly Buffer[];
  readonly bytes: Buffer;
  readonly ticks: number;
}
/** What was sent, and when by the machine's clock. */
export interface Sent {
  readonly messages: number;
  /** values in them, every one different from the one before */
  readonly ticks: number;
  readonly bytes: number;
  readonly startedAt: number;
  readonly endedAt: number;
}

const linesOf = new WeakMap<PeerConnection, Set<number>>();
const peer = await startPeer({
  nextOrderId: 1,
  onStart: (connection) => linesOf.set(connection, new Set()),
  onMessage: (connection, message) => {
    const [kind, ...fields] = message;
    switch (Number(kind)) {
      case IN.reqMktData:
        linesOf.get(connection)?.add(Number(fields[1]));
        break;
      case IN.cancelMktData:
        linesOf.get(connection)?.delete(Number(fields[1]));
        break;
      case IN.reqOpenOrders:
      case IN.reqAllOpenOrders:
        connection.send(OUT.openOrderEnd, 1);
        break;
      case IN.reqCompletedOrders:
        connection.send(OUT.completedOrdersEnd);
        break;
      case IN.reqPositions:
        connection.send(OUT.positionEnd, 1);
        break;
      case IN.reqExecutions:
        connection.send(OUT.execDetailsEnd, 1, fields[1] ?? 0);
        break;
    }
    // Kept for tests of the peer; here they would only grow.
    connection.messages.length = 0;
    connection.times.length = 0;
  },
});

function roundOf(ids: readonly number[]): Round {
  const frames: Buffer[] = [];
  const each = (fields: (id: number) => readonly (string | number)[]): void => {
    for (const id of ids) frames.push(frame(...fields(id)));
  };
  for (let variant = 0; variant < variants; variant += 1) {
    const cents = 10_000 + variant * 2;
    const size = 100 + variant * 200;
    each((id) => [OUT.tickPrice, 6, id, 1, (cents - 1) / 100, size, 1]);
    each((id) => [OUT.tickPrice, 6, id, 2, (cents + 1) / 100, size, 1]);
    each((id) => [OUT.tickSize, 6, id, 0, size + 100]);
    each((id) => [OUT.tickPrice, 6, id, 4, cents / 100, size, 0]);
    each((id) => [OUT.tickSize, 6, id, 3, size + 100]);
  }
  return { frames, bytes: Buffer.concat(frames), ticks: ids.length * variants * ticksPerVariant };
}

/** The lines of the newest session, or invented ones for a reader that asks for none. */
function currentRound(): Round {
  const asked = [...(linesOf.get(peer.last) ?? [])];
  const invented = Array.from({ length: withoutLines }, (_, index) => firstUnaskedId + index);
  return roundOf(asked.length > 0 ? asked : invented);
}

async function write({ last: { socket } }: typeof peer, bytes: Buffer): Promise<void> {
  if (!socket.write(bytes)) await once(socket, 'drain');
}

serve({
  port: () => peer.port,
  lines: () => linesOf.get(peer.last)?.size ?? 0,

  /** Whole rounds, at least so many messages. Answers when the socket took the last one. */
  flood: async ({ messages }: { readonly messages: number }): Promise<Sent> => {
    const round = currentRound();
    const rounds = Math.ceil(messages / round.frames.length);
    const startedAt = machineMs();
    for (let sent = 0; sent < rounds; sent += 1) await write(peer, round.bytes);
    // What a reader without accounts of its own takes as the end.
    await write(peer, frame(OUT.currentTime, 1, 0));
    return {
      messages: rounds * round.frames.length,
      ticks: rounds * round.ticks,
      bytes: rounds * round.bytes.length,
      startedAt,
      endedAt: machineMs(),
    };
  },

  /** Whole rounds at an even pace, in slices of a few milliseconds. */
  paced: async (input: { readonly messages: number; readonly perSecond: number }): Promise<Sent> => {
    const round = currentRound();
    const total = Math.ceil(input.messages / round.frames.length) * round.frames.length;
    const startedAt = machineMs();
    let sent = 0;
    let bytes = 0;
    while (sent < total) {
      const due = Math.min(total, Math.floor(((machineMs() - startedAt) / 1_000) * input.perSecond));
      const slice: Buffer[] = [];
      for (; sent < due; sent += 1) slice.push(round.frames[sent % round.frames.length] ?? Buffer.alloc(0));
      if (slice.length > 0) {
        const joined = Buffer.concat(slice);
        bytes += joined.length;
        await write(peer, joined);
      }
      await sleep(sliceMs);
    }
    const ticks = Math.round(total / messagesPerVariant) * ticksPerVariant;
    return { messages: total, ticks, bytes, startedAt, endedAt: machineMs() };
  },
});
