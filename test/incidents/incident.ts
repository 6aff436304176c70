/** A published failure of software that trades through TWS, as a scenario that this runtime must survive. */
import { test } from 'vitest';
import { startWhole, type Whole, type WholeOptions } from '../whole.ts';
import { expectBooksAgree } from './oracle.ts';

export interface IncidentOptions extends WholeOptions {
  /** false: the scenario itself sends or causes bytes that the simulator must complain about */
  readonly conforms?: boolean;
  /** false: the scenario ends where the books cannot agree (the link is down, the runtime is gone) */
  readonly agrees?: boolean;
}

/**
 * Starts a whole runtime with a simulated gateway. When the scenario is over the books are compared, the wire is
 * checked, and everything is stopped.
 */
export type Start = (options?: IncidentOptions) => Promise<Whole>;
export type Scenario = (start: Start) => Promise<void>;

/** The facts of one incident. The table in the README is made of them. */
export interface Incident {
  /** `I01`; a failure of the same family that nobody published takes the number of its neighbour and a letter */
  readonly id: string;
  /** what happens, in a line */
  readonly title: string;
  /** public reports; empty for a neighbour */
  readonly sources: readonly string[];
  /** what others did, in a few words */
  readonly others: string;
  /** what this runtime does */
  readonly ours: string;
  /** one scenario, or several by name */
  readonly test: Scenario | Readonly<Record<string, Scenario>>;
}

/** All that the imported files have declared, in their order. */
export const incidents: Incident[] = [];

const timeoutMs = 60_000;

/** Declares an incident. Under vitest it is also run; a file of incidents needs no hooks of its own. */
export function incident(declared: Incident): void {
  incidents.push(declared);
  if (!process.env.VITEST) return;
  const scenarios =
    typeof declared.test === 'function' ? { '': declared.test } : (declared.test satisfies object);
  for (const [name, scenario] of Object.entries(scenarios)) {
    test(`${declared.id} ${declared.title}${name && `: ${name}`}`, () => play(scenario), timeoutMs);
  }
}

async function play(scenario: Scenario): Promise<void> {
  const started: { readonly whole: Whole; readonly options: IncidentOptions }[] = [];
  try {
    await scenario(async (options = {}) => {
      const whole = await startWhole(options);
      started.push({ whole, options });
      return whole;
    });
    for (const { whole, options } of started) {
      if (options.agrees ?? true) await expectBooksAgree(whole);
      const complaints = whole.simulator.conformance();
      if ((options.conforms ?? true) && complaints.length > 0)
        throw new Error(`the simulator complains about our bytes: ${JSON.stringify(complaints)}`);
    }
  } finally {
    for (const { whole } of started) await whole.stop();
  }
}
