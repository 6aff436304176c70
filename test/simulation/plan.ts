/** What one seed means: who asks for what and when, what happens in the book, and what goes wrong on the way. */
import type { OrderChange } from '../../machines/desk.ts';
import type { GateLimits } from '../../machines/gate.ts';
import type { OrderTicket, OrderType } from '../../machines/order.ts';
import { seededRandom } from '../../src/simulator/shuffle.ts';
import { firstPrice } from './markets.ts';

/** Those of narrow plans: their number and order decide what a seed means. */
const narrowChances = [
  'swallowCommand',
  'holdCommand',
  'duplicateFact',
  'delayFact',
  'loseStatus',
  'loseOpenOrder',
  'loseExecution',
  'lateCommission',
  'strayNotice',
  'strayRefusal',
  'strayCancelled',
  'listPartial',
  'listFailed',
  'listEmpty',
  'listSlow',
  'slowPacing',
] as const;
/** Faults that strike single messages, questions or the disk, by chance: 0 never, 1 always. */
export const chances = [...narrowChances, 'commissionRevised'] as const;
export type Chance = (typeof chances)[number];

/** Faults that happen at a time. */
export const disturbances = [
  'drop',
  'restart',
  'outage',
  'freeze',
  'clientIdInUse',
  'severed',
  'dialog',
  'crash',
  'diskFailure',
  'rejectNext',
] as const;
export type Disturbance = (typeof disturbances)[number];

/** Where within its work the process is killed. */
export const crashPoints = ['now', 'append', 'commit', 'send', 'fact'] as const;
export type CrashPoint = (typeof crashPoints)[number];

export type Step =
  | { readonly kind: 'submit'; readonly at: number; readonly tickets: readonly OrderTicket[] }
  /** the same submission once more, or one that differs under the same name */
  | { readonly kind: 'repeat'; readonly at: number; readonly tickets: readonly OrderTicket[] }
  | { readonly kind: 'modify'; readonly at: number; readonly name: string; readonly change: OrderChange }
  | { readonly kind: 'cancel'; readonly at: number; readonly name: string }
  | { readonly kind: 'kill' | 'halt' | 'reduce' | 'open'; readonly at: number }
  | {
      readonly kind: 'quote';
      readonly at: number;
      readonly symbol: string;
      readonly bid: number;
      readonly ask: number;
      readonly liquidity: number;
    }
  | { readonly kind: 'fill'; readonly at: number; readonly name: string; readonly share: number }
  | {
      readonly kind: 'correct';
      readonly at: number;
      readonly pick: number;
      readonly how: 'bust' | 'shares' | 'price';
    }
  | {
      readonly kind: 'end';
      readonly at: number;
      readonly name: string;
      readonly how: 'Cancelled' | 'Expired' | 'Inactive' | 'Held';
    }
  | {
      readonly kind: 'external';
      readonly at: number;
      readonly name: string;
      readonly symbol: string;
      readonly action: 'BUY' | 'SELL';
      readonly quantity: number;
      readonly limit: number | null;
      readonly clientId: number;
    }
  | { readonly kind: 'liquidate'; readonly at: number; readonly symbol: string }
  | {
      readonly kind: 'setPosition';
      readonly at: number;
      readonly symbol: string;
      readonly quantity: number;
    }
  | { readonly kind: 'drop'; readonly at: number }
  /** `rollBack`: how far nextValidId falls */
  | { readonly kind: 'restart'; readonly at: number; readonly forMs: number; readonly rollBack: number }
  | Lasting<'outage' | 'freeze' | 'clientIdInUse' | 'dialog' | 'diskFailure'>
  | {
      readonly kind: 'severed';
      readonly at: number;
      readonly forMs: number;
      readonly policy: 'hold' | 'swallow';
      readonly replay: 'events' | 'status' | 'none';
      readonly dataLost: boolean;
    }
  | {
      readonly kind: 'crash';
      readonly at: number;
      readonly forMs: number;
      readonly point: CrashPoint;
      /** the so-manieth occurrence of the point */
      readonly count: number;
      /** what waited for the disk is written all the same */
      readonly isTailKept: boolean;
    }
  | {
      readonly kind: 'rejectNext';
      readonly at: number;
      readonly code: number;
      readonly times: number;
    }
  | WideStep;

