import { afterEach, expect, test } from 'vitest';
import type { TickSink } from '../../machines/market.ts';
import { type BarsQuery, isFailure } from '../../src/tws/gateway.ts';
import { defaultPacing } from '../../src/tws/pacing.ts';
import { type Link, type LinkOptions, startLink, ticket } from './link.ts';
import { type Peer, type PeerBehaviour, type PeerConnection, startPeer, until } from './peer.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

type Answers = Readonly<Record<string, (connection: PeerConnection, message: readonly string[]) => void>>;

async function ready(
  answers: Answers,
  options: Omit<LinkOptions, 'port'> = {},
  behaviour: Partial<PeerBehaviour> = {},
): Promise<{ peer: Peer; link: Link }> {
  const peer = await startPeer({
    ...behaviour,
    onMessage: (connection, message) => answers[message[0] ?? '']?.(connection, message),
  });
  stops.push(() => peer.close());
  const link = startLink({ port: peer.port, requestTimeoutMs: 150, ...options });
  stops.push(() => link.stop());
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  return { peer, link };
}

const say = (connection: PeerConnection, text: string): void => connection.send(...text.split('|'));
const position = (quantity: number): string =>
  `61|3|DU1234567|265598|AAPL|STK||0.0|||NASDAQ|USD|AAPL|NMS|${quantity}|150.5`;

test('without a session every question fails, and none reads as empty', async () => {
  const link = startLink({ port: 9 });
  stops.push(() => link.stop());
  const { gateway } = link;
  for (const ask of [gateway.openOrders, gateway.completedOrders, gateway.executions, gateway.positions]) {
    expect(await ask()).toMatchObject({ outcome: 'failed', reason: 'not-connected' });
  }
  const answers = [
    await gateway.contractDetails({ symbol: 'AAPL' }),
    await gateway.search('AAPL'),
    await gateway.bars({ symbol: 'AAPL' }, query),
    await gateway.preview(ticket('c-1'), 5),
  ];
  for (const answer of answers) expect(answer).toMatchObject({ failed: { code: 'not-connected' } });
});

test('positions: complete with rows, complete and empty, joined when asked twice at once', async () => {
  let rows = 2;
  const { peer, link } = await ready({
    '61': (connection) => {
      for (let n = 0; n < rows; n += 1) say(connection, position(n + 1));
      say(connection, '62|1');
    },
  });
  const [first, second] = await Promise.all([link.gateway.positions(), link.gateway.positions()]);
  expect(second).toBe(first);
  expect(first).toMatchObject({ outcome: 'complete', rows: [{ quantity: '1' }, { quantity: '2' }] });
  expect(peer.last.messages.filter(([kind]) => kind === '61')).toHaveLength(1);
  expect(link.all('broker.positionSeen')).toHaveLength(2);
  rows = 0;
  expect(await link.gateway.positions()).toMatchObject({ outcome: 'complete', rows: [] });
});

test('a list without its end is a failure; its end, when it comes late, does not empty the next list', async () => {
  let swallowed = 1;
  const { peer, link } = await ready({
    '61': (connection) => {
      if (swallowed > 0) {
        swallowed -= 1;
        say(connection, position(5));
        return;
      }
      // The end owed to the first question comes now, before the rows of the second.
      say(connection, '62|1');
      say(connection, position(5));
      say(connection, '62|1');
    },
  });
  expect(await link.gateway.positions()).toMatchObject({ outcome: 'failed', reason: 'timeout' });
  expect(await link.gateway.positions()).toMatchObject({ outcome: 'complete', rows: [{ quantity: '5' }] });
  expect(peer.connections).toHaveLength(1);
});

test('a swallowed question costs an empty list one more question, never its truth', async () => {
  let asked = 0;
  const { link } = await ready({
    '16': (connection) => {
      asked += 1;
      if (asked > 1) say(connection, '53|1');
    },
  });
  expect(await link.gateway.openOrders()).toMatchObject({ outcome: 'failed', reason: 'timeout' });
  expect(await link.gateway.openOrders()).toMatchObject({ outcome: 'failed', reason: 'timeout' });
  expect(await link.gateway.openOrders()).toMatchObject({ outcome: 'complete', rows: [] });
});

