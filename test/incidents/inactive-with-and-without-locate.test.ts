/** Switched off once by hand: the `held` test of `statusSeen` in machines/evidence.ts; the located order was rejected. */
import { expect } from 'vitest';
import type { Whole } from '../whole.ts';
import { incident } from './incident.ts';

const text = 'Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. margin';

async function resting(whole: Whole): Promise<number> {
  await whole.place({ clientOrderId: 'short', side: 'sell', type: 'limit', limitPrice: '900.00' });
  const permId = whole.simulator.exchange.openOrders()[0]?.permId;
  if (permId === undefined) throw new Error('the order is not in the book');
  return permId;
}

incident({
  id: 'I11',
  title: 'Inactive is dropped as an unknown status, or taken for dead while the shares are being located',
  sources: [
    'https://github.com/nautechsystems/nautilus_trader/pull/3723',
    'https://github.com/brndnmtthws/thetagang/pull/709',
    'https://github.com/erdewit/ib_insync/issues/363',
    'https://github.com/erdewit/ib_insync/issues/559',
  ],
  others: 'a warning and nothing else, a lost reason, or Cancelled at once',
  ours: 'without a reason to hold it the order is rejected with the text of the refusal, whichever came first; held for a locate it works',
  test: {
    'dead, the error first': async (start) => {
      const whole = await start();
      const permId = await resting(whole);
      whole.simulator.exchange.script.end(permId, 'Inactive', { code: 201, text });
      expect(await whole.order('short', ({ state }) => state === 'rejected')).toMatchObject({
        reason: { code: '201', message: text },
      });
    },
    'dead, the error last, a part filled: the remainder is told': async (start) => {
      const whole = await start();
      const permId = await resting(whole);
      const { exchange, faults } = whole.simulator;
      exchange.script.fill(permId, 4);
      await whole.order('short', ({ filledQuantity }) => filledQuantity === '4');
      const late = faults.hold({ messages: ['error'] });
      exchange.script.end(permId, 'Inactive', { code: 201, text });
      await whole.order('short', ({ state }) => state === 'rejected');
      late.clear();
      faults.releaseHeld();
      const ended = await whole.order('short', ({ reason }) => reason.code === '201');
      expect(ended).toMatchObject({ state: 'rejected', filledQuantity: '4', remainingQuantity: '6' });
    },
    'held for a locate, the error first: it fills later': async (start) => {
      const whole = await start();
      const permId = await resting(whole);
      const { script } = whole.simulator.exchange;
      script.end(permId, 'Inactive', { code: 404, text: 'Shares are not available', whyHeld: 'locate' });
      const held = await whole.order('short', ({ heldBecause }) => heldBecause === 'locate');
      expect(held).toMatchObject({ state: 'working', notices: [{ code: 404 }] });
      script.fill(permId, 10);
      await whole.order('short', ({ state }) => state === 'filled');
    },
    'held for a locate, the error last: it can be cancelled': async (start) => {
      const whole = await start();
      const permId = await resting(whole);
      const { exchange, faults } = whole.simulator;
      const late = faults.hold({ messages: ['error'] });
      exchange.script.end(permId, 'Inactive', { code: 404, text: 'not available', whyHeld: 'locate' });
      await whole.order('short', ({ heldBecause }) => heldBecause === 'locate');
      late.clear();
      faults.releaseHeld();
      await whole.order('short', ({ notices }) => notices.length === 1);
      await whole.call('DELETE', '/v1/orders/short');
      await whole.order('short', ({ state }) => state === 'cancelled');
    },
    'the cancel of a held order is swallowed: it stays cancelling, and what fills is booked': async (
      start,
    ) => {
      const whole = await start();
      const permId = await resting(whole);
      const { exchange, faults } = whole.simulator;
      exchange.script.end(permId, 'Inactive', { whyHeld: 'locate' });
      await whole.order('short', ({ heldBecause }) => heldBecause === 'locate');
      faults.ignore({ messages: ['cancelOrder'] });
      await whole.call('DELETE', '/v1/orders/short');
      exchange.script.fill(permId, 3);
      const part = await whole.order('short', ({ filledQuantity }) => filledQuantity === '3');
      expect(part).toMatchObject({ state: 'cancelling', remainingQuantity: '7' });
      exchange.script.end(permId, 'Cancelled');
      await whole.order('short', ({ state }) => state === 'cancelled');
    },
  },
});