type Lasting<K> = K extends string
  ? { readonly kind: K; readonly at: number; readonly forMs: number }
  : never;

/** What only wide plans hold. */
export type WideStep =
  /** every open order of ours is cancelled, one by one, through the API */
  | { readonly kind: 'cancelAll'; readonly at: number }
  | { readonly kind: 'preview'; readonly at: number; readonly ticket: OrderTicket }
  /** `cancelAfterMs` 0: the lease is given back */
  | { readonly kind: 'lease'; readonly at: number; readonly client: string; readonly cancelAfterMs: number }
  /** profit or loss of the day */
  | { readonly kind: 'pnl'; readonly at: number; readonly daily: string }
  /** somebody presses the button in TWS */
  | { readonly kind: 'globalCancel'; readonly at: number }
  /** the broker makes a second live order of one of ours */
  | { readonly kind: 'twin'; readonly at: number; readonly name: string }
  /** somebody changes an order in TWS, or another client its own */
  | {
      readonly kind: 'elsewhere';
      readonly at: number;
      readonly name: string;
      readonly limit: number | null;
      /** of what it was */
      readonly share: number;
    };

/** Kinds of wide steps that are things which happen, not things that are asked for. */
export const wideHappenings = [
  'globalCancel',
  'twin',
  'elsewhere',
  'lease',
  'pnl',
  'preview',
  'cancelAll',
] as const;

/** What a wide world may have; each seed has some of it. */
export const features = [
  'dayBoundary',
  'closingHour',
  'maintenance',
  'limits',
  'futures',
  'combinations',
  'leases',
  'dailyLoss',
  'storms',
  'elsewhere',
  'twins',
  'panic',
  'previews',
  'children',
  'globalCancel',
] as const;
export type Feature = (typeof features)[number];

export interface Plan {
  readonly seed: number;
  /** ms since the epoch */
  readonly startsAt: number;
  readonly calendar: 'alwaysOpen' | 'regular';
  readonly limits: GateLimits;
  /** what this world has beyond the narrow one */
  readonly features: readonly Feature[];
  readonly chances: Readonly<Record<Chance, number>>;
  /** ordered by time; ms after the start */
  readonly steps: readonly Step[];
  /** when everything that goes wrong ends, ms after the start */
  readonly faultsEndAt: number;
  /** what is done with the orders that are left */
  readonly ending: 'leave' | 'cancel' | 'kill';
}

export const account = 'DU1234567';
export const symbols = ['AAPL', 'MSFT'] as const;
/** A Monday, 10:00 in New York. */
export const mondayMorning = Date.UTC(2026, 10, 23, 15, 0);
/** Nothing is limited. */
export const unlimited: GateLimits = {
  maxOrderQuantity: '0',
  maxOrderNotional: '0',
  maxOpenOrders: 0,
  maxOrdersPerSecond: 0,
  priceCollarPercent: '0',
  maxPositionNotional: '0',
  maxDailyLoss: '0',
};

const types: readonly OrderType[] = [
  'market',
  'limit',
  'limit',
  'limit',
  'stop',
  'stop_limit',
  'trailing_stop',
  'trailing_stop_limit',
  'market_if_touched',
  'limit_if_touched',
  'relative',
];