test('a question that cannot even be sent fails, and the next one is asked', async () => {
  let isFull = false;
  const waitLimit = {
    ...defaultPacing.waitLimit,
    get control() {
      return isFull ? 0 : 200;
    },
  };
  const { peer, link } = await ready(
    { '61': (connection) => say(connection, '62|1') },
    { pacing: { waitLimit }, requestTimeoutMs: 15_000 },
  );
  isFull = true;
  expect(await link.gateway.positions()).toMatchObject({ outcome: 'failed', reason: 'too-many-waiting' });
  isFull = false;
  expect(await link.gateway.positions()).toMatchObject({ outcome: 'complete', rows: [] });
  expect(peer.last.messages.filter(([kind]) => kind === '61')).toHaveLength(1);
});

test('a row that cannot be read makes its list a failure', async () => {
  const { link } = await ready({
    '99': (connection) => {
      say(connection, '101|265598|AAPL');
      say(connection, '102');
    },
  });
  expect(await link.gateway.completedOrders()).toMatchObject({ outcome: 'failed', reason: /undecodable/ });
});

test('questions under way fail with the session that carried them', async () => {
  const { peer, link } = await ready(
    { '61': (connection) => say(connection, position(1)) },
    { requestTimeoutMs: 5_000 },
  );
  const asked = Promise.all([
    link.gateway.positions(),
    link.gateway.executions(),
    link.gateway.contractDetails({ symbol: 'AAPL' }),
    link.gateway.preview(ticket('c-9'), 9),
  ]);
  await until(() => peer.last.messages.some(([kind]) => kind === '9'), 'the questions');
  peer.last.socket.resetAndDestroy();
  expect(await asked).toMatchObject([
    { outcome: 'failed', reason: 'not-connected' },
    { outcome: 'failed', reason: 'not-connected' },
    { failed: { code: 'not-connected' } },
    { failed: { code: 'not-connected' } },
  ]);
});

test('executions are those of the question; live ones in between are facts only', async () => {
  const row = (id: string, execId: string): string =>
    `11|${id}|5|265598|AAPL|STK||0.0|||IEX|USD|AAPL|NMS|${execId}|20260115 10:00:01 America/New_York|DU1234567|IEX|BOT|10|187.19|900|7|0|10|187.19|c-5||||2|0`;
  const { link } = await ready({
    '7': (connection, message) => {
      const id = message[2] ?? '';
      expect(Number(id)).toBeGreaterThanOrEqual(2_000_000_000);
      say(connection, row(id, 'a.01'));
      say(connection, row('-1', 'live.01'));
      say(connection, `55|1|${id}`);
    },
  });
  expect(await link.gateway.executions()).toMatchObject({
    outcome: 'complete',
    rows: [{ execution: { execId: 'a.01' } }],
  });
  expect(link.all('broker.executed').map(({ execution }) => execution.execId)).toEqual(['a.01', 'live.01']);
});

const query: BarsQuery = { duration: '1 D', barSize: '1 min', whatToShow: 'TRADES', regularHoursOnly: true };

test('bars: ascending values, no data is empty, pacing tells when to come back, the rest is a failure', async () => {
  let answer = (_connection: PeerConnection, _id: string): void => undefined;
  const { link } = await ready({ '20': (connection, message) => answer(connection, message[1] ?? '') });
  answer = (connection, id) =>
    say(connection, `17|${id}|x|y|2|1768489200|1|2|0.5|1.5|100.5|1.2|7|20260115|1|2|0.5|1.5|10|1.2|7`);
  expect(await link.gateway.bars({ symbol: 'A' }, query)).toEqual([
    {
      time: '2026-01-15T15:00:00.000Z',
      open: 1,
      high: 2,
      low: 0.5,
      close: 1.5,
      volume: 100.5,
      wap: 1.2,
      count: 7,
    },
    { time: '2026-01-15', open: 1, high: 2, low: 0.5, close: 1.5, volume: 10, wap: 1.2, count: 7 },
  ]);
  const error = (code: number, text: string) => (connection: PeerConnection, id: string) =>
    say(connection, `4|2|${id}|${code}|${text}|`);
  answer = error(
    162,
    'Historical Market Data Service error message:HMDS query returned no data: A@SMART Trades',
  );
  expect(await link.gateway.bars({ symbol: 'A' }, query)).toEqual([]);
  answer = error(
    162,
    'Historical Market Data Service error message:Historical data request pacing violation',
  );
  expect(await link.gateway.bars({ symbol: 'A' }, query)).toMatchObject({
    failed: { code: '162' },
    retryAfterMs: 15_000,
  });
  answer = error(162, 'Historical Market Data Service error message:No market data permissions for NYSE STK');
  const refused = await link.gateway.bars({ symbol: 'A' }, query);
  expect(refused).toMatchObject({ failed: { code: '162' } });
  expect(refused).not.toHaveProperty('retryAfterMs');
});

