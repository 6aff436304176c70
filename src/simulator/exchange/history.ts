/** The past of a contract, read from the same function as its live quote. */
import type { Bar, BarRequest, PeriodRequest, Print } from '../model.ts';
import type { Session, Span } from './calendar.ts';
import type { Instrument } from './instruments.ts';
import { clean } from './instruments.ts';
import type { Prices, RawQuote } from './prices.ts';
import { atLocal, dayMs, localDay, weekday } from './zones.ts';

const barsMax = 20_000;
const printsMax = 1000;
const yearMs = 365 * dayMs;
/** stocks begin here */
const oldest = Date.UTC(2004, 0, 2, 14, 30);

interface DatedSpan extends Span {
  /** what dates the bar, when it is not its start */
  readonly time?: number;
}

type View = (quote: RawQuote) => number;

/** How far apart the walk is sampled within a bar: fine for short bars, coarse for days. */
function sampleMs(barMs: number): number {
  if (barMs <= 5_000) return Math.max(50, Math.floor(barMs / 20));
  if (barMs <= 30 * 60_000) return 5_000;
  if (barMs <= 4 * 3_600_000) return 300_000;
  return 1_800_000;
}

function middle(quote: RawQuote): number {
  return quote.bid === -1 ? quote.last : clean((quote.bid + quote.ask) / 2);
}

/** The series that a request names: the lowest, highest and edge price of a quote. */
function viewsOf(what: string): { readonly edge: View; readonly high: View; readonly low: View } | null {
  const same = (view: View) => ({ edge: view, high: view, low: view });
  switch (what) {
    case 'TRADES':
    case 'ADJUSTED_LAST':
    case 'AGGTRADES':
    case 'SCHEDULE':
      return same((quote) => quote.last);
    case 'MIDPOINT':
      return same(middle);
    case 'BID':
      return same((quote) => quote.bid);
    case 'ASK':
      return same((quote) => quote.ask);
    case 'BID_ASK':
      return { edge: (quote) => quote.bid, high: (quote) => quote.ask, low: (quote) => quote.bid };
    default:
      return null;
  }
}

export class History {
  private readonly prices: Prices;
  private readonly now: () => number;

  constructor(prices: Prices, now: () => number) {
    this.prices = prices;
    this.now = now;
  }

  /** The earliest moment with data; null when a series does not exist for the contract. */
  head(instrument: Instrument, what: string): number | null {
    if (!hasSeries(instrument, what)) return null;
    const { expiresAt } = instrument;
    if (expiresAt === null) return oldest;
    return expiresAt - 2 * yearMs;
  }

  bars(instrument: Instrument, request: BarRequest): readonly Bar[] {
    const views = viewsOf(request.whatToShow);
    const head = this.head(instrument, request.whatToShow);
    if (views === null || head === null || !(request.barSeconds > 0)) return [];
    const end = this.endOf(instrument, request);
    const first = Math.max(head, this.firstMoment(instrument, request, end));
    const isTrades = ['TRADES', 'ADJUSTED_LAST', 'AGGTRADES'].includes(request.whatToShow);
    const barMs = request.barSeconds * 1000;
    const bars: Bar[] = [];
    const spans =
      barMs < dayMs
        ? this.spans(instrument, request, first, end)
        : this.daySpans(instrument, request, first, end);
    for (const span of spans) {
      const bar = this.bar(instrument, span, views, isTrades, barMs);
      bars.push(span.time === undefined ? bar : { ...bar, time: span.time });
      if (bars.length > barsMax) break;
    }
    return bars;
  }

  /** The sessions of a past period, ascending: those of a count of trading days, or those that open within it. */
  sessions(instrument: Instrument, request: PeriodRequest): readonly Session[] {
    const { calendar } = this.prices;
    const { session } = instrument;
    const { tradingDays, useRth } = request;
    const head = this.head(instrument, 'SCHEDULE') ?? Number.POSITIVE_INFINITY;
    const end = this.endOf(instrument, request);
    const from = Math.max(head, request.end - request.durationSeconds * 1000);
    if (tradingDays === undefined) return [...calendar.sessionsBetween(session, from, end, useRth)];
    return calendar.lastSessions(session, end, useRth, tradingDays).filter(({ open }) => open >= head);
  }

