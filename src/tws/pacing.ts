/**
 * Pacing: never more messages per second than TWS bears, the urgent ones first. TWS answers a 51st message within a
 * second with error 100, and hangs up when that goes on.
 */

/** In falling urgency. `control`: heartbeat and reconciliation. */
export const lanes = ['cancel', 'order', 'control', 'data'] as const;
export type Lane = (typeof lanes)[number];

export interface PacingOptions {
  /** messages within any second */
  readonly perSecond: number;
  /** of these, kept for each lane: others cannot use them up */
  readonly reserved: Readonly<Record<Lane, number>>;
  /** messages that may wait in each lane */
  readonly waitLimit: Readonly<Record<Lane, number>>;
  /** how long half the rate is used after TWS complained */
  readonly slowDownMs: number;
  /** data messages within any eighth of a second: a flood of them flows evenly, so that late arrival cannot pile it up */
  readonly dataBurst: number;
}

export const defaultPacing: PacingOptions = {
  perSecond: 45,
  reserved: { cancel: 5, order: 8, control: 4, data: 4 },
  waitLimit: { cancel: 2_000, order: 2_000, control: 200, data: 5_000 },
  slowDownMs: 10_000,
  dataBurst: 5,
};

/** A clock to pace by. */
export interface PacingClock {
  now(): number;
  setTimeout(callback: () => void, delayMs: number): unknown;
  clearTimeout(handle: never): void;
}

export interface PacedMessage {
  readonly lane: Lane;
  /** names the message for `withdraw` */
  readonly key: string;
  /** hands the message to the socket; called at most once */
  send(): void;
  /** instead of `send`, at most once: the message never leaves */
  withhold(reason: string): void;
}

export interface LaneFigures {
  readonly sent: number;
  readonly waiting: number;
  /** longest that a message waited, ms */
  readonly longestWaitMs: number;
  /** sum of all waits, ms */
  readonly totalWaitMs: number;
}

export interface Pacer {
  /** Sends within this call when the pace allows and nothing of its lane waits; later, in order, otherwise. */
  submit(message: PacedMessage): void;
  /** Withholds what waits under such keys; how many that were. */
  withdraw(matches: (key: string) => boolean, reason: string): number;
  /** TWS complained: half the pace for a while. */
  slowDown(): void;
  /** Withholds all that waits, and all that comes. */
  close(reason: string): void;
  figures(): Readonly<Record<Lane, LaneFigures>>;
}

interface Waiting {
  readonly message: PacedMessage;
  readonly since: number;
}

/** Longer than the second that TWS counts in: what left a second apart may arrive a little closer. */
const windowMs = 1_100;
const burstMs = 125;

