/** Orders over the WebSocket: the handlers and checks of HTTP, without a request per order. */
import type { HttpOptions, LeaseTerms } from './options.ts';
import { readChange, readOrder } from './order-input.ts';
import { type Answer, answerToChange, answerToSubmit } from './outcomes.ts';
import { invalid, type Problem, problem } from './problems.ts';
import type { CommandMessage } from './stream-schema.ts';
import type { Checked } from './validation.ts';

/** What the command came to; never throws for a fault of the client's. */
export async function runCommand(
  { trading, reading }: Pick<HttpOptions, 'trading' | 'reading'>,
  message: CommandMessage,
): Promise<Answer | { readonly lease: LeaseTerms; readonly problem?: never }> {
  switch (message.command) {
    case 'order.submit': {
      const request = readOrder(message.order);
      if (request.errors) return { problem: invalidBelow('/order', request) };
      return answerToSubmit(await trading.submit(request.value));
    }
    case 'order.modify': {
      const { clientOrderId } = message;
      if (clientOrderId === undefined) return { problem: missingOrderId };
      const change = readChange(message.change, reading.order(clientOrderId));
      if (change.errors) return { problem: invalidBelow('/change', change) };
      const result = await trading.modify(clientOrderId, change.value, message.ifVersion ?? null);
      return answerToChange(clientOrderId, 'modify', result);
    }
    case 'order.cancel': {
      const { clientOrderId } = message;
      if (clientOrderId === undefined) return { problem: missingOrderId };
      return answerToChange(clientOrderId, 'cancel', await trading.cancel(clientOrderId));
    }
    case 'lease.renew': {
      const { cancelAfterMs, client = '' } = message;
      if (cancelAfterMs === undefined)
        return { problem: invalid([{ pointer: '/cancelAfterMs', detail: 'is required' }]) };
      if (cancelAfterMs > 0 && cancelAfterMs < leaseMsMin) {
        const detail = `must be 0 (ends the lease) or at least ${leaseMsMin}`;
        return { problem: invalid([{ pointer: '/cancelAfterMs', detail }]) };
      }
      const lease = await trading.renewLease(client, cancelAfterMs);
      return lease ? { lease } : { problem: problem('too-many-leases', tooManyLeases) };
    }
    default:
      return { problem: unknownCommand(message.command) };
  }
}

/** Shorter leases would lapse between two turns of a busy network. */
const leaseMsMin = 100;

const tooManyLeases =
  'as many clients as may have a lease have one: end one with cancelAfterMs 0, let one lapse, or share a name (client)';

const missingOrderId = invalid([{ pointer: '/clientOrderId', detail: 'is required' }]);

function unknownCommand(command: string): Problem {
  const detail = `"${command}" is none of order.submit, order.modify, order.cancel, lease.renew`;
  return invalid([{ pointer: '/command', detail }]);
}

function invalidBelow(pointer: string, { errors = [] }: Checked<unknown>): Problem {
  return invalid(errors.map((error) => ({ ...error, pointer: pointer + error.pointer })));
}
