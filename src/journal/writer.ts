/** The actor that writes the journal: intents at once, everything else once per turn of the event loop, in order. */
import { fromCallback } from 'xstate';
import type { JournalCommand, JournalEntry, JournalRecord, JournalReport } from '../../machines/journal.ts';
import type { Journal } from './journal.ts';

export interface WriterOptions {
  readonly journal: Pick<Journal, 'append'>;
  /** ms since the epoch */
  readonly now: () => number;
  /** called after each batch is durable, in journal order */
  readonly onCommitted: (records: readonly JournalRecord[]) => void;
  readonly onAppended: (ms: number) => void;
}

/** How often a failed append is tried again. */
const retryMs = 1_000;
/** Facts that wait for a disk; beyond it the process cannot vouch for its orders and gives up. */
const waitingMax = 100_000;

/** Fills the supervisor's slot `journal`. */
export function createJournalWriter({ journal, now, onCommitted, onAppended }: WriterOptions) {
  return fromCallback<JournalCommand>(({ receive, sendBack }) => {
    let waiting: JournalEntry[] = [];
    let scheduled: NodeJS.Immediate | null = null;
    let retry: NodeJS.Timeout | null = null;
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
      retry ??= setTimeout(() => {
        retry = null;
        flush();
      }, retryMs);
      return message;
    };

    const flush = (): void => {
      scheduled = null;
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
        scheduled ??= setImmediate(flush);
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
        setImmediate(announce);
      } catch (error) {
        report({ type: 'journal.failed', requestId: command.requestId, message: noteLoss(error) });
      }
    });

    return () => {
      if (scheduled) clearImmediate(scheduled);
      if (retry) clearTimeout(retry);
      flush();
      announce();
    };
  });
}
