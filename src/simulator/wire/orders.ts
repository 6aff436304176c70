import type { BookOrder, CommissionReport, Execution } from '../model.ts';
import { dateTime, zonedDateTime } from './dates.ts';
import { ascii, double, UNSET_DOUBLE, UNSET_INT, UNSET_LONG } from './fields.ts';
import type { Field } from './frames.ts';
import { OUT } from './names.ts';
import { OrderTerms, optional } from './orderTerms.ts';

/** What a message about an order depends on besides the order. */
export interface OrderContext {
  readonly version: number;
  /** IANA name of the gateway's time zone */
  readonly zone: string;
}

function orderState(order: BookOrder): Field[] {
  const { margin } = order;
  const margins =
    margin === null
      ? Array<Field>(9).fill(UNSET_DOUBLE)
      : [
          margin.initMarginBefore,
          margin.maintMarginBefore,
          margin.equityWithLoanBefore,
          margin.initMarginChange,
          margin.maintMarginChange,
          margin.equityWithLoanChange,
          margin.initMarginAfter,
          margin.maintMarginAfter,
          margin.equityWithLoanAfter,
        ].map(double);
  const costs: Field[] =
    margin === null
      ? [optional(order.commission), '', '', order.commission === null ? '' : order.commissionCurrency]
      : [
          optional(margin.commission),
          optional(margin.minCommission),
          optional(margin.maxCommission),
          margin.commissionCurrency,
        ];
  return [order.status, ...margins, ...costs, ascii(order.warningText)];
}

/**
 * openOrder, message 5. `orderId` and `clientId` as this client shall see them (they differ from the book's for bound
 * orders of TWS).
 */
export function openOrder(
  order: BookOrder,
  context: OrderContext,
  orderId: number = order.request.orderId,
): Field[] {
  const { version } = context;
  const { request } = order;
  const terms = new OrderTerms(order, version);
  const fields: Field[] = [
    OUT.openOrder,
    orderId,
    ...terms.main(request.totalQuantity),
    request.clientId,
    order.permId,
    request.outsideRth,
    terms.flag('hidden'),
    terms.double('discretionaryAmt', 0),
    request.goodAfterTime,
    `${order.permId}.0/${request.account}/100`,
    ...terms.advisor(),
    terms.int('auctionStrategy', 0),
    ...terms.ranges(),
    terms.flag('blockOrder'),
    terms.flag('sweepToFill'),
    request.allOrNone,
    optional(request.minQty),
    request.ocaType === 0 ? 3 : request.ocaType,
    terms.flag('eTradeOnly'),
    terms.flag('firmQuoteOnly'),
    terms.double('nbboPriceCap'),
    request.parentId,
    terms.int('triggerMethod', 0),
    ...terms.volatility(true),
    ...terms.trail(),
    '',
    '',
    ...terms.combo(),
    ...terms.scale(),
    ...terms.hedge(),
    terms.flag('optOutSmartRouting'),
    ...terms.clearing(),
    ...terms.neutralContract(),
    ...terms.algo(),
    terms.flag('solicited'),
    request.whatIf,
    ...orderState(order),
    ...terms.randomized(),
    ...terms.benchmark(),
    ...terms.conditions(),
    terms.text('adjustedOrderType', 'None'),
    terms.double('triggerPrice', UNSET_DOUBLE),
    ...terms.stopAndOffset(),
    terms.double('adjustedStopPrice', UNSET_DOUBLE),
    terms.double('adjustedStopLimitPrice', UNSET_DOUBLE),
    terms.double('adjustedTrailingAmount', UNSET_DOUBLE),
    terms.int('adjustableTrailingUnit', 0),
    terms.text('softDollarTier.name'),
    terms.text('softDollarTier.value'),
    '',
    request.cashQty ?? 0,
    // TWS answers 1 whatever the client sent.
    1,
    terms.flag('isOmsContainer'),
    terms.flag('discretionaryUpToLimitPrice'),
    terms.flag('usePriceMgmtAlgo'),
    terms.int('duration'),
    terms.int('postToAts'),
    terms.flag('autoCancelParent'),
    ...terms.pegs(),
    ...terms.customer(),
  ];
  if (version >= 185) fields.push('');
  if (version >= 189) fields.push(terms.flag('includeOvernight'));
  if (version >= 193) fields.push(terms.text('extOperator'), terms.int('manualOrderIndicator', UNSET_INT));
  return fields;
}

