/**
 * The only reader of the environment. `.env` holds the defaults, `.env.local` and the real environment override it,
 * in this order. A start with a wrong value is refused with every problem at once.
 */
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import Type, { type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { compare, type Decimal, toDecimal } from '../machines/decimal.ts';
import type { GateLimits } from '../machines/gate.ts';

interface Notes {
  /** what is allowed, completing the sentence "must be ..." */
  readonly allowed: string;
  readonly example: string;
  readonly secret?: boolean;
  /** an empty text is a value of its own, not a mistake */
  readonly mayBeEmpty?: boolean;
}

const whole = (minimum: number, maximum: number, fallback: number) =>
  Type.Integer({
    minimum,
    maximum,
    default: fallback,
    allowed: `a whole number from ${minimum} to ${maximum}`,
    example: String(fallback),
  });
const flag = (fallback: boolean) =>
  Type.Boolean({
    default: fallback,
    allowed: 'true or false (also 1, 0, yes, no)',
    example: String(fallback),
  });
const limit = (fallback: Decimal, maximum = '1000000000000000') =>
  Type.Refine(
    Type.String({
      default: fallback,
      format: 'decimal',
      allowed: `a decimal number from 0 to ${maximum}, 0 for no limit`,
      example: fallback,
    }),
    (text) => toDecimal(text) !== null && compare(text, '0') >= 0 && compare(text, maximum) <= 0,
  );
const choice = <const Values extends string[]>(
  values: readonly [...Values],
  fallback: Values[number],
  example: Values[number] = fallback,
) => Type.Enum(values, { default: fallback, allowed: `one of ${values.join(', ')}`, example });
const text = (accepts: (value: string) => boolean, fallback: string, notes: Notes) =>
  Type.Refine(Type.String({ default: fallback, ...notes }), accepts);

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*$/;
const isHost = (value: string): boolean =>
  isIP(value) !== 0 || (HOST_NAME.test(value) && !/^[\d.]+$/.test(value) && value.length <= 253);
/** Beyond loopback a must, on it an advice. */
const leastTokenLength = 16;
const isToken = (value: string): boolean => /^[\x21-\x7e]{0,512}$/.test(value);
const isFilePath = (path: string): boolean =>
  path.trim() === path && !path.includes('\0') && !/^(:memory:|file:)/i.test(path);
const isRedisUrl = (value: string): boolean => {
  const url = URL.parse(value);
  if (value === '') return true;
  // The client takes the path for the number of a database, and throws at anything else.
  return (
    url !== null &&
    /^rediss?:$/.test(url.protocol) &&
    url.hostname !== '' &&
    /^(\/\d{0,9})?$/.test(url.pathname)
  );
};
const splitOrigins = (value: string): string[] =>
  value
    .split(',')
    .map((origin) => origin.trim())
    .filter((origin) => origin !== '');
const areOrigins = (value: string): boolean => {
  const origins = splitOrigins(value);
  return (
    new Set(origins).size === origins.length &&
    origins.every(
      (origin) => /^https?:$/.test(URL.parse(origin)?.protocol ?? '') && URL.parse(origin)?.origin === origin,
    )
  );
};
const host = (fallback: string) =>
  text(isHost, fallback, { allowed: 'an IP address or a host name', example: fallback });
const token = () =>
  text(isToken, '', {
    allowed: 'empty, or up to 512 visible ASCII characters without spaces',
    example: 'the output of: openssl rand -hex 32',
    secret: true,
    mayBeEmpty: true,
  });

/** Every variable that we read. The defaults here equal the committed `.env`. */
export const variables = Type.Object({
  GATEWAY: choice(['simulated', 'tws'], 'simulated'),
  TWS_HOST: host('127.0.0.1'),
  TWS_PORT: whole(1, 65535, 7497),
  TWS_CLIENT_ID: whole(0, 2147483647, 1),
  TRADING_MODE: choice(['paper', 'live', 'off'], 'paper'),
  HOST: host('127.0.0.1'),
  PORT: whole(0, 65535, 8000),
  TRADE_TOKEN: token(),
  READ_TOKEN: token(),
  ALLOWED_ORIGINS: text(areOrigins, '', {
    allowed: 'a comma-separated list of browser origins (scheme, host, port; no path), each named once',
    example: 'http://localhost:5173,https://desk.example.com',
    mayBeEmpty: true,
  }),
  DEBUG: flag(false),
  LOG_LEVEL: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'info'),
  REDIS_URL: text(isRedisUrl, '', {
    allowed: 'empty, or a redis:// or rediss:// URL whose path is a database number or nothing',
    example: 'redis://127.0.0.1:6379/0',
    secret: true,
    mayBeEmpty: true,
  }),
  REDIS_PREFIX: text((value) => /^[A-Za-z0-9._:-]{1,64}$/.test(value), 'tws-runtime', {
    allowed: '1 to 64 letters, digits, dots, colons, dashes or underscores',
    example: 'tws-runtime',
  }),
  STOP_ORDER_POLICY: choice(['leave', 'cancel-day', 'cancel-all'], 'leave', 'cancel-day'),
  STOP_DEADLINE_MS: whole(1_000, 600_000, 10_000),
  MAX_LATENCY_MS: Type.Number({
    exclusiveMinimum: 0,
    maximum: 60_000,
    default: 10,
    allowed: 'a number of milliseconds above 0, at most 60000',
    example: '10',
  }),
  BATCH_UPDATE_INTERVAL_MS: whole(1, 10_000, 50),
  JOURNAL_PATH: text(isFilePath, './data/journal.db', {
    allowed: 'the path of a file (a journal in memory would forget every order)',
    example: './data/journal.db',
  }),
  READY_REQUIRES_TWS: flag(false),
  INSPECT: flag(false),
  INSPECT_PORT: whole(0, 65535, 8080),
  MAX_ORDER_QUANTITY: limit('100000'),
  MAX_ORDER_NOTIONAL: limit('500000'),
  MAX_OPEN_ORDERS: whole(0, 1_000_000, 200),
  MAX_ORDERS_PER_SECOND: whole(0, 1_000_000, 40),
  PRICE_COLLAR_PERCENT: limit('20', '100'),
  MAX_POSITION_NOTIONAL: limit('1000000'),
  MAX_DAILY_LOSS: limit('25000'),
});
type Variables = Static<typeof variables>;
type Name = keyof Variables;
const names = Object.keys(variables.properties) as Name[];

