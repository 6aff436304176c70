/**
 * Loaded into the program by `node --import`, for crashes at an exact place: the program ends itself with SIGKILL when
 * the point named in `CRASH_AT` is passed for the nth time. The seams are the platform's own (SQLite, sockets), so
 * that the program is the one that users run.
 */
import { Socket } from 'node:net';
import { DatabaseSync, StatementSync } from 'node:sqlite';
import { isMainThread } from 'node:worker_threads';
import { inboundNames, outboundNames } from './points.ts';

let pass: (point: string) => void = () => undefined;

if (isMainThread) {
  if (process.env.CRASH_AT) {
    arm(process.env.CRASH_AT);
    watchJournal();
    watchSocket(Number(process.env.TWS_PORT));
  }
  if (process.env.JOURNAL_SWITCH) switchJournal();
  if (process.env.CLOCK_SHIFTS) shiftClock(process.env.CLOCK_SHIFTS.split(',').map(Number));
}

/** `point` or `point#n`. */
function arm(spec: string): void {
  const [name = '', nth = '1'] = spec.split('#');
  let left = Number(nth);
  pass = (point) => {
    if (point !== name) return;
    left -= 1;
    if (left > 0) return;
    process.kill(process.pid, 'SIGKILL');
    // Nothing may happen between the request and the end.
    for (;;);
  };
}

/** Named by the facts that a transaction holds. */
function watchJournal(): void {
  let events: string[] = [];
  const { exec } = DatabaseSync.prototype;
  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string) {
    if (sql !== 'commit') return exec.call(this, sql);
    const held = new Set(events);
    events = [];
    for (const event of held) pass(`${event}, before its commit`);
    exec.call(this, sql);
    for (const event of held) pass(`${event}, after its commit`);
  };
  const { run, all, get } = StatementSync.prototype;
  StatementSync.prototype.run = function (this: StatementSync, ...values: unknown[]) {
    const event = values.find(
      (value): value is string => typeof value === 'string' && /^[a-z]+\.[a-zA-Z]+$/.test(value),
    );
    if (event === undefined) return Reflect.apply(run, this, values);
    events.push(event);
    pass(`${event}, before it is written`);
    const result = Reflect.apply(run, this, values);
    pass(`${event}, while it is written`);
    return result;
  } as typeof run;
  StatementSync.prototype.all = function (this: StatementSync, ...values: unknown[]) {
    pass('the journal is read');
    return Reflect.apply(all, this, values);
  } as typeof all;
  StatementSync.prototype.get = function (this: StatementSync, ...values: unknown[]) {
    pass('the journal is opened');
    return Reflect.apply(get, this, values);
  } as typeof get;
}

/** Named by the messages of TWS that pass. A placeOrder with a number that was used before is a change. */
function watchSocket(port: number): void {
  let highest = 0;
  const outbound = (data: unknown): string[] => {
    if (typeof data !== 'string' && !Buffer.isBuffer(data)) return [];
    return messages(Buffer.from(data)).flatMap(([id, second]) => {
      const name = outboundNames[Number(id)];
      if (name !== 'placeOrder') return name === undefined ? [] : [name];
      const isChange = Number(second) <= highest;
      highest = Math.max(highest, Number(second));
      return [isChange ? 'changeOrder' : 'placeOrder'];
    });
  };
  const { write, emit } = Socket.prototype;
  Socket.prototype.write = function (this: Socket, ...given: unknown[]) {
    if (this.remotePort !== port) return Reflect.apply(write, this, given);
    const names = outbound(given[0]);
    for (const name of names) pass(`${name}, before it is sent`);
    const result = Reflect.apply(write, this, given);
    for (const name of names) pass(`${name}, after it was sent`);
    return result;
  } as typeof write;
  Socket.prototype.emit = function (this: Socket, ...given: unknown[]) {
    const [event, chunk] = given;
    if (event !== 'data' || !Buffer.isBuffer(chunk) || this.remotePort !== port)
      return Reflect.apply(emit, this, given);
    const names = messages(chunk).flatMap(([id]) => inboundNames[Number(id)] ?? []);
    for (const name of names) pass(`${name}, before it is read`);
    const result = Reflect.apply(emit, this, given);
    for (const name of names) pass(`${name}, after it was read`);
    return result;
  } as typeof emit;
}

/** The first two fields of each whole message in a chunk; one that a chunk cuts is not counted. */
function messages(chunk: Buffer): (readonly [string, string])[] {
  const found: (readonly [string, string])[] = [];
  for (let at = 0; at + 4 <= chunk.length; ) {
    const length = chunk.readUInt32BE(at);
    if (length > chunk.length - at - 4) break;
    const [id = '', second = ''] = chunk.toString('latin1', at + 4, at + 4 + length).split('\0', 2);
    found.push([id, second]);
    at += 4 + length;
  }
  return found;
}

/** SIGALRM makes every open database read only, and writable again. */
function switchJournal(): void {
  const open = new Set<DatabaseSync>();
  let readOnly = false;
  const { exec } = DatabaseSync.prototype;
  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string) {
    open.add(this);
    return exec.call(this, sql);
  };
  process.on('SIGALRM', () => {
    readOnly = !readOnly;
    for (const database of open) if (database.isOpen) exec.call(database, `pragma query_only = ${readOnly}`);
    process.stdout.write(`journal read only: ${readOnly}\n`);
  });
}

/** The wall clock is wrong by the first of these ms, and with each SIGALRM by the next. */
function shiftClock([first = 0, ...later]: readonly number[]): void {
  const { now } = Date;
  let shift = first;
  Date.now = () => now() + shift;
  process.on('SIGALRM', () => {
    shift = later.shift() ?? shift;
    process.stdout.write(`wall clock shifted by ${shift} ms\n`);
  });
}
