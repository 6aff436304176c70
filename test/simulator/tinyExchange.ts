import { EventEmitter } from 'node:events';
import { realClock } from '../../src/simulator/clock.ts';
import type {
  BookOrder,
  Clock,
  CommissionReport,
  Contract,
  ContractDetails,
  ContractQuery,
  Exchange,
  ExchangeEvent,
  Execution,
  OrderRequest,
  Tick,
} from '../../src/simulator/model.ts';

const ACCOUNT = 'DU1234567';

const contract = (conId: number, symbol: string, more: Partial<Contract> = {}): Contract => ({
  conId,
  symbol,
  secType: 'STK',
  lastTradeDateOrContractMonth: '',
  strike: 0,
  right: '',
  multiplier: '',
  exchange: 'SMART',
  primaryExchange: 'NASDAQ',
  currency: 'USD',
  localSymbol: symbol,
  tradingClass: 'NMS',
  comboLegs: [],
  ...more,
});

const details = (of: Contract): ContractDetails => ({
  contract: of,
  marketName: 'NMS',
  minTick: 0.01,
  orderTypes: 'LMT,MKT,STP',
  validExchanges: 'SMART,NASDAQ',
  priceMagnifier: 1,
  underConId: 0,
  longName: `${of.symbol} SOCIÉTÉ`,
  contractMonth: '',
  industry: 'Technology',
  category: 'Computers',
  subcategory: 'Computers',
  timeZoneId: 'US/Eastern',
  tradingHours: '20260105:0400-20260105:2000',
  liquidHours: '20260105:0930-20260105:1600;20260106:CLOSED',
  secIds: [{ tag: 'ISIN', value: 'US0378331005' }],
  aggGroup: 1,
  underSymbol: '',
  underSecType: '',
  marketRuleIds: '26,26',
  realExpirationDate: '',
  lastTradeDate: '',
  stockType: 'COMMON',
  minSize: 0.0001,
  sizeIncrement: 0.0001,
  suggestedSizeIncrement: 100,
});

export const AAPL = contract(265598, 'AAPL');
const BOND = contract(111, 'T', { secType: 'BOND', localSymbol: 'T 4 1/2' });
const FUND = contract(222, 'VFIAX', { secType: 'FUND' });
const CATALOGUE = [AAPL, contract(76792991, 'TSLA'), BOND, FUND].map(details);

/** A venue of two stocks with a still market: market orders fill at the ask or bid, limits rest unless they cross. */
export class TinyExchange implements Exchange {
  readonly clock: Clock;
  readonly accounts = [ACCOUNT];
  readonly #events = new EventEmitter();
  readonly #ticks = new EventEmitter();
  readonly #book = new Map<number, BookOrder>();
  readonly #closed: BookOrder[] = [];
  readonly #executions: Execution[] = [];
  readonly #reports = new Map<string, CommissionReport>();
  #rejections: { readonly code: number; readonly text: string }[] = [];
  #permId = 600745656;
  /** requests as they came in */
  readonly placed: OrderRequest[] = [];

  constructor(clock: Clock = realClock) {
    this.clock = clock;
    this.#events.setMaxListeners(100);
    this.#ticks.setMaxListeners(1000);
  }

  onEvent(listener: (event: ExchangeEvent) => void): () => void {
    this.#events.on('event', listener);
    return () => this.#events.off('event', listener);
  }

  emit(event: ExchangeEvent): void {
    this.#events.emit('event', event);
  }

  tick(conId: number, tick: Tick): void {
    this.#ticks.emit(String(conId), tick);
  }

  findContracts(query: ContractQuery): readonly ContractDetails[] {
    return CATALOGUE.filter(
      ({ contract: known }) =>
        (query.conId === 0 || query.conId === known.conId) &&
        (query.symbol === '' || query.symbol === known.symbol) &&
        (query.secType === '' || query.secType === known.secType),
    );
  }

  resolve(wanted: Contract) {
    const found = this.findContracts({ ...wanted, includeExpired: false, secIdType: '', secId: '' })[0];
    return found === undefined
      ? { code: 200, text: 'No security definition has been found for the request' }
      : { details: found };
  }

  searchSymbols(pattern: string) {
    return CATALOGUE.filter(({ contract: { symbol } }) => symbol.startsWith(pattern)).map((entry) => ({
      contract: entry.contract,
      derivativeSecTypes: ['OPT', 'CFD'],
      description: entry.longName,
    }));
  }

  optionParameters() {
    return [
      {
        exchange: 'SMART',
        underlyingConId: AAPL.conId,
        tradingClass: 'AAPL',
        multiplier: '100',
        expirations: ['20261218'],
        strikes: [190, 200],
      },
    ];
  }

  marketRule(id: number) {
    return id === 26 ? [{ lowEdge: 0, increment: 0.01 }] : null;
  }

