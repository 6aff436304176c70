/** One seed played from the first event to rest, on one clock: what happened, in order, and what was wrong with it. */
import type { AnyActorRef, InspectionEvent } from 'xstate';
import { isClosed } from '../../machines/evidence.ts';
import type { TradingState } from '../../machines/gate.machine.ts';
import type { JournalEntry } from '../../machines/journal.ts';
import { entries } from '../../machines/lookup.ts';
import type { Order, OrderTicket } from '../../machines/order.ts';
import type { BrokerFact, TwsCommand } from '../../machines/tws.ts';
import { openJournal } from '../../src/journal/journal.ts';
import { VirtualClock } from '../../src/simulator/clock.ts';
import { createExchange } from '../../src/simulator/exchange/exchange.ts';
import { toContract } from './broker-words.ts';
import { checkers as allCheckers } from './checkers/checkers.ts';
import type { Coverage } from './coverage.ts';
import { createDice } from './dice.ts';
import type { AtRest, Observation } from './observation.ts';
import { account, conIds, firstPrice, type Plan, type Step, symbols } from './plan.ts';
import { clientId, type Life, live } from './process.ts';
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

/** A Monday, 10:00 in New York. */
const startMs = Date.UTC(2026, 10, 23, 15, 0);
const restDeadlineMs = 20 * 60_000;
const glanceMs = 10_000;
const mutedAfterMs = 130_000;
/** What rests must still rest after a routine comparison with the broker's lists. */
const afterglowMs = 65_000;
const failuresMax = 20;

const unlimited = {
  maxOrderQuantity: '0',
  maxOrderNotional: '0',
  maxOpenOrders: 0,
  maxOrdersPerSecond: 0,
  priceCollarPercent: '0',
  maxPositionNotional: '0',
  maxDailyLoss: '0',
};

