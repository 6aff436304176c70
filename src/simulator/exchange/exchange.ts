/** The simulated venue: a catalogue, a seeded market, a book, accounts, and the levers to move them. */
import type { Clock, Exchange, ExchangeEvent } from '../model.ts';
import type { CurrencySums } from './accountValues.ts';
import { accountRows, emptySums } from './accountValues.ts';
import { Agenda } from './agenda.ts';
import { OrderBook } from './book.ts';
import type { CalendarName } from './calendar.ts';
import { Calendar } from './calendar.ts';
import { Directory } from './directory.ts';
import type { Floor } from './floor.ts';
import { History } from './history.ts';
import type { Instrument } from './instruments.ts';
import { marketRule } from './instruments.ts';
import { Intake } from './intake.ts';
import type { Pricing } from './ledger.ts';
import { Ledger, money } from './ledger.ts';
import { Market } from './market.ts';
import type { ExchangeMemory } from './memory.ts';
import { optionModel } from './optionModel.ts';
import { Prices } from './prices.ts';
import { hash32 } from './random.ts';
import { Recorder } from './recorder.ts';
import { restore } from './restore.ts';
import { createScript } from './script.ts';
import { Settlement } from './settlement.ts';
import { Tape } from './tape.ts';
import { Venue } from './venue.ts';
import { pictureOf } from './workingOrder.ts';
import { atLocal, localDay } from './zones.ts';

const homeZone = 'US/Eastern';
const accountRefreshMs = 180_000;

export interface ExchangeOptions {
  readonly clock: Clock;
  /** the same seed and the same calls give the same market and the same events */
  readonly seed: number;
  /** default `['DU1234567']`; the first is meant when an order names none */
  readonly accounts?: readonly string[];
  /** mean time between two changes of a quote, default 100 */
  readonly tickIntervalMs?: number;
  /** `alwaysOpen` (default) never closes; `regular` keeps the hours of the real venues */
  readonly calendar?: CalendarName;
  readonly baseCurrency?: 'USD';
  /** cash of each account at the start, default 1,000,000 */
  readonly startingCash?: number;
  /** range of the venue's own delays, default 1..20; 0..0 = timers of 0 ms */
  readonly latencyMs?: { readonly min: number; readonly max: number };
  /** the book goes on from it and is written to it; the caller closes it. Without one a book lives as long as its exchange */
  readonly memory?: ExchangeMemory;
}

