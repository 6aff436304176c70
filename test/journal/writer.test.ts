/** Facts that wait for a disk: in their order, bounded, and written when it is back. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { createActor, fromCallback, setup } from 'xstate';
import type { JournalCommand, JournalEntry, JournalRecord, JournalReport } from '../../machines/journal.ts';
import { type Journal, openJournal } from '../../src/journal/journal.ts';
import { createJournalWriter, waitingMax, waitingNewsMax } from '../../src/journal/writer.ts';
import { temporaryFolder } from '../program.ts';
import { take } from './entries.ts';

const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0).reverse()) end();
});

interface Bench {
  readonly path: string;
  readonly journal: Journal;
  /** what the supervisor heard */
  readonly reports: JournalReport[];
  readonly announced: JournalRecord[];
  /** the disk, as the writer finds it */
  isBroken: boolean;
  send(command: JournalCommand): void;
  /** Time passes: everything that was put off for less is done. */
  pass(): void;
  /** why the writer gave up; null while it works */
  failure: unknown;
  stop(): void;
}

function bench(onCommitted: (records: readonly JournalRecord[]) => void = () => undefined): Bench {
  const folder = temporaryFolder();
  const path = join(folder.path, 'journal.db');
  const journal = openJournal(path);
  const reports: JournalReport[] = [];
  const announced: JournalRecord[] = [];
  let due: (() => void)[] = [];
  const putOff = (callback: () => void) => {
    due.push(callback);
    return () => {
      due = due.filter((other) => other !== callback);
    };
  };
  const writer = createJournalWriter({
    journal: {
      append(entries) {
        if (made.isBroken) throw new Error('the disk is gone');
        return journal.append(entries);
      },
      tidy: (isUrgent) => journal.tidy(isUrgent),
    },
    now: () => 1_000,
    onCommitted: (records) => {
      announced.push(...records);
      onCommitted(records);
    },
    onAppended: () => undefined,
    timers: { soon: putOff, after: (_, callback) => putOff(callback) },
  });
  const supervisor = createActor(
    setup({
      types: { events: {} as JournalReport | { readonly type: 'command'; readonly command: JournalCommand } },
      actors: { writer, ear: fromCallback(() => undefined) },
      actions: {
        hear: ({ event }) => {
          reports.push(event as JournalReport);
        },
        noteFailure: ({ event }) => {
          made.failure = (event as unknown as { error: unknown }).error;
        },
      },
    }).createMachine({
      invoke: {
        src: 'writer',
        id: 'writer',
        onError: { actions: 'noteFailure' },
      },
      on: { 'journal.*': { actions: 'hear' } },
    }),
  );
  const made: Bench = {
    path,
    journal,
    reports,
    announced,
    isBroken: false,
    failure: null,
    send: (command) => supervisor.getSnapshot().children.writer?.send(command),
    pass() {
      const now = due;
      due = [];
      for (const callback of now) callback();
    },
    stop: () => supervisor.stop(),
  };
  supervisor.start();
  endings.push(
    folder.remove,
    () => journal.close(),
    () => supervisor.stop(),
  );
  return made;
}

const written = ({ journal }: Bench) => journal.records({ after: 0, limit: 1_000_000 });
const order = (entry: JournalEntry) => (entry.kind === 'order' ? entry.order : null);

test('what comes while the disk is gone is written when it is back, in its order, once, and then told', () => {
  const made = bench();
  const entries = take(300);
  made.send({ type: 'journal.append', entries: entries.slice(0, 100) });
  made.pass();
  made.isBroken = true;
  made.send({ type: 'journal.append', entries: entries.slice(100, 200) });
  made.pass();
  made.send({ type: 'journal.append', entries: entries.slice(200) });
  made.pass();
  expect(made.reports).toEqual([{ type: 'journal.lost', message: 'the disk is gone', at: 1_000 }]);
  expect(written(made)).toHaveLength(100);
  expect(made.announced).toHaveLength(100);

  made.isBroken = false;
  made.pass();
  expect(made.reports.at(-1)).toEqual({ type: 'journal.recovered', at: 1_000 });
  expect(
    written(made)
      .filter(({ channel }) => channel === 'orders')
      .map(({ payload }) => payload.order),
  ).toEqual(entries.flatMap((entry) => order(entry) ?? []));
  expect(written(made).at(-1)).toMatchObject({
    event: 'journal.regained',
    payload: { health: { reason: 'the disk is gone', newsDropped: 0 } },
  });
  expect(made.announced).toEqual(written(made));
});

