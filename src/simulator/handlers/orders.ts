import type { BookOrder, ExchangeEvent, Execution, ExecutionFilter, OrderRequest } from '../model.ts';
import { parseDateTime } from '../wire/dates.ts';
import { OUT } from '../wire/names.ts';
import { commissionReport, completedOrder, execDetails, openOrder, orderStatus } from '../wire/orders.ts';
import type { RequestOf } from '../wire/requests.ts';
import { invalid, type Link } from './link.ts';

/** Below this the ids of bound TWS orders begin; -1 is taken by liquidations. */
const FIRST_BOUND_ID = -2;

export type OrderEvent = Extract<
  ExchangeEvent,
  { readonly type: 'openOrder' | 'orderStatus' | 'execution' | 'commission' | 'orderError' }
>;

/** Orders of one connection. */
export class Orders {
  readonly #link: Link;
  /** permId -> the id under which client 0 knows an order of TWS */
  readonly #bound = new Map<number, number>();
  #nextBoundId = FIRST_BOUND_ID;
  #autoBinds = false;

  constructor(link: Link) {
    this.#link = link;
  }

  place(order: OrderRequest): void {
    const link = this.#link;
    const bound = this.#permIdOf(order.orderId);
    if (bound !== undefined && !order.whatIf) {
      link.whenUpstream(() => link.exchange.modify(bound, order));
      return;
    }
    const { clientId, orderIds } = link;
    const isSpent = !order.whatIf && orderIds.isSpent(clientId, order.orderId);
    if (!order.whatIf) orderIds.use(clientId, order.orderId);
    if (!order.transmit) link.log(`order ${order.orderId} has transmit 0 or none at all: held`);
    link.whenUpstream(() => link.exchange.place(order, isSpent));
  }

  cancel(orderId: number): void {
    const { exchange, clientId } = this.#link;
    const permId = this.#permIdOf(orderId);
    if (permId !== undefined) {
      this.#link.whenUpstream(() => this.#cancelBound(orderId, permId));
      return;
    }
    this.#link.whenUpstream(() => exchange.cancel(clientId, orderId));
  }

  exercise({ reqId, contract, action, quantity, account, override }: RequestOf<'exerciseOptions'>): void {
    const { exchange, clientId } = this.#link;
    const asked = { clientId, reqId, contract, action, quantity, account, override };
    this.#link.whenUpstream(() => exchange.exercise(asked));
  }

  cancelAll(): void {
    this.#link.whenUpstream(() => this.#link.exchange.cancelAll());
  }

