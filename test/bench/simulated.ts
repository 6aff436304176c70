/** The simulated gateway in a process of its own, noting when it read each order. */
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { listedInstruments } from '../../src/simulator/exchange/catalogue.ts';
import type { FloodOptions, FloodResult } from '../../src/simulator/flood.ts';
import { TWS_LIMITS, UNLIMITED } from '../../src/simulator/limits.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { IN } from '../../src/simulator/wire/names.ts';
import { createFrameSplitter } from '../../src/tws/frames.ts';
import { machineMs, serve } from './children.ts';

/** An instrument by the runtime's name and by the library's. */
export interface Instrument {
  readonly key: string;
  readonly contract: {
    readonly conId: number;
    readonly exchange: string;
    readonly secType: string;
    readonly symbol: string;
    readonly currency: string;
  };
}

const greetingBytes = 4;
const dayMs = 86_400_000;
let reads: [orderId: number, at: number][] = [];
const seen = new Set<string>();
/** lines that the newest connection asked for and did not give back */
let lines = new Set<string>();
let simulator: Simulator | null = null;
let flooding: Promise<FloodResult> | null = null;
let isFlooding = false;

subscribe('net.server.socket', (message) => {
  const { socket } = message as { socket: Socket };
  const connection = `${socket.remotePort}`;
  const asked = new Set<string>();
  lines = asked;
  let readAt = 0;
  let left = greetingBytes;
  const splitter = createFrameSplitter((bytes, start, end) => {
    const [kind, first, second = ''] = bytes
      .toString('latin1', start + 4, Math.min(end, start + 36))
      .split('\0');
    if (Number(kind) === IN.reqMktData) asked.add(second);
    if (Number(kind) === IN.cancelMktData) asked.delete(second);
    const key = `${connection}:${first}`;
    if (Number(kind) !== IN.placeOrder || seen.has(key)) return;
    seen.add(key);
    reads.push([Number(first), readAt]);
  });
  // Before the gateway's own listener: what is noted is the read, not the decoding.
  socket.prependListener('data', (chunk: Buffer) => {
    readAt = machineMs();
    const skipped = Math.min(left, chunk.length);
    left -= skipped;
    splitter.push(chunk.subarray(skipped));
  });
});

const isLiveOption = (secType: string, expiresAt: number | null): boolean =>
  secType === 'OPT' && expiresAt !== null && expiresAt > Date.now() + dayMs;

const current = (): Simulator => {
  if (!simulator) throw new Error('call "start" first');
  return simulator;
};

serve({
  start: async ({ unlimited }: { readonly unlimited: boolean }) => {
    simulator = await createSimulator({
      limits: unlimited ? UNLIMITED : TWS_LIMITS,
      // Neither the venue's own delays nor its own market are to be measured.
      latencyMs: { min: 0, max: 0 },
      tickIntervalMs: 60_000,
    });
    return simulator.port;
  },
  /** order id and the time of its first read, by the machine's clock; each once */
  reads: () => {
    const taken = reads;
    reads = [];
    return taken;
  },
  lines: () => lines.size,
  /** instruments that it lists, the same ones with every call */
  instruments: ({ count }: { readonly count: number }): readonly Instrument[] =>
    listedInstruments()
      .filter(({ contract, expiresAt }) => expiresAt === null && contract.secType === 'STK')
      .concat(
        listedInstruments().filter(({ contract, expiresAt }) => isLiveOption(contract.secType, expiresAt)),
      )
      .slice(0, count)
      .map(({ contract: { conId, exchange, secType, symbol, currency } }) => ({
        key: symbol === 'AAPL' && secType === 'STK' ? 'AAPL' : `CONID:${conId}`,
        contract: { conId, exchange, secType, symbol, currency },
      })),
  flood: (options: FloodOptions) => {
    isFlooding = true;
    flooding = current()
      .flood(options)
      .finally(() => {
        isFlooding = false;
      });
    flooding.catch(() => undefined);
  },
  flooding: () => isFlooding,
  flooded: () => flooding,
  /** microseconds */
  cpu: () => process.cpuUsage(),
  conformance: () => current().conformance().length,
});