/** The effective configuration, checked. */
export interface Config {
  readonly gateway: Variables['GATEWAY'];
  readonly tws: { readonly host: string; readonly port: number; readonly clientId: number };
  readonly tradingMode: Variables['TRADING_MODE'];
  readonly http: {
    readonly host: string;
    /** 0: any free port */
    readonly port: number;
    /** empty: no token is asked for */
    readonly tradeToken: string;
    readonly readToken: string;
    readonly allowedOrigins: readonly string[];
    readonly debug: boolean;
  };
  readonly logLevel: Variables['LOG_LEVEL'];
  /** `NODE_ENV` says production: logs are never prettified */
  readonly production: boolean;
  /** empty: no Redis */
  readonly redisUrl: string;
  /** what every key and channel in Redis begins with, without the colon */
  readonly redisPrefix: string;
  readonly stop: {
    /** which open orders of ours a stop cancels */
    readonly orders: Variables['STOP_ORDER_POLICY'];
    /** for the whole stop, ms */
    readonly deadlineMs: number;
  };
  /** budget of the trading path at p99, ms */
  readonly maxLatencyMs: number;
  /** the beat of market data, ms */
  readonly beatMs: number;
  /** absolute */
  readonly journalPath: string;
  readonly readyRequiresTws: boolean;
  readonly inspect: boolean;
  /** of the inspector, on loopback whatever `http.host` says; 0: any free port */
  readonly inspectPort: number;
  readonly limits: GateLimits;
  /** what is legal but probably not meant; for the log */
  readonly warnings: readonly string[];
}

export interface ConfigProblem {
  readonly variable: string;
  readonly detail: string;
  /** where the wrong value was set; absent when no single place is to blame */
  readonly source?: string;
}

/** All that is wrong with the configuration, one line per problem in the message. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(
      [
        `the configuration has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:`,
        ...problems.map(({ variable, detail }) => `  ${variable}: ${detail}`),
      ].join('\n'),
    );
    this.problems = problems;
  }
}

type Environment = Readonly<Record<string, string | undefined>>;
interface Setting {
  readonly text: string;
  /** where it was set, as an operator calls it */
  readonly source: string;
}

