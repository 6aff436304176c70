/** The log: JSON lines on standard output, without secrets and with account ids shortened. */
import pino, { type DestinationStream, type Logger } from 'pino';
import pretty from 'pino-pretty';
import type { Config } from './config.ts';
import { createLogOutput } from './log-output.ts';

/** How deep a logged object is searched for what must not be shown; deeper levels are cut off. */
const MAX_DEPTH = 6;
const HIDDEN = '[hidden]';
const SECRET_KEYS = new Set([
  'authorization',
  'proxyauthorization',
  'cookie',
  'setcookie',
  'password',
  'token',
  'tradetoken',
  'readtoken',
]);
const ACCOUNT_KEYS = new Set(['account', 'accounts', 'accountid', 'accountids']);

/**
 * A pino logger at the configured level.
 * Prettified for people only when standard output is a terminal and `NODE_ENV` does not say production.
 * `destination` replaces standard output and always receives JSON.
 */
export function createLogger(
  config: Pick<Config, 'logLevel' | 'production'>,
  destination?: DestinationStream,
): Logger {
  return pino(
    {
      level: config.logLevel,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => discreet(fields, MAX_DEPTH) as Record<string, unknown>,
      },
      // pino gives the fields of child loggers to serializers only.
      serializers: Object.fromEntries(
        ['account', 'accounts', 'order', 'token', 'authorization'].map((key) => [
          key,
          (value: unknown) => discreetField(key, value, MAX_DEPTH),
        ]),
      ),
      // Objects with a serializer of their own (requests, errors) are expanded after the formatter has run.
      redact: {
        paths: ['req.headers.authorization', 'req.headers.cookie', 'res.headers["set-cookie"]'],
        censor: HIDDEN,
      },
    },
    destination ?? standardOutput(config),
  );
}

/** `DU1234567` -> `DU…567`: enough to tell accounts apart, too little to name one. */
export function shortenAccount(account: string): string {
  const [, letters = '', digits = ''] = /^([A-Za-z]*)(.*)$/.exec(account) ?? [];
  return digits.length <= 3 ? `${letters.slice(0, 2)}…` : `${letters.slice(0, 2)}…${digits.slice(-3)}`;
}

function standardOutput(config: Pick<Config, 'production'>): DestinationStream {
  if (process.stdout.isTTY && !config.production) {
    return pretty({ translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname', singleLine: true });
  }
  return createLogOutput(1);
}

/** The same value when nothing in it needs hiding, otherwise a copy. */
function discreet(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const isList = Array.isArray(value);
  if (!isList && !isPlain(value)) return value;
  if (depth === 0) return isList ? '[array]' : '[object]';
  let copy: Record<string, unknown> | unknown[] | undefined;
  for (const [key, before] of Object.entries(value)) {
    const after = discreetField(isList ? '' : key, before, depth);
    if (after === before) continue;
    copy ??= isList ? [...value] : { ...value };
    (copy as Record<string, unknown>)[key] = after;
  }
  return copy ?? value;
}

function discreetField(key: string, value: unknown, depth: number): unknown {
  const word = key.toLowerCase().replaceAll(/[-_]/g, '');
  if (SECRET_KEYS.has(word)) return HIDDEN;
  if (ACCOUNT_KEYS.has(word)) {
    if (typeof value === 'string') return shortenAccount(value);
    if (Array.isArray(value)) {
      return value.map((item) =>
        typeof item === 'string' ? shortenAccount(item) : discreet(item, depth - 1),
      );
    }
  }
  return discreet(value, depth - 1);
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
