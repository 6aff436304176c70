/**
 * A journal that was cut or flipped anywhere: it opens to its last good fact, or it is refused with instructions.
 * Whatever it gives back is a prefix of what was written, and its read model follows from that prefix.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isClosed } from '../../machines/evidence.ts';
import type { JournalEntry } from '../../machines/journal.ts';
import type { Order } from '../../machines/order.ts';
import { type Journal, openJournal } from '../../src/journal/journal.ts';
import { repair } from '../../src/journal/repair.ts';
import { seededRandom } from '../../src/simulator/shuffle.ts';
import { fastestFolder, temporaryFolder } from '../program.ts';
import { take } from './entries.ts';

const folder = temporaryFolder(fastestFolder);
afterAll(() => folder.remove());

interface Original {
  readonly path: string;
  readonly entries: readonly JournalEntry[];
  /** how many facts were durable after each commit */
  readonly commits: readonly number[];
}

/** A journal as a killed process leaves it: its write-ahead log still beside it. */
function abandoned(name: string, count: number): Original {
  const path = join(folder.path, name, 'journal.db');
  const live = join(folder.path, name, 'live.db');
  const entries = take(count, 7);
  const commits: number[] = [];
  const journal = openJournal(live);
  const random = seededRandom(3);
  for (let from = 0; from < count; ) {
    const size = 1 + Math.floor(random() * 6);
    from += journal.append(entries.slice(from, from + size)).length;
    commits.push(from);
    journal.tidy();
  }
  copyFileSync(live, path);
  copyFileSync(`${live}-wal`, `${path}-wal`);
  journal.close();
  return { path, entries, commits };
}

let trial = 0;
function damagedCopy(original: Original, damage: (path: string) => void): string {
  trial += 1;
  const place = join(folder.path, `t${trial}`);
  mkdirSync(place);
  const path = join(place, 'journal.db');
  copyFileSync(original.path, path);
  if (existsSync(`${original.path}-wal`)) copyFileSync(`${original.path}-wal`, `${path}-wal`);
  damage(path);
  return path;
}

/** Opens, and proves what it holds to be a prefix with the read model that belongs to it. The number of facts, or why it was refused. */
function look(path: string, { entries }: Original): number | string {
  let journal: Journal;
  try {
    journal = openJournal(path);
  } catch (error) {
    return (error as Error).message;
  }
  try {
    const count = journal.lastSeq();
    const records = journal.records({ after: 0, limit: entries.length + 1 });
    expect(records).toHaveLength(count);
    const kept = entries.slice(0, count);
    for (const [index, entry] of kept.entries()) {
      const record = records[index];
      if (entry.kind === 'order') expect(record?.payload.order).toEqual(entry.order);
      else
        expect(record?.event).toBe(
          entry.kind === 'trading' ? 'trading.changed' : 'event' in entry ? entry.event : 'position.changed',
        );
    }
    const newest = new Map<string, Order>();
    for (const entry of kept) if (entry.kind === 'order') newest.set(entry.order.clientOrderId, entry.order);
    const { open, closed, executions } = journal.restore(0);
    expect(open.map(({ facts }) => facts[0]?.clientOrderId)).toEqual(
      [...newest.values()].filter((order) => !isClosed(order)).map(({ clientOrderId }) => clientOrderId),
    );
    expect(closed).toEqual([...newest.values()].filter(isClosed));
    expect(executions).toHaveLength(kept.filter(({ kind }) => kind === 'execution').length);
    // It goes on from there.
    expect(journal.append([{ kind: 'alert', at: 1, event: 'tws.noted', detail: {} }])[0]?.seq).toBe(
      count + 1,
    );
    return count;
  } catch (error) {
    if (error instanceof Error && /JOURNAL_PATH: .* is damaged/.test(error.message)) return error.message;
    throw error;
  } finally {
    journal.close();
  }
}

const instructions =
  /^JOURNAL_PATH: .* is damaged \(.*\); put back a copy of .* from a backup .* npm run journal:repair -- .*JOURNAL_PATH/s;

/** Looks at a damaged copy, and when it is refused, at what can be saved of it. */
function judge(original: Original, damage: (path: string) => void): number | string {
  const path = damagedCopy(original, damage);
  const verdict = look(path, original);
  if (typeof verdict === 'string') {
    expect(verdict).toMatch(instructions);
    const saved = join(path, '..', 'saved.db');
    const { lastSeq } = repair(path, saved);
    expect(look(saved, original)).toBe(lastSeq);
  }
  rmSync(join(path, '..'), { recursive: true });
  return verdict;
}

