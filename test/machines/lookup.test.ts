import fc from 'fast-check';
import { expect, test } from 'vitest';
import { entries, type Lookup, lookUp, put, putAll, remove } from '../../machines/lookup.ts';

/** Names that a client may give, those of every object among them. */
const key = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'toString', 'valueOf', 'hasOwnProperty'),
  fc.string({ maxLength: 3 }),
);

test('it holds what a map would hold, whatever the keys are called', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(key, fc.nat())),
      fc.array(fc.tuple(key, fc.nat())),
      fc.array(key),
      (first, atOnce, removed) => {
        const map = new Map([...first, ...atOnce]);
        let lookup: Lookup<number> = {};
        for (const [name, value] of first) lookup = put(lookup, name, value);
        lookup = putAll(lookup, atOnce);
        for (const name of removed) {
          map.delete(name);
          lookup = remove(lookup, name);
        }
        expect(new Map(entries(lookup))).toEqual(map);
        for (const name of ['__proto__', 'constructor', ...map.keys(), ...removed])
          expect(lookUp(lookup, name)).toBe(map.get(name));
      },
    ),
  );
});