  place(request: OrderRequest, isSpent = false): void {
    if (isSpent && !this.placed.some(({ orderId }) => orderId === request.orderId)) {
      const { clientId, orderId } = request;
      this.emit({
        type: 'orderError',
        clientId,
        orderId,
        permId: null,
        code: 103,
        text: 'Duplicate order id',
      });
      return;
    }
    this.placed.push(request);
    const rejection = this.#rejections.shift();
    if (rejection !== undefined) {
      const { clientId, orderId } = request;
      this.emit({ type: 'orderError', clientId, orderId, permId: null, ...rejection });
      return;
    }
    const open = [...this.#book.values()].find(
      ({ request: { clientId, orderId } }) => clientId === request.clientId && orderId === request.orderId,
    );
    this.#permId += 1;
    const permId = open?.permId ?? this.#permId;
    const order: BookOrder = {
      request: { ...request, account: request.account === '' ? ACCOUNT : request.account },
      contract: AAPL,
      permId,
      parentPermId: 0,
      status: request.orderType === 'MKT' || request.whatIf ? 'PreSubmitted' : 'Submitted',
      filled: 0,
      remaining: request.totalQuantity,
      avgFillPrice: 0,
      lastFillPrice: 0,
      whyHeld: '',
      mktCapPrice: 0,
      trailStopPrice: null,
      commission: null,
      commissionCurrency: 'USD',
      warningText: '',
      margin: null,
      completedAt: null,
      completedStatus: '',
    };
    if (request.whatIf) {
      this.emit({ type: 'openOrder', order: { ...order, margin: MARGIN } });
      return;
    }
    if (!request.transmit) return;
    this.#change(order);
    if (request.orderType === 'MKT') this.fill(permId, request.totalQuantity, 201.94);
  }

  modify = () => undefined;
  exercise = () => undefined;