describe('a log that was never worked in', () => {
  let original: Original;
  let size: number;
  beforeAll(() => {
    original = abandoned('log', 40);
    size = statSync(`${original.path}-wal`).size;
  });

  test('cut at every 512 bytes, it opens to the last commit before the cut', () => {
    let most = 0;
    for (let cut = 0; cut <= size; cut += 512) {
      const verdict = judge(original, (path) => truncateSync(`${path}-wal`, cut));
      expect([0, ...original.commits]).toContain(verdict);
      expect(Number(verdict)).toBeGreaterThanOrEqual(most);
      most = Number(verdict);
    }
    expect(judge(original, () => undefined)).toBe(40);
  }, 120_000);

  test('cut at any byte or with any bit flipped, it opens to a commit', () => {
    const random = seededRandom(11);
    for (let i = 0; i < 60; i += 1) {
      const at = Math.floor(random() * size);
      expect([0, ...original.commits]).toContain(judge(original, (path) => truncateSync(`${path}-wal`, at)));
      expect([0, ...original.commits]).toContain(judge(original, (path) => flip(`${path}-wal`, at, random)));
    }
  }, 120_000);
});

describe('a file and a log that was worked in before', () => {
  let original: Original;
  beforeAll(() => {
    original = abandoned('both', 1_500);
    expect(statSync(original.path).size).toBeGreaterThan(500_000);
  });

  test('whatever is cut or flipped in either, it opens to a prefix or is refused with instructions', () => {
    const random = seededRandom(23);
    const verdicts = { opened: 0, refused: 0 };
    const count = (verdict: number | string) => {
      if (typeof verdict === 'string') verdicts.refused += 1;
      else verdicts.opened += 1;
    };
    const sizes = [statSync(original.path).size, statSync(`${original.path}-wal`).size] as const;
    for (let i = 0; i < 30; i += 1) {
      for (const [suffix, size] of [
        ['', sizes[0]],
        ['-wal', sizes[1]],
      ] as const) {
        const at = Math.floor(random() * size);
        count(judge(original, (path) => truncateSync(path + suffix, i % 2 === 0 ? at : at - (at % 512))));
        count(judge(original, (path) => flip(path + suffix, at, random)));
      }
    }
    expect(verdicts.opened).toBeGreaterThan(10);
    expect(verdicts.refused).toBeGreaterThan(10);
  }, 180_000);
});

test('a log without its file is refused: SQLite would delete it', () => {
  const original = abandoned('orphan', 40);
  for (const damage of [(path: string) => rmSync(path), (path: string) => truncateSync(path, 0)]) {
    const path = damagedCopy(original, damage);
    const before = readFileSync(`${path}-wal`);
    expect(look(path, original)).toMatch(instructions);
    expect(readFileSync(`${path}-wal`)).toEqual(before);
  }
});

test('a fact that was changed by hand is found, whether at the start or when it is read', () => {
  const original = abandoned('edited', 200);
  const edit = (sql: string) =>
    damagedCopy(original, (path) => {
      const database = new DatabaseSync(path);
      database.exec(sql);
      database.close();
    });
  const figure = edit(
    `update facts set payload = replace(payload, '"quantity":"10"', '"quantity":"90"') where seq = 1`,
  );
  expect(look(figure, original)).toMatch(instructions);
  const swapped = edit(
    'update facts set seq = -1 where seq = 10; update facts set seq = 10 where seq = 11; update facts set seq = 11 where seq = -1',
  );
  expect(look(swapped, original)).toMatch(instructions);
  const hole = edit('delete from facts where seq = 150');
  expect(look(hole, original)).toMatch(/of 200 facts only 199 are there/);
  const saved = join(hole, '..', 'saved.db');
  expect(repair(hole, saved)).toMatchObject({ lastSeq: 149 });
  expect(look(saved, original)).toBe(149);
});

test('something that is no journal is refused and left as it is', () => {
  const path = join(folder.path, 'letter.txt');
  writeFileSync(path, 'dear diary, '.repeat(1_000));
  const before = readFileSync(path);
  expect(() => openJournal(path)).toThrow(/JOURNAL_PATH: .* is damaged \(file is not a database\)/);
  expect(readFileSync(path)).toEqual(before);
});

test('a repair never writes over a file', () => {
  const original = abandoned('kept', 30);
  expect(() => repair(original.path, original.path)).toThrow(/exists: name a new file/);
  expect(() => repair(join(folder.path, 'nowhere.db'), join(folder.path, 'new.db'))).toThrow(
    /does not exist/,
  );
});

function flip(file: string, at: number, random: () => number): void {
  const bytes = readFileSync(file);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
  writeFileSync(file, bytes);
}
