/**
 * `npm run doctor`: what would keep the runtime from trading, and what to do about it. It places nothing, changes
 * nothing, and visits the gateway under a client id of its own.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';
import { isPaperAccount } from '../machines/gate.ts';
import { type Config, ConfigError, loadConfig, secretsOf } from './config.ts';
import { examine, roomFor } from './journal/checkup.ts';
import { shortenAccount } from './log.ts';
import { pidFileOf } from './pid-file.ts';
import { type Greeting, greet, supportedVersions, testedFrom } from './tws/greeting.ts';

interface Check {
  readonly name: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** what to do; empty: nothing */
  readonly fix: string;
}
interface Options {
  readonly clientId: number;
  readonly timeoutMs: number;
}

const usage = `usage: npm run doctor -- [--json] [--client-id 9999] [--timeout-ms 5000]
  --json        one JSON document instead of lines
  --client-id   as whom the gateway is visited; take one that no program uses
  --timeout-ms  how long each answer may take`;
const ports = { paper: [7497, 4002], live: [7496, 4001] } as const;
const skewMs = { warn: 5_000, fail: 60_000 } as const;
const roomBytes = { warn: 1024 ** 3, fail: 64 * 1024 ** 2 } as const;

const ok = (name: string, detail: string): Check => ({ name, status: 'ok', detail, fix: '' });
const warn = (name: string, detail: string, fix: string): Check => ({ name, status: 'warn', detail, fix });
const fail = (name: string, detail: string, fix: string): Check => ({ name, status: 'fail', detail, fix });
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const { version, engines } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { readonly version: string; readonly engines: { readonly node: string } };

async function examineAll(options: Options): Promise<readonly Check[]> {
  const checks: Check[] = [node()];
  const config = configuration(checks);
  if (!config) return checks;
  checks.push(...tradingMode(config));
  const instance = await http(config, options.timeoutMs, checks);
  checks.push(journal(config, instance), disk(config));
  if (config.gateway === 'simulated')
    checks.push(ok('gateway', 'GATEWAY=simulated: the gateway comes with the program'));
  else checks.push(...(await gateway(config, options)));
  if (config.redisUrl !== '') checks.push(await redis(config, options.timeoutMs));
  return checks;
}

function node(): Check {
  const wanted = Number(/\d+/.exec(engines.node)?.[0] ?? 0);
  const running = process.versions.node;
  return Number(running.split('.')[0]) >= wanted
    ? ok('node', running)
    : fail('node', `${running} is too old`, `use Node.js ${engines.node}; npm ci brings one for npm scripts`);
}

function configuration(checks: Check[]): Config | null {
  try {
    const config = loadConfig({ cwd: process.cwd(), env: process.env });
    checks.push(
      ok('configuration', `every variable is right (${config.gateway} gateway, ${config.tradingMode})`),
      ...config.warnings.map((warning) => warn('configuration', warning, 'set it right, or leave it')),
    );
    return config;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const { variable, detail, source } of error.problems) {
      const fix =
        source === 'environment'
          ? `set ${variable} right in the environment, which overrides .env.local, or unset it`
          : variable.startsWith('.env')
            ? `make ${variable} a text file that can be read, or remove it`
            : `set ${variable} in .env.local`;
      checks.push(fail('configuration', `${variable} ${detail}`, fix));
    }
    return null;
  }
}

/** Ports are a habit, not a rule: a mismatch is a question. */
function tradingMode({ gateway, tradingMode, tws }: Config): readonly Check[] {
  if (gateway === 'simulated') return [];
  const usual = ports.live.some((port) => port === tws.port)
    ? 'live'
    : ports.paper.some((port) => port === tws.port)
      ? 'paper'
      : null;
  if (usual === 'live' && tradingMode === 'paper')
    return [
      warn(
        'trading mode',
        `TRADING_MODE=paper, but ${tws.port} is the usual port of a live login`,
        'paper accounts are at 7497 (TWS) or 4002 (IB Gateway); orders for live accounts will be refused',
      ),
    ];
  if (usual === 'paper' && tradingMode === 'live')
    return [
      warn(
        'trading mode',
        `TRADING_MODE=live, but ${tws.port} is the usual port of a paper login`,
        'live accounts are at 7496 (TWS) or 4001 (IB Gateway); set TRADING_MODE=paper for paper trading',
      ),
    ];
  return [ok('trading mode', `${tradingMode}, port ${tws.port}`)];
}

