import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const script = join(import.meta.dirname, '../.ci/audit.mjs');
const judged = (report: string) => {
  const { status, stdout } = spawnSync(process.execPath, [script], { input: report, encoding: 'utf8' });
  return { status, said: stdout.trim().split('\n').at(-1) };
};
const report = (vulnerabilities: object, names: object = {}) =>
  JSON.stringify({ auditReportVersion: 2, vulnerabilities: names, metadata: { vulnerabilities } });

test('what is serious fails the run, by name', () => {
  const names = { 'left-pad': { name: 'left-pad', severity: 'high', range: '<1.3.0' } };
  expect(judged(report({ low: 1, moderate: 0, high: 1, critical: 0 }, names))).toEqual({
    status: 1,
    said: 'audit: 1 high or critical vulnerabilities in what is shipped',
  });
  expect(judged(report({ high: 0, critical: 2 })).status).toBe(1);
});

test('what is not serious does not', () => {
  expect(judged(report({ info: 1, low: 3, moderate: 2, high: 0, critical: 0 })).status).toBe(0);
});

test.each([
  [
    '{"message":"405 Method Not Allowed - POST the address of the registry","statusCode":405,"error":{"summary":""}}',
  ],
  ['{"error":{"code":"ENOAUDIT","summary":"Your configured registry does not support audit requests."}}'],
  [''],
  ['npm error network'],
])('a registry without advisories is named as that: %s', (text) => {
  const { status, said } = judged(text);
  expect(status).toBe(0);
  expect(said).toMatch(/^audit not available at this registry: /);
});
