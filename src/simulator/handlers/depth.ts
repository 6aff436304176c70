import { OUT } from '../wire/names.ts';
import type { RequestOf } from '../wire/requests.ts';
import { invalid, type Link, resolved, type Stop, unprocessed } from './link.ts';

/** Books whose rows name their market maker. */
const MARKET_MAKER_BOOKS = new Set(['SMART', 'NASDAQ', 'ISLAND', 'OVERNIGHT']);
const MAX_ROWS = 60;

interface Line {
  readonly conId: number;
  /** tells the book from nothing */
  readonly open: () => Stop;
  stop: Stop;
  /** rows were not sent: what follows would not fit */
  isBehind: boolean;
  isCatchingUp: boolean;
}

/** Market-depth subscriptions of one connection. */
export class Depth {
  readonly #link: Link;
  readonly #lines = new Map<number, Line>();

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
    if (link.entitlement !== 'live') {
      const { symbol } = contract;
      link.error(reqId, 354, `Requested market data is not subscribed.${symbol} ${contract.exchange}/DEPTH`);
      return;
    }
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
    const open = (): Stop =>
      link.exchange.subscribeDepth(contract.conId, request.numRows, (row) => {
        const isServed = link.isServed('market', contract);
        if (!isServed || line.isBehind) {
          if (isServed) this.#catchUp(reqId, line);
          line.isBehind = true;
          return;
        }
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
      });
    const line: Line = {
      conId: contract.conId,
      open,
      stop: () => undefined,
      isBehind: false,
      isCatchingUp: false,
    };
    this.#lines.set(reqId, line);
    line.stop = open();
  }

  /** Error 317, and the books of a contract, or all, are told from nothing. */
  reset(conId: number | null): void {
    for (const [reqId, line] of this.#lines) {
      if (conId !== null && line.conId !== conId) continue;
      this.#tellAnew(reqId, line);
    }
  }

  /** Not from within the exchange's own round of listeners. */
  #catchUp(reqId: number, line: Line): void {
    if (line.isCatchingUp) return;
    line.isCatchingUp = true;
    this.#link.after(0, () => {
      line.isCatchingUp = false;
      if (this.#lines.get(reqId) === line) this.#tellAnew(reqId, line);
    });
  }

  #tellAnew(reqId: number, line: Line): void {
    line.stop();
    line.isBehind = false;
    this.#link.error(
      reqId,
      317,
      'Market depth data has been RESET. Please empty deep book contents before applying any new entries.',
    );
    line.stop = line.open();
  }

  cancel(reqId: number): void {
    const line = this.#lines.get(reqId);
    if (line === undefined) {
      this.#link.error(reqId, 310, `Can't find the subscribed market depth with tickerId:${reqId}`);
      return;
    }
    line.stop();
    this.#lines.delete(reqId);
  }

  loseAll(): void {
    for (const { stop } of this.#lines.values()) stop();
    this.#lines.clear();
  }
}
