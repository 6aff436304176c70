/** One HTTP connection that sends any bytes and reads what comes back, one request after the other. */
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface HttpLine {
  /**
   * The answer to these bytes; `closed`: the other side hung up without one; `held`: none within the deadline.
   * `hasBody` false: of a HEAD request.
   */
  ask(bytes: Buffer, hasBody?: boolean): Promise<RawAnswer | 'closed' | 'held'>;
  close(): void;
}

const deadlineMs = 60_000;

/** `once`: each request has a connection of its own, and says that nothing more will come. */
export function openLine(port: number, once = false): HttpLine {
  let socket: Socket | null = null;
  let heard = Buffer.alloc(0);
  let settle: ((answer: RawAnswer | 'closed' | 'held') => void) | null = null;
  let expectsBody = true;

  const drop = (why: 'closed' | 'held'): void => {
    socket?.destroy();
    socket = null;
    heard = Buffer.alloc(0);
    settle?.(why);
  };
  const read = (): void => {
    const parsed = parseAnswer(heard, expectsBody);
    if (!parsed || !settle) return;
    heard = heard.subarray(parsed.length);
    if (once || parsed.answer.headers.connection === 'close') {
      socket?.destroy();
      socket = null;
      heard = Buffer.alloc(0);
    }
    settle(parsed.answer);
  };
  const opened = (): Socket => {
    if (socket && !socket.destroyed) return socket;
    const fresh = connect(port, '127.0.0.1');
    heard = Buffer.alloc(0);
    socket = fresh;
    fresh.setNoDelay(true);
    fresh.on('error', () => undefined);
    fresh.on('data', (chunk) => {
      if (socket !== fresh) return;
      heard = heard.length === 0 ? chunk : Buffer.concat([heard, chunk]);
      read();
    });
    fresh.on('close', () => {
      if (socket === fresh) drop('closed');
    });
    return fresh;
  };

  return {
    ask(bytes, hasBody = true) {
      expectsBody = hasBody;
      return new Promise((resolve) => {
        const timer = setTimeout(() => drop('held'), deadlineMs);
        settle = (answer) => {
          clearTimeout(timer);
          settle = null;
          resolve(answer);
        };
        if (once) opened().end(bytes);
        else opened().write(bytes);
      });
    },
    close() {
      const open = socket;
      socket = null;
      open?.destroy();
    },
  };
}

function parseAnswer(
  bytes: Buffer,
  hasBody: boolean,
): { readonly answer: RawAnswer; readonly length: number } | null {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]);
  if (!status) throw new Error(`not an answer: ${first}`);
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const start = end + 4;
  if (status === 100) {
    const rest = parseAnswer(bytes.subarray(start), hasBody);
    return rest && { answer: rest.answer, length: start + rest.length };
  }
  if (!hasBody || status === 204 || status === 304)
    return { answer: { status, headers, body: '' }, length: start };
  const length = start + Number(headers['content-length'] ?? 0);
  if (headers['transfer-encoding'] !== undefined) throw new Error('chunked answers are not expected here');
  if (bytes.length < length) return null;
  return { answer: { status, headers, body: bytes.toString('utf8', start, length) }, length };
}
