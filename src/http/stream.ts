/** `GET /v1/stream`: accepts clients, reads their messages, keeps their heartbeat, says goodbye. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { RawData, WebSocket } from 'ws';
import type { StreamedBarSize } from '../../machines/feed.ts';
import { inTurns } from './fan-out.ts';
import { parseJson } from './json.ts';
import { type Limiter, tooMany } from './limits.ts';
import type { HttpOptions, StreamLimits } from './options.ts';
import { invalid, ProblemError, problem } from './problems.ts';
import { type Access, bearerOf, type Scope } from './security.ts';
import { closeCodes, StreamClient, type Subscription } from './stream-client.ts';
import { runCommand } from './stream-commands.ts';
import { type JournalChannelName, JournalChannels, journalChannels } from './stream-journal.ts';
import { LineStream } from './stream-lines.ts';
import { QuoteChannel } from './stream-quotes.ts';
import { RowChannel } from './stream-rows.ts';
import { type CommandMessage, messageChecks, type SubscribeMessage } from './stream-schema.ts';
import { timingHeaders } from './timing.ts';

const usualLimits: StreamLimits = {
  heartbeatMs: 5000,
  authMs: 10_000,
  maxClients: 2000,
  maxUnauthenticated: 200,
  maxMessageBytes: 64 * 1024,
  messagesPerSecond: 100,
  maxSubscriptions: 64,
  maxKeys: 500,
  maxCommandsInFlight: 64,
  skipAboveBytes: 512 * 1024,
  closeAboveBytes: 4 * 1024 * 1024,
  unsentBytesMax: 128 * 1024 * 1024,
  stallMs: 10_000,
  maxReplay: 20_000,
};

/** Small tables change rarely: they are compared less often than quotes. */
const minRowBeatMs = 200;
const reconnectMs = { least: 500, spread: 2000 };
const goodbyeMs = 1500;
const relieveEveryMs = 500;
/** for a refused socket to go by itself */
const refusedMs = 1000;

/** What health says of the clients. */
export interface StreamFigures {
  readonly connected: number;
  readonly subscriptions: number;
  /** clients that get fewer beats than there are */
  readonly slow: number;
  /** clients closed because they took too little, ever */
  readonly closedSlow: number;
  /** written for clients and not taken by the kernel yet */
  readonly unsentBytes: number;
  /** to all clients, those that left included */
  readonly sentFrames: number;
  readonly sentBytes: number;
}
export interface StreamStatus {
  figures(): StreamFigures;
}

declare module 'fastify' {
  interface FastifyInstance {
    streams: StreamStatus & { close(): Promise<void> };
  }
}

export class Streams implements StreamStatus {
  readonly limits: StreamLimits;
  readonly access: Access;
  readonly #options: HttpOptions;
  readonly #log: FastifyBaseLogger;
  readonly #clients = new Set<StreamClient>();
  readonly #quotes: QuoteChannel;
  readonly #lines: Readonly<Record<'depth' | 'trades' | 'bars', LineStream>>;
  readonly #journal: JournalChannels;
  readonly #tables: Readonly<Record<string, RowChannel<never>['subscribe']>>;
  readonly #closers: readonly (() => void)[];
  readonly #heartbeat: NodeJS.Timeout;
  readonly #relief: NodeJS.Timeout;
  #closing = false;
  #closedSlow = 0;
  /** what was sent to clients that left */
  readonly #gone = { frames: 0, bytes: 0 };
  readonly #requests: { readonly client: StreamClient; readonly message: Message }[] = [];
  #subscribing = false;

