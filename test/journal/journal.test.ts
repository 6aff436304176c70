/** What the journal gives back is what was written, however it was left. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, test } from 'vitest';
import { isClosed } from '../../machines/evidence.ts';
import type { JournalEntry } from '../../machines/journal.ts';
import type { Order } from '../../machines/order.ts';
import { openJournal } from '../../src/journal/journal.ts';
import { startProgram, temporaryFolder } from '../program.ts';
import { take } from './entries.ts';

const folders: { remove(): void }[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});
function file(): string {
  const folder = temporaryFolder();
  folders.push(folder);
  return join(folder.path, 'journal.db');
}

function write(path: string, entries: readonly JournalEntry[], perBatch = 7): void {
  const journal = openJournal(path);
  for (let from = 0; from < entries.length; from += perBatch)
    journal.append(entries.slice(from, from + perBatch));
  journal.close();
}

/** The newest view of each order, as the entries tell it. */
function newestOrders(entries: readonly JournalEntry[]): Map<string, Order> {
  return new Map(
    entries.flatMap((entry) => (entry.kind === 'order' ? [[entry.order.clientOrderId, entry.order]] : [])),
  );
}

describe('reading', () => {
  const entries = take(1_500);

  test('every fact comes back in its order, once', () => {
    const path = file();
    write(path, entries);
    const journal = openJournal(path);
    expect(journal.findings).toEqual([]);
    expect(journal.lastSeq()).toBe(entries.length);
    const records = journal.records({ after: 0, limit: 10_000 });
    expect(records.map(({ seq }) => seq)).toEqual(entries.map((_, index) => index + 1));
    const orders = records.filter(({ channel }) => channel === 'orders').map(({ payload }) => payload.order);
    expect(orders).toEqual(entries.flatMap((entry) => (entry.kind === 'order' ? [entry.order] : [])));
    expect(journal.records({ after: 1_490, limit: 3 }).map(({ seq }) => seq)).toEqual([1_491, 1_492, 1_493]);
    journal.close();
  });

  test('a start gets the open orders with all their facts, the positions, and a number above every order', () => {
    const path = file();
    write(path, entries);
    const journal = openJournal(path);
    const { open, closed, nextOrderId, positions, executions, trading } = journal.restore(0);
    const newest = newestOrders(entries);
    const ours = open.map(({ facts }) => facts[0]?.clientOrderId ?? '');
    expect(ours).toEqual(
      [...newest.values()].filter((order) => !isClosed(order)).map(({ clientOrderId }) => clientOrderId),
    );
    for (const [index, { facts }] of open.entries()) {
      const written = entries.flatMap((entry, at) =>
        entry.kind === 'order' && entry.order.clientOrderId === ours[index]
          ? [{ ...entry.fact, seq: at + 1 }]
          : [],
      );
      expect(facts).toEqual(written);
    }
    expect(closed).toEqual([...newest.values()].filter(isClosed));
    expect(nextOrderId).toBe(Math.max(...[...newest.values()].map(({ orderId }) => orderId ?? 0)) + 1);
    const last = entries.findLast((entry) => entry.kind === 'position');
    expect(positions).toEqual([last?.kind === 'position' ? last.position : null]);
    expect(executions).toHaveLength(entries.filter(({ kind }) => kind === 'execution').length);
    const switched = entries.findLast((entry) => entry.kind === 'trading');
    expect(trading).toEqual({ state: switched?.kind === 'trading' ? switched.state : 'open', reasons: [] });
    expect(journal.restore(Number.MAX_SAFE_INTEGER).closed).toEqual([]);
    journal.close();
  });

  test('pages lead through every order and every execution once, newest first', () => {
    const path = file();
    write(path, entries);
    const journal = openJournal(path);
    const newest = newestOrders(entries);
    for (const state of ['all', 'open', 'closed'] as const) {
      const ids: string[] = [];
      let after: string | null = null;
      do {
        const page: { rows: readonly Order[]; next: string | null } = journal.orders({
          state,
          limit: 17,
          after,
        });
        ids.push(...page.rows.map(({ clientOrderId }) => clientOrderId));
        after = page.next;
      } while (after !== null);
      const expected = [...newest.values()]
        .filter((order) => state === 'all' || isClosed(order) === (state === 'closed'))
        .map(({ clientOrderId }) => clientOrderId)
        .reverse();
      expect(ids).toEqual(expected);
    }
    expect(() => journal.orders({ state: 'all', limit: 1, after: 'bm9uc2Vuc2U' })).toThrow(RangeError);
    const { next } = journal.executions({ limit: 1, after: null });
    expect(() => journal.orders({ state: 'all', limit: 1, after: next })).toThrow(RangeError);
    journal.close();
  });

  test('times decide nothing: a clock that is set back or forward leaves order and newest state as written', () => {
    const shifted = entries.map((entry, index): JournalEntry => {
      const by = index % 3 === 0 ? -3_600_000 : index % 5 === 0 ? 86_400_000 : 0;
      if (entry.kind === 'order') return { ...entry, fact: { ...entry.fact, at: entry.fact.at + by } };
      return { ...entry, at: entry.at + by };
    });
    const path = file();
    write(path, shifted);
    const journal = openJournal(path);
    const newest = newestOrders(entries);
    expect(journal.orders({ state: 'all', limit: 500, after: null }).rows).toEqual(
      [...newest.values()].reverse().slice(0, 500),
    );
    expect(journal.restore(0).open.map(({ facts }) => facts.map(({ seq }) => seq))).toEqual(
      journal.restore(0).open.map(({ facts }) => facts.map(({ seq }) => seq ?? 0).sort((a, b) => a - b)),
    );
    expect(journal.restore(0).open).toHaveLength(
      [...newest.values()].filter((order) => !isClosed(order)).length,
    );
    journal.close();
  });
});

