/** Positions and executions of every account: booked once per execution, whoever's order it was. */
import { enqueueActions, setup } from 'xstate';
import { type Decimal, equals, isZero, subtract } from './decimal.ts';
import { type Contract, formatInstrument } from './instrument.ts';
import {
  afterExecution,
  afterReport,
  type ExecutionRow,
  emptyPosition,
  type LedgerPosition,
  type PositionRow,
  positionRow,
  signed,
} from './ledger.ts';
import { type Lookup, lookUp, put } from './lookup.ts';
import { executionFamily, executionRevision } from './order.ts';
import type { BrokerFact } from './tws.ts';

type Executed = Extract<BrokerFact, { type: 'broker.executed' }>;
type Commissioned = Extract<BrokerFact, { type: 'broker.commissioned' }>;
type PositionSeen = Extract<BrokerFact, { type: 'broker.positionSeen' }>;

/** Durable facts of the ledger. */
export type LedgerFact =
  | { readonly type: 'position.changed'; readonly at: number; readonly position: PositionRow }
  | {
      readonly type: 'execution.booked' | 'execution.corrected' | 'execution.commissioned';
      readonly at: number;
      readonly family: string;
      readonly execution: ExecutionRow;
    };

export type LedgerEvent =
  | {
      readonly type: 'ledger.restored';
      readonly positions: readonly PositionRow[];
      readonly executions: readonly ExecutionRow[];
    }
  /** an execution, with the order it belongs to */
  | { readonly type: 'ledger.book'; readonly clientOrderId: string | null; readonly fact: Executed }
  | Commissioned
  | PositionSeen
  /** what an instrument of ours is called, learned from our own orders */
  | { readonly type: 'ledger.name'; readonly conId: number; readonly instrument: string }
  /** the broker's list of positions was complete */
  | { readonly type: 'ledger.listed'; readonly rows: readonly PositionSeen[]; readonly at: number }
  /** executions of this session are complete: what the broker's figures still contain unexplained is older than today */
  | { readonly type: 'ledger.settle' }
  | {
      readonly type: 'ledger.valued';
      readonly account: string;
      readonly contract: Contract;
      readonly marketPrice: Decimal | null;
      readonly unrealizedPnl: Decimal | null;
      readonly realizedPnl: Decimal | null;
    };

export type LedgerReport = { readonly type: 'ledger.recorded'; readonly facts: readonly LedgerFact[] };

interface LedgerContext {
  readonly positions: Readonly<Record<string, LedgerPosition>>;
  readonly executions: Lookup<ExecutionRow>;
  /** commissions that came before their execution, newest last, bounded */
  readonly early: Readonly<Record<string, Commissioned>>;
  /** conId -> the name we use */
  readonly names: Readonly<Record<string, string>>;
}

/** Commissions kept for executions that have not come. */
export const earlyCommissionsMax = 500;
/** Complete lists that must agree, in a row, before a position counts as gone or different. */
export const agreeingListsMin = 2;

/** The name of an instrument in a broker's message, whose exchange says where something happened, not what it is. */
export function instrumentName(names: Readonly<Record<string, string>>, contract: Contract): string {
  const known = contract.conId ? names[String(contract.conId)] : undefined;
  if (known) return known;
  const { exchange, ...rest } = contract;
  const isUsStock = (contract.secType ?? 'STK') === 'STK' && (contract.currency ?? 'USD') === 'USD';
  return formatInstrument(isUsStock || !exchange ? rest : contract);
}

const keyOf = (account: string, contract: Contract, instrument: string): string =>
  `${account}|${contract.conId ? `#${contract.conId}` : instrument}`;

const sameFigures = (a: LedgerPosition | undefined, b: LedgerPosition): boolean =>
  a !== undefined &&
  a.quantity === b.quantity &&
  a.averageCost === b.averageCost &&
  a.confirmed === b.confirmed &&
  a.instrument === b.instrument;

