/** Fills the connection machine's slot with sessions of a TWS without sockets, and asks its lists for the reconciliation. */
import { fromCallback, fromPromise } from 'xstate';
import type { AskedList, ListKind } from '../../machines/reconciliation.machine.ts';
import type { SessionCommand, SessionInput, SessionReport } from '../../machines/tws.machine.ts';
import type {
  AccountValue,
  BrokerFact,
  CancelOrder,
  OrderNoteDisposition,
  PlaceOrder,
  TwsCommand,
} from '../../machines/tws.ts';
import type { VirtualClock } from '../../src/simulator/clock.ts';
import { createPacer, defaultPacing, type PacingOptions } from '../../src/tws/pacing.ts';
import { dayOf } from '../../src/tws/times.ts';
import type { Client, ListAnswer, ListName, Tws, TwsWord } from './tws.ts';

export interface SessionOptions {
  readonly clock: VirtualClock;
  readonly tws: Tws;
  readonly isSlow: boolean;
  /** false: the process is dead, whatever its actors still do */
  readonly isAlive: () => boolean;
  /** called as the bytes of a command are handed to the socket; false: the process died doing it */
  readonly onSend: (command: TwsCommand) => boolean;
  /** called with each fact that is read; false: the process died before it */
  readonly onFact: (fact: BrokerFact) => boolean;
}

interface Question {
  readonly list: ListName;
  readonly id: number;
  readonly rows: (BrokerFact | AccountValue)[];
  isSpoiled: boolean;
  finish(answer: ListAnswer): void;
}

const takesNewId: ReadonlySet<OrderNoteDisposition> = new Set(['duplicateOrderId', 'parentUnknown']);
const listDeadlineMs = 8_000;
/** in whose days TWS lists executions and ends */
const brokerZone = 'US/Eastern';

/** One message in a second and no lanes: much waits, and much is withheld when the session ends. */
const slowPacing: PacingOptions = {
  ...defaultPacing,
  perSecond: 3,
  reserved: { cancel: 1, order: 0, control: 1, data: 0 },
};

const rowKinds: Readonly<Record<Exclude<ListName, 'account'>, BrokerFact['type']>> = {
  openOrders: 'broker.orderSeen',
  completedOrders: 'broker.completedSeen',
  positions: 'broker.positionSeen',
  executions: 'broker.executed',
};