test('a question that TWS never answers ends by its deadline and is taken back', async () => {
  const { peer, link } = await ready({}, { requestTimeoutMs: 40 });
  expect(await link.gateway.bars({ symbol: 'A' }, query)).toMatchObject({ failed: { code: 'timeout' } });
  await until(() => peer.last.messages.some(([kind]) => kind === '25'), 'the cancel');
  expect(link.gateway.figures().requestsWaiting).toBe(0);
});

test('200 on a question is its failure and touches no order of any number', async () => {
  const { link } = await ready({
    '9': (connection, message) =>
      say(connection, `4|2|${message[2]}|200|No security definition has been found for the request|`),
  });
  expect(await link.gateway.contractDetails({ symbol: 'NOPE' })).toMatchObject({ failed: { code: '200' } });
  expect(link.all('broker.orderNoted')).toEqual([]);
});

test('a search answers matches', async () => {
  const { link } = await ready({
    '81': (connection, message) =>
      say(
        connection,
        `79|${message[1]}|2|265598|AAPL|STK|NASDAQ|USD|2|OPT|CFD|APPLE INC||1|APLE|STK|NYSE|USD|0|APPLE REIT|`,
      ),
  });
  const found = await link.gateway.search('AAPL');
  expect(found).toMatchObject([
    {
      contract: { conId: 265598, symbol: 'AAPL' },
      derivativeSecTypes: ['OPT', 'CFD'],
      description: 'APPLE INC',
    },
    { contract: { symbol: 'APLE' }, derivativeSecTypes: [] },
  ]);
});

const unset = '1.7976931348623157E308';
function whatIf(orderId: string, margins: string, commission: string, currency = ''): string {
  return (
    `5|${orderId}|265598|AAPL|STK||0|?||SMART|USD|AAPL|NMS|BUY|10|LMT|187.2|0.0|DAY||DU1234567||0|c-1|7|0|0|0|0||||||||||` +
    `|0||-1|0||||||2147483647|0|0|0||3|0|0||0|0||0|None||0||||?|0|0||0|0||||||0|0|0|2147483647|2147483647|||0||IB|0|0||0|1` +
    `|PreSubmitted|${margins}|${commission}|||${currency}||0|0|0|None|${Array(6).fill(unset).join('|')}|0||||0|1|0|0|0|||0||100|0.02|||||0||0|`
  );
}

test('a preview waits for figures, shows what is unset as absent, and leaves no trace among the facts', async () => {
  const { link } = await ready({
    '3': (connection, message) => {
      const id = message[1] ?? '';
      say(connection, whatIf(id, Array(9).fill(unset).join('|'), unset));
      connection.send(3, id, 'PreSubmitted', 0, 10, 0, 0, 0, 0, 7, '', 0);
      say(
        connection,
        whatIf(id, ['0', '0', '1000', '935.5', '850', '-1', '935.5', '850', '999'].join('|'), '1.05', 'USD'),
      );
    },
  });
  const preview = await link.gateway.preview(ticket('c-1'), 500);
  expect(preview).toMatchObject({
    initialMarginChange: '935.5',
    commission: '1.05',
    commissionCurrency: 'USD',
    minCommission: null,
  });
  expect(
    link.told.filter(({ type }) => type.startsWith('broker.') && type !== 'broker.orderIdGranted'),
  ).toEqual([]);
});

test('a preview that never gets figures shows none; one that is refused says why', async () => {
  let refuse = false;
  const { peer, link } = await ready(
    {
      '3': (connection, message) => {
        const id = message[1] ?? '';
        if (refuse) say(connection, `4|2|${id}|201|Order rejected - reason:no|`);
        else say(connection, whatIf(id, Array(9).fill(unset).join('|'), unset));
      },
    },
    { requestTimeoutMs: 60 },
  );
  const bare = await link.gateway.preview(ticket('c-1'), 500);
  expect(isFailure(bare)).toBe(false);
  expect(bare).toMatchObject({ commission: null, initialMarginChange: null });
  refuse = true;
  expect(await link.gateway.preview(ticket('c-2'), 501)).toMatchObject({ failed: { code: '201' } });
  expect(link.all('broker.orderNoted')).toEqual([]);
  // The whatIf flag went out, and so did transmit: without it TWS would hold the question back.
  const sent = peer.last.messages.find(([kind]) => kind === '3') ?? [];
  expect(sent[27]).toBe('1');
  expect(sent.length).toBe(118);
});

