/** How routes are typed and checked: the schema of a query or path is what its handler sees. */
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifySchemaCompiler,
  FastifyTypeProvider,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { Static, TSchema } from 'typebox';
import { invalid, ProblemError } from './problems.ts';
import { type Checked, checkTextOf } from './validation.ts';

interface SchemaTypes extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown;
  // answers are typed by the ports; their schemas describe them to readers
  serializer: unknown;
}

export type Server = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  SchemaTypes
>;

/** Queries and paths are checked here; bodies by the reader that also serves the WebSocket. */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  if (httpPart === 'body') return () => true;
  const check = checkTextOf(schema);
  return (value: unknown) => {
    const checked = check(value);
    return checked.errors ? { error: new ProblemError(invalid(checked.errors)) } : { value: checked.value };
  };
};

/** The value, or a 400 with its complaints. */
export function valid<T>(checked: Checked<T>): T {
  if (checked.errors) throw new ProblemError(invalid(checked.errors));
  return checked.value;
}
