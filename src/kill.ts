/** `npm run kill`: halts trading and cancels everything, over HTTP, and by signal when HTTP does not answer. */
import { readFileSync } from 'node:fs';
import { findRuntime } from './config.ts';
import { pidFileOf } from './pid-file.ts';

const answerWithinMs = 3_000;

const usage = `usage: npm run kill
  halts trading and cancels every open order, at the runtime of this configuration
  it takes no options: whatever else is given, it kills; PUT /v1/trading {"state":"open"} opens trading again`;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Where a server that listens on this host is reached from here. */
function addressOf(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/** The command line of a process, where the system tells; null: it does not, or there is no such process. */
function programOf(pid: number): string | null {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return null;
  }
}

async function main(): Promise<number> {
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) {
    say(usage);
    return 0;
  }
  const { error, host, port, tradeToken, journalPath } = findRuntime({
    cwd: process.cwd(),
    env: process.env,
  });
  if (error) process.stderr.write(`${error.message}\nit is killed with what is right of it\n`);
  const byHttp = host !== null && port !== null && (await killByHttp(host, port, tradeToken ?? ''));
  if (byHttp || (journalPath !== null && killBySignal(journalPath))) return 0;
  say('if it runs elsewhere, call POST /v1/kill there; in TWS itself: Trade, Cancel All Orders');
  return error ? 78 : 1;
}

async function killByHttp(host: string, port: number, tradeToken: string): Promise<boolean> {
  const url = `http://${addressOf(host)}:${port}/v1/kill`;
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(tradeToken ? { authorization: `Bearer ${tradeToken}` } : {}),
      },
      body: JSON.stringify({ message: 'npm run kill' }),
      signal: AbortSignal.timeout(answerWithinMs),
      // the token is for this address and no other
      redirect: 'error',
    });
    const body = (await answer.json()) as {
      orders?: readonly { clientOrderId: string; fate: string }[];
      detail?: string;
    };
    if (!answer.ok) throw new Error(`HTTP ${answer.status}: ${body.detail ?? ''}`);
    const count = body.orders?.length ?? 0;
    say(count === 0 ? 'halted; no open orders' : `halted; open orders: ${count}`);
    for (const { clientOrderId, fate } of body.orders ?? []) say(`  ${clientOrderId}: ${fate}`);
    return true;
  } catch (error) {
    say(`${url} did not do it (${error instanceof Error ? error.message : String(error)})`);
    return false;
  }
}

function killBySignal(journalPath: string): boolean {
  const file = pidFileOf(journalPath);
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    // 0 and below would be groups of processes, our own among them
    if (!Number.isSafeInteger(pid) || pid <= 0) throw new Error(`${file} holds no process id`);
    const program = programOf(pid);
    // In a container it is the first process; anywhere else that is nobody to be signalled.
    if (program === null ? pid === 1 : !/main\.|tws-runtime/.test(program))
      throw new Error(`process ${pid} is another program, the id is of one that has ended`);
    process.kill(pid, 'SIGUSR2');
    say(`sent SIGUSR2 to process ${pid}: it halts and cancels as soon as its event loop turns`);
    return true;
  } catch (error) {
    say(`no running process by ${file} (${error instanceof Error ? error.message : String(error)})`);
    return false;
  }
}

main()
  .then((code) => {
    process.exitCode = code;
  })
  .catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
