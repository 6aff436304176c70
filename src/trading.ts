/** Commands of clients, made complete for the desk: account, market, multiplier; and its answers in the words of the API. */
import { isPositive, isZero, toDecimal } from '../machines/decimal.ts';
import type { DeskAnswer, Submission } from '../machines/desk.ts';
import { isClosed } from '../machines/evidence.ts';
import type { GateVerdict } from '../machines/gate.machine.ts';
import { type Absence, isLossUnknown, referencePrice, unpricedLimits } from '../machines/gate.ts';
import { ticketOf } from '../machines/identity.ts';
import type { Contract } from '../machines/instrument.ts';
import type { Order, OrderTicket, Reason } from '../machines/order.ts';
import { exitNames, isRepetition } from '../machines/repetition.ts';
import { isRenewal, isRoomFor } from '../machines/withdrawal.machine.ts';
import type {
  ChangeOutcome,
  OrderRequest,
  PreviewOutcome,
  SubmitOutcome,
  SwitchOutcome,
  TradingPort,
  TradingState,
  TradingStatus,
} from './http/options.ts';
import type { Metrics } from './metrics.ts';
import type { Runtime } from './runtime.ts';

/** How long a first order of an instrument waits for a price to be judged by. */
const firstMarkMs = 1_000;
/** After an instrument gave no price, orders do not wait for one again for so long. */
const noMarkMemoryMs = 30_000;
const noMarkMemoryMax = 1_000;
/** Instruments whose line is kept open because orders were placed in them: fewer where readers have the other lines. */
const watchedMax = 40;
const durableDeadlineMs = 2_000;

const unmultiplied: ReadonlySet<string> = new Set(['STK', 'CASH', 'CRYPTO', 'IND', 'CFD', 'FUND', 'CMDTY']);
const microseconds = (ms: number): number => Math.round(ms * 1_000);

export interface TradingOptions {
  readonly runtime: Runtime;
  readonly metrics: Metrics;
  readonly now: () => number;
}

