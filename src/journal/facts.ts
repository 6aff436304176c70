/** One fact as it stands in the file: what it is about, its text, and the checksum that proves it. */
import { crc32 } from 'node:zlib';
import type { JournalEntry, JournalRecord } from '../../machines/journal.ts';

/** What a fact is about. Alerts, and most facts about the link, are about nothing that has a newest state. */
export type Kind = 'order' | 'execution' | 'position' | 'trading' | 'withdrawal' | 'audit' | 'session';

/** Facts about the session with TWS: it began, or it ended. */
const ofSessions: ReadonlySet<string> = new Set(['tws.ready', 'tws.lost']);

/** A fact on its way into the file. */
export interface Written {
  /** ms since the epoch, whole */
  readonly ts: number;
  readonly channel: JournalRecord['channel'];
  readonly event: string;
  readonly kind: Kind | null;
  /** unique within its kind; null with it */
  readonly name: string | null;
  readonly fact: unknown;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** A row of `facts`, its texts as they are stored. */
export interface FactRow {
  readonly seq: number;
  readonly ts: number;
  readonly channel: JournalRecord['channel'];
  readonly event: string;
  readonly kind: Kind | null;
  readonly name: string | null;
  readonly fact: string;
  readonly payload: string;
  readonly checksum: number;
}

/** A stored fact is not what was written. */
export class DamagedFact extends Error {
  readonly seq: number;
  constructor(seq: number) {
    super(`fact ${seq} is not what was written`);
    this.seq = seq;
  }
}

export const factColumns = 'f.seq, f.ts, f.channel, f.event, f.kind, f.name, f.fact, f.payload, f.checksum';

export function checksumOf({
  seq,
  ts,
  channel,
  event,
  kind,
  name,
  fact,
  payload,
}: Omit<FactRow, 'checksum'>): number {
  return crc32(payload, crc32(fact, crc32(JSON.stringify([seq, ts, channel, event, kind, name]))));
}

/** The row, once its checksum is found to be right. Throws `DamagedFact`. */
export function proven(row: Record<string, unknown>): FactRow {
  const fact = row as unknown as FactRow;
  if (checksumOf(fact) !== fact.checksum) throw new DamagedFact(fact.seq);
  return fact;
}

export const parse = <T>(text: string): T => JSON.parse(text) as T;

export const recordOf = ({ seq, ts, channel, event, payload }: FactRow): JournalRecord => ({
  seq,
  ts,
  channel,
  event,
  payload: parse(payload),
});

/** What is to be stored of an entry. */
export function inWriting(entry: JournalEntry): Written {
  switch (entry.kind) {
    case 'order': {
      const { fact, order } = entry;
      const fill =
        fact.type === 'order.filled' || fact.type === 'order.corrected' || fact.type === 'order.legExecuted'
          ? fact.fill
          : fact.type === 'order.commissioned'
            ? [...order.fills, ...(order.legFills ?? [])].find(({ execId }) => execId === fact.execId)
            : undefined;
      return {
        ts: Math.trunc(fact.at),
        channel: 'orders',
        event: fact.type,
        kind: 'order',
        name: order.clientOrderId,
        fact,
        payload: fill ? { order, fill } : { order },
      };
    }
    case 'position': {
      const { account, instrument, contract } = entry.position;
      return {
        ts: Math.trunc(entry.at),
        channel: 'positions',
        event: 'position.changed',
        kind: 'position',
        name: `${account} ${contract.conId ? `#${contract.conId}` : instrument}`,
        fact: {},
        payload: { position: entry.position },
      };
    }
    case 'execution':
      return {
        ts: Math.trunc(entry.at),
        channel: null,
        event: entry.event,
        kind: 'execution',
        name: entry.family,
        fact: {},
        payload: { execution: entry.execution },
      };
    case 'trading':
      return {
        ts: Math.trunc(entry.at),
        channel: 'health',
        event: 'trading.changed',
        kind: 'trading',
        name: '',
        fact: {},
        payload: { trading: { state: entry.state, reasons: entry.reasons } },
      };
    case 'withdrawal':
      return {
        ts: Math.trunc(entry.at),
        channel: null,
        event: 'withdrawal.changed',
        kind: 'withdrawal',
        name: '',
        fact: {},
        payload: { withdrawal: entry.standing },
      };
    case 'audit':
      return {
        ts: Math.trunc(entry.at),
        channel: null,
        event: 'audit.kept',
        kind: 'audit',
        name: '',
        fact: {},
        payload: { audit: entry.standing },
      };
    case 'health':
      return {
        ts: Math.trunc(entry.at),
        channel: 'health',
        event: entry.event,
        ...(ofSessions.has(entry.event) ? { kind: 'session', name: '' } : { kind: null, name: null }),
        fact: {},
        payload: { health: entry.detail },
      };
    case 'alert':
      return {
        ts: Math.trunc(entry.at),
        channel: 'alerts',
        event: entry.event,
        kind: null,
        name: null,
        fact: {},
        payload: { alert: entry.detail },
      };
  }
}
