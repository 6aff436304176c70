/** Reads an instrument wherever a client may name one: the short form, or a contract object. */
import {
  type Contract,
  defaultExchange,
  formatInstrument,
  nameOf,
  parseInstrument,
} from '../../machines/instrument.ts';
import type { FieldProblem } from '../../machines/order.ts';
import { ContractInput } from './order-schema.ts';
import { type Checked, checkOf } from './validation.ts';

export interface NamedContract {
  readonly contract: Contract;
  /** canonical short form */
  readonly instrument: string;
}

const checkContract = checkOf(ContractInput);

/** `pointer` names the field in complaints. Text that begins with `{` is a contract as JSON (paths, query strings). */
export function readInstrument(value: unknown, pointer: string): Checked<NamedContract> {
  if (typeof value !== 'string') return readContract(value, pointer);
  if (value.startsWith('{')) {
    try {
      return readContract(JSON.parse(value), pointer);
    } catch {
      return complain(pointer, 'begins like a contract object, but is not JSON');
    }
  }
  const parsed = parseInstrument(value);
  if ('problem' in parsed) return complain(pointer, parsed.problem);
  // the short form may say no more than a contract may
  const { errors } = checkContract(parsed.contract);
  if (errors) return complain(pointer, `${errors[0]?.pointer.slice(1)} ${errors[0]?.detail}`);
  return { value: { contract: parsed.contract, instrument: formatInstrument(parsed.contract) } };
}

function readContract(value: unknown, pointer: string): Checked<NamedContract> {
  const { value: given, errors } = checkContract(value);
  if (errors) return { errors: errors.map((error) => ({ ...error, pointer: pointer + error.pointer })) };
  const contract = meant(withDefaults(given));
  if (contract.conId === undefined && contract.symbol === undefined && contract.localSymbol === undefined) {
    return complain(pointer, 'a contract needs conId, symbol or localSymbol');
  }
  if (contract.secType === 'BAG' && contract.comboLegs === undefined) {
    return complain(`${pointer}/comboLegs`, 'a combination (BAG) needs its legs');
  }
  const instrument = nameOf(contract);
  if (instrument.startsWith('UNKNOWN')) {
    return complain(
      pointer,
      'does not tell one instrument: give conId, localSymbol, or the expiry (with right and strike for options)',
    );
  }
  return { value: { contract, instrument } };
}

/** TWS goes by the number alone: what is said beside it might be of another contract. */
function meant(contract: Contract): Contract {
  const { conId, exchange, secType } = contract;
  if (conId === undefined || secType === 'BAG') return contract;
  return { conId, ...(exchange !== undefined && { exchange }) };
}

/** The defaults of the short form, so that one name means one contract. A future trades where it is listed: no default there. */
function withDefaults(given: Contract): Contract {
  const { conId, secType = 'STK' } = given;
  const exchange =
    secType === 'FUT' || secType === 'FOP' || secType === 'CONTFUT' ? undefined : defaultExchange(secType);
  return {
    ...(conId === undefined && { secType, currency: 'USD' }),
    ...(exchange !== undefined && { exchange }),
    ...given,
  };
}

function complain(pointer: string, detail: string): { errors: readonly FieldProblem[] } {
  return { errors: [{ pointer, detail }] };
}
