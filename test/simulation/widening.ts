/** Makes a narrow plan wide: other markets and hours, limits, leases, and what people do elsewhere. */
import type { OrderTicket } from '../../machines/order.ts';
import { hashText } from '../../src/simulator/exchange/random.ts';
import { seededRandom } from '../../src/simulator/shuffle.ts';
import { combination, firstPrice, future, type MarketRow, onTick } from './markets.ts';
import {
  type Disturbance,
  disturbances,
  type Feature,
  features,
  mondayMorning,
  narrowPlanOf,
  type Plan,
  type Step,
  unlimited,
} from './plan.ts';

const hourMs = 3_600_000;
/** New York, in the winter. */
const mondayMidnight = Date.UTC(2026, 10, 24, 5, 0);
const mondayClose = Date.UTC(2026, 10, 23, 21, 0);
/** Gateways restart themselves then, unless told otherwise. */
const nightlyRestart = mondayMidnight - hourMs / 4;
const weeklyReset = Date.UTC(2026, 10, 28, 4, 0);

const clients = ['', 'alpha', 'beta'] as const;

/** The plan of a seed: the same at every call. */
export function planOf(seed: number): Plan {
  const plan = narrowPlanOf(seed);
  const random = seededRandom(hashText(`${seed} width`));
  const between = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
  const oneOf = <T>(items: readonly [T, ...T[]]): T => items[Math.floor(random() * items.length)] ?? items[0];
  const has = new Set<Feature>(features.filter(() => random() < 0.25));
  const lengthMs = plan.faultsEndAt - 5_000;
  const time = (): number => Math.floor(random() * lengthMs);
  const upTo = (most: number, run: () => void): void => {
    for (let left = between(1, most); left > 0; left -= 1) run();
  };

  const steps: Step[] = [];
  const widened = plan.steps.map((step) =>
    step.kind === 'submit' || step.kind === 'repeat' ? { ...step, tickets: step.tickets } : step,
  );

  // Each name keeps its market and its client, however often it is asked for.
  const markets: readonly MarketRow[] = [
    ...(has.has('futures') ? [future] : []),
    ...(has.has('combinations') ? [combination] : []),
  ];
  const rowOf = new Map<string, { market: MarketRow | null; client: string; parent: string | null }>();
  const names: { readonly name: string; readonly since: number }[] = [];
  const restyled = widened.map((step): Step => {
    if (step.kind !== 'submit' && step.kind !== 'repeat') return step;
    const [lead] = step.tickets;
    if (lead === undefined) return step;
    let style = rowOf.get(lead.clientOrderId);
    if (style === undefined) {
      const isOther = markets.length > 0 && random() < 0.5;
      const market = isOther ? oneOf(markets as readonly [MarketRow, ...MarketRow[]]) : null;
      const older = names.filter(({ name }) => !name.includes('.'));
      const parent =
        has.has('children') && older.length > 0 && step.tickets.length === 1 && random() < 0.4
          ? (older[between(0, older.length - 1)]?.name ?? null)
          : null;
      style = { market, client: has.has('leases') ? oneOf(clients) : '', parent };
      rowOf.set(lead.clientOrderId, style);
      for (const { clientOrderId } of step.tickets) names.push({ name: clientOrderId, since: step.at });
    }
    const { market, client, parent } = style;
    const tickets = market === combination ? step.tickets.slice(0, 1) : step.tickets;
    return {
      ...step,
      tickets: tickets.map((ticket) => ({
        ...(market === null ? ticket : movedTo(ticket, market, tickets.length === 1)),
        ...(client === '' ? {} : { client }),
        ...(parent === null ? {} : { parentClientOrderId: parent }),
      })),
    };
  });
  const aName = (at: number): string => {
    const known = names.filter(({ since }) => since <= at).slice(-8);
    return known[Math.floor(random() * known.length)]?.name ?? 'nobody';
  };
  const anyName = (at: number): string => {
    const others = plan.steps.flatMap((step) =>
      step.kind === 'external' && step.at <= at ? [step.name] : [],
    );
    return others.length > 0 && random() < 0.5 ? (others[between(0, others.length - 1)] ?? '') : aName(at);
  };

  if (has.has('leases')) {
    upTo(6, () => {
      const cancelAfterMs = random() < 0.2 ? 0 : Math.floor(1_000 * 2 ** (random() * 5));
      steps.push({ kind: 'lease', at: time(), client: oneOf(clients), cancelAfterMs });
    });
  }
  if (has.has('dailyLoss')) {
    upTo(5, () => steps.push({ kind: 'pnl', at: time(), daily: String(between(-2_000, 500)) }));
  }
  if (has.has('storms')) {
    upTo(2, () => {
      const at = time();
      const name = aName(at);
      for (let index = between(3, 20); index > 0; index -= 1) {
        const limitPrice = (firstPrice + (random() - 0.5) * 4).toFixed(2);
        const change = random() < 0.8 ? { limitPrice } : { quantity: String(between(1, 40) * 10) };
        steps.push({ kind: 'modify', at: at + between(0, 400), name, change });
      }
    });
  }
  if (has.has('elsewhere')) {
    upTo(5, () => {
      const at = time();
      const limit = random() < 0.7 ? Number((firstPrice + (random() - 0.5) * 4).toFixed(2)) : null;
      steps.push({ kind: 'elsewhere', at, name: anyName(at), limit, share: oneOf([1, 1, 0.5, 2]) });
    });
  }
  if (has.has('twins')) {
    upTo(2, () => {
      const at = time();
      steps.push({ kind: 'twin', at, name: aName(at) });
    });
  }
  if (has.has('globalCancel')) upTo(2, () => steps.push({ kind: 'globalCancel', at: time() }));
  if (has.has('previews')) {
    upTo(4, () => {
      const at = time();
      const lead = restyled.find((step) => step.kind === 'submit')?.tickets[0];
      if (lead !== undefined)
        steps.push({ kind: 'preview', at, ticket: { ...lead, clientOrderId: `p${steps.length}` } });
    });
  }
  if (has.has('panic')) {
    // Within the first seconds of a trouble, while everything is on its way back.
    const isTrouble = new Set<string>(disturbances satisfies readonly Disturbance[]);
    for (const { kind, at } of plan.steps) {
      if (!isTrouble.has(kind) || random() < 0.4) continue;
      const ask = oneOf(['kill', 'cancelAll', 'cancelAll', 'halt', 'open'] as const);
      steps.push({ kind: ask, at: at + Math.floor(2 ** (random() * 13)) });
    }
  }

  const boundary = has.has('dayBoundary')
    ? mondayMidnight
    : has.has('maintenance')
      ? oneOf([nightlyRestart, weeklyReset])
      : has.has('closingHour')
        ? mondayClose
        : null;
  const lead = Math.floor(random() * lengthMs);
  return {
    ...plan,
    startsAt: boundary === null ? mondayMorning : boundary - lead,
    calendar: has.has('closingHour') ? 'regular' : plan.calendar,
    limits: has.has('limits') || has.has('dailyLoss') ? limitsOf() : unlimited,
    features: features.filter((feature) => has.has(feature)),
    chances: { ...plan.chances, commissionRevised: random() < 0.7 ? 0 : 2 ** -(1 + random() * 4) },
    steps: [...restyled, ...steps].filter(({ at }) => at <= lengthMs).sort((a, b) => a.at - b.at),
  };

  function limitsOf(): Plan['limits'] {
    const maybe = <T>(value: T, otherwise: T): T => (random() < 0.4 ? value : otherwise);
    return {
      maxOrderQuantity: maybe(String(between(5, 25) * 10), '0'),
      maxOrderNotional: maybe(String(between(5, 25) * 1_000), '0'),
      maxOpenOrders: maybe(between(2, 8), 0),
      maxOrdersPerSecond: maybe(between(1, 5), 0),
      priceCollarPercent: maybe('1', '0'),
      maxPositionNotional: maybe(String(between(10, 60) * 1_000), '0'),
      maxDailyLoss: has.has('dailyLoss') ? '1000' : '0',
    };
  }
}

