import type { ComboLeg, OrderCondition, OrderRequest } from '../model.ts';
import { MAX_LEGS, readAction, readContract } from './contractFields.ts';
import { FieldError, type FieldReader, parseNumber } from './fields.ts';

const MAX_CONDITIONS = 50;
const MAX_PARAMS = 100;

/** The fields of a placeOrder before the ones that depend on others. Everything is kept by name for openOrder to echo. */
class OrderWalk {
  readonly fields: Record<string, string> = {};
  readonly #reader: FieldReader;

  constructor(reader: FieldReader) {
    this.#reader = reader;
  }

  text(name: string): string {
    const value = this.#reader.text(name);
    if (value !== '') this.fields[name] = value;
    return value;
  }

  /** What is unset is as absent as what is empty. */
  number(name: string): number | null {
    const value = parseNumber(name, this.text(name));
    if (value === null) delete this.fields[name];
    return value;
  }

  int(name: string): number {
    const value = this.number(name) ?? 0;
    if (!Number.isSafeInteger(value)) throw new FieldError(name, `"${value}" is not an integer`);
    return value;
  }

  bool(name: string): boolean {
    const text = this.text(name);
    if (text === '1' || text === 'true') return true;
    if (text === '' || text === '0' || text === 'false' || text === '2147483647') return false;
    throw new FieldError(name, `"${text}" is not a boolean (0 or 1)`);
  }

  texts(...names: readonly string[]): void {
    for (const name of names) this.text(name);
  }

  numbers(...names: readonly string[]): void {
    for (const name of names) this.number(name);
  }

  bools(...names: readonly string[]): void {
    for (const name of names) this.bool(name);
  }

