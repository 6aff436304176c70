/** Where the running tree is read for the metrics: acknowledgements, losses, and counters that others keep. */
import type { JournalRecord } from '../machines/journal.ts';
import type { Order } from '../machines/order.ts';
import type { Metrics } from './metrics.ts';
import type { Observer } from './observer.ts';
import type { Runtime } from './runtime.ts';

const readEveryMs = 1_000;
/** Orders whose first answer is awaited; older ones are given up for the figure. */
const awaitedMax = 1_000;

/** Returns the way to stop. */
export function readMeters(
  runtime: Runtime,
  observer: Pick<Observer, 'onChange'>,
  metrics: Metrics,
): () => void {
  const sentAt = new Map<string, number>();
  const seen = { ticks: 0, cancel: 0, order: 0, control: 0, data: 0 };

  const stopListening = runtime.onRecord(({ event, ts, payload }: JournalRecord) => {
    if (event === 'discrepancy.raised') metrics.discrepancies.add(codeOf(payload));
    if (event === 'order.doubted') metrics.doubt();
    if (event === 'lease.lapsed') metrics.lapse();
    if (event !== 'order.sent' && event !== 'order.accepted') return;
    const { clientOrderId } = payload.order as Order;
    if (event === 'order.sent') {
      sentAt.set(clientOrderId, ts);
      const oldest = sentAt.keys().next().value;
      if (sentAt.size > awaitedMax && oldest !== undefined) sentAt.delete(oldest);
    } else {
      const sent = sentAt.get(clientOrderId);
      if (sent !== undefined) metrics.acknowledgement.record(ts - sent);
      sentAt.delete(clientOrderId);
    }
  });

  let failures = 0;
  const stopWatching = observer.onChange(({ machine }) => {
    if (machine !== 'tws') return;
    const { context } = runtime.child('tws').getSnapshot();
    if (context.failures > failures) metrics.reconnects.add(String(context.lastCause));
    failures = context.failures;
  });

  const timer = setInterval(() => {
    const { ticks, channels } = runtime.market.figures();
    for (const [channel, standings] of Object.entries(channels))
      for (const [standing, count] of Object.entries(standings)) metrics.lines(channel, standing, count);
    metrics.ticks(ticks - seen.ticks);
    seen.ticks = ticks;
    const { lanes } = runtime.gateway.figures();
    for (const lane of ['cancel', 'order', 'control', 'data'] as const) {
      metrics.messages.add(lane, lanes[lane].sent - seen[lane]);
      seen[lane] = lanes[lane].sent;
    }
  }, readEveryMs);

  return () => {
    clearInterval(timer);
    stopWatching();
    stopListening();
  };
}

function codeOf({ alert }: JournalRecord['payload']): string {
  return String((alert as { readonly code?: unknown }).code);
}
