/**
 * The one place that opens @stoqey/ib, and keeps its hazards in: one object per attempt, its limiter out of the way,
 * no-delay on its socket, whole frames only, and no exception or half-read message that outlives its frame.
 */
import type { Socket } from 'node:net';
import { EventName, IBApi } from '@stoqey/ib';
import { createFrameSplitter, frameText, messageIdOf } from './frames.ts';

/** The parts of the library that it does not export. Checked when a connection opens. */
interface Insides {
  readonly controller: {
    resume(): void;
    sendMsg(...tokens: unknown[]): void;
    readonly socket: { readonly client?: Socket; onMessage(text: string): void };
    readonly decoder: { dataQueue: unknown[]; emitQueue: unknown[] };
    readonly commands: { _processing: boolean; _commands: unknown[]; _commandsCurrent: unknown[] };
  };
}

export interface ConnectionEvents {
  /** TCP stands; nothing was said yet */
  connected(): void;
  /** A message that could not be decoded, or whose handling failed. `kind`: its number in the protocol, may be NaN. */
  undecodable(frame: { readonly text: string; readonly problem: string; readonly kind: number }): void;
  /** The last thing a connection says, once, unless `close` was called. */
  closed(cause: 'refused' | 'closed' | 'garbage', message: string): void;
}

export interface Connection {
  /** For listening. Requests go through `write`. */
  readonly api: IBApi;
  readonly socket: Socket;
  /** when the bytes being handled were read, ms */
  readonly readAt: number;
  /** Bytes that the peer has not taken yet. */
  readonly unsentBytes: number;
  /**
   * Runs one request. Null: its bytes were handed to the socket within this call. Otherwise why none was and none
   * ever will be.
   */
  write(request: (api: IBApi) => void): string | null;
  /** Reports the message being handled as undecodable. */
  complain(problem: string): void;
  /** Drops the socket at once; nothing is heard or sent from then on. Idempotent. */
  close(): void;
}

export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly clientId: number;
  readonly now: () => number;
}

const errorMessage = '4';

