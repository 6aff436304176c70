/** Whether a name that comes again means the order that has it. */
import { effectiveChange, type OrderTerms, type OrderTicket } from './order.ts';

const identity: readonly (keyof OrderTicket)[] = [
  'clientOrderId',
  'side',
  'type',
  'timeInForce',
  'goodTillDate',
  'outsideRegularHours',
  'ocaGroup',
  'parentClientOrderId',
  'client',
];

/** Figures that may be written in more than one way. */
const amounts = ({
  quantity,
  limitPrice,
  stopPrice,
  trailAmount,
  trailPercent,
}: OrderTerms): Partial<OrderTerms> =>
  Object.fromEntries(
    Object.entries({ quantity, limitPrice, stopPrice, trailAmount, trailPercent }).filter(
      ([, value]) => value !== undefined,
    ),
  );

const calledAs = (ticket: OrderTicket): string => ticket.calledAs ?? ticket.instrument;

/** Whether two tickets ask for the same thing. */
function isSameTicket(a: OrderTicket, b: OrderTicket): boolean {
  return (
    identity.every((field) => (a[field] ?? null) === (b[field] ?? null)) &&
    (a.instrument === b.instrument || calledAs(a) === calledAs(b)) &&
    Object.keys(effectiveChange(a, amounts(b))).length === 0 &&
    Object.keys(effectiveChange(b, amounts(a))).length === 0 &&
    a.account === b.account &&
    JSON.stringify([a.algo ?? null, a.tws ?? null]) === JSON.stringify([b.algo ?? null, b.tws ?? null])
  );
}

/** How the exits of a bracket are called. */
export const exitNames = (clientOrderId: string) => ({
  takeProfit: `${clientOrderId}.tp`,
  stopLoss: `${clientOrderId}.sl`,
});

/**
 * Whether a submission asks for the same as the one that has its names: the same orders, and no exit less. What is not
 * transmitted waits for a later one of its own submission.
 */
export function isRepetition(
  tickets: readonly OrderTicket[],
  formerOf: (clientOrderId: string) => OrderTicket | null,
): boolean {
  const isLeftOut = (clientOrderId: string): boolean =>
    tickets.every((ticket) => ticket.clientOrderId !== clientOrderId) &&
    formerOf(clientOrderId)?.transmit === false;
  return (
    tickets.every((ticket) => {
      const former = formerOf(ticket.clientOrderId);
      return former !== null && former.transmit === ticket.transmit && isSameTicket(former, ticket);
    }) && !tickets.some(({ clientOrderId }) => Object.values(exitNames(clientOrderId)).some(isLeftOut))
  );
}
