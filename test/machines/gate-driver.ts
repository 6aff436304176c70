/** A gate under a supervisor that keeps what it says. */
import { type ActorRefFrom, createActor, type Snapshot, setup } from 'xstate';
import type { LegMarket } from '../../machines/combo.ts';
import {
  type GateEvent,
  type GateReport,
  gateMachine,
  type TradingState,
} from '../../machines/gate.machine.ts';
import type { Absence, GateLimits } from '../../machines/gate.ts';
import type { Mark } from '../../machines/market.ts';
import type { OrderTicket } from '../../machines/order.ts';
import { stoppedClock } from './matrix.ts';
import { at, ticket, unlimited } from './orders.ts';

export const mark: Mark = { bid: 187, ask: 187.02, last: 187.01, close: 186, at };
let requests = 0;
export function startGate(
  limits: Partial<GateLimits> = {},
  state: TradingState = 'open',
  tradingMode: 'paper' | 'live' = 'paper',
) {
  const heard: GateReport[] = [];
  const supervisor = setup({
    types: { events: {} as GateReport },
    actors: { gate: gateMachine },
    actions: { keep: ({ event }) => heard.push(event) },
  }).createMachine({
    invoke: {
      src: 'gate',
      id: 'gate',
      input: { limits: { ...unlimited, ...limits }, tradingMode, latched: { state, reasons: [] } },
    },
    on: {
      'gate.reviewed': { actions: 'keep' },
      'gate.reversing': { actions: 'keep' },
      'trading.changed': { actions: 'keep' },
    },
  });
  const gate = createActor(supervisor, { clock: stoppedClock }).start().getSnapshot().children
    .gate as ActorRefFrom<typeof gateMachine>;
  return {
    heard,
    send: (event: GateEvent) => gate.send(event),
    snapshot: () => gate.getSnapshot(),
    persisted: () => gate.getPersistedSnapshot() as Snapshot<unknown>,
    /** The codes that speak against it; empty when approved. */
    judge(
      change: Partial<OrderTicket>,
      options: {
        readonly mark?: Mark | null;
        readonly at?: number;
        readonly multiplier?: string | null;
        readonly conId?: number;
        readonly alias?: string;
        readonly legs?: readonly LegMarket[];
        readonly absence?: Absence;
        readonly replaces?: string;
      } = {},
    ) {
      requests += 1;
      const requestId = `r${requests}`;
      const question = {
        ticket: ticket({ clientOrderId: requestId, ...change }),
        mark: options.mark === undefined ? mark : options.mark,
        multiplier: options.multiplier === undefined ? '1' : options.multiplier,
        ...(options.conId === undefined ? {} : { conId: options.conId }),
        ...(options.alias === undefined ? {} : { alias: options.alias }),
        ...(options.legs === undefined ? {} : { legs: options.legs }),
        ...(options.absence === undefined ? {} : { absence: options.absence }),
      };
      gate.send({
        type: 'gate.review',
        requestId,
        questions: [question],
        replaces: options.replaces ?? null,
        preview: false,
        at: options.at ?? at,
      });
      const report = heard.find((each) => each.type === 'gate.reviewed' && each.requestId === requestId);
      if (report?.type !== 'gate.reviewed') throw new Error('no verdict');
      const { verdict } = report;
      return verdict.verdict === 'denied'
        ? verdict.reasons.map(({ code }) => code)
        : verdict.verdict === 'approved'
          ? []
          : [verdict.reason.code];
    },
  };
}
