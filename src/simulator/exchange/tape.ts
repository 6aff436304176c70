/** The record of executions and their commissions. */
import type { CommissionReport, Execution, ExecutionFilter } from '../model.ts';
import type { Instrument } from './instruments.ts';
import { hash32 } from './random.ts';
import type { WorkingOrder } from './workingOrder.ts';

const executionsMax = 100_000;

export interface TapeEntry {
  execution: Execution;
  readonly instrument: Instrument;
  readonly order: WorkingOrder;
  report: CommissionReport | null;
  /** false when a later revision took its place */
  isCurrent: boolean;
  /** the combination's own line: it moves no position, its legs do */
  readonly isComboLine: boolean;
}

export class Tape {
  private readonly entries: TapeEntry[] = [];
  private readonly byExecId = new Map<string, TapeEntry>();
  private session: string;
  private counter: number;

  constructor(seed: number, startMs: number) {
    this.session = hash32(seed, startMs, 7).toString(16).padStart(8, '0');
    this.counter = Math.floor(startMs / 1000) % 0x7fffffff;
  }

  /** From where `nextFamily` goes on. */
  get standing(): { readonly session: string; readonly counter: number } {
    return { session: this.session, counter: this.counter };
  }

  /** Goes on with the ids of an earlier process. */
  continueFrom(session: string, counter: number): void {
    this.session = session;
    this.counter = counter;
  }

  /** Puts an execution back. Revisions come after what they replace. */
  restore(entry: TapeEntry): void {
    const { execId } = entry.execution;
    const replaced = this.byExecId.get(previousRevision(execId));
    if (replaced !== undefined) replaced.isCurrent = false;
    this.add(entry);
  }

  /** `0000e0d5.67fe667b.01.01` up to the leg number: one family per fill. */
  nextFamily(): string {
    this.counter = (this.counter + 1) >>> 0;
    return `${this.session}.${this.counter.toString(16).padStart(8, '0')}`;
  }

  add(entry: TapeEntry): void {
    this.entries.push(entry);
    this.byExecId.set(entry.execution.execId, entry);
    if (this.entries.length > executionsMax) {
      const oldest = this.entries.shift();
      if (oldest !== undefined) this.byExecId.delete(oldest.execution.execId);
    }
  }

  entry(execId: string): TapeEntry | null {
    return this.byExecId.get(execId) ?? null;
  }

  /** Executions of an order in their newest revision, the combination's own lines only for a combination. */
  ofOrder(order: WorkingOrder): readonly TapeEntry[] {
    const isCombo = order.instrument.contract.secType === 'BAG';
    return this.entries.filter(
      (entry) => entry.order === order && entry.isCurrent && entry.isComboLine === isCombo,
    );
  }

  /** Whether another order traded in this symbol since a time. */
  hasExecution(symbol: string, secType: string, since: number, exceptPermId: number): boolean {
    for (let i = this.entries.length - 1; i >= 0; i--) {
      const execution = this.entries[i]?.execution;
      if (execution === undefined || execution.time < since) return false;
      if (execution.permId === exceptPermId || execution.contract.symbol !== symbol) continue;
      if (secType === '' || execution.contract.secType === secType) return true;
    }
    return false;
  }

  /** Oldest first. Revisions are listed beside what they replaced, as TWS does. */
  find(filter: ExecutionFilter, dayStart: number): readonly Execution[] {
    const since = filter.since ?? dayStart;
    const side = filter.side === 'BUY' ? 'BOT' : filter.side === 'SELL' ? 'SLD' : filter.side;
    return this.entries
      .filter(
        ({ execution }) =>
          execution.time >= since &&
          (filter.clientId === 0 || execution.clientId === filter.clientId) &&
          (filter.account === '' || execution.account === filter.account) &&
          (filter.symbol === '' || execution.contract.symbol === filter.symbol) &&
          (filter.secType === '' || execution.contract.secType === filter.secType) &&
          (filter.exchange === '' || execution.exchange === filter.exchange) &&
          (side === '' || execution.side === side),
      )
      .map(({ execution }) => execution);
  }
}

function previousRevision(execId: string): string {
  const cut = execId.lastIndexOf('.') + 1;
  return execId.slice(0, cut) + String(Number(execId.slice(cut)) - 1).padStart(2, '0');
}

/** The next revision of an execution id: `...01.01` becomes `...01.02`. */
export function nextRevision(execId: string): string {
  const cut = execId.lastIndexOf('.') + 1;
  const revision = Number(execId.slice(cut)) + 1;
  return execId.slice(0, cut) + String(revision).padStart(2, '0');
}
