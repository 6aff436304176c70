/** Finds contracts: the answers to definitions, symbol search and option parameters, and what an order's contract means. */
import type { Contract, ContractDetails, ContractQuery } from '../model.ts';
import type { Calendar } from './calendar.ts';
import { comboInstrument, listedInstruments } from './catalogue.ts';
import type { Instrument, PricedLeg } from './instruments.ts';
import { clean } from './instruments.ts';
import { dayText, localDay } from './zones.ts';

const comboMax = 1000;
const optionsPerAnswerMax = 2000;
const noDefinition = 'No security definition has been found for the request';
const stockOrderTypes =
  'ACTIVETIM,AD,ADDONT,ADJUST,ALERT,ALGO,ALLOC,AON,AVGCOST,BASKET,BENCHPX,CASHQTY,COND,CONDORDER,DAY,DEACT,DEACTDIS,DEACTEOD,DIS,DUR,GAT,GTC,GTD,GTT,HID,IBKRATS,ICE,IMB,IOC,LIT,LMT,LOC,MIDPX,MIT,MKT,MOC,MTL,NGCOMB,NONALGO,OCA,OPG,PEGBENCH,PEGMID,REL,RTH,SCALE,SNAPMID,SNAPMKT,SNAPREL,STP,STPLMT,SWEEP,TRAIL,TRAILLIT,TRAILLMT,TRAILMIT,WHATIF';
const plainOrderTypes =
  'ACTIVETIM,AD,ADJUST,ALERT,ALGO,ALLOC,AVGCOST,BASKET,COND,CONDORDER,DAY,DEACT,DEACTDIS,DEACTEOD,GAT,GTC,GTD,GTT,HID,ICE,IOC,LIT,LMT,MIT,MKT,MTL,NGCOMB,NONALGO,OCA,SCALE,STP,STPLMT,TRAIL,TRAILLIT,TRAILLMT,TRAILMIT,WHATIF';

export type Resolution =
  | { readonly instrument: Instrument; readonly exchange: string }
  | { readonly code: number; readonly text: string };

/** The wire spells Nasdaq in two ways. */
function sameExchange(left: string, right: string): boolean {
  const plainName = (name: string) => (name === 'ISLAND' ? 'NASDAQ' : name);
  return plainName(left) === plainName(right);
}

/** What is listed never changes: one index serves every exchange of the process. */
let listed: {
  readonly byConId: ReadonlyMap<number, Instrument>;
  readonly bySymbol: ReadonlyMap<string, readonly Instrument[]>;
} | null = null;

function indexOfListed(): NonNullable<typeof listed> {
  if (listed !== null) return listed;
  const byConId = new Map<number, Instrument>();
  const bySymbol = new Map<string, Instrument[]>();
  for (const instrument of listedInstruments()) {
    const { contract } = instrument;
    if (byConId.has(contract.conId)) throw new Error(`conId ${contract.conId} is listed twice`);
    byConId.set(contract.conId, instrument);
    for (const name of new Set([contract.symbol, contract.localSymbol])) {
      const list = bySymbol.get(name);
      if (list === undefined) bySymbol.set(name, [instrument]);
      else list.push(instrument);
    }
  }
  listed = { byConId, bySymbol };
  return listed;
}

export class Directory {
  private readonly calendar: Calendar;
  private readonly now: () => number;
  private readonly byConId: ReadonlyMap<number, Instrument>;
  private readonly bySymbol: ReadonlyMap<string, readonly Instrument[]>;
  private readonly combos = new Map<number, Instrument>();

  constructor(calendar: Calendar, now: () => number) {
    this.calendar = calendar;
    this.now = now;
    ({ byConId: this.byConId, bySymbol: this.bySymbol } = indexOfListed());
  }

  instrument(conId: number): Instrument | null {
    return this.byConId.get(conId) ?? this.combos.get(conId) ?? null;
  }

  /** The instrument of a catalogue's contract, also of a combination that is not in use and of what has expired; or null. */
  known(contract: Contract): Instrument | null {
    const found = this.instrument(contract.conId);
    if (found !== null || contract.secType !== 'BAG') return found;
    const legs: PricedLeg[] = [];
    for (const leg of contract.comboLegs) {
      const instrument = this.byConId.get(leg.conId);
      if (instrument === undefined) return null;
      legs.push({ leg, instrument });
    }
    const combo = comboInstrument(contract, legs);
    if (combo !== null) this.keepCombo(combo);
    return combo;
  }

  private keepCombo(combo: Instrument): void {
    if (this.combos.size >= comboMax) {
      const oldest = this.combos.keys().next().value;
      if (oldest !== undefined) this.combos.delete(oldest);
    }
    this.combos.set(combo.contract.conId, combo);
  }

