/** A day's business: orders that fill, rest, change and go, and dashboards that come and leave. */
import { openStream, type Stream } from '../program.ts';

const instruments = ['AAPL', 'MSFT', 'SPY', 'IBM', 'CASH:EUR.USD', 'QQQ', 'NVDA', 'TSLA'];

export interface Load {
  readonly placed: number;
  /** answered 503: there was no session, or it was not reconciled */
  readonly unavailable: number;
  /** any other refusal, by its code */
  readonly refused: ReadonlyMap<string, number>;
  /** Runs for so long; resolves when everything was answered. */
  run(ms: number): Promise<void>;
  /** Cancels what rests for the day, and waits until it is gone. */
  endDay(): Promise<void>;
  close(): void;
}

export async function createLoad(url: string, ordersPerSecond: number): Promise<Load> {
  const refused = new Map<string, number>();
  let placed = 0;
  let unavailable = 0;
  let number = 0;
  let bought = 0;
  let resting: string[] = [];

  const call = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(url + path, {
      method,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };
  const place = async (order: Record<string, unknown>): Promise<string | null> => {
    number += 1;
    const clientOrderId = `s-${number}`;
    const { status, body } = await call('POST', '/v1/orders', { clientOrderId, ...order });
    if (status === 201) placed += 1;
    else if (status === 503) unavailable += 1;
    else refused.set(String(body.code), (refused.get(String(body.code)) ?? 0) + 1);
    return status === 201 ? clientOrderId : null;
  };
  const onePiece = async (): Promise<void> => {
    const instrument = instruments[number % instruments.length];
    if (number % 3 !== 0) {
      // as much bought as sold: no limit of the gate is reached
      const side = bought > 0 ? 'sell' : 'buy';
      bought += side === 'buy' ? 1 : -1;
      await place({ instrument: 'AAPL', side, quantity: '10', type: 'market' });
      return;
    }
    const limitPrice = instrument === 'CASH:EUR.USD' ? '0.5' : '1.00';
    const id = await place({ instrument, side: 'buy', quantity: '10', type: 'limit', limitPrice });
    if (id) resting.push(id);
    const oldest = resting.length > 10 ? resting.shift() : undefined;
    if (oldest === undefined) return;
    await call('PATCH', `/v1/orders/${oldest}`, { quantity: '11' });
    await call('DELETE', `/v1/orders/${oldest}`);
  };

  const streams: Stream[] = [];
  const watch = async (): Promise<void> => {
    const stream = await openStream(`${url.replace('http', 'ws')}/v1/stream`);
    stream.send({ type: 'subscribe', id: 1, channel: 'quotes', keys: instruments });
    stream.send({ type: 'subscribe', id: 2, channel: 'orders' });
    streams.push(stream);
    // One comes, one leaves; what a client has heard is not kept for ever either.
    if (streams.length > 3) streams.shift()?.close();
  };

  return {
    get placed() {
      return placed;
    },
    get unavailable() {
      return unavailable;
    },
    refused,
    async run(ms) {
      const endsAt = performance.now() + ms;
      let next = performance.now();
      let watchAt = next;
      while (performance.now() < endsAt) {
        if (performance.now() >= watchAt) {
          await watch();
          watchAt += 2_000;
        }
        await onePiece();
        next += 1_000 / ordersPerSecond;
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
      }
    },
    async endDay() {
      const leaving = resting;
      resting = [];
      for (const id of leaving) await call('DELETE', `/v1/orders/${id}`);
    },
    close() {
      for (const stream of streams.splice(0)) stream.close();
    },
  };
}
