/**
 * Market data for everybody in this process: quotes by instrument, the beat, questions about contracts and history.
 * Which lines are open is decided by the market machine; this is what it acts through, and what readers hold.
 */
import type { Observable, SchedulerLike, Subscription } from 'rxjs';
import { firstValueFrom, interval, map, race, Subject, timer } from 'rxjs';
import {
  type LineChannel,
  type LineFeed,
  type LineTrouble,
  lineChannels,
  lineKeyOf,
} from '../../machines/feed.ts';
import type { Contract } from '../../machines/instrument.ts';
import { formatInstrument } from '../../machines/instrument.ts';
import type {
  Bar,
  Beat,
  LineRow,
  LineStanding,
  Mark,
  MarketCommand,
  Quote,
  RequestFailure,
} from '../../machines/market.ts';
import { withPartial } from '../../machines/market.ts';
import type { Reason } from '../../machines/order.ts';
import type { ContractDetails } from '../../machines/tws.ts';
import { BarsCell } from './bars.ts';
import { Pulse } from './beat.ts';
import type { LiveCell } from './cell.ts';
import { DepthCell } from './depth.ts';
import { Freshness } from './freshness.ts';
import { Inquiries, isFailure, questionOf } from './inquiries.ts';
import type { LinePort } from './line.ts';
import { createLineLogic } from './line.ts';
import type { QuoteCell, Tick } from './quotes.ts';
import { Quotes } from './quotes.ts';
import { Sessions } from './sessions.ts';
import { TradesCell } from './trades.ts';
import type { LatencyFigures } from './window.ts';
import { RateWindow } from './window.ts';

export interface BarQuery {
  /** TWS's own words: `1 D`, `2 W` */
  readonly duration: string;
  /** `1 min`, `1 day` */
  readonly barSize: string;
  /** `TRADES`, `MIDPOINT`, ... */
  readonly whatToShow: string;
  readonly regularHoursOnly: boolean;
}

/** A symbol that matches a search. */
export interface SymbolMatch {
  readonly contract: Contract;
  readonly description: string;
  readonly derivativeSecTypes: readonly string[];
}

export interface FoundContract extends SymbolMatch {
  /** canonical short form */
  readonly instrument: string;
}

/** Questions to TWS. They answer with a failure rather than reject, and in bounded time. */
export interface RequestPort {
  contractDetails(contract: Contract): Promise<readonly ContractDetails[] | RequestFailure>;
  search(pattern: string): Promise<readonly SymbolMatch[] | RequestFailure>;
  bars(contract: Contract, query: BarQuery): Promise<readonly Bar[] | RequestFailure>;
}

export interface MarketOptions {
  readonly lines: LinePort;
  readonly requests: RequestPort;
  /** ms since the epoch, the clock that stamps ticks */
  readonly now: () => number;
  readonly beatMs: number;
  /** the shortest pause of a feed that can count as silence. Default 15,000 */
  readonly staleAfterMs?: number;
  /** how long an answer may be held while TWS wants us to wait. Default 20,000 */
  readonly holdMs?: number;
  /** called for each row of a beat with the age of its oldest unsent tick, ms */
  readonly onRowAge?: (ms: number) => void;
  /** makes the beat, the watch and the waits; RxJS's own timers when absent */
  readonly scheduler?: SchedulerLike;
}

/** The running market machine, or what leads to it. */
export interface MarketActor {
  send(command: MarketCommand): void;
  getSnapshot(): {
    readonly context: { readonly rows: readonly LineRow[]; readonly turnedAway: number };
    hasTag(tag: 'admitting' | 'severed'): boolean;
  };
}

