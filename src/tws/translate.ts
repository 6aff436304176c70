/** Callbacks of TWS turned into facts. Everything that the broker reports passes here once. */
import type {
  CommissionReport,
  Contract as IbContract,
  ContractDetails as IbContractDetails,
  Execution as IbExecution,
  Order as IbOrder,
  OrderState as IbOrderState,
} from '@stoqey/ib';
import { type Decimal, toDecimal } from '../../machines/decimal.ts';
import type { Print } from '../../machines/feed.ts';
import { type Contract, formatInstrument } from '../../machines/instrument.ts';
import type { Bar } from '../../machines/market.ts';
import type { OrderType, TimeInForce } from '../../machines/order.ts';
import type {
  BrokerFact,
  BrokerOrderStatus,
  BrokerOrderTerms,
  ContractDetails,
  OrderPreview,
} from '../../machines/tws.ts';
import { parseTwsTime, toIsoDate, toRfc3339 } from './times.ts';

type FactOf<T extends BrokerFact['type']> = Extract<BrokerFact, { type: T }>;
export type OrderSeen = FactOf<'broker.orderSeen'>;
export type Executed = FactOf<'broker.executed'>;
export type CompletedSeen = FactOf<'broker.completedSeen'>;
export type PositionSeen = FactOf<'broker.positionSeen'>;

/** The number that was meant; null for absent ones and for every way in which TWS writes "unset". */
export function settled(value: number | undefined | null): number | null {
  if (value === undefined || value === null || !Number.isFinite(value)) return null;
  const size = Math.abs(value);
  if (value === 2_147_483_647 || size >= 9.223372036854775e18) return null;
  return value;
}

/** The shortest decimal text that reads back as the same number; null for unset. */
export function decimalOf(value: number | undefined | null): Decimal | null {
  const number = settled(value);
  return number === null ? null : toDecimal(number);
}

const text = (value: string | undefined): string => value ?? '';

/** Details of contracts tell the time of the last trade as well: `20261218 08:30:00 US/Central`. Only the date names a contract. */
const dateOf = (lastTrade: string): string => lastTrade.split(/[\s-]/, 1)[0] ?? '';

/** The contract without the fields that TWS left empty. */
export function toContract(contract: IbContract): Contract {
  const { conId, symbol, secType, exchange, currency, localSymbol, primaryExch, tradingClass } = contract;
  const { lastTradeDateOrContractMonth, strike, right, multiplier, comboLegs } = contract;
  return {
    ...(conId ? { conId } : {}),
    ...(symbol ? { symbol } : {}),
    ...(secType ? { secType } : {}),
    ...(exchange ? { exchange } : {}),
    ...(currency ? { currency } : {}),
    ...(lastTradeDateOrContractMonth
      ? { lastTradeDateOrContractMonth: dateOf(lastTradeDateOrContractMonth) }
      : {}),
    ...(settled(strike) ? { strike: Number(strike) } : {}),
    ...(right ? { right: right === 'C' ? ('C' as const) : ('P' as const) } : {}),
    ...(settled(multiplier) ? { multiplier: String(multiplier) } : {}),
    ...(localSymbol ? { localSymbol } : {}),
    ...(primaryExch ? { primaryExch } : {}),
    ...(tradingClass ? { tradingClass } : {}),
    ...(comboLegs && comboLegs.length > 0
      ? {
          comboLegs: comboLegs.map((leg) => ({
            conId: leg.conId ?? 0,
            ratio: leg.ratio ?? 1,
            action: leg.action === 'SELL' ? ('SELL' as const) : ('BUY' as const),
            exchange: text(leg.exchange),
          })),
        }
      : {}),
  };
}

/** The status words of TWS; null for one that says nothing we know. */
function toStatus(word: string | undefined): BrokerOrderStatus | null {
  switch (word) {
    case 'PendingSubmit':
    case 'ApiPending':
      return 'pending';
    case 'PreSubmitted':
    case 'Submitted':
      return 'working';
    case 'PendingCancel':
      return 'cancelPending';
    case 'Cancelled':
    case 'ApiCancelled':
      return 'cancelled';
    case 'Filled':
      return 'filled';
    case 'Inactive':
      return 'inactive';
    default:
      return null;
  }
}

