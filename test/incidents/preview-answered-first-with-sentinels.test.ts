/** Switched off once by hand: `hasFigures` in src/tws/translate.ts answering yes; the first, empty answer was shown. */
import { expect } from 'vitest';
import type { BookOrder, OrderRequest, WhatIfMargin } from '../../src/simulator/model.ts';
import type { Field } from '../../src/simulator/wire/frames.ts';
import { openOrder } from '../../src/simulator/wire/orders.ts';
import { decodeRequest } from '../../src/simulator/wire/requests.ts';
import { eventually } from '../program.ts';
import type { Whole } from '../whole.ts';
import { incident } from './incident.ts';

const unset = 1.7976931348623157e308;
const nothing: WhatIfMargin = {
  initMarginBefore: unset,
  maintMarginBefore: unset,
  equityWithLoanBefore: unset,
  initMarginChange: unset,
  maintMarginChange: unset,
  equityWithLoanChange: unset,
  initMarginAfter: unset,
  maintMarginAfter: unset,
  equityWithLoanAfter: unset,
  commission: unset,
  minCommission: unset,
  maxCommission: unset,
  commissionCurrency: '',
};

function answer(request: OrderRequest, margin: WhatIfMargin): readonly Field[] {
  const order: BookOrder = {
    request,
    contract: request.contract,
    permId: 0,
    parentPermId: 0,
    status: 'PreSubmitted',
    filled: 0,
    remaining: 0,
    avgFillPrice: 0,
    lastFillPrice: 0,
    whyHeld: '',
    mktCapPrice: 0,
    trailStopPrice: null,
    commission: null,
    commissionCurrency: '',
    warningText: '',
    margin,
    completedAt: null,
    completedStatus: '',
  };
  return openOrder(order, { version: 193, zone: 'America/New_York' });
}

/** Asks for a preview that the gateway answers with these margins, one after the other. */
async function preview(whole: Whole, ...margins: readonly WhatIfMargin[]) {
  const { faults, received } = whole.simulator;
  faults.ignore({ messages: ['placeOrder'] }, 1);
  const pending = whole.call('POST', '/v1/orders/preview', {
    instrument: 'AAPL',
    side: 'buy',
    quantity: '100',
    type: 'market',
  });
  const [record] = await eventually(
    () => received({ message: 'placeOrder' }),
    (rows) => rows.length === 1,
  );
  const { request } = decodeRequest(record?.fields ?? [], { version: 193, clientId: 1 });
  if (request.type !== 'placeOrder') throw new Error('not an order');
  for (const margin of margins) faults.inject(answer(request.order, margin));
  const { status, body } = await pending;
  expect(status).toBe(200);
  expect((await whole.call('GET', '/v1/orders')).body.orders).toEqual([]);
  return body.preview;
}

incident({
  id: 'I20',
  title: 'A preview is answered first with sentinels: a margin of 1.8e308',
  sources: [
    'https://github.com/erdewit/ib_insync/issues/380',
    'https://github.com/erdewit/ib_insync/issues/403',
    'https://github.com/ib-api-reloaded/ib_async/pull/42',
  ],
  others: 'the first answer was taken; the sentinel was compared as text, in one of its two spellings',
  ours: 'the answer with figures is shown, and what is unset is absent; a preview never enters the orders',
  test: {
    'sentinels, then figures': async (start) => {
      const shown = await preview(await start(), nothing, {
        ...nothing,
        initMarginBefore: 0,
        initMarginChange: 4_321.5,
        initMarginAfter: 4_321.5,
        commission: 1,
        commissionCurrency: 'USD',
      });
      expect(shown).toMatchObject({
        initialMarginChange: '4321.5',
        maintenanceMarginChange: null,
        commission: '1',
        commissionCurrency: 'USD',
        minCommission: null,
      });
    },
    'the commission stays unset: the margin is enough': async (start) => {
      const shown = await preview(await start(), { ...nothing, initMarginChange: 12_000 });
      expect(shown).toMatchObject({ initialMarginChange: '12000', commission: null, maxCommission: null });
      expect(JSON.stringify(shown)).not.toMatch(/e\+?308/i);
    },
  },
});