/** `onSent` hears of each message that is handed to the socket, and how long it waited. */
export function createPacer(
  clock: PacingClock,
  options: PacingOptions,
  onSent: (lane: Lane, waitedMs: number) => void = () => undefined,
): Pacer {
  const queues: Record<Lane, Waiting[]> = { cancel: [], order: [], control: [], data: [] };
  /** what was sent within the last second, oldest first */
  let recent: { readonly at: number; readonly lane: Lane }[] = [];
  const recentOf: Record<Lane, number> = { cancel: 0, order: 0, control: 0, data: 0 };
  const sent: Record<Lane, number> = { cancel: 0, order: 0, control: 0, data: 0 };
  const longest: Record<Lane, number> = { cancel: 0, order: 0, control: 0, data: 0 };
  const total: Record<Lane, number> = { cancel: 0, order: 0, control: 0, data: 0 };
  /** when the last few data messages were sent, oldest first */
  let dataSentAt: number[] = [];
  let timer: unknown = null;
  let slowUntil = Number.NEGATIVE_INFINITY;
  let closedBecause: string | null = null;
  let draining = false;

  const forget = (now: number): void => {
    let old = 0;
    while (old < recent.length) {
      const entry = recent[old];
      if (!entry || now - entry.at < windowMs) break;
      recentOf[entry.lane] -= 1;
      old += 1;
    }
    if (old > 0) recent = recent.slice(old);
  };

  const dataFreeAt = (): number => {
    const first = dataSentAt.length < options.dataBurst ? undefined : dataSentAt[0];
    return first === undefined ? Number.NEGATIVE_INFINITY : first + burstMs;
  };

  const mayGo = (lane: Lane, now: number): boolean => {
    const share = now < slowUntil ? 0.5 : 1;
    const limit = Math.max(1, Math.floor(options.perSecond * share));
    if (recent.length >= limit) return false;
    if (lane === 'data' && now < dataFreeAt()) return false;
    let kept = 0;
    for (const other of lanes) {
      if (other !== lane) kept += Math.max(0, Math.floor(options.reserved[other] * share) - recentOf[other]);
    }
    return recent.length + kept < limit || recentOf[lane] < Math.floor(options.reserved[lane] * share);
  };

  const go = ({ message, since }: Waiting, now: number): void => {
    const { lane } = message;
    recent.push({ at: now, lane });
    recentOf[lane] += 1;
    if (lane === 'data') dataSentAt = [...dataSentAt, now].slice(-options.dataBurst);
    sent[lane] += 1;
    total[lane] += now - since;
    if (now - since > longest[lane]) longest[lane] = now - since;
    onSent(lane, now - since);
    message.send();
  };

  const drain = (): void => {
    // A message sent from within another's `send` takes its turn in the loop that is already running.
    if (draining) return;
    draining = true;
    try {
      for (let moved = true; moved; ) {
        moved = false;
        const now = clock.now();
        forget(now);
        for (const lane of lanes) {
          const head = queues[lane][0];
          if (!head || !mayGo(lane, now)) continue;
          queues[lane].shift();
          moved = true;
          go(head, now);
          break;
        }
      }
    } finally {
      draining = false;
    }
    schedule();
  };

  const schedule = (): void => {
    const oldest = recent[0];
    if (timer !== null || closedBecause !== null || !oldest) return;
    const waiting = lanes.filter((lane) => queues[lane].length > 0);
    if (waiting.length === 0) return;
    const now = clock.now();
    const free = oldest.at + windowMs;
    const due = waiting.includes('data') && dataFreeAt() > now ? Math.min(free, dataFreeAt()) : free;
    timer = clock.setTimeout(
      () => {
        timer = null;
        drain();
      },
      Math.max(1, due - now),
    );
  };

  return {
    submit(message) {
      if (closedBecause !== null) return message.withhold(closedBecause);
      const queue = queues[message.lane];
      if (queue.length >= options.waitLimit[message.lane]) return message.withhold('too-many-waiting');
      queue.push({ message, since: clock.now() });
      drain();
    },
    withdraw(matches, reason) {
      let count = 0;
      for (const lane of lanes) {
        const gone = queues[lane].filter(({ message }) => matches(message.key));
        if (gone.length === 0) continue;
        queues[lane] = queues[lane].filter(({ message }) => !matches(message.key));
        count += gone.length;
        for (const { message } of gone) message.withhold(reason);
      }
      return count;
    },
    slowDown() {
      slowUntil = clock.now() + options.slowDownMs;
    },
    close(reason) {
      if (closedBecause !== null) return;
      closedBecause = reason;
      if (timer !== null) clock.clearTimeout(timer as never);
      timer = null;
      for (const lane of lanes) {
        const waiting = queues[lane];
        queues[lane] = [];
        for (const { message } of waiting) message.withhold(reason);
      }
    },
    figures() {
      const of = (lane: Lane): LaneFigures => ({
        sent: sent[lane],
        waiting: queues[lane].length,
        longestWaitMs: longest[lane],
        totalWaitMs: total[lane],
      });
      return { cancel: of('cancel'), order: of('order'), control: of('control'), data: of('data') };
    },
  };
}
