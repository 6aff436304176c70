/** What-if questions: they use order ids, but nothing of them is an order. */
import type { IBApi } from '@stoqey/ib';
import type { RequestFailure } from '../../machines/market.ts';
import type { OrderPreview } from '../../machines/tws.ts';
import { meaningOf } from './codes.ts';
import type { GatewayClock, Wire } from './wire.ts';

export interface Previews {
  ask(
    wire: Wire,
    orderId: number,
    timeoutMs: number,
    request: (api: IBApi) => void,
  ): Promise<OrderPreview | RequestFailure>;
  /** Whether an order id is, or recently was, a preview's. */
  has(orderId: number): boolean;
  /** `complete` false: TWS gave no figure yet; another answer may follow. */
  answer(orderId: number, preview: OrderPreview, complete: boolean): void;
  /** True when the order id is a preview's. */
  error(orderId: number, code: number, message: string): boolean;
  fail(reason: RequestFailure): void;
  readonly waiting: number;
}

const remembered = 1_000;

export function createPreviews(clock: GatewayClock): Previews {
  interface Open {
    partial: OrderPreview | null;
    settle(outcome: OrderPreview | RequestFailure): void;
  }
  const open = new Map<number, Open>();
  /** ids of previews, so that what comes late for one is not taken for an order's */
  const ids = new Set<number>();

  return {
    ask(wire, orderId, timeoutMs, request) {
      if (ids.has(orderId)) {
        return Promise.resolve({
          failed: { code: 'order-id-reused', message: `order id ${orderId} was used for a preview before` },
        });
      }
      ids.add(orderId);
      for (const oldest of ids) {
        if (ids.size <= remembered) break;
        ids.delete(oldest);
      }
      const key = `preview:${orderId}`;
      return new Promise((resolve) => {
        const timer = clock.setTimeout(() => {
          wire.pacer.withdraw((waiting) => waiting === key, 'timeout');
          entry.settle(
            entry.partial ?? {
              failed: { code: 'timeout', message: `TWS did not answer within ${timeoutMs} ms` },
            },
          );
        }, timeoutMs);
        const entry: Open = {
          partial: null,
          settle(outcome) {
            if (!open.delete(orderId)) return;
            clock.clearTimeout(timer as never);
            resolve(outcome);
          },
        };
        open.set(orderId, entry);
        wire.send('data', key, request, (reason) =>
          entry.settle({ failed: { code: reason, message: `the preview was not sent: ${reason}` } }),
        );
      });
    },
    has: (orderId) => ids.has(orderId),
    answer(orderId, preview, complete) {
      const entry = open.get(orderId);
      if (!entry) return;
      if (complete) entry.settle(preview);
      else entry.partial = preview;
    },
    error(orderId, code, message) {
      if (!ids.has(orderId)) return false;
      const meaning = meaningOf(code).order;
      if (meaning === undefined || meaning === 'notice') return true;
      open.get(orderId)?.settle({ failed: { code: String(code), message } });
      return true;
    },
    fail(reason) {
      for (const entry of [...open.values()]) entry.settle(reason);
    },
    get waiting() {
      return open.size;
    },
  };
}
