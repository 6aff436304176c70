/** What clients see is described: no field of an answer is missing from its schema. */
import type { Static } from 'typebox';
import { expect, test } from 'vitest';
import type { PositionRow } from '../../machines/ledger.ts';
import type { Fill, Order, OrderFact } from '../../machines/order.ts';
import { losslessChannels } from '../../src/http/stream-frames.ts';
import { FillView, OrderView, PositionView } from '../../src/http/view-schema.ts';

type Untold<T, View> = Exclude<keyof T, keyof View>;
const nothing = <T extends never>(...left: T[]): number => left.length;

test('orders, fills and positions', () => {
  expect(nothing<Untold<Order, Static<typeof OrderView>>>()).toBe(0);
  expect(nothing<Untold<Fill, Static<typeof FillView>>>()).toBe(0);
  expect(nothing<Untold<PositionRow, Static<typeof PositionView>>>()).toBe(0);
  expect([OrderView, FillView, PositionView].map(({ type }) => type)).toEqual(['object', 'object', 'object']);
});

test('every event of an order is named, and none that does not exist', () => {
  const { events } = losslessChannels.orders;
  type Named = (typeof events)[number];
  expect(nothing<Exclude<OrderFact['type'], Named>>()).toBe(0);
  expect(nothing<Exclude<Named, OrderFact['type']>>()).toBe(0);
  expect(new Set(events).size).toBe(events.length);
});
