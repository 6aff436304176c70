/** The order types as combinations of a trigger, a way of pricing, and an auction. */

export interface OrderKind {
  /** what must happen before the order goes to the market */
  readonly trigger: 'none' | 'stop' | 'touch' | 'trail';
  /** how it is priced then */
  readonly pricing: 'market' | 'limit' | 'marketToLimit' | 'mid' | 'relative' | 'followed';
  readonly atClose: boolean;
}

function kind(
  pricing: OrderKind['pricing'],
  trigger: OrderKind['trigger'] = 'none',
  atClose = false,
): OrderKind {
  return { pricing, trigger, atClose };
}

const kinds: Readonly<Record<string, OrderKind>> = {
  MKT: kind('market'),
  'MKT PRT': kind('market'),
  LMT: kind('limit'),
  VOL: kind('followed'),
  STP: kind('market', 'stop'),
  'STP PRT': kind('market', 'stop'),
  'STP LMT': kind('limit', 'stop'),
  TRAIL: kind('market', 'trail'),
  'TRAIL LIMIT': kind('limit', 'trail'),
  MIT: kind('market', 'touch'),
  LIT: kind('limit', 'touch'),
  MOC: kind('market', 'none', true),
  LOC: kind('limit', 'none', true),
  MTL: kind('marketToLimit'),
  'BOX TOP': kind('marketToLimit'),
  MIDPRICE: kind('mid'),
  'PEG MID': kind('mid'),
  PEGMID: kind('mid'),
  'SNAP MID': kind('mid'),
  'PEG BEST': kind('mid'),
  PEGBEST: kind('mid'),
  REL: kind('relative'),
  'PASSV REL': kind('relative'),
  'PEG PRIM': kind('relative'),
  'PEG PRI': kind('relative'),
  'SNAP PRIM': kind('relative'),
  'SNAP PRI': kind('relative'),
  'PEG MKT': kind('market'),
  PEGMKT: kind('market'),
  'SNAP MKT': kind('market'),
  'PEG BENCH': kind('followed'),
  PEGBENCH: kind('followed'),
  'PEG STK': kind('followed'),
  'LMT + MKT': kind('limit'),
  'REL + MKT': kind('relative'),
  'REL + LMT': kind('relative'),
};

/** The parts of an order type as IB spells it; null when there is no such type. */
export function orderKind(orderType: string): OrderKind | null {
  return kinds[orderType] ?? null;
}

export const timesInForce: ReadonlySet<string> = new Set([
  'DAY',
  'GTC',
  'IOC',
  'FOK',
  'GTD',
  'OPG',
  'DTC',
  'AUC',
]);
