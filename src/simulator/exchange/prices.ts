/**
 * Quotes as a pure function of (seed, contract, time). Time is cut into steps; once in each step, at a hashed moment, the quote of
 * a contract changes. History and the live market read the same function, so that they join without a seam.
 */
import type { QuoteSnapshot } from '../model.ts';
import { optionValue } from './blackScholes.ts';
import type { Calendar } from './calendar.ts';
import type { Instrument } from './instruments.ts';
import { clean, floorToTick, roundToTick, tickAt } from './instruments.ts';
import { hash32, uniform } from './random.ts';
import { VolumeCurve } from './volume.ts';
import { Walk } from './walk.ts';

export const riskFreeRate = 0.04;
const yearMs = 31_536_000_000;
const tradeLookbackMax = 60;
const pinsPerContractMax = 1000;
const purpose = {
  moment: 30,
  spread: 31,
  bidSize: 32,
  askSize: 33,
  trade: 34,
  exchange: 35,
  smile: 36,
} as const;

/** One state of the market of a contract. Prices of -1 mean that there is none (indices have no bid, forex no last). */
export interface RawQuote {
  readonly step: number;
  readonly bid: number;
  readonly ask: number;
  readonly bidSize: number;
  readonly askSize: number;
  readonly last: number;
  readonly lastSize: number;
  readonly lastTime: number;
  /** the last trade happened in this very step */
  readonly traded: boolean;
}

interface Pin {
  readonly from: number;
  until: number;
  readonly quote: Pick<RawQuote, 'bid' | 'ask' | 'bidSize' | 'askSize' | 'last' | 'lastSize'>;
}

export class Prices {
  readonly stepMs: number;
  readonly calendar: Calendar;
  private readonly seed: number;
  private readonly walks = new Map<number, Walk>();
  private readonly volumes = new Map<number, VolumeCurve>();
  private readonly pins = new Map<number, Pin[]>();

  constructor(seed: number, stepMs: number, calendar: Calendar) {
    this.seed = seed;
    this.stepMs = stepMs;
    this.calendar = calendar;
  }

  /** The fair value at a time, off the grid. */
  mid(instrument: Instrument, time: number): number {
    const pin = this.pinAt(instrument.contract.conId, time);
    if (pin !== null) return (pin.quote.bid + pin.quote.ask) / 2;
    const { driver } = instrument;
    switch (driver.type) {
      case 'own':
        return this.walk(instrument, driver.base, driver.volatility).at(time);
      case 'carried': {
        const years = Math.max(0, driver.expiry - time) / yearMs;
        return this.mid(driver.underlying, time) * Math.exp(driver.rate * years);
      }
      case 'option': {
        const { strike, right } = instrument.contract;
        const underlying = this.mid(driver.underlying, time);
        const years = Math.max(0, driver.expiry - time) / yearMs;
        const volatility = this.impliedVolatility(instrument, underlying);
        const terms = { right: right === 'P' ? 'P' : 'C', strike, years, rate: riskFreeRate } as const;
        return optionValue(terms, underlying, volatility).price;
      }
      case 'combo': {
        let sum = 0;
        for (const { leg, instrument: each } of driver.legs)
          sum += (leg.action === 'BUY' ? 1 : -1) * leg.ratio * this.mid(each, time);
        return sum;
      }
    }
  }

  /** The volatility that the market of an option uses: a smile around the money. */
  impliedVolatility(instrument: Instrument, underlying: number): number {
    if (instrument.driver.type !== 'option') return 0;
    const moneyness = Math.log(instrument.contract.strike / underlying);
    const wobble = uniform(this.seed, instrument.contract.conId, 0, purpose.smile) * 0.01;
    return instrument.driver.volatility + wobble + 0.15 * moneyness * moneyness - 0.06 * moneyness;
  }

  private walk(instrument: Instrument, base: number, volatility: number): Walk {
    const { conId } = instrument.contract;
    let walk = this.walks.get(conId);
    if (walk === undefined) {
      walk = new Walk(this.seed, conId, base, volatility);
      this.walks.set(conId, walk);
    }
    return walk;
  }

  volume(instrument: Instrument): VolumeCurve {
    const { conId } = instrument.contract;
    let curve = this.volumes.get(conId);
    if (curve === undefined) {
      curve = new VolumeCurve(this.seed, this.calendar, instrument);
      this.volumes.set(conId, curve);
    }
    return curve;
  }