/** Dials. Every outcome comes through `events`, never within this call. */
export function openConnection(options: ConnectionOptions, events: ConnectionEvents): Connection {
  const { host, port, clientId, now } = options;
  // The library's own limiter counts in tenths of a second; this much never makes it wait.
  const api = new IBApi({ host, port, clientId, maxReqPerSec: 1_000_000_000 });
  // Given with every connect: without it the library forgets the id, and with it whose the orders are.
  api.connect(clientId);
  const { controller } = api as unknown as Insides;
  const socket = controller.socket.client;
  if (
    !socket ||
    typeof controller.sendMsg !== 'function' ||
    typeof controller.socket.onMessage !== 'function' ||
    !Array.isArray(controller.decoder.dataQueue) ||
    typeof controller.commands._processing !== 'boolean'
  ) {
    socket?.destroy();
    throw new Error('this version of @stoqey/ib is built differently inside than src/tws/library.ts knows');
  }

  const sendMsg = controller.sendMsg.bind(controller);
  controller.sendMsg = (...tokens) => {
    refuseControls(tokens);
    sendMsg(...tokens);
  };

  let readAt = now();
  let writes = 0;
  /** the frame being handled */
  let current: { readonly bytes: Buffer; readonly start: number; readonly end: number } | null = null;
  let open = true;
  let established = false;
  let lastError = '';
  let wasReset = false;

  const close = (): void => {
    if (!open) return;
    open = false;
    api.removeAllListeners();
    socket.destroy();
  };
  const finish = (cause: 'refused' | 'closed' | 'garbage', message: string): void => {
    if (!open) return;
    close();
    events.closed(cause, message);
  };
  const undecodable = (problem: string): void => {
    if (!open) return;
    const frame = current?.bytes.subarray(current.start, current.end);
    events.undecodable({
      text: frame ? frameText(frame) : '',
      problem,
      kind: frame ? messageIdOf(frame) : Number.NaN,
    });
  };

  // An error whose appended JSON cannot be parsed is dropped whole by the decoder; it may be an order's rejection.
  const salvage = (frame: Buffer): void => {
    const [kind, , id, code, text = ''] = frame.toString('utf8', 4).split('\0');
    if (kind === errorMessage && Number(id) >= 0) {
      api.emit(EventName.error, new Error(text), Number(code), Number(id));
    }
  };

  const splitter = createFrameSplitter((bytes, start, end) => {
    if (!open) return;
    current = { bytes, start, end };
    try {
      const text = bytes.toString('utf8', start + 4, end);
      // A frame without its last NUL would be glued to the next one.
      controller.socket.onMessage(bytes[end - 1] === 0 ? text : `${text}\0`);
    } catch (error) {
      // The decoder keeps the rest of a message that it failed on and reads the next one from the middle.
      controller.decoder.dataQueue = [];
      controller.decoder.emitQueue = [];
      undecodable(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
      salvage(bytes.subarray(start, end));
    }
    current = null;
  });

  socket.setNoDelay(true);
  socket.removeAllListeners('data');
  socket.on('data', (chunk: Buffer) => {
    readAt = now();
    if (!splitter.push(chunk)) {
      finish('garbage', `bytes that are no TWS frame: ${chunk.subarray(0, 32).toString('hex')}`);
    }
  });
  socket.on('connect', () => {
    established = true;
    // Again, because a host with several addresses gets a new handle for each try.
    socket.setNoDelay(true);
    if (open) events.connected();
  });
  socket.on('error', (error) => {
    // A reset before the connection stood came from somebody: the port is open.
    wasReset = 'code' in error && error.code === 'ECONNRESET';
    lastError = error.message || ('code' in error ? String(error.code) : error.name);
  });
  const ended = (): void =>
    established || wasReset
      ? finish('closed', lastError || 'the gateway closed the connection')
      : finish('refused', lastError || `no connection to ${host}:${port}`);
  socket.on('end', ended);
  socket.on('close', ended);

  // The library opens its gate only after everybody heard of the first order id; whoever answers at once needs it open.
  api.on(EventName.nextValidId, () => controller.resume());
  api.on(EventName.sent, () => {
    writes += 1;
  });
  api.on(EventName.error, (error, code, id) => {
    // What the decoder complains about has neither an id of its own nor a code of TWS.
    if (current && id === -1 && Number(code) === 505) undecodable(error.message);
  });

  return {
    api,
    socket,
    get readAt() {
      return readAt;
    },
    get unsentBytes() {
      return socket.writableLength;
    },
    write(request) {
      if (!open || !socket.writable) return 'not-connected';
      const before = writes;
      const { commands } = controller;
      let problem = 'not-written';
      const note = (error: Error): void => {
        problem = `not-encodable: ${error.message}`;
      };
      // The encoder refuses with an error event what the server's version does not know.
      api.on(EventName.error, note);
      try {
        request(api);
      } catch (error) {
        problem = `not-encodable: ${error instanceof Error ? error.message : String(error)}`;
      } finally {
        api.off(EventName.error, note);
      }
      if (writes > before) return null;
      // The library keeps it for later or stumbled over it. Neither may reach the socket any more.
      commands._commands.length = 0;
      commands._commandsCurrent.length = 0;
      commands._processing = false;
      return problem;
    },
    complain: undecodable,
    close,
  };
}

/** NUL ends a field on the wire: what follows it in a text would be read as other fields, of another order. */
function refuseControls(tokens: readonly unknown[]): void {
  for (const token of tokens) {
    if (Array.isArray(token)) refuseControls(token);
    if (typeof token !== 'string') continue;
    for (let n = 0; n < token.length; n += 1) {
      const code = token.charCodeAt(n);
      if (code < 32 || code === 127)
        throw new Error(`${JSON.stringify(token.slice(0, 40))} holds a control character: leave it out`);
    }
  }
}
