/** `npm run kill`: halts trading and cancels everything, over HTTP, and by signal when HTTP does not answer. */
import { readFileSync } from 'node:fs';
import { ConfigError, loadConfig } from './config.ts';
import { pidFileOf } from './pid-file.ts';

const answerWithinMs = 3_000;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(): Promise<number> {
  const config = loadConfig({ cwd: process.cwd(), env: process.env });
  const { host, port, tradeToken } = config.http;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}/v1/kill`;
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(tradeToken ? { authorization: `Bearer ${tradeToken}` } : {}),
      },
      body: JSON.stringify({ message: 'npm run kill' }),
      signal: AbortSignal.timeout(answerWithinMs),
    });
    const body = (await answer.json()) as {
      orders?: readonly { clientOrderId: string; fate: string }[];
      detail?: string;
    };
    if (!answer.ok) throw new Error(`HTTP ${answer.status}: ${body.detail ?? ''}`);
    say(`halted; ${body.orders?.length ?? 0} open orders:`);
    for (const { clientOrderId, fate } of body.orders ?? []) say(`  ${clientOrderId}: ${fate}`);
    return 0;
  } catch (error) {
    say(`${url} did not do it (${error instanceof Error ? error.message : String(error)})`);
  }
  const file = pidFileOf(config.journalPath);
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    process.kill(pid, 'SIGUSR2');
    say(`sent SIGUSR2 to process ${pid}: it halts and cancels as soon as its event loop turns`);
    return 0;
  } catch (error) {
    say(`no running process by ${file} (${error instanceof Error ? error.message : String(error)})`);
    say('if it runs elsewhere, call POST /v1/kill there; in TWS itself: Trade, Cancel All Orders');
    return 1;
  }
}

main()
  .then((code) => {
    process.exitCode = code;
  })
  .catch((error: unknown) => {
    process.stderr.write(
      `${error instanceof ConfigError || error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exitCode = 78;
  });