export function createTrading({ runtime, metrics, now }: TradingOptions): TradingPort {
  /** instrument -> the line that keeps its mark fresh, in the order of use */
  const watched = new Map<string, { readonly release: () => void }>();
  const markless = new Map<string, { readonly until: number; readonly absence: Absence }>();
  /** accounts whose profit or loss an order has waited for */
  const lossesAwaited = new Set<string>();

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
  function marketOf(
    contract: Contract,
    instrument: string,
    isTold: boolean,
  ): Omit<Submission, 'ticket'> | Promise<Omit<Submission, 'ticket'>> {
    const isPlain = contract.conId === undefined && isUnmultiplied(contract);
    const multiplier = isPlain ? '1' : isTold ? toldMultiplier(contract) : null;
    const memory = markless.get(instrument);
    const isRemembered = memory !== undefined && memory.until >= now();
    const hasNone = isRemembered && memory.absence === 'data' && !watched.has(instrument);
    if (!hasNone) watch(contract, instrument);
    const isWaiting = !isRemembered && referencePrice(runtime.market.mark(instrument), 'buy') === null;
    const judged = (): Pick<Submission, 'mark' | 'absence'> =>
      hasNone ? { mark: runtime.market.mark(instrument), absence: 'data' } : judgedBy(instrument);
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

  /** An approved order that limits on value were not applied to is told of. */
  function unpriced(ticket: OrderTicket, market: Omit<Submission, 'ticket'>): readonly string[] {
    const gate = runtime.child('gate').getSnapshot().context;
    const limits = unpricedLimits(gate.limits, { ticket, ...market });
    return isLossUnknown(gate, ticket.account) ? [...limits, 'MAX_DAILY_LOSS'] : limits;
  }

  /** The first orders wait a moment for the day's profit or loss: without it nobody knows how much is lost already. */
  function lossOf(account: string): Promise<void> | undefined {
    const gate = runtime.child('gate').getSnapshot().context;
    const isAwaited = gate.accounts.includes(account) && !lossesAwaited.has(account);
    if (!isAwaited || !isLossUnknown(gate, account)) return undefined;
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(deadline);
        stopListening();
        lossesAwaited.add(account);
        resolve();
      };
      const deadline = setTimeout(finish, firstMarkMs);
      const stopListening = runtime.gateway.onPnl((row) => {
        if (row.account === account && row.daily !== null) finish();
      });
    });
  }

  function tellUnpriced(ticket: OrderTicket, market: Omit<Submission, 'ticket'>): void {
    const limits = unpriced(ticket, market);
    if (limits.length === 0) return;
    const { clientOrderId, instrument } = ticket;
    const detail = { instrument, limits };
    runtime.send({ type: 'order.alerted', clientOrderId, at: now(), alert: 'order.unpriced', detail });
  }

  const isNumbered = ({ conId, secType }: Contract, instrument: string): boolean =>
    secType === 'BAG' ||
    conId !== undefined ||
    Object.hasOwn(runtime.child('gate').getSnapshot().context.numbers, instrument);

  async function termsOf(
    contract: Contract,
    given: string | null,
  ): Promise<Pick<Submission, 'multiplier' | 'conId'>> {
    const multiplier = given ?? (await multiplierOf(contract));
    if (contract.secType === 'BAG' || contract.conId !== undefined) return { multiplier };
    const found = await runtime.market.contracts(contract);
    // A name that several contracts have is none of them.
    const numbers = new Set('failed' in found ? [] : found.map((each) => each.contract.conId));
    const [conId] = numbers;
    return { multiplier, conId: numbers.size === 1 ? (conId ?? null) : null };
  }

  async function multiplierOf(contract: Contract): Promise<string | null> {
    const asked =
      contract.secType === 'BAG' ? (contract.comboLegs ?? []).map(({ conId }) => ({ conId })) : [contract];
    const answers = await Promise.all(asked.map((each) => runtime.market.contracts(each)));
    let largest: string | null = null;
    for (const answer of answers) {
      const found = 'failed' in answer ? undefined : answer[0]?.contract;
      if (!found) return null;
      const multiplier = toldMultiplier(found);
      if (multiplier === null) return null;
      if (largest === null || Number(multiplier) > Number(largest)) largest = multiplier;
    }
    return largest;
  }

  function unavailable(reason: Reason): { readonly outcome: 'unavailable'; readonly reason: Reason } {
    const tws = runtime.child('tws').getSnapshot();
    if (reason.code !== 'connecting') return { outcome: 'unavailable', reason };
    if (tws.hasTag('maintenance')) {
      const message = 'IB is in its scheduled reset; the session comes back by itself';
      return { outcome: 'unavailable', reason: { code: 'maintenance', message } };
    }
    const { lastMessage } = tws.context;
    return {
      outcome: 'unavailable',
      reason: lastMessage ? { ...reason, message: `${reason.message} (${lastMessage})` } : reason,
    };
  }

  async function submit(request: OrderRequest, receivedAt = performance.now()): Promise<SubmitOutcome> {
    const tickets = ticketsOf(request, accountFor(request));
    const before = recall(tickets);
    if (before) return before;
    const { shut } = runtime.child('desk').getSnapshot().context;
    const asked = performance.now();
    // While the desk is shut only a repeated submission gets another answer than that, and needs no market for it.
    const market = shut
      ? { mark: null, multiplier: null }
      : marketOf(request.contract, request.instrument, false);
    const known = market instanceof Promise ? await market : market;
    const loss = shut ? undefined : lossOf(tickets[0]?.account ?? '');
    if (loss) await loss;
    const entered = performance.now();
    const submissions = tickets.map((ticket): Submission => ({ ticket, ...known }));
    const requestId = runtime.nextRequestId();
    const pending = runtime.ask({ type: 'order.submit', requestId, submissions, at: now() });
    // Review and journal are over when the command returns, however long the order may then wait for pacing.
    const reviewMs = Math.max(0, runtime.lastReviewedAt() - entered);
    const journalMs = runtime.lastAppendMs() ?? 0;
    const answer = await pending;
    const sent = performance.now();
    const lead = answer.orders[0];
    switch (answer.outcome) {
      case 'created': {
        for (const { ticket } of submissions) tellUnpriced(ticket, known);
        // The wait for the first price of an instrument is the market's, not ours.
        const totalMs = sent - receivedAt - (entered - asked);
        metrics.order.review.record(reviewMs);
        metrics.order.journal.record(journalMs);
        metrics.order.dispatch.record(Math.max(0, sent - entered - reviewMs - journalMs));
        metrics.order.total.record(totalMs);
        const timing = {
          reviewUs: microseconds(reviewMs),
          journalUs: microseconds(journalMs),
          totalUs: microseconds(sent - receivedAt),
        };
        return lead ? { outcome: 'created', order: lead, timing } : nobody();
      }
      case 'existing':
      case 'conflict':
        return lead ? { outcome: answer.outcome, order: lead } : nobody();
      case 'denied':
        metrics.denials.add(answer.reason.code);
        return lead ? { outcome: 'denied', order: lead, reason: answer.reason } : nobody();
      case 'unavailable':
        return unavailable(answer.reason);
      case 'invalid':
        return { outcome: 'invalid', errors: [{ pointer: answer.pointer, detail: answer.detail }] };
      default:
        return nobody();
    }
  }

  /** Names in the journal are taken, for what was asked for then, whether the desk still knows of it or not. */
  function recall(tickets: readonly OrderTicket[]): SubmitOutcome | null {
    const { journal } = runtime;
    const taken = tickets.find(({ clientOrderId }) => journal.order(clientOrderId) !== undefined);
    const order = taken && runtime.order(taken.clientOrderId);
    if (!order) return null;
    const isSame = isRepetition(tickets, (clientOrderId) => journal.ticket(clientOrderId));
    return { outcome: isSame ? 'existing' : 'conflict', order };
  }

  function accountFor(request: OrderRequest): string {
    const former = runtime.order(request.clientOrderId)?.account;
    return request.account ?? former ?? runtime.root.getSnapshot().context.accounts[0] ?? '';
  }

  function changeOutcome(answer: DeskAnswer): ChangeOutcome {
    const order = answer.orders[0];
    switch (answer.outcome) {
      case 'unknown':
        return { outcome: 'unknown' };
      case 'unavailable':
        return unavailable(answer.reason);
      case 'invalid':
        return { outcome: 'invalid', errors: [{ pointer: answer.pointer, detail: answer.detail }] };
      case 'denied':
        return order ? { outcome: 'denied', order, reason: answer.reason } : { outcome: 'unknown' };
      case 'requested':
      case 'settled':
      case 'closed':
      case 'version':
      case 'notOurs':
      case 'notMissing':
        return order ? { outcome: answer.outcome, order } : { outcome: 'unknown' };
      default:
        return nobody();
    }
  }

  /** Orders that the desk has forgotten have closed. */
  function outcomeOf(clientOrderId: string, answer: DeskAnswer): ChangeOutcome {
    if (answer.outcome === 'unknown') {
      const order = runtime.order(clientOrderId);
      if (order && isClosed(order)) return { outcome: 'closed', order };
    }
    return changeOutcome(answer);
  }

  async function cancel(clientOrderId: string): Promise<ChangeOutcome> {
    const requestId = runtime.nextRequestId();
    const answer = await runtime.ask({ type: 'order.cancel', requestId, clientOrderId, at: now() });
    return outcomeOf(clientOrderId, answer);
  }

  function openOrders({ ofOthers = false } = {}): Order[] {
    const { orders } = runtime.child('desk').getSnapshot().context;
    return Object.values(orders)
      .flatMap((bucket) => Object.keys(bucket))
      .flatMap((id) => runtime.order(id) ?? [])
      .filter((order) => (order.origin !== 'api') === ofOthers && !isClosed(order));
  }

  /** Demands that they go: what cannot be cancelled now is asked for until it has closed, also after a restart. */
  function withdraw(orders: readonly Order[], why: string): void {
    const clientOrderIds = orders.map(({ clientOrderId }) => clientOrderId);
    if (clientOrderIds.length > 0)
      runtime.send({ type: 'withdrawal.demand', clientOrderIds, why, at: now() });
  }

  runtime.root.on('lease.lapsed', ({ client }) => {
    withdraw(
      openOrders().filter((order) => (order.client ?? '') === client),
      'lease-lapsed',
    );
  });

  async function cancelAll() {
    const fates = [];
    for (const { clientOrderId } of openOrders()) {
      const { outcome } = await cancel(clientOrderId);
      const order = runtime.order(clientOrderId);
      // Asked for before, and not gone yet.
      const fate = outcome === 'settled' ? 'requested' : outcome;
      if (order) fates.push({ clientOrderId, fate, order });
    }
    return fates;
  }

  let isLatchDurable = true;
  runtime.onRecord(({ event }) => {
    if (event === 'trading.changed') isLatchDurable = true;
  });
  const status = (): TradingStatus => {
    const { latched } = runtime.root.getSnapshot().context;
    return isLatchDurable ? latched : { ...latched, durable: false };
  };

  /** Of the supervisor's, those that are gone for good. */
  function failedParts(): readonly string[] {
    const root = runtime.root.getSnapshot();
    if (!root.hasTag('disabled') && !root.hasTag('failed')) return [];
    return Object.entries(root.children).flatMap(([name, child]) =>
      child?.getSnapshot().status === 'error' ? [name] : [],
    );
  }

  async function setStatus(state: TradingState, message: string): Promise<SwitchOutcome> {
    const parts = failedParts();
    if (parts.length > 0 && state !== 'halted') return { outcome: 'partFailed', parts, status: status() };
    if (status().state === state) return { outcome: 'switched', status: status() };
    const durable = nextRecord(runtime, ({ event }) => event === 'trading.changed');
    const type = state === 'open' ? 'gate.open' : state === 'reducing' ? 'gate.reduce' : 'gate.halt';
    runtime.send({ type, reason: { code: 'operator', message }, at: now() });
    isLatchDurable = await durable;
    return { outcome: 'switched', status: status() };
  }

  return {
    submit,
    cancel,
    cancelAll,
    status,
    setStatus,

    async modify(clientOrderId, change, ifVersion) {
      const order = runtime.order(clientOrderId);
      if (!order) return { outcome: 'unknown' };
      if (isClosed(order)) return { outcome: 'closed', order };
      const market = await marketOf(order.contract, order.instrument, order.permIds.length > 0);
      const requestId = runtime.nextRequestId();
      const answer = await runtime.ask({
        type: 'order.modify',
        requestId,
        clientOrderId,
        change,
        ifVersion,
        market,
        at: now(),
      });
      if (answer.outcome === 'denied') metrics.denials.add(answer.reason.code);
      const changed = answer.orders[0] && ticketOf(answer.orders[0]);
      if (answer.outcome === 'requested' && changed) tellUnpriced({ ...changed, ...change }, market);
      return changeOutcome(answer);
    },

    async settle(clientOrderId, settlement) {
      const requestId = runtime.nextRequestId();
      const at = now();
      const answer = await runtime.ask({ type: 'order.settle', requestId, clientOrderId, settlement, at });
      return outcomeOf(clientOrderId, answer);
    },

    async preview(request): Promise<PreviewOutcome> {
      const tickets = ticketsOf(request, accountFor(request));
      const [ticket] = tickets;
      const desk = runtime.child('desk').getSnapshot().context;
      if (!ticket) return nobody();
      const before = recall(tickets);
      if (before?.outcome === 'conflict') return before;
      if (desk.shut) return unavailable(desk.shut.reason);
      const market = await marketOf(ticket.contract, ticket.instrument, false);
      await lossOf(ticket.account);
      const verdict = runtime.review({
        type: 'gate.review',
        requestId: runtime.nextRequestId(),
        questions: tickets.map((each) => ({ ticket: each, ...market })),
        replaces: null,
        preview: true,
        at: now(),
      });
      const unapplied = [...new Set(tickets.flatMap((each) => unpriced(each, market)))];
      const reasons = reasonsOf(verdict);
      const approved = verdict.verdict === 'approved';
      const gate = { approved, reasons, ...(unapplied.length === 0 ? {} : { unapplied }) };
      // Nothing of an account that is not ours to trade reaches the wire, a question neither.
      const foreign = reasons.find(({ code }) => foreignAccount.has(code));
      if (foreign) return { outcome: 'rejected', reason: foreign, gate };
      const orderId = runtime.child('desk').getSnapshot().context.nextOrderId;
      runtime.send({ type: 'desk.raiseOrderId', orderId: orderId + 1 });
      const preview = await runtime.gateway.preview({ ...ticket, transmit: true }, orderId);
      return 'failed' in preview
        ? { outcome: 'rejected', reason: preview.failed, gate }
        : { outcome: 'previewed', preview, gate };
    },

    async renewLease(client, cancelAfterMs) {
      const at = now();
      if (cancelAfterMs === 0) {
        runtime.send({ type: 'lease.release', client, at });
        return { client, cancelAfterMs, expiresAt: null };
      }
      const standing = runtime.child('withdrawal').getSnapshot().context;
      if (!isRoomFor(standing, client)) return null;
      const durable = isRenewal(standing, { client, cancelAfterMs })
        ? null
        : nextRecord(runtime, ({ event }) => event === 'withdrawal.changed');
      runtime.send({ type: 'lease.renew', client, cancelAfterMs, at });
      await durable;
      return { client, cancelAfterMs, expiresAt: new Date(at + cancelAfterMs).toISOString() };
    },

    waitFor(clientOrderId, what, timeoutMs) {
      const hasCome = (order: Order): boolean =>
        what === 'closed'
          ? isClosed(order)
          : isClosed(order) || !['reviewing', 'journaling', 'submitting', 'inDoubt'].includes(order.state);
      return new Promise((resolve, reject) => {
        const finish = (): void => {
          clearTimeout(deadline);
          stopListening();
          const order = runtime.order(clientOrderId);
          if (order) resolve(order);
          else reject(new Error(`no order is called "${clientOrderId}"`));
        };
        const deadline = setTimeout(() => finish(), timeoutMs);
        const stopListening = runtime.onRecord(({ channel, payload }) => {
          if (channel !== 'orders' || (payload.order as Order).clientOrderId !== clientOrderId) return;
          const order = runtime.order(clientOrderId);
          if (order && hasCome(order)) finish();
        });
        const order = runtime.order(clientOrderId);
        if (!order || hasCome(order)) finish();
      });
    },

    async kill(message) {
      // A halt that nobody will remember is called that.
      const latched =
        status().state === 'halted' ? null : nextRecord(runtime, ({ event }) => event === 'trading.changed');
      runtime.send({ type: 'gate.halt', reason: { code: 'kill', message }, at: now() });
      const doomed = openOrders();
      const fates = await cancelAll();
      withdraw(doomed, 'kill');
      // Whatever we do not know of must go as well. What becomes of others' orders only the lists tell.
      const others = openOrders({ ofOthers: true });
      const isReachable = runtime.root.getSnapshot().hasTag('reconciled');
      if (!isReachable) runtime.send({ type: 'withdrawal.demandAll', at: now() });
      runtime.send({ type: 'tws.cancelAll' });
      runtime.send({ type: 'evidence.wanted', why: 'everything was cancelled' });
      if (latched !== null) isLatchDurable = await latched;
      return [
        ...fates,
        ...others.map((order) => {
          const fate: ChangeOutcome['outcome'] = isReachable ? 'requested' : 'unavailable';
          return { clientOrderId: order.clientOrderId, fate, order };
        }),
      ];
    },
  };
}

