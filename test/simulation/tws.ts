/**
 * A TWS without sockets: it knows sessions, order ids and the link to the exchange, and everything that can go wrong
 * between the exchange's word and the client's ear. Messages of one session come in order unless a fault says otherwise.
 */
import type { AccountValue, BrokerFact, PlaceOrder, Snapshot, TwsCommand } from '../../machines/tws.ts';
import type { VirtualClock } from '../../src/simulator/clock.ts';
import type { BookOrder, Exchange, ExchangeEvent } from '../../src/simulator/model.ts';
import { OrderIds } from '../../src/simulator/orderIds.ts';
import { type OutagePolicy, type ReplayPolicy, Upstream } from '../../src/simulator/upstream.ts';
import { meaningOf } from '../../src/tws/codes.ts';
import {
  commissionFact,
  completedFact,
  executionFact,
  openOrderFact,
  positionFact,
  statusFact,
  toRequest,
} from './broker-words.ts';
import type { Dice } from './dice.ts';

export type ListName = 'openOrders' | 'executions' | 'completedOrders' | 'positions' | 'account';

/** What a session hears. */
export type TwsWord =
  | { readonly kind: 'fact'; readonly fact: BrokerFact; readonly question: number }
  | { readonly kind: 'account'; readonly value: AccountValue; readonly question: number }
  | { readonly kind: 'listEnd'; readonly list: ListName; readonly question: number }
  | { readonly kind: 'listSpoiled'; readonly list: ListName }
  | { readonly kind: 'accounts'; readonly accounts: readonly string[] }
  | { readonly kind: 'nextValidId'; readonly orderId: number }
  | { readonly kind: 'time' }
  | { readonly kind: 'link'; readonly change: 'severed' | 'restored' | 'restoredDataLost' };

export interface Client {
  readonly clientId: number;
  hear(word: TwsWord): void;
  /** the socket is gone */
  lost(): void;
}

/** One client's socket. */
interface Line {
  readonly client: Client;
  isOpen: boolean;
  isFrozen: boolean;
  /** when the newest message is due: later ones are not earlier */
  dueAt: number;
  accountDueAt: number;
  readonly frozen: TwsWord[];
  subscribesPositions: boolean;
}

export interface TwsOptions {
  readonly clock: VirtualClock;
  readonly exchange: Exchange;
  readonly dice: Dice;
  readonly trace: (topic: string, text: string) => void;
}

export type Dialled = 'refused' | 'clientIdInUse' | 'accepted';