/** The narrow plan of a seed, the same at every call: stocks, one morning, no limits. Seeds that failed once keep their meaning. */
export function narrowPlanOf(seed: number): Plan {
  const random = seededRandom(Math.imul(seed + 1, 0x9e3779b1));
  const between = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
  const oneOf = <T>(items: readonly [T, ...T[]]): T => items[Math.floor(random() * items.length)] ?? items[0];
  const symbol = (): string => oneOf(symbols);
  const price = (spread: number): string => (firstPrice + (random() - 0.5) * 2 * spread).toFixed(2);

  // Swarm: each seed lives in a world of its own, where a half of all faults is unknown and the others weigh differently.
  const weights = new Map<Disturbance, number>(
    disturbances.map((name) => [name, random() < 0.6 ? 0 : 2 ** (random() * 6)]),
  );
  const rates = Object.fromEntries(
    narrowChances.map((name) => [name, random() < 0.6 ? 0 : Math.min(1, 2 ** -(1 + random() * 6))]),
  );
  const none = Object.fromEntries(chances.map((name) => [name, 0])) as Record<Chance, number>;
  const isQuiet = random() < 0.05;
  const lengthMs = 1_000 * 2 ** (1 + random() * 7);
  const commands = between(2, 25);
  const happenings = between(0, 20);
  const troubles = isQuiet || ![...weights.values()].some((weight) => weight > 0) ? 0 : between(0, 8);
  const time = (): number => Math.floor(random() * lengthMs);

  const steps: Step[] = [];
  const submissions: (readonly OrderTicket[])[] = [];
  /** names with the time from which they mean something */
  const names: { readonly name: string; readonly since: number }[] = [];
  const groups: string[] = [];

  const ticketOf = (name: string): OrderTicket => {
    const type = oneOf(types as readonly [OrderType, ...OrderType[]]);
    const chosen = symbol();
    const group = random() < 0.15 ? (groups.at(-1) ?? `g${groups.push(`g${groups.length}`)}`) : undefined;
    const takesLimit = ['limit', 'stop_limit', 'trailing_stop_limit', 'limit_if_touched', 'relative'];
    const takesStop = ['stop', 'stop_limit', 'market_if_touched', 'limit_if_touched', 'trailing_stop_limit'];
    const trails = type === 'trailing_stop' || type === 'trailing_stop_limit' || type === 'relative';
    return {
      clientOrderId: name,
      account,
      instrument: chosen,
      contract: { symbol: chosen, secType: 'STK', exchange: 'SMART', currency: 'USD' },
      side: random() < 0.5 ? 'buy' : 'sell',
      type,
      quantity: String(between(1, 30) * 10),
      timeInForce: oneOf(['day', 'day', 'gtc', 'ioc', 'fok']),
      ...(takesLimit.includes(type) ? { limitPrice: price(2) } : {}),
      ...(takesStop.includes(type) ? { stopPrice: price(3) } : {}),
      ...(trails ? { trailAmount: oneOf(['0.50', '1', '0.25']) } : {}),
      ...(group === undefined ? {} : { ocaGroup: group }),
      transmit: true,
    };
  };

  const submission = (at: number): readonly OrderTicket[] => {
    const name = `o${submissions.length + 1}`;
    const lead = ticketOf(name);
    names.push({ name, since: at });
    if (random() >= 0.2) return [lead];
    const exit = {
      account,
      instrument: lead.instrument,
      contract: lead.contract,
      side: lead.side === 'buy' ? ('sell' as const) : ('buy' as const),
      quantity: lead.quantity,
      timeInForce: 'gtc' as const,
      parentClientOrderId: name,
    };
    const parent: OrderTicket = { ...lead, transmit: false, timeInForce: 'gtc' };
    names.push({ name: `${name}.tp`, since: at }, { name: `${name}.sl`, since: at });
    return [
      parent,
      { ...exit, clientOrderId: `${name}.tp`, type: 'limit', limitPrice: price(4), transmit: false },
      { ...exit, clientOrderId: `${name}.sl`, type: 'stop', stopPrice: price(4), transmit: true },
    ];
  };
  /** Mostly one of the newest. */
  const aName = (at: number): string => {
    const known = names.filter(({ since }) => since <= at).slice(-6);
    return known[Math.floor(random() * known.length)]?.name ?? 'nobody';
  };

  const asks: number[] = Array.from({ length: commands }, time).sort((a, b) => a - b);
  for (const at of asks) {
    const dice = random();
    if (dice < 0.5 || submissions.length === 0) {
      const tickets = submission(at);
      submissions.push(tickets);
      steps.push({ kind: 'submit', at, tickets });
    } else if (dice < 0.6) {
      const former = oneOf(submissions as [readonly OrderTicket[], ...(readonly OrderTicket[])[]]);
      const isOther = random() < 0.2;
      steps.push({
        kind: 'repeat',
        at,
        tickets: isOther ? former.map((ticket) => ({ ...ticket, quantity: '7' })) : former,
      });
    } else if (dice < 0.75) {
      const change: OrderChange =
        random() < 0.5 ? { limitPrice: price(2) } : { quantity: String(between(1, 40) * 10) };
      steps.push({ kind: 'modify', at, name: aName(at), change });
    } else if (dice < 0.94) {
      steps.push({ kind: 'cancel', at, name: aName(at) });
    } else {
      steps.push({ kind: oneOf(['kill', 'halt', 'reduce', 'open', 'open']), at });
    }
  }

  for (let index = 0; index < happenings; index += 1) {
    const at = time();
    const dice = random();
    if (dice < 0.4) {
      const middle = firstPrice + (random() - 0.5) * 5;
      steps.push({
        kind: 'quote',
        at,
        symbol: symbol(),
        bid: Number((middle - 0.02).toFixed(2)),
        ask: Number((middle + 0.02).toFixed(2)),
        liquidity: random() < 0.5 ? 0 : between(1, 10) * 10,
      });
    } else if (dice < 0.6) {
      steps.push({ kind: 'fill', at, name: aName(at), share: oneOf([0.25, 0.5, 1, 1]) });
    } else if (dice < 0.7) {
      steps.push({ kind: 'correct', at, pick: random(), how: oneOf(['bust', 'shares', 'price']) });
    } else if (dice < 0.82) {
      steps.push({
        kind: 'end',
        at,
        name: aName(at),
        how: oneOf(['Cancelled', 'Expired', 'Inactive', 'Held']),
      });
    } else if (dice < 0.92) {
      steps.push({
        kind: 'external',
        at,
        name: `x${index}`,
        symbol: symbol(),
        action: oneOf(['BUY', 'SELL']),
        quantity: between(1, 20) * 10,
        limit: random() < 0.3 ? null : Number(price(3)),
        clientId: oneOf([0, 0, 7]),
      });
      names.push({ name: `x${index}`, since: at });
    } else if (dice < 0.96) {
      steps.push({ kind: 'liquidate', at, symbol: symbol() });
    } else {
      steps.push({ kind: 'setPosition', at, symbol: symbol(), quantity: between(-20, 20) * 10 });
    }
  }

  const sum = [...weights.values()].reduce((total, weight) => total + weight, 0);
  for (let index = 0; index < troubles; index += 1) {
    const at = time();
    let left = random() * sum;
    const name = disturbances.find((candidate) => {
      left -= weights.get(candidate) ?? 0;
      return left < 0;
    });
    const forMs = Math.floor(100 * 2 ** (random() * 9));
    switch (name) {
      case undefined:
        break;
      case 'drop':
        steps.push({ kind: name, at });
        break;
      case 'restart':
        steps.push({ kind: name, at, forMs, rollBack: random() < 0.5 ? 0 : between(1, 5) });
        break;
      case 'severed':
        steps.push({
          kind: name,
          at,
          forMs,
          policy: oneOf(['hold', 'swallow']),
          replay: oneOf(['events', 'status', 'none']),
          dataLost: random() < 0.5,
        });
        break;
      case 'crash':
        steps.push({
          kind: name,
          at,
          forMs,
          point: oneOf(crashPoints),
          count: between(1, 4),
          isTailKept: random() < 0.5,
        });
        break;
      case 'rejectNext':
        steps.push({ kind: name, at, code: oneOf([201, 201, 110, 203, 10147]), times: between(1, 3) });
        break;
      default:
        steps.push({ kind: name, at, forMs });
    }
  }

  return {
    seed,
    startsAt: mondayMorning,
    calendar: 'alwaysOpen',
    limits: unlimited,
    features: [],
    chances: isQuiet ? none : { ...none, ...rates },
    steps: steps.sort((a, b) => a.at - b.at),
    faultsEndAt: Math.ceil(lengthMs + 5_000),
    ending: oneOf(['leave', 'cancel', 'kill']),
  };
}
