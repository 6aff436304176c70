import { Args, given } from './args.ts';
import type { Fault, Match } from './faults.ts';
import type { Contract, QuoteSnapshot } from './model.ts';
import type { Simulator } from './simulator.ts';

/** Reads the members of a command, then says what to do. */
type Run = (args: Args) => () => unknown;

/**
 * The simulator's levers by name, for the control port and for scenario files: `{"fault": "drop", "clientId": 3}`,
 * `{"script": "halt", "conId": 265598, "halted": true}`, `{"ask": "clients"}`.
 */
export class Commands {
  readonly #simulator: Simulator;
  readonly #active = new Map<number, Fault>();
  #handles = 0;

  constructor(simulator: Simulator) {
    this.#simulator = simulator;
  }

  /**
   * Runs one command. Faults that last answer `{handle}` for `{"fault": "end", "handle": n}`. Rejects with a message that
   * names the member which is wrong.
   */
  async run(members: Readonly<Record<string, unknown>>): Promise<unknown> {
    const tables: Readonly<Record<string, Readonly<Record<string, Run>>>> = {
      fault: this.#faults,
      script: this.#levers,
      ask: this.#questions,
    };
    const kind = Object.keys(tables).find((name) => Object.hasOwn(members, name));
    if (kind === undefined) throw new RangeError(`a command has one of ${Object.keys(tables).join(', ')}`);
    const args = new Args(members);
    const name = args.text(kind);
    const table = tables[kind] ?? {};
    const run = Object.hasOwn(table, name) ? table[name] : undefined;
    if (run === undefined)
      throw new RangeError(`${kind}: "${name}" is none of ${Object.keys(table).join(', ')}`);
    const act = run(args);
    args.end();
    return (await act()) ?? null;
  }

  #keep(fault: Fault): { readonly handle: number } {
    this.#handles += 1;
    this.#active.set(this.#handles, fault);
    return { handle: this.#handles };
  }

