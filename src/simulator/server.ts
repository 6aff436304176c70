import { createServer, type Server as NetServer, type Socket } from 'node:net';
import type { Gateway } from './gateway.ts';
import { Session } from './session.ts';

const HOST = '127.0.0.1';

/** What happens to whoever dials. closed: nobody listens; silent: the connection is taken and never answered. */
export type DoorState = 'open' | 'closed' | 'silent';

/** The TCP side of the gateway: listens on loopback and makes a session of each connection. */
export class Server {
  readonly #gateway: Gateway;
  readonly #sockets = new Set<Socket>();
  readonly #silent = new Set<Socket>();
  #net: NetServer | null = null;
  #port = 0;
  #door: DoorState = 'closed';
  #connections = 0;

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
  }

  get port(): number {
    return this.#port;
  }

  get door(): DoorState {
    return this.#door;
  }

  /** Listens; port 0 picks a free one, which later openings keep. Rejects when the port is taken. */
  async open(port: number): Promise<void> {
    const server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: HOST, port: this.#port === 0 ? port : this.#port, exclusive: true }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    server.on('error', (error) => this.#gateway.log(`server: ${error.message}`));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no TCP address');
    this.#port = address.port;
    this.#net = server;
    this.#door = 'open';
  }

  /** Opens, closes or silences the door. Sessions that exist are left alone. */
  async setDoor(door: DoorState): Promise<void> {
    if (door === 'closed') {
      this.#door = 'closed';
      for (const socket of this.#silent) socket.destroy();
      const net = this.#net;
      this.#net = null;
      // Not waited for: the callback comes only when the last session is gone, the port is free at once.
      net?.close();
      return;
    }
    if (this.#net === null) await this.open(this.#port);
    this.#door = door;
    if (door === 'open') for (const socket of this.#silent) socket.destroy();
  }

  async close(): Promise<void> {
    const net = this.#net;
    this.#net = null;
    this.#door = 'closed';
    const closed = new Promise<void>((resolve) => {
      if (net === null) resolve();
      else net.close(() => resolve());
    });
    for (const socket of this.#silent) socket.destroy();
    for (const connection of [...this.#gateway.connections]) connection.drop();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    if (this.#door === 'silent') {
      this.#silent.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#silent.delete(socket));
      socket.resume();
      return;
    }
    const { limits, connections } = this.#gateway;
    if (limits.clients > 0 && connections.size >= limits.clients) {
      this.#gateway.log(
        `connection refused: ${connections.size} clients are connected, the limit is ${limits.clients}`,
      );
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    this.#connections += 1;
    const session = new Session(this.#gateway, socket, this.#connections);
    session.log('connected');
  }
}
