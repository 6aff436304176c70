/** The named places at which the program can be made to die, between any two steps of what it does with an order. */

/** Requests that leave, by IB's number. */
export const outboundNames: Readonly<Record<number, string>> = {
  3: 'placeOrder',
  4: 'cancelOrder',
  7: 'reqExecutions',
  16: 'reqAllOpenOrders',
  61: 'reqPositions',
  71: 'startApi',
  99: 'reqCompletedOrders',
};

/** Messages that arrive, by IB's number. */
export const inboundNames: Readonly<Record<number, string>> = {
  3: 'orderStatus',
  5: 'openOrder',
  9: 'nextValidId',
  11: 'execDetails',
  53: 'openOrderEnd',
  55: 'execDetailsEnd',
  59: 'commissionReport',
  61: 'position',
  62: 'positionEnd',
  102: 'completedOrdersEnd',
};

const steps = (fact: string): readonly string[] => [
  `${fact}, before it is written`,
  `${fact}, while it is written`,
  `${fact}, before its commit`,
  `${fact}, after its commit`,
];
const sent = (message: string): readonly string[] => [
  `${message}, before it is sent`,
  `${message}, after it was sent`,
];
const read = (message: string): readonly string[] => [
  `${message}, before it is read`,
  `${message}, after it was read`,
];

/** By what the program is doing there. */
export const pointsOf = {
  submit: [
    ...steps('order.requested'),
    // What died above is in doubt when the program is back.
    'order.doubted, before its commit',
    'order.doubted, after its commit',
    ...sent('placeOrder'),
    'placeOrder, after it was sent#4',
    ...read('openOrder'),
    'order.sent, before its commit',
    'order.accepted, before its commit',
    'order.accepted, after its commit',
  ],
  modify: [
    ...steps('order.modifyRequested'),
    ...sent('changeOrder'),
    'order.modified, before its commit',
    'order.modified, after its commit',
  ],
  cancel: [
    'order.cancelRequested, before its commit',
    'order.cancelRequested, after its commit',
    ...sent('cancelOrder'),
    'order.cancelled, before its commit',
    'order.cancelled, after its commit',
  ],
  'fill booking': [
    ...read('execDetails'),
    ...read('commissionReport'),
    ...steps('order.filled'),
    'execution.booked, while it is written',
    'position.changed, while it is written',
    'order.filled, after its commit#3',
    'order.commissioned, before its commit',
    'execution.commissioned, before its commit',
    'execution.commissioned, after its commit',
  ],
  replay: ['the journal is opened', 'the journal is read', 'the journal is read#3', ...sent('startApi')],
  reconciliation: [
    ...read('nextValidId'),
    ...sent('reqExecutions'),
    ...read('orderStatus'),
    ...read('openOrderEnd'),
    ...read('execDetailsEnd'),
    ...read('positionEnd'),
    ...read('completedOrdersEnd'),
  ],
} as const;

export const points: readonly string[] = Object.values(pointsOf).flat();
