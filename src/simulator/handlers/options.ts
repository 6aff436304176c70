import { OUT } from '../wire/names.ts';
import type { RequestOf } from '../wire/requests.ts';
import { type Link, resolved, unprocessed } from './link.ts';

/** Tick types of tickOptionComputation. */
const BID = 10;
const ASK = 11;
const LAST = 12;
const MODEL = 13;
const CUSTOM = 53;

type Model = NonNullable<ReturnType<Link['exchange']['optionModel']>>;

function send(link: Link, reqId: number, tickType: number, model: Model): void {
  link.send([
    OUT.tickOptionComputation,
    reqId,
    tickType,
    1,
    model.impliedVol,
    model.delta,
    model.optPrice,
    model.pvDividend,
    model.gamma,
    model.vega,
    model.theta,
    model.undPrice,
  ]);
}

/** The model's values of an option that is subscribed to, and those at which its prices are right. */
export function sendOptionModel(link: Link, reqId: number, conId: number): void {
  const model = link.exchange.optionModel(conId);
  if (model === null) return;
  const quote = link.exchange.quote(conId);
  for (const [tickType, optionPrice] of [
    [BID, quote?.bid],
    [ASK, quote?.ask],
    [LAST, quote?.last],
  ] as const) {
    if (!optionPrice) continue;
    const implied = link.exchange.optionModel(conId, { optionPrice, underPrice: model.undPrice });
    if (implied !== null) send(link, reqId, tickType, implied);
  }
  send(link, reqId, MODEL, model);
}

/** The answer to calculateImpliedVolatility and calculateOptionPrice. */
export function calculate(
  link: Link,
  request: RequestOf<'calculateImpliedVolatility' | 'calculateOptionPrice'>,
): void {
  const details = resolved(link, request.reqId, request.contract);
  if (details === null) return;
  const { underPrice } = request;
  const given =
    request.type === 'calculateImpliedVolatility'
      ? { optionPrice: request.given, underPrice }
      : { volatility: request.given, underPrice };
  const model = link.exchange.optionModel(details.contract.conId, given);
  if (model === null) {
    const { secType, localSymbol } = details.contract;
    const isOption = secType === 'OPT' || secType === 'FOP';
    const cause = isOption
      ? `No volatility gives this price of ${localSymbol}`
      : `${localSymbol} is not an option`;
    link.error(request.reqId, 322, unprocessed(cause));
    return;
  }
  send(link, request.reqId, CUSTOM, model);
}