/**
 * Reads `.env` and `.env.local` in `cwd`, then `env`. Files may be absent.
 * @throws ConfigError naming every wrong variable, the value (secrets withheld), what is allowed and an example
 */
export function loadConfig(sources: Sources): Config {
  const { values, problems, warnings, production } = gather(sources);
  if (problems.length > 0) throw new ConfigError(problems);
  return arrange(Value.Parse(variables, values), { cwd: sources.cwd, production, warnings });
}

/** What leads to the running process; null: the variable has a wrong value. */
export interface Whereabouts {
  readonly host: string | null;
  readonly port: number | null;
  readonly tradeToken: string | null;
  /** absolute */
  readonly journalPath: string | null;
  /** of any variable; null: the configuration is right */
  readonly error: ConfigError | null;
}

/** For what must not be stopped by a mistake that does not concern it. Never throws a `ConfigError`. */
export function findRuntime(sources: Sources): Whereabouts {
  const { values, problems } = gather(sources);
  const { HOST, PORT, TRADE_TOKEN, JOURNAL_PATH } = values as Partial<Variables>;
  return {
    host: HOST ?? null,
    port: PORT ?? null,
    tradeToken: TRADE_TOKEN ?? null,
    journalPath: JOURNAL_PATH === undefined ? null : resolve(sources.cwd, JOURNAL_PATH),
    error: problems.length > 0 ? new ConfigError(problems) : null,
  };
}

interface Sources {
  readonly cwd: string;
  readonly env: Environment;
}

/** The values that are right, and every problem. */
function gather({ cwd, env }: Sources) {
  const problems: ConfigProblem[] = [];
  const warnings: string[] = [];
  const settings = new Map<string, Setting>();
  const overlay = (layer: Environment, source: string): void => {
    for (const [name, value] of Object.entries(layer)) {
      if (value === undefined) continue;
      if (Object.hasOwn(variables.properties, name) || name === 'NODE_ENV')
        settings.set(name, { text: value, source });
      else {
        const meant = nearMiss(name);
        if (meant)
          warnings.push(
            `${name} (${source}) is not a variable of ours and is ignored; did you mean ${meant}?`,
          );
      }
    }
  };
  for (const file of ['.env', '.env.local']) {
    const content = readOptional(join(cwd, file), file, problems);
    overlay(parseEnv(content), file);
    problems.push(...repetitions(content, file));
  }
  overlay(env, 'environment');

  const values: Record<string, unknown> = {};
  for (const name of names) {
    const schema = variables.properties[name];
    const setting = settings.get(name);
    const value = setting ? convert(schema, setting.text) : notesOf(schema).default;
    if (setting && (isMissing(schema, setting.text) || !Value.Check(schema, value))) {
      problems.push({ variable: name, detail: complaint(schema, setting), source: setting.source });
    } else values[name] = value;
  }
  problems.push(...contradictions(values, cwd));
  return { values, problems, warnings, production: settings.get('NODE_ENV')?.text === 'production' };
}

/** The effective configuration without secrets: of a token only whether it is set. For the log. */
export function publicConfig(config: Config): Readonly<Record<string, unknown>> {
  const { warnings: _, http, ...rest } = config;
  const { tradeToken, readToken, ...face } = http;
  return {
    ...rest,
    http: { ...face, tradeTokenSet: tradeToken !== '', readTokenSet: readToken !== '' },
    redisUrl: withoutCredentials(config.redisUrl),
  };
}

/** Every text of the configuration that nobody may see; some may be empty. */
export function secretsOf({ http, redisUrl }: Config): readonly string[] {
  return [http.tradeToken, http.readToken, redisUrl, URL.parse(redisUrl)?.password ?? ''];
}

/** Whether a server bound to this host can be reached from this machine alone. */
export function isLoopback(name: string): boolean {
  return /^(localhost|::1|0:0:0:0:0:0:0:1|(::ffff:)?127(\.\d{1,3}){3})$/i.test(name);
}

