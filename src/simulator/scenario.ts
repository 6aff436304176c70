import { Commands } from './commands.ts';
import { parseCommand } from './control.ts';
import type { Simulator } from './simulator.ts';

export interface ScenarioStep {
  /** ms after the scenario began, by the simulator's clock */
  readonly atMs: number;
  readonly line: number;
  readonly command: Readonly<Record<string, unknown>>;
}

/**
 * The steps of a scenario: one JSON object per line, `{"atMs": 5000, "fault": "drop"}`, with empty lines and lines that begin
 * with `#` left out. Throws an error that names the line.
 */
export function parseScenario(text: string): readonly ScenarioStep[] {
  const steps: ScenarioStep[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.trimStart().startsWith('#')) continue;
    try {
      const { atMs, ...command } = parseCommand(line);
      if (typeof atMs !== 'number' || !(atMs >= 0)) throw new RangeError('atMs: must be a number from 0');
      steps.push({ atMs, line: index + 1, command });
    } catch (error) {
      throw new RangeError(`line ${index + 1}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return steps.toSorted((left, right) => left.atMs - right.atMs);
}

/** Runs each step at its time on the simulator's clock; a step that fails is logged and the rest goes on. */
export function playScenario(
  simulator: Simulator,
  steps: readonly ScenarioStep[],
  log: (line: string) => void,
): () => void {
  const commands = new Commands(simulator);
  const handles = steps.map(({ atMs, line, command }) =>
    simulator.clock.setTimeout(() => {
      log(`scenario line ${line}: ${JSON.stringify(command)}`);
      commands.run(command).catch((error: unknown) => {
        log(`scenario line ${line} failed: ${error instanceof Error ? error.message : String(error)}`);
      });
    }, atMs),
  );
  return () => {
    for (const handle of handles) simulator.clock.clearTimeout(handle);
  };
}
