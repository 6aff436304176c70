/**
 * Chance without state: every draw is a hash of its coordinates (seed, contract, time bucket, purpose), so that the same
 * market comes out whatever is asked first, and the past can be asked at any time.
 */

const HIGH = 2 ** 32;

/** 32 uniform bits for these coordinates; each may be any safe integer. */
export function hash32(a: number, b: number, c = 0, d = 0): number {
  let h = mix(0x9e3779b9, a | 0);
  h = mix(h, Math.floor(a / HIGH) | 0);
  h = mix(h, b | 0);
  h = mix(h, c | 0);
  h = mix(h, Math.floor(c / HIGH) | 0);
  h = mix(h, d | 0);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function mix(hash: number, value: number): number {
  let k = Math.imul(value, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/** Uniform in [0, 1). */
export function uniform(a: number, b: number, c = 0, d = 0): number {
  return hash32(a, b, c, d) / HIGH;
}

/** Nearly normal, mean 0, variance 1, never beyond 3.47. */
export function normal(a: number, b: number, c = 0, d = 0): number {
  const h = hash32(a, b, c, d);
  return (((h & 255) + ((h >>> 8) & 255) + ((h >>> 16) & 255) + (h >>> 24)) / 255 - 2) * Math.sqrt(3);
}

/** A stable number for a text, for catalogue entries that have no published id. */
export function hashText(text: string): number {
  let h = 0;
  for (let i = 0; i < text.length; i++) h = mix(h, text.charCodeAt(i));
  return hash32(h, text.length);
}
