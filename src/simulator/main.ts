/** `npm run simulator -- --port 7497`: the simulated gateway as a process of its own. */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Control, openControl } from './control.ts';
import { TWS_LIMITS, UNLIMITED } from './limits.ts';
import { parseScenario, playScenario, type ScenarioStep } from './scenario.ts';
import { createSimulator, type Simulator } from './simulator.ts';

const USAGE = `Usage: npm run simulator -- [options]
  --port <n>          TCP port on 127.0.0.1 (default 7497, 0 = a free one)
  --seed <n>          the same seed gives the same market (default 1)
  --control-port <n>  JSON commands, one per line (default: none, 0 = a free one)
  --scenario <file>   JSON lines {"atMs": 5000, "fault": "drop"}, played from the start
  --accounts <list>   account ids, comma separated (default DU1234567)
  --tick-ms <n>       mean time between two changes of a quote (default 100)
  --calendar <name>   alwaysOpen (default) or regular
  --memory <file>     remembers orders, positions and cash there, across kills and restarts
  --unlimited         without the limits of a TWS, for load tests
  --verbose           logs connections, refusals and faults
  --help`;

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

interface CommandLine {
  readonly port: number;
  readonly seed: number;
  readonly controlPort: number | null;
  readonly scenario: string | null;
  readonly accounts: readonly string[];
  readonly tickIntervalMs: number;
  readonly calendar: 'alwaysOpen' | 'regular';
  readonly memoryPath: string | null;
  readonly isUnlimited: boolean;
  readonly isVerbose: boolean;
}

function integer(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new RangeError(`--${option}: "${text}" is not an integer from ${min} to ${max}`);
  }
  return value;
}

/** null when only help was wanted. Throws an error that names the wrong option. */
function readCommandLine(args: readonly string[]): CommandLine | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      port: { type: 'string', default: '7497' },
      seed: { type: 'string', default: '1' },
      'control-port': { type: 'string' },
      scenario: { type: 'string' },
      accounts: { type: 'string', default: 'DU1234567' },
      'tick-ms': { type: 'string', default: '100' },
      calendar: { type: 'string', default: 'alwaysOpen' },
      memory: { type: 'string' },
      unlimited: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const accounts = values.accounts.split(',').map((account) => account.trim());
  for (const account of accounts) {
    if (!/^[A-Z]{1,3}\d{3,12}$/.test(account)) {
      throw new RangeError(`--accounts: "${account}" is not an account id such as DU1234567`);
    }
  }
  const { calendar } = values;
  if (calendar !== 'alwaysOpen' && calendar !== 'regular') {
    throw new RangeError(`--calendar: "${calendar}" is neither alwaysOpen nor regular`);
  }
  const controlPort = values['control-port'];
  return {
    port: integer('port', values.port, 0, 65_535),
    seed: integer('seed', values.seed, 0, 2 ** 32 - 1),
    controlPort: controlPort === undefined ? null : integer('control-port', controlPort, 0, 65_535),
    scenario: values.scenario ?? null,
    accounts,
    tickIntervalMs: integer('tick-ms', values['tick-ms'], 1, 60_000),
    calendar,
    memoryPath: values.memory ?? null,
    isUnlimited: values.unlimited,
    isVerbose: values.verbose,
  };
}

async function readSteps(file: string): Promise<readonly ScenarioStep[]> {
  try {
    return parseScenario(await readFile(file, 'utf8'));
  } catch (error) {
    throw new Error(`--scenario: ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function listen<T>(option: string, port: number, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new Error(
      `--${option}: cannot listen on ${port}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

async function run(line: CommandLine): Promise<void> {
  const steps = line.scenario === null ? [] : await readSteps(line.scenario);
  const limits = line.isUnlimited ? UNLIMITED : TWS_LIMITS;
  const { port, seed, accounts, tickIntervalMs, calendar } = line;
  const simulator: Simulator = await listen('port', port, () =>
    createSimulator({
      port,
      seed,
      accounts,
      tickIntervalMs,
      calendar,
      limits,
      ...(line.memoryPath === null ? {} : { memoryPath: line.memoryPath }),
      ...(line.isVerbose ? { log: say } : {}),
    }),
  );
  let control: Control | null = null;
  const { controlPort } = line;
  if (controlPort !== null) {
    try {
      control = await listen('control-port', controlPort, () => openControl(simulator, controlPort));
    } catch (error) {
      await simulator.close();
      throw error;
    }
  }
  const stopScenario = playScenario(simulator, steps, say);
  say(`simulated gateway on 127.0.0.1:${simulator.port}, accounts ${accounts.join(',')}, seed ${seed}`);
  say(
    `market ${calendar}, quotes move every ${tickIntervalMs} ms, limits ${line.isUnlimited ? 'off' : 'as in TWS'}`,
  );
  if (control !== null) say(`control on 127.0.0.1:${control.port}`);
  if (line.scenario !== null) say(`scenario ${line.scenario}: ${steps.length} steps`);
  const stop = async (): Promise<void> => {
    stopScenario();
    await control?.close();
    await simulator.close();
    say('closed');
  };
  const stopped = { isStopping: false };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stopped.isStopping) return;
      stopped.isStopping = true;
      stop().catch((error: unknown) => {
        process.stderr.write(`${String(error)}\n`);
        process.exitCode = 1;
      });
    });
  }
}

try {
  const line = readCommandLine(process.argv.slice(2));
  if (line === null) say(USAGE);
  else await run(line);
} catch (error) {
  process.stderr.write(`simulator: ${error instanceof Error ? error.message : String(error)}\nTry --help.\n`);
  process.exitCode = 1;
}
