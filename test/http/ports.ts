/** The runtime's side of the HTTP ports, in memory: a small order store with durable-looking records, and a market to move. */
import { Subject } from 'rxjs';
import { add, compare, subtract } from '../../machines/decimal.ts';
import type { LineFeed, LineTrouble } from '../../machines/feed.ts';
import type { Contract } from '../../machines/instrument.ts';
import type { JournalRecord, Page } from '../../machines/journal.ts';
import type { ExecutionRow, PositionRow } from '../../machines/ledger.ts';
import type { Bar, Beat, Quote, QuoteField, RequestFailure } from '../../machines/market.ts';
import type { Order, OrderState, Reason } from '../../machines/order.ts';
import type { ContractDetails } from '../../machines/tws.ts';
import type {
  HealthPort,
  HealthReport,
  LeaseTerms,
  MarketPort,
  OrderRequest,
  PreviewOutcome,
  ReadingPort,
  SubmitOutcome,
  TradingPort,
  TradingState,
} from '../../src/http/options.ts';

const closedStates: readonly OrderState[] = ['filled', 'cancelled', 'expired', 'rejected', 'denied'];
const at = '2026-01-02T15:00:00.000Z';

/** Records that stay, listeners that hear of each once, in order. */
export class MemoryJournal {
  readonly records: JournalRecord[] = [];
  epoch = '0000abcd';
  readonly listeners = new Set<(record: JournalRecord) => void>();

  append(channel: JournalRecord['channel'], event: string, payload: Record<string, unknown>): JournalRecord {
    const record = { seq: this.records.length + 1, ts: Date.now(), channel, event, payload };
    this.records.push(record);
    for (const listener of this.listeners) listener(record);
    return record;
  }
}

/** Orders that obey: submitted ones work until the test fills, acknowledges or closes them. */
export class MemoryOrders implements TradingPort {
  readonly leases = new Map<string, number>();

  async renewLease(client: string, cancelAfterMs: number): Promise<LeaseTerms> {
    this.leases.set(client, cancelAfterMs);
    return { client, cancelAfterMs, expiresAt: cancelAfterMs === 0 ? null : '2026-11-20T15:00:00.000Z' };
  }

  readonly orders = new Map<string, Order>();
  readonly journal: MemoryJournal;
  /** set: every command is refused with it */
  unavailable: Reason | null = null;
  /** what the gate says of the next orders */
  deny: Reason | null = null;
  previewOutcome: PreviewOutcome | null = null;
  /** a fault of ours */
  broken = false;
  submits = 0;
  #state: TradingState = 'open';
  #message = '';
  readonly #bodies = new Map<string, string>();
  readonly #changed = new Set<() => void>();

  constructor(journal: MemoryJournal) {
    this.journal = journal;
  }

