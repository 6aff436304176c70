/** The routes as the API describes itself, and requests to them: whatever route is added is asked as well. */
import fc from 'fast-check';
import { bent, exoticNumbers, fitting, type JsonSchema, jsonOf, type Meanings, wild } from './values.ts';

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: JsonSchema;
}
interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly tags?: readonly string[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: JsonSchema }>> };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: JsonSchema }>> }>
  >;
}
export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

export interface Route {
  readonly method: string;
  readonly path: string;
  readonly tags: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly body: JsonSchema | null;
  /** by status; null: described without a schema */
  readonly answers: ReadonlyMap<number, JsonSchema | null>;
}

export function routesOf(document: ApiDocument): Route[] {
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { parameters = [], tags = [], requestBody, responses }]) => ({
      method: method.toUpperCase(),
      path,
      tags,
      parameters,
      body: requestBody ? (Object.values(requestBody.content)[0]?.schema ?? {}) : null,
      answers: new Map(
        Object.entries(responses).map(([status, { content = {} }]) => [
          Number(status),
          Object.values(content)[0]?.schema ?? null,
        ]),
      ),
    })),
  );
}

export interface Ask {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

/** The request as bytes. */
export function bytesOf({ method, target, headers, body }: Ask): Buffer {
  const lines = Object.entries({
    Host: 'localhost',
    ...headers,
    ...(body === null ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }),
  }).map(([name, value]) => `${name}: ${value}`);
  return Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body ?? ''}`);
}

const types = fc.oneof(
  { weight: 12, arbitrary: fc.constant('application/json') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'application/json; charset=utf-8',
      'application/json;charset=latin1',
      'APPLICATION/JSON',
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/xml',
      'application/',
      '/',
      'application/json, text/plain',
    ),
  },
);

/** Text in an address: as it should be, left as it is, or escaped wrongly. */
const escaped = (values: fc.Arbitrary<unknown>): fc.Arbitrary<string> =>
  fc.tuple(values, fc.nat(24)).map(([value, how]) => {
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
    if (how === 0) return '%zz';
    if (how === 1) return '%';
    if (how === 2) return '%C3%28%FF';
    if (how === 3) return `${encodeURIComponent(text.toWellFormed())}%2F..%2F`;
    // no blanks or line ends: they would end the request line
    if (how === 4) return text.replaceAll(/[^\x21-\x7e]|[?#]/g, '');
    return encodeURIComponent(text.toWellFormed()) || '%20';
  });

const rarely = <T, U>(values: fc.Arbitrary<T>, otherwise: U): fc.Arbitrary<T | U> =>
  fc.oneof({ weight: 1, arbitrary: values }, { weight: 8, arbitrary: fc.constant(otherwise) });

/** Requests to one route: a good part of them fit, the rest has something wrong somewhere. */
export function requestsTo(
  route: Route,
  meanings: Meanings,
  sound?: fc.Arbitrary<unknown>,
): fc.Arbitrary<Ask> {
  const either = (schema: JsonSchema, name: string, fits: number) =>
    fc.oneof(
      { weight: fits, arbitrary: fitting(schema, meanings, name) },
      { weight: 2, arbitrary: fc.oneof(wild, fc.constantFrom(...exoticNumbers)) },
    );
  const inPath = route.parameters.filter((parameter) => parameter.in === 'path');
  const inQuery = route.parameters.filter((parameter) => parameter.in === 'query');
  const path = fc
    .tuple(...inPath.map(({ name, schema }) => escaped(either(schema, name, 10))))
    .map((values) =>
      inPath.reduce(
        (target, { name }, at) => target.replace(`{${name}}`, () => values[at] || '-'),
        route.path,
      ),
    );
  const query = fc
    .tuple(
      fc.tuple(
        ...inQuery.map(({ name, schema, required }) => {
          const pair = escaped(either(schema, name, 8)).map((value) => `${name}=${value}`);
          return required ? fc.option(pair, { nil: '', freq: 20 }) : fc.option(pair, { nil: '', freq: 1 });
        }),
      ),
      rarely(fc.tuple(escaped(wild), escaped(wild)), null),
    )
    .map(([pairs, stranger]) =>
      [...pairs, stranger ? `${stranger[0]}=${stranger[1]}` : ''].filter((pair) => pair !== ''),
    );
  const schema = route.body ?? {};
  const fits = fitting(schema, meanings);
  const good = sound ? fc.oneof({ weight: 4, arbitrary: sound }, { weight: 1, arbitrary: fits }) : fits;
  const body: fc.Arbitrary<string | null> = route.body
    ? fc.oneof(
        { weight: 5, arbitrary: good.map((value) => JSON.stringify(value) ?? 'null') },
        { weight: 7, arbitrary: jsonOf(bent(good)) },
        { weight: 2, arbitrary: jsonOf(wild) },
        { weight: 1, arbitrary: fc.constant(null) },
      )
    : fc.oneof({ weight: 12, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: jsonOf(wild) });
  const headers = fc.record(
    {
      'If-Match': fc.constantFrom('"1"', '*', 'W/"2"', '"', '"x"', '99999999999999999999'),
      Accept: fc.constantFrom('text/plain', '*/*', 'application/json', ''),
      'X-Request-ID': fc.constantFrom('r-1', 'a b', 'x'.repeat(300), '{{7*7}}'),
    },
    { requiredKeys: [] },
  );
  return fc.tuple(path, query, body, types, rarely(headers, {})).map(([target, pairs, text, type, more]) => ({
    method: route.method,
    target: pairs.length > 0 ? `${target}?${pairs.join('&')}` : target,
    headers: {
      ...(text === null ? {} : { 'Content-Type': type }),
      ...Object.fromEntries(Object.entries(more).filter(([, value]) => value !== undefined)),
    },
    body: text,
  }));
}
