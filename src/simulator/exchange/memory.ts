/**
 * The memory of the simulated broker: a SQLite file that a killed process leaves complete up to the last thing it told. Each
 * write is one transaction without fsync: that outlives the process, a power cut may lose the newest of it.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { CommissionReport, Contract, Execution, OrderRequest } from '../model.ts';
import type { HoldingRecord, TradeRecord } from './ledger.ts';
import type { OrderState } from './workingOrder.ts';

/** Raise it whenever the rows change their meaning: files of another version are refused. */
const formatVersion = 1;
/** `simb` in the header: a SQLite file of somebody else is never taken for one of ours */
const applicationId = 0x73696d62;
const lockWaitMs = 2_000;
const keptForMs = 7 * 86_400_000;
const closedOrdersMax = 20_000;
const executionsMax = 100_000;
const writesPerSweep = 5_000;

export interface OrderRow {
  /** 0 = none */
  readonly parentPermId: number;
  /** complete, of the catalogue */
  readonly contract: Contract;
  readonly request: OrderRequest;
  readonly state: OrderState;
}

export interface ExecutionRow {
  readonly execution: Execution;
  readonly report: CommissionReport | null;
  readonly isComboLine: boolean;
}

export interface CashRow {
  readonly account: string;
  readonly currency: string;
  readonly amount: number;
}

export interface HoldingRow {
  readonly record: HoldingRecord;
  /** the trades of the day, oldest first */
  readonly trades: readonly TradeRecord[];
}

/** What must go on counting where it stopped, so that no id is given twice. */
export interface Counters {
  readonly lastPermId: number;
  readonly tapeSession: string;
  readonly tapeCounter: number;
}

export interface Remembered {
  /** null: nothing was ever written */
  readonly counters: Counters | null;
  /** ascending by permId */
  readonly orders: readonly OrderRow[];
  /** in the order in which they happened */
  readonly executions: readonly ExecutionRow[];
  readonly cash: readonly CashRow[];
  readonly holdings: readonly HoldingRow[];
}

/** What one operation of the exchange changed. */
export interface Changes {
  readonly counters: Counters | null;
  readonly orders: readonly OrderChange[];
  readonly executions: readonly ExecutionRow[];
  readonly cash: readonly CashRow[];
  readonly holdings: readonly HoldingChange[];
}

export interface OrderChange extends Omit<OrderRow, 'state'> {
  readonly state: OrderState;
  /** the state as JSON */
  readonly stateText: string;
  /** false: only the state differs from what was written last */
  readonly hasNewTerms: boolean;
}

export interface HoldingChange extends HoldingRow {
  /** the place in the day's log at which `trades` begin; what was written from there on is replaced */
  readonly from: number;
  /** the first write of this holding: it goes to the end of the list */
  readonly isNew: boolean;
}

const tables = `
create table counters (
  only integer primary key check (only = 1),
  last_perm_id integer not null,
  tape_session text not null,
  tape_counter integer not null
) strict;
create table order_ids (client_id integer primary key, next_id integer not null) strict;
create table orders (
  perm_id integer primary key,
  parent_perm_id integer not null,
  closing_rank integer,
  completed_at integer,
  contract text not null,
  request text not null,
  state text not null
) strict;
create index orders_by_parent on orders (parent_perm_id) where parent_perm_id <> 0;
create index orders_by_closing on orders (closing_rank) where closing_rank is not null;
create table executions (
  sequence integer primary key autoincrement,
  exec_id text not null unique,
  perm_id integer not null,
  time integer not null,
  row text not null
) strict;
create index executions_by_order on executions (perm_id);
create table cash (
  account text not null,
  currency text not null,
  amount real not null,
  primary key (account, currency)
) strict;
create table holdings (
  account text not null,
  con_id integer not null,
  record text not null,
  primary key (account, con_id)
) strict;
create table trades (
  account text not null,
  con_id integer not null,
  place integer not null,
  trade text not null,
  primary key (account, con_id, place)
) strict, without rowid;
`;

/** The file, open. Only one process at a time has it. */
export class ExchangeMemory {
  readonly path: string;
  /** what to do to have it in another file */
  readonly elsewhere: string;
  readonly #database: DatabaseSync;
  readonly #writes: Readonly<Record<keyof typeof writing, StatementSync>>;
  #writesSinceSweep = 0;

  constructor(path: string, database: DatabaseSync, elsewhere: string) {
    this.path = path;
    this.elsewhere = elsewhere;
    this.#database = database;
    const prepared = Object.entries(writing).map(([name, sql]) => [name, database.prepare(sql)]);
    this.#writes = Object.fromEntries(prepared) as Record<keyof typeof writing, StatementSync>;
  }

