/** Tickets turned into TWS's orders and contracts. */
import type { Contract as IbContract, Order as IbOrder } from '@stoqey/ib';
import type { Decimal } from '../../machines/decimal.ts';
import type { Contract } from '../../machines/instrument.ts';
import {
  type OrderTicket,
  type OrderType,
  type TimeInForce,
  type TwsFieldKind,
  twsOrderFields,
} from '../../machines/order.ts';
import { toTwsUtc } from './times.ts';

const orderTypeWords: Readonly<Record<OrderType, string>> = {
  market: 'MKT',
  limit: 'LMT',
  stop: 'STP',
  stop_limit: 'STP LMT',
  trailing_stop: 'TRAIL',
  trailing_stop_limit: 'TRAIL LIMIT',
  market_if_touched: 'MIT',
  limit_if_touched: 'LIT',
  market_on_close: 'MOC',
  limit_on_close: 'LOC',
  midprice: 'MIDPRICE',
  relative: 'REL',
};

const timeInForceWords: Readonly<Record<TimeInForce, string>> = {
  day: 'DAY',
  gtc: 'GTC',
  ioc: 'IOC',
  fok: 'FOK',
  gtd: 'GTD',
  opg: 'OPG',
};

type Fields = Record<string, unknown>;

/**
 * The decimal as the library shall write it. It joins all fields as text, so that the text arrives as it is,
 * without a detour through binary floating point.
 */
const exactly = (value: Decimal): Decimal => value;

function prices(ticket: OrderTicket): Fields {
  const { limitPrice, stopPrice, trailAmount, trailPercent } = ticket;
  const limit = limitPrice === undefined ? {} : { lmtPrice: exactly(limitPrice) };
  const touch = stopPrice === undefined ? {} : { auxPrice: exactly(stopPrice) };
  const offset = trailAmount === undefined ? {} : { auxPrice: exactly(trailAmount) };
  const percent = trailPercent === undefined ? {} : { trailingPercent: exactly(trailPercent) };
  const firstStop = stopPrice === undefined ? {} : { trailStopPrice: exactly(stopPrice) };
  switch (ticket.type) {
    case 'market':
    case 'market_on_close':
      return {};
    case 'limit':
    case 'limit_on_close':
    case 'midprice':
      return limit;
    case 'stop':
    case 'market_if_touched':
      return touch;
    case 'stop_limit':
    case 'limit_if_touched':
      return { ...limit, ...touch };
    case 'trailing_stop':
      return { ...offset, ...percent, ...firstStop };
    case 'trailing_stop_limit':
      return {
        ...offset,
        ...percent,
        ...firstStop,
        ...(ticket.tws?.lmtPriceOffset === undefined ? limit : {}),
      };
    case 'relative':
      return { ...limit, ...offset };
  }
}

/** One field of the allow-list as the library takes it. Throws, naming field and fix, on a value of another kind. */
function fieldValue(name: string, kind: TwsFieldKind, value: string | number | boolean): unknown {
  switch (kind) {
    case 'boolean':
      if (typeof value === 'boolean') return value;
      break;
    case 'text':
      if (typeof value === 'string' && !value.includes('\0')) return value;
      break;
    case 'integer':
    case 'number': {
      const number = typeof value === 'boolean' || value === '' ? Number.NaN : Number(value);
      if (Number.isFinite(number) && (kind === 'number' || Number.isInteger(number))) return number;
      break;
    }
  }
  throw new Error(
    `tws.${name} must be ${kind === 'integer' ? 'an integer' : `a ${kind}`}, not ${JSON.stringify(value)}`,
  );
}

function furtherFields(ticket: OrderTicket): Fields {
  const fields: Fields = {};
  for (const [name, value] of Object.entries(ticket.tws ?? {})) {
    const kind: TwsFieldKind | undefined = Object.hasOwn(twsOrderFields, name)
      ? twsOrderFields[name as keyof typeof twsOrderFields]
      : undefined;
    if (!kind) throw new Error(`tws.${name} is not among the TWS order fields that may be set`);
    fields[name] = fieldValue(name, kind, value);
  }
  return fields;
}

/**
 * The order that TWS shall work. `parentOrderId` 0: none. Never sets `orderMiscOptions` (the library would shift every
 * later field) nor `scalePriceIncrement`. Throws on a field outside the allow-list and on an unreadable date.
 */
export function toIbOrder(ticket: OrderTicket, parentOrderId: number, whatIf = false): IbOrder {
  const fields: Fields = {
    ...furtherFields(ticket),
    action: ticket.side === 'buy' ? 'BUY' : 'SELL',
    totalQuantity: exactly(ticket.quantity),
    orderType: orderTypeWords[ticket.type],
    ...prices(ticket),
    tif: timeInForceWords[ticket.timeInForce],
    account: ticket.account,
    orderRef: ticket.clientOrderId,
    // Left out, it would arrive empty and TWS would hold the order back.
    transmit: ticket.transmit,
    parentId: parentOrderId,
    outsideRth: ticket.outsideRegularHours ?? false,
    whatIf,
    ...(ticket.goodTillDate === undefined ? {} : { goodTillDate: toTwsUtc(ticket.goodTillDate) }),
    ...(ticket.ocaGroup === undefined ? {} : { ocaGroup: ticket.ocaGroup }),
    ...(ticket.algo === undefined
      ? {}
      : {
          algoStrategy: ticket.algo.strategy,
          algoParams: Object.entries(ticket.algo.params).map(([tag, value]) => ({ tag, value })),
        }),
  };
  // The library declares numbers where it only ever writes text.
  return fields as unknown as IbOrder;
}

/** A contract as the library takes it. */
export function toIbContract(contract: Contract): IbContract {
  const { comboLegs, ...fields } = contract;
  const legs = comboLegs?.map((leg) => ({ ...leg, openClose: 0, shortSaleSlot: 0, exemptCode: -1 }));
  return { ...fields, ...(legs ? { comboLegs: legs } : {}) } as unknown as IbContract;
}