/** Whether the port is free, ours already, or somebody else's. True: a runtime of ours answers there. */
async function http({ http: { host, port } }: Config, timeoutMs: number, checks: Check[]): Promise<boolean> {
  if (port === 0) {
    checks.push(ok('http', 'PORT=0: any free port'));
    return false;
  }
  const problem = await bindingProblem(host, port);
  if (problem === null) {
    checks.push(ok('http', `${host}:${port} is free`));
    return false;
  }
  if (problem !== 'EADDRINUSE') {
    checks.push(
      fail(
        'http',
        `${host}:${port} cannot be listened on (${problem})`,
        'set HOST and PORT to ones that can',
      ),
    );
    return false;
  }
  const name =
    host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
  const url = `http://${name}:${port}`;
  const ask = async (path: string): Promise<Record<string, unknown> | null> => {
    try {
      const answer = await fetch(url + path, { signal: AbortSignal.timeout(timeoutMs) });
      return (await answer.json()) as Record<string, unknown>;
    } catch {
      return null;
    }
  };
  const service = await ask('/');
  if (service?.name !== 'tws-runtime') {
    const fix = 'stop that program, or set another PORT';
    checks.push(fail('http', `${host}:${port} is taken by another program`, fix));
    return false;
  }
  checks.push(ok('http', `a runtime (${String(service.version)}) listens at ${url}`));
  const health = await ask('/health');
  const { status, reasons } = (health ?? {}) as {
    status?: unknown;
    reasons?: readonly { code: string; detail: string }[];
  };
  const why = (reasons ?? []).map(({ code, detail }) => `${code}: ${detail}`).join('; ');
  const look = `look at ${url}/health/detailed`;
  checks.push(
    status === 'pass'
      ? ok('health', 'the running instance says pass')
      : (status === 'warn' ? warn : fail)(
          'health',
          `the running instance says ${String(status)} (${why})`,
          look,
        ),
  );
  return true;
}

