import {
  absolute,
  add,
  compare,
  isZero,
  larger,
  multiply,
  negate,
  subtract,
} from '../../../machines/decimal.ts';
import type { GateBook } from '../../../machines/gate.ts';
import type { OrderTicket } from '../../../machines/order.ts';
import type { Checker } from '../observation.ts';

/** What the gate let through keeps every limit, reckoned anew from what it had before it. */
export const limitsHold = (): Checker => {
  const asked = new Map<string, readonly OrderTicket[]>();
  let approvals: { readonly at: number; readonly count: number }[] = [];
  return {
    name: 'limits hold',
    hears: ['asked', 'reviewed', 'born'],
    *hear(observation) {
      if (observation.type === 'born') approvals = [];
      if (observation.type === 'asked') asked.set(observation.requestId, observation.tickets);
      if (observation.type !== 'reviewed' || !observation.isApproved) return;
      const tickets = asked.get(observation.requestId);
      if (tickets === undefined) return;
      const { gate, at, multiplierOf } = observation;
      const { limits } = gate;
      approvals = [...approvals.filter((each) => each.at > at - 1_000), { at, count: tickets.length }];
      const rate = approvals.reduce((sum, { count }) => sum + count, 0);
      if (limits.maxOrdersPerSecond > 0 && rate > limits.maxOrdersPerSecond)
        yield `${rate} orders were approved within a second, ${limits.maxOrdersPerSecond} may be`;
      const open = Object.keys(gate.exposures).length;
      if (limits.maxOpenOrders > 0 && open > limits.maxOpenOrders)
        yield `${open} orders are open after an approval, ${limits.maxOpenOrders} may be`;
      for (const ticket of tickets) {
        const { clientOrderId, quantity, account, instrument } = ticket;
        if (!isZero(limits.maxOrderQuantity) && compare(quantity, limits.maxOrderQuantity) > 0)
          yield `${clientOrderId} over ${quantity} was approved, ${limits.maxOrderQuantity} may be`;
        const price = ticket.limitPrice ?? ticket.stopPrice;
        if (price === undefined || ticket.parentClientOrderId !== undefined) continue;
        const worth = (units: string): string =>
          absolute(multiply(multiply(units, price), multiplierOf(instrument)));
        if (!isZero(limits.maxOrderNotional) && compare(worth(quantity), limits.maxOrderNotional) > 0)
          yield `${clientOrderId} is worth ${worth(quantity)}, ${limits.maxOrderNotional} may be`;
        const held = gate.positions[`${account}|${instrument}`] ?? '0';
        const open = openOf(gate, ticket);
        const after = ticket.side === 'buy' ? add(held, open) : subtract(held, open);
        const isCombo = ticket.contract.comboLegs !== undefined;
        const grows = isCombo ? someLegGrows(gate, ticket) : compare(absolute(after), absolute(held)) > 0;
        if (
          !isZero(limits.maxPositionNotional) &&
          grows &&
          !isCombo &&
          compare(worth(after), limits.maxPositionNotional) > 0
        )
          yield `${clientOrderId} may make a position of ${after} worth ${worth(after)}, ${limits.maxPositionNotional} may be`;
        const loss = negate(gate.dailyPnl[account] ?? '0');
        if (!isZero(limits.maxDailyLoss) && compare(loss, limits.maxDailyLoss) > 0 && grows)
          yield `${clientOrderId} may grow a position after a loss of ${loss}, ${limits.maxDailyLoss} may be lost`;
        if (observation.state === 'reducing' && grows)
          yield `${clientOrderId} may grow the position of ${held} in ${instrument} while trading is reducing`;
      }
    },
  };
};

/** Whether a combination, with all that is open in its legs on the side of each, could make a position in one of them larger. */
function someLegGrows(gate: GateBook, { account, side, contract }: OrderTicket): boolean {
  const isBuy = (way: 'buy' | 'sell', action: 'BUY' | 'SELL'): boolean =>
    (way === 'buy') === (action === 'BUY');
  return (contract.comboLegs ?? []).some(({ conId, action }) => {
    const names = Object.keys(gate.numbers).filter((name) => gate.numbers[name] === conId);
    const held = names.reduce((sum, name) => add(sum, gate.positions[`${account}|${name}`] ?? '0'), '0');
    const way = isBuy(side, action);
    let open = '0';
    for (const exposure of Object.values(gate.exposures)) {
      if (exposure.account !== account) continue;
      if (names.includes(exposure.instrument) && (exposure.side === 'buy') === way)
        open = add(open, exposure.remaining);
      for (const leg of exposure.legs ?? [])
        if (
          leg.instrument === `CONID:${conId}` &&
          ((exposure.side === 'buy') === (leg.side === 'buy')) === way
        )
          open = add(open, multiply(exposure.remaining, leg.ratio));
    }
    const after = way ? add(held, open) : subtract(held, open);
    return compare(absolute(after), absolute(held)) > 0;
  });
}

/**
 * All open orders of the side, this one included: the gate has reserved it by now. An exit counts for what its parent has opened
 * already, and of the exits of one parent only one fills.
 */
function openOf({ exposures }: GateBook, { account, instrument, side }: OrderTicket): string {
  let open = '0';
  const exits: Record<string, string> = {};
  for (const { parent, remaining, ...exposure } of Object.values(exposures)) {
    if (exposure.account !== account || exposure.instrument !== instrument || exposure.side !== side)
      continue;
    if (parent === null) {
      open = add(open, remaining);
      continue;
    }
    const unopened = exposures[parent];
    const opens = unopened && unopened.side !== side && unopened.instrument === instrument;
    const beyond = opens ? subtract(remaining, unopened.remaining) : remaining;
    exits[parent] = larger(exits[parent] ?? '0', beyond);
  }
  return Object.values(exits).reduce(add, open);
}
