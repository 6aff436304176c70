/** One session with TWS: from the first byte to the last, callbacks become facts and commands become messages. */
import { EventName, type IBApi, type OrderCancel } from '@stoqey/ib';
import type { SessionCommand, SessionInput, SessionReport } from '../../machines/tws.machine.ts';
import type { BrokerFact, CancelOrder, OrderPreview, PlaceOrder } from '../../machines/tws.ts';
import { dispositionOf, isKnownCode } from './codes.ts';
import { type Connection, openConnection } from './library.ts';
import { createNotices } from './notices.ts';
import { toIbContract, toIbOrder } from './orders.ts';
import type { Pacer } from './pacing.ts';
import type { Plausibility } from './plausible.ts';
import { createQuarantine } from './quarantine.ts';
import { zoneOfGreeting } from './times.ts';
import {
  commissioned,
  completedSeen,
  executed,
  orderSeen,
  positionSeen,
  statusSeen,
  toPreview,
} from './translate.ts';
import type { Venues } from './venues.ts';
import { firstRequestId, type GatewayClock, type Logger, type Wire } from './wire.ts';

/** What else wants to hear of a session. */
export interface SessionListeners {
  /** Listeners of its own may be added to the connection. */
  attached(wire: Wire): void;
  /** Orders can be sent: accounts, order id and a probe are there. */
  ready(wire: Wire): void;
  /** A fact on its way to the machine. `requestId`: of the question that it answers, -1 for none. */
  fact(fact: BrokerFact, requestId: number): void;
  /** True when the order id is a preview's, of which no word enters the books. */
  isPreview(orderId: number): boolean;
  previewed(orderId: number, preview: OrderPreview): void;
  /** An error on a request id, or on a preview's order id. */
  failed(id: number, code: number, message: string): void;
  ended(list: 'openOrders' | 'completedOrders' | 'positions'): void;
  endedExecutions(requestId: number): void;
  /** A message of this kind (its number in the protocol) could not be read. */
  undecodable(kind: number, problem: string): void;
  unknownCode(code: number, message: string): void;
  /** Nothing more will come. Called once. */
  detached(): void;
}

export interface SessionDependencies {
  readonly clock: GatewayClock;
  readonly log: Logger;
  readonly pacer: Pacer;
  readonly listeners: SessionListeners;
  readonly plausibility: Plausibility;
  readonly venues: Venues;
}

export interface Session {
  readonly wire: Wire;
  command(command: SessionCommand): void;
  /** Withholds what waits, tells the listeners, and drops the socket. Idempotent. */
  end(reason: string): void;
}

