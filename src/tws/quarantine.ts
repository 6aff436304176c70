/** Messages that could not be read: the first of them are kept and told one by one, a flood of them by its numbers. */
import type { SessionReport } from '../../machines/tws.machine.ts';
import type { GatewayClock, Logger } from './wire.ts';

/** Told one by one at most so many, and again one more each `refillMs`. */
const atOnce = 20;
const refillMs = 3_000;
const summaryMs = 1_000;
const kindLimit = 20;

/** Kinds of message that carry orders or executions: openOrder, orderStatus, execDetails, commissions, completed. */
const orderKinds: ReadonlySet<number> = new Set([3, 5, 11, 59, 101]);

export interface BadFrame {
  readonly text: string;
  readonly problem: string;
  /** its number in the protocol, may be NaN */
  readonly kind: number;
  /** it could be read, and is not believed: asking again would bring the same */
  readonly isDistrusted?: boolean;
  /** when it was read, ms */
  readonly at: number;
}

export interface Quarantine {
  take(frame: BadFrame): void;
  /** Tells what is held, and nothing more from then on. */
  close(): void;
}

export function createQuarantine(
  clock: GatewayClock,
  log: Logger,
  sessionId: string,
  report: (event: SessionReport) => void,
): Quarantine {
  let allowed = atOnce;
  let refilledAt = clock.monotonic();
  let timer: unknown = null;
  let closed = false;
  let held = 0;
  let concernsOrders = false;
  let at = 0;
  const kinds = new Set<number>();

  const mayTell = (): boolean => {
    const steps = Math.floor((clock.monotonic() - refilledAt) / refillMs);
    if (steps > 0) {
      refilledAt += steps * refillMs;
      allowed = Math.min(atOnce, allowed + steps);
    }
    if (allowed === 0) return false;
    allowed -= 1;
    return true;
  };

  const summarise = (): void => {
    timer = null;
    if (held === 0) return;
    const problem = `${held} more messages could not be read, of kinds ${[...kinds].join(', ')}`;
    log.warn({ sessionId, count: held }, problem);
    const count = held;
    const concerned = concernsOrders;
    held = 0;
    concernsOrders = false;
    kinds.clear();
    report({ type: 'session.undecodable', text: '', problem, concernsOrders: concerned, count, at });
  };

  return {
    take(frame) {
      if (closed) return;
      const { text, problem, kind, isDistrusted = false } = frame;
      const concerns = orderKinds.has(kind) && !isDistrusted;
      if (mayTell()) {
        log.warn(
          { sessionId, kind, problem, frame: discreet(text) },
          'a message of TWS could not be decoded',
        );
        report({
          type: 'session.undecodable',
          text,
          problem,
          concernsOrders: concerns,
          at: frame.at,
        });
        return;
      }
      held += 1;
      at = frame.at;
      concernsOrders ||= concerns;
      if (kinds.size < kindLimit) kinds.add(kind);
      timer ??= clock.setTimeout(summarise, summaryMs);
    },
    close() {
      if (closed) return;
      closed = true;
      if (timer !== null) clock.clearTimeout(timer as never);
      summarise();
    },
  };
}

/** `DU1234567` -> `DU…567`, wherever it stands: the log names no account. */
function discreet(text: string): string {
  return text.replaceAll(/\b([A-Z]{1,3})\d{2,}(\d{3})\b/g, '$1…$2');
}
