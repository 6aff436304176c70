/**
 * Keeps the differences between the broker's books and ours: each begins once, ends once, and is told both times. It
 * also watches that the executions of every day of the broker's were asked for while the broker still listed them.
 */
import { assign, enqueueActions, setup } from 'xstate';
import {
  type Discrepancy,
  type DiscrepancyBook,
  type DiscrepancyEnd,
  type DiscrepancySubject,
  emptyDiscrepancies,
  type Finding,
  uncertainPositions,
  withFindings,
} from './discrepancy.ts';
import type { LedgerReport } from './ledger.machine.ts';
import type { Order, OrderFact } from './order.ts';
import type { BrokerDay, Reconciliation } from './reconciliation.machine.ts';
import type { LinkReport } from './tws.ts';

/** What must outlive the process. */
export interface AuditStanding {
  /** when the executions of the day were last known to be complete, ms; null: never */
  readonly coveredAt: number | null;
  /** accounts whose positions were compared at least once */
  readonly accounts: readonly string[];
  readonly open: readonly Discrepancy[];
}

export const emptyStanding: AuditStanding = { coveredAt: null, accounts: [], open: [] };

export type AuditEvent =
  | { readonly type: 'audit.restored'; readonly standing: AuditStanding }
  | Extract<LedgerReport, { type: 'ledger.differed' }>
  | { readonly type: 'audit.orderNoted'; readonly fact: OrderFact; readonly order: Order }
  | {
      readonly type: 'audit.compared';
      readonly reconciliation: Reconciliation;
      readonly accounts: readonly string[];
    }
  | Extract<LinkReport, { type: 'tws.lost' | 'tws.severed' }>
  /** time passes */
  | { readonly type: 'audit.tick'; readonly at: number };

export type AuditReport =
  /** what began and what ended; `book` is what is left */
  | {
      readonly type: 'audit.differed';
      readonly raised: readonly Discrepancy[];
      readonly resolved: readonly Discrepancy[];
      readonly book: DiscrepancyBook;
      readonly standing: AuditStanding;
      readonly at: number;
    }
  | { readonly type: 'audit.covered'; readonly standing: AuditStanding; readonly at: number };

interface AuditContext {
  readonly book: DiscrepancyBook;
  readonly accounts: readonly string[];
  /** when the executions were last known to be complete, ms */
  readonly coveredAt: number | null;
  /** when that was last made durable, ms */
  readonly keptAt: number;
  /** since when executions may have been missed; null: a session has listened ever since `coveredAt` */
  readonly deafSince: number | null;
  readonly day: BrokerDay | null;
  /** comparisons made since executions of a past day were found missing */
  readonly comparisons: number;
}

type Of<T extends AuditEvent['type']> = Extract<AuditEvent, { type: T }>;

/** How often the time up to which executions are complete is made durable. */
const coverageKeptEveryMs = 300_000;

/** Others' executions come with the lists alone, and those of a quiet book come every half minute. */
export const listsLateMs = 35_000;

const standingOf = ({ coveredAt, accounts, book }: AuditContext): AuditStanding => ({
  coveredAt,
  accounts,
  open: book.open,
});

const time = (at: number): string => new Date(at).toISOString();
const allAccounts = (accounts: readonly string[]): DiscrepancySubject => ({ kind: 'accounts', accounts });
const gapFinding = (accounts: readonly string[], from: number, to: number): Finding => ({
  code: 'executions-gap',
  subject: allAccounts(accounts),
  evidence: { from: time(from), to: time(to) },
});

