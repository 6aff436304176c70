/** Puts the book, the tape and the accounts of an earlier process back, and lets its open orders work again. */
import type { Contract } from '../model.ts';
import type { Floor } from './floor.ts';
import type { Instrument } from './instruments.ts';
import type { Intake } from './intake.ts';
import type { ExchangeMemory, Remembered } from './memory.ts';
import type { Venue } from './venue.ts';
import type { WorkingOrder } from './workingOrder.ts';
import { orderOf } from './workingOrder.ts';

/**
 * Nobody is told: clients ask when they connect. Orders whose time ended meanwhile are expired; what was never transmitted
 * was the gateway's alone and is gone. Throws an error that names the file when its content does not fit this exchange.
 */
export function restore(
  memory: ExchangeMemory,
  parts: { readonly floor: Floor; readonly intake: Intake; readonly venue: Venue },
): void {
  const { floor, intake, venue } = parts;
  const kept = memory.read(floor.now());
  const { counters } = kept;
  if (counters !== null) {
    intake.givePermIdsAbove(counters.lastPermId);
    floor.tape.continueFrom(counters.tapeSession, counters.tapeCounter);
  }
  const instrumentOf = (contract: Contract): Instrument => {
    const instrument = floor.directory.known(contract);
    if (instrument === null)
      throw memory.damaged(`the catalogue has no contract ${contract.conId} ${contract.symbol}`);
    return instrument;
  };
  checkAccounts(kept, floor.accounts, memory);
  restoreAccounts(kept, floor, instrumentOf);
  const orders = restoreOrders(kept, floor, instrumentOf);
  for (const { execution, report, isComboLine } of kept.executions) {
    const order = orders.get(execution.permId);
    if (order === undefined) continue;
    const instrument = instrumentOf(execution.contract);
    floor.tape.restore({ execution, instrument, order, report, isCurrent: true, isComboLine });
  }
  for (const order of floor.book.openOrders()) venue.resume(order);
}

function checkAccounts(kept: Remembered, accounts: readonly string[], memory: ExchangeMemory): void {
  const names = [
    ...kept.cash.map(({ account }) => account),
    ...kept.holdings.map(({ record }) => record.account),
    ...kept.orders.map(({ state }) => state.account),
  ];
  const stranger = names.find((name) => !accounts.includes(name));
  if (stranger === undefined) return;
  throw new Error(
    `the simulated gateway's memory ${memory.path} is of account ${stranger}, which is not among ${accounts.join(', ')}. Start with that account, ${memory.elsewhere}, or delete this one: it holds nothing but the simulated broker.`,
  );
}

function restoreAccounts(
  { cash, holdings }: Remembered,
  { accounts, ledger }: Floor,
  instrumentOf: (contract: Contract) => Instrument,
): void {
  for (const account of accounts) {
    const amounts = cash.filter((row) => row.account === account);
    if (amounts.length > 0)
      ledger.restoreCash(
        account,
        amounts.map(({ currency, amount }) => [currency, amount] as const),
      );
  }
  for (const { record, trades } of holdings)
    ledger.restoreHolding(record, instrumentOf(record.contract), trades);
}

function restoreOrders(
  kept: Remembered,
  { book }: Floor,
  instrumentOf: (contract: Contract) => Instrument,
): ReadonlyMap<number, WorkingOrder> {
  const orders = new Map<number, WorkingOrder>();
  const closed: WorkingOrder[] = [];
  for (const { parentPermId, contract, request, state } of kept.orders) {
    const parent = orders.get(parentPermId) ?? null;
    const order = orderOf(request, instrumentOf(contract), state, parent);
    orders.set(order.permId, order);
    if (order.isOpen && !order.isTransmitted) continue;
    parent?.children.push(order);
    book.add(order);
    if (!order.isOpen) closed.push(order);
  }
  closed.sort((left, right) => (left.closingRank ?? 0) - (right.closingRank ?? 0));
  for (const order of closed) book.close(order);
  return orders;
}
