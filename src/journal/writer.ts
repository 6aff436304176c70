/** The actor that writes the journal: intents at once, everything else in batches of a few milliseconds, in order. */
import { fromCallback } from 'xstate';
import type { JournalCommand, JournalEntry, JournalRecord, JournalReport } from '../../machines/journal.ts';
import type { Journal } from './journal.ts';

/** What the writer waits by. */
export interface WriterTimers {
  /** in the next turn of the event loop; the answer calls it off */
  soon(callback: () => void): () => void;
  after(ms: number, callback: () => void): () => void;
}

/** Facts that were never made durable, and why. */
export interface Abandoned {
  readonly facts: number;
  readonly reason: string;
}

export interface WriterOptions {
  readonly journal: Pick<Journal, 'append' | 'tidy'>;
  /** ms since the epoch */
  readonly now: () => number;
  /** called after each batch is durable, in journal order */
  readonly onCommitted: (records: readonly JournalRecord[]) => void;
  readonly onAppended: (ms: number) => void;
  /** called at the end when the disk did not take all */
  readonly onAbandoned?: (left: Abandoned) => void;
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

/** What the broker says of one order comes in several messages: one fsync for all of them keeps the loop free. */
const gatherMs = 2;
/** How often a failed append is tried again. */
const retryMs = 1_000;
/** Facts of one transaction when many have waited: the event loop must not stand still for long. */
const batchMax = 2_000;
/** News about the link and alerts that wait for a disk. Beyond it they are dropped and counted: they are not the truth about an order. */
export const waitingNewsMax = 10_000;
/** Facts that wait for a disk; beyond it the process cannot vouch for its orders and gives up. */
export const waitingMax = 50_000;

const isNews = ({ kind }: JournalEntry): boolean => kind === 'health' || kind === 'alert';

/** Why nothing can be made durable, since when, and what was not kept for later. */
interface Loss {
  readonly message: string;
  readonly since: number;
  dropped: number;
}

/** Fills the supervisor's slot `journal`. */
export function createJournalWriter(options: WriterOptions) {
  const { journal, now, onCommitted, onAppended, onAbandoned, timers = realTimers } = options;
  return fromCallback<JournalCommand>(({ receive, sendBack }) => {
    let waiting: JournalEntry[] = [];
    let callOffFlush: (() => void) | null = null;
    let callOffRetry: (() => void) | null = null;
    let loss: Loss | null = null;
    let isStopped = false;
    let unannounced: JournalRecord[] = [];
    const report = (event: JournalReport): void => sendBack(event);

    /** The records, or what went wrong. */
    const write = (
      entries: readonly JournalEntry[],
    ): { readonly records: readonly JournalRecord[] } | { readonly failed: string } => {
      // The record of the loss is also what proves that the disk is back: an empty transaction writes nothing.
      const regained = loss === null ? [] : [regainedEntry(loss, now())];
      const begun = performance.now();
      let records: readonly JournalRecord[];
      try {
        records = journal.append([...entries, ...regained]);
      } catch (error) {
        return { failed: noteLoss(error) };
      }
      onAppended(performance.now() - begun);
      unannounced.push(...records);
      if (loss !== null) {
        loss = null;
        callOffRetry?.();
        callOffRetry = null;
        report({ type: 'journal.recovered', at: now() });
      }
      return { records };
    };

    const announce = (): void => {
      const records = unannounced;
      unannounced = [];
      if (records.length > 0) onCommitted(records);
    };

    const noteLoss = (error: unknown): string => {
      const message = error instanceof Error ? error.message : String(error);
      if (loss === null) {
        loss = { message, since: now(), dropped: 0 };
        report({ type: 'journal.lost', message, at: now() });
      }
      if (!isStopped) {
        callOffRetry ??= timers.after(retryMs, () => {
          callOffRetry = null;
          flush();
        });
      }
      return message;
    };

    const flush = (): void => {
      callOffFlush = null;
      if (waiting.length === 0 && loss === null) return;
      const entries = waiting.slice(0, batchMax);
      if ('failed' in write(entries)) return;
      waiting = waiting.slice(entries.length);
      if (waiting.length > 0) callOffFlush ??= timers.soon(flush);
      announce();
      tidy(false);
    };

    /** Between orders: what an order waits for is its own record and nothing else. */
    const tidy = (isUrgent: boolean): void => {
      try {
        journal.tidy(isUrgent);
      } catch {
        // Nothing is lost by it, and the next append tells whether the disk is well.
      }
    };

    const keep = (entries: readonly JournalEntry[]): void => {
      for (const entry of entries) {
        if (loss !== null && isNews(entry) && waiting.length >= waitingNewsMax) loss.dropped += 1;
        else waiting.push(entry);
      }
      if (waiting.length > waitingMax)
        throw new Error(
          `the journal cannot be written (${loss?.message ?? 'too slow'}) and ${waitingMax} facts wait for it`,
        );
    };

    receive((command) => {
      if (command.type === 'journal.append') {
        keep(command.entries);
        // Without a disk the retry is soon enough.
        if (loss === null) callOffFlush ??= timers.after(gatherMs, flush);
        return;
      }
      const earlier = waiting.length;
      const { requestId, entries } = command;
      const outcome = write([...waiting, ...entries]);
      if ('failed' in outcome) {
        report({ type: 'journal.failed', requestId, message: outcome.failed });
        return;
      }
      waiting = [];
      const seqs = outcome.records.slice(earlier, earlier + entries.length).map(({ seq }) => seq);
      report({ type: 'journal.committed', requestId, seqs });
      // Readers can wait for a turn; the order cannot.
      timers.soon(() => {
        announce();
        tidy(true);
      });
    });

    return () => {
      isStopped = true;
      callOffFlush?.();
      callOffRetry?.();
      while (waiting.length > 0) {
        const before = waiting.length;
        flush();
        if (waiting.length === before) break;
      }
      callOffFlush?.();
      announce();
      if (waiting.length > 0)
        onAbandoned?.({ facts: waiting.length, reason: loss?.message ?? 'the disk is too slow' });
    };
  });
}

const regainedEntry = ({ message, since, dropped }: Loss, at: number): JournalEntry => ({
  kind: 'health',
  at,
  event: 'journal.regained',
  detail: { reason: message, since: new Date(since).toISOString(), newsDropped: dropped },
});
