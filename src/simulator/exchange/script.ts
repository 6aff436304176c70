/** The levers of tests and scenarios, on the same parts that serve the clients. */
import type { BookOrder, ExchangeScript, Execution, OrderRequest } from '../model.ts';
import { completeRequest } from './book.ts';
import { limitNow } from './decisions.ts';
import type { Floor } from './floor.ts';
import type { Instrument } from './instruments.ts';
import type { Intake } from './intake.ts';
import type { Settlement } from './settlement.ts';
import { findFault } from './terms.ts';
import type { Venue } from './venue.ts';
import type { WorkingOrder } from './workingOrder.ts';
import { pictureOf, remainingOf } from './workingOrder.ts';

export function createScript(
  floor: Floor,
  parts: { readonly venue: Venue; readonly intake: Intake; readonly settlement: Settlement },
): ExchangeScript {
  const { venue, intake, settlement } = parts;

  function instrumentOf(conId: number): Instrument {
    const instrument = floor.directory.instrument(conId);
    if (instrument === null) throw new RangeError(`no contract has the conId ${conId}`);
    return instrument;
  }

  function orderOf(permId: number): WorkingOrder {
    const order = floor.book.withPermId(permId);
    if (order === null) throw new RangeError(`no order has the permId ${permId}`);
    return order;
  }

  function knownAccount(account: string): string {
    if (!floor.accounts.includes(account)) throw new RangeError(`account "${account}" is unknown`);
    return account;
  }

  function marketPrice(order: WorkingOrder): number {
    const quote = floor.market.quote(order.instrument);
    const opposite = order.sign === 1 ? quote.ask : quote.bid;
    return limitNow(order, quote) ?? opposite;
  }

  return {
    pin(conId, quote) {
      const instrument = instrumentOf(conId);
      floor.prices.pin(instrument, floor.now(), quote);
      if (quote.halted !== undefined) floor.market.setHalted(instrument, quote.halted);
      floor.market.refresh();
    },

    release(conId) {
      floor.prices.release(conId, floor.now());
      floor.market.refresh();
    },

    halt(conId, halted) {
      floor.market.setHalted(instrumentOf(conId), halted);
    },

    fill(permId, shares, price) {
      const order = orderOf(permId);
      if (!(shares > 0) || shares > remainingOf(order) + 1e-9)
        throw new RangeError(`shares must be in (0, ${remainingOf(order)}], got ${shares}`);
      return venue.fill(order, shares, price ?? marketPrice(order), 2);
    },

    hold(permId) {
      const order = orderOf(permId);
      order.isHeld = true;
      floor.remember(order);
    },

    unhold(permId) {
      const order = orderOf(permId);
      order.isHeld = false;
      venue.review(order);
    },

    correct(execId, change) {
      const entry = floor.tape.entry(execId);
      if (entry === null || !entry.isCurrent)
        throw new RangeError(`no execution has the id ${execId} as its newest revision`);
      return settlement.correct(entry, change);
    },

    end(permId, how, why = {}) {
      const order = orderOf(permId);
      if (how === 'Inactive' && (why.whyHeld ?? '') !== '') {
        if (!order.isOpen) throw new RangeError(`the order ${permId} has ended`);
        const { clientId, orderId } = order.request;
        if (why.code !== undefined)
          floor.emit({ type: 'orderError', clientId, orderId, permId, code: why.code, text: why.text ?? '' });
        order.isHeld = true;
        order.status = 'Inactive';
        order.whyHeld = why.whyHeld ?? '';
        venue.tell(order);
        return;
      }
      if (how === 'Inactive')
        venue.end(order, 'Inactive', 'Inactive', why.text ?? 'Order rejected - reason:', why.code ?? 201);
      else {
        const reason =
          how === 'Expired' ? 'Order Canceled - reason:Order expired' : 'Order Canceled - reason:';
        const completed = how === 'Expired' ? 'Expired' : 'Cancelled by System';
        venue.end(order, 'Cancelled', completed, why.text ?? reason, why.code ?? 202);
      }
    },

    external(partial): BookOrder {
      const request = completeRequest(partial);
      const resolution = floor.directory.resolve(request.contract);
      if ('code' in resolution) throw new RangeError(`${resolution.code} ${resolution.text}`);
      const fault = findFault(request, resolution.instrument, floor.now());
      if (fault !== null) throw new RangeError(`${fault.code} ${fault.text}`);
      return pictureOf(intake.enterAtOnce(request, resolution.instrument));
    },

    liquidate(account, conId): Execution {
      const instrument = instrumentOf(conId);
      const held = floor.ledger.quantity(knownAccount(account), conId);
      if (held === 0) throw new RangeError(`account ${account} holds nothing of ${conId}`);
      const request: OrderRequest = completeRequest({
        contract: instrument.contract,
        account,
        orderId: -1,
        action: held > 0 ? 'SELL' : 'BUY',
        totalQuantity: Math.abs(held),
      });
      const order = intake.makeOrder(request, instrument);
      order.isTransmitted = true;
      floor.book.add(order);
      return venue.fill(order, Math.abs(held), marketPrice(order), 2);
    },

    setPosition(account, conId, position, avgCost) {
      const instrument = instrumentOf(conId);
      floor.ledger.setPosition(knownAccount(account), instrument, position, avgCost);
      const row = floor.ledger.position(account, conId);
      if (row !== null) floor.emit({ type: 'position', position: row });
      floor.emit({ type: 'account', account });
    },

    setCash(account, currency, amount) {
      floor.ledger.setCash(knownAccount(account), currency, amount);
      floor.emit({ type: 'account', account });
    },

    rejectNext(code, text, times = Number.POSITIVE_INFINITY) {
      intake.rejectNext(code, text, times);
    },

    setLiquidity(conId, sharesPerMatch) {
      instrumentOf(conId);
      if (sharesPerMatch > 0) floor.liquidity.set(conId, sharesPerMatch);
      else floor.liquidity.delete(conId);
    },
  };
}
