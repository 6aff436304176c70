/** The name of a row of numbers: the same for as long as each number stands for one fact. */
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, expect, test } from 'vitest';
import { openJournal } from '../../src/journal/journal.ts';
import { repair } from '../../src/journal/repair.ts';
import { temporaryFolder } from '../program.ts';
import { take } from './entries.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());

const entries = take(60, 11);
const path = join(folder.path, 'journal.db');
const before = join(folder.path, 'before.db');

/** The file as it was before its newest facts, without the note of how far it had come. */
function loseEnd(): void {
  for (const suffix of ['', '-wal']) {
    rmSync(path + suffix, { force: true });
  }
  copyFileSync(before, path);
}

test('an epoch outlives restarts, and ends when numbers that were told are given again', () => {
  const first = openJournal(path);
  const { length } = first.append(entries.slice(0, 30));
  first.tidy();
  const epoch = first.epoch();
  expect(epoch).toMatch(/^[0-9a-f]{8}$/);
  first.close();

  copyFileSync(path, before);
  const second = openJournal(path);
  expect(second.epoch()).toBe(epoch);
  second.append(entries.slice(30, 45));
  second.tidy();
  second.close();

  loseEnd();
  const third = openJournal(path);
  expect(third.lastSeq()).toBe(length);
  expect(third.findings).toEqual([expect.stringContaining('15 facts')]);
  expect(third.epoch()).not.toBe(epoch);
  third.append(entries.slice(45, 50));
  third.tidy();
  const renewed = third.epoch();
  third.close();

  const fourth = openJournal(path);
  expect([fourth.epoch(), fourth.findings]).toEqual([renewed, []]);
  fourth.close();
});

test('what nobody was told of is no loss', () => {
  const journal = openJournal(path);
  const epoch = journal.epoch();
  journal.close();
  copyFileSync(path, before);
  const live = openJournal(path);
  live.append(entries.slice(50, 55));
  // Killed before anybody heard of it: no note was taken.
  const told = join(folder.path, 'told');
  copyFileSync(`${path}.seq`, told);
  live.close();
  copyFileSync(told, `${path}.seq`);
  loseEnd();
  const again = openJournal(path);
  expect([again.epoch(), again.findings]).toEqual([epoch, []]);
  again.close();
});

test('a repaired journal has an epoch of its own, and one from before there were epochs gets one', () => {
  const journal = openJournal(path);
  const epoch = journal.epoch();
  journal.close();
  const repaired = join(folder.path, 'repaired.db');
  repair(path, repaired);
  const saved = openJournal(repaired);
  expect(saved.epoch()).not.toBe(epoch);
  saved.close();
  const old = new DatabaseSync(repaired);
  old.exec('pragma application_id = 0');
  old.close();
  const upgraded = openJournal(repaired);
  expect(upgraded.epoch()).not.toBe('00000000');
  upgraded.close();
});
