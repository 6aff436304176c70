import type { ComboLeg, Contract, ContractQuery } from '../model.ts';
import { FieldError, type FieldReader } from './fields.ts';

/** More legs than this are not an order but damage. */
export const MAX_LEGS = 100;

/** `C`, `CALL`, `P`, `PUT`; `?`, `0` and empty mean none. */
function readRight(reader: FieldReader): '' | 'C' | 'P' {
  const text = reader.text('right').toUpperCase();
  if (text === 'C' || text === 'CALL') return 'C';
  if (text === 'P' || text === 'PUT') return 'P';
  if (text === '' || text === '?' || text === '0') return '';
  throw new FieldError('right', `"${text}" is neither call nor put`);
}

export function readAction(reader: FieldReader, name: string): 'BUY' | 'SELL' {
  const text = reader.text(name).toUpperCase();
  if (text === 'BUY') return 'BUY';
  if (text === 'SELL' || text === 'SSHORT') return 'SELL';
  throw new FieldError(name, `"${text}" is neither BUY nor SELL`);
}

/** The twelve fields conId .. tradingClass. */
export function readContract(reader: FieldReader, options: { primaryExchange?: boolean } = {}): Contract {
  const conId = reader.int('conId');
  const symbol = reader.text('symbol');
  const secType = reader.text('secType').toUpperCase();
  const lastTradeDateOrContractMonth = reader.text('lastTradeDateOrContractMonth');
  const strike = reader.double('strike');
  const right = readRight(reader);
  const multiplier = reader.text('multiplier');
  const exchange = reader.text('exchange');
  const primaryExchange = options.primaryExchange === false ? '' : reader.text('primaryExchange');
  const currency = reader.text('currency');
  const localSymbol = reader.text('localSymbol');
  const tradingClass = reader.text('tradingClass');
  return {
    conId,
    symbol,
    secType,
    lastTradeDateOrContractMonth,
    strike,
    right,
    multiplier: multiplier === '0' ? '' : multiplier,
    exchange,
    primaryExchange,
    currency,
    localSymbol,
    tradingClass,
    comboLegs: [],
  };
}

/** The thirteen fields conId .. includeExpired. */
export function readQuery(reader: FieldReader): ContractQuery {
  const contract = readContract(reader);
  return { ...contract, includeExpired: reader.bool('includeExpired'), secIdType: '', secId: '' };
}

/** The short legs of data requests, present only for a BAG. */
export function readDataLegs(reader: FieldReader, contract: Contract): Contract {
  if (contract.secType !== 'BAG') return contract;
  const comboLegs: ComboLeg[] = [];
  const count = reader.count('comboLegsCount', MAX_LEGS);
  for (let leg = 0; leg < count; leg += 1) {
    comboLegs.push({
      conId: reader.int('comboLegs.conId'),
      ratio: reader.int('comboLegs.ratio'),
      action: readAction(reader, 'comboLegs.action'),
      exchange: reader.text('comboLegs.exchange'),
    });
  }
  return { ...contract, comboLegs };
}