const orderTypeWords: ReadonlyMap<string, OrderType> = new Map([
  ['MKT', 'market'],
  ['LMT', 'limit'],
  ['STP', 'stop'],
  ['STP LMT', 'stop_limit'],
  ['TRAIL', 'trailing_stop'],
  ['TRAIL LIMIT', 'trailing_stop_limit'],
  ['MIT', 'market_if_touched'],
  ['LIT', 'limit_if_touched'],
  ['MOC', 'market_on_close'],
  ['LOC', 'limit_on_close'],
  ['MIDPRICE', 'midprice'],
  ['REL', 'relative'],
]);

const timeInForceWords: ReadonlyMap<string, TimeInForce> = new Map([
  ['', 'day'],
  ['DAY', 'day'],
  ['GTC', 'gtc'],
  ['IOC', 'ioc'],
  ['FOK', 'fok'],
  ['GTD', 'gtd'],
  ['OPG', 'opg'],
]);

/** Which of our price words TWS's `auxPrice` means for a type of order. */
function auxWord(type: OrderType | null): 'stopPrice' | 'trailAmount' | null {
  switch (type) {
    case 'stop':
    case 'stop_limit':
    case 'market_if_touched':
    case 'limit_if_touched':
      return 'stopPrice';
    case 'trailing_stop':
    case 'trailing_stop_limit':
    case 'relative':
      return 'trailAmount';
    default:
      return null;
  }
}

/** Terms as TWS echoes them. Zero prices are TWS's way to say "none" where the type of order takes none. */
function toTerms(contract: IbContract, order: IbOrder, quantity: Decimal): BrokerOrderTerms {
  const brokerType = String(order.orderType ?? '');
  const type = orderTypeWords.get(brokerType.toUpperCase()) ?? null;
  const limitPrice = decimalOf(order.lmtPrice);
  const takesLimit =
    type !== 'market' && type !== 'stop' && type !== 'market_if_touched' && type !== 'market_on_close';
  const aux = decimalOf(order.auxPrice);
  const word = auxWord(type);
  const trailing = type === 'trailing_stop' || type === 'trailing_stop_limit';
  const trailStop = trailing ? decimalOf(order.trailStopPrice) : null;
  const trailPercent = trailing ? decimalOf(order.trailingPercent) : null;
  const spread = contract.secType === 'BAG';
  const given = (value: Decimal | null): value is Decimal =>
    value !== null && (spread || Number(value) !== 0);
  return {
    account: text(order.account),
    contract: toContract(contract),
    side: order.action === 'SELL' ? 'sell' : 'buy',
    type,
    brokerType,
    quantity,
    ...(takesLimit && given(limitPrice) ? { limitPrice } : {}),
    ...(word === 'stopPrice' && given(aux) ? { stopPrice: aux } : {}),
    ...(word === 'trailAmount' && given(aux) && trailPercent === null ? { trailAmount: aux } : {}),
    ...(given(trailStop) ? { stopPrice: trailStop } : {}),
    ...(trailPercent !== null && Number(trailPercent) !== 0 ? { trailPercent } : {}),
    timeInForce: timeInForceWords.get(text(order.tif)) ?? null,
    ...(order.ocaGroup ? { ocaGroup: order.ocaGroup } : {}),
    ...(order.parentId ? { parentOrderId: order.parentId } : {}),
    ...(order.outsideRth ? { outsideRegularHours: true } : {}),
  };
}

const idText = (id: number | undefined): string => String(settled(id) ?? 0);

