/** The live market: quotes of watched contracts move on one timer wheel and are told to listeners and to the book. */
import type { DepthRow, Print, QuoteSnapshot, Tick } from '../model.ts';
import type { Agenda, Appointment } from './agenda.ts';
import { DepthBook } from './depth.ts';
import type { Instrument } from './instruments.ts';
import type { Prices, RawQuote } from './prices.ts';
import { markOf } from './prices.ts';
import { dayMs } from './zones.ts';

const dayStatsStepMs = 300_000;
const statsMax = 10_000;

/** Statistics of the day, kept from the day's start to the newest quote asked for. */
interface DayStats {
  dayStart: number;
  dayEnd: number;
  open: number;
  close: number;
  high: number;
  low: number;
  /** the next sample of the walk to take into high and low */
  nextSample: number;
}

/** One watched contract. */
export interface Cell {
  readonly instrument: Instrument;
  quote: QuoteSnapshot;
  raw: RawQuote;
  nextChange: number;
  halted: boolean;
  watchers: number;
  /** shares taken from each side of this state of the quote */
  takenAsk: number;
  takenBid: number;
  readonly ticks: Set<(tick: Tick) => void>;
  readonly prints: Set<(print: Print) => void>;
  readonly depth: Set<DepthBook>;
}

export class Market {
  private readonly prices: Prices;
  private readonly agenda: Agenda;
  private readonly now: () => number;
  private readonly seed: number;
  /** told after the listeners of ticks */
  private readonly onChange: (conId: number) => void;
  private readonly cells = new Map<number, Cell>();
  private readonly stats = new Map<number, DayStats>();
  private readonly haltedIds = new Set<number>();
  private readonly quantumMs: number;
  private turning: Appointment | null = null;

  constructor(options: {
    prices: Prices;
    agenda: Agenda;
    seed: number;
    now: () => number;
    onChange: (conId: number) => void;
  }) {
    this.prices = options.prices;
    this.agenda = options.agenda;
    this.seed = options.seed;
    this.now = options.now;
    this.onChange = options.onChange;
    this.quantumMs = Math.max(1, Math.min(10, Math.floor(options.prices.stepMs / 10)));
  }

  quote(instrument: Instrument): QuoteSnapshot {
    const cell = this.cells.get(instrument.contract.conId);
    if (cell !== undefined) return cell.quote;
    return this.snapshot(instrument, this.prices.at(instrument, this.now()));
  }

  /** The price at which positions are valued: the last trade, or the middle where there is none. */
  mark(instrument: Instrument): number {
    const { last, bid, ask } = this.quote(instrument);
    return markOf(last, bid, ask);
  }

  cell(conId: number): Cell | undefined {
    return this.cells.get(conId);
  }

  /** Keeps the quote of a contract moving until as many `unwatch` calls. */
  watch(instrument: Instrument): Cell {
    const { conId } = instrument.contract;
    let cell = this.cells.get(conId);
    if (cell === undefined) {
      const raw = this.prices.at(instrument, this.now());
      cell = {
        instrument,
        raw,
        quote: this.snapshot(instrument, raw),
        nextChange: this.nextChange(instrument, raw),
        halted: this.haltedIds.has(conId),
        watchers: 0,
        takenAsk: 0,
        takenBid: 0,
        ticks: new Set(),
        prints: new Set(),
        depth: new Set(),
      };
      this.cells.set(conId, cell);
    }
    cell.watchers += 1;
    this.turnAt(cell.nextChange);
    return cell;
  }

  unwatch(conId: number): void {
    const cell = this.cells.get(conId);
    if (cell === undefined) return;
    cell.watchers -= 1;
    // what was taken from this state of the quote stays taken until the quote changes
    if (cell.watchers <= 0 && cell.takenAsk === 0 && cell.takenBid === 0) this.cells.delete(conId);
  }

  subscribeTicks(instrument: Instrument, listener: (tick: Tick) => void): () => void {
    return this.subscribe(instrument, (cell) => cell.ticks, listener);
  }

