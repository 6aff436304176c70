/** The durable record as readers see it, and what is asked of it. */
import type { AuditStanding } from './audit.machine.ts';
import type { ExecutionRow, PositionRow } from './ledger.ts';
import type { Order, OrderFact, Reason } from './order.ts';
import type { WithdrawalStanding } from './withdrawal.machine.ts';

/** One durable fact, in journal order. `channel` says which lossless stream carries it; null: none. */
export interface JournalRecord {
  readonly seq: number;
  /** ms since the epoch */
  readonly ts: number;
  readonly channel: 'orders' | 'positions' | 'alerts' | 'health' | null;
  readonly event: string;
  /** the rest of the frame: `order`, `fill`, `position`, `alert`, ... */
  readonly payload: Readonly<Record<string, unknown>>;
}

export interface Page<T> {
  readonly rows: readonly T[];
  /** opaque; null at the end */
  readonly next: string | null;
}

/** Something to be made durable, with what it changes in the read models. */
export type JournalEntry =
  | { readonly kind: 'order'; readonly fact: OrderFact; readonly order: Order }
  | { readonly kind: 'position'; readonly at: number; readonly position: PositionRow }
  | {
      readonly kind: 'execution';
      readonly at: number;
      readonly event: 'execution.booked' | 'execution.corrected' | 'execution.commissioned';
      readonly family: string;
      readonly execution: ExecutionRow;
    }
  | {
      readonly kind: 'trading';
      readonly at: number;
      readonly state: 'open' | 'reducing' | 'halted';
      readonly reasons: readonly (Reason & { readonly since: string })[];
    }
  /** what differs from the broker's books, and up to when executions are complete */
  | { readonly kind: 'audit'; readonly at: number; readonly standing: AuditStanding }
  /** leases of clients and orders that must go: what a restart has to take up again */
  | { readonly kind: 'withdrawal'; readonly at: number; readonly standing: WithdrawalStanding }
  /** the link and the process itself: losses and recoveries, in pairs */
  | {
      readonly kind: 'health';
      readonly at: number;
      readonly event: string;
      readonly detail: Readonly<Record<string, unknown>>;
    }
  | {
      readonly kind: 'alert';
      readonly at: number;
      readonly event: string;
      readonly detail: Readonly<Record<string, unknown>>;
    };

export type JournalCommand =
  | { readonly type: 'journal.append'; readonly entries: readonly JournalEntry[] }
  /** durable before the answer */
  | {
      readonly type: 'journal.commit';
      readonly requestId: string;
      readonly entries: readonly JournalEntry[];
    };

export type JournalReport =
  | { readonly type: 'journal.committed'; readonly requestId: string; readonly seqs: readonly number[] }
  | { readonly type: 'journal.failed'; readonly requestId: string; readonly message: string }
  /** nothing can be made durable at present */
  | { readonly type: 'journal.lost'; readonly message: string; readonly at: number }
  | { readonly type: 'journal.recovered'; readonly at: number };
