/** The vocabulary of the supervisor: what it hears and says, what it remembers, and why the desk may be shut. */
import type { AuditEvent, AuditReport, AuditStanding } from './audit.machine.ts';
import type { DeskAnswer, DeskEvent, DeskReport } from './desk.ts';
import type { GateEvent, GateInput, GateReport } from './gate.machine.ts';
import type { JournalReport } from './journal.ts';
import type { LedgerEvent, LedgerReport } from './ledger.machine.ts';
import type { MarketInput } from './market.machine.ts';
import type { MarketCommand } from './market.ts';
import type { Reconciliation, ReconciliationReport } from './reconciliation.machine.ts';
import type { ChildFailed, ChildName, RestartCounts } from './supervision.ts';
import type { TwsInput } from './tws.machine.ts';
import { type BrokerFact, type DispatchFact, type LinkReport, nextRandom, type TwsCommand } from './tws.ts';
import type { WithdrawalEvent, WithdrawalReport, WithdrawalStanding } from './withdrawal.machine.ts';

export interface RuntimeInput {
  readonly tws: TwsInput;
  readonly gate: GateInput;
  readonly market: MarketInput;
}

export type RuntimeEvent =
  /** what the journal held, before anything else */
  | {
      readonly type: 'runtime.restored';
      readonly desk: Extract<DeskEvent, { type: 'desk.restored' }>;
      readonly ledger: Extract<LedgerEvent, { type: 'ledger.restored' }>;
      readonly withdrawal: Extract<WithdrawalEvent, { type: 'withdrawal.restored' }>;
      readonly audit: Extract<AuditEvent, { type: 'audit.restored' }>;
      /** the end of the session in which the former process stopped without a word; null: it said goodbye */
      readonly lost: Extract<LinkReport, { type: 'tws.lost' }> | null;
    }
  | { readonly type: 'runtime.connect' }
  | { readonly type: 'runtime.drain'; readonly at: number }
  | { readonly type: 'runtime.stop' }
  | ChildFailed
  /** to itself: a child was started again */
  | { readonly type: 'runtime.childRestarted'; readonly child: ChildName }
  /** to itself: a restart is as old as the window in which they are counted */
  | { readonly type: 'runtime.restartForgotten'; readonly child: ChildName }
  | Extract<
      DeskEvent,
      {
        type:
          | 'order.submit'
          | 'order.modify'
          | 'order.cancel'
          | 'order.settle'
          | 'desk.sweep'
          | 'desk.raiseOrderId';
      }
    >
  | Extract<LedgerEvent, { type: 'ledger.valued' }>
  | GateEvent
  | GateReport
  | MarketCommand
  | DeskReport
  | LedgerReport
  | AuditReport
  | ReconciliationReport
  | WithdrawalEvent
  | WithdrawalReport
  | JournalReport
  | LinkReport
  | BrokerFact
  | DispatchFact
  | TwsCommand;

/** What the supervisor says to whoever runs the tree. */
export type RuntimeEmitted =
  | { readonly type: 'answered'; readonly requestId: string; readonly answer: DeskAnswer }
  | {
      readonly type: 'reviewed';
      readonly requestId: string;
      readonly verdict: Extract<GateReport, { type: 'gate.reviewed' }>['verdict'];
    };

export interface RuntimeContext extends RestartCounts {
  readonly sessionId: string | null;
  readonly accounts: readonly string[];
  readonly journalProblem: string | null;
  readonly tradingMode: 'paper' | 'live' | 'off';
  /** as the gate last said, or the supervisor for a gate that is gone */
  readonly latched: GateInput['latched'];
  readonly reconciliation: Reconciliation | null;
  /** since when the broker's word is missing or was asked for anew, ms: what was known before may have changed unheard */
  readonly unsureSince: number;
  /** complete lists asked for after that have been weighed */
  readonly isConfirmed: boolean;
  /** ms since the epoch of the newest event that carried a time */
  readonly at: number;
  /** what is handed to children that are started again: as it was last made durable */
  readonly auditStanding: AuditStanding;
  readonly withdrawalStanding: WithdrawalStanding;
  readonly input: RuntimeInput;
}

/** One of the events, by its type. */
export type Of<T extends RuntimeEvent['type']> = Extract<RuntimeEvent, { type: T }>;

/** Why the desk is shut, in words for people. */
export const shutReasons = {
  starting: 'the runtime is starting',
  connecting: 'there is no session with TWS',
  reconciling: "the broker's lists of this session are not complete yet",
  'other-login':
    'TWS is logged in with accounts that this journal has never seen: log in as before, or set another JOURNAL_PATH',
  severed: 'TWS has lost its own connection to IB',
  'read-only': 'TRADING_MODE=off: this runtime places no orders',
  'journal-unavailable': 'nothing can be made durable at present',
  draining: 'the runtime is stopping',
  failed: 'a part that holds the truth about orders has failed: restart the runtime',
  disabled: 'a part that trading needs has failed and was given up: restart the runtime, then open trading',
} as const;
export type ShutCode = keyof typeof shutReasons;

/** The names of sessions come from the seed: a connection that was replaced must not use them again. */
export const seedAfter = (seed: number, restarts: number): number =>
  restarts === 0 ? seed : seedAfter(nextRandom(seed), restarts - 1);

/** What the connection begins with, also one that takes the place of another. */
export const connectionInput = ({ input, restarts }: RuntimeContext): TwsInput => ({
  ...input.tws,
  seed: seedAfter(input.tws.seed, restarts.tws ?? 0),
});

export const marketInput = ({ input, sessionId }: RuntimeContext): MarketInput => ({
  ...input.market,
  sessionId,
});

/** The broker's list of positions, for the ledger to compare. */
export const listedPositions = (
  { positions, positionsSince, positionsAt, executionsSince }: Reconciliation,
  accounts: readonly string[],
): Extract<LedgerEvent, { type: 'ledger.listed' }> => ({
  type: 'ledger.listed',
  accounts,
  rows: positions,
  since: positionsSince,
  executionsSince,
  at: positionsAt,
});
