/**
 * What people who look on may see of any value: a small plain copy in which accounts have other names and secrets none.
 * The same account has the same name for as long as the process lives.
 */

export interface CopyLimits {
  readonly depth: number;
  /** of one object or list; what is beyond is counted, not shown */
  readonly entries: number;
  /** of the whole copy */
  readonly nodes: number;
}

export interface Pseudonyms {
  /** A copy that JSON can hold, at most as large as the limits say. Actors become their ids, errors their messages. */
  copy(value: unknown, limits?: CopyLimits): unknown;
  /** The text with other names for accounts, and without secrets. */
  text(text: string): string;
}

const usualLimits: CopyLimits = { depth: 8, entries: 100, nodes: 2_000 };
/** Characters of one text that are shown. */
const textMax = 1_000;
/** What a text may shrink by when accounts get other names: the cut must never leave half of an id. */
const shrinkMax = 16;
const namesMax = 256;
const rememberedMax = 5_000;
/** Shorter ones guard nothing, and would be found in every word. */
const secretLengthMin = 4;
const hidden = '[hidden]';
const secretKeys = new Set([
  'authorization',
  'cookie',
  'password',
  'token',
  'tradetoken',
  'readtoken',
  'redisurl',
]);
const accountKeys = new Set(['account', 'accounts', 'accountid', 'accountids']);
/** IB's form: U1234567, DU1234567, DF1234567, DUP123456 and the like. */
const usualForm = /(?<![A-Za-z0-9])[A-Z]{1,4}\d{4,12}(?![A-Za-z0-9])/g;

const wordOf = (key: string): string => key.toLowerCase().replaceAll(/[-_]/g, '');
const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** `secrets`: texts that are never shown, wherever they stand; shorter than four characters they are ignored. */
export function createPseudonyms({ secrets }: { readonly secrets: readonly string[] }): Pseudonyms {
  /** by the id in lower case */
  const names = new Map<string, string>();
  /** ids that are replaced wherever they stand, also inside words */
  const found = new Set<string>();
  const remembered = new Map<string, string>();
  const secret = patternOf(
    secrets.filter((text) => text.length >= secretLengthMin),
    'g',
  );
  let anywhere: RegExp | null = null;

  function nameOf(account: string): string {
    const key = account.toLowerCase();
    const known = names.get(key);
    if (known) return known;
    const letters = /^[A-Za-z]{0,2}/.exec(account)?.[0] ?? '';
    if (names.size >= namesMax) return `${letters}#more`;
    const name = `${letters}#${names.size + 1}`;
    names.set(key, name);
    return name;
  }

  /** Remembers an id that stands where accounts stand. A short word without digits is one only there. */
  function note(account: string): void {
    if (account.length < 5 || account.length > 64 || !/\d/.test(account) || found.has(account)) return;
    if (found.size >= namesMax) return;
    nameOf(account);
    found.add(account);
    anywhere = patternOf([...found], 'gi');
    remembered.clear();
  }

  function text(raw: string): string {
    const known = remembered.get(raw);
    if (known !== undefined) return known;
    let shown = raw.length > textMax * shrinkMax ? raw.slice(0, textMax * shrinkMax) : raw;
    if (secret) shown = shown.replace(secret, hidden);
    if (anywhere) shown = shown.replace(anywhere, nameOf);
    shown = shown.replace(usualForm, nameOf);
    if (shown.length > textMax) shown = `${shown.slice(0, textMax)}…`;
    if (raw.length <= 256) {
      if (remembered.size >= rememberedMax) remembered.clear();
      remembered.set(raw, shown);
    }
    return shown;
  }

  function noteUnder(value: unknown): void {
    if (typeof value === 'string') note(value);
    else if (Array.isArray(value)) for (const item of value.slice(0, namesMax)) noteUnder(item);
  }

  /** A plain copy within the limits. Accounts keep their names in it, and are noted. */
  function plain(
    value: unknown,
    depth: number,
    budget: { nodes: number; readonly entries: number },
  ): unknown {
    budget.nodes -= 1;
    if (typeof value === 'bigint') return String(value);
    if (typeof value === 'function') return { type: value.name };
    if (typeof value === 'symbol' || typeof value !== 'object' || value === null) {
      return typeof value === 'symbol' ? undefined : value;
    }
    if (isActor(value)) return { id: value.id, sessionId: value.sessionId };
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
    if (value instanceof Error) return { name: value.name, message: value.message };
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
    if (value instanceof Map)
      return plain(Object.fromEntries(value.entries().take(budget.entries + 1)), depth, budget);
    if (value instanceof Set) return plain([...value.values().take(budget.entries + 1)], depth, budget);
    if (depth === 0 || budget.nodes <= 0) return Array.isArray(value) ? '[list]' : '[object]';
    if (Array.isArray(value)) {
      const list = value.slice(0, budget.entries).map((item) => plain(item, depth - 1, budget));
      return value.length > list.length ? [...list, `[${value.length - list.length} more]`] : list;
    }
    const copy: Record<string, unknown> = {};
    let shown = 0;
    for (const key in value) {
      if (!Object.hasOwn(value, key)) continue;
      if (shown === budget.entries || budget.nodes <= 0) {
        copy['…'] = '[more]';
        break;
      }
      shown += 1;
      const word = wordOf(key);
      const inner = (value as Record<string, unknown>)[key];
      if (accountKeys.has(word)) noteUnder(inner);
      copy[key] = secretKeys.has(word) && inner !== '' ? hidden : plain(inner, depth - 1, budget);
    }
    return copy;
  }

  /** Changes the copy itself where it can. */
  function renamed(value: unknown, isAccount = false): unknown {
    if (typeof value === 'string') return isAccount && value !== '' ? nameOf(value) : text(value);
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((item) => renamed(item, isAccount));
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [
        text(key),
        renamed(inner, accountKeys.has(wordOf(key)) && (typeof inner === 'string' || Array.isArray(inner))),
      ]),
    );
  }

  return {
    copy: (value, { depth, nodes, entries } = usualLimits) =>
      renamed(plain(value, depth, { nodes, entries })),
    text,
  };
}

function patternOf(texts: readonly string[], flags: string): RegExp | null {
  const longestFirst = [...texts].sort((a, b) => b.length - a.length).map(escaped);
  return longestFirst.length > 0 ? new RegExp(longestFirst.join('|'), flags) : null;
}

function isActor(value: object): value is { readonly id: string; readonly sessionId: string } {
  return 'getSnapshot' in value && typeof value.getSnapshot === 'function' && 'sessionId' in value;
}
