import type { Bar, ContractDetails, PeriodRequest } from '../model.ts';
import {
  BAR_SECONDS,
  dateTime,
  daysOf,
  durationFault,
  parseDateTime,
  parseDuration,
  parsePeriod,
  wallTime,
} from '../wire/dates.ts';
import type { Field } from '../wire/frames.ts';
import { OUT } from '../wire/names.ts';
import type { RequestOf } from '../wire/requests.ts';
import { invalid, type Link, resolved, type Stop, unprocessed } from './link.ts';

const SHOWS = new Set([
  'TRADES',
  'MIDPOINT',
  'BID',
  'ASK',
  'BID_ASK',
  'ADJUSTED_LAST',
  'HISTORICAL_VOLATILITY',
  'OPTION_IMPLIED_VOLATILITY',
  'AGGTRADES',
  'SCHEDULE',
]);
const DAY_SECONDS = 86_400;
const TEN_MINUTES_MS = 600_000;
const IDENTICAL_MS = 15_000;
const MAX_HISTORICAL_TICKS = 1000;

const hmds = (text: string): string => `Historical Market Data Service error message:${text}`;

/** The answer to reqHistoricalTicks, also the first ticks of a tick-by-tick subscription. */
export function sendHistoricalTicks(
  link: Link,
  reqId: number,
  conId: number,
  shows: string,
  startMs: number | null,
  endMs: number | null,
  count: number,
): void {
  const ticks = link.exchange.historicalPrints(conId, startMs, endMs, Math.min(count, MAX_HISTORICAL_TICKS));
  const id =
    shows === 'TRADES'
      ? OUT.historicalTicksLast
      : shows === 'BID_ASK'
        ? OUT.historicalTicksBidAsk
        : OUT.historicalTicks;
  const fields: Field[] = [id, reqId, ticks.length];
  for (const tick of ticks) {
    const time = Math.floor(tick.time / 1000);
    if (shows === 'TRADES') fields.push(time, 0, tick.price, tick.size, tick.exchange, tick.conditions);
    else if (shows === 'BID_ASK') fields.push(time, 0, tick.bid, tick.ask, tick.bidSize, tick.askSize);
    else fields.push(time, 0, Math.round(((tick.bid + tick.ask) / 2) * 1e8) / 1e8, 0);
  }
  fields.push(1);
  link.send(fields);
}

/** Historical requests of one connection. */
export class History {
  readonly #link: Link;
  readonly #streams = new Map<number, Stop>();
  #asked: { readonly at: number; readonly key: string }[] = [];

  constructor(link: Link) {
    this.#link = link;
  }

