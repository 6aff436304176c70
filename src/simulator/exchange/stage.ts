/** Why an order is not at the market yet, and when to look again. */
import { areConditionsMet, nextConditionTime } from './conditions.ts';
import { isTriggerReached } from './decisions.ts';
import type { Floor } from './floor.ts';
import type { WorkingOrder } from './workingOrder.ts';
import { isRival, remainingOf } from './workingOrder.ts';

export interface Stage {
  /** may meet the market now */
  readonly isReady: boolean;
  readonly status: 'PreSubmitted' | 'Submitted';
  readonly whyHeld: string;
  /** ms since the epoch; null = no time alone changes the stage */
  readonly wakeAt: number | null;
}

/** How much of a child order its partly filled parent allows now. */
export function roomOf(order: WorkingOrder): number {
  const { parent } = order;
  const remaining = remainingOf(order);
  if (parent === null || !parent.isOpen || parent.sign === order.sign) {
    return parent?.isOpen === true && parent.filled === 0 ? 0 : remaining;
  }
  const step = order.instrument.sizeIncrement;
  const allowed = Math.floor((parent.filled * order.ratioToParent) / step + 1e-9) * step;
  let used = 0;
  for (const child of parent.children) if (isRival(child, order)) used += child.filled;
  return Math.max(0, Math.min(remaining, allowed - used));
}

/** The stage of an order that has neither ended nor been triggered; reads the market, changes nothing. */
export function stageOf(order: WorkingOrder, floor: Floor): Stage {
  const now = floor.now();
  const { kind, request, instrument } = order;
  const isTriggerOrder = kind.trigger !== 'none' && !order.isTriggered;
  const waiting = (whyHeld: string, wakeAt: number | null): Stage => ({
    isReady: false,
    status: 'PreSubmitted',
    whyHeld,
    wakeAt,
  });
  if (order.parent !== null && roomOf(order) <= 0 && remainingOf(order) > 0 && order.filled === 0)
    return waiting(isTriggerOrder ? 'child,trigger' : 'child', null);
  if (order.activeFrom !== null && now < order.activeFrom) return waiting('', order.activeFrom);
  if (request.conditions.length > 0 && !request.conditionsCancelOrder && !order.hasMetMarket) {
    const met = areConditionsMet(request.conditions, worldOf(order, floor));
    if (!met) return waiting('', nextConditionTime(request.conditions, now));
  }
  if (order.auctionAt !== null) {
    if (now < order.auctionAt) return waiting('', order.auctionAt);
  } else if (!floor.calendar.isOpen(instrument.session, now, request.outsideRth))
    return waiting(
      isTriggerOrder ? 'trigger' : '',
      floor.calendar.nextOpen(instrument.session, now, request.outsideRth),
    );
  const cell = floor.market.cell(instrument.contract.conId);
  if (isTriggerOrder && (cell === undefined || cell.halted || !isTriggerReached(order, cell.quote)))
    return waiting('trigger', null);
  const atOnce = kind.pricing === 'market' || kind.pricing === 'marketToLimit';
  return {
    isReady: true,
    status: atOnce && !order.hasMetMarket && order.filled === 0 ? 'PreSubmitted' : 'Submitted',
    whyHeld: '',
    wakeAt: null,
  };
}

export function worldOf(order: WorkingOrder, floor: Floor) {
  return {
    now: floor.now(),
    quote: (conId: number) => {
      const instrument = floor.directory.instrument(conId);
      return instrument === null ? null : floor.market.quote(instrument);
    },
    cushionPercent: () => {
      const { equityWithLoan, securities, commodities, netLiquidation } = floor.ledger.summary(order.account);
      const excess = equityWithLoan - securities.maintenance - commodities.maintenance;
      return netLiquidation > 0 ? (100 * excess) / netLiquidation : 0;
    },
    hasExecuted: (symbol: string, secType: string) =>
      floor.tape.hasExecution(symbol, secType, order.acceptedAt, order.permId),
  };
}
