/** Every slot of the machines and what fills it, on one screen. */
import { fromPromise } from 'xstate';
import { marketMachine } from '../machines/market.machine.ts';
import { type AskedList, type ListKind, reconciliationMachine } from '../machines/reconciliation.machine.ts';
import { runtimeMachine } from '../machines/runtime.machine.ts';
import { subscriptionMachine } from '../machines/subscription.machine.ts';
import { twsMachine } from '../machines/tws.machine.ts';
import { createJournalWriter, type WriterOptions } from './journal/writer.ts';
import type { Market } from './market/market.ts';
import type { Gateway } from './tws/gateway.ts';

export interface Ports {
  readonly gateway: Gateway;
  readonly market: Pick<Market, 'lineLogic'>;
  readonly writer: WriterOptions;
  /** ms since the epoch */
  readonly now: () => number;
}

/** The supervisor with its whole tree, ready to run. */
export function fillPorts({ gateway, market, writer, now }: Ports) {
  const askBroker = fromPromise<AskedList, { list: ListKind }>(async ({ input }) => {
    const since = now();
    return { since, snapshot: await gateway[input.list](), day: gateway.day() };
  });
  return runtimeMachine.provide({
    actors: {
      tws: twsMachine.provide({ actors: { session: gateway.session } }),
      market: marketMachine.provide({
        actors: { subscription: subscriptionMachine.provide({ actors: { line: market.lineLogic } }) },
      }),
      reconciliation: reconciliationMachine.provide({ actors: { askBroker } }),
      journal: createJournalWriter(writer),
    },
  });
}