function recorder(): TickSink & { readonly heard: unknown[] } {
  const heard: unknown[] = [];
  return {
    heard,
    tick: (field, value) => heard.push([field, value]),
    dataKind: (kind) => heard.push(kind),
    halted: (halted) => heard.push({ halted }),
    noted: (note) => heard.push({ noted: note.code }),
    ended: (reason, retryAfterMs) => heard.push({ ended: reason.code, retryAfterMs }),
  };
}

test('ticks, live and delayed, become fields; prices that are none are left out', async () => {
  const lines: string[] = [];
  const { peer, link } = await ready({ '1': (_, message) => lines.push(message[2] ?? '') });
  const live = recorder();
  const delayed = recorder();
  const first = link.gateway.openLine({ symbol: 'AAPL' }, live);
  link.gateway.openLine({ symbol: 'VOD' }, delayed);
  await until(() => lines.length === 2, 'two requests');
  const [a = '', b = ''] = lines;
  for (const text of [
    `58|1|${a}|1`,
    `81|${a}|0.01|9c0001|3`,
    `1|6|${a}|1|187.21|300|1`,
    `1|6|${a}|2|187.23|100.5|1`,
    `1|6|${a}|4|187.22|50|0`,
    `1|6|${a}|1|-1|0|0`,
    `1|6|${a}|9|180|0|0`,
    `2|6|${a}|8|123456`,
    `2|6|${a}|8|`,
    `45|6|${a}|49|1`,
    `45|6|${a}|49|-1`,
    `45|6|${a}|49|0`,
    `46|6|${a}|45|1768489200`,
    `1|6|${b}|66|10.5|200|0`,
    `1|6|${b}|75|10.1|0|0`,
    `2|6|${b}|74|99`,
    '1|6|77|1|1|1|1',
  ]) {
    say(peer.last, text);
  }
  await until(() => delayed.heard.length === 5, 'the last tick');
  expect(live.heard).toEqual([
    'live',
    ['bidSize', 300],
    ['bid', 187.21],
    ['ask', 187.23],
    ['askSize', 100.5],
    ['last', 187.22],
    ['lastSize', 50],
    ['bidSize', 0],
    ['close', 180],
    ['volume', 123_456],
    { halted: true },
    { halted: false },
  ]);
  expect(delayed.heard).toEqual([
    'delayed',
    ['bid', 10.5],
    ['bidSize', 200],
    ['close', 10.1],
    ['volume', 99],
  ]);
  if (isFailure(first)) throw new Error('no line');
  first.close();
  first.close();
  await until(() => peer.last.messages.some(([kind]) => kind === '2'), 'the cancel');
  say(peer.last, `4|2|${a}|300|Can't find EId with tickerId:${a}|`);
  say(peer.last, `1|6|${a}|1|1|1|1`);
  say(peer.last, `1|6|${b}|66|10.6|200|0`);
  await until(() => delayed.heard.length === 7, 'another tick');
  expect(live.heard).toHaveLength(12);
  expect(peer.last.messages.filter(([kind]) => kind === '2')).toHaveLength(1);
});

test.each([
  [10_090, { noted: '10090' }],
  [10_167, { noted: '10167' }],
  [2_119, { noted: '2119' }],
  [10_197, { ended: '10197', retryAfterMs: 30_000 }],
  [101, { ended: '101', retryAfterMs: 60_000 }],
  [200, { ended: '200', retryAfterMs: null }],
])('%i on a line leads to %o, once', async (code, outcome) => {
  const { link } = await ready({
    '1': (connection, message) => {
      say(connection, `4|2|${message[2]}|${code}|text|`);
      say(connection, `4|2|${message[2]}|${code}|text|`);
      say(connection, `1|6|${message[2]}|4|5|1|0`);
    },
  });
  const sink = recorder();
  link.gateway.openLine({ symbol: 'AAPL' }, sink);
  await until(() => sink.heard.length > 0, 'the outcome');
  expect(sink.heard[0]).toEqual(outcome);
  if ('ended' in outcome) {
    await link.gateway.search('x');
    expect(sink.heard).toHaveLength(1);
    expect(link.gateway.figures().lines).toBe(0);
  }
});

