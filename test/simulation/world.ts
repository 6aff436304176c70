/** One seed played from the first event to rest, on one clock: what happened, in order, and what was wrong with it. */
import type { AnyActorRef, InspectionEvent } from 'xstate';
import { add, compare, larger, toDecimal } from '../../machines/decimal.ts';
import type { Submission } from '../../machines/desk.ts';
import { isClosed } from '../../machines/evidence.ts';
import type { TradingState } from '../../machines/gate.machine.ts';
import type { JournalEntry } from '../../machines/journal.ts';
import { positionRow } from '../../machines/ledger.ts';
import { entries } from '../../machines/lookup.ts';
import type { Order, OrderTicket } from '../../machines/order.ts';
import type { BrokerFact, TwsCommand } from '../../machines/tws.ts';
import { openJournal } from '../../src/journal/journal.ts';
import { VirtualClock } from '../../src/simulator/clock.ts';
import { createExchange } from '../../src/simulator/exchange/exchange.ts';
import { dayOf } from '../../src/tws/times.ts';
import { checkers as allCheckers } from './checkers/checkers.ts';
import { type Coverage, isMatrixName, stateOf } from './coverage.ts';
import { createDice } from './dice.ts';
import { createHappenings } from './happenings.ts';
import { writeHistory } from './history.ts';
import { combination, firstPrice, future, type MarketRow, stocks } from './markets.ts';
import type { AtRest, Observation } from './observation.ts';
import { account, type Plan, type Step } from './plan.ts';
import { clientId, type Life, live } from './process.ts';
import { tellBook, tellCommand, tellEntry, tellFact } from './telling.ts';
import { createTws } from './tws.ts';

export interface Failure {
  readonly checker: string;
  readonly message: string;
}

export interface Run {
  readonly failures: readonly Failure[];
  /** readable, one line for each thing that happened */
  readonly trace: readonly string[];
}

const restDeadlineMs = 20 * 60_000;
const glanceMs = 10_000;
const mutedAfterMs = 130_000;
/** What rests must still rest after a routine comparison with the broker's lists. */
const afterglowMs = 65_000;
const failuresMax = 20;