  constructor(options: HttpOptions, access: Access, log: FastifyBaseLogger) {
    const { reading, market, health, beatMs } = options;
    this.limits = { ...usualLimits, ...options.streamLimits };
    this.access = access;
    this.#options = options;
    this.#log = log;
    this.#quotes = new QuoteChannel(market, beatMs, options.onFanOut ?? (() => {}));
    const lineStream = (channel: 'depth' | 'trades' | 'bars') => {
      const onConflated = (merged: number, dropped: number) =>
        options.onConflated?.(channel, merged, dropped);
      return new LineStream(channel, { market, beatMs, onConflated });
    };
    this.#lines = { depth: lineStream('depth'), trades: lineStream('trades'), bars: lineStream('bars') };
    this.#journal = new JournalChannels(reading, health, this.limits.maxReplay, log);
    const rowBeatMs = Math.max(minRowBeatMs, beatMs);
    const actors = new RowChannel('actors', () => reading.actors(), 'id', rowBeatMs);
    const pnl = new RowChannel('pnl', () => reading.pnl().accounts, 'account', rowBeatMs, ['at']);
    this.#tables = {
      actors: (client, acknowledge) => actors.subscribe(client, acknowledge),
      pnl: (client, acknowledge) => pnl.subscribe(client, acknowledge),
    };
    const channels = [this.#quotes, ...Object.values(this.#lines), this.#journal, actors, pnl];
    this.#closers = channels.map((channel) => () => channel.close());
    this.#heartbeat = setInterval(() => {
      const now = Date.now();
      void inTurns(this.#clients, (client) => client.heartbeat(now));
    }, this.limits.heartbeatMs);
    this.#heartbeat.unref();
    this.#relief = setInterval(() => this.#relieve(), relieveEveryMs);
    this.#relief.unref();
  }

  /** Many that take nothing hold together what none may hold alone. */
  #relieve(): void {
    let unsent = 0;
    for (const client of this.#clients) unsent += client.unsentBytes;
    if (unsent <= this.limits.unsentBytesMax) return;
    for (const client of [...this.#clients].sort((a, b) => b.unsentBytes - a.unsentBytes)) {
      if (unsent <= this.limits.unsentBytesMax) return;
      unsent -= client.unsentBytes;
      client.close(closeCodes.slow, 'clients together have too much unsent: resume with after');
    }
  }

  figures(): StreamFigures {
    let { frames: sentFrames, bytes: sentBytes } = this.#gone;
    let subscriptions = 0;
    let slow = 0;
    let unsentBytes = 0;
    for (const client of this.#clients) {
      unsentBytes += client.unsentBytes;
      sentFrames += client.sentFrames;
      sentBytes += client.sentBytes;
      subscriptions += client.subscriptions.size;
      slow += client.slow ? 1 : 0;
    }
    return {
      connected: this.#clients.size,
      subscriptions,
      slow,
      closedSlow: this.#closedSlow,
      unsentBytes,
      sentFrames,
      sentBytes,
    };
  }

  /** Takes over a socket that was just upgraded, and the connection under it. `scopes`: what its Authorization header allows. */
  accept(
    socket: WebSocket,
    connection: Socket,
    scopes: readonly Scope[],
    countFailure: CountFailure = async () => null,
  ): void {
    const client = new StreamClient(socket, connection, scopes, this.limits, this.#options.onSlowClient);
    if (this.#closing || !this.#hasRoom(scopes)) {
      client.close(this.#closing ? closeCodes.shutdown : closeCodes.tryLater, 'no room');
      return;
    }
    this.#clients.add(client);
    const deadline =
      scopes.length > 0
        ? null
        : setTimeout(() => {
            if (client.scopes.length === 0) client.close(closeCodes.unauthenticated, 'not authenticated');
          }, this.limits.authMs);
    socket.on('message', (data, isBinary) => this.#hearSafely(client, data, isBinary, countFailure));
    // answered by the protocol itself, and no cheaper for us than a message
    socket.on('ping', () => this.#countMessage(client));
    socket.once('close', (code) => {
      if (deadline) clearTimeout(deadline);
      client.stopAll();
      this.#clients.delete(client);
      this.#gone.frames += client.sentFrames;
      this.#gone.bytes += client.sentBytes;
      if (client.closedWith === closeCodes.slow) this.#closedSlow += 1;
      this.#log.debug({ session: client.sessionId, code }, 'stream closed');
    });
    client.send({
      type: 'welcome',
      protocol: '1',
      sessionId: client.sessionId,
      serverTime: Date.now(),
      beatMs: this.#options.beatMs,
      heartbeatMs: this.limits.heartbeatMs,
      auth: this.access.required && scopes.length === 0 ? 'required' : 'none',
      epoch: this.#journal.epoch,
    });
  }

  /** Says goodbye to all, and waits until they are gone. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    clearInterval(this.#heartbeat);
    clearInterval(this.#relief);
    for (const close of this.#closers) close();
    const clients = [...this.#clients];
    await inTurns(clients, (client) => {
      // spread, so that a thousand dashboards do not come back in one moment
      const reconnectInMs = Math.round(reconnectMs.least + Math.random() * reconnectMs.spread);
      client.send({ type: 'bye', code: 'server-shutdown', reconnectInMs });
      client.close(closeCodes.shutdown, 'server-shutdown');
    });
    await Promise.race([Promise.all(clients.map((client) => client.gone)), after(goodbyeMs)]);
  }

  /** Those who have not said who they are get few places, so that they never take everybody's. */
  #hasRoom(scopes: readonly Scope[]): boolean {
    if (this.#clients.size >= this.limits.maxClients) return false;
    if (scopes.length > 0) return true;
    let strangers = 0;
    for (const client of this.#clients) strangers += client.scopes.length === 0 ? 1 : 0;
    return strangers < this.limits.maxUnauthenticated;
  }

  #countMessage(client: StreamClient): boolean {
    if (!client.open) return false;
    if (client.takeMessage()) return true;
    client.close(closeCodes.tooMany, `at most ${this.limits.messagesPerSecond} messages per second`);
    return false;
  }

  /** A fault of ours costs one client its connection, never the process. */
  #hearSafely(client: StreamClient, data: RawData, isBinary: boolean, countFailure: CountFailure): void {
    try {
      this.#hear(client, data, isBinary, countFailure);
    } catch (error) {
      this.#fail(client, error);
    }
  }

  #fail(client: StreamClient, error: unknown): void {
    this.#log.error({ err: error, session: client.sessionId }, 'a message failed');
    client.close(closeCodes.internal, `the failure is in the log under session ${client.sessionId}`);
  }

  #hear(client: StreamClient, data: RawData, isBinary: boolean, countFailure: CountFailure): void {
    if (!this.#countMessage(client)) return;
    const message = isBinary ? null : parse(data);
    const type = message?.type;
    if (message === null || typeof type !== 'string' || !Object.hasOwn(messageChecks, type)) {
      client.close(closeCodes.badMessage, `not one of ${Object.keys(messageChecks).join(', ')} as JSON text`);
      return;
    }
    switch (type as keyof typeof messageChecks) {
      case 'auth':
        void this.#authenticate(client, message, countFailure);
        break;
      case 'subscribe':
        this.#requests.push({ client, message });
        if (!this.#subscribing) void this.#subscribeInTurns();
        break;
      case 'unsubscribe':
        this.#unsubscribe(client, message);
        break;
      case 'ping':
        this.#ping(client, message);
        break;
      case 'command':
        void this.#command(client, message);
    }
  }

  async #authenticate(client: StreamClient, message: Message, countFailure: CountFailure): Promise<void> {
    const { value, errors } = messageChecks.auth(message);
    if (errors) {
      client.refuse('ack', message.id, invalid(errors));
      return;
    }
    const scopes = this.access.scopesOf(value.token);
    if (scopes.length === 0) {
      const wait = await countFailure();
      const refusal =
        wait === null ? problem('unauthenticated', 'this token is not known') : tooMany(wait).problem;
      client.refuse('ack', value.id, refusal);
      client.close(closeCodes.unauthenticated, 'not authenticated');
      return;
    }
    client.scopes = scopes;
    client.send({ type: 'ack', id: value.id, ok: true, scopes });
  }

  #ping(client: StreamClient, message: Message): void {
    const { value, errors } = messageChecks.ping(message);
    if (errors) client.refuse('ack', message.id, invalid(errors));
    else client.send({ type: 'pong', id: value.id ?? null, serverTime: Date.now() });
  }

  /** A snapshot is work: when a thousand dashboards come back at once, orders pass between them. */
  async #subscribeInTurns(): Promise<void> {
    this.#subscribing = true;
    await inTurns(drained(this.#requests), ({ client, message }) => {
      if (!client.open) return;
      try {
        this.#subscribe(client, message);
      } catch (error) {
        this.#fail(client, error);
      }
    });
    this.#subscribing = false;
  }

  #subscribe(client: StreamClient, message: Message): void {
    const { value, errors } = messageChecks.subscribe(message);
    if (errors) {
      client.refuse('ack', message.id, invalid(errors));
      return;
    }
    if (!this.#allowed(client, 'read', 'ack', value.id)) return;
    if (client.subscriptions.size >= this.limits.maxSubscriptions) {
      const detail = `at most ${this.limits.maxSubscriptions} subscriptions: unsubscribe from another`;
      client.refuse('ack', value.id, problem('too-many-requests', detail));
      return;
    }
    if (client.clogged) {
      const detail = 'take what was sent before you ask for more';
      client.refuse('ack', value.id, problem('too-many-requests', detail));
      return;
    }
    const subscription = this.#open(client, value);
    if (subscription) client.subscriptions.set(subscription.id, subscription);
  }

  /** Acknowledges and starts the channel; undefined when it was refused. */
  #open(client: StreamClient, message: SubscribeMessage): Subscription | undefined {
    const { id, channel, keys, after: seq, epoch, barSize } = message;
    const acknowledge = (subscription: number, more: object) =>
      client.send({ type: 'ack', id, ok: true, subscription, ...more });
    const refuse = (pointer: string, detail: string) => {
      client.refuse('ack', id, invalid([{ pointer, detail }]));
      return undefined;
    };
    if ((seq !== undefined || epoch !== undefined) && !isJournalChannel(channel)) {
      return refuse(
        seq === undefined ? '/epoch' : '/after',
        `${journalChannels.join(', ')} resume; others begin with a snapshot: leave it out`,
      );
    }
    if (barSize !== undefined && channel !== 'bars')
      return refuse('/barSize', `${channel} has no bars: leave it out`);
    if (channel === 'quotes' || isLineStream(channel)) {
      if (!keys) return refuse('/keys', 'is required: the instruments to watch');
      if (keys.length > this.limits.maxKeys) return refuse('/keys', `at most ${this.limits.maxKeys} keys`);
      const wanted = QuoteChannel.read(keys);
      if (channel !== 'quotes') {
        const feed = feedOf(channel, barSize);
        return this.#lines[channel].subscribe(client, wanted, feed, (subscription, accepted, rejected) =>
          acknowledge(subscription, {
            keys: accepted,
            rejected,
            ...(feed.channel === 'bars' && { barSize: feed.barSize }),
          }),
        );
      }
      return this.#quotes.subscribe(client, wanted, (subscription, accepted, rejected) =>
        acknowledge(subscription, { keys: accepted, rejected }),
      );
    }
    if (keys) return refuse('/keys', `${channel} has no keys: leave them out`);
    if (isJournalChannel(channel)) {
      const resumed = seq === undefined ? null : { after: seq, epoch: epoch ?? null };
      return this.#journal.subscribe(client, channel, resumed, (subscription, mode) =>
        acknowledge(subscription, { mode, epoch: this.#journal.epoch }),
      );
    }
    const table = Object.hasOwn(this.#tables, channel) ? this.#tables[channel] : undefined;
    if (table) return table(client, (subscription) => acknowledge(subscription, { rejected: [] }));
    return refuse(
      '/channel',
      `"${channel}" is none of quotes, depth, trades, bars, pnl, actors, ${journalChannels.join(', ')}`,
    );
  }

  #unsubscribe(client: StreamClient, message: Message): void {
    const { value, errors } = messageChecks.unsubscribe(message);
    if (errors) {
      client.refuse('ack', message.id, invalid(errors));
      return;
    }
    const subscription = client.subscriptions.get(value.subscription);
    if (!subscription) {
      client.refuse('ack', value.id, problem('not-found', `no subscription ${value.subscription} is yours`));
      return;
    }
    subscription.stop();
    client.subscriptions.delete(subscription.id);
    client.send({ type: 'ack', id: value.id ?? null, ok: true, subscription: subscription.id });
  }

  async #command(client: StreamClient, message: Message): Promise<void> {
    const { value, errors } = messageChecks.command(message);
    if (errors) {
      client.refuse('result', message.id, invalid(errors));
      return;
    }
    if (!this.#allowed(client, 'trade', 'result', value.id)) return;
    if (client.commandsInFlight >= this.limits.maxCommandsInFlight) {
      const detail = `at most ${this.limits.maxCommandsInFlight} commands without an answer`;
      client.refuse('result', value.id, problem('too-many-requests', detail));
      return;
    }
    client.commandsInFlight += 1;
    await this.#run(client, value);
    client.commandsInFlight -= 1;
  }

  async #run(client: StreamClient, command: CommandMessage): Promise<void> {
    const { id } = command;
    try {
      const answer = await runCommand(this.#options, command);
      if (answer.problem) {
        client.refuse('result', id, answer.problem);
        return;
      }
      if ('lease' in answer) {
        client.send({ type: 'result', id, ok: true, lease: answer.lease });
        return;
      }
      const { order, timing } = answer;
      client.send({ type: 'result', id, ok: true, order, ...(timing && { timing }) });
    } catch (error) {
      this.#log.error({ err: error, session: client.sessionId, command: command.command }, 'command failed');
      const detail = `the failure is in the log under session ${client.sessionId}`;
      client.refuse('result', id, problem('internal-error', detail));
    }
  }

  /** Answers and, where it can only be a mistake, closes. */
  #allowed(client: StreamClient, scope: Scope, type: 'ack' | 'result', id: unknown): boolean {
    if (client.scopes.includes(scope)) return true;
    if (client.scopes.length === 0) {
      client.refuse(type, id, problem('unauthenticated', 'send {"type":"auth","id":1,"token":"..."} first'));
      return false;
    }
    client.refuse(type, id, problem('insufficient-scope', `this needs a token of scope ${scope}`));
    client.close(closeCodes.scope, `needs scope ${scope}`);
    return false;
  }
}

