/** What executions and the broker's reports add up to: positions, and one row per execution. */
import type { Decimal } from './decimal.ts';
import type { Contract } from './instrument.ts';

export interface PositionRow {
  readonly account: string;
  readonly instrument: string;
  readonly contract: Contract;
  readonly quantity: Decimal;
  readonly averageCost: Decimal | null;
  readonly marketPrice: Decimal | null;
  readonly unrealizedPnl: Decimal | null;
  readonly realizedPnl: Decimal | null;
  readonly confirmed: boolean;
}

export interface ExecutionRow {
  readonly execId: string;
  readonly clientOrderId: string | null;
  readonly account: string;
  readonly instrument: string;
  readonly side: 'buy' | 'sell';
  readonly quantity: Decimal;
  readonly price: Decimal;
  readonly commission: Decimal | null;
  readonly currency: string;
  readonly realizedPnl: Decimal | null;
  readonly at: string;
}
