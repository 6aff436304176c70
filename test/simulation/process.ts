/** One life of the runtime's process: the whole machine tree over the journal that the life before has left. */
import { type AnyActorRef, createActor, type InspectionEvent } from 'xstate';
import { orderActor } from '../../machines/blotter.machine.ts';
import type { DeskAnswer } from '../../machines/desk.ts';
import { retireAfterMs } from '../../machines/desk.ts';
import type { GateVerdict } from '../../machines/gate.machine.ts';
import type { GateLimits } from '../../machines/gate.ts';
import type { JournalEntry, JournalRecord } from '../../machines/journal.ts';
import type { Order } from '../../machines/order.ts';
import { reconciliationMachine } from '../../machines/reconciliation.machine.ts';
import { runtimeMachine } from '../../machines/runtime.machine.ts';
import type { RuntimeEvent } from '../../machines/runtime.ts';
import { twsMachine } from '../../machines/tws.machine.ts';
import type { BrokerFact, TwsCommand } from '../../machines/tws.ts';
import type { Journal } from '../../src/journal/journal.ts';
import { createJournalWriter } from '../../src/journal/writer.ts';
import { recallMs, restoredFrom } from '../../src/runtime.ts';
import type { VirtualClock } from '../../src/simulator/clock.ts';
import type { CrashPoint } from './plan.ts';
import { createSessions } from './session.ts';
import type { Tws } from './tws.ts';

export const clientId = 1;
/** Rarer than in production: a sweep finds nothing to do most of the time, and it is the most frequent event. */
const sweepEveryMs = retireAfterMs;

export interface LifeOptions {
  readonly clock: VirtualClock;
  readonly tws: Tws;
  readonly journal: Journal;
  readonly limits: GateLimits;
  /** number of this life, 1 for the first */
  readonly life: number;
  readonly seed: number;
  readonly isPacingSlow: boolean;
  readonly isDiskFailing: () => boolean;
  readonly inspect: (event: InspectionEvent) => void;
  readonly onAnswered: (requestId: string, answer: DeskAnswer) => void;
  readonly onSend: (command: TwsCommand) => void;
  readonly onFact: (fact: BrokerFact) => void;
  readonly onDurable: (entries: readonly JournalEntry[], firstSeq: number) => void;
  /** what listeners of the journal hear */
  readonly onAnnounced: (records: readonly JournalRecord[]) => void;
  readonly onReviewed: (requestId: string, verdict: GateVerdict) => void;
  /** orders of this client must go */
  readonly onDied: () => void;
  /** the tree itself failed */
  readonly onFailed: (error: unknown) => void;
}

export type Life = ReturnType<typeof live>;