/** The route. Hosts and origins were checked by the hooks before any upgrade; a page of a foreign origin gets a close code. */
export function addStream(server: FastifyInstance, streams: Streams, limiter: Limiter): void {
  const upgrades = new WeakMap<IncomingMessage, FastifyRequest>();
  server.websocketServer.on('headers', (headers, raw) => {
    const request = upgrades.get(raw);
    if (!request) return;
    const ms = performance.now() - request.startedAt;
    for (const [name, value] of Object.entries(timingHeaders(request.id, ms)))
      headers.push(`${name}: ${value}`);
  });
  server.route({
    method: 'GET',
    url: '/v1/stream',
    // a token in the query would end up in histories and logs: nothing is taken from there
    schema: { hide: true, querystring: Type.Object({}, { additionalProperties: false }) },
    // a browser tells its page the close code, and nothing of an upgrade that failed
    config: { closesForeignPages: true },
    onRequest: async (request) => {
      upgrades.set(request.raw, request);
      if (request.isForeign || bearerOf(request) === null || scopesOf(streams, request).length > 0) return;
      const wait = await limiter.countFailure(request);
      throw wait === null
        ? new ProblemError(problem('unauthenticated', 'this token is not known'))
        : tooMany(wait);
    },
    handler: () => {
      throw new ProblemError(problem('upgrade-required', 'open it as a WebSocket'), { Upgrade: 'websocket' });
    },
    wsHandler: (socket, request) => {
      if (request.isForeign) {
        refuse(socket);
        return;
      }
      streams.accept(socket, request.raw.socket, scopesOf(streams, request), () =>
        limiter.countFailure(request),
      );
    },
  });
}