  /** Own orders; client 0 binds those of TWS with it. */
  listOwn(): void {
    for (const order of this.#link.book.openOrders()) {
      if (order.request.clientId !== this.#link.clientId) continue;
      if (this.#isManual(order)) this.#bind(order);
      this.#report(order);
    }
    this.#link.send([OUT.openOrderEnd, 1]);
  }

  /** Everybody's orders, under the ids that their clients gave them. */
  listAll(): void {
    for (const order of this.#link.book.openOrders()) this.#report(order);
    this.#link.send([OUT.openOrderEnd, 1]);
  }

  /** The own orders that are still open, as TWS repeats them to a client that comes back. */
  repeatOpen(): void {
    for (const order of this.#link.book.openOrders()) {
      if (order.request.clientId === this.#link.clientId && !this.#isManual(order)) this.#report(order);
    }
  }

  autoBind(isOn: boolean): void {
    if (this.#link.clientId !== 0) {
      this.#link.error(-1, 321, invalid('Only the default client (i.e 0) can auto bind orders'));
      return;
    }
    this.#autoBinds = isOn;
  }

  listCompleted(apiOnly: boolean): void {
    for (const order of this.#link.book.completedOrders()) {
      if (apiOnly && this.#isManual(order)) continue;
      this.#link.send(completedOrder(order, this.#link));
    }
    this.#link.send([OUT.completedOrdersEnd]);
  }

  listExecutions(request: RequestOf<'reqExecutions'>): void {
    const since = request.time === '' ? null : parseDateTime(request.time, this.#link.zone);
    if (request.time !== '' && since === null) {
      this.#link.error(
        request.reqId,
        321,
        invalid(`Time "${request.time}" is not yyyymmdd hh:mm:ss with or without a time zone`),
      );
      return;
    }
    const filter: ExecutionFilter = {
      clientId: request.clientId,
      account: request.account,
      since,
      symbol: request.symbol,
      secType: request.secType,
      exchange: request.exchange,
      side: request.side,
    };
    for (const execution of this.#link.book.executions(filter)) {
      this.#link.send(execDetails(request.reqId, execution, this.#link, this.#shownExecutionId(execution)));
      const report = this.#link.exchange.commissionReport(execution.execId);
      if (report !== null) this.#link.send(commissionReport(report));
    }
    this.#link.send([OUT.execDetailsEnd, 1, request.reqId]);
  }

  /** What the exchange says about an order that belongs to this connection. */
  hear(event: OrderEvent): void {
    switch (event.type) {
      case 'openOrder':
      case 'orderStatus': {
        const { order } = event;
        if (this.#isManual(order)) {
          if (this.#autoBinds) this.#bind(order);
          if (!this.#bound.has(order.permId)) return;
        }
        if (event.type === 'openOrder') this.#sendOpenOrder(order);
        else this.#link.send(orderStatus(order, this.#shownId(order)));
        return;
      }
      case 'execution':
        this.#link.send(
          execDetails(-1, event.execution, this.#link, this.#shownExecutionId(event.execution)),
        );
        return;
      case 'commission':
        this.#link.send(commissionReport(event.report));
        return;
      case 'orderError': {
        const bound = event.permId === null ? undefined : this.#bound.get(event.permId);
        const isHidden = event.clientId === 0 && event.orderId === 0 && bound === undefined;
        if (!isHidden) this.#link.error(bound ?? event.orderId, event.code, event.text);
      }
    }
  }

  #cancelBound(orderId: number, permId: number): void {
    const { exchange } = this.#link;
    if (exchange.openOrders().some((order) => order.permId === permId)) {
      exchange.script.end(permId, 'Cancelled');
      return;
    }
    const ended = exchange.completedOrders().find((order) => order.permId === permId);
    const state = ended?.status ?? 'Inactive';
    const text = `OrderId ${orderId} that needs to be cancelled cannot be cancelled, state: ${state}.`;
    this.#link.error(orderId, 10148, text);
  }

  #report(order: BookOrder): void {
    this.#sendOpenOrder(order);
    this.#link.send(orderStatus(order, this.#shownId(order)));
  }

  #sendOpenOrder(order: BookOrder): void {
    const orderId = this.#shownId(order);
    // TWS wants every later id above all that it has shown to this client.
    if (!order.request.whatIf) this.#link.orderIds.use(this.#link.clientId, orderId);
    this.#link.send(openOrder(order, this.#link, orderId));
  }

  /** An order that was entered in TWS itself. */
  #isManual(order: BookOrder): boolean {
    return order.request.clientId === 0 && order.request.orderId <= 0;
  }

  #bind(order: BookOrder): void {
    if (this.#bound.has(order.permId) || order.request.orderId === -1) return;
    const orderId = this.#nextBoundId;
    this.#nextBoundId -= 1;
    this.#bound.set(order.permId, orderId);
    this.#link.send([OUT.orderBound, order.permId, order.request.clientId, orderId]);
  }

  #shownId(order: BookOrder): number {
    return this.#bound.get(order.permId) ?? order.request.orderId;
  }

  #shownExecutionId(execution: Execution): number {
    return this.#bound.get(execution.permId) ?? execution.orderId;
  }

  #permIdOf(orderId: number): number | undefined {
    if (orderId > FIRST_BOUND_ID) return undefined;
    for (const [permId, boundId] of this.#bound) if (boundId === orderId) return permId;
    return undefined;
  }
}
