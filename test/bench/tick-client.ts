/** A dashboard's side of the quotes: subscribes, counts what comes, and notes how old it is. */
import { WebSocket } from 'ws';
import { machineMs, serve } from './children.ts';

/** What came since `begin`. */
export interface Taken {
  readonly frames: number;
  readonly rows: number;
  /** ticks folded into the rows */
  readonly merged: number;
  readonly bytes: number;
  readonly notices: number;
  /** when the last frame came, by the machine's clock */
  readonly lastAt: number;
  /** ms from the read of TWS's bytes (`ts` of each row) to this process, oldest first; resolution 1 ms */
  readonly rowAges: Float64Array;
  /** ms from the beat (`ts` of each frame) to this process */
  readonly frameAges: Float64Array;
}

interface Frame {
  readonly type?: string;
  readonly ts?: number;
  readonly ok?: boolean;
  readonly rejected?: readonly unknown[];
  readonly rows?: readonly { readonly merged?: number; readonly ts?: number }[];
}

const agesMax = 2_000_000;
let socket: WebSocket | null = null;
let frames = 0;
let rows = 0;
let merged = 0;
let bytes = 0;
let notices = 0;
let lastAt = 0;
let rowAges: number[] = [];
let frameAges: number[] = [];
let wake: (() => void) | null = null;

function take(text: string): Frame {
  const now = Date.now();
  const frame = JSON.parse(text) as Frame;
  if (frame.type === 'notice') notices += 1;
  if (frame.type !== 'update') return frame;
  lastAt = machineMs();
  frames += 1;
  bytes += text.length;
  if (frame.ts !== undefined && frameAges.length < agesMax) frameAges.push(now - frame.ts);
  for (const row of frame.rows ?? []) {
    rows += 1;
    merged += row.merged ?? 0;
    if (row.ts !== undefined && rowAges.length < agesMax) rowAges.push(now - row.ts);
  }
  wake?.();
  return frame;
}

serve({
  subscribe: ({ url, keys }: { readonly url: string; readonly keys: readonly string[] }) =>
    new Promise<void>((resolve, reject) => {
      const opened = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`);
      socket = opened;
      opened.once('error', reject);
      opened.on('message', (data) => {
        const frame = take(String(data));
        if (frame.type === 'welcome') {
          opened.send(JSON.stringify({ type: 'subscribe', id: 1, channel: 'quotes', keys }));
        }
        if (frame.type !== 'ack') return;
        if (frame.ok && frame.rejected?.length === 0) resolve();
        else reject(new Error(String(data)));
      });
    }),

  begin: () => {
    frames = rows = merged = bytes = notices = lastAt = 0;
    rowAges = [];
    frameAges = [];
  },

  /** Answers when so many ticks came, or when nothing came for `idleMs`. */
  taken: ({ ticks, idleMs }: { readonly ticks: number; readonly idleMs: number }) =>
    new Promise<Taken>((resolve) => {
      const finish = (): void => {
        clearTimeout(idle);
        wake = null;
        resolve({
          frames,
          rows,
          merged,
          bytes,
          notices,
          lastAt,
          rowAges: Float64Array.from(rowAges),
          frameAges: Float64Array.from(frameAges),
        });
      };
      const idle = setTimeout(finish, idleMs);
      wake = () => {
        idle.refresh();
        if (merged >= ticks) finish();
      };
      wake();
    }),

  unsubscribe: () => socket?.terminate(),
});