export function createTws({ clock, exchange, dice, trace }: TwsOptions) {
  const orderIds = new OrderIds();
  const upstream = new Upstream(exchange, (event) => deliver(event));
  exchange.onEvent((event) => upstream.hear(event));
  let line: Line | null = null;
  let isUp = true;
  let incarnation = 0;
  let idTakenUntil = 0;
  /** when the newest command is taken: later ones are not earlier */
  let takenAt = 0;
  let hasDialog = false;
  let behindDialog: (() => void)[] = [];
  const emptied: number[] = [];

  const after = (ms: number, run: () => void): void => {
    clock.setTimeout(run, ms);
  };

  function say(word: TwsWord, delayMs = 0): void {
    if (line === null || !line.isOpen) return;
    const to = line;
    // Words about the account stand beside all others: they take no draws from them, and hold none of them up.
    const isAside = word.kind === 'account' || ('list' in word && word.list === 'account');
    const latency = dice.between(isAside ? 'accountLatency' : 'latency', 0, 12);
    if (isAside) {
      to.accountDueAt = Math.max(to.accountDueAt, clock.now() + latency);
      after(to.accountDueAt - clock.now(), () => arrive(to, word));
      return;
    }
    // A delayed message is overtaken by later ones; all others stay in their order.
    const due = delayMs > 0 ? clock.now() + delayMs : Math.max(to.dueAt, clock.now() + latency);
    if (delayMs === 0) to.dueAt = due;
    after(due - clock.now(), () => arrive(to, word));
  }

  function arrive(to: Line, word: TwsWord): void {
    if (!to.isOpen) return;
    if (to.isFrozen) {
      to.frozen.push(word);
      return;
    }
    to.client.hear(word);
    strayErrors(word);
  }

  function sayFact(fact: BrokerFact | null, question = -1): void {
    if (fact === null) throw new Error('the book said something that cannot be put in words');
    const isAnswer = question >= 0;
    if (!isAnswer && fact.type === 'broker.statusSeen' && dice.strikes('loseStatus')) return;
    if (!isAnswer && fact.type === 'broker.orderSeen' && dice.strikes('loseOpenOrder')) return;
    if (!isAnswer && fact.type === 'broker.executed' && dice.strikes('loseExecution')) return;
    const word: TwsWord = { kind: 'fact', fact, question };
    if (!isAnswer && fact.type === 'broker.commissioned' && dice.strikes('lateCommission')) {
      say(word, dice.between('lateCommission', 500, 40_000));
      return;
    }
    // First a figure that is corrected at once by another report of the same execution.
    if (!isAnswer && fact.type === 'broker.commissioned' && dice.strikes('commissionRevised'))
      say({ kind: 'fact', fact: { ...fact, commission: '0.01' }, question });
    const isDelayed = !isAnswer && dice.strikes('delayFact');
    say(word, isDelayed ? dice.between('delayFact', 20, 6_000) : 0);
    if (dice.strikes('duplicateFact')) {
      say({ ...word, question: -1 }, dice.between('duplicateFact', 0, 3_000));
    }
  }

  function note(orderId: number, code: number, message: string): void {
    const disposition = meaningOf(code).order ?? 'notice';
    sayFact({ type: 'broker.orderNoted', at: clock.now(), orderId, code, message, disposition });
  }

  const isManual = ({ request }: BookOrder): boolean => request.clientId === 0 && request.orderId <= 0;

  /** The exchange's word, to whom it concerns. */
  function deliver(event: ExchangeEvent): void {
    if (line === null) return;
    const { clientId } = line.client;
    const at = clock.now();
    switch (event.type) {
      case 'openOrder':
      case 'orderStatus': {
        if (event.order.request.clientId !== clientId || isManual(event.order)) return;
        tellOrder(event.order, event.type, at);
        return;
      }
      case 'execution':
        if (event.execution.clientId === clientId) sayFact(executionFact(event.execution, at));
        return;
      case 'commission':
        if (event.clientId === clientId) sayFact(commissionFact(event.report, at));
        return;
      case 'orderError':
        if (event.clientId === clientId) note(event.orderId, event.code, event.text);
        return;
      case 'position':
        if (line.subscribesPositions) sayFact(positionFact(event.position, at));
        return;
      case 'account':
        return;
    }
  }

  function tellOrder(order: BookOrder, as: 'openOrder' | 'orderStatus', at: number, question = -1): void {
    const { clientId, orderId } = order.request;
    if (as === 'openOrder') {
      orderIds.use(line?.client.clientId ?? clientId, orderId);
      sayFact(openOrderFact(order, at), question);
    } else sayFact(statusFact(order, at), question);
    if (question < 0 && orderId > 0 && dice.strikes('strayNotice')) {
      note(orderId, dice.oneOf('strayNotice', [399, 2109, 10349, 404, 77777]), 'a word about a live order');
    }
  }

  /** Errors that mean nothing, on an order that the client has just been told of. */
  function strayErrors(word: TwsWord): void {
    if (word.kind !== 'fact' || word.question >= 0) return;
    const { fact } = word;
    if (fact.type !== 'broker.orderSeen' && fact.type !== 'broker.statusSeen') return;
    const { orderId } = fact.ids;
    if (orderId <= 0) return;
    if (dice.strikes('strayRefusal'))
      note(orderId, dice.oneOf('strayRefusal', [201, 110, 103]), 'a refusal that refuses nothing');
    if (dice.strikes('strayCancelled')) note(orderId, 202, 'Order Canceled - reason:');
  }

  function take(command: TwsCommand, clientId: number): void {
    if (!isUp) return;
    switch (command.type) {
      case 'tws.place':
        takeOrder(command, clientId);
        return;
      case 'tws.cancel':
        upstream.whenUp(() => exchange.cancel(clientId, command.orderId));
        return;
      case 'tws.cancelAll':
        upstream.whenUp(() => exchange.cancelAll());
    }
  }

  function takeOrder(command: PlaceOrder, clientId: number): void {
    if (hasDialog) {
      behindDialog.push(() => takeOrder(command, clientId));
      return;
    }
    const { orderId } = command;
    const isSpent = orderIds.isSpent(clientId, orderId);
    orderIds.use(clientId, orderId);
    const request = toRequest(command, clientId);
    upstream.whenUp(() => exchange.place(request, isSpent));
  }

  function rowsOf(list: ListName, question: number, at: number): (() => void)[] {
    const book = upstream.book;
    switch (list) {
      case 'openOrders':
        return book
          .openOrders()
          .flatMap((order) => [
            () => tellOrder(order, 'openOrder', at, question),
            () => tellOrder(order, 'orderStatus', at, question),
          ]);
      case 'completedOrders':
        return book.completedOrders().map((order) => () => sayFact(completedFact(order, at), question));
      case 'executions':
        return book.executions(everything).flatMap((execution) => {
          const report = exchange.commissionReport(execution.execId);
          const row = () => sayFact(executionFact(execution, at), question);
          return report === null ? [row] : [row, () => sayFact(commissionFact(report, at), question)];
        });
      case 'positions':
        return book
          .positions()
          .filter(({ position }) => position !== 0)
          .map((row) => () => sayFact(positionFact(row, at), question));
      case 'account':
        return exchange.accounts.flatMap((account) =>
          book
            .accountValues(account)
            .map(({ key, value, currency }) => ({
              account,
              key,
              value,
              currency,
              at: new Date(at).toISOString(),
            }))
            .map((value) => () => say({ kind: 'account', value, question })),
        );
    }
  }

  function answer(list: ListName, question: number): void {
    if (line === null || !line.isOpen) return;
    const rows = rowsOf(list, question, clock.now());
    if (list === 'positions') line.subscribesPositions = true;
    if (list === 'account') {
      answerAccount(rows, question);
      return;
    }
    if (dice.strikes('listEmpty')) {
      trace('fault', `the list of ${list} comes empty`);
      if (list === 'executions') emptied.push(clock.now());
      say({ kind: 'listEnd', list, question });
      return;
    }
    if (dice.strikes('listPartial')) {
      trace('fault', `the list of ${list} breaks off`);
      for (const row of rows.slice(0, dice.between('listPartial', 0, rows.length))) row();
      return;
    }
    for (const row of rows) row();
    if (dice.strikes('listFailed')) say({ kind: 'listSpoiled', list });
    say({ kind: 'listEnd', list, question });
  }

  /** Whatever becomes of it: nothing but health may depend on it. */
  function answerAccount(rows: readonly (() => void)[], question: number): void {
    const fate = dice.between('account', 0, 19);
    if (fate === 0) return;
    if (fate === 1) say({ kind: 'listSpoiled', list: 'account' });
    if (fate !== 2) for (const row of rows) row();
    say({ kind: 'listEnd', list: 'account', question });
  }

  function cutOff(): void {
    if (line === null) return;
    const gone = line;
    line = null;
    if (!gone.isOpen) return;
    gone.isOpen = false;
    gone.client.lost();
  }

  return {
    /** when a list of executions came empty that was not */
    emptied,
    exchange,
    upstream,
    get isUp() {
      return isUp;
    },

    dial(client: Client): Dialled {
      if (!isUp) return 'refused';
      if (clock.now() < idTakenUntil || line !== null) return 'clientIdInUse';
      line = {
        client,
        isOpen: true,
        isFrozen: false,
        dueAt: clock.now(),
        accountDueAt: clock.now(),
        frozen: [],
        subscribesPositions: false,
      };
      return 'accepted';
    },
    /** Greets: accounts, the next order id, the state of the link and the client's open orders. */
    start(client: Client): void {
      if (line?.client !== client) return;
      say({ kind: 'accounts', accounts: exchange.accounts });
      say({ kind: 'nextValidId', orderId: orderIds.next(client.clientId) });
      if (upstream.isLost) say({ kind: 'link', change: 'severed' });
      const at = clock.now();
      for (const order of upstream.book.openOrders()) {
        if (order.request.clientId !== client.clientId || isManual(order)) continue;
        tellOrder(order, 'openOrder', at);
        tellOrder(order, 'orderStatus', at);
      }
    },
    /** The bytes of a command, on their way. */
    send(client: Client, command: TwsCommand): void {
      const sentTo = incarnation;
      const run = (): void => {
        if (sentTo === incarnation) take(command, client.clientId);
      };
      if (dice.strikes('swallowCommand')) {
        trace('fault', 'the command is swallowed');
        return;
      }
      const isHeld = dice.strikes('holdCommand');
      if (isHeld) trace('fault', 'the command is held');
      if (isHeld) {
        after(dice.between('holdCommand', 500, 20_000), run);
        return;
      }
      takenAt = Math.max(takenAt, clock.now() + dice.between('latency', 0, 8));
      after(takenAt - clock.now(), run);
    },
    tellNextId(client: Client): void {
      if (line?.client === client) say({ kind: 'nextValidId', orderId: orderIds.next(client.clientId) });
    },
    probe(client: Client): void {
      if (line?.client === client) say({ kind: 'time' });
    },
    ask(client: Client, list: ListName, question: number): void {
      if (line?.client !== client) return;
      const isSlow = list !== 'account' && dice.strikes('listSlow');
      const slow = isSlow ? dice.between('listSlow', 500, 12_000) : 1;
      const to = line;
      after(slow, () => {
        if (line === to) answer(list, question);
      });
    },
    hangUp(client: Client): void {
      if (line?.client !== client) return;
      line.isOpen = false;
      line = null;
    },

    drop: cutOff,
    goDown(): void {
      isUp = false;
      cutOff();
    },
    comeUp(): void {
      isUp = true;
    },
    /** The gateway's process is another one: what it held is lost. */
    forget(rollBack: number): void {
      incarnation += 1;
      behindDialog = [];
      if (rollBack > 0) orderIds.set(Math.max(1, orderIds.next(1) - rollBack), 1);
    },
    freeze(isFrozen: boolean): void {
      const to = line;
      if (to === null) return;
      to.isFrozen = isFrozen;
      if (isFrozen) return;
      for (const word of to.frozen.splice(0)) arrive(to, word);
    },
    holdClientId(untilMs: number): void {
      idTakenUntil = untilMs;
    },
    lose(policy: OutagePolicy): void {
      upstream.lose(policy);
      say({ kind: 'link', change: 'severed' });
    },
    restore(replay: ReplayPolicy, isDataLost: boolean): void {
      if (!upstream.isLost) return;
      say({ kind: 'link', change: isDataLost ? 'restoredDataLost' : 'restored' });
      upstream.restore(replay);
    },
    openDialog(): void {
      hasDialog = true;
    },
    closeDialog(): void {
      hasDialog = false;
      const waiting = behindDialog;
      behindDialog = [];
      for (const run of waiting) run();
    },
  };
}
export type Tws = ReturnType<typeof createTws>;
export type ListAnswer = Snapshot<BrokerFact | AccountValue>;

const everything = {
  clientId: 0,
  account: '',
  since: null,
  symbol: '',
  secType: '',
  exchange: '',
  side: '',
} as const;
