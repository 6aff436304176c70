/** The words between the connection and everybody else: what the broker told us, what we ask of it. No wire words. */
import type { Decimal } from './decimal.ts';
import type { Contract } from './instrument.ts';
import type { OrderTerms, OrderTicket, OrderType, Side, TimeInForce } from './order.ts';

/** How the broker holds an order: TWS's status words, reduced to what decides something. */
export type BrokerOrderStatus =
  /** received, not yet confirmed by the exchange or held back */
  | 'pending'
  /** live: at the exchange, or simulated by IB and armed */
  | 'working'
  | 'cancelPending'
  | 'cancelled'
  | 'filled'
  /** TWS `Inactive`: dead unless `heldBecause` says why it may come back */
  | 'inactive';

/** Ids by which the broker names an order. permId is `"0"` until assigned. */
export interface BrokerOrderIds {
  readonly orderId: number;
  readonly clientId: number;
  readonly permId: string;
  readonly orderRef: string;
}

/** Terms as the broker echoes them. A field that TWS left unset is absent. */
export interface BrokerOrderTerms {
  readonly account: string;
  readonly contract: Contract;
  readonly side: Side;
  /** null: a TWS order type outside our vocabulary (orders of others) */
  readonly type: OrderType | null;
  /** TWS's own spelling, for display */
  readonly brokerType: string;
  readonly quantity: Decimal;
  readonly limitPrice?: Decimal;
  readonly stopPrice?: Decimal;
  readonly trailAmount?: Decimal;
  readonly trailPercent?: Decimal;
  readonly timeInForce: TimeInForce | null;
  readonly ocaGroup?: string;
  readonly parentOrderId?: number;
  readonly outsideRegularHours?: boolean;
}

/** What the broker said about orders. Facts: never refused, never dropped. `at` = when the bytes were read, ms. */
export type BrokerFact =
  | {
      readonly type: 'broker.orderSeen';
      readonly at: number;
      readonly ids: BrokerOrderIds;
      readonly terms: BrokerOrderTerms;
      readonly status: BrokerOrderStatus;
      /** reason that TWS gives beside an inactive order (warning text), empty if none */
      readonly text: string;
    }
  | {
      readonly type: 'broker.statusSeen';
      readonly at: number;
      readonly ids: Omit<BrokerOrderIds, 'orderRef'>;
      readonly status: BrokerOrderStatus;
      /** null: TWS did not say */
      readonly filled: Decimal | null;
      readonly remaining: Decimal | null;
      readonly averagePrice: Decimal | null;
      readonly heldBecause: string;
    }
  | {
      readonly type: 'broker.executed';
      readonly at: number;
      readonly ids: BrokerOrderIds;
      readonly execution: BrokerExecution;
    }
  | {
      readonly type: 'broker.commissioned';
      readonly at: number;
      readonly execId: string;
      /** null: unset, or the -1 that means pending */
      readonly commission: Decimal | null;
      readonly currency: string;
      readonly realizedPnl: Decimal | null;
    }
  | {
      /** an error or notice that TWS tied to an order id; `disposition` comes from the one table of codes */
      readonly type: 'broker.orderNoted';
      readonly at: number;
      readonly orderId: number;
      readonly code: number;
      readonly message: string;
      readonly disposition: OrderNoteDisposition;
    }
  | {
      readonly type: 'broker.completedSeen';
      readonly at: number;
      readonly ids: BrokerOrderIds;
      readonly terms: BrokerOrderTerms;
      readonly status: 'filled' | 'cancelled' | 'inactive';
      readonly filled: Decimal | null;
      readonly completedAt: string;
      readonly text: string;
    }
  | {
      readonly type: 'broker.positionSeen';
      readonly at: number;
      readonly account: string;
      readonly contract: Contract;
      readonly quantity: Decimal;
      readonly averageCost: Decimal;
    }
  | {
      /** TWS's next order id for this client: a reason to raise the allocator's floor, never to lower it */
      readonly type: 'broker.orderIdGranted';
      readonly at: number;
      readonly orderId: number;
    };

export interface BrokerExecution {
  /** with its revision: `0000e0d5.67fe667b.01.01` */
  readonly execId: string;
  readonly account: string;
  readonly contract: Contract;
  readonly side: Side;
  readonly quantity: Decimal;
  readonly price: Decimal;
  /** broker's own time, RFC 3339 UTC */
  readonly executedAt: string;
  readonly exchange: string;
  readonly cumulativeQuantity: Decimal;
  readonly averagePrice: Decimal;
  readonly liquidation: boolean;
}

