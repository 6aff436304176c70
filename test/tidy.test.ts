/** The rules of the house that neither the compiler nor the linter holds. Every rule is also shown something that breaks it. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, extname, join, posix, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { codeOf, findLines, importsOf } from './source-text.ts';

const root = resolve(import.meta.dirname, '..');

interface File {
  /** from the root of the project, with forward slashes */
  readonly path: string;
  readonly text: string;
}
interface Rule {
  readonly name: string;
  readonly appliesTo: (path: string) => boolean;
  readonly problems: (file: File) => readonly { line: number; what: string }[];
  /** files that break it */
  readonly broken: readonly File[];
  /** files that look like breaking it and don't */
  readonly kept?: readonly File[];
}

function filesUnder(folder: string): File[] {
  const entries = existsSync(join(root, folder))
    ? readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    : [];
  return entries
    .filter((entry) => entry.isFile() && extname(entry.name) === '.ts')
    .map((entry) => {
      const full = join(entry.parentPath, entry.name);
      return { path: relative(root, full).split('\\').join('/'), text: readFileSync(full, 'utf8') };
    });
}

const sources = ['machines', 'src', 'test'].flatMap(filesUnder);
const isMachines = (path: string): boolean => path.startsWith('machines/');
const isSource = (path: string): boolean => path.startsWith('src/');
const isTest = (path: string): boolean => /\.test\.ts$/.test(path);
const anywhere = (): boolean => true;

const complain = (found: readonly { line: number; text: string }[]) =>
  found.map(({ line, text }) => ({ line, what: text }));
const inCode = (pattern: RegExp) => (file: File) =>
  complain(findLines(codeOf(file.text, 'comments and strings'), pattern));
const inCodeOrStrings = (pattern: RegExp) => (file: File) =>
  complain(findLines(codeOf(file.text, 'comments'), pattern));
const inText = (pattern: RegExp) => (file: File) => complain(findLines(file.text, pattern));
const sample = (path: string, text: string): File => ({ path, text });

/** Where an import leads, from the root of the project; null for a package. */
function targetOf(path: string, specifier: string): string | null {
  return specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : null;
}
/** `src/tws/a.ts` -> `src/tws`, `src/a.ts` -> `src`, `machines/a.ts` -> `machines`. */
function houseOf(path: string): string {
  const [first = '', second = '', third] = path.split('/');
  return first === 'src' && third !== undefined ? `${first}/${second}` : first;
}
function isForbiddenImport(path: string, specifier: string): boolean {
  const target = targetOf(path, specifier);
  const from = houseOf(path);
  if (target === null) {
    if (from !== 'machines') return false;
    if (specifier === 'big.js') return path !== 'machines/decimal.ts';
    return specifier !== 'xstate' || !path.endsWith('.machine.ts');
  }
  const to = houseOf(target);
  if (to === 'machines' || to === from) return false;
  return !(from === 'src' && to.startsWith('src/'));
}

