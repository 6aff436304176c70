/** A ledger for the machines' tests, below a supervisor that keeps what it says. */
import { type ActorRefFrom, createActor, setup } from 'xstate';
import type { Finding } from '../../machines/discrepancy.ts';
import { type LedgerEvent, type LedgerReport, ledgerMachine } from '../../machines/ledger.machine.ts';
import type { ExecutionRow, PositionRow } from '../../machines/ledger.ts';
import { entries } from '../../machines/lookup.ts';
import { eventClock } from './timers.ts';

export const account = 'DU1234567';
export const noon = Date.UTC(2026, 0, 14, 17);
export const contract = { conId: 265598, symbol: 'AAPL', secType: 'STK', currency: 'USD' };

/** The ledger below a supervisor that keeps what it says. */
export function openLedger(clock = eventClock(noon)) {
  const said: LedgerReport[] = [];
  const differing = new Map<string, readonly Finding[]>();
  const ends: string[] = [];
  const supervisor = setup({
    types: { events: {} as LedgerReport },
    actors: { ledger: ledgerMachine },
    actions: {
      keep: ({ event }) => {
        said.push(event);
        if (event.type !== 'ledger.differed') return;
        differing.set(event.instrument, event.findings);
        ends.push(event.how);
      },
    },
  }).createMachine({
    invoke: { src: 'ledger', id: 'ledger' },
    on: {
      'ledger.recorded': { actions: 'keep' },
      'ledger.differed': { actions: 'keep' },
      'evidence.wanted': { actions: 'keep' },
    },
  });
  const root = createActor(supervisor, { clock }).start();
  const actor = root.getSnapshot().children.ledger as ActorRefFrom<typeof ledgerMachine>;
  const send = (event: LedgerEvent) => actor.send(event);
  return {
    clock,
    said,
    ends,
    send,
    codes: (instrument = 'AAPL') => (differing.get(instrument) ?? []).map(({ code }) => code),
    positions: () => Object.values(actor.getSnapshot().context.positions),
    position: (instrument = 'AAPL') =>
      Object.values(actor.getSnapshot().context.positions).find((row) => row.instrument === instrument),
    executions: (): ExecutionRow[] =>
      [...entries(actor.getSnapshot().context.executions)].map(([, row]) => row),
    isDoubtful: () => actor.getSnapshot().hasTag('doubtful'),
    wanted: () => said.filter(({ type }) => type === 'evidence.wanted').length,
    execute: (execId: string, quantity: number, executedAt = clock.now(), extra: object = {}) =>
      send({
        type: 'ledger.book',
        clientOrderId: 'c-1',
        fact: {
          type: 'broker.executed',
          at: clock.now(),
          ids: { orderId: 1, clientId: 1, permId: '1', orderRef: 'c-1' },
          execution: {
            execId,
            account,
            contract,
            side: quantity < 0 ? 'sell' : 'buy',
            quantity: String(Math.abs(quantity)),
            price: '100',
            executedAt: new Date(executedAt).toISOString(),
            exchange: 'NASDAQ',
            cumulativeQuantity: '0',
            averagePrice: '0',
            liquidation: false,
            ...extra,
          },
        },
      }),
    certain: (instrument = 'AAPL') =>
      (differing.get(instrument) ?? []).filter(({ isCertain }) => isCertain).map(({ code }) => code),
    report: (quantity: number, of = contract) => send(reported(quantity, clock.now(), of)),
    /** Complete lists, asked for and answered now. */
    list: (quantity: number | null) =>
      send({
        type: 'ledger.listed',
        accounts: [account],
        rows: quantity === null ? [] : [reported(quantity, clock.now())],
        since: clock.now(),
        executionsSince: clock.now(),
        at: clock.now(),
      }),
    value: (quantity: number) =>
      send({
        type: 'ledger.valued',
        account,
        contract,
        quantity: String(quantity),
        marketPrice: '101',
        unrealizedPnl: '1',
        realizedPnl: '0',
        at: clock.now(),
      }),
    /** What a journal would hold of it. */
    remembered(): Extract<LedgerEvent, { type: 'ledger.restored' }> {
      const rows = new Map<string, ExecutionRow>();
      const positions = new Map<string, PositionRow>();
      for (const event of said) {
        if (event.type !== 'ledger.recorded') continue;
        for (const fact of event.facts) {
          if (fact.type === 'position.changed') positions.set(fact.position.instrument, fact.position);
          else rows.set(fact.family, fact.execution);
        }
      }
      return {
        type: 'ledger.restored',
        positions: [...positions.values()],
        executions: [...rows.values()],
        accounts: [account],
        at: clock.now(),
      };
    },
  };
}

export const reported = (quantity: number, at: number, of: object = contract) =>
  ({
    type: 'broker.positionSeen',
    at,
    account,
    contract: of,
    quantity: String(quantity),
    averageCost: '100',
  }) as const;

/** A ledger whose positions were compared before: what is new needs an explanation. */
export function openedLedger(quantity: number | null = null) {
  const ledger = openLedger();
  if (quantity !== null) ledger.report(quantity);
  ledger.list(quantity);
  ledger.clock.advance(60_000);
  return ledger;
}

/** Lists that are asked for three seconds later. */
export function listAgain(ledger: ReturnType<typeof openLedger>, quantity: number | null): void {
  ledger.clock.advance(3_000);
  if (quantity !== null) ledger.report(quantity);
  ledger.list(quantity);
}