  /** When the quote of this contract changes within a step. */
  momentOf(conId: number, step: number): number {
    return Math.floor((step + 0.9 * uniform(this.seed, conId, step, purpose.moment)) * this.stepMs);
  }

  /** The step whose quote holds at a time. */
  stepAt(conId: number, time: number): number {
    const step = Math.floor(time / this.stepMs);
    return time >= this.momentOf(conId, step) ? step : step - 1;
  }

  /** The quote that holds at a time; while the market is closed, the one of the last open moment. */
  at(instrument: Instrument, time: number): RawQuote {
    const pin = this.pinAt(instrument.contract.conId, time);
    if (pin !== null)
      return { ...pin.quote, step: Math.floor(time / this.stepMs), lastTime: pin.from, traded: false };
    const open =
      this.calendar.name === 'alwaysOpen' ? time : this.calendar.lastOpenMoment(instrument.session, time);
    const step = this.stepAt(instrument.contract.conId, open);
    return this.atStep(instrument, step, this.pins.size === 0 ? 0 : this.pinEdge(instrument, open));
  }

  /** When a pin of the contract or of what drives its price began or ended last, up to `time`; 0 = never. */
  private pinEdge(instrument: Instrument, time: number): number {
    const { driver } = instrument;
    let edge = 0;
    for (const pin of this.pins.get(instrument.contract.conId) ?? [])
      for (const moment of [pin.from, pin.until]) if (moment <= time && moment > edge) edge = moment;
    if (driver.type === 'option' || driver.type === 'carried')
      return Math.max(edge, this.pinEdge(driver.underlying, time));
    if (driver.type === 'combo')
      for (const { instrument: each } of driver.legs) edge = Math.max(edge, this.pinEdge(each, time));
    return edge;
  }

  /** The price at which positions were valued at a time: the last trade, or the middle where there is none. */
  markAt(instrument: Instrument, time: number): number {
    const { last, bid, ask } = this.at(instrument, time);
    return markOf(last, bid, ask);
  }

  /** The quote of a step; `notBefore` moves its moment, for pins set in the middle of a step. */
  private atStep(instrument: Instrument, step: number, notBefore: number): RawQuote {
    const { conId, secType } = instrument.contract;
    const moment = this.momentOf(conId, step);
    if (secType === 'IND') {
      const last = roundToTick(instrument, this.mid(instrument, Math.max(moment, notBefore)));
      return {
        step,
        bid: -1,
        ask: -1,
        bidSize: 0,
        askSize: 0,
        last,
        lastSize: 0,
        lastTime: moment,
        traded: true,
      };
    }
    const [bid, ask] = this.bidAsk(instrument, step, Math.max(moment, notBefore));
    const trade = this.lastTrade(instrument, step);
    return {
      step,
      bid,
      ask,
      bidSize: bid === 0 && secType !== 'BAG' ? 0 : this.size(instrument, step, purpose.bidSize),
      askSize: this.size(instrument, step, purpose.askSize),
      ...trade,
      traded: trade.lastTime === moment,
    };
  }

  private size(instrument: Instrument, step: number, side: number): number {
    const chance = uniform(this.seed, instrument.contract.conId, step, side);
    return clean(instrument.lot * (1 + Math.floor(instrument.depthLots * 2 * chance * chance)));
  }

  private bidAsk(instrument: Instrument, step: number, moment: number): readonly [number, number] {
    const { driver, contract } = instrument;
    if (driver.type === 'combo') {
      let bid = 0;
      let ask = 0;
      for (const { leg, instrument: each } of driver.legs) {
        const quote = this.at(each, moment);
        bid += leg.ratio * (leg.action === 'BUY' ? quote.bid : -quote.ask);
        ask += leg.ratio * (leg.action === 'BUY' ? quote.ask : -quote.bid);
      }
      return [roundToTick(instrument, bid), roundToTick(instrument, ask)];
    }
    const mid = this.mid(instrument, moment);
    const tick = tickAt(instrument, mid);
    const wide = hash32(this.seed, contract.conId, step, purpose.spread) % 4 === 0 ? 1 : 0;
    const ticks =
      driver.type === 'option'
        ? Math.max(1, Math.round((0.015 * mid) / tick))
        : instrument.spreadTicks + wide;
    const bid = Math.max(0, floorToTick(instrument, mid - ((ticks - 1) / 2) * tick));
    let ask = roundToTick(instrument, bid + ticks * tick);
    if (ask <= bid) ask = roundToTick(instrument, bid + 1.01 * tickAt(instrument, bid + tick));
    return [bid, ask];
  }

