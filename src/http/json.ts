/** Reads JSON of strangers: bounded in depth, and without names that reach prototypes. */

/** The API's own bodies are at most five deep. */
const maxDepth = 32;

/** Names that a careless copy would turn into another prototype. */
const forbiddenNames: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/** The value, or undefined: not JSON, nested deeper than 32, or with a forbidden name anywhere. */
export function parseJson(text: string): unknown {
  if (isTooDeep(text)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return hasForbiddenName(value) ? undefined : value;
  } catch {
    return undefined;
  }
}

/** Counted before parsing: a mebibyte of brackets costs no stack and no memory. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  let inText = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charCodeAt(at);
    if (char === 0x22) inText = !inText;
    else if (inText) at += char === 0x5c ? 1 : 0;
    else if (char === 0x7b || char === 0x5b) {
      depth += 1;
      if (depth > maxDepth) return true;
    } else if (char === 0x7d || char === 0x5d) depth -= 1;
  }
  return false;
}

function hasForbiddenName(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.some(hasForbiddenName);
  return Object.entries(value).some(([name, inner]) => forbiddenNames.has(name) || hasForbiddenName(inner));
}
