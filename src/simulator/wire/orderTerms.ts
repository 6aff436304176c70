import type { BookOrder, Contract, OrderCondition } from '../model.ts';
import { double, UNSET_DOUBLE, UNSET_INT } from './fields.ts';
import type { Field } from './frames.ts';
import { isPegBench } from './placeOrder.ts';

/** Empty when absent. */
export const optional = (value: number | null): Field => (value === null ? '' : value);

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
export class OrderTerms {
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