/** Makes a venue. It sets no timer until something is watched, ordered or held. */
export function createExchange(options: ExchangeOptions): Exchange {
  const { clock, seed } = options;
  const accounts = options.accounts ?? ['DU1234567'];
  if (accounts.length === 0) throw new RangeError('accounts: at least one account is needed');
  const tickIntervalMs = options.tickIntervalMs ?? 100;
  if (!(tickIntervalMs >= 1))
    throw new RangeError(`tickIntervalMs must be at least 1, got ${tickIntervalMs}`);
  const latency = options.latencyMs ?? { min: 1, max: 20 };
  if (!(latency.min >= 0 && latency.max >= latency.min))
    throw new RangeError('latencyMs: 0 <= min <= max is needed');

  const now = () => clock.now();
  const calendar = new Calendar(options.calendar ?? 'alwaysOpen');
  let recorder: Recorder | null = null;
  const agenda = new Agenda(clock, (run) => (recorder === null ? run() : recorder.run(run)));
  const directory = new Directory(calendar, now);
  const prices = new Prices(seed, tickIntervalMs, calendar);
  const book = new OrderBook();
  const listeners = new Set<(event: ExchangeEvent) => void>();
  const market = new Market({ prices, agenda, seed, now, onChange: (conId) => venue.onQuote(conId) });
  const pricing = makePricing(directory, market, prices, now);
  const ledger = new Ledger(accounts, 'USD', options.startingCash ?? 1_000_000, pricing);
  const tape = new Tape(seed, now());
  let latencyDraws = 0;
  let refreshIsSet = false;

  const deliver = (event: ExchangeEvent) => {
    for (const listener of listeners) listener(event);
  };
  const emit = (event: ExchangeEvent) => {
    if (event.type === 'account' && !refreshIsSet) refreshAccounts();
    if (recorder === null) deliver(event);
    else recorder.hear(event);
  };
  const floor: Floor = {
    seed,
    accounts,
    agenda,
    calendar,
    directory,
    prices,
    market,
    ledger,
    tape,
    book,
    liquidity: new Map(),
    now,
    rate: pricing.rate,
    emit,
    remember: (order) => recorder?.remember(order),
    latency: () => {
      latencyDraws += 1;
      return latency.min + (hash32(seed, latencyDraws, 12) % (Math.floor(latency.max - latency.min) + 1));
    },
  };
  const settlement = new Settlement(floor);
  const venue = new Venue(floor, settlement);
  const intake = new Intake(floor, venue);
  const history = new History(prices, now);
  const script = createScript(floor, { venue, intake, settlement });
  const { memory } = options;
  if (memory !== undefined) {
    const counters = () => {
      const { session, counter } = tape.standing;
      return { lastPermId: intake.lastPermId, tapeSession: session, tapeCounter: counter };
    };
    recorder = new Recorder({ memory, book, tape, ledger, counters, deliver });
    recorder.run(() => restore(memory, { floor, intake, venue }));
    if (accounts.some((account) => ledger.positions(account).length > 0)) refreshAccounts();
  }

  /** Values move with prices even when nobody trades: TWS tells every three minutes. */
  function refreshAccounts(): void {
    refreshIsSet = true;
    agenda.at(now() + accountRefreshMs, () => {
      refreshIsSet = false;
      const held = accounts.filter((account) => ledger.positions(account).length > 0);
      for (const account of held) emit({ type: 'account', account });
    });
  }

  const known = <T>(conId: number, use: (instrument: Instrument) => T, otherwise: T): T => {
    const instrument = directory.instrument(conId);
    return instrument === null ? otherwise : use(instrument);
  };
  const nothing = () => {};
  const isOurs = (account: string) => accounts.includes(account);

  return {
    clock,
    accounts,
    onEvent(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    findContracts: (query) => directory.find(query),
    resolve(contract) {
      const resolution = directory.resolve(contract);
      if ('code' in resolution) return resolution;
      return { details: directory.details(resolution.instrument, resolution.exchange) };
    },
    searchSymbols: (pattern) => directory.search(pattern),
    optionParameters: (symbol, exchange, secType, conId) =>
      directory.optionParameters(symbol, exchange, secType, conId),
    marketRule,

    place: (request, isSpent) => intake.place(request, isSpent),
    modify: (permId, request) => intake.modify(permId, request),
    exercise: (request) => intake.exercise(request),
    cancel: (clientId, orderId) => intake.cancel(clientId, orderId),
    cancelAll: () => intake.cancelAll(),
    openOrders: () =>
      book
        .openOrders()
        .filter((order) => order.isTransmitted)
        .map((order) => pictureOf(order)),
    completedOrders: () => book.closedSince(pricing.dayStart()).map((order) => pictureOf(order)),
    executions: (filter) => tape.find(filter, pricing.dayStart()),
    commissionReport: (execId) => tape.entry(execId)?.report ?? null,
    positions: () => accounts.flatMap((account) => ledger.positions(account)),
    accountValues(account) {
      if (!isOurs(account)) return [];
      return accountRows({
        account,
        baseCurrency: 'USD',
        summary: ledger.summary(account),
        cash: ledger.cash(account),
        rate: pricing.rate,
        byCurrency: sumsByCurrency(ledger, account),
      });
    },
    pnl(account) {
      if (!isOurs(account)) return { daily: 0, unrealized: 0, realized: 0 };
      const { daily, unrealized, realized } = ledger.summary(account);
      return { daily: money(daily), unrealized: money(unrealized), realized: money(realized) };
    },
    pnlSingle: (account, conId) => (isOurs(account) ? ledger.profitOf(account, conId) : null),

    quote: (conId) => known(conId, (instrument) => market.quote(instrument), null),
    subscribeTicks: (conId, listener) =>
      known(conId, (instrument) => market.subscribeTicks(instrument, listener), nothing),
    subscribePrints: (conId, listener) =>
      known(conId, (instrument) => market.subscribePrints(instrument, listener), nothing),
    subscribeDepth: (conId, rows, listener) =>
      known(conId, (instrument) => market.subscribeDepth(instrument, rows, listener), nothing),
    bars: (request) => known(request.conId, (instrument) => history.bars(instrument, request), []),
    sessions: (request) => known(request.conId, (instrument) => history.sessions(instrument, request), []),
    headTimestamp: (conId, what) => known(conId, (instrument) => history.head(instrument, what), null),
    histogram: (conId, periodSeconds) =>
      known(conId, (instrument) => history.histogram(instrument, periodSeconds), []),
    historicalPrints: (conId, startMs, endMs, count) =>
      known(conId, (instrument) => history.prints(instrument, startMs, endMs, count), []),
    optionModel: (conId, given) =>
      known(conId, (instrument) => optionModel(instrument, market, prices, now(), given), null),

    script: recorder === null ? script : recorder.guard(script),
    close() {
      agenda.close();
      listeners.clear();
    },
  };
}

function makePricing(directory: Directory, market: Market, prices: Prices, now: () => number): Pricing {
  const pairs = new Map<string, { readonly instrument: Instrument; readonly isInverse: boolean }>();
  for (const name of ['EUR', 'GBP', 'AUD', 'JPY', 'CHF']) {
    const isInverse = name === 'JPY' || name === 'CHF';
    const instrument = isInverse ? directory.pair('USD', name) : directory.pair(name, 'USD');
    if (instrument !== null) pairs.set(name, { instrument, isInverse });
  }
  return {
    mark: (instrument, time) =>
      time === undefined ? market.mark(instrument) : prices.markAt(instrument, time),
    rate(currency) {
      const pair = pairs.get(currency);
      if (pair === undefined) return 1;
      const price = market.mark(pair.instrument);
      return pair.isInverse ? 1 / price : price;
    },
    underlyingPrice: ({ driver }) => (driver.type === 'option' ? market.mark(driver.underlying) : 0),
    dayStart: () => atLocal(homeZone, localDay(homeZone, now()), 0),
  };
}

function sumsByCurrency(ledger: Ledger, account: string): Map<string, CurrencySums> {
  const sums = new Map<string, CurrencySums>();
  for (const position of ledger.positions(account)) {
    const { currency, secType } = position.contract;
    let row = sums.get(currency);
    if (row === undefined) {
      row = emptySums();
      sums.set(currency, row);
    }
    row.unrealized += position.unrealizedPNL;
    if (secType === 'STK') row.stock += position.marketValue;
    else if (secType === 'OPT') row.option += position.marketValue;
    else if (secType === 'FUT') row.futures += position.unrealizedPNL;
    else if (secType === 'FUND') row.fund += position.marketValue;
    else if (secType === 'BOND') row.bond += position.marketValue;
    else if (secType === 'CRYPTO') row.crypto += position.marketValue;
  }
  for (const [currency, realized] of ledger.realizedByCurrency(account)) {
    const row = sums.get(currency) ?? emptySums();
    row.realized += realized;
    sums.set(currency, row);
  }
  return sums;
}
