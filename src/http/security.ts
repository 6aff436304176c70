/** Who may call: host names, browser origins, bearer tokens and what they allow. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ProblemError, problem } from './problems.ts';

export type Scope = 'read' | 'trade';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** what a caller needs; absent: nothing */
    scope?: Scope;
  }
}

export interface AccessOptions {
  readonly host: string;
  readonly tradeToken: string;
  readonly readToken: string;
  readonly allowedOrigins: readonly string[];
}

/** Knows the tokens. Without any, everybody may do everything (the configuration allows that on loopback only). */
export class Access {
  readonly required: boolean;
  readonly #trade: Buffer | null;
  readonly #read: Buffer | null;

  constructor(options: Pick<AccessOptions, 'tradeToken' | 'readToken'>) {
    this.#trade = options.tradeToken ? digest(options.tradeToken) : null;
    this.#read = options.readToken ? digest(options.readToken) : null;
    this.required = this.#trade !== null || this.#read !== null;
  }

  /** The scopes of this token; none when it is unknown. Takes the same time for every wrong one. */
  scopesOf(token: string | null): readonly Scope[] {
    if (!this.required) return ['read', 'trade'];
    if (token === null) return [];
    const given = digest(token);
    const trade = this.#trade !== null && timingSafeEqual(given, this.#trade);
    const read = this.#read !== null && timingSafeEqual(given, this.#read);
    if (trade) return ['read', 'trade'];
    return read ? ['read'] : [];
  }
}

/** Equal lengths, so that the comparison says nothing about the token's. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** The token of `Authorization: Bearer ...`, or null. */
export function bearerOf(request: FastifyRequest): string | null {
  const match = /^Bearer +(\S{1,512})$/i.exec(request.headers.authorization ?? '');
  return match?.[1] ?? null;
}

/** Refuses foreign hosts and origins, then callers without the scope of their route. */
export function addSecurity(server: FastifyInstance, options: AccessOptions, access: Access): void {
  const hosts = hostRule(options);
  const origins = new Set(options.allowedOrigins.map((origin) => origin.toLowerCase()));

  server.addHook('onRequest', (request, reply, done) => {
    const { host = '', origin } = request.headers;
    if (!hosts(hostNameOf(host))) {
      const detail = `"${host.slice(0, 100)}" is not a name of this server: call it by HOST`;
      done(new ProblemError(problem('host-not-allowed', detail)));
      return;
    }
    if (origin !== undefined && !isOwn(origin, host)) {
      if (!origins.has(origin.toLowerCase())) {
        const detail = `add "${origin.slice(0, 100)}" to ALLOWED_ORIGINS`;
        done(new ProblemError(problem('origin-not-allowed', detail)));
        return;
      }
      allowOrigin(reply, origin);
      if (isPreflight(request)) {
        answerPreflight(reply);
        return;
      }
    }
    const refusal = refusalFor(request.routeOptions.config?.scope, request, access);
    if (refusal) done(refusal);
    else done();
  });
}

function refusalFor(
  scope: Scope | undefined,
  request: FastifyRequest,
  access: Access,
): ProblemError | undefined {
  if (scope === undefined || !access.required) return undefined;
  const scopes = access.scopesOf(bearerOf(request));
  if (scopes.includes(scope)) return undefined;
  const realm = 'Bearer realm="tws-runtime"';
  return scopes.length === 0
    ? new ProblemError(problem('unauthenticated', 'send Authorization: Bearer <token>'), {
        'WWW-Authenticate': realm,
      })
    : new ProblemError(problem('insufficient-scope', `this needs a token of scope ${scope}`), {
        'WWW-Authenticate': `${realm}, error="insufficient_scope", scope="${scope}"`,
      });
}

/**
 * Which Host headers are ours: a page of another name that resolves to us (DNS rebinding) is turned away. Bound to every
 * address there is no telling the names; there, tokens are mandatory and a page has none.
 */
function hostRule({ host, allowedOrigins }: AccessOptions): (name: string) => boolean {
  if (host === '0.0.0.0' || host === '::') return () => true;
  const names = new Set([hostNameOf(host.includes(':') ? `[${host}]` : host)]);
  for (const origin of allowedOrigins) {
    if (URL.canParse(origin)) names.add(new URL(origin).hostname.toLowerCase());
  }
  return (name) => names.has(name) || isLoopback(name);
}

function isLoopback(name: string): boolean {
  return (
    name === 'localhost' ||
    name === '[::1]' ||
    name.endsWith('.localhost') ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name)
  );
}

/** `[::1]:8000` -> `[::1]`, `localhost:8000` -> `localhost` */
function hostNameOf(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, '');
}

function isOwn(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

function allowOrigin(reply: FastifyReply, origin: string): void {
  reply.header('Access-Control-Allow-Origin', origin);
  reply.header('Vary', 'Origin');
  reply.header(
    'Access-Control-Expose-Headers',
    'ETag, Location, Retry-After, Server-Timing, X-Process-Time-ms, X-Request-ID',
  );
}

function isPreflight(request: FastifyRequest): boolean {
  return request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined;
}

function answerPreflight(reply: FastifyReply): void {
  reply.header('Access-Control-Allow-Methods', 'GET, HEAD, POST, PUT, PATCH, DELETE');
  reply.header('Access-Control-Allow-Headers', 'Authorization, Content-Type, If-Match, X-Request-ID');
  reply.header('Access-Control-Max-Age', '600');
  reply.code(204).send();
}