  async submit(request: OrderRequest): Promise<SubmitOutcome> {
    this.submits += 1;
    if (this.broken) throw new Error('secret: the disk is on fire');
    const id = request.clientOrderId;
    const body = JSON.stringify(request, (_, value) =>
      typeof value === 'string' && /^\d+\.\d+$/.test(value) ? String(Number(value)) : value,
    );
    const known = this.orders.get(id);
    if (known) return { outcome: this.#bodies.get(id) === body ? 'existing' : 'conflict', order: known };
    if (this.unavailable) return { outcome: 'unavailable', reason: this.unavailable };
    if (request.account === 'UNKNOWN') {
      return { outcome: 'invalid', errors: [{ pointer: '/account', detail: 'is not one of ours' }] };
    }
    this.#bodies.set(id, body);
    const { bracket: _bracket, ...terms } = request;
    const order: Order = {
      account: 'DU1234567',
      ...terms,
      origin: 'api',
      state: this.deny ? 'denied' : 'submitting',
      filledQuantity: '0',
      remainingQuantity: request.quantity,
      averageFillPrice: null,
      commission: null,
      orderId: this.deny ? null : 1000 + this.orders.size,
      permIds: [],
      version: 1,
      reason: this.deny,
      notices: [],
      pendingChange: null,
      fills: [],
      createdAt: at,
      updatedAt: at,
    };
    this.update(order, this.deny ? 'order.denied' : 'order.submitted');
    if (this.deny) return { outcome: 'denied', order, reason: this.deny };
    return { outcome: 'created', order, timing: { reviewUs: 12, journalUs: 120, totalUs: 180 } };
  }

  async modify(id: string, change: Partial<Order>, ifVersion: number | null) {
    const order = this.orders.get(id);
    if (!order) return { outcome: 'unknown' as const };
    if (closedStates.includes(order.state)) return { outcome: 'closed' as const, order };
    if (ifVersion !== null && ifVersion !== order.version) return { outcome: 'version' as const, order };
    if (this.unavailable) return { outcome: 'unavailable' as const, reason: this.unavailable };
    if (this.deny) return { outcome: 'denied' as const, order, reason: this.deny };
    const changes = Object.entries(change).some(([name, value]) => order[name as keyof Order] !== value);
    if (!changes) return { outcome: 'settled' as const, order };
    const next = this.update(
      { ...order, state: 'modifying', pendingChange: change, version: order.version + 1 },
      'order.modifying',
    );
    return { outcome: 'requested' as const, order: next };
  }

  async cancel(id: string) {
    const order = this.orders.get(id);
    if (!order) return { outcome: 'unknown' as const };
    if (closedStates.includes(order.state)) return { outcome: 'closed' as const, order };
    if (this.unavailable) return { outcome: 'unavailable' as const, reason: this.unavailable };
    if (order.state === 'cancelling') return { outcome: 'settled' as const, order };
    const next = this.update(
      { ...order, state: 'cancelling', version: order.version + 1 },
      'order.cancelling',
    );
    return { outcome: 'requested' as const, order: next };
  }

  /** Ends what is in doubt. */
  async settle(id: string, { filledQuantity }: { readonly filledQuantity: string }) {
    const order = this.orders.get(id);
    if (!order) return { outcome: 'unknown' as const };
    if (closedStates.includes(order.state)) return { outcome: 'closed' as const, order };
    if (order.state !== 'inDoubt') return { outcome: 'notMissing' as const, order };
    const next = this.update({ ...order, state: 'cancelled', filledQuantity }, 'order.cancelled');
    return { outcome: 'settled' as const, order: next };
  }

  async cancelAll() {
    const open = [...this.orders.values()].filter((order) => !closedStates.includes(order.state));
    return Promise.all(
      open.map(async (order) => {
        const { outcome } = await this.cancel(order.clientOrderId);
        return {
          clientOrderId: order.clientOrderId,
          fate: outcome,
          order: this.orders.get(order.clientOrderId) ?? order,
        };
      }),
    );
  }

  async preview(request: OrderRequest): Promise<PreviewOutcome> {
    if (this.unavailable) return { outcome: 'unavailable', reason: this.unavailable };
    return (
      this.previewOutcome ?? {
        outcome: 'invalid',
        errors: [{ pointer: '/quantity', detail: `${request.quantity} is odd` }],
      }
    );
  }

  waitFor(id: string, what: 'accepted' | 'closed', timeoutMs: number): Promise<Order> {
    const reached = () => {
      const order = this.orders.get(id);
      if (!order) throw new Error(`no order ${id}`);
      const closed = closedStates.includes(order.state);
      return closed || (what === 'accepted' && order.state === 'working') ? order : undefined;
    };
    return new Promise((resolve) => {
      const check = () => {
        const order = reached();
        if (order) finish(order);
      };
      const timer = setTimeout(() => {
        const order = this.orders.get(id);
        if (order) finish(order);
      }, timeoutMs);
      const finish = (order: Order) => {
        clearTimeout(timer);
        this.#changed.delete(check);
        resolve(order);
      };
      this.#changed.add(check);
      check();
    });
  }

  status() {
    const reasons = this.#state === 'open' ? [] : [{ code: 'manual', message: this.#message, since: at }];
    return { state: this.#state, reasons };
  }

  async setStatus(state: TradingState, message: string) {
    this.#state = state;
    this.#message = message;
    return { outcome: 'switched' as const, status: this.status() };
  }

  async kill(message: string) {
    await this.setStatus('halted', message);
    return this.cancelAll();
  }

  accept(id: string): Order {
    return this.update({ ...this.get(id), state: 'working', permIds: ['77'] }, 'order.accepted');
  }

  fill(id: string, quantity: string, price: string): Order {
    const order = this.get(id);
    const filledQuantity = add(order.filledQuantity, quantity);
    const remainingQuantity = subtract(order.quantity, filledQuantity);
    const fill = {
      execId: `e${order.fills.length}`,
      quantity,
      price,
      at,
      commission: null,
      realizedPnl: null,
    };
    const state = compare(remainingQuantity, '0') === 0 ? 'filled' : 'working';
    return this.update(
      {
        ...order,
        state,
        filledQuantity,
        remainingQuantity,
        averageFillPrice: price,
        fills: [...order.fills, fill],
      },
      'order.filled',
      { fill },
    );
  }

  get(id: string): Order {
    const order = this.orders.get(id);
    if (!order) throw new Error(`no order ${id}`);
    return order;
  }

  /** The view first, then the record: as the reading port promises. */
  update(order: Order, event: string, more: Record<string, unknown> = {}): Order {
    this.orders.set(order.clientOrderId, order);
    this.journal.append('orders', event, { order, ...more });
    for (const check of [...this.#changed]) check();
    return order;
  }
}

export class MemoryReading implements ReadingPort {
  readonly executionRows: ExecutionRow[] = [];
  readonly positionRows: PositionRow[] = [];
  actorRows = [
    { id: 'runtime', machine: 'runtime', state: 'trading', tags: ['tradable'], since: at, restarts: 0 },
    { id: 'tws', machine: 'tws', state: 'online.whole', tags: [], since: at, restarts: 1 },
    { id: 'desk', machine: 'desk', state: 'open', tags: [], since: at, restarts: 0 },
  ];
  reconciliation: Record<string, unknown> | null = null;
  readonly #orders: MemoryOrders;
  readonly #journal: MemoryJournal;

  constructor(orders: MemoryOrders) {
    this.#orders = orders;
    this.#journal = orders.journal;
  }

  orders(query: { state: 'open' | 'closed' | 'all'; limit: number; after: string | null }): Page<Order> {
    const all = [...this.#orders.orders.values()].reverse();
    const rows = all.filter(
      (order) => query.state === 'all' || closedStates.includes(order.state) === (query.state === 'closed'),
    );
    return pageFrom(rows, query, (order) => order.clientOrderId);
  }

  order(id: string): Order | undefined {
    return this.#orders.orders.get(id);
  }

  executions(query: { limit: number; after: string | null }): Page<ExecutionRow> {
    return pageFrom(this.executionRows, query, (row) => row.execId);
  }

  positions(query: { limit: number; after: string | null }): Page<PositionRow> {
    return pageFrom(this.positionRows, query, (row) => row.instrument);
  }

  account() {
    const values = [{ account: 'DU1234567', key: 'NetLiquidation', value: '100000', currency: 'USD', at }];
    return { accounts: ['DU1234567'], values, summary: { netLiquidation: '100000' } };
  }

  daily = '12.5';
  pnlAt = at;

  pnl() {
    return {
      accounts: [
        { account: 'DU1234567', daily: this.daily, unrealized: null, realized: '0', at: this.pnlAt },
      ],
    };
  }

  actors() {
    return this.actorRows;
  }

  awaited: { list: string; attempts: number; reason: string | null }[] = [];

  awaitedLists() {
    return this.awaited;
  }

  latestReconciliation() {
    return this.reconciliation;
  }

  journal({ after, limit }: { after: number; limit: number }) {
    const { records, epoch } = this.#journal;
    const rows = records.slice(Math.min(after, records.length), Math.min(after, records.length) + limit);
    return { records: rows, lastSeq: records.length, epoch };
  }

  onRecord(listener: (record: JournalRecord) => void): () => void {
    this.#journal.listeners.add(listener);
    return () => this.#journal.listeners.delete(listener);
  }
}

function pageFrom<T>(
  rows: readonly T[],
  { limit, after }: { readonly limit: number; readonly after: string | null },
  keyOf: (row: T) => string,
): Page<T> {
  const from = after === null ? 0 : rows.findIndex((row) => `c${keyOf(row)}` === after) + 1;
  if (after !== null && from === 0) throw new RangeError('not a cursor of ours');
  const page = rows.slice(from, from + limit);
  const last = page.at(-1);
  return { rows: page, next: last && from + limit < rows.length ? `c${keyOf(last)}` : null };
}

export class MemoryMarket implements MarketPort {
  readonly beat$ = new Subject<Beat>();
  readonly beats = [this.beat$] as const;
  readonly quotes = new Map<string, Quote>();
  /** readers per key */
  readonly lines = new Map<string, number>();
  readonly refused = new Map<string, Reason>();
  contractAnswer: readonly ContractDetails[] | RequestFailure = [];
  barAnswer: readonly Bar[] | RequestFailure = [];
  barQueries: unknown[] = [];
  readonly #dirty = new Map<string, Map<string, number>>();

  acquire(_contract: Contract, key: string) {
    this.lines.set(key, (this.lines.get(key) ?? 0) + 1);
    let held = true;
    return {
      key,
      release: () => {
        if (!held) throw new Error(`${key} released twice`);
        held = false;
        this.lines.set(key, (this.lines.get(key) ?? 0) - 1);
      },
    };
  }

  /** Lines other than of quotes are tried with the whole runtime, or with cells of their own. */
  watch(_contract: Contract, _instrument: string, _feed: LineFeed): ReturnType<MarketPort['watch']> {
    throw new Error('quotes only');
  }

  quote(key: string): Quote | undefined {
    return this.quotes.get(key);
  }

  readonly quoteTrouble$ = new Subject<{ key: string; trouble: LineTrouble }>();
  quoteTrouble(key: string): LineTrouble | null {
    const reason = this.refused.get(key);
    return reason ? { reason, retryAfterMs: null } : null;
  }

  refuse(key: string, reason: Reason): void {
    this.refused.set(key, reason);
    this.quoteTrouble$.next({ key, trouble: { reason, retryAfterMs: null } });
  }

  async firstQuote(key: string): Promise<Quote | { failed: Reason } | undefined> {
    const failed = this.refused.get(key);
    return failed ? { failed } : this.quotes.get(key);
  }

  tick(key: string, field: QuoteField, value: number): void {
    const ts = Date.now();
    const quote = this.quotes.get(key) ?? { key, status: 'live' as const, ts };
    this.quotes.set(key, { ...quote, [field]: value, ts });
    const changed = this.#dirty.get(key) ?? new Map<string, number>();
    this.#dirty.set(key, changed.set(field, value));
  }

  /** Sends what changed since the last beat. */
  beat(): void {
    if (this.#dirty.size === 0) return;
    const ts = Date.now();
    const rows = [...this.#dirty].map(([key, changed]) => {
      const delta = JSON.stringify({ key, ...Object.fromEntries(changed), merged: changed.size, ts });
      return [key, { key, delta, merged: changed.size }] as const;
    });
    this.#dirty.clear();
    this.beat$.next({ ts, oldestAt: ts, rows: new Map(rows) });
  }

  async contracts() {
    return this.contractAnswer;
  }

  async search(pattern: string) {
    return [
      {
        instrument: pattern,
        contract: { conId: 1, symbol: pattern },
        description: `${pattern} INC`,
        derivativeSecTypes: ['OPT'],
      },
    ];
  }

  async bars(_contract: Contract, query: unknown) {
    this.barQueries.push(query);
    return this.barAnswer;
  }
}

export class MemoryHealth implements HealthPort {
  current: HealthReport = {
    status: 'pass',
    gates: { live: true, started: true, ready: true, trading: true },
    reasons: [],
    components: { tws: { status: 'pass', since: at }, journal: { status: 'pass', since: at } },
  };

  report(): HealthReport {
    return this.current;
  }

  metricsJson() {
    return { orders: { count: 3, p50: 0.2, p90: 0.4, p99: 0.9, max: 1.2 } };
  }

  async metricsText(): Promise<string> {
    return '# HELP orders_total Orders\n# TYPE orders_total counter\norders_total 3\n';
  }
}