/** Closes without having said or heard anything. */
function refuse(socket: WebSocket): void {
  socket.on('error', () => socket.terminate());
  socket.close(closeCodes.origin, 'origin-not-allowed');
  const timer = setTimeout(() => socket.terminate(), refusedMs);
  socket.once('close', () => clearTimeout(timer));
}

function scopesOf(streams: Streams, request: FastifyRequest): readonly Scope[] {
  return streams.access.scopesOf(bearerOf(request));
}

/** Counts a wrong token: seconds to wait when this client has sent too many, else null. */
type CountFailure = () => Promise<number | null>;

interface Message {
  readonly type?: unknown;
  readonly id?: unknown;
}

function* drained<T>(queue: T[]): Generator<T> {
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) yield item;
}

function parse(data: RawData): Message | null {
  const value = parseJson(String(data));
  return typeof value === 'object' && value !== null ? value : null;
}

/** Levels of each side of a book. */
const depthRows = 10;

function isLineStream(name: string): name is 'depth' | 'trades' | 'bars' {
  return name === 'depth' || name === 'trades' || name === 'bars';
}

function feedOf(channel: 'depth' | 'trades' | 'bars', barSize: StreamedBarSize = '1 min') {
  if (channel === 'depth') return { channel, rows: depthRows };
  return channel === 'bars' ? { channel, barSize } : { channel };
}

function isJournalChannel(name: string): name is JournalChannelName {
  return (journalChannels as readonly string[]).includes(name);
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
