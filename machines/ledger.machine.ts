/** Positions and executions of every account: booked once per execution, whoever's order it was. */
import { assign, enqueueActions, setup } from 'xstate';
import { type Decimal, equals, isZero, subtract } from './decimal.ts';
import type { Discrepancy, DiscrepancyCode, DiscrepancyEnd, Finding } from './discrepancy.ts';
import { type Contract, formatInstrument } from './instrument.ts';
import {
  afterExecution,
  afterReport,
  afterValuation,
  agreeingListsMin,
  besideLists,
  type ExecutionRow,
  emptyPosition,
  executionRecallMs,
  explanationMs,
  findingsOf,
  isLate,
  isPortfolioSettled,
  isValuedOtherwise,
  type LedgerPosition,
  type PositionRow,
  portfolioDiffers,
  positionRow,
  signed,
  taken,
} from './ledger.ts';
import { entries, type Lookup, lookUp, put, putAll } from './lookup.ts';
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
      /** true: the broker sold or bought by itself to cover margin */
      readonly liquidation?: true;
    };

export type LedgerEvent =
  | {
      readonly type: 'ledger.restored';
      readonly positions: readonly PositionRow[];
      readonly executions: readonly ExecutionRow[];
      /** accounts whose positions were compared with the broker's before: what is new in them needs an explanation */
      readonly accounts?: readonly string[];
      /** what differed when the process ended */
      readonly open?: readonly Discrepancy[];
      readonly at: number;
    }
  /** an execution, with the order it belongs to */
  | { readonly type: 'ledger.book'; readonly clientOrderId: string | null; readonly fact: Executed }
  | Commissioned
  | PositionSeen
  /** what an instrument of ours is called, learned from our own orders */
  | { readonly type: 'ledger.name'; readonly conId: number; readonly instrument: string }
  /** complete lists of the broker: positions, from `since` to `at`, and executions, asked for at `executionsSince` */
  | {
      readonly type: 'ledger.listed';
      readonly accounts: readonly string[];
      readonly rows: readonly PositionSeen[];
      readonly since: number;
      readonly executionsSince: number;
      readonly at: number;
    }
  /** to itself: the execution of a commission should have come by now */
  | { readonly type: 'ledger.overdue'; readonly execId: string }
  /** the session is gone, and the rows of its portfolio with it */
  | { readonly type: 'ledger.sessionLost' }
  /** a row of the broker's portfolio */
  | {
      readonly type: 'ledger.valued';
      readonly account: string;
      readonly contract: Contract;
      readonly quantity: Decimal;
      readonly marketPrice: Decimal | null;
      readonly unrealizedPnl: Decimal | null;
      readonly realizedPnl: Decimal | null;
      readonly at: number;
    };

export type LedgerReport =
  | { readonly type: 'ledger.recorded'; readonly facts: readonly LedgerFact[] }
  /** everything that differs about one position at present; `how`: why what no longer differs ended */
  | {
      readonly type: 'ledger.differed';
      readonly account: string;
      readonly instrument: string;
      readonly findings: readonly Finding[];
      readonly how: DiscrepancyEnd;
      readonly at: number;
    }
  | { readonly type: 'evidence.wanted'; readonly why: string };

interface LedgerContext {
  readonly positions: Readonly<Record<string, LedgerPosition>>;
  readonly executions: Lookup<ExecutionRow>;
  /** commissions that came before their execution, newest last, bounded */
  readonly early: Readonly<Record<string, Commissioned>>;
  /** conId -> the name we use */
  readonly names: Readonly<Record<string, string>>;
  /** accounts whose positions were compared with the broker's list at least once */
  readonly opened: readonly string[];
  /** the broker's positions of this session were listed completely */
  readonly isListed: boolean;
  /** when executions were last forgotten for their age, ms */
  readonly forgottenAt: number;
}

