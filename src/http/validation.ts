/** Turns a schema into a check whose complaints name the field and the fix. One compiled check per schema, made at start. */
import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import Value from 'typebox/value';
import type { FieldProblem } from '../../machines/order.ts';

export type Checked<T> =
  | { readonly value: T; readonly errors?: never }
  | { readonly value?: never; readonly errors: readonly FieldProblem[] };

/** Complaints per request; typebox itself stops at 8 findings. */
const maxErrors = 16;

/** A check of parsed JSON as it is: nothing is coerced, removed or filled in. */
export function checkOf<S extends TSchema>(schema: S): (value: unknown) => Checked<Static<S>> {
  const compiled = Compile(schema);
  return (value) => {
    if (compiled.Check(value)) return { value: value as Static<S> };
    return { errors: explain(compiled.Errors(value), schema) };
  };
}

/** A check of text fields (query string, path): `"5"` counts as 5 where a number is asked for. */
export function checkTextOf<S extends TSchema>(schema: S): (value: unknown) => Checked<Static<S>> {
  const check = checkOf(schema);
  const integers = knownFields(schema, '').filter(
    (name) => property(property(property(schema, 'properties'), name), 'type') === 'integer',
  );
  return (value) => {
    // Converted, 1.5 would be the integer 1.
    const strange = integers.flatMap((name) => {
      const text = property(value, name);
      return typeof text === 'string' && !/^[+-]?\d+$/.test(text) ? [[name, text] as const] : [];
    });
    const converted = Value.Convert(schema, value);
    return check(
      strange.length === 0 ? converted : { ...(converted as object), ...Object.fromEntries(strange) },
    );
  };
}

interface Finding {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

function explain(findings: readonly Finding[], schema: TSchema): FieldProblem[] {
  const errors: FieldProblem[] = [];
  const seen = new Set<string>();
  const say = (pointer: string, detail: string) => {
    if (errors.length >= maxErrors || seen.has(pointer)) return;
    seen.add(pointer);
    errors.push({ pointer, detail });
  };
  for (const { keyword, instancePath, params, message } of findings) {
    const said = params as Readonly<Record<string, unknown>>;
    switch (keyword) {
      case 'boolean': {
        const parent = instancePath.slice(0, instancePath.lastIndexOf('/'));
        const name = instancePath.slice(parent.length + 1);
        say(instancePath.slice(0, 200), unknownField(name, knownFields(schema, parent)));
        break;
      }
      // the same fields once more, all at once
      case 'additionalProperties':
        break;
      case 'required':
        for (const name of listed(said.requiredProperties)) {
          say(`${instancePath}/${name}`, 'is required');
        }
        break;
      case 'enum':
        say(instancePath, `must be one of ${listed(said.allowedValues).join(', ')}`);
        break;
      default:
        say(instancePath, message);
    }
  }
  return errors.length > 0 ? errors : [{ pointer: '', detail: 'is not valid' }];
}

function listed(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function knownFields(schema: TSchema, path: string): readonly string[] {
  let at: unknown = schema;
  for (const part of path.split('/').slice(1)) at = property(property(at, 'properties'), part);
  const properties = property(at, 'properties');
  return typeof properties === 'object' && properties !== null ? Object.keys(properties) : [];
}

function property(of: unknown, name: string): unknown {
  return typeof of === 'object' && of !== null ? (of as Record<string, unknown>)[name] : undefined;
}

function unknownField(name: string, known: readonly string[]): string {
  const plain = name.toLowerCase().replaceAll(/[^a-z]/g, '');
  const meant = known.find((field) => field.toLowerCase() === plain);
  if (meant) return `unknown field; did you mean ${meant}?`;
  return known.length > 0 ? `unknown field; known are ${known.join(', ')}` : 'unknown field';
}
