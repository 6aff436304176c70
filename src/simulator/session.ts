import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { type Connection, type Gateway, MIN_VERSION } from './gateway.ts';
import { type Desks, dispatch, openDesks } from './handlers/dispatch.ts';
import type { BookView, Entitlement, FarmKind, Link, Stop } from './handlers/link.ts';
import { type Limits, RateLimiter } from './limits.ts';
import type { Clock, Contract, Exchange, ExchangeEvent } from './model.ts';
import type { OrderIds } from './orderIds.ts';
import { Outbox } from './outbox.ts';
import { zonedDateTime } from './wire/dates.ts';
import { ascii, FieldError } from './wire/fields.ts';
import { type Field, FrameDecoder, FramingError, joinFields, splitFields } from './wire/frames.ts';
import { IN, inName, OUT } from './wire/names.ts';
import { decodeRequest, describeRequest } from './wire/requests.ts';

const LINGER_MS = 2000;

/** One client's connection: greeting, START_API, requests. */
export class Session implements Connection, Link {
  readonly number: number;
  readonly localPort: number;
  readonly #gateway: Gateway;
  readonly #socket: Socket;
  readonly #decoder: FrameDecoder;
  readonly #outbox: Outbox;
  readonly #rate: RateLimiter;
  readonly #timers = new Set<Stop>();
  readonly #desks: Desks;
  #version = 0;
  #clientId = -1;
  #isStarted = false;
  #isClosed = false;
  #isFrozen = false;
  #violations = 0;
  #violationSecond = Number.NEGATIVE_INFINITY;