describe('the read model', () => {
  const spoil: Readonly<Record<string, string>> = {
    'an order is taken for closed': "update heads set is_open = 0 where kind = 'order' and is_open = 1",
    'an older fact is taken for the newest': "update heads set seq = first_seq where kind = 'order'",
    'an order id is lost':
      'update heads set order_id = null where order_id = (select max(order_id) from heads)',
    'an execution is missing': "delete from heads where kind = 'execution' and seq % 2 = 0",
    'an order is invented': "insert into heads values ('order', 'o-x', 1, 1, 0, 1, 9999)",
    'nothing is there': 'delete from heads',
  };
  for (const [what, sql] of Object.entries(spoil)) {
    test(`is made again from the facts when ${what}`, () => {
      const path = file();
      write(path, take(600));
      const whole = openJournal(path);
      const before = { ...whole.restore(0), page: whole.orders({ state: 'all', limit: 500, after: null }) };
      whole.close();
      const database = new DatabaseSync(path);
      database.exec(sql);
      database.close();
      const again = openJournal(path);
      expect(again.findings).toEqual([expect.stringContaining('made again')]);
      expect({ ...again.restore(0), page: again.orders({ state: 'all', limit: 500, after: null }) }).toEqual(
        before,
      );
      again.close();
      const third = openJournal(path);
      expect(third.findings).toEqual([]);
      third.close();
    });
  }
});

describe('one journal, one process', () => {
  test('a journal of the simulated gateway is not taken to a TWS, nor the other way round', async () => {
    const folder = temporaryFolder();
    folders.push(folder);
    const first = await startProgram(folder.path, {});
    await first.stop();
    await expect(startProgram(folder.path, { GATEWAY: 'tws', TWS_PORT: '1' })).rejects.toThrow(
      /ended with \d+:[\s\S]*JOURNAL_PATH: .*journal\.db holds orders of the simulated gateway, and GATEWAY=tws needs a journal of its own: set another JOURNAL_PATH/,
    );
    const again = await startProgram(folder.path, {});
    await again.stop();
  });

  test('a second program on the same file ends with a message that says why and what to do', async () => {
    const folder = temporaryFolder();
    folders.push(folder);
    // Nobody listens there: a journal is locked whether or not its program has a session.
    const environment = { GATEWAY: 'tws', TWS_PORT: '1' };
    const first = await startProgram(folder.path, environment);
    try {
      await expect(startProgram(folder.path, environment)).rejects.toThrow(
        /ended with 1:[\s\S]*JOURNAL_PATH: cannot open .*journal\.db \(database is locked\); another tws-runtime is using it/,
      );
      expect((await first.call('GET', '/health/live')).status).toBe(200);
    } finally {
      await first.kill();
    }
    const third = await startProgram(folder.path, environment);
    expect(await third.stop()).toBe(0);
  });

  test('a reader cannot get in between either, and the lock dies with its holder', async () => {
    const path = file();
    write(path, take(20));
    const holder = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { openJournal } from ${JSON.stringify(new URL('../../src/journal/journal.ts', import.meta.url).href)};
         openJournal(${JSON.stringify(path)}); process.stdout.write('open'); setInterval(() => {}, 1000);`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await once(holder.stdout, 'data');
    expect(() => openJournal(path)).toThrow(/another tws-runtime is using it/);
    const gone = once(holder, 'exit');
    holder.kill('SIGKILL');
    await gone;
    const journal = openJournal(path);
    expect(journal.lastSeq()).toBe(20);
    journal.close();
  });
});
