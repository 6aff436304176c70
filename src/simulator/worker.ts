/**
 * The simulated gateway in a worker thread. `workerData: {options, controlPort?}`; posts `{type: 'listening', port, controlPort}`
 * (controlPort null when none was asked for) or `{type: 'failed', message}`, and closes on `{type: 'close'}`.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { type Control, openControl } from './control.ts';
import { createSimulator, type Simulator, type SimulatorOptions } from './simulator.ts';

/** The options that can cross to another thread. */
export type WorkerSimulatorOptions = Omit<SimulatorOptions, 'clock' | 'exchange' | 'log'>;

export interface SimulatorWorkerData {
  readonly options?: WorkerSimulatorOptions;
  /** 0 for a free one; absent: no control port */
  readonly controlPort?: number;
}

export type SimulatorWorkerMessage =
  | { readonly type: 'listening'; readonly port: number; readonly controlPort: number | null }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'closed' };

async function run(data: SimulatorWorkerData): Promise<void> {
  const post = (message: SimulatorWorkerMessage): void => parentPort?.postMessage(message);
  let simulator: Simulator | null = null;
  let control: Control | null = null;
  const close = async (): Promise<void> => {
    await control?.close();
    await simulator?.close();
    post({ type: 'closed' });
    parentPort?.close();
  };
  try {
    simulator = await createSimulator(data.options ?? {});
    if (data.controlPort !== undefined) control = await openControl(simulator, data.controlPort);
  } catch (error) {
    post({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
    await close();
    return;
  }
  parentPort?.on('message', (message: unknown) => {
    if (typeof message === 'object' && message !== null && 'type' in message && message.type === 'close') {
      close().catch((error: unknown) => {
        post({ type: 'failed', message: String(error) });
      });
    }
  });
  post({ type: 'listening', port: simulator.port, controlPort: control?.port ?? null });
}

await run((workerData ?? {}) as SimulatorWorkerData);