  subscribePrints(instrument: Instrument, listener: (print: Print) => void): () => void {
    return this.subscribe(instrument, (cell) => cell.prints, listener);
  }

  subscribeDepth(instrument: Instrument, rows: number, listener: (row: DepthRow) => void): () => void {
    const book = new DepthBook(instrument, this.seed, rows, listener, (step, salt) =>
      this.prices.exchangeOf(instrument, step, salt),
    );
    const stop = this.subscribe(instrument, (cell) => cell.depth, book);
    const cell = this.cells.get(instrument.contract.conId);
    if (cell !== undefined) book.update(cell.raw, this.now());
    return stop;
  }

  private subscribe<T>(instrument: Instrument, listOf: (cell: Cell) => Set<T>, listener: T): () => void {
    const cell = this.watch(instrument);
    const list = listOf(cell);
    list.add(listener);
    return () => {
      if (list.delete(listener)) this.unwatch(instrument.contract.conId);
    };
  }

  setHalted(instrument: Instrument, halted: boolean): void {
    const { conId } = instrument.contract;
    if (halted) this.haltedIds.add(conId);
    else this.haltedIds.delete(conId);
    const cell = this.cells.get(conId);
    if (cell === undefined || cell.halted === halted) return;
    cell.halted = halted;
    cell.quote = { ...cell.quote, halted };
    for (const listener of cell.ticks) listener({ field: 'halted', value: halted ? 1 : 0 });
    this.onChange(conId);
  }

  isHalted(conId: number): boolean {
    return this.haltedIds.has(conId);
  }

  /** Takes a pinned or released price into the live quote at once, also for what is derived from it. */
  refresh(): void {
    for (const cell of [...this.cells.values()])
      this.moveTo(cell, this.prices.at(cell.instrument, this.now()));
  }

  private nextChange(instrument: Instrument, raw: RawQuote): number {
    const { calendar } = this.prices;
    const now = this.now();
    if (calendar.name === 'regular' && calendar.phaseAt(instrument.session, now) === 'closed')
      return calendar.nextOpen(instrument.session, now, true);
    const next = this.prices.momentOf(instrument.contract.conId, raw.step + 1);
    return next > now ? next : now + 1;
  }

  /** Turns the wheel at a time, or just after it: times are rounded up so that many contracts share a turn. */
  private turnAt(time: number): void {
    const soonest = Math.max(time, this.now() + 1);
    const due = Math.ceil(soonest / this.quantumMs) * this.quantumMs;
    if (this.turning !== null) {
      if (this.turning.due <= due) return;
      this.agenda.cancel(this.turning);
    }
    this.turning = this.agenda.at(due, () => {
      this.turning = null;
      this.turn();
    });
  }

  private turn(): void {
    const now = this.now();
    let earliest = Number.POSITIVE_INFINITY;
    for (const [conId, cell] of this.cells) {
      if (cell.nextChange <= now) {
        if (cell.watchers <= 0) {
          this.cells.delete(conId);
          continue;
        }
        if (cell.halted) cell.nextChange = now + this.prices.stepMs;
        else this.moveTo(cell, this.prices.at(cell.instrument, now));
      }
      if (cell.nextChange < earliest) earliest = cell.nextChange;
    }
    if (earliest !== Number.POSITIVE_INFINITY) this.turnAt(earliest);
  }

  private moveTo(cell: Cell, raw: RawQuote): void {
    const { instrument } = cell;
    const before = cell.quote;
    const traded = raw.last !== -1 && raw.lastTime !== cell.raw.lastTime;
    cell.raw = raw;
    cell.nextChange = this.nextChange(instrument, raw);
    cell.takenAsk = 0;
    cell.takenBid = 0;
    const quote = this.snapshot(instrument, raw);
    cell.quote = quote;
    if (cell.ticks.size > 0) this.tellTicks(cell, before, traded);
    if (traded && cell.prints.size > 0) {
      const print: Print = {
        time: raw.lastTime,
        price: raw.last,
        size: raw.lastSize,
        exchange: this.prices.exchangeOf(instrument, raw.step, 0),
        conditions: '',
      };
      for (const listener of cell.prints) listener(print);
    }
    for (const book of cell.depth) book.update(raw, this.now());
    this.onChange(instrument.contract.conId);
  }

