import type { Connection, Gateway, Interference } from './gateway.ts';
import type { Entitlement } from './handlers/link.ts';
import { type Random, shuffled } from './shuffle.ts';
import type { OutagePolicy, ReplayPolicy } from './upstream.ts';
import type { Field } from './wire/frames.ts';
import { IN, messageId, OUT } from './wire/names.ts';

/** Which messages a fault concerns. Everything left out matches. */
export interface Match {
  /** IB's names or the numbers */
  readonly messages?: readonly (string | number)[];
  readonly clientId?: number;
  /** The value of single fields, by index (0 is the message id), e.g. `{2: 'Filled'}` for orderStatus. */
  readonly fields?: Readonly<Record<number, string | number>>;
}

/** A fault that lasts until it has acted `times` times or is cleared. */
export interface Fault {
  /** How often it has acted. */
  readonly acted: number;
  clear(): void;
}

interface Rule {
  readonly ids: ReadonlySet<number> | null;
  readonly match: Match;
  left: number;
  acted: number;
  /** true: the message is taken; false: on to the next rule, then to the client */
  readonly act: (connection: Connection, fields: readonly Field[]) => boolean;
  /** gives back what the rule still keeps */
  readonly end: () => void;
}

type Table = Readonly<Record<string, number>>;

function idsOf(table: Table, messages: readonly (string | number)[] | undefined): ReadonlySet<number> | null {
  if (messages === undefined) return null;
  return new Set(
    messages.map((message) => {
      const id = messageId(table, message);
      if (id === undefined) throw new RangeError(`messages: "${message}" is not the name of a message`);
      return id;
    }),
  );
}

/** An ordered list of rules about messages of one direction. */
class Rules {
  readonly #table: Table;
  #rules: Rule[] = [];

  constructor(table: Table) {
    this.#table = table;
  }

  get isEmpty(): boolean {
    return this.#rules.length === 0;
  }

