/** The contract with clients: what its words promise, one promise after the other. */
import { afterAll, beforeAll, expect } from 'vitest';
import { call, contract, fields, get, has, open, type Promises, place, refused, whole } from './contract.ts';
import type { StreamTester } from './http/stream-tester.ts';
import { everyRow, expectBooksAgree, writtenOrders } from './incidents/oracle.ts';
import { alerts, compareNow, executions, positions, quantityOf } from './incidents/told.ts';
import { bars, brokerOf, received, refuseBars, type Slow, startSlow, untilQuiet } from './patient.ts';
import { eventually } from './program.ts';

// biome-ignore lint/suspicious/noExplicitAny: rows of the public API, read by name
type Row = any;

const contractOf = async (instrument: string): Promise<Row> =>
  (await get(`/v1/contracts?instrument=${encodeURIComponent(instrument)}`)).body.contracts[0].contract;
const detailed = async (): Promise<Row> => (await get('/health/detailed', {})).body;
const component = async (name: string): Promise<Row> => (await detailed()).components[name];
const quote = async (instrument: string): Promise<Row> => (await get(`/v1/quotes/${instrument}`)).body;
const gate = async () => (await get('/health/ready?gate=trading', {})).status;
const asked = (message: string) => received(whole, message);
const fill = (reference: string, shares: number, price = 1) =>
  whole.simulator.exchange.script.fill(brokerOf(whole, reference).permId, shares, price);
const executionsOf = async (clientOrderId: string): Promise<Row[]> =>
  (await executions(whole)).filter((row) => row.clientOrderId === clientOrderId);
const events = (tester: StreamTester, subscription: number): string[] =>
  tester.of(subscription).flatMap(({ event }) => event ?? []);
/** The line of market data that was asked for last, by its number on the wire. */
const lineOf = (symbol: string): number =>
  Number(
    asked('reqMktData')
      .filter(({ fields: words }) => words[4] === symbol)
      .at(-1)?.fields[2],
  );

let slow: Slow;
beforeAll(async () => {
  slow = await startSlow();
}, 40_000);
afterAll(() => slow.patient.stop());