test.each([
  354, 10_089, 10_168, 10_186,
])('after %i delayed data is asked for, once, and for this line alone', async (code) => {
  let refusals = 1;
  const asked: string[] = [];
  const { peer, link } = await ready({
    '1': (connection, message) => {
      asked.push(message[2] ?? '');
      if (refusals > 0) say(connection, `4|2|${message[2]}|${code}|not subscribed|`);
      refusals -= 1;
    },
  });
  const sink = recorder();
  const line = link.gateway.openLine({ symbol: 'AAPL' }, sink);
  await until(() => asked.length === 2, 'the second request');
  expect(asked[1]).not.toBe(asked[0]);
  const types = (): string[] =>
    peer.last.messages
      .filter(([kind]) => kind === '59' || kind === '1')
      .map((message) => message.slice(0, 3).join(' '));
  await until(() => types().length === 4, 'four messages');
  expect(types()).toEqual([`1 11 ${asked[0]}`, '59 1 3', `1 11 ${asked[1]}`, '59 1 1']);
  say(peer.last, `4|2|${asked[1]}|10167|delayed|`);
  say(peer.last, `58|1|${asked[1]}|3`);
  say(peer.last, `1|6|${asked[1]}|68|5|1|0`);
  await until(() => sink.heard.length === 5, 'ticks');
  expect(sink.heard).toEqual([
    { noted: `${code}` },
    { noted: '10167' },
    'delayed',
    ['last', 5],
    ['lastSize', 1],
  ]);
  if (isFailure(line)) throw new Error('no line');
  line.close();
  await until(() => peer.last.messages.some(([kind, , id]) => kind === '2' && id === asked[1]), 'the cancel');

  refusals = 2;
  const refused = recorder();
  link.gateway.openLine({ symbol: 'NONE' }, refused);
  await until(() => refused.heard.length === 2, 'the refusal');
  expect(refused.heard).toEqual([{ noted: `${code}` }, { ended: `${code}`, retryAfterMs: null }]);
  expect(link.gateway.figures().lines).toBe(0);
});

test('lines end with their session, and nothing of them is asked in the next', async () => {
  const { peer, link } = await ready({});
  const sink = recorder();
  link.gateway.openLine({ symbol: 'AAPL' }, sink);
  peer.last.socket.resetAndDestroy();
  await link.hears('tws.ready', 2);
  expect(sink.heard).toEqual([{ ended: 'not-connected', retryAfterMs: 1_000 }]);
  expect(peer.last.messages.filter(([kind]) => kind === '1')).toEqual([]);
});

test('account values, portfolio and profit start with their listeners and again with each session', async () => {
  const answers: Answers = {
    '6': (connection, message) => {
      say(connection, `6|2|NetLiquidation|1000000.5|USD|${message[3]}`);
      say(
        connection,
        `7|8|265598|AAPL|STK||0|||NASDAQ|USD|AAPL|NMS|10|187.2|1872|150|372|${unset}|${message[3]}`,
      );
    },
    '62': (connection, message) => say(connection, `63|1|${message[2]}|DU2|NetLiquidation|5|USD`),
    '92': (connection, message) => say(connection, `94|${message[1]}|-12.5|${unset}|3`),
  };
  const { peer, link } = await ready(answers, {}, { accounts: 'DU1,DU2' });
  const values: string[] = [];
  const rows: unknown[] = [];
  const profits: unknown[] = [];
  link.gateway.onAccountValue(({ account, key, value }) => values.push(`${account} ${key} ${value}`));
  const leave = link.gateway.onPortfolio(({ account, quantity, realizedPnl }) =>
    rows.push({ account, quantity, realizedPnl }),
  );
  link.gateway.onPnl(({ account, daily, unrealized, realized }) =>
    profits.push([account, daily, unrealized, realized]),
  );
  await until(() => values.length === 2 && rows.length === 1 && profits.length === 2, 'the first session');
  expect(values).toEqual(['DU1 NetLiquidation 1000000.5', 'DU2 NetLiquidation 5']);
  expect(rows).toEqual([{ account: 'DU1', quantity: '10', realizedPnl: null }]);
  expect(profits).toEqual([
    ['DU1', '-12.5', null, '3'],
    ['DU2', '-12.5', null, '3'],
  ]);
  expect(peer.last.messages.filter(([kind]) => kind === '6')).toHaveLength(1);
  leave();
  peer.last.socket.resetAndDestroy();
  await until(() => profits.length === 4, 'the second session');
  expect(rows).toHaveLength(1);
});

test('the heartbeat is answered in time while hundreds of lines wait for their turn', async () => {
  const { link } = await ready({}, { delays: { heartbeatPause: 350, heartbeatDeadline: 1_000 } });
  for (let n = 0; n < 400; n += 1) link.gateway.openLine({ symbol: `S${n}` }, recorder());
  const probes = (): number => link.gateway.figures().lanes.control.sent;
  const before = probes();
  await until(() => probes() >= before + 3, 'three heartbeats');
  expect(link.gateway.figures().lanes.data.waiting).toBeGreaterThan(100);
  expect(link.all('tws.lost')).toEqual([]);
});