  pairs(countName: string, name: string): { tag: string; value: string }[] {
    const count = this.#reader.count(countName, MAX_PARAMS);
    const pairs: { tag: string; value: string }[] = [];
    for (let index = 0; index < count; index += 1) {
      pairs.push({ tag: this.#reader.text(`${name}.tag`), value: this.#reader.text(`${name}.value`) });
    }
    return pairs;
  }
}

function readCondition(reader: FieldReader): OrderCondition {
  const type = reader.int('condition.type');
  const conjunction = reader.text('condition.conjunction').toLowerCase();
  if (conjunction !== 'a' && conjunction !== 'o') {
    throw new FieldError('condition.conjunction', `"${conjunction}" is neither a nor o`);
  }
  const base = { type, conjunction } as const;
  const market = () => ({
    conId: reader.int('condition.conId'),
    exchange: reader.text('condition.exchange'),
  });
  switch (type) {
    case 1: {
      const isMore = reader.bool('condition.isMore');
      const price = reader.double('condition.price');
      const { conId, exchange } = market();
      return {
        ...base,
        isMore,
        price,
        conId,
        exchange,
        triggerMethod: reader.int('condition.triggerMethod'),
      };
    }
    case 3:
      return { ...base, isMore: reader.bool('condition.isMore'), time: reader.text('condition.time') };
    case 4:
      return {
        ...base,
        isMore: reader.bool('condition.isMore'),
        percent: reader.double('condition.percent'),
      };
    case 5:
      return {
        ...base,
        secType: reader.text('condition.secType'),
        exchange: reader.text('condition.exchange'),
        symbol: reader.text('condition.symbol'),
      };
    case 6: {
      const isMore = reader.bool('condition.isMore');
      const volume = reader.double('condition.volume');
      return { ...base, isMore, volume, ...market() };
    }
    case 7: {
      const isMore = reader.bool('condition.isMore');
      const percent = reader.double('condition.percent');
      return { ...base, isMore, percent, ...market() };
    }
    default:
      throw new FieldError('condition.type', `${type} is no condition type (1, 3, 4, 5, 6, 7)`);
  }
}

function readConditions(reader: FieldReader, walk: OrderWalk) {
  const count = reader.count('conditionsCount', MAX_CONDITIONS);
  const conditions: OrderCondition[] = [];
  for (let index = 0; index < count; index += 1) conditions.push(readCondition(reader));
  return {
    conditions,
    conditionsIgnoreRth: count > 0 && walk.bool('conditionsIgnoreRth'),
    conditionsCancelOrder: count > 0 && walk.bool('conditionsCancelOrder'),
  };
}

function readCombo(reader: FieldReader, walk: OrderWalk, isBag: boolean) {
  const comboLegs: ComboLeg[] = [];
  const orderComboLegPrices: (number | null)[] = [];
  if (!isBag) return { comboLegs, orderComboLegPrices, smartComboRoutingParams: [] };
  const legs = reader.count('comboLegsCount', MAX_LEGS);
  for (let index = 0; index < legs; index += 1) {
    comboLegs.push({
      conId: reader.int('comboLegs.conId'),
      ratio: reader.int('comboLegs.ratio'),
      action: readAction(reader, 'comboLegs.action'),
      exchange: reader.text('comboLegs.exchange'),
    });
    const leg = `comboLegs.${index}`;
    walk.int(`${leg}.openClose`);
    walk.int(`${leg}.shortSaleSlot`);
    walk.text(`${leg}.designatedLocation`);
    walk.int(`${leg}.exemptCode`);
  }
  const prices = reader.count('orderComboLegsCount', MAX_LEGS);
  for (let index = 0; index < prices; index += 1) {
    orderComboLegPrices.push(reader.doubleOrNull('orderComboLegs.price'));
  }
  const smartComboRoutingParams = walk.pairs('smartComboRoutingParamsCount', 'smartComboRoutingParams');
  return { comboLegs, orderComboLegPrices, smartComboRoutingParams };
}

export const isPegBench = (type: string): boolean => type === 'PEG BENCH' || type === 'PEGBENCH';
const isPegBest = (type: string): boolean => type === 'PEG BEST' || type === 'PEGBEST';
const isPegMid = (type: string): boolean => type === 'PEG MID' || type === 'PEGMID';

/**
 * One placeOrder after its message id, for server versions 173 to 193. Reads every field that the version has;
 * the caller checks that the reader is then empty. Throws FieldError naming the field that cannot be read.
 */
export function readPlaceOrder(reader: FieldReader, version: number, clientId: number): OrderRequest {
  const walk = new OrderWalk(reader);
  const orderId = reader.int('orderId');
  const named = readContract(reader);
  walk.texts('secIdType', 'secId');
  const action = reader.text('action').toUpperCase();
  const totalQuantity = reader.double('totalQuantity');
  const orderType = reader.text('orderType').toUpperCase();
  const lmtPrice = reader.doubleOrNull('lmtPrice');
  const auxPrice = reader.doubleOrNull('auxPrice');
  const tif = reader.text('tif').toUpperCase();
  const ocaGroup = reader.text('ocaGroup');
  const account = reader.text('account');
  walk.text('openClose');
  walk.int('origin');
  const orderRef = reader.text('orderRef');
  const transmit = walk.bool('transmit');
  const parentId = reader.int('parentId');
  walk.bools('blockOrder', 'sweepToFill');
  const displaySize = reader.intOrNull('displaySize');
  walk.int('triggerMethod');
  const outsideRth = reader.bool('outsideRth');
  walk.bool('hidden');
  const combo = readCombo(reader, walk, named.secType === 'BAG');
  walk.text('sharesAllocation');
  walk.number('discretionaryAmt');
  const goodAfterTime = reader.text('goodAfterTime');
  const goodTillDate = reader.text('goodTillDate');
  walk.texts('faGroup', 'faMethod', 'faPercentage');
  if (version < 177) walk.text('faProfile');
  walk.text('modelCode');
  walk.int('shortSaleSlot');
  walk.text('designatedLocation');
  walk.int('exemptCode');
  const ocaType = reader.int('ocaType');
  walk.texts('rule80A', 'settlingFirm');
  const allOrNone = reader.bool('allOrNone');
  const minQty = reader.intOrNull('minQty');
  const percentOffset = reader.doubleOrNull('percentOffset');
  walk.bools('eTradeOnly', 'firmQuoteOnly');
  walk.number('nbboPriceCap');
  walk.int('auctionStrategy');
  walk.numbers('startingPrice', 'stockRefPrice', 'delta', 'stockRangeLower', 'stockRangeUpper');
  walk.bool('overridePercentageConstraints');
  walk.number('volatility');
  walk.int('volatilityType');
  if (walk.text('deltaNeutralOrderType') === '') walk.number('deltaNeutralAuxPrice');
  else readDeltaNeutralOrder(walk);
  walk.int('continuousUpdate');
  walk.int('referencePriceType');
  const trailStopPrice = reader.doubleOrNull('trailStopPrice');
  const trailingPercent = reader.doubleOrNull('trailingPercent');
  readScale(walk);
  walk.texts('scaleTable', 'activeStartTime', 'activeStopTime');
  if (walk.text('hedgeType') !== '') walk.text('hedgeParam');
  walk.bool('optOutSmartRouting');
  walk.texts('clearingAccount', 'clearingIntent');
  walk.bool('notHeld');
  if (walk.bool('deltaNeutralContract')) {
    walk.int('deltaNeutralContract.conId');
    walk.numbers('deltaNeutralContract.delta', 'deltaNeutralContract.price');
  }
  const algoStrategy = reader.text('algoStrategy');
  const algoParams = algoStrategy === '' ? [] : walk.pairs('algoParamsCount', 'algoParams');
  walk.text('algoId');
  const whatIf = reader.bool('whatIf');
  reader.tagValues('orderMiscOptions');
  walk.bools('solicited', 'randomizeSize', 'randomizePrice');
  if (isPegBench(orderType)) {
    walk.int('referenceContractId');
    walk.bool('isPeggedChangeAmountDecrease');
    walk.numbers('peggedChangeAmount', 'referenceChangeAmount');
    walk.text('referenceExchangeId');
  }
  const conditional = readConditions(reader, walk);
  walk.text('adjustedOrderType');
  walk.number('triggerPrice');
  const lmtPriceOffset = reader.doubleOrNull('lmtPriceOffset');
  walk.numbers('adjustedStopPrice', 'adjustedStopLimitPrice', 'adjustedTrailingAmount');
  walk.int('adjustableTrailingUnit');
  walk.texts('extOperator', 'softDollarTier.name', 'softDollarTier.value');
  const cashQty = reader.doubleOrNull('cashQty');
  walk.texts('mifid2DecisionMaker', 'mifid2DecisionAlgo', 'mifid2ExecutionTrader', 'mifid2ExecutionAlgo');
  walk.bools('dontUseAutoPriceForHedge', 'isOmsContainer', 'discretionaryUpToLimitPrice', 'usePriceMgmtAlgo');
  walk.numbers('duration', 'postToAts');
  walk.bool('autoCancelParent');
  walk.texts('advancedErrorOverride', 'manualOrderTime');
  readPegs(walk, named.exchange, orderType);
  readNewest(walk, version);
  return {
    clientId,
    orderId,
    contract: { ...named, comboLegs: combo.comboLegs },
    action,
    totalQuantity,
    orderType,
    lmtPrice,
    auxPrice,
    tif,
    ocaGroup,
    ocaType,
    account,
    orderRef,
    transmit,
    parentId,
    outsideRth,
    allOrNone,
    minQty,
    displaySize,
    percentOffset,
    trailStopPrice,
    trailingPercent,
    lmtPriceOffset,
    cashQty,
    goodAfterTime,
    goodTillDate,
    algoStrategy,
    algoParams,
    ...conditional,
    orderComboLegPrices: combo.orderComboLegPrices,
    smartComboRoutingParams: combo.smartComboRoutingParams,
    whatIf,
    fields: walk.fields,
  };
}

function readDeltaNeutralOrder(walk: OrderWalk): void {
  walk.number('deltaNeutralAuxPrice');
  walk.int('deltaNeutralConId');
  walk.texts(
    'deltaNeutralSettlingFirm',
    'deltaNeutralClearingAccount',
    'deltaNeutralClearingIntent',
    'deltaNeutralOpenClose',
  );
  walk.bool('deltaNeutralShortSale');
  walk.int('deltaNeutralShortSaleSlot');
  walk.text('deltaNeutralDesignatedLocation');
}

function readScale(walk: OrderWalk): void {
  walk.numbers('scaleInitLevelSize', 'scaleSubsLevelSize');
  if ((walk.number('scalePriceIncrement') ?? 0) <= 0) return;
  walk.numbers('scalePriceAdjustValue', 'scalePriceAdjustInterval', 'scaleProfitOffset');
  walk.bool('scaleAutoReset');
  walk.numbers('scaleInitPosition', 'scaleInitFillQty');
  walk.bool('scaleRandomPercent');
}

function readPegs(walk: OrderWalk, exchange: string, orderType: string): void {
  if (exchange === 'IBKRATS') walk.number('minTradeQty');
  let hasMidOffsets = isPegMid(orderType);
  if (isPegBest(orderType)) {
    walk.number('minCompeteSize');
    hasMidOffsets = walk.number('competeAgainstBestOffset') === Number.POSITIVE_INFINITY;
  }
  if (hasMidOffsets) walk.numbers('midOffsetAtWhole', 'midOffsetAtHalf');
}

function readNewest(walk: OrderWalk, version: number): void {
  if (version >= 183) walk.text('customerAccount');
  if (version >= 184) walk.bool('professionalCustomer');
  if (version >= 187 && version < 190) walk.texts('externalUserId', 'manualOrderIndicator');
  if (version >= 189) walk.bool('includeOvernight');
  if (version >= 192) walk.number('manualOrderIndicator');
}
