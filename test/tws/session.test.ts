import { afterEach, expect, test } from 'vitest';
import { type Link, type LinkOptions, place, startLink } from './link.ts';
import { frame, type Peer, type PeerBehaviour, startPeer, until } from './peer.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function peerOf(behaviour?: Partial<PeerBehaviour>): Promise<Peer> {
  const peer = await startPeer(behaviour);
  stops.push(() => peer.close());
  return peer;
}
function linkTo(peer: Peer, options: Omit<LinkOptions, 'port'> = {}): Link {
  const link = startLink({ port: peer.port, ...options });
  stops.push(() => link.stop());
  return link;
}

/** openOrder of version 193 for a plain stock order. */
function openOrder(orderId: number, orderRef: string, status: string, permId = 900 + orderId): string {
  const unset = '1.7976931348623157E308';
  const nine = Array(9).fill(unset).join('|');
  return (
    `5|${orderId}|265598|AAPL|STK||0|?||SMART|USD|AAPL|NMS|BUY|10|LMT|187.2|0.0|DAY||DU1234567||0|${orderRef}|7|${permId}` +
    `|0|0|0||${permId}.0/DU1234567/100|||||||||0||-1|0||||||2147483647|0|0|0||3|0|0||0|0||0|None||0||||?|0|0||0|0||||||0|0|0` +
    `|2147483647|2147483647|||0||IB|0|0||0|0|${status}|${nine}||||||0|0|0|None|${Array(6).fill(unset).join('|')}|0||||0|1|0|0|0|||0||100|0.02|||||0||0|`
  );
}
const say = (peer: Peer, text: string): void => peer.last.send(...text.split('|'));

test('a session is ready after accounts, order id and an answered probe, and carries an order to its fill', async () => {
  const peer = await peerOf({
    onMessage(connection, message) {
      if (message[0] !== '3') return;
      const orderId = Number(message[1]);
      connection.send(...openOrder(orderId, message[26] ?? '', 'Submitted').split('|'));
      connection.send(3, orderId, 'Submitted', 0, 10, 0, 900 + orderId, 0, 0, 7, '', 0);
      connection.send(
        ...`11|-1|${orderId}|265598|AAPL|STK||0.0|||IEX|USD|AAPL|NMS|0000e0d5.01.01|20260115 10:00:01 America/New_York|DU1234567|IEX|BOT|10|187.19|${900 + orderId}|7|0|10|187.19|${message[26]}||||2|0`.split(
          '|',
        ),
      );
      connection.send(3, orderId, 'Filled', 10, 0, 187.19, 900 + orderId, 0, 187.19, 7, '', 0);
      connection.send(
        59,
        1,
        '0000e0d5.01.01',
        '0.35',
        'USD',
        '1.7976931348623157E308',
        '1.7976931348623157E308',
        '',
      );
    },
  });
  const link = linkTo(peer);
  link.send({ type: 'tws.connect' });
  const ready = await link.hears('tws.ready');
  expect(ready).toMatchObject({ accounts: ['DU1234567'], serverVersion: 193, orderId: 100 });
  expect(link.hasTag('tradable')).toBe(true);
  expect(peer.last.clientId).toBe(7);

  link.send(place(100));
  expect(link.told.at(-1)).toMatchObject({ type: 'dispatch.sent', orderId: 100, sessionId: ready.sessionId });
  const commission = await link.hears('broker.commissioned');
  expect(commission).toMatchObject({ commission: '0.35', realizedPnl: null });
  expect(link.all('broker.orderSeen')[0]).toMatchObject({
    ids: { orderId: 100, clientId: 7, permId: '1000', orderRef: 'c-100' },
    status: 'working',
    terms: { limitPrice: '187.2', quantity: '10', type: 'limit', side: 'buy', timeInForce: 'day' },
  });
  expect(link.all('broker.executed')[0]?.execution).toMatchObject({
    quantity: '10',
    price: '187.19',
    executedAt: '2026-01-15T15:00:01.000Z',
    liquidation: false,
  });
  expect(link.all('broker.statusSeen').map(({ status }) => status)).toEqual(['working', 'filled']);
  expect(link.all('tws.undecodable')).toEqual([]);
  // Exact text on the wire, all 118 fields, and transmit said aloud.
  const sent = peer.last.messages.find(([kind]) => kind === '3') ?? [];
  expect(sent.length).toBe(118);
  expect([sent[16], sent[18], sent[19], sent[27]]).toEqual(['BUY', 'LMT', '187.20', '1']);
});

