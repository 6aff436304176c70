/**
 * The random walk of a price as a pure function of time: octaves of value noise, each four times slower and twice as large
 * as the one before. The past is as easy to ask for as the present, and neither depends on what was asked before.
 */
import { normal } from './random.ts';

const octaveCount = 15;
const fastestMs = 250;
/** The walk passes through its base price here (2026-11-22 00:00 UTC). */
const anchorMs = Date.UTC(2026, 10, 22);
const tradingSecondsPerYear = 5.9e6;
const secondsPerYear = 3.15e7;
const dayMs = 86_400_000;

export class Walk {
  private readonly seed: number;
  private readonly conId: number;
  private readonly base: number;
  private readonly anchor: number;
  private readonly amplitudes = new Float64Array(octaveCount);
  private readonly cachedIndex = new Float64Array(octaveCount).fill(Number.NaN);
  private readonly cachedLeft = new Float64Array(octaveCount);
  private readonly cachedRight = new Float64Array(octaveCount);

  constructor(seed: number, conId: number, base: number, volatility: number) {
    this.seed = seed;
    this.conId = conId;
    this.base = base;
    let period = fastestMs;
    for (let k = 0; k < octaveCount; k++) {
      const year = period > dayMs ? secondsPerYear : tradingSecondsPerYear;
      this.amplitudes[k] = 0.45 * volatility * Math.sqrt(period / 1000 / year);
      period *= 4;
    }
    this.anchor = this.noise(anchorMs);
  }

  /** The price at a time (ms since the epoch), not yet on any grid; positive. */
  at(time: number): number {
    return this.base * Math.exp(this.noise(time) - this.anchor);
  }

  private noise(time: number): number {
    let sum = 0;
    let period = fastestMs;
    for (let k = 0; k < octaveCount; k++) {
      const position = time / period;
      const index = Math.floor(position);
      if (this.cachedIndex[k] !== index) this.move(k, index);
      const left = this.cachedLeft[k] ?? 0;
      const right = this.cachedRight[k] ?? 0;
      sum += (this.amplitudes[k] ?? 0) * (left + (right - left) * (position - index));
      period *= 4;
    }
    return sum;
  }

  private move(k: number, index: number): void {
    this.cachedLeft[k] =
      this.cachedIndex[k] === index - 1
        ? (this.cachedRight[k] ?? 0)
        : normal(this.seed, this.conId, index, k);
    this.cachedRight[k] = normal(this.seed, this.conId, index + 1, k);
    this.cachedIndex[k] = index;
  }
}
