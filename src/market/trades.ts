/** The tape of one instrument: every print, the newest of them kept. */
import type { Print } from '../../machines/feed.ts';
import { type Fields, LiveCell } from './cell.ts';

/** Prints kept, and sent in one row at most; a reader who was away for more is told how many he missed. */
export const printsKept = 500;
/** Prints that a reader begins with. */
const printsShown = 50;

export class TradesCell extends LiveCell {
  /** JSON texts; the last one is that of the newest change */
  private prints: string[] = [];
  /** the line was in doubt since the newest print */
  private isInterrupted = false;

  /** The tape goes on where it stopped. */
  override opened(): void {}

  override trust(trusted: boolean, at: number): void {
    if (!trusted) this.isInterrupted = this.changes > 0;
    super.trust(trusted, at);
  }

  print(print: Print, at: number): void {
    this.take(at);
    this.add(print, at, false);
  }

  /** Counts as a sign of life. Prints of before are shown to begin with, and never mixed into a tape that is known. */
  backfilled(prints: readonly Print[], at: number): void {
    this.take(at);
    if (this.changes > 0) return;
    for (const print of prints) this.add(print, at, true);
  }

  protected override whole(): string {
    return `,"trades":[${this.prints.slice(-printsShown).join(',')}]`;
  }

  protected override changedSince(changes: number): Fields {
    const missed = this.changes - changes;
    const sent = Math.min(missed, this.prints.length, printsKept);
    return { text: `,"trades":[${this.prints.slice(-sent).join(',')}]`, dropped: missed - sent };
  }

  private add(print: Print, at: number, isOld: boolean): void {
    const { time, price, size, exchange, conditions, pastLimit, unreported } = print;
    this.changes += 1;
    this.prints.push(
      JSON.stringify({
        time,
        price,
        size,
        exchange,
        ...(conditions === '' ? {} : { conditions }),
        ...(pastLimit ? { pastLimit } : {}),
        ...(unreported ? { unreported } : {}),
        ...(isOld ? { backfilled: true } : {}),
        ...(this.isInterrupted ? { gap: true } : {}),
        ts: at,
      }),
    );
    this.isInterrupted = false;
    if (this.prints.length >= 2 * printsKept) this.prints = this.prints.slice(-printsKept);
  }
}
