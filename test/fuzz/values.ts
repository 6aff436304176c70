/** Values from JSON schemas: what they ask for, what nearly fits, and what has nothing to do with them. */
import fc from 'fast-check';

export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
}

/** What fields mean that their schema cannot say: values that lead beyond the first check. */
export type Meanings = Readonly<Record<string, fc.Arbitrary<unknown>>>;

export const exoticNumbers = [
  '1e400',
  '-1e400',
  '-0',
  '0',
  '1e-400',
  '1E5',
  '9007199254740993',
  '99999999999999999999999999',
  '0.1',
  '.5',
  '5.',
  '+1',
  '0x10',
  '1_000',
  '1,000',
  '٣',
  'NaN',
  'Infinity',
  '-Infinity',
  '1e',
  '--1',
  '1.7976931348623157e308',
  '5e-324',
  '187.20',
  ' 187.20 ',
  '187.2000000000000000000000000000000000001',
] as const;

const strange = [
  '',
  ' ',
  '\0',
  '\u{1f4a9}',
  'é'.normalize('NFD'),
  '\ud800',
  '\u202e',
  '%00',
  '../../etc/passwd',
  "' OR 1=1 --",
  '{{7*7}}',
  '__proto__',
  'constructor',
  'toString',
  'null',
  '[object Object]',
  'x'.repeat(2_000),
];

/** Values of no schema. */
export const wild: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<unknown>(...strange, ...exoticNumbers) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<unknown>(null, true, false, 0, -0, -1, 1e308, 2 ** 53, 0.1, [], {}),
  },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 1, arbitrary: fc.double() },
  { weight: 1, arbitrary: fc.integer() },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 40 }).map(nested) },
);

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let at = 0; at < depth; at += 1) value = at % 2 ? [value] : { a: value };
  return value;
}

/** Values that the schema takes. */
export function fitting(schema: JsonSchema, meanings: Meanings, name = ''): fc.Arbitrary<unknown> {
  const meaning = meanings[name];
  if (meaning) return meaning;
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return fc.oneof(...choices.map((choice) => fitting(choice, meanings)));
  const types = [schema.type ?? 'unknown'].flat();
  return fc.oneof(...types.map((type) => ofType(type, schema, meanings)));
}

function ofType(type: string, schema: JsonSchema, meanings: Meanings): fc.Arbitrary<unknown> {
  switch (type) {
    case 'string':
      if (schema.pattern) return fc.stringMatching(new RegExp(schema.pattern));
      return fc.string({ minLength: schema.minLength ?? 0, maxLength: Math.min(schema.maxLength ?? 24, 64) });
    case 'integer':
      return fc.integer({ min: schema.minimum ?? -10, max: Math.min(schema.maximum ?? 1_000, 2 ** 31 - 1) });
    case 'number':
      return fc.double({ min: schema.minimum ?? -1_000, max: schema.maximum ?? 1_000, noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return fc.array(fitting(schema.items ?? {}, meanings), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? 4, 6),
      });
    case 'object':
      return ofObject(schema, meanings);
    default:
      return wild;
  }
}

function ofObject(schema: JsonSchema, meanings: Meanings): fc.Arbitrary<unknown> {
  const { properties = {}, patternProperties, required = [] } = schema;
  const [pattern, inner] = Object.entries(patternProperties ?? {})[0] ?? [];
  if (pattern !== undefined && inner) {
    return fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fitting(inner, meanings), { maxKeys: 4 });
  }
  const fields = Object.entries(properties).map(([name, field]): [string, fc.Arbitrary<unknown>] => {
    const value = fitting(field, meanings, name);
    // most of what may be left out is: a body with everything in it contradicts itself
    return [name, required.includes(name) ? value : fc.option(value, { nil: undefined, freq: 1 })];
  });
  return fc
    .record(Object.fromEntries(fields))
    .map((record) =>
      Object.fromEntries(Object.entries(record as object).filter(([, value]) => value !== undefined)),
    );
}

type Change = readonly [at: number, kind: number, value: unknown, word: string];
const change: fc.Arbitrary<Change> = fc.tuple(
  fc.nat(),
  fc.nat(6),
  wild,
  fc.oneof(fc.string({ maxLength: 12 }), fc.constantFrom('__proto__', 'constructor', 'Side', 'side ', 'id')),
);

/** The values of an arbitrary with a few things wrong in them. */
export function bent(values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc
    .tuple(values, fc.array(change, { minLength: 1, maxLength: 3 }))
    .map(([value, changes]) => changes.reduce<unknown>(applied, structuredClone(value)));
}

/** One place of the value is replaced, taken away, doubled or joined by a stranger. */
function applied(value: unknown, [at, kind, other, word]: Change): unknown {
  const places: (readonly [holder: Record<string, unknown>, key: string])[] = [];
  const collect = (holder: unknown): void => {
    if (typeof holder !== 'object' || holder === null) return;
    for (const key of Object.keys(holder)) {
      places.push([holder as Record<string, unknown>, key]);
      if (places.length < 200) collect((holder as Record<string, unknown>)[key]);
    }
  };
  collect(value);
  const place = places[at % Math.max(1, places.length)];
  if (!place) return other;
  const [holder, key] = place;
  switch (kind) {
    case 0:
      delete holder[key];
      break;
    case 1:
      if (Array.isArray(holder)) holder.push(other);
      else
        Object.defineProperty(holder, word, {
          value: other,
          enumerable: true,
          configurable: true,
          writable: true,
        });
      break;
    case 2:
      holder[key] = [holder[key], holder[key]];
      break;
    case 3:
      holder[key] = String(holder[key]);
      break;
    case 4:
      holder[key] = exoticNumbers[at % exoticNumbers.length];
      break;
    default:
      holder[key] = other;
  }
  return value;
}

type Slip = readonly [at: number, kind: number, filler: string];
const slip: fc.Arbitrary<Slip> = fc.tuple(fc.nat(), fc.nat(7), fc.string({ unit: 'binary', maxLength: 4 }));

/** JSON text of the values, every now and then with something wrong in the text itself. */
export function jsonOf(values: fc.Arbitrary<unknown>): fc.Arbitrary<string> {
  const text = values.map((value) => JSON.stringify(value) ?? 'null');
  return fc.oneof(
    { weight: 5, arbitrary: text },
    { weight: 2, arbitrary: fc.tuple(text, slip).map(([json, how]) => slipped(json, how)) },
  );
}

function slipped(json: string, [at, kind, filler]: Slip): string {
  const from = at % (json.length + 1);
  switch (kind) {
    case 0:
      return json.slice(0, from);
    case 1:
      return json.slice(0, from) + filler + json.slice(from);
    case 2:
      // the same name twice
      return json.replace(/^\{("[^"]*":)/, (_, name: string) => `{${name}${exoticNumbers[at % 12]},${name}`);
    case 3:
      return json.replace(/-?\d+(\.\d+)?/, exoticNumbers[at % exoticNumbers.length] ?? '0');
    case 4:
      return `\ufeff${json}`;
    case 5:
      return `${json}${json}`;
    case 6:
      return `${'['.repeat(at % 5_000)}${json}`;
    default:
      return json.slice(0, from) + json.slice(from + 1);
  }
}