  fill(permId: number, shares: number, price: number): void {
    const order = this.#book.get(permId);
    if (order === undefined) throw new Error(`no order ${permId}`);
    const filled = order.filled + shares;
    const { request } = order;
    const execution: Execution = {
      execId: `0000e0d5.67fe667b.0${this.#executions.length + 1}.01`,
      orderId: request.orderId,
      clientId: request.clientId,
      permId,
      orderRef: request.orderRef,
      contract: order.contract,
      time: this.clock.now(),
      account: request.account,
      exchange: 'IEX',
      side: request.action === 'BUY' ? 'BOT' : 'SLD',
      shares,
      price,
      cumQty: filled,
      avgPrice: price,
      liquidation: 0,
      lastLiquidity: 2,
    };
    const report = { execId: execution.execId, commission: 1, currency: 'USD', realizedPNL: null };
    this.#executions.push(execution);
    this.#reports.set(execution.execId, report);
    this.emit({ type: 'execution', execution });
    const isDone = filled === request.totalQuantity;
    this.#change({
      ...order,
      filled,
      remaining: request.totalQuantity - filled,
      avgFillPrice: price,
      lastFillPrice: price,
      status: isDone ? 'Filled' : order.status,
      completedAt: isDone ? this.clock.now() : null,
      completedStatus: isDone ? `Filled Size: ${filled}` : '',
    });
    this.emit({ type: 'commission', clientId: request.clientId, report });
    this.emit({ type: 'position', position: this.#position(filled) });
  }

  cancel(clientId: number, orderId: number): void {
    const order = [...this.#book.values()].find(
      ({ request }) => request.clientId === clientId && request.orderId === orderId,
    );
    if (order === undefined) {
      const text = `OrderId ${orderId} that needs to be cancelled is not found.`;
      this.emit({ type: 'orderError', clientId, orderId, permId: null, code: 10147, text });
      return;
    }
    this.#change({
      ...order,
      status: 'Cancelled',
      completedAt: this.clock.now(),
      completedStatus: 'Cancelled by Trader',
    });
    this.emit({
      type: 'orderError',
      clientId,
      orderId,
      permId: null,
      code: 202,
      text: 'Order Canceled - reason:',
    });
  }

  cancelAll(): void {
    for (const { request } of [...this.#book.values()]) this.cancel(request.clientId, request.orderId);
  }

  openOrders = (): readonly BookOrder[] => [...this.#book.values()];
  completedOrders = (): readonly BookOrder[] => this.#closed;
  executions = (): readonly Execution[] => this.#executions;
  commissionReport = (execId: string) => this.#reports.get(execId) ?? null;
  positions = () => (this.#executions.length === 0 ? [] : [this.#position(100)]);
  accountValues = (account: string) => [
    { account, key: 'AccountType', value: 'INDIVIDUAL', currency: '' },
    { account, key: 'NetLiquidation', value: '1000000.00', currency: 'USD' },
    { account, key: 'CashBalance', value: '1000000.00', currency: 'BASE' },
  ];
  pnl = () => ({ daily: 1, unrealized: 2, realized: 3 });
  pnlSingle = () => ({ position: 100, daily: 1, unrealized: 2, realized: 3, value: 20_000 });
  quote = (conId: number) =>
    CATALOGUE.some((entry) => entry.contract.conId === conId)
      ? {
          bid: 201.9,
          ask: 201.94,
          bidSize: 300,
          askSize: 100,
          last: 201.92,
          lastSize: 50,
          volume: 123456,
          open: 200,
          high: 203,
          low: 199,
          close: 200.5,
          halted: false,
        }
      : null;

  subscribeTicks(conId: number, listener: (tick: Tick) => void): () => void {
    this.#ticks.on(String(conId), listener);
    return () => this.#ticks.off(String(conId), listener);
  }
  subscribePrints = () => () => undefined;
  subscribeDepth: Exchange['subscribeDepth'] = (_conId, rows, listener) => {
    for (let position = 0; position < rows; position += 1) {
      for (const side of [0, 1] as const) {
        const price = side === 0 ? 201.94 + position / 100 : 201.9 - position / 100;
        listener({ position, operation: 0, side, price, size: 100, marketMaker: 'NSDQ' });
      }
    }
    return () => undefined;
  };
  bars: Exchange['bars'] = ({ end, barSeconds, durationSeconds }) => {
    const count = Math.min(10, Math.max(1, Math.floor(durationSeconds / barSeconds)));
    const last = end - (end % (barSeconds * 1000)) - barSeconds * 1000;
    return Array.from({ length: count }, (_, index) => ({
      time: last - (count - 1 - index) * barSeconds * 1000,
      open: 200,
      high: 203,
      low: 199,
      close: 201,
      volume: 1000,
      wap: 200.5,
      count: 10,
    }));
  };
  sessions: Exchange['sessions'] = ({ end }) => {
    const open = end - (end % 86_400_000) - 86_400_000 + 52_200_000;
    return [{ open, close: open + 23_400_000 }];
  };
  headTimestamp = () => Date.UTC(1980, 11, 12, 14, 30);
  histogram = () => [{ price: 201.9, size: 100 }];
  historicalPrints: Exchange['historicalPrints'] = (_conId, startMs, endMs, count) =>
    Array.from({ length: Math.min(3, count) }, (_, index) => ({
      time: (startMs ?? endMs ?? 0) + index * 1000,
      price: 201.9,
      size: 10,
      exchange: 'ISLAND',
      conditions: '',
      bid: 201.9,
      ask: 201.94,
      bidSize: 100,
      askSize: 200,
    }));
  optionModel = () => ({
    impliedVol: 0.25,
    delta: 0.5,
    optPrice: 10,
    pvDividend: 0,
    gamma: 0.01,
    vega: 0.1,
    theta: -0.05,
    undPrice: 201.92,
  });

  readonly script: Exchange['script'] = {
    ...unscripted(),
    rejectNext: (code, text, times = 1) => {
      this.#rejections = Array.from({ length: times }, () => ({ code, text }));
    },
  };

  close(): void {
    this.#events.removeAllListeners();
    this.#ticks.removeAllListeners();
  }

  #change(order: BookOrder): void {
    if (order.status === 'Filled' || order.status === 'Cancelled') {
      this.#book.delete(order.permId);
      this.#closed.push(order);
    } else this.#book.set(order.permId, order);
    this.emit({ type: 'openOrder', order });
    this.emit({ type: 'orderStatus', order });
  }

  #position(position: number) {
    return {
      account: ACCOUNT,
      contract: AAPL,
      position,
      avgCost: 201.94,
      marketPrice: 202,
      marketValue: 202 * position,
      unrealizedPNL: 6,
      realizedPNL: 0,
    };
  }
}

const MARGIN = {
  initMarginBefore: 0,
  maintMarginBefore: 0,
  equityWithLoanBefore: 1_000_000,
  initMarginChange: 5000,
  maintMarginChange: 5000,
  equityWithLoanChange: 0,
  initMarginAfter: 5000,
  maintMarginAfter: 5000,
  equityWithLoanAfter: 1_000_000,
  commission: null,
  minCommission: 1,
  maxCommission: 1.5,
  commissionCurrency: 'USD',
};

/** Levers that these tests never pull say so. */
function unscripted(): Exchange['script'] {
  const never = (): never => {
    throw new Error('the tiny exchange has no such lever');
  };
  return {
    pin: never,
    release: never,
    halt: never,
    fill: never,
    hold: never,
    unhold: never,
    correct: never,
    end: never,
    external: never,
    liquidate: never,
    setPosition: never,
    setCash: never,
    rejectNext: never,
    setLiquidity: never,
  };
}
