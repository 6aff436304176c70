/**
 * Shows the running actors to inspectors: a WebSocket server of its own that speaks what the receiver of
 * @statelyai/inspect reads, and a page for browsers. It is bound to loopback and nothing can bind it elsewhere. Looking on
 * never slows what is looked at: an event costs one entry of a bounded queue within the turn of an order; copies are
 * made later, in slices.
 */
import type { AddressInfo } from 'node:net';
import websocket from '@fastify/websocket';
import type { StatelyInspectionEvent } from '@statelyai/inspect';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import type { InspectionEvent } from 'xstate';
import { isLoopback } from './config.ts';
import { type ProblemCode, ProblemError, problem } from './http/problems.ts';
import { Access, bearerOf } from './http/security.ts';
import { inspectorPage, inspectorPagePolicy } from './inspector-page.ts';
import { createPseudonyms } from './pseudonyms.ts';

export interface InspectorOptions {
  /** on loopback; 0: any free port */
  readonly port: number;
  /** when one is set, a receiver needs one: `ws://127.0.0.1:<port>/?token=...` */
  readonly tradeToken: string;
  readonly readToken: string;
  /** browser origins besides the inspector's own */
  readonly allowedOrigins: readonly string[];
  /** texts that are never sent */
  readonly secrets: readonly string[];
  /** ms since the epoch */
  readonly now: () => number;
  readonly log: Logger;
  readonly limits?: Partial<InspectorLimits>;
}

export interface InspectorLimits {
  /** events that wait to be sent; the oldest go first */
  readonly queue: number;
  /** how long copies are made at a stretch, ms */
  readonly sliceMs: number;
  /** between two stretches, ms */
  readonly restMs: number;
  readonly receivers: number;
  /** a receiver that has more than this unsent gets no events, and the newest snapshots once it has read */
  readonly unsentBytes: number;
  /** a receiver that takes nothing for so long is hung up on */
  readonly stallMs: number;
}

export interface Inspector {
  /** For `createActor(root, { inspect })`. */
  readonly inspect: (event: InspectionEvent) => void;
  /** Where it listens. Rejects when the port is taken. */
  listen(): Promise<string>;
  close(): Promise<void>;
  figures(): {
    readonly receivers: number;
    /** known to run */
    readonly actors: number;
    readonly queued: number;
    readonly dropped: number;
  };
}

/** The only address it is ever bound to. */
const loopback = '127.0.0.1';
const goodbyeMs = 500;
/** The version of the messages. */
const messageVersion = '0.7.2';
/** The name under which the inspector tells of itself. */
const ownId = 'inspector';
const usualLimits: InspectorLimits = {
  queue: 2_000,
  sliceMs: 1,
  restMs: 4,
  receivers: 4,
  unsentBytes: 4 * 1024 * 1024,
  stallMs: 30_000,
};
/** A machine is drawn whole. */
const definitionLimits = { depth: 30, entries: 1_000, nodes: 50_000 };
/** Actors that ended without a word are looked for when the registry has grown by so many. */
const sweepEvery = 1_000;

/** The parts of an actor that XState gives to inspectors without saying so in the type. */
interface InspectedActor {
  readonly id: string;
  readonly sessionId: string;
  readonly _parent?: InspectedActor;
  readonly logic?: { readonly config?: { readonly id?: unknown } };
  getSnapshot(): unknown;
}

interface Entry {
  readonly event: Extract<InspectionEvent, { type: '@xstate.actor' | '@xstate.event' | '@xstate.snapshot' }>;
  readonly at: number;
}

interface Receiver {
  readonly socket: WebSocket;
  readonly told: WeakSet<InspectedActor>;
  /** actors whose newest snapshot it lacks */
  readonly owed: Set<InspectedActor>;
  /** ms; null: it reads */
  stalledSince: number | null;
  toldDropped: number;
}