  add(match: Match, times: number, act: Rule['act'], end: Rule['end'] = () => undefined): Fault {
    const rule: Rule = { ids: idsOf(this.#table, match.messages), match, left: times, acted: 0, act, end };
    this.#rules = [...this.#rules, rule];
    return {
      get acted() {
        return rule.acted;
      },
      clear: () => {
        this.#rules = this.#rules.filter((other) => other !== rule);
        end();
      },
    };
  }

  /** True when a rule took the message. */
  apply(connection: Connection, fields: readonly Field[]): boolean {
    for (const rule of this.#rules) {
      if (!matches(rule, connection, fields)) continue;
      rule.left -= 1;
      rule.acted += 1;
      if (rule.left <= 0) this.#rules = this.#rules.filter((other) => other !== rule);
      if (rule.act(connection, fields)) return true;
    }
    return false;
  }

  clear(): void {
    const rules = this.#rules;
    this.#rules = [];
    for (const { end } of rules) end();
  }
}

function matches(rule: Rule, connection: Connection, fields: readonly Field[]): boolean {
  if (rule.ids !== null && !rule.ids.has(Number(fields[0]))) return false;
  const { clientId, fields: wanted } = rule.match;
  if (clientId !== undefined && connection.clientId !== clientId) return false;
  if (wanted === undefined) return true;
  return Object.entries(wanted).every(([index, value]) => String(fields[Number(index)]) === String(value));
}

/** What the faults need of the TCP side. */
export interface Doorkeeper {
  setDoor(door: 'open' | 'closed' | 'silent'): Promise<void>;
}

/**
 * Everything that can go wrong between a client and IB, on demand. Nothing happens by chance except `reorder` with
 * `shuffled`, which draws from the simulator's seed.
 */
export class Faults implements Interference {
  readonly #gateway: Gateway;
  readonly #door: Doorkeeper;
  readonly #random: Random;
  readonly #outbound = new Rules(OUT);
  readonly #inbound = new Rules(IN);
  #held: { readonly connection: Connection; readonly fields: readonly Field[] }[] = [];
  #dialog: Fault | null = null;

  constructor(gateway: Gateway, door: Doorkeeper, random: Random) {
    this.#gateway = gateway;
    this.#door = door;
    this.#random = random;
    gateway.interference = this;
  }

  get touchesOutbound(): boolean {
    return !this.#outbound.isEmpty;
  }
  get touchesInbound(): boolean {
    return !this.#inbound.isEmpty;
  }

  outbound(connection: Connection, fields: readonly Field[]): void {
    if (!this.#outbound.apply(connection, fields)) connection.write(fields);
  }

  swallows(connection: Connection, fields: readonly string[]): boolean {
    // The greeting carries no number; it matches as message 0.
    const numbered = connection.version === 0 ? ['0', ...fields] : fields;
    return this.#inbound.apply(connection, numbered);
  }

  // Connections

  /** RST, as when the gateway dies. Without a client id: everybody. */
  drop(clientId?: number): void {
    for (const connection of this.#concerned(clientId)) connection.drop();
  }

  /** FIN. Without a client id: everybody. */
  close(clientId?: number): void {
    for (const connection of this.#concerned(clientId)) connection.close();
  }

  /** The socket stays, nothing is read or written any more. */
  freeze(clientId?: number): void {
    for (const connection of this.#concerned(clientId)) connection.freeze(true);
  }

  thaw(clientId?: number): void {
    for (const connection of this.#concerned(clientId)) connection.freeze(false);
  }

  /** New connections are refused (nobody listens) until `accept`. */
  refuse(): Promise<void> {
    return this.#door.setDoor('closed');
  }

  /** New connections are taken by TCP and never greeted, as by a proxy before a dead gateway. */
  acceptSilently(): Promise<void> {
    return this.#door.setDoor('silent');
  }

  accept(): Promise<void> {
    return this.#door.setDoor('open');
  }

  /**
   * The gateway restarts: everybody is dropped, nobody listens for `downMs` (on the simulator's clock). With
   * `nextValidId` every client's ids begin there anew, also when that is lower than before. Resolves when it listens again.
   */
  async restart(
    options: { readonly downMs?: number; readonly nextValidId?: number; readonly farewell?: string } = {},
  ): Promise<void> {
    if (options.farewell !== undefined) this.#gateway.broadcast(1300, options.farewell);
    await this.refuse();
    this.drop();
    if (options.nextValidId !== undefined) this.#gateway.orderIds.set(options.nextValidId);
    await new Promise<void>((resolve) => {
      this.#gateway.clock.setTimeout(resolve, options.downMs ?? 0);
    });
    await this.accept();
  }

  // The link to IB

  /** 1100; the exchange goes on unseen. Orders and cancels are held until the link is back, or swallowed. */
  upstreamLost(options: { readonly orders?: OutagePolicy } = {}): void {
    this.#gateway.upstream.lose(options.orders ?? 'hold');
    this.#gateway.broadcast(1100, 'Connectivity between IBKR and Trader Workstation has been lost.');
  }

  /** 1101: data requests are lost. 1102: they go on. `replay` says what is told of the time between. */
  upstreamBack(code: 1101 | 1102 = 1102, options: { readonly replay?: ReplayPolicy } = {}): void {
    if (code === 1101) for (const connection of this.#gateway.connections) connection.loseData();
    const rest = code === 1101 ? 'lost' : 'maintained';
    const farms =
      code === 1102 ? ` All data farms are connected: ${this.#gateway.farms.names.join('; ')}.` : '';
    this.#gateway.broadcast(
      code,
      `Connectivity between IBKR and Trader Workstation has been restored - data ${rest}.${farms}`,
    );
    this.#gateway.upstream.restore(options.replay ?? 'events');
  }

  /** 2103, 2105 or 2157 by the kind of the farm; `silent` also stops what it serves. */
  farmBroken(name: string, options: { readonly silent?: boolean } = {}): void {
    const { code, text } = this.#gateway.farms.set(name, true, options.silent ?? true);
    this.#gateway.broadcast(code, text);
  }

  /** 2104, 2106 or 2158. */
  farmOk(name: string): void {
    const { code, text } = this.#gateway.farms.set(name, false, false);
    this.#gateway.broadcast(code, text);
  }

  /** What new market-data requests may see. */
  marketData(entitlement: Entitlement): void {
    this.#gateway.entitlement = entitlement;
  }

  /** 317: the books of a contract, or all, are void and told anew. */
  resetDepth(conId?: number): void {
    for (const connection of this.#gateway.connections) connection.resetDepth(conId ?? null);
  }

  // Messages to clients

  /** These messages never leave. */
  swallow(match: Match, times = Number.POSITIVE_INFINITY): Fault {
    return this.#outbound.add(match, times, () => true);
  }

  /** These messages wait for `releaseHeld`. */
  hold(match: Match, times = Number.POSITIVE_INFINITY): Fault {
    return this.#outbound.add(match, times, (connection, fields) => {
      this.#held.push({ connection, fields });
      return true;
    });
  }

  /** Sends what is held, in the order in which it came. The `hold` itself goes on. */
  releaseHeld(): number {
    const held = this.#held;
    this.#held = [];
    for (const { connection, fields } of held) connection.write(fields);
    return held.length;
  }

  /** Each message `copies` times more. */
  duplicate(match: Match, options: { readonly copies?: number; readonly times?: number } = {}): Fault {
    return this.#outbound.add(match, options.times ?? Number.POSITIVE_INFINITY, (connection, fields) => {
      for (let copy = 0; copy <= (options.copies ?? 1); copy += 1) connection.write(fields);
      return true;
    });
  }

  /** Collects `window` such messages and sends them in another order. Clearing it sends an incomplete window. */
  reorder(
    match: Match,
    options: {
      readonly window?: number;
      readonly order?: 'reversed' | 'shuffled';
      readonly times?: number;
    } = {},
  ): Fault {
    const size = options.window ?? 2;
    let window: { readonly connection: Connection; readonly fields: readonly Field[] }[] = [];
    const flush = (): void => {
      const collected = window;
      window = [];
      const sent = options.order === 'shuffled' ? shuffled(collected, this.#random) : collected.toReversed();
      for (const { connection, fields } of sent) connection.write(fields);
    };
    const times = (options.times ?? Number.POSITIVE_INFINITY) * size;
    return this.#outbound.add(
      match,
      times,
      (connection, fields) => {
        window.push({ connection, fields });
        if (window.length >= size) flush();
        return true;
      },
      flush,
    );
  }

  /** These messages leave `ms` later, by the simulator's clock. */
  delay(match: Match, ms: number, times = Number.POSITIVE_INFINITY): Fault {
    return this.#outbound.add(match, times, (connection, fields) => {
      this.#gateway.clock.setTimeout(() => connection.write(fields), ms);
      return true;
    });
  }

  /** Cuts fields off the end, adds some, or overwrites single ones by index: truncated, overlong, wrong ids. */
  alter(
    match: Match,
    change: {
      readonly cut?: number;
      readonly add?: readonly Field[];
      readonly set?: Readonly<Record<number, Field>>;
    },
    times = Number.POSITIVE_INFINITY,
  ): Fault {
    return this.#outbound.add(match, times, (connection, fields) => {
      const altered = [...fields];
      for (const [index, value] of Object.entries(change.set ?? {})) altered[Number(index)] = value;
      connection.write([...altered.slice(0, altered.length - (change.cut ?? 0)), ...(change.add ?? [])]);
      return true;
    });
  }

