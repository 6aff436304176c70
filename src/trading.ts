/** Commands of clients, made complete for the desk: account, market, multiplier; and its answers in the words of the API. */
import type { DeskAnswer, Submission } from '../machines/desk.ts';
import { isClosed } from '../machines/evidence.ts';
import type { GateVerdict } from '../machines/gate.machine.ts';
import { ticketOf } from '../machines/identity.ts';
import type { Order, OrderTicket, Reason } from '../machines/order.ts';
import { exitNames, isRepetition } from '../machines/repetition.ts';
import { isRenewal, isRoomFor, lifeOf } from '../machines/withdrawal.machine.ts';
import { createAppraisal } from './appraisal.ts';
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

const durableDeadlineMs = 2_000;

const microseconds = (ms: number): number => Math.round(ms * 1_000);

export interface TradingOptions {
  readonly runtime: Runtime;
  readonly metrics: Metrics;
  readonly now: () => number;
}

export function createTrading({ runtime, metrics, now }: TradingOptions): TradingPort {
  const { marketOf, lossOf, unpriced, tellUnpriced } = createAppraisal({ runtime, now });

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

  const withdrawalStanding = () => runtime.child('withdrawal').getSnapshot().context;

  async function submit(request: OrderRequest, receivedAt = performance.now()): Promise<SubmitOutcome> {
    const tickets = ticketsOf(request, accountFor(request));
    const before = recall(tickets);
    if (before) return before;
    const unnamed = unnamedAccount(request);
    if (unnamed) return unnamed;
    const { shut } = runtime.child('desk').getSnapshot().context;
    const life = (): number | null => lifeOf(withdrawalStanding(), request.client ?? '');
    const lifeThen = life();
    const asked = performance.now();
    // While the desk is shut only a repeated submission gets another answer than that, and needs no market for it.
    const market = shut
      ? { mark: null, multiplier: null }
      : marketOf(request.contract, request.instrument, false);
    const known = market instanceof Promise ? await market : market;
    const loss = shut ? undefined : lossOf(tickets[0]?.account ?? '');
    if (loss) await loss;
    // It waited for the market: what was bound to a life that has ended since would be nobody's.
    if (lifeThen !== null && life() !== lifeThen)
      return unavailable({
        code: 'lease-lapsed',
        message:
          'the lease of this client lapsed while the order waited for a price: renew it, then place it again',
      });
    const entered = performance.now();
    const submissions = tickets.map(
      (ticket): Submission => ({ ticket: renamed(ticket, known.alias), ...known }),
    );
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

  /** Of several accounts nobody chooses but the client. */
  function unnamedAccount(request: OrderRequest): Extract<SubmitOutcome, { outcome: 'invalid' }> | null {
    const { accounts } = runtime.root.getSnapshot().context;
    if (request.account !== undefined || accounts.length < 2) return null;
    const detail = `this login has several accounts: name one of ${accounts.join(', ')}`;
    return { outcome: 'invalid', errors: [{ pointer: '/account', detail }] };
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
      const unnamed = unnamedAccount(request);
      if (unnamed) return unnamed;
      if (desk.shut) return unavailable(desk.shut.reason);
      const market = await marketOf(ticket.contract, ticket.instrument, false);
      await lossOf(ticket.account);
      const verdict = runtime.review({
        type: 'gate.review',
        requestId: runtime.nextRequestId(),
        questions: tickets.map((each) => ({ ticket: renamed(each, market.alias), ...market })),
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
      const standing = withdrawalStanding();
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
        what === 'closed' ? isClosed(order) : isClosed(order) || !unanswered.has(order.state);
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
      const isReachable = runtime.root.getSnapshot().hasTag('reconciled');
      if (!isReachable) runtime.send({ type: 'withdrawal.demandAll', at: now() });
      // First, and for those that we do not know of as well: one message is not held up by pacing as hundreds are.
      runtime.send({ type: 'tws.cancelAll' });
      const doomed = openOrders();
      const fates = await cancelAll();
      withdraw(doomed, 'kill');
      // What becomes of others' orders only the lists tell.
      const others = openOrders({ ofOthers: true });
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

/** The broker has not spoken of what was asked for last. */
const unanswered: ReadonlySet<Order['state']> = new Set([
  'reviewing',
  'journaling',
  'submitting',
  'modifying',
  'cancelling',
  'inDoubt',
]);
const foreignAccount: ReadonlySet<string> = new Set(['account-not-paper', 'account-unknown']);

function reasonsOf(verdict: GateVerdict): readonly Reason[] {
  if (verdict.verdict === 'approved') return [];
  return verdict.verdict === 'denied' ? verdict.reasons : [verdict.reason];
}

/** The tickets of one request: the order itself, and the exits of its bracket as children that TWS links to it. */
/** Under the name that TWS's own contract has: answers, positions and executions call it the same. */
const renamed = (ticket: OrderTicket, alias: string | undefined): OrderTicket =>
  alias === undefined || alias === ticket.instrument
    ? ticket
    : { ...ticket, instrument: alias, calledAs: ticket.instrument };

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