export const auditMachine = setup({
  types: {
    context: {} as AuditContext,
    events: {} as AuditEvent,
    tags: {} as 'differing',
  },
  guards: {
    isDiffering: ({ context }) => context.book.open.length > 0,
    isAgreeing: ({ context }) => context.book.open.length === 0,
    hasMissedMidnight: ({ context, event }) =>
      context.deafSince !== null &&
      context.day !== null &&
      (event as Of<'audit.tick'>).at >= context.day.to &&
      !context.book.open.some(({ code }) => code === 'executions-gap'),
  },
  actions: {
    restore: assign(({ event }) => {
      const { coveredAt, accounts, open } = (event as Of<'audit.restored'>).standing;
      return {
        book: { ...emptyDiscrepancies, open },
        accounts,
        coveredAt,
        keptAt: coveredAt ?? 0,
        deafSince: coveredAt,
      };
    }),
    followPosition: enqueueActions(({ context, event, enqueue }) => {
      const { account, instrument, findings, how, at } = event as Of<'ledger.differed'>;
      const subject: DiscrepancySubject = { kind: 'position', account, instrument };
      const book = state(context, enqueue, subject, findings, how, at);
      if (isGapFilled({ ...context, book }))
        state({ ...context, book }, enqueue, allAccounts(context.accounts), [], 'agreed', at);
    }),
    followOrder: enqueueActions(({ context, event, enqueue }) => {
      const { fact, order } = event as Of<'audit.orderNoted'>;
      const { clientOrderId, account, instrument } = order;
      const isMissing = fact.type === 'order.doubted' && fact.reason.code === 'missing-at-broker';
      const isNamed = context.book.open.some(
        ({ subject }) => subject.kind === 'order' && subject.clientOrderId === clientOrderId,
      );
      if (!isMissing && (!isNamed || order.state === 'inDoubt')) return;
      const subject: DiscrepancySubject = { kind: 'order', clientOrderId, account, instrument };
      const { remainingQuantity: remaining, permIds, createdAt } = order;
      const evidence = { remaining, permId: permIds.at(-1) ?? null, createdAt };
      const findings = isMissing ? [{ code: 'order-missing' as const, subject, evidence }] : [];
      state(context, enqueue, subject, findings, 'agreed', fact.at);
    }),
    /** A link may have been silent for a while before it counts as lost: only the last list is certain. */
    noteDeafness: assign(({ context }) => ({ deafSince: context.deafSince ?? context.coveredAt })),
    nameMidnight: enqueueActions(({ context, event, enqueue }) => {
      const { accounts, deafSince, day } = context;
      if (deafSince === null || day === null) return;
      enqueue.assign({ comparisons: 0 });
      const finding = gapFinding(accounts, deafSince, day.to);
      state(context, enqueue, finding.subject, [finding], 'agreed', (event as Of<'audit.tick'>).at);
    }),
    followComparison: enqueueActions(({ context, event, enqueue }) => {
      const { reconciliation, accounts } = event as Of<'audit.compared'>;
      const { at, day } = reconciliation;
      const missed = day === null ? null : missedSince(context, day);
      const next: AuditContext = {
        ...context,
        accounts: [...new Set([...context.accounts, ...accounts])],
        coveredAt: reconciliation.executionsSince,
        deafSince: null,
        day: day ?? context.day,
      };
      const subject = allAccounts(next.accounts);
      if (day !== null && missed !== null) {
        enqueue.assign({ ...next, comparisons: 1 });
        state(next, enqueue, subject, [gapFinding(next.accounts, missed, day.from)], 'agreed', at);
        return;
      }
      const comparisons = context.comparisons + 1;
      enqueue.assign({ ...next, comparisons });
      if (isGapFilled({ ...context, comparisons })) {
        state(next, enqueue, subject, [], 'agreed', at);
      } else if (
        at - context.keptAt >= coverageKeptEveryMs ||
        next.accounts.length > context.accounts.length
      ) {
        enqueue.assign({ keptAt: at });
        enqueue.sendParent({ type: 'audit.covered', standing: standingOf(next), at } satisfies AuditReport);
      }
    }),
  },
}).createMachine({
  id: 'audit',
  description: "every difference between the broker's books and ours: begun once, ended once",
  context: {
    book: emptyDiscrepancies,
    accounts: [],
    coveredAt: null,
    keptAt: 0,
    deafSince: null,
    day: null,
    comparisons: 0,
  },
  initial: 'agreeing',
  on: {
    'audit.restored': { actions: 'restore' },
    'ledger.differed': { actions: 'followPosition' },
    'audit.orderNoted': { actions: 'followOrder' },
    'audit.compared': { actions: 'followComparison' },
    'audit.tick': { guard: 'hasMissedMidnight', actions: 'nameMidnight' },
    'tws.lost': { actions: 'noteDeafness' },
    'tws.severed': { actions: 'noteDeafness' },
  },
  states: {
    agreeing: {
      description: 'both books say the same',
      always: { guard: 'isDiffering', target: 'differing' },
    },
    differing: {
      description: 'differences are open; each has a name',
      tags: 'differing',
      always: { guard: 'isAgreeing', target: 'agreeing' },
    },
  },
});

/** Since when executions of before this day may have been missed; null: they were not. */
function missedSince({ deafSince, coveredAt }: AuditContext, day: BrokerDay): number | null {
  const isLate = coveredAt !== null && coveredAt < day.from - listsLateMs;
  const since = deafSince ?? (isLate ? coveredAt : null);
  return since !== null && since < day.from ? since : null;
}

/** Whether executions of a past day are missing, but positions that were compared since speak for them. */
const isGapFilled = ({ book, comparisons }: Pick<AuditContext, 'book' | 'comparisons'>): boolean =>
  comparisons > 1 &&
  book.open.some(({ code }) => code === 'executions-gap') &&
  !book.open.some(({ subject }) => subject.kind === 'position');

/** States everything that is found about one subject, and tells what began and what ended. The book after it. */
function state(
  context: AuditContext,
  enqueue: { assign(change: Partial<AuditContext>): void; sendParent(event: AuditReport): void },
  subject: DiscrepancySubject,
  findings: readonly Finding[],
  how: DiscrepancyEnd,
  at: number,
): DiscrepancyBook {
  const { book, raised, resolved } = withFindings(context.book, subject, findings, how, at);
  if (book !== context.book) enqueue.assign({ book });
  const isAsCertain = uncertainPositions(book).length === uncertainPositions(context.book).length;
  if (raised.length === 0 && resolved.length === 0 && isAsCertain) return book;
  const standing = standingOf({ ...context, book });
  enqueue.assign({ keptAt: at });
  enqueue.sendParent({ type: 'audit.differed', raised, resolved, book, standing, at });
  return book;
}
