/** Where the used ids outlive the process. */
export interface OrderIdStore {
  /** the next id of each client that ever used one */
  orderIds(): ReadonlyMap<number, number>;
  keepOrderId(clientId: number, nextId: number): void;
}

/** The order ids that each client id has used. They outlive connections, as in TWS. */
export class OrderIds {
  readonly #next: Map<number, number>;
  readonly #first: number;
  readonly #store: OrderIdStore | null;
  #override: number | null = null;

  constructor(first = 1, store: OrderIdStore | null = null) {
    this.#first = first;
    this.#store = store;
    this.#next = new Map(store?.orderIds());
  }

  /** The id that nextValidId announces; the same until one is used. */
  next(clientId: number): number {
    return this.#next.get(clientId) ?? this.#override ?? this.#first;
  }

  /** Ids below the next one are spent. */
  isSpent(clientId: number, orderId: number): boolean {
    return orderId < this.next(clientId);
  }

  /** Notes an id that was used by the client, or shown to it. */
  use(clientId: number, orderId: number): void {
    if (orderId < this.next(clientId)) return;
    this.#next.set(clientId, orderId + 1);
    this.#store?.keepOrderId(clientId, orderId + 1);
  }

  /** From now on the client (or, without one, every client) is told this id. It may be lower than before. */
  set(nextValidId: number, clientId?: number): void {
    if (clientId === undefined) {
      this.#next.clear();
      this.#override = nextValidId;
    } else this.#next.set(clientId, nextValidId);
  }
}
