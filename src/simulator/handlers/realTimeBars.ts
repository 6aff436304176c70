import { OUT } from '../wire/names.ts';
import type { RequestOf } from '../wire/requests.ts';
import { invalid, type Link, resolved, type Stop, unprocessed } from './link.ts';

const BAR_MS = 5000;

/** Five-second bars of one connection. Each comes when it is complete. */
export class RealTimeBars {
  readonly #link: Link;
  readonly #lines = new Map<number, Stop>();

  constructor(link: Link) {
    this.#link = link;
  }

  subscribe(request: RequestOf<'reqRealTimeBars'>): void {
    const link = this.#link;
    const { reqId, whatToShow, useRth } = request;
    if (this.#lines.has(reqId)) {
      link.error(reqId, 322, unprocessed('Duplicate ticker id'));
      return;
    }
    if (!['TRADES', 'BID', 'ASK', 'MIDPOINT'].includes(whatToShow)) {
      link.error(reqId, 321, invalid(`Real-time bars "${whatToShow}" is none of TRADES, BID, ASK, MIDPOINT`));
      return;
    }
    const details = resolved(link, reqId, request.contract);
    if (details === null) return;
    const { contract } = details;
    const send = (end: number): void => {
      if (!link.isServed('market', contract)) return;
      const bars = link.exchange.bars({
        conId: contract.conId,
        end,
        durationSeconds: BAR_MS / 1000,
        barSeconds: BAR_MS / 1000,
        whatToShow,
        useRth,
      });
      const bar = bars.findLast(({ time }) => time + BAR_MS <= end);
      if (bar === undefined) return;
      const { open, high, low, close, volume, wap, count } = bar;
      link.send([
        OUT.realtimeBar,
        3,
        reqId,
        Math.floor(bar.time / 1000),
        open,
        high,
        low,
        close,
        volume,
        wap,
        count,
      ]);
    };
    let stop: Stop = () => undefined;
    const schedule = (): void => {
      const now = link.clock.now();
      const end = now - (now % BAR_MS) + BAR_MS;
      stop = link.after(end - now, () => {
        schedule();
        send(end);
      });
    };
    schedule();
    this.#lines.set(reqId, () => stop());
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
}