  get #faults(): Readonly<Record<string, Run>> {
    const { faults } = this.#simulator;
    const client = (args: Args) => args.optionalNumber('clientId');
    const times = (args: Args) => args.optionalNumber('times') ?? Number.POSITIVE_INFINITY;
    const match = (args: Args): Match =>
      given({
        messages: args.optionalList('messages'),
        clientId: client(args),
        fields: args.optionalFields('fields'),
      });
    return {
      drop: (args) => {
        const clientId = client(args);
        return () => faults.drop(clientId);
      },
      close: (args) => {
        const clientId = client(args);
        return () => faults.close(clientId);
      },
      freeze: (args) => {
        const clientId = client(args);
        return () => faults.freeze(clientId);
      },
      thaw: (args) => {
        const clientId = client(args);
        return () => faults.thaw(clientId);
      },
      refuse: () => () => faults.refuse(),
      acceptSilently: () => () => faults.acceptSilently(),
      accept: () => () => faults.accept(),
      restart: (args) => {
        const options = given({
          downMs: args.optionalNumber('downMs'),
          nextValidId: args.optionalNumber('nextValidId'),
          farewell: args.optionalText('farewell'),
        });
        return () => faults.restart(options);
      },
      upstreamLost: (args) => {
        const options = given({ orders: args.optionalChoice('orders', ['hold', 'swallow'] as const) });
        return () => faults.upstreamLost(options);
      },
      upstreamBack: (args) => {
        const code = args.optionalChoice('code', [1101, 1102] as const) ?? 1102;
        const options = given({
          replay: args.optionalChoice('replay', ['events', 'status', 'none'] as const),
        });
        return () => faults.upstreamBack(code, options);
      },
      farmBroken: (args) => {
        const farm = args.text('farm');
        const options = given({ silent: args.optionalFlag('silent') });
        return () => faults.farmBroken(farm, options);
      },
      farmOk: (args) => {
        const farm = args.text('farm');
        return () => faults.farmOk(farm);
      },
      marketData: (args) => {
        const entitlement =
          args.optionalChoice('entitlement', ['live', 'delayed', 'none'] as const) ?? 'live';
        return () => faults.marketData(entitlement);
      },
      resetDepth: (args) => {
        const conId = args.optionalNumber('conId');
        return () => faults.resetDepth(conId);
      },
      swallow: (args) => {
        const [wanted, count] = [match(args), times(args)];
        return () => this.#keep(faults.swallow(wanted, count));
      },
      hold: (args) => {
        const [wanted, count] = [match(args), times(args)];
        return () => this.#keep(faults.hold(wanted, count));
      },
      releaseHeld: () => () => ({ released: faults.releaseHeld() }),
      duplicate: (args) => {
        const wanted = match(args);
        const options = given({ copies: args.optionalNumber('copies'), times: args.optionalNumber('times') });
        return () => this.#keep(faults.duplicate(wanted, options));
      },
      reorder: (args) => {
        const wanted = match(args);
        const options = given({
          window: args.optionalNumber('window'),
          order: args.optionalChoice('order', ['reversed', 'shuffled'] as const),
          times: args.optionalNumber('times'),
        });
        return () => this.#keep(faults.reorder(wanted, options));
      },
      delay: (args) => {
        const [wanted, ms, count] = [match(args), args.number('ms'), times(args)];
        return () => this.#keep(faults.delay(wanted, ms, count));
      },
      alter: (args) => {
        const [wanted, count] = [match(args), times(args)];
        const change = given({
          cut: args.optionalNumber('cut'),
          add: args.optionalList('add'),
          set: args.optionalFields('set'),
        });
        return () => this.#keep(faults.alter(wanted, change, count));
      },
      inject: (args) => {
        const [message, clientId] = [args.optionalList('message') ?? [], client(args)];
        if (message.length === 0) throw new RangeError('message: is missing, must be a list of fields');
        return () => faults.inject(message, clientId);
      },
      injectError: (args) => {
        const id = args.optionalNumber('requestId') ?? args.optionalNumber('id') ?? -1;
        const [code, text] = [args.number('code'), args.text('text')];
        const clientId = client(args);
        return () => faults.injectError(id, code, text, clientId);
      },
      ignore: (args) => {
        const [wanted, count] = [match(args), times(args)];
        return () => this.#keep(faults.ignore(wanted, count));
      },
      dialog: (args) => {
        const options = given({ passes: args.optionalNumber('passes') });
        return () => faults.dialog(options);
      },
      dismissDialog: () => () => faults.dismissDialog(),
      reject: (args) => {
        const [code, text] = [args.number('code'), args.optionalText('text') ?? 'Order rejected - reason:'];
        const count = args.optionalNumber('times') ?? 1;
        return () => faults.reject(code, text, count);
      },
      punish: (args) => {
        const options = given({ clientId: client(args), times: args.optionalNumber('times') });
        return () => faults.punish(options);
      },
      setNextValidId: (args) => {
        const [orderId, clientId] = [args.number('nextValidId'), client(args)];
        return () => faults.setNextValidId(orderId, clientId);
      },
      offerVersion: (args) => {
        const version = args.number('version');
        return () => faults.offerVersion(version);
      },
      end: (args) => {
        const handle = args.number('handle');
        return () => {
          const fault = this.#active.get(handle);
          if (fault === undefined) throw new RangeError(`handle: no fault ${handle} is known`);
          fault.clear();
          this.#active.delete(handle);
          return { acted: fault.acted };
        };
      },
      clear: () => () => faults.clear(),
    };
  }

  get #levers(): Readonly<Record<string, Run>> {
    const { script } = this.#simulator.exchange;
    const conId = (args: Args) => args.number('conId');
    const permId = (args: Args) => args.number('permId');
    return {
      pin: (args) => {
        const [id, quote] = [conId(args), args.optionalObject('quote') ?? {}];
        return () => script.pin(id, quoteOf(quote));
      },
      release: (args) => {
        const id = conId(args);
        return () => script.release(id);
      },
      halt: (args) => {
        const [id, halted] = [conId(args), args.optionalFlag('halted') ?? true];
        return () => script.halt(id, halted);
      },
      fill: (args) => {
        const [id, shares, price] = [permId(args), args.number('shares'), args.optionalNumber('price')];
        return () => (price === undefined ? script.fill(id, shares) : script.fill(id, shares, price));
      },
      hold: (args) => {
        const id = permId(args);
        return () => script.hold(id);
      },
      unhold: (args) => {
        const id = permId(args);
        return () => script.unhold(id);
      },
      correct: (args) => {
        const execId = args.text('execId');
        const change = given({ shares: args.optionalNumber('shares'), price: args.optionalNumber('price') });
        return () => script.correct(execId, change);
      },
      end: (args) => {
        const id = permId(args);
        const how = args.optionalChoice('how', ['Cancelled', 'Expired', 'Inactive'] as const) ?? 'Cancelled';
        const why = given({
          code: args.optionalNumber('code'),
          text: args.optionalText('text'),
          whyHeld: args.optionalText('whyHeld'),
        });
        return () => script.end(id, how, why);
      },
      external: (args) => {
        const action = args.optionalChoice('action', ['BUY', 'SELL'] as const) ?? 'BUY';
        const contract = this.#contract(conId(args));
        const request = {
          contract,
          action,
          totalQuantity: args.number('quantity'),
          ...given({
            orderType: args.optionalText('orderType'),
            lmtPrice: args.optionalNumber('lmtPrice'),
            clientId: args.optionalNumber('clientId'),
            orderId: args.optionalNumber('orderId'),
            orderRef: args.optionalText('orderRef'),
            account: args.optionalText('account'),
            tif: args.optionalText('tif'),
          }),
        };
        return () => ({ permId: script.external(request).permId });
      },
      liquidate: (args) => {
        const [account, id] = [this.#account(args), conId(args)];
        return () => script.liquidate(account, id);
      },
      setPosition: (args) => {
        const [account, id] = [this.#account(args), conId(args)];
        const [position, avgCost] = [args.number('position'), args.number('avgCost')];
        return () => script.setPosition(account, id, position, avgCost);
      },
      setCash: (args) => {
        const [account, currency, amount] = [
          this.#account(args),
          args.optionalText('currency') ?? 'USD',
          args.number('amount'),
        ];
        return () => script.setCash(account, currency, amount);
      },
      setLiquidity: (args) => {
        const [id, shares] = [conId(args), args.number('sharesPerMatch')];
        return () => script.setLiquidity(id, shares);
      },
    };
  }

  get #questions(): Readonly<Record<string, Run>> {
    const simulator = this.#simulator;
    return {
      clients: () => () => simulator.clients(),
      conformance: () => () => simulator.conformance(),
      received: (args) => {
        const filter = given({
          message: args.optionalText('message'),
          clientId: args.optionalNumber('clientId'),
          session: args.optionalNumber('session'),
          since: args.optionalNumber('since'),
        });
        return () => simulator.received(filter);
      },
      orders: () => () => simulator.exchange.openOrders(),
      completedOrders: () => () => simulator.exchange.completedOrders(),
      executions: () => () =>
        simulator.exchange.executions({
          clientId: 0,
          account: '',
          since: 0,
          symbol: '',
          secType: '',
          exchange: '',
          side: '',
        }),
      positions: () => () => simulator.exchange.positions(),
      quote: (args) => {
        const conId = args.number('conId');
        return () => simulator.exchange.quote(conId);
      },
      now: () => () => simulator.clock.now(),
      advance: (args) => {
        const ms = args.number('ms');
        return () => simulator.advance(ms);
      },
      flood: (args) => {
        const options = {
          messages: args.number('messages'),
          ...given({ conIds: args.optionalNumbers('conIds'), perSecond: args.optionalNumber('perSecond') }),
        };
        return () => simulator.flood(options);
      },
    };
  }

  #account(args: Args): string {
    return args.optionalText('account') ?? this.#simulator.exchange.accounts[0] ?? '';
  }

  #contract(conId: number): Contract {
    const [details] = this.#simulator.exchange.findContracts({
      conId,
      symbol: '',
      secType: '',
      lastTradeDateOrContractMonth: '',
      strike: 0,
      right: '',
      multiplier: '',
      exchange: '',
      primaryExchange: '',
      currency: '',
      localSymbol: '',
      tradingClass: '',
      comboLegs: [],
      includeExpired: true,
      secIdType: '',
      secId: '',
    });
    if (details === undefined) throw new RangeError(`conId: no contract ${conId} is in the catalogue`);
    return details.contract;
  }
}

const QUOTE_NUMBERS = [
  'bid',
  'ask',
  'bidSize',
  'askSize',
  'last',
  'lastSize',
  'volume',
  'open',
  'high',
  'low',
  'close',
] as const;

function quoteOf(members: Readonly<Record<string, unknown>>): Partial<QuoteSnapshot> {
  const args = new Args(members);
  const quote: { -readonly [K in keyof QuoteSnapshot]?: QuoteSnapshot[K] } = {};
  for (const name of QUOTE_NUMBERS) {
    const value = args.optionalNumber(name);
    if (value !== undefined) quote[name] = value;
  }
  const halted = args.optionalFlag('halted');
  if (halted !== undefined) quote.halted = halted;
  args.end();
  return quote;
}
