import type { Contract } from '../model.ts';
import { OUT } from '../wire/names.ts';
import type { RequestOf } from '../wire/requests.ts';
import { sendHistoricalTicks } from './history.ts';
import { invalid, type Link, resolved, type Stop, unprocessed } from './link.ts';

const TYPES: Readonly<Record<string, { readonly code: number; readonly shows: string }>> = {
  Last: { code: 1, shows: 'TRADES' },
  AllLast: { code: 2, shows: 'TRADES' },
  BidAsk: { code: 3, shows: 'BID_ASK' },
  MidPoint: { code: 4, shows: 'MIDPOINT' },
};

/** Tick-by-tick subscriptions of one connection. */
export class TickByTick {
  readonly #link: Link;
  readonly #lines = new Map<number, Stop>();

  constructor(link: Link) {
    this.#link = link;
  }

  subscribe(request: RequestOf<'reqTickByTickData'>): void {
    const link = this.#link;
    const { reqId } = request;
    if (this.#lines.has(reqId)) {
      link.error(reqId, 322, unprocessed('Duplicate ticker id'));
      return;
    }
    const type = TYPES[request.tickType];
    if (type === undefined) {
      link.error(
        reqId,
        321,
        invalid(`Tick type "${request.tickType}" is none of Last, AllLast, BidAsk, MidPoint`),
      );
      return;
    }
    const details = resolved(link, reqId, request.contract);
    if (details === null) return;
    const { contract } = details;
    if (link.entitlement !== 'live') {
      const { symbol, exchange } = contract;
      link.error(
        reqId,
        10189,
        `Failed to request tick-by-tick data.No market data permissions for ${exchange} ${symbol}`,
      );
      return;
    }
    const { tickByTickLines } = link.limits;
    if (tickByTickLines > 0 && this.#lines.size >= tickByTickLines) {
      link.error(reqId, 10190, 'Max number of tick-by-tick requests has been reached');
      return;
    }
    if (request.numberOfTicks > 0) {
      sendHistoricalTicks(
        link,
        reqId,
        contract.conId,
        type.shows,
        null,
        link.clock.now(),
        request.numberOfTicks,
      );
    }
    const stop =
      type.code <= 2 ? this.#prints(reqId, contract, type.code) : this.#quotes(request, contract, type.code);
    this.#lines.set(reqId, stop);
  }

  cancel(reqId: number): void {
    const stop = this.#lines.get(reqId);
    if (stop === undefined) {
      this.#link.error(reqId, 300, `Can't find EId with tickerId:${reqId}`);
      return;
    }
    stop();
    this.#lines.delete(reqId);
  }

  loseAll(): void {
    for (const stop of this.#lines.values()) stop();
    this.#lines.clear();
  }

  #prints(reqId: number, contract: Contract, code: number): Stop {
    const link = this.#link;
    return link.exchange.subscribePrints(contract.conId, (print) => {
      if (!link.isServed('market', contract)) return;
      link.send([
        OUT.tickByTick,
        reqId,
        code,
        Math.floor(print.time / 1000),
        print.price,
        print.size,
        0,
        print.exchange,
        print.conditions,
      ]);
    });
  }

  #quotes(request: RequestOf<'reqTickByTickData'>, contract: Contract, code: number): Stop {
    const link = this.#link;
    const { reqId, ignoreSize } = request;
    let shown = '';
    const show = (): void => {
      if (!link.isServed('market', contract)) return;
      const quote = link.exchange.quote(contract.conId);
      if (quote === null || quote.bid <= 0 || quote.ask <= 0) return;
      const prices = `${quote.bid} ${quote.ask}`;
      const key = ignoreSize || code === 4 ? prices : `${prices} ${quote.bidSize} ${quote.askSize}`;
      if (key === shown) return;
      shown = key;
      const time = Math.floor(link.clock.now() / 1000);
      if (code === 4) {
        const midpoint = Math.round(((quote.bid + quote.ask) / 2) * 1e8) / 1e8;
        link.send([OUT.tickByTick, reqId, code, time, midpoint]);
      } else {
        link.send([OUT.tickByTick, reqId, code, time, quote.bid, quote.ask, quote.bidSize, quote.askSize, 0]);
      }
    };
    show();
    return link.exchange.subscribeTicks(contract.conId, (tick) => {
      if (
        tick.field === 'bid' ||
        tick.field === 'ask' ||
        tick.field === 'bidSize' ||
        tick.field === 'askSize'
      )
        show();
    });
  }
}
