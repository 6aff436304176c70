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

const NAME = /^(?:([A-Z]+):)?([^@/:]+)(?:@([A-Za-z0-9.]+))?(?:\/([A-Z]{3}))?$/;
/** What a local name must be made of for the short form to carry it. */
const LOCAL = /^[^@/:]+$/;
const PAIR = /^([A-Z]{3})\.([A-Z]{3})$/;
/** A derivative by its terms: `ES 202612`, `ES 20261218 C 5000`. */
const TERMS = /^(\S+) (\d{6}|\d{8})(?: ([CP]) (\d+(?:\.\d+)?))?$/;

/** These are named by their symbol; the others by the exchange's own (local) symbol. */
const namedBySymbol = new Set(['STK', 'IND', 'CRYPTO']);
const derivatives = new Set(['OPT', 'FUT', 'FOP', 'WAR']);

/**
 * `[SECTYPE:]LOCAL[@EXCHANGE][/CURRENCY]` or `CONID:n`: the contract that it names, or what is wrong with it. LOCAL of a
 * derivative may also be its terms: `FUT:ES 202612@CME`, `FOP:ES 20261218 C 5000@CME`.
 */
export function parseInstrument(text: string): { contract: Contract } | { problem: string } {
  const match = NAME.exec(text.trim());
  const local = match?.[2]?.trim();
  if (!match || !local || text.length > 64) {
    return {
      problem: `"${text.slice(0, 64)}" is not [SECTYPE:]LOCAL[@EXCHANGE][/CURRENCY], e.g. AAPL, SAP@IBIS/EUR, FUT:ESZ6@CME`,
    };
  }
  const [, type = 'STK', , venue, currency] = match;
  const exchange = venue?.toUpperCase();
  if (type === 'CONID') {
    const conId = /^\d{1,15}$/.test(local) ? Number(local) : 0;
    if (conId <= 0) return { problem: `CONID:${local} is not a positive whole number` };
    if (currency) return { problem: `CONID:${local} has its currency already; leave out /${currency}` };
    return { contract: { conId, exchange: exchange ?? 'SMART' } };
  }
  if (!(securityTypes as readonly string[]).includes(type)) {
    return { problem: `security type "${type}" is unknown; one of ${securityTypes.join(', ')} or CONID` };
  }
  if (type === 'CASH') {
    const pair = PAIR.exec(local);
    if (!pair) return { problem: `CASH:${local} is not a currency pair such as CASH:EUR.USD` };
    const [, base = '', quote = ''] = pair;
    if (currency && currency !== quote) {
      return { problem: `CASH:${local} is quoted in ${quote}; leave out /${currency}` };
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
  if (namedBySymbol.has(type)) return { contract: { ...common, symbol: local } };
  const terms = derivatives.has(type) ? TERMS.exec(local) : null;
  if (!terms) return { contract: { ...common, localSymbol: local } };
  const [, symbol = '', expiry = '', right, strike] = terms;
  return {
    contract: {
      ...common,
      symbol,
      lastTradeDateOrContractMonth: expiry,
      ...(right === 'C' || right === 'P' ? { right, strike: Number(strike) } : {}),
    },
  };
}

/** The canonical short form of a contract; `CONID:n` when nothing better is known. */
export function formatInstrument(contract: Contract): string {
  const { secType, symbol, exchange, currency, conId } = contract;
  if (secType === 'BAG') return formatCombo(contract);
  const type = secType || 'STK';
  if (type === 'CASH' && symbol && currency) {
    return `CASH:${symbol}.${currency}${exchange && exchange !== 'IDEALPRO' ? `@${exchange}` : ''}`;
  }
  const local = localName(type, contract);
  const venue = exchange && exchange !== defaultExchange(type) ? `@${exchange}` : '';
  if (!local || !LOCAL.test(local)) return conId ? `CONID:${conId}${venue}` : 'UNKNOWN';
  const prefix = type === 'STK' ? '' : `${type}:`;
  return `${prefix}${local}${venue}${currency && currency !== 'USD' ? `/${currency}` : ''}`;
}

/** Two derivatives of one underlying never share a name: without a local symbol their terms make it. */
function localName(type: string, contract: Contract): string | undefined {
  const { symbol, localSymbol, lastTradeDateOrContractMonth, right, strike, tradingClass } = contract;
  if (namedBySymbol.has(type)) return symbol || localSymbol;
  if (localSymbol) return localSymbol.trim();
  const expiry = lastTradeDateOrContractMonth?.slice(0, 8);
  if (!derivatives.has(type) || !symbol || !expiry) return derivatives.has(type) ? undefined : symbol;
  if (!right || strike === undefined) return `${symbol} ${expiry}`;
  const root = tradingClass || symbol;
  if (type === 'OPT' && expiry.length === 8 && root.length <= 6 && strike < 100_000) {
    return `${root.padEnd(6)}${expiry.slice(2)}${right}${String(Math.round(strike * 1000)).padStart(8, '0')}`;
  }
  return `${symbol} ${expiry} ${right} ${strike}`;
}

/** Legs in the order given; a combination has no short form that could be read back. */
function formatCombo({ symbol, comboLegs, exchange }: Contract): string {
  const legs = (comboLegs ?? []).map((leg) => `${leg.action === 'BUY' ? '+' : '-'}${leg.ratio}x${leg.conId}`);
  return `BAG:${symbol ?? ''}${legs.length > 0 ? ` ${legs.join(' ')}` : ''}${exchange && exchange !== 'SMART' ? `@${exchange}` : ''}`;
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

/** What another value of a field would be, to see whether a name tells it. */
const other = { right: { C: 'P', P: 'C' }, strike: (value: number) => value + 1 } as const;

function isTold(contract: Contract, field: keyof Contract, name: string): boolean {
  const value = contract[field];
  const changed =
    field === 'strike'
      ? other.strike(value as number)
      : field === 'right'
        ? other.right[value as 'C' | 'P']
        : field === 'lastTradeDateOrContractMonth'
          ? '19000101'
          : 'QQQ';
  return formatInstrument({ ...contract, [field]: changed }) !== name;
}

/** What everybody means who says nothing: it needs no word in a name. */
function goesWithoutSaying(contract: Contract, field: keyof Contract): boolean {
  const { secType = 'STK', symbol, currency } = contract;
  const value = contract[field];
  switch (field) {
    case 'secType':
      return secType === 'STK';
    case 'exchange':
      return value === defaultExchange(secType);
    case 'currency':
      return value === 'USD' || secType === 'CASH';
    case 'multiplier':
      return secType === 'OPT' && value === '100';
    case 'tradingClass':
      return secType === 'OPT' && value === symbol;
    case 'localSymbol':
      return secType === 'CASH' && value === `${symbol}.${currency}`;
    default:
      return false;
  }
}

/**
 * The name of a contract as a client gives it. Nothing is left out that could make it another one: what the short form does not
 * tell follows it, so that no two contracts share a name, a market-data line or a price.
 */
export function nameOf(contract: Contract): string {
  const name = formatInstrument(contract);
  if (contract.secType === 'BAG') {
    const {
      comboLegs = [],
      exchange = 'SMART',
      secType: _,
      symbol: _named,
      currency = 'USD',
      ...said
    } = contract;
    const routes = comboLegs.map((leg) => leg.exchange);
    return withFurther(name, {
      ...(currency === 'USD' ? {} : { currency }),
      ...said,
      ...(routes.every((route) => route === exchange) ? {} : { legs: routes.join('/') }),
    });
  }
  const fields = (Object.keys(contract) as (keyof Contract)[])
    .filter((field) => contract[field] !== undefined && !goesWithoutSaying(contract, field))
    .filter((field) => !isTold(contract, field, name))
    .sort();
  return withFurther(name, Object.fromEntries(fields.map((field) => [field, contract[field]])));
}

const withFurther = (name: string, further: Readonly<Record<string, unknown>>): string =>
  [name, ...Object.entries(further).map(([field, value]) => `${field}=${String(value)}`)].join(' ');