  /** Everything that is still of use at `now`; what is older than a week is forgotten. Throws when a row is damaged. */
  read(now: number): Remembered {
    try {
      this.#sweep(now - keptForMs);
      return {
        counters: this.#counters(),
        orders: this.#rows(
          'select parent_perm_id, contract, request, state from orders order by perm_id',
        ).map((row) => ({
          parentPermId: Number(row.parent_perm_id),
          contract: parse<Contract>(row.contract),
          request: parse<OrderRequest>(row.request),
          state: parse<OrderState>(row.state),
        })),
        executions: this.#rows('select row from executions order by sequence').map(({ row }) =>
          parse<ExecutionRow>(row),
        ),
        cash: this.#rows('select account, currency, amount from cash order by rowid').map((row) => ({
          account: String(row.account),
          currency: String(row.currency),
          amount: Number(row.amount),
        })),
        holdings: this.#holdings(),
      };
    } catch (error) {
      throw this.damaged(error instanceof Error ? error.message : String(error));
    }
  }

  /** All or nothing. When it returns, a killed process loses none of it. */
  write(changes: Changes): void {
    const { counters } = changes;
    const writes = this.#writes;
    this.#transaction(() => {
      if (counters !== null)
        writes.counters.run(counters.lastPermId, counters.tapeSession, counters.tapeCounter);
      for (const order of changes.orders) this.#writeOrder(order);
      for (const row of changes.executions) {
        const { execId, permId, time } = row.execution;
        writes.execution.run(execId, permId, time, JSON.stringify(row));
      }
      for (const { account, currency, amount } of changes.cash) writes.cash.run(account, currency, amount);
      for (const holding of changes.holdings) this.#writeHolding(holding);
    });
    this.#writesSinceSweep += 1;
    if (this.#writesSinceSweep >= writesPerSweep) this.#sweep(0);
  }

  #writeOrder({ state, stateText, request, contract, parentPermId, hasNewTerms }: OrderChange): void {
    const { permId, closingRank, completedAt } = state;
    if (!hasNewTerms) {
      this.#writes.orderState.run(closingRank, completedAt, stateText, permId);
      return;
    }
    const texts = [JSON.stringify(contract), JSON.stringify(request), stateText] as const;
    this.#writes.order.run(permId, parentPermId, closingRank, completedAt, ...texts);
  }

  #writeHolding({ record, trades, from, isNew }: HoldingChange): void {
    const { account, contract } = record;
    const { conId } = contract;
    if (isNew) this.#writes.noHolding.run(account, conId);
    this.#writes.holding.run(account, conId, JSON.stringify(record));
    this.#writes.noTrades.run(account, conId, from);
    trades.forEach((trade, index) => {
      this.#writes.trade.run(account, conId, from + index, JSON.stringify(trade));
    });
  }

  /** The next order id of each client that ever used one. */
  orderIds(): ReadonlyMap<number, number> {
    return new Map(
      this.#rows('select client_id, next_id from order_ids').map((row) => [
        Number(row.client_id),
        Number(row.next_id),
      ]),
    );
  }

  /** Ids below `nextId` were used by the client. A lower one than before changes nothing. */
  keepOrderId(clientId: number, nextId: number): void {
    this.#transaction(() => this.#writes.orderId.run(clientId, nextId));
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  /** The error of a file whose content cannot be the book of this program. */
  damaged(cause: string): Error {
    return damagedError(this.path, cause);
  }

  #transaction(run: () => void): void {
    try {
      this.#database.exec('begin immediate');
      run();
      this.#database.exec('commit');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('rollback');
      const cause = error instanceof Error ? error.message : String(error);
      throw new Error(`the simulated gateway cannot write its memory ${this.path} (${cause})`, {
        cause: error,
      });
    }
  }

  #rows(sql: string): readonly Readonly<Record<string, unknown>>[] {
    return this.#database.prepare(sql).all();
  }

  #counters(): Counters | null {
    const [row] = this.#rows('select last_perm_id, tape_session, tape_counter from counters');
    if (row === undefined) return null;
    return {
      lastPermId: Number(row.last_perm_id),
      tapeSession: String(row.tape_session),
      tapeCounter: Number(row.tape_counter),
    };
  }

  #holdings(): readonly HoldingRow[] {
    const tradesOf = this.#database.prepare(
      'select trade from trades where account = ? and con_id = ? order by place',
    );
    return this.#rows('select account, con_id, record from holdings order by rowid').map((row) => ({
      record: parse<HoldingRecord>(row.record),
      trades: tradesOf
        .all(String(row.account), Number(row.con_id))
        .map(({ trade }) => parse<TradeRecord>(trade)),
    }));
  }

  /** Forgets what happened before a time or is beyond the limits, except what open orders still need. */
  #sweep(before: number): void {
    this.#writesSinceSweep = 0;
    this.#transaction(() => {
      this.#writes.oldExecutions.run(before, executionsMax);
      this.#writes.oldOrders.run(before, closedOrdersMax);
    });
  }
}