test('everything survives being cut into single bytes', async () => {
  const peer = await peerOf({ greet: false, accounts: null, nextOrderId: null });
  const link = linkTo(peer);
  link.send({ type: 'tws.connect' });
  await until(() => peer.connections.length === 1, 'a connection');
  const bytes = Buffer.concat([
    frame(193, '20260115 10:00:00 America/New_York'),
    frame(4, 2, -1, 2104, 'Market data farm connection is OK:usfarm', ''),
    frame(15, 1, 'DU1,DU2,'),
    frame(9, 1, 55),
  ]);
  for (const byte of bytes) {
    peer.last.socket.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await link.hears('tws.ready')).toMatchObject({ accounts: ['DU1', 'DU2'], orderId: 55 });
  expect(await link.hears('tws.farmChanged')).toMatchObject({
    farm: { name: 'usfarm', kind: 'market', status: 'ok' },
  });
});

test('a socket that goes silent is found by the heartbeat, and a new session is built in the same process', async () => {
  const peer = await peerOf();
  const link = linkTo(peer, { delays: { heartbeatDeadline: 200 } });
  link.send({ type: 'tws.connect' });
  const first = await link.hears('tws.ready');
  peer.behaviour.answersTime = false;
  peer.connections[0]?.socket.pause();
  expect(await link.hears('tws.lost')).toMatchObject({ sessionId: first.sessionId, cause: 'silent' });
  peer.behaviour.answersTime = true;
  const second = await link.hears('tws.ready', 2);
  expect(second.sessionId).not.toBe(first.sessionId);
  expect(peer.connections.every(({ clientId }) => clientId === null || clientId === 7)).toBe(true);
  link.send(place(101));
  expect(link.all('dispatch.sent')).toHaveLength(1);
});

test('text that would be other fields of a message never reaches the wire, and the session lives on', async () => {
  const peer = await peerOf();
  const link = linkTo(peer);
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  const { ticket, ...order } = place(101);
  const contract = { ...ticket.contract, localSymbol: 'AAPL\0\0\0\0SELL\x009000\0MKT' };
  link.send({ ...order, ticket: { ...ticket, contract } });
  expect(await link.hears('dispatch.withheld')).toMatchObject({
    reason: expect.stringContaining('control character'),
  });
  link.send(place(102));
  expect(await link.hears('dispatch.sent')).toMatchObject({ orderId: 102 });
});

test('a port that accepts while nothing speaks behind it is not a gateway', async () => {
  const peer = await peerOf({ greet: false });
  const link = linkTo(peer, { delays: { greetingDeadline: 200 } });
  link.send({ type: 'tws.connect' });
  await until(() => peer.connections.length >= 3, 'three attempts');
  expect(peer.alive).toBeLessThanOrEqual(1);
  expect(link.tws().getSnapshot().context.lastCause).toBe('greetingTimeout');
  expect(link.all('tws.ready')).toEqual([]);
  peer.behaviour.greet = true;
  await link.hears('tws.ready');
});

