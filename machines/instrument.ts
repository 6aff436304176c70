/** What is traded: contracts, and the short form in which people name them. */

export interface ComboLeg {
  readonly conId: number;
  readonly ratio: number;
  readonly action: 'BUY' | 'SELL';
  readonly exchange: string;
}

/** A contract in TWS's own field names; absent fields are left to TWS. */
export interface Contract {
  readonly conId?: number;
  readonly symbol?: string;
  readonly secType?: string;
  readonly exchange?: string;
  readonly currency?: string;
  readonly lastTradeDateOrContractMonth?: string;
  readonly strike?: number;
  readonly right?: 'C' | 'P';
  readonly multiplier?: string;
  readonly localSymbol?: string;
  readonly primaryExch?: string;
  readonly tradingClass?: string;
  readonly comboLegs?: readonly ComboLeg[];
}

/** Security types that an instrument name may begin with. */
export const securityTypes = [
  'STK',
  'OPT',
  'FUT',
  'FOP',
  'CASH',
  'IND',
  'CFD',
  'BOND',
  'CRYPTO',
  'CMDTY',
  'FUND',
  'WAR',
  'CONTFUT',
] as const;

const NAME = /^(?:([A-Z]+):)?([^@/:]+)(?:@([A-Za-z0-9]+))?(?:\/([A-Z]{3}))?$/;

/** `[SECTYPE:]LOCAL[@EXCHANGE][/CURRENCY]` or `CONID:n`: the contract that it names, or what is wrong with it. */
export function parseInstrument(text: string): { contract: Contract } | { problem: string } {
  const match = NAME.exec(text.trim());
  const local = match?.[2]?.trim();
  if (!match || !local || text.length > 64) {
    return {
      problem: `"${text.slice(0, 64)}" is not [SECTYPE:]LOCAL[@EXCHANGE][/CURRENCY], e.g. AAPL, SAP@IBIS/EUR, FUT:ESZ6@CME`,
    };
  }
  const [, type = 'STK', , exchange, currency] = match;
  if (type === 'CONID') {
    const conId = Number(local);
    if (!Number.isSafeInteger(conId) || conId <= 0)
      return { problem: `CONID:${local} is not a positive whole number` };
    return { contract: { conId, ...(exchange ? { exchange } : { exchange: 'SMART' }) } };
  }
  if (!(securityTypes as readonly string[]).includes(type)) {
    return { problem: `security type "${type}" is unknown; one of ${securityTypes.join(', ')} or CONID` };
  }
  if (type === 'CASH') {
    const [base, quote] = local.split('.');
    if (!base || !quote || base.length !== 3 || quote.length !== 3) {
      return { problem: `CASH:${local} is not a currency pair such as CASH:EUR.USD` };
    }
    return {
      contract: {
        secType: type,
        symbol: base,
        currency: quote,
        localSymbol: local,
        exchange: exchange ?? 'IDEALPRO',
      },
    };
  }
  const common = { secType: type, exchange: exchange ?? defaultExchange(type), currency: currency ?? 'USD' };
  if (type === 'STK' || type === 'IND' || type === 'CRYPTO')
    return { contract: { ...common, symbol: local } };
  return { contract: { ...common, localSymbol: local } };
}

/** The canonical short form of a contract; `CONID:n` when nothing better is known. */
export function formatInstrument(contract: Contract): string {
  const { secType = 'STK', symbol, localSymbol, exchange, currency, conId } = contract;
  if (secType === 'BAG') return `BAG:${symbol ?? ''}${conId ? `#${conId}` : ''}`;
  if (secType === 'CASH' && symbol && currency) {
    return `CASH:${symbol}.${currency}${exchange && exchange !== 'IDEALPRO' ? `@${exchange}` : ''}`;
  }
  const local =
    secType === 'STK' || secType === 'IND' || secType === 'CRYPTO'
      ? (symbol ?? localSymbol)
      : (localSymbol ?? symbol);
  if (!local) return conId ? `CONID:${conId}` : 'UNKNOWN';
  const type = secType === 'STK' ? '' : `${secType}:`;
  const venue = exchange && exchange !== defaultExchange(secType) ? `@${exchange}` : '';
  return `${type}${local}${venue}${currency && currency !== 'USD' ? `/${currency}` : ''}`;
}

/** Where an instrument of this type trades when nobody says. */
export function defaultExchange(secType: string): string {
  switch (secType) {
    case 'CASH':
      return 'IDEALPRO';
    case 'CRYPTO':
      return 'PAXOS';
    default:
      return 'SMART';
  }
}