function readOptional(path: string, file: string, problems: ConfigProblem[]): string {
  try {
    const bytes = readFileSync(path);
    const [first, second] = bytes;
    const isMarked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
    if (!isMarked && !bytes.includes(0)) return bytes.toString('utf8').replace(/^\ufeff/, '');
    const detail =
      'is UTF-16 or no text at all, and nothing in it was read; save it as UTF-8, in PowerShell with Out-File -Encoding utf8';
    problems.push({ variable: file, detail });
    return '';
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    if (code !== 'ENOENT')
      problems.push({ variable: file, detail: `cannot be read (${code}); make it a readable file` });
    return '';
  }
}

/** Names of ours that one file sets more than once: the parser would silently take the last. */
function repetitions(content: string, file: string): ConfigProblem[] {
  const lines = new Map<string, number[]>();
  content.split(/\r?\n/).forEach((line, index) => {
    const name = /^\s*(?:export\s+)?(\w+)\s*=/.exec(line)?.[1];
    if (name && Object.hasOwn(variables.properties, name))
      lines.set(name, [...(lines.get(name) ?? []), index + 1]);
  });
  return [...lines]
    .filter(([, at]) => at.length > 1)
    .map(([variable, at]) => ({
      variable,
      detail: `is set ${at.length} times in ${file} (lines ${at.join(', ')}); keep one`,
    }));
}

function convert(schema: TSchema, raw: string): unknown {
  const word = raw.trim();
  if (Type.IsBoolean(schema)) {
    const lower = word.toLowerCase();
    if (['true', '1', 'yes'].includes(lower)) return true;
    return ['false', '0', 'no'].includes(lower) ? false : word;
  }
  if (Type.IsInteger(schema)) return /^[+-]?\d{1,15}$/.test(word) ? Number(word) : word;
  if (Type.IsNumber(schema)) return toDecimal(word) === null ? word : Number(word);
  if (Type.IsEnum(schema)) return word.toLowerCase();
  if ('format' in schema) return toDecimal(word) ?? word;
  return word;
}

function isMissing(schema: TSchema, raw: string): boolean {
  return raw.trim() === '' && !notesOf(schema).mayBeEmpty;
}

function complaint(schema: TSchema, { text: raw, source }: Setting): string {
  const { allowed, example, secret } = notesOf(schema);
  const given = isMissing(schema, raw)
    ? 'is empty'
    : secret
      ? 'has a wrong value (not shown)'
      : `is ${JSON.stringify(raw.length > 80 ? `${raw.slice(0, 80)}…` : raw)}`;
  return `${given} (${source}); it must be ${allowed}, e.g. ${example}`;
}

function notesOf(schema: TSchema): Notes & { readonly default?: unknown } {
  return schema as TSchema & Notes & { readonly default?: unknown };
}

/** Values that are fine alone and not together. Looks only at those that are fine alone. */
function contradictions(values: Readonly<Record<string, unknown>>, cwd: string): ConfigProblem[] {
  return [...sharedPort(values), ...unguardedHost(values), ...folderAsJournal(values, cwd)];
}

function sharedPort(values: Readonly<Record<string, unknown>>): ConfigProblem[] {
  const { PORT, INSPECT, INSPECT_PORT } = values as Partial<Variables>;
  if (!INSPECT || !PORT || PORT !== INSPECT_PORT) return [];
  return [{ variable: 'INSPECT_PORT', detail: `is ${PORT}, like PORT: give the inspector another one` }];
}