  /** The forex pair of two currencies, or null. */
  pair(base: string, quote: string): Instrument | null {
    const named = this.bySymbol.get(`${base}.${quote}`) ?? [];
    return named.find(({ contract }) => contract.secType === 'CASH') ?? null;
  }

  private isExpired(instrument: Instrument): boolean {
    return instrument.expiresAt !== null && instrument.expiresAt < this.now();
  }

  private candidates(query: Contract): readonly Instrument[] {
    if (query.conId !== 0) {
      const instrument = this.instrument(query.conId);
      return instrument === null ? [] : [instrument];
    }
    const name = query.symbol !== '' ? query.symbol : query.localSymbol;
    return this.bySymbol.get(name) ?? [];
  }

  private matches(instrument: Instrument, query: Contract): boolean {
    const { contract } = instrument;
    if (query.exchange !== '' && !instrument.exchanges.some((name) => sameExchange(name, query.exchange)))
      return false;
    if (query.conId !== 0) return true;
    const month = query.lastTradeDateOrContractMonth.split(' ')[0] ?? '';
    const hasExpiry = contract.secType === 'FUT' || contract.secType === 'OPT';
    return (
      query.secType === contract.secType &&
      (query.symbol === '' || query.symbol === contract.symbol) &&
      (query.currency === '' || query.currency === contract.currency) &&
      (query.localSymbol === '' || query.localSymbol === contract.localSymbol) &&
      (query.tradingClass === '' || query.tradingClass === contract.tradingClass) &&
      (!hasExpiry || month === '' || contract.lastTradeDateOrContractMonth.startsWith(month)) &&
      (contract.secType !== 'OPT' || query.strike === 0 || Math.abs(query.strike - contract.strike) < 1e-9) &&
      (contract.secType !== 'OPT' || query.right === '' || query.right === contract.right) &&
      (!hasExpiry || query.multiplier === '' || Number(query.multiplier) === Number(contract.multiplier)) &&
      (query.primaryExchange === '' ||
        contract.primaryExchange === '' ||
        sameExchange(query.primaryExchange, contract.primaryExchange))
    );
  }

  find(query: ContractQuery): readonly ContractDetails[] {
    if (query.secType === 'BAG') return [];
    const found: ContractDetails[] = [];
    const source =
      query.conId === 0 && query.secId !== ''
        ? listedInstruments().filter((each) => query.secIdType === 'ISIN' && each.isin === query.secId)
        : this.candidates(query).filter((each) => this.matches(each, query));
    for (const instrument of source) {
      if (!query.includeExpired && query.conId === 0 && this.isExpired(instrument)) continue;
      if (query.exchange !== '') found.push(this.details(instrument, query.exchange));
      else if (query.conId !== 0 || instrument.contract.secType !== 'STK')
        found.push(this.details(instrument, instrument.contract.exchange));
      else for (const exchange of instrument.exchanges) found.push(this.details(instrument, exchange));
      if (found.length >= optionsPerAnswerMax) break;
    }
    return found;
  }

  /** The one instrument that a contract means, or the TWS error. */
  resolve(contract: Contract): Resolution {
    if (contract.secType === 'BAG') return this.resolveCombo(contract);
    if (contract.conId === 0 && contract.secType === '')
      return validation('Please enter a valid security type');
    if (contract.conId === 0 && contract.symbol === '' && contract.localSymbol === '')
      return validation('Please enter a local symbol or a symbol');
    if (contract.exchange === '') return validation('Please enter exchange');
    const found = this.candidates(contract).filter(
      (each) => this.matches(each, contract) && !this.isExpired(each),
    );
    const [first, second] = found;
    if (first === undefined) return { code: 200, text: noDefinition };
    if (second !== undefined)
      return {
        code: 200,
        text: `The contract description specified for ${contract.symbol || contract.localSymbol} is ambiguous.`,
      };
    return { instrument: first, exchange: contract.exchange };
  }