/** openOrder. Null when TWS gives a status that we do not know. */
export function orderSeen(
  orderId: number,
  contract: IbContract,
  order: IbOrder,
  state: IbOrderState,
  at: number,
): OrderSeen | null {
  const status = toStatus(state.status);
  if (status === null) return null;
  return {
    type: 'broker.orderSeen',
    at,
    ids: {
      orderId,
      clientId: order.clientId ?? 0,
      permId: idText(order.permId),
      orderRef: text(order.orderRef),
    },
    terms: toTerms(contract, order, decimalOf(order.totalQuantity) ?? '0'),
    status,
    text: text(state.warningText),
  };
}

/** orderStatus. Null when TWS gives a status that we do not know. */
export function statusSeen(
  row: {
    readonly orderId: number;
    readonly status: string;
    readonly filled: number | undefined;
    readonly remaining: number | undefined;
    readonly averagePrice: number | undefined;
    readonly permId: number | undefined;
    readonly clientId: number | undefined;
    readonly whyHeld: string | undefined;
  },
  at: number,
): FactOf<'broker.statusSeen'> | null {
  const status = toStatus(row.status);
  if (status === null) return null;
  const averagePrice = decimalOf(row.averagePrice);
  return {
    type: 'broker.statusSeen',
    at,
    ids: { orderId: row.orderId, clientId: row.clientId ?? 0, permId: idText(row.permId) },
    status,
    filled: decimalOf(row.filled),
    remaining: decimalOf(row.remaining),
    averagePrice: averagePrice !== null && Number(row.filled ?? 0) === 0 ? null : averagePrice,
    heldBecause: text(row.whyHeld),
  };
}

/** execDetails. Null when it has no id or no side, which no execution of IB lacks. */
export function executed(
  contract: IbContract,
  execution: IbExecution,
  at: number,
  zone: string,
): Executed | null {
  const { execId, side } = execution;
  const quantity = decimalOf(execution.shares);
  const price = decimalOf(execution.price);
  if (!execId || (side !== 'BOT' && side !== 'SLD') || quantity === null || price === null) return null;
  return {
    type: 'broker.executed',
    at,
    ids: {
      orderId: execution.orderId ?? 0,
      clientId: execution.clientId ?? 0,
      permId: idText(execution.permId),
      orderRef: text(execution.orderRef),
    },
    execution: {
      execId,
      account: text(execution.acctNumber),
      contract: toContract(contract),
      side: side === 'SLD' ? 'sell' : 'buy',
      quantity,
      price,
      executedAt: toRfc3339(text(execution.time), at, zone),
      exchange: text(execution.exchange),
      cumulativeQuantity: decimalOf(execution.cumQty) ?? '0',
      averagePrice: decimalOf(execution.avgPrice) ?? '0',
      liquidation: (execution.liquidation ?? 0) > 0,
    },
  };
}

/** commissionReport. A commission of exactly -1 means that it is not known yet; other negative ones are rebates. */
export function commissioned(report: CommissionReport, at: number): FactOf<'broker.commissioned'> {
  const commission = decimalOf(report.commission);
  return {
    type: 'broker.commissioned',
    at,
    execId: text(report.execId),
    commission: commission === '-1' ? null : commission,
    currency: text(report.currency),
    realizedPnl: decimalOf(report.realizedPNL),
  };
}

/** completedOrder. Null when TWS gives a status that no completed order has. */
export function completedSeen(
  contract: IbContract,
  order: IbOrder,
  state: IbOrderState,
  at: number,
  zone: string,
): CompletedSeen | null {
  const status = toStatus(state.status);
  if (status !== 'filled' && status !== 'cancelled' && status !== 'inactive') return null;
  const filled = decimalOf(order.filledQuantity);
  const total = decimalOf(order.totalQuantity);
  // A filled order comes with a total of 0: what it filled was its quantity.
  const quantity = total !== null && Number(total) !== 0 ? total : (filled ?? '0');
  return {
    type: 'broker.completedSeen',
    at,
    ids: {
      orderId: order.orderId ?? 0,
      clientId: order.clientId ?? 0,
      permId: idText(order.permId),
      orderRef: text(order.orderRef),
    },
    terms: toTerms(contract, order, quantity),
    status,
    filled,
    completedAt: toRfc3339(text(state.completedTime), at, zone),
    text: text(state.completedStatus),
  };
}

