/** What every answer carries: who asked (X-Request-ID) and how long it took (X-Process-Time-ms, Server-Timing). */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** `performance.now()` when the head was read */
    startedAt: number;
  }
  interface FastifyReply {
    /** further entries of Server-Timing: `review;dur=0.012` */
    serverTiming: string;
  }
  interface FastifyContextConfig {
    /** a probe: never logged, never counted */
    probe?: boolean;
  }
}

const saneId = /^[\w.:@/+=-]{1,128}$/;

/** The id that the client gave, when it can stand in a log, else a new one. */
export function requestIdOf(raw: IncomingMessage): string {
  const given = raw.headers['x-request-id'];
  return typeof given === 'string' && saneId.test(given) ? given : randomUUID();
}

/** The three headers for answers that never pass through Fastify. */
export function timingHeaders(id: string, ms: number): Readonly<Record<string, string>> {
  const text = ms.toFixed(3);
  return { 'X-Request-ID': id, 'X-Process-Time-ms': text, 'Server-Timing': `app;dur=${text}` };
}

/** Adds the headers to all answers, reports the time of each, and logs those that are not probes. */
export function addTiming(server: FastifyInstance, onTiming: (route: string, ms: number) => void): void {
  server.decorateRequest('startedAt', 0);
  server.decorateReply('serverTiming', '');

  server.addHook('onRequest', (request, _reply, done) => {
    request.startedAt = performance.now();
    done();
  });

  server.addHook('onSend', (request, reply, _payload, done) => {
    const ms = (performance.now() - request.startedAt).toFixed(3);
    const raw = reply.raw;
    raw.setHeader('X-Request-ID', request.id);
    raw.setHeader('X-Process-Time-ms', ms);
    raw.setHeader(
      'Server-Timing',
      reply.serverTiming ? `app;dur=${ms}, ${reply.serverTiming}` : `app;dur=${ms}`,
    );
    done();
  });

  server.addHook('onResponse', (request, reply, done) => {
    if (!request.routeOptions.config?.probe) report(request, reply, onTiming);
    done();
  });
}

function report(
  request: FastifyRequest,
  reply: FastifyReply,
  onTiming: (route: string, ms: number) => void,
): void {
  const ms = performance.now() - request.startedAt;
  const route = request.routeOptions.url ?? 'unknown';
  onTiming(`${request.method} ${route}`, ms);
  const level = reply.statusCode >= 500 ? 'warn' : request.method === 'GET' ? 'debug' : 'info';
  request.log[level](
    { method: request.method, route, status: reply.statusCode, ms: Math.round(ms * 1000) / 1000 },
    'answered',
  );
}