test('a client id in use is asked for again, always the same, one socket at a time', async () => {
  let most = 0;
  let refusals = 6;
  const peer = await peerOf({
    accounts: null,
    nextOrderId: null,
    onStart(connection) {
      most = Math.max(most, peer.alive);
      if (refusals > 0) {
        refusals -= 1;
        connection.send(4, 2, -1, 326, 'Unable to connect as the client id is already in use.', '');
        connection.socket.end();
      } else {
        connection.send(15, 1, 'DU1234567');
        connection.send(9, 1, 100);
      }
    },
  });
  const link = linkTo(peer);
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  expect(most).toBe(1);
  expect(peer.connections.map(({ clientId }) => clientId)).toEqual(Array(7).fill(7));
  expect(link.all('tws.lost')).toEqual([]);
  expect(link.tws().getSnapshot().context.lastCause).toBe('clientIdInUse');
});

test('an order given while nothing is connected is withheld and never arrives later', async () => {
  const peer = await peerOf();
  const link = linkTo(peer);
  link.send({ ...place(100), at: 1_234 });
  expect(link.told).toEqual([
    {
      type: 'dispatch.withheld',
      clientOrderId: 'c-100',
      orderId: 100,
      what: 'place',
      reason: 'not-connected',
      at: 1_234,
    },
  ]);
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  await until(() => peer.last.messages.filter(([kind]) => kind === '49').length >= 3, 'three probes');
  expect(peer.last.messages.filter(([kind]) => kind === '3')).toEqual([]);
});

test('what waits for pacing when a session is lost is withheld, and nothing of it meets the next session', async () => {
  const peer = await peerOf();
  const link = linkTo(peer, {
    pacing: { perSecond: 12, reserved: { cancel: 1, order: 4, control: 4, data: 1 } },
  });
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  for (let id = 100; id < 140; id += 1) link.send(place(id));
  const sent = link.all('dispatch.sent').length;
  expect(sent).toBeGreaterThan(0);
  expect(sent).toBeLessThan(12);
  await until(() => peer.last.messages.filter(([kind]) => kind === '3').length === sent, 'what was sent');
  peer.last.socket.resetAndDestroy();
  await link.hears('tws.ready', 2);
  expect(link.all('dispatch.withheld')).toHaveLength(40 - sent);
  expect(new Set(link.all('dispatch.withheld').map(({ orderId }) => orderId)).size).toBe(40 - sent);
  await until(() => peer.last.messages.filter(([kind]) => kind === '49').length >= 2, 'heartbeats');
  expect(peer.last.messages.filter(([kind]) => kind === '3')).toEqual([]);
});

test('the same holds when it is we who give the session up', async () => {
  const peer = await peerOf();
  const link = linkTo(peer, {
    pacing: { perSecond: 8, reserved: { cancel: 1, order: 1, control: 4, data: 1 } },
  });
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  for (let id = 100; id < 120; id += 1) link.send(place(id));
  const sent = link.all('dispatch.sent').length;
  link.send({ type: 'tws.disconnect' });
  expect(link.all('dispatch.withheld')).toHaveLength(20 - sent);
  expect(link.all('tws.lost')).toMatchObject([{ cause: 'asked' }]);
});

test('an execution is passed on whatever the link says, orders are held back, cancels go out', async () => {
  const peer = await peerOf();
  const link = linkTo(peer);
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  const notice = (code: number, text: string): void => peer.last.send(4, 2, -1, code, text, '');
  notice(1100, 'Connectivity between IB and Trader Workstation has been lost.');
  notice(1100, 'Connectivity between IB and Trader Workstation has been lost.');
  say(
    peer,
    '11|-1|5|265598|AAPL|STK||0.0|||IEX|USD|AAPL|NMS|0000aaaa.01.01|20260115 10:00:01 America/New_York|DU1234567|IEX|SLD|3|10.5|77|7|0|3|10.5|c-5||||2|0',
  );
  await link.hears('broker.executed');
  expect(link.hasTag('connected')).toBe(true);
  expect(link.hasTag('tradable')).toBe(false);
  link.send(place(100));
  expect(link.all('dispatch.withheld')).toMatchObject([{ reason: 'severed', what: 'place' }]);
  link.send({ type: 'tws.cancel', clientOrderId: 'c-5', orderId: 5 });
  expect(link.all('dispatch.sent')).toMatchObject([{ what: 'cancel', orderId: 5 }]);
  notice(1102, 'Connectivity between IB and Trader Workstation has been restored - data maintained.');
  expect(await link.hears('tws.restored')).toMatchObject({ dataLost: false });
  expect(link.all('tws.severed')).toHaveLength(1);
  expect(link.hasTag('tradable')).toBe(true);
  notice(1101, 'Connectivity between IB and TWS has been restored- data lost.');
  expect(await link.hears('tws.restored', 2)).toMatchObject({ dataLost: true });
  expect(link.all('tws.severed')).toHaveLength(2);
  expect(peer.connections).toHaveLength(1);
});

