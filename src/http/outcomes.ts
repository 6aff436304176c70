/** What the trading side's outcomes are to a client, the same over HTTP and WebSocket: an answer, or a problem. */
import type { Order } from '../../machines/order.ts';
import type { ChangeOutcome, SubmitOutcome, SubmitTiming } from './options.ts';
import { denied, invalid, type Problem, problem, tradingUnavailable } from './problems.ts';

export type Answer<Status extends number = 200 | 201 | 202> =
  | {
      readonly status: Status;
      readonly order: Order;
      readonly timing?: SubmitTiming;
      readonly problem?: never;
    }
  | { readonly problem: Problem; readonly order?: never };

export function answerToSubmit(result: SubmitOutcome): Answer<200 | 201> {
  switch (result.outcome) {
    case 'created':
      return { status: 201, order: result.order, timing: result.timing };
    case 'existing':
      return { status: 200, order: result.order };
    case 'conflict': {
      const id = result.order.clientOrderId;
      const detail = `"${id}" was used for an order with other terms: choose another clientOrderId`;
      return { problem: problem('client-order-id-reused', detail, { order: result.order }) };
    }
    case 'denied':
      return { problem: denied(result.reason, { order: result.order }) };
    case 'unavailable':
      return { problem: tradingUnavailable(result.reason) };
    case 'invalid':
      return { problem: invalid(result.errors) };
  }
}

/** A cancel that was under way already answers like the one that began it. */
export function answerToChange(
  clientOrderId: string,
  what: 'modify' | 'cancel' | 'settle',
  result: ChangeOutcome,
): Answer {
  switch (result.outcome) {
    case 'requested':
      return { status: 202, order: result.order };
    case 'settled':
      return { status: what === 'cancel' ? 202 : 200, order: result.order };
    case 'unknown':
      return { problem: orderNotFound(clientOrderId) };
    case 'closed': {
      const detail = `"${clientOrderId}" is ${result.order.state}: there is nothing left to ${what}`;
      return { problem: problem('order-closed', detail, { order: result.order }) };
    }
    case 'version': {
      const detail = `the order is at version ${result.order.version}: read it again`;
      return { problem: problem('version-mismatch', detail, { order: result.order }) };
    }
    case 'notOurs': {
      const fix = what === 'cancel' ? 'cancel it there, or everything with POST /v1/kill' : 'change it there';
      const detail = `"${clientOrderId}" was placed in TWS or by another client: ${fix}`;
      return { problem: problem('order-not-ours', detail, { order: result.order }) };
    }
    case 'notMissing': {
      const detail = `"${clientOrderId}" is ${whyNotMissing(result.order)}`;
      return { problem: problem('order-not-missing', detail, { order: result.order }) };
    }
    case 'denied':
      return { problem: denied(result.reason, { order: result.order }) };
    case 'unavailable':
      return result.reason.code === 'order-busy'
        ? { problem: problem('order-busy', result.reason.message) }
        : { problem: tradingUnavailable(result.reason) };
    case 'invalid':
      return { problem: invalid(result.errors) };
  }
}

/** The state of an order that cannot be settled by hand, and what to do instead. */
function whyNotMissing({ state, reason }: Order): string {
  if (state !== 'inDoubt') return `${state}, and the broker's word ends it: cancel it if it must go`;
  const why = reason ? ` (${reason.code})` : '';
  return `inDoubt${why}, and the broker is being asked: settle it when the reason is missing-at-broker`;
}

export function orderNotFound(clientOrderId: string): Problem {
  return problem('order-not-found', `there is no order "${clientOrderId.slice(0, 32)}"`);
}
