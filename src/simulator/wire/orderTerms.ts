import type { BookOrder, Contract, OrderCondition } from '../model.ts';
import { double, parseNumber, UNSET_INT } from './fields.ts';
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

  /** A text as the client sent it. */
  text(name: string, otherwise = ''): string {
    return this.order.request.fields[name] ?? otherwise;
  }

  /** A whole number; what is unset is as absent as what is empty. */
  int(name: string, otherwise: Field = ''): Field {
    return this.#number(name) ?? otherwise;
  }

  /** A price or another broken number, in TWS's spelling whatever the client's was. */
  double(name: string, otherwise: Field = ''): Field {
    const value = this.#number(name);
    return value === null || value === otherwise ? otherwise : double(value);
  }

  flag(name: string): Field {
    return ['1', 'true'].includes(this.text(name));
  }

  #number(name: string): number | null {
    return parseNumber(name, this.text(name));
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
      this.text('openClose'),
      this.int('origin', 0),
      request.orderRef,
    ];
  }

  advisor(): Field[] {
    const profile = this.#version < 177 ? [this.text('faProfile')] : [];
    return [
      this.text('faGroup'),
      this.text('faMethod'),
      this.text('faPercentage'),
      ...profile,
      this.text('modelCode'),
      this.order.request.goodTillDate,
      this.text('rule80A'),
      optional(this.order.request.percentOffset),
      this.text('settlingFirm'),
      this.int('shortSaleSlot', 0),
      this.text('designatedLocation'),
      this.int('exemptCode', -1),
    ];
  }

  ranges(): Field[] {
    return [
      this.double('startingPrice'),
      this.double('stockRefPrice'),
      this.double('delta'),
      this.double('stockRangeLower'),
      this.double('stockRangeUpper'),
      this.order.request.displaySize || UNSET_INT,
    ];
  }

  volatility(isOpen: boolean): Field[] {
    const owner: Field[] = [
      this.text('deltaNeutralSettlingFirm'),
      this.text('deltaNeutralClearingAccount'),
      this.text('deltaNeutralClearingIntent'),
      this.text('deltaNeutralOpenClose', '?'),
    ];
    return [
      this.double('volatility'),
      this.int('volatilityType', 0),
      this.text('deltaNeutralOrderType', 'None'),
      this.double('deltaNeutralAuxPrice'),
      this.int('deltaNeutralConId', 0),
      ...(isOpen ? owner : []),
      this.flag('deltaNeutralShortSale'),
      this.int('deltaNeutralShortSaleSlot', 0),
      this.text('deltaNeutralDesignatedLocation'),
      this.int('continuousUpdate', 0),
      this.int('referencePriceType', 0),
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
      this.int(`comboLegs.${index}.openClose`, 0),
      this.int(`comboLegs.${index}.shortSaleSlot`, 0),
      this.text(`comboLegs.${index}.designatedLocation`),
      this.int(`comboLegs.${index}.exemptCode`, -1),
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
    const increment = this.double('scalePriceIncrement');
    const isScaled = Number(increment) > 0;
    const details: Field[] = [
      this.double('scalePriceAdjustValue'),
      this.int('scalePriceAdjustInterval', UNSET_INT),
      this.double('scaleProfitOffset'),
      this.flag('scaleAutoReset'),
      this.int('scaleInitPosition', UNSET_INT),
      this.int('scaleInitFillQty', UNSET_INT),
      this.flag('scaleRandomPercent'),
    ];
    return [
      this.int('scaleInitLevelSize', UNSET_INT),
      this.int('scaleSubsLevelSize', UNSET_INT),
      isScaled ? increment : '',
      ...(isScaled ? details : []),
    ];
  }

  hedge(): Field[] {
    const type = this.text('hedgeType');
    return type === '' ? [''] : [type, this.text('hedgeParam')];
  }

  clearing(): Field[] {
    return [this.text('clearingAccount'), this.text('clearingIntent', 'IB'), this.flag('notHeld')];
  }

  neutralContract(): Field[] {
    if (this.text('deltaNeutralContract', '0') !== '1') return [0];
    return [
      1,
      this.int('deltaNeutralContract.conId', 0),
      this.double('deltaNeutralContract.delta', 0),
      this.double('deltaNeutralContract.price', 0),
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
      this.int('referenceContractId', 0),
      this.flag('isPeggedChangeAmountDecrease'),
      this.double('peggedChangeAmount', 0),
      this.double('referenceChangeAmount', 0),
      this.text('referenceExchangeId'),
    ];
  }

  conditions(): Field[] {
    const { conditions, conditionsIgnoreRth, conditionsCancelOrder } = this.order.request;
    if (conditions.length === 0) return [0];
    return [conditions.length, ...conditions.flatMap(condition), conditionsIgnoreRth, conditionsCancelOrder];
  }

  randomized(): Field[] {
    return [this.flag('randomizeSize'), this.flag('randomizePrice')];
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
    const isMarket = this.order.request.orderType === 'MKT';
    return [
      this.int('minTradeQty'),
      this.int('minCompeteSize', isMarket ? 100 : undefined),
      this.double('competeAgainstBestOffset', isMarket ? 0.02 : undefined),
      this.double('midOffsetAtWhole'),
      this.double('midOffsetAtHalf'),
    ];
  }

  customer(): Field[] {
    const fields: Field[] = [];
    if (this.#version >= 183) fields.push(this.text('customerAccount'));
    if (this.#version >= 184) fields.push(this.flag('professionalCustomer'));
    return fields;
  }
}
