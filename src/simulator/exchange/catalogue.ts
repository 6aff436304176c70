/** Builds every instrument of the tables once per process; they never change. */
import type { ComboLeg, Contract } from '../model.ts';
import type { SessionRule } from './calendar.ts';
import { sessions } from './calendar.ts';
import type { Driver, Instrument } from './instruments.ts';
import { clean } from './instruments.ts';
import type { FutureFamily, OptionFamily, StockRow } from './listings.ts';
import {
  etfs,
  forexPairs,
  futureFamilies,
  indices,
  optionExchanges,
  optionExpiries,
  optionFamilies,
  stocks,
  usExchanges,
} from './listings.ts';
import { hashText } from './random.ts';
import { atLocal, dayOfText } from './zones.ts';

export const noContract: Contract = {
  conId: 0,
  symbol: '',
  secType: '',
  lastTradeDateOrContractMonth: '',
  strike: 0,
  right: '',
  multiplier: '',
  exchange: '',
  primaryExchange: '',
  currency: '',
  localSymbol: '',
  tradingClass: '',
  comboLegs: [],
};

const plain = {
  expiresAt: null,
  underlying: null,
  stockType: '',
  industry: ['', '', ''],
  isin: '',
  sizeIncrement: 1,
  lot: 1,
  depthLots: 10,
  spreadTicks: 1,
  dailyVolume: 0,
  futureMargin: 0,
  derivatives: [],
} as const;

function stock(row: StockRow, kind: 'COMMON' | 'ETF'): Instrument {
  const [symbol, conId, primaryExchange, longName, base, volatility, dailyVolume, industry, isin] = row;
  const [sector = '', category = '', subcategory = ''] = industry.split('|');
  const tradingClass = primaryExchange === 'NASDAQ' ? 'NMS' : symbol;
  return {
    ...plain,
    contract: {
      ...noContract,
      conId,
      symbol,
      secType: 'STK',
      exchange: 'SMART',
      primaryExchange,
      currency: 'USD',
      localSymbol: symbol,
      tradingClass,
    },
    longName,
    marketName: tradingClass,
    exchanges: usExchanges,
    ruleId: 26,
    minTick: 0.01,
    session: sessions.usStock,
    driver: { type: 'own', base, volatility },
    stockType: kind,
    industry: [sector, category, subcategory],
    isin,
    lot: 100,
    depthLots: 3 + Math.round(Math.sqrt(dailyVolume / 1e6)),
    spreadTicks: base > 250 ? 2 : 1,
    dailyVolume,
    derivatives: ['CFD', 'OPT', 'IOPT', 'WAR', 'BAG'],
  };
}

function future(
  family: FutureFamily,
  row: FutureFamily['expiries'][number],
  underlying: Instrument,
): Instrument {
  const [month, expiry, conId] = row;
  const letter = 'FGHJKMNQUVXZ'[Number(month.slice(4)) - 1] ?? 'F';
  return {
    ...plain,
    contract: {
      ...noContract,
      conId,
      symbol: family.symbol,
      secType: 'FUT',
      lastTradeDateOrContractMonth: expiry,
      multiplier: family.multiplier,
      exchange: family.exchange,
      currency: 'USD',
      localSymbol: `${family.symbol}${letter}${month.slice(3, 4)}`,
      tradingClass: family.symbol,
    },
    longName: family.name,
    marketName: family.symbol,
    exchanges: family.exchange === 'CME' ? ['CME', 'QBALGO'] : [family.exchange],
    ruleId: family.ruleId,
    minTick: family.minTick,
    session: sessions.future,
    driver: {
      type: 'carried',
      underlying,
      expiry: atLocal('US/Central', dayOfText(expiry), 510),
      rate: family.rate,
    },
    expiresAt: atLocal('US/Central', dayOfText(expiry), 510),
    underlying: {
      conId: family.symbol === 'ES' ? 11004968 : underlying.contract.conId,
      symbol: family.symbol,
      secType: 'IND',
    },
    depthLots: 25,
    dailyVolume: family.dailyVolume,
    futureMargin: family.margin,
    derivatives: ['FOP', 'BAG'],
  };
}

