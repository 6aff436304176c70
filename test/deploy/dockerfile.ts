/** A Dockerfile as data, and its files laid out as the image has them. */
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

export interface Instruction {
  readonly name: string;
  /** `--from=dependencies` -> { from: 'dependencies' } */
  readonly flags: Readonly<Record<string, string>>;
  readonly rest: string;
}

export interface Stage {
  readonly from: string;
  readonly name: string;
  readonly instructions: readonly Instruction[];
}

const leadingFlag = /^--([\w-]+)=(\S+)\s+/;

/** Comments are dropped, continued lines joined. */
export function readStages(text: string): Stage[] {
  const lines = text.replaceAll(/^\s*#.*\n/gm, '').replaceAll(/\\\n/g, ' ');
  const stages: { from: string; name: string; instructions: Instruction[] }[] = [];
  for (const line of lines.split('\n')) {
    const [, name, given = ''] = /^\s*([A-Z]+)\s+(.*?)\s*$/.exec(line) ?? [];
    if (name === undefined) {
      if (line.trim() !== '') throw new Error(`not an instruction: ${line}`);
      continue;
    }
    const flags: Record<string, string> = {};
    let rest = given;
    for (let flag = leadingFlag.exec(rest); flag; flag = leadingFlag.exec(rest)) {
      flags[flag[1] ?? ''] = flag[2] ?? '';
      rest = rest.slice(flag[0].length);
    }
    if (name === 'FROM') {
      const [, from = '', stage = ''] = /^(\S+)\s+AS\s+(\S+)$/.exec(rest) ?? [];
      stages.push({ from, name: stage, instructions: [] });
    } else stages.at(-1)?.instructions.push({ name, flags, rest });
  }
  return stages;
}

export function of({ instructions }: Stage, name: string): Instruction[] {
  return instructions.filter((instruction) => instruction.name === name);
}

/** `["node", "src/main.ts"]` */
export function words({ rest }: Instruction): string[] {
  return JSON.parse(rest.replace(/^CMD\s+/, '')) as string[];
}

/** All `ENV` of a stage, by name. */
export function environmentOf(stage: Stage): Record<string, string> {
  const pairs = of(stage, 'ENV').flatMap(({ rest }) => [...rest.matchAll(/(\w+)=("[^"]*"|\S+)/g)]);
  return Object.fromEntries(pairs.map(([, name, value]) => [name, value?.replaceAll('"', '') ?? '']));
}

/**
 * The files of the image below its WORKDIR in `target`: copies of the project's, and links to the packages that `npm ci`
 * would have installed. With `--preserve-symlinks` Node.js finds those and no others.
 */
export function layOut(stage: Stage, project: string, target: string): void {
  mkdirSync(target, { recursive: true });
  for (const { flags, rest } of of(stage, 'COPY')) {
    const paths = rest.split(/\s+/);
    const to = paths.pop() ?? '';
    for (const from of paths) {
      if (flags.from === 'dependencies') {
        if (basename(from) !== 'node_modules') throw new Error(`nobody made ${from}`);
        for (const path of productionPackages(project)) {
          mkdirSync(dirname(join(target, path)), { recursive: true });
          symlinkSync(join(project, path), join(target, path));
        }
      } else cpSync(join(project, from), join(target, to, to === './' ? from : ''), { recursive: true });
    }
  }
}

/** What `npm ci --omit=dev` would install, from the lock. */
function productionPackages(project: string): string[] {
  const { packages } = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean }>;
  };
  // Packages inside of others come with them.
  return Object.entries(packages).flatMap(([path, { dev, devOptional }]) =>
    path.lastIndexOf('node_modules/') === 0 && !dev && !devOptional ? [path] : [],
  );
}

/** No folder below takes a new file, no file another content. What links lead to stays as it is. */
export function forbidWrites(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) forbidWrites(join(folder, entry.name));
    else if (entry.isFile()) chmodSync(join(folder, entry.name), 0o444);
  }
  chmodSync(folder, 0o555);
}

export function allowWrites(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) allowWrites(join(folder, entry.name));
}