  private lastTrade(instrument: Instrument, step: number): Pick<RawQuote, 'last' | 'lastSize' | 'lastTime'> {
    const { conId, secType } = instrument.contract;
    if (secType === 'CASH' || secType === 'BAG') return { last: -1, lastSize: 0, lastTime: 0 };
    const at = this.tradeBefore(conId, step);
    const moment = this.momentOf(conId, at);
    const before = this.momentOf(conId, this.tradeBefore(conId, at - 1));
    const [bid, ask] = this.bidAsk(instrument, at, moment);
    const atAsk = hash32(this.seed, conId, at, purpose.trade) % 2 === 0;
    const volume = this.volume(instrument).between(before, moment);
    return {
      last: atAsk || bid === 0 ? ask : bid,
      lastSize: volume > 0 ? clean(volume) : instrument.sizeIncrement >= 1 ? 1 : 0.0001,
      lastTime: moment,
    };
  }

  private tradeBefore(conId: number, step: number): number {
    for (let at = step; at > step - tradeLookbackMax; at--)
      if (hash32(this.seed, conId, at, purpose.trade) < 0x80000000) return at;
    return step;
  }

  /** The venue of a quote or print, for contracts that trade on several. */
  exchangeOf(instrument: Instrument, step: number, salt: number): string {
    const names = instrument.exchanges.filter((name) => name !== 'SMART' && name !== 'QBALGO');
    const chance = hash32(this.seed, instrument.contract.conId, step, purpose.exchange + salt);
    return names[chance % names.length] ?? instrument.contract.exchange;
  }

  pin(instrument: Instrument, now: number, wanted: Partial<QuoteSnapshot>): void {
    const before = this.at(instrument, now);
    const quote = pinnedQuote(instrument, before, wanted);
    this.release(instrument.contract.conId, now);
    let list = this.pins.get(instrument.contract.conId);
    if (list === undefined) {
      list = [];
      this.pins.set(instrument.contract.conId, list);
    }
    if (list.length >= pinsPerContractMax) list.shift();
    list.push({ from: now, until: Number.POSITIVE_INFINITY, quote });
  }

  release(conId: number, now: number): void {
    const newest = this.pins.get(conId)?.at(-1);
    if (newest !== undefined && newest.until > now) newest.until = now;
  }

  isPinned(conId: number, time: number): boolean {
    return this.pinAt(conId, time) !== null;
  }

  private pinAt(conId: number, time: number): Pin | null {
    const list = this.pins.get(conId);
    if (list === undefined) return null;
    for (let i = list.length - 1; i >= 0; i--) {
      const pin = list[i];
      if (pin !== undefined && time >= pin.from && time < pin.until) return pin;
    }
    return null;
  }
}

/** The last trade, or the middle where there is none. */
export function markOf(last: number, bid: number, ask: number): number {
  return last === -1 ? clean((bid + ask) / 2) : last;
}

function pinnedQuote(instrument: Instrument, before: RawQuote, wanted: Partial<QuoteSnapshot>): Pin['quote'] {
  const tick = tickAt(instrument, wanted.last ?? wanted.bid ?? wanted.ask ?? before.last);
  const spread = Math.max(tick, before.ask - before.bid);
  let { bid, ask, last } = before;
  if (wanted.last !== undefined && wanted.bid === undefined && wanted.ask === undefined && bid !== -1) {
    bid = floorToTick(instrument, wanted.last - spread / 2);
    ask = roundToTick(instrument, bid + spread);
  }
  if (wanted.bid !== undefined) {
    bid = wanted.bid;
    if (wanted.ask === undefined && ask <= bid) ask = roundToTick(instrument, bid + spread);
  }
  if (wanted.ask !== undefined) {
    ask = wanted.ask;
    if (wanted.bid === undefined && bid >= ask) bid = roundToTick(instrument, ask - spread);
  }
  if (wanted.last !== undefined) last = wanted.last;
  else if (last !== -1 && bid !== -1) last = Math.min(Math.max(last, bid), ask);
  return {
    bid,
    ask,
    bidSize: wanted.bidSize ?? before.bidSize,
    askSize: wanted.askSize ?? before.askSize,
    last,
    lastSize: wanted.lastSize ?? before.lastSize,
  };
}
