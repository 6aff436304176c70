/** The account values that TWS shows, from the sums of the ledger. */
import type { AccountValue } from '../model.ts';
import type { AccountSummary } from './ledger.ts';

interface Input {
  readonly account: string;
  readonly baseCurrency: string;
  readonly summary: AccountSummary;
  readonly cash: ReadonlyMap<string, number>;
  readonly rate: (currency: string) => number;
  /** market value, unrealized and realized profit of the positions of a currency */
  readonly byCurrency: ReadonlyMap<string, CurrencySums>;
}

export interface CurrencySums {
  stock: number;
  option: number;
  futures: number;
  fund: number;
  bond: number;
  crypto: number;
  unrealized: number;
  realized: number;
}

/** Regulation T lends half of what securities cost. */
const regTShare = 0.5;

export function emptySums(): CurrencySums {
  return { stock: 0, option: 0, futures: 0, fund: 0, bond: 0, crypto: 0, unrealized: 0, realized: 0 };
}

export function accountRows(input: Input): AccountValue[] {
  const { account, baseCurrency, summary } = input;
  const rows: AccountValue[] = [];
  const text = (key: string, value: string, currency = '') => rows.push({ account, key, value, currency });
  const amount = (key: string, value: number, currency = baseCurrency) =>
    text(key, (Math.round(value * 100) / 100 + 0).toFixed(2), currency);
  /** a value with its securities (-S) and commodities (-C) segments */
  const split = (key: string, securities: number, commodities: number) => {
    amount(key, securities + commodities);
    amount(`${key}-C`, commodities);
    amount(`${key}-S`, securities);
  };

  const { securities, commodities } = summary;
  const initial = securities.initial + commodities.initial;
  const maintenance = securities.maintenance + commodities.maintenance;
  /** the commodities segment holds what its margin needs; sweeps keep it so */
  const swept = Math.min(Math.max(commodities.initial - summary.futuresPnl, 0), Math.max(summary.cash, 0));
  const commodityEquity = swept + summary.futuresPnl;
  const available = summary.equityWithLoan - initial;
  const excess = summary.equityWithLoan - maintenance;
  const loanSecurities = summary.equityWithLoan - commodityEquity;

  text('AccountCode', account);
  text('AccountOrGroup', account, baseCurrency);
  text('AccountReady', 'true');
  text('AccountType', 'INDIVIDUAL');
  split('AccruedCash', 0, 0);
  split('AccruedDividend', 0, 0);
  split('AvailableFunds', loanSecurities - securities.initial, commodityEquity - commodities.initial);
  amount('Billable', 0);
  amount('BuyingPower', Math.max(0, available * 4));
  text(
    'Cushion',
    summary.netLiquidation > 0 ? Math.min(1, Math.max(0, excess / summary.netLiquidation)).toFixed(6) : '0',
  );
  text('DayTradesRemaining', '-1');
  split('EquityWithLoanValue', loanSecurities, commodityEquity);
  split(
    'ExcessLiquidity',
    loanSecurities - securities.maintenance,
    commodityEquity - commodities.maintenance,
  );
  for (const prefix of ['Full', 'LookAhead']) {
    split(
      `${prefix}AvailableFunds`,
      loanSecurities - securities.initial,
      commodityEquity - commodities.initial,
    );
    split(
      `${prefix}ExcessLiquidity`,
      loanSecurities - securities.maintenance,
      commodityEquity - commodities.maintenance,
    );
    split(`${prefix}InitMarginReq`, securities.initial, commodities.initial);
    split(`${prefix}MaintMarginReq`, securities.maintenance, commodities.maintenance);
  }
  amount('GrossPositionValue', summary.grossPositionValue);
  amount('GrossPositionValue-S', summary.grossPositionValue);
  split('InitMarginReq', securities.initial, commodities.initial);
  const leverage =
    summary.netLiquidation > 0 ? (summary.grossPositionValue / summary.netLiquidation).toFixed(2) : '0.00';
  text('HighestSeverity', '0');
  text('Leverage', leverage);
  text('Leverage-S', leverage);
  text('LookAheadNextChange', '0');
  split('MaintMarginReq', securities.maintenance, commodities.maintenance);
  split('NetLiquidation', summary.netLiquidation - commodityEquity, commodityEquity);
  text('NetLiquidationUncertainty', '0.00', baseCurrency);
  amount('OptionMarketValue', summary.optionValue);
  split('PASharesValue', 0, 0);
  amount('PreviousDayEquityWithLoanValue', summary.equityWithLoan - summary.daily);
  const regTMargin = summary.grossPositionValue * regTShare;
  for (const segment of ['', '-S']) {
    amount(`RegTEquity${segment}`, loanSecurities);
    amount(`RegTMargin${segment}`, regTMargin);
    amount(`SMA${segment}`, Math.max(0, loanSecurities - regTMargin));
  }
  text('SegmentTitle-C', 'US Commodities');
  text('SegmentTitle-S', 'US Securities');
  amount('SettledCash', summary.cash);
  split('TotalCashValue', summary.cash - swept, swept);
  amount('TotalDebitCardPendingCharges', 0);
  text('TradingType-S', 'STKNOPT');
  text('WhatIfPMEnabled', 'true');

  const total = emptySums();
  let cashTotal = 0;
  const currencies = new Set([...input.cash.keys(), ...input.byCurrency.keys()]);
  for (const currency of currencies) {
    const rate = input.rate(currency);
    const sums = input.byCurrency.get(currency) ?? emptySums();
    const cash = input.cash.get(currency) ?? 0;
    cashTotal += cash * rate;
    for (const key of Object.keys(total) as (keyof CurrencySums)[]) total[key] += sums[key] * rate;
    ledgerRows(amount, text, currency, cash, sums, rate);
  }
  ledgerRows(amount, text, 'BASE', cashTotal, total, 1);
  return rows;
}

function ledgerRows(
  amount: (key: string, value: number, currency: string) => void,
  text: (key: string, value: string, currency: string) => void,
  currency: string,
  cash: number,
  sums: CurrencySums,
  rate: number,
): void {
  text('Currency', currency, currency);
  amount('CashBalance', cash, currency);
  amount('TotalCashBalance', cash, currency);
  amount('AccruedCash', 0, currency);
  amount('StockMarketValue', sums.stock, currency);
  amount('OptionMarketValue', sums.option, currency);
  amount('FutureOptionValue', 0, currency);
  amount('FuturesPNL', sums.futures, currency);
  amount(
    'NetLiquidationByCurrency',
    cash + sums.stock + sums.option + sums.futures + sums.fund + sums.bond + sums.crypto,
    currency,
  );
  amount('UnrealizedPnL', sums.unrealized, currency);
  amount('RealizedPnL', sums.realized, currency);
  text('ExchangeRate', rate.toFixed(4), currency);
  amount('FundValue', sums.fund, currency);
  amount('NetDividend', 0, currency);
  amount('MutualFundValue', 0, currency);
  amount('MoneyMarketFundValue', 0, currency);
  amount('CorporateBondValue', sums.bond, currency);
  amount('TBondValue', 0, currency);
  amount('TBillValue', 0, currency);
  amount('WarrantValue', 0, currency);
  amount('FxCashBalance', 0, currency);
  amount('Cryptocurrency', sums.crypto, currency);
  text('RealCurrency', currency, currency);
  text('IssuerOptionValue', '0.00', currency);
}
