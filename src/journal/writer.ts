/** The actor that writes the journal: intents at once, everything else once per turn of the event loop, in order. */
import { fromCallback } from 'xstate';
import type { JournalCommand, JournalEntry, JournalRecord, JournalReport } from '../../machines/journal.ts';
import type { Journal } from './journal.ts';

/** What the writer waits by. */
export interface WriterTimers {
  /** in the next turn of the event loop; the answer calls it off */
  soon(callback: () => void): () => void;
  after(ms: number, callback: () => void): () => void;
}

export interface WriterOptions {
  readonly journal: Pick<Journal, 'append'>;
  /** ms since the epoch */
  readonly now: () => number;
  /** called after each batch is durable, in journal order */
  readonly onCommitted: (records: readonly JournalRecord[]) => void;
  readonly onAppended: (ms: number) => void;
  /** other than the real ones */
  readonly timers?: WriterTimers;
}

const realTimers: WriterTimers = {
  soon(callback) {
    const handle = setImmediate(callback);
    return () => clearImmediate(handle);
  },
  after(ms, callback) {
    const handle = setTimeout(callback, ms);
    return () => clearTimeout(handle);
  },
};

/** How often a failed append is tried again. */
const retryMs = 1_000;
/** Facts that wait for a disk; beyond it the process cannot vouch for its orders and gives up. */
const waitingMax = 100_000;

/** Fills the supervisor's slot `journal`. */
export function createJournalWriter(options: WriterOptions) {
  const { journal, now, onCommitted, onAppended, timers = realTimers } = options;
  return fromCallback<JournalCommand>(({ receive, sendBack }) => {
    let waiting: JournalEntry[] = [];
    let callOffFlush: (() => void) | null = null;
    let callOffRetry: (() => void) | null = null;
    let isLost = false;
    let unannounced: JournalRecord[] = [];
    const report = (event: JournalReport): void => sendBack(event);

    const write = (entries: readonly JournalEntry[]): readonly JournalRecord[] => {
      const begun = performance.now();
      const records = journal.append(entries);
      onAppended(performance.now() - begun);
      if (isLost) {
        isLost = false;
        report({ type: 'journal.recovered', at: now() });
      }
      return records;
    };

    const announce = (): void => {
      const records = unannounced;
      unannounced = [];
      if (records.length > 0) onCommitted(records);
    };

    const noteLoss = (error: unknown): string => {
      const message = error instanceof Error ? error.message : String(error);
      if (!isLost) {
        isLost = true;
        report({ type: 'journal.lost', message, at: now() });
      }
      callOffRetry ??= timers.after(retryMs, () => {
        callOffRetry = null;
        flush();
      });
      return message;
    };

    const flush = (): void => {
      callOffFlush = null;
      // An empty write still proves whether the disk is back.
      if (waiting.length === 0 && !isLost) return;
      const entries = waiting;
      try {
        unannounced.push(...write(entries));
        waiting = waiting.slice(entries.length);
        announce();
      } catch (error) {
        noteLoss(error);
      }
    };

    receive((command) => {
      if (command.type === 'journal.append') {
        if (waiting.length + command.entries.length > waitingMax) {
          throw new Error(`the journal cannot be written and ${waitingMax} facts wait for it`);
        }
        waiting.push(...command.entries);
        callOffFlush ??= timers.soon(flush);
        return;
      }
      const earlier = waiting.length;
      try {
        const records = write([...waiting, ...command.entries]);
        waiting = [];
        report({
          type: 'journal.committed',
          requestId: command.requestId,
          seqs: records.slice(earlier).map(({ seq }) => seq),
        });
        // Readers can wait for a turn; the order cannot.
        unannounced.push(...records);
        timers.soon(announce);
      } catch (error) {
        report({ type: 'journal.failed', requestId: command.requestId, message: noteLoss(error) });
      }
    });

    return () => {
      callOffFlush?.();
      callOffRetry?.();
      flush();
      announce();
    };
  });
}
