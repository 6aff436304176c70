/** Words of the broker that come beside, before or after each other: what is uncertain, and for how long. */
import { expect, test } from 'vitest';
import { account, listAgain, openedLedger, openLedger, reported } from './ledgers.ts';

test('a row of the portfolio that contradicts the positions is named until it agrees', () => {
  const ledger = openedLedger(10);
  ledger.value(10);
  expect(ledger.codes()).toEqual([]);
  ledger.value(-1);
  // One row may be ahead of everything else: the lists are asked, and nothing is uncertain before they have held on.
  expect(ledger.codes()).toEqual([]);
  expect(ledger.wanted()).toBe(1);
  listAgain(ledger, 10);
  expect(ledger.codes()).toEqual([]);
  listAgain(ledger, 10);
  expect(ledger.codes()).toEqual(['portfolio-differs']);
  expect(ledger.isDoubtful()).toBe(true);
  ledger.value(10);
  expect(ledger.codes()).toEqual([]);
  expect(ledger.isDoubtful()).toBe(false);
});

test('a portfolio that stays wrong is told, and outweighed in time by the lists of positions', () => {
  const ledger = openedLedger(10);
  ledger.value(-1);
  for (let lists = 0; lists < 6; lists += 1) listAgain(ledger, 10);
  expect(ledger.codes()).toEqual(['portfolio-differs']);
  expect(ledger.certain()).toEqual(['portfolio-differs']);
  expect(ledger.isDoubtful()).toBe(false);
  const asked = ledger.wanted();
  ledger.clock.advance(60_000);
  expect(ledger.wanted()).toBe(asked);
  // A trade is another quantity for the lists to hold on to, and no end of the difference.
  ledger.execute('a.01', 5);
  expect([ledger.codes(), ledger.certain()]).toEqual([['portfolio-differs'], []]);
  ledger.value(15);
  expect(ledger.codes()).toEqual([]);
});

test('a row of the portfolio that is ahead of the execution is no difference', () => {
  const ledger = openedLedger(10);
  ledger.value(15);
  listAgain(ledger, 10);
  ledger.execute('a.01', 5);
  listAgain(ledger, 15);
  listAgain(ledger, 15);
  expect(ledger.codes()).toEqual([]);
  expect(ledger.said.some(({ type }) => type === 'ledger.differed')).toBe(false);
});

test('fills while the process starts: quantities that the broker came past on the way are no difference', () => {
  const former = openedLedger(10);
  former.execute('a.01', 5);
  former.report(15);
  const ledger = openLedger(former.clock);
  ledger.send(former.remembered());
  ledger.clock.advance(5_000);
  // The broker is at 25 by way of 18; its portfolio was put together in between.
  ledger.report(25);
  ledger.value(18);
  ledger.execute('b1.01', 3);
  ledger.execute('b2.01', 7);
  for (let lists = 0; lists < 3; lists += 1) listAgain(ledger, 25);
  expect(ledger.position()).toMatchObject({ quantity: '25', confirmed: true });
  expect(ledger.said.some(({ type }) => type === 'ledger.differed')).toBe(false);
});

test('a list that was outdated by a report in the same millisecond says nothing', () => {
  const ledger = openedLedger(-20);
  const row = reported(-20, ledger.clock.now());
  const since = ledger.clock.now() - 5;
  ledger.send(row);
  for (const [execId, left] of [['a1.01', -16] as const, ['a2.01', -12] as const]) {
    ledger.execute(execId, 4);
    ledger.report(left);
  }
  // Its end is dated by when it was worked in, a moment after all of it was read.
  ledger.clock.advance(17);
  const at = ledger.clock.now();
  ledger.send({ type: 'ledger.listed', accounts: [account], rows: [row], since, executionsSince: since, at });
  expect(ledger.codes()).toEqual([]);
  expect(ledger.position()).toMatchObject({ quantity: '-12', confirmed: true });
});

test('a row of the portfolio for what nobody holds is named too', () => {
  const ledger = openedLedger();
  ledger.value(-1);
  listAgain(ledger, null);
  listAgain(ledger, null);
  expect(ledger.codes()).toEqual(['portfolio-differs']);
  expect(ledger.position()).toMatchObject({ quantity: '0' });
  ledger.report(-1);
  expect(ledger.codes()).toEqual([]);
});

test('rows of the portfolio may be minutes late', () => {
  const ledger = openedLedger(10);
  ledger.execute('a.01', 5);
  ledger.report(15);
  ledger.clock.advance(120_000);
  ledger.value(10);
  expect(ledger.codes()).toEqual([]);
  ledger.clock.advance(120_000);
  ledger.value(10);
  listAgain(ledger, 15);
  listAgain(ledger, 15);
  expect(ledger.codes()).toEqual(['portfolio-differs']);
});

test('rows of the portfolio count only beside positions of the same session', () => {
  const ledger = openedLedger(10);
  ledger.send({ type: 'ledger.sessionLost' });
  ledger.value(4);
  expect(ledger.codes()).toEqual([]);
  ledger.report(4);
  ledger.list(4);
  expect(ledger.codes()).toEqual(['position-unexplained']);
});
