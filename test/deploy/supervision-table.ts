/**
 * The supervisor's table in the README, made of the one that the supervisor obeys.
 * `node test/deploy/supervision-table.ts` prints it; with `--write` it goes into the README, between its markers.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import {
  type Consequence,
  restartsMax,
  restartWindowMs,
  type SupervisionRule,
  supervision,
} from '../../machines/supervision.ts';

export const readmePath = new URL('../../README.md', import.meta.url).pathname;
const markers = ['<!-- supervision -->', '<!-- /supervision -->'] as const;

const consequences: Readonly<Record<Consequence, string>> = {
  halt: 'trading halts',
  escalate: 'no order is taken, liveness fails',
};

export function supervisionTable(): string {
  const seconds = restartWindowMs / 1_000;
  const rows = Object.entries(supervision).map(([child, rule]: [string, SupervisionRule]) => {
    const first = rule.restartsWith === null ? '' : `started again with ${rule.restartsWith}`;
    return `| ${child} | ${first} | ${consequences[rule.finally]} | ${rule.because} |`;
  });
  return [
    `| part | up to ${restartsMax} times in ${seconds} s | then, or at once | because |`,
    '|---|---|---|---|',
    ...rows,
  ].join('\n');
}

/** The README with the table in its place. Throws when the markers are missing. */
export function withSupervision(readme: string): string {
  const [start, end] = [readme.indexOf(markers[0]), readme.indexOf(markers[1])];
  if (start < 0 || end < start)
    throw new Error(`README.md: ${markers.join(' and ')} must stand in it, in order`);
  return `${readme.slice(0, start + markers[0].length)}\n\n${supervisionTable()}\n\n${readme.slice(end)}`;
}

if (import.meta.main) {
  if (process.argv.includes('--write'))
    writeFileSync(readmePath, withSupervision(readFileSync(readmePath, 'utf8')));
  else process.stdout.write(`${supervisionTable()}\n`);
}
