/** Single steps, each in a loop of its own, in a process of its own: for orientation, not to be added up. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createActor, type EventFromLogic } from 'xstate';
import type { JournalEntry } from '../../machines/journal.ts';
import { orderMachine } from '../../machines/order.machine.ts';
import { applyFact, type OrderFact, type OrderTicket, orderOf } from '../../machines/order.ts';
import type { OrderInput } from '../../machines/order-words.ts';
import { loadConfig } from '../../src/config.ts';
import { openJournal } from '../../src/journal/journal.ts';
import { createLogger } from '../../src/log.ts';
import { Pulse } from '../../src/market/beat.ts';
import { Quotes } from '../../src/market/quotes.ts';
import { createProgram } from '../../src/program.ts';
import { createTrading } from '../../src/trading.ts';
import { serve, until } from './children.ts';
import { liftPacing } from './unpaced.ts';

const folder = mkdtempSync(join(tmpdir(), 'tws-runtime-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
process.on('SIGTERM', () => process.exit(0));

/** The first order of an instrument waits for its first quote. */
const warmUp = 5;
const contract = { symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'USD' };
const ticketOf = (clientOrderId: string): OrderTicket => ({
  clientOrderId,
  account: 'DU1234567',
  instrument: 'AAPL',
  contract,
  side: 'buy',
  quantity: '1',
  type: 'limit',
  limitPrice: '1.00',
  timeInForce: 'day',
  transmit: true,
});

function entryOf(index: number): JournalEntry {
  const at = Date.now();
  const clientOrderId = `m.${index}`;
  const ticket = ticketOf(clientOrderId);
  const order = orderOf(ticket, index + 1, at);
  const fact: OrderFact = {
    type: 'order.requested',
    clientOrderId,
    at,
    ticket,
    orderId: index + 1,
    parentOrderId: 0,
  };
  return { kind: 'order', fact, order: { ...applyFact(order, fact), state: 'submitting' } };
}

/** ms for each */
function timed(times: number, work: (index: number) => void): Float64Array {
  const took = new Float64Array(times);
  for (let index = 0; index < times; index += 1) {
    const begun = performance.now();
    work(index);
    took[index] = performance.now() - begun;
  }
  return took;
}

/** Mean ms of one, over many; the first tenth warms up. */
function mean(times: number, work: (index: number) => void): number {
  const cold = Math.ceil(times / 10);
  for (let index = 0; index < cold; index += 1) work(index);
  const begun = performance.now();
  for (let index = cold; index < times; index += 1) work(index);
  return (performance.now() - begun) / Math.max(1, times - cold);
}

/** One durable append of one order's intent, ms each. */
function journal({ times }: { readonly times: number }): Float64Array {
  const opened = openJournal(join(folder, 'micro.db'));
  try {
    const entries = Array.from({ length: times }, (_, index) => entryOf(index));
    return timed(times, (index) => opened.append(entries.slice(index, index + 1)));
  } finally {
    opened.close();
  }
}

/** `submit` of the whole runtime without HTTP, and without pacing: market, gate, journal and socket included. ms each. */
async function submit(input: {
  readonly port: number;
  readonly times: number;
  readonly withinMs: number;
}): Promise<number[]> {
  liftPacing();
  const config = loadConfig({
    cwd: folder,
    env: {
      GATEWAY: 'tws',
      TWS_PORT: String(input.port),
      TWS_CLIENT_ID: '77',
      PORT: '0',
      LOG_LEVEL: 'warn',
      JOURNAL_PATH: join(folder, 'submit.db'),
      MAX_OPEN_ORDERS: '0',
      MAX_ORDERS_PER_SECOND: '0',
    },
  });
  const program = createProgram({
    config,
    endpoint: { host: '127.0.0.1', port: input.port },
    log: createLogger(config),
  });
  try {
    await program.start();
    const { runtime, metrics } = program;
    await until(() => runtime.root.getSnapshot().hasTag('reconciled'), 'a session that trades');
    const trading = createTrading({ runtime, metrics, now: Date.now });
    const took: number[] = [];
    const end = performance.now() + input.withinMs;
    for (let index = -warmUp; index < input.times && performance.now() < end; index += 1) {
      const { account: _, transmit: __, ...request } = ticketOf(`s.${index + warmUp}`);
      const begun = performance.now();
      const { outcome } = await trading.submit(request);
      if (index >= 0) took.push(performance.now() - begun);
      if (outcome !== 'created') throw new Error(`submit ${index}: ${outcome}`);
      await trading.waitFor(request.clientOrderId, 'accepted', 5_000);
      await trading.cancel(request.clientOrderId);
      await trading.waitFor(request.clientOrderId, 'closed', 5_000);
    }
    return took;
  } finally {
    await program.stop();
  }
}

