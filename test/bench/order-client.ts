/** Places and cancels orders one after the other, over kept-alive HTTP, and hears of them on the stream. */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { machineMs, serve } from './children.ts';

/** One order as the client saw it; times by the machine's clock, ms. */
export interface PlacedOrder {
  readonly orderId: number;
  readonly sentAt: number;
  readonly answeredAt: number;
  readonly acceptedAt: number;
  /** what the server said of itself, ms: `app`, `submit`, `journal`, ... */
  readonly serverTiming: Readonly<Record<string, number>>;
}
export interface OrderRun {
  readonly url: string;
  /** of the client order ids: unique per run */
  readonly name: string;
  readonly orders: number;
  /** from one order to the next; 0: as soon as the one before is cancelled */
  readonly everyMs: number;
  /** no order begins later than this */
  readonly withinMs: number;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: { readonly orderId?: number; readonly code?: string; readonly detail?: string };
}

const answerWithinMs = 10_000;

function call(agent: Agent, url: string, method: string, headers: Record<string, string>, body: string) {
  return new Promise<Answer>((resolve, reject) => {
    const asked = request(
      url,
      {
        agent,
        method,
        headers: { ...headers, 'content-length': Buffer.byteLength(body) },
        timeout: answerWithinMs,
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: JSON.parse(text) as Answer['body'],
          }),
        );
      },
    );
    asked.on('timeout', () => asked.destroy(new Error(`${method} ${url} was not answered`)));
    asked.on('error', reject);
    asked.setNoDelay(true);
    asked.end(body);
  });
}

/** When each event of each order reached this process. */
class Events {
  readonly #heard = new Map<string, number>();
  readonly #waiting = new Map<string, (at: number) => void>();
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data) => {
      const at = machineMs();
      const frame = JSON.parse(String(data)) as { event?: string; order?: { clientOrderId?: string } };
      if (frame.event === undefined || frame.order === undefined) return;
      const key = `${frame.event} ${frame.order.clientOrderId}`;
      this.#heard.set(key, at);
      this.#waiting.get(key)?.(at);
    });
  }

  static open(url: string): Promise<Events> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`);
    const events = new Events(socket);
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.on('message', (data) => {
        const frame = JSON.parse(String(data)) as { type?: string; ok?: boolean };
        if (frame.type === 'welcome') socket.send('{"type":"subscribe","id":1,"channel":"orders"}');
        if (frame.type === 'ack' && frame.ok) resolve(events);
        if (frame.type === 'ack' && !frame.ok) reject(new Error(String(data)));
      });
    });
  }

  heard(event: string, clientOrderId: string): Promise<number> {
    const key = `${event} ${clientOrderId}`;
    const past = this.#heard.get(key);
    if (past !== undefined) {
      this.#heard.delete(key);
      return Promise.resolve(past);
    }
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => reject(new Error(`no ${key}`)), answerWithinMs);
      this.#waiting.set(key, (at) => {
        clearTimeout(deadline);
        this.#waiting.delete(key);
        this.#heard.delete(key);
        resolve(at);
      });
    });
  }

  close(): void {
    this.#socket.terminate();
  }
}

function readServerTiming(header: unknown): Record<string, number> {
  return Object.fromEntries(
    String(header ?? '')
      .split(',')
      .flatMap((entry) => {
        const [, name, duration] = /^\s*([\w-]+);dur=([\d.]+)/.exec(entry) ?? [];
        return name === undefined ? [] : [[name, Number(duration)]];
      }),
  );
}

async function run({ url, name, orders, everyMs, withinMs }: OrderRun): Promise<readonly PlacedOrder[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const events = await Events.open(url);
  const placed: PlacedOrder[] = [];
  try {
    let due = machineMs();
    const end = due + withinMs;
    for (let index = 0; index < orders && machineMs() < end; index += 1) {
      const id = `b.${name}.${index}`;
      const body = `{"clientOrderId":"${id}","instrument":"AAPL","side":"buy","quantity":"1","type":"limit","limitPrice":"1.00"}`;
      const headers = { 'content-type': 'application/json', 'x-request-id': id };
      const sentAt = machineMs();
      const answer = await call(agent, `${url}/v1/orders`, 'POST', headers, body);
      const answeredAt = machineMs();
      const { orderId } = answer.body;
      if (answer.status !== 201 || orderId === undefined) {
        throw new Error(`order ${index}: ${answer.status} ${answer.body.code} ${answer.body.detail}`);
      }
      const acceptedAt = await events.heard('order.accepted', id);
      const serverTiming = readServerTiming(answer.headers['server-timing']);
      placed.push({ orderId, sentAt, answeredAt, acceptedAt, serverTiming });
      const cancelled = events.heard('order.cancelled', id);
      const { status } = await call(agent, `${url}/v1/orders/${id}`, 'DELETE', {}, '');
      if (status !== 202) throw new Error(`cancel of order ${index}: ${status}`);
      await cancelled;
      due += everyMs;
      const pause = due - machineMs();
      if (pause > 0) await sleep(pause);
    }
  } finally {
    events.close();
    agent.destroy();
  }
  return placed;
}

serve({ run });