  /** A message of our own making. Without a client id: to everybody. */
  inject(fields: readonly Field[], clientId?: number): void {
    for (const connection of this.#concerned(clientId)) connection.write(fields);
  }

  /** An error message of our own making. */
  injectError(id: number, code: number, text: string, clientId?: number): void {
    this.inject([OUT.error, 2, id, code, text, ''], clientId);
  }

  // Requests

  /** These requests are recorded and otherwise ignored: nothing is answered. */
  ignore(match: Match, times = Number.POSITIVE_INFINITY): Fault {
    return this.#inbound.add(match, times, () => true);
  }

  /** A modal dialog in the gateway: one order gets through, later ones vanish, until `dismissDialog`. */
  dialog(options: { readonly passes?: number } = {}): void {
    this.dismissDialog();
    let passes = options.passes ?? 1;
    this.#dialog = this.#inbound.add({ messages: ['placeOrder'] }, Number.POSITIVE_INFINITY, () => {
      passes -= 1;
      return passes < 0;
    });
  }

  dismissDialog(): void {
    this.#dialog?.clear();
    this.#dialog = null;
  }

  /** The next orders are answered with this error instead of entering the book. */
  reject(code: number, text: string, times = 1): void {
    this.#gateway.exchange.script.rejectNext(code, text, times);
  }

  /** Error 100 so many times, then the connection is closed. */
  punish(options: { readonly clientId?: number; readonly times?: number } = {}): void {
    for (const connection of this.#concerned(options.clientId)) {
      for (let count = 1; count <= (options.times ?? 3); count += 1) {
        connection.error(
          -1,
          100,
          `Max rate of messages per second has been exceeded:max=50 rec=51 (${count})`,
        );
      }
      connection.close();
    }
  }

  // What new connections are told

  setNextValidId(nextValidId: number, clientId?: number): void {
    this.#gateway.orderIds.set(nextValidId, clientId);
  }

  /** The newest version that is offered from now on. */
  offerVersion(version: number): void {
    this.#gateway.maxVersion = version;
  }

  /** Ends all rules about messages; what is held is sent. Connections, farms and the link stay as they are. */
  clear(): void {
    this.#outbound.clear();
    this.#inbound.clear();
    this.#dialog = null;
    this.releaseHeld();
  }

  #concerned(clientId: number | undefined): readonly Connection[] {
    const all = [...this.#gateway.connections];
    return clientId === undefined
      ? all
      : all.filter((entry) => entry.isStarted && entry.clientId === clientId);
  }
}