function bindingProblem(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

function journal({ journalPath }: Config, hasInstance: boolean): Check {
  const found = examine(journalPath);
  switch (found.outcome) {
    case 'whole':
      return found.rebuilt
        ? warn('journal', `${found.facts} facts; the index will be made again at the next start`, 'nothing')
        : ok('journal', `${found.facts} facts in ${found.bytes} bytes, all of them whole`);
    case 'absent':
      return ok('journal', found.message);
    case 'inUse': {
      const pid = runningPid(journalPath);
      const who = pid === null ? 'an unknown process' : `process ${pid}`;
      const detail = `${journalPath} is in use by ${who}, which proved it when it started`;
      const fix = 'a second runtime cannot use it: stop that one, or set another JOURNAL_PATH';
      return hasInstance ? ok('journal', detail) : warn('journal', detail, fix);
    }
    case 'notProven':
      return warn('journal', `not proven: ${found.message}`, 'make room, or set TMPDIR to a larger disk');
    case 'unusable':
      return fail('journal', found.message, 'the file and its folder must be whole and writable');
  }
}

/** The process that its file names, if it lives. */
function runningPid(journalPath: string): number | null {
  let pid = 0;
  try {
    pid = Number(readFileSync(pidFileOf(journalPath), 'utf8'));
    if (!Number.isInteger(pid) || pid <= 0) return null;
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? pid : null;
  }
}

function disk({ journalPath }: Config): Check {
  const free = roomFor(journalPath);
  const detail = `${Math.floor(free / 1024 ** 2)} MiB free for the journal`;
  const fix = 'make room: without it no order can leave';
  if (free < roomBytes.fail) return fail('disk', detail, fix);
  return free < roomBytes.warn ? warn('disk', detail, fix) : ok('disk', detail);
}

/** What to look at in TWS, by how the visit ended. */
const advice: Readonly<Record<Exclude<Greeting['outcome'], 'welcome'>, string>> = {
  refused:
    'start TWS or IB Gateway and log in; in Global Configuration, API, Settings tick "Enable ActiveX and Socket Clients" and compare the socket port (TWS 7497 paper, 7496 live; IB Gateway 4002, 4001) with TWS_PORT',
  unreachable: 'look at TWS_HOST, the network and the firewall between',
  turnedAway:
    'in API, Settings add this machine to "Trusted IPs", or untick "Allow connections from localhost only"; behind a proxy or container, see that the gateway itself runs',
  silent:
    'look at the screen of TWS: it may ask whether to accept the connection, or show another dialog; a proxy in front of a dead gateway behaves the same',
  garbage: 'TWS_PORT is the port of something else: compare it with the socket port in API, Settings',
  versionUnsupported: `install a version of TWS or IB Gateway that speaks server versions ${supportedVersions.from} to ${supportedVersions.to}`,
  clientIdInUse: 'another program uses this client id: end it, or visit with --client-id of another number',
  unintroduced: 'log in to TWS and close its dialogs; it greets before the login is complete',
};

async function gateway(
  { tws, tradingMode }: Config,
  { clientId, timeoutMs }: Options,
): Promise<readonly Check[]> {
  const place = `${tws.host}:${tws.port}`;
  if (clientId === tws.clientId)
    return [
      fail(
        'gateway',
        `client id ${clientId} is TWS_CLIENT_ID, and a visit must not take it from the runtime`,
        'give --client-id another number',
      ),
    ];
  const visit = await greet({ ...tws, clientId, patienceMs: timeoutMs, now: Date.now });
  if (visit.outcome !== 'welcome') {
    const name = visit.outcome === 'clientIdInUse' ? 'client id' : 'gateway';
    return [
      fail(
        name,
        `${place}, client id ${clientId}: ${visit.outcome} (${visit.message})`,
        advice[visit.outcome],
      ),
    ];
  }
  const { serverVersion, accounts, notices } = visit;
  const said = `${place} answers, server version ${serverVersion}, client id ${clientId} is free`;
  const shown = accounts.map(shortenAccount).join(', ');
  const paper = accounts.filter(isPaperAccount).length;
  const fitting = tradingMode === 'paper' ? paper : accounts.length - paper;
  const links = notices.filter(({ code }) => code === 1100 || code === 2110);
  const checks: Check[] = [
    serverVersion < testedFrom
      ? warn('gateway', said, `it is older than what is tested (${testedFrom}): install a newer one`)
      : ok('gateway', said),
    tradingMode === 'off' || fitting === accounts.length
      ? ok('accounts', shown)
      : (fitting === 0 && tradingMode === 'paper' ? fail : warn)(
          'accounts',
          `TRADING_MODE=${tradingMode}, but of ${accounts.length} accounts (${shown}) ${fitting} are ${tradingMode} accounts`,
          tradingMode === 'paper'
            ? 'log in to the paper account, or set TRADING_MODE deliberately'
            : 'log in to the live account, or set TRADING_MODE=paper',
        ),
    clock(visit.skewMs),
  ];
  if (links.length > 0)
    checks.push(
      warn(
        'link to IB',
        links.map(({ message }) => message).join('; '),
        'wait, or look at the network of TWS',
      ),
    );
  if (tradingMode !== 'off')
    checks.push(
      ok('read-only API', 'cannot be seen from outside: "Read-Only API" must be unticked for orders to pass'),
    );
  return checks;
}

function clock(skew: number): Check {
  const seconds = Math.round(skew / 1_000);
  const detail = `the gateway's clock is ${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} ours`;
  const fix = 'set both clocks by NTP: sessions, resets and time stamps go by them';
  if (Math.abs(skew) >= skewMs.fail) return fail('clock', detail, fix);
  return Math.abs(skew) >= skewMs.warn ? warn('clock', detail, fix) : ok('clock', detail);
}

async function redis(config: Config, timeoutMs: number): Promise<Check> {
  const { createClient } = await import('redis');
  const client = createClient({
    url: config.redisUrl,
    socket: { connectTimeout: timeoutMs, reconnectStrategy: false },
    commandOptions: { timeout: timeoutMs },
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.ping();
    return ok('redis', 'answers');
  } catch (error) {
    const said = secretsOf(config).reduce(
      (text, secret) => (secret === '' ? text : text.replaceAll(secret, '***')),
      messageOf(error),
    );
    return warn('redis', `does not answer (${said})`, 'look at REDIS_URL; trading goes on without it');
  } finally {
    client.destroy();
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      'client-id': { type: 'string', default: '9999' },
      'timeout-ms': { type: 'string', default: '5000' },
      help: { type: 'boolean', default: false },
    },
  });
  const [clientId, timeoutMs] = [Number(values['client-id']), Number(values['timeout-ms'])];
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  if (!Number.isInteger(clientId) || clientId < 1 || !Number.isInteger(timeoutMs) || timeoutMs < 1)
    throw new Error(`--client-id and --timeout-ms are whole numbers above 0\n${usage}`);
  const checks = await examineAll({ clientId, timeoutMs });
  const worst =
    (['fail', 'warn'] as const).find((status) => checks.some((check) => check.status === status)) ?? 'ok';
  if (values.json) process.stdout.write(`${JSON.stringify({ status: worst, version, checks }, null, 2)}\n`);
  else {
    const lines = checks.map(
      ({ name, status, detail, fix }) =>
        `${status.padEnd(4)}  ${name}: ${detail}${fix === '' ? '' : `\n      -> ${fix}`}\n`,
    );
    // in one piece: a reader such as head may leave after its first line
    process.stdout.write(lines.join(''));
  }
  return worst === 'fail' ? 1 : 0;
}

main()
  .then((code) => {
    process.exitCode = code;
  })
  .catch((error: unknown) => {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exitCode = 64;
  });
