/**
 * The supervisor. Its import graph is the supervision tree, its routes (routes.ts) say who hears what, and its state says
 * whether orders may be placed.
 */
import { type AnyActorRef, assign, enqueueActions, fromCallback, sendTo, setup } from 'xstate';
import { type AuditEvent, auditMachine, emptyStanding } from './audit.machine.ts';
import { deskMachine } from './desk.machine.ts';
import type { DeskEvent } from './desk.ts';
import { uncertainPositions } from './discrepancy.ts';
import { alertOf, differenceEntries, ledgerEntries, orderEntries, toldAs } from './entries.ts';
import { isClosed } from './evidence.ts';
import { type GateEvent, gateMachine } from './gate.machine.ts';
import type { JournalCommand, JournalEntry } from './journal.ts';
import { type LedgerEvent, ledgerMachine } from './ledger.machine.ts';
import { marketMachine } from './market.machine.ts';
import type { MarketCommand } from './market.ts';
import type { Reason } from './order.ts';
import { type ReconciliationEvent, reconciliationMachine } from './reconciliation.machine.ts';
import { routes } from './routes.ts';
import type { Of, RuntimeContext, RuntimeEmitted, RuntimeEvent, RuntimeInput, ShutCode } from './runtime.ts';
import { connectionInput, listedPositions, marketInput, shutReasons } from './runtime.ts';
import {
  failureOf,
  haltReason,
  mayRestart,
  restartWindowMs,
  supervision,
  withoutRestart,
  withRestart,
} from './supervision.ts';
import { twsMachine } from './tws.machine.ts';
import type { LinkReport, TwsCommand } from './tws.ts';
import { type WithdrawalEvent, withdrawalMachine, withdrawnOrderId } from './withdrawal.machine.ts';