  request(request: RequestOf<'reqHistoricalData'>): void {
    const link = this.#link;
    const { reqId, whatToShow } = request;
    if (this.#streams.has(reqId)) {
      link.error(reqId, 322, unprocessed('Duplicate ticker id'));
      return;
    }
    const details = resolved(link, reqId, request.contract);
    if (details === null) return;
    const barSeconds = BAR_SECONDS[request.barSize];
    if (barSeconds === undefined) {
      const legal = Object.keys(BAR_SECONDS).join(', ');
      link.error(
        reqId,
        321,
        invalid(`Historical data bar size setting is invalid. Legal ones are: ${legal}`),
      );
      return;
    }
    const durationSeconds = parseDuration(request.duration);
    if (durationSeconds === null) {
      link.error(
        reqId,
        321,
        invalid('Historical data query duration is invalid; it is a count, a blank and S, D, W, M or Y'),
      );
      return;
    }
    const tooLong = durationFault(request.duration);
    if (tooLong !== null) {
      link.error(reqId, 321, invalid(tooLong));
      return;
    }
    if (!SHOWS.has(whatToShow)) {
      link.error(
        reqId,
        321,
        invalid(`Historical data "${whatToShow}" is not one of ${[...SHOWS].join(', ')}`),
      );
      return;
    }
    const end = request.endDateTime === '' ? link.clock.now() : parseDateTime(request.endDateTime, link.zone);
    if (end === null) {
      link.error(
        reqId,
        10314,
        'End Date/Time: The date, time, or time-zone entered is invalid. The correct format is yyyymmdd hh:mm:ss xx/xxxx',
      );
      return;
    }
    if (request.keepUpToDate && request.endDateTime !== '') {
      link.error(reqId, 321, invalid('End time must be empty when the data are kept up to date'));
      return;
    }
    if (whatToShow === 'ADJUSTED_LAST' && request.endDateTime !== '') {
      link.error(reqId, 321, invalid('End Date not supported with adjusted last'));
      return;
    }
    if (!link.isServed('history', details.contract)) return;
    if (
      this.#isTooFast(
        JSON.stringify([
          details.contract.conId,
          request.endDateTime,
          request.barSize,
          request.duration,
          whatToShow,
        ]),
      )
    ) {
      link.error(reqId, 162, hmds('API historical data query pacing violation'));
      return;
    }
    if (link.entitlement === 'none') {
      const { symbol, exchange } = details.contract;
      link.error(reqId, 162, hmds(`No market data permissions for ${exchange} ${symbol}`));
      return;
    }
    const tradingDays = daysOf(request.duration);
    const query = { conId: details.contract.conId, end, durationSeconds, useRth: request.useRth };
    const period = tradingDays === null ? query : { ...query, tradingDays };
    if (whatToShow === 'SCHEDULE') {
      this.#schedule(reqId, details, period);
      return;
    }
    const bars = link.exchange.bars({ ...period, barSeconds, whatToShow });
    if (bars.length === 0 && !request.keepUpToDate) {
      const { symbol, exchange } = details.contract;
      link.error(reqId, 162, hmds(`HMDS query returned no data: ${symbol}@${exchange} ${whatToShow}`));
      return;
    }
    const fields: Field[] = [
      OUT.historicalData,
      reqId,
      dateTime(end - durationSeconds * 1000, link.zone, link.version),
      dateTime(end, link.zone, link.version),
      bars.length,
    ];
    for (const bar of bars) {
      fields.push(
        this.#date(bar, details, barSeconds, request.formatDate),
        bar.open,
        bar.high,
        bar.low,
        bar.close,
      );
      fields.push(bar.volume, bar.wap, bar.count);
    }
    link.send(fields);
    if (request.keepUpToDate) this.#keepUp(request, details, { ...query, barSeconds, whatToShow });
  }

  cancel(reqId: number): void {
    const stop = this.#streams.get(reqId);
    if (stop === undefined) {
      this.#link.error(reqId, 366, `No historical data query found for ticker id:${reqId}`);
      return;
    }
    stop();
    this.#streams.delete(reqId);
    this.#link.error(reqId, 162, hmds(`API historical data query cancelled: ${reqId}`));
  }

  loseAll(): void {
    for (const stop of this.#streams.values()) stop();
    this.#streams.clear();
  }

  headTimestamp(request: RequestOf<'reqHeadTimestamp'>): void {
    const link = this.#link;
    const details = resolved(link, request.reqId, request.contract);
    if (details === null || !link.isServed('history', details.contract)) return;
    const at = link.exchange.headTimestamp(details.contract.conId, request.whatToShow);
    if (at === null) {
      link.error(request.reqId, 162, hmds('No head time stamp'));
      return;
    }
    const { date, time } = wallTime(at, 'UTC');
    link.send([
      OUT.headTimestamp,
      request.reqId,
      request.formatDate === 2 ? Math.floor(at / 1000) : `${date}-${time}`,
    ]);
  }

  histogram(request: RequestOf<'reqHistogramData'>): void {
    const link = this.#link;
    const details = resolved(link, request.reqId, request.contract);
    if (details === null || !link.isServed('history', details.contract)) return;
    const seconds = parsePeriod(request.period);
    if (seconds === null) {
      link.error(
        request.reqId,
        321,
        invalid(`Time period "${request.period}" is not like "3 days" or "1 week"`),
      );
      return;
    }
    const rows = link.exchange.histogram(details.contract.conId, seconds);
    link.send([
      OUT.histogramData,
      request.reqId,
      rows.length,
      ...rows.flatMap(({ price, size }): Field[] => [price, size]),
    ]);
  }

  ticks(request: RequestOf<'reqHistoricalTicks'>): void {
    const link = this.#link;
    const { reqId } = request;
    const details = resolved(link, reqId, request.contract);
    if (details === null || !link.isServed('history', details.contract)) return;
    if (!['TRADES', 'BID_ASK', 'MIDPOINT'].includes(request.whatToShow)) {
      link.error(
        reqId,
        321,
        invalid(`Historical ticks "${request.whatToShow}" is none of TRADES, BID_ASK, MIDPOINT`),
      );
      return;
    }
    const start = request.startDateTime === '' ? null : parseDateTime(request.startDateTime, link.zone);
    const end = request.endDateTime === '' ? null : parseDateTime(request.endDateTime, link.zone);
    const isBad = (text: string, ms: number | null): boolean => text !== '' && ms === null;
    if (
      isBad(request.startDateTime, start) ||
      isBad(request.endDateTime, end) ||
      (start === null) === (end === null)
    ) {
      link.error(
        reqId,
        321,
        invalid('Exactly one of start and end time must be given, as yyyymmdd hh:mm:ss xx/xxxx'),
      );
      return;
    }
    if (request.numberOfTicks < 1) {
      link.error(
        reqId,
        321,
        invalid(`Number of ticks ${request.numberOfTicks} is not from 1 to ${MAX_HISTORICAL_TICKS}`),
      );
      return;
    }
    sendHistoricalTicks(
      link,
      reqId,
      details.contract.conId,
      request.whatToShow,
      start,
      end,
      request.numberOfTicks,
    );
  }

  #date(bar: Bar, details: ContractDetails, barSeconds: number, formatDate: number): Field {
    const { zone, version } = this.#link;
    if (barSeconds >= DAY_SECONDS) return wallTime(bar.time, details.timeZoneId).date;
    return formatDate === 2 ? Math.floor(bar.time / 1000) : dateTime(bar.time, zone, version);
  }

  #keepUp(
    request: RequestOf<'reqHistoricalData'>,
    details: ContractDetails,
    query: Parameters<Link['exchange']['bars']>[0],
  ): void {
    const link = this.#link;
    let sinceMs = query.end;
    const stop = link.every(link.barUpdateMs, () => {
      if (!link.isServed('history', details.contract)) return;
      const end = link.clock.now();
      // The bar that closed meanwhile comes once more with its last figures.
      const recent = link.exchange.bars({
        ...query,
        end,
        durationSeconds: 2 * query.barSeconds + Math.ceil((end - sinceMs) / 1000),
      });
      const from = sinceMs - Math.min(query.barSeconds, DAY_SECONDS) * 1000;
      sinceMs = end;
      for (const bar of recent) {
        if (bar.time <= from) continue;
        link.send([
          OUT.historicalDataUpdate,
          request.reqId,
          bar.count,
          this.#date(bar, details, query.barSeconds, request.formatDate),
          bar.open,
          bar.close,
          bar.high,
          bar.low,
          bar.wap,
          bar.volume,
        ]);
      }
    });
    this.#streams.set(request.reqId, stop);
  }

  #schedule(reqId: number, details: ContractDetails, period: PeriodRequest): void {
    const { timeZoneId } = details;
    const edge = (ms: number): string => {
      const { date, time } = wallTime(ms, timeZoneId);
      return `${date}-${time}`;
    };
    const sessions = this.#link.exchange.sessions(period).map(({ open, close }) => ({
      start: edge(open),
      end: edge(close),
      refDate: wallTime(close - 1, timeZoneId).date,
    }));
    this.#link.send([
      OUT.historicalSchedule,
      reqId,
      sessions[0]?.start ?? '',
      sessions.at(-1)?.end ?? '',
      timeZoneId,
      sessions.length,
      ...sessions.flatMap(({ start, end, refDate }): Field[] => [start, end, refDate]),
    ]);
  }

  #isTooFast(key: string): boolean {
    const { historicalRequestsPerTenMinutes } = this.#link.limits;
    if (historicalRequestsPerTenMinutes === 0) return false;
    const now = this.#link.clock.now();
    this.#asked = this.#asked.filter(({ at }) => now - at < TEN_MINUTES_MS);
    const isIdentical = this.#asked.some((asked) => asked.key === key && now - asked.at < IDENTICAL_MS);
    if (isIdentical || this.#asked.length >= historicalRequestsPerTenMinutes) return true;
    this.#asked.push({ at: now, key });
    return false;
  }
}
