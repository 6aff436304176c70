import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { startLink } from './link.ts';
import { frame, startPeer, until } from './peer.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const field = fc.oneof(
  fc.constantFrom(
    '',
    '0',
    '1',
    '-1',
    '5',
    '2147483647',
    '1.7976931348623157E308',
    '4294967296',
    'NaN',
    '{',
    '\\u',
    'AAPL',
  ),
  fc.integer().map(String),
  fc.string({ maxLength: 12 }).map((text) => text.replaceAll('\0', '')),
);
/** Messages of every kind with fields that make no sense. The greeting's successors 9, 15, 49 are left alone. */
const damaged = fc
  .tuple(fc.integer({ min: -2, max: 110 }), fc.array(field, { maxLength: 160 }))
  .filter(([kind]) => kind !== 9 && kind !== 15 && kind !== 49)
  // What TWS says of itself is believed, however strange: only what cannot be meant is under test.
  .filter(([kind, fields]) => kind !== 4 || !['326', '1100', '2110'].includes(fields[2] ?? ''));

test('no message, however damaged, ends the session or harms the next one', async () => {
  const peer = await startPeer();
  stops.push(() => peer.close());
  const link = startLink({ port: peer.port, delays: { heartbeatPause: 1_000, heartbeatDeadline: 5_000 } });
  stops.push(() => link.stop());
  link.send({ type: 'tws.connect' });
  await link.hears('tws.ready');
  let orderId = 1_000;
  await fc.assert(
    fc.asyncProperty(fc.array(damaged, { minLength: 1, maxLength: 20 }), async (messages) => {
      orderId += 1;
      const sound = frame(3, orderId, 'Submitted', 0, 10, 0, 900, 0, 0, 7, '', 0);
      peer.last.socket.write(
        Buffer.concat([...messages.map(([kind, fields]) => frame(kind, ...fields)), sound]),
      );
      await until(
        () => link.all('broker.statusSeen').some(({ ids }) => ids.orderId === orderId),
        'the sound message',
        2_000,
      );
      expect(link.all('tws.lost')).toEqual([]);
      link.told.length = 0;
    }),
    { numRuns: 150 },
  );
  expect(peer.connections).toHaveLength(1);
  expect(link.tws().getSnapshot().context.undecodable.length).toBeLessThanOrEqual(20);
});
