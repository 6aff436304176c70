import { afterEach, expect, test } from 'vitest';
import { eventually } from '../program.ts';
import { type Link, startLink } from './link.ts';
import { frame, type Peer, startPeer } from './peer.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function ready(): Promise<{ peer: Peer; link: Link }> {
  const peer = await startPeer();
  stops.push(() => peer.close());
  const link = startLink({ port: peer.port, delays: { heartbeatPause: 5_000 } });
  stops.push(() => link.stop());
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  return { peer, link };
}

const execution = (
  execId: string,
  changes: Partial<Record<'account' | 'type' | 'orderId' | 'price', string>> = {},
) => {
  const { account = 'DU1234567', type = 'STK', orderId = '100', price = '187.19' } = changes;
  const contract = [265598, 'AAPL', type, '', 0, '', '', 'NASDAQ', 'USD', 'AAPL', 'NMS'];
  const words = [
    '20260115 10:00:00 America/New_York',
    account,
    'NASDAQ',
    'BOT',
    10,
    price,
    900,
    7,
    0,
    10,
    price,
  ];
  return frame(11, -1, orderId, ...contract, execId, ...words, 'c-1', '', '', '', 1, 0);
};

test('a flood of unreadable messages is counted to the last, and told in few words', async () => {
  const { peer, link } = await ready();
  const flood = 2_000;
  peer.last.socket.write(Buffer.concat(Array.from({ length: flood }, () => frame(3, 'x'))));
  await eventually(
    () => link.tws().getSnapshot().context.undecodableCount,
    (count) => count === flood,
  );
  const told = link.all('tws.undecodable');
  expect(told.length).toBeLessThan(40);
  expect(told.every(({ concernsOrders }) => concernsOrders)).toBe(true);
  expect(told.reduce((sum, { count = 1 }) => sum + count, 0)).toBe(flood);
  expect(link.tws().getSnapshot().context.undecodable).toHaveLength(20);
});

test('an execution is booked as it was first told, and only where it can be', async () => {
  const { peer, link } = await ready();
  const right = '0000e0d5.6592bf0b.01.01';
  const words = [
    execution(right),
    execution(right),
    execution('0000e0d5.6592bf0b.02.01', { account: 'DU7654321' }),
    execution('0000e0d5.6592bf0b.03.01', { type: '2' }),
    execution('not an id'),
    execution(right, { orderId: '101' }),
    execution('0000e0d5.6592bf0b.04.01'),
  ];
  peer.last.socket.write(Buffer.concat(words));
  await link.hears('broker.executed', 3);
  expect(link.all('broker.executed').map(({ execution: { execId } }) => execId)).toEqual([
    right,
    right,
    '0000e0d5.6592bf0b.04.01',
  ]);
  const told = link.all('tws.undecodable');
  expect(told.map(({ problem }) => problem)).toEqual([
    'an execution of an account that TWS did not list',
    'an execution in a contract of the type "2"',
    'an execution whose id is none',
    `the execution ${right}, told otherwise than before`,
  ]);
  // asking again would bring the same
  expect(told.some(({ concernsOrders }) => concernsOrders)).toBe(false);
  // damage is not for ever: what TWS says from now on counts
  peer.last.socket.write(execution(right));
  await link.hears('broker.executed', 4);
});
