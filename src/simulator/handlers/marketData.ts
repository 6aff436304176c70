import type { ContractDetails, QuoteSnapshot, Tick } from '../model.ts';
import { OUT } from '../wire/names.ts';
import type { RequestOf } from '../wire/requests.ts';
import { invalid, type Link, resolved, type Stop, unprocessed } from './link.ts';
import { sendOptionModel } from './options.ts';

const GENERIC_TICKS: ReadonlyMap<number, string> = new Map([
  [100, 'Option Volume'],
  [101, 'Option Open Interest'],
  [104, 'Historical Volatility'],
  [105, 'Average Option Volume'],
  [106, 'Option Implied Volatility'],
  [162, 'Index Future Premium'],
  [165, 'Miscellaneous Stats'],
  [220, 'Creditman Mark Price'],
  [221, 'Mark Price'],
  [225, 'Auction Values'],
  [232, 'Mark Price'],
  [233, 'RTVolume'],
  [236, 'Shortable'],
  [258, 'Fundamental Ratios'],
  [292, 'News'],
  [293, 'Trade Count'],
  [294, 'Trade Rate'],
  [295, 'Volume Rate'],
  [318, 'Last RTH Trade'],
  [370, 'Participation Monitor'],
  [375, 'RTTrdVolume'],
  [377, 'CttTickTag'],
  [381, 'IB Rate'],
  [384, 'RfqTickRespTag'],
  [387, 'DMM'],
  [388, 'Issuer Fundamentals'],
  [391, 'IBWarrantImpVolCompeteTick'],
  [405, 'Index Capabilities'],
  [407, 'FuturesMarginTag'],
  [411, 'Realtime Historical Volatility'],
  [428, 'Monetary Close Price'],
  [439, 'MonitorTickTag'],
  [456, 'IBDividends'],
  [459, 'RTCLOSE'],
  [460, 'Bond Factor Multiplier'],
  [499, 'Fee and Rebate Rate'],
  [506, 'Midptiv'],
  [511, 'hvolrt10 (per-underlying)'],
  [512, 'hvolrt30 (per-underlying)'],
  [513, 'hvolrt50 (per-underlying)'],
  [514, 'hvolrt75 (per-underlying)'],
  [515, 'hvolrt100 (per-underlying)'],
  [516, 'hvolrt150 (per-underlying)'],
  [517, 'hvolrt200 (per-underlying)'],
  [521, 'fzmidptiv'],
  [545, 'vsiv'],
  [576, 'EtfNavBidAsk'],
  [577, 'EtfNavLast'],
  [578, 'EtfFrozenNavLast'],
  [584, 'PriceEarnings'],
  [586, 'IPO Prices'],
  [587, 'Pl Price Delayed'],
  [588, 'Futures Open Interest'],
  [595, 'Short-Term Volume X Mins'],
  [608, 'EMA N'],
  [614, 'EtfNavMisc(hight/low)'],
  [619, 'Creditman Slow Mark Price'],
  [623, 'EtfFrozenNavLast'],
]);

const MAX_FINISHED = 1000;

interface Line {
  readonly stops: readonly Stop[];
  readonly details: ContractDetails;
}

/** Tick types for one kind of market data. null: not sent. */
interface TickTypes {
  readonly bid: number;
  readonly ask: number;
  readonly last: number;
  readonly bidSize: number;
  readonly askSize: number;
  readonly lastSize: number;
  readonly high: number;
  readonly low: number;
  readonly volume: number;
  readonly close: number;
  readonly open: number;
  readonly lastTimestamp: number;
  readonly halted: number | null;
  readonly bidExch: number | null;
  readonly askExch: number | null;
  readonly lastExch: number | null;
}

const LIVE: TickTypes = {
  bid: 1,
  ask: 2,
  last: 4,
  bidSize: 0,
  askSize: 3,
  lastSize: 5,
  high: 6,
  low: 7,
  volume: 8,
  close: 9,
  open: 14,
  lastTimestamp: 45,
  halted: 49,
  bidExch: 32,
  askExch: 33,
  lastExch: 84,
};
const DELAYED: TickTypes = {
  bid: 66,
  ask: 67,
  last: 68,
  bidSize: 69,
  askSize: 70,
  lastSize: 71,
  high: 72,
  low: 73,
  volume: 74,
  close: 75,
  open: 76,
  lastTimestamp: 88,
  halted: null,
  bidExch: null,
  askExch: null,
  lastExch: null,
};

