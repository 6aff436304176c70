/** A venue with a memory, and what is left of it when its process is killed. */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExchangeOptions } from '../../src/simulator/exchange/exchange.ts';
import { type ExchangeMemory, openMemory } from '../../src/simulator/exchange/memory.ts';
import type { Exchange } from '../../src/simulator/model.ts';
import { mondayMorning, openVenue } from './exchangeDriver.ts';

export interface MemoryFolder {
  readonly path: string;
  /** A venue on a file of this folder. */
  open(file?: string, options?: Partial<ExchangeOptions> & { readonly startMs?: number }): RememberingVenue;
  /** What a process that is killed now leaves behind, as a file of its own: no goodbye, no checkpoint, no close. */
  remains(file?: string): string;
  remove(): void;
}

export type RememberingVenue = ReturnType<typeof openVenue> & { readonly memory: ExchangeMemory };

export function memoryFolder(): MemoryFolder {
  const path = mkdtempSync(join(tmpdir(), 'broker-'));
  const memories: ExchangeMemory[] = [];
  const exchanges: Exchange[] = [];
  let copies = 0;
  return {
    path,
    open(file = 'broker.db', options = {}) {
      const memory = openMemory(join(path, file));
      memories.push(memory);
      const venue = openVenue({ startMs: mondayMorning, ...options, memory });
      exchanges.push(venue.exchange);
      return { ...venue, memory };
    },
    remains(file = 'broker.db') {
      copies += 1;
      const copy = `killed-${copies}.db`;
      for (const part of ['', '-wal'])
        if (existsSync(join(path, file + part)))
          copyFileSync(join(path, file + part), join(path, copy + part));
      return copy;
    },
    remove() {
      for (const exchange of exchanges) exchange.close();
      for (const memory of memories) memory.close();
      rmSync(path, { recursive: true });
    },
  };
}

/** Everything that a client can ask about orders and accounts. */
export function pictureOf(exchange: Exchange) {
  const executions = exchange.executions({
    clientId: 0,
    account: '',
    since: 0,
    symbol: '',
    secType: '',
    exchange: '',
    side: '',
  });
  return {
    openOrders: exchange.openOrders(),
    completedOrders: exchange.completedOrders(),
    executions,
    commissions: executions.map(({ execId }) => exchange.commissionReport(execId)),
    positions: exchange.positions(),
    accounts: exchange.accounts.map((account) => ({
      values: exchange.accountValues(account),
      pnl: exchange.pnl(account),
      each: exchange.positions().map(({ contract }) => exchange.pnlSingle(account, contract.conId)),
    })),
  };
}