/** From intent to cancelled, six facts sent to a running actor; mean ms of one. */
function transitions({ times }: { readonly times: number }): number {
  type Event = EventFromLogic<typeof orderMachine>;
  const at = Date.now();
  const ticket = ticketOf('x');
  const input: OrderInput = { order: orderOf(ticket, 1, at), ticket, parentOrderId: 0, replaying: true };
  const about = { clientOrderId: 'x', at } as const;
  const events: readonly Event[] = [
    { type: 'order.approve', at },
    { ...about, type: 'order.requested', ticket, orderId: 1, parentOrderId: 0 },
    { ...about, type: 'order.sent', sessionId: 's' },
    { ...about, type: 'order.accepted', permId: '7', alive: true, contract: null, heldBecause: '' },
    { ...about, type: 'order.cancelRequested' },
    { ...about, type: 'order.cancelled', reason: null },
  ];
  let state = '';
  let took = 0;
  const cold = Math.ceil(times / 10);
  for (let index = 0; index < times; index += 1) {
    const actor = createActor(orderMachine, { input }).start();
    const begun = performance.now();
    for (const event of events) actor.send(event);
    if (index >= cold) took += performance.now() - begun;
    state = actor.getSnapshot().context.order.state;
    actor.stop();
  }
  if (state !== 'cancelled') throw new Error(`the order ended as ${state}`);
  return took / (times - cold) / events.length;
}

/** A tick that changes its cell; mean ms of one. */
function tick({ times }: { readonly times: number }): number {
  const quotes = new Quotes();
  const cell = quotes.cell('AAPL');
  const took = mean(times, (index) => cell.tick('bid', index & 1, index));
  if (cell.total !== times) throw new Error(`${cell.total} ticks were taken`);
  return took;
}

/** One beat with `rows` dirty rows, four fields each, until the frame's text is there; ms each. */
function beat({ times, rows }: { readonly times: number; readonly rows: number }): Float64Array {
  const quotes = new Quotes();
  const cells = Array.from({ length: rows }, (_, index) => quotes.cell(`CONID:${index}`));
  const pulse = new Pulse({ quotes, beatMs: 3_600_000, now: Date.now });
  let text = '';
  let sent = 0;
  pulse.beat$.subscribe((changed) => {
    text = [...changed.rows.values()].map(({ delta }) => delta).join(',');
    sent += changed.rows.size;
  });
  const took = new Float64Array(times);
  for (let index = 0; index < times; index += 1) {
    for (const cell of cells) {
      cell.tick('bid', 100 + (index % 7) / 100, index);
      cell.tick('ask', 101 + (index % 7) / 100, index);
      cell.tick('bidSize', 100 + (index % 7), index);
      cell.tick('askSize', 200 + (index % 7), index);
    }
    const begun = performance.now();
    pulse.beat();
    took[index] = performance.now() - begun;
  }
  pulse.close();
  if (sent !== times * rows || text.length < rows * 40) throw new Error(`${sent} rows of ${times * rows}`);
  return took;
}

serve({ journal, submit, transitions, tick, beat });