export const ledgerMachine = setup({
  types: { context: {} as LedgerContext, events: {} as LedgerEvent },
  actions: {
    restore: enqueueActions(({ event, enqueue }) => {
      const { positions, executions } = event as Extract<LedgerEvent, { type: 'ledger.restored' }>;
      let booked: Lookup<ExecutionRow> = {};
      for (const row of executions) booked = put(booked, executionFamily(row.execId), row);
      enqueue.assign({
        executions: booked,
        names: Object.fromEntries(
          positions.flatMap((row) =>
            row.contract.conId ? [[String(row.contract.conId), row.instrument]] : [],
          ),
        ),
        positions: Object.fromEntries(
          positions.map((row) => [
            keyOf(row.account, row.contract, row.instrument),
            { ...emptyPosition(row.account, row.instrument, row.contract), ...row, confirmed: false },
          ]),
        ),
      });
    }),
    book: enqueueActions(({ context, event, enqueue }) => {
      const { clientOrderId, fact } = event as Extract<LedgerEvent, { type: 'ledger.book' }>;
      const { execution, at } = fact;
      const family = executionFamily(execution.execId);
      const known = lookUp(context.executions, family);
      if (known && executionRevision(known.execId) >= executionRevision(execution.execId)) {
        if (known.clientOrderId === null && clientOrderId !== null) {
          const claimed = { ...known, clientOrderId };
          enqueue.assign({ executions: put(context.executions, family, claimed) });
          report(enqueue, [{ type: 'execution.corrected', at, family, execution: claimed }]);
        }
        return;
      }
      const instrument = instrumentName(context.names, execution.contract);
      const early = context.early[execution.execId];
      const row: ExecutionRow = {
        execId: execution.execId,
        clientOrderId,
        account: execution.account,
        instrument,
        side: execution.side,
        quantity: execution.quantity,
        price: execution.price,
        commission: early?.commission ?? null,
        currency: early?.currency || execution.contract.currency || '',
        realizedPnl: early?.realizedPnl ?? null,
        at: execution.executedAt,
      };
      const isLeg = execution.contract.secType === 'BAG';
      const key = keyOf(execution.account, execution.contract, instrument);
      const before =
        context.positions[key] ??
        emptyPosition(execution.account, instrument, tradedContract(execution.contract));
      const former = known ? signed(known.side, known.quantity) : '0';
      const delta = subtract(signed(execution.side, execution.quantity), former);
      // The combo's own execution only sums up its legs, which are reported one by one.
      const after = isLeg
        ? before
        : afterExecution(before, delta, execution.price, Date.parse(execution.executedAt));
      enqueue.assign({
        executions: put(context.executions, family, row),
        ...(isLeg ? {} : { positions: { ...context.positions, [key]: after } }),
      });
      report(enqueue, [
        { type: known ? 'execution.corrected' : 'execution.booked', at, family, execution: row },
        ...(isLeg || sameFigures(context.positions[key], after)
          ? []
          : [{ type: 'position.changed' as const, at, position: positionRow(after) }]),
      ]);
    }),
    recordCommission: enqueueActions(({ context, event, enqueue }) => {
      const fact = event as Commissioned;
      const family = executionFamily(fact.execId);
      const known = lookUp(context.executions, family);
      if (!known) {
        const early = { ...context.early, [fact.execId]: fact };
        const oldest = Object.keys(early)[0];
        if (Object.keys(early).length > earlyCommissionsMax && oldest !== undefined)
          delete (early as Record<string, unknown>)[oldest];
        enqueue.assign({ early });
        return;
      }
      if (
        known.execId !== fact.execId ||
        (known.commission === fact.commission && known.realizedPnl === fact.realizedPnl)
      )
        return;
      if (fact.commission === null && known.commission !== null) return;
      const row = {
        ...known,
        commission: fact.commission,
        realizedPnl: fact.realizedPnl,
        currency: fact.currency || known.currency,
      };
      enqueue.assign({ executions: put(context.executions, family, row) });
      report(enqueue, [{ type: 'execution.commissioned', at: fact.at, family, execution: row }]);
    }),
    follow: enqueueActions(({ context, event, enqueue }) => {
      const { account, contract, quantity, averageCost, at } = event as PositionSeen;
      const instrument = instrumentName(context.names, contract);
      const key = keyOf(account, contract, instrument);
      const known = context.positions[key];
      if (!known && isZero(quantity)) return;
      const before = known ?? emptyPosition(account, instrument, tradedContract(contract));
      const after = afterReport(before, quantity, averageCost, at);
      enqueue.assign({ positions: { ...context.positions, [key]: after } });
      if (!sameFigures(known, after))
        report(enqueue, [{ type: 'position.changed', at, position: positionRow(after) }]);
    }),
    compareWithList: enqueueActions(({ context, event, enqueue }) => {
      const { rows, at } = event as Extract<LedgerEvent, { type: 'ledger.listed' }>;
      const listed = new Map(
        rows.map((row) => [
          keyOf(row.account, row.contract, instrumentName(context.names, row.contract)),
          row,
        ]),
      );
      const facts: LedgerFact[] = [];
      const positions = Object.fromEntries(
        Object.entries(context.positions).map(([key, position]) => {
          const quantity = listed.get(key)?.quantity ?? '0';
          if (equals(quantity, position.quantity)) {
            const agreed = { ...position, disagreements: 0, confirmed: true, reported: { quantity, at } };
            if (!position.confirmed)
              facts.push({ type: 'position.changed', at, position: positionRow(agreed) });
            return [key, agreed];
          }
          const disagreements = position.disagreements + 1;
          if (disagreements < agreeingListsMin)
            return [key, { ...position, disagreements, confirmed: false }];
          const corrected = afterReport(
            { ...position, path: [] },
            quantity,
            listed.get(key)?.averageCost ?? null,
            at,
          );
          facts.push({ type: 'position.changed', at, position: positionRow(corrected) });
          return [key, corrected];
        }),
      );
      enqueue.assign({ positions });
      if (facts.length > 0) report(enqueue, facts);
    }),
    forgetUnexplained: enqueueActions(({ context, enqueue }) => {
      enqueue.assign({
        positions: Object.fromEntries(
          Object.entries(context.positions).map(([key, position]) => [
            key,
            { ...position, unexplained: '0' },
          ]),
        ),
      });
    }),
    value: enqueueActions(({ context, event, enqueue }) => {
      const { account, contract, ...value } = event as Extract<LedgerEvent, { type: 'ledger.valued' }>;
      const { type: _, ...figures } = value;
      const key = keyOf(account, contract, instrumentName(context.names, contract));
      const known = context.positions[key];
      if (known) enqueue.assign({ positions: { ...context.positions, [key]: { ...known, ...figures } } });
    }),
    learnName: enqueueActions(({ context, event, enqueue }) => {
      const { conId, instrument } = event as Extract<LedgerEvent, { type: 'ledger.name' }>;
      if (context.names[String(conId)] === instrument) return;
      enqueue.assign({ names: { ...context.names, [String(conId)]: instrument } });
    }),
  },
}).createMachine({
  id: 'ledger',
  context: { positions: {}, executions: {}, early: {}, names: {} },
  initial: 'booking',
  states: {
    booking: {
      on: {
        'ledger.restored': { actions: 'restore' },
        'ledger.book': { actions: 'book' },
        'ledger.name': { actions: 'learnName' },
        'ledger.listed': { actions: 'compareWithList' },
        'ledger.settle': { actions: 'forgetUnexplained' },
        'ledger.valued': { actions: 'value' },
        'broker.commissioned': { actions: 'recordCommission' },
        'broker.positionSeen': { actions: 'follow' },
      },
    },
  },
});

function report(enqueue: { sendParent(event: LedgerReport): void }, facts: readonly LedgerFact[]): void {
  enqueue.sendParent({ type: 'ledger.recorded', facts });
}

/** A position belongs to a contract, not to the venue where a part of it was traded. */
function tradedContract({ exchange: _, ...contract }: Contract): Contract {
  return contract;
}