export function play(plan: Plan, coverage: Coverage): Run {
  const clock = new VirtualClock(startMs);
  const trace: string[] = [];
  const failures: Failure[] = [];
  const checkers = allCheckers();
  let isMuted = false;
  const note = (topic: string, text: string): void => {
    if (isMuted && topic === 'hear') return;
    const seconds = (clock.now() - startMs) / 1_000;
    trace.push(`${seconds.toFixed(3).padStart(9)}  ${topic.padEnd(8)} ${text}`);
  };
  const complain = (checker: string, message: string): void => {
    note('WRONG', `${checker}: ${message}`);
    if (failures.length < failuresMax) failures.push({ checker, message });
  };
  const observe = (observation: Observation): void => {
    for (const checker of checkers) {
      for (const message of checker.hear?.(observation) ?? []) complain(checker.name, message);
    }
  };

  const dice = createDice(plan.seed, plan.chances, (chance) => coverage.noteFault(chance));
  const exchange = createExchange({
    clock,
    seed: plan.seed,
    accounts: [account],
    tickIntervalMs: 3_600_000,
    startingCash: 1e9,
    latencyMs: { min: 1, max: 10 },
  });
  const pin = (symbol: string, bid: number, ask: number): void =>
    exchange.script.pin(conIds[symbol] ?? 0, { bid, ask, last: bid, bidSize: 10_000, askSize: 10_000 });
  for (const symbol of symbols) pin(symbol, firstPrice - 0.02, firstPrice + 0.02);
  exchange.onEvent((event) => {
    switch (event.type) {
      case 'openOrder':
        return;
      case 'orderStatus': {
        const { order } = event;
        return note(
          'book',
          `#${order.request.orderId} ${order.request.orderRef || '-'} perm ${order.permId} ${order.status}` +
            ` ${order.filled}/${order.request.totalQuantity}${order.whyHeld ? ` held: ${order.whyHeld}` : ''}`,
        );
      }
      case 'execution': {
        const { execId, shares, price, permId, side, contract } = event.execution;
        return note('book', `${execId} ${side} ${shares} ${contract.symbol} at ${price} of perm ${permId}`);
      }
      case 'orderError':
        return note('book', `#${event.orderId} error ${event.code}: ${event.text.slice(0, 60)}`);
      default:
    }
  });
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
  const externals = new Map<string, number>();
  /** requests whose answer is owed, with what they asked */
  const owed = new Map<string, readonly OrderTicket[]>();
  const asked = new Map<string, readonly OrderTicket[]>();

  const say = (command: TwsCommand) => {
    switch (command.type) {
      case 'tws.place': {
        const { orderId, ticket, parentOrderId, modification } = command;
        note(
          'send',
          `${modification ? 'modify' : 'place'} #${orderId} ${ticket.clientOrderId} ${ticket.side} ${ticket.quantity}` +
            ` ${ticket.instrument} ${ticket.type} ${ticket.limitPrice ?? ''}/${ticket.stopPrice ?? ''}` +
            `${parentOrderId ? ` child of #${parentOrderId}` : ''}${ticket.transmit ? '' : ' (not transmitted)'}`,
        );
        observe({ type: 'placed', command, state: trading });
        return;
      }
      case 'tws.cancel':
        return note('send', `cancel #${command.orderId} ${command.clientOrderId}`);
      case 'tws.cancelAll':
        note('send', 'cancel all');
    }
  };

  const hearFact = (fact: BrokerFact) => {
    switch (fact.type) {
      case 'broker.orderSeen':
        return note(
          'hear',
          `openOrder #${fact.ids.orderId} ${fact.ids.orderRef} perm ${fact.ids.permId} ${fact.status}` +
            ` ${fact.terms.quantity} ${fact.terms.limitPrice ?? ''}`,
        );
      case 'broker.statusSeen':
        return note(
          'hear',
          `orderStatus #${fact.ids.orderId} perm ${fact.ids.permId} ${fact.status} filled ${fact.filled}` +
            `${fact.heldBecause ? ` held: ${fact.heldBecause}` : ''}`,
        );
      case 'broker.executed':
        return note(
          'hear',
          `execution ${fact.execution.execId} of #${fact.ids.orderId} ${fact.ids.orderRef}: ${fact.execution.quantity}`,
        );
      case 'broker.commissioned':
        return note('hear', `commission of ${fact.execId}: ${fact.commission}`);
      case 'broker.orderNoted':
        return note('hear', `error ${fact.code} on #${fact.orderId}: ${fact.message.slice(0, 60)}`);
      case 'broker.completedSeen':
        return note(
          'hear',
          `completed ${fact.ids.orderRef} perm ${fact.ids.permId} ${fact.status} filled ${fact.filled}`,
        );
      case 'broker.positionSeen':
        return note('hear', `position ${fact.contract.symbol} ${fact.quantity}`);
      case 'broker.orderIdGranted':
    }
  };

  const describe = (entry: JournalEntry): string => {
    switch (entry.kind) {
      case 'order': {
        const { fact, order } = entry;
        const reason = 'reason' in fact && fact.reason ? ` (${fact.reason.code})` : '';
        return `${fact.type} ${fact.clientOrderId} -> ${order.state} ${order.filledQuantity}/${order.quantity}${reason}`;
      }
      case 'position':
        return `position ${entry.position.instrument} ${entry.position.quantity}${entry.position.confirmed ? '' : ' unconfirmed'}`;
      case 'execution':
        return `${entry.event} ${entry.execution.execId} ${entry.execution.quantity}`;
      case 'trading':
        return `trading ${entry.state}`;
      case 'withdrawal':
        return `withdrawals owed: ${entry.standing.owed.map((each) => each.clientOrderId).join(' ')}`;
      case 'health':
      case 'alert':
        return `${entry.kind} ${entry.event}`;
      default:
        return String(entry.kind);
    }
  };

  const states = new Map<string, string>();
  /** In which state an order met which fact. */
  const noteCell = (entry: JournalEntry): void => {
    if (entry.kind !== 'order') return;
    const { clientOrderId, state } = entry.order;
    coverage.noteCell(states.get(clientOrderId) ?? 'reviewing', entry.fact.type);
    states.set(clientOrderId, state);
  };

  const inspect = (event: InspectionEvent): void => {
    if (event.type !== '@xstate.event') return;
    const actor = event.actorRef as AnyActorRef;
    if (!actor.id.startsWith('order:')) return;
    const snapshot = actor.getSnapshot();
    if (snapshot?.context?.replaying) return;
    coverage.noteCell(String(snapshot?.context?.order?.state ?? 'unborn'), event.event.type);
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
      limits: unlimited,
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
          note('durable', describe(entry));
          noteCell(entry);
          if (entry.kind === 'trading') latched = entry.state;
          observe({ type: 'durable', entry, seq: firstSeq + index });
        }
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

  const nextRequest = (): string => {
    requests += 1;
    return `r${requests}`;
  };

  const permIdOf = (name: string): number | undefined =>
    externals.get(name) ??
    exchange.openOrders().find(({ request }) => request.orderRef === name && request.clientId === clientId)
      ?.permId;

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
    const mark = { bid: firstPrice, ask: firstPrice, last: firstPrice, close: firstPrice, at: clock.now() };
    life.send({
      type: 'order.submit',
      requestId,
      submissions: tickets.map((ticket) => ({ ticket, mark, multiplier: '1' })),
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

  /** As the kill switch does it. */
  function kill(): void {
    if (!life.isAlive) return;
    switchTrading('halted');
    const doomed = allOrders().filter((order) => order.origin === 'api' && !isClosed(order));
    for (const { clientOrderId } of doomed) cancel(clientOrderId);
    if (doomed.length > 0) {
      const clientOrderIds = doomed.map((order) => order.clientOrderId);
      life.send({ type: 'withdrawal.demand', clientOrderIds, why: 'kill', at: clock.now() });
    }
    life.send({ type: 'tws.cancelAll' });
  }

  const allOrders = (): readonly Order[] => {
    const { orders } = life.child('desk').getSnapshot().context;
    const known = [...entries(orders)].map(([id]) => id);
    return known
      .flatMap((id) => life.order(id) ?? [])
      .sort((a, b) => (a.clientOrderId < b.clientOrderId ? -1 : 1));
  };

  /** Levers of the book complain about orders that are gone; a plan cannot know. */
  function lever(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      note('book', `nothing: ${error.message}`);
    }
  }

  function act(step: Step) {
    switch (step.kind) {
      case 'submit':
      case 'repeat':
        note('ask', `${step.kind} ${step.tickets.map(({ clientOrderId }) => clientOrderId).join(' ')}`);
        return submit(step.tickets);
      case 'modify': {
        note('ask', `modify ${step.name} ${JSON.stringify(step.change)}`);
        if (!life.isAlive) return;
        const requestId = nextRequest();
        owed.set(requestId, []);
        return life.send({
          type: 'order.modify',
          requestId,
          clientOrderId: step.name,
          change: step.change,
          ifVersion: null,
          market: {
            mark: { bid: firstPrice, ask: firstPrice, last: null, close: null, at: clock.now() },
            multiplier: '1',
          },
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
      default:
        coverage.noteFault(step.kind);
        return befall(step);
    }
  }

  function befall(
    step: Exclude<
      Step,
      { kind: 'submit' | 'repeat' | 'modify' | 'cancel' | 'kill' | 'halt' | 'reduce' | 'open' }
    >,
  ) {
    const { at: _, kind, ...rest } = step;
    note('event', `${kind} ${JSON.stringify(rest)}`);
    const later = (ms: number, run: () => void): void => {
      clock.setTimeout(() => {
        if (!isCalm) run();
      }, ms);
    };
    switch (step.kind) {
      case 'quote':
        pin(step.symbol, step.bid, step.ask);
        exchange.script.setLiquidity(conIds[step.symbol] ?? 0, step.liquidity);
        return;
      case 'fill':
        return lever(() => {
          const order = exchange.openOrders().find(({ permId }) => permId === permIdOf(step.name));
          if (order === undefined) return;
          const shares = Math.max(1, Math.round(order.remaining * step.share));
          exchange.script.fill(order.permId, Math.min(shares, order.remaining), firstPrice);
        });
      case 'correct':
        return lever(() => {
          const current = newest(exchange);
          const chosen = current[Math.floor(step.pick * current.length)];
          if (chosen === undefined) return;
          const change =
            step.how === 'bust'
              ? { shares: 0 }
              : step.how === 'price'
                ? { price: chosen.price + 0.5 }
                : { shares: Math.max(1, Math.floor(chosen.shares / 2)) };
          exchange.script.correct(chosen.execId, change);
        });
      case 'end':
        return lever(() => {
          const permId = permIdOf(step.name);
          if (permId === undefined) return;
          if (step.how !== 'Held') return exchange.script.end(permId, step.how);
          exchange.script.end(permId, 'Inactive', {
            whyHeld: 'locate',
            code: 404,
            text: 'shares are located',
          });
          later(5_000, () => lever(() => exchange.script.unhold(permId)));
        });
      case 'external':
        return lever(() => {
          const order = exchange.script.external({
            clientId: step.clientId,
            orderId: step.clientId === 0 ? 0 : Number(step.name.slice(1)) + 1,
            contract: toContract({
              symbol: step.symbol,
              secType: 'STK',
              exchange: 'SMART',
              currency: 'USD',
            }),
            action: step.action,
            totalQuantity: step.quantity,
            orderType: step.limit === null ? 'MKT' : 'LMT',
            lmtPrice: step.limit,
            tif: 'GTC',
            account,
          });
          externals.set(step.name, order.permId);
        });
      case 'liquidate':
        return lever(() => exchange.script.liquidate(account, conIds[step.symbol] ?? 0));
      case 'setPosition':
        return exchange.script.setPosition(account, conIds[step.symbol] ?? 0, step.quantity, firstPrice);
      case 'drop':
        return tws.drop();
      case 'restart':
        tws.goDown();
        tws.forget(step.rollBack);
        return later(step.forMs, () => tws.comeUp());
      case 'outage':
        tws.goDown();
        return later(step.forMs, () => tws.comeUp());
      case 'freeze':
        tws.freeze(true);
        return later(step.forMs, () => tws.freeze(false));
      case 'clientIdInUse':
        tws.holdClientId(clock.now() + step.forMs);
        return tws.drop();
      case 'severed':
        tws.lose(step.policy);
        return later(step.forMs, () => tws.restore(step.replay, step.dataLost));
      case 'dialog':
        tws.openDialog();
        return later(step.forMs, () => tws.closeDialog());
      case 'crash':
        rebirthMs = step.forMs;
        return life.kill(step.point, step.count, step.isTailKept);
      case 'diskFailure':
        isDiskFailing = true;
        return later(step.forMs, () => {
          isDiskFailing = false;
        });
      case 'rejectNext':
        return exchange.script.rejectNext(step.code, 'Order rejected - reason:asked for', step.times);
    }
  }

  /** Whatever went wrong ends here; what it did remains. */
  function calmDown(): void {
    note('event', 'all faults end');
    isCalm = true;
    dice.calm();
    isDiskFailing = false;
    life.defuse();
    exchange.script.rejectNext(0, '', 0);
    tws.comeUp();
    tws.holdClientId(0);
    tws.freeze(false);
    tws.restore('events', true);
    tws.closeDialog();
    for (const { permId, whyHeld } of exchange.openOrders())
      if (whyHeld !== '') lever(() => exchange.script.unhold(permId));
  }

  function unrest(): string[] {
    if (!life.isAlive) return ['the process is dead'];
    const reasons: string[] = [];
    const root = life.root.getSnapshot();
    if (root.status !== 'active') return [`the tree is ${root.status}`];
    if (!root.hasTag('trading')) reasons.push(`not trading: ${JSON.stringify(root.value.phase)}`);
    for (const order of allOrders()) {
      const awaited = ['reviewing', 'journaling', 'submitting', 'modifying', 'cancelling', 'inDoubt'];
      if (awaited.includes(order.state)) {
        reasons.push(`${order.clientOrderId} is ${order.state} (${order.reason?.code ?? 'no reason'})`);
      }
    }
    for (const requestId of owed.keys()) reasons.push(`${requestId} has no answer`);
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
      unrest: reasons,
      clientId,
    };
    return checkers.flatMap((checker) =>
      [...(checker.atRest?.(world) ?? [])].map((message) => ({ checker: checker.name, message })),
    );
  };

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
    }
    note('event', `${what}: ${wrong.length === 0 ? 'everything rests' : `${wrong.length} things are wrong`}`);
    for (const { checker, message } of wrong) complain(checker, message);
  }

  try {
    for (const step of plan.steps) clock.setTimeout(() => act(step), 500 + step.at);
    clock.advance(500 + plan.faultsEndAt);
    calmDown();
    settle('after the faults');
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

/** The newest revision of each execution, busted ones left out. */
function newest(exchange: { executions: ReturnType<typeof createExchange>['executions'] }) {
  const families = new Map<string, ReturnType<typeof exchange.executions>[number]>();
  const filter = { clientId: 0, account: '', since: null, symbol: '', secType: '', exchange: '', side: '' };
  for (const execution of exchange.executions(filter)) {
    families.set(execution.execId.slice(0, execution.execId.lastIndexOf('.')), execution);
  }
  return [...families.values()].filter(({ shares }) => shares > 0);
}
