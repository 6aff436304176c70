/** What the supervisor makes durable of what it hears: each event as entries of the journal. */
import type { AuditReport } from './audit.machine.ts';
import type { OrderRecord } from './desk.ts';
import { type Discrepancy, discrepancyView } from './discrepancy.ts';
import type { JournalEntry } from './journal.ts';
import type { LedgerReport } from './ledger.machine.ts';

type LedgerFacts = Extract<LedgerReport, { type: 'ledger.recorded' }>['facts'];

/** Of those that are not durable yet. */
export const orderEntries = (records: readonly OrderRecord[]): readonly JournalEntry[] =>
  records.flatMap(({ fact, order }) => (fact.seq === undefined ? [{ kind: 'order', fact, order }] : []));

export const ledgerEntries = (facts: LedgerFacts): readonly JournalEntry[] =>
  facts.map(
    (fact): JournalEntry =>
      fact.type === 'position.changed'
        ? { kind: 'position', at: fact.at, position: fact.position }
        : {
            kind: 'execution',
            at: fact.at,
            event: fact.type,
            family: fact.family,
            execution: fact.execution,
          },
  );

/** What began and what ended, and what is left. */
export function differenceEntries({
  raised,
  resolved,
  standing,
  at,
}: Extract<AuditReport, { type: 'audit.differed' }>): readonly JournalEntry[] {
  const told = (event: string) => (discrepancy: Discrepancy) =>
    alertOf(event, at, { ...discrepancyView(discrepancy, at) });
  return [
    ...raised.map(told('discrepancy.raised')),
    ...resolved.map(told('discrepancy.resolved')),
    { kind: 'audit', at, standing },
  ];
}

/** Something that a person should know of. */
export const alertOf = (
  event: string,
  at: number,
  detail: Readonly<Record<string, unknown>>,
): JournalEntry => ({
  kind: 'alert',
  at,
  event,
  detail,
});

/** An event that carries its time, as it is made durable: for people (`alert`) or as a part of the link's story (`health`). */
export function toldAs<Event extends { readonly type: string; readonly at: number }>(
  kind: 'alert' | 'health',
  told: Event,
): JournalEntry {
  const { type, at, ...detail } = told;
  return { kind, at, event: type, detail: inWords(detail) };
}

/** Moments as everybody reads them: RFC 3339. */
function inWords(detail: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const said = (name: string, value: unknown): unknown => {
    if (name === 'since' && typeof value === 'number') return new Date(value).toISOString();
    const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isRecord ? inWords(value as Readonly<Record<string, unknown>>) : value;
  };
  return Object.fromEntries(Object.entries(detail).map(([name, value]) => [name, said(name, value)]));
}