test('farms that flap never touch the socket', async () => {
  const peer = await peerOf();
  const link = linkTo(peer);
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  for (let round = 0; round < 40; round += 1) {
    for (const farm of ['usfarm', 'eufarm', 'cashfarm']) {
      peer.last.send(4, 2, -1, 2103, `Market data farm connection is broken:${farm}`, '');
      if (round < 39) peer.last.send(4, 2, -1, 2104, `Market data farm connection is OK:${farm}`, '');
    }
  }
  await link.hears('tws.farmChanged', 40 * 6 - 3);
  expect(link.hasTag('degraded')).toBe(true);
  expect(link.hasTag('tradable')).toBe(true);
  for (const farm of ['usfarm', 'eufarm', 'cashfarm']) {
    peer.last.send(4, 2, -1, 2119, `Market data farm is connecting:${farm}`, '');
  }
  // No change, and so not told; another farm is, after them.
  peer.last.send(4, 2, -1, 2106, 'HMDS data farm connection is OK:ushmds', '');
  expect(await link.hears('tws.farmChanged', 40 * 6 - 2)).toMatchObject({ farm: { name: 'ushmds' } });
  expect(link.hasTag('degraded')).toBe(true);
  for (const farm of ['usfarm', 'eufarm', 'cashfarm']) {
    peer.last.send(4, 2, -1, 2104, `Market data farm connection is OK:${farm}`, '');
  }
  await link.hears('tws.farmChanged', 40 * 6 + 1);
  expect(link.hasTag('degraded')).toBe(false);
  expect(peer.connections).toHaveLength(1);
  expect(link.all('tws.lost')).toEqual([]);
});

test('an unsupported version leaves the process up and says why', async () => {
  const peer = await peerOf({ version: 300 });
  const link = linkTo(peer, { delays: { retryPause: 60 } });
  link.send({ type: 'tws.connect' });
  await until(() => link.tws().getSnapshot().matches('refused'), 'the refusal');
  expect(link.tws().getSnapshot().context).toMatchObject({ lastCause: 'versionUnsupported' });
  expect(link.tws().getSnapshot().context.lastMessage).toContain('300');
  peer.behaviour.version = 193;
  await link.hears('tws.ready');
});

test('a greeting without a version, and bytes that are no frames, end the attempt', async () => {
  const peer = await peerOf({ version: 'hello' });
  const link = linkTo(peer);
  link.send({ type: 'tws.connect' });
  await until(() => link.tws().getSnapshot().context.lastCause === 'garbage', 'garbage');
  peer.behaviour.version = 193;
  await link.hears('tws.ready');
  // A length of -4 makes the library's own reader loop for ever.
  peer.last.socket.write(Buffer.from([0xff, 0xff, 0xff, 0xfc, 0, 0, 0, 0]));
  expect(await link.hears('tws.lost')).toMatchObject({ cause: 'garbage' });
  await link.hears('tws.ready', 2);
});