/** Top-of-book subscriptions of one connection. */
export class MarketData {
  readonly #link: Link;
  readonly #lines = new Map<number, Line>();
  readonly #finished = new Set<number>();
  #marketDataType = 1;

  constructor(link: Link) {
    this.#link = link;
  }

  setType(marketDataType: number): void {
    if (marketDataType < 1 || marketDataType > 4) {
      this.#link.error(-1, 321, invalid(`Market data type ${marketDataType} is none of 1, 2, 3, 4`));
      return;
    }
    this.#marketDataType = marketDataType;
  }

  /** Lines of these contracts (all without), for the load generator. */
  lines(conIds: ReadonlySet<number> | null): readonly { readonly reqId: number; readonly conId: number }[] {
    const found: { reqId: number; conId: number }[] = [];
    for (const [reqId, { details }] of this.#lines) {
      const { conId } = details.contract;
      if (conIds === null || conIds.has(conId)) found.push({ reqId, conId });
    }
    return found;
  }

  subscribe(request: RequestOf<'reqMktData'>): void {
    const link = this.#link;
    const { reqId } = request;
    if (this.#lines.has(reqId)) {
      link.error(reqId, 322, unprocessed('Duplicate ticker id'));
      return;
    }
    const details = resolved(link, reqId, request.contract);
    if (details === null) return;
    if (request.snapshot && request.genericTickList.trim() !== '') {
      const cause = 'Snapshot market data subscription is not applicable to generic ticks';
      link.error(reqId, 321, invalid(cause));
      return;
    }
    const unknown = request.genericTickList
      .split(',')
      .map((text) => text.trim().split(':')[0] ?? '')
      .filter((text) => text !== '' && text !== 'mdoff' && !GENERIC_TICKS.has(Number(text)));
    if (unknown.length > 0) {
      const legal = [...GENERIC_TICKS].map(([id, name]) => `${id}(${name})`).join(',');
      link.error(
        reqId,
        321,
        invalid(
          `Incorrect generic tick list of ${request.genericTickList}.  Legal ones for (${details.contract.secType}) are: ${legal}`,
        ),
      );
      return;
    }
    const { marketDataLines } = link.limits;
    if (marketDataLines > 0 && this.#lines.size >= marketDataLines) {
      link.error(reqId, 101, 'Max number of tickers has been reached');
      return;
    }
    const isDelayed = this.#marketDataType >= 3;
    if (link.entitlement === 'none' || (link.entitlement === 'delayed' && !isDelayed)) {
      link.error(
        reqId,
        354,
        `Requested market data is not subscribed.${details.contract.symbol} ${details.contract.exchange}/TOP/ALL`,
      );
      return;
    }
    if (link.entitlement === 'delayed') {
      link.error(reqId, 10167, 'Requested market data is not subscribed. Displaying delayed market data.');
    }
    this.#open(request, details, isDelayed);
  }

  cancel(reqId: number): void {
    const line = this.#lines.get(reqId);
    if (line === undefined) {
      this.#finished.delete(reqId);
      this.#link.error(reqId, 300, `Can't find EId with tickerId:${reqId}`);
      return;
    }
    this.#drop(reqId, line);
  }

  /** The link to IB came back without its data: the client has to ask again. */
  loseAll(): void {
    for (const [reqId, line] of this.#lines) this.#drop(reqId, line);
  }

  #drop(reqId: number, line: Line): void {
    for (const stop of line.stops) stop();
    this.#lines.delete(reqId);
  }

