/** The line of one subscription: its messages go to the cell that keeps them, its turns of fate to the actor. */
import { fromCallback } from 'xstate';
import type {
  BarSink,
  DepthChange,
  DepthSink,
  LineSink,
  Print,
  StreamedBarSize,
  TradeSink,
} from '../../machines/feed.ts';
import type { Contract } from '../../machines/instrument.ts';
import type {
  Bar,
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
import { BarsCell } from './bars.ts';
import type { LiveCell } from './cell.ts';
import { DepthCell } from './depth.ts';
import type { Feed, Freshness, Ticking } from './freshness.ts';
import type { QuoteCell, Quotes } from './quotes.ts';
import { TradesCell } from './trades.ts';

/** Where lines are opened: the gateway. The sink may be called before these return. */
export interface LinePort {
  openLine(contract: Contract, sink: TickSink): Line | RequestFailure;
  /** `rows`: levels of each side */
  openDepth(contract: Contract, rows: number, sink: DepthSink): Line | RequestFailure;
  openTrades(contract: Contract, sink: TradeSink): Line | RequestFailure;
  openBars(contract: Contract, barSize: StreamedBarSize, sink: BarSink): Line | RequestFailure;
}

export interface LineOptions {
  readonly lines: LinePort;
  readonly quotes: Quotes;
  /** the cell that a line other than of quotes fills */
  readonly cellOf: (key: string) => LiveCell;
  readonly freshness: Freshness;
  /** ms since the epoch */
  readonly now: () => number;
}

/** What fills the `line` slot of the subscription machine. */
export function createLineLogic({ lines, quotes, cellOf, freshness, now }: LineOptions) {
  type Tell = (fact: LineFact) => void;
  const open = ({ key, contract, feed = { channel: 'quotes' } }: LineInput, tell: Tell) => {
    if (feed.channel === 'quotes') {
      const line = new QuoteLine(quotes.cell(key), 1, contract, now, tell);
      return { line, opened: lines.openLine(contract, line) };
    }
    const cell = cellOf(key);
    cell.opened();
    if (feed.channel === 'depth' && cell instanceof DepthCell) {
      const line = new DepthLine(cell, 1, contract, now, tell);
      return { line, opened: lines.openDepth(contract, feed.rows, line) };
    }
    if (feed.channel === 'bars' && cell instanceof BarsCell) {
      const line = new BarsLine(cell, barsCalm, contract, now, tell);
      return { line, opened: lines.openBars(contract, feed.barSize, line) };
    }
    if (!(cell instanceof TradesCell)) throw new Error(`${key} carries something else than ${feed.channel}`);
    const line = new TradesLine(cell, tradesCalm, contract, now, tell);
    return { line, opened: lines.openTrades(contract, line) };
  };

  return fromCallback<LineCommand, LineInput>(({ input, sendBack, receive }) => {
    const { line, opened } = open(input, sendBack);
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

/** Bars are told every few seconds while their market moves. */
const barsCalm = 4;
/** Many an instrument trades once in minutes. */
const tradesCalm = 40;

/** What every line does to what it fills. */
interface Target extends Ticking {
  setKind(kind: DataKind, at: number): void;
  setHalted(halted: boolean, at: number): void;
  trust(trusted: boolean, at: number): void;
}

class OpenLine<Cell extends Target> implements LineSink, Feed {
  readonly cell: Cell;
  readonly calm: number;
  readonly contract: Contract;
  isArmed = false;
  /** moves with whatever may be followed by a pause: the opening, a halt, another kind of data */
  since: number;
  protected isShut = false;
  protected isFlowing = false;
  private hasStarted = false;
  private readonly now: () => number;
  private readonly tell: (fact: LineFact) => void;

  constructor(
    cell: Cell,
    calm: number,
    contract: Contract,
    now: () => number,
    tell: (fact: LineFact) => void,
  ) {
    this.cell = cell;
    this.calm = calm;
    this.contract = contract;
    this.now = now;
    this.tell = tell;
    this.since = now();
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

  /** Looks after what no message tells. */
  look(_now: number): void {}

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

  /** Something of ours was not told: the line is of no use until it is opened anew. */
  protected missed(): void {
    this.shut();
    this.tell({ type: 'line.missed' });
  }

  protected flow(at: number): void {
    this.isFlowing = true;
    this.isArmed = true;
    this.cell.trust(true, at);
    this.tell({ type: this.hasStarted ? 'line.revived' : 'line.started' });
    this.hasStarted = true;
  }
}

class QuoteLine extends OpenLine<QuoteCell> implements TickSink {
  tick(field: QuoteField, value: number, at: number): void {
    if (this.isShut || !this.cell.tick(field, value, at)) return;
    if (!this.isFlowing) this.flow(at);
  }
}

class DepthLine extends OpenLine<DepthCell> implements DepthSink {
  private wasDisordered = false;

  level(change: DepthChange, at: number): void {
    if (this.isShut) return;
    this.cell.level(change, at);
    if (!this.isFlowing) this.flow(at);
  }

  reset(at: number): void {
    if (this.isShut) return;
    this.cell.reset(at);
    if (!this.isFlowing) this.flow(at);
  }

  /** Rows out of order, and still so at the next look: some change was never told. A book cannot mend itself. */
  override look(): void {
    const isDisordered = !this.isShut && this.cell.isDisordered;
    if (isDisordered && this.wasDisordered) this.missed();
    this.wasDisordered = isDisordered;
  }
}

class TradesLine extends OpenLine<TradesCell> implements TradeSink {
  print(print: Print, at: number): void {
    if (this.isShut) return;
    this.cell.print(print, at);
    if (!this.isFlowing) this.flow(at);
  }

  backfilled(prints: readonly Print[], at: number): void {
    if (this.isShut) return;
    this.cell.backfilled(prints, at);
    if (!this.isFlowing) this.flow(at);
  }
}

class BarsLine extends OpenLine<BarsCell> implements BarSink {
  bar(bar: Bar, at: number): void {
    if (this.isShut) return;
    if (!this.cell.update(bar, at)) this.missed();
    else if (!this.isFlowing) this.flow(at);
  }

  override look(now: number): void {
    this.cell.settle(now);
  }

  backfilled(bars: readonly Bar[], at: number): void {
    if (this.isShut) return;
    this.cell.backfilled(bars, at);
    if (!this.isFlowing) this.flow(at);
  }
}
