/** What the runtime tells about differences, alerts and positions, as scenarios look at it. */
import type { Clock } from '../../src/simulator/model.ts';
import { eventually } from '../program.ts';
import type { Whole } from '../whole.ts';
import { everyRow } from './oracle.ts';

// biome-ignore lint/suspicious/noExplicitAny: rows of the public API, read by name
type Row = any;

/** Differences between the books, open and ended, as the API shows them. */
export const discrepancies = async (whole: Whole): Promise<Row[]> =>
  (await whole.call('GET', '/v1/reconciliations/latest')).body.discrepancies ?? [];

/** Waits for a difference with this code; `isOpen` false: for one that has ended. */
export async function discrepancy(
  whole: Whole,
  code: string,
  isOpen = true,
  withinMs = 20_000,
): Promise<Row> {
  const fits = (row: Row): boolean => row.code === code && (row.done === null) === isOpen;
  const rows = await eventually(
    () => discrepancies(whole),
    (found) => found.some(fits),
    withinMs,
  );
  return rows.find(fits);
}

/** Waits until nothing differs any more. */
export const untilAgreed = (whole: Whole): Promise<Row> =>
  eventually(
    () => discrepancies(whole),
    (rows) => rows.every(({ done }) => done !== null),
    25_000,
  );

/** Durable alerts, oldest first. */
export async function alerts(whole: Whole, event?: string): Promise<Row[]> {
  const facts = await everyRow(whole, '/v1/journal', 'facts');
  return facts.filter((fact) => fact.channel === 'alerts' && (event === undefined || fact.event === event));
}

/**
 * Waits until every `discrepancy.raised` has its `discrepancy.resolved`. A difference is over a moment before the journal
 * holds the fact of it.
 */
export const untilPaired = (whole: Whole): Promise<string[]> =>
  eventually(
    () => unpaired(whole),
    (left) => left.length === 0,
    5_000,
  );

/** The codes that were told and never taken back. */
async function unpaired(whole: Whole): Promise<string[]> {
  const left: string[] = [];
  for (const { event, payload } of await alerts(whole)) {
    const name = `${payload.alert.code} ${JSON.stringify(payload.alert.subject)}`;
    if (event === 'discrepancy.raised') left.push(name);
    if (event === 'discrepancy.resolved') left.splice(left.indexOf(name), 1);
  }
  return left;
}

export const positions = (whole: Whole): Promise<Row[]> => everyRow(whole, '/v1/positions', 'positions');
export const quantityOf = async (whole: Whole, instrument: string): Promise<string> =>
  (await positions(whole)).find((row) => row.instrument === instrument)?.quantity ?? '0';
export const executions = (whole: Whole): Promise<Row[]> => everyRow(whole, '/v1/executions', 'executions');

/** Asks the broker for its lists at once, as it is done after every cut behind the gateway. */
export async function compareNow(whole: Whole): Promise<void> {
  const before = (await whole.call('GET', '/v1/reconciliations/latest')).body.completedAt;
  whole.simulator.faults.injectError(-1, 1100, 'Connectivity between IBKR and TWS has been lost.');
  await eventually(
    () => whole.call('GET', '/health/ready?gate=trading'),
    ({ status }) => status === 503,
    20_000,
  );
  whole.simulator.faults.injectError(-1, 1102, 'Connectivity between IBKR and TWS has been restored.');
  await eventually(
    () => whole.call('GET', '/v1/reconciliations/latest'),
    ({ body }) => body.completedAt > before,
    20_000,
  );
}

/** Real timers on a time of day that a scenario moves: for what happens at midnight and at week-ends. */
export function movableClock(start: number): Clock & { move(ms: number): void } {
  let offset = start - Date.now();
  return {
    now: () => Date.now() + offset,
    setTimeout: (callback, ms) => setTimeout(callback, ms),
    clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
    move: (ms) => {
      offset += ms;
    },
  };
}