export function createInspector(options: InspectorOptions): Inspector {
  const { now, log } = options;
  const limits = { ...usualLimits, ...options.limits };
  const pseudonyms = createPseudonyms({ secrets: options.secrets });
  const actors = new Map<string, InspectedActor>();
  const receivers = new Set<Receiver>();
  const definitions = new WeakMap<object, string>();
  const queue = createRing<Entry>(limits.queue);
  let sweepAt = sweepEvery;
  let rootId = '';
  let dropped = 0;
  let isPlanned = false;
  let timer: NodeJS.Timeout | undefined;

  function inspect(event: InspectionEvent): void {
    if (event.type === '@xstate.actor') remember(event.actorRef as unknown as InspectedActor, event.rootId);
    else if (event.type === '@xstate.snapshot') {
      const { status } = event.snapshot;
      if (status === 'done' || status === 'stopped') actors.delete(event.actorRef.sessionId);
    } else if (event.type !== '@xstate.event') return;
    if (receivers.size === 0) return;
    const lost = queue.push({ event, at: now() });
    if (lost) {
      dropped += 1;
      const actor = lost.event.actorRef as unknown as InspectedActor;
      for (const { owed } of receivers) owed.add(actor);
    }
    plan();
  }

  function remember(actor: InspectedActor, root: string): void {
    rootId = root;
    actors.set(actor.sessionId, actor);
    if (actors.size < sweepAt) return;
    sweepAt = Number.POSITIVE_INFINITY;
    // Not now: an actor cannot be asked while it begins.
    setImmediate(sweep);
  }

  function sweep(): void {
    for (const [id, actor] of actors) if (!isActive(actor)) actors.delete(id);
    sweepAt = actors.size + sweepEvery;
  }

  /** The first stretch begins when the turn that caused it is over. */
  function plan(): void {
    if (isPlanned) return;
    isPlanned = true;
    setImmediate(work);
  }

  function work(): void {
    timer = undefined;
    const end = performance.now() + limits.sliceMs;
    let more = true;
    try {
      do more = sendNext();
      while (more && performance.now() < end);
    } catch (error) {
      log.error({ err: error }, 'the inspector could not show an event');
    }
    isPlanned = more || queue.size() > 0 || [...receivers].some(isOwing);
    if (isPlanned) timer = setTimeout(work, limits.restMs);
  }

  const isOwing = ({ owed, toldDropped }: Receiver): boolean => owed.size > 0 || toldDropped < dropped;

  /** One event to all receivers, or one debt to each of them; false: there is nothing that could be sent now. */
  function sendNext(): boolean {
    for (const receiver of receivers) watch(receiver);
    const entry = queue.shift();
    if (entry) {
      sendEvent(entry);
      return true;
    }
    let sent = false;
    for (const receiver of receivers) {
      if (receiver.stalledSince !== null) continue;
      const [actor] = receiver.owed;
      if (actor) {
        receiver.owed.delete(actor);
        introduce(receiver, actor);
        post(receiver, snapshotText(actor));
        sent = true;
      } else if (receiver.toldDropped < dropped) {
        tellDropped(receiver);
        sent = true;
      }
    }
    return sent;
  }

  function watch(receiver: Receiver): void {
    if (receiver.socket.bufferedAmount <= limits.unsentBytes) receiver.stalledSince = null;
    else {
      receiver.stalledSince ??= now();
      if (now() - receiver.stalledSince > limits.stallMs) receiver.socket.terminate();
    }
  }

  function sendEvent({ event, at }: Entry): void {
    const actor = event.actorRef as unknown as InspectedActor;
    let text: string | undefined;
    for (const receiver of receivers) {
      if (receiver.stalledSince !== null) {
        receiver.owed.add(actor);
        if (event.type !== '@xstate.actor') dropped += 1;
        continue;
      }
      introduce(receiver, actor);
      if (event.type === '@xstate.actor') continue;
      if (event.type === '@xstate.snapshot') receiver.owed.delete(actor);
      text ??= JSON.stringify(messageOf(event, at));
      post(receiver, text);
    }
  }

  /** Without its state: that of now may be newer than what waits in the queue. */
  function introduce(receiver: Receiver, actor: InspectedActor): void {
    if (receiver.told.has(actor)) return;
    if (actor._parent) introduce(receiver, actor._parent);
    receiver.told.add(actor);
    const { config } = actor.logic ?? {};
    const name = actor.id === actor.sessionId && typeof config?.id === 'string' ? config.id : actor.id;
    post(
      receiver,
      JSON.stringify({
        ...baseOf(now()),
        type: '@xstate.actor',
        name: pseudonyms.text(name),
        sessionId: actor.sessionId,
        parentId: actor._parent?.sessionId,
        definition: config ? definitionOf(config) : JSON.stringify({ id: pseudonyms.text(name) }),
        snapshot: { status: 'active' },
      } satisfies Outgoing<'@xstate.actor'>),
    );
  }

  function snapshotText(actor: InspectedActor): string {
    return JSON.stringify({
      ...baseOf(now()),
      type: '@xstate.snapshot',
      sessionId: actor.sessionId,
      event: { type: 'inspector.caughtUp' },
      snapshot: snapshotOf(actor.getSnapshot()),
    });
  }

  function messageOf(event: Entry['event'], at: number): object {
    const base = { ...baseOf(at), sessionId: event.actorRef.sessionId };
    return event.type === '@xstate.event'
      ? {
          ...base,
          type: event.type,
          sourceId: event.sourceRef?.sessionId,
          event: pseudonyms.copy(event.event),
        }
      : event.type === '@xstate.snapshot'
        ? {
            ...base,
            type: event.type,
            event: pseudonyms.copy(event.event),
            snapshot: snapshotOf(event.snapshot),
          }
        : base;
  }

  /** What was left out is told as the snapshot of an actor of our own. */
  function tellDropped(receiver: Receiver): void {
    const isFirst = receiver.toldDropped < 0;
    const base = { ...baseOf(now()), sessionId: ownId };
    const snapshot = { status: 'active', context: { dropped } } as const;
    receiver.toldDropped = dropped;
    post(
      receiver,
      JSON.stringify(
        isFirst
          ? {
              ...base,
              type: '@xstate.actor',
              name: ownId,
              definition: JSON.stringify({ id: ownId }),
              snapshot,
            }
          : { ...base, type: '@xstate.snapshot', event: { type: 'inspector.dropped' }, snapshot },
      ),
    );
  }

  const baseOf = (at: number) => ({
    _version: messageVersion,
    createdAt: String(at),
    id: null,
    rootId,
  });

  /** Of a machine's snapshot what can be read: no nodes, no methods. */
  function snapshotOf(snapshot: unknown): unknown {
    if (typeof snapshot !== 'object' || snapshot === null) return { status: 'active' };
    const { status, value, context, output, error, tags, children } = snapshot as Record<string, unknown>;
    return pseudonyms.copy({ status, value, tags, output, error, children, context });
  }

  /** Machines are few and do not change: each is written once. */
  function definitionOf(config: object): string {
    let text = definitions.get(config);
    if (text === undefined) {
      text = JSON.stringify(pseudonyms.copy(config, definitionLimits));
      definitions.set(config, text);
    }
    return text;
  }

  function post({ socket }: Receiver, text: string): void {
    if (socket.readyState === socket.OPEN) socket.send(text);
  }

  function accept(socket: WebSocket): void {
    if (receivers.size >= limits.receivers) {
      socket.close(1013, `at most ${limits.receivers} receivers`);
      return;
    }
    const receiver: Receiver = {
      socket,
      told: new WeakSet(),
      owed: new Set(actors.values()),
      stalledSince: null,
      toldDropped: -1,
    };
    receivers.add(receiver);
    socket.on('error', () => socket.terminate());
    socket.on('close', () => {
      receivers.delete(receiver);
      if (receivers.size === 0) queue.clear();
    });
    plan();
  }

  let server: FastifyInstance | undefined;
  return {
    inspect,
    figures: () => ({ receivers: receivers.size, actors: actors.size, queued: queue.size(), dropped }),
    async listen() {
      server = await createFace(options, accept);
      await server.listen({ host: loopback, port: options.port });
      return `ws://${loopback}:${(server.server.address() as AddressInfo).port}`;
    },
    async close() {
      clearTimeout(timer);
      for (const { socket } of receivers) socket.close(1001, 'the runtime stops');
      const patience = setTimeout(() => {
        for (const { socket } of receivers) socket.terminate();
      }, goodbyeMs);
      await server?.close();
      clearTimeout(patience);
    },
  };
}