test('an intent that cannot be made durable is refused and leaves nothing behind', () => {
  const made = bench();
  const [intent, later] = take(2);
  if (!intent || !later) throw new Error('no entries');
  made.isBroken = true;
  made.send({ type: 'journal.commit', requestId: 'r1', entries: [intent] });
  expect(made.reports).toEqual([
    { type: 'journal.lost', message: 'the disk is gone', at: 1_000 },
    { type: 'journal.failed', requestId: 'r1', message: 'the disk is gone' },
  ]);
  made.isBroken = false;
  made.pass();
  expect(written(made).map(({ event }) => event)).toEqual(['journal.regained']);
  made.send({ type: 'journal.commit', requestId: 'r2', entries: [later] });
  expect(made.reports.at(-1)).toEqual({ type: 'journal.committed', requestId: 'r2', seqs: [2] });
});

test('an intent is written behind everything that waits, and learns its own numbers', () => {
  const made = bench();
  const entries = take(10);
  made.isBroken = true;
  made.send({ type: 'journal.append', entries: entries.slice(0, 8) });
  made.pass();
  made.isBroken = false;
  made.send({ type: 'journal.commit', requestId: 'r', entries: entries.slice(8) });
  expect(made.reports.slice(-2)).toEqual([
    { type: 'journal.recovered', at: 1_000 },
    { type: 'journal.committed', requestId: 'r', seqs: [9, 10] },
  ]);
  made.pass();
  expect(written(made)).toHaveLength(11);
  expect(made.announced).toEqual(written(made));
});

test('news about the link is dropped and counted when too much waits, facts about orders are kept', () => {
  const made = bench();
  made.isBroken = true;
  const news: JournalEntry = { kind: 'health', at: 1, event: 'tws.farmChanged', detail: {} };
  const facts = take(50).filter(({ kind }) => kind === 'order');
  made.send({ type: 'journal.append', entries: [news] });
  made.pass();
  for (let i = 0; i < waitingNewsMax + 500; i += 1) made.send({ type: 'journal.append', entries: [news] });
  made.send({ type: 'journal.append', entries: facts });
  made.isBroken = false;
  for (let i = 0; i < 20; i += 1) made.pass();
  const records = written(made);
  expect(records.filter(({ event }) => event === 'tws.farmChanged')).toHaveLength(waitingNewsMax);
  expect(records.filter(({ channel }) => channel === 'orders')).toHaveLength(facts.length);
  expect(records.find(({ event }) => event === 'journal.regained')).toMatchObject({
    payload: { health: { newsDropped: 501 } },
  });
  expect(made.announced).toEqual(records);
});

test('it gives up rather than keep facts without end', () => {
  const made = bench();
  made.isBroken = true;
  const [fact] = take(1);
  if (!fact) throw new Error('no entry');
  made.send({ type: 'journal.append', entries: [fact] });
  made.pass();
  made.send({ type: 'journal.append', entries: Array.from({ length: waitingMax }, () => fact) });
  expect(String(made.failure)).toMatch(
    /the journal cannot be written \(the disk is gone\) and 50000 facts wait for it/,
  );
});

test('whoever stumbles over a record does not take the journal for lost', () => {
  const made = bench(() => {
    throw new Error('a reader stumbles');
  });
  made.send({ type: 'journal.append', entries: take(3) });
  expect(() => made.pass()).toThrow('a reader stumbles');
  expect(made.reports).toEqual([]);
  made.send({ type: 'journal.commit', requestId: 'r', entries: take(1) });
  expect(made.reports).toEqual([{ type: 'journal.committed', requestId: 'r', seqs: [4] }]);
  expect(written(made)).toHaveLength(4);
});

test('what waits is written when the tree stops, and a broken disk does not keep it from stopping', () => {
  const whole = bench();
  whole.send({ type: 'journal.append', entries: take(5_000) });
  whole.stop();
  expect(written(whole)).toHaveLength(5_000);
  const broken = bench();
  broken.isBroken = true;
  broken.send({ type: 'journal.append', entries: take(5) });
  broken.stop();
  expect(written(broken)).toEqual([]);
});

test('the write-ahead log is moved between orders, never while one is made durable, and stays short', () => {
  const made = bench();
  const log = () => statSync(`${made.path}-wal`).size;
  const file = () => statSync(made.path).size;
  made.pass();
  const atFirst = file();
  for (let index = 0; index < 200; index += 1)
    made.send({ type: 'journal.commit', requestId: `r${index}`, entries: take(1) });
  expect(file()).toBe(atFirst);
  made.send({ type: 'journal.append', entries: take(1) });
  made.pass();
  expect(file()).toBeGreaterThan(atFirst);
  const moved = log();
  for (let round = 0; round < 20; round += 1) {
    made.send({ type: 'journal.append', entries: take(100) });
    made.pass();
  }
  expect(log()).toBeLessThan(moved * 2);
});
