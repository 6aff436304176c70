/** What an order is judged by: the price of its instrument, kept fresh by a line of its own, the contract's terms, the day's loss. */

import { referencePrice } from '../machines/collar.ts';
import { isPositive, isZero, toDecimal } from '../machines/decimal.ts';
import type { Submission } from '../machines/desk.ts';
import { type Absence, isLossUnknown, unpricedLimits } from '../machines/gate.ts';
import { type Contract, formatInstrument } from '../machines/instrument.ts';
import type { OrderTicket } from '../machines/order.ts';
import type { Runtime } from './runtime.ts';

/** How long a first order of an instrument waits for a price to be judged by. */
const firstMarkMs = 1_000;
/** After an instrument gave no price, orders do not wait for one again for so long. */
const noMarkMemoryMs = 30_000;
const noMarkMemoryMax = 1_000;
/** Instruments whose line is kept open because orders were placed in them: fewer where readers have the other lines. */
const watchedMax = 40;

const unmultiplied: ReadonlySet<string> = new Set(['STK', 'CASH', 'CRYPTO', 'IND', 'CFD', 'FUND', 'CMDTY']);

/** What the gate needs to know besides the order. */
type Market = Omit<Submission, 'ticket'>;

export interface AppraisalOptions {
  readonly runtime: Runtime;
  readonly now: () => number;
}

