/** Market-data lines: ticks go from the socket to their sink within the same turn, one map lookup each. */

import { EventName, MarketDataType } from '@stoqey/ib';
import type { Contract } from '../../machines/instrument.ts';
import type { DataKind, Line, QuoteField, RequestFailure, TickSink } from '../../machines/market.ts';
import { meaningOf } from './codes.ts';
import { toIbContract } from './orders.ts';
import { notConnected } from './requests.ts';
import { settled } from './translate.ts';
import type { Wire } from './wire.ts';

/** By TWS's tick type; holes are types that change no field of a quote. */
const priceFields: (QuoteField | undefined)[] = [];
const sizeFields: (QuoteField | undefined)[] = [];
for (const [type, field] of [
  [1, 'bid'],
  [2, 'ask'],
  [4, 'last'],
  [6, 'high'],
  [7, 'low'],
  [9, 'close'],
  [14, 'open'],
  [66, 'bid'],
  [67, 'ask'],
  [68, 'last'],
  [72, 'high'],
  [73, 'low'],
  [75, 'close'],
  [76, 'open'],
] as const) {
  priceFields[type] = field;
}
for (const [type, field] of [
  [0, 'bidSize'],
  [3, 'askSize'],
  [5, 'lastSize'],
  [8, 'volume'],
  [69, 'bidSize'],
  [70, 'askSize'],
  [71, 'lastSize'],
  [74, 'volume'],
] as const) {
  sizeFields[type] = field;
}

const haltedType = 49;
const tickPriceMessage = '1';
const bidType = '1';
const firstDelayedType = 66;
const lastDelayedType = 76;

export const dataKinds: readonly (DataKind | undefined)[] = [
  undefined,
  'live',
  'frozen',
  'delayed',
  'delayedFrozen',
];

/** Live data is not subscribed; delayed data may be had instead. */
const unsubscribedCodes: ReadonlySet<number> = new Set([354, 10_089, 10_168, 10_186]);

/** The line brings nothing more, but TWS may still count it. */
export const lingeringCodes: ReadonlySet<number> = new Set([10_182, 10_197]);

interface OpenLine {
  readonly wire: Wire;
  readonly contract: Contract;
  readonly sink: TickSink;
  id: number;
  kind: DataKind | null;
  /** delayed data was asked for */
  delayed: boolean;
}

const keyOf = (line: OpenLine): string => `line:${line.id}`;

export interface Lines {
  open(wire: Wire | null, contract: Contract, sink: TickSink): Line | RequestFailure;
  attach(wire: Wire): void;
  /** Ends every line; each sink hears of it once. */
  detach(): void;
  /** True when the id is of a line. */
  error(id: number, code: number, message: string): boolean;
  readonly count: number;
  /** ticks handed to sinks so far */
  readonly ticks: number;
}

export function createLines(nextId: () => number): Lines {
  const open = new Map<number, OpenLine>();
  let ticks = 0;

  const setKind = (line: OpenLine, kind: DataKind, at: number): void => {
    if (line.kind === kind) return;
    line.kind = kind;
    line.sink.dataKind(kind, at);
  };

  const end = (line: OpenLine, code: string, message: string, retryAfterMs: number | null): void => {
    if (open.delete(line.id)) line.sink.ended({ code, message }, retryAfterMs);
  };

  /** What was asked for is given back; what was not sent yet never is. */
  const withdraw = (line: OpenLine): void => {
    const { wire, id } = line;
    if (wire.pacer.withdraw((waiting) => waiting === keyOf(line), 'closed') > 0) return;
    wire.send('data', keyOf(line), (api) => api.cancelMktData(id));
  };

  const request = (line: OpenLine): void => {
    const { wire, id } = line;
    open.set(id, line);
    const type = (kind: MarketDataType): void =>
      wire.send('data', 'marketDataType', (api) => api.reqMarketDataType(kind));
    // The type holds for all that is asked after it. One lane keeps the three in order.
    if (line.delayed) type(MarketDataType.DELAYED);
    wire.send(
      'data',
      keyOf(line),
      (api) => api.reqMktData(id, toIbContract(line.contract), '', false, false),
      (reason) => end(line, reason, `the request was not sent: ${reason}`, 1_000),
    );
    if (line.delayed) type(MarketDataType.REALTIME);
  };

  return {
    open(wire, contract, sink) {
      if (!wire) return notConnected;
      const line: OpenLine = { wire, contract, sink, id: nextId(), kind: null, delayed: false };
      request(line);
      return {
        close() {
          if (open.delete(line.id)) withdraw(line);
        },
      };
    },

    attach({ connection }) {
      const { api } = connection;
      api.on(EventName.tickPrice, (id, type, price) => {
        const line = open.get(id);
        const field = priceFields[type];
        // -1 says that there is no such price now, and so does 0 for a quote; the size that follows is 0.
        if (!line || !field || settled(price) === null || price === -1 || price === 0) return;
        ticks += 1;
        if (type >= firstDelayedType && type <= lastDelayedType && line.kind === null) {
          setKind(line, 'delayed', connection.readAt);
        }
        line.sink.tick(field, price, connection.readAt);
      });
      // The library raises no size from a bid: its test for a size type takes bid size, which is 0, for none.
      api.on(EventName.received, (tokens) => {
        if (tokens[0] !== tickPriceMessage || tokens[3] !== bidType) return;
        const line = open.get(Number(tokens[2]));
        const size = Number.parseFloat(tokens[5] ?? '');
        if (!line || settled(size) === null || size < 0) return;
        ticks += 1;
        line.sink.tick('bidSize', size, connection.readAt);
      });
      api.on(EventName.tickSize, (id, type, size) => {
        const line = open.get(id);
        const field = type === undefined ? undefined : sizeFields[type];
        if (!line || !field || size === undefined || settled(size) === null || size < 0) return;
        ticks += 1;
        line.sink.tick(field, size, connection.readAt);
      });
      api.on(EventName.tickGeneric, (id, type, value) => {
        if (Number(type) !== haltedType) return;
        // -1 says that nobody knows.
        if (value !== -1) open.get(id)?.sink.halted(value > 0, connection.readAt);
      });
      api.on(EventName.marketDataType, (id, type) => {
        const line = open.get(id);
        const kind = dataKinds[type];
        if (line && kind) setKind(line, kind, connection.readAt);
      });
    },

    detach() {
      for (const line of [...open.values()]) end(line, 'not-connected', 'the session with TWS ended', 1_000);
    },

    error(id, code, message) {
      const line = open.get(id);
      if (!line) return false;
      const meaning = meaningOf(code).line;
      if (meaning?.scope === 'ends' && unsubscribedCodes.has(code) && !line.delayed) {
        open.delete(id);
        line.sink.noted({ code: String(code), message });
        line.id = nextId();
        line.delayed = true;
        request(line);
      } else if (meaning?.scope === 'ends') {
        if (lingeringCodes.has(code)) withdraw(line);
        end(line, String(code), message, meaning.retryAfterMs);
      } else line.sink.noted({ code: String(code), message });
      return true;
    },

    get count() {
      return open.size;
    },
    get ticks() {
      return ticks;
    },
  };
}
