/** What the parts of the exchange share. */
import type { ExchangeEvent } from '../model.ts';
import type { Agenda } from './agenda.ts';
import type { OrderBook } from './book.ts';
import type { Calendar } from './calendar.ts';
import type { Directory } from './directory.ts';
import type { Ledger } from './ledger.ts';
import type { Market } from './market.ts';
import type { Prices } from './prices.ts';
import type { Tape } from './tape.ts';
import type { WorkingOrder } from './workingOrder.ts';

export interface Floor {
  readonly seed: number;
  readonly accounts: readonly string[];
  readonly agenda: Agenda;
  readonly calendar: Calendar;
  readonly directory: Directory;
  readonly prices: Prices;
  readonly market: Market;
  readonly ledger: Ledger;
  readonly tape: Tape;
  readonly book: OrderBook;
  /** conId to the most shares that trade per state of the quote */
  readonly liquidity: Map<number, number>;
  now(): number;
  /** price of one unit of a currency in the base currency */
  rate(currency: string): number;
  emit(event: ExchangeEvent): void;
  /** an order may have changed though nothing is told of it */
  remember(order: WorkingOrder): void;
  /** the next delay of the venue, ms */
  latency(): number;
}