const append = (...entries: readonly JournalEntry[]): JournalCommand => ({ type: 'journal.append', entries });

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
    tags: {} as
      | 'started'
      | 'foreign'
      | 'reconciled'
      | 'trading'
      | 'draining'
      | 'disabled'
      | 'failed'
      | 'readOnly',
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
    isOtherLogin: ({ context, event }) => {
      const known = context.auditStanding.accounts;
      const { accounts } = event as Of<'tws.ready'>;
      return known.length > 0 && !accounts.some((account) => known.includes(account));
    },
    isReadOnly: ({ context }) => context.tradingMode === 'off',
    isJournalLost: ({ context }) => context.journalProblem !== null,
    mayRestart: ({ context, event }) => {
      const failure = failureOf(event);
      return failure !== null && mayRestart(context, failure.child);
    },
    isEscalated: ({ event }) => (event as Of<'runtime.failed'>).consequence === 'escalate',
    concernsLists: ({ event }) => (event as Of<'runtime.childRestarted'>).child === 'reconciliation',
  },
  actions: {
    connect: sendTo('tws', { type: 'tws.connect' }),
    disconnect: sendTo('tws', { type: 'tws.disconnect' }),
    restoreChildren: enqueueActions(({ context, event, enqueue }) => {
      const { desk, ledger, withdrawal, audit, lost } = event as Of<'runtime.restored'>;
      if (lost) enqueue.sendTo('journal', append(toldAs('health', lost)));
      enqueue.assign({ at: desk.at, auditStanding: audit.standing, withdrawalStanding: withdrawal.standing });
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
        positions: uncertainPositions(audit.standing),
      });
      for (const position of ledger.positions)
        enqueue.sendTo('gate', { type: 'gate.positionNoted', position });
    }),
    toDesk: enqueueActions(({ event, enqueue }) => enqueue.sendTo('desk', event as DeskEvent)),
    toGate: enqueueActions(({ event, enqueue }) => enqueue.sendTo('gate', event as GateEvent)),
    toTws: enqueueActions(({ event, enqueue }) => enqueue.sendTo('tws', event as TwsCommand)),
    toLedger: enqueueActions(({ event, enqueue }) => enqueue.sendTo('ledger', event as LedgerEvent)),
    toMarket: enqueueActions(({ event, enqueue }) => enqueue.sendTo('market', event as MarketCommand)),
    toWithdrawal: sendTo('withdrawal', ({ event }) => event as WithdrawalEvent),
    retryWithdrawals: sendTo('withdrawal', { type: 'withdrawal.retry' }),
    journalWithdrawals: enqueueActions(({ event, enqueue }) => {
      const { standing, at } = event as Of<'withdrawal.changed'>;
      enqueue.assign({ withdrawalStanding: standing });
      enqueue.sendTo('journal', append({ kind: 'withdrawal', at, standing }));
    }),
    noteLapse: enqueueActions(({ event, enqueue }) => {
      const { type, client, at } = event as Of<'lease.lapsed'>;
      enqueue.sendTo('journal', append(alertOf(type, at, { client })));
      enqueue.sendTo('desk', { type, client, at });
    }),
    toReconciliation: sendTo('reconciliation', ({ event }) => event as ReconciliationEvent),
    journalOrders: enqueueActions(({ event, enqueue }) => {
      const { records } = event as Of<'journal.append'>;
      enqueue.sendTo('journal', append(...orderEntries(records)));
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
      enqueue.sendTo('journal', { type: 'journal.commit', requestId, entries: orderEntries(records) });
    }),
    journalLedger: enqueueActions(({ event, enqueue }) => {
      const { facts } = event as Of<'ledger.recorded'>;
      const entries = ledgerEntries(facts);
      enqueue.sendTo('journal', append(...entries));
      for (const fact of facts) {
        if (fact.type === 'position.changed')
          enqueue.sendTo('gate', { type: 'gate.positionNoted', position: fact.position });
      }
      for (const fact of facts) {
        if (fact.type === 'position.changed' || !fact.liquidation) continue;
        const { at, execution } = fact;
        const { account, instrument, side } = execution;
        const entry = alertOf('account.liquidated', at, { account, instrument, execution });
        enqueue.sendTo('journal', append(entry));
        enqueue.sendTo('gate', { type: 'gate.liquidated', account, instrument, side, at });
      }
    }),
    toAudit: enqueueActions(({ event, enqueue }) => enqueue.sendTo('audit', event as AuditEvent)),
    tickAudit: enqueueActions(({ event, enqueue }) =>
      enqueue.sendTo('audit', { type: 'audit.tick', at: (event as Of<'desk.sweep'>).at }),
    ),
    journalDifferences: enqueueActions(({ event, enqueue }) => {
      const differed = event as Of<'audit.differed'>;
      const { book, standing } = differed;
      enqueue.assign({ auditStanding: standing });
      enqueue.sendTo('journal', append(...differenceEntries(differed)));
      enqueue.sendTo('gate', { type: 'gate.uncertaintyNoted', positions: uncertainPositions(book) });
    }),
    journalCoverage: enqueueActions(({ event, enqueue }) => {
      const { standing, at } = event as Of<'audit.covered'>;
      enqueue.assign({ auditStanding: standing });
      enqueue.sendTo('journal', append({ kind: 'audit', at, standing }));
    }),
    withdrawReversals: enqueueActions(({ event, enqueue }) => {
      const { clientOrderIds, at } = event as Of<'gate.reversing'>;
      enqueue.sendTo('withdrawal', { type: 'withdrawal.demand', clientOrderIds, why: 'liquidation', at });
    }),
    journalTrading: enqueueActions(({ event, enqueue }) => {
      const { state, reasons, at } = event as Of<'trading.changed'>;
      enqueue.assign({ latched: { state, reasons } });
      enqueue.sendTo('desk', { type: 'desk.tradingChanged', isHalted: state === 'halted', at });
      enqueue.sendTo('journal', append({ kind: 'trading', at, state, reasons }));
    }),
    journalLink: enqueueActions(({ event, enqueue }) => {
      const report = event as LinkReport;
      enqueue.assign({ at: report.at });
      if ('repeated' in report) return;
      enqueue.sendTo('journal', append(toldAs('health', report)));
    }),
    alert: enqueueActions(({ event, enqueue }) => {
      const told = event as Of<'reconciliation.faltered' | 'tws.absent' | 'tws.returned'>;
      enqueue.sendTo('journal', append(toldAs('alert', told)));
    }),
    alertNote: enqueueActions(({ event, enqueue }) => {
      const noted = event as Of<'tws.noted'>;
      if (noted.severity === 'info') return;
      enqueue.sendTo('journal', append(toldAs('alert', noted)));
    }),
    alertUndecodable: enqueueActions(({ event, enqueue }) => {
      const frame = event as Of<'tws.undecodable'>;
      enqueue.sendTo('journal', append(toldAs('alert', frame)));
      if (frame.concernsOrders) {
        enqueue.sendTo('reconciliation', {
          type: 'evidence.wanted',
          why: 'a message about an order could not be decoded',
        });
      }
    }),
    alertOrder: enqueueActions(({ event, enqueue }) => {
      const { clientOrderId, at, alert, detail } = event as Of<'order.alerted'>;
      enqueue.sendTo('journal', append(alertOf(alert, at, { clientOrderId, ...detail })));
    }),
    alertSurprise: enqueueActions(({ context, event, enqueue }) => {
      const { type, clientOrderId, fact } = event as Of<'order.surprised'>;
      enqueue.sendTo('journal', append(alertOf(type, context.at, { clientOrderId, fact })));
    }),
    noteSession: enqueueActions(({ event, enqueue }) => {
      const { sessionId, accounts } = event as Of<'tws.ready'>;
      enqueue.assign({ sessionId, accounts });
      enqueue.sendTo('gate', { type: 'gate.accountsNoted', accounts });
    }),
    alertOtherLogin: enqueueActions(({ context, event, enqueue }) => {
      const { at, accounts } = event as Of<'tws.ready'>;
      const detail = { accounts, known: context.auditStanding.accounts };
      enqueue.sendTo('journal', append(alertOf('tws.otherLogin', at, detail)));
    }),
    forgetSession: enqueueActions(({ event, enqueue }) => {
      const { at, cause } = event as Of<'tws.lost'>;
      enqueue.assign({ sessionId: null, isConfirmed: false });
      enqueue.sendTo('desk', { type: 'session.lost', at, cause });
      enqueue.sendTo('gate', { type: 'gate.sessionLost' });
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
      const { at, evidence, conclusive } = reconciliation;
      const { accounts, sessionId } = context;
      enqueue.assign({ reconciliation, at });
      if (conclusive && evidence) enqueue.sendTo('desk', { type: 'desk.evidence', at, ...evidence });
      enqueue.sendTo('ledger', listedPositions(reconciliation, accounts));
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
      enqueue.sendTo('journal', append(told));
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
      const clientOrderId = withdrawnOrderId(requestId);
      if (clientOrderId === null) return enqueue.emit({ type: 'answered', requestId, answer });
      enqueue.sendTo('withdrawal', { type: 'withdrawal.answered', clientOrderId, answer });
    }),
    followVerdict: enqueueActions(({ event, enqueue }) => {
      const { requestId, verdict } = event as Of<'gate.reviewed'>;
      enqueue.emit({ type: 'reviewed', requestId, verdict });
      enqueue.sendTo('desk', event as Of<'gate.reviewed'>);
    }),
    noteTime: assign(({ context, event }) => ({
      at: Math.max(context.at, (event as Of<'desk.sweep'>).at),
    })),
    countRestart: enqueueActions(({ context, event, enqueue }) => {
      const failure = failureOf(event);
      if (failure === null) return;
      const { child, error } = failure;
      enqueue.assign(withRestart(context, child));
      enqueue.raise({ type: 'runtime.restartForgotten', child }, { delay: 'restartWindow' });
      const restarts = (context.recentRestarts[child] ?? 0) + 1;
      const detail = { child, error, restarts, withinMs: restartWindowMs };
      enqueue.sendTo('journal', append(alertOf('runtime.childRestarted', context.at, detail)));
    }),
    forgetRestart: assign(({ context, event }) =>
      withoutRestart(context, (event as Of<'runtime.restartForgotten'>).child),
    ),
    /** A crashed actor leaves its own children running: a session would keep its socket, a line its place with TWS. */
    stopOrphans: enqueueActions(({ event, enqueue, self }) => {
      const failure = failureOf(event);
      const crashed = failure && self.getSnapshot().children[failure.child];
      const snapshot: { readonly children?: Readonly<Record<string, AnyActorRef | undefined>> } | undefined =
        crashed?.getSnapshot();
      // Only its parent, which is dead, may stop an actor; what a parent would send has the same effect.
      for (const orphan of Object.values(snapshot?.children ?? {}))
        if (orphan?.getSnapshot().status === 'active') enqueue.sendTo(orphan, { type: 'xstate.stop' });
    }),
    replaceChild: enqueueActions(({ context, event, enqueue }) => {
      const child = failureOf(event)?.child;
      if (child === undefined) return;
      enqueue.stopChild(child);
      switch (child) {
        case 'tws':
          enqueue.spawnChild('tws', { id: child, systemId: child, input: connectionInput(context) });
          enqueue.raise({ type: 'runtime.connect' }, { delay: 'restartPause' });
          break;
        case 'market':
          enqueue.spawnChild('market', { id: child, systemId: child, input: marketInput(context) });
          break;
        case 'reconciliation':
          enqueue.spawnChild('reconciliation', { id: child, systemId: child });
          break;
        case 'audit':
          enqueue.spawnChild('audit', { id: child, systemId: child });
          enqueue.sendTo('audit', { type: 'audit.restored', standing: context.auditStanding });
          break;
        case 'withdrawal':
          enqueue.spawnChild('withdrawal', { id: child, systemId: child });
          enqueue.sendTo('withdrawal', {
            type: 'withdrawal.restored',
            standing: context.withdrawalStanding,
            at: context.at,
          });
          enqueue.sendTo('withdrawal', { type: 'withdrawal.retry' });
      }
      enqueue.raise({ type: 'runtime.childRestarted', child });
    }),
    /** Without its machine the connection cannot tell its own end. */
    reportLostLink: enqueueActions(({ context, event, enqueue }) => {
      if (failureOf(event)?.child !== 'tws' || context.sessionId === null) return;
      const { sessionId, at } = context;
      const message = 'the connection actor failed';
      enqueue.raise({ type: 'tws.lost', sessionId, cause: 'failed', message, at });
    }),
    giveUp: enqueueActions(({ event, enqueue }) => {
      const failure = failureOf(event);
      if (failure === null) return;
      const consequence = supervision[failure.child].finally;
      enqueue.raise({ type: 'runtime.failed', ...failure, consequence });
    }),
    alertFailure: enqueueActions(({ context, event, enqueue }) => {
      const { type, ...detail } = event as Of<'runtime.failed'>;
      enqueue.sendTo('journal', append(alertOf(type, context.at, detail)));
    }),
    /** Latched: the same fault must not trade again only because somebody restarted the process. */
    haltTrading: enqueueActions(({ context: { at }, event, enqueue }) => {
      const failed = event as Of<'runtime.failed'>;
      const reason = haltReason(failed);
      if (failed.child !== 'gate') return enqueue.sendTo('gate', { type: 'gate.halt', reason, at });
      const reasons = [{ ...reason, since: new Date(at).toISOString() }];
      return enqueue.raise({ type: 'trading.changed', state: 'halted', reasons, at });
    }),
  },
  delays: { restartPause: 1_000, restartWindow: restartWindowMs, otherLoginPause: 300_000 },
}).createMachine({
  id: 'runtime',
  description: 'the supervisor: who hears what, what becomes of failures, whether orders may be placed',
  context: ({ input }) => ({
    sessionId: null,
    accounts: [],
    journalProblem: null,
    tradingMode: input.gate.tradingMode,
    latched: input.gate.latched,
    reconciliation: null,
    unsureSince: 0,
    isConfirmed: false,
    at: 0,
    restarts: {},
    recentRestarts: {},
    auditStanding: emptyStanding,
    withdrawalStanding: { leases: [], owed: [] },
    input,
  }),
  invoke: [
    { src: 'journal', id: 'journal', systemId: 'journal' },
    { src: 'gate', id: 'gate', systemId: 'gate', input: ({ context }) => context.input.gate },
    { src: 'ledger', id: 'ledger', systemId: 'ledger' },
    {
      src: 'desk',
      id: 'desk',
      systemId: 'desk',
      input: ({ context }) => ({ clientId: context.input.tws.clientId }),
    },
    { src: 'audit', id: 'audit', systemId: 'audit' },
    { src: 'withdrawal', id: 'withdrawal', systemId: 'withdrawal' },
    { src: 'tws', id: 'tws', systemId: 'tws', input: ({ context }) => connectionInput(context) },
    { src: 'market', id: 'market', systemId: 'market', input: ({ context }) => marketInput(context) },
    { src: 'reconciliation', id: 'reconciliation', systemId: 'reconciliation' },
  ],
  type: 'parallel',
  states: {
    routing: {
      description: 'who hears what',
      on: routes,
    },
    supervision: {
      description: 'what becomes of children that fail: as machines/supervision.ts says',
      on: {
        'xstate.error.actor.*': [
          {
            guard: 'mayRestart',
            actions: ['stopOrphans', 'countRestart', 'reportLostLink', 'replaceChild'],
          },
          { actions: ['stopOrphans', 'reportLostLink', 'giveUp'] },
        ],
        'runtime.restartForgotten': { actions: 'forgetRestart' },
      },
    },
    phase: {
      description: 'whether orders may be placed, and if not, why not',
      initial: 'starting',
      on: {
        'runtime.failed': [
          { guard: 'isEscalated', target: '.failed', actions: 'alertFailure' },
          { target: '.disabled', actions: ['alertFailure', 'haltTrading'] },
        ],
        'runtime.drain': '.draining',
        'runtime.stop': '.stopped',
      },
      states: {
        starting: {
          description: 'the journal is read; nothing is connected',
          entry: { type: 'shutDesk', params: { code: 'starting', canCancel: false } },
          on: { 'runtime.connect': { target: 'active', actions: 'connect' } },
        },
        active: {
          description: 'follows the connection',
          tags: 'started',
          initial: 'connecting',
          on: {
            'tws.ready': [
              { guard: 'isOtherLogin', target: '.foreign', actions: 'alertOtherLogin' },
              { target: '.reconciling', actions: 'noteSession' },
            ],
            'tws.lost': { target: '.connecting', actions: 'forgetSession' },
            'journal.lost': { actions: 'noteJournalLost' },
            'journal.recovered': { actions: 'noteJournalRecovered' },
            'runtime.connect': { actions: 'connect' },
          },
          states: {
            connecting: {
              description: 'no session: orders are refused, nothing is queued',
              entry: { type: 'shutDesk', params: { code: 'connecting', canCancel: false } },
            },
            foreign: {
              description:
                'TWS is logged in with accounts that the journal has never seen: nothing of the one may reach the other',
              tags: 'foreign',
              entry: [{ type: 'shutDesk', params: { code: 'other-login', canCancel: false } }, 'disconnect'],
              on: { 'tws.lost': { actions: 'forgetSession' } },
              after: { otherLoginPause: { target: 'connecting', actions: 'connect' } },
            },
            reconciling: {
              description: "a session stands; the broker's lists are not complete",
              entry: [{ type: 'shutDesk', params: { code: 'reconciling', canCancel: true } }, 'reconcile'],
              on: {
                'reconciliation.concluded': { guard: 'isOfThisSession', target: 'trading' },
                'tws.severed': 'severed',
                'runtime.childRestarted': { guard: 'concernsLists', actions: 'reconcile' },
              },
            },
            severed: {
              description: 'the gateway has no link to IB',
              // What TWS tells without IB is what it knew before.
              entry: [
                { type: 'shutDesk', params: { code: 'severed', canCancel: true } },
                'stopReconciling',
                'forgetConfirmation',
              ],
              on: { 'tws.restored': 'reconciling' },
            },
            trading: {
              description: 'the lists of this session are complete',
              tags: 'reconciled',
              entry: 'retryWithdrawals',
              initial: 'deciding',
              on: {
                'tws.severed': 'severed',
                'journal.lost': { target: '.unrecorded', actions: 'noteJournalLost' },
                'journal.recovered': { target: '.deciding', actions: 'noteJournalRecovered' },
                'runtime.childRestarted': { guard: 'concernsLists', actions: 'reconcile' },
              },
              states: {
                deciding: {
                  description: 'never stayed in',
                  always: [
                    { guard: 'isReadOnly', target: 'readOnly' },
                    { guard: 'isJournalLost', target: 'unrecorded' },
                    { target: 'open' },
                  ],
                },
                open: { description: 'orders may be placed', tags: 'trading', entry: 'openDesk' },
                readOnly: {
                  description: 'TRADING_MODE=off: no orders',
                  tags: 'readOnly',
                  entry: { type: 'shutDesk', params: { code: 'read-only', canCancel: true } },
                },
                unrecorded: {
                  description: 'nothing can be made durable: cancels only',
                  entry: { type: 'shutDesk', params: { code: 'journal-unavailable', canCancel: true } },
                },
              },
            },
          },
        },
        draining: {
          description: 'the process is stopping: no new orders',
          tags: ['started', 'draining'],
          entry: { type: 'shutDesk', params: { code: 'draining', canCancel: true } },
          on: { 'tws.lost': { actions: 'forgetSession' } },
        },
        stopped: {
          description: 'hung up',
          tags: 'draining',
          entry: 'disconnect',
          on: { 'runtime.failed': {} },
        },
        disabled: {
          description: 'a part is gone for good: no order until the process is started again, only cancels',
          tags: ['started', 'disabled'],
          entry: {
            type: 'shutDesk',
            params: ({ context }) => ({ code: 'disabled', canCancel: context.sessionId !== null }),
          },
          on: {
            'runtime.connect': { actions: 'connect' },
            'tws.ready': [
              { guard: 'isOtherLogin', actions: 'disconnect' },
              { target: 'disabled', reenter: true, actions: ['noteSession', 'reconcile'] },
            ],
            'tws.lost': { target: 'disabled', reenter: true, actions: 'forgetSession' },
          },
        },
        failed: {
          description: 'only a new process helps',
          tags: 'failed',
          entry: {
            type: 'shutDesk',
            params: ({ context }) => ({ code: 'failed', canCancel: context.sessionId !== null }),
          },
          on: {
            'runtime.failed': { actions: 'alertFailure' },
            'tws.lost': { target: 'failed', reenter: true, actions: 'forgetSession' },
          },
        },
      },
    },
  },
});