export interface MarketFigures {
  /** lines of every kind by their standing */
  readonly lines: Readonly<Record<LineStanding, number>>;
  /** the same for each kind */
  readonly channels: Readonly<Record<LineChannel, Readonly<Record<LineStanding, number>>>>;
  /** lines that stand with TWS */
  readonly linesOpen: number;
  readonly linesWaiting: number;
  /** of those, the ones that wait for another to become free */
  readonly linesShort: number;
  /** that somebody reads and TWS refuses, although it served them before or will again */
  readonly linesDeprived: readonly string[];
  readonly linesStale: number;
  readonly linesRefused: number;
  readonly turnedAway: number;
  readonly ticks: number;
  readonly ticksPerSecond: number;
  /** from the read of a row's oldest unsent tick to its beat, over the last minute */
  readonly tickToBeatMs: LatencyFigures;
}

const detailsCapacity = 1000;
const detailsGoodForMs = 3_600_000;
const waiterLimit = 1000;
const watchMs = 1000;
const rateSpanMs = 10_000;
const retriesOfOneQuestion = 3;

interface Waiter {
  readonly key: string;
  readonly deadline: number;
  readonly resolve: (answer: Quote | { readonly failed: Reason } | undefined) => void;
  received: number;
}

interface Hold {
  readonly contract: Contract;
  readonly feed: LineFeed;
  /** what the line fills; null for quotes */
  readonly cell: LiveCell | null;
  readers: number;
  traders: number;
  /** why it brings nothing, since it was live last */
  trouble: LineTrouble | null;
}

/** What every reader knows from the link itself. */
const passing: ReadonlySet<string> = new Set(['not-connected', 'severed']);

const noLines = (): Record<LineStanding, number> => ({
  waiting: 0,
  requesting: 0,
  live: 0,
  stale: 0,
  refused: 0,
});

export type Market = ReturnType<typeof createMarket>;

