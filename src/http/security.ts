/** Who may call: host names, browser origins, bearer tokens and what they allow. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Limiter, tooMany } from './limits.ts';
import type { HttpLimits } from './options.ts';
import { type Problem, ProblemError, problem } from './problems.ts';

export type Scope = 'read' | 'trade';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** what a caller needs; absent: nothing */
    scope?: Scope;
    /** an upgrade by a page of a foreign origin is let through: the route closes it without a word */
    closesForeignPages?: boolean;
  }
  interface FastifyRequest {
    /** of a page that may not call */
    isForeign: boolean;
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

/**
 * Refuses what no honest client sends, foreign hosts and pages, then callers without the scope of their route. Adds to every
 * answer what keeps browsers from guessing, framing and telling.
 */
export function addSecurity(
  server: FastifyInstance,
  options: AccessOptions & Pick<HttpLimits, 'maxHeaders' | 'maxUrlBytes'>,
  access: Access,
  limiter: Limiter,
): void {
  const hosts = hostRule(options);
  const origins = new Set(options.allowedOrigins.map((origin) => origin.toLowerCase()));

  server.decorateRequest('isForeign', false);
  server.addHook('onRequest', (request, reply, done) => {
    const { host = '', origin } = request.headers;
    const malformed = malformedHead(request, options);
    if (malformed) {
      done(new ProblemError(malformed));
      return;
    }
    if (!hosts(hostNameOf(host))) {
      const detail = `"${host.slice(0, 100)}" is not a name of this server: call it by HOST`;
      done(new ProblemError(problem('host-not-allowed', detail)));
      return;
    }
    if (origin === undefined || isOwn(origin, host)) {
      if (isOfForeignPage(request)) {
        done(new ProblemError(problem('origin-not-allowed', 'a page of another origin may not call')));
        return;
      }
    } else {
      if (!origins.has(origin.toLowerCase())) {
        const { closesForeignPages = false } = request.routeOptions.config ?? {};
        request.isForeign = true;
        if (closesForeignPages && request.headers.upgrade !== undefined) {
          done();
          return;
        }
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
    const { scope } = request.routeOptions.config ?? {};
    if (scope) reply.raw.setHeader('Cache-Control', 'no-store');
    const refusal = refusalFor(scope, request, access);
    if (!refusal) done();
    else refuseFailure(refusal, request, limiter).then(done, done);
  });

  server.addHook('onSend', (_request, reply, _payload, done) => {
    // what a page sets for itself is written over these
    for (const [name, value] of safeHeaders) reply.raw.setHeader(name, value);
    const policy = reply.getHeader('content-security-policy');
    if (typeof policy === 'string' && !policy.includes('frame-ancestors')) {
      reply.header('Content-Security-Policy', `${policy}; frame-ancestors 'none'`);
    }
    done();
  });
}

/** What every answer says to browsers. */
export const safeHeaders: readonly (readonly [name: string, value: string])[] = [
  ['X-Content-Type-Options', 'nosniff'],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
  [
    'Content-Security-Policy',
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ],
];

/** Headers of which two would let two readers disagree. */
const singleHeaders: ReadonlySet<string> = new Set([
  'host',
  'origin',
  'authorization',
  'content-type',
  'content-length',
  'transfer-encoding',
]);

function malformedHead(
  { raw, headers }: FastifyRequest,
  { maxHeaders, maxUrlBytes }: Pick<HttpLimits, 'maxHeaders' | 'maxUrlBytes'>,
): Problem | null {
  const { rawHeaders, url = '' } = raw;
  if (url.length > maxUrlBytes) return problem('uri-too-long', `send at most ${maxUrlBytes} bytes of it`);
  if (rawHeaders.length > maxHeaders * 2)
    return problem('headers-too-large', `send at most ${maxHeaders} headers`);
  if (headers.host === undefined) return problem('bad-request', 'a Host header is needed');
  // fewer names than lines: some header came twice
  if (Object.keys(headers).length * 2 === rawHeaders.length) return null;
  const seen = new Set<string>();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? '';
    if (seen.has(name) && singleHeaders.has(name))
      return problem('bad-request', `there are two ${name} headers`);
    seen.add(name);
  }
  return null;
}

/**
 * Browsers say where a request comes from also when they send no Origin: for images, scripts and links. A link may lead to
 * a page of ours; nothing that needs a scope is a page.
 */
function isOfForeignPage({ headers, method, routeOptions }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return false;
  const isLink = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  return !(isLink && method === 'GET' && routeOptions.config?.scope === undefined);
}

/** Wrong tokens are counted. A right one is never locked out by them: a robot behind the same address must be able to cancel. */
async function refuseFailure(
  refusal: ProblemError,
  request: FastifyRequest,
  limiter: Limiter,
): Promise<never> {
  const wait = refusal.problem.status === 401 ? await limiter.countFailure(request) : null;
  throw wait === null ? refusal : tooMany(wait);
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
  const own = canonicalName(host);
  if (everyAddress.has(own)) return () => true;
  const names = new Set([own]);
  for (const origin of allowedOrigins) {
    if (URL.canParse(origin)) names.add(new URL(origin).hostname.toLowerCase());
  }
  return (name) => names.has(name) || isLoopback(name);
}

/** The ways to say "all addresses of this machine". */
const everyAddress: ReadonlySet<string> = new Set(['0.0.0.0', '[::]', '[::ffff:0:0]']);

/** As it stands in URLs: IPv6 in brackets and shortened. */
function canonicalName(host: string): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return URL.parse(`http://${name}`)?.hostname ?? name.toLowerCase();
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
