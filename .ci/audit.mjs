// Reads the answer of `npm audit --json`: ends with 1 when it names a vulnerability of high or critical severity. A registry
// without advisories answers with an error instead, which says nothing about the packages.
import { readFileSync } from 'node:fs';

const serious = ['high', 'critical'];

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const report = read(readFileSync(0, 'utf8'));
const counts = report?.metadata?.vulnerabilities;
if (!counts) {
  const why = report?.message ?? report?.error?.summary ?? 'no report came';
  process.stdout.write(`audit not available at this registry: ${String(why).split('\n')[0]}\n`);
} else {
  const found = serious.reduce((sum, severity) => sum + (counts[severity] ?? 0), 0);
  for (const { name, severity, range } of Object.values(report.vulnerabilities ?? {})) {
    if (serious.includes(severity)) process.stdout.write(`${severity}: ${name} ${range ?? ''}\n`);
  }
  process.stdout.write(`audit: ${found} high or critical vulnerabilities in what is shipped\n`);
  process.exitCode = found > 0 ? 1 : 0;
}
