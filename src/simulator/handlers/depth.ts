import { OUT } from '../wire/names.ts';
import type { RequestOf } from '../wire/requests.ts';
import { invalid, type Link, resolved, type Stop, unprocessed } from './link.ts';

/** Books whose rows name their market maker. */
const MARKET_MAKER_BOOKS = new Set(['SMART', 'NASDAQ', 'ISLAND', 'OVERNIGHT']);
const MAX_ROWS = 60;

/** Market-depth subscriptions of one connection. */
export class Depth {
  readonly #link: Link;
  readonly #lines = new Map<number, Stop>();

  constructor(link: Link) {
    this.#link = link;
  }

  subscribe(request: RequestOf<'reqMktDepth'>): void {
    const link = this.#link;
    const { reqId, isSmartDepth } = request;
    if (this.#lines.has(reqId)) {
      link.error(reqId, 322, unprocessed('Duplicate ticker id'));
      return;
    }
    const details = resolved(link, reqId, request.contract);
    if (details === null) return;
    const { contract } = details;
    const { depthLines } = link.limits;
    if (depthLines > 0 && this.#lines.size >= depthLines) {
      link.error(reqId, 309, `Max number (${depthLines}) of market depth requests has been reached`);
      return;
    }
    if (request.numRows < 1 || request.numRows > MAX_ROWS) {
      link.error(reqId, 321, invalid(`Number of rows ${request.numRows} is not from 1 to ${MAX_ROWS}`));
      return;
    }
    const exchange = request.contract.exchange === '' ? contract.exchange : request.contract.exchange;
    const hasMakers = isSmartDepth || MARKET_MAKER_BOOKS.has(exchange);
    this.#lines.set(
      reqId,
      link.exchange.subscribeDepth(contract.conId, request.numRows, (row) => {
        if (!link.isServed('market', contract)) return;
        const { position, operation, side, price, size, marketMaker } = row;
        if (hasMakers) {
          link.send([
            OUT.updateMktDepthL2,
            1,
            reqId,
            position,
            marketMaker,
            operation,
            side,
            price,
            size,
            isSmartDepth,
          ]);
        } else link.send([OUT.updateMktDepth, 1, reqId, position, operation, side, price, size]);
      }),
    );
  }

  cancel(reqId: number): void {
    const stop = this.#lines.get(reqId);
    if (stop === undefined) {
      this.#link.error(reqId, 310, `Can't find the subscribed market depth with tickerId:${reqId}`);
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