/** Starts the tree as `src/runtime.ts` does. */
export function live(options: LifeOptions) {
  const { clock, tws, journal } = options;
  const now = () => clock.now();
  let isAlive = true;
  /** false once nothing reaches the disk any more */
  let reachesDisk = true;
  let bomb: { readonly point: CrashPoint; left: number; readonly isTailKept: boolean } | null = null;

  const die = (isTailKept: boolean): void => {
    if (!isAlive) return;
    isAlive = false;
    reachesDisk = isTailKept;
    bomb = null;
    // The turn goes on in the dead tree, but nothing of it leaves: the rest is the operating system's.
    clock.setTimeout(() => {
      root.stop();
      reachesDisk = false;
      options.onDied();
    }, 0);
    tws.drop();
  };

  /** True when the process dies here. */
  const passes = (point: CrashPoint): boolean => {
    if (bomb === null || bomb.point !== point) return false;
    bomb.left -= 1;
    if (bomb.left > 0) return false;
    die(bomb.isTailKept);
    return true;
  };

  const writer = createJournalWriter({
    journal: {
      append(entries) {
        if (!reachesDisk) return [];
        if (options.isDiskFailing()) throw new Error('the disk is full');
        const records = journal.append(entries);
        options.onDurable(entries, records[0]?.seq ?? 0);
        return records;
      },
      tidy: (isUrgent) => journal.tidy(isUrgent),
    },
    now,
    onCommitted: options.onAnnounced,
    onAppended: () => undefined,
    timers: {
      soon(callback) {
        const handle = clock.setTimeout(callback, 0);
        return () => clock.clearTimeout(handle);
      },
      after(ms, callback) {
        const handle = clock.setTimeout(callback, ms);
        return () => clock.clearTimeout(handle);
      },
    },
  });

  const { session, askBroker } = createSessions({
    clock,
    tws,
    isSlow: options.isPacingSlow,
    isAlive: () => isAlive,
    onSend(command) {
      if (passes('send')) return false;
      options.onSend(command);
      return true;
    },
    onFact(fact) {
      if (passes('fact')) return false;
      options.onFact(fact);
      return true;
    },
  });

  const restoration = journal.restore(now() - recallMs);
  const root = createActor(
    runtimeMachine.provide({
      actors: {
        tws: twsMachine.provide({ actors: { session } }),
        reconciliation: reconciliationMachine.provide({ actors: { askBroker } }),
        journal: writer,
      },
    }),
    {
      id: 'runtime',
      systemId: 'runtime',
      clock,
      inspect(event) {
        if (!isAlive) return;
        if (event.type === '@xstate.event' && (event.actorRef as AnyActorRef).id === 'journal') {
          const { type } = event.event;
          if (type === 'journal.append') passes('append');
          else if (type === 'journal.commit') passes('commit');
        }
        options.inspect(event);
      },
      input: {
        tws: { host: '127.0.0.1', port: 4002, clientId, seed: (options.seed * 64 + options.life) >>> 0 },
        gate: { limits: options.limits, tradingMode: 'paper', latched: restoration.trading },
        market: {},
      },
    },
  );
  root.on('answered', ({ requestId, answer }) => {
    if (isAlive) options.onAnswered(requestId, answer);
  });
  root.on('reviewed', ({ requestId, verdict }) => {
    if (isAlive) options.onReviewed(requestId, verdict);
  });
  root.subscribe({
    error(error) {
      if (isAlive) options.onFailed(error);
    },
  });
  root.start();
  const send = (event: RuntimeEvent): void => {
    if (isAlive) root.send(event);
  };
  send(restoredFrom(restoration, now()));
  send({ type: 'runtime.connect' });
  const sweep = (): void => {
    if (!isAlive) return;
    send({ type: 'desk.sweep', at: now() });
    clock.setTimeout(sweep, sweepEveryMs);
  };
  clock.setTimeout(sweep, sweepEveryMs);

  const child = <Id extends 'desk' | 'gate' | 'ledger' | 'tws' | 'reconciliation' | 'withdrawal' | 'audit'>(
    id: Id,
  ) => {
    const actor = root.getSnapshot().children[id];
    if (!actor) throw new Error(`the ${id} is not running`);
    return actor;
  };

  return {
    root,
    send,
    child,
    get isAlive() {
      return isAlive;
    },
    /** Kills the process at the so-manieth time that it comes to this point, or now. */
    kill(point: CrashPoint, count: number, isTailKept: boolean): void {
      if (point === 'now') die(isTailKept);
      else bomb = { point, left: count, isTailKept };
    },
    /** No later point kills it. */
    defuse(): void {
      bomb = null;
    },
    /** The order as the living actor shows it, or as the journal holds it. */
    order(clientOrderId: string): Order | undefined {
      const actor = orderActor(child('desk').getSnapshot().children, clientOrderId);
      return actor ? actor.getSnapshot().context.order : journal.order(clientOrderId);
    },
    /** Calls off what no longer matters at the end of a run. */
    end(): void {
      isAlive = false;
      reachesDisk = false;
      root.stop();
    },
  };
}
