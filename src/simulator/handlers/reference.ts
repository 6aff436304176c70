import type { ContractDetails } from '../model.ts';
import { contractDetails, marketRule, scannerRow, symbolSamples } from '../wire/contracts.ts';
import type { Field } from '../wire/frames.ts';
import { OUT } from '../wire/names.ts';
import type { RequestOf } from '../wire/requests.ts';
import { invalid, type Link, type Stop, unprocessed } from './link.ts';

/** Exchanges of the consolidated US stock quote: bit, name, letter. */
const SMART_COMPONENTS: readonly (readonly [number, string, string])[] = [
  [0, 'AMEX', 'A'],
  [1, 'BATS', 'Z'],
  [2, 'CBOE', 'W'],
  [3, 'CHX', 'M'],
  [4, 'DRCTEDGE', 'K'],
  [5, 'EDGEA', 'J'],
  [6, 'NYSE', 'N'],
  [7, 'ARCA', 'P'],
  [8, 'NASDAQ', 'Q'],
  [9, 'IEX', 'V'],
  [10, 'BYX', 'Y'],
  [11, 'MEMX', 'U'],
  [12, 'PEARL', 'H'],
];
const BBO_EXCHANGE = '9c0001';

const DEPTH_EXCHANGES: readonly (readonly [string, string, string, string])[] = [
  ['NASDAQ', 'STK', '', 'Deep2'],
  ['ARCA', 'STK', '', 'Deep'],
  ['BATS', 'STK', '', 'Deep'],
  ['IEX', 'STK', '', 'Deep'],
  ['NYSE', 'STK', '', 'Deep'],
  ['CME', 'FUT', '', 'Deep'],
  ['CME', 'FOP', '', 'Deep'],
  ['CBOT', 'FUT', '', 'Deep'],
  ['NYMEX', 'FUT', '', 'Deep'],
  ['COMEX', 'FUT', '', 'Deep'],
  ['IDEALPRO', 'CASH', '', 'Deep'],
];

const SCAN_CODES = [
  'TOP_PERC_GAIN',
  'TOP_PERC_LOSE',
  'MOST_ACTIVE',
  'HOT_BY_VOLUME',
  'HOT_BY_PRICE',
] as const;
type ScanCode = (typeof SCAN_CODES)[number];
const isScanCode = (text: string): text is ScanCode => SCAN_CODES.some((code) => code === text);
const SCAN_EVERY_MS = 30_000;
const MAX_SCAN_ROWS = 50;
const MAX_SAMPLES = 16;
const DISPLAY_GROUPS = '1|2|3|4|5|6|7';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** Contracts, rules, lists and scanners of one connection. */
export class Reference {
  readonly #link: Link;
  readonly #scanners = new Map<number, Stop>();
  readonly #groups = new Map<number, number>();

  constructor(link: Link) {
    this.#link = link;
  }

  contractDetails({ reqId, query }: RequestOf<'reqContractDetails'>): void {
    const link = this.#link;
    if (!link.isServed('secdef', query)) return;
    const found = link.exchange.findContracts(query);
    if (found.length === 0) {
      link.error(reqId, 200, 'No security definition has been found for the request');
      return;
    }
    for (const details of found) link.send(contractDetails(reqId, details, link.version));
    link.send([OUT.contractDetailsEnd, 1, reqId]);
  }

  matchingSymbols({ reqId, pattern }: RequestOf<'reqMatchingSymbols'>): void {
    const rows = this.#link.exchange.searchSymbols(pattern).slice(0, MAX_SAMPLES);
    this.#link.send(symbolSamples(reqId, rows, this.#link.version));
  }