  private endOf(instrument: Instrument, request: PeriodRequest): number {
    return Math.min(request.end, this.now(), instrument.expiresAt ?? Number.POSITIVE_INFINITY);
  }

  /** Where a period begins: a count of days is one of sessions, except where the market never closes. */
  private firstMoment(instrument: Instrument, request: BarRequest, end: number): number {
    const { calendar } = this.prices;
    const { session } = instrument;
    const { tradingDays, useRth } = request;
    if (tradingDays !== undefined && calendar.name !== 'alwaysOpen') {
      const [first] = calendar.lastSessions(session, end, useRth, tradingDays);
      if (first !== undefined)
        return request.barSeconds * 1000 < dayMs ? first.open : atLocal(session.zone, first.day, 0);
    }
    return request.end - request.durationSeconds * 1000;
  }

  /** The times of bars within a day, ascending, aligned to the clock. */
  private *spans(
    instrument: Instrument,
    request: BarRequest,
    first: number,
    end: number,
  ): Generator<DatedSpan> {
    const { calendar } = this.prices;
    const { session } = instrument;
    const barMs = request.barSeconds * 1000;
    const longest = first < end - barsMax * barMs ? end - barsMax * barMs : first;
    let cursor = Math.ceil(longest / barMs) * barMs;
    while (cursor < end) {
      const span = calendar.spanAt(session, cursor, request.useRth);
      if (span === null) {
        cursor = calendar.nextOpen(session, cursor, !request.useRth);
        continue;
      }
      const slotEnd = (Math.floor(cursor / barMs) + 1) * barMs;
      const close = Math.min(slotEnd, span.close, end);
      yield { open: cursor, close };
      cursor = close;
    }
  }

  /** The times of daily, weekly and monthly bars, ascending, each dated by the last trading day that it has. */
  private *daySpans(
    instrument: Instrument,
    request: BarRequest,
    first: number,
    end: number,
  ): Generator<DatedSpan> {
    const { calendar } = this.prices;
    const { session } = instrument;
    const days = Math.round((request.barSeconds * 1000) / dayMs);
    let day = localDay(session.zone, first);
    if (days >= 28) day = firstOfMonth(day);
    else if (days >= 7) day = mondayOf(day);
    else if (atLocal(session.zone, day, 0) < first) day += 1;
    const groupOf = (at: number): number => (days >= 28 ? firstOfMonth(at) : days >= 7 ? mondayOf(at) : at);
    const last = localDay(session.zone, end) + 1;
    let group: { readonly key: number; readonly span: DatedSpan } | null = null;
    for (; day <= last; day++) {
      const found = calendar.sessionOf(session, day, request.useRth);
      if (found === null || found.open >= end) continue;
      const key = groupOf(day);
      if (group !== null && group.key !== key) yield group.span;
      const open: number = group?.key === key ? group.span.open : found.open;
      const close = Math.min(found.close, end);
      group = { key, span: { open, close, time: atLocal(session.zone, day, 0) } };
    }
    if (group !== null) yield group.span;
  }