/**
 * What an error code on an order id can mean. The code alone never ends an order: the order's machine weighs it
 * against its state (`refusal` ends an order nobody has acknowledged, and only the change of one that works).
 */
export type OrderNoteDisposition =
  /** information: the order lives on (399, 10349, 404, 2109, ...) and every code that we do not know */
  | 'notice'
  /** the request was refused: new order or modification (201, 200, 110, 103, 104, 105, 135, 203, 321, ...) */
  | 'refusal'
  /** the order id was used before: nothing entered the book (103) */
  | 'duplicateOrderId'
  /** the parent that the order names is not in the book (135): refuses the order or its change */
  | 'parentUnknown'
  /** the broker cancelled the order (202) */
  | 'cancelled'
  /** the order to cancel is not in the book (10147) */
  | 'cancelTargetUnknown'
  /** the order to cancel is already closed (10148), the state is in the text */
  | 'cancelTargetClosed';

/** What we ask of TWS about orders. `parentOrderId`: 0 for none. */
export interface PlaceOrder {
  readonly type: 'tws.place';
  readonly orderId: number;
  readonly parentOrderId: number;
  readonly ticket: OrderTicket;
  /** true: a modification of a live order */
  readonly modification: boolean;
  /** when it was asked, ms; dates the answer when the command is withheld at once */
  readonly at?: number;
}
export interface CancelOrder {
  readonly type: 'tws.cancel';
  readonly clientOrderId: string;
  readonly orderId: number;
  readonly at?: number;
}
/** Cancels every open order of the account, ours or not. Answered with an empty clientOrderId and order id 0. */
export interface CancelAllOrders {
  readonly type: 'tws.cancelAll';
  readonly at?: number;
}
export type TwsCommand = PlaceOrder | CancelOrder | CancelAllOrders;

/** Changed terms of a modification, as the client asked. */
export type TermsChange = Partial<OrderTerms>;

/** What happened to a command on its way out. */
export type DispatchFact =
  /** the bytes were handed to the socket of this session */
  | {
      readonly type: 'dispatch.sent';
      readonly clientOrderId: string;
      readonly orderId: number;
      readonly what: 'place' | 'modify' | 'cancel' | 'cancelAll';
      readonly sessionId: string;
      readonly at: number;
    }
  /** certain that no byte left: no session, or the session ended while the command waited for pacing */
  | {
      readonly type: 'dispatch.withheld';
      readonly clientOrderId: string;
      readonly orderId: number;
      readonly what: 'place' | 'modify' | 'cancel' | 'cancelAll';
      readonly reason: string;
      readonly at: number;
    };

/** A command of which no byte leaves, and why. */
export function withheld(command: TwsCommand, reason: string, at: number): DispatchFact {
  const fact = { type: 'dispatch.withheld', reason, at } as const;
  switch (command.type) {
    case 'tws.place': {
      const { orderId, ticket, modification } = command;
      const { clientOrderId } = ticket;
      return { ...fact, clientOrderId, orderId, what: modification ? 'modify' : 'place' };
    }
    case 'tws.cancel': {
      const { clientOrderId, orderId } = command;
      return { ...fact, clientOrderId, orderId, what: 'cancel' };
    }
    case 'tws.cancelAll':
      return { ...fact, clientOrderId: '', orderId: 0, what: 'cancelAll' };
  }
}

/** State of the link to IB through a live gateway. */
export type LinkState = 'whole' | 'impaired' | 'severed';

export type FarmKind = 'market' | 'history' | 'secdef';
export interface Farm {
  readonly name: string;
  readonly kind: FarmKind;
  readonly status: 'ok' | 'broken' | 'inactive';
  readonly since: number;
}

/** One complete or failed answer to a question. Failed never reads as empty. */
export type Snapshot<T> =
  | { readonly outcome: 'complete'; readonly rows: readonly T[]; readonly at: number }
  | { readonly outcome: 'failed'; readonly reason: string; readonly at: number };

/** What a preview of an order says. Null: the broker gave no figure. */
export interface OrderPreview {
  readonly initialMarginBefore: Decimal | null;
  readonly initialMarginChange: Decimal | null;
  readonly initialMarginAfter: Decimal | null;
  readonly maintenanceMarginBefore: Decimal | null;
  readonly maintenanceMarginChange: Decimal | null;
  readonly maintenanceMarginAfter: Decimal | null;
  readonly equityWithLoanBefore: Decimal | null;
  readonly equityWithLoanChange: Decimal | null;
  readonly equityWithLoanAfter: Decimal | null;
  readonly commission: Decimal | null;
  readonly minCommission: Decimal | null;
  readonly maxCommission: Decimal | null;
  readonly commissionCurrency: string | null;
  readonly warning: string | null;
}

