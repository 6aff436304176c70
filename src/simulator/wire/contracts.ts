import type { Contract, ContractDetails, PriceIncrement } from '../model.ts';
import { ascii, double } from './fields.ts';
import type { Field } from './frames.ts';
import { OUT } from './names.ts';

const pairs = (rows: readonly { readonly tag: string; readonly value: string }[]): Field[] => [
  rows.length,
  ...rows.flatMap(({ tag, value }): Field[] => [tag, value]),
];

/** contractDetails (10) or, for a bond, bondContractDetails (18). */
export function contractDetails(reqId: number, details: ContractDetails, version: number): Field[] {
  if (details.contract.secType === 'BOND') return bondContractDetails(reqId, details, version);
  const { contract } = details;
  const fields: Field[] = [
    OUT.contractDetails,
    reqId,
    contract.symbol,
    contract.secType,
    details.lastTradeDate === '' ? contract.lastTradeDateOrContractMonth : details.lastTradeDate,
  ];
  if (version >= 182) fields.push(details.realExpirationDate);
  fields.push(
    contract.strike,
    contract.right,
    contract.exchange,
    contract.currency,
    contract.localSymbol,
    details.marketName,
    contract.tradingClass,
    contract.conId,
    details.minTick,
    contract.multiplier,
    details.orderTypes,
    details.validExchanges,
    details.priceMagnifier,
    details.underConId,
    ascii(details.longName),
    contract.primaryExchange,
    details.contractMonth,
    details.industry,
    details.category,
    details.subcategory,
    details.timeZoneId,
    details.tradingHours,
    details.liquidHours,
    '',
    '',
    ...pairs(details.secIds),
    details.aggGroup,
    details.underSymbol,
    details.underSecType,
    details.marketRuleIds,
    details.realExpirationDate,
    details.stockType,
    details.minSize,
    details.sizeIncrement,
    details.suggestedSizeIncrement,
  );
  if (version >= 179 && contract.secType === 'FUND') fields.push(...fundFields(details));
  if (version >= 186) fields.push(0);
  return fields;
}

/** The seventeen fields of a fund; the catalogue knows its name only. */
function fundFields(details: ContractDetails): Field[] {
  return [ascii(details.longName), '', '', '', '', '', '', 0, 0, 0, '', '', '', '', '', '', ''];
}

function bondContractDetails(reqId: number, details: ContractDetails, version: number): Field[] {
  const { contract } = details;
  const secId = (tag: string) => details.secIds.find((entry) => entry.tag === tag)?.value ?? '';
  const fields: Field[] = [
    OUT.bondContractDetails,
    reqId,
    contract.symbol,
    contract.secType,
    secId('CUSIP'),
    0,
    details.lastTradeDate === '' ? contract.lastTradeDateOrContractMonth : details.lastTradeDate,
    '',
    '',
    '',
    '',
    0,
    0,
    0,
    '',
    contract.exchange,
    contract.currency,
    details.marketName,
    contract.tradingClass,
    contract.conId,
    details.minTick,
    details.orderTypes,
    details.validExchanges,
    '',
    '',
    0,
    '',
    ascii(details.longName),
  ];
  if (version >= 188) fields.push(details.timeZoneId, details.tradingHours, details.liquidHours);
  fields.push(
    '',
    0,
    ...pairs(details.secIds),
    details.aggGroup,
    details.marketRuleIds,
    details.minSize,
    details.sizeIncrement,
    details.suggestedSizeIncrement,
  );
  return fields;
}

const derivatives: ReadonlySet<string> = new Set(['FUT', 'OPT', 'FOP']);

/** The eleven contract fields of positions, without a primary exchange; of derivatives without any. */
export const positionContract = (contract: Contract): Field[] => [
  contract.conId,
  contract.symbol,
  contract.secType,
  contract.lastTradeDateOrContractMonth,
  double(contract.strike),
  contract.right,
  contract.multiplier,
  derivatives.has(contract.secType) ? '' : contract.exchange,
  contract.currency,
  contract.localSymbol,
  contract.tradingClass,
];

/** symbolSamples, message 79. */
export function symbolSamples(
  reqId: number,
  rows: readonly {
    readonly contract: Contract;
    readonly derivativeSecTypes: readonly string[];
    readonly description: string;
  }[],
  version: number,
): Field[] {
  return [
    OUT.symbolSamples,
    reqId,
    rows.length,
    ...rows.flatMap(({ contract, derivativeSecTypes, description }): Field[] => [
      contract.conId,
      contract.symbol,
      contract.secType,
      contract.primaryExchange === '' ? contract.exchange : contract.primaryExchange,
      contract.currency,
      derivativeSecTypes.length,
      ...derivativeSecTypes,
      ...(version >= 176 ? [ascii(description), ''] : []),
    ]),
  ];
}

/** marketRule, message 93. */
export const marketRule = (id: number, increments: readonly PriceIncrement[]): Field[] => [
  OUT.marketRule,
  id,
  increments.length,
  ...increments.flatMap(({ lowEdge, increment }): Field[] => [lowEdge, increment]),
];

/** The sixteen fields of one scanner row. */
export const scannerRow = (rank: number, details: ContractDetails): Field[] => [
  rank,
  details.contract.conId,
  details.contract.symbol,
  details.contract.secType,
  details.contract.lastTradeDateOrContractMonth,
  details.contract.strike,
  details.contract.right,
  details.contract.exchange,
  details.contract.currency,
  details.contract.localSymbol,
  details.marketName,
  details.contract.tradingClass,
  '',
  '',
  '',
  '',
];
