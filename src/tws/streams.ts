/** Lines of depth, of prints and of bars that are kept up to date. Like those of quotes, without a copy on the way. */
import {
  type BarSizeSetting,
  EventName,
  type IBApi,
  type Contract as IbContract,
  TickByTickDataType,
  WhatToShow,
} from '@stoqey/ib';
import {
  type BarSink,
  type DepthChange,
  type DepthSink,
  type LineSink,
  type Print,
  type StreamedBarSize,
  streamedBars,
  type TradeSink,
} from '../../machines/feed.ts';
import type { Contract } from '../../machines/instrument.ts';
import type { Bar, DataKind, Line, RequestFailure } from '../../machines/market.ts';
import { historyAnswerOf, type LineMeaning, meaningOf } from './codes.ts';
import { dataKinds, lingeringCodes } from './lines.ts';
import { toIbContract } from './orders.ts';
import { notConnected } from './requests.ts';
import { settled, toBar, toPrint } from './translate.ts';
import type { Wire } from './wire.ts';

/** What TWS is asked, how that is taken back, and how its errors are read. */
interface Terms {
  ask(api: IBApi, id: number): void;
  cancel(api: IBApi, id: number): void;
  read(code: number, message: string): LineMeaning | undefined;
}

interface OpenStream<Sink extends LineSink = LineSink> {
  readonly id: number;
  readonly wire: Wire;
  readonly sink: Sink;
  readonly terms: Terms;
  kind: DataKind | null;
}

export interface Streams {
  /** `rows`: levels of each side */
  openDepth(wire: Wire | null, contract: Contract, rows: number, sink: DepthSink): Line | RequestFailure;
  openTrades(wire: Wire | null, contract: Contract, sink: TradeSink): Line | RequestFailure;
  openBars(
    wire: Wire | null,
    contract: Contract,
    barSize: StreamedBarSize,
    sink: BarSink,
  ): Line | RequestFailure;
  attach(wire: Wire): void;
  /** Ends every line; each sink hears of it once. */
  detach(): void;
  /** True when the id is of a line. */
  error(id: number, code: number, message: string): boolean;
  readonly count: number;
}

const depthReset = 317;
const operations: readonly (DepthChange['operation'] | undefined)[] = ['insert', 'update', 'delete'];
/** Prints of before that begin a tape; their answer, even an empty one, is the only sign that the line stands. */
const printsBefore = 20;
/** Bars that one request brings at most, far above what the sizes allow. */
const barsMax = 20_000;
/** Traded without a tape. */
const untaped = new Set(['CASH', 'CMDTY', 'CFD']);

const readLine = (code: number): LineMeaning | undefined => meaningOf(code).line;

/** 162 says by its text what it means; the others are read like those of any line. */
function readBars(code: number, message: string): LineMeaning | undefined {
  if (code !== 162) return readLine(code);
  const retryAfterMs = { pacing: 15_000, noData: 60_000, competing: 30_000, failure: null };
  return { scope: 'ends', retryAfterMs: retryAfterMs[historyAnswerOf(message)] };
}