  optionParameters(request: RequestOf<'reqSecDefOptParams'>): void {
    const { reqId } = request;
    const rows = this.#link.exchange.optionParameters(
      request.underlyingSymbol,
      request.futFopExchange,
      request.underlyingSecType,
      request.underlyingConId,
    );
    for (const row of rows) {
      this.#link.send([
        OUT.securityDefinitionOptionParameter,
        reqId,
        row.exchange,
        row.underlyingConId,
        row.tradingClass,
        row.multiplier,
        row.expirations.length,
        ...row.expirations,
        row.strikes.length,
        ...row.strikes,
      ]);
    }
    this.#link.send([OUT.securityDefinitionOptionParameterEnd, reqId]);
  }

  marketRule(id: number): void {
    const increments = this.#link.exchange.marketRule(id);
    if (increments === null) {
      this.#link.error(-1, 322, unprocessed(`Market rule ${id} does not exist`));
      return;
    }
    this.#link.send(marketRule(id, increments));
  }

  smartComponents({ reqId, bboExchange }: RequestOf<'reqSmartComponents'>): void {
    if (bboExchange !== BBO_EXCHANGE) {
      this.#link.error(reqId, 321, invalid(`Unknown BBO exchange "${bboExchange}"; tickReqParams tells it`));
      return;
    }
    this.#link.send([
      OUT.smartComponents,
      reqId,
      SMART_COMPONENTS.length,
      ...SMART_COMPONENTS.flatMap((row): Field[] => [...row]),
    ]);
  }

  depthExchanges(): void {
    this.#link.send([
      OUT.mktDepthExchanges,
      DEPTH_EXCHANGES.length,
      ...DEPTH_EXCHANGES.flatMap((row): Field[] => [...row, 1]),
    ]);
  }

  softDollarTiers(reqId: number): void {
    this.#link.send([OUT.softDollarTiers, reqId, 0]);
  }

  familyCodes(): void {
    const { accounts } = this.#link.exchange;
    this.#link.send([
      OUT.familyCodes,
      accounts.length,
      ...accounts.flatMap((account): Field[] => [account, '']),
    ]);
  }

  displayGroups(reqId: number): void {
    this.#link.send([OUT.displayGroupList, 1, reqId, DISPLAY_GROUPS]);
  }

  joinGroup({ reqId, groupId }: RequestOf<'subscribeToGroupEvents'>): void {
    if (!DISPLAY_GROUPS.split('|').includes(String(groupId))) {
      this.#link.error(reqId, 321, invalid(`Display group ${groupId} is none of ${DISPLAY_GROUPS}`));
      return;
    }
    this.#groups.set(reqId, groupId);
    this.#link.send([OUT.displayGroupUpdated, 1, reqId, 'none']);
  }

  updateGroup({ reqId, contractInfo }: RequestOf<'updateDisplayGroup'>): void {
    const groupId = this.#groups.get(reqId);
    if (groupId === undefined) {
      this.#link.error(reqId, 321, invalid(`Request ${reqId} is subscribed to no display group`));
      return;
    }
    for (const [member, id] of this.#groups) {
      if (id === groupId) this.#link.send([OUT.displayGroupUpdated, 1, member, contractInfo]);
    }
  }

  leaveGroup(reqId: number): void {
    this.#groups.delete(reqId);
  }

  scannerParameters(): void {
    const scans = SCAN_CODES.map(
      (code) =>
        `<ScanType><displayName>${code}</displayName><scanCode>${code}</scanCode><instruments>STK</instruments></ScanType>`,
    );
    this.#link.send([
      OUT.scannerParameters,
      1,
      `<?xml version="1.0" encoding="UTF-8"?><ScanParameterResponse><InstrumentList><Instrument><name>US Stocks</name><type>STK</type></Instrument></InstrumentList><LocationTree><Location><displayName>US Stocks</displayName><locationCode>STK.US.MAJOR</locationCode></Location></LocationTree><ScanTypeList>${scans.join('')}</ScanTypeList></ScanParameterResponse>`,
    ]);
  }

  scan(request: RequestOf<'reqScannerSubscription'>): void {
    const link = this.#link;
    const { reqId, scanCode } = request;
    if (this.#scanners.has(reqId)) {
      link.error(reqId, 322, unprocessed('Duplicate ticker id'));
      return;
    }
    if (!isScanCode(scanCode) || request.instrument !== 'STK') {
      link.error(
        reqId,
        162,
        `Historical Market Data Service error message:Scanner ${request.instrument} ${scanCode} is not available; ${SCAN_CODES.join(', ')} for STK are`,
      );
      return;
    }
    const send = (): void => {
      const rows = this.#scanned(request, scanCode);
      link.send([
        OUT.scannerData,
        3,
        reqId,
        rows.length,
        ...rows.flatMap((details, rank) => scannerRow(rank, details)),
      ]);
    };
    send();
    this.#scanners.set(reqId, link.every(SCAN_EVERY_MS, send));
  }

  cancelScan(reqId: number): void {
    const stop = this.#scanners.get(reqId);
    if (stop === undefined) {
      this.#link.error(reqId, 365, `No scanner subscription found for ticker id:${reqId}`);
      return;
    }
    stop();
    this.#scanners.delete(reqId);
    this.#link.error(
      reqId,
      162,
      `Historical Market Data Service error message:API scanner subscription cancelled: ${reqId}`,
    );
  }

  /** The US stocks of the catalogue, as a search by first letter finds them. */
  #stocks(): readonly ContractDetails[] {
    const { exchange } = this.#link;
    const stocks = new Map<number, ContractDetails>();
    for (const letter of LETTERS) {
      for (const { contract } of exchange.searchSymbols(letter)) {
        if (contract.secType !== 'STK' || contract.currency !== 'USD') continue;
        const answer = exchange.resolve({ ...contract, exchange: 'SMART' });
        if ('details' in answer) stocks.set(contract.conId, answer.details);
      }
    }
    return [...stocks.values()];
  }

  #scanned(request: RequestOf<'reqScannerSubscription'>, scanCode: ScanCode): ContractDetails[] {
    const { exchange } = this.#link;
    const ranked: { readonly details: ContractDetails; readonly rank: number }[] = [];
    for (const details of this.#stocks()) {
      const quote = exchange.quote(details.contract.conId);
      if (quote === null) continue;
      if (quote.last < (request.abovePrice ?? 0)) continue;
      if (quote.last > (request.belowPrice ?? Number.POSITIVE_INFINITY)) continue;
      if (quote.volume < (request.aboveVolume ?? 0)) continue;
      const change = quote.close === 0 ? 0 : quote.last / quote.close - 1;
      const rank = {
        TOP_PERC_GAIN: change,
        TOP_PERC_LOSE: -change,
        MOST_ACTIVE: quote.volume,
        HOT_BY_VOLUME: quote.volume,
        HOT_BY_PRICE: Math.abs(change),
      }[scanCode];
      ranked.push({ details, rank });
    }
    const count = Math.min(MAX_SCAN_ROWS, Math.max(1, request.numberOfRows ?? MAX_SCAN_ROWS));
    return ranked
      .toSorted((left, right) => right.rank - left.rank)
      .slice(0, count)
      .map(({ details }) => details);
  }
}