  private resolveCombo(contract: Contract): Resolution {
    if (contract.comboLegs.length === 0) {
      const known = this.combos.get(contract.conId);
      if (known !== undefined) return { instrument: known, exchange: contract.exchange };
      return validation('Combo leg details are missing');
    }
    const legs: PricedLeg[] = [];
    for (const leg of contract.comboLegs) {
      const instrument = this.byConId.get(leg.conId);
      if (instrument === undefined || this.isExpired(instrument)) return { code: 200, text: noDefinition };
      if (!(leg.ratio > 0)) return validation('Invalid combo leg ratio');
      if (instrument.contract.secType === 'IND' || instrument.contract.secType === 'BAG')
        return { code: 313, text: 'The combination details for the leg are invalid' };
      legs.push({ leg, instrument });
    }
    const combo = comboInstrument(contract, legs);
    if (combo === null) return validation('Combo leg details are missing');
    const known = this.combos.get(combo.contract.conId);
    if (known !== undefined) return { instrument: known, exchange: combo.contract.exchange };
    this.keepCombo(combo);
    return { instrument: combo, exchange: combo.contract.exchange };
  }

  details(instrument: Instrument, exchange: string): ContractDetails {
    const { contract, session } = instrument;
    const now = this.now();
    const expiry = contract.secType === 'FUT' || contract.secType === 'OPT';
    const [industry, category, subcategory] = instrument.industry;
    const lastDay = contract.lastTradeDateOrContractMonth;
    return {
      contract: { ...contract, exchange: exchange === '' ? contract.exchange : exchange },
      marketName: instrument.marketName,
      minTick: instrument.minTick,
      orderTypes: contract.secType === 'STK' ? stockOrderTypes : plainOrderTypes,
      validExchanges: instrument.exchanges.join(','),
      priceMagnifier: 1,
      underConId: instrument.underlying?.conId ?? 0,
      longName: instrument.longName,
      contractMonth: expiry ? lastDay.slice(0, 6) : '',
      industry,
      category,
      subcategory,
      timeZoneId: session.zone,
      tradingHours: this.calendar.hoursText(session, now, true, 6),
      liquidHours: this.calendar.hoursText(session, now, false, 6),
      secIds: instrument.isin === '' ? [] : [{ tag: 'ISIN', value: instrument.isin }],
      aggGroup: contract.secType === 'STK' ? 1 : 2147483647,
      underSymbol: instrument.underlying?.symbol ?? '',
      underSecType: instrument.underlying?.secType ?? '',
      marketRuleIds: instrument.exchanges.map(() => instrument.ruleId).join(','),
      realExpirationDate: expiry ? lastDay : '',
      lastTradeDate: contract.secType === 'FUT' ? `${lastDay} 08:30 US/Central` : expiry ? lastDay : '',
      stockType: instrument.stockType,
      minSize: instrument.sizeIncrement,
      sizeIncrement: instrument.sizeIncrement,
      suggestedSizeIncrement: contract.secType === 'STK' ? 100 : instrument.sizeIncrement,
    };
  }

  search(pattern: string) {
    const wanted = pattern.trim().toUpperCase();
    if (wanted === '') return [];
    const exact: Instrument[] = [];
    const prefixed: Instrument[] = [];
    const named: Instrument[] = [];
    for (const instrument of listedInstruments()) {
      const { symbol, secType } = instrument.contract;
      if (secType === 'OPT' || secType === 'FUT') continue;
      if (symbol === wanted || instrument.contract.localSymbol === wanted) exact.push(instrument);
      else if (symbol.startsWith(wanted)) prefixed.push(instrument);
      else if (wanted.length > 1 && instrument.longName.toUpperCase().includes(wanted))
        named.push(instrument);
    }
    return [...exact, ...prefixed, ...named].slice(0, 16).map((instrument) => ({
      contract: instrument.contract,
      derivativeSecTypes: instrument.derivatives,
      description: instrument.longName,
    }));
  }

  optionParameters(symbol: string, exchange: string, secType: string, conId: number) {
    const expirations = new Set<string>();
    const strikes = new Set<number>();
    const today = dayText(localDay('US/Eastern', this.now()));
    let sample: Instrument | null = null;
    for (const each of this.bySymbol.get(symbol) ?? []) {
      if (each.contract.secType !== 'OPT' || each.underlying?.secType !== secType) continue;
      if (each.underlying.conId !== conId || each.contract.lastTradeDateOrContractMonth < today) continue;
      sample = each;
      expirations.add(each.contract.lastTradeDateOrContractMonth);
      strikes.add(clean(each.contract.strike));
    }
    if (sample === null) return [];
    const { tradingClass, multiplier } = sample.contract;
    return sample.exchanges
      .filter((name) => exchange === '' || name === exchange)
      .map((name) => ({
        exchange: name,
        underlyingConId: conId,
        tradingClass,
        multiplier,
        expirations: [...expirations].sort(),
        strikes: [...strikes].sort((a, b) => a - b),
      }));
  }
}

function validation(cause: string): { readonly code: number; readonly text: string } {
  return { code: 321, text: `Error validating request.-'bQ' : cause - ${cause}` };
}
