import type { BookView, FarmKind } from './handlers/link.ts';
import type { Contract, Exchange, ExchangeEvent } from './model.ts';

const MAX_BACKLOG = 100_000;

/** What becomes of orders and cancels that arrive while the link to IB is down. */
export type OutagePolicy = 'hold' | 'swallow';
/** What clients hear of the time without a link: every event, only the state of open orders, or nothing. */
export type ReplayPolicy = 'events' | 'status' | 'none';

/** The link between the gateway and IB. While it is lost the exchange goes on, but nothing of it gets through. */
export class Upstream {
  readonly #exchange: Exchange;
  readonly #deliver: (event: ExchangeEvent) => void;
  #frozen: BookView | null = null;
  #policy: OutagePolicy = 'hold';
  #events: ExchangeEvent[] = [];
  #actions: (() => void)[] = [];

  constructor(exchange: Exchange, deliver: (event: ExchangeEvent) => void) {
    this.#exchange = exchange;
    this.#deliver = deliver;
  }

  get isLost(): boolean {
    return this.#frozen !== null;
  }

  /** The exchange's book, or the last one that was seen. */
  get book(): BookView {
    return this.#frozen ?? this.#exchange;
  }

  hear(event: ExchangeEvent): void {
    if (this.#frozen === null) this.#deliver(event);
    else if (this.#events.length < MAX_BACKLOG) this.#events.push(event);
  }

  whenUp(action: () => void): void {
    if (this.#frozen === null) action();
    else if (this.#policy === 'hold' && this.#actions.length < MAX_BACKLOG) this.#actions.push(action);
  }

  lose(policy: OutagePolicy): void {
    this.#policy = policy;
    this.#frozen ??= freeze(this.#exchange);
  }

  /** Reopens the link: delivers what the replay policy says, then what clients asked for meanwhile. */
  restore(replay: ReplayPolicy): void {
    if (this.#frozen === null) return;
    this.#frozen = null;
    const events = this.#events;
    const actions = this.#actions;
    this.#events = [];
    this.#actions = [];
    if (replay === 'events') for (const event of events) this.#deliver(event);
    if (replay === 'status') {
      for (const event of events) {
        if (event.type === 'position' || event.type === 'account') this.#deliver(event);
      }
      for (const order of this.#exchange.openOrders()) {
        this.#deliver({ type: 'openOrder', order });
        this.#deliver({ type: 'orderStatus', order });
      }
    }
    for (const action of actions) action();
  }
}

function freeze(exchange: Exchange): BookView {
  const openOrders = exchange.openOrders();
  const completedOrders = exchange.completedOrders();
  const positions = exchange.positions();
  const values = new Map(exchange.accounts.map((account) => [account, exchange.accountValues(account)]));
  const everything = { clientId: 0, account: '', since: 0, symbol: '', secType: '', exchange: '', side: '' };
  const known = new Set(exchange.executions(everything).map(({ execId }) => execId));
  return {
    openOrders: () => openOrders,
    completedOrders: () => completedOrders,
    positions: () => positions,
    accountValues: (account) => values.get(account) ?? [],
    executions: (filter) => exchange.executions(filter).filter(({ execId }) => known.has(execId)),
  };
}

interface Farm {
  readonly kind: FarmKind;
  readonly secTypes: ReadonlySet<string>;
  isBroken: boolean;
  isSilent: boolean;
}

const STOCKS = new Set(['STK', 'OPT', 'IND', 'WAR', 'FUND', 'BOND', 'BAG', 'CFD', 'CMDTY', 'CRYPTO']);
const EVERYTHING = new Set([...STOCKS, 'FUT', 'FOP', 'CASH', 'CONTFUT', '']);

const BROKEN_CODES: Readonly<Record<FarmKind, number>> = { market: 2103, history: 2105, secdef: 2157 };
const OK_CODES: Readonly<Record<FarmKind, number>> = { market: 2104, history: 2106, secdef: 2158 };
const NAMES: Readonly<Record<FarmKind, string>> = {
  market: 'Market data',
  history: 'HMDS data',
  secdef: 'Sec-def data',
};

export interface Notice {
  readonly code: number;
  readonly text: string;
}

/** The named data farms behind the gateway, and what each serves. */
export class Farms {
  readonly #farms = new Map<string, Farm>();
  #silenced = 0;

  constructor() {
    const add = (name: string, kind: FarmKind, secTypes: ReadonlySet<string>): void => {
      this.#farms.set(name, { kind, secTypes, isBroken: false, isSilent: false });
    };
    add('usfarm', 'market', STOCKS);
    add('usfuture', 'market', new Set(['FUT', 'FOP', 'CONTFUT']));
    add('cashfarm', 'market', new Set(['CASH']));
    add('ushmds', 'history', EVERYTHING);
    add('secdefil', 'secdef', EVERYTHING);
  }

  get names(): readonly string[] {
    return [...this.#farms.keys()];
  }

  /** What a new client is told about each farm. History farms sleep until they are asked. */
  greeting(): readonly Notice[] {
    return [...this.#farms].map(([name, farm]) => {
      if (farm.isBroken) return notice(farm.kind, name, true);
      if (farm.kind === 'history') {
        return {
          code: 2107,
          text: `HMDS data farm connection is inactive but should be available upon demand.${name}`,
        };
      }
      return notice(farm.kind, name, false);
    });
  }

  /** Breaks or mends a farm. `isSilent`: its data stop as well. */
  set(name: string, isBroken: boolean, isSilent: boolean): Notice {
    const farm = this.#farms.get(name);
    if (farm === undefined) throw new RangeError(`farm: "${name}" is none of ${this.names.join(', ')}`);
    farm.isBroken = isBroken;
    farm.isSilent = isBroken && isSilent;
    this.#silenced = [...this.#farms.values()].filter((entry) => entry.isSilent).length;
    return notice(farm.kind, name, isBroken);
  }

  serves(kind: FarmKind, { secType }: Contract): boolean {
    if (this.#silenced === 0) return true;
    for (const farm of this.#farms.values()) {
      if (farm.isSilent && farm.kind === kind && farm.secTypes.has(secType)) return false;
    }
    return true;
  }
}

function notice(kind: FarmKind, name: string, isBroken: boolean): Notice {
  return {
    code: isBroken ? BROKEN_CODES[kind] : OK_CODES[kind],
    text: `${NAMES[kind]} farm connection is ${isBroken ? 'broken' : 'OK'}:${name}`,
  };
}
