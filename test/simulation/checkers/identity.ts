import type { Checker } from '../observation.ts';

/** Each order of the broker is exactly one intent of ours or one record of an order of others. */
export const oneRecordEach: Checker = {
  name: 'one record for each broker order',
  *atRest({ exchange, orders, clientId }) {
    for (const { permId, request } of [...exchange.openOrders(), ...exchange.completedOrders()]) {
      const holders = orders.filter(({ permIds }) => permIds.includes(String(permId)));
      if (holders.length !== 1) {
        const names = holders.map(({ clientOrderId }) => clientOrderId).join(', ');
        yield `perm ${permId} (${request.orderRef || 'no reference'}) has ${holders.length} records: ${names}`;
        continue;
      }
      const [holder] = holders;
      const isOurs = request.clientId === clientId && request.orderRef !== '';
      if (isOurs && holder?.clientOrderId !== request.orderRef)
        yield `perm ${permId} is ${request.orderRef} and recorded as ${holder?.clientOrderId}`;
      if (isOurs !== (holder?.origin === 'api'))
        yield `perm ${permId} is ${isOurs ? 'ours' : 'of others'} and recorded as ${holder?.origin}`;
    }
  },
};
