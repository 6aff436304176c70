/** Reading source as text, well enough to look for words in the code and not in what is said about it. */

/** What is replaced by blanks: comments only, or the contents of strings and templates too. Lines stay where they are. */
export type Blanked = 'comments' | 'comments and strings';

const blankOf = (text: string): string => text.replace(/[^\n]/g, ' ');
const regexMayFollow = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else))\s*$/;

/** The source with comments, or comments and string contents, blanked out. Code inside `${}` stays code. */
export function codeOf(source: string, blanked: Blanked): string {
  const keepStrings = blanked === 'comments';
  let out = '';
  let at = 0;
  const take = (length: number, blank: boolean): void => {
    const text = source.slice(at, at + length);
    out += blank ? blankOf(text) : text;
    at += length;
  };
  const takeUntil = (end: RegExp, blank: boolean): void => {
    end.lastIndex = at;
    const match = end.exec(source);
    take((match ? match.index + match[0].length : source.length) - at, blank);
  };
  const template = (): void => {
    take(1, false);
    while (at < source.length && source[at] !== '`') {
      if (source[at] === '\\') take(2, !keepStrings);
      else if (source.startsWith('${', at)) {
        take(2, false);
        code('}');
        take(1, false);
      } else take(1, !keepStrings);
    }
    take(1, false);
  };
  const code = (end?: string): void => {
    let depth = 0;
    while (at < source.length) {
      const char = source[at];
      const next = source[at + 1];
      if (char === end && depth === 0) return;
      if (char === '{') depth++;
      if (char === '}') depth--;
      if (char === '/' && next === '/') takeUntil(/(?=\n)|$/g, true);
      else if (char === '/' && next === '*') takeUntil(/\*\//g, true);
      else if (char === '`') template();
      else if (char === "'" || char === '"') {
        take(1, false);
        while (at < source.length && source[at] !== char && source[at] !== '\n') {
          take(source[at] === '\\' ? 2 : 1, !keepStrings);
        }
        take(1, false);
      } else if (char === '/' && regexMayFollow.test(out.slice(-40))) {
        takeUntil(/\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\//g, !keepStrings);
      } else take(1, false);
    }
  };
  code();
  return out;
}

/** Every place where the pattern occurs: its line (from 1) and the text that matched. */
export function findLines(code: string, pattern: RegExp): readonly { line: number; text: string }[] {
  const all = new RegExp(pattern.source, pattern.flags.includes('g') ? pattern.flags : `${pattern.flags}g`);
  return [...code.matchAll(all)].map((match) => ({
    line: code.slice(0, match.index).split('\n').length,
    text: match[0].trim(),
  }));
}

/** Every module that the source imports or re-exports, with its line. Types count: a dependency is a dependency. */
export function importsOf(source: string): readonly { line: number; specifier: string }[] {
  const code = codeOf(source, 'comments');
  const pattern =
    /(?:^|\n)\s*(?:import|export)\b[^'";]*?\bfrom\s*['"]([^'"]+)['"]|(?:^|\n)\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g;
  return [...code.matchAll(pattern)].map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    return { line: code.slice(0, match.index + match[0].length).split('\n').length, specifier };
  });
}