export function positionSeen(
  account: string,
  contract: IbContract,
  quantity: number | undefined,
  averageCost: number | undefined,
  at: number,
): PositionSeen | null {
  const size = decimalOf(quantity);
  if (size === null) return null;
  return {
    type: 'broker.positionSeen',
    at,
    account,
    contract: toContract(contract),
    quantity: size,
    averageCost: decimalOf(averageCost) ?? '0',
  };
}

/** The figures of a whatIf answer. */
export function toPreview(state: IbOrderState): OrderPreview {
  return {
    initialMarginBefore: decimalOf(state.initMarginBefore),
    initialMarginChange: decimalOf(state.initMarginChange),
    initialMarginAfter: decimalOf(state.initMarginAfter),
    maintenanceMarginBefore: decimalOf(state.maintMarginBefore),
    maintenanceMarginChange: decimalOf(state.maintMarginChange),
    maintenanceMarginAfter: decimalOf(state.maintMarginAfter),
    equityWithLoanBefore: decimalOf(state.equityWithLoanBefore),
    equityWithLoanChange: decimalOf(state.equityWithLoanChange),
    equityWithLoanAfter: decimalOf(state.equityWithLoanAfter),
    commission: decimalOf(state.commission),
    minCommission: decimalOf(state.minCommission),
    maxCommission: decimalOf(state.maxCommission),
    commissionCurrency: state.commissionCurrency || null,
    warning: state.warningText || null,
  };
}

/** Whether a preview says anything about margin or cost; TWS may answer with none first. */
export const hasFigures = (preview: OrderPreview): boolean =>
  preview.initialMarginChange !== null || preview.commission !== null || preview.maxCommission !== null;

const list = (value: string | undefined): readonly string[] => (value ? value.split(',') : []);

export function toContractDetails(details: IbContractDetails): ContractDetails {
  const contract = toContract(details.contract);
  return {
    contract,
    instrument: formatInstrument(contract),
    longName: text(details.longName),
    minTick: settled(details.minTick) ?? 0,
    timeZone: text(details.timeZoneId),
    tradingHours: text(details.tradingHours),
    liquidHours: text(details.liquidHours),
    validExchanges: list(details.validExchanges),
    orderTypes: list(details.orderTypes),
  };
}

/** One bar of history. `time` is a date for days and longer, else seconds of the epoch or a time in TWS's zone. */
export function toBar(
  [time, open, high, low, close, volume, count, wap]: readonly [
    time: string,
    open: number,
    high: number,
    low: number,
    close: number,
    volume: number,
    count: number | undefined,
    wap: number,
  ],
  zone: string,
): Bar {
  const at = /^\d{8}$/.test(time) ? null : parseTwsTime(time, zone);
  return {
    time: at === null ? toIsoDate(time) : new Date(at).toISOString(),
    open,
    high,
    low,
    close,
    volume: settled(volume) ?? 0,
    wap: settled(wap) ?? 0,
    count: settled(count) ?? 0,
  };
}

/** One print of the tape; null when it has no price, size or time. */
export function toPrint(row: {
  readonly time: string | number | undefined;
  readonly price: number | undefined;
  readonly size: number | undefined;
  readonly exchange: string | undefined;
  readonly conditions: string | undefined;
  readonly marks: { readonly pastLimit?: boolean; readonly unreported?: boolean } | undefined;
}): Print | null {
  const seconds = Number(row.time);
  const price = settled(row.price);
  const size = settled(row.size);
  if (!(seconds > 0) || price === null || size === null) return null;
  return {
    time: seconds * 1_000,
    price,
    size,
    exchange: text(row.exchange),
    conditions: text(row.conditions),
    pastLimit: row.marks?.pastLimit ?? false,
    unreported: row.marks?.unreported ?? false,
  };
}