test('a message that cannot be decoded is kept with its bytes and harms no other', async () => {
  const peer = await peerOf();
  const link = linkTo(peer);
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  say(peer, '5|100|265598|AAPL|STK');
  expect(await link.hears('tws.undecodable')).toMatchObject({
    text: '5|100|265598|AAPL|STK|',
    concernsOrders: true,
  });
  // This one makes the decoder throw what it does not catch itself.
  say(peer, '4|2|100|201|Order rejected|{not json');
  await link.hears('tws.undecodable', 2);
  expect(link.all('broker.orderNoted')).toMatchObject([{ orderId: 100, code: 201, disposition: 'refusal' }]);
  // No NUL at its end: it must not swallow the beginning of the next.
  const bare = Buffer.from('3\x00100\x00Submitted\x000\x0010\x000\x00900\x000\x000\x007\x00\x000');
  const header = Buffer.alloc(4);
  header.writeInt32BE(bare.length);
  peer.last.socket.write(Buffer.concat([header, bare]));
  say(peer, '3|100|Bewildered|0|10|0|900|0|0|7||0');
  expect(await link.hears('tws.undecodable', 3)).toMatchObject({ concernsOrders: true });
  say(peer, '3|100|Filled|10|0|187.2|900|0|187.2|7||0');
  await until(() => link.all('broker.statusSeen').length === 2, 'both readable statuses');
  expect(link.all('broker.statusSeen').map(({ status }) => status)).toEqual(['working', 'filled']);
  expect(link.tws().getSnapshot().context.undecodableCount).toBe(3);
  expect(link.all('tws.lost')).toEqual([]);
  expect(JSON.parse(JSON.stringify(link.tws().getSnapshot().context))).toEqual(
    link.tws().getSnapshot().context,
  );
});

test('the socket sends without delay', async () => {
  const peer = await peerOf();
  const { openConnection } = await import('../../src/tws/library.ts');
  let connected = (): void => undefined;
  const standing = new Promise<void>((resolve) => {
    connected = resolve;
  });
  const connection = openConnection(
    { host: '127.0.0.1', port: peer.port, clientId: 3, now: Date.now },
    { connected, undecodable() {}, closed() {} },
  );
  stops.push(() => connection.close());
  await standing;
  const symbol = Object.getOwnPropertySymbols(connection.socket).find(
    ({ description }) => description === 'kSetNoDelay',
  );
  if (!symbol) throw new Error('this Node keeps no-delay elsewhere');
  expect(Reflect.get(connection.socket, symbol)).toBe(true);
});

test('an order reaches the socket within the turn in which it is placed', async () => {
  const peer = await peerOf();
  const link = linkTo(peer);
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  for (let line = 0; line < 30; line += 1) {
    link.gateway.openLine(
      { symbol: `S${line}` },
      { tick() {}, dataKind() {}, halted() {}, noted() {}, ended() {} },
    );
  }
  const before = link.gateway.figures().lanes.order.sent;
  link.send(place(100));
  expect(link.gateway.figures().lanes.order.sent).toBe(before + 1);
  expect(link.told.at(-1)).toMatchObject({ type: 'dispatch.sent', orderId: 100 });
});

test('error 100 slows the pace down and colours the loss that follows', async () => {
  const peer = await peerOf();
  const link = linkTo(peer);
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  peer.last.send(4, 2, -1, 100, 'Max rate of messages per second has been exceeded', '');
  expect(await link.hears('tws.noted')).toMatchObject({ code: 100, severity: 'warning' });
  peer.last.socket.end();
  expect(await link.hears('tws.lost')).toMatchObject({ cause: 'limited' });
});

test('an error on an order id is weighed, not obeyed', async () => {
  const peer = await peerOf();
  const link = linkTo(peer);
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  for (const code of [201, 10349, 399, 202, 10147, 10148, 103, 110, 99_999]) {
    peer.last.send(4, 2, 100, code, `text of ${code}`, '');
  }
  for (const state of ['Filled', 'PendingCancel'])
    peer.last.send(4, 2, 100, 10148, `OrderId 100 cannot be cancelled, state: ${state}.`, '');
  await link.hears('broker.orderNoted', 11);
  expect(link.all('broker.orderNoted').map(({ disposition }) => disposition)).toEqual([
    'refusal',
    'notice',
    'notice',
    'cancelled',
    'cancelTargetUnknown',
    'cancelTargetClosed',
    'duplicateOrderId',
    'refusal',
    'notice',
    'cancelTargetClosed',
    'notice',
  ]);
  expect(link.gateway.figures().unknownCodes).toBe(1);
});

