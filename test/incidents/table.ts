/**
 * The table of incidents in the README, made of what the scenarios declare.
 * `node test/incidents/table.ts` prints it; with `--write` it goes into the README, between its markers.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Incident, incidents } from './incident.ts';

const folder = import.meta.dirname;
export const readmePath = join(folder, '../../README.md');
const markers = ['<!-- incidents -->', '<!-- /incidents -->'] as const;

interface Listed {
  readonly file: string;
  readonly incident: Incident;
}

async function declared(): Promise<readonly Listed[]> {
  const listed: Listed[] = [];
  const files = readdirSync(folder).filter((name) => name.endsWith('.test.ts') && name !== 'table.test.ts');
  for (const file of files.sort()) {
    const before = incidents.length;
    await import(join(folder, file));
    listed.push(...incidents.slice(before).map((incident) => ({ file, incident })));
  }
  return listed.sort((a, b) => (a.incident.id < b.incident.id ? -1 : 1));
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** One row per incident, by number. Throws when a number is used twice. */
export function tableOf(listed: readonly Listed[]): string {
  const ids = listed.map(({ incident }) => incident.id);
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice) throw new Error(`${twice} is the number of two incidents`);
  const rows = listed.map(({ file, incident: { id, title, sources, others, ours } }) =>
    [
      id,
      [cell(title), ...sources.map((source, index) => `[${index + 1}](${source})`)].join(' '),
      cell(others),
      cell(ours),
      `[test](test/incidents/${file})`,
    ].join(' | '),
  );
  const head = ['id | what happened | others | here | scenario', '-- | -- | -- | -- | --'];
  return [...head, ...rows].map((row) => `| ${row} |`).join('\n');
}

/** The README with the table in its place. Throws when the markers are missing. */
export function withTable(readme: string, table: string): string {
  const [start, end] = [readme.indexOf(markers[0]), readme.indexOf(markers[1])];
  if (start < 0 || end < start)
    throw new Error(`README.md: ${markers.join(' and ')} must stand in it, in order`);
  return `${readme.slice(0, start + markers[0].length)}\n\n${table}\n\n${readme.slice(end)}`;
}

if (import.meta.main) {
  const table = tableOf(await declared());
  if (process.argv.includes('--write')) {
    writeFileSync(readmePath, withTable(readFileSync(readmePath, 'utf8'), table));
  } else {
    process.stdout.write(`${table}\n`);
  }
}