  private tellTicks(cell: Cell, before: QuoteSnapshot, traded: boolean): void {
    const { quote, raw } = cell;
    const tell = (tick: Tick) => {
      for (const listener of cell.ticks) listener(tick);
    };
    if (quote.bid !== before.bid) tell({ field: 'bid', price: quote.bid, size: quote.bidSize, attrMask: 1 });
    else if (quote.bidSize !== before.bidSize) tell({ field: 'bidSize', size: quote.bidSize });
    if (quote.ask !== before.ask) tell({ field: 'ask', price: quote.ask, size: quote.askSize, attrMask: 1 });
    else if (quote.askSize !== before.askSize) tell({ field: 'askSize', size: quote.askSize });
    if (traded) {
      if (quote.last !== before.last)
        tell({ field: 'last', price: quote.last, size: quote.lastSize, attrMask: 0 });
      else if (quote.lastSize !== before.lastSize) tell({ field: 'lastSize', size: quote.lastSize });
      if (quote.volume !== before.volume) tell({ field: 'volume', size: quote.volume });
      tell({ field: 'lastTimestamp', epochSeconds: Math.floor(raw.lastTime / 1000) });
    }
    if (quote.high !== before.high) tell({ field: 'high', price: quote.high });
    if (quote.low !== before.low) tell({ field: 'low', price: quote.low });
    if (quote.open !== before.open) tell({ field: 'open', price: quote.open });
    if (quote.close !== before.close) tell({ field: 'close', price: quote.close });
  }

  private snapshot(instrument: Instrument, raw: RawQuote): QuoteSnapshot {
    const now = this.now();
    const stats = this.dayStats(instrument, now);
    const price = markOf(raw.last, raw.bid, raw.ask);
    if (price > stats.high) stats.high = price;
    if (price < stats.low) stats.low = price;
    const hasVolume = raw.last !== -1 && instrument.dailyVolume > 0;
    return {
      bid: raw.bid,
      ask: raw.ask,
      bidSize: raw.bidSize,
      askSize: raw.askSize,
      last: raw.last,
      lastSize: raw.lastSize,
      volume: hasVolume ? this.prices.volume(instrument).at(Math.max(raw.lastTime, stats.dayStart)) : 0,
      open: stats.open,
      high: stats.high,
      low: stats.low,
      close: stats.close,
      halted: this.haltedIds.has(instrument.contract.conId),
    };
  }

  private dayStats(instrument: Instrument, now: number): DayStats {
    const { conId } = instrument.contract;
    let stats = this.stats.get(conId);
    if (stats === undefined || now >= stats.dayEnd || now < stats.dayStart) {
      const { calendar } = this.prices;
      const dayStart = calendar.dayStart(instrument.session, now);
      const span = calendar.spanAt(instrument.session, now, false);
      const opened = span === null ? dayStart : Math.max(span.open, dayStart);
      const open = this.priceAt(instrument, opened);
      const close = this.priceAt(
        instrument,
        calendar.dayStart(instrument.session, dayStart - 1) + 57_600_000,
      );
      const dayEnd = calendar.dayStart(instrument.session, dayStart + dayMs + 7_200_000);
      stats = { dayStart, dayEnd, open, close, high: open, low: open, nextSample: opened };
      if (this.stats.size >= statsMax) this.stats.clear();
      this.stats.set(conId, stats);
    }
    for (; stats.nextSample <= now; stats.nextSample += dayStatsStepMs) {
      const price = this.priceAt(instrument, stats.nextSample);
      if (price > stats.high) stats.high = price;
      if (price < stats.low) stats.low = price;
    }
    return stats;
  }

  private priceAt(instrument: Instrument, time: number): number {
    return this.prices.markAt(instrument, time);
  }
}