function isActive(actor: InspectedActor): boolean {
  try {
    return (actor.getSnapshot() as { readonly status?: unknown } | undefined)?.status === 'active';
  } catch {
    // It failed while it began, and has no snapshot.
    return false;
  }
}

type Outgoing<Type extends StatelyInspectionEvent['type']> = Omit<
  Extract<StatelyInspectionEvent, { type: Type }>,
  'id'
> & { readonly id: null };

async function createFace(
  options: InspectorOptions,
  accept: (socket: WebSocket) => void,
): Promise<FastifyInstance> {
  const server = fastify({ logger: false });
  const access = new Access(options);
  server.setErrorHandler((error, _request, reply) => {
    const body =
      error instanceof ProblemError ? error.problem : problem('internal-error', 'the inspector failed');
    return reply.code(body.status).type('application/problem+json; charset=utf-8').send(body);
  });
  // A refused upgrade leaves a socket that HTTP has let go of.
  server.addHook('onResponse', (request, _reply, done) => {
    if (request.headers.upgrade !== undefined) request.raw.socket.destroySoon();
    done();
  });
  await server.register(websocket, { options: { maxPayload: 64 * 1024, perMessageDeflate: false } });
  server.route<{ Querystring: { token?: unknown } }>({
    method: 'GET',
    url: '/',
    onRequest: (request, _reply, done) => done(refusalFor(request, options, access)),
    handler: (request, reply) => {
      if (request.headers.accept?.includes('text/html')) {
        reply.type('text/html; charset=utf-8').header('Content-Security-Policy', inspectorPagePolicy);
        // The address may hold a token.
        reply.header('Referrer-Policy', 'no-referrer').header('Cache-Control', 'no-store');
        return reply.send(inspectorPage);
      }
      const detail = 'open it as a WebSocket, with createWebSocketReceiver of @statelyai/inspect';
      throw new ProblemError(problem('upgrade-required', detail), { Upgrade: 'websocket' });
    },
    wsHandler: (socket) => accept(socket),
  });
  return server;
}