function optionChain(family: OptionFamily, underlying: Instrument): Instrument[] {
  const chain: Instrument[] = [];
  let conId = family.firstConId;
  for (const expiry of optionExpiries) {
    const expiresAt = atLocal('US/Eastern', dayOfText(expiry), 960);
    const driver: Driver = { type: 'option', underlying, expiry: expiresAt, volatility: family.volatility };
    for (let strike = family.strikes.from; strike <= family.strikes.to; strike += family.strikes.step) {
      for (const right of ['C', 'P'] as const) {
        conId += 1;
        const code = `${expiry.slice(2)}${right}${String(Math.round(strike * 1000)).padStart(8, '0')}`;
        chain.push({
          ...plain,
          contract: {
            ...noContract,
            conId,
            symbol: family.symbol,
            secType: 'OPT',
            lastTradeDateOrContractMonth: expiry,
            strike,
            right,
            multiplier: '100',
            exchange: 'SMART',
            currency: 'USD',
            localSymbol: family.symbol.padEnd(6) + code,
            tradingClass: family.symbol,
          },
          longName: underlying.longName,
          marketName: family.symbol,
          exchanges: optionExchanges,
          ruleId: family.ruleId,
          minTick: 0.01,
          session: sessions.usOption,
          driver,
          expiresAt,
          underlying: { conId: underlying.contract.conId, symbol: family.symbol, secType: 'STK' },
          depthLots: 40,
          dailyVolume: 4_000,
        });
      }
    }
  }
  return chain;
}

interface SingleRow {
  readonly contract: Partial<Contract>;
  readonly longName: string;
  readonly exchanges: readonly string[];
  readonly ruleId: number;
  readonly minTick: number;
  readonly session: SessionRule;
  readonly base: number;
  readonly volatility: number;
}

function single(row: SingleRow, rest: Partial<Instrument>): Instrument {
  const { contract, base, volatility, ...terms } = row;
  return {
    ...plain,
    ...terms,
    contract: { ...noContract, ...contract },
    marketName: contract.tradingClass ?? contract.symbol ?? '',
    driver: { type: 'own', base, volatility },
    ...rest,
  };
}

function singles(): Instrument[] {
  const list: Instrument[] = [
    single(
      {
        contract: {
          conId: 14204,
          symbol: 'SAP',
          secType: 'STK',
          exchange: 'SMART',
          primaryExchange: 'IBIS',
          currency: 'EUR',
          localSymbol: 'SAP',
          tradingClass: 'XETRA',
        },
        longName: 'SAP SE',
        exchanges: ['SMART', 'IBIS', 'IBIS2', 'TGATE', 'FWB', 'AEB'],
        ruleId: 1_740,
        minTick: 0.01,
        session: sessions.xetra,
        base: 205.3,
        volatility: 0.26,
      },
      {
        stockType: 'COMMON',
        industry: ['Technology', 'Software', 'Enterprise Software/Serv'],
        isin: 'DE0007164600',
        lot: 10,
        depthLots: 20,
        dailyVolume: 1_700_000,
        derivatives: ['CFD', 'OPT', 'IOPT', 'WAR'],
      },
    ),
    single(
      {
        contract: {
          conId: 479624278,
          symbol: 'BTC',
          secType: 'CRYPTO',
          exchange: 'PAXOS',
          currency: 'USD',
          localSymbol: 'BTC.USD',
          tradingClass: 'BTC',
        },
        longName: 'Bitcoin cryptocurrency',
        exchanges: ['PAXOS'],
        ruleId: 67,
        minTick: 0.25,
        session: sessions.crypto,
        base: 86_100,
        volatility: 0.55,
      },
      { sizeIncrement: 1e-8, lot: 0.01, depthLots: 60, spreadTicks: 40, dailyVolume: 9_000 },
    ),
    single(
      {
        contract: {
          conId: 495759171,
          symbol: 'ETH',
          secType: 'CRYPTO',
          exchange: 'PAXOS',
          currency: 'USD',
          localSymbol: 'ETH.USD',
          tradingClass: 'ETH',
        },
        longName: 'Ethereum cryptocurrency',
        exchanges: ['PAXOS'],
        ruleId: 26,
        minTick: 0.01,
        session: sessions.crypto,
        base: 2_812,
        volatility: 0.7,
      },
      { sizeIncrement: 1e-8, lot: 0.1, depthLots: 60, spreadTicks: 40, dailyVolume: 80_000 },
    ),
    single(
      {
        contract: {
          conId: 10190420,
          symbol: 'VFIAX',
          secType: 'FUND',
          exchange: 'FUNDSERV',
          currency: 'USD',
          localSymbol: 'VFIAX',
          tradingClass: 'VFIAX',
        },
        longName: 'Vanguard 500 Index Fund Admiral Shares',
        exchanges: ['FUNDSERV'],
        ruleId: 26,
        minTick: 0.01,
        session: sessions.usOption,
        base: 609.4,
        volatility: 0.16,
      },
      { dailyVolume: 10_000, lot: 100, sizeIncrement: 0.001 },
    ),
    single(
      {
        contract: {
          conId: 701294218,
          symbol: 'US-T',
          secType: 'BOND',
          lastTradeDateOrContractMonth: '20340515',
          exchange: 'SMART',
          currency: 'USD',
          localSymbol: 'US-T 4 3/8 05/15/34',
          tradingClass: 'US-T',
        },
        longName: 'United States Treasury 4.375% 15-May-2034',
        exchanges: ['SMART', 'TRADEWEBG', 'BONDDESK'],
        ruleId: 32,
        minTick: 0.01,
        session: sessions.usOption,
        base: 102.4,
        volatility: 0.06,
      },
      { dailyVolume: 50_000, lot: 10, sizeIncrement: 1, isin: 'US91282CKQ32' },
    ),
  ];
  for (const [base, quote, conId, price, volatility] of forexPairs) {
    const yen = quote === 'JPY';
    list.push(
      single(
        {
          contract: {
            conId,
            symbol: base,
            secType: 'CASH',
            exchange: 'IDEALPRO',
            currency: quote,
            localSymbol: `${base}.${quote}`,
            tradingClass: `${base}.${quote}`,
          },
          longName: `${base}.${quote} forex`,
          exchanges: ['IDEALPRO'],
          ruleId: yen ? 240 : 239,
          minTick: yen ? 0.005 : 0.00005,
          session: sessions.forex,
          base: price,
          volatility,
        },
        { lot: 100_000, depthLots: 15 },
      ),
    );
  }
  for (const [symbol, conId, exchange, currency, longName, level, volatility, zone] of indices) {
    list.push(
      single(
        {
          contract: { conId, symbol, secType: 'IND', exchange, currency, localSymbol: symbol },
          longName,
          exchanges: [exchange],
          ruleId: 26,
          minTick: 0.01,
          session: zone === 'us' ? sessions.usOption : sessions.xetra,
          base: level,
          volatility,
        },
        { derivatives: ['CFD', 'OPT', 'FUT', 'IOPT', 'WAR'] },
      ),
    );
  }
  return list;
}

