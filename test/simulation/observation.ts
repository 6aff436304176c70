/** What is seen of one run, and what a checker is. */
import type { DeskAnswer } from '../../machines/desk.ts';
import type { TradingState } from '../../machines/gate.machine.ts';
import type { GateBook } from '../../machines/gate.ts';
import type { JournalEntry, JournalRecord } from '../../machines/journal.ts';
import type { ExecutionRow, PositionRow } from '../../machines/ledger.ts';
import type { Order, OrderTicket } from '../../machines/order.ts';
import type { PlaceOrder } from '../../machines/tws.ts';
import type { Journal } from '../../src/journal/journal.ts';
import type { Exchange } from '../../src/simulator/model.ts';
import type { History } from './history.ts';

/** One thing that happened, in order. */
export type Observation =
  | { readonly type: 'asked'; readonly requestId: string; readonly tickets: readonly OrderTicket[] }
  | { readonly type: 'switched'; readonly state: TradingState }
  | { readonly type: 'answered'; readonly requestId: string; readonly answer: DeskAnswer }
  /** bytes were handed to a socket */
  | { readonly type: 'placed'; readonly command: PlaceOrder; readonly state: TradingState }
  /** the gate has judged new orders; `gate` is its book after that */
  | {
      readonly type: 'reviewed';
      readonly requestId: string;
      readonly isApproved: boolean;
      readonly state: TradingState;
      readonly gate: GateBook;
      readonly at: number;
      multiplierOf(instrument: string): string;
    }
  /** what listeners of the journal hear */
  | { readonly type: 'announced'; readonly records: readonly JournalRecord[] }
  | { readonly type: 'durable'; readonly entry: JournalEntry; readonly seq: number }
  /** the process is gone */
  | { readonly type: 'died' }
  | { readonly type: 'born' };

/** The world when nothing moves any more. */
export interface AtRest {
  readonly exchange: Exchange;
  readonly journal: Journal;
  /** every order that the desk or the journal knows, as clients see it */
  readonly orders: readonly Order[];
  readonly gate: GateBook;
  /** positions and executions as the living ledger holds them */
  readonly ledger: {
    readonly positions: readonly PositionRow[];
    readonly executions: readonly ExecutionRow[];
  };
  /** everything that ever happened in the book */
  readonly history: History;
  /** when the broker's day began: of what was before TWS lists nothing */
  readonly dayStart: number;
  /** from when to when executions of a past day may be missing, as an alert has told */
  readonly gaps: readonly { readonly from: number; readonly to: number }[];
  /** when a list of executions came empty that was not, and said that it was whole */
  readonly emptied: readonly number[];
  /** `account|instrument` whose position differed, as an alert has told */
  readonly doubtedPositions: ReadonlySet<string>;
  /** orders that were missing from the broker's lists, as an alert has told */
  readonly missingOrders: ReadonlySet<string>;
  /** when the books were compared for the first time: what the account held by then is taken as it is */
  readonly knownSince: number;
  /** why the runtime does not rest, in words; empty when it does */
  readonly unrest: readonly string[];
  readonly clientId: number;
}

/** One law. `hear` complains at once, `atRest` when everything has settled; each complaint is a sentence. */
export interface Checker {
  readonly name: string;
  /** what it wants to hear; absent: everything */
  readonly hears?: readonly Observation['type'][];
  hear?(observation: Observation): Iterable<string>;
  atRest?(world: AtRest): Iterable<string>;
}
