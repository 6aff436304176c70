/** Pairs of state and word that cannot meet in a simulated world, with the reason. A pair that is met all the same is printed. */

export interface ImpossiblePairs {
  readonly machine: 'order' | 'gate' | 'tws' | 'reconciliation' | 'audit';
  /** absent: any */
  readonly states?: readonly string[];
  /** absent: any */
  readonly words?: readonly string[];
  /** of the above, those that do happen */
  readonly butStates?: readonly string[];
  readonly butWords?: readonly string[];
  readonly because: string;
}

const closed = ['filled', 'cancelled', 'expired', 'rejected', 'denied'] as const;
const beforeSending = ['reviewing', 'journaling'] as const;

export const impossible: readonly ImpossiblePairs[] = [
  {
    machine: 'order',
    states: ['reviewing'],
    butWords: ['order.approve', 'order.denied', 'order.requested', 'order.discovered'],
    because: 'the gate answers within the turn in which an order is born',
  },
  {
    machine: 'order',
    states: ['journaling'],
    butWords: ['order.requested'],
    because: 'the intent is written within the turn in which it is approved',
  },
  {
    machine: 'order',
    words: ['order.approve', 'order.denied', 'order.discovered'],
    butStates: ['reviewing'],
    because: 'said once, as the order is born',
  },
  {
    machine: 'order',
    words: ['order.requested'],
    butStates: [...beforeSending],
    because: 'said once, as the order is born',
  },
  { machine: 'order', words: ['order.resume'], because: 'ends a replay, and replays are not counted' },
  {
    machine: 'order',
    states: ['denied'],
    words: [
      'broker.orderSeen',
      'broker.statusSeen',
      'broker.executed',
      'broker.commissioned',
      'broker.completedSeen',
      'order.accepted',
      'order.filled',
      'order.filledAsStated',
      'order.corrected',
      'order.commissioned',
      'order.modified',
      'order.cancelled',
      'order.expired',
      'order.rejected',
      'order.doubted',
      'order.incarnationEnded',
      'order.sent',
    ],
    because: 'its bytes never left: the broker does not know of it',
  },
  {
    machine: 'order',
    states: [...closed],
    words: [
      'session.lost',
      'evidence.completed',
      'order.modifyRequested',
      'order.cancelRequested',
      'order.cancel',
    ],
    because: 'the desk keeps them from orders that have closed',
  },
  {
    machine: 'order',
    states: ['cancelling'],
    words: ['order.cancelRequested', 'order.modifyRequested'],
    because: 'the desk answers what repeats or contradicts a cancel by itself',
  },
  {
    machine: 'order',
    states: ['submitting', 'modifying', 'inDoubt'],
    words: ['order.modifyRequested'],
    because: 'the desk refuses the change of an order whose last request is unanswered',
  },
  {
    machine: 'order',
    words: ['order.listed'],
    states: ['denied'],
    because: 'the desk says it only of what a word of the broker has ended, or whose fills were taken back',
  },
  {
    machine: 'order',
    words: ['order.sent', 'order.withheld', 'order.idRefused', 'order.renumbered'],
    states: ['working', 'modifying', ...closed],
    because: 'they answer a placement, and these have been answered or have ended',
  },
  {
    machine: 'order',
    words: ['order.modifyRejected'],
    states: ['submitting', 'inDoubt', ...closed],
    butStates: ['filled'],
    because: 'a change that is not under way cannot be refused; the last fill ends one that is',
  },
  {
    machine: 'gate',
    states: ['halted'],
    words: ['gate.release'],
    because: 'nothing is approved that could be taken back',
  },
  { machine: 'tws', states: ['refused'], because: 'no simulated TWS is too old' },
  { machine: 'tws', states: ['impaired'], because: 'data farms are not simulated' },
  {
    machine: 'tws',
    words: ['farm.changed', 'session.limited', 'session.noted', 'session.undecodable'],
    because: 'a TWS without sockets has no farms, no limits and no bytes',
  },
  { machine: 'tws', words: ['tws.disconnect'], because: 'nobody asks the runtime to hang up' },
  {
    machine: 'tws',
    states: ['idle', 'waiting', 'maintenance'],
    words: [
      'session.dialing',
      'session.connected',
      'session.greeted',
      'session.accountsListed',
      'session.orderIdGranted',
      'session.probed',
      'session.closed',
      'session.refused',
      'link.severed',
      'link.restored',
      'heartbeat.due',
      'heartbeat.missed',
      'broker.statusSeen',
      'broker.commissioned',
      'broker.orderIdGranted',
      'dispatch.withheld',
    ],
    because: 'the session that could say it is gone',
  },
  {
    machine: 'tws',
    states: ['dialing', 'negotiating', 'introducing', 'probing'],
    words: ['heartbeat.due', 'heartbeat.missed'],
    because: 'heartbeats begin when the session stands',
  },
];
