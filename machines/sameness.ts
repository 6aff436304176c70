/**
 * Whether two names mean one instrument: `AAPL`, `AAPL@NASDAQ` and `CONID:265598` are one position, whatever a client calls
 * it. TWS's own number decides where it is known; before that, stocks and currencies are told apart without their exchange.
 */
import type { Contract } from './instrument.ts';

/** Instrument name -> TWS's number of the contract, as far as it was told. */
export type ContractNumbers = Readonly<Record<string, number>>;

interface Named {
  readonly instrument: string;
  readonly contract?: Contract;
}

export interface Identity {
  readonly conId: number | undefined;
  /** without the exchange where that is only a way to trade it */
  readonly name: string;
}

const prefixOf = (instrument: string): string => instrument.slice(0, instrument.indexOf(':') + 1);
const routed: ReadonlySet<string> = new Set(['', 'CONID:', 'CASH:', 'CRYPTO:', 'CFD:']);

function withoutExchange(instrument: string): string {
  const begin = instrument.indexOf('@');
  if (begin < 0 || !routed.has(prefixOf(instrument))) return instrument;
  const end = instrument.indexOf('/', begin);
  return instrument.slice(0, begin) + (end < 0 ? '' : instrument.slice(end));
}

const numberOf = (numbers: ContractNumbers, name: string): number | undefined =>
  Object.hasOwn(numbers, name) ? numbers[name] : undefined;

/** All combinations of a kind share one number. */
const ownNumber = ({ instrument, contract }: Named): number | undefined => {
  if (contract?.secType === 'BAG') return undefined;
  if (contract?.conId) return contract.conId;
  return instrument.startsWith('CONID:') ? Number.parseInt(instrument.slice(6), 10) : undefined;
};

export function identityOf(numbers: ContractNumbers, named: Named): Identity {
  const name = withoutExchange(named.instrument);
  const conId = ownNumber(named) ?? numberOf(numbers, named.instrument) ?? numberOf(numbers, name);
  return { conId, name };
}

export const isSameInstrument = (a: Identity, b: Identity): boolean =>
  a.conId !== undefined && b.conId !== undefined ? a.conId === b.conId : a.name === b.name;

/** With the number of this one, under its name and under that without an exchange. The same object when it was known. */
export function withNumber(numbers: ContractNumbers, named: Named): ContractNumbers {
  const conId = ownNumber(named);
  const { instrument } = named;
  if (conId === undefined || numberOf(numbers, instrument) === conId) return numbers;
  const name = withoutExchange(instrument);
  return { ...numbers, [name]: numberOf(numbers, name) ?? conId, [instrument]: conId };
}