const rules: readonly Rule[] = [
  {
    name: 'arrows end in machines/, folders under src/ never import each other, machines import xstate and themselves',
    appliesTo: (path) => isMachines(path) || isSource(path),
    problems: ({ path, text }) =>
      importsOf(text)
        .filter(({ specifier }) => isForbiddenImport(path, specifier))
        .map(({ line, specifier }) => ({ line, what: specifier })),
    broken: [
      sample('machines/a.ts', "import { b } from '../src/b.ts';"),
      sample('machines/a.ts', "import { readFileSync } from 'node:fs';"),
      sample('machines/a.ts', "import Big from 'big.js';"),
      sample('machines/a.ts', "import type { StateValue } from 'xstate';"),
      sample('machines/a.machine.ts', "import { of } from 'rxjs';"),
      sample('src/http/a.ts', "import type {\n  B,\n} from '../tws/b.ts';"),
      sample('src/http/a.ts', "export { b } from '../config.ts';"),
      sample('src/http/a.ts', "const b = await import('../market/b.ts');"),
      sample('src/a.ts', "import '../test/b.ts';"),
    ],
    kept: [
      sample('machines/a.machine.ts', "import { setup } from 'xstate';\nimport { b } from './b.ts';"),
      sample('machines/decimal.ts', "import Big from 'big.js';"),
      sample(
        'src/http/deep/a.ts',
        "import { b } from '../b.ts';\nimport { c } from '../../../machines/c.ts';",
      ),
      sample(
        'src/runtime.ts',
        "import { a } from './http/a.ts';\nimport { b } from './b.ts';\nimport 'pino';",
      ),
      sample('src/http/a.ts', "// import { b } from '../tws/b.ts'\nconst from = 'x';"),
    ],
  },
  {
    name: 'machines know no ambient time, chance or environment',
    appliesTo: isMachines,
    problems: inCode(
      /\bDate\.now\b|\bnew Date\(\s*\)|(?<!new )\bDate\(|\bMath\.random\b|(?<![.\w])(?:setTimeout|setInterval|setImmediate|queueMicrotask)\(|(?<![.\w])(?:process|console|performance|globalThis|crypto)\./,
    ),
    broken: [
      'const at = Date.now();',
      'const at = new Date( );',
      'const at = Date();',
      'const n = Math.random();',
      'setTimeout(() => {}, 1);',
      'setInterval(tick, 1);',
      'const { env } = process.env;',
      'console.log(1);',
      'const at = performance.now();',
      'const id = crypto.randomUUID();',
      'const text = `$' + '{Date.now()}`;',
    ].map((text) => sample('machines/a.ts', text)),
    kept: [
      sample(
        'machines/a.ts',
        "/** Date.now() of the process. */\nconst text = 'Math.random() process.env';\nconst at = new Date(ms).toISOString();\nclock.setTimeout(() => {}, 1);\nconst r = /process\\.'/;",
      ),
    ],
  },
  {
    name: 'the environment is read by configuration and entry points alone',
    appliesTo: (path) =>
      isSource(path) &&
      !['src/config.ts', 'src/kill.ts', 'src/doctor.ts'].includes(path) &&
      basename(path) !== 'main.ts',
    problems: inCode(/\bprocess\.env\b|\benv\s*\}\s*=\s*process\b/),
    broken: [
      sample('src/http/a.ts', 'const port = process.env.PORT;'),
      sample('src/a.ts', 'const { env } = process;'),
    ],
    kept: [sample('src/a.ts', '// process.env\nconst { pid } = process;')],
  },
  {
    name: 'a file is named after what it is about, never utils, helpers, common, types, constants or index',
    appliesTo: anywhere,
    problems: ({ path }) =>
      /^(utils?|helpers?|common|shared|misc|types|interfaces|constants|consts|enums|index)$/.test(
        basename(path).split('.')[0] ?? '',
      )
        ? [{ line: 1, what: basename(path) }]
        : [],
    broken: ['src/utils.ts', 'src/http/index.ts', 'machines/types.ts', 'test/helpers.test.ts'].map((path) =>
      sample(path, ''),
    ),
    kept: [sample('src/indexing.ts', '')],
  },
  {
    name: "machines hear facts by name or by noun, never by a bare '*'",
    appliesTo: isMachines,
    problems: inCodeOrStrings(/(['"`])\*\1\s*\]?\s*:/),
    broken: [
      sample('machines/a.machine.ts', "on: { '*': { actions: 'noteSurprise' } }"),
      sample('machines/a.machine.ts', "on: { ['*']: {} }"),
    ],
    kept: [sample('machines/a.machine.ts', "on: { 'order.*': { actions: 'noteSurprise' } } // '*': no")],
  },
  {
    name: 'an order is never final: late fills, corrections and commissions still arrive',
    appliesTo: (path) => path === 'machines/order.machine.ts',
    problems: inCodeOrStrings(/\btype:\s*(['"`])final\1/),
    broken: [sample('machines/order.machine.ts', "filled: { type: 'final' }")],
    kept: [sample('machines/order.machine.ts', "filled: { tags: 'closed' } // no type: 'final'")],
  },
  {
    name: 'outsiders ask tags, not state names',
    appliesTo: isSource,
    problems: inCodeOrStrings(/\.matches\(\s*['"`{]/),
    broken: [
      sample('src/a.ts', "if (snapshot.matches('working')) stop();"),
      sample('src/a.ts', "it.matches({ online: 'whole' })"),
    ],
    kept: [
      sample('src/a.ts', "if (snapshot.hasTag('open')) stop(); // not .matches('open')"),
      sample('src/a.ts', 'query.matches(contract)'),
    ],
  },
  {
    name: 'wire words never leave src/tws and src/simulator',
    appliesTo: (path) =>
      (isMachines(path) || isSource(path)) &&
      !path.startsWith('src/tws/') &&
      !path.startsWith('src/simulator/'),
    problems: inCodeOrStrings(/\b(?:reqId|tickType)s?\b|@stoqey\//i),
    broken: [
      sample('machines/a.ts', 'const reqId = 1;'),
      sample('src/market/a.ts', 'onTick(tickType: number)'),
      sample('src/ports.ts', "import { IBApi } from '@stoqey/ib';"),
    ],
    kept: [sample('src/market/a.ts', 'const requestId = 1; // reqId')],
  },
  {
    name: 'every test runs, and all of them run',
    appliesTo: isTest,
    problems: inCode(
      /\b(?:test|it|describe|suite|bench)(?:\.\w+)*\.(?:skip|only|todo|skipIf|runIf|fails)\b|\b(?:xit|xtest|xdescribe|fit|fdescribe)\(|\b(?:skip|only|todo):\s*true\b|\b(?:ctx|context|t)\.skip\(/,
    ),
    broken: [
      "test.skip('x', () => {});",
      "describe.only('x', () => {});",
      "it.todo('x');",
      "test.concurrent.skip('x', () => {});",
      'test.skipIf(true)();',
      "xit('x', () => {});",
      "test('x', { skip: true }, () => {});",
      "test('x', (ctx) => ctx.skip());",
    ].map((text) => sample('test/a.test.ts', text)),
    kept: [sample('test/a.test.ts', "test('skip', () => bytes.skip(4)); // test.skip(")],
  },
  {
    name: 'no file is longer than 600 lines',
    appliesTo: anywhere,
    problems: ({ text }) => {
      const lines = text.replace(/\n$/, '').split('\n').length;
      return lines > 600 ? [{ line: 601, what: `${lines} lines` }] : [];
    },
    broken: [sample('src/a.ts', 'a;\n'.repeat(601))],
    kept: [sample('src/a.ts', 'a;\n'.repeat(600))],
  },
  {
    name: 'what is unfinished is finished, not announced; what the compiler says is not silenced',
    appliesTo: (path) => path !== 'test/tidy.test.ts',
    problems: inText(/\b(?:TODO|FIXME|XXX|HACK)\b|@ts-(?:ignore|expect-error|nocheck)/),
    broken: [sample('src/a.ts', '// TODO: later'), sample('test/a.ts', '// @ts-ignore')],
    kept: [sample('src/a.ts', "const todo = 'XXXL';")],
  },
];

function violations({ name, appliesTo, problems }: Rule, files: readonly File[]): string[] {
  return files
    .filter(({ path }) => appliesTo(path))
    .flatMap((file) => problems(file).map(({ line, what }) => `${file.path}:${line}: ${what} (${name})`));
}

describe.each(rules.map((rule) => [rule.name, rule] as const))('%s', (_, rule) => {
  test('is kept', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(violations(rule, sources)).toEqual([]);
  });
  test('is noticed when broken, and only then', () => {
    for (const file of rule.broken) expect(violations(rule, [file]), file.text).not.toEqual([]);
    for (const file of rule.kept ?? []) expect(violations(rule, [file]), file.text).toEqual([]);
  });
});

describe('machines', () => {
  /** Where data may be computed in place: everything else that runs has a name. */
  const computed = ['context', 'input', 'params', 'output'];
  function unnamed(value: unknown, path: string): string[] {
    if (typeof value === 'function') return [path];
    if (typeof value !== 'object' || value === null) return [];
    return Object.entries(value)
      .filter(([key, inner]) => !(computed.includes(key) && typeof inner === 'function'))
      .flatMap(([key, inner]) => unnamed(inner, `${path}.${key}`));
  }
  const machineFiles = sources.filter(({ path }) => isMachines(path) && path.endsWith('.machine.ts'));

  test.each(machineFiles.map(({ path }) => path))('%s has names only in its body', async (path) => {
    const module: Record<string, unknown> = await import(pathToFileURL(join(root, path)).href);
    const machines = Object.values(module).filter(
      (value): value is { id: string; config: unknown } =>
        typeof value === 'object' && value !== null && 'config' in value && 'implementations' in value,
    );
    expect(machines.length, `${path} exports no machine`).toBeGreaterThan(0);
    for (const { id, config } of machines) expect(unnamed(config, id), path).toEqual([]);
  });

  test('a body with a function in it is noticed', () => {
    const config = {
      context: () => ({}),
      states: { a: { entry: [() => 1], invoke: { input: () => 1, onDone: { guard: () => true } } } },
    };
    expect(unnamed(config, 'm')).toEqual(['m.states.a.entry.0', 'm.states.a.invoke.onDone.guard']);
  });

  test('are flat', () => {
    expect(sources.map(({ path }) => path).filter((path) => /^machines\/.+\//.test(path))).toEqual([]);
  });
});

describe('what is published', () => {
  const foreign =
    /(?<![\w.~])\/(?:home|root|Users|work|mnt|private)\/[\w.-]+|[A-Z]:\\Users\\|(?:"resolved":\s*"|\bregistry\s*=\s*)https?:\S*|:_auth(?:Token)/;
  const tracked = (): string[] =>
    execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' })
      .split('\0')
      .filter((path) => path !== '' && existsSync(join(root, path)));

  test('names no path of a private machine and no other registry', () => {
    const paths = tracked().filter((path) => !/\.(png|ico|woff2?|gif|jpg|db)$/.test(path));
    expect(paths.length).toBeGreaterThan(10);
    const found = paths.flatMap((path) =>
      findLines(readFileSync(join(root, path), 'utf8'), foreign).map(
        ({ line, text }) => `${path}:${line}: ${text} (nothing of one machine is published)`,
      ),
    );
    expect(found).toEqual([]);
  });

  test('would be noticed', () => {
    const slash = '/';
    const scheme = 'https:';
    for (const text of [
      `see ${slash}home${slash}me${slash}notes`,
      `"${slash}Users${slash}me"`,
      `"resolved": "${scheme}//mirror.example.com/a.tgz"`,
      `registry=${scheme}//10.0.0.1/`,
    ]) {
      expect(findLines(text, foreign), text).toHaveLength(1);
    }
    for (const text of ['https://example.com/home/page', './work/file']) {
      expect(findLines(text, foreign), text).toEqual([]);
    }
  });

  test('holds no settings of one person and no data', () => {
    const personal = tracked().filter((path) =>
      /(^|\/)(\.env\.local|\.DS_Store|.*\.(log|db|sqlite))$|^data\//.test(path),
    );
    expect(personal).toEqual([]);
  });
});

describe('reading source', () => {
  test('keeps lines, code and the code inside templates', () => {
    const source = [
      "const a = 'it\\'s // not a comment'; // a comment",
      '/* two',
      'lines */ const b = `x #{call("y", `#{deep}`)} z`;'.replaceAll('#', '$'),
      'const c = /[\'"/]/.test(a) ? 1 / 2 : 3;',
    ].join('\n');
    expect(
      codeOf(source, 'comments and strings')
        .split('\n')
        .map((line) => line.replace(/ +/g, ' ').trimEnd()),
    ).toEqual([
      "const a = ' ';",
      '',
      ' const b = ` #{call(" ", `#{deep}`)} `;'.replaceAll('#', '$'),
      'const c = .test(a) ? 1 / 2 : 3;',
    ]);
    expect(codeOf(source, 'comments')).toContain("it\\'s // not a comment");
    expect(codeOf(source, 'comments')).not.toContain('a comment;');
  });

  test('of this project, blanked twice or once, is the same', () => {
    for (const { path, text } of sources) {
      const once = codeOf(text, 'comments and strings');
      expect(once.split('\n').length, path).toBe(text.split('\n').length);
      expect(codeOf(once, 'comments and strings'), path).toBe(once);
    }
  });
});

test('the folders that the rules speak of exist', () => {
  for (const folder of ['machines', 'src/tws', 'src/simulator']) {
    expect(
      sources.some(({ path }) => dirname(path).startsWith(folder)),
      folder,
    ).toBe(true);
  }
});