/** A page of another name that resolves to us (DNS rebinding), a page of another origin, a caller without a token. */
function refusalFor(
  request: FastifyRequest<{ Querystring: { token?: unknown } }>,
  { allowedOrigins }: Pick<InspectorOptions, 'allowedOrigins'>,
  access: Access,
): ProblemError | undefined {
  const { host = '', origin } = request.headers;
  const refuse = (code: ProblemCode, detail: string) => new ProblemError(problem(code, detail));
  if (!isLoopback(host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1')))
    return refuse('host-not-allowed', `call it by ${loopback} or localhost`);
  const isOwn = origin !== undefined && URL.parse(origin)?.host === host.toLowerCase();
  const isAllowed = allowedOrigins.some((allowed) => allowed.toLowerCase() === origin?.toLowerCase());
  if (origin !== undefined && !isOwn && !isAllowed)
    return refuse('origin-not-allowed', `add "${origin.slice(0, 100)}" to ALLOWED_ORIGINS`);
  const { token } = request.query;
  const given = bearerOf(request) ?? (typeof token === 'string' ? token : null);
  if (access.scopesOf(given).includes('read')) return undefined;
  return refuse('unauthenticated', `connect to ws://${loopback}:<INSPECT_PORT>/?token=<READ_TOKEN>`);
}

/** First in, first out, of fixed size; a push into a full one gives back the oldest. */
function createRing<T>(capacity: number) {
  const slots = new Array<T | undefined>(capacity);
  let head = 0;
  let size = 0;
  const shift = (): T | undefined => {
    if (size === 0) return undefined;
    const item = slots[head];
    slots[head] = undefined;
    head = (head + 1) % capacity;
    size -= 1;
    return item;
  };
  return {
    shift,
    size: () => size,
    push(item: T): T | undefined {
      const lost = size === capacity ? shift() : undefined;
      slots[(head + size) % capacity] = item;
      size += 1;
      return lost;
    },
    clear() {
      slots.fill(undefined);
      head = 0;
      size = 0;
    },
  };
}
