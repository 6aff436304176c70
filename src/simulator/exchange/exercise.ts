/** The exercise of options: the option goes at nothing, its underlying comes or goes at the strike. */
import type { ExerciseRequest } from '../model.ts';
import { completeRequest } from './book.ts';
import type { Floor } from './floor.ts';
import type { Instrument } from './instruments.ts';
import { multiplierOf } from './instruments.ts';
import type { Venue } from './venue.ts';
import type { WorkingOrder } from './workingOrder.ts';

type MakeOrder = (request: WorkingOrder['request'], instrument: Instrument) => WorkingOrder;

/** Exercises at once as orders of TWS itself; answers the cause when that cannot be. */
export function exerciseOption(
  floor: Floor,
  venue: Venue,
  makeOrder: MakeOrder,
  request: ExerciseRequest,
): string | null {
  const resolution = floor.directory.resolve(request.contract);
  if ('code' in resolution) return resolution.text;
  const { instrument } = resolution;
  const { contract, driver } = instrument;
  const account = request.account === '' ? (floor.accounts[0] ?? '') : request.account;
  if (!floor.accounts.includes(account)) return `Invalid account code '${account}'`;
  const held = floor.ledger.quantity(account, contract.conId);
  if (driver.type !== 'option' || !(held > 0)) return 'No unlapsed position exists in this option';
  const { quantity } = request;
  if (!(quantity > 0) || quantity > held) return `The quantity to exercise must be from 1 to ${held}`;
  if (request.action !== 1) return 'An option lapses at its expiry; it cannot be made to lapse before';
  const sign = contract.right === 'C' ? 1 : -1;
  const intrinsic = Math.max(0, sign * (floor.market.mark(driver.underlying) - contract.strike));
  if (intrinsic === 0 && !request.override) return 'The option is out of the money; it takes an override';

  const trade = (of: Instrument, action: 'BUY' | 'SELL', size: number, price: number): void => {
    const terms = { contract: of.contract, account, action, totalQuantity: size };
    const order = makeOrder(completeRequest(terms), of);
    order.isTransmitted = true;
    floor.book.add(order);
    venue.fill(order, size, price, 2, 'EXERCISE');
  };
  // What cannot be delivered, such as an index, is settled in cash.
  const isDelivered = driver.underlying.contract.secType !== 'IND';
  trade(instrument, 'SELL', quantity, isDelivered ? 0 : intrinsic);
  const shares = quantity * multiplierOf(contract);
  if (isDelivered) trade(driver.underlying, sign === 1 ? 'BUY' : 'SELL', shares, contract.strike);
  return null;
}