const forgetEveryMs = 3_600_000;
/** Without those that have grown too old since. What was as old at the start was wanted all the same. */
const withoutOld = (executions: Lookup<ExecutionRow>, since: number, at: number): Lookup<ExecutionRow> =>
  putAll(
    {},
    [...entries(executions)].filter(([, row]) => {
      const executedAt = Date.parse(row.at) + executionRecallMs;
      return executedAt < since || executedAt >= at;
    }),
  );

/** Commissions kept for executions that have not come. */
export const earlyCommissionsMax = 500;

/** The name of an instrument in a broker's message, whose exchange says where something happened, not what it is. */
function instrumentName(names: Readonly<Record<string, string>>, contract: Contract): string {
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

const isDoubtful = (position: LedgerPosition): boolean =>
  !isZero(position.unexplained) || findingsOf(position).some(({ isCertain }) => !isCertain);

const isSameCodes = (a: readonly DiscrepancyCode[], b: readonly DiscrepancyCode[]): boolean =>
  a.length === b.length && a.every((code) => b.includes(code));

export const ledgerMachine = setup({
  types: { context: {} as LedgerContext, events: {} as LedgerEvent, tags: {} as 'doubtful' },
  guards: {
    isDoubtful: ({ context }) => Object.values(context.positions).some(isDoubtful),
    isCertain: ({ context }) => !Object.values(context.positions).some(isDoubtful),
  },
  actions: {
    restore: enqueueActions(({ event, enqueue }) => {
      const {
        positions,
        executions,
        accounts,
        open = [],
        at,
      } = event as Extract<LedgerEvent, { type: 'ledger.restored' }>;
      enqueue.assign({
        executions: putAll(
          {},
          executions.map((row) => [executionFamily(row.execId), row] as const),
        ),
        opened: accounts ?? [],
        names: Object.fromEntries(
          positions.flatMap((row) =>
            row.contract.conId ? [[String(row.contract.conId), row.instrument]] : [],
          ),
        ),
        positions: Object.fromEntries(
          positions.map((row) => [
            keyOf(row.account, row.contract, row.instrument),
            {
              ...emptyPosition(row.account, row.instrument, row.contract),
              ...row,
              confirmed: row.confirmed && isZero(row.quantity),
              codes: open.flatMap(({ code, subject }) =>
                subject.kind === 'position' &&
                subject.account === row.account &&
                subject.instrument === row.instrument
                  ? [code]
                  : [],
              ),
            },
          ]),
        ),
      });
      // What is held needs the broker's word anew, and whoever follows the facts must know.
      const doubted = positions.filter(({ confirmed, quantity }) => confirmed && !isZero(quantity));
      if (doubted.length > 0)
        report(
          enqueue,
          doubted.map((row) => ({
            type: 'position.changed',
            at,
            position: { ...row, confirmed: false },
          })),
        );
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
      const isSummary = execution.contract.secType === 'BAG';
      const key = keyOf(execution.account, execution.contract, instrument);
      const before =
        context.positions[key] ??
        emptyPosition(execution.account, instrument, tradedContract(execution.contract));
      const former = known ? signed(known.side, known.quantity) : '0';
      const delta = subtract(signed(execution.side, execution.quantity), former);
      // Nothing was executed later than it was heard of, whatever its time says: lists would count as late for ever.
      const executedAt = Math.min(Date.parse(execution.executedAt), at);
      // The combo's own execution only sums up its legs, which are reported one by one.
      const after = isSummary
        ? before
        : weighed(
            context,
            moved(before, afterExecution(before, delta, execution.price, executedAt, !known), at),
          );
      enqueue.assign({
        executions: put(context.executions, family, row),
        ...(isSummary ? {} : { positions: { ...context.positions, [key]: after } }),
      });
      report(enqueue, [
        {
          type: known ? 'execution.corrected' : 'execution.booked',
          at,
          family,
          execution: row,
          ...(execution.liquidation ? { liquidation: true as const } : {}),
        },
        ...(isSummary || sameFigures(context.positions[key], after)
          ? []
          : [{ type: 'position.changed' as const, at, position: positionRow(after) }]),
      ]);
      reportCodes(enqueue, before, after, 'explained', at);
    }),
    recordCommission: enqueueActions(({ context, event, enqueue }) => {
      const fact = event as Commissioned;
      const family = executionFamily(fact.execId);
      const known = lookUp(context.executions, family);
      // That of a correction may come before the correction itself.
      if (!known || executionRevision(known.execId) < executionRevision(fact.execId)) {
        const early = { ...context.early, [fact.execId]: fact };
        const oldest = Object.keys(early)[0];
        if (Object.keys(early).length > earlyCommissionsMax && oldest !== undefined)
          delete (early as Record<string, unknown>)[oldest];
        enqueue.assign({ early });
        if (!Object.hasOwn(context.early, fact.execId))
          enqueue.raise({ type: 'ledger.overdue', execId: fact.execId }, { delay: 'explanation' });
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
    askForExecution: enqueueActions(({ context, event, enqueue }) => {
      const { execId } = event as Extract<LedgerEvent, { type: 'ledger.overdue' }>;
      const known = lookUp(context.executions, executionFamily(execId));
      if (known && executionRevision(known.execId) >= executionRevision(execId)) return;
      const why = 'an execution is charged for that nobody told of';
      enqueue.sendParent({ type: 'evidence.wanted', why } satisfies LedgerReport);
    }),
    follow: enqueueActions(({ context, event, enqueue }) => {
      const { account, contract, quantity, averageCost, at } = event as PositionSeen;
      const instrument = instrumentName(context.names, contract);
      const key = keyOf(account, contract, instrument);
      const known = context.positions[key];
      if (!known && isZero(quantity)) return;
      const before = known ?? emptyPosition(account, instrument, tradedContract(contract));
      const after = weighed(context, moved(before, afterReport(before, quantity, averageCost, at), at));
      enqueue.assign({ positions: { ...context.positions, [key]: after } });
      if (!sameFigures(known, after))
        report(enqueue, [{ type: 'position.changed', at, position: positionRow(after) }]);
      reportCodes(enqueue, before, after, 'agreed', at);
    }),
    compareWithLists: enqueueActions(({ context, event, enqueue }) => {
      const listed = event as Listed;
      const { accounts, at } = listed;
      const quantities = new Map(
        listed.rows.map((row) => [
          keyOf(row.account, row.contract, instrumentName(context.names, row.contract)),
          row,
        ]),
      );
      const opened = [...new Set([...context.opened, ...accounts])];
      const positions: Record<string, LedgerPosition> = {};
      const facts: LedgerFact[] = [];
      const changed: [LedgerPosition, LedgerPosition, DiscrepancyEnd][] = [];
      for (const [key, before] of Object.entries(context.positions)) {
        const [after, how] = compared(before, quantities.get(key), listed, context.opened);
        const position = weighed({ isListed: true }, moved(before, after, at));
        positions[key] = position;
        changed.push([before, position, how]);
        if (!sameFigures(before, position))
          facts.push({ type: 'position.changed', at, position: positionRow(position) });
      }
      enqueue.assign({ positions, opened, isListed: true });
      const { executions, forgottenAt } = context;
      if (forgottenAt === 0) enqueue.assign({ forgottenAt: at });
      else if (at >= forgottenAt + forgetEveryMs)
        enqueue.assign({ forgottenAt: at, executions: withoutOld(executions, forgottenAt, at) });
      if (facts.length > 0) report(enqueue, facts);
      for (const [before, after, how] of changed) reportCodes(enqueue, before, after, how, at);
      if (changed.some(([before, { codes }]) => codes.some((code) => !before.codes.includes(code))))
        enqueue.sendParent({ type: 'evidence.wanted', why: 'positions differ' } satisfies LedgerReport);
    }),
    wantEvidence: enqueueActions(({ enqueue }) => {
      enqueue.sendParent({
        type: 'evidence.wanted',
        why: 'a position is not explained',
      } satisfies LedgerReport);
    }),
    forgetPortfolio: assign(({ context }) => ({
      isListed: false,
      positions: Object.fromEntries(
        Object.entries(context.positions).map(([key, position]) => [key, { ...position, portfolio: null }]),
      ),
    })),
    value: enqueueActions(({ context, event, enqueue }) => {
      const row = event as Extract<LedgerEvent, { type: 'ledger.valued' }>;
      const { account, contract, quantity, marketPrice, unrealizedPnl, realizedPnl, at } = row;
      const instrument = instrumentName(context.names, contract);
      const key = keyOf(account, contract, instrument);
      const known = context.positions[key];
      if (!known && isZero(quantity)) return;
      const before = known ?? emptyPosition(account, instrument, tradedContract(contract));
      const valued = { ...before, marketPrice, unrealizedPnl, realizedPnl };
      const after = weighed(context, afterValuation(valued, quantity, at));
      enqueue.assign({ positions: { ...context.positions, [key]: after } });
      reportCodes(enqueue, before, after, 'agreed', at);
      const isNews = after.portfolio?.since === at;
      if (isNews && context.isListed && isValuedOtherwise(after))
        enqueue.sendParent({ type: 'evidence.wanted', why: 'the portfolio differs' } satisfies LedgerReport);
    }),
    learnName: enqueueActions(({ context, event, enqueue }) => {
      const { conId, instrument } = event as Extract<LedgerEvent, { type: 'ledger.name' }>;
      if (context.names[String(conId)] === instrument) return;
      enqueue.assign({ names: { ...context.names, [String(conId)]: instrument } });
    }),
  },
  delays: {
    /** how long executions may take to explain a position before the broker is asked, and asked again */
    explanation: 2_500,
  },
}).createMachine({
  id: 'ledger',
  description: 'executions and positions, each booked once',
  context: {
    positions: {},
    executions: {},
    early: {},
    names: {},
    opened: [],
    isListed: false,
    forgottenAt: 0,
  },
  initial: 'booking',
  states: {
    booking: {
      description: 'facts are booked as they come',
      on: {
        'ledger.restored': { actions: 'restore' },
        'ledger.book': { actions: 'book' },
        'ledger.name': { actions: 'learnName' },
        'ledger.listed': { actions: 'compareWithLists' },
        'ledger.sessionLost': { actions: 'forgetPortfolio' },
        'ledger.valued': { actions: 'value' },
        'broker.commissioned': { actions: 'recordCommission' },
        'ledger.overdue': { actions: 'askForExecution' },
        'broker.positionSeen': { actions: 'follow' },
      },
      initial: 'certain',
      states: {
        certain: {
          description: 'executions explain every position',
          always: { guard: 'isDoubtful', target: 'doubtful' },
        },
        doubtful: {
          description: 'a position that nobody explains: the broker is asked until it is settled',
          tags: 'doubtful',
          always: { guard: 'isCertain', target: 'certain' },
          after: { explanation: { target: 'doubtful', reenter: true, actions: 'wantEvidence' } },
        },
      },
    },
  },
});

function report(enqueue: { sendParent(event: LedgerReport): void }, facts: readonly LedgerFact[]): void {
  enqueue.sendParent({ type: 'ledger.recorded', facts });
}

/** A position belongs to a contract, not to the venue where a part of it was traded. */
function tradedContract(contract: Contract): Contract {
  if (contract.secType === 'FUT' || contract.secType === 'FOP') return contract;
  const { exchange: _, ...anywhere } = contract;
  return anywhere;
}

type Listed = Extract<LedgerEvent, { type: 'ledger.listed' }>;

/** The position beside complete lists of the broker, and how what no longer differs about it ended. */
function compared(
  before: LedgerPosition,
  row: PositionSeen | undefined,
  { since, executionsSince, at }: Listed,
  opened: readonly string[],
): [LedgerPosition, DiscrepancyEnd] {
  const quantity = row?.quantity ?? '0';
  // Reported since: the list says nothing about this position. Its own row was a report as well, in the order of reading.
  const { reported } = before;
  const isOutdated = row
    ? reported !== null &&
      (reported.at > row.at || (reported.at === row.at && !equals(reported.quantity, row.quantity)))
    : reported !== null && reported.at >= since;
  if (isOutdated) return [before, 'agreed'];
  if (!equals(quantity, before.quantity)) {
    if (isLate(before, quantity, since)) return [{ ...before, confirmed: false, absences: 0 }, 'agreed'];
    const absences = before.absences + 1;
    if (absences < agreeingListsMin) {
      const codes = before.codes.filter((code) => code !== 'position-missing');
      return [{ ...before, confirmed: false, absences, codes: [...codes, 'position-missing'] }, 'agreed'];
    }
    const gone = afterReport({ ...before, path: [] }, quantity, row?.averageCost ?? null, at);
    // It was named when the first list did not hold it; the second settles it.
    const codes = gone.codes.filter((code) => code !== 'position-missing');
    return [taken({ ...gone, codes }), 'accepted'];
  }
  const agreed: LedgerPosition = {
    ...before,
    absences: 0,
    confirmed: true,
    reported: { quantity, at: Math.max(since, reported?.at ?? 0) },
    portfolio: besideLists(before, since, at),
    codes: before.codes.filter((code) => code !== 'position-missing'),
  };
  if (isZero(agreed.unexplained) || agreed.unexplainedAt > executionsSince) return [agreed, 'agreed'];
  // What was held before the first comparison is where the count begins.
  if (!opened.includes(agreed.account)) return [{ ...agreed, unexplained: '0' }, 'agreed'];
  if (agreed.doubt === null) {
    const codes = [...agreed.codes, 'position-unexplained' as const];
    return [{ ...agreed, doubt: { since: at, repeats: 0 }, codes }, 'agreed'];
  }
  const repeats = agreed.doubt.repeats + 1;
  if (repeats < agreeingListsMin || at < agreed.doubt.since + explanationMs)
    return [{ ...agreed, doubt: { ...agreed.doubt, repeats } }, 'agreed'];
  return [taken(agreed), 'accepted'];
}

/** A quantity that has changed is another one for the lists to hold on to. */
const moved = (before: LedgerPosition, after: LedgerPosition, at: number): LedgerPosition =>
  equals(before.quantity, after.quantity)
    ? after
    : {
        ...after,
        // What TWS made of the former quantity is nothing of this one.
        marketPrice: null,
        unrealizedPnl: null,
        realizedPnl: null,
        movedAt: at,
        portfolio: after.portfolio && { ...after.portfolio, since: at, lists: 0, isOutweighed: false },
      };

/** The position with what its figures alone say about its differences. */
function weighed({ isListed }: Pick<LedgerContext, 'isListed'>, position: LedgerPosition): LedgerPosition {
  const isExplained = isZero(position.unexplained);
  const codes = position.codes.filter((code) => {
    if (code === 'position-unexplained') return !isExplained;
    if (code === 'position-missing') return !isZero(position.quantity);
    return code !== 'portfolio-differs';
  });
  // Named once, it stands until both say the same: a trade of ours does not settle it.
  const isNamed = position.codes.includes('portfolio-differs') && !isPortfolioSettled(position);
  if (isListed && (isNamed || portfolioDiffers(position))) codes.push('portfolio-differs');
  const doubt = isExplained ? null : position.doubt;
  return isSameCodes(codes, position.codes) && doubt === position.doubt
    ? position
    : { ...position, codes, doubt };
}

const isOutweighed = ({ portfolio }: LedgerPosition): boolean => portfolio?.isOutweighed ?? false;

/** Says what differs now, when that is another than before. */
function reportCodes(
  enqueue: { sendParent(event: LedgerReport): void },
  before: LedgerPosition,
  after: LedgerPosition,
  how: DiscrepancyEnd,
  at: number,
): void {
  const isAsCertain = isOutweighed(before) === isOutweighed(after);
  if (isSameCodes(before.codes, after.codes) && isAsCertain) return;
  const { account, instrument } = after;
  enqueue.sendParent({
    type: 'ledger.differed',
    account,
    instrument,
    findings: findingsOf(after),
    how,
    at,
  });
}