  private bar(
    instrument: Instrument,
    span: Span,
    views: NonNullable<ReturnType<typeof viewsOf>>,
    isTrades: boolean,
    barMs: number,
  ): Bar {
    const { prices } = this;
    const step = Math.max(sampleMs(barMs), prices.stepMs);
    const start = prices.at(instrument, span.open);
    const open = views.edge(start);
    let high = views.high(start);
    let low = views.low(start);
    const include = (time: number) => {
      const quote = prices.at(instrument, time);
      const above = views.high(quote);
      const below = views.low(quote);
      if (above > high) high = above;
      if (below < low) low = below;
      return quote;
    };
    let sum = 0;
    let samples = 0;
    for (let time = Math.floor(span.open / step) * step + step; time < span.close; time += step) {
      sum += views.edge(include(time));
      samples += 1;
    }
    const last = include(span.close);
    const close = views.high === views.low ? views.edge(last) : views.high(last);
    if (!isTrades) return { time: span.open, open, high, low, close, volume: -1, wap: -1, count: -1 };
    const unit = instrument.sizeIncrement >= 1 ? 1 : 0.0001;
    const traded =
      instrument.contract.secType === 'IND' ? 0 : prices.volume(instrument).between(span.open, span.close);
    const volume = instrument.contract.secType === 'IND' ? 0 : clean(Math.max(unit, traded));
    const average = (sum + open + close) / (samples + 2);
    return {
      time: span.open,
      open,
      high,
      low,
      close,
      volume,
      wap: clean(Math.min(high, Math.max(low, average))),
      count: Math.max(
        1,
        Math.min(Math.round(volume / unit), Math.floor((span.close - span.open) / (prices.stepMs * 2))),
      ),
    };
  }

  histogram(instrument: Instrument, periodSeconds: number): readonly { price: number; size: number }[] {
    const barSeconds = Math.max(60, Math.ceil(periodSeconds / 500 / 60) * 60);
    const bars = this.bars(instrument, {
      conId: instrument.contract.conId,
      end: this.now(),
      durationSeconds: periodSeconds,
      barSeconds,
      whatToShow: 'TRADES',
      useRth: false,
    });
    const sizes = new Map<number, number>();
    for (const { close, volume } of bars) sizes.set(close, clean((sizes.get(close) ?? 0) + volume));
    return [...sizes].map(([price, size]) => ({ price, size })).sort((a, b) => a.price - b.price);
  }

  /** Prints from `start` on, or the last ones before `end`; ascending. */
  prints(instrument: Instrument, start: number | null, end: number | null, count: number) {
    const { prices } = this;
    const { conId } = instrument.contract;
    const wanted = Math.max(0, Math.min(count, printsMax));
    const found: (Print & { bid: number; ask: number; bidSize: number; askSize: number })[] = [];
    const limit = Math.min(end ?? this.now(), this.now());
    const forward = start !== null;
    let step = forward ? prices.stepAt(conId, start) + 1 : prices.stepAt(conId, limit);
    const hasTrades = hasSeries(instrument, 'TRADES');
    for (let looked = 0; found.length < wanted && looked < wanted * 50; looked++) {
      const time = prices.momentOf(conId, step);
      if (forward ? time > limit : time < limit - 7 * dayMs) break;
      const isOpen = prices.calendar.phaseAt(instrument.session, time) !== 'closed';
      if (isOpen) {
        const quote = prices.at(instrument, time);
        if (quote.traded || !hasTrades) {
          const { bid, ask, bidSize, askSize } = quote;
          const price = hasTrades ? quote.last : middle(quote);
          const exchange = prices.exchangeOf(instrument, step, 0);
          found.push({
            time,
            price,
            size: quote.lastSize,
            exchange,
            conditions: '',
            bid,
            ask,
            bidSize,
            askSize,
          });
        }
      } else if (forward) {
        const opens = prices.calendar.nextOpen(instrument.session, time, true);
        step = prices.stepAt(conId, opens);
      } else {
        step = prices.stepAt(conId, prices.calendar.lastOpenMoment(instrument.session, time)) + 1;
      }
      step += forward ? 1 : -1;
    }
    return forward ? found : found.reverse();
  }
}

/** The first day of the month of a local day. */
function firstOfMonth(day: number): number {
  const date = new Date(day * dayMs);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) / dayMs;
}

function mondayOf(day: number): number {
  return day - ((weekday(day) + 6) % 7);
}

function hasSeries(instrument: Instrument, what: string): boolean {
  const { secType } = instrument.contract;
  if (viewsOf(what) === null) return false;
  const isTrades = ['TRADES', 'ADJUSTED_LAST', 'AGGTRADES'].includes(what);
  if (isTrades) return secType !== 'CASH' && secType !== 'BAG';
  return secType !== 'IND' || what === 'SCHEDULE';
}
