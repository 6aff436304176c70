/** A scripted peer over real TCP: says exactly the bytes that a test wants, and remembers what it was sent. */

import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';

export type Field = string | number;

/** One message as bytes on the wire. */
export function frame(...fields: readonly Field[]): Buffer {
  const text = Buffer.from(`${fields.join('\0')}\0`, 'utf8');
  const header = Buffer.alloc(4);
  header.writeInt32BE(text.length);
  return Buffer.concat([header, text]);
}

export interface PeerConnection {
  readonly socket: Socket;
  /** messages after the greeting, oldest first */
  readonly messages: string[][];
  /** when each of them was read, ms */
  readonly times: number[];
  clientId: number | null;
  closed: boolean;
  send(...fields: readonly Field[]): void;
}

export interface PeerBehaviour {
  /** false: accept and say nothing */
  greet: boolean;
  version: Field;
  /** null: none is sent */
  accounts: string | null;
  nextOrderId: number | null;
  answersTime: boolean;
  /** called for every message after START_API */
  onMessage?: (connection: PeerConnection, message: readonly string[]) => void;
  onStart?: (connection: PeerConnection) => void;
  onConnect?: (connection: PeerConnection) => void;
}

export interface Peer {
  readonly port: number;
  readonly connections: PeerConnection[];
  readonly behaviour: PeerBehaviour;
  readonly last: PeerConnection;
  readonly alive: number;
  close(): Promise<void>;
}

export async function startPeer(behaviour: Partial<PeerBehaviour> = {}): Promise<Peer> {
  const connections: PeerConnection[] = [];
  const settings: PeerBehaviour = {
    greet: true,
    version: 193,
    accounts: 'DU1234567',
    nextOrderId: 100,
    answersTime: true,
    ...behaviour,
  };
  const server: Server = createServer({ noDelay: true }, (socket) => {
    const connection: PeerConnection = {
      socket,
      messages: [],
      times: [],
      clientId: null,
      closed: false,
      send: (...fields) => {
        if (!socket.destroyed) socket.write(frame(...fields));
      },
    };
    connections.push(connection);
    let bytes = Buffer.alloc(0);
    let greeted = false;
    socket.on('error', () => undefined);
    socket.on('close', () => {
      connection.closed = true;
    });
    settings.onConnect?.(connection);
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (!greeted) {
        if (bytes.length < 8 || bytes.length < 8 + bytes.readInt32BE(4)) return;
        bytes = bytes.subarray(8 + bytes.readInt32BE(4));
        greeted = true;
        if (settings.greet) connection.send(settings.version, '20260115 10:00:00 America/New_York');
      }
      while (bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0)) {
        const length = bytes.readInt32BE(0);
        const message = bytes.toString('utf8', 4, 3 + length).split('\0');
        bytes = bytes.subarray(4 + length);
        if (message[0] === '71') {
          connection.clientId = Number(message[2]);
          if (settings.accounts !== null) connection.send(15, 1, settings.accounts);
          if (settings.nextOrderId !== null) connection.send(9, 1, settings.nextOrderId);
          settings.onStart?.(connection);
          continue;
        }
        connection.messages.push(message);
        connection.times.push(performance.now());
        if (message[0] === '49' && settings.answersTime)
          connection.send(49, 1, Math.floor(Date.now() / 1_000));
        settings.onMessage?.(connection, message);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    connections,
    behaviour: settings,
    get last() {
      const connection = connections.at(-1);
      if (!connection) throw new Error('nobody connected');
      return connection;
    },
    get alive() {
      return connections.filter(({ closed }) => !closed).length;
    },
    close: () =>
      new Promise((resolve) => {
        for (const { socket } of connections) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

/** Waits until a condition holds; fails after `withinMs`. */
export async function until(condition: () => boolean, what: string, withinMs = 5_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${withinMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
