import type { BookOrder, CommissionReport, Contract, Execution, OrderCondition } from '../model.ts';
import { dateTime, zonedDateTime } from './dates.ts';
import { ascii, double, UNSET_DOUBLE, UNSET_INT, UNSET_LONG } from './fields.ts';
import type { Field } from './frames.ts';
import { OUT } from './names.ts';
import { isPegBench } from './placeOrder.ts';

/** What a message about an order depends on besides the order. */
export interface OrderContext {
  readonly version: number;
  /** IANA name of the gateway's time zone */
  readonly zone: string;
}

const optional = (value: number | null): Field => (value === null ? '' : value);

/** Outside derivatives the right is a question mark. */
function orderContract(contract: Contract): Field[] {
  return [
    contract.conId,
    contract.symbol,
    contract.secType,
    contract.lastTradeDateOrContractMonth,
    contract.strike,
    contract.right === '' ? '?' : contract.right,
    contract.multiplier,
    contract.exchange,
    contract.currency,
    contract.localSymbol,
    contract.tradingClass,
  ];
}

/** The contract of the catalogue, on the exchange and with the legs that the client named. */
function routed(order: BookOrder): Contract {
  const { contract: named } = order.request;
  const isBag = order.contract.secType === 'BAG' || named.secType === 'BAG';
  return {
    ...order.contract,
    exchange: named.exchange === '' ? order.contract.exchange : named.exchange,
    comboLegs: isBag ? named.comboLegs : [],
  };
}

function condition(entry: OrderCondition): Field[] {
  const head: Field[] = [entry.type, entry.conjunction];
  const market: Field[] = [entry.conId ?? 0, entry.exchange ?? ''];
  const isMore = entry.isMore ?? false;
  switch (entry.type) {
    case 1:
      return [...head, isMore, entry.price ?? 0, ...market, entry.triggerMethod ?? 0];
    case 3:
      return [...head, isMore, entry.time ?? ''];
    case 4:
      return [...head, isMore, entry.percent ?? 0];
    case 5:
      return [...head, entry.secType ?? '', entry.exchange ?? '', entry.symbol ?? ''];
    case 6:
      return [...head, isMore, entry.volume ?? 0, ...market];
    default:
      return [...head, isMore, entry.percent ?? 0, ...market];
  }
}

/** The blocks that open and completed orders share, by name, with TWS's value for what the client left out. */
class Terms {
  readonly order: BookOrder;
  readonly #version: number;

  constructor(order: BookOrder, version: number) {
    this.order = order;
    this.#version = version;
  }

  field(name: string, otherwise: Field = ''): Field {
    return this.order.request.fields[name] ?? otherwise;
  }

  double(name: string): Field {
    return this.order.request.fields[name] ?? UNSET_DOUBLE;
  }

  main(quantity: number): Field[] {
    const { request } = this.order;
    return [
      ...orderContract(routed(this.order)),
      request.action,
      quantity,
      request.orderType,
      double(request.lmtPrice ?? 0),
      double(request.auxPrice ?? 0),
      request.tif === '' ? 'DAY' : request.tif,
      request.ocaGroup,
      request.account,
      this.field('openClose'),
      this.field('origin', 0),
      request.orderRef,
    ];
  }

  advisor(): Field[] {
    const profile = this.#version < 177 ? [this.field('faProfile')] : [];
    return [
      this.field('faGroup'),
      this.field('faMethod'),
      this.field('faPercentage'),
      ...profile,
      this.field('modelCode'),
      this.order.request.goodTillDate,
      this.field('rule80A'),
      optional(this.order.request.percentOffset),
      this.field('settlingFirm'),
      this.field('shortSaleSlot', 0),
      this.field('designatedLocation'),
      this.field('exemptCode', -1),
    ];
  }

  ranges(): Field[] {
    return [
      this.field('startingPrice'),
      this.field('stockRefPrice'),
      this.field('delta'),
      this.field('stockRangeLower'),
      this.field('stockRangeUpper'),
      this.order.request.displaySize || UNSET_INT,
    ];
  }

  volatility(isOpen: boolean): Field[] {
    const owner: Field[] = [
      this.field('deltaNeutralSettlingFirm'),
      this.field('deltaNeutralClearingAccount'),
      this.field('deltaNeutralClearingIntent'),
      this.field('deltaNeutralOpenClose', '?'),
    ];
    return [
      this.field('volatility'),
      this.field('volatilityType', 0),
      this.field('deltaNeutralOrderType', 'None'),
      this.field('deltaNeutralAuxPrice'),
      this.field('deltaNeutralConId', 0),
      ...(isOpen ? owner : []),
      this.field('deltaNeutralShortSale', 0),
      this.field('deltaNeutralShortSaleSlot', 0),
      this.field('deltaNeutralDesignatedLocation'),
      this.field('continuousUpdate', 0),
      this.field('referencePriceType', 0),
    ];
  }

