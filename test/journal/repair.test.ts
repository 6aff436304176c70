/** What `npm run journal:repair` saves of a journal, says and returns: a process of its own, as a person runs it. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { examine } from '../../src/journal/checkup.ts';
import { type Journal, openJournal } from '../../src/journal/journal.ts';
import { compileCache, fastestFolder, temporaryFolder } from '../program.ts';
import { take } from './entries.ts';

const folder = temporaryFolder(fastestFolder);
afterAll(() => folder.remove());
const place = (name: string): string => join(folder.path, name);
const program = new URL('../../src/journal/repair.ts', import.meta.url).pathname;

const count = 1_200;
/** Closed: one file. */
const whole = place('whole.db');
/** As a killed process leaves it. */
const killed = place('killed.db');

function fill(path: string): Journal {
  const journal = openJournal(path);
  const entries = take(count, 7);
  for (let from = 0; from < count; from += 5) journal.append(entries.slice(from, from + 5));
  return journal;
}

beforeAll(() => {
  fill(whole).close();
  const journal = fill(place('live.db'));
  for (const suffix of ['', '-wal']) copyFileSync(place('live.db') + suffix, killed + suffix);
  journal.close();
  copyFileSync(place('live.db.seq'), `${killed}.seq`);
});

let trial = 0;
function damagedCopy(original: string, damage: (path: string) => void): string {
  trial += 1;
  const path = place(`damaged-${trial}.db`);
  for (const suffix of ['', '-wal', '.seq'])
    if (existsSync(original + suffix)) copyFileSync(original + suffix, path + suffix);
  damage(path);
  return path;
}

function run(damaged: string): { code: number | null; said: string; saved: number | null } {
  const target = `${damaged}.saved`;
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, damaged, target], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH ?? '', ...compileCache },
  });
  if (!existsSync(target)) return { code: status, said: stdout + stderr, saved: null };
  const journal = openJournal(target);
  const saved = journal.lastSeq();
  expect(journal.records({ after: 0, limit: count + 1 })).toHaveLength(saved);
  journal.close();
  return { code: status, said: stdout + stderr, saved };
}

test('a file that lost its end gives every fact before the cut', () => {
  const { size } = statSync(whole);
  const saved = [size - 4_096, size * 0.8, size * 0.4].map((length) => {
    const damaged = damagedCopy(whole, (path) => truncateSync(path, Math.floor(length)));
    const before = readFileSync(damaged);
    const outcome = run(damaged);
    expect(outcome).toMatchObject({ code: 0, said: expect.stringContaining(`set JOURNAL_PATH=`) });
    expect(readFileSync(damaged)).toEqual(before);
    return outcome.saved ?? 0;
  });
  const [page = 0, fifth = 0, most = 0] = saved;
  expect(page).toBeGreaterThan(count * 0.9);
  expect(fifth).toBeGreaterThan(count * 0.6);
  expect(fifth).toBeLessThanOrEqual(page);
  expect(most).toBeGreaterThan(count * 0.2);
  expect(most).toBeLessThan(fifth);
});

test('a header that names a length beyond every disk is no reason to throw', () => {
  const damaged = damagedCopy(whole, (path) => {
    const bytes = readFileSync(path);
    bytes.writeUInt32BE(0xffff_fffe, 28);
    writeFileSync(path, bytes);
  });
  expect([0, 1]).toContain(run(damaged).code);
});

test('facts that were told and are not there are counted', () => {
  const damaged = damagedCopy(killed, (path) =>
    truncateSync(`${path}-wal`, Math.floor(statSync(`${path}-wal`).size / 2)),
  );
  const { code, said, saved } = run(damaged);
  expect(code).toBe(0);
  expect(saved).toBeGreaterThan(0);
  expect(saved).toBeLessThan(count);
  expect(said).toContain(`missing at its end: ${count - (saved ?? 0)} facts`);

  const foreign = damagedCopy(whole, (path) => writeFileSync(`${path}.seq`, 'deadbeef             9999\n'));
  expect(run(foreign).said).not.toContain('missing at its end');
});

test('nothing saved is a failure, without a new file and without the advice to use it', () => {
  for (const damage of [
    (path: string) => truncateSync(path, 0),
    (path: string) => writeFileSync(path, 'dear diary, '.repeat(1_000)),
  ]) {
    const { code, said, saved } = run(damagedCopy(whole, damage));
    expect({ code, saved }).toEqual({ code: 1, saved: null });
    expect(said).toContain('put back a backup');
    expect(said).not.toContain('set JOURNAL_PATH');
  }
});

test('the log of an emptied file is read, and neither repair nor checkup deletes it', () => {
  const young = openJournal(place('young.db'));
  young.append(take(20, 7));
  for (const suffix of ['', '-wal']) copyFileSync(place('young.db') + suffix, place('emptied.db') + suffix);
  young.close();
  const damaged = damagedCopy(place('emptied.db'), (path) => truncateSync(path, 0));
  const before = readFileSync(`${damaged}-wal`);
  expect(examine(damaged).outcome).toBe('unusable');
  expect(run(damaged)).toMatchObject({ code: 0, saved: 20 });
  expect(readFileSync(`${damaged}-wal`)).toEqual(before);
});

test('a journal in use is refused', () => {
  const path = place('used.db');
  const journal = openJournal(path);
  journal.append(take(20, 7));
  const { code, said, saved } = run(path);
  journal.close();
  expect({ code, saved }).toEqual({ code: 1, saved: null });
  expect(said).toContain('in use by a running process');
});