export function openSession(
  input: SessionInput,
  { clock, log, pacer, listeners, plausibility, venues }: SessionDependencies,
  report: (event: SessionReport) => void,
): Session {
  const { sessionId } = input;
  let accounts: readonly string[] = [];
  let zone = 'UTC';
  let over = false;
  let ready = false;
  let isOpen = false;
  let probeSentAt: number | null = null;
  /** what is complained about could be read, and is not believed */
  let isDistrusted = false;

  const end = (reason: string): void => {
    if (over) return;
    over = true;
    // First of all: what still waits must never meet another session's socket.
    pacer.close(reason);
    quarantine.close();
    connection.close();
    listeners.detached();
  };

  const quarantine = createQuarantine(clock, log, sessionId, report);
  const connection: Connection = openConnection(
    { host: input.host, port: input.port, clientId: input.clientId, now: clock.now },
    {
      connected: () => report({ type: 'session.connected', at: clock.now() }),
      undecodable({ text, problem, kind }) {
        // a list is complete without what is not believed
        if (!isDistrusted) listeners.undecodable(kind, problem);
        quarantine.take({ text, problem, kind, isDistrusted, at: connection.readAt });
      },
      closed(cause, message) {
        end('session-lost');
        report({ type: 'session.closed', cause, message, at: clock.now() });
      },
    },
  );

  const wire: Wire = {
    sessionId,
    connection,
    pacer,
    get isOpen() {
      return isOpen;
    },
    get accounts() {
      return accounts;
    },
    get zone() {
      return zone;
    },
    send(lane, key, request, withheld) {
      pacer.submit({
        lane,
        key,
        send() {
          const problem = connection.write(request);
          if (problem === null) return;
          log.warn({ sessionId, lane, key, problem }, 'a request to TWS was not written');
          withheld?.(problem);
        },
        withhold: (reason) => withheld?.(reason),
      });
    },
  };

  const { api } = connection;
  const tell = (fact: BrokerFact | null, problem: string, requestId = -1): void => {
    if (fact === null) {
      connection.complain(problem);
      return;
    }
    const doubt =
      fact.type === 'broker.executed'
        ? plausibility.execution(fact, accounts)
        : fact.type === 'broker.positionSeen'
          ? plausibility.position(fact, accounts)
          : null;
    if (doubt !== null) {
      isDistrusted = true;
      connection.complain(doubt);
      isDistrusted = false;
      return;
    }
    report(fact);
    listeners.fact(fact, requestId);
  };

  // Greeting

  api.on(EventName.server, (version, connectionTime) => {
    if (!Number.isInteger(version)) {
      end('session-lost');
      report({
        type: 'session.closed',
        cause: 'garbage',
        message: `the greeting names no version: "${String(connectionTime).slice(0, 64)}"`,
        at: clock.now(),
      });
      return;
    }
    zone = zoneOfGreeting(connectionTime ?? '');
    report({ type: 'session.greeted', serverVersion: version, at: connection.readAt });
  });
  api.on(EventName.managedAccounts, (list) => {
    accounts = list
      .split(',')
      .map((account) => account.trim())
      .filter((account) => account !== '');
    report({ type: 'session.accountsListed', accounts, at: connection.readAt });
  });
  api.on(EventName.nextValidId, (orderId) => {
    isOpen = true;
    report({ type: 'session.orderIdGranted', orderId, at: connection.readAt });
  });
  api.on(EventName.currentTime, () => {
    if (probeSentAt === null) return;
    const rttMs = clock.monotonic() - probeSentAt;
    probeSentAt = null;
    report({ type: 'session.probed', rttMs, at: connection.readAt });
    if (!ready && !over) {
      ready = true;
      listeners.ready(wire);
    }
  });

  // Facts

  api.on(EventName.openOrder, (orderId, contract, order, state) => {
    if (order.whatIf || (order.clientId === input.clientId && listeners.isPreview(orderId))) {
      listeners.previewed(orderId, toPreview(state));
      return;
    }
    tell(
      orderSeen(orderId, contract, order, state, connection.readAt),
      `openOrder with the unknown status "${state.status}"`,
    );
  });
  api.on(
    EventName.orderStatus,
    (orderId, status, filled, remaining, averagePrice, permId, _parentId, _lastPrice, clientId, whyHeld) => {
      if (clientId === input.clientId && listeners.isPreview(orderId)) return;
      tell(
        statusSeen(
          { orderId, status, filled, remaining, averagePrice, permId, clientId, whyHeld },
          connection.readAt,
        ),
        `the unknown order status "${status}"`,
      );
    },
  );
  api.on(EventName.execDetails, (requestId, contract, execution) =>
    tell(
      executed(contract, execution, connection.readAt, zone),
      'an execution without id, side, quantity or price',
      requestId,
    ),
  );
  api.on(EventName.execDetailsEnd, (requestId) => listeners.endedExecutions(requestId));
  api.on(EventName.commissionReport, (commission) =>
    tell(
      commission.execId ? commissioned(commission, connection.readAt) : null,
      'a commission without execution id',
    ),
  );
  api.on(EventName.completedOrder, (contract, order, state) =>
    tell(
      completedSeen(contract, order, state, connection.readAt, zone),
      `a completed order with the status "${state.status}"`,
    ),
  );
  api.on(EventName.position, (account, contract, quantity, averageCost) => {
    const seen = positionSeen(account, contract, quantity, averageCost, connection.readAt);
    if (seen === null) return tell(null, 'a position without quantity');
    venues.inOrder(seen.contract, (placed) => tell({ ...seen, contract: placed }, ''));
  });
  api.on(EventName.openOrderEnd, () => listeners.ended('openOrders'));
  api.on(EventName.completedOrdersEnd, () => listeners.ended('completedOrders'));
  api.on(EventName.positionEnd, () => venues.after(() => listeners.ended('positions')));

  // Errors and notices

  const noteSystem = createNotices({
    report,
    readAt: () => connection.readAt,
    limited: pacer.slowDown,
    refused: () => end('session-refused'),
    unknownCode: listeners.unknownCode,
  });

  api.on(EventName.info, (message, code) => noteSystem(Number(code), message));
  api.on(EventName.error, (error, errorCode, id) => {
    const code = Number(errorCode);
    const { message } = error;
    if (id < 0 || (code >= 500 && code < 600)) {
      // The library's own words. What it says of the socket, of messages and of requests comes another way.
      if (id < 0 && (code === 503 || code === 506)) {
        end('session-refused');
        report({ type: 'session.refused', cause: 'versionUnsupported', message, at: clock.now() });
      } else if (code !== 502 && code !== 505) {
        log.warn({ sessionId, code, message }, 'the TWS library complains');
      }
      return;
    }
    if (code === 100) noteSystem(code, message);
    if (!isKnownCode(code)) listeners.unknownCode(code, message);
    if (id >= firstRequestId || listeners.isPreview(id)) {
      listeners.failed(id, code, message);
      return;
    }
    const disposition = dispositionOf(code, message);
    tell({ type: 'broker.orderNoted', at: connection.readAt, orderId: id, code, message, disposition }, '');
    // Whoever wants to try again needs an id that TWS takes.
    if (disposition === 'duplicateOrderId' || disposition === 'parentUnknown')
      wire.send('control', 'order-id', (ib) => ib.reqIds());
  });

  // Commands

  const dispatch = (
    lane: 'cancel' | 'order',
    what: 'place' | 'modify' | 'cancel' | 'cancelAll',
    ids: { readonly clientOrderId: string; readonly orderId: number },
    request: (api: IBApi) => void,
  ): void => {
    const withhold = (reason: string): void =>
      report({ type: 'dispatch.withheld', ...ids, what, reason, at: clock.now() });
    pacer.submit({
      lane,
      key: `${what}:${ids.orderId}`,
      send() {
        const problem = connection.write(request);
        if (problem === null) report({ type: 'dispatch.sent', ...ids, what, sessionId, at: clock.now() });
        else withhold(problem);
      },
      withhold,
    });
  };

  const place = ({ orderId, parentOrderId, ticket, modification }: PlaceOrder): void => {
    const { clientOrderId } = ticket;
    const what = modification ? 'modify' : 'place';
    const withhold = (reason: string): void =>
      report({ type: 'dispatch.withheld', clientOrderId, orderId, what, reason, at: clock.now() });
    if (orderId <= 0 || orderId >= firstRequestId || !Number.isInteger(orderId)) {
      withhold(`order id ${orderId} is outside 1 to ${firstRequestId - 1}`);
      return;
    }
    try {
      const contract = toIbContract(ticket.contract);
      const order = toIbOrder(ticket, parentOrderId);
      dispatch('order', what, { clientOrderId, orderId }, (ib) => ib.placeOrder(orderId, contract, order));
    } catch (error) {
      withhold(`not-encodable: ${error instanceof Error ? error.message : String(error)}`);
    }
  };

  const cancel = ({ clientOrderId, orderId }: CancelOrder): void => {
    // A cancel overtakes: what it concerns and still waits must not follow behind it.
    pacer.withdraw((key) => key === `modify:${orderId}`, 'cancelled-before-sent');
    const unsent = pacer.withdraw((key) => key === `place:${orderId}`, 'cancelled-before-sent') > 0;
    if (unsent) {
      report({
        type: 'dispatch.withheld',
        clientOrderId,
        orderId,
        what: 'cancel',
        reason: 'order-not-sent',
        at: clock.now(),
      });
      return;
    }
    dispatch('cancel', 'cancel', { clientOrderId, orderId }, (ib) =>
      ib.cancelOrder(orderId, noCancelOptions),
    );
  };

  const cancelAll = (): void => {
    pacer.withdraw((key) => key.startsWith('place:') || key.startsWith('modify:'), 'cancelled-before-sent');
    dispatch('cancel', 'cancelAll', { clientOrderId: '', orderId: 0 }, (ib) =>
      ib.reqGlobalCancel(noCancelOptions),
    );
  };

  const probe = (): void =>
    wire.send('control', 'probe', (ib) => {
      probeSentAt = clock.monotonic();
      ib.reqCurrentTime();
    });

  listeners.attached(wire);
  report({ type: 'session.dialing', at: clock.now() });

  return {
    wire,
    end,
    command(command) {
      if (over) return;
      switch (command.type) {
        case 'tws.place':
          return place(command);
        case 'tws.cancel':
          return cancel(command);
        case 'tws.cancelAll':
          return cancelAll();
        case 'session.probe':
          return probe();
      }
    },
  };
}

const noCancelOptions: OrderCancel = {};