const longest = 'A-z.0_9'.padEnd(32, 'x');
const promises: Promises = {
  '1. clientOrderId is the orderRef of the broker, unchanged, and every record of his leads back to it':
    async () => {
      await place({ clientOrderId: longest });
      const { clientOrderId: generated } = (await place()).body;
      for (const id of [longest, generated]) {
        expect(writtenOrders(whole.simulator).map(({ orderRef }) => orderRef)).toContain(id);
        expect((await get(`/v1/orders/${id}`)).body.permIds).toEqual([String(brokerOf(whole, id).permId)]);
        const { execId, orderRef } = fill(id, 4);
        expect(orderRef).toBe(id);
        await whole.order(id, ({ filledQuantity }) => filledQuantity === '4');
        expect(await executionsOf(id)).toMatchObject([{ execId, quantity: '4' }]);
      }
    },

  '2. trading is open only while the lists of this session are complete; what it refuses leaves nothing':
    async () => {
      const { faults } = whole.simulator;
      const refusal = async (reason: string) => {
        expect(await gate()).toBe(503);
        expect((await get('/health/ready', {})).status).toBe(200);
        const sent = asked('placeOrder').length;
        const { body } = await refused(place({ clientOrderId: reason }), 503, 'trading-unavailable');
        expect(body.reason).toBe(reason);
        await refused(get(`/v1/orders/${reason}`), 404, 'order-not-found');
        expect(asked('placeOrder')).toHaveLength(sent);
      };
      const ends = [
        [1102, 'openOrders', 'openOrderEnd'],
        [1101, 'executions', 'execDetailsEnd'],
        [1102, 'positions', 'positionEnd'],
      ] as const;
      for (const [code, missing, message] of ends) {
        faults.upstreamLost();
        await eventually(gate, (status) => status === 503);
        await refusal('severed');
        // What nobody could answer is not waited for.
        const questions = ['/v1/contracts?instrument=MSFT', '/v1/contracts/search?pattern=MS'];
        for (const path of questions)
          expect(await get(path)).toMatchObject({ status: 503, body: { reason: 'severed' } });
        expect(await bars(whole, 'MSFT')).toMatchObject({ status: 503, body: { reason: 'severed' } });
        const end = faults.hold({ messages: [message] });
        faults.upstreamBack(code);
        // Clients are shown lists when they have been weighed; until then only the asking actor knows.
        const { child } = whole.program.runtime;
        const missed = () =>
          Object.values(child('reconciliation').getSnapshot().context.lists).flatMap(({ list, outcome }) =>
            list === 'account' || outcome === 'complete' ? [] : [list],
          );
        await eventually(missed, (lists) => end.acted > 0 && String(lists) === missing);
        await refusal('reconciling');
        end.clear();
        faults.releaseHeld();
        await whole.untilTrading();
        expect(missed()).toEqual([]);
        expect((await place()).status).toBe(201);
      }
    },

  '3. an acknowledged order that lists lack is in doubt, never ended by absence': async () => {
    const { patient, doubts } = slow;
    const { seen, pauses, settled, unlisting } = await doubts;
    for (const id of ['unlisted', 'ended']) {
      expect(seen[id]).toMatchObject({ state: 'inDoubt', reason: { code: 'missing-at-broker' } });
      expect(settled[id]).toMatchObject({ state: 'inDoubt' });
    }
    expect(pauses.at(-1)).toBeGreaterThan(pauses[0] ?? 0);
    for (const each of unlisting) each.clear();
    await compareNow(patient);
    await patient.order('unlisted', ({ state }) => state === 'working', 20_000);
    await patient.order('ended', ({ state }) => state === 'cancelled', 20_000);
  },
  '3. an order without an answer is in doubt, and asked about until evidence settles it': async () => {
    const { seen, sentAt, unansweredAskedAt, settled } = await slow.doubts;
    for (const id of ['lost', 'unanswered'])
      expect(seen[id]).toMatchObject({ state: 'inDoubt', permIds: [], reason: { code: 'unanswered' } });
    expect(unansweredAskedAt - sentAt).toBeLessThan(10_000);
    expect(settled.unanswered).toMatchObject({ state: 'working', permIds: [expect.any(String)] });
    expect(settled.lost).toMatchObject({ state: 'rejected', reason: { code: 'not-at-broker' } });
    expect(received(slow.patient, 'placeOrder')).toHaveLength(4);
  },

  '4. orders of others are there, with names of ours that last': async () => {
    const { exchange } = whole.simulator;
    const [account = ''] = exchange.accounts;
    const msft = await contractOf('MSFT');
    const enter = (more: object) =>
      exchange.script.external({
        contract: brokerOf(whole, longest).contract,
        ...{ action: 'BUY', totalQuantity: 5, orderType: 'LMT', lmtPrice: 1, account, ...more },
      });
    const ofTws = enter({});
    const ofAnother = enter({ clientId: 7, orderId: 3, orderRef: 'theirs' });
    exchange.script.fill(ofAnother.permId, 2, 1);
    exchange.script.setPosition(account, msft.conId, 6, 100);
    const { permId: liquidation } = exchange.script.liquidate(account, msft.conId);
    await compareNow(whole);
    const wanted = [
      { origin: 'external', permIds: [String(ofTws.permId)], state: 'working', filledQuantity: '0' },
      { origin: 'external', permIds: [String(ofAnother.permId)], state: 'working', filledQuantity: '2' },
      { origin: 'liquidation', permIds: [String(liquidation)], state: 'filled', filledQuantity: '6' },
    ];
    const others = async (): Promise<Row[]> =>
      (await everyRow(whole, '/v1/orders?state=all', 'orders'))
        .filter(({ origin }) => origin !== 'api')
        .reverse();
    const byPermId = (rows: readonly Row[]) =>
      wanted.map(({ permIds }) => rows.find((row) => row.permIds[0] === permIds[0]));
    const listed = byPermId(
      await eventually(
        others,
        (rows) => rows.length === 3 && rows.some(({ origin }) => origin === 'liquidation'),
      ),
    );
    expect(listed).toMatchObject(wanted);
    const names = listed.map(({ clientOrderId }) => clientOrderId);
    for (const name of names) expect(name).toMatch(/^[A-Za-z0-9._-]{1,32}$/);
    expect(new Set([...names, 'theirs']).size).toBe(4);
    // Whoever was liquidated may only reduce, until a person says otherwise.
    expect((await call('PUT', '/v1/trading', { state: 'open' })).body.state).toBe('open');
    await whole.restart();
    expect(byPermId(await others()).map(({ clientOrderId }) => clientOrderId)).toEqual(names);
    expect((await get(`/v1/orders/${names[0]}`)).body).toMatchObject(wanted[0] ?? {});
  },

  '5. one durable row for each execution, after corrections, of whomever': async () => {
    const { faults, exchange } = whole.simulator;
    await place({ clientOrderId: 'corrected' });
    const silence = faults.swallow({ messages: ['commissionReport'] });
    const first = fill('corrected', 4);
    await whole.order('corrected', ({ filledQuantity }) => filledQuantity === '4');
    const booked = await eventually(
      () => executionsOf('corrected'),
      ({ length }) => length > 0,
    );
    expect(booked).toEqual([
      {
        ...booked[0],
        execId: first.execId,
        clientOrderId: 'corrected',
        account: exchange.accounts[0],
        instrument: 'AAPL',
        side: 'buy',
        quantity: '4',
        price: '1',
        commission: null,
        realizedPnl: null,
        at: new Date(Math.floor(first.time / 1_000) * 1_000).toISOString(),
      },
    ]);
    silence.clear();
    const second = exchange.script.correct(first.execId, { shares: 3, price: 1.01 });
    await compareNow(whole);
    const rows = () => executionsOf('corrected');
    const [row] = await eventually(
      rows,
      ([found]) => found.execId === second.execId && found.commission !== null,
    );
    expect(row).toMatchObject({
      quantity: '3',
      price: '1.01',
      currency: 'USD',
      commission: expect.any(String),
    });
    expect(
      (await whole.order('corrected', ({ filledQuantity }) => filledQuantity === '3')).fills,
    ).toHaveLength(1);
    await whole.restart();
    expect(await rows()).toEqual([row]);
    await expectBooksAgree(whole);
  },

  '6. a quote is the flat row of the stream; it is not live while another session has the data': async () => {
    const { faults } = whole.simulator;
    const tester = await open();
    const id = await tester.subscribe('quotes', { keys: ['AAPL', 'MSFT'] });
    await eventually(
      () => quote('MSFT'),
      ({ status, bid }) => status === 'live' && bid > 0,
    );
    const flat = await eventually(
      () => quote('AAPL'),
      ({ status, bid }) => status === 'live' && bid > 0,
    );
    const { rows = [] } = await tester.heard(
      ({ subscription, rows: [row] = [] }) => subscription === id && row?.key === 'AAPL',
    );
    for (const name of fields(flat)) expect(typeof flat[name]).toMatch(/string|number/);
    expect(fields(flat)).toEqual(expect.arrayContaining(fields(rows[0]).filter((name) => name !== 'merged')));

    const { child } = whole.program.runtime;
    const line = (key: string): Row => child('market').getSnapshot().children[`line:${key}`]?.getSnapshot();
    for (const code of [10_090, 10_167]) {
      faults.injectError(lineOf('MSFT'), code, 'Part of requested market data is not subscribed.');
      await eventually(
        () => line('MSFT').context.note?.code,
        (noted) => noted === String(code),
      );
      expect(await quote('MSFT')).toMatchObject({ status: 'live' });
    }
    const before = asked('reqMktData').length;
    faults.injectError(lineOf('AAPL'), 10_197, 'No market data during competing live session');
    await eventually(
      () => quote('AAPL'),
      ({ status }) => status !== 'live',
    );
    await tester.heard(({ rows: changed = [] }) =>
      changed.some(({ key, status }) => key === 'AAPL' && status === 'stale'),
    );
    expect(whole.program.runtime.market.line('AAPL')).toMatchObject({
      standing: 'refused',
      reason: { code: '10197' },
      retryAfterMs: 30_000,
    });
    expect((await quote('MSFT')).status).toBe('live');
    expect(asked('reqMktData')).toHaveLength(before);
    tester.close();
  },

  '7. farms do not pass while one of them is broken, and name it': async () => {
    const { faults } = whole.simulator;
    const farms = () => component('farms');
    await eventually(farms, ({ status }) => status === 'pass');
    const broken: string[] = [];
    for (const name of ['usfarm', 'ushmds', 'secdefil']) {
      faults.farmBroken(name);
      broken.push(name);
      const found = await eventually(farms, (each) => each.broken.length === broken.length);
      expect(found).toMatchObject({ status: 'warn', broken: expect.arrayContaining(broken) });
      const reasons = (await detailed()).reasons.filter(({ code }: Row) => code === 'farm-broken');
      expect(reasons.map(({ detail }: Row) => detail).join()).toContain(name);
    }
    while (broken.length > 0) {
      expect(await farms()).not.toMatchObject({ status: 'pass' });
      faults.farmOk(broken.pop() ?? '');
      await eventually(farms, (each) => each.broken.length === broken.length);
    }
    expect(await farms()).toMatchObject({ status: 'pass', broken: [] });
  },

  '8. bars: a pacing violation is waited out, or answered with a time to come back': async () => {
    const paced = await slow.paced;
    expect(paced.status).toBe(200);
    expect(paced.body.bars.length).toBeGreaterThan(1);
    const { status, headers, body } = await slow.refusedForPace;
    expect({ status, code: body.code, reason: body.reason }).toEqual({
      status: 429,
      code: 'too-many-requests',
      reason: '162',
    });
    const requests = received(slow.patient, 'reqHistoricalData').map(({ fields: words }) => words[3]);
    expect(requests.toSorted()).toEqual(['AAPL', 'AAPL', 'AAPL', 'MSFT', 'MSFT']);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  },
  '8. no data is an empty list': async () => {
    const endRefusal = refuseBars(whole, 'NVDA', 'HMDS query returned no data: NVDA@SMART Trades');
    expect(await bars(whole, 'NVDA')).toMatchObject({ status: 200, body: { bars: [], next: null } });
    endRefusal();
  },
  '8. every list takes after and limit': async () => {
    const single: string[] = [];
    await place({ clientOrderId: 'second-position', instrument: 'NVDA' });
    fill('second-position', 10);
    await whole.order('second-position', ({ state }) => state === 'filled');
    await eventually(
      () => quantityOf(whole, 'NVDA'),
      (quantity) => quantity === '10',
    );
    expect(fields((await get('/v1/orders?limit=2')).body).sort()).toEqual(['next', 'orders']);
    for (const [path, noun] of [
      ['/v1/orders?state=all', 'orders'],
      ['/v1/positions?', 'positions'],
      ['/v1/executions?', 'executions'],
      ['/v1/contracts?instrument=AAPL', 'contracts'],
      ['/v1/contracts/search?pattern=A', 'contracts'],
      ['/v1/bars/AAPL?duration=1%20D&barSize=1%20hour', 'bars'],
      ['/v1/journal?', 'facts'],
      ['/v1/actors?', 'actors'],
    ] as const) {
      const page = async (limit: number, after = '') => {
        const { status, body } = await get(`${path}&limit=${limit}${after}`);
        expect({ path, status }).toEqual({ path, status: 200 });
        expect(fields(body)).toEqual(has(noun, 'next'));
        return body;
      };
      const first = await page(1);
      expect(first[noun].length, path).toBeLessThanOrEqual(1);
      if (first.next === null) {
        single.push(path);
        continue;
      }
      const second = await page(1, `&after=${encodeURIComponent(first.next)}`);
      const both = (await page(2))[noun];
      const name = (row: Row) =>
        row.clientOrderId ?? row.execId ?? row.seq ?? row.id ?? row.time ?? row.contract.conId;
      expect([...first[noun], ...second[noun]].map(name), path).toEqual(both.map(name));
      expect(new Set(both.map(name)).size, path).toBe(2);
    }
    expect(single).toEqual(['/v1/contracts?instrument=AAPL']);
  },

  '9. an event is a change, and loss and recovery of the link are told in pairs': async () => {
    const { faults } = whole.simulator;
    const tester = await open();
    const of: Record<string, number> = {};
    for (const channel of ['orders', 'positions', 'alerts', 'health'])
      of[channel] = await tester.subscribe(channel);
    const told = (channel: string, fits: RegExp) =>
      tester.of(of[channel] ?? 0).filter(({ event }) => fits.test(event ?? '')) as Row[];
    const reconciled = (times: number) =>
      eventually(
        () => told('health', /^session\.reconciled$/),
        ({ length }) => length === times,
        20_000,
      );
    faults.duplicate(
      { messages: ['openOrder', 'orderStatus', 'execDetails', 'commissionReport'] },
      { copies: 2 },
    );
    await place({ clientOrderId: 'told-once', instrument: 'TSLA' });
    fill('told-once', 4);
    fill('told-once', 6);
    await whole.order('told-once', ({ state, commission }) => state === 'filled' && commission !== null);
    await compareNow(whole);
    await reconciled(1);
    const before = asked('startApi').length;
    faults.drop();
    await reconciled(2);
    expect(asked('startApi')).toHaveLength(before + 1);
    await whole.untilTrading();
    faults.clear();
    await compareNow(whole);
    const mine = told('orders', /./).filter(({ order }) => order.clientOrderId === 'told-once');
    const filled = mine
      .filter(({ event }) => event === 'order.filled')
      .map(({ order }) => order.filledQuantity);
    expect(filled).toEqual(['4', '10']);
    // That an order has left changes nothing in it.
    const pictures = mine
      .filter(({ event }) => event !== 'order.sent')
      .map(({ order: { updatedAt: _, version: __, ...picture } }) => JSON.stringify(picture));
    expect(new Set(pictures).size).toBe(mine.length - 1);
    const tesla = told('positions', /./).filter(({ position }) => position?.instrument === 'TSLA');
    expect(tesla.map(({ position }) => position.quantity)).toContain('10');
    expect(told('health', /^tws\.(lost|ready|severed|restored)$/).map(({ event }) => event)).toEqual([
      ...['tws.severed', 'tws.restored', 'tws.lost', 'tws.ready', 'tws.severed', 'tws.restored'],
    ]);
    tester.close();
  },

  '10. a change is 202 while it is on its way; what the broker says of it shows': async () => {
    const { faults } = whole.simulator;
    const tester = await open();
    const id = await tester.subscribe('orders');
    const { orderId } = (await place({ clientOrderId: 'changing' })).body;
    const change = (limitPrice: string) => call('PATCH', '/v1/orders/changing', { limitPrice });
    const settled = (limitPrice: string) =>
      whole.order('changing', (order) => order.state === 'working' && order.limitPrice === limitPrice);
    const words = faults.hold({ messages: ['openOrder', 'orderStatus'], fields: { 1: orderId } });
    const underWay = { state: 'modifying', limitPrice: '1.00', pendingChange: { limitPrice: '1.10' } };
    expect(await change('1.10')).toMatchObject({ status: 202, body: underWay });
    expect((await get('/v1/orders/changing')).body).toMatchObject(underWay);
    words.clear();
    faults.releaseHeld();
    expect(await settled('1.10')).toMatchObject({ pendingChange: null, reason: null });
    expect(await change('1.10')).toMatchObject({
      status: 200,
      body: { state: 'working', limitPrice: '1.10' },
    });
    expect((await change('1.101')).status).toBe(202);
    expect(
      await whole.order('changing', ({ state, reason }) => state === 'working' && reason !== null),
    ).toMatchObject({
      limitPrice: '1.10',
      pendingChange: null,
      reason: { code: '110', message: expect.any(String) },
    });
    faults.injectError(
      orderId,
      399,
      'Order Message: your order will not be placed at the exchange until 09:30.',
    );
    const { notices } = await whole.order('changing', (order) => order.notices.length > 1);
    expect(notices.at(-1)).toMatchObject({ code: 399, message: expect.stringContaining('09:30') });
    await eventually(
      () => new Set(events(tester, id)),
      (told) =>
        ['order.modifyRequested', 'order.modified', 'order.modifyRejected', 'order.noticed'].every((event) =>
          told.has(event),
        ),
    );
    tester.close();
  },

  '11. a frame that cannot be decoded is kept, counted and told; one about an order leads to questions':
    async () => {
      const { faults } = whole.simulator;
      const count = async () => (await component('tws')).undecodable;
      const told = () => alerts(whole, 'tws.undecodable');
      const before = await count();
      expect(await told()).toEqual([]);
      faults.inject([6, 2, 'NetLiquidation']);
      await eventually(told, ({ length }) => length === 1);
      await untilQuiet(whole);
      const questions = asked('reqExecutions').length;
      faults.inject([11, 7, 99, 'AAPL']);
      const [other, execution] = await eventually(told, ({ length }) => length === 2);
      expect(other.payload.alert).toMatchObject({ text: '6|2|NetLiquidation|', concernsOrders: false });
      expect(execution.payload.alert).toMatchObject({ text: '11|7|99|AAPL|', concernsOrders: true });
      await eventually(
        () => asked('reqExecutions').length,
        (now) => now > questions,
      );
      expect(await count()).toBe(before + 2);
      expect((await component('tws')).status).toBe('warn');
      for (let n = 0; n < 60; n += 1) faults.inject([11, 7, 99, 'AAPL']);
      await eventually(count, (now) => now === before + 62);
      await eventually(told, (rows) => rows.at(-1).payload.alert.text === '');
      expect((await told()).length).toBeLessThan(30);
      expect((await place({ clientOrderId: 'after-garbage' })).status).toBe(201);
    },
  '11. a server of another age leaves the process up, and the reason is told': async () => {
    const { patient } = slow;
    patient.simulator.faults.offerVersion(99);
    patient.simulator.faults.drop();
    const health = async () => (await patient.call('GET', '/health/detailed')).body;
    const { components, gates } = await eventually(
      health,
      (found) => found.components.tws.reason?.code === 'versionUnsupported',
      20_000,
    );
    expect(components.tws).toMatchObject({
      status: 'fail',
      reason: { message: expect.stringContaining('99') },
    });
    expect(gates).toMatchObject({ live: true, started: true, ready: true, trading: false });
    expect((await patient.call('GET', '/v1/orders/unanswered')).status).toBe(200);
  },

  "12. the broker's position is the truth; executions inside it are not added again": async () => {
    const { faults, exchange } = whole.simulator;
    const [account = ''] = exchange.accounts;
    const amzn = await contractOf('AMZN');
    const held = () => quantityOf(whole, 'AMZN');
    const inside = async () =>
      (await positions(whole)).find(({ instrument }) => instrument === 'AMZN') ?? { quantity: '0' };
    await place({ clientOrderId: 'inside', instrument: 'AMZN' });
    // The position is told first, and the execution that made it later.
    const late = faults.hold({ messages: ['execDetails', 'commissionReport'] });
    fill('inside', 4);
    await eventually(held, (quantity) => quantity === '4');
    late.clear();
    faults.releaseHeld();
    await whole.order('inside', ({ filledQuantity }) => filledQuantity === '4');
    expect(await eventually(inside, ({ confirmed }) => confirmed)).toMatchObject({ quantity: '4' });
    // The other way round.
    const mute = faults.hold({ messages: ['position', 'updatePortfolio'] });
    fill('inside', 3);
    await eventually(held, (quantity) => quantity === '7');
    expect(await inside()).toMatchObject({ confirmed: false });
    mute.clear();
    faults.releaseHeld();
    expect(await eventually(inside, ({ confirmed }) => confirmed)).toMatchObject({ quantity: '7' });
    // Both in the lists of a new session, and once more after a restart.
    await whole.restart(() => fill('inside', 3));
    await whole.order('inside', ({ state }) => state === 'filled');
    expect(await eventually(inside, ({ confirmed }) => confirmed)).toMatchObject({ quantity: '10' });
    expect((await executionsOf('inside')).map(({ quantity }) => quantity).toSorted()).toEqual([
      '3',
      '3',
      '4',
    ]);
    exchange.script.setPosition(account, amzn.conId, 25, 100);
    expect(await eventually(inside, ({ quantity }) => quantity === '25')).toBeDefined();
    await whole.restart();
    expect(await inside()).toMatchObject({ quantity: '25' });
    await expectBooksAgree(whole);
    expect(whole.simulator.conformance()).toEqual([]);
  },
};

contract({ 'what the words promise': promises }, {});
