/** Where a derivative trades: TWS tells positions in futures without an exchange, and a name without one cannot be ordered by. */
import type { Contract } from '../../machines/instrument.ts';

export interface Venues {
  /** What TWS has told of a contract somewhere else. */
  learn(contract: Contract): void;
  /**
   * Runs at once with the contract, its exchange filled in. Where that has to be asked for, this and whatever comes after it
   * waits; without an answer the contract stays as it was. Keeps the order of calls.
   */
  inOrder(contract: Contract, run: (contract: Contract) => void): void;
  /** Runs after all that waits. */
  after(run: () => void): void;
  /** The session is gone: what waits is not told any more. */
  forget(): void;
}

/** Their exchange is a part of what they are; all others have one that is as good as any. */
const placed: ReadonlySet<string> = new Set(['FUT', 'FOP']);

const isUnplaced = ({ secType, exchange, conId }: Contract): boolean =>
  conId !== undefined && secType !== undefined && placed.has(secType) && !exchange;

interface Task {
  isReady: boolean;
  readonly run: () => void;
}

/** `lookUp`: the exchange of a contract by its number; null: nobody says. Never rejects. */
export function createVenues(lookUp: (conId: number) => Promise<string | null>): Venues {
  const known = new Map<number, string>();
  const asked = new Map<number, Promise<void>>();
  let waiting: Task[] = [];

  const venueOf = ({ conId, primaryExch }: Contract): string | undefined =>
    known.get(conId ?? 0) ?? (primaryExch || undefined);

  function completed(contract: Contract): Contract {
    const exchange = isUnplaced(contract) ? venueOf(contract) : undefined;
    return exchange === undefined ? contract : { ...contract, exchange };
  }

  function drain(): void {
    while (waiting[0]?.isReady) waiting.shift()?.run();
  }

  function ask(conId: number): Promise<void> {
    const question =
      asked.get(conId) ??
      lookUp(conId).then((exchange) => {
        asked.delete(conId);
        if (exchange) known.set(conId, exchange);
      });
    asked.set(conId, question);
    return question;
  }

  return {
    learn({ conId, secType, exchange }) {
      if (conId !== undefined && secType !== undefined && placed.has(secType) && exchange)
        known.set(conId, exchange);
    },
    inOrder(contract, run) {
      const isMissing = isUnplaced(contract) && venueOf(contract) === undefined;
      if (!isMissing && waiting.length === 0) return run(completed(contract));
      const task: Task = { isReady: !isMissing, run: () => run(completed(contract)) };
      waiting.push(task);
      if (!isMissing || contract.conId === undefined) return;
      ask(contract.conId).then(() => {
        task.isReady = true;
        drain();
      });
    },
    after(run) {
      if (waiting.length === 0) return run();
      waiting.push({ isReady: true, run });
    },
    forget() {
      waiting = [];
    },
  };
}
