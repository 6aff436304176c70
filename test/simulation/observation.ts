/** What is seen of one run, and what a checker is. */
import type { DeskAnswer } from '../../machines/desk.ts';
import type { TradingState } from '../../machines/gate.machine.ts';
import type { GateBook } from '../../machines/gate.ts';
import type { JournalEntry } from '../../machines/journal.ts';
import type { Order, OrderTicket } from '../../machines/order.ts';
import type { PlaceOrder } from '../../machines/tws.ts';
import type { Journal } from '../../src/journal/journal.ts';
import type { Exchange } from '../../src/simulator/model.ts';

/** One thing that happened, in order. */
export type Observation =
  | { readonly type: 'asked'; readonly requestId: string; readonly tickets: readonly OrderTicket[] }
  | { readonly type: 'switched'; readonly state: TradingState }
  | { readonly type: 'answered'; readonly requestId: string; readonly answer: DeskAnswer }
  /** bytes were handed to a socket */
  | { readonly type: 'placed'; readonly command: PlaceOrder; readonly state: TradingState }
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
  /** why the runtime does not rest, in words; empty when it does */
  readonly unrest: readonly string[];
  /** broker orders whose fate is outside what the runtime can know, by permId */
  readonly clientId: number;
}

/** One law. `hear` complains at once, `atRest` when everything has settled; each complaint is a sentence. */
export interface Checker {
  readonly name: string;
  hear?(observation: Observation): Iterable<string>;
  atRest?(world: AtRest): Iterable<string>;
}
