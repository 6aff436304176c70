/** The HTTP and WebSocket face of the runtime. Builds the server; listening is the caller's. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import websocket from '@fastify/websocket';
import fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  LogController,
} from 'fastify';
import Type from 'typebox';
import { addHealth } from './health.ts';
import { parseJson } from './json.ts';
import { addRateLimits, boundConnections, usualHttpLimits } from './limits.ts';
import { addMachines } from './machines.ts';
import { addMarket } from './market.ts';
import { addNotFound } from './not-found.ts';
import type { HttpLimits, HttpOptions } from './options.ts';
import { addOrders } from './orders.ts';
import { type Problem, ProblemError, problem, problemOf } from './problems.ts';
import { addReading } from './reading.ts';
import { compileValidator, type Server } from './routing.ts';
import { Access, addSecurity, safeHeaders } from './security.ts';
import { addStream, Streams } from './stream.ts';
import { addTiming, requestIdOf, timingHeaders } from './timing.ts';
import { addTrading } from './trading.ts';

/** How often connections are looked at for those that take too long. */
const checkEveryMs = 1_000;
/** For the protocol's own close to reach a client that broke it. */
const lastWordMs = 1_000;
const bodyLimitBytes = 64 * 1024;
const jsonType = /^application\/(?:[\w.-]+\+)?json(?:\s*;|$)/i;

/** All routes over these ports. Call `listen`; `close` says goodbye to streams and lets running requests end. */
export function createServer(options: HttpOptions, log?: FastifyBaseLogger): FastifyInstance {
  const limits: HttpLimits = { ...usualHttpLimits, ...options.httpLimits };
  const server = fastify({
    ...(log ? { loggerInstance: log } : { logger: false }),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: requestIdOf,
    bodyLimit: bodyLimitBytes,
    // longer than any answer that is held: waits of 30 s, bars that wait out pacing
    connectionTimeout: 120_000,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
    // a missing Host is answered by us, like everything that is wrong
    http: {
      headersTimeout: limits.headersMs,
      connectionsCheckingInterval: checkEveryMs,
      requireHostHeader: false,
    },
    // requests that were accepted while we close are still answered, with our headers
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 2048 },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, request, reply) => {
      const body = problemOf(error);
      const plain = reply as FastifyReply;
      plain
        .headers({ ...timingHeaders(request.id, 0), ...Object.fromEntries(safeHeaders) })
        .code(body.status)
        .type(problemType)
        .send(body);
    },
  });
  server.setValidatorCompiler(compileValidator);
  // V8's own serialiser: faster than a compiled one on nested views, and it drops no field that a schema has not heard of
  server.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
  addJsonParser(server);
  addErrors(server);
  const limiter = addRateLimits(server, limits);
  addNotFound(server, limiter);
  refuseUnknownQueries(server);
  addTiming(server, options.onHttpTiming);
  addRefusedUpgrades(server);
  addRefusedExpectations(server);
  boundConnections(server.server, limits);
  const access = new Access(options);
  addSecurity(server, { ...options, ...limits }, access, limiter);
  const streams = new Streams(options, access, server.log);
  server.decorate('streams', streams);
  // More than may come at once: our own count, which closes with a code, is the first to say no. Its types lack it.
  const pongs = { maxPendingAutoPongs: 4 * streams.limits.messagesPerSecond };
  server.register(websocket, {
    options: {
      maxPayload: streams.limits.maxMessageBytes,
      perMessageDeflate: false,
      maxFragments: 256,
      maxBufferedChunks: 4096,
      ...pongs,
    },
    // too big, not UTF-8, gone: the protocol has answered already, and no client shall fill the log with it
    errorHandler: (error, socket, request) => {
      request.log.debug({ err: error }, 'stream broken');
      setTimeout(() => socket.terminate(), lastWordMs).unref();
    },
    preClose: (done) => {
      streams.close().then(() => done(), done);
    },
  });
  server.register(async (scope) => {
    if (options.debug) {
      const { addDocs } = await import('./openapi.ts');
      await addDocs(scope, options);
    }
    const routes = scope.withTypeProvider() as unknown as Server;
    addHealth(routes, options);
    addOrders(routes, options);
    addTrading(routes, options);
    addReading(routes, options);
    addMachines(routes);
    addMarket(routes, options);
    addStream(scope, streams, limiter);
    // after the route's own checks: keys and versions that are no WebSocket's
    scope.websocketServer.on('wsClientError', (error, socket) =>
      sendProblem(socket, problem('bad-request', error.message)),
    );
  });
  return server;
}