/** The same order in another market. */
function movedTo(ticket: OrderTicket, market: MarketRow, isAlone: boolean): OrderTicket {
  const { limitPrice, stopPrice, trailAmount, ocaGroup, ...rest } = ticket;
  const moved = (price: string): string =>
    onTick(Number(price) - firstPrice + market.middle, market).toFixed(2);
  const base = {
    ...rest,
    ...(ocaGroup === undefined ? {} : { ocaGroup }),
    instrument: market.instrument,
    contract: market.contract,
    quantity: String(Math.max(1, Number(ticket.quantity) / 10)),
  };
  if (market === combination) {
    // Combinations trade at the market or at a limit.
    const { ocaGroup: _, ...plain } = base;
    return limitPrice === undefined
      ? { ...plain, type: 'market' }
      : { ...plain, type: 'limit', limitPrice: moved(limitPrice) };
  }
  return {
    ...base,
    ...(isAlone && ticket.type === 'relative' ? { type: 'limit' as const } : {}),
    ...(limitPrice === undefined ? {} : { limitPrice: moved(limitPrice) }),
    ...(stopPrice === undefined ? {} : { stopPrice: moved(stopPrice) }),
    ...(trailAmount === undefined || ticket.type === 'relative' ? {} : { trailAmount }),
  };
}