const writing = {
  counters: 'insert or replace into counters values (1, ?, ?, ?)',
  orderId:
    'insert into order_ids values (?, ?) on conflict do update set next_id = max(next_id, excluded.next_id)',
  order: 'insert or replace into orders values (?, ?, ?, ?, ?, ?, ?)',
  orderState: 'update orders set closing_rank = ?, completed_at = ?, state = ? where perm_id = ?',
  execution:
    'insert into executions (exec_id, perm_id, time, row) values (?, ?, ?, ?) on conflict do update set row = excluded.row',
  cash: 'insert into cash values (?, ?, ?) on conflict do update set amount = excluded.amount',
  noHolding: 'delete from holdings where account = ? and con_id = ?',
  holding: 'insert into holdings values (?, ?, ?) on conflict do update set record = excluded.record',
  noTrades: 'delete from trades where account = ? and con_id = ? and place >= ?',
  trade: 'insert into trades values (?, ?, ?, ?)',
  oldExecutions: `delete from executions
    where (time < ? or sequence <= (select max(sequence) from executions) - ?)
    and not exists (select 1 from orders o where o.perm_id = executions.perm_id and o.closing_rank is null)`,
  oldOrders: `delete from orders
    where closing_rank is not null
    and (completed_at < ? or closing_rank <= (select max(closing_rank) from orders) - ?)
    and not exists (select 1 from executions e where e.perm_id = orders.perm_id)
    and not exists (select 1 from orders c where c.parent_perm_id = orders.perm_id and c.closing_rank is null)`,
} as const;

/** Opens the file or makes it, with its folder. Throws an error that names the file and what to do. */
export function openMemory(path: string, elsewhere = 'name another file'): ExchangeMemory {
  let database: DatabaseSync | null = null;
  try {
    mkdirSync(dirname(path), { recursive: true });
    database = new DatabaseSync(path, { timeout: lockWaitMs });
    database.exec('pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = normal');
    prepareTables(database, path, elsewhere);
    return new ExchangeMemory(path, database, elsewhere);
  } catch (error) {
    database?.close();
    if (error instanceof MemoryFormatError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    if (/locked|busy/i.test(message))
      throw new Error(
        `the simulated gateway's memory ${path} is in use by another simulated gateway: stop that one or ${elsewhere}`,
        { cause: error },
      );
    if (/not a database|malformed|corrupt/i.test(message)) throw damagedError(path, message);
    throw new Error(
      `the simulated gateway cannot open its memory ${path} (${message}): make its folder writable or ${elsewhere}`,
      { cause: error },
    );
  }
}

class MemoryFormatError extends Error {}

const remedy = 'Delete it to start anew: it holds nothing but the simulated broker.';

function damagedError(path: string, cause: string): Error {
  const line = cause.replaceAll(/[\s*]+/g, ' ').trim();
  return new MemoryFormatError(`the simulated gateway's memory ${path} is damaged (${line}). ${remedy}`);
}

function prepareTables(database: DatabaseSync, path: string, elsewhere: string): void {
  const number = (pragma: string) =>
    Number(Object.values(database.prepare(`pragma ${pragma}`).get() ?? {})[0]);
  const version = number('user_version');
  const owner = number('application_id');
  const isEmpty = database.prepare('select 1 from sqlite_schema limit 1').get() === undefined;
  if (isEmpty && version === 0 && owner === 0) {
    database.exec(
      `begin immediate; ${tables} pragma application_id = ${applicationId}; pragma user_version = ${formatVersion}; commit`,
    );
    return;
  }
  if (owner !== applicationId)
    throw new MemoryFormatError(`${path} is not a memory of the simulated gateway: ${elsewhere}`);
  if (version !== formatVersion)
    throw new MemoryFormatError(
      `the simulated gateway's memory ${path} has format ${version}, this program knows ${formatVersion}. ${remedy}`,
    );
  const [check] = Object.values(database.prepare('pragma quick_check(1)').get() ?? {});
  if (check !== 'ok') throw damagedError(path, String(check));
}

function parse<T>(text: unknown): T {
  return JSON.parse(String(text)) as T;
}