export function createSessions(options: SessionOptions) {
  const { clock, tws, isAlive } = options;
  const questions = new Map<ListName, Question>();
  let current: Client | null = null;
  let ids = 0;

  const failAll = (reason: string): void => {
    for (const question of [...questions.values()])
      question.finish({ outcome: 'failed', reason, at: clock.now() });
  };

  function hearList(word: TwsWord): void {
    if (word.kind === 'fact') {
      for (const question of questions.values()) {
        if (question.list === 'account' || word.fact.type !== rowKinds[question.list]) continue;
        if (question.list !== 'executions' || word.question === question.id)
          question.rows.push({ ...word.fact, at: clock.now() });
      }
      return;
    }
    if (word.kind === 'account') {
      const question = questions.get('account');
      if (question?.id === word.question) question.rows.push(word.value);
      return;
    }
    if (word.kind !== 'listEnd' && word.kind !== 'listSpoiled') return;
    const question = questions.get(word.list);
    if (question === undefined) return;
    if (word.kind === 'listSpoiled') {
      question.isSpoiled = true;
      return;
    }
    // Ends without an id may be those of an earlier question that was given up.
    if (word.question !== question.id) return;
    const isHollow = word.list === 'account' && question.rows.length === 0;
    question.finish(
      question.isSpoiled || isHollow
        ? { outcome: 'failed', reason: 'undecodable', at: clock.now() }
        : { outcome: 'complete', rows: question.rows, at: clock.now() },
    );
  }

  const session = fromCallback<SessionCommand, SessionInput>(({ input, sendBack, receive }) => {
    const report = (event: SessionReport): void => {
      if (isAlive()) sendBack(event);
    };
    const { clientId, sessionId } = input;
    let isOver = false;
    let probedAt: number | null = null;
    const pacer = createPacer(
      {
        now: () => clock.now(),
        setTimeout: (callback, ms) => clock.setTimeout(callback, ms),
        clearTimeout: (handle) => clock.clearTimeout(handle),
      },
      options.isSlow ? slowPacing : defaultPacing,
    );

    const client: Client = {
      clientId,
      lost() {
        if (isOver) return;
        end('session-lost');
        report({ type: 'session.closed', cause: 'closed', message: 'the peer hung up', at: clock.now() });
      },
      hear(word) {
        if (isOver || !isAlive()) return;
        const at = clock.now();
        switch (word.kind) {
          case 'accounts':
            return report({ type: 'session.accountsListed', accounts: word.accounts, at });
          case 'nextValidId':
            return report({ type: 'session.orderIdGranted', orderId: word.orderId, at });
          case 'time':
            if (probedAt !== null) report({ type: 'session.probed', rttMs: at - probedAt, at });
            probedAt = null;
            return;
          case 'link':
            return report(
              word.change === 'severed'
                ? { type: 'link.severed', at }
                : { type: 'link.restored', dataLost: word.change === 'restoredDataLost', at },
            );
          case 'fact': {
            const fact = { ...word.fact, at };
            if (!options.onFact(fact)) return;
            report(fact);
            if (!isOver) hearList(word);
            if (fact.type === 'broker.orderNoted' && takesNewId.has(fact.disposition)) askForId();
            return;
          }
          default:
            hearList(word);
        }
      },
    };

    /** Whoever wants to try again needs an id that TWS takes. */
    function askForId(): void {
      if (isOver || !isAlive()) return;
      const send = (): void => tws.tellNextId(client);
      pacer.submit({ lane: 'control', key: 'order-id', send, withhold: () => undefined });
    }

    function end(reason: string): void {
      if (isOver) return;
      isOver = true;
      pacer.close(reason);
      tws.hangUp(client);
      if (current === client) current = null;
      failAll('not-connected');
    }

    function dispatch(
      lane: 'cancel' | 'order',
      what: 'place' | 'modify' | 'cancel' | 'cancelAll',
      names: { readonly clientOrderId: string; readonly orderId: number },
      command: TwsCommand,
    ): void {
      pacer.submit({
        lane,
        key: `${what}:${names.orderId}`,
        send() {
          if (!isAlive() || !options.onSend(command)) return;
          tws.send(client, command);
          report({ type: 'dispatch.sent', ...names, what, sessionId, at: clock.now() });
        },
        withhold: (reason) => report({ type: 'dispatch.withheld', ...names, what, reason, at: clock.now() }),
      });
    }

    const place = (command: PlaceOrder): void => {
      const { orderId, ticket } = command;
      const names = { clientOrderId: ticket.clientOrderId, orderId };
      dispatch('order', command.modification ? 'modify' : 'place', names, command);
    };

    const cancel = (command: CancelOrder) => {
      const { clientOrderId, orderId } = command;
      pacer.withdraw((key) => key === `modify:${orderId}`, 'cancelled-before-sent');
      const unsent = pacer.withdraw((key) => key === `place:${orderId}`, 'cancelled-before-sent') > 0;
      if (!unsent) return dispatch('cancel', 'cancel', { clientOrderId, orderId }, command);
      report({
        type: 'dispatch.withheld',
        clientOrderId,
        orderId,
        what: 'cancel',
        reason: 'order-not-sent',
        at: clock.now(),
      });
    };

    receive((command) => {
      if (isOver || !isAlive()) return;
      switch (command.type) {
        case 'tws.place':
          return place(command);
        case 'tws.cancel':
          return cancel(command);
        case 'tws.cancelAll':
          pacer.withdraw((key) => /^(place|modify):/.test(key), 'cancelled-before-sent');
          return dispatch('cancel', 'cancelAll', { clientOrderId: '', orderId: 0 }, command);
        case 'session.probe':
          pacer.submit({
            lane: 'control',
            key: 'probe',
            send() {
              probedAt = clock.now();
              tws.probe(client);
            },
            withhold: () => undefined,
          });
      }
    });

    clock.setTimeout(() => {
      if (isOver) return;
      const at = clock.now();
      const outcome = tws.dial(client);
      switch (outcome) {
        case 'refused':
          end('session-lost');
          return report({ type: 'session.closed', cause: 'refused', message: 'nobody listens', at });
        case 'clientIdInUse':
          end('session-refused');
          return report({ type: 'session.refused', cause: 'clientIdInUse', message: 'id in use', at });
        case 'accepted':
          current = client;
          report({ type: 'session.connected', at });
          report({ type: 'session.greeted', serverVersion: 193, at });
          tws.start(client);
      }
    }, 1);
    report({ type: 'session.dialing', at: clock.now() });

    return () => end('session-ended');
  });

  function ask(list: ListName, done: (answer: ListAnswer) => void): void {
    const asked = current;
    if (asked === null) {
      clock.setTimeout(() => done({ outcome: 'failed', reason: 'not-connected', at: clock.now() }), 0);
      return;
    }
    ids += 1;
    const question: Question = {
      list,
      id: ids,
      rows: [],
      isSpoiled: false,
      finish(answer) {
        if (questions.get(list) !== question) return;
        questions.delete(list);
        clock.clearTimeout(deadline);
        // Whoever waits hears of it in the next turn, as with a promise.
        clock.setTimeout(() => done(answer), 0);
      },
    };
    const deadline = clock.setTimeout(
      () => question.finish({ outcome: 'failed', reason: 'timeout', at: clock.now() }),
      listDeadlineMs,
    );
    questions.get(list)?.finish({ outcome: 'failed', reason: 'superseded', at: clock.now() });
    questions.set(list, question);
    tws.ask(asked, list, question.id);
  }

  // A promise would answer between two instants of the virtual clock: the same logic, answered on it.
  const promised = fromPromise<AskedList, { list: ListKind }>(() => new Promise<AskedList>(() => undefined));
  const askBroker: typeof promised = {
    ...promised,
    start(snapshot, { self }) {
      const list = snapshot.input?.list;
      if (list === undefined) throw new Error('no list was asked for');
      const since = clock.now();
      ask(list, (answer) => {
        const day = dayOf(clock.now(), brokerZone);
        const data: AskedList = { since, snapshot: answer, day };
        if (isAlive() && self.getSnapshot().status === 'active')
          self.send({ type: 'xstate.promise.resolve', data });
      });
    },
  };

  return { session, askBroker };
}
