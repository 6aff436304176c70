/** What one client may ask of us, and how slowly: rates, connections, times. Probes, cancels and the kill switch are never limited. */
import type { Server as HttpServer } from 'node:http';
import { isIP } from 'node:net';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { HttpLimits } from './options.ts';
import { ProblemError, problem } from './problems.ts';

export const usualHttpLimits: HttpLimits = {
  windowMs: 10_000,
  // more than one event loop answers: only a runaway program meets it
  localRequests: 200_000,
  requests: 2_000,
  failedTokens: 20,
  headersMs: 10_000,
  requestMs: 15_000,
  idleMs: 72_000,
  maxConnections: 4_000,
  maxHeaders: 100,
  maxUrlBytes: 8_192,
};

export interface Limiter {
  /** Counts a request that no route counts. @throws ProblemError 429 */
  count(request: FastifyRequest): Promise<void>;
  /** Counts a wrong or missing token: seconds to wait when this client has sent too many, else null. */
  countFailure(request: FastifyRequest): Promise<number | null>;
}

/** Call before routes are added: it watches all but those with `config.rateLimit: false`. */
export function addRateLimits(server: FastifyInstance, limits: HttpLimits): Limiter {
  const { windowMs, localRequests, requests, failedTokens } = limits;
  const max = (request: FastifyRequest) => (isLocal(request.ip) ? localRequests : requests);
  let check: ReturnType<FastifyInstance['createRateLimit']> | undefined;
  let checkFailure: typeof check;
  server.register(rateLimit, {
    max,
    timeWindow: windowMs,
    errorResponseBuilder: (_request, { ttl }) => tooMany(Math.ceil(ttl / 1000)),
    addHeaders: {
      'x-ratelimit-limit': false,
      'x-ratelimit-remaining': false,
      'x-ratelimit-reset': false,
      'retry-after': false,
    },
    addHeadersOnExceeding: {
      'x-ratelimit-limit': false,
      'x-ratelimit-remaining': false,
      'x-ratelimit-reset': false,
    },
  });
  server.after(() => {
    check = server.createRateLimit();
    checkFailure = server.createRateLimit({ max: failedTokens, timeWindow: windowMs * 6 });
  });
  const waitOf = async (counter: typeof check, request: FastifyRequest): Promise<number | null> => {
    const counted = await counter?.(request);
    return counted && !counted.isAllowed && counted.isExceeded ? counted.ttlInSeconds : null;
  };
  return {
    async count(request) {
      const wait = await waitOf(check, request);
      if (wait !== null) throw tooMany(wait);
    },
    countFailure: (request) => waitOf(checkFailure, request),
  };
}

/** 429 with Retry-After. */
export function tooMany(waitSeconds: number): ProblemError {
  const seconds = Math.max(1, waitSeconds);
  return new ProblemError(problem('too-many-requests', `wait for ${seconds} s`), {
    'Retry-After': String(seconds),
  });
}

/** Keeps room for one more: when connections run out, those that are kept alive for nothing go first. */
export function boundConnections(server: HttpServer, { maxConnections }: HttpLimits): void {
  // one that is dropped costs nothing; the socket of a stream counts as well
  server.maxConnections = maxConnections;
  server.maxHeadersCount = 0;
  const room = Math.ceil(maxConnections / 10);
  let open = 0;
  server.on('connection', (socket) => {
    open += 1;
    socket.once('close', () => {
      open -= 1;
    });
    if (open > maxConnections - room) server.closeIdleConnections();
  });
}

/** The address of a peer, not a name that it gives itself. */
function isLocal(address: string): boolean {
  return isIP(address) !== 0 && /^(::1|(::ffff:)?127(\.\d{1,3}){3})$/.test(address);
}
