/** Lists: how many, and from where. Cursors are opaque to clients. */
import Type, { type TSchema } from 'typebox';
import type { Page } from '../../machines/journal.ts';
import { invalid, ProblemError } from './problems.ts';

export const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 100 })),
  after: Type.Optional(
    Type.String({ minLength: 1, maxLength: 256, description: 'The `next` of the page before.' }),
  ),
};

export const PageQuery = Type.Object(pageQuery, { additionalProperties: false });

export interface PageRequest {
  readonly limit: number;
  readonly after: string | null;
}

export function pageRequest(query: { readonly limit?: number; readonly after?: string }): PageRequest {
  return { limit: query.limit ?? 100, after: query.after ?? null };
}

/** A page of a list that is whole in memory, in its own order; `keyOf` is unique per row. */
export function pageOf<T>(
  rows: readonly T[],
  { limit, after }: PageRequest,
  keyOf: (row: T) => string,
): Page<T> {
  let from = 0;
  if (after !== null) {
    const key = Buffer.from(after, 'base64url').toString();
    from = rows.findIndex((row) => keyOf(row) === key) + 1;
    if (from === 0) throw foreignCursor();
  }
  const page = rows.slice(from, from + limit);
  const last = page.at(-1);
  const more = from + limit < rows.length && last !== undefined;
  return { rows: page, next: more ? Buffer.from(keyOf(last)).toString('base64url') : null };
}

/** Runs a query of the reading side, which throws a RangeError for a cursor that it never gave out. */
export function queried<T>(query: () => T): T {
  try {
    return query();
  } catch (error) {
    if (error instanceof RangeError) throw foreignCursor();
    throw error;
  }
}

function foreignCursor(): ProblemError {
  const detail = 'is not a cursor of this list, or its row is gone: begin again without it';
  return new ProblemError(invalid([{ pointer: '/after', detail }]));
}

/** `{"<noun>": [...], "next": ...}` */
export function listOf(noun: string, row: TSchema) {
  return Type.Object({ [noun]: Type.Array(row), next: Type.Union([Type.String(), Type.Null()]) });
}
