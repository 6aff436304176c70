/**
 * The supervisor. Its import graph is the supervision tree, its root transitions are the one place where it is
 * written who hears what, and its state says whether orders may be placed.
 */
import { assign, enqueueActions, fromCallback, raise, sendTo, setup } from 'xstate';
import { type AuditEvent, auditMachine } from './audit.machine.ts';
import { deskMachine } from './desk.machine.ts';
import type { DeskEvent, OrderRecord } from './desk.ts';
import { type Discrepancy, discrepancyView, uncertainPositions } from './discrepancy.ts';
import { isClosed } from './evidence.ts';
import { type GateEvent, gateMachine } from './gate.machine.ts';
import type { JournalCommand, JournalEntry } from './journal.ts';
import { type LedgerEvent, ledgerMachine } from './ledger.machine.ts';
import { marketMachine } from './market.machine.ts';
import type { MarketCommand } from './market.ts';
import type { Reason } from './order.ts';
import { type ReconciliationEvent, reconciliationMachine } from './reconciliation.machine.ts';
import {
  type Of,
  type Restartable,
  type RuntimeContext,
  type RuntimeEmitted,
  type RuntimeEvent,
  type RuntimeInput,
  type ShutCode,
  seedAfter,
  shutReasons,
  toldAs,
} from './runtime.ts';
import { twsMachine } from './tws.machine.ts';
import type { LinkReport, TwsCommand } from './tws.ts';
import { type WithdrawalEvent, withdrawalMachine, withdrawnOrderId } from './withdrawal.machine.ts';

/** How often a child that holds no truth of its own is started again before the process gives up. */
export const restartsMax = 5;

const asEntries = (records: readonly OrderRecord[]): readonly JournalEntry[] =>
  records.map(({ fact, order }) => ({ kind: 'order', fact, order }));

const provided = (name: string) =>
  fromCallback<JournalCommand>(() => {
    throw new Error(`port "${name}" was not provided`);
  });