  trail(): Field[] {
    const stop = this.order.trailStopPrice ?? this.order.request.trailStopPrice;
    return [optional(stop), optional(this.order.request.trailingPercent)];
  }

  combo(): Field[] {
    const { comboLegs } = routed(this.order);
    const { orderComboLegPrices, smartComboRoutingParams } = this.order.request;
    const legs = comboLegs.flatMap((leg, index): Field[] => [
      leg.conId,
      leg.ratio,
      leg.action,
      leg.exchange,
      this.field(`comboLegs.${index}.openClose`, 0),
      this.field(`comboLegs.${index}.shortSaleSlot`, 0),
      this.field(`comboLegs.${index}.designatedLocation`),
      this.field(`comboLegs.${index}.exemptCode`, -1),
    ]);
    const description = comboLegs
      .map((leg) => `${leg.conId}|${leg.action === 'BUY' ? leg.ratio : -leg.ratio}`)
      .join(',');
    return [
      description,
      comboLegs.length,
      ...legs,
      orderComboLegPrices.length,
      ...orderComboLegPrices.map(optional),
      smartComboRoutingParams.length,
      ...smartComboRoutingParams.flatMap(({ tag, value }): Field[] => [tag, value]),
    ];
  }

  scale(): Field[] {
    const increment = this.field('scalePriceIncrement');
    const isScaled = Number(increment) > 0 && increment !== UNSET_DOUBLE;
    const details: Field[] = [
      this.field('scalePriceAdjustValue'),
      this.field('scalePriceAdjustInterval', UNSET_INT),
      this.field('scaleProfitOffset'),
      this.field('scaleAutoReset', 0),
      this.field('scaleInitPosition', UNSET_INT),
      this.field('scaleInitFillQty', UNSET_INT),
      this.field('scaleRandomPercent', 0),
    ];
    return [
      this.field('scaleInitLevelSize', UNSET_INT),
      this.field('scaleSubsLevelSize', UNSET_INT),
      isScaled ? increment : '',
      ...(isScaled ? details : []),
    ];
  }

  hedge(): Field[] {
    const type = this.field('hedgeType');
    return type === '' ? [''] : [type, this.field('hedgeParam')];
  }

  clearing(): Field[] {
    return [this.field('clearingAccount'), this.field('clearingIntent', 'IB'), this.field('notHeld', 0)];
  }

  neutralContract(): Field[] {
    if (this.field('deltaNeutralContract', '0') !== '1') return [0];
    return [
      1,
      this.field('deltaNeutralContract.conId', 0),
      this.field('deltaNeutralContract.delta', 0),
      this.field('deltaNeutralContract.price', 0),
    ];
  }

  algo(): Field[] {
    const { algoStrategy, algoParams } = this.order.request;
    if (algoStrategy === '') return [''];
    const params = algoParams.flatMap(({ tag, value }): Field[] => [tag, value]);
    return [algoStrategy, algoParams.length, ...params];
  }

  benchmark(): Field[] {
    if (!isPegBench(this.order.request.orderType)) return [];
    return [
      this.field('referenceContractId', 0),
      this.field('isPeggedChangeAmountDecrease', 0),
      this.field('peggedChangeAmount', 0),
      this.field('referenceChangeAmount', 0),
      this.field('referenceExchangeId'),
    ];
  }

  conditions(): Field[] {
    const { conditions, conditionsIgnoreRth, conditionsCancelOrder } = this.order.request;
    if (conditions.length === 0) return [0];
    return [conditions.length, ...conditions.flatMap(condition), conditionsIgnoreRth, conditionsCancelOrder];
  }

  randomized(): Field[] {
    return [this.field('randomizeSize', 0), this.field('randomizePrice', 0)];
  }

  /** The stop as TWS shows it: a trailing order's own, a stop order's price, one above the price of a simple limit. */
  stopAndOffset(): Field[] {
    const { trailStopPrice, lmtPriceOffset, orderType, lmtPrice, auxPrice, contract } = this.order.request;
    let stop = this.order.trailStopPrice ?? trailStopPrice;
    if (stop === null && orderType.startsWith('STP')) stop = auxPrice;
    if (stop === null && orderType === 'LMT' && contract.secType !== 'BAG' && lmtPrice !== null) {
      stop = Math.round((lmtPrice + 1) * 1e8) / 1e8;
    }
    return [double(stop), double(lmtPriceOffset)];
  }