export function createStreams(nextId: () => number): Streams {
  const open = new Map<number, OpenStream>();
  const depth = new Map<number, OpenStream<DepthSink>>();
  const trades = new Map<number, OpenStream<TradeSink>>();
  const bars = new Map<number, OpenStream<BarSink> & { backfill: Bar[] }>();

  const forget = (id: number): boolean => {
    for (const map of [depth, trades, bars]) map.delete(id);
    return open.delete(id);
  };
  const end = (stream: OpenStream, code: string, message: string, retryAfterMs: number | null): void => {
    if (forget(stream.id)) stream.sink.ended({ code, message }, retryAfterMs);
  };
  const keyOf = (id: number): string => `stream:${id}`;
  /** What was asked for is given back; what was not sent yet never is. */
  const withdraw = ({ wire, id, terms }: OpenStream): void => {
    const key = keyOf(id);
    if (wire.pacer.withdraw((waiting) => waiting === key, 'closed') > 0) return;
    wire.send('data', key, (api) => terms.cancel(api, id));
  };

  function start(stream: OpenStream): Line {
    const { wire, id, terms } = stream;
    open.set(id, stream);
    wire.send(
      'data',
      keyOf(id),
      (api) => terms.ask(api, id),
      (reason) => end(stream, reason, `the request was not sent: ${reason}`, 1_000),
    );
    return {
      close() {
        if (forget(id)) withdraw(stream);
      },
    };
  }

  return {
    openDepth(wire, contract, rows, sink) {
      if (!wire) return notConnected;
      const isSmart = (contract.exchange ?? 'SMART') === 'SMART';
      const asked = toIbContract(contract);
      const terms: Terms = {
        ask: (api, id) => api.reqMktDepth(id, asked, rows, isSmart, []),
        cancel: (api, id) => api.cancelMktDepth(id, isSmart),
        read: readLine,
      };
      const stream = { id: nextId(), wire, sink, terms, kind: null };
      depth.set(stream.id, stream);
      return start(stream);
    },

    openTrades(wire, contract, sink) {
      if (!wire) return notConnected;
      const asked = toIbContract(contract);
      const terms: Terms = {
        ask: (api, id) => api.reqTickByTickData(id, asked, TickByTickDataType.AllLast, printsBefore, false),
        cancel: (api, id) => api.cancelTickByTickData(id),
        read: readLine,
      };
      const stream = { id: nextId(), wire, sink, terms, kind: null };
      trades.set(stream.id, stream);
      return start(stream);
    },

    openBars(wire, contract, barSize, sink) {
      if (!wire) return notConnected;
      const asked = toIbContract(contract);
      const terms: Terms = {
        ask: (api, id) => askBars(api, id, asked, barSize),
        cancel: (api, id) => api.cancelHistoricalData(id),
        read: readBars,
      };
      const stream = { id: nextId(), wire, sink, terms, kind: null, backfill: [] };
      bars.set(stream.id, stream);
      return start(stream);
    },

    attach(wire) {
      const { connection } = wire;
      const { api } = connection;
      const level = (
        id: number,
        position: number,
        marketMaker: string,
        operation: number,
        side: number,
        price: number,
        size: number,
      ): void => {
        const stream = depth.get(id);
        const known = operations[operation];
        if (!stream || !known || position < 0) return;
        if (known !== 'delete' && (settled(price) === null || settled(size) === null)) return;
        const change = {
          operation: known,
          side: side === 1 ? 'bid' : 'ask',
          position,
          price,
          size,
          marketMaker,
        };
        stream.sink.level(change as DepthChange, connection.readAt);
      };
      api.on(EventName.updateMktDepth, (id, position, operation, side, price, size) =>
        level(id, position, '', operation, side, price, size),
      );
      api.on(EventName.updateMktDepthL2, level);

      api.on(EventName.tickByTickAllLast, (id, _type, time, price, size, marks, exchange, conditions) => {
        const stream = trades.get(id);
        const print = stream && toPrint({ time, price, size, exchange, conditions, marks });
        if (print) stream.sink.print(print, connection.readAt);
      });
      api.on(EventName.historicalTicksLast, (id, ticks) => {
        const prints = ticks.map(({ time, price, size, exchange, specialConditions, tickAttribLast }) =>
          toPrint({ time, price, size, exchange, conditions: specialConditions, marks: tickAttribLast }),
        );
        trades.get(id)?.sink.backfilled(
          prints.filter((print): print is Print => print !== null),
          connection.readAt,
        );
      });

      api.on(EventName.historicalData, (id, time, openPrice, high, low, close, volume, count, wap) => {
        const stream = bars.get(id);
        if (!stream) return;
        if (time.startsWith('finished')) {
          const { backfill } = stream;
          stream.backfill = [];
          stream.sink.backfilled(backfill, connection.readAt);
          return;
        }
        const bar = toBar([time, openPrice, high, low, close, volume, count, wap], wire.zone);
        if (stream.backfill.length < barsMax && isPlausible(bar, connection.readAt))
          stream.backfill.push(bar);
      });
      api.on(EventName.historicalDataUpdate, (id, time, openPrice, high, low, close, volume, count, wap) => {
        const stream = bars.get(id);
        if (!stream) return;
        const bar = toBar([time, openPrice, high, low, close, volume, count, wap], wire.zone);
        if (isPlausible(bar, connection.readAt)) stream.sink.bar(bar, connection.readAt);
      });

      api.on(EventName.marketDataType, (id, type) => {
        const stream = open.get(id);
        const kind = dataKinds[type];
        if (!stream || !kind || stream.kind === kind) return;
        stream.kind = kind;
        stream.sink.dataKind(kind, connection.readAt);
      });
    },

    detach() {
      for (const stream of [...open.values()])
        end(stream, 'not-connected', 'the session with TWS ended', 1_000);
    },

    error(id, code, message) {
      const stream = open.get(id);
      if (!stream) return false;
      if (code === depthReset) {
        depth.get(id)?.sink.reset(stream.wire.connection.readAt);
        return true;
      }
      const meaning = stream.terms.read(code, message);
      if (meaning?.scope === 'ends') {
        if (lingeringCodes.has(code)) withdraw(stream);
        end(stream, String(code), message, meaning.retryAfterMs);
      } else stream.sink.noted({ code: String(code), message });
      return true;
    },

    get count() {
      return open.size;
    },
  };
}

/** A bar without prices is none, and one of next week would make every other bar a closed one. Days may be dated tomorrow. */
const aheadMs = 2 * 86_400_000;
function isPlausible({ time, open, high, low, close }: Bar, at: number): boolean {
  return (
    Date.parse(time) <= at + aheadMs && [open, high, low, close].every((price) => settled(price) !== null)
  );
}

function askBars(api: IBApi, id: number, contract: IbContract, barSize: StreamedBarSize): void {
  const { duration } = streamedBars[barSize];
  const shown = untaped.has(String(contract.secType)) ? WhatToShow.MIDPOINT : WhatToShow.TRADES;
  api.reqHistoricalData(id, contract, '', duration, barSize as BarSizeSetting, shown, false, 2, true);
}