test('what a live gateway once sent at version 173 reads as the fill that it was', async () => {
  const peer = await peerOf({ version: 173 });
  const link = linkTo(peer, { delays: { heartbeatPause: 5_000 } });
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  const unset = '1.7976931348623157E308';
  const seen = (status: string): string =>
    `5|5|265598|AAPL|STK||0|?||SMART|USD|AAPL|NMS|BUY|100|MKT|0.0|0.0|DAY||DU1234567||0||100|600745656|0|0|0||600745656.0/DU1234567/100||||||||||0||-1|0||||||2147483647|0|0|0||3|0|0||0|0||0|None||0||||?|0|0||0|0||||||0|0|0|2147483647|2147483647|||0||IB|0|0||0|0|${status}|${Array(9).fill(unset).join('|')}||||||0|0|0|None|${Array(6).fill(unset).join('|')}|0||||0|1|0|0|0|||0||100|0.02||`;
  for (const text of [
    seen('PreSubmitted'),
    '3|5|PreSubmitted|0|100|0|600745656|0|0|100||0',
    '11|-1|5|265598|AAPL|STK||0.0|||IEX|USD|AAPL|NMS|0000e0d5.67fe667b.01.01|20250415  19:38:31|DU1234567|IEX|BOT|100|201.94|600745656|100|0|100|201.94|||||2',
    seen('Filled'),
    '3|5|Filled|100|0|201.94|600745656|0|201.94|100||0',
    '61|3|DU1234567|637533641|ES|FUT|20250919|0.0||50||USD|ESU5|ES|1|315114.75',
    '4|2|-1|2107|HMDS data farm connection is inactive but should be available upon demand.ushmds|',
    '4|2|5|202|\\u59d4\\u6258\\u5355|',
  ]) {
    say(peer, text);
  }
  await link.hears('broker.orderNoted');
  await link.hears('broker.positionSeen');
  const ids = { orderId: 5, clientId: 100, permId: '600745656' };
  expect(
    link.told.filter(({ type }) => type.startsWith('broker.') && type !== 'broker.orderIdGranted'),
  ).toMatchObject([
    {
      type: 'broker.orderSeen',
      ids: { ...ids, orderRef: '' },
      status: 'working',
      terms: { type: 'market', quantity: '100' },
    },
    { type: 'broker.statusSeen', ids, status: 'working', filled: '0', remaining: '100', averagePrice: null },
    {
      type: 'broker.executed',
      ids,
      execution: {
        execId: '0000e0d5.67fe667b.01.01',
        price: '201.94',
        executedAt: '2025-04-15T23:38:31.000Z',
      },
    },
    { type: 'broker.orderSeen', ids, status: 'filled' },
    { type: 'broker.statusSeen', ids, status: 'filled', filled: '100', averagePrice: '201.94' },
    { type: 'broker.orderNoted', code: 202, message: '\u59d4\u6258\u5355', disposition: 'cancelled' },
    // It waited for its exchange, which nobody told.
    {
      type: 'broker.positionSeen',
      quantity: '1',
      averageCost: '315114.75',
      contract: { secType: 'FUT', multiplier: '50' },
    },
  ]);
  expect(link.all('broker.orderSeen')[0]?.terms).not.toHaveProperty('limitPrice');
  expect(link.all('tws.farmChanged')).toMatchObject([
    { farm: { name: 'ushmds', kind: 'history', status: 'inactive' } },
  ]);
  expect(link.all('tws.undecodable')).toEqual([]);
});
