/**
 * What one line besides quotes has brought so far. Readers keep a cursor and ask what changed since; whoever asks from the same
 * place gets the same text, made once.
 */
import type { LineCursor, LineTrouble, LineView, RowDelta } from '../../machines/feed.ts';
import type { DataKind, QuoteStatus } from '../../machines/market.ts';
import { statusOf } from '../../machines/market.ts';

/** What a cell shows of its own fields: JSON members, each after a comma. */
export interface Fields {
  readonly text: string;
  readonly dropped?: number;
}

export abstract class LiveCell implements LineView {
  /** the instrument, as rows name it */
  readonly key: string;
  /** when the newest message of the line was read, ms; 0 before */
  tickedAt = 0;
  /** messages ever taken */
  total = 0;
  trouble: LineTrouble | null = null;
  /** everything that a reader could have missed, counted */
  protected changes = 0;
  private statuses = 0;
  private readAt = 0;
  private kind: DataKind = 'live';
  private isHalted = false;
  private isTrusted = false;
  private current: QuoteStatus = 'stale';
  private made: { readonly from: LineCursor; readonly to: LineCursor; readonly delta: RowDelta } | null =
    null;

  constructor(key: string) {
    this.key = key;
  }

  get status(): QuoteStatus {
    return this.current;
  }

  /** Nothing is expected to move. */
  get isStill(): boolean {
    return this.isHalted || this.kind === 'frozen' || this.kind === 'delayedFrozen';
  }

  get cursor(): LineCursor {
    return { changes: this.changes, statuses: this.statuses };
  }

  /** A new request was made: what it brings begins anew. */
  abstract opened(): void;
  /** All that a reader begins with. */
  protected abstract whole(): string;
  /** What changed after so many changes; 0: for a reader who has nothing. */
  protected abstract changedSince(changes: number): Fields;

  setKind(kind: DataKind, at: number): void {
    this.kind = kind;
    this.judge(at);
  }

  setHalted(halted: boolean, at: number): void {
    this.isHalted = halted;
    this.judge(at);
  }

  /** Whether the line vouches for what is shown; without it the status is `stale`. */
  trust(trusted: boolean, at: number): void {
    this.isTrusted = trusted;
    this.judge(at);
  }

  /** The whole row as JSON; undefined before the first message. */
  row(): string | undefined {
    if (this.total === 0) return undefined;
    return `{"key":${JSON.stringify(this.key)}${this.whole()},"status":"${this.current}","ts":${this.readAt}}`;
  }

  /** What changed since; null when nothing did, or nothing ever came. */
  since(from: LineCursor): RowDelta | null {
    const to = this.cursor;
    if (this.total === 0 || (from.changes === to.changes && from.statuses === to.statuses)) return null;
    if (this.made && isSame(this.made.from, from) && isSame(this.made.to, to)) return this.made.delta;
    const merged = to.changes - from.changes;
    const { text, dropped = 0 }: Fields = merged === 0 ? { text: '' } : this.changedSince(from.changes);
    const status = from.statuses === to.statuses ? '' : `,"status":"${this.current}"`;
    const lost = dropped === 0 ? '' : `,"dropped":${dropped}`;
    const delta = {
      text: `{"key":${JSON.stringify(this.key)}${text}${status},"merged":${merged}${lost},"ts":${this.readAt}}`,
      merged,
      dropped,
    };
    this.made = { from, to, delta };
    return delta;
  }

  /** Counts a message of the line. */
  protected take(at: number): void {
    this.total += 1;
    this.tickedAt = at;
    this.readAt = at;
  }

  private judge(at: number): void {
    const status = this.isTrusted ? statusOf(this.kind, this.isHalted) : 'stale';
    if (status === this.current) return;
    this.current = status;
    this.statuses += 1;
    this.readAt = Math.max(this.readAt, at);
  }
}

const isSame = (a: LineCursor, b: LineCursor): boolean =>
  a.changes === b.changes && a.statuses === b.statuses;