/** completedOrder, message 101: no order id, no client id; the time carries its zone at every version. */
export function completedOrder(order: BookOrder, context: OrderContext): Field[] {
  const { request } = order;
  const terms = new OrderTerms(order, context.version);
  const isFilled = order.status === 'Filled';
  return [
    OUT.completedOrder,
    ...terms.main(isFilled ? 0 : request.totalQuantity),
    order.permId,
    request.outsideRth,
    terms.flag('hidden'),
    terms.double('discretionaryAmt', 0),
    request.goodAfterTime,
    ...terms.advisor(),
    ...terms.ranges(),
    terms.flag('sweepToFill'),
    request.allOrNone,
    optional(request.minQty),
    request.ocaType === 0 ? 3 : request.ocaType,
    terms.int('triggerMethod', 0),
    ...terms.volatility(false),
    ...terms.trail(),
    ...terms.combo(),
    ...terms.scale(),
    ...terms.hedge(),
    ...terms.clearing(),
    ...terms.neutralContract(),
    ...terms.algo(),
    terms.flag('solicited'),
    order.status,
    ...terms.randomized(),
    ...terms.benchmark(),
    ...terms.conditions(),
    ...terms.stopAndOffset(),
    request.cashQty ?? 0,
    // TWS answers 1 whatever the client sent.
    1,
    terms.flag('isOmsContainer'),
    '',
    order.filled,
    UNSET_INT,
    terms.flag('autoCancelParent'),
    'Not an insider or substantial shareholder',
    0,
    0,
    order.parentPermId === 0 ? UNSET_LONG : order.parentPermId,
    order.completedAt === null ? '' : zonedDateTime(order.completedAt, context.zone),
    ascii(order.completedStatus),
    ...terms.pegs(),
    ...terms.customer(),
  ];
}

/** orderStatus, message 3: twelve fields at every version. */
export function orderStatus(order: BookOrder, orderId: number = order.request.orderId): Field[] {
  return [
    OUT.orderStatus,
    orderId,
    order.status,
    order.filled,
    order.remaining,
    order.avgFillPrice,
    order.permId,
    order.request.parentId,
    order.lastFillPrice,
    order.request.clientId,
    order.whyHeld,
    order.mktCapPrice,
  ];
}

/** execDetails, message 11. `reqId` is -1 for a live one. */
export function execDetails(
  reqId: number,
  execution: Execution,
  context: OrderContext,
  orderId: number = execution.orderId,
): Field[] {
  const { contract } = execution;
  const fields: Field[] = [
    OUT.execDetails,
    reqId,
    orderId,
    contract.conId,
    contract.symbol,
    contract.secType,
    contract.lastTradeDateOrContractMonth,
    double(contract.strike),
    contract.right,
    contract.multiplier,
    execution.exchange,
    contract.currency,
    contract.localSymbol,
    contract.tradingClass,
    execution.execId,
    dateTime(execution.time, context.zone, context.version),
    execution.account,
    execution.exchange,
    execution.side,
    execution.shares,
    execution.price,
    execution.permId,
    execution.clientId,
    execution.liquidation,
    execution.cumQty,
    execution.avgPrice,
    execution.orderRef,
    '',
    '',
    '',
    execution.lastLiquidity,
  ];
  if (context.version >= 178) fields.push(0);
  return fields;
}

/** commissionReport, message 59: carries the execId and no order. */
export function commissionReport(report: CommissionReport): Field[] {
  return [
    OUT.commissionReport,
    1,
    report.execId,
    double(report.commission),
    report.currency,
    report.realizedPNL ?? UNSET_DOUBLE,
    UNSET_DOUBLE,
    '',
  ];
}