export function createAppraisal({ runtime, now }: AppraisalOptions) {
  /** instrument -> the line that keeps its mark fresh, in the order of use */
  const watched = new Map<string, { readonly release: () => void }>();
  const markless = new Map<string, { readonly until: number; readonly absence: Absence }>();
  /** account -> the session in which an order has waited for its profit or loss */
  const lossesAwaited = new Map<string, string | null>();

  function watch(contract: Contract, instrument: string): void {
    const known = watched.get(instrument);
    // A refusal may come after the order that waited for a price.
    if (!known) for (const each of watched.keys()) if (isRefused(each)) unwatch(each);
    watched.delete(instrument);
    watched.set(instrument, known ?? runtime.market.acquireForTrading(contract, instrument));
    while (watched.size > watchedMax || (watched.size > 1 && runtime.market.isShort(instrument))) {
      unwatch(dispensable());
    }
  }

  const isRefused = (instrument: string): boolean => runtime.market.line(instrument)?.standing === 'refused';

  function unwatch(instrument: string): void {
    watched.get(instrument)?.release();
    watched.delete(instrument);
  }

  /** What was used longest ago, of what has neither an open order nor a position if there is such. Never the newest. */
  function dispensable(): string {
    const { exposures, positions } = runtime.child('gate').getSnapshot().context;
    const needed = new Set(Object.values(exposures).map(({ instrument }) => instrument));
    for (const [key, quantity] of Object.entries(positions)) {
      if (!isZero(quantity)) needed.add(key.slice(key.indexOf('|') + 1));
    }
    const older = [...watched.keys()].slice(0, -1);
    return older.find((instrument) => !needed.has(instrument)) ?? older[0] ?? '';
  }

  /** Why an instrument that is watched has no price. */
  function absenceOf(instrument: string): Absence {
    const row = runtime.market.line(instrument);
    if (!row || row.standing === 'waiting' || row.reason?.code === 'line-failed') return 'line';
    if (row.standing === 'refused') return row.retryAfterMs === null ? 'data' : 'answer';
    return row.standing === 'live' || row.reason?.code === 'no-answer' ? 'data' : 'answer';
  }

  /** The mark, or why there is none. What TWS refuses is not watched on. */
  function judgedBy(instrument: string): Pick<Submission, 'mark' | 'absence'> {
    // What it was before the line fell silent may be far from where the market is.
    if (runtime.market.line(instrument)?.standing === 'stale') return { mark: null, absence: 'answer' };
    const mark = runtime.market.mark(instrument);
    if (referencePrice(mark, 'buy') !== null) {
      markless.delete(instrument);
      return { mark };
    }
    const absence = absenceOf(instrument);
    if (isRefused(instrument)) unwatch(instrument);
    const until = Math.max(markless.get(instrument)?.until ?? 0, now());
    markless.delete(instrument);
    markless.set(instrument, { until: until > now() ? until : now() + noMarkMemoryMs, absence });
    const [oldest] = markless.keys();
    if (markless.size > noMarkMemoryMax && oldest !== undefined) markless.delete(oldest);
    return { mark, absence };
  }

  /**
   * What the gate needs to know of a market. Returns at once when it is known. `isTold`: the contract is TWS's own word; what a
   * client says of a multiplier, or of the type behind a number, would move its own limits.
   */
  function marketOf(contract: Contract, instrument: string, isTold: boolean): Market | Promise<Market> {
    if (contract.secType === 'BAG') return comboMarketOf(contract, instrument);
    // A name that says more than the short form is asked about: it may be what another one means.
    const isPlain =
      contract.conId === undefined &&
      isUnmultiplied(contract) &&
      (isTold || formatInstrument(contract) === instrument);
    const multiplier = isPlain ? '1' : isTold ? toldMultiplier(contract) : null;
    const { isWaiting, judged } = priced(contract, instrument);
    // One derivative has many names: which position it is tells its number alone.
    const isNamed = multiplier !== null && (isPlain || isNumbered(contract, instrument));
    if (isNamed && !isWaiting) return { ...judged(), multiplier };
    return (async () => {
      const [found] = await Promise.all([
        isNamed ? { multiplier } : termsOf(contract, multiplier),
        isWaiting ? runtime.market.firstQuote(instrument, firstMarkMs) : undefined,
      ]);
      return { ...judged(), ...found };
    })();
  }

  /** The line that gives an instrument its price, and what it says once it has said something. */
  function priced(contract: Contract, instrument: string) {
    const memory = markless.get(instrument);
    const isRemembered = memory !== undefined && memory.until >= now();
    const hasNone = isRemembered && memory.absence === 'data' && !watched.has(instrument);
    if (!hasNone) watch(contract, instrument);
    return {
      isWaiting: !isRemembered && referencePrice(runtime.market.mark(instrument), 'buy') === null,
      judged: (): Pick<Submission, 'mark' | 'absence'> =>
        hasNone ? { mark: runtime.market.mark(instrument), absence: 'data' } : judgedBy(instrument),
    };
  }

  /** A combination has the prices of its legs. Its own line is opened by who reads it. */
  async function comboMarketOf(contract: Contract, instrument: string): Promise<Market> {
    const judged = await Promise.all(
      (contract.comboLegs ?? []).map(async ({ conId, exchange }) => {
        const leg = { conId, exchange: exchange || 'SMART' };
        const name = formatInstrument(leg);
        const line = priced(leg, name);
        const [{ multiplier }] = await Promise.all([
          termsOf({ conId }, null),
          line.isWaiting ? runtime.market.firstQuote(name, firstMarkMs) : undefined,
        ]);
        return { ...line.judged(), multiplier };
      }),
    );
    const absences = judged.flatMap(({ absence }) => absence ?? []);
    const absence = (['line', 'answer', 'data'] as const).find((each) => absences.includes(each));
    return {
      mark: runtime.market.mark(instrument),
      ...(absence === undefined ? {} : { absence }),
      multiplier: '1',
      legs: judged.map(({ mark, multiplier }) => ({ mark, multiplier })),
    };
  }

  /** An approved order that limits on value were not applied to is told of. */
  function unpriced(ticket: OrderTicket, market: Market): readonly string[] {
    const gate = runtime.child('gate').getSnapshot().context;
    const limits = unpricedLimits(gate.limits, { ticket, ...market });
    return isLossUnknown(gate, ticket.account) ? [...limits, 'MAX_DAILY_LOSS'] : limits;
  }

  /** The first orders of a session wait a moment for the day's profit or loss: without it nobody knows how much is lost already. */
  function lossOf(account: string): Promise<void> | undefined {
    const gate = runtime.child('gate').getSnapshot().context;
    const { sessionId } = runtime.root.getSnapshot().context;
    const isAwaited = gate.accounts.includes(account) && lossesAwaited.get(account) !== sessionId;
    if (!isAwaited || !isLossUnknown(gate, account)) return undefined;
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(deadline);
        stopListening();
        lossesAwaited.set(account, sessionId);
        resolve();
      };
      const deadline = setTimeout(finish, firstMarkMs);
      const stopListening = runtime.gateway.onPnl((row) => {
        if (row.account === account && row.daily !== null) finish();
      });
    });
  }

  function tellUnpriced(ticket: OrderTicket, market: Market): void {
    const limits = unpriced(ticket, market);
    if (limits.length === 0) return;
    const { clientOrderId, instrument } = ticket;
    const detail = { instrument, limits };
    runtime.send({ type: 'order.alerted', clientOrderId, at: now(), alert: 'order.unpriced', detail });
  }

  const isNumbered = ({ conId }: Contract, instrument: string): boolean =>
    conId !== undefined || Object.hasOwn(runtime.child('gate').getSnapshot().context.numbers, instrument);

  /** By TWS's own word: the multiplier, the number, and the name under which it is the same to everybody. */
  async function termsOf(
    contract: Contract,
    given: string | null,
  ): Promise<Pick<Submission, 'multiplier' | 'conId' | 'alias'>> {
    const answer = await runtime.market.contracts(contract);
    const found = 'failed' in answer ? [] : answer.map((each) => each.contract);
    const [first] = found;
    const multiplier = given ?? (first ? toldMultiplier(first) : null);
    // A name that several contracts have is none of them.
    const isOne = new Set(found.map(({ conId }) => conId)).size === 1;
    if (!first || !isOne) return { multiplier, conId: null };
    return { multiplier, conId: first.conId ?? null, alias: formatInstrument(first) };
  }

  return { marketOf, lossOf, unpriced, tellUnpriced };
}

const isUnmultiplied = ({ secType }: Contract): boolean => secType !== undefined && unmultiplied.has(secType);

/** Of a contract as TWS tells it; null: it does not. */
function toldMultiplier(contract: Contract): string | null {
  if (isUnmultiplied(contract)) return '1';
  const multiplier = toDecimal(contract.multiplier ?? '');
  return multiplier !== null && isPositive(multiplier) ? multiplier : null;
}
