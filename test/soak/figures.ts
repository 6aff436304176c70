/** What a soak has measured, and whether it is flat. */

export interface Sample {
  /** since the start, s */
  readonly at: number;
  readonly day: number;
  /** placed since the start */
  readonly orders: number;
  readonly heapBytes: number;
  readonly rssBytes: number;
  readonly actors: number;
}

const mb = (bytes: number): string => (bytes / 1_048_576).toFixed(1);

/** Least squares: how much `y` grows for each `x`. */
export function slopeOf(points: readonly { readonly x: number; readonly y: number }[]): number {
  const n = points.length;
  const mean = (of: (point: { x: number; y: number }) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / n;
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
  const covariance = mean((point) => (point.x - x) * (point.y - y));
  const variance = mean((point) => (point.x - x) ** 2);
  return variance === 0 ? 0 : covariance / variance;
}

/** Growth that counts as noise: a part of the heap, over the time that was looked at. */
const noise = 0.05;
const samplesMin = 8;

export interface Verdict {
  readonly isFlat: boolean;
  readonly text: string;
}

/**
 * Looks at the second half of the time, from the fourth day on: closed orders stay in memory for two days, bounded caches
 * fill, and until then a heap must grow. Too few samples prove nothing, and count as flat.
 */
export function judge(samples: readonly Sample[]): Verdict {
  const half = (samples.at(-1)?.at ?? 0) / 2;
  const settled = samples.filter(({ at, day }) => day > 3 && at >= half);
  const [first, last] = [settled[0], settled.at(-1)];
  if (!first || !last || settled.length < samplesMin) {
    return {
      isFlat: true,
      text: `${settled.length} samples in the second half, from the fourth day on: too few for a slope`,
    };
  }
  const perSecond = slopeOf(settled.map(({ at, heapBytes }) => ({ x: at, y: heapBytes })));
  const perOrder = slopeOf(settled.map(({ orders, heapBytes }) => ({ x: orders, y: heapBytes })));
  const grown = perSecond * (last.at - first.at);
  const isFlat = grown <= noise * first.heapBytes;
  return {
    isFlat,
    text:
      `heap ${isFlat ? 'is flat' : 'GROWS'}: ${mb(perSecond * 3_600)} MB per hour, ${Math.round(perOrder)} bytes per order, ` +
      `${mb(grown)} MB in the last ${Math.round(last.at - first.at)} s (${mb(first.heapBytes)} -> ${mb(last.heapBytes)} MB)`,
  };
}

export function lineOf({ at, day, orders, heapBytes, rssBytes, actors }: Sample): string {
  return `${at.toFixed(0).padStart(6)} s  day ${day}  ${orders} orders  heap ${mb(heapBytes)} MB  rss ${mb(rssBytes)} MB  ${actors} orders in memory`;
}
