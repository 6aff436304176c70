/** The line of one subscription: its ticks go to the quote, its turns of fate to the actor. */
import { fromCallback } from 'xstate';
import type { Contract } from '../../machines/instrument.ts';
import type {
  DataKind,
  Line,
  LineCommand,
  LineFact,
  QuoteField,
  RequestFailure,
  TickSink,
} from '../../machines/market.ts';
import type { Reason } from '../../machines/order.ts';
import type { LineInput } from '../../machines/subscription.machine.ts';
import type { Feed, Freshness } from './freshness.ts';
import type { QuoteCell, Quotes } from './quotes.ts';

/** Where lines are opened: the gateway. */
export interface LinePort {
  /** Sends the request. The sink may be called before this returns. */
  openLine(contract: Contract, sink: TickSink): Line | RequestFailure;
}

export interface LineOptions {
  readonly lines: LinePort;
  readonly quotes: Quotes;
  readonly freshness: Freshness;
  /** ms since the epoch */
  readonly now: () => number;
}

/** What fills the `line` slot of the subscription machine. */
export function createLineLogic({ lines, quotes, freshness, now }: LineOptions) {
  return fromCallback<LineCommand, LineInput>(({ input, sendBack, receive }) => {
    const line = new OpenLine(quotes.cell(input.key), input.contract, now, sendBack);
    const opened = lines.openLine(input.contract, line);
    freshness.add(line);
    const close = (): void => {
      freshness.remove(line);
      line.shut();
      if (!('failed' in opened)) opened.close();
    };
    receive((command) => {
      if (command.type === 'line.check') line.check();
      else if (command.type === 'line.doubt') line.doubt();
      else close();
    });
    if ('failed' in opened) line.ended(opened.failed, opened.retryAfterMs ?? null);
    return close;
  });
}

class OpenLine implements TickSink, Feed {
  readonly cell: QuoteCell;
  readonly contract: Contract;
  isArmed = false;
  /** moves with whatever may be followed by a pause: the opening, a halt, another kind of data */
  since: number;
  private isShut = false;
  private isFlowing = false;
  private hasStarted = false;
  private readonly now: () => number;
  private readonly tell: (fact: LineFact) => void;

  constructor(cell: QuoteCell, contract: Contract, now: () => number, tell: (fact: LineFact) => void) {
    this.cell = cell;
    this.contract = contract;
    this.now = now;
    this.tell = tell;
    this.since = now();
  }

  tick(field: QuoteField, value: number, at: number): void {
    if (this.isShut || !this.cell.tick(field, value, at)) return;
    if (!this.isFlowing) this.flow(at);
  }

  dataKind(kind: DataKind, at: number): void {
    if (this.isShut) return;
    this.cell.setKind(kind, at);
    this.since = this.now();
    this.tell({ type: 'line.kindChanged', kind });
  }

  halted(halted: boolean, at: number): void {
    if (this.isShut) return;
    this.cell.setHalted(halted, at);
    this.since = this.now();
  }

  noted(note: Reason): void {
    if (!this.isShut) this.tell({ type: 'line.noted', note });
  }

  ended(reason: Reason, retryAfterMs: number | null): void {
    if (this.isShut) return;
    this.shut();
    this.tell({ type: 'line.ended', reason, retryAfterMs });
  }

  onSilence(): void {
    this.isFlowing = false;
    this.cell.trust(false, this.now());
    this.tell({ type: 'line.silenced' });
  }

  doubt(): void {
    this.isFlowing = false;
    this.isArmed = false;
    this.cell.trust(false, this.now());
  }

  check(): void {
    this.doubt();
    this.isArmed = !this.isShut;
    this.since = this.now();
  }

  shut(): void {
    this.isShut = true;
    this.doubt();
  }

  private flow(at: number): void {
    this.isFlowing = true;
    this.isArmed = true;
    this.cell.trust(true, at);
    this.tell({ type: this.hasStarted ? 'line.revived' : 'line.started' });
    this.hasStarted = true;
  }
}
