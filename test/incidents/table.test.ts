import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readmePath, tableOf, withTable } from './table.ts';

test('the table in the README is what the scenarios declare: `npm run incidents:table` writes it', () => {
  const environment = { ...process.env };
  // The scenarios are only read, not run.
  for (const name of Object.keys(environment)) if (name.startsWith('VITEST')) delete environment[name];
  const table = execFileSync(process.execPath, [join(import.meta.dirname, 'table.ts')], {
    env: environment,
    encoding: 'utf8',
  });
  const readme = readFileSync(readmePath, 'utf8');
  expect(readme).toBe(withTable(readme, table.trimEnd()));
});

test('a number stands for one incident, and cells do not break the table', () => {
  const declared = { id: 'I01', title: 'a | b', sources: ['http://x'], others: 'o', ours: 'w', test: {} };
  const listed = { file: 'a.test.ts', incident: declared };
  expect(tableOf([listed])).toContain(
    '| I01 | a \\| b [1](http://x) | o | w | [test](test/incidents/a.test.ts) |',
  );
  expect(() => tableOf([listed, listed])).toThrow('I01');
  expect(() => withTable('no markers', '')).toThrow('README.md');
});