  constructor(gateway: Gateway, socket: Socket, number: number) {
    this.#gateway = gateway;
    this.#socket = socket;
    this.number = number;
    this.localPort = socket.localPort ?? 0;
    this.#decoder = new FrameDecoder({ maxFrameBytes: gateway.limits.frameBytes });
    this.#outbox = new Outbox(socket, gateway.limits.backlogBytes, () => {
      this.log('does not read: disconnected');
      this.drop();
    });
    this.#rate = new RateLimiter(gateway.limits.messagesPerSecond);
    this.#desks = openDesks(this);
    gateway.connections.add(this);
    socket.setNoDelay(true);
    socket.on('data', (segment: Buffer) => this.#receive(segment));
    socket.on('error', (error) => this.log(`socket: ${error.message}`));
    socket.on('close', () => this.#end());
  }

  get version(): number {
    return this.#version;
  }
  get clientId(): number {
    return this.#clientId;
  }
  get isStarted(): boolean {
    return this.#isStarted && !this.#isClosed;
  }
  get backlog(): number {
    return this.#outbox.backlog;
  }
  get exchange(): Exchange {
    return this.#gateway.exchange;
  }
  get clock(): Clock {
    return this.#gateway.clock;
  }
  get limits(): Limits {
    return this.#gateway.limits;
  }
  get orderIds(): OrderIds {
    return this.#gateway.orderIds;
  }
  get zone(): string {
    return this.#gateway.zone;
  }
  get barUpdateMs(): number {
    return this.#gateway.barUpdateMs;
  }
  get book(): BookView {
    return this.#gateway.upstream.book;
  }
  get entitlement(): Entitlement {
    return this.#gateway.entitlement;
  }

  get isUpstreamLost(): boolean {
    return this.#gateway.upstream.isLost;
  }

  isServed(kind: FarmKind, contract: Contract): boolean {
    return !this.#gateway.upstream.isLost && this.#gateway.farms.serves(kind, contract);
  }

  whenUpstream(action: () => void): void {
    this.#gateway.upstream.whenUp(action);
  }

  log(line: string): void {
    this.#gateway.log(
      `client ${this.#isStarted ? this.#clientId : '?'} (connection ${this.number}): ${line}`,
    );
  }

  send(fields: readonly Field[]): void {
    if (this.#isClosed) return;
    const { interference } = this.#gateway;
    if (interference?.touchesOutbound) interference.outbound(this, fields);
    else this.#outbox.add(joinFields(fields));
  }

  write(fields: readonly Field[]): void {
    if (!this.#isClosed) this.#outbox.add(joinFields(fields));
  }

  error(id: number, code: number, text: string): void {
    this.send([OUT.error, 2, id, code, ascii(text), '']);
  }

  after(ms: number, callback: () => void): Stop {
    const handle = this.clock.setTimeout(() => {
      this.#timers.delete(stop);
      callback();
    }, ms);
    const stop = (): void => {
      this.#timers.delete(stop);
      this.clock.clearTimeout(handle);
    };
    this.#timers.add(stop);
    return stop;
  }

  every(ms: number, callback: () => void): Stop {
    let stop: Stop = () => undefined;
    const next = (): void => {
      stop = this.after(ms, () => {
        next();
        callback();
      });
    };
    next();
    return () => stop();
  }

  hear(event: ExchangeEvent): void {
    if (event.type === 'position') this.#desks.account.hearPosition(event.position);
    else if (event.type === 'account') this.#desks.account.hearAccount(event.account);
    else this.#desks.orders.hear(event);
  }

  loseData(): void {
    for (const desk of this.#desks.data) desk.loseAll();
  }

  resetDepth(conId: number | null): void {
    this.#desks.depth.reset(conId);
  }

  lines(conIds: ReadonlySet<number> | null): readonly { readonly reqId: number; readonly conId: number }[] {
    return this.#desks.marketData.lines(conIds);
  }

  freeze(isFrozen: boolean): void {
    this.#isFrozen = isFrozen;
    this.#outbox.hold(isFrozen);
    if (isFrozen) this.#socket.pause();
    else {
      this.#socket.resume();
      this.#receive(Buffer.alloc(0));
    }
  }

  drop(): void {
    this.#socket.resetAndDestroy();
    this.#end();
  }

  close(): void {
    this.#outbox.hold(false);
    this.#outbox.flush();
    this.#socket.resume();
    this.#socket.end();
    // Not destroyed at once: a reset would take the last message away from a client that is still sending.
    setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
    this.#end();
  }

  #receive(segment: Buffer): void {
    if (this.#isClosed) return;
    try {
      this.#decoder.push(segment, (frame) => {
        this.#handle(splitFields(frame));
        return !this.#isClosed && !this.#isFrozen;
      });
    } catch (error) {
      if (!(error instanceof FramingError)) throw error;
      this.#refuse(`Error reading request:${error.message}`);
    }
  }

  #handle(fields: readonly string[]): void {
    const isHello = this.#version === 0;
    const id = isHello ? IN.hello : Number(fields[0]);
    this.#gateway.inbound.add({
      at: this.clock.now(),
      session: this.number,
      clientId: this.#isStarted ? this.#clientId : null,
      id,
      name: inName(id),
      fields,
    });
    const { interference } = this.#gateway;
    if (interference?.touchesInbound && interference.swallows(this, fields)) return;
    if (isHello) this.#greet(fields[0] ?? '');
    else if (this.#isWithinRate()) this.#serve(fields);
  }

  #greet(text: string): void {
    const match = /^v(\d{1,5})(?:\.\.(\d{1,5}))?(?: .*)?$/.exec(text);
    const wanted = Number(match?.[2] ?? match?.[1] ?? Number.NaN);
    if (match === null || Number.isNaN(wanted)) {
      this.#refuse(`Error reading request:the version "${text.slice(0, 40)}" is not like v100..193`);
      return;
    }
    this.#version = Math.min(wanted, this.#gateway.maxVersion);
    this.write([this.#version, zonedDateTime(this.clock.now(), this.zone)]);
    if (this.#version < MIN_VERSION) {
      this.log(`asks for version ${this.#version}, which is below ${MIN_VERSION}: closed`);
      this.close();
    }
  }

  #serve(fields: readonly string[]): void {
    try {
      const { request, leftover } = decodeRequest(fields, this);
      if (leftover.length > 0) {
        const problem = `${leftover.length} fields left over: ${leftover.join('|').slice(0, 100)}`;
        this.#gateway.noteConformance(this, describeRequest(fields), problem);
      }
      if (request.type === 'startApi') this.#start(request.clientId);
      else if (this.#isStarted) dispatch(this, this.#desks, request);
      else this.log(`${request.type} before startApi: ignored`);
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      this.#gateway.noteConformance(this, describeRequest(fields), error.message);
      this.#refuse(
        `Error reading request:${inName(Number(fields[0]))}: unable to parse field ${error.message}`,
      );
    }
  }

  #start(clientId: number): void {
    if (this.#isStarted) {
      this.log('startApi a second time: ignored');
      return;
    }
    if (this.#gateway.connectionOf(clientId) !== undefined) {
      this.error(
        -1,
        326,
        'Unable to connect as the client id is already in use. Retry with a unique client id.',
      );
      this.close();
      return;
    }
    this.#clientId = clientId;
    this.#isStarted = true;
    this.log(`started, server version ${this.#version}`);
    this.send([OUT.managedAccounts, 1, this.exchange.accounts.join(',')]);
    this.send([OUT.nextValidId, 1, this.orderIds.next(clientId)]);
    if (this.#gateway.upstream.isLost) {
      this.error(-1, 1100, 'Connectivity between IBKR and Trader Workstation has been lost.');
    } else {
      for (const { code, text } of this.#gateway.farms.greeting()) this.error(-1, code, text);
    }
    this.#desks.orders.repeatOpen();
  }

  #isWithinRate(): boolean {
    const now = performance.now();
    if (this.#rate.take(now)) return true;
    const { messagesPerSecond, rateViolations } = this.limits;
    if (now - this.#violationSecond >= 1000) {
      this.#violationSecond = now;
      this.#violations += 1;
    }
    this.error(
      -1,
      100,
      `Max rate of messages per second has been exceeded:max=${messagesPerSecond} rec=${messagesPerSecond + 1} (${this.#violations})`,
    );
    if (rateViolations > 0 && this.#violations >= rateViolations) this.close();
    return false;
  }

  #refuse(text: string): void {
    this.log(text);
    this.error(-1, 320, text);
    this.close();
  }

  #end(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#gateway.connections.delete(this);
    this.loseData();
    for (const stop of [...this.#timers]) stop();
  }
}