function folderAsJournal(
  { JOURNAL_PATH: path }: Readonly<Record<string, unknown>>,
  cwd: string,
): ConfigProblem[] {
  if (typeof path !== 'string' || !isFolder(resolve(cwd, path))) return [];
  const detail = `is ${JSON.stringify(path)}, which is a folder: name a file in it, e.g. ${join(path, 'journal.db')}`;
  return [{ variable: 'JOURNAL_PATH', detail }];
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function unguardedHost(values: Readonly<Record<string, unknown>>): ConfigProblem[] {
  const { HOST, TRADE_TOKEN, READ_TOKEN } = values as Partial<Variables>;
  if (HOST === undefined || isLoopback(HOST)) return [];
  const short = Object.entries({ TRADE_TOKEN, READ_TOKEN }).filter(
    ([, value]) => value !== undefined && value !== '' && value.length < leastTokenLength,
  );
  if (short.length > 0) {
    const detail = `is shorter than ${leastTokenLength} characters, and HOST=${HOST} lets other machines try: take the output of openssl rand -hex 32`;
    return short.map(([variable]) => ({ variable, detail }));
  }
  if (TRADE_TOKEN !== '' || READ_TOKEN !== '') return [];
  return [
    {
      variable: 'HOST',
      detail: `is ${JSON.stringify(HOST)}, which other machines can reach: set TRADE_TOKEN (and READ_TOKEN), or keep HOST=127.0.0.1`,
    },
  ];
}

function arrange(
  values: Variables,
  rest: { readonly cwd: string; readonly production: boolean; readonly warnings: readonly string[] },
): Config {
  const warnings = [...rest.warnings];
  if (values.TRADING_MODE === 'live' && values.GATEWAY === 'simulated') {
    warnings.push(
      'TRADING_MODE=live has no effect with GATEWAY=simulated, whose accounts are paper accounts',
    );
  }
  if (values.TRADE_TOKEN !== '' && values.TRADE_TOKEN === values.READ_TOKEN) {
    warnings.push('TRADE_TOKEN and READ_TOKEN are the same: whoever may read may also trade');
  }
  for (const name of ['TRADE_TOKEN', 'READ_TOKEN'] as const) {
    if (values[name] !== '' && values[name].length < leastTokenLength)
      warnings.push(`${name} is shorter than ${leastTokenLength} characters`);
  }
  return {
    gateway: values.GATEWAY,
    tws: { host: values.TWS_HOST, port: values.TWS_PORT, clientId: values.TWS_CLIENT_ID },
    tradingMode: values.TRADING_MODE,
    http: {
      host: values.HOST,
      port: values.PORT,
      tradeToken: values.TRADE_TOKEN,
      readToken: values.READ_TOKEN,
      allowedOrigins: splitOrigins(values.ALLOWED_ORIGINS),
      debug: values.DEBUG,
    },
    logLevel: values.LOG_LEVEL,
    production: rest.production,
    redisUrl: values.REDIS_URL,
    redisPrefix: values.REDIS_PREFIX,
    stop: { orders: values.STOP_ORDER_POLICY, deadlineMs: values.STOP_DEADLINE_MS },
    maxLatencyMs: values.MAX_LATENCY_MS,
    beatMs: values.BATCH_UPDATE_INTERVAL_MS,
    journalPath: resolve(rest.cwd, values.JOURNAL_PATH),
    readyRequiresTws: values.READY_REQUIRES_TWS,
    inspect: values.INSPECT,
    inspectPort: values.INSPECT_PORT,
    limits: {
      maxOrderQuantity: values.MAX_ORDER_QUANTITY,
      maxOrderNotional: values.MAX_ORDER_NOTIONAL,
      maxOpenOrders: values.MAX_OPEN_ORDERS,
      maxOrdersPerSecond: values.MAX_ORDERS_PER_SECOND,
      priceCollarPercent: values.PRICE_COLLAR_PERCENT,
      maxPositionNotional: values.MAX_POSITION_NOTIONAL,
      maxDailyLoss: values.MAX_DAILY_LOSS,
    },
    warnings,
  };
}

function withoutCredentials(url: string): string {
  const parsed = URL.parse(url);
  if (!parsed) return url;
  if (parsed.username !== '' || parsed.password !== '') {
    parsed.username = '***';
    parsed.password = '';
  }
  parsed.search = '';
  return parsed.href;
}

/** The variable of ours that this name was probably meant to be. */
function nearMiss(name: string): Name | undefined {
  const flat = (word: string): string => word.replaceAll(/[_-]/g, '').toUpperCase();
  return names.find((ours) => {
    if (flat(ours) === flat(name)) return true;
    return ours.length > 5 && distance(ours, name.toUpperCase()) <= (ours.length > 9 ? 2 : 1);
  });
}

/** How many letters were changed, added, left out or swapped with their neighbour (stops counting above 2). */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(
        Math.min(
          (last[j] ?? 0) + 1,
          (row[j - 1] ?? 0) + 1,
          (last[j - 1] ?? 0) + (same ? 0 : 1),
          swapped ? (beforeLast[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