  #open(request: RequestOf<'reqMktData'>, details: ContractDetails, isDelayed: boolean): void {
    const link = this.#link;
    const { reqId } = request;
    const { contract } = details;
    const types = isDelayed ? DELAYED : LIVE;
    const isOption = contract.secType === 'OPT' || contract.secType === 'FOP';
    let isGreeted = false;
    /** False while nothing may be sent. What a line begins with comes before its first tick, whenever that is. */
    const mayTick = (): boolean => {
      if (!link.isServed('market', contract)) return false;
      if (isGreeted) return true;
      isGreeted = true;
      link.send([OUT.marketDataType, 1, reqId, isDelayed ? 3 : 1]);
      link.send([OUT.tickReqParams, reqId, details.minTick, '9c0001', 3]);
      const quote = link.exchange.quote(contract.conId);
      if (quote !== null) this.#sendQuote(reqId, quote, types);
      if (isOption) sendOptionModel(link, reqId, contract.conId);
      return true;
    };
    mayTick();
    if (request.snapshot || request.regulatorySnapshot) {
      link.send([OUT.tickSnapshotEnd, 1, reqId]);
      this.#finished.add(reqId);
      if (this.#finished.size > MAX_FINISHED) {
        const [oldest] = this.#finished;
        if (oldest !== undefined) this.#finished.delete(oldest);
      }
      return;
    }
    const stops = [
      link.exchange.subscribeTicks(contract.conId, (tick) => {
        if (mayTick()) this.#sendTick(reqId, tick, types);
      }),
      ...this.#generic(request, details),
    ];
    if (isOption) {
      stops.push(
        link.every(1000, () => {
          if (mayTick()) sendOptionModel(link, reqId, contract.conId);
        }),
      );
    }
    this.#lines.set(reqId, { stops, details });
  }

  #generic(request: RequestOf<'reqMktData'>, details: ContractDetails): Stop[] {
    const link = this.#link;
    const { reqId, genericTickList } = request;
    const wanted = new Set(genericTickList.split(',').map((text) => Number(text.trim().split(':')[0])));
    const { contract } = details;
    if (wanted.has(236) && contract.secType === 'STK') link.send([OUT.tickGeneric, 6, reqId, 46, 3]);
    if (!wanted.has(233) && !wanted.has(375)) return [];
    const tickType = wanted.has(233) ? 48 : 77;
    return [
      link.exchange.subscribePrints(contract.conId, (print) => {
        if (!link.isServed('market', contract)) return;
        const quote = link.exchange.quote(contract.conId);
        const volume = quote?.volume ?? 0;
        const average = averageOfDay(print.price, quote);
        link.send([
          OUT.tickString,
          6,
          reqId,
          tickType,
          `${print.price};${print.size};${print.time};${volume};${average};true`,
        ]);
      }),
    ];
  }

  #sendQuote(reqId: number, quote: QuoteSnapshot, types: TickTypes): void {
    const ticks: Tick[] = [
      { field: 'bid', price: quote.bid, size: quote.bidSize, attrMask: 1 },
      { field: 'ask', price: quote.ask, size: quote.askSize, attrMask: 1 },
      { field: 'last', price: quote.last, size: quote.lastSize, attrMask: 0 },
      { field: 'volume', size: quote.volume },
      { field: 'high', price: quote.high },
      { field: 'low', price: quote.low },
      { field: 'close', price: quote.close },
      { field: 'open', price: quote.open },
      { field: 'halted', value: quote.halted ? 1 : 0 },
    ];
    for (const tick of ticks) this.#sendTick(reqId, tick, types);
  }

  #sendTick(reqId: number, tick: Tick, types: TickTypes): void {
    switch (tick.field) {
      case 'bid':
      case 'ask':
      case 'last':
        this.#link.send([OUT.tickPrice, 6, reqId, types[tick.field], tick.price, tick.size, tick.attrMask]);
        return;
      case 'open':
      case 'high':
      case 'low':
      case 'close':
        this.#link.send([OUT.tickPrice, 6, reqId, types[tick.field], tick.price, 0, 0]);
        return;
      case 'bidSize':
      case 'askSize':
      case 'lastSize':
      case 'volume':
        this.#link.send([OUT.tickSize, 6, reqId, types[tick.field], tick.size]);
        return;
      case 'lastTimestamp':
        this.#link.send([OUT.tickString, 6, reqId, types.lastTimestamp, tick.epochSeconds]);
        return;
      case 'halted':
        if (types.halted !== null) this.#link.send([OUT.tickGeneric, 6, reqId, types.halted, tick.value]);
        return;
      default: {
        const type = types[tick.field];
        if (type !== null) this.#link.send([OUT.tickString, 6, reqId, type, tick.text]);
      }
    }
  }
}

/** The price that a day's trades had on the whole, by its extremes: those before the subscription are kept by nobody. */
function averageOfDay(price: number, quote: QuoteSnapshot | null): number {
  const known = [quote?.high, quote?.low, price].filter((each) => each !== undefined && each > 0) as number[];
  return Math.round((known.reduce((sum, each) => sum + each, 0) / known.length) * 1e8) / 1e8;
}