export function createMarket(options: MarketOptions) {
  const { requests, now, beatMs, scheduler } = options;
  const staleAfterMs = options.staleAfterMs ?? 15_000;
  const holdMs = options.holdMs ?? 20_000;
  const closed = new Subject<void>();

  const details = new Inquiries<readonly ContractDetails[]>({
    now,
    capacity: detailsCapacity,
    goodForMs: detailsGoodForMs,
    concurrency: 50,
    isFailure,
  });
  const searches = new Inquiries<readonly FoundContract[]>({
    now,
    capacity: 200,
    goodForMs: 60_000,
    concurrency: 10,
    isFailure,
  });
  const histories = new Inquiries<readonly Bar[]>({
    now,
    capacity: 0,
    goodForMs: 0,
    concurrency: 50,
    isFailure,
  });
  const contracts = (contract: Contract) =>
    details.get(questionOf(contract), () => requests.contractDetails(contract));
  const sessions = new Sessions((contract) => details.peek(questionOf(contract)), contracts);

  const quotes = new Quotes();
  /** what lines other than of quotes have brought, by the name of the line */
  const cells = new Map<string, LiveCell>();
  const freshness = new Freshness({
    staleAfterMs,
    wasClosed: (contract, lastTickAt, silentSince, at) =>
      sessions.wasClosed(contract, lastTickAt, silentSince, at),
  });
  const rate = new RateWindow(rateSpanMs);
  const holds = new Map<string, Hold>();
  const quoteTroubles = new Subject<{ readonly key: string; readonly trouble: LineTrouble }>();
  let waiters: Waiter[] = [];
  let actor: MarketActor | null = null;

  const pulse = new Pulse({
    quotes,
    beatMs,
    now,
    ...(scheduler ? { scheduler } : {}),
    afterBeat: () => {
      answerWaiters();
      noteTroubles();
    },
    ...(options.onRowAge ? { onRowAge: options.onRowAge } : {}),
  });
  const watch: Subscription = interval(
    Math.max(20, Math.min(watchMs, staleAfterMs / 4)),
    scheduler,
  ).subscribe(() => {
    const at = now();
    freshness.check(at);
    rate.mark(quotes.total, at);
    recount();
    sweep();
  });

  const rows = (): readonly LineRow[] => actor?.getSnapshot().context.rows ?? [];
  const rowOf = (key: string): LineRow | undefined => rows().find((row) => row.key === key);
  const rowsByKey = (): ReadonlyMap<string, LineRow> => new Map(rows().map((row) => [row.key, row]));

  /** Who holds an instrument is known here: a machine that was replaced, or had no room, is told. */
  function recount(): void {
    if (actor === null || holds.size === 0) return;
    const known = rowsByKey();
    for (const [key, { contract, feed, readers, traders }] of holds) {
      let trading = known.get(key)?.traders ?? 0;
      for (let counted = known.get(key)?.readers ?? 0; counted < readers; counted += 1) {
        const forTrading = trading < traders;
        if (forTrading) trading += 1;
        actor.send({ type: 'market.acquire', key, contract, feed, forTrading });
        // A full list turns every one of them away.
        if (counted === 0 && !rowOf(key)) break;
      }
    }
  }

  /** What lines that are gone have brought goes too. */
  function sweep(): void {
    if (actor === null || quotes.size + cells.size === 0) return;
    const wanted = rowsByKey();
    for (const key of [...cells.keys()]) if (!wanted.has(key) && !holds.has(key)) cells.delete(key);
    for (const key of [...quotes.keys()]) {
      if (!wanted.has(key) && quotes.find(key)?.ticks === null) quotes.drop(key);
    }
  }

  /** Why no row of this key can be expected now; null while one may come. */
  function refusalOf(key: string, row: LineRow | undefined): Reason | null {
    if (!row) return { code: 'line-limit', message: `${key} is one instrument too many; release others` };
    if (row.standing === 'refused') return row.reason ?? { code: 'refused', message: 'TWS refused the line' };
    if (row.standing !== 'waiting') return null;
    return isAdmitting()
      ? (row.reason ?? {
          code: 'line-limit',
          message: `every market-data line is in use; ${key} waits for a free one`,
        })
      : actor?.getSnapshot().hasTag('severed')
        ? { code: 'severed', message: 'the gateway has no link to IB' }
        : { code: 'not-connected', message: 'no session with TWS' };
  }

  const isAdmitting = (): boolean => actor?.getSnapshot().hasTag('admitting') ?? false;

  function cellOf(key: string): LiveCell {
    const known = cells.get(key);
    if (!known) throw new Error(`nobody has asked for ${key}`);
    return known;
  }

  /** Readers of a line hear why it brings nothing, once, until it has been live again. */
  function noteTroubles(): void {
    if (holds.size === 0 || actor === null) return;
    const known = rowsByKey();
    for (const [key, held] of holds) {
      const row = known.get(key);
      if (row?.standing === 'live') note(key, held, null);
      if (row && row.standing !== 'refused' && row.standing !== 'waiting') continue;
      const reason = refusalOf(key, row);
      if (!reason || passing.has(reason.code) || reason.code === held.trouble?.reason.code) continue;
      note(key, held, { reason, retryAfterMs: row?.standing === 'refused' ? row.retryAfterMs : 0 });
    }
  }

  function note(key: string, held: Hold, trouble: LineTrouble | null): void {
    held.trouble = trouble;
    if (held.cell) held.cell.trouble = trouble;
    else if (trouble) quoteTroubles.next({ key, trouble });
  }

  function hold(contract: Contract, key: string, feed: LineFeed, cell: LiveCell | null, forTrading = false) {
    const held = holds.get(key) ?? { contract, feed, cell, readers: 0, traders: 0, trouble: null };
    held.readers += 1;
    if (forTrading) held.traders += 1;
    holds.set(key, held);
    actor?.send({ type: 'market.acquire', key, contract, feed, forTrading });
    let isHeld = true;
    return {
      key,
      release() {
        if (!isHeld) return;
        isHeld = false;
        held.readers -= 1;
        if (forTrading) held.traders -= 1;
        if (held.readers === 0) holds.delete(key);
        actor?.send({ type: 'market.release', key, forTrading });
      },
    };
  }

  const isSettled = (cell: QuoteCell): boolean => cell.received !== 0 && now() - cell.firstAt >= 2 * beatMs;

  /** A new line brings its fields one by one; the first row is complete when a beat brought no further field. */
  function answerWaiters(): void {
    if (waiters.length === 0) return;
    const at = now();
    const known = rowsByKey();
    waiters = waiters.filter((waiter) => {
      const cell = quotes.find(waiter.key);
      const received = cell?.received ?? 0;
      if (cell && received !== 0 && (received === waiter.received || at >= waiter.deadline)) {
        waiter.resolve(cell.row());
        return false;
      }
      waiter.received = received;
      if (received !== 0) return true;
      const refusal = refusalOf(waiter.key, known.get(waiter.key));
      if (refusal) {
        waiter.resolve({ failed: refusal });
        return false;
      }
      if (at < waiter.deadline) return true;
      const reason = known.get(waiter.key)?.reason;
      waiter.resolve(reason ? { failed: reason } : undefined);
      return false;
    });
  }

  /** Puts a question again when TWS wants us to wait, as long as the asker may be kept waiting. */
  async function patiently<Answer extends object>(
    ask: () => Promise<Answer | RequestFailure>,
  ): Promise<Answer | RequestFailure> {
    const deadline = now() + holdMs;
    for (let attempt = 1; ; attempt += 1) {
      const answer = await ask();
      if (!isFailure(answer) || answer.retryAfterMs === undefined) return answer;
      if (attempt > retriesOfOneQuestion || answer.failed.code === 'not-connected') return answer;
      if (now() + answer.retryAfterMs > deadline) return answer;
      const pause = timer(answer.retryAfterMs, scheduler).pipe(map(() => true));
      const isOver = await firstValueFrom(race(pause, closed.pipe(map(() => false))), {
        defaultValue: false,
      });
      if (!isOver) return answer;
    }
  }

  return {
    /** Fills the `line` slot of the subscription machine. */
    lineLogic: createLineLogic({ lines: options.lines, quotes, cellOf, freshness, now }),

    /** Names the running market machine. It is told of everybody who reads, also when it is replaced behind this name. */
    bind(running: MarketActor): void {
      actor = running;
      recount();
    },

    /** Counts one more reader of this instrument. Release exactly once; more often is harmless. */
    acquire: (contract: Contract, key: string): { readonly key: string; release(): void } =>
      hold(contract, key, { channel: 'quotes' }, null),

    /** The same for what orders are judged by: it goes before readers, who leave some lines to it. */
    acquireForTrading: (contract: Contract, key: string): { readonly key: string; release(): void } =>
      hold(contract, key, { channel: 'quotes' }, null, true),

    /** Whether this line waits for another to become free. */
    isShort: (key: string): boolean => rowOf(key)?.standing === 'waiting' && isAdmitting(),

    /** One more reader of something else than quotes. `view` is what the line fills; release exactly once. */
    watch(contract: Contract, instrument: string, feed: Exclude<LineFeed, { channel: 'quotes' }>) {
      const key = lineKeyOf(instrument, feed);
      const cell = cells.get(key) ?? createCell(instrument, feed);
      cells.set(key, cell);
      const { release } = hold(contract, key, feed, cell);
      return { view: cell, release };
    },

    /** The newest row; undefined before the first tick. */
    quote: (key: string): Quote | undefined => quotes.find(key)?.row(),

    /** What an order may be judged by; null before the first tick. `at` is the read time of the newest tick. */
    mark(key: string): Mark | null {
      const row = quotes.find(key)?.row();
      if (!row) return null;
      return {
        bid: row.bid ?? null,
        ask: row.ask ?? null,
        last: row.last ?? null,
        close: row.close ?? null,
        at: quotes.find(key)?.tickedAt ?? row.ts,
      };
    },

    /** Why the line of quotes brings nothing since it was live last; null: it may. */
    quoteTrouble: (key: string): LineTrouble | null => holds.get(key)?.trouble ?? null,
    /** Each such trouble when it begins. */
    quoteTrouble$: quoteTroubles.asObservable(),

    /** Where the line of this instrument stands; undefined when nobody reads it. */
    line: rowOf,

    /**
     * Waits for the first row of an acquired key, at most so long (ms). Answers at once when the line was refused or has to
     * wait; undefined when nothing came and nothing is known.
     */
    firstQuote(key: string, timeoutMs: number): Promise<Quote | { readonly failed: Reason } | undefined> {
      const cell = quotes.find(key);
      if (cell && isSettled(cell)) return Promise.resolve(cell.row());
      const refusal = cell && cell.received !== 0 ? null : refusalOf(key, rowOf(key));
      if (refusal) return Promise.resolve({ failed: refusal });
      if (waiters.length >= waiterLimit) {
        return Promise.resolve({
          failed: { code: 'too-many-requests', message: `${waiterLimit} readers wait for a first quote` },
        });
      }
      return new Promise((resolve) => {
        waiters.push({ key, deadline: now() + timeoutMs, resolve, received: 0 });
      });
    },

    /** Shared and hot; emits only when something changed. */
    beat$: pulse.beat$ as Observable<Beat>,
    beats: pulse.beats,

    /** Every tick of one instrument that somebody reads. */
    tick$: (key: string): Observable<Tick> => quotes.tick$(key),

    contracts,

    search: (pattern: string) =>
      searches.get(pattern, async () => {
        const found = await patiently(() => requests.search(pattern));
        if (isFailure(found)) return found;
        return found.map((match) => ({ instrument: formatInstrument(match.contract), ...match }));
      }),

    /** History. A pacing violation is waited out while the answer can be held. */
    bars: (contract: Contract, query: BarQuery) =>
      histories.get(questionOf({ contract, query }), () =>
        patiently(async () => {
          const askedAt = now();
          const bars = await requests.bars(contract, query);
          return isFailure(bars) ? bars : withPartial(bars, query.barSize, askedAt);
        }),
      ),

    figures(): MarketFigures {
      const lines = noLines();
      const channels = Object.fromEntries(lineChannels.map((channel) => [channel, noLines()])) as Record<
        LineChannel,
        Record<LineStanding, number>
      >;
      const deprived: string[] = [];
      for (const { key, standing, feed, readers, retryAfterMs } of rows()) {
        lines[standing] += 1;
        channels[feed.channel][standing] += 1;
        const isMissed = retryAfterMs !== null || (quotes.find(key)?.received ?? 0) !== 0;
        if (standing === 'refused' && readers > 0 && isMissed) deprived.push(key);
      }
      return {
        lines,
        channels,
        linesOpen: freshness.size,
        linesWaiting: lines.waiting,
        linesShort: isAdmitting() ? lines.waiting : 0,
        linesDeprived: deprived,
        linesStale: lines.stale,
        linesRefused: lines.refused,
        turnedAway: actor?.getSnapshot().context.turnedAway ?? 0,
        ticks: quotes.total,
        ticksPerSecond: rate.perSecond(),
        tickToBeatMs: pulse.figures(),
      };
    },

    /** Stops the beat and the watch; whoever waits is answered. The lines belong to the machine. */
    close(): void {
      watch.unsubscribe();
      pulse.close();
      quoteTroubles.complete();
      closed.next();
      closed.complete();
      for (const { key, resolve } of waiters) resolve(quotes.find(key)?.row());
      waiters = [];
    },
  };
}

function createCell(instrument: string, feed: LineFeed): LiveCell {
  switch (feed.channel) {
    case 'depth':
      return new DepthCell(instrument, feed.rows);
    case 'bars':
      return new BarsCell(instrument, feed.barSize);
    default:
      return new TradesCell(instrument);
  }
}
