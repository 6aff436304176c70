/** A stranger on the wire between a client and its gateway: keeps samples of what the gateway says, and says things of its own. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createFrameSplitter } from '../../src/tws/frames.ts';

export interface Tampering {
  readonly port: number;
  /** whole frames that the gateway sent, by kind, the newest few of each */
  readonly samples: ReadonlyMap<string, readonly Buffer[]>;
  readonly connections: number;
  /** What becomes of the gateway's next frames; `null`: they pass. */
  change: ((frame: Buffer, number: number) => Buffer | null) | null;
  /** Says this to the client between two frames of the gateway. Resolves when the kernel took it. */
  inject(bytes: Buffer): Promise<void>;
  /** Hangs up on the client. */
  cut(): void;
  close(): Promise<void>;
}

const samplesPerKind = 12;

export async function startTampering(gatewayPort: number): Promise<Tampering> {
  const samples = new Map<string, Buffer[]>();
  const open = new Set<Socket>();
  let client: Socket | null = null;
  let connections = 0;
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect(gatewayPort, '127.0.0.1');
    far.setNoDelay(true);
    client = near;
    connections += 1;
    let number = 0;
    const splitter = createFrameSplitter((bytes, start, end) => {
      const frame = Buffer.from(bytes.subarray(start, end));
      const kind = frame.toString('latin1', 4, frame.indexOf(0, 4));
      const known = samples.get(kind) ?? [];
      known[known.length < samplesPerKind ? known.length : number % samplesPerKind] = frame;
      samples.set(kind, known);
      near.write(tampering.change?.(frame, number) ?? frame);
      number += 1;
    });
    far.on('data', (chunk) => splitter.push(chunk));
    near.on('data', (chunk) => far.write(chunk));
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const tampering: Tampering = {
    port: (server.address() as AddressInfo).port,
    samples,
    get connections() {
      return connections;
    },
    change: null,
    inject: (bytes) =>
      new Promise((resolve) => {
        if (!client || client.destroyed) resolve();
        else client.write(bytes, () => resolve());
      }),
    cut: () => client?.destroy(),
    close: () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy();
        server.close(() => resolve());
      }),
  };
  return tampering;
}
