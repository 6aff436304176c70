/** Questions to TWS, each with its own deadline. A question that failed never reads as one that found nothing. */
import type { IBApi } from '@stoqey/ib';
import type { RequestFailure } from '../../machines/market.ts';
import type { Snapshot } from '../../machines/tws.ts';
import { meaningOf } from './codes.ts';
import type { Lane } from './pacing.ts';
import type { GatewayClock, Wire } from './wire.ts';

export const notConnected: RequestFailure = {
  failed: { code: 'not-connected', message: 'there is no session with TWS' },
};

const failure = (code: string, message: string, retryAfterMs?: number): RequestFailure => ({
  failed: { code, message },
  ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
});

/** What an error on a request leads to; null: nothing, it is only a notice. */
export type ErrorReading = RequestFailure | 'empty' | null;

/** How the table of codes reads an error on a request. */
export function readError(code: number, message: string): ErrorReading {
  switch (meaningOf(code).request) {
    case 'failure':
      return failure(String(code), message);
    case 'busy':
      return failure(String(code), message, 5_000);
    default:
      return null;
  }
}

export interface Question {
  readonly lane: Lane;
  readonly timeoutMs: number;
  ask(api: IBApi, id: number): void;
  /** takes the question back when its deadline passed */
  withdraw?(api: IBApi, id: number): void;
  readError?(code: number, message: string): ErrorReading;
}

/** Questions of one kind whose answers are rows with the question's id, and an end. */
export interface Collection<T> {
  ask(wire: Wire, question: Question): Promise<readonly T[] | RequestFailure>;
  add(id: number, row: T): void;
  end(id: number): void;
  /** True when the id is of this collection. */
  error(id: number, code: number, message: string): boolean;
  fail(reason: RequestFailure): void;
  readonly waiting: number;
}

const rowLimit = 100_000;

export function createCollection<T>(clock: GatewayClock, nextId: () => number): Collection<T> {
  interface Open {
    readonly rows: T[];
    readonly question: Question;
    settle(outcome: readonly T[] | RequestFailure): void;
  }
  const open = new Map<number, Open>();

  return {
    ask(wire, question) {
      const id = nextId();
      const key = `request:${id}`;
      return new Promise((resolve) => {
        const timer = clock.setTimeout(() => {
          entry.settle(failure('timeout', `TWS did not answer within ${question.timeoutMs} ms`));
          if (wire.pacer.withdraw((waiting) => waiting === key, 'timeout') > 0) return;
          if (question.withdraw) wire.send('data', key, (api) => question.withdraw?.(api, id));
        }, question.timeoutMs);
        const entry: Open = {
          rows: [],
          question,
          settle(outcome) {
            if (!open.delete(id)) return;
            clock.clearTimeout(timer as never);
            resolve(outcome);
          },
        };
        open.set(id, entry);
        wire.send(
          question.lane,
          key,
          (api) => question.ask(api, id),
          (reason) => entry.settle(failure(reason, `the request was not sent: ${reason}`)),
        );
      });
    },
    add(id, row) {
      const entry = open.get(id);
      if (entry && entry.rows.length < rowLimit) entry.rows.push(row);
    },
    end(id) {
      const entry = open.get(id);
      entry?.settle(entry.rows);
    },
    error(id, code, message) {
      const entry = open.get(id);
      if (!entry) return false;
      const reading = (entry.question.readError ?? readError)(code, message);
      if (reading === 'empty') entry.settle([]);
      else if (reading) entry.settle(reading);
      return true;
    },
    fail(reason) {
      for (const entry of [...open.values()]) entry.settle(reason);
    },
    get waiting() {
      return open.size;
    },
  };
}

/** A list that TWS gives without any id, so that only one question for it can be under way. */
export interface List<T> {
  /** Joins the question that is under way, if one is. Never rejects. */
  ask(wire: Wire | null, timeoutMs: number, request: (api: IBApi) => void): Promise<Snapshot<T>>;
  add(row: T): void;
  end(): void;
  /** A row could not be read: what is complete without it is not complete. */
  spoil(problem: string): void;
  /** The session is gone. */
  fail(reason: string): void;
}

export function createList<T>(clock: GatewayClock, name: string): List<T> {
  let rows: T[] = [];
  let spoiled: string | null = null;
  let answer: Promise<Snapshot<T>> | null = null;
  let settle: ((outcome: Snapshot<T>) => void) | null = null;
  /** ends that earlier questions, given up by now, may still send */
  let lateEnds = 0;
  /** an end was passed over during this question */
  let passedOver = false;

  return {
    ask(wire, timeoutMs, request) {
      if (answer) return answer;
      if (!wire) return Promise.resolve({ outcome: 'failed', reason: 'not-connected', at: clock.now() });
      rows = [];
      spoiled = null;
      passedOver = false;
      const asked = new Promise<Snapshot<T>>((resolve) => {
        const timer = clock.setTimeout(() => {
          // One passed over and none after it: it was the end of this question, and nothing is owed any more.
          lateEnds = passedOver ? 0 : 1;
          wire.pacer.withdraw((key) => key === name, 'timeout');
          settle?.({ outcome: 'failed', reason: 'timeout', at: clock.now() });
        }, timeoutMs);
        settle = (outcome) => {
          clock.clearTimeout(timer as never);
          settle = null;
          answer = null;
          rows = [];
          resolve(outcome);
        };
        wire.send('control', name, request, (reason) =>
          settle?.({ outcome: 'failed', reason, at: clock.now() }),
        );
      });
      // What could not even be sent is settled by now: whoever asks next must not join it.
      if (settle) answer = asked;
      return asked;
    },
    add(row) {
      if (settle && rows.length < rowLimit) rows.push(row);
    },
    end() {
      // An end without rows may belong to the question before, which was given up: believing it would turn a failure
      // into an empty list. It is passed over once.
      if (lateEnds > 0) {
        lateEnds = 0;
        if (!settle) return;
        if (rows.length === 0) {
          passedOver = true;
          return;
        }
      }
      settle?.(
        spoiled === null
          ? { outcome: 'complete', rows, at: clock.now() }
          : { outcome: 'failed', reason: spoiled, at: clock.now() },
      );
    },
    spoil(problem) {
      spoiled = `undecodable: ${problem}`;
    },
    fail(reason) {
      lateEnds = 0;
      settle?.({ outcome: 'failed', reason, at: clock.now() });
    },
  };
}