function buildAll(): readonly Instrument[] {
  const list = [
    ...stocks.map((row) => stock(row, 'COMMON')),
    ...etfs.map((row) => stock(row, 'ETF')),
    ...singles(),
  ];
  const byConId = new Map(list.map((instrument) => [instrument.contract.conId, instrument]));
  for (const family of futureFamilies) {
    const underlying =
      byConId.get(family.indexConId) ??
      single(
        {
          contract: {
            conId: hashText(family.symbol),
            symbol: family.symbol,
            secType: 'CMDTY',
            currency: 'USD',
          },
          longName: family.name,
          exchanges: [],
          ruleId: family.ruleId,
          minTick: family.minTick,
          session: sessions.future,
          base: family.base,
          volatility: family.volatility,
        },
        {},
      );
    for (const row of family.expiries) list.push(future(family, row, underlying));
  }
  for (const family of optionFamilies) {
    const underlying = list.find(
      ({ contract }) => contract.symbol === family.symbol && contract.secType === 'STK',
    );
    if (underlying !== undefined) list.push(...optionChain(family, underlying));
  }
  return list;
}

let built: readonly Instrument[] | null = null;

/** Every listed instrument, expired ones included. */
export function listedInstruments(): readonly Instrument[] {
  built ??= buildAll();
  return built;
}

/** A combination of listed legs as an instrument of its own; the same legs give the same conId. */
export function comboInstrument(
  contract: Contract,
  legs: readonly { readonly leg: ComboLeg; readonly instrument: Instrument }[],
): Instrument | null {
  const first = legs[0];
  if (first === undefined) return null;
  const symbol = contract.symbol === '' ? first.instrument.contract.symbol : contract.symbol;
  const key = legs.map(({ leg }) => `${leg.conId}*${leg.action === 'BUY' ? '' : '-'}${leg.ratio}`).join(',');
  const conId = 1_000_000_000 + (hashText(key) % 900_000_000);
  return {
    ...plain,
    contract: {
      ...noContract,
      conId,
      symbol,
      secType: 'BAG',
      exchange: contract.exchange === '' ? 'SMART' : contract.exchange,
      currency: first.instrument.contract.currency,
      multiplier: first.instrument.contract.multiplier,
      localSymbol: String(conId),
      tradingClass: 'COMB',
      comboLegs: legs.map(({ leg }) => leg),
    },
    longName: `${symbol} combination`,
    marketName: 'COMB',
    exchanges: first.instrument.exchanges,
    ruleId: 26,
    minTick: clean(Math.min(...legs.map(({ instrument }) => instrument.minTick))),
    session: first.instrument.session,
    driver: { type: 'combo', legs },
    expiresAt: null,
    depthLots: 10,
    dailyVolume: 0,
  };
}