/** One value of an account; `at` is when TWS last sent it, RFC 3339. */
export interface AccountValue {
  readonly account: string;
  readonly key: string;
  readonly value: string;
  readonly currency: string;
  readonly at: string;
}

export interface ContractDetails {
  readonly contract: Contract;
  readonly instrument: string;
  readonly longName: string;
  readonly minTick: number;
  readonly timeZone: string;
  readonly tradingHours: string;
  readonly liquidHours: string;
  readonly validExchanges: readonly string[];
  readonly orderTypes: readonly string[];
}

/** Why a session ended, or never came to be. */
export type LossCause =
  /** nobody listens there, or the host cannot be reached */
  | 'refused'
  /** no TCP connection in time */
  | 'dialTimeout'
  /** connected, but no greeting in time: a proxy or a dead gateway holds the port */
  | 'greetingTimeout'
  /** connected, and hung up on before a greeting: likewise, or TWS does not trust this address */
  | 'turnedAway'
  /** greeted, but accounts, order id or the first probe did not come in time */
  | 'syncTimeout'
  | 'clientIdInUse'
  | 'versionUnsupported'
  /** TWS hung up after complaining about too many messages */
  | 'limited'
  /** the peer closed or reset the connection */
  | 'closed'
  /** a heartbeat was not answered in time */
  | 'silent'
  /** bytes that are no frames of the protocol */
  | 'garbage'
  /** our own session code failed */
  | 'failed'
  /** we hung up */
  | 'asked';

/** What the session of one connection attempt tells the connection machine, besides facts. `at` in ms. */
export type SessionEvent =
  | { readonly type: 'session.dialing'; readonly at: number }
  | { readonly type: 'session.connected'; readonly at: number }
  | { readonly type: 'session.greeted'; readonly serverVersion: number; readonly at: number }
  | { readonly type: 'session.accountsListed'; readonly accounts: readonly string[]; readonly at: number }
  | { readonly type: 'session.orderIdGranted'; readonly orderId: number; readonly at: number }
  | { readonly type: 'session.probed'; readonly rttMs: number; readonly at: number }
  | {
      readonly type: 'session.closed';
      readonly cause: 'refused' | 'closed' | 'garbage';
      readonly message: string;
      readonly at: number;
    }
  | {
      readonly type: 'session.refused';
      readonly cause: 'clientIdInUse' | 'versionUnsupported';
      readonly message: string;
      readonly at: number;
    }
  | { readonly type: 'session.limited'; readonly message: string; readonly at: number }
  | {
      readonly type: 'session.noted';
      readonly code: number;
      readonly message: string;
      readonly severity: NoteSeverity;
      readonly at: number;
    }
  | ({ readonly type: 'session.undecodable' } & UndecodableFrame)
  | { readonly type: 'link.severed'; readonly at: number }
  | { readonly type: 'link.restored'; readonly dataLost: boolean; readonly at: number }
  | { readonly type: 'farm.changed'; readonly farm: Farm; readonly at: number };

export type NoteSeverity = 'info' | 'warning' | 'urgent';

/** A message that could not be decoded, kept for people. */
export interface UndecodableFrame {
  /** the frame, fields parted by `|`, cut to 2,000 characters */
  readonly text: string;
  readonly problem: string;
  /** it carried an order or an execution: ask for both again */
  readonly concernsOrders: boolean;
  /** so many messages, of which no text is kept, in a flood of them; absent: this one */
  readonly count?: number;
  readonly at: number;
}

/** What the connection machine tells its parent about the link. Facts and dispatch facts pass through beside it. */
export type LinkReport =
  | {
      readonly type: 'tws.ready';
      readonly sessionId: string;
      readonly accounts: readonly string[];
      readonly serverVersion: number;
      readonly orderId: number;
      readonly at: number;
    }
  /** sent once for each `tws.ready` */
  | {
      readonly type: 'tws.lost';
      readonly sessionId: string;
      readonly cause: LossCause;
      readonly message: string;
      readonly at: number;
    }
  | { readonly type: 'tws.severed'; readonly sessionId: string; readonly at: number }
  /** sent once for each `tws.severed` that the session survives */
  | {
      readonly type: 'tws.restored';
      readonly sessionId: string;
      readonly dataLost: boolean;
      readonly at: number;
    }
  /** there has been no session for longer than any restart takes: a person must look. Sent once for each absence */
  | {
      readonly type: 'tws.absent';
      /** when the last session ended, or the first attempt began, ms */
      readonly since: number;
      readonly cause: LossCause;
      readonly message: string;
      readonly attempts: number;
      readonly at: number;
    }
  /** sent once for each `tws.absent` that ended with a session */
  | { readonly type: 'tws.returned'; readonly since: number; readonly at: number }
  /** `repeated`: a new session tells what the one before has told */
  | { readonly type: 'tws.farmChanged'; readonly farm: Farm; readonly at: number; readonly repeated?: true }
  | {
      readonly type: 'tws.noted';
      readonly code: number;
      readonly message: string;
      readonly severity: NoteSeverity;
      readonly at: number;
    }
  | ({ readonly type: 'tws.undecodable' } & UndecodableFrame);

