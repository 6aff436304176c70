import { afterEach, expect, test } from 'vitest';
import { type OrderTicket, type OrderType, orderTypes } from '../../machines/order.ts';
import { createSimulator, type Simulator, type SimulatorOptions } from '../../src/simulator/simulator.ts';
import { isFailure } from '../../src/tws/gateway.ts';
import { type Link, type LinkOptions, place, startLink, ticket } from './link.ts';
import { until } from './peer.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const apple = { symbol: 'AAPL', secType: 'STK', exchange: 'SMART', currency: 'USD' };

async function start(
  options: SimulatorOptions = {},
  link: Omit<LinkOptions, 'port'> = {},
): Promise<{ simulator: Simulator; link: Link }> {
  const simulator = await createSimulator({ tickIntervalMs: 20, ...options });
  stops.push(() => simulator.close());
  const made = startLink({ port: simulator.port, ...link });
  stops.push(() => made.stop());
  made.send({ type: 'tws.connect' });
  await made.hears('tws.ready');
  return { simulator, link: made };
}

const calm = { heartbeatPause: 2_000, heartbeatDeadline: 2_000 } as const;

test('every type of order is understood to its last field, echoed, and known to the lists', async () => {
  const { simulator, link } = await start({ firstOrderId: 50 }, { delays: calm });
  const far: Partial<Record<OrderType, Partial<OrderTicket>>> = {
    limit: { limitPrice: '10.00' },
    stop: { stopPrice: '900' },
    stop_limit: { stopPrice: '900', limitPrice: '901' },
    trailing_stop: { trailAmount: '50' },
    trailing_stop_limit: { trailPercent: '5', stopPrice: '900', limitPrice: '901' },
    market_if_touched: { stopPrice: '10' },
    limit_if_touched: { stopPrice: '10', limitPrice: '10.5' },
    limit_on_close: { limitPrice: '10' },
    midprice: { limitPrice: '10' },
    relative: { trailAmount: '0.05', limitPrice: '10' },
  };
  let orderId = 50;
  for (const type of orderTypes) {
    const { limitPrice: _, ...plain } = ticket(`c-${type}`, { type, contract: apple });
    link.send({ ...place(orderId), ticket: { ...plain, ...far[type] } });
    orderId += 1;
  }
  const spoken = (): ReadonlySet<number> =>
    new Set([
      ...link.all('broker.orderSeen').map(({ ids }) => ids.orderId),
      ...link.all('broker.orderNoted').map((note) => note.orderId),
    ]);
  await until(() => spoken().size === orderTypes.length, 'a word on every order');
  for (const [index, type] of orderTypes.entries()) {
    const seen = link.all('broker.orderSeen').find(({ ids }) => ids.orderId === 50 + index);
    if (seen) expect(seen).toMatchObject({ ids: { orderRef: `c-${type}` }, terms: { type, quantity: '10' } });
  }
  await link.hears('broker.commissioned');
  const listed = await link.gateway.openOrders();
  const completed = await link.gateway.completedOrders();
  if (listed.outcome === 'failed' || completed.outcome === 'failed') throw new Error('a list failed');
  expect(listed.rows.length + completed.rows.length).toBeGreaterThan(5);
  expect(completed.rows.map(({ ids }) => ids.orderRef)).toContain('c-market');
  expect(simulator.conformance()).toEqual([]);
  expect(link.all('tws.undecodable')).toEqual([]);
});

test('further fields, algorithms and dates reach TWS without shifting any other field', async () => {
  const { simulator, link } = await start({}, { delays: calm });
  link.send({
    ...place(1),
    ticket: ticket('c-1', {
      contract: apple,
      limitPrice: '10.05',
      timeInForce: 'gtd',
      goodTillDate: '2099-01-01T00:00:00Z',
      algo: { strategy: 'Adaptive', params: { adaptivePriority: 'Normal' } },
      tws: { hidden: true, displaySize: 5, minQty: '1', allOrNone: false, ocaType: 1, modelCode: '' },
      ocaGroup: 'oca-1',
      outsideRegularHours: true,
    }),
  });
  await until(
    () => link.all('broker.orderSeen').length + link.all('broker.orderNoted').length > 0,
    'an answer',
  );
  expect(simulator.conformance()).toEqual([]);
  expect(link.all('broker.orderSeen')[0]?.terms).toMatchObject({
    limitPrice: '10.05',
    timeInForce: 'gtd',
    ocaGroup: 'oca-1',
    outsideRegularHours: true,
  });
});