export function play(plan: Plan, coverage: Coverage): Run {
  const clock = new VirtualClock(plan.startsAt);
  const trace: string[] = [];
  const failures: Failure[] = [];
  const checkers = allCheckers();
  let isMuted = false;
  const note = (topic: string, text: string): void => {
    if (isMuted && topic === 'hear') return;
    const seconds = (clock.now() - plan.startsAt) / 1_000;
    trace.push(`${seconds.toFixed(3).padStart(9)}  ${topic.padEnd(8)} ${text}`);
  };
  const complain = (checker: string, message: string): void => {
    note('WRONG', `${checker}: ${message}`);
    if (failures.length < failuresMax) failures.push({ checker, message });
  };
  const observe = (observation: Observation): void => {
    for (const checker of checkers) {
      if (!checker.hear || checker.hears?.includes(observation.type) === false) continue;
      coverage.noteLaw(checker.name);
      for (const message of checker.hear(observation)) complain(checker.name, message);
    }
  };

  const dice = createDice(plan.seed, plan.chances, (chance) => coverage.noteFault(chance));
  const exchange = createExchange({
    clock,
    seed: plan.seed,
    accounts: [account],
    calendar: plan.calendar,
    tickIntervalMs: 3_600_000,
    startingCash: 1e9,
    latencyMs: { min: 1, max: 10 },
  });
  const pin = (market: MarketRow, bid: number, ask: number): void => {
    if (market.conId !== null)
      exchange.script.pin(market.conId, { bid, ask, last: bid, bidSize: 10_000, askSize: 10_000 });
  };
  for (const market of [...stocks, future]) pin(market, firstPrice - market.tick, firstPrice + market.tick);
  exchange.onEvent((event) => {
    const text = tellBook(event);
    if (text !== null) note('book', text);
  });
  const history = writeHistory(exchange);
  const tws = createTws({ clock, exchange, dice, trace: note });
  const journal = openJournal(':memory:');

  let isDiskFailing = false;
  let isCalm = false;
  let trading: TradingState = 'open';
  /** what the next life finds: a state that was asked for as the process died may be lost with it */
  let latched: TradingState = 'open';
  let requests = 0;
  let lives = 0;
  let wasSlow = false;
  /** requests whose answer is owed, with what they asked */
  const owed = new Map<string, readonly OrderTicket[]>();
  const asked = new Map<string, readonly OrderTicket[]>();

  const say = (command: TwsCommand) => {
    note('send', tellCommand(command));
    if (command.type === 'tws.place') observe({ type: 'placed', command, state: trading });
  };

  const hearFact = (fact: BrokerFact) => {
    const text = tellFact(fact);
    if (text !== '') note('hear', text);
  };

  const gaps: { readonly from: number; readonly to: number }[] = [];
  const doubtedPositions = new Set<string>();
  const missingOrders = new Set<string>();
  const settledByHand = new Set<string>();
  /** when the books were compared for the first time */
  let knownSince: number | null = null;
  const noteDifference = (detail: Readonly<Record<string, unknown>>): void => {
    const { code, subject, evidence } = detail;
    const named = (subject ?? {}) as Partial<Record<'account' | 'instrument' | 'clientOrderId', string>>;
    if (code === 'executions-gap') {
      const { from, to } = evidence as { readonly from: string; readonly to: string };
      gaps.push({ from: Date.parse(from), to: Date.parse(to) });
    } else if (code === 'order-missing') missingOrders.add(named.clientOrderId ?? '');
    else if (code !== undefined) doubtedPositions.add(`${named.account}|${named.instrument}`);
  };
  /** It ended on a day that TWS no longer lists, and people have been told that it is missing: theirs to decide. */
  const isForPeople = ({ clientOrderId, permIds, createdAt }: Order): boolean =>
    missingOrders.has(clientOrderId) &&
    !settledByHand.has(clientOrderId) &&
    (permIds.length > 0 || Date.parse(createdAt) < dayStart()) &&
    permIds.every((permId) => {
      const end = history.orders.get(Number(permId))?.completedAt ?? null;
      return end !== null && end < dayStart();
    });
  const dayStart = (): number => dayOf(clock.now(), 'US/Eastern').from;

  const states = new Map<string, string>();
  /** In which state an order met which fact. */
  const noteCell = (entry: JournalEntry): void => {
    if (entry.kind !== 'order') return;
    const { clientOrderId, state } = entry.order;
    coverage.noteCell('order', states.get(clientOrderId) ?? 'reviewing', entry.fact.type);
    states.set(clientOrderId, state);
  };

  const inspect = (event: InspectionEvent): void => {
    if (event.type !== '@xstate.event') return;
    const actor = event.actorRef as AnyActorRef;
    const { type } = event.event;
    if (actor.id.startsWith('order:')) {
      const snapshot = actor.getSnapshot();
      if (snapshot?.context?.replaying) return;
      const order = snapshot?.context?.order;
      if (order !== undefined) coverage.noteCell('order', String(order.state), type);
    } else if (isMatrixName(actor.id)) {
      const snapshot = actor.getSnapshot();
      if (snapshot?.status === 'active') coverage.noteCell(actor.id, stateOf(actor.id, snapshot.value), type);
    }
  };

  function bear(): Life {
    lives += 1;
    trading = latched;
    wasSlow = dice.strikes('slowPacing');
    note('process', `life ${lives} begins`);
    observe({ type: 'born' });
    return live({
      clock,
      tws,
      journal,
      limits: plan.limits,
      life: lives,
      seed: plan.seed,
      isPacingSlow: wasSlow,
      isDiskFailing: () => isDiskFailing,
      inspect,
      onAnswered(requestId, answer) {
        if (!owed.delete(requestId)) return;
        const reason = 'reason' in answer ? ` (${answer.reason.code})` : '';
        note(
          'answer',
          `${requestId} ${answer.outcome}${reason} ${answer.orders.map((order) => `${order.clientOrderId}:${order.state}`).join(' ')}`,
        );
        observe({ type: 'answered', requestId, answer });
        const tickets = asked.get(requestId) ?? [];
        if (answer.outcome === 'unavailable' && tickets.length > 0) askAgain(tickets);
      },
      onSend: say,
      onFact: hearFact,
      onDurable(written, firstSeq) {
        for (const [index, entry] of written.entries()) {
          note('durable', tellEntry(entry));
          noteCell(entry);
          if (entry.kind === 'trading') latched = entry.state;
          if (entry.kind === 'alert') noteDifference(entry.detail);
          if (entry.kind === 'health' && entry.event === 'session.reconciled') knownSince ??= entry.at;
          observe({ type: 'durable', entry, seq: firstSeq + index });
        }
      },
      onAnnounced: (records) => observe({ type: 'announced', records }),
      onReviewed(requestId, { verdict }) {
        if (!asked.has(requestId)) return;
        const gate = life.child('gate').getSnapshot().context;
        const isApproved = verdict === 'approved';
        const at = clock.now();
        observe({ type: 'reviewed', requestId, isApproved, state: trading, gate, at, multiplierOf });
      },
      onDied() {
        note('process', `life ${lives} ended`);
        observe({ type: 'died' });
        // A client whose answer is lost asks for the same once more.
        for (const tickets of owed.values()) if (tickets.length > 0) askAgain(tickets);
        owed.clear();
        clock.setTimeout(() => {
          life = bear();
        }, rebirthMs);
      },
      onFailed(error) {
        complain('the tree lives', error instanceof Error ? (error.stack ?? error.message) : String(error));
      },
    });
  }

  let rebirthMs = 1_000;
  let life: Life = bear();
  const happenings = createHappenings({
    clock,
    exchange,
    tws,
    pin,
    note,
    isOver: () => isCalm,
    failDisk(isFailing) {
      isDiskFailing = isFailing;
    },
  });
  const befall = happenings.befall;

  const nextRequest = (): string => {
    requests += 1;
    return `r${requests}`;
  };

  function askAgain(tickets: readonly OrderTicket[]): void {
    clock.setTimeout(
      () => {
        if (isCalm) return;
        note('ask', `again ${tickets.map(({ clientOrderId }) => clientOrderId).join(' ')}`);
        submit(tickets);
      },
      dice.between('askAgain', 500, 4_000),
    );
  }

  function submit(tickets: readonly OrderTicket[]) {
    if (!life.isAlive) return askAgain(tickets);
    const requestId = nextRequest();
    owed.set(requestId, tickets);
    asked.set(requestId, tickets);
    observe({ type: 'asked', requestId, tickets });
    life.send({
      type: 'order.submit',
      requestId,
      submissions: tickets.map((ticket) => ({ ticket, ...pricesOf(ticket.instrument) })),
      at: clock.now(),
    });
  }

  function cancel(clientOrderId: string): void {
    if (!life.isAlive) return;
    const requestId = nextRequest();
    owed.set(requestId, []);
    life.send({ type: 'order.cancel', requestId, clientOrderId, at: clock.now() });
  }

  function switchTrading(state: TradingState): void {
    if (!life.isAlive) return;
    trading = state;
    observe({ type: 'switched', state });
    const type = state === 'open' ? 'gate.open' : state === 'halted' ? 'gate.halt' : 'gate.reduce';
    life.send({ type, reason: { code: 'operator', message: 'asked' }, at: clock.now() });
  }

  /** Demands that those of them that are ours and open go. */
  function withdraw(orders: readonly Order[], why: string): readonly Order[] {
    const doomed = orders.filter((order) => order.origin === 'api' && !isClosed(order));
    const clientOrderIds = doomed.map(({ clientOrderId }) => clientOrderId);
    if (doomed.length > 0) life.send({ type: 'withdrawal.demand', clientOrderIds, why, at: clock.now() });
    return doomed;
  }

  function cancelAll(): readonly Order[] {
    const doomed = allOrders().filter((order) => order.origin === 'api' && !isClosed(order));
    for (const { clientOrderId } of doomed) cancel(clientOrderId);
    return doomed;
  }

  /** As the kill switch does it. */
  function kill(): void {
    if (!life.isAlive) return;
    switchTrading('halted');
    withdraw(cancelAll(), 'kill');
    if (life.isAlive) life.send({ type: 'tws.cancelAll' });
  }

  function askForPreview(ticket: OrderTicket): void {
    if (!life.isAlive) return;
    const before = JSON.stringify(life.child('gate').getSnapshot().context.exposures);
    life.send({
      type: 'gate.review',
      requestId: nextRequest(),
      questions: [{ ticket, ...pricesOf(ticket.instrument) }],
      replaces: null,
      preview: true,
      at: clock.now(),
    });
    const { nextOrderId } = life.child('desk').getSnapshot().context;
    life.send({ type: 'desk.raiseOrderId', orderId: nextOrderId + 1 });
    if (JSON.stringify(life.child('gate').getSnapshot().context.exposures) !== before)
      complain('previews change nothing', `the preview of ${ticket.clientOrderId} reserved something`);
  }

  const allOrders = (): readonly Order[] => {
    const { orders } = life.child('desk').getSnapshot().context;
    const known = [...entries(orders)].map(([id]) => id);
    return known
      .flatMap((id) => life.order(id) ?? [])
      .sort((a, b) => (a.clientOrderId < b.clientOrderId ? -1 : 1));
  };

  function act(step: Step) {
    switch (step.kind) {
      case 'submit':
      case 'repeat':
        note('ask', `${step.kind} ${step.tickets.map(({ clientOrderId }) => clientOrderId).join(' ')}`);
        return submit(step.tickets);
      case 'modify': {
        note('ask', `modify ${step.name} ${JSON.stringify(step.change)}`);
        if (!life.isAlive) return;
        const order = life.order(step.name);
        const requestId = nextRequest();
        owed.set(requestId, []);
        return life.send({
          type: 'order.modify',
          requestId,
          clientOrderId: step.name,
          change: step.change,
          ifVersion: null,
          market: pricesOf(order?.instrument ?? 'AAPL'),
          at: clock.now(),
        });
      }
      case 'cancel':
        note('ask', `cancel ${step.name}`);
        return cancel(step.name);
      case 'kill':
        note('ask', 'kill');
        return kill();
      case 'halt':
      case 'reduce':
      case 'open':
        note('ask', step.kind);
        return switchTrading(step.kind === 'halt' ? 'halted' : step.kind === 'reduce' ? 'reducing' : 'open');
      case 'cancelAll':
        note('ask', 'cancel all of ours');
        coverage.noteFault(step.kind);
        if (life.isAlive) cancelAll();
        return;
      case 'preview':
        note('ask', `preview ${step.ticket.side} ${step.ticket.quantity} ${step.ticket.instrument}`);
        coverage.noteFault(step.kind);
        return askForPreview(step.ticket);
      case 'lease': {
        const { client, cancelAfterMs } = step;
        note('ask', `lease of ${client || 'nobody in particular'}: ${cancelAfterMs} ms`);
        coverage.noteFault(step.kind);
        const at = clock.now();
        if (cancelAfterMs === 0) return life.send({ type: 'lease.release', client, at });
        return life.send({ type: 'lease.renew', client, cancelAfterMs, at });
      }
      case 'pnl':
        note('event', `the day's profit is ${step.daily}`);
        coverage.noteFault(step.kind);
        return life.send({ type: 'gate.pnlNoted', account, daily: step.daily });
      case 'crash':
        coverage.noteFault(step.kind);
        note('event', `crash at ${step.point} ${step.count}`);
        rebirthMs = step.forMs;
        return life.kill(step.point, step.count, step.isTailKept);
      default:
        coverage.noteFault(step.kind);
        return befall(step);
    }
  }

  /** Whatever went wrong ends here; what it did remains. */
  function calmDown(): void {
    note('event', 'all faults end');
    isCalm = true;
    dice.calm();
    isDiskFailing = false;
    life.defuse();
    happenings.end();
  }

  function unrest(): string[] {
    if (!life.isAlive) return ['the process is dead'];
    const reasons: string[] = [];
    const root = life.root.getSnapshot();
    if (root.status !== 'active') return [`the tree is ${root.status}`];
    if (!root.hasTag('trading')) reasons.push(`not trading: ${JSON.stringify(root.value.phase)}`);
    for (const order of allOrders()) {
      const awaited = ['reviewing', 'journaling', 'submitting', 'modifying', 'cancelling', 'inDoubt'];
      if (awaited.includes(order.state) && !isForPeople(order)) {
        reasons.push(`${order.clientOrderId} is ${order.state} (${order.reason?.code ?? 'no reason'})`);
      }
    }
    for (const requestId of owed.keys()) reasons.push(`${requestId} has no answer`);
    const { owed: leaving, leases } = life.child('withdrawal').getSnapshot().context;
    for (const { client, expiresAt } of leases)
      if (expiresAt < clock.now()) reasons.push(`the lease of ${client || 'nobody'} has run out and stands`);
    const { operations, refused } = life.child('desk').getSnapshot().context;
    for (const [requestId, { kind, ids }] of Object.entries(operations))
      reasons.push(`${requestId} is still at its ${kind} of ${ids.join(' ')}`);
    for (const { clientOrderId } of refused) reasons.push(`${clientOrderId} waits for an order id`);
    const known = new Map(allOrders().map((order) => [order.clientOrderId, order]));
    for (const { clientOrderId, why } of leaving) {
      const order = known.get(clientOrderId);
      if (order === undefined || !isForPeople(order))
        reasons.push(`${clientOrderId} still has to go (${why})`);
    }
    for (const { code, subject } of life.child('audit').getSnapshot().context.book.open) {
      const missing = subject.kind === 'order' ? known.get(subject.clientOrderId) : undefined;
      if (missing !== undefined && isForPeople(missing)) continue;
      reasons.push(`a difference is open: ${code} ${JSON.stringify(subject)}`);
    }
    return reasons;
  }

  const complaints = (): Failure[] => {
    const reasons = unrest();
    if (!life.isAlive || life.root.getSnapshot().status !== 'active')
      return reasons.map((message) => ({ checker: 'rest', message }));
    const world: AtRest = {
      exchange,
      journal,
      orders: allOrders(),
      gate: life.child('gate').getSnapshot().context,
      ledger: ledgerOf(life),
      history,
      dayStart: dayStart(),
      gaps,
      emptied: tws.emptied,
      doubtedPositions,
      missingOrders,
      knownSince: knownSince ?? clock.now(),
      unrest: reasons,
      clientId,
    };
    return checkers.flatMap((checker) => {
      if (!checker.atRest) return [];
      coverage.noteLaw(checker.name);
      return [...checker.atRest(world)].map((message) => ({ checker: checker.name, message }));
    });
  };

  /** A person ends what is missing as the broker's statement says. Whether there was any. */
  function settleByHand(): boolean {
    const orders = allOrders().filter((order) => !isClosed(order) && isForPeople(order));
    for (const { clientOrderId, permIds, quantity, filledQuantity: booked } of orders) {
      const stated = [...history.orders.values()]
        .filter(({ permId, request }) => permIds.includes(`${permId}`) || request.orderRef === clientOrderId)
        .reduce((sum, { filled }) => add(sum, toDecimal(filled) ?? '0'), '0');
      // What was taken back on a day that nobody asked about is booked all the same.
      const filledQuantity = larger(stated, booked);
      // Made larger elsewhere, unheard: more than the order is for cannot be stated.
      if (compare(filledQuantity, quantity) > 0) continue;
      note('ask', `settle ${clientOrderId}: ${filledQuantity} filled`);
      const requestId = nextRequest();
      owed.set(requestId, []);
      settledByHand.add(clientOrderId);
      life.send({
        type: 'order.settle',
        requestId,
        clientOrderId,
        settlement: { filledQuantity, averagePrice: null, note: 'as the statement says' },
        at: clock.now(),
      });
    }
    return orders.length > 0;
  }

  /** Lets time pass until nothing is wrong, and says what stays wrong. */
  function settle(what: string): void {
    const deadline = clock.now() + restDeadlineMs;
    let wrong = complaints();
    while (wrong.length > 0 && clock.now() < deadline) {
      clock.advance(glanceMs);
      // Books are compared once nobody waits any more.
      wrong = unrest().map((message) => ({ checker: 'rest comes', message }));
      if (wrong.length === 0) wrong = complaints();
      // What does not rest by now says the same for a long time.
      isMuted = clock.now() > deadline - restDeadlineMs + mutedAfterMs;
    }
    isMuted = false;
    if (wrong.length === 0) {
      clock.advance(afterglowMs);
      wrong = complaints();
      // A fact of this very moment is still on its way to the disk.
      if (wrong.length > 0) clock.advance(10);
      if (wrong.length > 0) wrong = complaints();
    }
    note('event', `${what}: ${wrong.length === 0 ? 'everything rests' : `${wrong.length} things are wrong`}`);
    for (const { checker, message } of wrong) complain(checker, message);
  }

  try {
    for (const step of plan.steps) clock.setTimeout(() => act(step), 500 + step.at);
    clock.advance(500 + plan.faultsEndAt);
    calmDown();
    settle('after the faults');
    if (failures.length === 0 && settleByHand()) settle('after what was missing is settled');
    if (failures.length === 0 && plan.ending !== 'leave') {
      note('ask', plan.ending);
      if (plan.ending === 'kill') kill();
      else for (const order of allOrders()) if (!isClosed(order)) cancel(order.clientOrderId);
      settle('after the end');
    }
  } catch (error) {
    complain('no exception', error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    life.end();
    exchange.close();
    journal.close();
  }
  return { failures, trace };
}

/** What the gate and the desk are told of a market. */
const pricesOf = (instrument: string): Pick<Submission, 'mark' | 'multiplier'> => {
  const { middle, multiplier } = [...stocks, future, combination].find(
    (row) => row.instrument === instrument,
  ) ?? {
    middle: firstPrice,
    multiplier: '1',
  };
  return { mark: { bid: middle, ask: middle, last: middle, close: middle, at: 0 }, multiplier };
};
const multiplierOf = (instrument: string): string => pricesOf(instrument).multiplier ?? '1';

function ledgerOf(life: Life): AtRest['ledger'] {
  const { positions, executions } = life.child('ledger').getSnapshot().context;
  return {
    positions: Object.values(positions).map(positionRow),
    executions: [...entries(executions)].map(([, row]) => row),
  };
}
