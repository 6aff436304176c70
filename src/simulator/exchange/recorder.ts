/** Writes what an operation of the exchange changed into its memory, and only then lets the world hear of it. */
import type { ExchangeEvent, ExchangeScript } from '../model.ts';
import type { OrderBook } from './book.ts';
import type { Ledger } from './ledger.ts';
import type {
  CashRow,
  Counters,
  ExchangeMemory,
  ExecutionRow,
  HoldingChange,
  OrderChange,
} from './memory.ts';
import type { Tape } from './tape.ts';
import type { WorkingOrder } from './workingOrder.ts';
import { stateOf } from './workingOrder.ts';

export interface RecorderParts {
  readonly memory: ExchangeMemory;
  readonly book: OrderBook;
  readonly tape: Tape;
  readonly ledger: Ledger;
  counters(): Counters;
  /** tells the listeners */
  deliver(event: ExchangeEvent): void;
}

/**
 * An operation is one appointment of the agenda or one pull of a lever: all of it is remembered or nothing. Whatever is told
 * names what changed; what changes in silence is named by `remember`.
 */
export class Recorder {
  private readonly parts: RecorderParts;
  private depth = 0;
  private isDelivering = false;
  private readonly events: ExchangeEvent[] = [];
  private readonly outbox: ExchangeEvent[] = [];
  private readonly orders = new Set<WorkingOrder>();
  private readonly execIds = new Set<string>();
  private readonly accounts = new Set<string>();
  private readonly holdings = new Map<string, { readonly account: string; readonly conId: number }>();
  /** what the file holds already */
  private readonly savedOrders = new WeakMap<WorkingOrder, { readonly request: object; state: string }>();
  private readonly savedHoldings = new WeakSet<object>();
  private readonly savedCash = new Map<string, number>();
  private savedCounters: Counters | null = null;

  constructor(parts: RecorderParts) {
    this.parts = parts;
  }

  /** Runs an operation, or a part of the one that runs already. */
  run<T>(operation: () => T): T {
    this.depth += 1;
    try {
      return operation();
    } finally {
      this.depth -= 1;
      if (this.depth === 0) this.finish();
    }
  }

  /** Each lever as an operation. */
  guard(script: ExchangeScript): ExchangeScript {
    return new Proxy(script, {
      get: (target, name) => {
        const lever: unknown = Reflect.get(target, name);
        if (typeof lever !== 'function') return lever;
        return (...args: unknown[]) => this.run((): unknown => Reflect.apply(lever, target, args));
      },
    });
  }

  remember(order: WorkingOrder): void {
    this.orders.add(order);
  }

  /** Takes an event that is told when the operation has been written. */
  hear(event: ExchangeEvent): void {
    if (this.depth === 0) {
      this.run(() => this.hear(event));
      return;
    }
    this.events.push(event);
    const { book, tape } = this.parts;
    switch (event.type) {
      case 'openOrder':
      case 'orderStatus': {
        const order = book.withPermId(event.order.permId);
        if (order !== null) this.orders.add(order);
        return;
      }
      case 'execution':
      case 'commission': {
        const { execId } = event.type === 'execution' ? event.execution : event.report;
        this.execIds.add(execId);
        const entry = tape.entry(execId);
        if (entry !== null) this.orders.add(entry.order);
        return;
      }
      case 'position': {
        const { account, contract } = event.position;
        this.holdings.set(`${account}:${contract.conId}`, { account, conId: contract.conId });
        return;
      }
      case 'account':
        this.accounts.add(event.account);
        return;
      case 'orderError':
        return;
    }
  }

  private finish(): void {
    this.write();
    for (const event of this.events.splice(0)) this.outbox.push(event);
    if (this.isDelivering) return;
    this.isDelivering = true;
    try {
      for (let event = this.outbox.shift(); event !== undefined; event = this.outbox.shift())
        this.parts.deliver(event);
    } finally {
      this.isDelivering = false;
    }
  }

  private write(): void {
    const changes = {
      counters: this.counterChange(),
      orders: this.orderChanges(),
      executions: this.executionRows(),
      cash: this.cashRows(),
      holdings: this.holdingChanges(),
    };
    const { counters, orders, executions, cash, holdings } = changes;
    if (counters === null && orders.length + executions.length + cash.length + holdings.length === 0) return;
    this.parts.memory.write(changes);
  }

  private counterChange(): Counters | null {
    const counters = this.parts.counters();
    const saved = this.savedCounters;
    if (saved?.lastPermId === counters.lastPermId && saved.tapeCounter === counters.tapeCounter) return null;
    this.savedCounters = counters;
    return counters;
  }

  private orderChanges(): readonly OrderChange[] {
    const changes: OrderChange[] = [];
    for (const order of this.orders) {
      const { request } = order;
      const state = stateOf(order);
      const stateText = JSON.stringify(state);
      const saved = this.savedOrders.get(order);
      if (saved?.request === request && saved.state === stateText) continue;
      this.savedOrders.set(order, { request, state: stateText });
      changes.push({
        parentPermId: order.parent?.permId ?? 0,
        contract: order.instrument.contract,
        request,
        state,
        stateText,
        hasNewTerms: saved?.request !== request,
      });
    }
    this.orders.clear();
    return changes;
  }

  private executionRows(): readonly ExecutionRow[] {
    const rows: ExecutionRow[] = [];
    for (const execId of this.execIds) {
      const entry = this.parts.tape.entry(execId);
      if (entry === null) continue;
      const { execution, report, isComboLine } = entry;
      rows.push({ execution, report, isComboLine });
    }
    this.execIds.clear();
    return rows;
  }

  private cashRows(): readonly CashRow[] {
    const rows: CashRow[] = [];
    for (const account of this.accounts) {
      for (const [currency, amount] of this.parts.ledger.cash(account)) {
        const key = `${account}:${currency}`;
        if (this.savedCash.get(key) === amount) continue;
        this.savedCash.set(key, amount);
        rows.push({ account, currency, amount });
      }
    }
    this.accounts.clear();
    return rows;
  }

  private holdingChanges(): readonly HoldingChange[] {
    const changes: HoldingChange[] = [];
    for (const { account, conId } of this.holdings.values()) {
      const saved = this.parts.ledger.save(account, conId);
      if (saved === null) continue;
      const { identity, record, from, trades } = saved;
      changes.push({ record, from, trades, isNew: !this.savedHoldings.has(identity) });
      this.savedHoldings.add(identity);
    }
    this.holdings.clear();
    return changes;
  }
}