test('a modification and a cancel act on the order that they name', async () => {
  const { link } = await start({}, { delays: calm });
  const order = { ...place(1), ticket: ticket('c-1', { contract: apple, limitPrice: '10.00' }) };
  link.send(order);
  await link.hears('broker.statusSeen');
  link.send({ ...order, modification: true, ticket: { ...order.ticket, limitPrice: '11.00' } });
  await until(
    () => link.all('broker.orderSeen').some(({ terms }) => terms.limitPrice === '11'),
    'the new price',
  );
  link.send({ type: 'tws.cancel', clientOrderId: 'c-1', orderId: 1 });
  await until(() => link.all('broker.statusSeen').some(({ status }) => status === 'cancelled'), 'the cancel');
  expect(link.all('dispatch.sent').map(({ what }) => what)).toEqual(['place', 'modify', 'cancel']);
  expect(new Set(link.all('broker.statusSeen').map(({ ids }) => ids.permId)).size).toBe(1);
});

test('a frozen gateway is left for a new session; the lists then tell what happened meanwhile', async () => {
  const { simulator, link } = await start({}, { delays: { heartbeatDeadline: 250 } });
  link.send({ ...place(1), ticket: ticket('c-1', { contract: apple, limitPrice: '10.00' }) });
  const { ids } = await link.hears('broker.orderSeen');
  simulator.faults.freeze();
  simulator.exchange.script.fill(Number(ids.permId), 10, 10);
  expect(await link.hears('tws.lost')).toMatchObject({ cause: 'silent' });
  // The gateway notices only now that we are gone, and gives the client id free.
  simulator.faults.thaw();
  await link.hears('tws.ready', 2);
  const executions = await link.gateway.executions();
  expect(executions).toMatchObject({ outcome: 'complete', rows: [{ ids: { orderRef: 'c-1' } }] });
  expect(await link.gateway.positions()).toMatchObject({ outcome: 'complete', rows: [{ quantity: '10' }] });
});

test('a restart that rolls the order ids back is told as it is', async () => {
  const { simulator, link } = await start({ firstOrderId: 500 });
  link.send({ ...place(500), ticket: ticket('c-1', { contract: apple, limitPrice: '10.00' }) });
  await link.hears('broker.orderSeen');
  await simulator.faults.restart({ downMs: 100, nextValidId: 500 });
  const again = await link.hears('tws.ready', 2);
  expect(again.orderId).toBe(500);
  expect(link.all('tws.lost')).toHaveLength(1);
  expect(await link.gateway.openOrders()).toMatchObject({
    outcome: 'complete',
    rows: [{ ids: { orderRef: 'c-1' } }],
  });
});

test('an outage above the gateway: no placement, one pair of reports, the socket untouched', async () => {
  const { simulator, link } = await start({}, { delays: calm });
  simulator.faults.upstreamLost();
  await link.hears('tws.severed');
  link.send(place(1));
  expect(link.all('dispatch.withheld')).toMatchObject([{ reason: 'severed' }]);
  simulator.faults.upstreamBack(1101);
  expect(await link.hears('tws.restored')).toMatchObject({ dataLost: true });
  expect(link.all('tws.severed')).toHaveLength(1);
  expect(simulator.clients()).toHaveLength(1);
  expect(simulator.received({ message: 'placeOrder' })).toEqual([]);
});

test('400 lines at once never provoke the gateway, and a cancel does not wait for them', async () => {
  const { link } = await start({}, { delays: calm });
  link.send({ ...place(1), ticket: ticket('c-1', { contract: apple, limitPrice: '10.00' }) });
  await link.hears('broker.statusSeen');
  const sink = { tick() {}, dataKind() {}, halted() {}, noted() {}, ended() {} };
  const lines = Array.from({ length: 400 }, () => link.gateway.openLine(apple, sink));
  link.send({ type: 'tws.cancel', clientOrderId: 'c-1', orderId: 1 });
  expect(link.told.at(-1)).toMatchObject({ type: 'dispatch.sent', what: 'cancel' });
  await until(
    () => link.all('broker.statusSeen').some(({ status }) => status === 'cancelled'),
    'the cancel',
    3_000,
  );
  expect(link.gateway.figures().lanes.data.waiting).toBeGreaterThan(300);
  await until(() => link.gateway.figures().lanes.data.sent > 90, 'seconds of pacing', 10_000);
  for (const line of lines) if (!isFailure(line)) line.close();
  expect(link.all('tws.noted').filter(({ code }) => code === 100)).toEqual([]);
  expect(link.all('tws.lost')).toEqual([]);
});

test('another client with our id: we wait for it to go, and keep our id', async () => {
  const simulator = await createSimulator();
  stops.push(() => simulator.close());
  const first = startLink({ port: simulator.port, clientId: 4, delays: calm });
  first.send({ type: 'tws.connect' });
  await first.hears('tws.ready');
  const second = startLink({ port: simulator.port, clientId: 4 });
  stops.push(() => second.stop());
  second.send({ type: 'tws.connect' });
  await until(() => second.tws().getSnapshot().context.failures >= 3, 'three refusals');
  expect(second.tws().getSnapshot().context.lastCause).toBe('clientIdInUse');
  expect(simulator.clients().filter(({ clientId }) => clientId === 4).length).toBeLessThanOrEqual(1);
  expect(first.all('tws.lost')).toEqual([]);
  first.stop();
  await second.hears('tws.ready');
});