  pegs(): Field[] {
    return [
      this.field('minTradeQty'),
      this.field('minCompeteSize', 100),
      this.field('competeAgainstBestOffset', 0.02),
      this.field('midOffsetAtWhole'),
      this.field('midOffsetAtHalf'),
    ];
  }

  customer(): Field[] {
    const fields: Field[] = [];
    if (this.#version >= 183) fields.push(this.field('customerAccount'));
    if (this.#version >= 184) fields.push(this.field('professionalCustomer', 0));
    return fields;
  }
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
  const terms = new Terms(order, version);
  const fields: Field[] = [
    OUT.openOrder,
    orderId,
    ...terms.main(request.totalQuantity),
    request.clientId,
    order.permId,
    request.outsideRth,
    terms.field('hidden', 0),
    terms.field('discretionaryAmt', 0),
    request.goodAfterTime,
    `${order.permId}.0/${request.account}/100`,
    ...terms.advisor(),
    terms.field('auctionStrategy', 0),
    ...terms.ranges(),
    terms.field('blockOrder', 0),
    terms.field('sweepToFill', 0),
    request.allOrNone,
    optional(request.minQty),
    request.ocaType === 0 ? 3 : request.ocaType,
    terms.field('eTradeOnly', 0),
    terms.field('firmQuoteOnly', 0),
    terms.field('nbboPriceCap'),
    request.parentId,
    terms.field('triggerMethod', 0),
    ...terms.volatility(true),
    ...terms.trail(),
    '',
    '',
    ...terms.combo(),
    ...terms.scale(),
    ...terms.hedge(),
    terms.field('optOutSmartRouting', 0),
    ...terms.clearing(),
    ...terms.neutralContract(),
    ...terms.algo(),
    terms.field('solicited', 0),
    request.whatIf,
    ...orderState(order),
    ...terms.randomized(),
    ...terms.benchmark(),
    ...terms.conditions(),
    terms.field('adjustedOrderType', 'None'),
    terms.double('triggerPrice'),
    ...terms.stopAndOffset(),
    terms.double('adjustedStopPrice'),
    terms.double('adjustedStopLimitPrice'),
    terms.double('adjustedTrailingAmount'),
    terms.field('adjustableTrailingUnit', 0),
    terms.field('softDollarTier.name'),
    terms.field('softDollarTier.value'),
    '',
    request.cashQty ?? 0,
    // TWS answers 1 whatever the client sent.
    1,
    terms.field('isOmsContainer', 0),
    terms.field('discretionaryUpToLimitPrice', 0),
    terms.field('usePriceMgmtAlgo', 0),
    terms.field('duration'),
    terms.field('postToAts'),
    terms.field('autoCancelParent', 0),
    ...terms.pegs(),
    ...terms.customer(),
  ];
  if (version >= 185) fields.push('');
  if (version >= 189) fields.push(terms.field('includeOvernight', 0));
  if (version >= 193) fields.push(terms.field('extOperator'), terms.field('manualOrderIndicator', UNSET_INT));
  return fields;
}

/** completedOrder, message 101: no order id, no client id; the time carries its zone at every version. */
export function completedOrder(order: BookOrder, context: OrderContext): Field[] {
  const { request } = order;
  const terms = new Terms(order, context.version);
  const isFilled = order.status === 'Filled';
  return [
    OUT.completedOrder,
    ...terms.main(isFilled ? 0 : request.totalQuantity),
    order.permId,
    request.outsideRth,
    terms.field('hidden', 0),
    terms.field('discretionaryAmt', 0),
    request.goodAfterTime,
    ...terms.advisor(),
    ...terms.ranges(),
    terms.field('sweepToFill', 0),
    request.allOrNone,
    optional(request.minQty),
    request.ocaType === 0 ? 3 : request.ocaType,
    terms.field('triggerMethod', 0),
    ...terms.volatility(false),
    ...terms.trail(),
    ...terms.combo(),
    ...terms.scale(),
    ...terms.hedge(),
    ...terms.clearing(),
    ...terms.neutralContract(),
    ...terms.algo(),
    terms.field('solicited', 0),
    order.status,
    ...terms.randomized(),
    ...terms.benchmark(),
    ...terms.conditions(),
    ...terms.stopAndOffset(),
    request.cashQty ?? 0,
    // TWS answers 1 whatever the client sent.
    1,
    terms.field('isOmsContainer', 0),
    '',
    order.filled,
    UNSET_INT,
    terms.field('autoCancelParent', 0),
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