export const runtimeMachine = setup({
  types: {
    context: {} as RuntimeContext,
    input: {} as RuntimeInput,
    events: {} as RuntimeEvent,
    emitted: {} as RuntimeEmitted,
    tags: {} as 'started' | 'reconciled' | 'trading' | 'draining' | 'failed',
    children: {} as {
      tws: 'tws';
      desk: 'desk';
      gate: 'gate';
      ledger: 'ledger';
      reconciliation: 'reconciliation';
      market: 'market';
      journal: 'journal';
      withdrawal: 'withdrawal';
      audit: 'audit';
    },
  },
  actors: {
    tws: twsMachine,
    desk: deskMachine,
    gate: gateMachine,
    ledger: ledgerMachine,
    reconciliation: reconciliationMachine,
    market: marketMachine,
    withdrawal: withdrawalMachine,
    audit: auditMachine,
    journal: provided('journal'),
  },
  guards: {
    isOfThisSession: ({ context, event }) =>
      (event as Of<'reconciliation.concluded'>).reconciliation.sessionId === context.sessionId,
    isReadOnly: ({ context }) => context.tradingMode === 'off',
    isJournalLost: ({ context }) => context.journalProblem !== null,
    mayRestart: ({ context }, { child }: { child: Restartable }) =>
      (context.restarts[child] ?? 0) < restartsMax,
  },
  actions: {
    connect: sendTo('tws', { type: 'tws.connect' }),
    disconnect: sendTo('tws', { type: 'tws.disconnect' }),
    restoreChildren: enqueueActions(({ context, event, enqueue }) => {
      const { desk, ledger, withdrawal, audit } = event as Of<'runtime.restored'>;
      enqueue.sendTo('ledger', ledger);
      enqueue.sendTo('desk', desk);
      enqueue.sendTo('desk', {
        type: 'desk.tradingChanged',
        isHalted: context.input.gate.latched.state === 'halted',
      });
      enqueue.sendTo('withdrawal', withdrawal);
      enqueue.sendTo('audit', audit);
      enqueue.sendTo('gate', {
        type: 'gate.uncertaintyNoted',
        positions: uncertainPositions({ open: audit.standing.open }),
      });
      for (const position of ledger.positions)
        enqueue.sendTo('gate', { type: 'gate.positionNoted', position });
    }),
    toDesk: enqueueActions(({ event, enqueue }) => enqueue.sendTo('desk', event as DeskEvent)),
    toGate: enqueueActions(({ event, enqueue }) => enqueue.sendTo('gate', event as GateEvent)),
    toTws: enqueueActions(({ event, enqueue }) => enqueue.sendTo('tws', event as TwsCommand)),
    toLedger: enqueueActions(({ event, enqueue }) => enqueue.sendTo('ledger', event as LedgerEvent)),
    toMarket: enqueueActions(({ event, enqueue }) => enqueue.sendTo('market', event as MarketCommand)),
    toWithdrawal: enqueueActions(({ event, enqueue }) =>
      enqueue.sendTo('withdrawal', event as WithdrawalEvent),
    ),
    retryWithdrawals: sendTo('withdrawal', { type: 'withdrawal.retry' }),
    journalWithdrawals: enqueueActions(({ event, enqueue }) => {
      const { standing, at } = event as Of<'withdrawal.changed'>;
      enqueue.sendTo('journal', { type: 'journal.append', entries: [{ kind: 'withdrawal', at, standing }] });
    }),
    emitLapse: enqueueActions(({ event, enqueue }) => {
      const { type, client, at } = event as Of<'lease.lapsed'>;
      enqueue.sendTo('journal', {
        type: 'journal.append',
        entries: [{ kind: 'alert', at, event: type, detail: { client } }],
      });
      enqueue.emit({ type, client, at });
    }),
    toReconciliation: enqueueActions(({ event, enqueue }) =>
      enqueue.sendTo('reconciliation', event as ReconciliationEvent),
    ),
    journalOrders: enqueueActions(({ event, enqueue }) => {
      const { records } = event as Of<'journal.append'>;
      enqueue.sendTo('journal', { type: 'journal.append', entries: asEntries(records) });
      for (const { fact, order } of records) {
        enqueue.sendTo('audit', { type: 'audit.orderNoted', fact, order });
        if (isClosed(order))
          enqueue.sendTo('withdrawal', {
            type: 'withdrawal.orderClosed',
            clientOrderId: order.clientOrderId,
          });
      }
    }),
    commitOrders: enqueueActions(({ event, enqueue }) => {
      const { requestId, records } = event as Of<'journal.commit'>;
      enqueue.sendTo('journal', { type: 'journal.commit', requestId, entries: asEntries(records) });
    }),
    journalLedger: enqueueActions(({ event, enqueue }) => {
      const { facts } = event as Of<'ledger.recorded'>;
      const entries = facts.map(
        (fact): JournalEntry =>
          fact.type === 'position.changed'
            ? { kind: 'position', at: fact.at, position: fact.position }
            : {
                kind: 'execution',
                at: fact.at,
                event: fact.type,
                family: fact.family,
                execution: fact.execution,
              },
      );
      enqueue.sendTo('journal', { type: 'journal.append', entries });
      for (const fact of facts) {
        if (fact.type === 'position.changed')
          enqueue.sendTo('gate', { type: 'gate.positionNoted', position: fact.position });
      }
      for (const fact of facts) {
        if (fact.type === 'position.changed' || !fact.liquidation) continue;
        const { at, execution } = fact;
        const { account, instrument, side } = execution;
        const entry: JournalEntry = {
          kind: 'alert',
          at,
          event: 'account.liquidated',
          detail: { account, instrument, execution },
        };
        enqueue.sendTo('journal', { type: 'journal.append', entries: [entry] });
        enqueue.sendTo('gate', { type: 'gate.liquidated', account, instrument, side, at });
      }
    }),
    toAudit: enqueueActions(({ event, enqueue }) => enqueue.sendTo('audit', event as AuditEvent)),
    tickAudit: enqueueActions(({ event, enqueue }) =>
      enqueue.sendTo('audit', { type: 'audit.tick', at: (event as Of<'desk.sweep'>).at }),
    ),
    journalDifferences: enqueueActions(({ event, enqueue }) => {
      const { raised, resolved, book, standing, at } = event as Of<'audit.differed'>;
      const told =
        (event: string) =>
        (discrepancy: Discrepancy): JournalEntry => ({
          kind: 'alert',
          at,
          event,
          detail: { ...discrepancyView(discrepancy, at) },
        });
      enqueue.sendTo('journal', {
        type: 'journal.append',
        entries: [
          ...raised.map(told('discrepancy.raised')),
          ...resolved.map(told('discrepancy.resolved')),
          { kind: 'audit', at, standing },
        ],
      });
      enqueue.sendTo('gate', { type: 'gate.uncertaintyNoted', positions: uncertainPositions(book) });
    }),
    journalCoverage: enqueueActions(({ event, enqueue }) => {
      const { standing, at } = event as Of<'audit.covered'>;
      enqueue.sendTo('journal', { type: 'journal.append', entries: [{ kind: 'audit', at, standing }] });
    }),
    withdrawReversals: enqueueActions(({ event, enqueue }) => {
      const { clientOrderIds, at } = event as Of<'gate.reversing'>;
      enqueue.sendTo('withdrawal', { type: 'withdrawal.demand', clientOrderIds, why: 'liquidation', at });
    }),
    journalTrading: enqueueActions(({ event, enqueue }) => {
      const { state, reasons, at } = event as Of<'trading.changed'>;
      enqueue.sendTo('desk', { type: 'desk.tradingChanged', isHalted: state === 'halted', at });
      enqueue.sendTo('journal', {
        type: 'journal.append',
        entries: [{ kind: 'trading', at, state, reasons }],
      });
    }),
    journalLink: enqueueActions(({ event, enqueue }) => {
      const report = event as LinkReport;
      enqueue.assign({ at: report.at });
      enqueue.sendTo('journal', { type: 'journal.append', entries: [toldAs('health', report)] });
    }),
    alert: enqueueActions(({ event, enqueue }) => {
      const told = event as Of<'reconciliation.faltered' | 'tws.absent' | 'tws.returned'>;
      enqueue.sendTo('journal', { type: 'journal.append', entries: [toldAs('alert', told)] });
    }),
    alertNote: enqueueActions(({ event, enqueue }) => {
      const noted = event as Of<'tws.noted'>;
      if (noted.severity === 'info') return;
      enqueue.sendTo('journal', { type: 'journal.append', entries: [toldAs('alert', noted)] });
    }),
    alertUndecodable: enqueueActions(({ event, enqueue }) => {
      const frame = event as Of<'tws.undecodable'>;
      enqueue.sendTo('journal', { type: 'journal.append', entries: [toldAs('alert', frame)] });
      if (frame.concernsOrders) {
        enqueue.sendTo('reconciliation', {
          type: 'evidence.wanted',
          why: 'a message about an order could not be decoded',
        });
      }
    }),
    alertOrder: enqueueActions(({ event, enqueue }) => {
      const { clientOrderId, at, alert, detail } = event as Of<'order.alerted'>;
      enqueue.sendTo('journal', {
        type: 'journal.append',
        entries: [{ kind: 'alert', at, event: alert, detail: { clientOrderId, ...detail } }],
      });
    }),
    alertSurprise: enqueueActions(({ context, event, enqueue }) => {
      const { type, clientOrderId, fact } = event as Of<'order.surprised'>;
      const entry: JournalEntry = {
        kind: 'alert',
        at: context.at,
        event: type,
        detail: { clientOrderId, fact },
      };
      enqueue.sendTo('journal', { type: 'journal.append', entries: [entry] });
    }),
    noteSession: enqueueActions(({ event, enqueue }) => {
      const { sessionId, accounts } = event as Of<'tws.ready'>;
      enqueue.assign({ sessionId, accounts });
      enqueue.sendTo('gate', { type: 'gate.accountsNoted', accounts });
    }),
    forgetSession: enqueueActions(({ event, enqueue }) => {
      const { at, cause } = event as Of<'tws.lost'>;
      enqueue.assign({ sessionId: null, isConfirmed: false });
      enqueue.sendTo('desk', { type: 'session.lost', at, cause });
      enqueue.sendTo('reconciliation', { type: 'reconciliation.stop' });
      enqueue.sendTo('ledger', { type: 'ledger.sessionLost' });
    }),
    stopReconciling: sendTo('reconciliation', { type: 'reconciliation.stop' }),
    reconcile: enqueueActions(({ context, enqueue }) => {
      if (context.sessionId === null) return;
      enqueue.assign({ unsureSince: context.at });
      enqueue.sendTo('reconciliation', {
        type: 'reconciliation.start',
        sessionId: context.sessionId,
        at: context.at,
      });
    }),
    weighLists: enqueueActions(({ context, event, enqueue }) => {
      const { reconciliation } = event as Of<'reconciliation.concluded'>;
      const { at, evidence, positions, positionsSince, positionsAt, executionsSince, conclusive } =
        reconciliation;
      const { accounts, sessionId } = context;
      enqueue.assign({ reconciliation, at });
      if (conclusive && evidence) enqueue.sendTo('desk', { type: 'desk.evidence', at, ...evidence });
      enqueue.sendTo('ledger', {
        type: 'ledger.listed',
        accounts,
        rows: positions,
        since: positionsSince,
        executionsSince,
        at: positionsAt,
      });
      enqueue.sendTo('audit', { type: 'audit.compared', reconciliation, accounts });
      const isOfNow = conclusive && evidence !== null && evidence.since >= context.unsureSince;
      if (context.isConfirmed || !isOfNow || reconciliation.sessionId !== sessionId) return;
      enqueue.assign({ isConfirmed: true });
      const told = toldAs('health', {
        type: 'session.reconciled',
        at,
        sessionId,
        since: context.unsureSince,
      });
      enqueue.sendTo('journal', { type: 'journal.append', entries: [told] });
    }),
    forgetConfirmation: assign({ isConfirmed: false }),
    shutDesk: sendTo('desk', (_, { code, canCancel }: { code: ShutCode; canCancel: boolean }) => ({
      type: 'desk.shut' as const,
      reason: { code, message: shutReasons[code] } satisfies Reason,
      canCancel,
    })),
    openDesk: sendTo('desk', { type: 'desk.open' }),
    noteJournalLost: assign(({ event }) => ({ journalProblem: (event as Of<'journal.lost'>).message })),
    noteJournalRecovered: assign({ journalProblem: null }),
    emitAnswer: enqueueActions(({ event, enqueue }) => {
      const { requestId, answer } = event as Of<'desk.answered'>;
      const withdrawn = withdrawnOrderId(requestId);
      if (withdrawn !== null) {
        if (['closed', 'unknown', 'invalid'].includes(answer.outcome))
          enqueue.sendTo('withdrawal', { type: 'withdrawal.orderClosed', clientOrderId: withdrawn });
        return;
      }
      enqueue.emit({ type: 'answered', requestId, answer });
    }),
    followVerdict: enqueueActions(({ event, enqueue }) => {
      const { requestId, verdict } = event as Of<'gate.reviewed'>;
      enqueue.emit({ type: 'reviewed', requestId, verdict });
      enqueue.sendTo('desk', event as Of<'gate.reviewed'>);
    }),
    countRestart: assign(({ context }, { child }: { child: Restartable }) => ({
      restarts: { ...context.restarts, [child]: (context.restarts[child] ?? 0) + 1 },
    })),
    giveUp: raise((_, { child }: { child: string }) => ({ type: 'runtime.failed' as const, child })),
    reportLostLink: enqueueActions(({ context, enqueue }) => {
      if (context.sessionId === null) return;
      const { sessionId, at } = context;
      const message = 'the connection actor failed';
      enqueue.raise({ type: 'tws.lost', sessionId, cause: 'failed', message, at });
    }),
    connectAgain: raise({ type: 'runtime.connect' }, { delay: 'restartPause' }),
    alertFailure: enqueueActions(({ context, event, enqueue }) => {
      const { type, child } = event as Of<'runtime.failed'>;
      const entry: JournalEntry = { kind: 'alert', at: context.at, event: type, detail: { child } };
      if (child !== 'journal') enqueue.sendTo('journal', { type: 'journal.append', entries: [entry] });
    }),
  },
  delays: { restartPause: 1_000 },
}).createMachine({
  id: 'runtime',
  context: ({ input }) => ({
    sessionId: null,
    accounts: [],
    journalProblem: null,
    tradingMode: input.gate.tradingMode,
    reconciliation: null,
    unsureSince: 0,
    isConfirmed: false,
    at: 0,
    restarts: {},
    input,
  }),
  invoke: [
    {
      src: 'journal',
      id: 'journal',
      systemId: 'journal',
      onError: { actions: { type: 'giveUp', params: { child: 'journal' } } },
    },
    {
      src: 'gate',
      id: 'gate',
      systemId: 'gate',
      input: ({ context }) => context.input.gate,
      onError: { actions: { type: 'giveUp', params: { child: 'gate' } } },
    },
    {
      src: 'ledger',
      id: 'ledger',
      systemId: 'ledger',
      onError: { actions: { type: 'giveUp', params: { child: 'ledger' } } },
    },
    {
      src: 'desk',
      id: 'desk',
      systemId: 'desk',
      input: ({ context }) => ({ clientId: context.input.tws.clientId }),
      onError: { actions: { type: 'giveUp', params: { child: 'desk' } } },
    },
    {
      src: 'audit',
      id: 'audit',
      systemId: 'audit',
      onError: { actions: { type: 'giveUp', params: { child: 'audit' } } },
    },
    {
      src: 'withdrawal',
      id: 'withdrawal',
      systemId: 'withdrawal',
      onError: { actions: { type: 'giveUp', params: { child: 'withdrawal' } } },
    },
  ],
  type: 'parallel',
  states: {
    /** who hears what */
    routing: {
      on: {
        'runtime.restored': { actions: 'restoreChildren' },
        'order.submit': { actions: 'toDesk' },
        'order.modify': { actions: 'toDesk' },
        'order.cancel': { actions: 'toDesk' },
        'desk.sweep': { actions: ['toDesk', 'tickAudit'] },
        'desk.raiseOrderId': { actions: 'toDesk' },
        'desk.answered': { actions: 'emitAnswer' },
        'withdrawal.demand': { actions: 'toWithdrawal' },
        'withdrawal.changed': { actions: 'journalWithdrawals' },
        'lease.renew': { actions: 'toWithdrawal' },
        'lease.release': { actions: 'toWithdrawal' },
        'lease.lapsed': { actions: 'emitLapse' },
        'gate.review': { actions: 'toGate' },
        'gate.orderNoted': { actions: 'toGate' },
        'gate.release': { actions: 'toGate' },
        'gate.pnlNoted': { actions: 'toGate' },
        'gate.open': { actions: 'toGate' },
        'gate.reduce': { actions: 'toGate' },
        'gate.halt': { actions: 'toGate' },
        'gate.reviewed': { actions: 'followVerdict' },
        'gate.reversing': { actions: 'withdrawReversals' },
        'trading.changed': { actions: 'journalTrading' },
        'ledger.book': { actions: 'toLedger' },
        'ledger.name': { actions: 'toLedger' },
        'ledger.valued': { actions: 'toLedger' },
        'ledger.recorded': { actions: 'journalLedger' },
        'ledger.differed': { actions: 'toAudit' },
        'audit.differed': { actions: 'journalDifferences' },
        'audit.covered': { actions: 'journalCoverage' },
        'market.acquire': { actions: 'toMarket' },
        'market.release': { actions: 'toMarket' },
        'evidence.wanted': { actions: 'toReconciliation' },
        'reconciliation.concluded': { actions: 'weighLists' },
        'reconciliation.faltered': { actions: 'alert' },
        'journal.append': { actions: 'journalOrders' },
        'journal.commit': { actions: 'commitOrders' },
        'journal.committed': { actions: 'toDesk' },
        'journal.failed': { actions: 'toDesk' },
        'order.surprised': { actions: 'alertSurprise' },
        'order.alerted': { actions: 'alertOrder' },
        'tws.place': { actions: 'toTws' },
        'tws.cancel': { actions: 'toTws' },
        'tws.cancelAll': { actions: 'toTws' },
        'tws.ready': { actions: ['journalLink', 'toMarket'] },
        'tws.lost': { actions: ['journalLink', 'toMarket', 'toAudit'] },
        'tws.severed': { actions: ['journalLink', 'toMarket', 'toAudit'] },
        'tws.restored': { actions: ['journalLink', 'toMarket'] },
        'tws.farmChanged': { actions: ['journalLink', 'toMarket'] },
        'tws.absent': { actions: 'alert' },
        'tws.returned': { actions: 'alert' },
        'tws.noted': { actions: 'alertNote' },
        'tws.undecodable': { actions: 'alertUndecodable' },
        'broker.commissioned': { actions: ['toDesk', 'toLedger'] },
        'broker.positionSeen': { actions: 'toLedger' },
        'broker.*': { actions: 'toDesk' },
        'dispatch.*': { actions: 'toDesk' },
      },
    },
    /** whether orders may be placed, and if not, why not */
    phase: {
      initial: 'starting',
      on: { 'runtime.failed': '.failed', 'runtime.drain': '.draining', 'runtime.stop': '.stopped' },
      states: {
        starting: {
          entry: { type: 'shutDesk', params: { code: 'starting', canCancel: false } },
          on: { 'runtime.connect': { target: 'active', actions: 'connect' } },
        },
        active: {
          tags: 'started',
          initial: 'connecting',
          on: {
            'tws.ready': { target: '.reconciling', actions: 'noteSession' },
            'tws.lost': { target: '.connecting', actions: 'forgetSession' },
            'journal.lost': { actions: 'noteJournalLost' },
            'journal.recovered': { actions: 'noteJournalRecovered' },
            'runtime.connect': { actions: 'connect' },
          },
          states: {
            connecting: { entry: { type: 'shutDesk', params: { code: 'connecting', canCancel: false } } },
            reconciling: {
              entry: [{ type: 'shutDesk', params: { code: 'reconciling', canCancel: true } }, 'reconcile'],
              on: {
                'reconciliation.concluded': { guard: 'isOfThisSession', target: 'trading' },
                'tws.severed': 'severed',
              },
            },
            severed: {
              // What TWS tells without IB is what it knew before.
              entry: [
                { type: 'shutDesk', params: { code: 'severed', canCancel: true } },
                'stopReconciling',
                'forgetConfirmation',
              ],
              on: { 'tws.restored': 'reconciling' },
            },
            trading: {
              tags: 'reconciled',
              entry: 'retryWithdrawals',
              initial: 'deciding',
              on: {
                'tws.severed': 'severed',
                'journal.lost': { target: '.unrecorded', actions: 'noteJournalLost' },
                'journal.recovered': { target: '.deciding', actions: 'noteJournalRecovered' },
              },
              states: {
                deciding: {
                  always: [
                    { guard: 'isReadOnly', target: 'readOnly' },
                    { guard: 'isJournalLost', target: 'unrecorded' },
                    { target: 'open' },
                  ],
                },
                open: { tags: 'trading', entry: 'openDesk' },
                readOnly: { entry: { type: 'shutDesk', params: { code: 'read-only', canCancel: true } } },
                unrecorded: {
                  entry: { type: 'shutDesk', params: { code: 'journal-unavailable', canCancel: true } },
                },
              },
            },
          },
        },
        draining: {
          tags: ['started', 'draining'],
          entry: { type: 'shutDesk', params: { code: 'draining', canCancel: true } },
          on: { 'tws.lost': { actions: 'forgetSession' } },
        },
        stopped: { tags: 'draining', entry: 'disconnect' },
        failed: {
          tags: 'failed',
          entry: ['alertFailure', { type: 'shutDesk', params: { code: 'failed', canCancel: false } }],
        },
      },
    },
    /** the connection to TWS: replaced when it fails */
    link: {
      invoke: {
        src: 'tws',
        id: 'tws',
        systemId: 'tws',
        input: ({ context }) => ({
          ...context.input.tws,
          seed: seedAfter(context.input.tws.seed, context.restarts.tws ?? 0),
        }),
        onError: [
          {
            guard: { type: 'mayRestart', params: { child: 'tws' } },
            target: 'link',
            reenter: true,
            actions: [{ type: 'countRestart', params: { child: 'tws' } }, 'reportLostLink', 'connectAgain'],
          },
          { actions: { type: 'giveUp', params: { child: 'tws' } } },
        ],
      },
    },
    /** market data: replaced when it fails */
    lines: {
      invoke: {
        src: 'market',
        id: 'market',
        systemId: 'market',
        input: ({ context }) => ({ ...context.input.market, sessionId: context.sessionId }),
        onError: [
          {
            guard: { type: 'mayRestart', params: { child: 'market' } },
            target: 'lines',
            reenter: true,
            actions: { type: 'countRestart', params: { child: 'market' } },
          },
          { actions: { type: 'giveUp', params: { child: 'market' } } },
        ],
      },
    },
    /** the comparison with the broker's lists: replaced when it fails */
    comparison: {
      invoke: {
        src: 'reconciliation',
        id: 'reconciliation',
        systemId: 'reconciliation',
        onError: [
          {
            guard: { type: 'mayRestart', params: { child: 'reconciliation' } },
            target: 'comparison',
            reenter: true,
            actions: { type: 'countRestart', params: { child: 'reconciliation' } },
          },
          { actions: { type: 'giveUp', params: { child: 'reconciliation' } } },
        ],
      },
    },
  },
});
