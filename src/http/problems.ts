/** Every error that clients can get, as RFC 9457 problems: one table of codes, one shape. */
import type { FieldProblem, Reason } from '../../machines/order.ts';

/** `code` -> status and title. Codes are stable: clients branch on them. `denied-<reason>` (422) is made by `denied`. */
const problemTable = {
  'validation-failed': { status: 400, title: 'The request is not valid' },
  'malformed-json': { status: 400, title: 'The body is not JSON' },
  'bad-request': { status: 400, title: 'The request cannot be read' },
  unauthenticated: { status: 401, title: 'A bearer token is needed' },
  'insufficient-scope': { status: 403, title: 'The token does not allow this' },
  'host-not-allowed': { status: 403, title: 'This host name is not served' },
  'origin-not-allowed': { status: 403, title: 'This browser origin may not call' },
  'not-found': { status: 404, title: 'There is nothing here' },
  'order-not-found': { status: 404, title: 'No order has this id' },
  'instrument-not-found': { status: 404, title: 'The broker knows no such instrument' },
  'method-not-allowed': { status: 405, title: 'The method is not served here' },
  'request-timeout': { status: 408, title: 'The request did not arrive in time' },
  'client-order-id-reused': { status: 409, title: 'Another order has this clientOrderId' },
  'order-closed': { status: 409, title: 'The order is closed' },
  'order-busy': { status: 409, title: 'The order waits for an answer of the broker' },
  'order-not-ours': { status: 409, title: 'Another client of TWS placed the order' },
  'order-not-missing': { status: 409, title: "The broker's lists do not lack the order" },
  'too-many-leases': { status: 409, title: 'No further client may have a lease' },
  'part-failed': { status: 409, title: 'A part of the runtime has failed for good' },
  'version-mismatch': { status: 412, title: 'The order has changed since' },
  'body-too-large': { status: 413, title: 'The body is larger than 64 KiB' },
  'uri-too-long': { status: 414, title: 'The path is too long' },
  'expectation-failed': { status: 417, title: 'The expectation is not met here' },
  'unsupported-media-type': { status: 415, title: 'Only JSON is understood' },
  'request-refused': { status: 422, title: 'The broker refused the request' },
  'upgrade-required': { status: 426, title: 'This is a WebSocket' },
  'too-many-requests': { status: 429, title: 'Too many requests' },
  'headers-too-large': { status: 431, title: 'The headers are too large' },
  'internal-error': { status: 500, title: 'Something broke here' },
  unsupported: { status: 501, title: 'This is not supported yet' },
  'trading-unavailable': { status: 503, title: 'Trading is not available now' },
  'data-unavailable': { status: 503, title: 'The broker cannot be asked now' },
  'data-timeout': { status: 504, title: 'The broker did not answer in time' },
} as const satisfies Record<string, { readonly status: number; readonly title: string }>;

export type ProblemCode = keyof typeof problemTable;

/** The body of `application/problem+json`, and `problem` in WebSocket answers. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly errors?: readonly FieldProblem[];
  /** further members of this code: `order`, `reason` */
  readonly [member: string]: unknown;
}

/** A problem of the table; `members` are further fields of the body. */
export function problem(
  code: ProblemCode,
  detail: string,
  members?: Readonly<Record<string, unknown>>,
): Problem {
  const { status, title } = problemTable[code];
  return { type: typeOf(code), title, status, code, detail, ...members };
}

/** The request does not say what it should: one entry per field. */
export function invalid(errors: readonly FieldProblem[]): Problem {
  const first = errors[0];
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  const detail = first ? `${first.pointer || 'body'}: ${first.detail}${more}` : 'the request is not valid';
  return problem('validation-failed', detail, { errors });
}

/** 422: the gate refused; `reason.code` comes without the prefix. */
export function denied(reason: Reason, members: Readonly<Record<string, unknown>>): Problem {
  const code = `denied-${reason.code}`;
  return {
    type: typeOf(code),
    title: 'The gate refused the order',
    status: 422,
    code,
    detail: reason.message,
    ...members,
  };
}

/** 503: nothing was recorded or queued. */
export function tradingUnavailable(reason: Reason): Problem {
  return problem('trading-unavailable', reason.message, { reason: reason.code });
}

function typeOf(code: string): string {
  return `urn:tws-runtime:problem:${code}`;
}

/** Thrown by handlers to answer with a problem. `headers` go with the answer. */
export class ProblemError extends Error {
  readonly problem: Problem;
  readonly headers: Readonly<Record<string, string>>;

  constructor(body: Problem, headers: Readonly<Record<string, string>> = {}) {
    super(body.detail);
    this.name = 'ProblemError';
    this.problem = body;
    this.headers = headers;
  }
}

/** What Fastify's own error codes mean to a client. */
const frameworkCodes: Readonly<Record<string, ProblemCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body-too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported-media-type',
  FST_ERR_CTP_INVALID_JSON_BODY: 'malformed-json',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'malformed-json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad-request',
  FST_ERR_BAD_URL: 'bad-request',
  FST_ERR_MAX_PARAM_LENGTH: 'uri-too-long',
};

const frameworkDetails: Partial<Record<ProblemCode, string>> = {
  'body-too-large': 'send at most 65536 bytes',
  'unsupported-media-type': 'send the body with Content-Type: application/json',
  'malformed-json': 'the body could not be parsed as JSON',
  'bad-request': 'the path or the length of the body is not valid',
  'uri-too-long': 'a part of the path is longer than 2048 characters',
};

/** The problem that an error thrown anywhere answers with. What we did not foresee becomes 500 and keeps its words to itself. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  if (typeof error !== 'object' || error === null) return internalError();
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown };
  const known = typeof code === 'string' ? frameworkCodes[code] : undefined;
  if (known) return problem(known, frameworkDetails[known] ?? problemTable[known].title);
  if (statusCode === 400) return problem('bad-request', 'the request could not be read');
  return internalError();
}

function internalError(): Problem {
  return problem('internal-error', 'the failure is in the log under this X-Request-ID');
}
