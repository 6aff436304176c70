import { compare, equals, toDecimal } from '../../../machines/decimal.ts';
import { isClosed } from '../../../machines/evidence.ts';
import { executionFamily } from '../../../machines/order.ts';
import type { BookOrder } from '../../../src/simulator/model.ts';
import { isOutdated } from '../history.ts';
import type { Checker } from '../observation.ts';

/** What we say of an order is what the broker's book says of it: whether it lives, its terms, what has filled. */
export const booksAgree: Checker = {
  name: 'order and book agree',
  *atRest({ exchange, orders, history, dayStart, missingOrders, clientId }) {
    const open = new Map(exchange.openOrders().map((order) => [String(order.permId), order]));
    const known = new Map<string, BookOrder>(
      [...history.orders].map(([permId, order]) => [String(permId), order]),
    );
    for (const order of exchange.completedOrders()) known.set(String(order.permId), order);
    for (const [permId, order] of open) known.set(permId, order);
    const ours = [...known.values()].filter(({ request }) => request.clientId === clientId);
    for (const order of orders) {
      const { clientOrderId, permIds, state, reason } = order;
      if (isOutdated(order, history, dayStart)) continue;
      if (permIds.length === 0) {
        // What was sent before the day that TWS lists, and never answered, people have been told of.
        const isPast = Date.parse(order.createdAt) < dayStart;
        if (state === 'inDoubt' && isPast && missingOrders.has(clientOrderId)) continue;
        if (reason?.code === 'settled') {
          const named = ours.filter(({ request }) => request.orderRef === clientOrderId);
          const filled = toDecimal(named.reduce((sum, each) => sum + each.filled, 0)) ?? '0';
          if (!isClosed(order) || !equals(order.filledQuantity, filled))
            yield `${clientOrderId} was settled as ${state} with ${order.filledQuantity}, the book says ${filled}`;
          continue;
        }
        const isGivenUp = state === 'rejected' && reason?.code === 'not-at-broker';
        for (const { request, permId, filled, completedAt } of ours) {
          // What TWS lists neither as open nor as ended, as it was of a day that is over, does not exist for anyone.
          const isGone = completedAt !== null && completedAt < dayStart;
          if (request.orderRef === clientOrderId && ((isGivenUp && !isGone) || filled > 0))
            yield `${clientOrderId} is ${state} (${reason?.code}), and perm ${permId} filled ${filled}`;
        }
      }
      // How an order ended on a day that TWS no longer lists may never be heard.
      const ends = permIds.map((permId) => known.get(permId)?.completedAt ?? null);
      if (ends.length > 0 && ends.every((end) => end !== null && end < dayStart)) continue;
      const inBook = permIds.flatMap((permId) => open.get(permId) ?? []);
      if (isClosed(order) && inBook.length > 0)
        yield `${clientOrderId} is ${state} and the book works perm ${inBook[0]?.permId}`;
      if (!isClosed(order) && inBook.length === 0) yield `${clientOrderId} is ${state} and not in the book`;
      // Of two live orders under one number each has its own terms.
      const single = permIds.length === 1 ? inBook[0] : undefined;
      if (single && !equals(order.quantity, toDecimal(single.request.totalQuantity) ?? '0'))
        yield `${clientOrderId} is over ${order.quantity}, the book has ${single.request.totalQuantity}`;
      const limit = single?.request.lmtPrice ?? null;
      if (single && order.limitPrice !== undefined && limit !== null) {
        if (!equals(order.limitPrice, toDecimal(limit) ?? '0'))
          yield `${clientOrderId} is limited at ${order.limitPrice}, the book says ${limit}`;
      }
      // Of an order that lived through midnight TWS lists only what it did since, until it ends and its total is told.
      const executions = [...history.executions.values()].filter(({ permId }) =>
        permIds.includes(String(permId)),
      );
      const isUnlisted = executions.some(
        ({ time, execId }) =>
          time < dayStart &&
          !order.fills.some((fill) => executionFamily(fill.execId) === executionFamily(execId)),
      );
      const isTold = ends.every((end) => end !== null && end >= dayStart);
      const isCorrected = executions.some(({ execId }) => !/\.01$/.test(execId));
      if (isUnlisted && (!isTold || isCorrected)) continue;
      const filled = permIds.reduce((sum, permId) => sum + (known.get(permId)?.filled ?? 0), 0);
      if (!equals(order.filledQuantity, toDecimal(filled) ?? '0'))
        yield `${clientOrderId} has filled ${order.filledQuantity}, the book says ${filled}`;
      if (permIds.length > 0) {
        // Two live orders under one number fill one order of ours together.
        const isWhole =
          inBook.length === 0 &&
          (permIds.length === 1
            ? known.get(permIds[0] ?? '')?.status === 'Filled'
            : compare(order.filledQuantity, order.quantity) >= 0);
        const isBusted =
          (order.busted ?? []).length > 0 || order.fills.some(({ execId }) => !/\.01$/.test(execId));
        if (isWhole && !isBusted && state !== 'filled')
          yield `${clientOrderId} is ${state}, the book says Filled`;
        // Made larger elsewhere, unheard, and cut short at just what it was for before: an end either way.
        const last = permIds.length === 1 ? known.get(permIds[0] ?? '') : undefined;
        const isResized =
          inBook.length === 0 &&
          last !== undefined &&
          !equals(order.quantity, toDecimal(last.request.totalQuantity) ?? '0');
        if (state === 'filled' && !isWhole && !isBusted && !isResized)
          yield `${clientOrderId} is filled, the book says otherwise`;
      }
    }
  },
};
