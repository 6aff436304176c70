/**
 * An immutable dictionary for a machine's context: a write copies one bucket, so that ten thousand entries
 * cost an order path no more than a hundred do. Plain data, hence serialisable.
 */
export type Lookup<T> = Readonly<Record<string, Readonly<Record<string, T>>>>;

const bucketCount = 256;

/** The same number for the same text, anywhere and always. */
export function hashOf(key: string): number {
  let hash = 0;
  for (let i = 0; i < key.length; i += 1) hash = (hash * 31 + key.charCodeAt(i)) | 0;
  return hash >>> 0;
}

const bucketOf = (key: string): string => String(hashOf(key) % bucketCount);

export const lookUp = <T>(lookup: Lookup<T>, key: string): T | undefined => {
  const bucket = lookup[bucketOf(key)];
  return bucket && Object.hasOwn(bucket, key) ? bucket[key] : undefined;
};

export const put = <T>(lookup: Lookup<T>, key: string, value: T): Lookup<T> => {
  const name = bucketOf(key);
  return { ...lookup, [name]: { ...lookup[name], [key]: value } };
};

/** With many more at once: each bucket is copied once, not once for each entry. */
export function putAll<T>(lookup: Lookup<T>, added: Iterable<readonly [string, T]>): Lookup<T> {
  const buckets = new Map<string, [string, T][]>();
  for (const entry of added) {
    const name = bucketOf(entry[0]);
    const bucket = buckets.get(name) ?? [];
    bucket.push([entry[0], entry[1]]);
    buckets.set(name, bucket);
  }
  const changed = [...buckets].map(([name, bucket]) => [
    name,
    // An assignment to `__proto__` would be none.
    { ...lookup[name], ...Object.fromEntries(bucket) },
  ]);
  return { ...lookup, ...Object.fromEntries(changed) };
}

export const remove = <T>(lookup: Lookup<T>, key: string): Lookup<T> => {
  const name = bucketOf(key);
  const { [key]: _, ...rest } = lookup[name] ?? {};
  return { ...lookup, [name]: rest };
};

/** The entries of one bucket; `index` may be any whole number, and as many in a row as there are buckets meet every entry. */
export const entriesOfBucket = <T>(lookup: Lookup<T>, index: number): [string, T][] =>
  Object.entries(lookup[String(index % bucketCount)] ?? {});

/** Every entry, in no particular order. */
export function* entries<T>(lookup: Lookup<T>): Generator<[string, T]> {
  for (const bucket of Object.values(lookup)) yield* Object.entries(bucket);
}
