/** A combo is filled by its own line and charged by its legs. */
import { expect, test } from 'vitest';
import { applyFact, type OrderFact } from '../../machines/order.ts';
import type { OrderEvent } from '../../machines/order-words.ts';
import type { BrokerFact } from '../../machines/tws.ts';
import { at, executed, fact, order, startOrder, ticket } from './orders.ts';

type Executed = Extract<BrokerFact, { type: 'broker.executed' }>;

const contract = { symbol: 'AAPL,MSFT', secType: 'BAG', exchange: 'SMART', currency: 'USD' };
const intent = ticket({ contract, instrument: 'BAG:AAPL,MSFT', type: 'market' });
const line = (execId: string, quantity = '3'): BrokerFact => {
  const { execution, ...rest } = executed(execId, quantity, '12.5') as Executed;
  return { ...rest, execution: { ...execution, contract } };
};
const leg = (execId: string, quantity = '3', side: 'buy' | 'sell' = 'buy'): BrokerFact => {
  const { execution, ...rest } = executed(execId, quantity) as Executed;
  return { ...rest, execution: { ...execution, side } };
};
const commission = (execId: string, amount: string | null, currency = 'USD'): BrokerFact => ({
  type: 'broker.commissioned',
  at,
  execId,
  commission: amount,
  currency,
  realizedPnl: null,
});

/** The combo after these words. Its facts, worked in again, must make the same order. */
function comboAfter(...words: readonly OrderEvent[]) {
  const running = startOrder({ replaying: false });
  running.send({ type: 'order.approve', at });
  running.send(fact('order.requested', { ticket: intent, orderId: 1001, parentOrderId: 0 }));
  for (const word of words) running.send(word);
  const facts = running.heard.flatMap((report): OrderFact[] =>
    report.type === 'order.recorded' ? [report.fact] : [],
  );
  const { state, ...figures } = running.view();
  const { state: _, ...replayed } = facts.reduce(applyFact, order());
  expect(replayed).toEqual(figures);
  return { state, ...figures, facts: facts.map(({ type }) => type) };
}

const filled = [line('a.01.01'), leg('a.02.01'), leg('a.03.01', '3', 'sell')];

test('what it costs is what its legs cost', () => {
  expect(comboAfter(...filled)).toMatchObject({ commission: null, filledQuantity: '3' });
  expect(comboAfter(...filled, commission('a.02.01', '1.05'))).toMatchObject({ commission: '1.05' });
  expect(comboAfter(...filled, commission('a.02.01', '1.05'), commission('a.03.01', '0.35'))).toMatchObject({
    filledQuantity: '3',
    averageFillPrice: '12.5',
    commission: '1.4',
    fills: [{ execId: 'a.01.01', commission: null }],
    legFills: [
      { execId: 'a.02.01', side: 'buy', conId: 265598, commission: '1.05' },
      { execId: 'a.03.01', side: 'sell', commission: '0.35' },
    ],
  });
});

test('each leg counts once, however often it is told', () => {
  const told = [...filled, commission('a.02.01', '1.05'), commission('a.03.01', '0.35')];
  const { facts, commission: sum } = comboAfter(...told, ...told);
  expect(sum).toBe('1.4');
  expect(facts.filter((type) => type === 'order.legExecuted')).toHaveLength(2);
  expect(facts.filter((type) => type === 'order.commissioned')).toHaveLength(2);
});

test('a corrected leg is charged anew, a corrected commission replaces the former', () => {
  const told = [...filled, commission('a.02.01', '1.05'), commission('a.03.01', '0.35')];
  expect(comboAfter(...told, commission('a.02.01', '0.95'))).toMatchObject({ commission: '1.3' });
  expect(comboAfter(...told, commission('a.02.01', null))).toMatchObject({ commission: '1.4' });
  const corrected = [...told, leg('a.02.02', '2')];
  expect(comboAfter(...corrected)).toMatchObject({ commission: '0.35', filledQuantity: '3' });
  const charged = comboAfter(...corrected, commission('a.02.02', '0.7'), leg('a.02.01'));
  expect(charged).toMatchObject({ commission: '1.05' });
  expect(charged.legFills?.map(({ execId, quantity }) => `${execId} ${quantity}`).toSorted()).toEqual([
    'a.02.02 2',
    'a.03.01 3',
  ]);
});

test('its own line is charged when its legs are not, and never besides', () => {
  const own = [...filled, commission('a.01.01', '1.4')];
  expect(comboAfter(...own)).toMatchObject({ commission: '1.4' });
  expect(comboAfter(...own, commission('a.02.01', '0'))).toMatchObject({ commission: '1.4' });
  expect(comboAfter(...own, commission('a.02.01', '1.05'), commission('a.03.01', '0.35'))).toMatchObject({
    commission: '1.4',
  });
});

test('commissions of two currencies are not added', () => {
  const told = [...filled, commission('a.02.01', '1.05'), commission('a.03.01', '0.35', 'EUR')];
  expect(comboAfter(...told)).toMatchObject({
    commission: null,
    legFills: [{ commission: '1.05' }, { commission: '0.35', commissionCurrency: 'EUR' }],
  });
});
