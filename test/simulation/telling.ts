/** What happens in a run, in words: a line of the trace for each. */
import type { JournalEntry } from '../../machines/journal.ts';
import type { BrokerFact, TwsCommand } from '../../machines/tws.ts';
import type { ExchangeEvent } from '../../src/simulator/model.ts';

export function tellCommand(command: TwsCommand): string {
  switch (command.type) {
    case 'tws.place': {
      const { orderId, ticket, parentOrderId, modification } = command;
      return (
        `${modification ? 'modify' : 'place'} #${orderId} ${ticket.clientOrderId} ${ticket.side} ${ticket.quantity}` +
        ` ${ticket.instrument} ${ticket.type} ${ticket.limitPrice ?? ''}/${ticket.stopPrice ?? ''}` +
        `${parentOrderId ? ` child of #${parentOrderId}` : ''}${ticket.transmit ? '' : ' (not transmitted)'}`
      );
    }
    case 'tws.cancel':
      return `cancel #${command.orderId} ${command.clientOrderId}`;
    case 'tws.cancelAll':
      return 'cancel all';
  }
}

export function tellFact(fact: BrokerFact): string {
  switch (fact.type) {
    case 'broker.orderSeen':
      return (
        `openOrder #${fact.ids.orderId} ${fact.ids.orderRef} perm ${fact.ids.permId} ${fact.status}` +
        ` ${fact.terms.quantity} ${fact.terms.limitPrice ?? ''}`
      );
    case 'broker.statusSeen':
      return (
        `orderStatus #${fact.ids.orderId} perm ${fact.ids.permId} ${fact.status} filled ${fact.filled}` +
        `${fact.heldBecause ? ` held: ${fact.heldBecause}` : ''}`
      );
    case 'broker.executed':
      return `execution ${fact.execution.execId} of #${fact.ids.orderId} ${fact.ids.orderRef}: ${fact.execution.quantity}`;
    case 'broker.commissioned':
      return `commission of ${fact.execId}: ${fact.commission}`;
    case 'broker.orderNoted':
      return `error ${fact.code} on #${fact.orderId}: ${fact.message.slice(0, 60)}`;
    case 'broker.completedSeen':
      return `completed ${fact.ids.orderRef} perm ${fact.ids.permId} ${fact.status} filled ${fact.filled}`;
    case 'broker.positionSeen':
      return `position ${fact.contract.symbol} ${fact.quantity}`;
    case 'broker.orderIdGranted':
      return '';
  }
}

export function tellEntry(entry: JournalEntry): string {
  switch (entry.kind) {
    case 'order': {
      const { fact, order } = entry;
      const reason = 'reason' in fact && fact.reason ? ` (${fact.reason.code})` : '';
      return `${fact.type} ${fact.clientOrderId} -> ${order.state} ${order.filledQuantity}/${order.quantity}${reason}`;
    }
    case 'position':
      return `position ${entry.position.instrument} ${entry.position.quantity}${entry.position.confirmed ? '' : ' unconfirmed'}`;
    case 'execution':
      return `${entry.event} ${entry.execution.execId} ${entry.execution.quantity}`;
    case 'trading':
      return `trading ${entry.state}`;
    case 'withdrawal':
      return (
        `withdrawals owed: ${entry.standing.owed.map((each) => each.clientOrderId).join(' ')};` +
        ` leases: ${entry.standing.leases.map(({ client }) => client || '(nameless)').join(' ')}`
      );
    case 'health':
    case 'alert':
      return `${entry.kind} ${entry.event}`;
    default:
      return String(entry.kind);
  }
}

/** Null: nothing that people need to read. */
export function tellBook(event: ExchangeEvent): string | null {
  switch (event.type) {
    case 'orderStatus': {
      const { order } = event;
      return (
        `#${order.request.orderId} ${order.request.orderRef || '-'} perm ${order.permId} ${order.status}` +
        ` ${order.filled}/${order.request.totalQuantity}${order.whyHeld ? ` held: ${order.whyHeld}` : ''}`
      );
    }
    case 'execution': {
      const { execId, shares, price, permId, side, contract } = event.execution;
      return `${execId} ${side} ${shares} ${contract.symbol} at ${price} of perm ${permId}`;
    }
    case 'orderError':
      return `#${event.orderId} error ${event.code}: ${event.text.slice(0, 60)}`;
    default:
      return null;
  }
}