const foreignAccount: ReadonlySet<string> = new Set(['account-not-paper', 'account-unknown']);

function reasonsOf(verdict: GateVerdict): readonly Reason[] {
  if (verdict.verdict === 'approved') return [];
  return verdict.verdict === 'denied' ? verdict.reasons : [verdict.reason];
}

/** The tickets of one request: the order itself, and the exits of its bracket as children that TWS links to it. */
function ticketsOf(request: OrderRequest, account: string): OrderTicket[] {
  const { bracket, ...terms } = request;
  const { takeProfit, stopLoss } = bracket ?? {};
  const exits: OrderTicket[] = [];
  const names = exitNames(request.clientOrderId);
  const exit = {
    account,
    instrument: request.instrument,
    contract: request.contract,
    side: request.side === 'buy' ? ('sell' as const) : ('buy' as const),
    quantity: request.quantity,
    timeInForce:
      request.timeInForce === 'gtc' || request.timeInForce === 'gtd' ? ('gtc' as const) : ('day' as const),
    ...(request.outsideRegularHours === undefined
      ? {}
      : { outsideRegularHours: request.outsideRegularHours }),
    parentClientOrderId: request.clientOrderId,
    ...(request.client === undefined ? {} : { client: request.client }),
    transmit: false,
  };
  if (takeProfit) {
    exits.push({
      ...exit,
      clientOrderId: names.takeProfit,
      type: 'limit',
      limitPrice: takeProfit.limitPrice,
    });
  }
  if (stopLoss) {
    const { stopPrice, limitPrice } = stopLoss;
    exits.push({
      ...exit,
      clientOrderId: names.stopLoss,
      type: limitPrice === undefined ? 'stop' : 'stop_limit',
      stopPrice,
      ...(limitPrice === undefined ? {} : { limitPrice }),
    });
  }
  const all = [{ ...terms, account, transmit: false }, ...exits];
  // TWS holds the group back until its last member transmits.
  return all.map((ticket, index) => ({ ...ticket, transmit: index === all.length - 1 }));
}

const isUnmultiplied = ({ secType }: Contract): boolean => secType !== undefined && unmultiplied.has(secType);

/** Of a contract as TWS tells it; null: it does not. */
function toldMultiplier(contract: Contract): string | null {
  if (isUnmultiplied(contract)) return '1';
  const multiplier = toDecimal(contract.multiplier ?? '');
  return multiplier !== null && isPositive(multiplier) ? multiplier : null;
}

function nextRecord(
  runtime: Runtime,
  isIt: (record: { readonly event: string }) => boolean,
): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (hasCome: boolean): void => {
      clearTimeout(deadline);
      stopListening();
      resolve(hasCome);
    };
    const deadline = setTimeout(() => finish(false), durableDeadlineMs);
    const stopListening = runtime.onRecord((record) => {
      if (isIt(record)) finish(true);
    });
  });
}

function nobody(): never {
  throw new Error('the desk gave an answer that does not belong to this command');
}