const retryPolicies: Readonly<Record<LossCause, { readonly firstMs: number; readonly lastMs: number }>> = {
  refused: { firstMs: 500, lastMs: 15_000 },
  dialTimeout: { firstMs: 1_000, lastMs: 30_000 },
  greetingTimeout: { firstMs: 2_000, lastMs: 30_000 },
  turnedAway: { firstMs: 1_000, lastMs: 30_000 },
  syncTimeout: { firstMs: 2_000, lastMs: 30_000 },
  clientIdInUse: { firstMs: 2_000, lastMs: 30_000 },
  versionUnsupported: { firstMs: 60_000, lastMs: 300_000 },
  limited: { firstMs: 5_000, lastMs: 60_000 },
  closed: { firstMs: 500, lastMs: 15_000 },
  silent: { firstMs: 500, lastMs: 15_000 },
  garbage: { firstMs: 2_000, lastMs: 30_000 },
  failed: { firstMs: 2_000, lastMs: 30_000 },
  asked: { firstMs: 0, lastMs: 0 },
};

/** Every way in which a session can end. */
export const lossCauses = Object.keys(retryPolicies) as readonly LossCause[];

/**
 * Longest pause inside a scheduled reset and while a gateway is absent, before jitter. The first attempts stay quick:
 * most resets last a minute.
 */
const calmRetryMs = 60_000;

/**
 * How long to wait before the next attempt, in ms: doubled with each failure in a row up to a bound that depends
 * on the cause, of which a random half to the whole. `failures` >= 1, `chance` in [0, 1), `calm`
 * within a reset or an absence.
 */
export function retryDelayMs(cause: LossCause, failures: number, chance: number, calm: boolean): number {
  const { firstMs, lastMs } = retryPolicies[cause];
  const bound = calm ? Math.max(lastMs, calmRetryMs) : lastMs;
  return Math.round(Math.min(bound, firstMs * 2 ** Math.min(failures - 1, 20)) * (0.5 + chance / 2));
}

/** The next state of a 32-bit linear congruential generator (Numerical Recipes' constants). */
export const nextRandom = (state: number): number => (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
/** A generator state as a number in [0, 1). */
export const chanceOf = (state: number): number => state / 2 ** 32;

const newYork = new Intl.DateTimeFormat('en-US', {
  timeZone: 'America/New_York',
  weekday: 'short',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
});

/**
 * Whether IB resets its systems at this time (ms). IB publishes 00:15-01:45 New York time each day for North America
 * and Friday 23:00 to Saturday 03:00 for all regions; gateways restart themselves at 23:45 unless told otherwise,
 * so the daily window begins there.
 */
export function isResetTime(at: number): boolean {
  const parts = new Map(newYork.formatToParts(at).map(({ type, value }) => [type, value]));
  const day = parts.get('weekday');
  const minutes = Number(parts.get('hour')) * 60 + Number(parts.get('minute'));
  if (minutes >= 23 * 60 + 45 || minutes < 60 + 45) return true;
  return (day === 'Fri' && minutes >= 23 * 60) || (day === 'Sat' && minutes < 3 * 60);
}

/** Whether any known farm is broken. */
export const hasBrokenFarm = (farms: readonly Farm[]): boolean =>
  farms.some((farm) => farm.status === 'broken');

/** The farm as a former session told of it, when nothing is new about it. */
export const asToldBefore = (told: readonly Farm[], farm: Farm): Farm =>
  told.find(({ name, kind, status }) => name === farm.name && kind === farm.kind && status === farm.status) ??
  farm;

const farmLimit = 64;
/** The farms after one of them changed: one row per name and kind, the oldest forgotten beyond 64. */
export function withFarm(farms: readonly Farm[], changed: Farm): readonly Farm[] {
  const known = farms.find((farm) => farm.name === changed.name && farm.kind === changed.kind);
  if (known?.status === changed.status) return farms;
  return [...farms.filter((farm) => farm !== known), changed].slice(-farmLimit);
}
