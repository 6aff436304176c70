/** The book in the words of the runtime: what the wire and its decoder would have made of it. */
import type { Contract as IbContract, Execution as IbExecution, Order as IbOrder } from '@stoqey/ib';
import type { Contract as Instrument } from '../../machines/instrument.ts';
import type { BrokerFact, PlaceOrder } from '../../machines/tws.ts';
import { completeRequest } from '../../src/simulator/exchange/book.ts';
import { noContract } from '../../src/simulator/exchange/catalogue.ts';
import type {
  BookOrder,
  CommissionReport,
  Contract,
  Execution,
  OrderRequest,
  Position,
} from '../../src/simulator/model.ts';
import { dateTime, zonedDateTime } from '../../src/simulator/wire/dates.ts';
import { toIbOrder } from '../../src/tws/orders.ts';
import {
  commissioned,
  completedSeen,
  executed,
  orderSeen,
  positionSeen,
  statusSeen,
} from '../../src/tws/translate.ts';

const zone = 'US/Eastern';
const version = 193;

export function toContract(contract: Instrument): Contract {
  const { conId, symbol, secType, exchange, currency, localSymbol, comboLegs } = contract;
  return {
    ...noContract,
    conId: conId ?? 0,
    symbol: symbol ?? '',
    secType: secType ?? '',
    exchange: exchange ?? '',
    currency: currency ?? '',
    localSymbol: localSymbol ?? '',
    comboLegs: comboLegs ?? [],
  };
}

const number = (value: unknown): number | null =>
  value === undefined || value === null || value === '' ? null : Number(value);

/** placeOrder as the exchange reads it off the wire. */
export function toRequest({ ticket, orderId, parentOrderId }: PlaceOrder, clientId: number): OrderRequest {
  const order: Readonly<Record<string, unknown>> = { ...toIbOrder(ticket, parentOrderId) };
  return completeRequest({
    clientId,
    orderId,
    contract: toContract(ticket.contract),
    action: String(order.action),
    totalQuantity: Number(order.totalQuantity),
    orderType: String(order.orderType),
    lmtPrice: number(order.lmtPrice),
    auxPrice: number(order.auxPrice),
    trailStopPrice: number(order.trailStopPrice),
    trailingPercent: number(order.trailingPercent),
    percentOffset: number(order.percentOffset),
    tif: String(order.tif),
    ocaGroup: String(order.ocaGroup ?? ''),
    account: String(order.account),
    orderRef: String(order.orderRef),
    transmit: order.transmit === true,
    parentId: Number(order.parentId),
    outsideRth: order.outsideRth === true,
  });
}

function ibContract(contract: Contract, exchange: string): IbContract {
  const { conId, symbol, secType, currency, localSymbol, tradingClass } = contract;
  const { lastTradeDateOrContractMonth, multiplier, comboLegs } = contract;
  return {
    conId,
    symbol,
    secType,
    exchange,
    currency,
    localSymbol,
    tradingClass,
    ...(lastTradeDateOrContractMonth === '' ? {} : { lastTradeDateOrContractMonth }),
    ...(multiplier === '' ? {} : { multiplier: Number(multiplier) }),
    ...(comboLegs.length === 0 ? {} : { comboLegs }),
  } as unknown as IbContract;
}

function ibOrder({ request, permId, trailStopPrice }: BookOrder): IbOrder {
  const { action, totalQuantity, orderType, tif, ocaGroup, account, orderRef, parentId, outsideRth } =
    request;
  const stop = trailStopPrice ?? request.trailStopPrice;
  return {
    orderId: request.orderId,
    clientId: request.clientId,
    permId,
    orderRef,
    account,
    action,
    totalQuantity,
    orderType,
    lmtPrice: request.lmtPrice ?? 0,
    auxPrice: request.auxPrice ?? 0,
    ...(stop === null ? {} : { trailStopPrice: stop }),
    ...(request.trailingPercent === null ? {} : { trailingPercent: request.trailingPercent }),
    tif: tif === '' ? 'DAY' : tif,
    ocaGroup,
    parentId,
    outsideRth,
  } as unknown as IbOrder;
}

/** A combination is echoed with the legs and the exchange of the request, everything else as the catalogue knows it. */
const contractOf = ({ contract, request }: BookOrder): IbContract =>
  contract.secType === 'BAG'
    ? ibContract(
        { ...contract, comboLegs: request.contract.comboLegs, symbol: request.contract.symbol },
        'SMART',
      )
    : ibContract(contract, contract.secType === 'STK' ? 'SMART' : contract.exchange);

export const openOrderFact = (order: BookOrder, at: number): BrokerFact | null =>
  orderSeen(
    order.request.orderId,
    contractOf(order),
    ibOrder(order),
    { status: order.status, warningText: order.warningText } as never,
    at,
  );

export const statusFact = (order: BookOrder, at: number): BrokerFact | null =>
  statusSeen(
    {
      orderId: order.request.orderId,
      status: order.status,
      filled: order.filled,
      remaining: order.remaining,
      averagePrice: order.avgFillPrice,
      permId: order.permId,
      clientId: order.request.clientId,
      whyHeld: order.whyHeld,
    },
    at,
  );

/** completedOrder names neither client nor order id. */
export function completedFact(order: BookOrder, at: number): BrokerFact | null {
  const { orderId: _, clientId: _c, totalQuantity, ...rest } = ibOrder(order);
  return completedSeen(
    contractOf(order),
    {
      ...rest,
      totalQuantity: order.status === 'Filled' ? 0 : totalQuantity,
      filledQuantity: order.filled,
    } as unknown as IbOrder,
    {
      status: order.status,
      completedTime: order.completedAt === null ? '' : zonedDateTime(order.completedAt, zone),
      completedStatus: order.completedStatus,
    } as never,
    at,
    zone,
  );
}

export const executionFact = (execution: Execution, at: number): BrokerFact | null =>
  executed(
    ibContract(execution.contract, execution.exchange),
    {
      ...execution,
      acctNumber: execution.account,
      time: dateTime(execution.time, zone, version),
    } as unknown as IbExecution,
    at,
    zone,
  );

export const commissionFact = (report: CommissionReport, at: number): BrokerFact =>
  commissioned({ ...report, realizedPNL: report.realizedPNL ?? Number.MAX_VALUE } as never, at);

export const positionFact = (row: Position, at: number): BrokerFact | null =>
  positionSeen(row.account, ibContract(row.contract, ''), row.position, row.avgCost, at);
