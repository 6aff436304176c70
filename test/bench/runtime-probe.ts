/**
 * Loaded into the runtime's process before its own code (`node --import`): notes from outside when a request's head was
 * read and when the order's bytes were handed to TWS's socket, and reads the process's counters. `BENCH_UNPACED=1` takes
 * the pacing of messages out of the way; nothing else of the runtime is touched.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import type { Server, Socket } from 'node:net';
import { machineMs, serve } from './children.ts';
import { liftPacing } from './unpaced.ts';

/** Orders of the bench carry these ids, as `X-Request-ID` and as `orderRef`. */
const ours = /^b\.[\w.]+$/;
const placeOrder = /^3\0(\d+)\0.*?\0(b\.[\w.]+)\0/s;

if (process.env.BENCH_UNPACED === '1') liftPacing();

const twsPort = Number(process.env.TWS_PORT);
const received = new Map<string, number>();
let stamps: [orderId: number, receivedAt: number, handedAt: number][] = [];
let url: string | null = null;

subscribe('tracing:net.server.listen:asyncEnd', (message) => {
  const address = (message as { server: Server }).server.address();
  if (address && typeof address === 'object') url ??= `http://127.0.0.1:${address.port}`;
});

subscribe('http.server.request.start', (message) => {
  const { method, headers } = (message as { request: IncomingMessage }).request;
  const id = headers['x-request-id'];
  if (method === 'POST' && typeof id === 'string' && ours.test(id)) received.set(id, machineMs());
});

function watchWrites(socket: Socket): void {
  const write = socket.write;
  socket.write = function (this: Socket, ...args: unknown[]): boolean {
    const drained = Reflect.apply(write, this, args) as boolean;
    const at = machineMs();
    const [bytes] = args;
    if (!Buffer.isBuffer(bytes)) return drained;
    const [, orderId, id = ''] = placeOrder.exec(bytes.toString('latin1', 4)) ?? [];
    const since = received.get(id);
    if (orderId !== undefined && since !== undefined) {
      received.delete(id);
      stamps.push([Number(orderId), since, at]);
    }
    return drained;
  } as Socket['write'];
}

subscribe('net.client.socket', (message) => {
  const { socket } = message as { socket: Socket };
  // Not sooner: `connect` restores a socket's own `write`.
  socket.once('connect', () => {
    if (socket.remotePort === twsPort) watchWrites(socket);
  });
});

serve({
  /** null before the server listens */
  url: () => url,
  /** order id, request's head read, bytes handed to the socket, by the machine's clock; each once */
  stamps: () => {
    const taken = stamps;
    stamps = [];
    return taken;
  },
  /** microseconds */
  cpu: () => process.cpuUsage(),
  rss: () => process.memoryUsage.rss(),
});