const problemType = 'application/problem+json; charset=utf-8';

/** JSON only. An empty body is no body, so that `DELETE` with a Content-Type is no error. */
function addJsonParser(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(jsonType, { parseAs: 'string' }, (_request, body, done) => {
    const text = String(body);
    if (text.length === 0) {
      done(null, undefined);
      return;
    }
    const value = parseJson(text);
    if (value !== undefined) done(null, value);
    else done(new ProblemError(problem('malformed-json', 'the body could not be parsed as JSON')), undefined);
  });
}

function addErrors(server: FastifyInstance): void {
  server.setErrorHandler((error: FastifyError | ProblemError, request, reply) => {
    const body = problemOf(error);
    if (body.status === 500) request.log.error({ err: error, route: request.routeOptions.url }, 'failed');
    if (error instanceof ProblemError) reply.headers(error.headers);
    return reply.code(body.status).type(problemType).send(body);
  });
}

/** A refused upgrade leaves a socket that HTTP has let go of: it would stay open for ever. */
function addRefusedUpgrades(server: FastifyInstance): void {
  server.addHook('onResponse', (request, _reply, done) => {
    if (request.headers.upgrade !== undefined) request.raw.socket.destroySoon();
    done();
  });
}

/** An expectation that we do not know would be answered without a word of ours. */
function addRefusedExpectations(server: FastifyInstance): void {
  server.server.on('checkExpectation', (raw: IncomingMessage, answer: ServerResponse) => {
    const body = problem('expectation-failed', 'leave the Expect header out');
    const headers = { ...timingHeaders(requestIdOf(raw), 0), ...Object.fromEntries(safeHeaders) };
    answer.writeHead(body.status, { ...headers, 'Content-Type': problemType, Connection: 'close' });
    answer.end(JSON.stringify(body));
  });
}

/** Bytes that are no HTTP request never reach a route; they get the same kind of answer. */
function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  sendProblem(socket, problemOfConnection(error.code));
}

/** The last words to a socket that no request owns. */
function sendProblem(socket: Duplex, body: Problem): void {
  const text = JSON.stringify(body);
  const headers = {
    'Content-Type': problemType,
    'Content-Length': String(Buffer.byteLength(text)),
    Connection: 'close',
    ...timingHeaders(crypto.randomUUID(), 0),
    ...Object.fromEntries(safeHeaders),
  };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  socket.end(`HTTP/1.1 ${body.status} ${body.title}\r\n${head.join('\r\n')}\r\n\r\n${text}`);
}

function problemOfConnection(code: string | undefined): Problem {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return problem('request-timeout', 'the request did not arrive in time');
  }
  if (code === 'HPE_HEADER_OVERFLOW') return problem('headers-too-large', 'send at most 16 KiB of headers');
  return problem('bad-request', 'this is not an HTTP/1.1 request');
}

/** A route that takes no query says so to whoever sends one: what is not understood is not ignored. */
function refuseUnknownQueries(server: FastifyInstance): void {
  const nothing = Type.Object({}, { additionalProperties: false });
  server.addHook('onRoute', (route) => {
    if (route.url.startsWith('/v1/')) route.schema = { querystring: nothing, ...route.schema };
  });
}
